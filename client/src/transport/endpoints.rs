//! Where the directory is: several processes, each with a connection of its own that
//! comes back by itself.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tonic::transport::Channel;

/// For how long others are asked first when an endpoint failed.
const REST: Duration = Duration::from_secs(1);

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
    /// Until when others are asked first, in milliseconds since the start.
    rests_until: AtomicU64,
}

impl Endpoints {
    /// At least one.
    pub(super) fn new(channels: Vec<Channel>) -> Self {
        let place = |channel| Place {
            channel,
            rests_until: AtomicU64::new(0),
        };
        Self {
            all: channels.into_iter().map(place).collect(),
            turn: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    /// Whose turn it is: the next that did not fail lately, and if there is another,
    /// not the one that just did.
    pub(super) fn pick(&self, failed: Option<usize>) -> usize {
        let count = self.all.len().max(1);
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        let in_turn = || (0..count).map(|step| first.wrapping_add(step) % count);
        let rests = |at: usize| {
            let place = self.all.get(at);
            place.is_some_and(|place| place.rests_until.load(Ordering::Relaxed) > now)
        };
        in_turn()
            .find(|&at| Some(at) != failed && !rests(at))
            .or_else(|| in_turn().find(|&at| Some(at) != failed))
            .unwrap_or(0)
    }

    pub(super) fn channel(&self, at: usize) -> Option<Channel> {
        self.all.get(at).map(|place| place.channel.clone())
    }

    /// It could not be reached, or did not answer.
    pub(super) fn failed(&self, at: usize) {
        let until = self.now() + millis(REST);
        if let Some(place) = self.all.get(at) {
            place.rests_until.store(until, Ordering::Relaxed);
        }
    }

    pub(super) fn are_many(&self) -> bool {
        self.all.len() > 1
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
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
}
