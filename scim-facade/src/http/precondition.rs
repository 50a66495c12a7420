//! Conditional requests: RFC 7644 section 3.14, RFC 9110 section 13.

use axum::http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use muster_proto::v1::WriteOptions;

use crate::scim::error::ScimError;

/// `If-Match` for the directory, which compares.
///
/// # Errors
/// `invalidValue` for a header that is no text.
pub(super) fn write_options(headers: &HeaderMap) -> Result<Option<WriteOptions>, ScimError> {
    let tags = tags(headers, IF_MATCH)?;
    Ok((!tags.is_empty()).then(|| WriteOptions {
        if_match: tags.join(", "),
        ..WriteOptions::default()
    }))
}

/// Whether the client has this version already (`If-None-Match`).
///
/// # Errors
/// As [`write_options`].
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> Result<bool, ScimError> {
    let tags = tags(headers, IF_NONE_MATCH)?;
    Ok(tags.iter().any(|tag| tag == "*" || tag == etag))
}

/// The entity tags without their mark of weakness: ours are all strong, and a
/// proxy that compresses may have weakened one.
fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Vec<String>, ScimError> {
    let mut tags = Vec::new();
    for value in headers.get_all(&name) {
        let text = value.to_str();
        let text = text.map_err(|_| ScimError::invalid_value(format!("{name} is malformed.")))?;
        let each = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        tags.extend(each.map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned()));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_without_weakness() {
        let mut headers = HeaderMap::new();
        assert_eq!(write_options(&headers), Ok(None));
        headers.insert(IF_MATCH, "W/\"a\", \"b\"".parse().expect("a header"));
        headers.insert(IF_NONE_MATCH, "W/\"a\"".parse().expect("a header"));
        let options = write_options(&headers).expect("text").expect("tags");
        assert_eq!(options.if_match, "\"a\", \"b\"");
        assert_eq!(is_known(&headers, "\"a\""), Ok(true));
        assert_eq!(is_known(&headers, "\"b\""), Ok(false));
        headers.insert(IF_NONE_MATCH, "*".parse().expect("a header"));
        assert_eq!(is_known(&headers, "\"b\""), Ok(true));
    }
}
