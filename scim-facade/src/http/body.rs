//! Request bodies: media type, size, time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::scim::error::ScimError;

/// A client that sends more slowly holds a connection for nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the body.
///
/// # Errors
/// 415 for a media type that is not JSON or a body that is encoded, 413 for a body that is too long,
/// 408 for one that does not come, 400 for one that breaks off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ScimError> {
    if !is_json(headers) {
        let detail = "The body must be application/scim+json or application/json, in UTF-8.";
        return Err(ScimError::new(415, detail));
    }
    read_bounded(headers, body, limit).await
}

/// Reads a body of any media type.
///
/// # Errors
/// As [`read`]; 415 only for a body that is encoded.
pub(super) async fn read_bounded(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ScimError> {
    if is_encoded(headers) {
        return Err(ScimError::new(415, "The body must not be encoded."));
    }
    let too_large = || ScimError::too_large(format!("The body may have at most {limit} bytes."));
    // Before the first byte is taken, and before `100 Continue`.
    if announced(headers).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(READ_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(ScimError::invalid_syntax("The body is incomplete.")),
        Err(_) => Err(ScimError::new(408, "The body did not arrive in time.")),
    }
}

/// How long the body will be, when the client says so.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    length.parse().ok()
}

/// Compressed bodies could unpack to any size, and no client sends them.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    encodings.filter(|value| !identity(value)).count() > 0
}

/// JSON in UTF-8. A client that does not name the type means SCIM.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known = ["application/scim+json", "application/json"];
    let is_json = known.iter().any(|json| json.eq_ignore_ascii_case(essence));
    let mut charsets = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'));
    // US-ASCII is a part of UTF-8.
    let is_utf8 = |charset: &str| {
        ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(charset))
    };
    is_json && charsets.all(is_utf8)
}
