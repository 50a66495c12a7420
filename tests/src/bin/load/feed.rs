//! How long after a write all watchers know of it.
//!
//! Watchers of one tenant hold their streams over a few connections while users
//! are created at a steady rate. The k-th change is the same for all of them, so
//! a watcher only counts; the first one also reads which user a change is about.
//! Two latencies come out of it: from the acknowledgement of the write, as its
//! writer had it, to the reception by each watcher (0 when the watcher was
//! faster), and from `commit_time`, which the server takes before the
//! transaction begins, in whole milliseconds.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use muster_proto::v1::{
    ChangeFilter, CreateUserRequest, User, WatchChangesRequest, watch_changes_request::Start,
};
use muster_tests::{grpc::Grpc, server::Server};
use prost_types::Timestamp;
use tokio::{
    sync::{Barrier, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval_at},
};
use tonic::{Request, codegen::http::uri::PathAndQuery};

use crate::{
    Plan,
    table::{at, head, line},
};

const WATCH: &str = "/identity.directory.v1.ChangeService/WatchChanges";

/// Over how many connections the streams go.
const CHANNELS: usize = 10;
const WRITERS: usize = 32;

/// What a watcher needs of a message; decoding all of it would keep the
/// machine from its work.
#[derive(Clone, PartialEq, prost::Message)]
struct Glance {
    #[prost(message, repeated, tag = "2")]
    batches: Vec<GlanceAtBatch>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GlanceAtBatch {
    #[prost(message, repeated, tag = "1")]
    changes: Vec<GlanceAtChange>,
    #[prost(message, optional, tag = "4")]
    commit_time: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GlanceAtChange {}

/// As [`Glance`], with what changes are about.
#[derive(Clone, PartialEq, prost::Message)]
struct Look {
    #[prost(message, repeated, tag = "2")]
    batches: Vec<muster_proto::v1::ChangeBatch>,
}

/// What a watcher saw: how many changes it had, and when.
type Seen = Vec<(usize, Instant)>;

struct Outcome {
    seen: Vec<Seen>,
    /// Of each change, in order: when it was committed, and acknowledged.
    committed: Vec<SystemTime>,
    acknowledged: Vec<Instant>,
    wrote_for: Duration,
    write_latencies: Vec<Duration>,
    clocks: (Instant, SystemTime),
}

pub(crate) async fn run(server: &Server, plan: &Plan, token: &str) {
    head(&[
        "watchers",
        "writes/s",
        "from acknowledgement: p50 ms",
        "p99 ms",
        "max ms",
        "from commit_time: p50 ms",
        "p99 ms",
        "max ms",
        "write p50 ms",
        "write p99 ms",
        "changes a message",
        "muster's CPUs",
    ]);
    for watchers in plan.watchers.iter().copied() {
        let (before, began) = (server.cpu_time(), Instant::now());
        let outcome = measure(server, token, watchers, plan).await;
        let cores = (server.cpu_time() - before).div_duration_f64(began.elapsed());
        let mut cells = outcome.cells(watchers);
        cells.push(format!("{cores:.2}"));
        eprintln!("{}", cells.join(" | "));
        line(&cells);
    }
}

async fn measure(server: &Server, token: &str, watchers: usize, plan: &Plan) -> Outcome {
    let channels: Vec<Grpc> = (0..watchers.min(CHANNELS))
        .map(|_| Grpc::new(server.grpc(), Some(token)))
        .collect();
    let ready = Arc::new(Barrier::new(watchers + 1));
    let (expected, wait_for) = watch::channel(usize::MAX);
    let mut tasks = JoinSet::new();
    for n in 1..watchers {
        let (grpc, ready) = (channels[n % channels.len()].clone(), Arc::clone(&ready));
        tasks.spawn(watch_all(
            grpc,
            ready,
            wait_for.clone(),
            |glance: Glance| glance.batches.iter().map(|batch| batch.changes.len()).sum(),
        ));
    }
    let first = tokio::spawn(look(channels[0].clone(), Arc::clone(&ready), wait_for));
    ready.wait().await;
    #[expect(clippy::disallowed_methods, reason = "a driver measures real time")]
    let clocks = (Instant::now(), SystemTime::now());
    let writer = Grpc::new(server.grpc(), Some(token));
    let began = Instant::now();
    let written = write(&writer, plan.feed_rate, plan.feed_seconds).await;
    let wrote_for = began.elapsed();
    expected.send_replace(written.len());
    let (own, changes) = first.await.expect("the first watcher");
    let mut seen = tasks.join_all().await;
    seen.push(own);
    let write_latencies = written.values().map(|(_, took)| *took).collect();
    let acknowledged = changes.iter().map(|(id, _)| written[id].0).collect();
    Outcome {
        seen,
        committed: changes.into_iter().map(|(_, at)| at).collect(),
        acknowledged,
        wrote_for,
        write_latencies,
        clocks,
    }
}

/// Creates users at a steady rate: when each was acknowledged, and how long it
/// took.
async fn write(grpc: &Grpc, rate: f64, seconds: f64) -> HashMap<String, (Instant, Duration)> {
    let each = Duration::from_secs_f64(WRITERS as f64 / rate);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..WRITERS {
        let mut users = grpc.users();
        let first = began + each.mul_f64(n as f64 / WRITERS as f64);
        tasks.spawn(async move {
            let mut pace = interval_at(first.into(), each);
            // A late writer catches up: the rate is to be kept.
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut written = Vec::new();
            loop {
                pace.tick().await;
                let asked = Instant::now();
                if (asked - began).as_secs_f64() >= seconds {
                    return written;
                }
                let answer = users.create_user(new_user()).await.expect("a user");
                let user = answer.into_inner().user.expect("the user");
                let now = Instant::now();
                written.push((user.id, (now, now - asked)));
            }
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

fn new_user() -> CreateUserRequest {
    let name = uuid::Uuid::new_v4().to_string();
    let user = User {
        user_name: format!("{name}@load.test"),
        external_id: name,
        active: Some(true),
        ..User::default()
    };
    CreateUserRequest {
        user: Some(user),
        options: None,
    }
}

/// Counts changes until there are as many as were written.
async fn watch_all<M>(
    grpc: Grpc,
    ready: Arc<Barrier>,
    mut expected: watch::Receiver<usize>,
    mut count: impl FnMut(M) -> usize,
) -> Seen
where
    M: prost::Message + Default + 'static,
{
    let mut raw = grpc.raw();
    raw.ready().await.expect("a connection");
    let codec = tonic_prost::ProstCodec::<WatchChangesRequest, M>::default();
    let request = WatchChangesRequest {
        start: Some(Start::FromNow(true)),
        filter: Some(ChangeFilter::default()),
        ..WatchChangesRequest::default()
    };
    let path = PathAndQuery::from_static(WATCH);
    let answer = raw.server_streaming(Request::new(request), path, codec);
    let mut messages = answer.await.expect("a stream").into_inner();
    // The first message says from where.
    let _ = messages.message().await.expect("a checkpoint");
    ready.wait().await;
    let (mut seen, mut total) = (Seen::new(), 0);
    while total < *expected.borrow_and_update() {
        tokio::select! {
            message = messages.message() => {
                let message = message.expect("a message").expect("the stream goes on");
                let now = Instant::now();
                let more = count(message);
                if more > 0 {
                    total += more;
                    seen.push((more, now));
                }
            }
            changed = expected.changed() => changed.expect("the writer tells"),
        }
    }
    seen
}

/// As [`watch_all`]; also what each change was about, and when it was committed.
async fn look(
    grpc: Grpc,
    ready: Arc<Barrier>,
    expected: watch::Receiver<usize>,
) -> (Seen, Vec<(String, SystemTime)>) {
    let mut changes = Vec::new();
    let seen = watch_all(grpc, ready, expected, |look: Look| {
        let before = changes.len();
        for batch in look.batches {
            let at = batch.commit_time.expect("a commit time");
            let at = UNIX_EPOCH
                + Duration::from_secs(at.seconds.unsigned_abs())
                + Duration::from_nanos(u64::from(at.nanos.unsigned_abs()));
            changes.extend(batch.changes.into_iter().map(|c| (c.resource_id, at)));
        }
        changes.len() - before
    });
    let seen = seen.await;
    (seen, changes)
}

impl Outcome {
    fn cells(&self, watchers: usize) -> Vec<String> {
        let (mut acknowledged, mut committed) = (Vec::new(), Vec::new());
        let mut messages = 0;
        for seen in &self.seen {
            let mut next = 0;
            messages += seen.len();
            for (count, when) in seen {
                let clock = self.clocks.1 + (*when - self.clocks.0);
                for k in next..next + count {
                    acknowledged.push(when.saturating_duration_since(self.acknowledged[k]));
                    let since = clock.duration_since(self.committed[k]);
                    committed.push(since.unwrap_or_default());
                }
                next += count;
            }
        }
        let receptions = acknowledged.len();
        let mut writes = self.write_latencies.clone();
        let mut cells = vec![
            watchers.to_string(),
            format!(
                "{:.0}",
                self.acknowledged.len() as f64 / self.wrote_for.as_secs_f64()
            ),
        ];
        cells.extend(quantiles(&mut acknowledged, &[0.5, 0.99, 1.0]));
        cells.extend(quantiles(&mut committed, &[0.5, 0.99, 1.0]));
        cells.extend(quantiles(&mut writes, &[0.5, 0.99]));
        cells.push(format!("{:.1}", receptions as f64 / messages.max(1) as f64));
        cells
    }
}

fn quantiles(values: &mut [Duration], shares: &[f64]) -> Vec<String> {
    values.sort_unstable();
    let shares = shares.iter();
    shares
        .map(|share| format!("{:.1}", at(values, *share).as_secs_f64() * 1_000.0))
        .collect()
}
