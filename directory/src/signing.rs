//! Assertions that others signed (RFC 7523 section 3). With [`key`],
//! [`token`] and [`set`] the only place that imports jsonwebtoken.
//!
//! The one idea: the key decides the algorithm. What the assertion's header
//! says is compared with it and never obeyed, so that neither `none` nor a MAC
//! under a public key gets anywhere. Where keys of other issuers come from is
//! told in [`crate::issuers`]; those of service clients are registered.

pub mod key;
pub mod service_key;
pub mod set;
pub mod token;

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    dangerous::insecure_decode_claims,
    decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use crate::domain::credential::Federation;

use self::key::is_strong;

/// Seconds by which the issuer's clock and ours may differ. Entra's `nbf` is
/// the moment of issue, and the assertion comes at once: a clock that is a
/// little behind must not refuse it. It lives an hour, so this adds little.
const LEEWAY_S: f64 = 30.0;

/// Longest assertion, in bytes; real ones have two thousand.
const LENGTH_LIMIT: usize = 16 * 1024;

/// What an assertion must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`: one of these.
    pub audiences: Vec<String>,
}

impl From<&Federation> for Expected {
    fn from(federation: &Federation) -> Self {
        Self {
            issuer: federation.issuer.clone(),
            subject: federation.subject.clone(),
            audiences: audiences(&federation.audience).to_vec(),
        }
    }
}

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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        if !agrees || !signs || !verifies || !is_strong(jwk) {
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
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}

/// An assertion of which nothing is believed yet.
pub struct Assertion<'a> {
    text: &'a str,
    key_id: String,
    claimed: Claimed,
}

/// What an assertion says of itself. Good for finding the key that tells whether
/// it is true, and for nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Claimed {
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
}

/// What an assertion that holds says of its time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Held {
    exp: f64,
    nbf: Option<f64>,
    /// `jti`.
    pub jti: Option<String>,
}

impl Held {
    /// When it says that it ends; milliseconds since the Unix epoch.
    pub fn ends_at(&self) -> i64 {
        milliseconds(self.exp)
    }

    /// When it holds no longer, which is later by as much as clocks may differ;
    /// milliseconds since the Unix epoch.
    pub fn holds_until(&self) -> i64 {
        milliseconds(self.exp + LEEWAY_S)
    }
}

fn milliseconds(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let milliseconds = (seconds * 1_000.0) as i64;
    milliseconds
}

impl<'a> Assertion<'a> {
    /// Reads the header; `None` for what no key here could ever verify, so
    /// that nonsense makes nobody fetch keys.
    pub fn read(text: &'a str) -> Option<Self> {
        if text.len() > LENGTH_LIMIT {
            return None;
        }
        let header = decode_header(text).ok()?;
        use Algorithm::{ES256, EdDSA, RS256};
        let known = matches!(header.alg, RS256 | ES256 | EdDSA);
        // RFC 7515 section 4.1.11: an extension that is not understood, and
        // none is, makes the whole invalid.
        if !known || header.crit.is_some() {
            return None;
        }
        Some(Self {
            text,
            key_id: header.kid?,
            claimed: insecure_decode_claims(text).ok()?,
        })
    }

    /// The issuer that it claims to come from.
    pub fn claimed_issuer(&self) -> &str {
        &self.claimed.iss
    }

    /// Of whom it claims to speak.
    pub fn claimed_subject(&self) -> &str {
        &self.claimed.sub
    }

    /// Id of the key that it claims to be signed with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What it says of its time, if one of these keys signed it, and it says what
    /// is expected, now.
    pub fn hold(&self, keys: &Keys, expected: &Expected, now_ms: i64) -> Option<Held> {
        let key = keys.find(&self.key_id)?;
        let validation = validation(key.algorithm, expected);
        let held = decode::<Held>(self.text, &key.key, &validation)
            .ok()?
            .claims;
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
        let now_s = now_ms as f64 / 1000.0;
        let begun = held.nbf.is_none_or(|nbf| nbf <= now_s + LEEWAY_S);
        (now_s < held.exp + LEEWAY_S && begun).then_some(held)
    }
}

fn validation(algorithm: Algorithm, expected: &Expected) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    validation.set_issuer(&[&expected.issuer]);
    validation.sub = Some(expected.subject.clone());
    validation.set_audience(&expected.audiences);
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
