//! Error reasons as they travel in `google.rpc.ErrorInfo`.

use crate::v1::ErrorReason;

/// `ErrorInfo.domain` of every error of the directory.
pub const DOMAIN: &str = "directory.identity";

const PREFIX: &str = "ERROR_REASON_";

/// The name without the enum's prefix, as in `ErrorInfo.reason`.
///
/// ```
/// use muster_proto::{reason, v1::ErrorReason};
/// assert_eq!(reason::name(ErrorReason::UserNameTaken), "USER_NAME_TAKEN");
/// ```
pub fn name(reason: ErrorReason) -> &'static str {
    let full = reason.as_str_name();
    full.strip_prefix(PREFIX).unwrap_or(full)
}

/// The reason with this name; `None` for one that this build does not know.
pub fn parse(name: &str) -> Option<ErrorReason> {
    ErrorReason::from_str_name(&format!("{PREFIX}{name}"))
}
