//! How old what a stream tells is: by the directory's own clock when it was committed,
//! and by both clocks for how long it was on its way.
//!
//! The clocks need not agree. How far they are apart is learned from the message that
//! was fastest; what takes longer than that one was waiting somewhere.

use std::time::Duration;

use muster_proto::v1::WatchChangesResponse;

use super::writer::millis;
use crate::clock::Moment;

/// How far a stream is behind.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// When the last change that came was committed, in milliseconds.
    committed: Option<i64>,
    /// What our clocks were ahead of the directory's when the fastest message came.
    fastest: Option<[i64; 2]>,
}

impl Lag {
    /// How long ago the state was true that this message makes, which came now. `None`
    /// when it does not say: nothing follows from it but what is in it.
    pub(super) fn of(&mut self, message: &WatchChangesResponse, now: Moment) -> Option<Duration> {
        let last = message.batches.iter().rev().find_map(|b| b.commit_time);
        self.committed = last.map(millis).or(self.committed);
        let checkpoint = message.checkpoint.as_ref()?;
        let told_at = checkpoint.server_time.map(millis);
        let way = told_at.map_or(0, |told_at| self.way(told_at, now));
        let behind = match (told_at, self.committed) {
            _ if checkpoint.caught_up => 0,
            (Some(told_at), Some(committed)) => told_at.saturating_sub(committed).max(0),
            _ => return None,
        };
        u64::try_from(way.saturating_add(behind))
            .ok()
            .map(Duration::from_millis)
    }

    /// How much longer than the fastest it was on its way, in milliseconds.
    fn way(&mut self, told_at: i64, now: Moment) -> i64 {
        let ahead = now.millis().map(|ours| ours.saturating_sub(told_at));
        let fastest = self.fastest.get_or_insert(ahead);
        let mut longest = 0;
        for (ahead, fastest) in ahead.into_iter().zip(fastest) {
            *fastest = ahead.min(*fastest);
            longest = longest.max(ahead.saturating_sub(*fastest));
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::v1::{ChangeBatch, Checkpoint};
    use prost_types::Timestamp;

    use super::*;

    fn time(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    /// A message of that second, with a change that was committed in that one.
    fn told(at: Option<i64>, committed: Option<i64>, caught_up: bool) -> WatchChangesResponse {
        let batch = |seconds| ChangeBatch {
            commit_time: time(seconds),
            ..Default::default()
        };
        WatchChangesResponse {
            batches: committed.map(batch).into_iter().collect(),
            checkpoint: Some(Checkpoint {
                caught_up,
                server_time: at.and_then(time),
            }),
            ..Default::default()
        }
    }

    fn now(elapsed: u64, unix: u64) -> Moment {
        Moment::of(Duration::from_secs(elapsed), Duration::from_secs(unix))
    }

    #[test]
    fn what_was_committed_long_ago_is_old_when_it_comes() {
        let mut lag = Lag::default();
        let mut of = |message, at| lag.of(&message, now(at, at + 7_000)).map(|l| l.as_secs());
        assert_eq!(of(told(Some(1_000), None, true), 10), Some(0));
        assert_eq!(of(told(Some(1_001), Some(1_001), false), 11), Some(0));
        assert_eq!(of(told(Some(1_100), Some(1_004), false), 110), Some(96));
        // Said of the change before: there is more, and nobody says how much.
        assert_eq!(of(told(Some(1_105), None, false), 115), Some(101));
        assert_eq!(of(told(Some(1_105), None, true), 115), Some(0));
        // Clocks of two processes differ.
        assert_eq!(of(told(Some(1_106), Some(1_107), false), 116), Some(0));
    }

    #[test]
    fn what_does_not_say_when_it_is_from_proves_nothing() {
        let mut lag = Lag::default();
        let mut of = |message: &WatchChangesResponse| lag.of(message, now(10, 10));
        assert_eq!(of(&told(None, Some(5), false)), None);
        assert_eq!(
            of(&told(Some(1_000), None, false)),
            Some(Duration::from_secs(995))
        );
        assert_eq!(of(&told(None, None, true)), Some(Duration::ZERO));
        let bare = WatchChangesResponse {
            checkpoint: None,
            ..told(None, Some(1_000), false)
        };
        assert_eq!(of(&bare), None);
    }

    #[test]
    fn what_waited_on_its_way_is_as_old_as_it_waited() {
        let mut lag = Lag::default();
        let mut of = |at, now| {
            lag.of(&told(Some(at), None, true), now)
                .map(|l| l.as_secs())
        };
        assert_eq!(of(1_000, now(10, 5_010)), Some(0));
        assert_eq!(of(1_005, now(45, 5_045)), Some(30));
        // The machine slept: one of its clocks did, too.
        assert_eq!(of(1_040, now(50, 5_110)), Some(60));
        // A faster one shows that the first was slow.
        assert_eq!(of(1_120, now(128, 5_128)), Some(0));
        assert_eq!(of(1_125, now(135, 5_135)), Some(2));
    }
}
