//! Time is handed in, so that silence can be tested without waiting for it.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the client takes the time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since some moment, which never goes back.
    fn elapsed(&self) -> Duration;

    /// Time since the Unix epoch.
    fn unix(&self) -> Duration;
}

/// A moment by both clocks of a machine: one stands still while the machine sleeps, the
/// other is set by people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    elapsed: Duration,
    unix: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self::of(clock.elapsed(), clock.unix())
    }

    pub(crate) fn of(elapsed: Duration, unix: Duration) -> Self {
        Self { elapsed, unix }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.elapsed
    }

    pub(crate) fn unix(self) -> Duration {
        self.unix
    }

    /// How long ago `earlier` was, by the clock that says more: it may be too long when
    /// somebody set one, and is never too short.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let elapsed = self.elapsed.saturating_sub(earlier.elapsed);
        elapsed.max(self.unix.saturating_sub(earlier.unix))
    }

    /// This long before.
    pub(crate) fn before(self, by: Duration) -> Self {
        Self {
            elapsed: self.elapsed.saturating_sub(by),
            unix: self.unix.saturating_sub(by),
        }
    }

    /// By either clock, in milliseconds.
    pub(crate) fn millis(self) -> [i64; 2] {
        [self.elapsed, self.unix].map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct System(Instant);

impl Default for System {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for System {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn unix(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}
