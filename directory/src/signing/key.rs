//! Keys that sign tokens: made, kept, told to verifiers.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm as JwtAlgorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse, ThumbprintHash},
};

use crate::{
    domain::signing_key::Algorithm,
    error::{Error, Result},
};

/// Shortest RSA modulus, in bytes: 2,048 bits (RFC 7518 section 3.3).
const RSA_BYTES: usize = 256;

impl From<Algorithm> for JwtAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::EdDSA,
            Algorithm::Es256 => Self::ES256,
        }
    }
}

/// A private key.
#[derive(Clone)]
pub struct PrivateKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm)
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are no random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self> {
        let der = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            }
        };
        let der = der.map_err(|e| Error::Internal(e.into()))?;
        Ok(Self::from_der(algorithm, der.as_ref()))
    }

    /// The key in this PKCS #8 document, which is one of ours.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Self {
        let key = match algorithm {
            Algorithm::EdDsa => EncodingKey::from_ed_der(der),
            Algorithm::Es256 => EncodingKey::from_ec_der(der),
        };
        Self { algorithm, key }
    }

    /// The key as a PKCS #8 document. Secret.
    pub fn der(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn encoding(&self) -> &EncodingKey {
        &self.key
    }

    /// What verifiers are told of it.
    ///
    /// # Errors
    /// [`Error::Internal`] for a key that is none.
    pub fn public(&self) -> Result<PublicKey> {
        let broken = |e: jsonwebtoken::errors::Error| Error::Internal(e.into());
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm.into()).map_err(broken)?;
        PublicKey::new(jwk)
    }
}

/// A public key of ours.
#[derive(Debug, Clone)]
pub struct PublicKey {
    kid: String,
    jwk: Jwk,
    key: DecodingKey,
}

impl PublicKey {
    fn new(mut jwk: Jwk) -> Result<Self> {
        let broken = |e: jsonwebtoken::errors::Error| Error::Internal(e.into());
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(broken)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            kid,
            key: DecodingKey::from_jwk(&jwk).map_err(broken)?,
            jwk,
        })
    }

    /// Reads what [`PublicKey::jwk`] wrote.
    ///
    /// # Errors
    /// [`Error::Internal`] for what it did not.
    pub fn read(jwk: &str) -> Result<Self> {
        let jwk = serde_json::from_str(jwk).map_err(|e| Error::Internal(e.into()))?;
        Self::new(jwk)
    }

    /// Its RFC 7638 thumbprint, which names it.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// As a JWK (RFC 7517).
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::to_value(&self.jwk).unwrap_or_default()
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.key
    }
}

/// Whether a key of another's is long enough to be believed.
pub(super) fn is_strong(jwk: &Jwk) -> bool {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).unwrap_or_default();
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            modulus.len() - leading >= RSA_BYTES
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_what_it_is() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_der(algorithm, key.der());
            let (public, same) = (key.public().unwrap(), again.public().unwrap());
            assert_eq!(public.kid(), same.kid());
            assert_eq!(public.kid().len(), 43);
            let jwk = public.jwk();
            assert_eq!(jwk["kid"], public.kid());
            assert_eq!(jwk["alg"], algorithm.to_string());
            assert_eq!(jwk["use"], "sig");
            assert!(jwk.get("d").is_none());
            let read = PublicKey::read(&jwk.to_string()).unwrap();
            assert_eq!(read.kid(), public.kid());
            assert!(!format!("{key:?}").contains("48"));
        }
    }

    #[test]
    fn short_rsa_keys_are_not_believed() {
        let jwk = |bytes: usize| -> Jwk {
            let n = URL_SAFE_NO_PAD.encode(vec![0x81; bytes]);
            serde_json::from_value(serde_json::json!({"kty": "RSA", "n": n, "e": "AQAB"})).unwrap()
        };
        assert!(is_strong(&jwk(256)) && !is_strong(&jwk(255)));
    }
}
