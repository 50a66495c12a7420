//! What a handler gets and what it may answer.
//!
//! [`Endpoint`] runs every operation, so three rules stand in one place.
//!
//! * Without a bearer token nothing is looked at.
//! * A body is read only for a credential that the directory has accepted once:
//!   a stranger must not make this server hold and parse what he sends.
//! * A fault that the facade finds itself is told only to callers whose
//!   credential the directory accepts now. Otherwise parsing errors would tell
//!   strangers what this server understands. Where there is no fault, the call
//!   itself tells whether the credential is good.

use std::{pin::Pin, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts as _, RawPathParams, Request},
    handler::Handler,
    http::{Method, StatusCode, request::Parts},
    response::Response,
};

use muster_proto::schema::{Registry, ResourceType};

use super::{
    App, auth, body,
    content::Media,
    journal::{Note, Teller},
    observe::occasion,
    origin::origin,
    precondition::{Conditions, Verdict},
    profile::Profile,
    query::Query,
    reply::{self, Outcome},
    routes::{self, Operation},
};
use crate::{
    client::{Caller, DirectoryClient, Refusal},
    scim::{
        document::{self, Document},
        error::{ScimError, ScimType},
        flavor::Accents,
        json::{self, Json, Members},
        meta::Links,
        projection::Projection,
        resource::Shown,
    },
    translate::filter::Context,
};

/// A configured base path, without a trailing slash.
#[derive(Clone)]
pub(super) struct BasePath(pub(super) String);

/// One authenticated request.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) app: App,
    pub(super) caller: Caller,
    pub(super) profile: Arc<Profile>,
    /// The last part of the path, decoded; empty for collections.
    pub(super) id: String,
    pub(super) links: Links,
    pub(super) conditions: Conditions,
    query: Option<String>,
    body: Content,
    /// Part of a bulk: nobody sees the resource, so nothing is read for it.
    pub(super) is_part: bool,
    /// What it comes to, for the log.
    pub(super) note: Arc<Note>,
}

/// A body.
#[derive(Clone)]
enum Content {
    Text(Bytes),
    Read(Members),
}

pub(super) type Answer = Result<Outcome, Fault>;

/// Why there is no good answer.
pub(super) enum Fault {
    /// The facade found it.
    Own(ScimError),
    /// The directory said so, after it had checked the credential.
    Directory(ScimError),
    /// The connection has another profile now: the request is to be read anew.
    Stale,
}

impl From<ScimError> for Fault {
    fn from(error: ScimError) -> Self {
        Self::Own(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Told(error) => Self::Directory(error),
            Refusal::Stale => Self::Stale,
        }
    }
}

impl Exchange {
    /// The same request about another resource.
    pub(super) fn about(&self, id: &str) -> Self {
        self.note.on(id);
        Self {
            id: id.to_owned(),
            ..self.clone()
        }
    }

    pub(super) fn directory(&self) -> &DirectoryClient {
        &self.app.directory
    }

    /// What users and groups consist of.
    pub(super) fn registry(&self) -> &'static Registry {
        self.profile.registry
    }

    /// How the connection's client deviates from the RFCs.
    pub(super) fn accents(&self) -> Accents<'_> {
        self.profile.flavor.accents().noted_in(&self.note.met)
    }

    /// What a filter on these resources is read by.
    pub(super) fn context(&self, resource: &'static ResourceType) -> Context<'_> {
        self.context_among(resource, &[])
    }

    /// The same in a list of several types.
    pub(super) fn context_among<'a>(
        &'a self,
        resource: &'static ResourceType,
        among: &'a [&'static ResourceType],
    ) -> Context<'a> {
        Context {
            resource,
            accents: self.accents(),
            links: &self.links,
            among,
        }
    }

    pub(super) fn query(&self) -> Result<Query, ScimError> {
        Query::parse(self.query.as_deref().unwrap_or_default())
    }

    /// The body, which must be a JSON object.
    pub(super) fn object(&self) -> Result<Members, ScimError> {
        match &self.body {
            Content::Text(text) => json::parse_object(text),
            Content::Read(members) => Ok(members.clone()),
        }
    }

    /// What the client wants to see of a resource of this type.
    pub(super) fn projection(&self, kind: &'static ResourceType) -> Result<Projection, ScimError> {
        self.query()?.projection(kind, self.accents())
    }

    /// The body as what the client wants a resource of this type to be, and what
    /// it wants to see of it then.
    pub(super) fn document(
        &self,
        kind: &'static ResourceType,
    ) -> Result<(Document, Projection), ScimError> {
        let projection = self.projection(kind)?;
        let body = self.object()?;
        if let Some(name) = body.get("externalId").and_then(Json::as_str) {
            self.note.named(name);
        }
        if std::ptr::eq(kind, self.registry().user) {
            self.profile.unnameable.check(&body)?;
        }
        let document = document::read(body, kind, self.accents())?;
        let projection = projection.written(&document.attributes);
        Ok((document, projection))
    }

    /// One operation of this request, on the resource with this id.
    pub(super) fn part(
        &self,
        id: String,
        conditions: Conditions,
        body: Members,
        note: Note,
    ) -> Self {
        let known = self.app.profiles.known(&self.caller);
        let profile = known.unwrap_or_else(|| Arc::clone(&self.profile));
        Self {
            app: self.app.clone(),
            caller: self.caller.under(&profile),
            profile,
            id,
            links: self.links.clone(),
            conditions,
            query: None,
            body: Content::Read(body),
            is_part: true,
            note: Arc::new(note),
        }
    }

    /// The same under the profile that the connection has now.
    ///
    /// # Errors
    /// When the directory does not tell.
    pub(super) async fn renewed(self) -> Result<Self, ScimError> {
        let profile = self.admit().await?;
        Ok(self.under(profile))
    }

    /// The same request, read by this profile.
    fn under(self, profile: Arc<Profile>) -> Self {
        self.note.restart();
        Self {
            caller: self.caller.under(&profile),
            profile,
            ..self
        }
    }

    /// The profile of the connection, if the directory accepts the credential.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn admit(&self) -> Result<Arc<Profile>, ScimError> {
        admit(&self.app, &self.caller).await
    }

    /// Forgets the caller's profile when the directory answered that his
    /// credential is not good.
    pub(super) fn heed(&self, error: &ScimError) {
        self.app.profiles.heed(&self.caller, error);
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
    let (caller, place) = match open(&parts, &app).await {
        Some(opened) => opened,
        None => return reply::error(&ScimError::unauthorized()),
    };
    let media = Media::accepted(&parts.headers);
    let label = media.as_ref().copied().unwrap_or(Media::Scim);
    let id = place.as_ref().map_or("", |place| place.id.as_str());
    let note = Arc::new(Note::new(operation, &parts.method, id));
    let teller = Teller::new(&app, &caller, &note);
    let answer = match place {
        Ok(place) => {
            let request = Arrived {
                parts,
                body,
                media,
                place,
                note: Arc::clone(&note),
            };
            answer(operation, &app, &caller, request).await
        }
        Err(error) => Err(match admit(&app, &caller).await {
            Ok(profile) => {
                note.admitted(&profile);
                error
            }
            Err(refusal) => refusal,
        }),
    };
    let (response, error) = match answer {
        Ok(outcome) => (outcome.respond(), None),
        Err(error) => {
            tracing::debug!(
                http.status = error.status(),
                scim.type = error.scim_type().map(ScimType::as_str),
                request.id = caller.request_id(),
                "refused a request"
            );
            (reply::error(&error), Some(error))
        }
    };
    let status = response.status().as_u16();
    teller.tell(status, error.as_ref()).await;
    label.label(response)
}

/// A request whose caller may be somebody.
struct Arrived {
    parts: Parts,
    body: Body,
    media: Result<Media, ScimError>,
    place: Place,
    note: Arc<Note>,
}

/// What the path names.
struct Place {
    connection: Option<String>,
    id: String,
}

/// Who asks, and for what; an error for a path that is no text. `None` without
/// a credential that the directory could be asked about.
async fn open(parts: &Parts, app: &App) -> Option<(Caller, Result<Place, ScimError>)> {
    let token = auth::bearer(&parts.headers)?;
    let place = place(parts).await;
    let connection = place.as_ref().ok().and_then(|p| p.connection.as_deref());
    let caller = Caller::new(token, connection, occasion(parts, &app.config))?;
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
    request: Arrived,
) -> Result<Outcome, ScimError> {
    let profile = match app.profiles.known(caller) {
        Some(profile) => profile,
        None => admit(app, caller).await?,
    };
    request.note.admitted(&profile);
    let Arrived { parts, place, .. } = request;
    let has_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    // A deletion has nothing to show that somebody would have to take.
    if parts.method != Method::DELETE
        && let Err(error) = request.media
    {
        return Err(admitted(app, caller, error).await);
    }
    // A turn is held until the answer is made.
    let (body, _turn) = if has_body {
        let limit = operation.body_limit(app);
        match body::read(&parts.headers, request.body, limit, &app.turns).await {
            Ok(read) => read,
            Err(error) => return Err(admitted(app, caller, error).await),
        }
    } else {
        (Bytes::new(), None)
    };
    let mut exchange = Exchange {
        links: links(&parts, app, place.connection.as_deref()),
        id: place.id,
        query: parts.uri.query().map(str::to_owned),
        conditions: Conditions::of(&parts.headers),
        body: Content::Text(body),
        is_part: false,
        note: request.note,
        app: app.clone(),
        caller: caller.under(&profile),
        profile,
    };
    let fault = match routes::run(operation, &exchange).await {
        Ok(outcome) => return Ok(outcome),
        Err(Fault::Directory(error)) => {
            exchange.heed(&error);
            return Err(error);
        }
        Err(Fault::Own(error)) => Some(error),
        Err(Fault::Stale) => None,
    };
    // A fault of the facade's own may come from a profile that is an old one.
    let profile = admit(app, caller).await?;
    if let Some(error) = fault
        && profile.tag == exchange.profile.tag
    {
        return Err(error);
    }
    exchange = exchange.under(profile);
    match routes::run(operation, &exchange).await {
        Ok(outcome) => Ok(outcome),
        Err(Fault::Own(error) | Fault::Directory(error)) => {
            exchange.heed(&error);
            Err(error)
        }
        // It changes faster than requests are read.
        Err(Fault::Stale) => Err(ScimError::unavailable()),
    }
}

/// The profile of the caller's connection, if the directory accepts his
/// credential.
async fn admit(app: &App, caller: &Caller) -> Result<Arc<Profile>, ScimError> {
    match app.profiles.ask(&app.directory, caller).await {
        Ok(profile) => Ok(profile),
        Err(Refusal::Told(error)) => Err(error),
        // No profile was named.
        Err(Refusal::Stale) => Err(ScimError::unavailable()),
    }
}

/// The fault, for those whose credential the directory accepts.
async fn admitted(app: &App, caller: &Caller, fault: ScimError) -> ScimError {
    admit(app, caller).await.err().unwrap_or(fault)
}

/// URLs as the client sees them.
pub(super) fn links(parts: &Parts, app: &App, connection: Option<&str>) -> Links {
    let origin = origin(parts, &app.config);
    let base = parts.extensions.get::<BasePath>();
    let base = base.map(|BasePath(path)| path.as_str()).unwrap_or_default();
    let links = Links::new(&origin, base);
    match connection {
        Some(id) => links.of_connection(id),
        None => links,
    }
}
