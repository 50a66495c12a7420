//! The key of a service client, as `muster client create --generate-key` writes it: a
//! JWK (RFC 7517) with two more members, `client_id` and `aud`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// How long an assertion lives, in seconds: it is used at once.
const LIFE_S: u64 = 60;

/// What a PKCS #8 document of an Ed25519 key has before the key (RFC 8410 section 7).
const PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A service client's key.
#[derive(Clone)]
pub struct ServiceKey {
    key: EncodingKey,
    kid: String,
    client_id: String,
    audience: String,
}

#[derive(Deserialize)]
struct File {
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
    iat: u64,
    exp: u64,
    jti: String,
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceKey({})", self.client_id)
    }
}

impl ServiceKey {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`Error::Settings`] for what is none; nothing of it is told.
    pub fn read(text: &str) -> Result<Self> {
        let none = || Error::Settings("this is no key of a service client".to_owned());
        let file: File = serde_json::from_str(text).map_err(|_| none())?;
        let seed = URL_SAFE_NO_PAD.decode(&file.d).map_err(|_| none())?;
        if file.kty != "OKP" || file.crv != "Ed25519" || seed.len() != 32 {
            return Err(none());
        }
        Ok(Self {
            key: EncodingKey::from_ed_der(&[PREFIX.as_slice(), &seed].concat()),
            kid: file.kid,
            client_id: file.client_id,
            audience: file.aud,
        })
    }

    /// The client whose key it is.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// An assertion (RFC 7523 section 3) that is good once.
    pub(crate) fn assertion(&self, now_s: u64) -> Result<String> {
        let claims = Assertion {
            iss: &self.client_id,
            sub: &self.client_id,
            aud: &self.audience,
            iat: now_s,
            exp: now_s + LIFE_S,
            jti: Uuid::new_v4().to_string(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        encode(&header, &claims, &self.key)
            .map_err(|_| Error::Settings("the service client's key does not sign".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_no_keys() {
        let fine = r#"{"kty":"OKP","crv":"Ed25519","x":"","kid":"k","client_id":"c","aud":"a",
            "d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        let key = ServiceKey::read(fine).unwrap();
        assert_eq!(format!("{key:?}"), "ServiceKey(c)");
        let (one, other) = (key.assertion(5).unwrap(), key.assertion(5).unwrap());
        assert_ne!(one, other, "each has an id of its own");
        for broken in [
            "",
            "[]",
            &fine.replace("Ed25519", "P-256"),
            &fine.replace("AAAA\"", "\""),
        ] {
            let refused = ServiceKey::read(broken);
            assert!(matches!(refused, Err(Error::Settings(_))), "{broken}");
        }
    }
}
