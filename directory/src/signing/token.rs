//! Tokens that this directory signs: JWT access tokens (RFC 9068).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};

use super::key::{PrivateKey, PublicKey};
use crate::{
    domain::signing_key::{Algorithm, LEEWAY_MS},
    error::{Error, Result},
};

/// What the header says of the kind of token (RFC 9068 section 2.1).
const TYPE: &str = "at+jwt";

/// Longest token, in bytes.
const LENGTH_LIMIT: usize = 16 * 1024;

/// What a token says (RFC 9068 section 2.2). Times are seconds since the Unix
/// epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whose it is: a user's id, else that of the client.
    pub sub: String,
    /// For whom it is meant.
    pub aud: Audience,
    /// Who asked for it.
    pub client_id: String,
    /// When it was issued.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// When it begins. None of ours says so, and one that did would be heeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its id.
    pub jti: String,
    /// The tenant.
    pub tid: String,
    /// Scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The session to which it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When the user proved himself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Ids of groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// What its holder must prove to have (RFC 7800).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// One audience, or several (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<Vec<String>> for Audience {
    fn from(mut audiences: Vec<String>) -> Self {
        match audiences.pop() {
            Some(only) if audiences.is_empty() => Self::One(only),
            Some(last) => {
                audiences.push(last);
                Self::Many(audiences)
            }
            None => Self::default(),
        }
    }
}

impl Audience {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    /// The only one, if it is.
    pub fn only(&self) -> Option<&str> {
        match self.all() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// What the holder of a token must prove to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// RFC 9449 section 6.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// RFC 8705 section 3.1.
    #[serde(rename = "x5t#S256", default, skip_serializing_if = "Option::is_none")]
    pub x5t_s256: Option<String>,
}

/// Signs a token.
///
/// # Errors
/// [`Error::Internal`] for a key that is none.
pub fn sign(claims: &Claims, kid: &str, key: &PrivateKey) -> Result<String> {
    let mut header = Header::new(key.algorithm().into());
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(kid.to_owned());
    encode(&header, claims, key.encoding()).map_err(|e| Error::Internal(e.into()))
}

/// What may be a token of ours, of which nothing is believed yet.
#[derive(Clone)]
pub struct Unverified<'a> {
    text: &'a str,
    kid: String,
}

impl<'a> Unverified<'a> {
    /// Reads the header; `None` for what no key of ours can have signed so.
    pub fn read(text: &'a str) -> Option<Self> {
        if text.len() > LENGTH_LIMIT {
            return None;
        }
        let header = decode_header(text).ok()?;
        let typ = header.typ.as_deref().unwrap_or_default();
        if !typ.eq_ignore_ascii_case(TYPE) || header.crit.is_some() {
            return None;
        }
        let kid = header.kid?;
        Some(Self { text, kid })
    }

    /// The key that it claims to be signed with.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whose word it claims to be.
    pub fn issuer(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Claimed {
            iss: String,
        }
        let payload = self.text.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claimed: Claimed = serde_json::from_slice(&payload).ok()?;
        Some(claimed.iss)
    }

    /// What it says, if this key signed it, one of these is its issuer, and it
    /// has not ended.
    pub fn verify(
        &self,
        key: &PublicKey,
        algorithm: Algorithm,
        issuers: &[String],
        now_ms: i64,
    ) -> Option<Claims> {
        if key.kid() != self.kid {
            return None;
        }
        // The key decides the algorithm.
        let mut validation = Validation::new(algorithm.into());
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        validation.set_issuer(issuers);
        // Audiences tell the kinds of tokens apart; time is handed in here.
        validation.validate_aud = false;
        validation.validate_exp = false;
        let claims = decode::<Claims>(self.text, key.decoding(), &validation);
        let claims = claims.ok()?.claims;
        let ended = claims.exp.saturating_mul(1_000) <= now_ms;
        let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        let early = begins.saturating_mul(1_000) > now_ms.saturating_add(LEEWAY_MS + 1_000);
        (!ended && !early).then_some(claims)
    }
}

/// Whether the text has the form of a JWT (RFC 7515 section 3.1).
pub fn is_jwt(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn claims() -> Claims {
        Claims {
            iss: "https://id.example.test".to_owned(),
            sub: "user".to_owned(),
            aud: vec!["https://api.example.test".to_owned()].into(),
            client_id: "client".to_owned(),
            iat: NOW_MS / 1_000,
            exp: NOW_MS / 1_000 + 300,
            jti: "id".to_owned(),
            tid: "tenant".to_owned(),
            scope: "a b".to_owned(),
            ..Claims::default()
        }
    }

    fn issuers() -> Vec<String> {
        vec!["https://id.example.test".to_owned()]
    }

    #[test]
    fn what_was_signed_is_read_back_until_it_ends() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let public = key.public().unwrap();
            let token = sign(&claims(), public.kid(), &key).unwrap();
            assert!(is_jwt(&token));
            let read = Unverified::read(&token).unwrap();
            assert_eq!(read.kid(), public.kid());
            let verify = |now| read.verify(&public, algorithm, &issuers(), now);
            assert_eq!(verify(NOW_MS), Some(claims()));
            assert_eq!(verify(NOW_MS + 300_000), None);
            assert_eq!(verify(NOW_MS - 10_000), None);
            let other = ["https://other.example.test".to_owned()];
            assert_eq!(read.verify(&public, algorithm, &other, NOW_MS), None);
        }
    }

    #[test]
    fn a_token_that_has_not_begun_is_none() {
        let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
        let public = key.public().unwrap();
        let now = NOW_MS / 1_000;
        for (nbf, begun) in [(None, true), (Some(now + 6), true), (Some(now + 7), false)] {
            let claims = Claims { nbf, ..claims() };
            let token = sign(&claims, public.kid(), &key).unwrap();
            let read = Unverified::read(&token).unwrap();
            let verified = read.verify(&public, Algorithm::EdDsa, &issuers(), NOW_MS);
            assert_eq!(verified.is_some(), begun, "{nbf:?}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_kind_is_none() {
        let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
        let other = PrivateKey::generate(Algorithm::EdDsa).unwrap();
        let (public, foreign) = (key.public().unwrap(), other.public().unwrap());
        // Signed by another under our key's name.
        let token = sign(&claims(), public.kid(), &other).unwrap();
        let read = Unverified::read(&token).unwrap();
        let issuers = issuers();
        assert_eq!(
            read.verify(&public, Algorithm::EdDsa, &issuers, NOW_MS),
            None
        );
        assert_eq!(
            read.verify(&foreign, Algorithm::EdDsa, &issuers, NOW_MS),
            None
        );
        let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(public.kid().to_owned());
        let plain = encode(&header, &claims(), key.encoding()).unwrap();
        assert!(Unverified::read(&plain).is_none(), "typ is JWT");
        for text in ["", "a.b.c", "..", &"x".repeat(20_000)] {
            assert!(Unverified::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn one_audience_is_no_list() {
        let one = serde_json::to_value(claims()).unwrap();
        assert_eq!(one["aud"], "https://api.example.test");
        assert!(one.get("groups").is_none());
        let two: Audience = vec!["a".to_owned(), "b".to_owned()].into();
        assert_eq!((two.all().len(), two.only()), (2, None));
        assert_eq!(Audience::default().only(), None);
    }
}
