//! When a call that failed is made again. Pure: whoever asks waits, pays and calls.

use std::time::Duration;

use muster_proto::v1::ErrorReason;
use tonic::{Code, Status};

use super::methods::Repeat;
use crate::error::{PUSHBACK, Refused};

/// How often a call is made again that reached somebody.
pub(super) const AGAIN: u32 = 3;

/// Where a failure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Born {
    /// Nobody was reached: the call never left.
    Unsent,
    /// The connection broke: nobody knows what became of the call.
    Wire,
    /// The server said so.
    Server,
}

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// That is the answer.
    GiveUp,
    /// Another try with a new bearer.
    Renew,
    /// Another try after this long, or after a pause.
    Again {
        at_least: Option<Duration>,
        /// Whether it costs nothing, as no server saw the call.
        free: bool,
    },
}

const AGAIN_SOON: Next = Next::Again {
    at_least: None,
    free: false,
};

/// What is to be done about a failure of a call that was made again `tries` times
/// already; `elsewhere` when another endpoint would be asked.
pub(super) fn next(
    repeat: Repeat,
    born: Born,
    status: &Status,
    tries: u32,
    elsewhere: bool,
) -> Next {
    match born {
        Born::Unsent => Next::Again {
            at_least: None,
            free: true,
        },
        _ if tries >= AGAIN => Next::GiveUp,
        Born::Wire => match (repeat, status.code()) {
            (Repeat::Never, _) => Next::GiveUp,
            (_, Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal) => AGAIN_SOON,
            _ => Next::GiveUp,
        },
        Born::Server => answered(repeat, status, elsewhere),
    }
}

fn answered(repeat: Repeat, status: &Status, elsewhere: bool) -> Next {
    let refused = Refused::from(status);
    let may = match (status.code(), refused.reason) {
        (Code::Unauthenticated, ErrorReason::CredentialInvalid) => return Next::Renew,
        // Surely nothing happened.
        (Code::Unavailable, ErrorReason::WriteConflict | ErrorReason::Draining)
        | (Code::ResourceExhausted, ErrorReason::RateLimited) => true,
        (Code::Unavailable, _) => repeat != Repeat::Never,
        _ => false,
    };
    if !may || forbids(status) {
        return Next::GiveUp;
    }
    let of_that_process = matches!(
        refused.reason,
        ErrorReason::Draining | ErrorReason::ReplicaBehind
    );
    match of_that_process && elsewhere {
        true => AGAIN_SOON,
        false => Next::Again {
            at_least: refused.retry_after,
            free: false,
        },
    }
}

/// Whether the server is about to stop.
pub(super) fn leaves(status: &Status) -> bool {
    status.code() == Code::Unavailable && Refused::from(status).reason == ErrorReason::Draining
}

/// Whether the server says that it must not be asked again (gRPC proposal A6: what is
/// negative, or no number).
fn forbids(status: &Status) -> bool {
    let pushback = status.metadata().get(PUSHBACK);
    pushback.is_some_and(|value| !value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok()))
}

#[cfg(test)]
mod tests {
    use muster_proto::reason::{self, DOMAIN};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn said(code: Code, why: ErrorReason, wait: Option<u64>) -> Status {
        let mut details = ErrorDetails::with_error_info(reason::name(why), DOMAIN, []);
        if let Some(wait) = wait {
            details.set_retry_info(Some(Duration::from_millis(wait)));
        }
        Status::with_error_details(code, "x", details)
    }

    fn again(at_least: Option<u64>) -> Next {
        Next::Again {
            at_least: at_least.map(Duration::from_millis),
            free: false,
        }
    }

    #[test]
    fn who_was_not_reached_is_asked_until_the_deadline() {
        let status = Status::unavailable("refused");
        let free = Next::Again {
            at_least: None,
            free: true,
        };
        for repeat in [Repeat::Never, Repeat::Safe] {
            assert_eq!(next(repeat, Born::Unsent, &status, 50, false), free);
        }
    }

    #[test]
    fn a_broken_connection_repeats_what_may_be_repeated() {
        for code in [Code::Cancelled, Code::Unknown, Code::Unavailable] {
            let status = Status::new(code, "broken");
            let ask = |repeat, tries| next(repeat, Born::Wire, &status, tries, true);
            assert_eq!(ask(Repeat::Safe, 0), AGAIN_SOON);
            assert_eq!(ask(Repeat::Keyed(3), 2), AGAIN_SOON);
            assert_eq!(ask(Repeat::Never, 0), Next::GiveUp);
            assert_eq!(ask(Repeat::Safe, 3), Next::GiveUp);
            // Said by a server, the first two are its answer.
            if code != Code::Unavailable {
                let answer = next(Repeat::Safe, Born::Server, &status, 0, true);
                assert_eq!(answer, Next::GiveUp);
            }
        }
    }

    #[test]
    fn the_server_says_when() {
        use ErrorReason::{Draining, RateLimited, StoreUnavailable, UserNotFound, WriteConflict};
        let ask =
            |repeat, status: &Status, elsewhere| next(repeat, Born::Server, status, 0, elsewhere);
        let busy = said(Code::Unavailable, WriteConflict, Some(40));
        assert_eq!(ask(Repeat::Never, &busy, true), again(Some(40)));
        let away = said(Code::Unavailable, StoreUnavailable, Some(40));
        assert_eq!(ask(Repeat::Never, &away, true), Next::GiveUp);
        assert_eq!(ask(Repeat::Keyed(1), &away, true), again(Some(40)));
        let fast = said(Code::ResourceExhausted, RateLimited, Some(90));
        assert_eq!(ask(Repeat::Never, &fast, true), again(Some(90)));
        let stops = said(Code::Unavailable, Draining, Some(1_000));
        assert_eq!(ask(Repeat::Safe, &stops, true), AGAIN_SOON);
        assert_eq!(ask(Repeat::Safe, &stops, false), again(Some(1_000)));
        let none = said(Code::NotFound, UserNotFound, None);
        assert_eq!(ask(Repeat::Safe, &none, true), Next::GiveUp);
        let who = said(Code::Unauthenticated, ErrorReason::CredentialInvalid, None);
        assert_eq!(ask(Repeat::Never, &who, true), Next::Renew);
    }

    #[test]
    fn pushback_counts_and_may_forbid() {
        for (value, expected) in [("70", again(Some(70))), ("-1", Next::GiveUp)] {
            let mut status = said(Code::Unavailable, ErrorReason::StoreUnavailable, None);
            status
                .metadata_mut()
                .insert(PUSHBACK, value.parse().unwrap());
            assert_eq!(next(Repeat::Safe, Born::Server, &status, 0, true), expected);
        }
    }
}
