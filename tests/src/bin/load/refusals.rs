//! How long after a user is disabled over SCIM a service's cache refuses him.
//!
//! The cache is that of the client crate, in this process; it is asked without a
//! pause from the moment in which the provisioning client has its answer. 0 means
//! that the cache knew first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use muster_client::{Client, Uuid, cache::Cache};
use muster_tests::{server::Server, service::Service};
use serde_json::json;
use tokio::{task::JoinSet, time::interval};

use crate::{
    Plan,
    http::{Connection, Place, connect, exchange, patch},
    table::{at, head, line, ms},
};

/// Who is disabled within one measurement, and how many wait a second.
const PER_SECOND: f64 = 50.0;
/// Users whom others change at the same time.
const OTHERS: usize = 100;
/// How often each of the writers writes while it is busy, and how many there are.
const BUSY: (Duration, usize) = (Duration::from_millis(20), 8);
/// Longer is no answer at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key of a service that follows the feed.
pub(crate) struct Watcher(String);

impl Watcher {
    /// Registers it.
    pub(crate) fn new(server: &Server, place: &Place) -> Self {
        let service = Service::create(server, &place.tenant, "changes.read");
        Self(std::fs::read_to_string(service.file()).expect("a key"))
    }
}

/// Measures and prints the table.
pub(crate) async fn run(server: &Server, plan: &Plan, place: &Place, watcher: &Watcher) {
    let count = (plan.refusal_seconds * PER_SECOND) as usize;
    let users = place.seed_users(OTHERS + 2 * count).await;
    let (others, users) = users.split_at(OTHERS);
    let client = Client::builder()
        .endpoint(server.grpc())
        .service_key(watcher.0.as_str());
    let client = client.build().expect("settings");
    let cache = Cache::builder(&client).values(false).start();
    cache.ready().await.expect("a cache");
    head(&[
        "beside",
        "users disabled",
        "PATCH p50 ms",
        "cache refuses after its answer: p50 ms",
        "p99 ms",
        "max ms",
    ]);
    let (quiet, busy) = users.split_at(count);
    row("nobody", disable(place, &cache, quiet).await);
    let writers = Writers::start(place, others);
    let delays = disable(place, &cache, busy).await;
    let name = format!("{:.0} writes/s", writers.stop().await);
    row(&name, delays);
}

/// How long each PATCH took, and how long after it the cache refused.
type Delays = Vec<(Duration, Duration)>;

async fn disable(place: &Place, cache: &Cache, users: &[String]) -> Delays {
    let mut connection = connect(&place.address).await;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / PER_SECOND));
    let mut delays = Delays::with_capacity(users.len());
    for id in users {
        ticks.tick().await;
        let user = Uuid::try_parse(id).expect("an id");
        assert!(is_active(cache, user), "disabled before");
        delays.push(disable_one(place, &mut connection, cache, user).await);
    }
    delays
}

async fn disable_one(
    place: &Place,
    connection: &mut Connection,
    cache: &Cache,
    user: Uuid,
) -> (Duration, Duration) {
    let off = patch(json!({"op": "replace", "path": "active", "value": false}));
    let request = place.request("PATCH", &format!("/Users/{user}"), &off);
    let began = Instant::now();
    exchange(connection, request, 200).await;
    let answered = Instant::now();
    while is_active(cache, user) {
        assert!(answered.elapsed() < PATIENCE, "{user} is active for ever");
        tokio::task::yield_now().await;
    }
    (answered - began, answered.elapsed())
}

fn is_active(cache: &Cache, user: Uuid) -> bool {
    let status = cache.local().status(user);
    status.expect("a fresh cache").effective_active
}

fn row(name: &str, delays: Delays) {
    let (mut patches, mut refusals): (Vec<_>, Vec<_>) = delays.into_iter().unzip();
    patches.sort_unstable();
    refusals.sort_unstable();
    line(&[
        name.to_owned(),
        refusals.len().to_string(),
        ms(at(&patches, 0.5)),
        ms(at(&refusals, 0.5)),
        ms(at(&refusals, 0.99)),
        ms(at(&refusals, 1.0)),
    ]);
}

/// Change titles of users while somebody else is disabled.
struct Writers {
    ended: Arc<AtomicBool>,
    began: Instant,
    tasks: JoinSet<usize>,
}

impl Writers {
    fn start(place: &Place, users: &[String]) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (pause, count) = BUSY;
        let mut tasks = JoinSet::new();
        for users in users.chunks(users.len().div_ceil(count)) {
            let (place, users) = (place.clone(), users.to_vec());
            let end = Arc::clone(&ended);
            tasks.spawn(async move {
                let mut connection = connect(&place.address).await;
                let mut ticks = interval(pause);
                let mut written = 0;
                while !end.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let title =
                        json!({"op": "replace", "path": "title", "value": written.to_string()});
                    let path = format!("/Users/{}", users[written % users.len()]);
                    let request = place.request("PATCH", &path, &patch(title));
                    exchange(&mut connection, request, 200).await;
                    written += 1;
                }
                written
            });
        }
        Self {
            ended,
            began: Instant::now(),
            tasks,
        }
    }

    /// How many writes a second there were.
    async fn stop(self) -> f64 {
        self.ended.store(true, Ordering::Relaxed);
        let took = self.began.elapsed();
        let written: usize = self.tasks.join_all().await.into_iter().sum();
        written as f64 / took.as_secs_f64()
    }
}
