//! The bearer token of a request: RFC 6750 section 2.1.

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// The token; the name of the scheme is compared without case. `None` without
/// a token, or with a credential of another kind.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &'static str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().expect(value));
        assert_eq!(bearer(&headers), expected, "{value}");
    }

    #[test]
    fn schemes() {
        check("Bearer abc", Some("abc"));
        check("bEARER  abc ", Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            check(other, None);
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
