//! The private key of a service client, as its file holds it.
//!
//! A file is a JWK (RFC 7517) that any library for JOSE can load, with two more
//! members: `client_id`, and `aud`, for whom its assertions are meant.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::key::PrivateKey;
use crate::{
    domain::signing_key::Algorithm,
    error::{Error, Result},
};

/// How long an assertion lives, in seconds: it is used at once.
const LIFE_S: i64 = 60;

/// What a PKCS #8 document of an Ed25519 key has before the key (RFC 8410
/// section 7).
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A service client's key.
#[derive(Clone)]
pub struct ServiceKey {
    key: PrivateKey,
    kid: String,
}

/// A service client's key with what its file says of the client.
#[derive(Clone)]
pub struct KeyFile {
    key: ServiceKey,
    client_id: String,
    audience: String,
}

#[derive(Deserialize)]
struct Read {
    kty: String,
    crv: String,
    d: String,
    kid: String,
    client_id: String,
    aud: String,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: &'a str,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({})", self.client_id)
    }
}

impl ServiceKey {
    /// A new Ed25519 key.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are no random numbers.
    pub fn generate() -> Result<Self> {
        let key = PrivateKey::generate(Algorithm::EdDsa)?;
        let kid = key.public()?.kid().to_owned();
        Ok(Self { key, kid })
    }

    /// Its public part, as a set (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`Error::Internal`] for a key that is none.
    pub fn public_set(&self) -> Result<String> {
        Ok(json!({"keys": [self.key.public()?.jwk()]}).to_string())
    }

    /// What its file holds. Secret.
    ///
    /// # Errors
    /// [`Error::Internal`] for a key that is none.
    pub fn file(&self, client_id: &str, audience: &str) -> Result<String> {
        let mut jwk = self.key.public()?.jwk();
        let seed = self.key.der().get(PREFIX.len()..).unwrap_or_default();
        jwk["d"] = URL_SAFE_NO_PAD.encode(seed).into();
        jwk["client_id"] = client_id.into();
        jwk["aud"] = audience.into();
        let text = serde_json::to_string_pretty::<Value>(&jwk);
        Ok(text.map_err(|e| Error::Internal(e.into()))? + "\n")
    }
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`] for what is none.
    pub fn read(text: &str) -> Result<Self> {
        let none = || Error::File("this is no key of a service client".to_owned());
        let read: Read = serde_json::from_str(text).map_err(|_| none())?;
        let seed = URL_SAFE_NO_PAD.decode(&read.d).map_err(|_| none())?;
        if read.kty != "OKP" || read.crv != "Ed25519" || seed.len() != 32 {
            return Err(none());
        }
        let der = [PREFIX.as_slice(), &seed].concat();
        let key = PrivateKey::from_der(Algorithm::EdDsa, &der);
        Ok(Self {
            key: ServiceKey { key, kid: read.kid },
            client_id: read.client_id,
            audience: read.aud,
        })
    }

    /// The client whose key it is.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// An assertion (RFC 7523 section 3) for the audience of the file.
    ///
    /// # Errors
    /// [`Error::Internal`] for a key that is none.
    pub fn assertion(&self, jti: &str, now_ms: i64) -> Result<String> {
        let now = now_ms.div_euclid(1_000);
        let claims = Assertion {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: &self.audience,
            iat: now,
            exp: now + LIFE_S,
            jti,
        };
        let mut header = Header::new(Algorithm::EdDsa.into());
        header.kid = Some(self.key.kid.clone());
        encode(&header, &claims, self.key.key.encoding()).map_err(|e| Error::Internal(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{Assertion as Read, Expected, Keys};

    const NOW_MS: i64 = 1_700_000_000_000;

    #[test]
    fn a_file_signs_what_the_registered_key_verifies() {
        let key = ServiceKey::generate().unwrap();
        let keys = Keys::parse(key.public_set().unwrap().as_bytes()).unwrap();
        let text = key.file("client", "muster:directory:t").unwrap();
        let file = KeyFile::read(&text).unwrap();
        assert_eq!(file.client_id(), "client");
        let assertion = file.assertion("once", NOW_MS).unwrap();
        let read = Read::read(&assertion).unwrap();
        assert_eq!(read.claimed_subject(), "client");
        let expected = Expected {
            issuer: "client".to_owned(),
            subject: "client".to_owned(),
            audiences: vec!["muster:directory:t".to_owned()],
        };
        let held = read.hold(&keys, &expected, NOW_MS).unwrap();
        assert_eq!(held.jti.as_deref(), Some("once"));
        assert!(!format!("{file:?}").contains(&file.audience));
    }

    #[test]
    fn other_files_are_no_keys() {
        let fine = ServiceKey::generate().unwrap().file("c", "a").unwrap();
        let broken = fine.replace("Ed25519", "P-256");
        for text in ["", "{}", "[]", &broken, &fine.replace("\"d\"", "\"e\"")] {
            assert!(matches!(KeyFile::read(text), Err(Error::File(_))), "{text}");
        }
    }
}
