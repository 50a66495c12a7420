//! The directory's errors as SCIM errors: by reason, never by message text.

use muster_proto::{
    reason,
    v1::ErrorReason::{self, *},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::scim::error::{ScimError, ScimType};

/// What a SCIM client is told. Messages of the directory reach it only with a
/// reason that says they were written for clients, and never in a 5xx.
pub fn scim_error(status: &Status) -> ScimError {
    match reason(status).and_then(|name| reason::parse(&name)) {
        Some(reason) => by_reason(reason, status).because(reason::name(reason), attribute(status)),
        None => by_code(status.code()),
    }
}

/// The reason by name, which this build need not know. `None`: the status was
/// not made by the directory's own code.
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info();
    let info = info.filter(|info| info.domain == reason::DOMAIN);
    info.map(|info| info.reason)
}

/// The attribute that the directory refused; empty where it names none.
fn attribute(status: &Status) -> String {
    let Some(info) = status.get_details_error_info() else {
        return String::new();
    };
    let named = ["attribute", "path"].iter();
    let mut named = named.filter_map(|name| info.metadata.get(*name).cloned());
    let field = || {
        let invalid = info.reason == reason::name(FieldInvalid);
        let request = status.get_details_bad_request().filter(|_| invalid)?;
        let violations = request.field_violations.into_iter();
        violations.map(|violation| violation.field).next()
    };
    named.next().or_else(field).unwrap_or_default()
}

/// Whether the call went by a profile that is no longer the connection's.
pub(crate) fn is_stale(status: &Status) -> bool {
    reason(status).is_some_and(|reason| reason == reason::name(ProfileStale))
}

fn by_reason(reason: ErrorReason, status: &Status) -> ScimError {
    let typed = |scim_type| ScimError::typed(scim_type, status.message());
    match reason {
        CredentialMissing | CredentialInvalid | ProofOfPossessionFailed => {
            ScimError::unauthorized()
        }
        ScopeMissing | ProtectedAccount => ScimError::new(403, status.message()),
        // What another provider does not have either (RFC 7644 section 3.12).
        GroupsDisabled => ScimError::new(501, status.message()),
        GroupInUse => ScimError::new(409, status.message()),
        FieldInvalid | RequiredAttributeMissing | GroupCycle | GroupDepthExceeded => {
            typed(ScimType::InvalidValue)
        }
        PageTokenInvalid => typed(ScimType::InvalidCursor),
        PageTokenExpired => typed(ScimType::ExpiredCursor),
        FilterInvalid => typed(ScimType::InvalidFilter),
        PathInvalid => typed(ScimType::InvalidPath),
        NoTarget => typed(ScimType::NoTarget),
        Mutability => typed(ScimType::Mutability),
        TooManyItems => ScimError::too_large(status.message()),
        UserNameTaken | ExternalIdTaken | DisplayNameTaken | ValueTaken => {
            typed(ScimType::Uniqueness)
        }
        UserNotFound | GroupNotFound | ConnectionNotFound => ScimError::new(404, status.message()),
        EtagMismatch => ScimError::new(412, status.message()),
        WriteConflict | StoreUnavailable | IssuerUnavailable | DeadlineExceeded | ReplicaBehind
        | Draining => ScimError::unavailable(),
        SlowConsumer => ScimError::too_many_requests(),
        RateLimited => rate_limited(status),
        // The facade asks for no revision, follows no feed, writes no schema, gives no
        // request an id of its own and has nothing to do with tokens and keys.
        RevisionInvalid
        | StoreEpochMismatch
        | CursorExpired
        | SchemaInvalid
        | SchemaNotFound
        | SchemaInUse
        | TokenNotFound
        | KeyNotFound
        | ClientNotFound
        | UserInactive
        | FederatedIdentityTaken
        | AmbiguousKey
        | RequestIdReused
        | GroupSetTooLarge
        | AnswerTooLarge
        | KeyState
        | TokenState => ScimError::internal(),
        // The request was tried again under the new profile, and it changed once more.
        ProfileStale => ScimError::unavailable(),
        Internal | Unspecified => ScimError::internal(),
    }
}

fn rate_limited(status: &Status) -> ScimError {
    let info = status.get_details_retry_info();
    let error = ScimError::too_many_requests();
    match info.and_then(|info| info.retry_delay) {
        Some(wait) => error.after(wait),
        None => error,
    }
}

/// Errors that did not come from the directory's own code: the transport, a
/// proxy, a limit, or a directory newer than this facade.
fn by_code(code: Code) -> ScimError {
    match code {
        Code::Unauthenticated => ScimError::unauthorized(),
        Code::PermissionDenied => ScimError::new(403, "The credential does not allow this."),
        Code::NotFound => ScimError::not_found(),
        Code::AlreadyExists => ScimError::typed(ScimType::Uniqueness, "A value is taken."),
        Code::InvalidArgument | Code::FailedPrecondition => {
            ScimError::invalid_value("The directory refused a value.")
        }
        Code::ResourceExhausted => ScimError::too_many_requests(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => {
            ScimError::unavailable()
        }
        Code::Ok
        | Code::Unknown
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => ScimError::internal(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic_types::ErrorDetails;

    use super::*;

    #[track_caller]
    fn check(code: Code, reason: Option<ErrorReason>, expected: (u16, Option<&str>), told: bool) {
        let details = match reason {
            Some(reason) => {
                ErrorDetails::with_error_info(reason::name(reason), reason::DOMAIN, HashMap::new())
            }
            None => ErrorDetails::new(),
        };
        let error = scim_error(&Status::with_error_details(code, "the text", details));
        let scim_type = error.scim_type().map(ScimType::as_str);
        assert_eq!((error.status(), scim_type), expected, "{reason:?}");
        assert_eq!(error.detail() == "the text", told, "{reason:?}");
        let again = [429, 503].contains(&error.status());
        assert_eq!(error.retry_after_s().is_some(), again);
    }

    #[test]
    fn reasons_decide() {
        let client = |code, reason, status, scim_type| {
            check(code, Some(reason), (status, scim_type), true);
        };
        client(Code::PermissionDenied, ScopeMissing, 403, None);
        client(
            Code::InvalidArgument,
            FieldInvalid,
            400,
            Some("invalidValue"),
        );
        client(
            Code::InvalidArgument,
            FilterInvalid,
            400,
            Some("invalidFilter"),
        );
        client(Code::InvalidArgument, PathInvalid, 400, Some("invalidPath"));
        client(Code::FailedPrecondition, NoTarget, 400, Some("noTarget"));
        client(Code::InvalidArgument, Mutability, 400, Some("mutability"));
        client(Code::InvalidArgument, TooManyItems, 413, None);
        client(
            Code::InvalidArgument,
            PageTokenInvalid,
            400,
            Some("invalidCursor"),
        );
        client(
            Code::InvalidArgument,
            PageTokenExpired,
            400,
            Some("expiredCursor"),
        );
        client(Code::AlreadyExists, UserNameTaken, 409, Some("uniqueness"));
        client(Code::NotFound, GroupNotFound, 404, None);
        client(
            Code::FailedPrecondition,
            GroupCycle,
            400,
            Some("invalidValue"),
        );
        client(Code::Aborted, EtagMismatch, 412, None);
        check(
            Code::Unauthenticated,
            Some(CredentialInvalid),
            (401, None),
            false,
        );
        check(Code::Unavailable, Some(WriteConflict), (503, None), false);
        check(Code::Internal, Some(Internal), (500, None), false);
        check(
            Code::ResourceExhausted,
            Some(RateLimited),
            (429, None),
            false,
        );
    }

    #[test]
    fn the_directory_says_when_there_is_room_again() {
        let reason = reason::name(RateLimited);
        for (wait_ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            let mut details = ErrorDetails::with_error_info(reason, reason::DOMAIN, HashMap::new());
            details.set_retry_info(Some(Duration::from_millis(wait_ms)));
            let status = Status::with_error_details(Code::ResourceExhausted, "", details);
            let error = scim_error(&status);
            assert_eq!(error.retry_after_s(), Some(seconds), "{wait_ms}");
        }
    }

    #[test]
    fn without_a_reason_the_code_decides_and_the_text_stays_here() {
        check(Code::Unavailable, None, (503, None), false);
        check(Code::DeadlineExceeded, None, (503, None), false);
        check(Code::ResourceExhausted, None, (429, None), false);
        check(Code::Unauthenticated, None, (401, None), false);
        check(
            Code::InvalidArgument,
            None,
            (400, Some("invalidValue")),
            false,
        );
        check(Code::Unknown, None, (500, None), false);
    }
}
