//! Security event tokens (RFC 8417) that this directory signs.

use jsonwebtoken::{Header, encode};
use serde_json::{Value, json};

use super::key::PrivateKey;
use crate::error::{Error, Result};

/// What the header says of the kind of token (RFC 8417 section 2.3).
const TYPE: &str = "secevent+jwt";

const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";

/// What a security event token says. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// Who issued it.
    pub iss: String,
    /// For whom it is meant.
    pub aud: String,
    /// When it was issued.
    pub iat: i64,
    /// When it happened.
    pub toe: i64,
    /// Its id, the same whenever it is issued again.
    pub jti: String,
    /// The transaction that it belongs to.
    pub txn: String,
    /// Whom it speaks of.
    pub sub_id: SubjectId,
    /// What happened.
    pub event: Event,
}

/// Whom an event speaks of (RFC 9493).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectId {
    /// A user, as an identity provider calls him.
    IssSub {
        /// The identity provider.
        iss: String,
        /// What it calls him.
        sub: String,
    },
    /// A user, by his id.
    Opaque {
        /// The id.
        id: String,
    },
    /// Everybody in a group, by its id.
    Group {
        /// The id.
        id: String,
    },
    /// Whoever holds a token, by its id.
    Session {
        /// The id.
        id: String,
    },
}

impl SubjectId {
    fn claim(&self) -> Value {
        let opaque = |id: &str| json!({"format": "opaque", "id": id});
        match self {
            Self::IssSub { iss, sub } => json!({"format": "iss_sub", "iss": iss, "sub": sub}),
            Self::Opaque { id } => opaque(id),
            Self::Group { id } => json!({"format": "complex", "group": opaque(id)}),
            Self::Session { id } => json!({"format": "complex", "session": opaque(id)}),
        }
    }
}

/// What happened, in the words of RISC and CAEP; with the time where they want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// RISC account-disabled.
    AccountDisabled,
    /// RISC account-enabled.
    AccountEnabled,
    /// RISC account-purged.
    AccountPurged,
    /// RISC identifier-changed.
    IdentifierChanged,
    /// CAEP session-revoked.
    SessionRevoked(i64),
    /// CAEP token-claims-change. The values are to be asked for.
    TokenClaimsChange(i64),
    /// CAEP credential-change: created, updated or revoked.
    CredentialChange(i64, &'static str),
}

impl Event {
    fn claim(self) -> Value {
        let (base, name, payload) = match self {
            Self::AccountDisabled => (RISC, "account-disabled", json!({})),
            Self::AccountEnabled => (RISC, "account-enabled", json!({})),
            Self::AccountPurged => (RISC, "account-purged", json!({})),
            Self::IdentifierChanged => (RISC, "identifier-changed", json!({})),
            Self::SessionRevoked(at) => (CAEP, "session-revoked", json!({"event_timestamp": at})),
            Self::TokenClaimsChange(at) => {
                let payload = json!({"event_timestamp": at, "claims": {}});
                (CAEP, "token-claims-change", payload)
            }
            Self::CredentialChange(at, what) => {
                let payload = json!({
                    "event_timestamp": at, "credential_type": "token", "change_type": what,
                });
                (CAEP, "credential-change", payload)
            }
        };
        json!({ format!("{base}{name}"): payload })
    }
}

/// Signs a security event token.
///
/// # Errors
/// [`Error::Internal`] for a key that is none.
pub fn sign(event: &SecurityEvent, kid: &str, key: &PrivateKey) -> Result<String> {
    let mut header = Header::new(key.algorithm().into());
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(kid.to_owned());
    let claims = json!({
        "iss": event.iss, "aud": event.aud, "iat": event.iat, "toe": event.toe,
        "jti": event.jti, "txn": event.txn,
        "sub_id": event.sub_id.claim(), "events": event.event.claim(),
    });
    encode(&header, &claims, key.encoding()).map_err(|e| Error::Internal(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::signing_key::Algorithm, signing::token::Unverified};

    #[test]
    fn an_event_is_no_access_token() {
        let key = PrivateKey::generate(Algorithm::EdDsa).unwrap();
        let event = SecurityEvent {
            iss: "https://id.example.test".to_owned(),
            aud: "client".to_owned(),
            iat: 2,
            toe: 1,
            jti: "id".to_owned(),
            txn: "transaction".to_owned(),
            sub_id: SubjectId::Opaque {
                id: "user".to_owned(),
            },
            event: Event::SessionRevoked(1),
        };
        let set = sign(&event, key.public().unwrap().kid(), &key).unwrap();
        assert!(Unverified::read(&set).is_none());
    }
}
