//! What a handler gets and what it may answer.
//!
//! [`endpoint`] wraps every handler, so two rules stand in one place: without
//! a bearer token nothing is looked at, and a fault that the facade finds
//! itself is told only to callers whose credential the directory accepts.
//! Otherwise parsing errors would tell strangers what this server understands.

use std::pin::Pin;

use axum::{
    body::Bytes,
    extract::{FromRequestParts as _, RawPathParams, Request},
    handler::Handler,
    http::{HeaderMap, Method, header::HOST, request::Parts, uri::Authority},
    response::Response,
};

use super::{App, auth, body, observe::RequestId, query::Query, reply};
use crate::{
    client::{Caller, DirectoryClient, Refusal},
    scim::{
        error::ScimError,
        json::{self, Members},
        meta::Links,
    },
};

/// A configured base path, without a trailing slash.
#[derive(Clone)]
pub(super) struct BasePath(pub(super) String);

/// One authenticated request.
pub(super) struct Exchange {
    pub(super) app: App,
    pub(super) caller: Caller,
    /// The last part of the path, decoded; empty for collections.
    pub(super) id: String,
    pub(super) links: Links,
    pub(super) headers: HeaderMap,
    query: Option<String>,
    body: Result<Bytes, ScimError>,
}

pub(super) type Answer = Result<Response, Fault>;

/// Why there is no good answer.
pub(super) enum Fault {
    /// The facade found it.
    Own(ScimError),
    /// The directory said so, after it had checked the credential.
    Directory(ScimError),
}

impl From<ScimError> for Fault {
    fn from(error: ScimError) -> Self {
        Self::Own(error)
    }
}

impl From<Refusal> for Fault {
    fn from(Refusal(error): Refusal) -> Self {
        Self::Directory(error)
    }
}

impl Exchange {
    pub(super) fn directory(&self) -> &DirectoryClient {
        &self.app.directory
    }

    pub(super) fn query(&self) -> Result<Query, ScimError> {
        Query::parse(self.query.as_deref().unwrap_or_default())
    }

    /// The body, which must be a JSON object.
    pub(super) fn object(&self) -> Result<Members, ScimError> {
        let bytes = self.body.as_ref().map_err(Clone::clone)?;
        json::parse_object(bytes)
    }
}

/// A handler as axum knows handlers.
#[derive(Clone)]
pub(super) struct Endpoint<F>(F);

/// Wraps a handler; see the module's documentation.
pub(super) fn endpoint<F, R>(run: F) -> Endpoint<F>
where
    F: Fn(Exchange) -> R,
    R: Future<Output = Answer>,
{
    Endpoint(run)
}

impl<F, R> Handler<(), App> for Endpoint<F>
where
    F: Fn(Exchange) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: App) -> Self::Future {
        Box::pin(serve(self.0, request, app))
    }
}

async fn serve<F, R>(run: F, request: Request, app: App) -> Response
where
    F: Fn(Exchange) -> R,
    R: Future<Output = Answer>,
{
    let Some(exchange) = open(request, app).await else {
        return reply::error(&ScimError::unauthorized());
    };
    let (app, caller) = (exchange.app.clone(), exchange.caller.clone());
    let error = match run(exchange).await {
        Ok(response) => return response,
        Err(Fault::Directory(error)) => error,
        Err(Fault::Own(error)) => match app.directory.check_credential(&caller).await {
            // A credential without the right to ask about itself is good.
            Ok(()) => error,
            Err(Refusal(refusal)) if refusal.status() == 403 => error,
            Err(Refusal(refusal)) => refusal,
        },
    };
    reply::error(&error)
}

/// `None` without a credential that the directory could be asked about.
async fn open(request: Request, app: App) -> Option<Exchange> {
    let (mut parts, body) = request.into_parts();
    let token = auth::bearer(&parts.headers)?;
    let params = RawPathParams::from_request_parts(&mut parts.clone(), &()).await;
    let param = |name| {
        let mut params = params.iter().flatten();
        params.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let connection = param("connection");
    let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
    let caller = Caller::new(token, connection, request_id)?;
    let id = param("id").unwrap_or_default().to_owned();
    let links = links(&parts, &app, connection);
    let body = match parts.method {
        Method::POST | Method::PUT | Method::PATCH => {
            body::read(&parts.headers, body, app.config.body_limit).await
        }
        _ => Ok(Bytes::new()),
    };
    Some(Exchange {
        caller,
        id,
        links,
        query: parts.uri.query().map(str::to_owned),
        headers: std::mem::take(&mut parts.headers),
        body,
        app,
    })
}

/// URLs as the client sees them: below the configured public URL, else below
/// the host that the request names.
pub(super) fn links(parts: &Parts, app: &App, connection: Option<&str>) -> Links {
    let origin = match &app.config.public_url {
        Some(url) => url.clone(),
        None => format!("http://{}", host(parts)),
    };
    let base = parts.extensions.get::<BasePath>();
    let base = base.map(|BasePath(path)| path.as_str()).unwrap_or_default();
    let links = Links::new(&origin, base);
    match connection {
        Some(id) => links.of_connection(id),
        None => links,
    }
}

fn host(parts: &Parts) -> String {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = parts.uri.authority().map(Authority::as_str).or(header);
    let valid = named.filter(|host| host.parse::<Authority>().is_ok());
    valid.unwrap_or("localhost").to_owned()
}
