//! The provisioning log: events wait in memory and are written together, so that
//! no request waits for its own.
//!
//! What waits is bounded: when there is no room the newest are dropped and
//! counted. Of one connection, and of one tenant, no more may wait than there is
//! room left for the others, so that none keeps another from its log. A process that is killed
//! takes at most half a second of the log with it; one that is stopped writes what
//! waits.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Directory;
use crate::{
    auth::{Caller, Principal},
    domain::{
        provisioning::{Details, Event, Operation, RESOLVED},
        report::Outcome,
        resource::ResourceKind,
    },
    error::{Error, Result},
    storage::{
        credentials::Credential,
        held::Held,
        provisioning::{self, EventQuery},
    },
};

mod health;

/// Most events that wait to be written.
const WAITING: usize = 10_000;

/// Most events of one transaction.
const AT_ONCE: usize = 2_000;

/// Most events of one call.
pub const RECORD_LIMIT: usize = 1_000;

/// How far apart events of a dead credential are, in milliseconds.
const APART_MS: i64 = 60_000;

/// What waits to be written, and what had no room.
#[derive(Debug, Default)]
pub(super) struct Journal {
    waiting: Mutex<Waiting>,
    dropped: AtomicU64,
    /// When it was last noted that a dead credential is still used.
    dead: Mutex<HashMap<String, i64>>,
}

/// Events in their order, and how many each connection and each tenant has among them.
#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// By the ids of connections and of tenants, of which none is another's.
    shares: HashMap<String, usize>,
}

impl Waiting {
    /// Lets an event wait, unless its connection or its tenant has taken its share.
    fn push(&mut self, event: Event) -> bool {
        let room = WAITING.saturating_sub(self.events.len());
        let share = |owner: &String| self.shares.get(owner).copied().unwrap_or_default();
        let is_taken = owners(&event).iter().all(|owner| share(owner) < room);
        if is_taken {
            self.count(&event);
            self.events.push_back(event);
        }
        is_taken
    }

    fn count(&mut self, event: &Event) {
        for owner in owners(event) {
            *self.shares.entry(owner.clone()).or_default() += 1;
        }
    }

    fn take(&mut self) -> Vec<Event> {
        let count = self.events.len().min(AT_ONCE);
        let taken: Vec<_> = self.events.drain(..count).collect();
        for owner in taken.iter().flat_map(owners) {
            if let Some(share) = self.shares.get_mut(owner) {
                *share = share.saturating_sub(1);
            }
        }
        self.shares.retain(|_, share| *share > 0);
        taken
    }

    /// Puts events before all others, as far as there is room; how many had none.
    fn give_back(&mut self, events: &[Event]) -> usize {
        let room = WAITING.saturating_sub(self.events.len());
        for event in events.iter().take(room).rev() {
            self.count(event);
            self.events.push_front(event.clone());
        }
        events.len().saturating_sub(room)
    }
}

fn owners(event: &Event) -> [&String; 2] {
    [&event.connection_id, &event.tenant_id]
}

impl Journal {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets events wait; how many had no room.
    pub(super) fn add(&self, events: impl IntoIterator<Item = Event>) -> usize {
        let mut waiting = self.waiting();
        let pushed = events.into_iter().map(|event| waiting.push(event));
        let dropped = pushed.filter(|is_taken| !is_taken).count();
        self.lose(dropped);
        dropped
    }

    pub(super) fn take(&self) -> Taken<'_> {
        Taken {
            journal: self,
            events: self.waiting().take(),
            is_settled: false,
        }
    }

    fn lose(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Whether the use of this dead credential is to be told now.
    fn is_news(&self, credential_id: &str, now_ms: i64) -> bool {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.retain(|_, at| now_ms.saturating_sub(*at) < APART_MS);
        let is_news = !dead.contains_key(credential_id);
        if is_news {
            dead.insert(credential_id.to_owned(), now_ms);
        }
        is_news
    }
}

/// Events that are being written. Whoever stops waiting for that does not lose
/// them: an event that is written twice is there once.
pub(super) struct Taken<'a> {
    journal: &'a Journal,
    pub(super) events: Vec<Event>,
    is_settled: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let lost = self.journal.waiting().give_back(&self.events);
            self.journal.lose(lost);
        }
    }
}

/// Events of one page, and the id below which the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The newest first.
    pub events: Vec<Event>,
    /// `None` on the last page.
    pub next: Option<String>,
}

impl Directory {
    /// Lets events wait to be written to the log of the caller's connection;
    /// how many had no room.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] for who is no provisioning client,
    /// [`Error::ScopeMissing`] for who speaks in a user's name: his requests
    /// provision nobody.
    pub fn record_events(&self, caller: &Caller, events: Vec<Event>) -> Result<usize> {
        let Principal::Connection {
            connection_id,
            credential_id,
        } = &caller.principal
        else {
            return Err(Error::CredentialInvalid);
        };
        caller.require_unbound("users.list")?;
        let now = self.source.now_ms();
        let own = events.into_iter().map(|event| Event {
            id: self.source.new_id(),
            at: now,
            tenant_id: caller.tenant_id.clone(),
            connection_id: connection_id.clone(),
            credential_id: credential_id.clone(),
            ..event.clean()
        });
        Ok(self.journal.add(own))
    }

    /// Notes that somebody holds the true secret of a credential that has ended:
    /// his client has not heard of it.
    pub(super) fn note_dead(&self, credential: &Credential) {
        let now = self.source.now_ms();
        let Some(connection_id) = &credential.connection_id else {
            return;
        };
        if credential.user_id.is_some() || !self.journal.is_news(&credential.id, now) {
            return;
        }
        let event = Event {
            id: self.source.new_id(),
            at: now,
            tenant_id: credential.tenant_id.clone(),
            connection_id: connection_id.clone(),
            credential_id: credential.id.clone(),
            status: 401,
            reason: "CREDENTIAL_INVALID".to_owned(),
            ..Event::default()
        };
        self.journal.add([event]);
    }

    /// Notes in the log of its connection what became of a deactivation that waited,
    /// once that is committed: [`Outcome::Disabled`] or [`Outcome::Deleted`] of one
    /// that was done, [`Outcome::Enabled`] of one that was dropped. The caller
    /// decided; the server itself when nobody did in time.
    pub(super) fn note_resolved(&self, caller: &Caller, held: &Held, came_to: Outcome) {
        let operation = match came_to {
            Outcome::Disabled => Operation::Disable,
            Outcome::Deleted => Operation::Delete,
            Outcome::Enabled => Operation::Enable,
            Outcome::Unchanged | Outcome::Created | Outcome::Updated => Operation::Other,
        };
        let detail = match (&caller.principal, operation) {
            (_, Operation::Enable) => "An operator dropped what waited: the user still acts.",
            (Principal::Server, _) => "Nobody decided in time: what waited was done.",
            _ => "An operator let what waited happen.",
        };
        let event = Event {
            id: self.source.new_id(),
            at: self.source.now_ms(),
            tenant_id: held.tenant_id.clone(),
            connection_id: held.connection_id.clone(),
            operation,
            kind: Some(ResourceKind::User),
            resource_id: held.user_id.clone(),
            status: RESOLVED,
            request_id: caller.request_id.clone(),
            details: Details {
                detail: detail.to_owned(),
                ..Details::default()
            },
            ..Event::default()
        };
        self.journal.add([event.clean()]);
    }

    /// How many events had no room since the start of this process.
    pub fn dropped_events(&self) -> u64 {
        self.journal.dropped.load(Ordering::Relaxed)
    }

    /// Writes the events that wait. Those that cannot be written now go on
    /// waiting; those that this database never takes are dropped.
    pub async fn write_events(&self) {
        loop {
            let mut taken = self.journal.take();
            if taken.events.is_empty() {
                return;
            }
            if let Err(error) = self.write_batch(taken.events.clone()).await {
                tracing::debug!(%error, "the provisioning log is written later");
                return;
            }
            taken.is_settled = true;
        }
    }

    /// Writes events together, or where one of them cannot be written, in halves
    /// until that one is left over.
    ///
    /// # Errors
    /// What passes by itself: some may not have been written.
    async fn write_batch(&self, events: Vec<Event>) -> Result<()> {
        let mut batches = vec![Arc::new(events)];
        while let Some(batch) = batches.pop() {
            let work = Arc::clone(&batch);
            let written = self.store.administer("RecordProvisioning", move |tx| {
                let events = Arc::clone(&work);
                async move {
                    let mut events = events.to_vec();
                    provisioning::name(&tx, &mut events).await?;
                    provisioning::insert(&tx, &events).await
                }
            });
            match written.await {
                Ok(()) => {}
                Err(error @ (Error::Contention | Error::Unavailable(_))) => return Err(error),
                Err(_) if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first].map(|half| Arc::new(half.to_vec())));
                }
                Err(error) => {
                    tracing::warn!(%error, "an event cannot be written to the provisioning log");
                    self.journal.lose(batch.len());
                }
            }
        }
        Ok(())
    }

    /// Writes events now and then. Runs until dropped.
    pub async fn keep_journal(&self) {
        let mut ticks = tokio::time::interval(super::JOURNAL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            ticks.tick().await;
            self.write_events().await;
            let dropped = self.dropped_events();
            let fresh = dropped - mem::replace(&mut told, dropped);
            if fresh > 0 {
                tracing::warn!(
                    events.dropped = fresh,
                    "the provisioning log had no room for all events"
                );
            }
        }
    }

    /// Lists events of the caller's tenant, the newest first. A provisioning
    /// client sees its own connection's alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a connection that is not there.
    pub async fn list_events(
        &self,
        caller: &Caller,
        wanted: EventQuery,
        size: usize,
    ) -> Result<EventPage> {
        let mut wanted = wanted;
        caller.require_unbound("provisioning.read")?;
        if caller.connection().is_some() || !wanted.connection_id.is_empty() {
            let connection = self.own_connection(caller, &wanted.connection_id);
            wanted.connection_id = connection.await?.id;
        }
        let mut events = self
            .tail_events(&caller.tenant_id, &wanted, size.saturating_add(1))
            .await?;
        // One more than is wanted tells whether the list goes on.
        let more = events.len() > size;
        events.truncate(size);
        let next = events.last().filter(|_| more).map(|event| event.id.clone());
        Ok(EventPage { events, next })
    }

    /// Events of a tenant: the newest first, or behind an id the oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tail_events(
        &self,
        tenant_id: &str,
        wanted: &EventQuery,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        provisioning::list(&self.store.single(), tenant_id, wanted, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connection: &str, count: usize) -> impl Iterator<Item = Event> {
        (0..count).map(move |number| Event {
            id: number.to_string(),
            connection_id: connection.to_owned(),
            tenant_id: format!("of-{connection}"),
            ..Event::default()
        })
    }

    fn events(count: usize) -> impl Iterator<Item = Event> {
        of("", count)
    }

    #[test]
    fn nobody_takes_the_room_of_another() {
        let journal = Journal::default();
        let half = WAITING / 2;
        assert_eq!(journal.add(of("loud", WAITING)), half);
        assert_eq!(journal.add(of("quiet", 100)), 0);
        assert_eq!(journal.dropped.load(Ordering::Relaxed), half as u64);
        assert_eq!(journal.add(of("loud", 1)), 1, "it has more than is left");
        let mut taken = journal.take();
        assert_eq!(taken.events.len(), AT_ONCE);
        taken.is_settled = true;
        drop(taken);
        assert_eq!(journal.add(of("loud", 1)), 0);
        // Connections of one tenant have the room of one.
        for number in 0..5 {
            let mut event = of(&format!("loud-{number}"), 1).next().expect("one");
            event.tenant_id = "of-loud".to_owned();
            let more = std::iter::repeat_n(event, WAITING);
            let _ = journal.add(more);
        }
        assert_eq!(journal.add(of("quiet", 100)), 0);
        // What comes back has the room that it had.
        let waited = journal.waiting().events.len();
        drop(journal.take());
        assert_eq!(journal.waiting().events.len(), waited);
    }

    #[test]
    fn what_could_not_be_written_stays_before_the_others() {
        let journal = Journal::default();
        journal.add(events(2));
        let taken = journal.take();
        journal.add([Event::default()]);
        drop(taken);
        let taken = journal.take();
        let ids: Vec<_> = taken.events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["0", "1", ""]);
        assert_eq!(journal.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_dead_credential_is_told_of_once_a_minute() {
        let journal = Journal::default();
        assert!(journal.is_news("a", 0));
        assert!(!journal.is_news("a", APART_MS - 1));
        assert!(journal.is_news("b", APART_MS - 1));
        assert!(journal.is_news("a", APART_MS));
    }
}
