//! Creates over SCIM, and what the database alone would do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use muster_tests::server::Server;
use tokio::task::JoinSet;

use crate::{
    CONNECTIONS, Plan, TURNS,
    http::{Place, connect, exchange, id, named_user},
    raw::{self, Durability, Raw, Rows},
    table::{Cell, head, line, ms},
};

/// The cells at one number of connections.
struct Line {
    raw: Cell,
    unsafe_raw: Cell,
    scim: Cell,
    /// What the server computes for one create.
    cpu: Duration,
}

/// Measures both in alternating turns on one database, each in a tenant of its
/// own, and prints the table.
pub(crate) async fn run(server: &Server, plan: &Plan, scim: Place, bare: Place) {
    let url = server.launch().database_url();
    let rows = Arc::new(sample(&url, &bare).await);
    let time = Duration::from_secs_f64(plan.seconds / f64::from(TURNS));
    let mut lines = Vec::new();
    for connections in CONNECTIONS {
        let (mut full, mut process, mut through) = (Vec::new(), Vec::new(), Vec::new());
        let mut cpu = Duration::ZERO;
        for _ in 0..TURNS {
            full.extend(raw::turn(&url, Durability::Full, &rows, connections, time).await);
            let before = server.cpu_time();
            through.extend(creates(&scim, connections, time).await);
            cpu += server.cpu_time() - before;
            process.extend(raw::turn(&url, Durability::Process, &rows, connections, time).await);
        }
        let measured = Line {
            cpu: cpu.div_f64(through.len().max(1) as f64),
            raw: Cell::of(connections, full),
            unsafe_raw: Cell::of(connections, process),
            scim: Cell::of(connections, through),
        };
        eprintln!("{}", measured.cells(&measured.raw).join(" | "));
        lines.push(measured);
    }
    head(&[
        "creates, connections",
        "bare SQL/s",
        "SCIM/s",
        "ratio",
        "ratio to bare SQL at its best",
        "bare SQL p50 ms",
        "SCIM p50 ms",
        "SCIM p99 ms",
        "muster's CPU ms a create",
        "bare SQL/s, not durable",
    ]);
    let bare = lines.iter().map(|measured| measured.raw);
    let best = bare.max_by(|a, b| a.per_second.total_cmp(&b.per_second));
    for measured in &lines {
        line(&measured.cells(&best.expect("a measured line")));
    }
}

impl Line {
    /// `best`: where contention costs bare SQL least.
    fn cells(&self, best: &Cell) -> Vec<String> {
        let rate = |cell: &Cell| format!("{:.0}", cell.per_second);
        let ratio = |raw: &Cell| format!("{:.2}", self.scim.per_second / raw.per_second);
        vec![
            self.raw.connections.to_string(),
            rate(&self.raw),
            rate(&self.scim),
            ratio(&self.raw),
            ratio(best),
            ms(self.raw.p50),
            ms(self.scim.p50),
            ms(self.scim.p99),
            ms(self.cpu),
            rate(&self.unsafe_raw),
        ]
    }
}

/// What one create over SCIM leaves.
pub(crate) async fn sample(url: &str, place: &Place) -> Rows {
    let token = uuid::Uuid::new_v4().to_string();
    let mut connection = connect(&place.address).await;
    let create = place.request("POST", "/Users", &named_user(&token));
    let id = id(&exchange(&mut connection, create, 201).await);
    let mut raw = Raw::open(url, Durability::Full).await;
    raw.rows(&place.tenant, &id, &token).await
}

async fn creates(place: &Place, connections: usize, time: Duration) -> Vec<Duration> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(connect(&place.address).await);
    }
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let place = place.clone();
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let request = place.create();
                let began = Instant::now();
                exchange(&mut connection, request, 201).await;
                took.push(began.elapsed());
            }
            took
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
