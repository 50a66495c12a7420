//! What a cache makes of a feed that fails it.

use std::time::{Duration, Instant};

use muster_client::{
    Error, Uuid,
    cache::{Builder, Cache},
    v1::{Checkpoint, WatchChangesResponse},
};
use prost_types::Timestamp;

use crate::{
    cache_feed::{ADA, Feed, NOW, about_ada, batch, beats, list, revision},
    world::ready,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn ada() -> Uuid {
    ADA.parse().expect("an id")
}

/// A cache that stops to answer after three seconds.
fn quick(feed: &Feed) -> Builder {
    Cache::builder(&feed.client()).heartbeat(Duration::from_secs(1))
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
