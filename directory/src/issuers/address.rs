//! Where an issuer may be.

use std::net::IpAddr;

use http::Uri;

/// A URL below which keys may be asked for: only over TLS, as whoever can
/// change the answer can sign. On the own machine nobody is in between.
///
/// # Errors
/// The rule that it breaks.
pub fn key_url(url: &str) -> Result<Uri, &'static str> {
    const RULE: &str = "must be an https URL without query and fragment";
    let uri: Uri = url.parse().map_err(|_| RULE)?;
    let authority = uri.authority().ok_or(RULE)?;
    let plain = !url.contains(['?', '#']) && !authority.as_str().contains('@');
    let safe = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback(authority.host()),
        _ => false,
    };
    if plain && safe { Ok(uri) } else { Err(RULE) }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_over_tls_or_at_home() {
        for fine in [
            "https://login.example.test/1/v2.0",
            "https://sts.example.test/1/",
            "http://127.0.0.1:9/i",
            "http://[::1]:9",
            "http://localhost:9",
        ] {
            assert!(key_url(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "login.example.test",
            "http://login.example.test",
            "http://127.0.0.1.example.test",
            "http://localhost@login.example.test/",
            "https://u:p@login.example.test/",
            "https://login.example.test/?a",
            "https://login.example.test/#a",
            "ftp://127.0.0.1/",
            "/path",
        ] {
            assert!(key_url(wrong).is_err(), "{wrong}");
        }
    }
}
