//! The bearer token of a request: RFC 6750 section 2.1.

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// The token; the name of the scheme is compared without case. `None` without
/// a token, with a credential of another kind, or with several: a proxy in
/// front may have looked at another one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let value = value.to_str().ok()?;
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
        let mut two = HeaderMap::new();
        for token in ["Bearer a", "Bearer b"] {
            two.append(AUTHORIZATION, token.parse().expect(token));
        }
        assert_eq!(bearer(&two), None);
    }
}
