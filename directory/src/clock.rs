//! Time and identifiers are handed in, never fetched.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

/// What the directory needs from outside to make new things: the time, fresh
/// identifiers and random bytes.
pub trait Source: Send + Sync + fmt::Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// A new identifier, UUIDv7, greater than those given out before.
    fn new_id(&self) -> String;

    /// Fills the buffer with unpredictable bytes.
    ///
    /// # Errors
    /// The operating system has no random bytes to give.
    fn fill_random(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system has no random bytes to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomError;

/// The system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Source for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now_ms(&self) -> i64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
        elapsed.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that makes identifiers"
    )]
    fn new_id(&self) -> String {
        Uuid::now_v7().to_string()
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}
