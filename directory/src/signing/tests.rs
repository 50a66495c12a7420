use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;
const NOW_S: i64 = NOW_MS / 1000;

fn encode(part: impl AsRef<[u8]>) -> String {
    BASE64.encode(part)
}

/// A key of an issuer, with what the issuer tells of it.
enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let n = encode(key.modulus().big_endian_without_leading_zero());
                let e = encode(key.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": id, "use": "sig", "n": n, "e": e})
            }
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (encode(x), encode(y));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": x, "y": y})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let message = message.as_bytes();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(pair) => {
                let signature = pair.sign(&random, message.as_bytes()).unwrap();
                signature.as_ref().to_vec()
            }
        };
        format!("{message}.{}", encode(signature))
    }

    /// An assertion that is right but for what is given.
    fn assertion(&self, changed: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": self.algorithm(), "kid": "k1"});
        self.sign(&header, &claims(changed))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        encode(header.to_string()),
        encode(claims.to_string())
    )
}

fn claims(changed: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example.test/1/v2.0", "sub": "principal", "aud": "api://app",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3600,
    });
    for (name, value) in changed.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().and_then(|all| all.remove(name)),
            value => claims
                .as_object_mut()
                .and_then(|all| all.insert(name.clone(), value.clone())),
        };
    }
    claims
}

fn expected() -> Federation {
    Federation {
        issuer: "https://login.example.test/1/v2.0".to_owned(),
        subject: "principal".to_owned(),
        audience: "api://app".to_owned(),
    }
}

fn keys(all: &[Value]) -> Keys {
    Keys::parse(json!({"keys": all}).to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check(keys: &Keys, assertion: &str, holds: bool) {
    let read = Assertion::read(assertion);
    let found = read.is_some_and(|read| read.hold(keys, &(&expected()).into(), NOW_MS).is_some());
    assert_eq!(found, holds);
}

#[test]
fn what_the_issuer_signed_holds() {
    for signer in [Signer::rsa(), Signer::ec()] {
        let keys = keys(&[signer.jwk("k0"), signer.jwk("k1")]);
        for right in [
            json!({}),
            json!({"aud": "app"}),
            json!({"aud": ["other", "app"]}),
            json!({"nbf": null, "iat": null}),
            json!({"nbf": NOW_S + 29, "exp": NOW_S - 29}),
            json!({"exp": NOW_S as f64 + 0.5}),
        ] {
            check(&keys, &signer.assertion(&right), true);
        }
    }
}

#[test]
fn what_holds_holds_longer_than_it_says() {
    let signer = Signer::ec();
    let keys = keys(&[signer.jwk("k1")]);
    let text = signer.assertion(&json!({"exp": NOW_S}));
    let read = Assertion::read(&text).unwrap();
    let held = |now_ms| read.hold(&keys, &(&expected()).into(), now_ms);
    let said = held(NOW_MS).unwrap();
    assert_eq!(said.ends_at(), NOW_MS);
    assert!(held(said.holds_until() - 1).is_some());
    assert!(held(said.holds_until()).is_none());
}

#[test]
fn a_bare_audience_meets_its_long_form() {
    let signer = Signer::ec();
    let text = signer.assertion(&json!({"aud": "api://app"}));
    let expected = Federation {
        audience: "app".to_owned(),
        ..expected()
    };
    let read = Assertion::read(&text).unwrap();
    assert!(
        read.hold(&keys(&[signer.jwk("k1")]), &(&expected).into(), NOW_MS)
            .is_some()
    );
}

#[test]
fn wrong_claims_do_not_hold() {
    for signer in [Signer::rsa(), Signer::ec()] {
        let keys = keys(&[signer.jwk("k1")]);
        for wrong in [
            json!({"iss": "https://login.example.test/2/v2.0"}),
            json!({"iss": "https://login.example.test/1/v2.0/"}),
            json!({"iss": null}),
            json!({"sub": "other"}),
            json!({"sub": null}),
            json!({"sub": ["principal"]}),
            json!({"aud": "other"}),
            json!({"aud": "api://api://app"}),
            json!({"aud": []}),
            json!({"aud": null}),
            json!({"exp": NOW_S - 31}),
            json!({"exp": null}),
            json!({"exp": (NOW_S + 3600).to_string()}),
            json!({"nbf": NOW_S + 31}),
            json!({"nbf": "soon"}),
        ] {
            check(&keys, &signer.assertion(&wrong), false);
        }
    }
}

#[test]
fn the_header_chooses_nothing() {
    let signer = Signer::rsa();
    let keys = keys(&[signer.jwk("k1")]);
    let claims = claims(&json!({}));
    for header in [
        json!({"alg": "RS512", "kid": "k1"}),
        json!({"alg": "PS256", "kid": "k1"}),
        json!({"alg": "ES256", "kid": "k1"}),
        json!({"alg": "HS256", "kid": "k1"}),
        json!({"alg": "none", "kid": "k1"}),
        json!({"alg": "RS256", "kid": "k2"}),
        json!({"alg": "RS256", "kid": "k1", "crit": ["x"], "x": 1}),
        json!({"alg": "RS256"}),
        json!({"kid": "k1"}),
        // A key of the attacker's own, in the header.
        json!({"alg": "RS256", "kid": "k2", "jwk": signer.jwk("k2")}),
    ] {
        check(&keys, &signer.sign(&header, &claims), false);
    }
    let unsigned = message(&json!({"alg": "none", "kid": "k1"}), &claims);
    check(&keys, &format!("{unsigned}."), false);
    check(&keys, &unsigned, false);
}

#[test]
fn a_mac_under_a_public_key_is_no_signature() {
    let signer = Signer::rsa();
    let jwk = signer.jwk("k1");
    let keys = keys(std::slice::from_ref(&jwk));
    let message = message(&json!({"alg": "HS256", "kid": "k1"}), &claims(&json!({})));
    let modulus = BASE64.decode(jwk["n"].as_str().unwrap()).unwrap();
    for public in [modulus.as_slice(), jwk.to_string().as_bytes()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, public);
        let mac = encode(hmac::sign(&key, message.as_bytes()));
        check(&keys, &format!("{message}.{mac}"), false);
    }
}

#[test]
fn another_key_or_another_message_does_not_hold() {
    let (ours, theirs) = (Signer::rsa(), Signer::rsa());
    let keys = keys(&[ours.jwk("k1")]);
    let text = theirs.assertion(&json!({}));
    check(&keys, &text, false);
    let (_, signature) = text.rsplit_once('.').unwrap();
    let ours = ours.assertion(&json!({"sub": "other"}));
    let (signed, own) = ours.rsplit_once('.').unwrap();
    check(&keys, &format!("{signed}.{signature}"), false);
    let header = signed.split('.').next().unwrap();
    let swapped = encode(claims(&json!({})).to_string());
    check(&keys, &format!("{header}.{swapped}.{own}"), false);
    for nonsense in ["", ".", "..", "a.b.c", &"x".repeat(LENGTH_LIMIT + 1)] {
        check(&keys, nonsense, false);
    }
}

#[test]
fn keys_that_are_for_something_else_are_left_out() {
    let signer = Signer::rsa();
    let with = |name: &str, value: Value| {
        let mut jwk = signer.jwk("k1");
        jwk[name] = value;
        jwk
    };
    let set = |jwk: Value| keys(&[json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"}), jwk]);
    assert!(set(signer.jwk("k1")).has("k1"));
    assert!(set(with("alg", json!("RS256"))).has("k1"));
    assert!(set(with("key_ops", json!(["verify"]))).has("k1"));
    for other in [
        with("use", json!("enc")),
        with("alg", json!("RS512")),
        with("alg", json!("RSA-OAEP")),
        with("key_ops", json!(["encrypt"])),
        with("kid", Value::Null),
        json!({"kty": "oct", "kid": "k1", "k": "AAAA"}),
        json!({"kty": "EC", "crv": "P-384", "kid": "k1", "x": "AAAA", "y": "AAAA"}),
    ] {
        assert!(!set(other.clone()).has("k1"), "{other}");
    }
    assert!(Keys::parse(b"{}").is_err());
}
