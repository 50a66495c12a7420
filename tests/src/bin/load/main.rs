//! Load driver: what the release binary does per second, on SQLite and on
//! PostgreSQL.
//!
//! `cargo run --release -p muster-tests --bin load -- [OPTIONS]` prints Markdown
//! tables for `docs/performance.md`. It builds the release binary unless
//! `MUSTER_BIN` names one, and speaks to it over loopback only.
//!
//! Each cell runs a fixed number of kept-open connections, each with one
//! request under way, for a fixed time. Generator and server share the
//! machine, so ratios between rows mean more than any number by itself.
//!
//! * [`requests`]: what a provisioning client asks.
//! * [`creates`]: creates beside those of [`raw`] SQL.
//! * [`feed`]: how soon watchers know.
//! * [`snapshot`]: how long a cache takes to fill.
//! * [`queries`]: what a client asks of many users at once.
//! * [`points`]: calls about one thing, beside a service that does nothing,
//!   which is [`echo`].
//! * [`lookups`]: what the sign-in path asks, in a small directory and a large one,
//!   and [`moves`]: each of them into a file, and from there into another database.
//! * [`refusals`]: how soon a cache refuses who was disabled.
//! * [`process`]: memory and start.
//! * [`http`], [`table`]: sending and printing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tool reports by panicking"
)]

mod creates;
mod echo;
mod feed;
mod http;
mod lookups;
mod moves;
mod points;
mod process;
mod queries;
mod raw;
mod refusals;
mod requests;
mod snapshot;
mod table;

use muster_tests::{
    binary,
    engine::Engine,
    runtime::wait,
    server::{Launch, Server},
};

use self::{http::Place, lookups::Size, requests::Bench};

const USAGE: &str = "\
usage: load [--engines both|sqlite|postgres] [--database-url URL] [--seconds N] [--quick]
            [--only requests,creates,feed,snapshot,queries,points,lookups,refusals]

--engines       a new SQLite file, a private PostgreSQL, or one after the other (default: both)
--database-url  an existing database instead, sqlite:// or postgres://; what is written stays there
--seconds       how long a cell runs (default: 3)
--quick         less of everything, for a look
--only          these parts";

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const FEW_USERS: usize = 200;
/// Into how many turns the time of a cell is cut.
const TURNS: u32 = 3;
const PARTS: [&str; 8] = [
    "requests", "creates", "feed", "snapshot", "queries", "points", "lookups", "refusals",
];
/// What reads the feed with values.
const SCOPES: &str = "changes.read,users.read.pii,users.write";

/// What is measured, and how much of it.
#[derive(Debug, Clone)]
struct Plan {
    engines: Vec<Engine>,
    database_url: Option<String>,
    parts: Vec<String>,
    seconds: f64,
    many_users: usize,
    group_sizes: [usize; 3],
    watchers: Vec<usize>,
    feed_rate: f64,
    feed_seconds: f64,
    snapshot_users: usize,
    query_users: [usize; 2],
    lookup_sizes: [Size; 2],
    refusal_seconds: f64,
}

impl Plan {
    fn full() -> Self {
        Self {
            engines: vec![Engine::Sqlite, Engine::Postgres],
            database_url: None,
            parts: PARTS.map(str::to_owned).to_vec(),
            seconds: 3.0,
            many_users: 20_000,
            group_sizes: [10, 1_000, 10_000],
            watchers: vec![1, 10, 100, 1_000],
            feed_rate: 500.0,
            feed_seconds: 10.0,
            snapshot_users: 100_000,
            query_users: [20_000, 200_000],
            lookup_sizes: [(2_000, 200), (200_000, 20_000)]
                .map(|(users, groups)| Size { users, groups }),
            refusal_seconds: 20.0,
        }
    }

    fn quick(self) -> Self {
        Self {
            seconds: 0.5,
            many_users: 2_000,
            group_sizes: [10, 100, 1_000],
            watchers: vec![1, 100],
            feed_seconds: 2.0,
            snapshot_users: 10_000,
            query_users: [2_000, 4_000],
            lookup_sizes: [(1_100, 40), (2_000, 200)].map(|(users, groups)| Size { users, groups }),
            refusal_seconds: 2.0,
            ..self
        }
    }

    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|wanted| wanted == part)
    }

    /// A server on a new database, or on the one that was named.
    fn start(&self, engine: Engine) -> Server {
        let binary = binary::muster_release();
        let launch = match &self.database_url {
            Some(url) => Launch::of_at(binary, url),
            None => Launch::of(binary, engine),
        };
        launch.start()
    }
}

fn plan() -> Plan {
    let mut plan = Plan::full();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| usage());
        match argument.as_str() {
            echo::ARGUMENT => {
                echo::serve(&value());
                std::process::exit(0);
            }
            "--quick" => plan = plan.quick(),
            "--seconds" => plan.seconds = value().parse().unwrap_or_else(|_| usage()),
            "--engines" => plan.engines = engines(&value()),
            "--database-url" => plan.database_url = Some(value()),
            "--only" => plan.parts = value().split(',').map(str::to_owned).collect(),
            _ => usage(),
        }
    }
    if let Some(url) = &plan.database_url {
        let is_sqlite = url.starts_with("sqlite:");
        plan.engines = engines(if is_sqlite { "sqlite" } else { "postgres" });
    }
    if plan.parts.iter().any(|p| !PARTS.contains(&p.as_str())) {
        usage();
    }
    plan
}

fn engines(name: &str) -> Vec<Engine> {
    match name {
        "both" => vec![Engine::Sqlite, Engine::Postgres],
        "sqlite" => vec![Engine::Sqlite],
        "postgres" => vec![Engine::Postgres],
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

fn main() {
    let plan = plan();
    for engine in &plan.engines {
        println!("\n### {engine:?}");
        eprintln!("### {engine:?}");
        measure(*engine, &plan);
    }
}

fn measure(engine: Engine, plan: &Plan) {
    if plan.has("requests") {
        let server = plan.start(engine);
        let small = plan.start(engine);
        let at_rest_empty = server.resident_kib();
        let mut bench = Bench::new(plan, &server, &small);
        wait(bench.run(plan));
        let after_load = server.resident_kib();
        bench.print(plan);
        process::print(server, at_rest_empty, after_load);
    }
    if plan.has("creates") {
        let server = plan.start(engine);
        let (scim, bare) = (Place::new(&server), Place::new(&server));
        wait(creates::run(&server, plan, scim, bare));
    }
    if plan.has("feed") {
        let (server, _, token) = watched(plan, engine);
        wait(feed::run(&server, plan, &token));
    }
    if plan.has("queries") {
        for users in plan.query_users {
            let server = plan.start(engine);
            let place = Place::new(&server);
            wait(queries::run(&server, plan, &place, users));
        }
    }
    if plan.has("points") {
        let server = plan.start(engine);
        let place = Place::new(&server);
        let issuer = points::Issuer::new(&server, &place);
        wait(points::run(&server, plan, &place, &issuer));
    }
    if plan.has("lookups") {
        for size in plan.lookup_sizes {
            let server = plan.start(engine);
            let place = Place::new(&server);
            let reader = lookups::Reader::new(&server, &place);
            wait(lookups::run(&server, plan, &place, &reader, size));
            wait(moves::run(&server, engine));
        }
    }
    if plan.has("refusals") {
        let server = plan.start(engine);
        let place = Place::new(&server);
        let watcher = refusals::Watcher::new(&server, &place);
        wait(refusals::run(&server, plan, &place, &watcher));
    }
    if plan.has("snapshot") {
        let (server, place, token) = watched(plan, engine);
        wait(snapshot::run(&server, plan, &place, &token));
    }
}

/// A server with a tenant, and a token that may read and write there.
fn watched(plan: &Plan, engine: Engine) -> (Server, Place, String) {
    let server = plan.start(engine);
    let place = Place::new(&server);
    let scopes = ["--scopes", SCOPES];
    let (_, token) = place.tenant.credential(&server, "entra", &scopes);
    (server, place, token)
}
