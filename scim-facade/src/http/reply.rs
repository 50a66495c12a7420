//! Answers: one media type, one form of errors.

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
        },
    },
    response::Response,
};

use crate::scim::{error::ScimError, json::Json, resource::Shown};

const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");
const BY_ACCEPT: HeaderValue = HeaderValue::from_static("accept");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"scim\"");

/// A body.
pub(super) fn json(status: StatusCode, json: &Json) -> Response {
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
    varying(response)
}

/// An answer whose media type the client chose (RFC 9110 section 12.5.5).
fn varying(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, BY_ACCEPT);
    response
}

/// What a request came to, before it is an answer in HTTP: the operations of
/// a bulk come to the same.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// A resource.
    Shown(StatusCode, Shown),
    /// Any other document.
    Document(Json),
    /// The client has this already.
    NotModified { version: String, location: String },
    /// Done, and nothing to show.
    Done,
    /// A resource that was written and is not shown, nor is its version: that
    /// tells of members who were not read.
    Unshown {
        status: StatusCode,
        location: String,
    },
}

impl Outcome {
    /// The answer.
    pub(super) fn respond(self) -> Response {
        match self {
            Self::Shown(status, shown) => {
                let response = json(status, &shown.body);
                about(response, &shown.version, &shown.location)
            }
            Self::Document(document) => json(StatusCode::OK, &document),
            Self::NotModified { version, location } => {
                let response = varying(empty(StatusCode::NOT_MODIFIED));
                about(response, &version, &location)
            }
            Self::Done => empty(StatusCode::NO_CONTENT),
            Self::Unshown { status, location } => with(empty(status), LOCATION, &location),
        }
    }
}

/// An answer that is about one resource: which version of it, and where it is
/// (RFC 7643 section 3.1, RFC 7644 section 3.1).
fn about(response: Response, version: &str, location: &str) -> Response {
    let response = with(response, ETAG, version);
    let response = with(response, CONTENT_LOCATION, location);
    with(response, LOCATION, location)
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

/// No body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The answer with this header.
pub(super) fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    // An empty tag, or one with control characters, is better left out.
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        response.headers_mut().insert(name, value);
    }
    response
}
