//! Answers: one media type, one form of errors.

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::Response,
};

use crate::scim::{error::ScimError, json::Json};

const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json; charset=utf-8");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"scim\"");

/// A body.
pub(super) fn json(status: StatusCode, json: &Json) -> Response {
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
    response
}

/// A resource with its version.
pub(super) fn resource(status: StatusCode, etag: &str, body: &Json) -> Response {
    with(json(status, body), ETAG, etag)
}

/// A resource that was made, and where.
pub(super) fn created(etag: &str, location: &str, body: &Json) -> Response {
    with(
        resource(StatusCode::CREATED, etag, body),
        LOCATION,
        location,
    )
}

/// 204
pub(super) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// 304
pub(super) fn not_modified(etag: &str) -> Response {
    with(empty(StatusCode::NOT_MODIFIED), ETAG, etag)
}

/// An error with the headers that belong to its status.
pub(super) fn error(error: &ScimError) -> Response {
    let status = StatusCode::from_u16(error.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &error.render());
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(seconds) = error.retry_after_s() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Plain text, for operators.
pub(super) fn text(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    // An empty tag, or one with control characters, is better left out.
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        response.headers_mut().insert(name, value);
    }
    response
}
