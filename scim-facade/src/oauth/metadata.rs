//! What the token endpoint says of itself: RFC 8414. Pure.

use super::GRANT;
use crate::scim::json::Json;

/// How clients prove themselves there (RFC 7591 section 2, RFC 7523).
const METHODS: [&str; 3] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
];

/// What their issuers sign assertions with: what the directory verifies, which
/// takes one algorithm for each kind of key.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// The metadata of the issuer with this name, whose endpoints are at these URLs
/// (section 2). There is no authorization endpoint, so there are no types of its
/// responses; the list is required all the same.
pub fn metadata(issuer: &str, token_endpoint: &str, jwks_uri: &str) -> Json {
    let list = |words: &[&str]| -> Vec<Json> { words.iter().map(|word| (*word).into()).collect() };
    Json::object([
        ("issuer", issuer.into()),
        ("token_endpoint", token_endpoint.into()),
        ("jwks_uri", jwks_uri.into()),
        ("grant_types_supported", list(&[GRANT]).into()),
        ("response_types_supported", list(&[]).into()),
        (
            "token_endpoint_auth_methods_supported",
            list(&METHODS).into(),
        ),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            list(&ALGORITHMS).into(),
        ),
    ])
}
