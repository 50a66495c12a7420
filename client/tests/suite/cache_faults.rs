//! What a cache makes of a feed that fails it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use muster_client::{
    Client, Clock, Error, ErrorReason, System, Uuid,
    cache::{Builder, Cache},
    tonic::{Code, Status},
    v1::{Checkpoint, Revision, WatchChangesResponse},
};
use muster_proto::reason;
use prost_types::Timestamp;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    cache_feed::{ADA, Feed, NOW, about_ada, batch, beat, beats, list, revision},
    world::ready,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn ada() -> Uuid {
    ADA.parse().expect("an id")
}

/// A cache that stops to answer after three seconds.
fn quick(feed: &Feed) -> Builder {
    Cache::builder(&feed.client())
        .heartbeat(Duration::from_secs(1))
        .chance(|| 0.0)
}

/// What the directory says with a reason.
fn said(code: Code, why: ErrorReason) -> Status {
    let details = ErrorDetails::with_error_info(reason::name(why), reason::DOMAIN, []);
    Status::with_error_details(code, "x", details)
}

fn count(number: &std::sync::atomic::AtomicUsize) -> usize {
    number.load(Ordering::SeqCst)
}

/// Waits until a cache is so.
async fn becomes(what: &str, mut is_so: impl FnMut() -> bool) {
    let comes = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, comes).await;
    assert!(came.is_ok(), "it never is {what}");
}

/// A feed that says again and again what happened so many seconds before, and never that
/// this is all.
async fn late_by(seconds: i64) -> Feed {
    let feed = Feed::start().await;
    feed.lists(|number, after| Ok(list(after, number == 0)));
    let began = Instant::now();
    feed.streams(move |_, said| {
        let mut version = 1;
        beats(said, move || {
            version += 1;
            old(began.elapsed(), seconds, version)
        });
    });
    feed
}

fn old(elapsed: Duration, seconds: i64, version: i64) -> WatchChangesResponse {
    let now = NOW + i64::try_from(elapsed.as_secs()).expect("a short time");
    let server_time = Timestamp {
        seconds: now,
        nanos: i32::try_from(elapsed.subsec_nanos()).expect("less than a second"),
    };
    WatchChangesResponse {
        through: revision(&version.to_string()),
        batches: vec![batch(now - seconds, vec![about_ada(version, true)])],
        checkpoint: Some(Checkpoint {
            caught_up: false,
            server_time: Some(server_time),
        }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_of_long_ago_alone_is_stale() {
    let feed = late_by(120).await;
    let cache = quick(&feed).start();
    ready(&cache).await;
    becomes("stale", || cache.local().status(ada()).is_err()).await;
    let refused = cache.local().status(ada());
    assert!(matches!(refused, Err(Error::Stale { .. })), "{refused:?}");
    let fresh = cache.freshness();
    assert!(!fresh.is_fresh && !fresh.caught_up, "{fresh:?}");
    assert!(fresh.lag > Duration::from_secs(3), "{fresh:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_of_what_just_happened_is_fresh_without_a_pause_in_it() {
    let feed = late_by(0).await;
    let cache = quick(&feed).start();
    ready(&cache).await;
    // For longer than the three seconds after which nothing is believed.
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let fresh = cache.freshness();
        assert!(
            fresh.is_fresh && fresh.lag < Duration::from_millis(1_500),
            "{fresh:?}"
        );
    }
}

/// A clock that breaks once when it is told to.
#[derive(Debug, Default)]
struct Brittle {
    system: System,
    breaks: AtomicBool,
}

impl Clock for Brittle {
    fn elapsed(&self) -> Duration {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "it breaks");
        self.system.elapsed()
    }

    fn unix(&self) -> Duration {
        self.system.unix()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_falls_is_replaced() {
    let feed = Feed::start().await;
    let clock = Arc::new(Brittle::default());
    let builder = Client::builder().endpoint(feed.url()).bearer("x");
    let client = builder.clock(clock.clone()).build().expect("a client");
    let cache = Cache::builder(&client).chance(|| 0.0).start();
    ready(&cache).await;
    clock.breaks.store(true, Ordering::SeqCst);
    let script = Arc::clone(&feed.script);
    becomes("filled again", || count(&script.snapshots) == 2).await;
    ready(&cache).await;
    assert!(cache.local().status(ada()).is_ok());
}

#[test]
fn a_cache_whose_runtime_is_gone_answers_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (cache, feed) = runtime.block_on(async {
        let feed = Feed::start().await;
        let cache = quick(&feed).start();
        ready(&cache).await;
        (cache, feed)
    });
    drop((runtime, feed));
    let stopped = cache.local().status(ada());
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_is_begun_anew() {
    for status in [
        Status::out_of_range("decoded message length too large"),
        Status::resource_exhausted("message larger than max"),
        said(Code::OutOfRange, ErrorReason::CursorExpired),
        said(Code::FailedPrecondition, ErrorReason::StoreEpochMismatch),
    ] {
        // Said by a list, and said by a stream.
        for in_stream in [false, true] {
            let feed = Feed::start().await;
            let told = status.clone();
            feed.lists(move |number, after| match number {
                1 if !in_stream => Err(told.clone()),
                _ => Ok(list(after, true)),
            });
            let told = status.clone();
            feed.streams(move |number, said| match (number, in_stream) {
                (0, true) => drop(said.send(Err(told.clone()))),
                (0, false) => drop(said.send(Err(Status::unavailable("x")))),
                _ => beats(said, || beat("0", true)),
            });
            let cache = quick(&feed).start();
            let script = Arc::clone(&feed.script);
            becomes("filled again", || count(&script.snapshots) == 2).await;
            becomes("followed again", || count(&script.watches) == 2).await;
            ready(&cache).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_too_slow_or_whose_token_died_goes_on_where_he_was() {
    for status in [
        said(Code::ResourceExhausted, ErrorReason::SlowConsumer),
        said(Code::Unauthenticated, ErrorReason::CredentialInvalid),
    ] {
        let feed = Feed::start().await;
        feed.streams(move |number, said| match number {
            0 => drop(said.send(Err(status.clone()))),
            _ => beats(said, || beat("0", true)),
        });
        let cache = quick(&feed).start();
        ready(&cache).await;
        let script = Arc::clone(&feed.script);
        becomes("followed again", || count(&script.watches) == 2).await;
        assert_eq!(count(&script.snapshots), 1);
        ready(&cache).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_left_before_the_cache_refuses() {
    let feed = Feed::start().await;
    let mut silent = Vec::new();
    feed.streams(move |number, said| match number {
        0 => silent.push(said),
        _ => beats(said, || beat("0", true)),
    });
    let cache = quick(&feed).start();
    ready(&cache).await;
    let script = Arc::clone(&feed.script);
    becomes("followed again", || {
        assert!(cache.local().status(ada()).is_ok(), "it always answers");
        count(&script.watches) == 2
    })
    .await;
    assert_eq!(count(&script.snapshots), 1);
    assert_eq!(count(&script.lists), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_read_again_leads_to_a_snapshot() {
    // The feed's server has no users to be read.
    let feed = Feed::start().await;
    feed.streams(move |number, said| {
        let mut change = about_ada(2, true);
        change.kind = 1_000;
        let mut message = beat("1", true);
        message.batches = vec![batch(NOW, vec![change])];
        match number {
            0 => drop(said.send(Ok(message))),
            _ => beats(said, || beat("0", true)),
        }
    });
    let cache = quick(&feed).start();
    let script = Arc::clone(&feed.script);
    becomes("filled again", || count(&script.snapshots) == 2).await;
    ready(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_checked_before_it_is_waited_for() {
    let feed = Feed::start().await;
    feed.lists(|_, after| match after {
        "future" => Err(said(Code::InvalidArgument, ErrorReason::RevisionInvalid)),
        "foreign" => Err(said(
            Code::FailedPrecondition,
            ErrorReason::StoreEpochMismatch,
        )),
        "old" => Err(said(Code::OutOfRange, ErrorReason::CursorExpired)),
        after => Ok(list(after, true)),
    });
    let cache = quick(&feed).start();
    ready(&cache).await;
    let wait = async |token: &str| {
        let revision = Revision {
            token: token.to_owned(),
        };
        cache.wait_for(&revision).await
    };
    let refused = wait("future").await.expect_err("it is not there");
    assert_eq!(refused.reason(), Some(ErrorReason::RevisionInvalid));
    let refused = wait("foreign").await.expect_err("it is not there");
    assert_eq!(refused.reason(), Some(ErrorReason::StoreEpochMismatch));
    for passed in ["0", "old", "passed"] {
        wait(passed).await.expect("it is there");
    }
    // All this time one stream ran.
    assert_eq!(count(&feed.script.watches), 1);
    assert_eq!(count(&feed.script.snapshots), 1);
}
