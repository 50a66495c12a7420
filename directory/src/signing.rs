//! Assertions that other issuers signed (RFC 7523 section 3). The only file
//! that imports jsonwebtoken.
//!
//! The one idea: the key decides the algorithm. What the assertion's header
//! says is compared with it and never obeyed, so that neither `none` nor a MAC
//! under a public key gets anywhere. Where keys come from is told in
//! [`crate::issuers`].

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use crate::domain::credential::Federation;

/// Seconds by which the issuer's clock and ours may differ. Entra's `nbf` is
/// the moment of issue, and the assertion comes at once: a clock that is a
/// little behind must not refuse it. It lives an hour, so this adds little.
const LEEWAY_S: f64 = 30.0;

/// Longest assertion, in bytes; real ones have two thousand.
const LENGTH_LIMIT: usize = 16 * 1024;

/// The public keys of an issuer that this build can verify with.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Keys {
    /// Reads a JWK set (RFC 7517 section 5). Keys of other kinds, for other
    /// uses or without an id are left out, as the RFC demands: an issuer may
    /// add kinds that nobody knows yet.
    ///
    /// # Errors
    /// It is no JWK set.
    pub fn parse(set: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(set)?;
        let keys = set.keys.into_iter();
        let keys = keys.filter_map(|key| Key::new(&serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// Whether there is a key with this id.
    pub fn has(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Option<Self> {
        let algorithm = algorithm(&jwk.algorithm)?;
        let common = &jwk.common;
        let declared = common.key_algorithm.map(Algorithm::try_from);
        let agrees = declared.is_none_or(|declared| declared.ok() == Some(algorithm));
        let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let operations = common.key_operations.as_ref();
        let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !agrees || !signs || !verifies {
            return None;
        }
        Some(Self {
            id: common.key_id.clone()?,
            algorithm,
            key: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}

/// The one algorithm that a key of this kind is used with.
fn algorithm(parameters: &AlgorithmParameters) -> Option<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Some(Algorithm::ES256)
        }
        _ => None,
    }
}

/// An assertion of which nothing is believed yet.
pub struct Assertion<'a> {
    text: &'a str,
    key_id: String,
}

impl<'a> Assertion<'a> {
    /// Reads the header; `None` for what no key here could ever verify, so
    /// that nonsense makes nobody fetch keys.
    pub fn read(text: &'a str) -> Option<Self> {
        if text.len() > LENGTH_LIMIT {
            return None;
        }
        let header = decode_header(text).ok()?;
        let known = matches!(header.alg, Algorithm::RS256 | Algorithm::ES256);
        // RFC 7515 section 4.1.11: an extension that is not understood, and
        // none is, makes the whole invalid.
        if !known || header.crit.is_some() {
            return None;
        }
        Some(Self {
            text,
            key_id: header.kid?,
        })
    }

    /// Id of the key that it claims to be signed with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether one of these keys signed it, and it says what is expected, now.
    pub fn holds(&self, keys: &Keys, expected: &Federation, now_ms: i64) -> bool {
        #[derive(Deserialize)]
        struct Times {
            exp: f64,
            nbf: Option<f64>,
        }
        let Some(key) = keys.find(&self.key_id) else {
            return false;
        };
        let validation = validation(key.algorithm, expected);
        let Ok(decoded) = decode::<Times>(self.text, &key.key, &validation) else {
            return false;
        };
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
        let now_s = now_ms as f64 / 1000.0;
        let Times { exp, nbf } = decoded.claims;
        now_s < exp + LEEWAY_S && nbf.is_none_or(|nbf| nbf <= now_s + LEEWAY_S)
    }
}

fn validation(algorithm: Algorithm, expected: &Federation) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    validation.set_issuer(&[&expected.issuer]);
    validation.sub = Some(expected.subject.clone());
    validation.set_audience(&audiences(&expected.audience));
    // The library would read the system's clock; time is handed in here.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// Both spellings of an audience: Entra's documents say `api://<id>`, its
/// tokens have been seen with the bare id.
fn audiences(audience: &str) -> [String; 2] {
    let other = match audience.strip_prefix("api://") {
        Some(bare) => bare.to_owned(),
        None => format!("api://{audience}"),
    };
    [audience.to_owned(), other]
}

#[cfg(test)]
mod tests;
