//! Telling the directory, whatever becomes of a request.
//!
//! Whoever hangs up takes the future of his request with him, and a panic ends it;
//! what was asked for may have been done all the same. So what has a request in hand
//! tells when it is dropped, and a telling that has begun goes on without it.

use std::{sync::Arc, thread, time::Duration};

use axum::http::request::Parts;
use muster_proto::v1::{self, ProvisioningEvent};
use tokio::{runtime::Handle, task::JoinHandle};
use uuid::Uuid;

use super::{
    super::{App, auth, observe::occasion},
    Note,
};
use crate::{
    client::Caller,
    scim::{error::ScimError, meta::CONNECTION},
};

/// How long an answer waits at most for the directory to have taken its event.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most events that the directory is told at once; it takes no more.
const AT_ONCE: usize = 1_000;

/// Status of a request whose client did not wait for the answer.
const HUNG_UP: u16 = 499;

/// Has a request in hand, and tells the directory what it came to: when it is
/// answered, or else when it ends.
pub(in super::super) struct Teller {
    app: App,
    caller: Caller,
    note: Arc<Note>,
    is_told: bool,
}

impl Teller {
    pub(in super::super) fn new(app: &App, caller: &Caller, note: &Arc<Note>) -> Self {
        Self {
            app: Arc::clone(app),
            caller: caller.clone(),
            note: Arc::clone(note),
            is_told: false,
        }
    }

    /// Tells with what it was answered. That it was does not depend on it.
    pub(in super::super) async fn tell(mut self, status: u16, error: Option<&ScimError>) {
        self.is_told = true;
        if let Some(telling) = self.begin(status, error) {
            let _ = telling.await;
        }
    }

    /// `None` for whom nothing is told: who was not let in is nobody, and is not asked
    /// about again. That would be one more failure of his.
    fn begin(&self, status: u16, error: Option<&ScimError>) -> Option<JoinHandle<()>> {
        if status == 401 || self.note.provisions.get() != Some(&true) {
            return None;
        }
        let (app, caller) = (Arc::clone(&self.app), self.caller.clone());
        let events = self.note.events(status, error, caller.request_id());
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(async move { send(&app, &caller, events).await }))
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if !self.is_told {
            let error = unanswered();
            self.begin(error.status(), Some(&error));
        }
    }
}

/// An operation of a bulk that is being done, which the request tells of: of what it
/// came to, or else that nobody knows.
pub(in super::super) struct Part<'a> {
    whole: &'a Note,
    note: Arc<Note>,
    request_id: &'a str,
    is_told: bool,
}

impl<'a> Part<'a> {
    pub(in super::super) fn new(whole: &'a Note, note: &Arc<Note>, request_id: &'a str) -> Self {
        Self {
            whole,
            note: Arc::clone(note),
            request_id,
            is_told: false,
        }
    }

    /// Adds what it came to to what the request came to.
    pub(in super::super) fn tell(mut self, status: u16, error: Option<&ScimError>) {
        self.is_told = true;
        self.add(status, error);
    }

    fn add(&self, status: u16, error: Option<&ScimError>) {
        let event = self.note.event(status, error, self.request_id);
        self.whole.part(event);
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let error = unanswered();
            self.add(error.status(), Some(&error));
        }
    }
}

/// What a request came to that ends before its answer.
fn unanswered() -> ScimError {
    match thread::panicking() {
        true => ScimError::internal(),
        false => {
            let detail = "The client hung up; what it asked for may have been done.";
            ScimError::new(HUNG_UP, detail)
        }
    }
}

/// Tells of a request that no endpoint takes.
pub(in super::super) async fn stray(app: &App, parts: &Parts, error: &ScimError) {
    let Some(connection) = below(&app.config.base_paths, parts.uri.path()) else {
        return;
    };
    let caller = auth::bearer(&parts.headers)
        .and_then(|token| Caller::new(token, connection, occasion(parts, &app.config)));
    let Some(caller) = caller else {
        return;
    };
    // No endpoint has asked who he is.
    let profile = match app.profiles.known(&caller) {
        Some(profile) => Ok(profile),
        None => app.profiles.ask(&app.directory, &caller).await,
    };
    let Ok(profile) = profile else {
        return;
    };
    let note = Arc::new(Note::stray(&parts.method));
    note.admitted(&profile);
    let teller = Teller::new(app, &caller, &note);
    teller.tell(error.status(), Some(error)).await;
}

/// Which connection a path names, if any; `None` for a path that is below no base
/// path. Of several base paths the longest counts.
fn below<'a>(bases: &[String], path: &'a str) -> Option<Option<&'a str>> {
    let fitting = bases.iter().filter_map(|base| {
        let named = named(base, path)?;
        Some((segments(base).count(), named))
    });
    let longest = fitting.max_by_key(|(length, _)| *length);
    longest.map(|(_, named)| named)
}

/// The same for one base path.
fn named<'a>(base: &str, path: &'a str) -> Option<Option<&'a str>> {
    let mut parts = segments(path);
    let mut connection = None;
    for expected in segments(base) {
        let part = parts.next()?;
        if expected == CONNECTION {
            // Otherwise it is a part of another base path that is shorter.
            connection = Some(part).filter(|id| Uuid::try_parse(id).is_ok());
            connection?;
        } else if part != expected {
            return None;
        }
    }
    if connection.is_none() && parts.next() == Some("connections") {
        connection = parts.next();
    }
    Some(connection)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

async fn send(app: &App, caller: &Caller, mut events: Vec<ProvisioningEvent>) {
    // Whatever the connection's profile is by now.
    let caller = caller.under_any();
    while !events.is_empty() {
        let later = events.split_off(events.len().min(AT_ONCE));
        let count = events.len();
        let request = v1::RecordProvisioningEventsRequest { events };
        let call = app.directory.record_provisioning_events(&caller, request);
        let dropped = match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(taken)) => u64::try_from(taken.dropped).unwrap_or_default(),
            Ok(Err(_)) | Err(_) => count as u64,
        };
        metrics::counter!("scim_provisioning_events_dropped_total").increment(dropped);
        events = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_is_taken_from_where_the_base_path_has_it() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let weft = "/scim/v2/inbound/{connection}".to_owned();
        let (plain, short) = ("/scim/v2".to_owned(), "/scim/{connection}/".to_owned());
        let inbound = format!("/scim/v2/inbound/{id}/Userz");
        let own = format!("/scim/v2/connections/{id}/Userz");
        for (bases, path, expected) in [
            (vec![weft.clone()], &*inbound, Some(Some(id))),
            (vec![weft.clone()], "/scim/v2/Userz", None),
            (vec![weft.clone()], "/scim/v2/inbound/x/Userz", None),
            (vec![plain.clone(), weft], &inbound, Some(Some(id))),
            (vec![plain.clone()], &own, Some(Some(id))),
            (vec![plain.clone()], "/scim/v2", Some(None)),
            (vec![plain.clone()], "/scim/v22/Userz", None),
            (vec![plain, short], "/scim/v2/Userz", Some(None)),
            (vec![String::new()], "/Userz", Some(None)),
        ] {
            assert_eq!(below(&bases, path), expected, "{bases:?} {path}");
        }
    }
}
