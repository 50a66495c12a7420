//! The public keys of tokens, from the directory.

use muster_proto::v1::GetJwksResponse;

/// The keys that sign, and whose word it is what they sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// A JWK set (RFC 7517 section 5), in the directory's own bytes.
    pub json: Vec<u8>,
    /// Its entity tag, strong.
    pub tag: String,
    /// How long it may be kept, in seconds.
    pub max_age_s: u64,
    /// `iss`.
    pub issuer: String,
}

/// The directory's answer.
pub fn raise(answer: GetJwksResponse) -> KeySet {
    let max_age_s = answer.max_age.map_or(0, |duration| duration.seconds);
    KeySet {
        json: answer.jwks_json,
        tag: answer.etag,
        max_age_s: u64::try_from(max_age_s).unwrap_or_default(),
        issuer: answer.issuer,
    }
}
