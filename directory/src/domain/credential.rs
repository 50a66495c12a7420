//! Secrets of provisioning clients: `musc_<key id>_<secret><checksum>`.
//!
//! The prefix and the checksum make leaked secrets findable without false
//! alarms, and let a mistyped one be refused without a look at the database.
//! The key id (64 bits) finds the record, the secret (256 bits) proves it; only
//! the SHA-256 of the whole is kept. No slow hash: the secret is random.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::history::hex;

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

/// Random bytes that one secret takes.
pub const RANDOM_BYTES: usize = KEY_BYTES + SECRET_BYTES;

const PREFIX: &str = "musc_";
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
    pub fn new(random: &[u8; RANDOM_BYTES]) -> Self {
        let (key, secret) = random.split_at(KEY_BYTES);
        let key_id = base62(key, KEY_DIGITS);
        let body = format!("{PREFIX}{key_id}_{}", base62(secret, SECRET_DIGITS));
        let checksum = checksum(&body);
        Self(body + &checksum)
    }

    /// Recognises a secret; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let length = PREFIX.len() + KEY_DIGITS + 1 + SECRET_DIGITS + CHECKSUM_DIGITS;
        let shaped = text.len() == length && text.is_ascii() && text.starts_with(PREFIX);
        if !shaped || text.as_bytes()[PREFIX.len() + KEY_DIGITS] != b'_' {
            return None;
        }
        let (body, given) = text.split_at(length - CHECKSUM_DIGITS);
        (checksum(body) == given).then(|| Self(text.to_owned()))
    }

    /// By which the record is found.
    pub fn key_id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + KEY_DIGITS]
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
        let secret = Secret::new(&[7; RANDOM_BYTES]);
        let again = Secret::parse(secret.expose()).expect("it is one");
        assert_eq!(again, secret);
        assert!(again.matches(&secret.hash()));
        assert!(!Secret::new(&[8; RANDOM_BYTES]).matches(&secret.hash()));
    }

    #[test]
    fn what_was_mistyped_is_no_secret() {
        let text = Secret::new(&[255; RANDOM_BYTES]).expose().to_owned();
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
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = Secret::new(&[9; RANDOM_BYTES]);
        assert!(format!("{secret:?}").len() < 30);
    }

    #[test]
    fn base62_uses_every_bit() {
        assert_eq!(base62(&[0; 8], KEY_DIGITS), "00000000000");
        assert_eq!(base62(&u64::MAX.to_be_bytes(), KEY_DIGITS), "LygHa16AHYF");
    }
}
