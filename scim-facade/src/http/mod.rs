//! SCIM over HTTP: RFC 7644 section 3. What arrives is checked and handed to
//! [`crate::scim`]; what goes to the directory is made in
//! [`crate::translate`].

mod address;
mod auth;
mod body;
mod bulk;
mod content;
mod discovery;
mod exchange;
mod groups;
mod journal;
mod linger;
mod list;
mod members;
mod observe;
mod openapi;
mod operations;
mod origin;
mod precondition;
mod profile;
mod query;
mod reply;
mod routes;
mod token;
mod users;
mod wellknown;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{
        HeaderValue, Method, StatusCode, Uri,
        header::{ACCEPT_ENCODING, ALLOW},
    },
    middleware,
    response::Response,
    routing::{MethodFilter, MethodRouter, get, post},
};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, predicate::SizeAbove},
};

pub use self::token::TOKEN_PATH;
pub(crate) use self::{body::Turns, profile::Profiles};
use self::{
    exchange::{BasePath, Endpoint},
    routes::{ROUTES, Route},
    wellknown::{JWKS_PATH, METADATA_PATH},
};
use crate::{
    client::DirectoryClient,
    config::Config,
    scim::{error::ScimError, meta::CONNECTION},
};

/// Renders metrics in the text format of Prometheus.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Shorter answers, in bytes, gain nothing from being compressed.
const COMPRESS_ABOVE: u64 = 1024;

/// What every handler shares.
pub(crate) struct Facade {
    pub(crate) config: Config,
    pub(crate) directory: DirectoryClient,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) profiles: Profiles,
    pub(crate) turns: Turns,
}

type App = Arc<Facade>;

/// All routes. Requests must have passed [`normalize`].
pub(crate) fn router(facade: Facade) -> Router {
    let app: App = Arc::new(facade);
    let mut router = Router::new()
        .route("/healthz", read_only(get(operations::health)))
        .route("/readyz", read_only(get(operations::ready)))
        .route("/metrics", read_only(get(operations::metrics)))
        .route(TOKEN_PATH, only(post(token::issue), &[Method::POST]))
        .route(JWKS_PATH, read_only(get(wellknown::jwks)))
        .route(METADATA_PATH, read_only(get(wellknown::describe)));
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
        // Inside the observer, so that a panic is counted as the 500 it is.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(SizeAbove::new(COMPRESS_ABOVE)),
        )
        .layer(middleware::from_fn(origin::check))
        .layer(middleware::map_request(async |request| {
            linger::linger(request)
        }))
        // Outermost: it also sees requests that no route takes.
        .layer(middleware::from_fn(observe::observe))
        .with_state(app)
}

/// SCIM below one base path: as the token's own connection, and with the
/// connection named in the path, unless the base path has it already.
fn scim_routes(base: &str) -> Router<App> {
    let mut router = Router::new();
    let mut prefixes = vec![base.to_owned()];
    if !base.contains(CONNECTION) {
        prefixes.push(format!("{base}/connections/{CONNECTION}"));
    }
    for prefix in prefixes {
        let config = read_only(get(discovery::service_provider_config));
        router = router.route(&format!("{prefix}/ServiceProviderConfig"), config);
        let description = read_only(get(openapi::describe));
        router = router.route(&format!("{prefix}/openapi.json"), description);
        for route in ROUTES {
            let path = format!("{prefix}{}", route.path);
            let path = if path.is_empty() { "/" } else { &path };
            router = router.route(path, methods(route));
        }
    }
    router
}

fn methods(route: &Route) -> MethodRouter<App> {
    let mut router = MethodRouter::new();
    let mut allowed = Vec::new();
    for (method, operation) in route.methods {
        // The table has methods of HTTP's own only.
        if let Ok(filter) = MethodFilter::try_from(method.clone()) {
            router = router.on(filter, Endpoint(*operation));
            allowed.push(method.clone());
        }
    }
    only(router, &allowed)
}

fn read_only(methods: MethodRouter<App>) -> MethodRouter<App> {
    only(methods, &[Method::GET])
}

/// Takes doubled and trailing slashes out of the path: a Tenant URL with a
/// trailing slash makes Microsoft Entra ask for `/scim/v2//Users`.
///
/// And lets a client who forbids every coding have the plain one: the layer that
/// compresses would answer 406 when all is done.
pub(crate) fn normalize(mut request: Request) -> Request {
    if content::forbids_every_coding(request.headers()) {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
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

async fn no_route(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let error = ScimError::new(404, "There is no such endpoint.");
    journal::stray(&app, &parts, &error).await;
    reply::error(&error)
}

/// The methods of an endpoint, and an answer to all others that names them.
fn only(methods: MethodRouter<App>, allowed: &[Method]) -> MethodRouter<App> {
    let mut names = Vec::new();
    for method in allowed {
        names.push(method.as_str());
        if method == Method::GET {
            names.push(Method::HEAD.as_str());
        }
    }
    names.push(Method::OPTIONS.as_str());
    let names = HeaderValue::from_str(&names.join(",")).ok();
    methods.fallback(async move |State(app): State<App>, request: Request| {
        let mut response = wrong_method(&app, request).await;
        if let Some(names) = &names {
            response.headers_mut().insert(ALLOW, names.clone());
        }
        response
    })
}

async fn wrong_method(app: &App, request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return reply::Outcome::Done.respond();
    }
    let status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
    let error = ScimError::new(status, "The endpoint does not have this method.");
    let (parts, _) = request.into_parts();
    journal::stray(app, &parts, &error).await;
    reply::error(&error)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // What it was about may be in the message, which only the panic hook sees.
    tracing::error!("a handler panicked");
    reply::error(&ScimError::internal())
}

#[cfg(test)]
mod tests;
