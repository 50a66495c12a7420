//! Errors as gRPC statuses. The only file that names a gRPC code.
//!
//! Every status carries one `ErrorInfo` with a reason (AIP-193); its message is
//! written for callers. What lies behind a fault of ours goes to the log, here
//! and once, never to the caller.

use std::{collections::HashMap, time::Duration};

use muster_proto::{
    reason::{DOMAIN, name},
    v1::ErrorReason,
};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    domain::{Kind, history::Refusal},
    error::{Error, Taken, Violation, told},
};

/// When a caller may try again.
const RETRY: Duration = Duration::from_secs(1);

/// Metadata by which gRPC clients learn how many milliseconds to wait before a
/// retry.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What the caller is told.
pub fn status(error: Error) -> Status {
    let (code, reason) = classify(&error);
    let mut details = ErrorDetails::with_error_info(name(reason), DOMAIN, metadata(&error));
    match &error {
        Error::Invalid(violations) => {
            for violation in violations.iter().take(VIOLATION_LIMIT) {
                let (field, rule) = (detail(&violation.field), detail(&violation.rule));
                details.add_bad_request_violation(field, rule);
            }
        }
        Error::Required(field) => {
            details.add_bad_request_violation(*field, "is required");
        }
        Error::ReadOnly(path)
        | Error::Immutable(path)
        | Error::Unremovable(path)
        | Error::PathInvalid(path)
        | Error::NoTarget(path) => {
            details.add_bad_request_violation(detail(path), error.to_string());
        }
        Error::FilterInvalid(what) => {
            details.add_bad_request_violation("filter", detail(what));
        }
        Error::SortInvalid(what) => {
            details.add_bad_request_violation("sort", detail(what));
        }
        Error::SchemaInvalid(violations) => {
            for violation in violations.iter().take(VIOLATION_LIMIT) {
                let (field, rule) = (detail(&violation.field), detail(&violation.rule));
                details.add_bad_request_violation(field, rule);
            }
        }
        Error::ValueTaken(attribute) => {
            details.set_resource_info("", "", "", detail(attribute));
        }
        Error::PageTokenInvalid | Error::PageTokenExpired => {
            details.add_bad_request_violation("page.page_token", error.to_string());
        }
        Error::TooMany { what, .. } => {
            details.add_bad_request_violation(*what, error.to_string());
        }
        Error::NotFound { kind, id } => {
            details.set_resource_info(kind.noun(), detail(id), "", "");
        }
        Error::Taken(taken) => {
            details.set_resource_info("", "", "", taken.attribute());
        }
        Error::Contention
        | Error::Conflict
        | Error::Unavailable(_)
        | Error::Unusable(_)
        | Error::IssuerUnavailable(_)
        | Error::ReplicaBehind
        | Error::Draining
        | Error::SlowConsumer => {
            details.set_retry_info(Some(RETRY));
        }
        Error::RateLimited(wait) => {
            details.set_retry_info(Some(*wait));
        }
        _ => {}
    }
    log(&error, reason);
    let mut status = Status::with_error_details(code, short(&error.to_string()), details);
    if let Error::RateLimited(wait) = error {
        push_back(&mut status, wait);
    }
    status
}

/// What the caller is told of one item of a batch.
pub(super) fn item(error: Error) -> tonic_types::Status {
    let status = status(error);
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// For clients that retry by themselves: when they may (gRPC proposal A6).
fn push_back(status: &mut Status, wait: Duration) {
    let ms = i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    status.metadata_mut().insert(PUSHBACK, ms.into());
}

/// Most violations in one answer: details travel in trailers, which are small.
const VIOLATION_LIMIT: usize = 20;

/// Longest text in an answer, in characters.
const TEXT_LIMIT: usize = 1_000;

fn short(text: &str) -> String {
    cut(text, TEXT_LIMIT)
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text inside the details, of which there may be many.
fn detail(text: &str) -> String {
    cut(text, 200)
}

/// Why a call was refused, for the audit; `None` for what is no refusal: the
/// database could not be asked.
pub(super) fn refusal(error: &Error) -> Option<Refusal> {
    let (code, reason) = classify(error);
    let outcome = match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Internal => "INTERNAL",
        _ => return None,
    };
    Some(Refusal {
        outcome,
        reason: name(reason),
    })
}

fn classify(error: &Error) -> (Code, ErrorReason) {
    use ErrorReason as Reason;
    match error {
        Error::CredentialMissing => (Code::Unauthenticated, Reason::CredentialMissing),
        Error::CredentialInvalid => (Code::Unauthenticated, Reason::CredentialInvalid),
        Error::NotProven => (Code::Unauthenticated, Reason::ProofOfPossessionFailed),
        Error::ScopeMissing(_) => (Code::PermissionDenied, Reason::ScopeMissing),
        Error::NotFound { kind, .. } => (Code::NotFound, not_found(*kind)),
        Error::Taken(taken) => (Code::AlreadyExists, already_exists(*taken)),
        Error::Invalid(violations) if are_missing(violations) => {
            (Code::InvalidArgument, Reason::RequiredAttributeMissing)
        }
        Error::Invalid(_) => (Code::InvalidArgument, Reason::FieldInvalid),
        Error::Required(_) => (Code::InvalidArgument, Reason::RequiredAttributeMissing),
        Error::ReadOnly(_) | Error::Immutable(_) | Error::Unremovable(_) => {
            (Code::InvalidArgument, Reason::Mutability)
        }
        Error::PathInvalid(_) | Error::SortInvalid(_) => {
            (Code::InvalidArgument, Reason::PathInvalid)
        }
        Error::NoTarget(_) => (Code::FailedPrecondition, Reason::NoTarget),
        Error::FilterInvalid(_) => (Code::InvalidArgument, Reason::FilterInvalid),
        Error::PageTokenInvalid => (Code::InvalidArgument, Reason::PageTokenInvalid),
        Error::PageTokenExpired => (Code::InvalidArgument, Reason::PageTokenExpired),
        Error::SchemaInvalid(_) => (Code::InvalidArgument, Reason::SchemaInvalid),
        Error::SchemaInUse { .. } => (Code::FailedPrecondition, Reason::SchemaInUse),
        Error::ValueTaken(_) => (Code::AlreadyExists, Reason::ValueTaken),
        Error::ProfileStale => (Code::FailedPrecondition, Reason::ProfileStale),
        Error::TooMany { .. } => (Code::InvalidArgument, Reason::TooManyItems),
        Error::UserInactive => (Code::FailedPrecondition, Reason::UserInactive),
        Error::TooManyGroups(_) => (Code::FailedPrecondition, Reason::GroupSetTooLarge),
        Error::AnswerFull => (Code::ResourceExhausted, Reason::AnswerTooLarge),
        Error::Protected => (Code::PermissionDenied, Reason::ProtectedAccount),
        Error::GroupsDisabled => (Code::FailedPrecondition, Reason::GroupsDisabled),
        Error::GroupInUse(_) => (Code::FailedPrecondition, Reason::GroupInUse),
        Error::KeyState(_) => (Code::FailedPrecondition, Reason::KeyState),
        Error::TokenState(_) => (Code::FailedPrecondition, Reason::TokenState),
        Error::Ambiguous(_) => (Code::FailedPrecondition, Reason::AmbiguousKey),
        Error::GroupDepth(_) => (Code::FailedPrecondition, Reason::GroupDepthExceeded),
        Error::RequestIdReused => (Code::FailedPrecondition, Reason::RequestIdReused),
        Error::GroupCycle(_) => (Code::FailedPrecondition, Reason::GroupCycle),
        Error::VersionMismatch { .. } => (Code::Aborted, Reason::EtagMismatch),
        Error::Contention | Error::Conflict => (Code::Unavailable, Reason::WriteConflict),
        Error::Unavailable(_) => (Code::Unavailable, Reason::StoreUnavailable),
        Error::IssuerUnavailable(_) => (Code::Unavailable, Reason::IssuerUnavailable),
        Error::Unusable(_) => (Code::Unavailable, Reason::StoreUnavailable),
        Error::RevisionInvalid => (Code::InvalidArgument, Reason::RevisionInvalid),
        Error::EpochMismatch => (Code::FailedPrecondition, Reason::StoreEpochMismatch),
        Error::CursorExpired => (Code::OutOfRange, Reason::CursorExpired),
        Error::ReplicaBehind => (Code::Unavailable, Reason::ReplicaBehind),
        Error::RateLimited(_) => (Code::ResourceExhausted, Reason::RateLimited),
        Error::SlowConsumer => (Code::ResourceExhausted, Reason::SlowConsumer),
        Error::Draining => (Code::Unavailable, Reason::Draining),
        Error::DeadlineExceeded => (Code::DeadlineExceeded, Reason::DeadlineExceeded),
        // Only commands work on files.
        Error::Internal(_) | Error::File(_) | Error::NotEmpty => (Code::Internal, Reason::Internal),
    }
}

/// Whether nothing is wrong but that values are missing.
fn are_missing(violations: &[Violation]) -> bool {
    !violations.is_empty() && violations.iter().all(Violation::is_missing)
}

fn not_found(kind: Kind) -> ErrorReason {
    match kind {
        Kind::User => ErrorReason::UserNotFound,
        Kind::Group => ErrorReason::GroupNotFound,
        Kind::Schema => ErrorReason::SchemaNotFound,
        Kind::Token => ErrorReason::TokenNotFound,
        Kind::Client => ErrorReason::ClientNotFound,
        Kind::SigningKey => ErrorReason::KeyNotFound,
        Kind::Connection | Kind::Tenant => ErrorReason::ConnectionNotFound,
    }
}

fn already_exists(taken: Taken) -> ErrorReason {
    match taken {
        Taken::UserName => ErrorReason::UserNameTaken,
        Taken::ExternalId => ErrorReason::ExternalIdTaken,
        Taken::FederatedIdentity => ErrorReason::FederatedIdentityTaken,
        Taken::GroupName | Taken::TenantName | Taken::ConnectionName | Taken::ClientName => {
            ErrorReason::DisplayNameTaken
        }
    }
}

/// The dynamic parts of the message (AIP-193).
fn metadata(error: &Error) -> HashMap<String, String> {
    if let Error::SchemaInUse {
        kind,
        id,
        attribute,
    } = error
    {
        let pairs = [
            ("resource_type", kind.noun().to_owned()),
            ("id", id.clone()),
            ("attribute", detail(attribute)),
        ];
        return pairs.map(|(name, value)| (name.to_owned(), value)).into();
    }
    let pair = match error {
        Error::Invalid(violations) => match violations.first() {
            Some(first) if are_missing(violations) => ("attribute", detail(&first.field)),
            _ => return HashMap::new(),
        },
        Error::ScopeMissing(scope) => ("scope", detail(scope)),
        Error::Taken(taken) => ("attribute", taken.attribute().to_owned()),
        Error::Required(attribute) => ("attribute", (*attribute).to_owned()),
        Error::ReadOnly(attribute)
        | Error::Immutable(attribute)
        | Error::Unremovable(attribute)
        | Error::ValueTaken(attribute) => ("attribute", detail(attribute)),
        Error::PathInvalid(path) | Error::NoTarget(path) => ("path", detail(path)),
        Error::TooMany { limit, .. } | Error::TooManyGroups(limit) | Error::GroupDepth(limit) => {
            ("limit", limit.to_string())
        }
        Error::GroupInUse(connection) => ("connection", detail(connection)),
        Error::VersionMismatch { current } => ("etag", current.clone()),
        _ => return HashMap::new(),
    };
    HashMap::from([(pair.0.to_owned(), pair.1)])
}

fn log(error: &Error, reason: ErrorReason) {
    match error {
        Error::Internal(cause) => tracing::error!(error = told(cause.as_ref()), "internal error"),
        Error::Unavailable(cause) => {
            tracing::error!(error = told(cause.as_ref()), "the database does not answer");
        }
        Error::Contention => tracing::warn!("the database was busy for too long"),
        // The reason alone: messages may repeat what the caller sent. Of an issuer
        // that is silent it is told where it is asked, which is seldom: anybody can
        // send what makes us look for its keys.
        _ => tracing::debug!(rpc.reason = name(reason), "refused a call"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_says_nothing_of_its_cause() {
        let status = status(Error::internal("UNIQUE constraint failed: users.secret"));
        assert_eq!(status.message(), "internal error");
        let info = status
            .get_error_details()
            .error_info()
            .cloned()
            .expect("always there");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INTERNAL", DOMAIN)
        );
    }

    #[test]
    fn who_calls_too_often_is_told_when_to_come_back() {
        let wait = Duration::from_micros(1_500);
        let status = status(Error::RateLimited(wait));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str());
        assert_eq!(reason, Some("RATE_LIMITED"));
        let told = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(told, Some(wait));
        let metadata = status.metadata();
        assert!(metadata.get(PUSHBACK).is_some_and(|ms| ms == "2"));
        assert!(refusal(&Error::RateLimited(wait)).is_none(), "no audit");
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_wrong() {
        let missing = || Violation::missing("title", "the title is missing");
        let wrong = || Violation::new("active", "must be true or false");
        let reason = |violations: Vec<Violation>| {
            let error = Error::Invalid(violations);
            let attribute = metadata(&error).remove("attribute");
            (classify(&error).1, attribute.unwrap_or_default())
        };
        assert_eq!(
            reason(vec![missing(), missing()]),
            (ErrorReason::RequiredAttributeMissing, "title".to_owned())
        );
        let invalid = (ErrorReason::FieldInvalid, String::new());
        assert_eq!(reason(vec![missing(), wrong()]), invalid);
        assert_eq!(reason(vec![]), invalid);
    }

    #[test]
    fn long_texts_are_cut() {
        let status = status(Error::FilterInvalid("ä".repeat(5_000)));
        assert!(status.message().chars().count() < TEXT_LIMIT + 10);
    }
}
