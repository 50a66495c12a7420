//! The life of a key that signs tokens.

use std::{fmt, str::FromStr};

/// How long a token lives at most, in milliseconds.
pub const TOKEN_LIFE_MS: i64 = 60 * 60 * 1_000;

/// How long verifiers may keep the set of public keys, in seconds.
pub const MAX_AGE_S: u32 = 300;

/// How long a key is published before it signs: whoever keeps the set of keys
/// has read it again by then, and missed one answer in between.
pub const LEAD_MS: i64 = 2 * MAX_AGE_S as i64 * 1_000;

/// By how much clocks may differ, in milliseconds.
pub const LEEWAY_MS: i64 = 5_000;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    #[default]
    EdDsa,
    /// ECDSA with P-256 and SHA-256 (RFC 7518 section 3.4).
    Es256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        })
    }
}

/// A name that is no algorithm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be EdDSA or ES256")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "EdDSA" => Ok(Self::EdDsa),
            "ES256" => Ok(Self::Es256),
            _ => Err(UnknownAlgorithm),
        }
    }
}

/// When a key does what. Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// From when on it signs.
    pub sign_from: i64,
    /// Until when; `None` while that is open.
    pub sign_until: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// What a key is good for at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Verifiers know it; it signs nothing yet.
    Published,
    /// It signs.
    Signing,
    /// It signs nothing any more; what it signed may be valid.
    VerifyOnly,
    /// Nothing that it signed can be valid.
    Retired,
    /// Nothing counts that it signed.
    Revoked,
}

impl State {
    /// Whether its public key is to be known to verifiers.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Published | Self::Signing | Self::VerifyOnly)
    }
}

impl Life {
    /// Its state at this time.
    pub fn state(&self, now_ms: i64) -> State {
        if self.revoked_at.is_some() {
            return State::Revoked;
        }
        if now_ms < self.sign_from {
            return State::Published;
        }
        if self.sign_until.is_none_or(|until| now_ms < until) {
            return State::Signing;
        }
        match self.verify_until() {
            Some(until) if now_ms >= until => State::Retired,
            _ => State::VerifyOnly,
        }
    }

    /// When the last token that it signed has ended.
    pub fn verify_until(&self) -> Option<i64> {
        let until = self.sign_until?;
        Some(until.saturating_add(TOKEN_LIFE_MS + LEEWAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_published_signs_verifies_and_retires() {
        let life = Life {
            sign_from: 1_000,
            sign_until: Some(2_000),
            revoked_at: None,
        };
        let end = 2_000 + TOKEN_LIFE_MS + LEEWAY_MS;
        for (now, state) in [
            (999, State::Published),
            (1_000, State::Signing),
            (2_000, State::VerifyOnly),
            (end - 1, State::VerifyOnly),
            (end, State::Retired),
        ] {
            assert_eq!(life.state(now), state, "{now}");
        }
        let open = Life {
            sign_until: None,
            ..life
        };
        assert_eq!(open.state(i64::MAX), State::Signing);
        let revoked = Life {
            revoked_at: Some(1),
            ..life
        };
        assert_eq!(revoked.state(1_500), State::Revoked);
    }

    #[test]
    fn algorithms_are_named_as_jose_names_them() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        }
        assert!("none".parse::<Algorithm>().is_err());
    }
}
