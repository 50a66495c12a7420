//! The change feed: one reader per tenant and process, any number of
//! consumers.
//!
//! The reader looks at the tenant's head when the bell rings, and now and then
//! without: rings may be lost. What it finds it keeps for a while, and tells
//! consumers that there is more. A consumer has a place of its own and takes
//! what lies behind it: from what is kept, or, when it is further back, from
//! the database. So a slow one delays nobody and costs nothing while it waits.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{Directory, reading::check};
use crate::{
    auth::Caller,
    domain::history::{Change, Position, ResourceType},
    error::{Error, Result},
    storage::{
        Store,
        feed::{Place, Transaction, changes_after},
        history::{self, Bounds},
    },
};

/// How often the head is looked at when no bell rings.
const POLL: Duration = Duration::from_millis(250);

/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// After this long without a look nobody counts as caught up.
const SILENCE: Duration = Duration::from_secs(3);

/// The shortest time between two looks, per consumer: waking all of them costs,
/// and what comes meanwhile goes in one message.
const PAUSE_PER_CONSUMER: Duration = Duration::from_micros(40);

/// Changes that are kept for consumers who follow closely.
const KEPT: usize = 20_000;

/// Changes read from the database at once; a transaction with more comes in
/// parts.
const PART: u64 = 1_000;

/// Which changes a consumer wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedFilter {
    /// Of these types; empty: of all.
    pub types: Vec<ResourceType>,
    /// Of these groups and memberships in them; empty: of all.
    pub group_ids: Vec<String>,
    /// Of what this connection created.
    pub connection_id: Option<String>,
}

impl FeedFilter {
    /// Whether it lets a change through.
    pub fn lets_through(&self, change: &Change) -> bool {
        let of_group = || {
            matches!(
                change.resource_type,
                ResourceType::Group | ResourceType::Membership
            ) && self.group_ids.contains(&change.resource_id)
        };
        (self.types.is_empty() || self.types.contains(&change.resource_type))
            && (self.group_ids.is_empty() || of_group())
            && (self.connection_id.is_none() || self.connection_id == change.owner)
    }
}

/// Where a consumer starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Behind this position.
    After(Position),
    /// With the oldest change that is kept.
    Oldest,
    /// With what comes.
    Now,
}

/// The readers of a process.
#[derive(Debug)]
pub(super) struct Hub {
    store: Store,
    tenants: Mutex<HashMap<String, Weak<Shared>>>,
}

/// What a tenant's reader found.
#[derive(Debug)]
struct Shared {
    recent: RwLock<Recent>,
    /// When the reader last saw the database.
    seen: Mutex<Instant>,
    news: watch::Sender<()>,
    consumers: AtomicUsize,
}

#[derive(Debug)]
struct Recent {
    bounds: Bounds,
    /// All changes behind this revision, up to the latest, are kept.
    base: i64,
    transactions: VecDeque<Arc<Transaction>>,
    changes: usize,
}

impl Hub {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            tenants: Mutex::default(),
        }
    }

    /// What the tenant's reader finds, whom the first who asks starts.
    async fn shared(&self, tenant_id: &str) -> Result<Arc<Shared>> {
        if let Some(shared) = lock(&self.tenants).get(tenant_id).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let bounds = history::bounds(&self.store.single(), tenant_id).await?;
        let bounds = bounds.ok_or_else(|| Error::internal("the tenant has no head"))?;
        let mut tenants = lock(&self.tenants);
        if let Some(shared) = tenants.get(tenant_id).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let shared = Arc::new(Shared {
            recent: RwLock::new(Recent {
                base: bounds.latest.revision,
                bounds,
                transactions: VecDeque::new(),
                changes: 0,
            }),
            seen: Mutex::new(Instant::now()),
            news: watch::Sender::new(()),
            consumers: AtomicUsize::new(0),
        });
        tenants.insert(tenant_id.to_owned(), Arc::downgrade(&shared));
        tenants.retain(|_, shared| shared.strong_count() > 0);
        let reader = Reader {
            store: self.store.clone(),
            tenant_id: tenant_id.to_owned(),
            shared: Arc::downgrade(&shared),
        };
        tokio::spawn(reader.run());
        Ok(shared)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Follows a tenant's history as long as somebody wants to know.
struct Reader {
    store: Store,
    tenant_id: String,
    shared: Weak<Shared>,
}

impl Reader {
    async fn run(self) {
        let mut bell = self.store.bell().listen(&self.tenant_id);
        let mut looked = Instant::now();
        loop {
            // Without a ring nothing is the matter; the look is the matter.
            let _ = tokio::time::timeout(POLL, bell.changed()).await;
            let Some(shared) = self.shared.upgrade() else {
                break;
            };
            let consumers = u32::try_from(shared.consumers.load(Ordering::Relaxed));
            tokio::time::sleep_until(looked + PAUSE_PER_CONSUMER * consumers.unwrap_or(0)).await;
            looked = Instant::now();
            match tokio::time::timeout(PATIENCE, self.look(&shared)).await {
                Ok(Ok(())) => shared.saw(),
                // Consumers wait, and are told that they do.
                Ok(Err(error)) => tracing::debug!(%error, "the feed's reader looks again"),
                Err(_) => tracing::debug!("the feed's reader got no answer and looks again"),
            }
        }
    }

    async fn look(&self, shared: &Shared) -> Result<()> {
        let known = shared.bounds();
        let bounds = history::bounds(&self.store.single(), &self.tenant_id).await?;
        if bounds.as_ref() == Some(&known) {
            return Ok(());
        }
        let tx = self.store.snapshot().await?;
        let bounds = history::bounds(&tx, &self.tenant_id).await?;
        let bounds = bounds.ok_or_else(|| Error::internal("the tenant has no head"))?;
        let mut found = Vec::new();
        let goes_on =
            bounds.latest.epoch == known.latest.epoch && bounds.earliest <= known.latest.revision;
        if goes_on {
            let after = Place {
                revision: known.latest.revision,
                part: Place::END,
            };
            let through = bounds.latest.revision;
            let limit = u64::try_from(KEPT / 2).unwrap_or(u64::MAX);
            found = changes_after(&tx, &self.tenant_id, after, through, limit).await?;
        }
        shared.take(bounds, found);
        shared.news.send_replace(());
        Ok(())
    }
}

impl Shared {
    /// The reader saw the database.
    fn saw(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Instant::now();
    }

    /// Whether the reader has seen the database lately.
    fn is_informed(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.elapsed() < SILENCE
    }

    fn bounds(&self) -> Bounds {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        recent.bounds.clone()
    }

    fn take(&self, bounds: Bounds, found: Vec<Transaction>) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        let latest = bounds.latest.revision;
        let whole = found
            .last()
            .is_some_and(|t| t.is_complete && t.revision == latest);
        recent.bounds = bounds;
        if !whole {
            // Too much at once, or another history: consumers read themselves.
            recent.transactions.clear();
            recent.changes = 0;
            recent.base = latest;
            return;
        }
        for transaction in found {
            recent.changes += transaction.changes.len();
            recent.transactions.push_back(Arc::new(transaction));
        }
        while recent.changes > KEPT {
            let Some(oldest) = recent.transactions.pop_front() else {
                break;
            };
            recent.changes -= oldest.changes.len();
            recent.base = oldest.revision;
        }
    }

    /// The kept transactions behind a revision, at most about a part's worth;
    /// `None` when they are not kept.
    fn after(&self, place: Place) -> Option<Vec<Arc<Transaction>>> {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        if place.part != Place::END || place.revision < recent.base {
            return None;
        }
        let first = recent
            .transactions
            .partition_point(|transaction| transaction.revision <= place.revision);
        let mut changes = 0;
        let behind = recent
            .transactions
            .range(first..)
            .take_while(|transaction| {
                let fits = changes == 0 || changes + transaction.changes.len() <= KEPT / 10;
                changes += transaction.changes.len();
                fits
            });
        let behind: Vec<_> = behind.map(Arc::clone).collect();
        // What is kept is not cut into parts.
        let small = |t: &Arc<Transaction>| t.changes.len() as u64 <= PART;
        behind.iter().all(small).then_some(behind)
    }
}

/// What a consumer takes at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What its filter lets through, in order.
    pub transactions: Vec<Arc<Transaction>>,
    /// Where it could resume before.
    pub from: Position,
    /// Where it may resume; inside a transaction, before it.
    pub through: Position,
}

/// One consumer's way through the feed.
#[derive(Debug)]
pub struct Feed {
    directory: Directory,
    tenant_id: String,
    filter: FeedFilter,
    shared: Arc<Shared>,
    news: watch::Receiver<()>,
    epoch: String,
    place: Place,
    /// Behind all that is complete.
    resume: i64,
    /// Whether nothing was taken yet of what was asked for from the oldest on.
    is_to_begin: bool,
    /// The newest revision that this consumer saw itself.
    latest: i64,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.consumers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Directory {
    /// Starts to read the feed.
    ///
    /// # Errors
    /// [`Error::RevisionInvalid`], [`Error::EpochMismatch`],
    /// [`Error::CursorExpired`].
    pub async fn feed(&self, caller: &Caller, start: Start, filter: FeedFilter) -> Result<Feed> {
        let shared = self.feeds.shared(&caller.tenant_id).await?;
        let bounds = self.change_bounds(caller).await?;
        let revision = match &start {
            Start::Oldest => bounds.earliest,
            Start::Now => bounds.latest.revision,
            Start::After(position) => {
                check(position, &bounds.latest)?;
                position.revision
            }
        };
        if revision < bounds.earliest {
            return Err(Error::CursorExpired);
        }
        shared.consumers.fetch_add(1, Ordering::Relaxed);
        Ok(Feed {
            directory: self.clone(),
            tenant_id: caller.tenant_id.clone(),
            filter,
            news: shared.news.subscribe(),
            shared,
            epoch: bounds.latest.epoch,
            place: Place {
                revision,
                part: Place::END,
            },
            resume: revision,
            is_to_begin: start == Start::Oldest,
            latest: bounds.latest.revision,
        })
    }

    /// From where to where changes are kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn change_bounds(&self, caller: &Caller) -> Result<Bounds> {
        let bounds = history::bounds(&self.store.single(), &caller.tenant_id).await?;
        bounds.ok_or_else(|| Error::internal("the tenant has no head"))
    }
}

impl Feed {
    /// Where the consumer may resume.
    pub fn through(&self) -> Position {
        Position {
            epoch: self.epoch.clone(),
            revision: self.resume,
        }
    }

    /// Whether all that is known to be committed was taken.
    pub fn is_caught_up(&self) -> bool {
        let latest = self.shared.bounds().latest.revision.max(self.latest);
        latest <= self.resume && self.shared.is_informed()
    }

    /// Whether the last transaction goes on behind what was taken.
    pub fn is_inside_transaction(&self) -> bool {
        self.place.part != Place::END
    }

    /// Whether there is something to take that is known of.
    pub fn is_behind(&self) -> bool {
        self.shared.bounds().latest.revision > self.resume
    }

    /// Waits until there may be more.
    pub async fn news(&mut self) {
        // The reader cannot end while this consumer is there.
        let _ = self.news.changed().await;
    }

    /// Waits until there is something to take. Nothing is lost when it is not
    /// waited for to the end.
    ///
    /// # Errors
    /// [`Error::EpochMismatch`].
    pub async fn ready(&mut self) -> Result<()> {
        loop {
            self.news.borrow_and_update();
            let bounds = self.shared.bounds();
            if bounds.latest.epoch != self.epoch {
                return Err(Error::EpochMismatch);
            }
            if bounds.latest.revision > self.resume {
                return Ok(());
            }
            // The reader cannot end while this consumer is there.
            let _ = self.news.changed().await;
        }
    }

    /// Takes what comes next; `None` when there is nothing after all.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::EpochMismatch`].
    pub async fn take(&mut self) -> Result<Option<Step>> {
        match self.shared.after(self.place) {
            Some(kept) if !kept.is_empty() => Ok(Some(self.advance(kept))),
            _ => self.read(usize::MAX).await,
        }
    }

    /// What the database has behind the consumer's place, no more transactions
    /// than it takes to have `most` changes; `None` when there is nothing.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::EpochMismatch`].
    pub async fn read(&mut self, most: usize) -> Result<Option<Step>> {
        let tx = self.directory.store.snapshot().await?;
        let bounds = history::bounds(&tx, &self.tenant_id).await?;
        let bounds = bounds.ok_or_else(|| Error::internal("the tenant has no head"))?;
        if bounds.latest.epoch != self.epoch {
            return Err(Error::EpochMismatch);
        }
        if self.resume < bounds.earliest {
            if !self.is_to_begin {
                return Err(Error::CursorExpired);
            }
            // What was the oldest change went before anything was taken.
            self.settle(bounds.earliest);
        }
        let through = bounds.latest.revision;
        if through < self.resume {
            // The same epoch, and yet not the same history.
            return Err(Error::EpochMismatch);
        }
        self.latest = through;
        let mut found = changes_after(&tx, &self.tenant_id, self.place, through, PART).await?;
        self.cut(&mut found, most);
        if found.is_empty() {
            let moved = self.resume < through;
            let from = self.through();
            self.settle(through);
            return Ok(moved.then(|| Step {
                transactions: Vec::new(),
                from,
                through: self.through(),
            }));
        }
        Ok(Some(
            self.advance(found.into_iter().map(Arc::new).collect()),
        ))
    }

    /// Leaves what is not to be taken yet.
    fn cut(&self, found: &mut Vec<Transaction>, most: usize) {
        // Whatever fits into a part comes whole.
        if found.len() > 1 && found.last().is_some_and(|last| !last.is_complete) {
            found.pop();
        }
        let mut count = 0;
        let enough = found.iter().position(|transaction| {
            let passing = |change: &&Change| self.filter.lets_through(change);
            count += transaction.changes.iter().filter(passing).count();
            count >= most
        });
        if let Some(last) = enough {
            found.truncate(last + 1);
        }
    }

    fn settle(&mut self, revision: i64) {
        self.is_to_begin = false;
        self.place = Place {
            revision,
            part: Place::END,
        };
        self.resume = revision;
    }

    /// Moves behind what was found, and keeps what the filter lets through.
    fn advance(&mut self, found: Vec<Arc<Transaction>>) -> Step {
        self.is_to_begin = false;
        let from = self.through();
        let mut transactions = Vec::with_capacity(found.len());
        for transaction in found {
            let goes_on = self.is_inside_transaction();
            transactions.extend(self.filtered(Arc::clone(&transaction), goes_on));
            if transaction.is_complete {
                self.settle(transaction.revision);
            } else {
                let taken = i64::try_from(transaction.changes.len()).unwrap_or(i64::MAX);
                let before = match self.place {
                    Place { revision, part } if revision == transaction.revision => part,
                    _ => -1,
                };
                self.place = Place {
                    revision: transaction.revision,
                    part: before + taken,
                };
            }
        }
        Step {
            transactions,
            from,
            through: self.through(),
        }
    }

    /// What the filter leaves of a transaction; `goes_on` when parts of it have
    /// been taken before.
    fn filtered(&self, transaction: Arc<Transaction>, goes_on: bool) -> Option<Arc<Transaction>> {
        let passes = |change: &Change| self.filter.lets_through(change);
        let count = transaction.changes.iter().filter(|c| passes(c)).count();
        if count == transaction.changes.len() {
            return Some(transaction);
        }
        // The end of a transaction is told even when nothing of it is left.
        let ends = goes_on && transaction.is_complete;
        if count == 0 && !ends {
            return None;
        }
        let mut rest = Transaction::clone(&transaction);
        rest.changes.retain(passes);
        Some(Arc::new(rest))
    }
}
