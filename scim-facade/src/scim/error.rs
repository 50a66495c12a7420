//! What a SCIM client is told when a request fails: RFC 7644 section 3.12.

use std::time::Duration;

use super::{json::Json, urn};

/// Sentence of every 500: what happened stands in the log, not in the answer.
pub const INTERNAL: &str = "The server met an unexpected condition.";
/// Sentence of every 503.
pub const UNAVAILABLE: &str = "The service is busy or restarting; try again.";
/// Sentence of every 429.
pub const TOO_MANY_REQUESTS: &str = "There are too many requests; try again later.";
/// Sentence of every 401, whatever the cause.
pub const UNAUTHORIZED: &str = "A valid bearer token is required.";

/// Seconds after which a client may retry what met a 429 or 503, when nobody
/// knows better.
const RETRY_AFTER_S: u32 = 5;

/// The keyword of RFC 7644 table 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The cursor is too old (RFC 9865).
    ExpiredCursor,
    /// A page by cursor cannot have this size (RFC 9865).
    InvalidCount,
    /// The cursor was not made for this list (RFC 9865).
    InvalidCursor,
    /// The filter cannot be read, or compares what cannot be compared.
    InvalidFilter,
    /// The body has not the structure of the request.
    InvalidSyntax,
    /// A PATCH path cannot be read or names an unknown attribute.
    InvalidPath,
    /// A value is missing or not of its attribute's type.
    InvalidValue,
    /// The attribute may not be written.
    Mutability,
    /// The path has no target.
    NoTarget,
    /// The value is taken.
    Uniqueness,
}

impl ScimType {
    /// Spelling on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExpiredCursor => "expiredCursor",
            Self::InvalidCount => "invalidCount",
            Self::InvalidCursor => "invalidCursor",
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::InvalidValue => "invalidValue",
            Self::Mutability => "mutability",
            Self::NoTarget => "noTarget",
            Self::Uniqueness => "uniqueness",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::Uniqueness => 409,
            _ => 400,
        }
    }
}

/// An answer that is an error. `detail` is written for the client: it may
/// quote what the client sent, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimError {
    status: u16,
    scim_type: Option<ScimType>,
    detail: String,
    retry_after_s: Option<u32>,
    reason: Option<&'static str>,
    attribute: String,
}

impl ScimError {
    /// An error without a keyword.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self {
            status,
            scim_type: None,
            detail: detail.into(),
            retry_after_s: None,
            reason: None,
            attribute: String::new(),
        }
    }

    /// An error with a keyword, which decides the status.
    pub fn typed(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self {
            status: scim_type.status(),
            scim_type: Some(scim_type),
            detail: detail.into(),
            retry_after_s: None,
            reason: None,
            attribute: String::new(),
        }
    }

    /// 400 invalidFilter
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::InvalidFilter, detail)
    }

    /// 400 invalidSyntax
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::InvalidSyntax, detail)
    }

    /// 400 invalidPath
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::InvalidPath, detail)
    }

    /// 400 invalidValue
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::InvalidValue, detail)
    }

    /// 400 mutability
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::Mutability, detail)
    }

    /// 400 noTarget
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::typed(ScimType::NoTarget, detail)
    }

    /// 401, the same for all causes.
    pub fn unauthorized() -> Self {
        Self::new(401, UNAUTHORIZED)
    }

    /// 404
    pub fn not_found() -> Self {
        Self::new(404, "The resource does not exist.")
    }

    /// 413
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(413, detail)
    }

    /// 429
    pub fn too_many_requests() -> Self {
        Self::new(429, TOO_MANY_REQUESTS)
    }

    /// The same, after which a retry makes sense so much later: in whole
    /// seconds, rounded up, and one at least.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
        Self {
            retry_after_s: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
            ..self
        }
    }

    /// The same with what its keyword does not tell, for the log: the directory's
    /// name of the reason, and the attribute that it is about; empty for none.
    #[must_use]
    pub fn because(self, reason: &'static str, attribute: impl Into<String>) -> Self {
        Self {
            reason: Some(reason),
            attribute: attribute.into(),
            ..self
        }
    }

    /// The same with the attribute that it is about, for the log.
    #[must_use]
    pub fn about(self, attribute: impl Into<String>) -> Self {
        Self {
            attribute: attribute.into(),
            ..self
        }
    }

    /// 500, with the one sentence that says nothing.
    pub fn internal() -> Self {
        Self::new(500, INTERNAL)
    }

    /// 503
    pub fn unavailable() -> Self {
        Self::new(503, UNAVAILABLE)
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The keyword, where RFC 7644 has one.
    pub fn scim_type(&self) -> Option<ScimType> {
        self.scim_type
    }

    /// The sentence for the client.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The directory's name of the reason.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// The attribute that it is about; empty where none is known.
    pub fn attribute(&self) -> &str {
        &self.attribute
    }

    /// After how many seconds a retry makes sense; `None` when it does not.
    pub fn retry_after_s(&self) -> Option<u32> {
        let usual = matches!(self.status, 429 | 503).then_some(RETRY_AFTER_S);
        self.retry_after_s.or(usual)
    }

    /// The body. `status` is a string there (RFC 7644 section 3.12).
    ///
    /// ```
    /// use scim_facade::scim::error::ScimError;
    /// assert_eq!(
    ///     ScimError::invalid_value("userName is required.").render().to_string(),
    ///     "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\
    ///      \"status\":\"400\",\"scimType\":\"invalidValue\",\"detail\":\"userName is required.\"}"
    /// );
    /// ```
    pub fn render(&self) -> Json {
        let mut members = super::json::Members::default();
        members.push("schemas", vec![Json::from(urn::ERROR)]);
        members.push("status", self.status.to_string());
        if let Some(scim_type) = self.scim_type {
            members.push("scimType", scim_type.as_str());
        }
        members.push("detail", self.detail.as_str());
        Json::Object(members)
    }
}
