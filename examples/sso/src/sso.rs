//! The sign-in service: who an identity provider speaks of, sessions, and their end.
//!
//! A session is as old as the token with which it began, and lives as long as that would:
//! each request asks the cache whether the user may act and whether what he had then
//! still counts. The directory's feed keeps the cache true, and it refuses when it does
//! not know. And a signal removes the sessions of whoever may no longer act, so that
//! nothing of them is left; when signals were missed, all sessions end.

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
    cache::{Access, Cache, Silent},
    key,
    v1::{
        ExternalKey, FederatedKey, Revision, Signal, SignalType, WatchSignalsRequest,
        watch_signals_request::Start,
    },
    verify::Verifier,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::watch};

/// For whom tokens are that this service hands out.
pub(crate) const AUDIENCE: &str = "https://app.example.test";

/// Before the directory is asked for signals again.
const AGAIN: Duration = Duration::from_millis(250);

/// For how long whoever signs in waits until the cache knows him.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom this service trusts. All of it is set up, and nothing is learned from what it
/// is to judge.
pub(crate) struct Trust {
    /// The identity provider's `iss`.
    pub(crate) identity_provider: String,
    /// The directory's `iss`.
    pub(crate) directory: String,
    /// The tenant whose users sign in.
    pub(crate) tenant_id: String,
    /// The connection that provisions them.
    pub(crate) connection_id: String,
}

/// The running service.
pub(crate) struct Sso {
    /// Where it listens.
    pub(crate) url: String,
    /// What whoever gets its tokens does with them.
    pub(crate) verifier: Verifier,
    sessions: Sessions,
}

#[derive(Clone)]
struct Service {
    client: Client,
    cache: Cache,
    verifier: Verifier,
    trust: Arc<Trust>,
    sessions: Sessions,
}

/// Who is signed in, by session.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

#[derive(Clone)]
struct Session {
    user_id: Uuid,
    user_name: String,
    /// When its token was issued, in seconds since the Unix epoch, by the directory's
    /// clock: that of its word on what is dead.
    begun_s: i64,
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
    pub(crate) async fn start(client: &Client, trust: Trust) -> Result<Self> {
        // Ids, states and memberships are enough here: no personal data is kept.
        let cache = Cache::builder(client)
            .values(false)
            .silent(Silent::FailClosed)
            .start();
        cache.ready().await?;
        let verifier = Verifier::builder(client, AUDIENCE, &trust.tenant_id)
            .issuer(&trust.directory)
            .cache(&cache)
            .build()?;
        let sessions = Sessions::default();
        let service = Service {
            client: client.clone(),
            cache,
            verifier: verifier.clone(),
            trust: Arc::new(trust),
            sessions: sessions.clone(),
        };
        let (listens, mut listening) = watch::channel(false);
        tokio::spawn(follow(client.clone(), sessions.clone(), listens));
        // Nobody signs in of whose end nobody would hear.
        listening.wait_for(|listens| *listens).await?;
        let router = Router::new()
            .route("/login", post(login))
            .route("/me", get(me))
            .with_state(service);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            verifier,
            sessions,
        })
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.with(|sessions| sessions.len())
    }
}

/// Signs somebody in.
async fn login(
    State(service): State<Service>,
    Json(claims): Json<Claims>,
) -> Result<Json<SignedIn>, Refusal> {
    // Another provider may call anybody what ours calls her.
    if claims.iss != service.trust.identity_provider {
        return Err(refuse(StatusCode::FORBIDDEN, "another identity provider"));
    }
    let found = service.client.sign_in(SignIn {
        identity: FederatedKey {
            issuer: claims.iss,
            subject: claims.sub,
        },
        fallback: Some(ExternalKey {
            connection_id: service.trust.connection_id.clone(),
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
        let known = tokio::time::timeout(PATIENCE, service.cache.wait_for(revision)).await;
        let late = |_| refuse(StatusCode::SERVICE_UNAVAILABLE, "try again");
        known.map_err(late)?.map_err(refusal)?;
    }
    let verified = service.verifier.verify(&token.access_token).await;
    let session = Session {
        user_id,
        user_name: found.user.user_name,
        begun_s: verified.map_err(refusal)?.iat,
    };
    let id = service.sessions.open(session.clone());
    // What ended her access a moment ago found no session to end.
    if !service.is_alive(&session).await? {
        service.sessions.close(&id);
        return Err(refuse(StatusCode::FORBIDDEN, "USER_INACTIVE"));
    }
    Ok(Json(SignedIn {
        session: id,
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
    if !service.is_alive(&session).await? {
        return Err(nobody());
    }
    Ok(Json(Who {
        user_id: session.user_id.to_string(),
        user_name: session.user_name,
    }))
}

impl Service {
    /// Whether a session still counts. In memory: no call, and no answer where it is not
    /// known to be fresh.
    async fn is_alive(&self, session: &Session) -> Result<bool, Refusal> {
        let status = self.cache.status(session.user_id).await;
        Ok(is_alive(session, &status.map_err(refusal)?))
    }
}

/// Her access may have ended and begun again since: the session is of before.
fn is_alive(session: &Session, access: &Access) -> bool {
    access.effective_active && access.admits(session.begun_s)
}

/// What whoever signs in is told.
fn refusal(error: Error) -> Refusal {
    let status = match error.reason() {
        Some(ErrorReason::UserNotFound | ErrorReason::UserInactive) => StatusCode::FORBIDDEN,
        _ if matches!(error, Error::TokenRefused(_)) => StatusCode::FORBIDDEN,
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

    fn close(&self, id: &str) {
        self.with(|sessions| sessions.remove(id));
    }

    /// Ends the sessions of a user that began until this second; without one, all of his.
    fn end(&self, user_id: &str, until_s: Option<i64>) {
        let ends = |session: &Session| {
            session.user_id.to_string() == user_id
                && until_s.is_none_or(|until| session.begun_s <= until)
        };
        self.with(|sessions| sessions.retain(|_, session| !ends(session)));
    }

    /// Ends everybody's.
    fn end_all(&self) {
        self.with(HashMap::clear);
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Session>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends sessions as signals come. A real service stores the revision beside its
/// sessions; this one loses both together.
async fn follow(client: Client, sessions: Sessions, listens: watch::Sender<bool>) {
    let mut after: Option<Revision> = None;
    loop {
        let error = hear(&client, &sessions, &mut after, &listens).await.err();
        if error.and_then(|error| error.reason()).is_some_and(is_lost) {
            // What happened meanwhile nobody tells any more: on from now, with nobody.
            after = None;
            sessions.end_all();
        }
        // Streams end once an hour, and when the directory goes: on behind the last.
        tokio::time::sleep(AGAIN).await;
    }
}

/// Hears signals behind a revision until the stream ends.
async fn hear(
    client: &Client,
    sessions: &Sessions,
    after: &mut Option<Revision>,
    listens: &watch::Sender<bool>,
) -> Result<(), Error> {
    let request = WatchSignalsRequest {
        start: Some(match after.clone() {
            Some(revision) => Start::After(revision),
            None => Start::FromNow(true),
        }),
        ..WatchSignalsRequest::default()
    };
    let mut stream = client.signals().watch_signals(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if after.is_none() {
            // The first word of now: who signed in before may have missed one.
            sessions.end_all();
            listens.send_replace(true);
        }
        message
            .signals
            .iter()
            .for_each(|signal| apply(sessions, signal));
        *after = message.through;
    }
    Ok(())
}

/// Whether signals behind a revision cannot be told any more: they are too old, or the
/// database is another one.
fn is_lost(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::CursorExpired | ErrorReason::StoreEpochMismatch | ErrorReason::RevisionInvalid
    )
}

fn apply(sessions: &Sessions, signal: &Signal) {
    let until_s = match signal.r#type() {
        SignalType::AccountDisabled | SignalType::AccountPurged => None,
        SignalType::SessionsRevoked => signal.tokens_valid_after.map(|until| until.seconds),
        _ => return,
    };
    sessions.end(&signal.user_id, until_s);
}

#[cfg(test)]
mod tests {
    use muster_client::v1::InactiveReason;

    use super::*;

    fn session(begun_s: i64) -> Session {
        Session {
            user_id: Uuid::nil(),
            user_name: "ada".to_owned(),
            begun_s,
        }
    }

    #[test]
    fn a_session_of_before_stays_dead_when_its_user_may_act_again() {
        let access = Access {
            effective_active: true,
            inactive_reason: InactiveReason::Unspecified,
            tokens_valid_after_ms: Some(5_200),
        };
        assert!(!is_alive(&session(4), &access));
        // Of the same second: it fails closed.
        assert!(!is_alive(&session(5), &access));
        assert!(is_alive(&session(6), &access));
        let inactive = Access {
            effective_active: false,
            ..access
        };
        assert!(!is_alive(&session(6), &inactive));
    }

    #[test]
    fn signals_end_what_they_speak_of() {
        let ends = |kind: SignalType, until: Option<i64>| {
            let sessions = Sessions::default();
            for begun_s in [4, 5, 6] {
                let _ = sessions.open(session(begun_s));
            }
            let mut signal = Signal {
                r#type: kind.into(),
                user_id: Uuid::nil().to_string(),
                ..Signal::default()
            };
            if let Some(seconds) = until {
                let until = signal.tokens_valid_after.get_or_insert_default();
                (until.seconds, until.nanos) = (seconds, 200_000_000);
            }
            apply(&sessions, &signal);
            sessions.with(|sessions| sessions.len())
        };
        assert_eq!(ends(SignalType::AccountDisabled, Some(5)), 0);
        assert_eq!(ends(SignalType::AccountPurged, None), 0);
        assert_eq!(ends(SignalType::SessionsRevoked, Some(5)), 1);
        assert_eq!(ends(SignalType::SessionsRevoked, None), 0);
        assert_eq!(ends(SignalType::ClaimsChanged, Some(5)), 3);
    }

    #[test]
    fn signals_that_are_lost_are_told_from_those_that_come_later() {
        assert!(is_lost(ErrorReason::CursorExpired));
        assert!(is_lost(ErrorReason::StoreEpochMismatch));
        assert!(is_lost(ErrorReason::RevisionInvalid));
        assert!(!is_lost(ErrorReason::Draining));
        assert!(!is_lost(ErrorReason::SlowConsumer));
    }
}
