//! Private keys at rest: encrypted under a key that is not in the database.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::{
    clock::Source,
    error::{Error, Result},
};

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// What every text that was sealed here begins with.
const FORMAT: &str = "v1.";

/// Encrypts private keys.
pub struct Sealing(LessSafeKey);

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealing")
    }
}

impl Sealing {
    /// With this key: 32 bytes in base64.
    ///
    /// # Errors
    /// [`Error::Unusable`] for what is none.
    pub fn new(key: &str) -> Result<Self> {
        let rule = || Error::Unusable("the key encryption key must be 32 bytes in base64".into());
        let key = STANDARD.decode(key.trim()).map_err(|_| rule())?;
        if key.len() != KEY_BYTES {
            return Err(rule());
        }
        let key = UnboundKey::new(&AES_256_GCM_SIV, &key).map_err(|_| rule())?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts bytes that belong to this name.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are no random numbers.
    pub fn seal(&self, name: &str, plain: &[u8], source: &dyn Source) -> Result<String> {
        let mut nonce = [0; NONCE_LEN];
        source
            .fill_random(&mut nonce)
            .map_err(|e| Error::Internal(e.into()))?;
        let mut bytes = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::from(name), &mut bytes)
            .map_err(|e| Error::Internal(e.into()))?;
        let sealed = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &bytes].concat());
        Ok(format!("{FORMAT}{sealed}"))
    }

    /// What was sealed under this name; `None` when it was not, or under another
    /// key.
    pub fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(FORMAT)?).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.0.open_in_place(nonce, Aad::from(name), sealed).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::System;

    fn sealing(byte: u8) -> Sealing {
        Sealing::new(&STANDARD.encode([byte; KEY_BYTES])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_under_its_key_and_name_alone() {
        let sealed = sealing(1).seal("kid", b"secret", &System).unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(
            sealing(1).open("kid", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        for (key, name, text) in [
            (2, "kid", sealed.as_str()),
            (1, "other", &sealed),
            (1, "kid", &sealed[1..]),
            (1, "kid", &sealed[..sealed.len() - 2]),
            (1, "kid", "v1."),
        ] {
            assert_eq!(sealing(key).open(name, text), None, "{text}");
        }
        let again = sealing(1).seal("kid", b"secret", &System).unwrap();
        assert_ne!(again, sealed);
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        for key in [
            "",
            "x",
            &STANDARD.encode([1; 31]),
            &STANDARD.encode([1; 33]),
        ] {
            assert!(Sealing::new(key).is_err(), "{key}");
        }
        let spaced = format!("{}\n", STANDARD.encode([1; KEY_BYTES]));
        assert!(Sealing::new(&spaced).is_ok());
    }
}
