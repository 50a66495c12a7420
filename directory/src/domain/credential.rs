//! What proves the holder of a stored token: a secret, or another issuer's word.
//!
//! Secrets read `musc_<key id>_<secret><checksum>`. The prefix tells what the
//! secret is for, so that one kind never passes for another. Prefix and checksum
//! make leaked secrets findable without false alarms, and let a mistyped one be
//! refused without a look at the database.
//! The key id (64 bits) finds the record, the secret (256 bits) proves it; only
//! the SHA-256 of the whole is kept. No slow hash: the secret is random.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::history::hex;

/// How the holder of a credential proves to be its holder. Nothing in it is
/// secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By a secret for this purpose.
    Secret(Purpose),
    /// By an assertion of its own issuer (RFC 7523).
    Federated(Federation),
}

impl Proof {
    /// The kind of the credential, as operators and the database spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Secret(Purpose::Bearer) => "bearer",
            Self::Secret(Purpose::Client) => "oauth-client",
            Self::Secret(Purpose::Personal) => "personal",
            Self::Federated(_) => "federated",
        }
    }

    /// Whether the holder trades it for access tokens (RFC 6749 section 4.4)
    /// and sends those, never the credential itself.
    pub fn is_oauth(&self) -> bool {
        match self {
            Self::Secret(purpose) => *purpose == Purpose::Client,
            Self::Federated(_) => true,
        }
    }
}

/// What is kept of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// The part of the secret that finds it.
    pub key_id: String,
    /// SHA-256 of the secret, in hexadecimal.
    pub hash: String,
}

/// What kind of credential is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A secret that is sent with every request.
    Bearer,
    /// A secret that is traded for access tokens.
    OauthClient,
    /// An assertion of another issuer that is traded for access tokens.
    Federated(Federation),
}

/// Whose word is taken for a client, and what it must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// URL of the issuer: `iss`. Its keys are found below it (OpenID Connect
    /// Discovery).
    pub issuer: String,
    /// Whom the issuer must name: `sub`.
    pub subject: String,
    /// For whom the assertion must be meant: `aud`.
    pub audience: String,
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sent with every request.
    Bearer,
    /// Sent to the token endpoint alone.
    Client,
    /// Sent by a user's tools to other services, which introspect it.
    Personal,
}

impl Purpose {
    /// What secrets for it begin with. Of equal length, so that a secret's parts
    /// stand at fixed places.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Bearer => "musc_",
            Self::Client => "muss_",
            Self::Personal => "musp_",
        }
    }
}

/// Random bytes that one secret takes.
pub const RANDOM_BYTES: usize = KEY_BYTES + SECRET_BYTES;

const PREFIX_LENGTH: usize = 5;
const KEY_BYTES: usize = 8;
const KEY_DIGITS: usize = 11;
const SECRET_BYTES: usize = 32;
const SECRET_DIGITS: usize = 43;
const CHECKSUM_DIGITS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A secret in clear. It exists at issue and while a call is checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of these random bytes.
    pub fn new(purpose: Purpose, random: &[u8; RANDOM_BYTES]) -> Self {
        let (key, secret) = random.split_at(KEY_BYTES);
        let key_id = base62(key, KEY_DIGITS);
        let body = base62(secret, SECRET_DIGITS);
        let body = format!("{}{key_id}_{body}", purpose.prefix());
        let checksum = checksum(&body);
        Self(body + &checksum)
    }

    /// Recognises a secret for this purpose; `None` for what cannot be one.
    pub fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let length = PREFIX_LENGTH + KEY_DIGITS + 1 + SECRET_DIGITS + CHECKSUM_DIGITS;
        let prefixed = text.starts_with(purpose.prefix());
        let shaped = prefixed && text.len() == length && text.is_ascii();
        let separator = PREFIX_LENGTH + KEY_DIGITS;
        let fits = |(at, byte): (usize, &u8)| match at {
            ..PREFIX_LENGTH => true,
            at if at == separator => *byte == b'_',
            _ => DIGITS.contains(byte),
        };
        if !shaped || !text.as_bytes().iter().enumerate().all(fits) {
            return None;
        }
        let (body, given) = text.split_at(length - CHECKSUM_DIGITS);
        (checksum(body) == given).then(|| Self(text.to_owned()))
    }

    /// What is kept of it.
    pub fn kept(&self) -> KeptSecret {
        KeptSecret {
            key_id: self.key_id().to_owned(),
            hash: self.hash(),
        }
    }

    /// By which the record is found.
    pub fn key_id(&self) -> &str {
        &self.0[PREFIX_LENGTH..PREFIX_LENGTH + KEY_DIGITS]
    }

    /// What is kept of it: SHA-256, in hexadecimal.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// Whether this is the secret that was kept so. Takes the same time
    /// wherever they differ.
    pub fn matches(&self, hash: &str) -> bool {
        self.hash().as_bytes().ct_eq(hash.as_bytes()).into()
    }

    /// The secret in clear, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}...)", self.key_id())
    }
}

fn checksum(body: &str) -> String {
    base62(
        &crc32fast::hash(body.as_bytes()).to_be_bytes(),
        CHECKSUM_DIGITS,
    )
}

/// The bytes as one number in base 62, with leading zeros.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![DIGITS[0]; digits];
    for place in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            // A quotient of less than 62 * 256 / 62 fits a byte.
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *place = DIGITS[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_matched() {
        let secret = Secret::new(Purpose::Bearer, &[7; RANDOM_BYTES]);
        let again = Secret::parse(Purpose::Bearer, secret.expose()).expect("it is one");
        assert_eq!(again, secret);
        assert!(again.matches(&secret.hash()));
        let other = Secret::new(Purpose::Bearer, &[8; RANDOM_BYTES]);
        assert!(!other.matches(&secret.hash()));
    }

    #[test]
    fn a_secret_serves_its_own_purpose_only() {
        for (purpose, other) in [
            (Purpose::Bearer, Purpose::Client),
            (Purpose::Client, Purpose::Personal),
            (Purpose::Personal, Purpose::Bearer),
        ] {
            let secret = Secret::new(purpose, &[7; RANDOM_BYTES]);
            assert!(Secret::parse(purpose, secret.expose()).is_some());
            assert_eq!(Secret::parse(other, secret.expose()), None);
            // The checksum covers the prefix.
            let renamed = secret.expose().replace(purpose.prefix(), other.prefix());
            assert_eq!(Secret::parse(other, &renamed), None);
        }
    }

    #[test]
    fn a_key_id_is_made_of_digits_alone() {
        for stranger in ["\0", "'", "_", " "] {
            let body = format!("musc_{}{stranger}_{}", "a".repeat(10), "b".repeat(43));
            let text = format!("{body}{}", checksum(&body));
            assert_eq!(Secret::parse(Purpose::Bearer, &text), None, "{text:?}");
        }
    }

    #[test]
    fn what_was_mistyped_is_no_secret() {
        let text = Secret::new(Purpose::Bearer, &[255; RANDOM_BYTES]);
        let text = text.expose().to_owned();
        let mistyped = text.replace("musc_", "musc-");
        let flipped = format!("{}{}", &text[..20], &text[20..].to_lowercase());
        for wrong in [
            "",
            "musc_",
            &text[1..],
            &mistyped,
            &flipped,
            &"é".repeat(33),
        ] {
            assert_eq!(Secret::parse(Purpose::Bearer, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = Secret::new(Purpose::Client, &[9; RANDOM_BYTES]);
        assert!(format!("{secret:?}").len() < 30);
    }

    #[test]
    fn base62_uses_every_bit() {
        assert_eq!(base62(&[0; 8], KEY_DIGITS), "00000000000");
        assert_eq!(base62(&u64::MAX.to_be_bytes(), KEY_DIGITS), "LygHa16AHYF");
    }
}
