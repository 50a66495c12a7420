//! Why a round of following is over, and how long to wait before the next one.

use std::time::Duration;

use muster_proto::v1::ErrorReason;
use tonic::{Code, Status};

use crate::error::{Error, Refused};

/// The pause behind a stream that spoke: all whom one process left do not come to the
/// next one in the same moment.
const BREATH: Duration = Duration::from_millis(200);

/// The pause behind a first failure; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Within which time those take a new snapshot who need one for the same reason.
const SPREAD: Duration = Duration::from_secs(5);

/// Why a round is over.
#[derive(Debug)]
pub(super) enum Over {
    /// It goes on behind the last message.
    Resume(Error),
    /// The same, and what ended may begin again: a call would tell if it may not.
    Ended(Error),
    /// The map has more than the stream told.
    Look,
    /// What is held is of no use any more.
    Resync(Error),
}

impl From<Status> for Over {
    fn from(status: Status) -> Self {
        Self::from(Error::from(status))
    }
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        match error.reason() {
            Some(
                ErrorReason::CursorExpired
                | ErrorReason::StoreEpochMismatch
                | ErrorReason::RevisionInvalid
                | ErrorReason::PageTokenInvalid,
            ) => Self::Resync(error),
            // It would be as large the next time.
            None if is_too_large(&error) => Self::Resync(error),
            _ => Self::Resume(error),
        }
    }
}

impl Over {
    /// The end of a stream that had begun. That its token has died says nothing of the
    /// next one, which the next call is made with.
    pub(super) fn of_stream(status: Status) -> Self {
        match Self::from(status) {
            Self::Resume(error) => Self::Ended(error),
            over => over,
        }
    }

    /// What does not go by itself: the client's rights do not reach.
    pub(super) fn lasting(&self) -> Option<Refused> {
        match self {
            Self::Resume(Error::Refused(refused)) if is_lasting(refused.code) => {
                Some(Refused::clone(refused))
            }
            _ => None,
        }
    }
}

pub(super) fn is_lasting(code: Code) -> bool {
    matches!(
        code,
        Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented
    )
}

/// Whether a message was larger than what is taken. The directory itself gives reasons
/// with these codes; without one they come from the way.
pub(super) fn is_too_large(error: &Error) -> bool {
    let code = error.code();
    error.reason().is_none() && matches!(code, Some(Code::OutOfRange | Code::ResourceExhausted))
}

/// How long to wait when so many rounds in a row have failed; `chance` is from 0 to 1.
pub(super) fn pause(failures: u32, chance: f64) -> Duration {
    let whole = match failures.checked_sub(1) {
        None => BREATH,
        Some(before) => FIRST_PAUSE.saturating_mul(1 << before.min(10)),
    };
    whole.min(LONGEST_PAUSE).mul_f64(0.5 + chance / 2.0)
}

/// How long to wait before a snapshot that others may need, too.
pub(super) fn spread(failures: u32, chance: f64) -> Duration {
    let again = match failures {
        0 | 1 => Duration::ZERO,
        more => pause(more - 1, chance),
    };
    SPREAD.mul_f64(chance) + again
}

/// A number from 0 to 1.
pub(super) fn chance() -> f64 {
    // Without random numbers all wait for as long.
    getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_differ() {
        let whole = |failures| pause(failures, 1.0).as_millis();
        assert_eq!([0, 1, 2, 3].map(whole), [200, 1_000, 2_000, 4_000]);
        assert_eq!([6, 7, 100, u32::MAX].map(whole), [30_000; 4]);
        assert_eq!(pause(1, 0.0), Duration::from_millis(500));
        assert_eq!(pause(100, 0.0), Duration::from_secs(15));
    }

    #[test]
    fn who_needs_a_snapshot_again_waits_within_five_seconds() {
        assert_eq!(spread(1, 0.0), Duration::ZERO);
        assert_eq!(spread(0, 0.5), Duration::from_millis(2_500));
        assert_eq!(spread(1, 1.0), Duration::from_secs(5));
        assert_eq!(spread(3, 1.0), Duration::from_secs(7));
        assert!((0.0..=1.0).contains(&chance()));
    }

    #[test]
    fn what_is_too_large_is_not_asked_for_again() {
        for code in [Code::OutOfRange, Code::ResourceExhausted] {
            assert!(matches!(
                Over::from(Status::new(code, "too large")),
                Over::Resync(_)
            ));
        }
        let over = Over::from(Status::unavailable("x"));
        assert!(matches!(over, Over::Resume(_)));
    }

    #[test]
    fn a_dead_token_lasts_when_a_call_says_so() {
        let dead = || Status::unauthenticated("dead");
        assert!(Over::of_stream(dead()).lasting().is_none());
        assert!(Over::from(dead()).lasting().is_some());
        assert!(Over::from(Status::unavailable("x")).lasting().is_none());
    }
}
