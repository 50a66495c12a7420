//! JSON Web Signatures (RFC 7515) that tests make and check with a library of
//! their own, so that they can also make what no sane issuer would.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A key that signs.
#[derive(Debug)]
pub struct Signer {
    kid: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    /// A new Ed25519 key.
    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        Self::of(Pair::Ed25519(pair))
    }

    /// A new P-256 key.
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::of(Pair::P256(pair.expect("a key")))
    }

    /// The Ed25519 key of this seed.
    #[track_caller]
    pub fn from_seed(seed: &[u8]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        Self::of(Pair::Ed25519(pair.expect("a seed")))
    }

    /// The key in a PKCS #8 document, which signs so.
    #[track_caller]
    pub fn from_pkcs8(algorithm: &str, der: &[u8]) -> Self {
        Self::of(match algorithm {
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).expect("a key")),
            "ES256" => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                Pair::P256(pair.expect("a key"))
            }
            other => panic!("{other} is no algorithm of these tests"),
        })
    }

    fn of(pair: Pair) -> Self {
        let mut signer = Self {
            kid: String::new(),
            pair,
        };
        signer.kid = thumbprint(&signer.jwk());
        signer
    }

    /// The same key under another name.
    pub fn named(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        self
    }

    /// Its name: unless it was given another, its thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// `alg` of what it signs.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        }
    }

    /// Its public part.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ed25519(pair) => {
                let x = encode(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Pair::P256(pair) => {
                // 4, x, y: a point that is not compressed.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk["alg"] = self.algorithm().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A set of its public part alone.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// The header of an access token (RFC 9068) that it signs.
    pub fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": self.algorithm(), "kid": self.kid})
    }

    /// Signs any header and any claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    /// Signs bytes.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.expect("a signature").as_ref().to_vec()
            }
        }
    }
}

/// What is signed of a token.
pub fn message(header: &Value, claims: &Value) -> String {
    let (header, claims) = (encode(header.to_string()), encode(claims.to_string()));
    format!("{header}.{claims}")
}

/// Header and claims of a token, whoever signed it.
#[track_caller]
pub fn read(token: &str) -> (Value, Value) {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, _] = parts[..] else {
        panic!("no JWT: {token}");
    };
    (part(header), part(claims))
}

#[track_caller]
fn part(text: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// The claims of a token, with these changed; null takes one away.
#[track_caller]
pub fn changed(token: &str, changes: &Value) -> Value {
    let (_, mut claims) = read(token);
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    claims
}

/// A token whose signature is a MAC under these bytes.
pub fn macked(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = message(header, claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mac = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", encode(mac))
}

/// Whether a key of this set signed the token: the one that it names, in the
/// way that the key is for.
#[track_caller]
pub fn verifies(token: &str, jwks: &Value) -> bool {
    let (header, _) = read(token);
    let keys = jwks["keys"].as_array().expect("a set");
    let Some(key) = keys.iter().find(|key| key["kid"] == header["kid"]) else {
        return false;
    };
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let bytes = public_bytes(key);
    let algorithm = header["alg"].as_str().unwrap_or_default();
    let verified = match (algorithm, key["kty"].as_str().unwrap_or_default()) {
        ("EdDSA", "OKP") => {
            UnparsedPublicKey::new(&ED25519, bytes).verify(message.as_bytes(), &signature)
        }
        ("ES256", "EC") => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes)
            .verify(message.as_bytes(), &signature),
        _ => return false,
    };
    verified.is_ok()
}

/// The bytes of a public key: of Ed25519 the key, of P-256 the point.
#[track_caller]
pub fn public_bytes(jwk: &Value) -> Vec<u8> {
    let member = |name: &str| {
        let text = jwk[name].as_str().expect("a member of the key");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    match jwk["kty"].as_str() {
        Some("OKP") => member("x"),
        Some("EC") => [vec![4], member("x"), member("y")].concat(),
        _ => panic!("no key of these tests: {jwk}"),
    }
}

/// RFC 7638.
#[track_caller]
pub fn thumbprint(jwk: &Value) -> String {
    let member = |name: &str| jwk[name].as_str().expect("a member of the key");
    // Its members in the order of their names, without spaces.
    let text = match member("kty") {
        "OKP" => {
            let (crv, x) = (member("crv"), member("x"));
            format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#)
        }
        _ => {
            let (crv, x, y) = (member("crv"), member("x"), member("y"));
            format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
    };
    encode(digest(&SHA256, text.as_bytes()))
}

/// Base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_the_standards() {
        // RFC 8037 appendix A.3.
        let jwk = json!({"kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let expected = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(thumbprint(&jwk), expected);
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else() {
        for signer in [Signer::ed25519(), Signer::p256()] {
            let set: Value = serde_json::from_str(&signer.jwks()).expect("JSON");
            let token = signer.sign(&signer.header(), &json!({"a": 1}));
            assert!(verifies(&token, &set));
            let other = Signer::ed25519().named(signer.kid());
            let token = other.sign(&signer.header(), &json!({"a": 1}));
            assert!(!verifies(&token, &set));
        }
    }
}
