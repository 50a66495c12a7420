//! The sign-in service: who an identity provider speaks of, sessions, and their end.
//!
//! Two things end a session here. Each request asks the cache, which the directory's
//! feed keeps true, and which refuses when it does not know. And a signal removes the
//! sessions of whoever may no longer act, so that nothing of them is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::{get, post},
};
use muster_client::{
    Client, Error, ErrorReason, SignIn, TokenWish, Uuid,
    cache::{Cache, Silent},
    key,
    v1::{
        ExternalKey, FederatedKey, Revision, Signal, SignalType, WatchSignalsRequest,
        watch_signals_request::Start,
    },
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// For whom tokens are that this service hands out.
pub(crate) const AUDIENCE: &str = "https://app.example.test";

/// Before the directory is asked for signals again.
const AGAIN: Duration = Duration::from_millis(250);

/// The running service.
pub(crate) struct Sso {
    /// Where it listens.
    pub(crate) url: String,
}

#[derive(Clone)]
struct Service {
    client: Client,
    cache: Cache,
    connection_id: Arc<str>,
    sessions: Sessions,
}

/// Who is signed in, by session.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

#[derive(Clone)]
struct Session {
    user_id: Uuid,
    user_name: String,
}

/// What an identity provider says of whoever signs in. A real service reads it from an
/// ID token whose signature, issuer, audience and nonce it has checked.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// Entra's object id: what it sends as `externalId` when it provisions.
    oid: String,
}

#[derive(Serialize)]
struct SignedIn {
    session: String,
    user_id: String,
    /// Whether this was the first time.
    linked: bool,
    access_token: String,
}

#[derive(Serialize)]
struct Who {
    user_id: String,
    user_name: String,
}

#[derive(Serialize)]
struct Problem {
    error: String,
}

type Refusal = (StatusCode, Json<Problem>);

fn refuse(status: StatusCode, error: impl ToString) -> Refusal {
    let error = error.to_string();
    (status, Json(Problem { error }))
}

impl Sso {
    /// Serves on a port of the system's choice.
    pub(crate) async fn start(client: &Client, connection_id: &str) -> Result<Self> {
        // Ids, states and memberships are enough here: no personal data is kept.
        let cache = Cache::builder(client)
            .values(false)
            .silent(Silent::FailClosed)
            .start();
        cache.ready().await?;
        let service = Service {
            client: client.clone(),
            cache,
            connection_id: connection_id.into(),
            sessions: Sessions::default(),
        };
        tokio::spawn(watch(client.clone(), service.sessions.clone()));
        let router = Router::new()
            .route("/login", post(login))
            .route("/me", get(me))
            .with_state(service);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url })
    }
}

/// Signs somebody in.
async fn login(
    State(service): State<Service>,
    Json(claims): Json<Claims>,
) -> Result<Json<SignedIn>, Refusal> {
    let found = service.client.sign_in(SignIn {
        identity: FederatedKey {
            issuer: claims.iss,
            subject: claims.sub,
        },
        fallback: Some(ExternalKey {
            connection_id: service.connection_id.to_string(),
            external_id: claims.oid,
        }),
        groups: None,
    });
    let found = found.await.map_err(refusal)?;
    let token = service
        .client
        .issue_token(key::id(&found.user.id), token_wish())
        .await
        .map_err(refusal)?;
    let user_id = Uuid::parse_str(&found.user.id);
    let user_id = user_id.map_err(|e| refuse(StatusCode::INTERNAL_SERVER_ERROR, e))?;
    // The cache may be a moment behind; it must know her before her first request.
    if let Some(revision) = &found.read_at {
        service.cache.wait_for(revision).await.map_err(refusal)?;
    }
    let session = service.sessions.open(Session {
        user_id,
        user_name: found.user.user_name,
    });
    Ok(Json(SignedIn {
        session,
        user_id: found.user.id,
        linked: found.linked,
        access_token: token.access_token,
    }))
}

fn token_wish() -> TokenWish {
    TokenWish {
        audiences: vec![AUDIENCE.to_owned()],
        scopes: vec!["read".to_owned()],
        ..TokenWish::default()
    }
}

/// Says who is signed in.
async fn me(State(service): State<Service>, headers: HeaderMap) -> Result<Json<Who>, Refusal> {
    let nobody = || refuse(StatusCode::UNAUTHORIZED, "not signed in");
    let session = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let session = session.and_then(|value| value.strip_prefix("Session "));
    let session = session.and_then(|id| service.sessions.get(id));
    let session = session.ok_or_else(nobody)?;
    // In memory: no call, and no answer where it is not known to be fresh.
    let status = service
        .cache
        .status(session.user_id)
        .await
        .map_err(refusal)?;
    if !status.effective_active {
        return Err(nobody());
    }
    Ok(Json(Who {
        user_id: session.user_id.to_string(),
        user_name: session.user_name,
    }))
}

/// What whoever signs in is told.
fn refusal(error: Error) -> Refusal {
    let status = match error.reason() {
        Some(ErrorReason::UserNotFound | ErrorReason::UserInactive) => StatusCode::FORBIDDEN,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let reason = error.reason().map(|reason| reason.as_str_name());
    let reason = reason.and_then(|name| name.strip_prefix("ERROR_REASON_"));
    refuse(status, reason.unwrap_or("try again"))
}

impl Sessions {
    fn open(&self, session: Session) -> String {
        let id = Uuid::new_v4().simple().to_string();
        self.with(|sessions| sessions.insert(id.clone(), session));
        id
    }

    fn get(&self, id: &str) -> Option<Session> {
        self.with(|sessions| sessions.get(id).cloned())
    }

    /// Ends the sessions of a user.
    fn end(&self, user_id: &str) {
        self.with(|sessions| {
            sessions.retain(|_, session| session.user_id.to_string() != user_id);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Session>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends sessions as signals come. A real service stores the revision beside its
/// sessions; this one loses both together.
async fn watch(client: Client, sessions: Sessions) {
    let mut after: Option<Revision> = None;
    loop {
        let request = WatchSignalsRequest {
            start: Some(match after.clone() {
                Some(revision) => Start::After(revision),
                None => Start::FromNow(true),
            }),
            ..WatchSignalsRequest::default()
        };
        if let Ok(answer) = client.signals().watch_signals(request).await {
            let mut stream = answer.into_inner();
            while let Ok(Some(message)) = stream.message().await {
                message
                    .signals
                    .iter()
                    .for_each(|signal| apply(&sessions, signal));
                after = message.through;
            }
        }
        // Streams end once an hour, and when the directory goes: on behind the last.
        tokio::time::sleep(AGAIN).await;
    }
}

fn apply(sessions: &Sessions, signal: &Signal) {
    match signal.r#type() {
        SignalType::AccountDisabled | SignalType::AccountPurged | SignalType::SessionsRevoked => {
            sessions.end(&signal.user_id);
        }
        _ => {}
    }
}
