//! What can go wrong, as facts. No wire vocabulary: gRPC codes and details are
//! made of these in `grpc/status.rs`, sentences for operators in `Display`.

use std::{fmt, time::Duration};

use crate::domain::Kind;

/// `Result` with the directory's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a use case ended without doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No credential came with the call.
    #[error("no credential")]
    CredentialMissing,
    /// The credential is unknown, malformed, expired, revoked or another
    /// connection's. One fact for all causes: callers must not learn which.
    #[error("the credential is not valid")]
    CredentialInvalid,
    /// The client is bound to a certificate, and the call came without it.
    #[error("the call does not come with the client's certificate")]
    NotProven,
    /// The credential is good but gives no right to this call.
    #[error("the credential lacks the scope {0:?}")]
    ScopeMissing(String),
    /// There is no such resource in the caller's tenant.
    #[error("{} {id:?} does not exist", kind.noun())]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// The id as given.
        id: String,
    },
    /// A value that must be unique in its scope is in use.
    #[error("{} is already in use", .0.attribute())]
    Taken(Taken),
    /// Fields whose values break a rule.
    #[error("{}", Violation::list(.0))]
    Invalid(Vec<Violation>),
    /// An attribute that must have a value has none.
    #[error("{0} is required")]
    Required(&'static str),
    /// An attribute that the caller may not write.
    #[error("{0} is read-only")]
    ReadOnly(String),
    /// An attribute that may be written once, and was.
    #[error("{0} cannot be changed once it has a value")]
    Immutable(String),
    /// An attribute that must have a value, and had one.
    #[error("{0} is required and cannot be removed")]
    Unremovable(String),
    /// A PATCH path that names nothing known.
    #[error("path {0:?} names no attribute")]
    PathInvalid(String),
    /// A PATCH path that selects nothing where something is needed.
    #[error("path {0:?} selects nothing")]
    NoTarget(String),
    /// A filter that cannot be evaluated.
    #[error("{0}")]
    FilterInvalid(String),
    /// An order that a list cannot have.
    #[error("{0}")]
    SortInvalid(String),
    /// A page token that this server did not make for this list.
    #[error("the page token does not belong to this list")]
    PageTokenInvalid,
    /// A page token that is too old.
    #[error("the page token is too old; start anew")]
    PageTokenExpired,
    /// A schema that cannot be registered.
    #[error("{}", Violation::list(.0))]
    SchemaInvalid(Vec<Violation>),
    /// A resource has values that a schema does not allow.
    #[error("{} {id:?} has a value that the schema does not allow: {attribute}", kind.noun())]
    SchemaInUse {
        /// What has them.
        kind: Kind,
        /// Its id.
        id: String,
        /// The attribute.
        attribute: String,
    },
    /// A value of an attribute that a tenant's schema calls unique.
    #[error("{0} is already in use")]
    ValueTaken(String),
    /// The tenant's schemas changed while the call was under way.
    #[error("the tenant's schemas changed meanwhile; try again")]
    Conflict,
    /// The caller goes by a profile of his connection that is no longer its.
    #[error("the connection has another profile now")]
    ProfileStale,
    /// More items in one request than allowed.
    #[error("at most {limit} {what} in one request")]
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// A user who may not act.
    #[error("the user may not act")]
    UserInactive,
    /// A user is in more groups than an answer may hold.
    #[error("the user is in more than {0} groups")]
    TooManyGroups(usize),
    /// An item that has no room in an answer.
    #[error("the answer is full; ask for it in another batch")]
    AnswerFull,
    /// A user whom the policy of a connection protects.
    #[error("the account is protected: it is not deactivated, deleted or renamed from here")]
    Protected,
    /// The connection provisions users alone.
    #[error("this connection provisions users, not groups")]
    GroupsDisabled,
    /// A group that new users of a connection join; its name.
    #[error("new users of connection {0:?} join this group; change its policy first")]
    GroupInUse(String),
    /// A signing key whose state does not allow what was asked.
    #[error("{0}")]
    KeyState(&'static str),
    /// A token whose state or kind does not allow what was asked.
    #[error("{0}")]
    TokenState(&'static str),
    /// Several users have the key by which one was named.
    #[error("more than one user has this {0}")]
    Ambiguous(&'static str),
    /// Groups would be nested too deep.
    #[error("groups would be nested through more than {0} memberships")]
    GroupDepth(usize),
    /// A request came with the id of another one.
    #[error("the request id came with another request before")]
    RequestIdReused,
    /// A group would become a member of itself.
    #[error("group {0:?} would become a member of itself")]
    GroupCycle(String),
    /// The precondition names another version than the current one.
    #[error("the resource has another version, {current}")]
    VersionMismatch {
        /// Its entity tag now.
        current: String,
    },
    /// Other writers kept the database busy for too long.
    #[error("the database is busy")]
    Contention,
    /// The database does not answer.
    #[error("the database does not answer")]
    Unavailable(#[source] Cause),
    /// The database cannot be used as it is; for the operator at start.
    #[error("{0}")]
    Unusable(String),
    /// A file that cannot be written or read, with the reason.
    #[error("{0}")]
    File(String),
    /// The database has tenants already.
    #[error("the database has tenants already; import into an empty one")]
    NotEmpty,
    /// A revision that is none of this tenant's, or has not happened.
    #[error("the revision is none of this directory's")]
    RevisionInvalid,
    /// A revision or token from before the database was restored or replaced.
    #[error("the revision is from before the database was restored or replaced")]
    EpochMismatch,
    /// Changes behind this revision are no longer kept.
    #[error("changes behind this revision are no longer kept")]
    CursorExpired,
    /// No replica has the revision, and the primary does not answer.
    #[error("no replica has this revision yet")]
    ReplicaBehind,
    /// More calls than the rate allows; after so long there is room for one.
    #[error("there are too many calls; try again later")]
    RateLimited(Duration),
    /// A stream whose messages are not taken.
    #[error("the messages of the stream were not taken in time")]
    SlowConsumer,
    /// The server stops.
    #[error("the server stops")]
    Draining,
    /// The call took longer than its deadline.
    #[error("the call took too long")]
    DeadlineExceeded,
    /// The issuer of a client assertion does not give its keys.
    #[error("the issuer of the assertion does not answer")]
    IssuerUnavailable(#[source] Cause),
    /// A fault of ours.
    #[error("internal error")]
    Internal(#[source] Cause),
}

/// What lies behind an error; for the log alone.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// A violation of one field.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(field, rule)])
    }

    /// A fault of ours, in words.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into().into())
    }
}

/// A value that must be unique in its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// `userName`, in the tenant.
    UserName,
    /// `displayName` of a group, in the tenant.
    GroupName,
    /// `externalId`, in the connection.
    ExternalId,
    /// The name of a tenant.
    TenantName,
    /// The name of a connection, in the tenant.
    ConnectionName,
    /// The name of a service client, in the tenant.
    ClientName,
    /// Issuer and subject of an identity provider, in the tenant.
    FederatedIdentity,
}

impl Taken {
    /// The attribute's name in the API.
    pub fn attribute(self) -> &'static str {
        match self {
            Self::UserName => "userName",
            Self::GroupName => "displayName",
            Self::ExternalId => "externalId",
            Self::TenantName => "tenant name",
            Self::ConnectionName => "connection name",
            Self::ClientName => "client name",
            Self::FederatedIdentity => "federated identity",
        }
    }
}

/// A field and the rule that its value breaks. Values are not repeated, other
/// than ids that name nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, for example `emails.primary`.
    pub field: String,
    /// The rule, for example `must be true or false`; of a value that is missing
    /// `is required: ` and why.
    pub rule: String,
    is_missing: bool,
}

impl Violation {
    /// A violation of this rule by this field.
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            rule: rule.into(),
            is_missing: false,
        }
    }

    /// The violation of a field that must have a value and has none; how that is known.
    pub fn missing(field: impl Into<String>, how: impl fmt::Display) -> Self {
        Self {
            is_missing: true,
            ..Self::new(field, format!("is required: {how}"))
        }
    }

    /// Whether the field has no value, and must have one.
    pub fn is_missing(&self) -> bool {
        self.is_missing
    }

    fn list(violations: &[Self]) -> String {
        let sentences = violations.iter().map(|v| format!("{} {}", v.field, v.rule));
        sentences.collect::<Vec<_>>().join("; ")
    }
}

/// What an error says, and what those behind it say; for the log.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
