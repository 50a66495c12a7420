//! What a handler gets and what it may answer.
//!
//! [`Endpoint`] runs every operation, so three rules stand in one place.
//!
//! * Without a bearer token nothing is looked at.
//! * A body is read only when the directory accepts the credential: a stranger
//!   must not make this server hold and parse what he sends.
//! * A fault that the facade finds itself is told only to callers whose
//!   credential the directory accepts. Otherwise parsing errors would tell
//!   strangers what this server understands. Requests without a body have
//!   little to parse, so there the directory is asked after the fault, and not
//!   at all when there is none: the call itself tells.

use std::pin::Pin;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts as _, RawPathParams, Request},
    handler::Handler,
    http::{Method, StatusCode, header::HOST, request::Parts, uri::Authority},
    response::Response,
};

use super::{
    App, auth, body,
    observe::RequestId,
    precondition::{Conditions, Verdict},
    query::Query,
    reply::{self, Outcome},
    routes::{self, Operation},
};
use crate::{
    client::{Caller, DirectoryClient, Refusal},
    scim::{
        error::{ScimError, ScimType},
        json::{self, Members},
        meta::Links,
        resource::Shown,
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
    pub(super) conditions: Conditions,
    query: Option<String>,
    body: Bytes,
}

pub(super) type Answer = Result<Outcome, Fault>;

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
        json::parse_object(&self.body)
    }

    /// What a read of this resource is answered with.
    pub(super) fn read(&self, shown: Shown) -> Answer {
        match self.conditions.of_read(&shown.version) {
            Verdict::Send => Ok(Outcome::Shown(StatusCode::OK, shown)),
            Verdict::NotModified => Ok(Outcome::NotModified {
                version: shown.version,
                location: shown.location,
            }),
            // Whoever has been shown a resource is no stranger.
            Verdict::Failed => Err(Fault::Directory(ScimError::new(
                412,
                "The version is not the one that If-Match names.",
            ))),
        }
    }
}

/// An operation as axum knows handlers.
#[derive(Clone, Copy)]
pub(super) struct Endpoint(pub(super) Operation);

impl Handler<(), App> for Endpoint {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, app: App) -> Self::Future {
        Box::pin(serve(self.0, request, app))
    }
}

async fn serve(operation: Operation, request: Request, app: App) -> Response {
    let (parts, body) = request.into_parts();
    let (caller, place) = match open(&parts).await {
        Some(opened) => opened,
        None => return reply::error(&ScimError::unauthorized()),
    };
    let answer = match place {
        Ok(place) => answer(operation, &app, &caller, (parts, body), place).await,
        Err(error) => Err(admitted(&app, &caller, error).await),
    };
    match answer {
        Ok(outcome) => outcome.respond(),
        Err(error) => {
            tracing::debug!(
                http.status = error.status(),
                scim.type = error.scim_type().map(ScimType::as_str),
                request.id = caller.request_id(),
                "refused a request"
            );
            reply::error(&error)
        }
    }
}

/// What the path names.
struct Place {
    connection: Option<String>,
    id: String,
}

/// Who asks, and for what; an error for a path that is no text. `None` without
/// a credential that the directory could be asked about.
async fn open(parts: &Parts) -> Option<(Caller, Result<Place, ScimError>)> {
    let token = auth::bearer(&parts.headers)?;
    let place = place(parts).await;
    let connection = place.as_ref().ok().and_then(|p| p.connection.as_deref());
    let RequestId(request_id) = parts.extensions.get().cloned().unwrap_or_default();
    let caller = Caller::new(token, connection, request_id)?;
    Some((caller, place))
}

async fn place(parts: &Parts) -> Result<Place, ScimError> {
    let params = RawPathParams::from_request_parts(&mut parts.clone(), &()).await;
    // What is no text names nothing that there is.
    let params = params.map_err(|_| ScimError::not_found())?;
    let param = |name| {
        let mut params = params.iter();
        let found = params.find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned())
    };
    Ok(Place {
        connection: param("connection"),
        id: param("id").unwrap_or_default(),
    })
}

async fn answer(
    operation: Operation,
    app: &App,
    caller: &Caller,
    (parts, body): (Parts, Body),
    place: Place,
) -> Result<Outcome, ScimError> {
    let has_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    let body = if has_body {
        admit(app, caller).await?;
        body::read(&parts.headers, body, app.config.body_limit).await?
    } else {
        Bytes::new()
    };
    let exchange = Exchange {
        links: links(&parts, app, place.connection.as_deref()),
        id: place.id,
        query: parts.uri.query().map(str::to_owned),
        conditions: Conditions::of(&parts.headers),
        body,
        app: app.clone(),
        caller: caller.clone(),
    };
    match routes::run(operation, &exchange).await {
        Ok(outcome) => Ok(outcome),
        Err(Fault::Directory(error)) => Err(error),
        Err(Fault::Own(error)) if has_body => Err(error),
        Err(Fault::Own(error)) => Err(admitted(app, caller, error).await),
    }
}

/// Whether the directory accepts the credential.
async fn admit(app: &App, caller: &Caller) -> Result<(), ScimError> {
    match app.directory.check_credential(caller).await {
        Ok(()) => Ok(()),
        // A credential without the right to ask about itself is good.
        Err(Refusal(refusal)) if refusal.status() == 403 => Ok(()),
        Err(Refusal(refusal)) => Err(refusal),
    }
}

/// The fault, for those whose credential the directory accepts.
async fn admitted(app: &App, caller: &Caller, fault: ScimError) -> ScimError {
    admit(app, caller).await.err().unwrap_or(fault)
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
    // A user name in front of the host would end up in links.
    let is_host = |host: &&str| !host.contains('@') && host.parse::<Authority>().is_ok();
    let valid = named.filter(is_host);
    valid.unwrap_or("localhost").to_owned()
}
