//! Where the directory is: several processes, each with a connection of its own that
//! comes back by itself.
//!
//! Who failed rests: the others are asked. The longer he goes on to fail, the longer he
//! rests, and at the end of a rest one call goes to him, and all the others when it was
//! answered.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::transport::Channel;

use super::budget::jittered;

/// How long an endpoint rests that failed for the first time; twice as long each time.
const REST: Duration = Duration::from_secs(1);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// For how long the outcome of the one call at the end of a rest is waited for before
/// there is another.
const PROBE: Duration = Duration::from_secs(2);

/// All endpoints, asked in turn.
#[derive(Debug)]
pub(super) struct Endpoints {
    all: Vec<Place>,
    turn: AtomicUsize,
    started: Instant,
}

#[derive(Debug)]
struct Place {
    channel: Channel,
    /// When it was last heard from, in milliseconds since the start.
    heard: AtomicU64,
    /// Whether it failed and has not answered since: only then the rest is looked at.
    ails: AtomicBool,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    /// How often it failed, one time after the other.
    failures: u32,
    /// Since when, in milliseconds since the start.
    since: u64,
    /// Until when others are asked first, in the same way.
    until: u64,
    /// Whether a call is out that shall tell.
    probed: bool,
}

impl Place {
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ails(&self) -> bool {
        self.ails.load(Ordering::Acquire)
    }

    /// Whether it may be asked: it did not fail lately, or this call is the one that finds
    /// out.
    fn take(&self, now: u64) -> bool {
        if !self.ails() {
            return true;
        }
        let mut rest = self.rest();
        if now < rest.until {
            return false;
        }
        rest.probed = true;
        rest.until = now + millis(PROBE);
        true
    }

    /// It could not be reached, or did not answer. Calls that fail together are one
    /// failure.
    fn failed(&self, now: u64) {
        let mut rest = self.rest();
        if now < rest.until && !rest.probed {
            return;
        }
        rest.failures = rest.failures.saturating_add(1);
        rest.probed = false;
        rest.since = now;
        // Not all clients come back at once.
        let whole = REST.saturating_mul(1 << rest.failures.min(10));
        rest.until = now + millis(jittered(whole.min(LONGEST_REST)));
        self.ails.store(true, Ordering::Release);
    }

    /// It answered a call that began then. What it answers to calls from before it failed
    /// ends no rest: who is about to stop answers those yet.
    fn heard(&self, began: u64, now: u64) {
        self.heard.fetch_max(now, Ordering::Relaxed);
        if !self.ails() {
            return;
        }
        let mut rest = self.rest();
        if rest.since <= began {
            *rest = Rest::default();
            self.ails.store(false, Ordering::Release);
        }
    }

    fn failures(&self) -> u32 {
        match self.ails() {
            true => self.rest().failures,
            false => 0,
        }
    }
}

impl Endpoints {
    /// At least one.
    pub(super) fn new(channels: Vec<Channel>) -> Self {
        let place = |channel| Place {
            channel,
            heard: AtomicU64::new(0),
            ails: AtomicBool::new(false),
            rest: Mutex::default(),
        };
        Self {
            all: channels.into_iter().map(place).collect(),
            turn: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    /// Whose turn it is: the next that does not rest, and if there is another, not the
    /// one that just failed. If all rest, the one that failed least.
    pub(super) fn pick(&self, failed: Option<usize>) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let others = || self.others(turn, failed);
        self.awake(turn, failed)
            .or_else(|| Some(others().min_by_key(|(_, place)| place.failures())?.0))
            .unwrap_or(0)
    }

    /// Another endpoint for a call that this one has had since then, if this one said
    /// nothing to anybody meanwhile and another one does not rest.
    pub(super) fn instead_of(&self, at: usize, began: u64) -> Option<usize> {
        let is_silent = self
            .all
            .get(at)
            .is_some_and(|place| place.heard.load(Ordering::Relaxed) < began);
        let turn = self.turn.load(Ordering::Relaxed);
        is_silent.then(|| self.awake(turn, Some(at)))?
    }

    fn awake(&self, turn: usize, but: Option<usize>) -> Option<usize> {
        let now = self.now();
        let mut others = self.others(turn, but);
        others.find(|(_, place)| place.take(now)).map(|(at, _)| at)
    }

    /// All but one, beginning with whose turn it is.
    fn others(&self, turn: usize, but: Option<usize>) -> impl Iterator<Item = (usize, &Place)> {
        let first = turn % self.all.len().max(1);
        let (before, from) = self.all.split_at(first);
        let in_turn = (first..).zip(from).chain(before.iter().enumerate());
        in_turn.filter(move |&(at, _)| Some(at) != but)
    }

    pub(super) fn channel(&self, at: usize) -> Option<Channel> {
        self.all.get(at).map(|place| place.channel.clone())
    }

    /// It could not be reached, or did not answer.
    pub(super) fn failed(&self, at: usize) {
        if let Some(place) = self.all.get(at) {
            place.failed(self.now());
        }
    }

    /// It did not answer a call that began then, in all its time. Unless others were
    /// answered meanwhile, it counts as failed.
    pub(super) fn kept_waiting(&self, at: usize, began: u64) {
        if let Some(place) = self.all.get(at)
            && place.heard.load(Ordering::Relaxed) < began
        {
            place.failed(self.now());
        }
    }

    /// It answered a call that began then.
    pub(super) fn heard(&self, at: usize, began: u64) {
        if let Some(place) = self.all.get(at) {
            place.heard(began, self.now());
        }
    }

    pub(super) fn are_many(&self) -> bool {
        self.all.len() > 1
    }

    /// Milliseconds since the start; never 0, which is never.
    pub(super) fn now(&self) -> u64 {
        millis(self.started.elapsed()) + 1
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;

    fn endpoints(count: usize) -> Endpoints {
        let lazy = |_| Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Endpoints::new((0..count).map(lazy).collect())
    }

    #[tokio::test]
    async fn all_are_asked_in_turn_and_who_failed_comes_last() {
        let three = endpoints(3);
        let turns: Vec<_> = (0..6).map(|_| three.pick(None)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        three.failed(1);
        assert!((0..6).all(|_| three.pick(None) != 1));
        assert!((0..6).all(|_| three.pick(Some(0)) == 2));
        three.failed(0);
        three.failed(2);
        // Nobody is left: all are asked again.
        assert!((0..3).any(|_| three.pick(None) == 1));
        assert_eq!(endpoints(1).pick(Some(0)), 0);
    }

    #[tokio::test]
    async fn who_goes_on_to_fail_rests_longer_and_one_call_finds_out() {
        let endpoints = endpoints(2);
        let place = &endpoints.all[0];
        let mut now = 1_000;
        for expected_ms in [2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            place.failed(now);
            // Those that fail together are one.
            place.failed(now + 1);
            let rest = place.rest().until - now;
            assert!(
                (expected_ms / 2 - 1..=expected_ms).contains(&rest),
                "{rest}"
            );
            assert!(!place.take(now + rest - 1));
            now += rest;
            assert!(place.take(now), "one finds out");
            assert!(!place.take(now + 1), "and one alone");
            let patience = millis(PROBE);
            assert!(place.take(now + patience), "unless nobody hears of it");
        }
    }

    #[tokio::test]
    async fn who_answers_rests_no_more() {
        let endpoints = endpoints(2);
        let place = &endpoints.all[0];
        place.failed(10);
        place.heard(9, 11);
        assert!(place.ails(), "that call was older than the failure");
        place.heard(10, 12);
        assert!(place.take(12) && place.take(12));
        place.failed(20);
        assert_eq!(place.failures(), 1);
    }

    #[tokio::test]
    async fn a_call_goes_elsewhere_from_who_says_nothing_alone() {
        let two = endpoints(2);
        assert_eq!(two.instead_of(0, 1), Some(1));
        let began = two.now();
        two.heard(0, began);
        assert_eq!(two.instead_of(0, began), None, "it answers others");
        two.failed(1);
        assert_eq!(two.instead_of(0, began + 1), None, "nobody is awake");
        assert_eq!(endpoints(1).instead_of(0, 1), None);
    }
}
