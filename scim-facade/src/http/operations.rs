//! Endpoints for operators; they need no token and carry no data of tenants.

use axum::{extract::State, http::StatusCode, response::Response};

use super::{App, reply};
use crate::scim::error::ScimError;

const TEXT: &str = "text/plain; charset=utf-8";
/// The text format of Prometheus.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/healthz`: the process answers.
pub(super) async fn health() -> Response {
    reply::text(StatusCode::OK, TEXT, "ok".to_owned())
}

/// `/readyz`: the directory answers too.
pub(super) async fn ready(State(app): State<App>) -> Response {
    if app.directory.is_ready().await {
        reply::text(StatusCode::OK, TEXT, "ok".to_owned())
    } else {
        let text = "the directory does not serve".to_owned();
        reply::text(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
    }
}

/// `/metrics`
pub(super) async fn metrics(State(app): State<App>) -> Response {
    match &app.metrics {
        Some(render) => reply::text(StatusCode::OK, EXPOSITION, render()),
        None => reply::error(&ScimError::new(404, "There is no such endpoint.")),
    }
}
