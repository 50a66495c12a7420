//! SCIM over HTTP: RFC 7644 section 3. What arrives is checked and handed to
//! [`crate::scim`]; what goes to the directory is made in
//! [`crate::translate`].

mod auth;
mod body;
mod discovery;
mod exchange;
mod groups;
mod observe;
mod operations;
mod precondition;
mod query;
mod reply;
mod token;
mod users;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::Request,
    http::{StatusCode, Uri},
    middleware,
    response::Response,
    routing::{MethodRouter, any, get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use self::exchange::{BasePath, endpoint};
pub use self::token::TOKEN_PATH;
use crate::{client::DirectoryClient, config::Config, scim::error::ScimError};

/// Renders metrics in the text format of Prometheus.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What every handler shares.
pub(crate) struct Facade {
    pub(crate) config: Config,
    pub(crate) directory: DirectoryClient,
    pub(crate) metrics: Option<Metrics>,
}

type App = Arc<Facade>;

/// All routes. Requests must have passed [`normalize`].
pub(crate) fn router(facade: Facade) -> Router {
    let app: App = Arc::new(facade);
    let mut router = Router::new()
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route(TOKEN_PATH, post(token::issue));
    let mut seen = Vec::new();
    for path in &app.config.base_paths {
        let base = path.trim_end_matches('/').to_owned();
        if !seen.contains(&base) {
            seen.push(base.clone());
            router = router.merge(scim_routes(&base).layer(Extension(BasePath(base))));
        }
    }
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        // Inside the observer, so that a panic is counted as the 500 it is.
        .layer(CatchPanicLayer::custom(panicked))
        // Outermost: it also sees requests that no route takes.
        .layer(middleware::from_fn(observe::observe))
        .with_state(app)
}

/// SCIM below one base path: as the token's own connection, and with the
/// connection named in the path.
fn scim_routes(base: &str) -> Router<App> {
    let mut router = Router::new();
    for prefix in [
        base.to_owned(),
        format!("{base}/connections/{{connection}}"),
    ] {
        for (path, methods) in table() {
            router = router.route(&format!("{prefix}{path}"), methods);
        }
    }
    router
}

fn table() -> [(&'static str, MethodRouter<App>); 14] {
    let absent = || any(endpoint(not_implemented));
    [
        (
            "/Users",
            get(endpoint(users::list)).post(endpoint(users::create)),
        ),
        (
            "/Users/{id}",
            get(endpoint(users::get))
                .put(endpoint(users::replace))
                .patch(endpoint(users::patch))
                .delete(endpoint(users::delete)),
        ),
        (
            "/Groups",
            get(endpoint(groups::list)).post(endpoint(groups::create)),
        ),
        (
            "/Groups/{id}",
            get(endpoint(groups::get))
                .put(endpoint(groups::replace))
                .patch(endpoint(groups::patch))
                .delete(endpoint(groups::delete)),
        ),
        (
            "/ServiceProviderConfig",
            get(discovery::service_provider_config),
        ),
        ("/ResourceTypes", get(endpoint(discovery::resource_types))),
        (
            "/ResourceTypes/{id}",
            get(endpoint(discovery::resource_type)),
        ),
        ("/Schemas", get(endpoint(discovery::schemas))),
        ("/Schemas/{id}", get(endpoint(discovery::schema))),
        ("/Bulk", absent()),
        ("/Me", absent()),
        ("/.search", absent()),
        ("/Users/.search", absent()),
        ("/Groups/.search", absent()),
    ]
}

/// Takes doubled and trailing slashes out of the path: a Tenant URL with a
/// trailing slash makes Microsoft Entra ask for `/scim/v2//Users`.
pub(crate) fn normalize(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") && !path.ends_with('/') {
        return request;
    }
    let segments: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
    let mut normal = format!("/{}", segments.join("/"));
    if let Some(query) = request.uri().query() {
        normal.push('?');
        normal.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    // Parts of a valid URI stay valid; otherwise the request goes on as it is.
    parts.path_and_query = normal.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

async fn not_implemented(_: exchange::Exchange) -> exchange::Answer {
    Err(ScimError::new(501, "This endpoint is not implemented.").into())
}

async fn no_route() -> Response {
    reply::error(&ScimError::new(404, "There is no such endpoint."))
}

async fn no_method() -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    reply::error(&ScimError::new(
        status,
        "The endpoint does not have this method.",
    ))
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // What it was about may be in the message, which only the panic hook sees.
    tracing::error!("a handler panicked");
    reply::error(&ScimError::internal())
}

#[cfg(test)]
mod tests;
