//! From which address a client comes. The facade decides nothing by it; the
//! directory counts failures to authenticate by it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, HeaderName, header::FORWARDED, request::Parts},
};

use crate::config::Config;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a trusted proxy says, else the other end of the connection. IPv4 in the
/// clothes of IPv6 is IPv4.
pub(super) fn address(parts: &Parts, config: &Config) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip());
    let told = match config.trust_forwarded {
        true => by_proxy(&parts.headers),
        false => None,
    };
    told.or(peer).map(|address| address.to_canonical())
}

/// Whom the proxy heard: it adds him at the end. What stands before, somebody
/// else wrote, and a client may write what he likes.
///
/// Of the two headers a proxy sets one, and may pass on what a client says in the
/// other. So when both are there, they are believed if they agree.
fn by_proxy(headers: &HeaderMap) -> Option<IpAddr> {
    let new = last(headers, FORWARDED).map(|element| forwarded_for(element?));
    let old = last(headers, X_FORWARDED_FOR).map(|element| node(element?));
    match (new, old) {
        (Some(told), None) | (None, Some(told)) => told,
        (Some(new), Some(old)) => new.filter(|_| new == old),
        (None, None) => None,
    }
}

/// The last element of a header that may stand there several times; `None` in
/// place of one that is no text.
fn last(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let line = headers.get_all(name).iter().next_back()?;
    let element = line.as_bytes().rsplit(|byte| *byte == b',').next();
    Some(element.and_then(|bytes| std::str::from_utf8(bytes).ok()))
}

/// `for` of an element of `Forwarded` (RFC 7239 section 4), which must be sound
/// as a whole: a part of somebody's quoted text is none.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value.trim())?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        if is_for && found.replace(value).is_some() {
            return None;
        }
    }
    node(found?)
}

fn unquoted(value: &str) -> Option<&str> {
    let inner = value
        .strip_prefix('"')
        .map_or(Some(value), |rest| rest.strip_suffix('"'));
    inner.filter(|text| !text.contains(['"', '\\']))
}

/// An address, with or without brackets and port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']');
    let with_port = || text.parse::<SocketAddr>().ok();
    let plain = text.parse().ok();
    plain
        .or_else(|| with_port().map(|address| address.ip()))
        .or_else(|| bracketed()?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn read(headers: &[(&str, &[u8])], trust: bool) -> Option<String> {
        let mut request = Request::get("/Users");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let peer: SocketAddr = "[::ffff:192.0.2.9]:1234".parse().expect("an address");
        parts.extensions.insert(ConnectInfo(peer));
        let config = Config {
            trust_forwarded: trust,
            ..Config::default()
        };
        address(&parts, &config).map(|address| address.to_string())
    }

    const PEER: &str = "192.0.2.9";

    /// What one header of a trusted proxy comes to.
    #[track_caller]
    fn check(name: &str, value: &str, expected: &str) {
        let address = read(&[(name, value.as_bytes())], true);
        assert_eq!(address.as_deref(), Some(expected), "{value}");
    }

    #[test]
    fn the_last_hop_is_the_one_that_the_proxy_heard() {
        let name = "x-forwarded-for";
        check(name, "203.0.113.5", "203.0.113.5");
        check(name, "6.6.6.6, 203.0.113.5", "203.0.113.5");
        check(name, "6.6.6.6,203.0.113.5:4711", "203.0.113.5");
        check(name, "2001:db8::1", "2001:db8::1");
        check(name, "[2001:db8::1]", "2001:db8::1");
        check(name, "[2001:db8::1]:443", "2001:db8::1");
        check(name, "::ffff:203.0.113.5", "203.0.113.5");
        // A proxy may add a line of its own.
        let lines: [(&str, &[u8]); 2] = [(name, b"6.6.6.6"), (name, b"203.0.113.5")];
        assert_eq!(read(&lines, true).as_deref(), Some("203.0.113.5"));
        // What the client says need not be text.
        let odd: &[u8] = b"\xff, 203.0.113.5";
        assert_eq!(read(&[(name, odd)], true).as_deref(), Some("203.0.113.5"));
    }

    #[test]
    fn forwarded_is_read_by_its_grammar() {
        let name = "forwarded";
        check(name, "for=203.0.113.5", "203.0.113.5");
        check(
            name,
            "for=6.6.6.6, FOR=\"203.0.113.5:80\";proto=https",
            "203.0.113.5",
        );
        check(
            name,
            "proto=https; for=\"[2001:db8::1]:80\"; by=_x",
            "2001:db8::1",
        );
    }

    #[test]
    fn what_names_no_address_is_not_believed() {
        for value in [
            "",
            "unknown",
            "203.0.113.5,",
            "203.0.113",
            "203.0.113.5 6.6.6.6",
            "[203.0.113.5]",
            "for=203.0.113.5",
            "\"203.0.113.5\"",
        ] {
            check("x-forwarded-for", value, PEER);
        }
        for value in [
            "",
            "for=unknown",
            "for=_hidden",
            "203.0.113.5",
            "proto=https",
            "for=6.6.6.6;for=203.0.113.5",
            "for=6.6.6.6;host=\"a\\\"b\"",
            // A quoted text of the client's, cut in two.
            "for=203.0.113.5;host=\"a,for=6.6.6.6\"",
            "for=203.0.113.5;host=\"a,for=6.6.6.6;x=\"",
        ] {
            check("forwarded", value, PEER);
        }
    }

    #[test]
    fn two_headers_are_believed_when_they_agree() {
        let both = |new: &str, old: &str| {
            let headers: [(&str, &[u8]); 2] = [
                ("forwarded", new.as_bytes()),
                ("x-forwarded-for", old.as_bytes()),
            ];
            read(&headers, true)
        };
        let agreed = both("for=\"203.0.113.5:80\"", "6.6.6.6, 203.0.113.5");
        assert_eq!(agreed.as_deref(), Some("203.0.113.5"));
        for (new, old) in [
            ("for=6.6.6.6", "203.0.113.5"),
            ("for=203.0.113.5", "6.6.6.6"),
            ("for=203.0.113.5", "x"),
            ("x", "203.0.113.5"),
            ("x", "y"),
        ] {
            assert_eq!(both(new, old).as_deref(), Some(PEER), "{new} {old}");
        }
    }

    #[test]
    fn without_trust_the_connection_tells() {
        let headers: [(&str, &[u8]); 1] = [("x-forwarded-for", b"203.0.113.5")];
        assert_eq!(read(&headers, false).as_deref(), Some(PEER));
        let (parts, ()) = Request::new(()).into_parts();
        assert_eq!(address(&parts, &Config::default()), None);
    }
}
