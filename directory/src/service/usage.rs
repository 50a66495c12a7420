//! When credentials were last used, and whence: noted in memory, written at most
//! once a minute.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use super::Directory;
use crate::{
    auth::{Caller, Principal},
    storage::usage::{self, Holder, Use},
};

/// How often it is written of one credential, in milliseconds.
const NOTE_MS: i64 = 60_000;

/// Most notes that wait to be written.
const WAITING: usize = 10_000;

/// Notes that wait to be written, by credential.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<HashMap<String, (String, Use)>>);

impl Notes {
    /// Notes that a caller was here, unless that was noted within the minute.
    pub(super) fn note(
        &self,
        caller: &Caller,
        noted_at: &AtomicI64,
        address: Option<IpAddr>,
        now_ms: i64,
    ) {
        if !is_due(noted_at, now_ms) {
            return;
        }
        let holder = match &caller.principal {
            Principal::Connection { .. } => Holder::Credential,
            Principal::Client { .. } => Holder::Client,
            Principal::Operator | Principal::Server => return,
        };
        self.add(&caller.tenant_id, holder, caller.id(), address, now_ms);
    }

    fn add(&self, tenant_id: &str, holder: Holder, id: &str, address: Option<IpAddr>, now_ms: i64) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING {
            let note = Use {
                holder,
                id: id.to_owned(),
                at: now_ms,
                address: address.map(|address| address.to_string()),
            };
            waiting.insert(id.to_owned(), (tenant_id.to_owned(), note));
        }
    }

    /// Notes that a stored token was introspected, unless that was noted within the
    /// minute. Whence it came is not known: another service was shown it.
    pub(super) fn note_token(&self, tenant_id: &str, id: &str, noted_at: &AtomicI64, now_ms: i64) {
        if is_due(noted_at, now_ms) {
            self.add(tenant_id, Holder::Credential, id, None, now_ms);
        }
    }

    fn take(&self) -> BTreeMap<String, Vec<Use>> {
        let waiting = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_tenant = BTreeMap::<_, Vec<Use>>::new();
        for (tenant_id, note) in waiting.into_values() {
            by_tenant.entry(tenant_id).or_default().push(note);
        }
        by_tenant
    }
}

/// Whether a minute has passed since it was last noted; it is noted now.
fn is_due(noted_at: &AtomicI64, now_ms: i64) -> bool {
    let before = noted_at.load(Ordering::Relaxed);
    let is_due = now_ms.saturating_sub(before) >= NOTE_MS;
    is_due
        && noted_at
            .compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

impl Directory {
    /// Writes when credentials were last used. What cannot be written now is
    /// noted again with their next use, after a minute.
    pub async fn write_usage(&self) {
        for (tenant_id, notes) in self.notes.take() {
            let notes = Arc::new(notes);
            let written = self.store.write(&tenant_id, "NoteUse", move |tx| {
                let notes = Arc::clone(&notes);
                async move { usage::write(&tx, &notes, NOTE_MS).await }
            });
            if let Err(error) = written.await {
                tracing::debug!(%error, "the use of credentials is not noted");
            }
        }
    }
}
