//! Scheme and authority under which a client sees this service.

use axum::{
    extract::Request,
    http::{
        HeaderMap, Version,
        header::{FORWARDED, HOST},
        request::Parts,
        uri::Authority,
    },
    middleware::Next,
    response::Response,
};

use super::reply;
use crate::{config::Config, scim::error::ScimError};

/// The configured public URL, else what a trusted proxy says, else `http` and
/// the host that the request names.
pub(super) fn origin(parts: &Parts, config: &Config) -> String {
    if let Some(url) = &config.public_url {
        return url.clone();
    }
    let told = match config.trust_forwarded {
        true => Told::by_proxy(&parts.headers),
        false => Told::default(),
    };
    let scheme = told.scheme.unwrap_or("http");
    match told.host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", own_host(parts)),
    }
}

/// What a proxy says of the request that it was sent.
#[derive(Default)]
struct Told<'a> {
    scheme: Option<&'static str>,
    host: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// By RFC 7239, else by the older headers. Of several proxies, the one
    /// that is nearest to the client knows.
    fn by_proxy(headers: &'a HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let first = |text: &'a str| text.split(',').next().map(str::trim);
        if let Some(element) = text(FORWARDED.as_str()).and_then(first) {
            let pair = |name: &str| {
                let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
                let found = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim().trim_matches('"'))
            };
            return Self::checked(pair("proto"), pair("host"));
        }
        Self::checked(
            text("x-forwarded-proto").and_then(first),
            text("x-forwarded-host").and_then(first),
        )
    }

    fn checked(scheme: Option<&str>, host: Option<&'a str>) -> Self {
        let known = ["https", "http"].into_iter();
        let mut known = known.filter(|known| scheme.is_some_and(|s| s.eq_ignore_ascii_case(known)));
        Self {
            scheme: known.next(),
            host: host.filter(|host| is_host(host)),
        }
    }
}

fn own_host(parts: &Parts) -> &str {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = parts.uri.authority().map(Authority::as_str).or(header);
    named.filter(|host| is_host(host)).unwrap_or("localhost")
}

/// Refuses what names no host, or several: of those, a proxy may have read another
/// (RFC 9112 section 3.2).
pub(super) async fn check(request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().is_ok_and(is_host));
    let is_named = match (request.version(), host) {
        (Version::HTTP_11, None) => false,
        (_, host) => host.unwrap_or(true) && hosts.next().is_none(),
    };
    match is_named {
        true => next.run(request).await,
        false => reply::error(&ScimError::invalid_syntax(
            "The request must name one host.",
        )),
    }
}

/// A user name in front of the host would end up in links.
fn is_host(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], trust: bool, expected: &str) {
        let mut request = Request::get("/Users").header("host", "h:1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let config = Config {
            trust_forwarded: trust,
            ..Config::default()
        };
        assert_eq!(origin(&parts, &config), expected, "{headers:?}");
    }

    #[test]
    fn proxies_are_believed_when_they_are_trusted() {
        let old = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "id.example.test"),
        ];
        check(&old, false, "http://h:1");
        check(&old, true, "https://id.example.test");
        check(&old[..1], true, "https://h:1");
        let several = [
            ("x-forwarded-proto", "HTTPS, http"),
            ("x-forwarded-host", "a:8443 , b"),
        ];
        check(&several, true, "https://a:8443");
        let new = [(
            "forwarded",
            "for=1.2.3.4;Proto=https;host=\"c:1\", proto=http;host=d",
        )];
        check(&new, true, "https://c:1");
        let odd = [
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "u@x/y"),
        ];
        check(&odd, true, "http://h:1");
    }
}
