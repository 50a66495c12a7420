//! What the one who follows the feed tells those who read: the map, how fresh it is,
//! how far it has come.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use muster_proto::v1::Revision;
use papaya::HashMap;
use tokio::sync::{Notify, watch};
use tonic::Status;

use super::{map::Map, names::Name};
use crate::{
    clock::{Clock, Moment},
    error::{Error, Refused, Result},
};

/// Revisions that are remembered as passed.
const PASSED: usize = 1_024;

/// Misses that are remembered.
const MISSES: usize = 100_000;

/// How fresh a cache is.
#[derive(Debug, Clone)]
pub struct Freshness {
    /// Where in the history it is: everything until there counts. `None` before it is
    /// filled.
    pub revision: Option<Revision>,
    /// How long ago it was surely exact; before it is filled, since it was started.
    pub silence: Duration,
    /// How old what came last was when it came, by the directory's clock: how far the
    /// feed is behind. The silence where that was not said.
    pub lag: Duration,
    /// Whether the server had nothing more when it spoke last.
    pub caught_up: bool,
    /// Whether it is filled, and was exact lately: whether it answers.
    pub is_fresh: bool,
}

/// What the feed said.
#[derive(Debug, Clone, Copy)]
pub(super) struct News<'a> {
    /// Everything until there is in the map.
    pub(super) through: Option<&'a Revision>,
    /// The moment of which the map has all that there was; `None` if nobody can say.
    pub(super) as_of: Option<Moment>,
    /// Whether the server says that it has nothing more.
    pub(super) caught_up: bool,
}

/// Shared by the one who writes and those who read.
pub(super) struct State {
    pub(super) clock: Arc<dyn Clock>,
    /// After this much silence nothing is believed.
    limit: Duration,
    map: ArcSwapOption<Map>,
    /// The last moment of which the map has all, in microseconds of both clocks.
    heard: [AtomicU64; 2],
    /// In microseconds.
    lag: AtomicU64,
    caught_up: AtomicBool,
    passed: Mutex<Passed>,
    /// Moves with everything that is told here.
    news: watch::Sender<()>,
    /// How often somebody asked for a look, and the number of the last that was answered.
    asked: AtomicU64,
    answered: AtomicU64,
    pub(super) look: Notify,
    fault: ArcSwapOption<Refused>,
    is_stopped: AtomicBool,
    /// Until when a miss counts, in microseconds of the clock.
    misses: HashMap<Name, u64>,
}

#[derive(Default)]
struct Passed {
    newest: Option<Revision>,
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl fmt::Debug for State {
    /// Without the map, and without the names that were asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("freshness", &self.freshness())
            .finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(clock: Arc<dyn Clock>, limit: Duration) -> Self {
        let started = Moment::now(&*clock);
        Self {
            clock,
            limit,
            map: ArcSwapOption::empty(),
            heard: [started.elapsed(), started.unix()].map(|time| AtomicU64::new(micros(time))),
            lag: AtomicU64::new(0),
            caught_up: AtomicBool::new(false),
            passed: Mutex::default(),
            news: watch::Sender::new(()),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            look: Notify::new(),
            fault: ArcSwapOption::empty(),
            is_stopped: AtomicBool::new(false),
            misses: HashMap::new(),
        }
    }

    /// The map, if it may be believed.
    #[inline]
    pub(super) fn map(&self) -> Result<Guard<Option<Arc<Map>>>> {
        let map = self.map.load();
        if map.is_none() {
            return Err(self.unfilled());
        }
        match self.silence() {
            silence if silence > self.limit => Err(Error::Stale { silence }),
            _ => Ok(map),
        }
    }

    #[cold]
    fn unfilled(&self) -> Error {
        match self.is_stopped.load(Ordering::Acquire) {
            true => Error::Stopped,
            false => Error::NotReady,
        }
    }

    /// Nobody follows the feed any more: nothing is believed from now on.
    pub(super) fn stops(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.map.store(None);
        self.news.send_replace(());
    }

    /// What a waiter must be told instead of what he waits for.
    fn hindered(&self) -> Option<Error> {
        if self.is_stopped.load(Ordering::Acquire) {
            return Some(Error::Stopped);
        }
        let fault = self.fault.load_full()?;
        Some(Error::Refused(Box::new(Refused::clone(&fault))))
    }

    pub(super) fn silence(&self) -> Duration {
        // Read while they move, one of them may be older than the other: that is on the
        // safe side.
        let [elapsed, unix] = &self.heard;
        let [elapsed, unix] = [elapsed, unix].map(|time| time.load(Ordering::Acquire));
        let heard = Moment::of(Duration::from_micros(elapsed), Duration::from_micros(unix));
        self.now().since(heard)
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silence() > self.limit
    }

    pub(super) fn freshness(&self) -> Freshness {
        Freshness {
            revision: self.passed().newest.clone(),
            silence: self.silence(),
            lag: Duration::from_micros(self.lag.load(Ordering::Acquire)),
            caught_up: self.caught_up.load(Ordering::Acquire),
            is_fresh: self.map().is_ok(),
        }
    }

    /// The feed spoke, and what it said is in the map.
    pub(super) fn heard(&self, news: News<'_>) {
        if let Some(through) = news.through {
            self.passed().push(through);
        }
        self.caught_up.store(news.caught_up, Ordering::Release);
        if let Some(as_of) = news.as_of {
            self.is_exact(as_of);
            self.fault.store(None);
        }
        let lag = match news.as_of {
            Some(as_of) => self.now().since(as_of),
            None => self.silence(),
        };
        self.lag.store(micros(lag), Ordering::Release);
        self.news.send_replace(());
    }

    /// The map has all that there was at that moment.
    fn is_exact(&self, as_of: Moment) {
        let [elapsed, unix] = &self.heard;
        let then = micros(as_of.elapsed());
        if then > elapsed.load(Ordering::Acquire) {
            elapsed.store(then, Ordering::Release);
            unix.store(micros(as_of.unix()), Ordering::Release);
        }
    }

    /// This moment.
    #[inline]
    pub(super) fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Another map counts from now on.
    pub(super) fn publish(&self, map: Arc<Map>) {
        self.misses.pin().clear();
        *self.passed() = Passed::default();
        self.map.store(Some(map));
        self.fault.store(None);
    }

    /// The feed cannot be followed.
    pub(super) fn fails(&self, refused: Option<Refused>) {
        self.caught_up.store(false, Ordering::Release);
        self.fault.store(refused.map(Arc::new));
        self.news.send_replace(());
    }

    /// Waits until the map may be believed.
    ///
    /// # Errors
    /// [`Error::Refused`] when the client's rights do not reach.
    pub(super) async fn ready(&self) -> Result<()> {
        let mut news = self.news.subscribe();
        loop {
            news.borrow_and_update();
            if self.map().is_ok() {
                return Ok(());
            }
            if let Some(error) = self.hindered() {
                return Err(error);
            }
            if news.changed().await.is_err() {
                return Err(Error::Stopped);
            }
        }
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_passed(&self, revision: &Revision) -> bool {
        self.passed().known.contains(&revision.token)
    }

    /// Whether the feed comes to just this revision so soon.
    pub(super) async fn passes(&self, revision: &Revision, patience: Duration) -> bool {
        let mut news = self.news.subscribe();
        let comes = async { while !self.has_passed(revision) && news.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(patience, comes).await;
        self.has_passed(revision)
    }

    /// Waits until everything is in the map that there is now. A revision may have gone by
    /// together with others, and only the server can compare two; but whatever it had
    /// before it is asked for all is there afterwards.
    ///
    /// # Errors
    /// [`Error::Refused`] when the client's rights do not reach, and when it takes longer
    /// than `patience`; [`Error::Stopped`].
    pub(super) async fn looks(&self, patience: Duration) -> Result<()> {
        let waited = tokio::time::timeout(patience, self.look_now()).await;
        waited.unwrap_or_else(|_| {
            let late = "the cache has not come so far in time";
            Err(Status::deadline_exceeded(late).into())
        })
    }

    async fn look_now(&self) -> Result<()> {
        let mut news = self.news.subscribe();
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.look.notify_one();
        loop {
            news.borrow_and_update();
            if self.answered.load(Ordering::Acquire) >= ticket {
                return Ok(());
            }
            if let Some(error) = self.hindered() {
                return Err(error);
            }
            if news.changed().await.is_err() {
                return Err(Error::Stopped);
            }
        }
    }

    /// How often somebody asked for a look.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// All who asked until then have what they waited for.
    pub(super) fn answer(&self, asked: u64) {
        self.answered.fetch_max(asked, Ordering::AcqRel);
        self.news.send_replace(());
    }

    /// Whether this name was asked for in vain a moment ago.
    pub(super) fn is_missed(&self, name: &Name) -> bool {
        let now = micros(self.clock.elapsed());
        self.misses
            .pin()
            .get(name)
            .is_some_and(|until| now < *until)
    }

    /// Nobody has this name, says the server.
    pub(super) fn miss(&self, name: Name, life: Duration) {
        let misses = self.misses.pin();
        if misses.len() >= MISSES {
            misses.clear();
        }
        misses.insert(name, micros(self.clock.elapsed() + life));
    }

    /// Somebody got these names.
    pub(super) fn found(&self, names: Vec<Name>) {
        let misses = self.misses.pin();
        if misses.is_empty() {
            return;
        }
        for name in names {
            misses.remove(&name);
        }
    }
}

impl Passed {
    fn push(&mut self, revision: &Revision) {
        if self.newest.as_ref() == Some(revision) {
            return;
        }
        self.newest = Some(revision.clone());
        if self.known.insert(revision.token.clone()) {
            self.order.push_back(revision.token.clone());
        }
        if self.order.len() > PASSED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
