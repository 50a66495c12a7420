//! Work that many want done and one does: whoever comes while it is on its way shares
//! what it comes to. It belongs to none of them, so that no one's deadline ends it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tonic::Status;

use crate::clock::Clock;

/// How long a failure counts: for so long nobody tries again.
const FAILED: Duration = Duration::from_secs(1);

/// What the work came to, and when by the clock's `elapsed`.
#[derive(Debug, Clone)]
struct Landed<T> {
    at: Duration,
    outcome: Result<T, Status>,
}

/// One piece of work at a time.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Shared<T>>>,
}

/// The outcome that is to come. Who drops it does not end the work.
#[derive(Debug)]
pub(crate) struct Shared<T>(watch::Receiver<Option<Landed<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Shared<T> {
    /// What the work comes to.
    ///
    /// # Errors
    /// The work's.
    pub(crate) async fn outcome(mut self) -> Result<T, Status> {
        let landed = self.0.wait_for(Option::is_some).await;
        let landed = landed.ok().and_then(|landed| landed.clone());
        // Whoever did it is gone, with his runtime.
        let gone = || Err(Status::unavailable("nobody asks any more"));
        landed.map_or_else(gone, |landed| landed.outcome)
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let last = Mutex::default();
        Self { clock, last }
    }

    /// Joins the work that is on its way, or whose outcome counts yet: a failure for a
    /// moment, something good as long as `good` says; else begins it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, when it begins.
    pub(crate) fn join<F>(
        &self,
        good: impl FnOnce(&T) -> bool,
        work: impl FnOnce() -> F,
    ) -> Shared<T>
    where
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = last.as_ref().filter(|shared| self.counts(shared, good)) {
            return shared.clone();
        }
        let (tell, told) = watch::channel(None);
        let (clock, work) = (Arc::clone(&self.clock), work());
        tokio::spawn(async move {
            let outcome = work.await;
            let at = clock.elapsed();
            tell.send_replace(Some(Landed { at, outcome }));
        });
        last.insert(Shared(told)).clone()
    }

    fn counts(&self, shared: &Shared<T>, good: impl FnOnce(&T) -> bool) -> bool {
        match &*shared.0.borrow() {
            None => shared.0.has_changed().is_ok(),
            Some(Landed {
                outcome: Ok(value), ..
            }) => good(value),
            Some(Landed { at, .. }) => self.clock.elapsed().saturating_sub(*at) < FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Debug, Default)]
    struct ByHand(AtomicU64);

    impl Clock for ByHand {
        fn elapsed(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn unix(&self) -> Duration {
            self.elapsed()
        }
    }

    struct World {
        clock: Arc<ByHand>,
        flight: Flight<usize>,
        begun: Arc<AtomicUsize>,
        gate: Arc<Semaphore>,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(ByHand::default());
            Self {
                flight: Flight::new(clock.clone()),
                clock,
                begun: Arc::default(),
                gate: Arc::new(Semaphore::new(0)),
            }
        }

        /// Joins work that waits for the gate; the first fails, what follows does not.
        fn join(&self, good: bool) -> Shared<usize> {
            let (begun, gate) = (Arc::clone(&self.begun), Arc::clone(&self.gate));
            self.flight.join(
                |_| good,
                || async move {
                    let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                    gate.acquire().await.expect("it stays open").forget();
                    match number {
                        1 => Err(Status::unavailable("not now")),
                        number => Ok(number),
                    }
                },
            )
        }
    }

    #[tokio::test]
    async fn all_share_one_outcome_and_a_failure_counts_for_a_moment() {
        let world = World::new();
        let joined: Vec<_> = (0..5).map(|_| world.join(true)).collect();
        world.gate.add_permits(1);
        for shared in joined {
            shared.outcome().await.expect_err("the first fails");
        }
        world.clock.0.store(999, Ordering::Relaxed);
        world.join(true).outcome().await.expect_err("it counts yet");
        world.clock.0.store(1_000, Ordering::Relaxed);
        world.gate.add_permits(2);
        assert_eq!(world.join(true).outcome().await.expect("done"), 2);
        assert_eq!(world.join(true).outcome().await.expect("done"), 2);
        assert_eq!(world.join(false).outcome().await.expect("done"), 3);
    }

    #[tokio::test]
    async fn who_leaves_does_not_end_it() {
        let world = World::new();
        drop(world.join(true));
        tokio::task::yield_now().await;
        drop(world.join(true));
        world.gate.add_permits(1);
        world
            .join(true)
            .outcome()
            .await
            .expect_err("the first fails");
        assert_eq!(world.begun.load(Ordering::Relaxed), 1);
    }
}
