//! What follows the feed, whatever it tells of it: how lists wait, and streams go
//! on and end.

use std::{sync::Arc, time::Duration};

use muster_proto::v1;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    status::status,
    stream::{Lease, Outgoing, Sender, interrupted, stopped},
    wanted,
};
use crate::{
    auth::Caller,
    error::{Error, Result},
    service::{Directory, Feed, Start, Step, Transaction},
};

/// How much of an answer a list gives when the caller does not say, and at most.
pub(super) const LIST_SIZE: (usize, usize) = (1_000, 10_000);

/// How long a list may wait.
const WAIT: Duration = Duration::from_secs(25);

/// What is left of a call's time to answer in.
const MARGIN: Duration = Duration::from_millis(250);

/// Between the beats of a stream: when the caller does not say, at least, at most.
const HEARTBEAT: (Duration, Duration, Duration) = (
    Duration::from_secs(5),
    Duration::from_secs(1),
    Duration::from_secs(30),
);

/// How long a message may grow before another one begins, in bytes. Receivers
/// take 4 MiB unless told otherwise.
pub(super) const MESSAGE_BYTES: usize = 1024 * 1024;

/// How much of a list is wanted.
///
/// # Errors
/// [`Error::Invalid`] for a negative number.
pub(super) fn list_size(field: &'static str, asked: i32) -> Result<usize> {
    match usize::try_from(asked) {
        Err(_) => Err(Error::invalid(field, "must not be negative")),
        Ok(0) => Ok(LIST_SIZE.0),
        Ok(count) => Ok(count.min(LIST_SIZE.1)),
    }
}

/// Where a list starts.
///
/// # Errors
/// [`Error::RevisionInvalid`].
pub(super) fn list_start(
    directory: &Directory,
    caller: &Caller,
    after: Option<&v1::Revision>,
) -> Result<Start> {
    match after {
        Some(after) => Ok(Start::After(wanted::position(directory, caller, after)?)),
        None => Ok(Start::Oldest),
    }
}

/// Where a stream starts.
///
/// # Errors
/// [`Error::RevisionInvalid`], [`Error::Invalid`] when nothing is said.
pub(super) fn stream_start(
    directory: &Directory,
    caller: &Caller,
    (after, from_now): (Option<&v1::Revision>, bool),
) -> Result<Start> {
    match (after, from_now) {
        (Some(after), _) => Ok(Start::After(wanted::position(directory, caller, after)?)),
        (None, true) => Ok(Start::Now),
        (None, false) => Err(Error::invalid("start", "must be a revision or from_now")),
    }
}

/// How long a call waits, and when it must answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until something happens.
    pub(super) end: Instant,
    /// In any case.
    pub(super) last_moment: Instant,
}

impl Patience {
    /// As long as is asked for, and the call's deadline allows.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a negative time.
    pub(super) fn asked(wait: Option<prost_types::Duration>, lease: &Lease) -> Result<Self> {
        let wait = wanted::duration("wait", wait)?.unwrap_or_default();
        Ok(Self::of(wait, lease))
    }

    /// As long as it may.
    pub(super) fn longest(lease: &Lease) -> Self {
        Self::of(WAIT, lease)
    }

    fn of(wait: Duration, lease: &Lease) -> Self {
        let last_moment = lease.deadline - MARGIN;
        Self {
            end: (Instant::now() + wait.min(WAIT)).min(last_moment),
            last_moment,
        }
    }
}

/// As much as is wanted, or the first that comes in time; also whether that was
/// all. `weigh` tells how much a transaction is; `None` for one that is left out.
pub(super) async fn gather(
    directory: &Directory,
    lease: &Lease,
    feed: &mut Feed,
    (most, patience): (usize, Patience),
    weigh: impl Fn(&Transaction) -> Option<usize>,
) -> Result<(Vec<Arc<Transaction>>, bool)> {
    let mut stopping = directory.stopping();
    let mut found = Vec::new();
    let mut count = 0;
    loop {
        match feed.read(most - count).await? {
            Some(step) => {
                for transaction in step.transactions {
                    let Some(weight) = weigh(&transaction) else {
                        continue;
                    };
                    count = most.min(count + weight);
                    found.push(transaction);
                }
                // A filter may let nothing through for long.
                let enough = count == most || Instant::now() >= patience.last_moment;
                // A transaction is not cut: nobody could resume inside it.
                if enough && !feed.is_inside_transaction() {
                    return Ok((found, feed.is_caught_up()));
                }
            }
            None if !found.is_empty() => return Ok((found, true)),
            None => tokio::select! {
                () = feed.news() => lease.renew(directory).await?,
                () = tokio::time::sleep_until(patience.end) => return Ok((found, true)),
                () = stopped(&mut stopping) => return Err(Error::Draining),
            },
        }
    }
}

/// Makes messages of what comes.
pub(super) trait Follower: Send + Sync + 'static {
    /// What its caller receives.
    type Message: Send + 'static;

    /// The messages of a step; may be none.
    fn messages(&self, step: Step) -> impl Future<Output = Result<Vec<Self::Message>>> + Send;

    /// What says where the stream is.
    fn beat(&self, feed: &Feed) -> Self::Message;
}

/// Sends what comes until the stream ends.
///
/// # Errors
/// [`Error::Invalid`] for a heartbeat that is none.
pub(super) fn follow<F: Follower>(
    directory: &Directory,
    lease: Lease,
    (feed, announce): (Feed, bool),
    heartbeat: Option<prost_types::Duration>,
    follower: F,
) -> Result<Outgoing<F::Message>> {
    let heartbeat = wanted::duration("heartbeat", heartbeat)?.unwrap_or(HEARTBEAT.0);
    let following = Following {
        directory: directory.clone(),
        lease,
        heartbeat: heartbeat.clamp(HEARTBEAT.1, HEARTBEAT.2),
        follower,
    };
    let (sender, outgoing) = Outgoing::new();
    tokio::spawn(async move {
        let ended = following.run(feed, announce, &sender).await;
        sender.end(ended.err().map(status));
    });
    Ok(outgoing)
}

struct Following<F> {
    directory: Directory,
    lease: Lease,
    heartbeat: Duration,
    follower: F,
}

impl<F: Follower> Following<F> {
    async fn run(&self, mut feed: Feed, announce: bool, sender: &Sender<F::Message>) -> Result<()> {
        if announce {
            sender.send(self.follower.beat(&feed)).await?;
        }
        let interruption = interrupted(&self.directory, &self.lease);
        tokio::pin!(interruption);
        let mut beats = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                error = &mut interruption => return Err(error),
                _ = beats.tick() => sender.send(self.follower.beat(&feed)).await?,
                ready = feed.ready() => {
                    ready?;
                    // A beat that is due waits for it: given up, it would begin anew.
                    let step = tokio::select! {
                        error = &mut interruption => return Err(error),
                        step = feed.take() => step?,
                    };
                    // Without any, the next beat tells how far it is.
                    if let Some(step) = step {
                        for message in self.follower.messages(step).await? {
                            sender.send(message).await?;
                        }
                    }
                }
            }
        }
    }
}
