//! An issuer of assertions on this machine, in the place of Microsoft Entra's.
//!
//! It signs with a library of its own and not with the one under test, so that
//! it can also sign what no sane issuer would.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An issuer that answers until the test process ends.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Arc<Key>>>>,
}

#[derive(Debug)]
struct Key {
    number: usize,
    id: String,
    pair: RsaKeyPair,
}

impl Key {
    fn new(number: usize) -> Arc<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let id = format!("key-{number}");
        Arc::new(Self { number, id, pair })
    }

    fn jwk(&self) -> Value {
        let key = self.pair.public_key();
        let n = encode(key.modulus().big_endian_without_leading_zero());
        let e = encode(key.exponent().big_endian_without_leading_zero());
        json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": n, "e": e, "x5c": ["AAAA"]})
    }
}

impl Issuer {
    /// Starts an issuer with one key.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let issuer = Self {
            url: format!("http://{address}/fernhill/v2.0"),
            keys: Arc::new(Mutex::new(vec![Key::new(0)])),
        };
        let (url, keys) = (issuer.url.clone(), Arc::clone(&issuer.keys));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &url, &keys);
            }
        });
        issuer
    }

    /// The issuer that tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Issuer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs with a new key from now on; the old ones are forgotten.
    pub fn rotate(&self) {
        let mut keys = self.keys.lock().expect("no thread panics");
        let number = keys.first().map_or(0, |key| key.number + 1);
        *keys = vec![Key::new(number)];
    }

    /// An assertion as Entra makes it, with these claims changed; null takes a
    /// claim away.
    pub fn assertion(&self, subject: &str, audience: &str, changed: &Value) -> String {
        let now = now_s();
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": audience,
            "iat": now, "nbf": now, "exp": now + 3600, "ver": "2.0",
        });
        let all = claims.as_object_mut().expect("an object");
        for (name, value) in changed.as_object().expect("an object") {
            all.insert(name.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        self.sign(&claims)
    }

    /// Any claims, signed as its assertions are.
    pub fn sign(&self, claims: &Value) -> String {
        let key = Arc::clone(&self.keys.lock().expect("no thread panics")[0]);
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": key.id});
        let message = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let mut signature = vec![0; key.pair.public_modulus_len()];
        key.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .expect("a signature");
        format!("{message}.{}", encode(signature))
    }
}

/// Seconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "the server under test compares with the real time"
)]
pub fn now_s() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.expect("the clock is set").as_secs()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Answers one request; each comes on a connection of its own.
fn answer(mut stream: TcpStream, url: &str, keys: &Mutex<Vec<Arc<Key>>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = [0; 4096];
    let length = stream.read(&mut head).unwrap_or_default();
    let head = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
    let body = match head.split(' ').nth(1).unwrap_or_default() {
        "/fernhill/v2.0/.well-known/openid-configuration" => {
            json!({"issuer": url, "jwks_uri": format!("{url}/keys")})
        }
        "/fernhill/v2.0/keys" => {
            let keys = keys.lock().expect("no thread panics");
            json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()})
        }
        _ => Value::Null,
    };
    let status = if body.is_null() { 404 } else { 200 };
    let body = body.to_string();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
    // A client that went away wants no answer.
    let _ = stream.write_all(answer.as_bytes());
}
