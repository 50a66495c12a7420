//! What can go wrong, as facts that callers branch on.

use std::time::Duration;

use muster_proto::{reason, v1::ErrorReason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What calls end in that do not succeed.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Metadata by which a server says when a call may be tried again (gRPC proposal A6).
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory said no, or could not be reached.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// The client is set up in a way that cannot work.
    #[error("{0}")]
    Settings(String),
    /// What the cache knows is too old to be believed.
    #[error("the cache was surely exact {} ms ago, and may not be now", silence.as_millis())]
    Stale {
        /// How old it may be.
        silence: Duration,
    },
    /// The cache is not filled yet.
    #[error("the cache is not filled yet")]
    NotReady,
    /// Nobody has this id or key.
    #[error("there is no such user")]
    UserNotFound,
    /// No group has this id.
    #[error("there is no such group")]
    GroupNotFound,
    /// More than one user has this key.
    #[error("more than one user has this key")]
    AmbiguousKey,
    /// The user is there and may not act.
    #[error("the user may not act")]
    UserInactive,
    /// The cache does not keep what the question needs.
    #[error("the cache does not keep {0}")]
    NotKept(&'static str),
    /// The token is not to be believed.
    #[error("the token is refused: {0}")]
    TokenRefused(TokenFault),
    /// Nobody follows the cache's feed any more: the runtime that did is gone.
    #[error("the cache was stopped")]
    Stopped,
}

/// Why a token is not to be believed. For logs: its holder is told no more than that
/// it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// It is no JWT of the kind that muster makes for users.
    #[error("it is no access token")]
    Malformed,
    /// No key of the issuer has this `kid`.
    #[error("its key is unknown")]
    UnknownKey,
    /// The signature is not that key's, or not by that key's algorithm.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("it has another issuer")]
    Issuer,
    /// Not meant for this service.
    #[error("it has another audience")]
    Audience,
    /// Of another tenant.
    #[error("it is another tenant's")]
    Tenant,
    /// Its time is over.
    #[error("it has ended")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    Early,
    /// It lacks a scope that is asked for.
    #[error("it lacks a scope")]
    Scope,
    /// Its holder must prove to have something (claim `cnf`), and nobody here asks for
    /// the proof.
    #[error("it is bound to a key or a certificate")]
    Bound,
    /// Its user may not act, or does not exist.
    #[error("its user may not act")]
    Inactive,
    /// Its user was signed out, or lost his access, after it was issued.
    #[error("it was ended")]
    Ended,
}

/// What the directory answered instead, or what became of the way to it.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The gRPC code.
    pub code: Code,
    /// Why, to branch on; `Unspecified` where no reason was given or where it is of a
    /// later version of the contract.
    pub reason: ErrorReason,
    /// For people.
    pub message: String,
    /// What belongs to the reason, for example `attribute`.
    pub metadata: Vec<(String, String)>,
    /// Fields that are wrong, each with the rule.
    pub violations: Vec<(String, String)>,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            reason,
            message,
            ..
        } = self;
        match reason {
            ErrorReason::Unspecified => write!(f, "{code:?}: {message}"),
            reason => write!(f, "{} ({code:?}): {message}", reason::name(*reason)),
        }
    }
}

impl From<&Status> for Refused {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let ours = info.filter(|info| info.domain == reason::DOMAIN);
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let violations = violations.into_iter().flatten();
        Self {
            code: status.code(),
            reason: ours
                .and_then(|info| reason::parse(&info.reason))
                .unwrap_or_default(),
            message: status.message().to_owned(),
            metadata: ours
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            violations: violations
                .map(|violation| (violation.field.clone(), violation.description.clone()))
                .collect(),
            retry_after: pushback(status)
                .or_else(|| details.retry_info().and_then(|info| info.retry_delay)),
        }
    }
}

impl Refused {
    /// What stands in an answer in the place of a result.
    pub(crate) fn from_rpc(error: &tonic_types::Status) -> Self {
        use prost::Message as _;
        let details = error.encode_to_vec().into();
        let code = Code::from_i32(error.code);
        Self::from(&Status::with_details(code, error.message.clone(), details))
    }
}

/// When the server wants to be asked again, by the metadata alone.
fn pushback(status: &Status) -> Option<Duration> {
    let value = status.metadata().get(PUSHBACK)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_millis)
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(Refused::from(&status)))
    }
}

impl Error {
    /// The directory's reason; `None` for what the directory did not say.
    ///
    /// ```
    /// use muster_client::{Error, ErrorReason, tonic::Status};
    /// let error = Error::from(Status::unavailable("nobody is there"));
    /// assert_eq!(error.reason(), None);
    /// assert!(error.is_retryable());
    /// assert_ne!(error.reason(), Some(ErrorReason::UserNotFound));
    /// ```
    pub fn reason(&self) -> Option<ErrorReason> {
        match self {
            Self::Refused(refused) if refused.reason != ErrorReason::Unspecified => {
                Some(refused.reason)
            }
            Self::UserNotFound => Some(ErrorReason::UserNotFound),
            Self::GroupNotFound => Some(ErrorReason::GroupNotFound),
            Self::AmbiguousKey => Some(ErrorReason::AmbiguousKey),
            Self::UserInactive => Some(ErrorReason::UserInactive),
            _ => None,
        }
    }

    /// The gRPC code of what the directory answered.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refused) => Some(refused.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later. The client has tried again already as
    /// often as was safe: a write that may have happened is to be repeated with the
    /// same request id alone.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refused) => matches!(
                refused.code,
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::DeadlineExceeded
                    | Code::Cancelled
            ),
            Self::Stale { .. } | Self::NotReady => true,
            _ => false,
        }
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refused) => refused.retry_after,
            _ => None,
        }
    }

    pub(crate) fn is(&self, reason: ErrorReason) -> bool {
        self.reason() == Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_status_is_taken_apart() {
        let mut details = ErrorDetails::with_error_info(
            "RATE_LIMITED",
            reason::DOMAIN,
            [("limit".to_owned(), "5".to_owned())],
        );
        details.set_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::ResourceExhausted, "slowly", details);
        let error = Error::from(status);
        assert_eq!(error.reason(), Some(ErrorReason::RateLimited));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            "RATE_LIMITED (ResourceExhausted): slowly"
        );
    }

    #[test]
    fn reasons_of_others_and_of_later_versions_are_none() {
        for (name, domain) in [("RATE_LIMITED", "example.test"), ("NEW", reason::DOMAIN)] {
            let details = ErrorDetails::with_error_info(name, domain, []);
            let status = Status::with_error_details(Code::NotFound, "x", details);
            let error = Error::from(status);
            assert_eq!((error.reason(), error.is_retryable()), (None, false));
        }
    }
}
