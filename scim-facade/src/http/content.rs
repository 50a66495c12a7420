//! Media types: what the client takes, RFC 7644 section 3.8 and RFC 9110
//! section 12.5.1.

use axum::{
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE},
    },
    response::Response,
};

use crate::scim::error::ScimError;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How an answer is labelled. The body is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/scim+json`
    Scim,
    /// `application/json`
    Json,
}

/// How far a client wants a media type: how plainly it names it, and how much
/// it likes it, in thousandths.
type Wish = (u8, u16);

impl Media {
    /// What the client likes best; SCIM's own type when it does not care.
    ///
    /// # Errors
    /// 406 when it takes neither.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, ScimError> {
        let values = headers.get_all(ACCEPT).iter();
        let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        let ranges = texts.join(",");
        if ranges.trim().is_empty() {
            return Ok(Self::Scim);
        }
        let liking = |media: &str| {
            let wishes = ranges.split(',').filter_map(|range| wish(range, media));
            wishes.max_by_key(|(plainness, _)| *plainness)
        };
        let liking = |media| liking(media).map_or(0, |(_, liking)| liking);
        match (liking("application/scim+json"), liking("application/json")) {
            (0, 0) => Err(ScimError::new(
                406,
                "Answers are application/scim+json or application/json.",
            )),
            (scim, json) if json > scim => Ok(Self::Json),
            _ => Ok(Self::Scim),
        }
    }

    /// Labels an answer.
    pub(super) fn label(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if self == Self::Json && headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, JSON);
        }
        response
    }
}

/// Whether `Accept-Encoding` leaves neither gzip nor the plain body (RFC 9110
/// section 12.5.3).
pub(super) fn forbids_every_coding(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter();
    let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    let codings = texts.join(",");
    let liking = |names: &[&str]| {
        let mut codings = codings.split(',').filter_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next()?;
            let is_meant = names.iter().any(|known| known.eq_ignore_ascii_case(name));
            is_meant.then(|| weight(parts))
        });
        codings.next()
    };
    let others = liking(&["*"]);
    let gzip = liking(&["gzip", "x-gzip"]).or(others).unwrap_or(0);
    let plain = liking(&["identity"]).or(others).unwrap_or(1000);
    gzip == 0 && plain == 0
}

/// The parameter `q` of something, in thousandths.
fn weight<'a>(parameters: impl Iterator<Item = &'a str>) -> u16 {
    let pairs = parameters.filter_map(|part| part.split_once('='));
    let mut weights = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weights
        .next()
        .map_or(1000, |(_, text)| thousandths(text.trim()))
}

/// What a media range says of a media type; `None`: nothing.
fn wish(range: &str, media: &str) -> Option<Wish> {
    let mut parts = range.split(';').map(str::trim);
    let plainness = match parts.next()? {
        "*/*" => 1,
        named if named.eq_ignore_ascii_case("application/*") => 2,
        named if named.eq_ignore_ascii_case(media) => 3,
        _ => return None,
    };
    Some((plainness, weight(parts)))
}

/// `0.5` as 500; what is malformed says nothing and means 1.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.get(..3).map(str::parse::<u16>)) {
        ("0", Some(Ok(thousandths))) => thousandths,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<Media>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect(accept));
        assert_eq!(Media::accepted(&headers).ok(), expected, "{accept}");
    }

    #[test]
    fn negotiation() {
        assert_eq!(Media::accepted(&HeaderMap::new()), Ok(Media::Scim));
        for scim in [
            "",
            "*/*",
            "application/*",
            "Application/SCIM+JSON; charset=utf-8",
            "application/json, application/scim+json",
            "application/json;q=0.5, */*;q=0.9",
            "text/html, */*;q=0.1",
        ] {
            check(scim, Some(Media::Scim));
        }
        for json in [
            "application/json",
            "text/html, application/json;q=0.2",
            "application/json, application/scim+json;q=0.9",
            "*/*, application/scim+json;q=0",
            "application/json, */*;q=0.5",
        ] {
            check(json, Some(Media::Json));
        }
        for neither in [
            "text/html",
            "application/xml",
            "*/*;q=0",
            "application/json;q=0.0",
        ] {
            check(neither, None);
        }
    }
}
