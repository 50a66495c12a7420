//! One log line, two metrics and an id per request.
//!
//! The line names the route, not the path, and never the query: both may
//! carry e-mail addresses. Labels come from the route table and from HTTP's
//! own methods, so that no client can make new time series.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, request::Parts},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

use super::address::address;
use crate::{client::Occasion, config::Config};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_LENGTH: usize = 64;

/// Names a request in all logs: the client's own name for it, else ours.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestId(String);

/// What the directory is told of a request that came through here.
pub(super) fn occasion(parts: &Parts, config: &Config) -> Occasion {
    let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
    Occasion {
        request_id,
        address: address(parts, config),
    }
}

pub(super) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));

    let mut response = next.run(request).await;

    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let duration = started.elapsed();
    let status = response.status().as_u16();
    let labels = [("method", method.to_owned()), ("route", route.clone())];
    metrics::histogram!("scim_http_request_duration_seconds", &labels)
        .record(duration.as_secs_f64());
    let [method_label, route_label] = labels;
    let labels = [method_label, route_label, ("status", status.to_string())];
    metrics::counter!("scim_http_requests_total", &labels).increment(1);
    tracing::info!(
        http.method = method,
        http.route = route,
        http.status = status,
        duration_ms = duration.as_secs_f64() * 1000.0,
        request.id = id,
        "answered a request"
    );
    response
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| {
        // An id, and nothing that could be somebody's address.
        let in_id = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        (1..=MAX_ID_LENGTH).contains(&id.len()) && id.bytes().all(in_id)
    };
    match given.filter(is_sane) {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    }
}
