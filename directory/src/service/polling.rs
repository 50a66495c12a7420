//! Security event tokens that are polled for (RFC 8936): each comes again until it
//! is acknowledged.
//!
//! A stream is a place in the feed, behind which nothing is open, and the ids of
//! what was acknowledged beyond it. What is open is made anew from the changes with
//! each poll.

use std::{collections::HashSet, sync::Arc};

use super::{
    Directory,
    feed::{Feed, Start},
    jobs::millis,
    signals::{self, Told, signal_filter, told},
};
use crate::{
    auth::{Caller, Principal},
    domain::{
        history::ChangeKind,
        signal::{self, SignalKind, Subject},
    },
    error::{Error, Result},
    signing::set::{Event, SecurityEvent, SubjectId},
    storage::{
        Tx,
        feed::{Place, Transaction, changes_after},
        history::{self, Bounds},
        signal_streams::{self, StreamKey, StreamState},
    },
};

/// Streams of a client.
const STREAMS: i64 = 16;

/// Longest name of a stream.
const NAME: usize = 100;

/// Events of an answer when nothing else is said, and at most.
const EVENTS: usize = 100;

/// Ids that a request may acknowledge.
const ACKS: usize = 1_000;

/// Signals behind the first open one that are looked at.
const WINDOW: usize = 1_000;

/// Changes behind the first open signal that are looked at.
const REACH: usize = 10_000;

/// Changes read at once.
const PART: u64 = 1_000;

/// How many of these reads a poll may take.
const READS: usize = 50;

/// How often a look is repeated when the same stream is polled elsewhere.
const TRIES: usize = 5;

/// How many revisions a stream may be behind where it was found.
const FAR: i64 = 1_000;

/// How exact it is kept when a stream was polled, in milliseconds.
const POLLED: i64 = 60 * 60 * 1_000;

/// What a receiver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// What it calls its stream.
    pub stream_id: String,
    /// How many events it takes; `None`: as many as an answer holds.
    pub most: Option<usize>,
    /// Ids of what need not come again.
    pub acks: Vec<String>,
    /// Those among them that could not be used.
    pub failed: usize,
    /// Whether it knows that events were lost, when they were.
    pub begins_anew: bool,
}

/// What it is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Polled {
    /// Tokens by their ids.
    pub sets: Vec<(String, String)>,
    /// Whether there are more.
    pub has_more: bool,
}

/// What a look at a stream found.
struct Found {
    /// Where it is then.
    state: StreamState,
    open: Vec<Told>,
    has_more: bool,
}

impl Directory {
    /// Looks for what a receiver has not acknowledged.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::ScopeMissing`] for who is no service client;
    /// [`Error::CursorExpired`], [`Error::EpochMismatch`] until the receiver says
    /// that the stream is to begin anew.
    pub async fn poll_events(&self, caller: &Caller, poll: &Poll) -> Result<Polled> {
        let key = stream_key(caller, poll)?;
        if poll.failed > 0 {
            tracing::warn!(
                client.id = key.client_id,
                events = poll.failed,
                "a receiver could not use security events"
            );
        }
        let most = poll.most.unwrap_or(EVENTS).min(EVENTS);
        let found = self.settle(&key, poll, most).await?;
        let mut polled = Polled {
            sets: Vec::with_capacity(found.open.len()),
            has_more: found.has_more,
        };
        for open in found.open {
            let id = open.id.clone();
            let set = self.security_event(&key, open).await?;
            polled.sets.push((id, set));
        }
        Ok(polled)
    }

    /// What wakes a poll that found nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn signal_feed(&self, caller: &Caller) -> Result<Feed> {
        self.feed(caller, Start::Now, signal_filter()).await
    }

    /// Looks at a stream, and writes where it is then. The look takes no part in
    /// the tenant's writes: it is repeated when somebody else polls meanwhile.
    async fn settle(&self, key: &StreamKey, poll: &Poll, most: usize) -> Result<Found> {
        for _ in 0..TRIES {
            let tx = self.store.snapshot().await?;
            let before = signal_streams::load(&tx, key).await?;
            let mut found = look(&tx, key, before.clone(), poll, (most, self.now_ms())).await?;
            signals::name(&tx, &key.tenant_id, &mut found.open).await?;
            drop(tx);
            if !is_news(before.as_ref(), &found.state, poll)
                || self.keep(key, before, found.state.clone()).await?
            {
                return Ok(found);
            }
        }
        Err(Error::Contention)
    }

    /// Writes where a stream is, if it is still where it was.
    async fn keep(
        &self,
        key: &StreamKey,
        before: Option<StreamState>,
        after: StreamState,
    ) -> Result<bool> {
        let since = after
            .polled_at
            .saturating_sub(millis(self.retention.changes));
        let work = Arc::new((key.clone(), before, after));
        self.store
            .write(&key.tenant_id, "PollSecurityEventTokens", move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (key, before, after) = &*work;
                    if signal_streams::load(&tx, key).await? != *before {
                        return Ok(false);
                    }
                    let was_polled = before.as_ref().is_some_and(|b| b.polled_at >= since);
                    if !was_polled && signal_streams::count(&tx, key, since).await? >= STREAMS {
                        let rule = format!("is one too many: a client has at most {STREAMS}");
                        return Err(Error::invalid("stream_id", rule));
                    }
                    signal_streams::save(&tx, key, after).await?;
                    Ok(true)
                }
            })
            .await
    }

    async fn security_event(&self, key: &StreamKey, told: Told) -> Result<String> {
        let event = SecurityEvent {
            iss: self.issuer().await?,
            aud: key.client_id.clone(),
            iat: self.now_ms().div_euclid(1_000),
            toe: told.committed_at.div_euclid(1_000),
            jti: told.id.clone(),
            txn: told.transaction_id.clone(),
            sub_id: subject_id(&told),
            event: event(&told),
        };
        self.sign_event(&event).await
    }
}

fn stream_key(caller: &Caller, poll: &Poll) -> Result<StreamKey> {
    let Principal::Client { id, .. } = &caller.principal else {
        return Err(Error::ScopeMissing("signals.read".to_owned()));
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let name = &poll.stream_id;
    if !(1..=NAME).contains(&name.len()) || !name.bytes().all(is_plain) {
        let rule = format!("must have 1 to {NAME} letters, digits, \"-\", \"_\" and \".\"");
        return Err(Error::invalid("stream_id", rule));
    }
    if poll.acks.len() > ACKS {
        let rule = format!("must name at most {ACKS}, with those in error_by_jti");
        return Err(Error::invalid("ack_jtis", rule));
    }
    Ok(StreamKey {
        tenant_id: caller.tenant_id.clone(),
        client_id: id.clone(),
        stream_id: poll.stream_id.clone(),
    })
}

/// Whether it is worth a write where a stream is: a place at which nothing was told
/// is found again, and every other write of the tenant would cause one.
fn is_news(before: Option<&StreamState>, after: &StreamState, poll: &Poll) -> bool {
    let Some(before) = before else {
        return true;
    };
    let passed = after.place.revision.saturating_sub(before.place.revision);
    let is_far = !(0..=FAR).contains(&passed);
    is_far
        || before.epoch != after.epoch
        || before.polled_at != after.polled_at
        || !poll.acks.is_empty() && before != after
}

/// Why a stream cannot go on, if it cannot.
fn expired(state: &StreamState, bounds: &Bounds) -> Option<Error> {
    if state.epoch != bounds.latest.epoch || state.place.revision > bounds.latest.revision {
        return Some(Error::EpochMismatch);
    }
    (state.place.revision < bounds.earliest).then_some(Error::CursorExpired)
}

/// What is open in a stream, and where it is when these were acknowledged.
///
/// # Errors
/// Why it cannot go on, unless it is to begin anew.
async fn look(
    tx: &Tx,
    key: &StreamKey,
    state: Option<StreamState>,
    poll: &Poll,
    (most, now): (usize, i64),
) -> Result<Found> {
    let bounds = history::bounds(tx, &key.tenant_id).await?;
    let bounds = bounds.ok_or_else(|| Error::internal("the tenant has no head"))?;
    let lost = state.as_ref().and_then(|state| expired(state, &bounds));
    let mut state = match (state, lost) {
        (Some(state), None) => state,
        (Some(_), Some(lost)) if !poll.begins_anew => return Err(lost),
        _ => {
            return Ok(Found {
                state: StreamState::beginning(&bounds.latest, now),
                open: Vec::new(),
                has_more: false,
            });
        }
    };
    if now.saturating_sub(state.polled_at) > POLLED {
        state.polled_at = now;
    }
    let looking = Looking::new(&state, &poll.acks, most);
    look_through(tx, key, state, looking, bounds.latest.revision).await
}

/// Goes through what a stream has not passed, up to this revision.
async fn look_through(
    tx: &Tx,
    key: &StreamKey,
    mut state: StreamState,
    mut looking: Looking,
    through: i64,
) -> Result<Found> {
    let mut place = state.place;
    while !looking.is_full() {
        looking.reads += 1;
        let found = changes_after(tx, &key.tenant_id, place, through, PART).await?;
        if found.is_empty() {
            looking.pass(Place {
                revision: through,
                part: Place::END,
            });
            break;
        }
        for transaction in &found {
            let first = match place.revision == transaction.revision {
                true if place.part != Place::END => place.part + 1,
                _ => 0,
            };
            let told = told(&key.tenant_id, &state.epoch, transaction, &[]);
            place = looking.take(transaction, told, first);
        }
    }
    // What was not looked at may have some, too.
    let may_have_more = looking.reads >= READS && looking.open.is_empty();
    state.place = looking.settled;
    state.acked = looking.still_acked;
    Ok(Found {
        state,
        open: looking.open,
        has_more: looking.has_more || may_have_more,
    })
}

/// On the way through what a stream has not passed.
struct Looking {
    acked: HashSet<String>,
    /// Of these, what lies behind what is open.
    still_acked: Vec<String>,
    /// Up to where nothing is open.
    settled: Place,
    open: Vec<Told>,
    most: usize,
    has_more: bool,
    /// What was looked at behind the first open signal.
    signals: usize,
    changes: usize,
    reads: usize,
}

impl Looking {
    fn new(state: &StreamState, acks: &[String], most: usize) -> Self {
        Self {
            acked: state.acked.iter().chain(acks).cloned().collect(),
            still_acked: Vec::new(),
            settled: state.place,
            open: Vec::new(),
            most,
            has_more: false,
            signals: 0,
            changes: 0,
            reads: 0,
        }
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty() || self.has_more
    }

    /// Whether enough was looked at. What may have been acknowledged lies within
    /// the window, so that all of it is, even when no event is wanted.
    fn is_full(&self) -> bool {
        self.signals >= WINDOW || self.changes >= REACH || self.reads >= READS
    }

    /// Nothing up to here is open, unless something was before.
    fn pass(&mut self, place: Place) {
        if !self.is_open() {
            self.settled = place;
            self.still_acked.clear();
        }
    }

    /// Takes the signals of a transaction that begins with this part; the place
    /// behind it.
    fn take(&mut self, transaction: &Transaction, told: Vec<(usize, Told)>, first: i64) -> Place {
        let before = |change: usize| Place {
            revision: transaction.revision,
            part: first + i64::try_from(change).unwrap_or(i64::MAX) - 1,
        };
        let mut last = None;
        for (change, told) in told.into_iter().filter(|(_, told)| has_event(told)) {
            // Several signals of one change are passed together.
            if last.replace(change) != Some(change) {
                self.pass(before(change));
            }
            if self.acked.contains(&told.id) {
                self.still_acked.push(told.id);
            } else if self.open.len() < self.most {
                self.open.push(told);
            } else {
                self.has_more = true;
            }
            self.signals += usize::from(self.is_open());
        }
        let count = transaction.changes.len();
        let behind = match transaction.is_complete {
            true => Place {
                revision: transaction.revision,
                part: Place::END,
            },
            false => before(count),
        };
        self.pass(behind);
        if self.is_open() {
            self.changes += count;
        }
        behind
    }
}

/// Whether a transaction gives events that are polled for.
pub fn gives_events(transaction: &Transaction) -> bool {
    let signals = signal::signals(&transaction.changes);
    signals.iter().any(|(_, one)| is_standard(one.kind))
}

/// Whether there is a standard event for it.
fn has_event(told: &Told) -> bool {
    is_standard(told.signal.kind)
}

fn is_standard(kind: SignalKind) -> bool {
    !matches!(
        kind,
        SignalKind::FederationChanged | SignalKind::SigningKeyRevoked
    )
}

fn subject_id(told: &Told) -> SubjectId {
    if let Some(first) = told.subjects.first() {
        return SubjectId::IssSub {
            iss: first.issuer.clone(),
            sub: first.subject.clone(),
        };
    }
    match &told.signal.subject {
        Subject::User(id) | Subject::Token(_, Some(id)) => SubjectId::Opaque { id: id.clone() },
        Subject::Group(id) => SubjectId::Group { id: id.clone() },
        Subject::Token(id, None) => SubjectId::Session { id: id.clone() },
        Subject::Key(kid) => SubjectId::Opaque { id: kid.clone() },
    }
}

fn event(told: &Told) -> Event {
    let at = told.committed_at.div_euclid(1_000);
    match told.signal.kind {
        SignalKind::AccountDisabled => Event::AccountDisabled,
        SignalKind::AccountEnabled => Event::AccountEnabled,
        SignalKind::AccountPurged => Event::AccountPurged,
        SignalKind::IdentifierChanged => Event::IdentifierChanged,
        SignalKind::SessionsRevoked => Event::SessionRevoked(at),
        SignalKind::ClaimsChanged => Event::TokenClaimsChange(at),
        SignalKind::CredentialChanged
        | SignalKind::FederationChanged
        | SignalKind::SigningKeyRevoked => {
            let what = match told.signal.cause {
                ChangeKind::Created => "create",
                ChangeKind::Deleted | ChangeKind::Purged => "revoke",
                _ => "update",
            };
            Event::CredentialChange(at, what)
        }
    }
}
