//! Request bodies: media type, size, time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::scim::error::ScimError;

/// A client that sends more slowly holds a connection for nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the body.
///
/// # Errors
/// 415 for a media type that is not JSON, 413 for a body that is too long,
/// 408 for one that does not come, 400 for one that breaks off.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ScimError> {
    if !is_json(headers) {
        let detail = "The body must be application/scim+json or application/json.";
        return Err(ScimError::new(415, detail));
    }
    read_bounded(body, limit).await
}

/// Reads a body of any media type.
///
/// # Errors
/// As [`read`], but for 415.
pub(super) async fn read_bounded(body: Body, limit: usize) -> Result<Bytes, ScimError> {
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(READ_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("The body may have at most {limit} bytes.");
            Err(ScimError::too_large(detail))
        }
        Ok(Err(_)) => Err(ScimError::invalid_syntax("The body is incomplete.")),
        Err(_) => Err(ScimError::new(408, "The body did not arrive in time.")),
    }
}

/// Parameters of the media type, such as a charset, are not looked at: JSON is
/// UTF-8. A client that does not name the type means SCIM.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    ["application/scim+json", "application/json"]
        .iter()
        .any(|json| json.eq_ignore_ascii_case(essence))
}
