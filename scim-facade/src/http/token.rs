//! `/oauth2/token`: access tokens for OAuth clients. Its language is
//! [`crate::oauth`]; its answers are JSON of RFC 6749, not of SCIM.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
        },
    },
    response::Response,
};

use super::{App, body, observe::occasion, reply};
use crate::{
    client::Refusal,
    oauth::{self, Error},
    scim::{error::ScimError, json::Json},
    translate::token::{self, AccessToken},
};

/// Path of the token endpoint, on the server's own root: one for all tenants,
/// as the client's id names the connection.
pub const TOKEN_PATH: &str = "/oauth2/token";

const FORM: &str = "application/x-www-form-urlencoded";
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"scim\"");

/// Answers a request for a token.
pub(super) async fn issue(State(app): State<App>, request: Request) -> Response {
    let by_header = request.headers().contains_key(AUTHORIZATION);
    match answer(&app, request).await {
        Ok(token) => json(
            StatusCode::OK,
            &Json::object([
                ("access_token", token.text.as_str().into()),
                ("token_type", "Bearer".into()),
                ("expires_in", token.expires_in_s.into()),
            ]),
        ),
        Err(failure) => failed(&failure, by_header),
    }
}

/// An error as it is answered.
struct Failure {
    error: Error,
    /// Where it is not the error's own.
    status: Option<u16>,
    retry_after_s: Option<u32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            status: None,
            retry_after_s: None,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::Told(error) => error,
            // The call names no profile.
            Refusal::Stale => ScimError::unavailable(),
        };
        let retry_after_s = error.retry_after_s();
        let error = match error.status() {
            401 => Error::InvalidClient,
            429 => Error::TooManyRequests,
            503 => Error::TemporarilyUnavailable,
            _ => Error::ServerError,
        };
        Self {
            retry_after_s,
            ..error.into()
        }
    }
}

async fn answer(app: &App, request: Request) -> Result<AccessToken, Failure> {
    let (parts, body) = request.into_parts();
    if !is_form(&parts.headers) {
        return Err(
            Error::InvalidRequest("The body must be application/x-www-form-urlencoded.").into(),
        );
    }
    let limit = app.config.body_limit;
    let body = body::read_bounded(&parts.headers, body, limit, &app.turns).await;
    let (body, _turn) = body.map_err(|error| misread(&error))?;
    let mut authorizations = parts.headers.get_all(AUTHORIZATION).iter();
    let authorization = match (authorizations.next(), authorizations.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.to_str().map_err(|_| Error::InvalidClient)?),
        // Of two, a proxy in front may have looked at the other.
        (Some(_), Some(_)) => return Err(Error::InvalidClient.into()),
    };
    let request = oauth::parse(&body, authorization)?;
    let occasion = occasion(&parts, &app.config);
    let request = token::lower(request);
    let issued = app.directory.issue_token(&occasion, request).await?;
    Ok(token::raise(issued))
}

fn misread(error: &ScimError) -> Failure {
    Failure {
        error: Error::InvalidRequest("The body is too long or did not arrive."),
        status: Some(error.status()),
        retry_after_s: error.retry_after_s(),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = value.and_then(|v| v.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

fn failed(failure: &Failure, by_header: bool) -> Response {
    let error = failure.error;
    let own = match error {
        Error::InvalidRequest(_) | Error::UnsupportedGrantType => StatusCode::BAD_REQUEST,
        Error::InvalidClient => StatusCode::UNAUTHORIZED,
        Error::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Error::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Error::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let status = failure.status.and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.unwrap_or(own);
    let mut response = json(
        status,
        &Json::object([
            ("error", error.code().into()),
            ("error_description", error.description().into()),
        ]),
    );
    let headers = response.headers_mut();
    // RFC 6749 section 5.2: in the scheme that the client tried.
    if status == StatusCode::UNAUTHORIZED && by_header {
        headers.insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    if let Some(seconds) = failure.retry_after_s {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// RFC 6749 section 5.1: no answer of this endpoint is kept anywhere.
fn json(status: StatusCode, json: &Json) -> Response {
    let mut response = reply::text(status, "application/json", json.to_string());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
