//! Load driver: what the release binary does per second, on one SQLite file.
//!
//! `cargo run --release -p muster-tests --bin load -- [--seconds N] [--quick]`
//! prints Markdown tables for `docs/performance.md`. It builds the release
//! binary unless `MUSTER_BIN` names one, and speaks to it over loopback only.
//!
//! Each cell runs a fixed number of kept-open connections, each with one
//! request under way, for a fixed time. Generator and server share the
//! machine, so ratios between rows mean more than any number by itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a tool reports by panicking"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use muster_tests::{
    binary,
    engine::Engine,
    scim::{GROUP, PATCH, USER, query},
    server::{Launch, Server},
    tenant::Tenant,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const FEW_USERS: usize = 200;
const STARTS: usize = 5;
/// Into how many turns the time of a cell is cut.
const TURNS: u32 = 3;
const VERBS: [&str; 2] = ["add", "remove"];

struct Plan {
    seconds: f64,
    many_users: usize,
    group_sizes: [usize; 3],
}

fn plan() -> Plan {
    let mut plan = Plan {
        seconds: 3.0,
        many_users: 20_000,
        group_sizes: [10, 1_000, 10_000],
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let value = arguments.next().and_then(|v| v.parse().ok());
                plan.seconds = value.expect("--seconds takes a number");
            }
            "--quick" => {
                plan = Plan {
                    seconds: 0.5,
                    many_users: 2_000,
                    group_sizes: [10, 100, 1_000],
                }
            }
            _ => {
                eprintln!("usage: load [--seconds N] [--quick]");
                std::process::exit(2);
            }
        }
    }
    plan
}

fn main() {
    let plan = plan();
    let server = Launch::of(binary::muster_release(), Engine::Sqlite).start();
    let small = Launch::of(binary::muster_release(), Engine::Sqlite).start();
    let at_rest_empty = server.resident_kib();
    let mut bench = Bench {
        large: Place::new(&server),
        small: Place::new(&small),
        fresh: Place::new(&server),
        seconds: plan.seconds,
        rows: Vec::new(),
    };
    muster_tests::runtime::wait(bench.run(&plan));
    let after_load = server.resident_kib();
    bench.print();
    print_ratios(&bench.rows, &plan);
    print_process(server, at_rest_empty, after_load);
}

/// One line of the table: the cells by number of connections.
struct Row {
    name: String,
    cells: Vec<Cell>,
}

struct Cell {
    connections: usize,
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// A tenant of a server.
#[derive(Clone)]
struct Place {
    address: String,
    token: String,
}

struct Bench {
    /// Where all the users and groups are.
    large: Place,
    /// A server of its own with few users.
    small: Place,
    /// A tenant of the large server for users to be created in.
    fresh: Place,
    seconds: f64,
    rows: Vec<Row>,
}

type HttpRequest = Request<Full<Bytes>>;

/// Makes the n-th request of a connection.
type Make = Box<dyn Fn(usize, usize) -> HttpRequest + Send + Sync>;

/// What is measured: even and odd requests of a connection may have rows of
/// their own.
struct Subject {
    rows: Vec<String>,
    address: String,
    expected: u16,
    make: Make,
    /// How many requests each connection has made in former turns.
    made: Vec<AtomicUsize>,
}

/// Number within its connection, and latency.
type Sample = (usize, Duration);

impl Place {
    fn new(server: &Server) -> Self {
        Self {
            address: server.http_address().to_owned(),
            token: Tenant::create(server).token,
        }
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> HttpRequest {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/scim+json")
            .body(Full::new(Bytes::from(text)))
            .unwrap()
    }

    fn subject(&self, name: &str, expected: u16, make: Make) -> Subject {
        Subject {
            rows: vec![name.to_owned()],
            address: self.address.clone(),
            expected,
            make,
            made: (0..CONNECTIONS[CONNECTIONS.len() - 1])
                .map(|_| AtomicUsize::new(0))
                .collect(),
        }
    }

    /// Creates users over 16 connections; their ids, in order.
    async fn seed_users(&self, count: usize) -> Vec<String> {
        const WORKERS: usize = 16;
        let mut tasks = JoinSet::new();
        for worker in 0..WORKERS {
            let place = self.clone();
            tasks.spawn(async move {
                let mut connection = connect(&place.address).await;
                let mut created = Vec::new();
                for n in (worker..count).step_by(WORKERS) {
                    let request = place.request("POST", "/Users", &user(n));
                    let body = exchange(&mut connection, request, 201).await;
                    created.push((n, id(&body)));
                }
                created
            });
        }
        let mut all: Vec<(usize, String)> = tasks.join_all().await.into_iter().flatten().collect();
        all.sort();
        all.into_iter().map(|(_, id)| id).collect()
    }

    async fn seed_group(&self, users: &[String], size: usize) -> String {
        let mut connection = connect(&self.address).await;
        let body = json!({"schemas": [GROUP], "displayName": format!("group of {size}")});
        let create = self.request("POST", "/Groups", &body);
        let group = id(&exchange(&mut connection, create, 201).await);
        let members = users.get(..size).expect("more users than members");
        for chunk in members.chunks(1_000) {
            let members: Vec<Value> = chunk.iter().map(|id| json!({"value": id})).collect();
            let operation = json!({"op": "add", "path": "members", "value": members});
            let path = format!("/Groups/{group}");
            let add = self.request("PATCH", &path, &patch(operation));
            exchange(&mut connection, add, 204).await;
        }
        group
    }

    fn filter(&self, users: usize) -> Subject {
        let place = self.clone();
        let make: Make = Box::new(move |connection, n| {
            let name = user_name((connection * 7919 + n * 31) % users);
            let filter = query(&[("filter", &format!("userName eq \"{name}\""))]);
            place.request("GET", &format!("/Users?{filter}"), &Value::Null)
        });
        self.subject(&filter_row(users), 200, make)
    }

    fn read(&self, users: &Arc<Vec<String>>) -> Subject {
        let (place, users) = (self.clone(), Arc::clone(users));
        let make: Make = Box::new(move |connection, n| {
            let id = &users[(connection * 7919 + n * 31) % users.len()];
            place.request("GET", &format!("/Users/{id}"), &Value::Null)
        });
        self.subject("GET user by id", 200, make)
    }

    /// Every connection has its own users and turns them off and on.
    fn patch(&self, users: &Arc<Vec<String>>) -> Subject {
        let (place, users) = (self.clone(), Arc::clone(users));
        let share = users.len() / CONNECTIONS[CONNECTIONS.len() - 1];
        let make: Make = Box::new(move |connection, n| {
            let id = &users[connection * share + n % share];
            let value = if (n / share).is_multiple_of(2) {
                "False"
            } else {
                "True"
            };
            let operation = json!({"op": "Replace", "path": "active", "value": value});
            place.request("PATCH", &format!("/Users/{id}"), &patch(operation))
        });
        self.subject("PATCH user active", 200, make)
    }

    fn create(&self) -> Subject {
        let place = self.clone();
        let make: Make = Box::new(move |_, _| {
            let mut body = user(0);
            let name = uuid::Uuid::new_v4().to_string();
            body["externalId"] = json!(name);
            body["userName"] = json!(format!("{name}@load.test"));
            place.request("POST", "/Users", &body)
        });
        self.subject("POST user", 201, make)
    }

    /// Adds and removes one member in turn, so that the size stays.
    fn membership(&self, users: &[String], group: String, size: usize) -> Subject {
        let place = self.clone();
        // The last users are in no group.
        let spare: Vec<String> = users.iter().rev().take(64).cloned().collect();
        let make: Make = Box::new(move |connection, n| {
            let op = if n.is_multiple_of(2) { "Add" } else { "Remove" };
            let value = json!([{"value": spare[connection % spare.len()]}]);
            let operation = json!({"op": op, "path": "members", "value": value});
            place.request("PATCH", &format!("/Groups/{group}"), &patch(operation))
        });
        Subject {
            rows: VERBS.map(|verb| member_row(verb, size)).to_vec(),
            ..self.subject("", 204, make)
        }
    }
}

impl Bench {
    async fn run(&mut self, plan: &Plan) {
        self.small.seed_users(FEW_USERS).await;
        let users = Arc::new(self.large.seed_users(plan.many_users).await);
        let mut groups = Vec::new();
        for size in plan.group_sizes {
            let group = self.large.seed_group(&users, size).await;
            groups.push(self.large.membership(&users, group, size));
        }
        self.together(vec![self.baseline()]).await;
        let filters = vec![self.small.filter(FEW_USERS), self.large.filter(users.len())];
        self.together(filters).await;
        self.together(vec![self.large.read(&users)]).await;
        self.together(vec![self.large.patch(&users)]).await;
        self.together(groups).await;
        self.together(vec![self.fresh.create()]).await;
    }

    fn baseline(&self) -> Subject {
        let address = self.large.address.clone();
        let make: Make = Box::new(move |_, _| {
            let builder = Request::builder().uri("/healthz").header("host", &address);
            builder.body(Full::default()).unwrap()
        });
        self.large.subject("GET /healthz (baseline)", 200, make)
    }

    /// Measures subjects in short turns, so that what else happens on the
    /// machine meets all of them.
    async fn together(&mut self, subjects: Vec<Subject>) {
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        rows.resize_with(subjects.iter().map(|s| s.rows.len()).sum(), Vec::new);
        let subjects: Vec<Arc<Subject>> = subjects.into_iter().map(Arc::new).collect();
        for connections in CONNECTIONS {
            let mut samples = vec![Vec::new(); subjects.len()];
            for _ in 0..TURNS {
                for (subject, samples) in subjects.iter().zip(&mut samples) {
                    samples.extend(self.turn(subject, connections).await);
                }
            }
            let mut cells = rows.iter_mut();
            for (subject, samples) in subjects.iter().zip(samples) {
                let kinds = subject.rows.len();
                for kind in 0..kinds {
                    let own = samples.iter().filter(|s: &&Sample| s.0 % kinds == kind);
                    let cell = cell(connections, own.map(|s| s.1).collect());
                    cells.next().expect("a row").push(cell);
                }
            }
        }
        let names = subjects.iter().flat_map(|s| s.rows.clone());
        for (name, cells) in names.zip(rows) {
            let row = Row { name, cells };
            eprintln!("{}", row.line());
            self.rows.push(row);
        }
    }

    async fn turn(&self, subject: &Arc<Subject>, connections: usize) -> Vec<Sample> {
        let mut tasks = JoinSet::new();
        let end = Instant::now() + Duration::from_secs_f64(self.seconds / f64::from(TURNS));
        for connection in 0..connections {
            let subject = Arc::clone(subject);
            tasks.spawn(async move {
                let mut sender = connect(&subject.address).await;
                let mut samples: Vec<Sample> = Vec::new();
                // Whole rounds, so that what was added is removed.
                while Instant::now() < end || !samples.len().is_multiple_of(subject.rows.len()) {
                    let n = subject.made[connection].fetch_add(1, Ordering::Relaxed);
                    let request = (subject.make)(connection, n);
                    let began = Instant::now();
                    exchange(&mut sender, request, subject.expected).await;
                    samples.push((n, began.elapsed()));
                }
                samples
            });
        }
        tasks.join_all().await.into_iter().flatten().collect()
    }

    fn print(&self) {
        println!("| request | connections | requests/s | p50 ms | p99 ms |");
        println!("|---|---:|---:|---:|---:|");
        for row in &self.rows {
            for cell in &row.cells {
                println!(
                    "| {} | {} | {:.0} | {} | {} |",
                    row.name,
                    cell.connections,
                    cell.per_second,
                    ms(cell.p50),
                    ms(cell.p99)
                );
            }
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let cells = self.cells.iter();
        let cells = cells.map(|c| {
            format!(
                "{}: {:.0}/s, p50 {}",
                c.connections,
                c.per_second,
                ms(c.p50)
            )
        });
        format!("{}: {}", self.name, cells.collect::<Vec<_>>().join("; "))
    }
}

fn filter_row(users: usize) -> String {
    format!("GET filter by userName, {users} users")
}

fn member_row(verb: &str, size: usize) -> String {
    format!("PATCH {verb} one member, group of {size}")
}

fn print_ratios(rows: &[Row], plan: &Plan) {
    println!("\n| ratio of median latencies | 1 connection | 16 | 64 |\n|---|---:|---:|---:|");
    let print = |label: String, large: String, small: String| {
        let cells = |name: String| {
            let row = rows.iter().find(|row| row.name == name);
            row.expect("a measured row").cells.iter()
        };
        let ratios = cells(large).zip(cells(small));
        let ratios =
            ratios.map(|(l, s)| format!("{:.2}", l.p50.as_secs_f64() / s.p50.as_secs_f64()));
        println!("| {label} | {} |", ratios.collect::<Vec<_>>().join(" | "));
    };
    let many = plan.many_users;
    let label = format!("filter, {many} users to {FEW_USERS}");
    print(label, filter_row(many), filter_row(FEW_USERS));
    let smallest = plan.group_sizes[0];
    for verb in VERBS {
        for size in &plan.group_sizes[1..] {
            let label = format!("{verb} one member, group of {size} to {smallest}");
            print(label, member_row(verb, *size), member_row(verb, smallest));
        }
    }
}

/// Memory, and starts on the database that the run left behind.
fn print_process(server: Server, empty: u64, after_load: u64) {
    let launch = server.launch().clone();
    server.stop();
    let mut starts = Vec::new();
    let mut at_rest = 0;
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = launch.start();
        let anyone = muster_tests::scim::Scim::anonymous(server.http());
        let _ = anyone.get("/healthz").status(200);
        starts.push(began.elapsed());
        at_rest = at_rest.max(server.resident_kib());
        server.stop();
    }
    starts.sort();
    let mib = |kib: u64| kib / 1024;
    println!("\n| process | |\n|---|---:|");
    println!("| resident at rest, empty database | {} MiB |", mib(empty));
    println!(
        "| resident at rest, the database of this run | {} MiB |",
        mib(at_rest)
    );
    println!("| resident after the load | {} MiB |", mib(after_load));
    println!(
        "| start to serving, median of {STARTS} | {} ms |",
        ms(starts[STARTS / 2])
    );
}

/// Each connection has one request under way all the time, so the rate follows
/// from the latencies, also where two kinds of request take turns.
fn cell(connections: usize, mut latencies: Vec<Duration>) -> Cell {
    latencies.sort_unstable();
    let at = |share: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies
            .get((last as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    };
    let total: Duration = latencies.iter().sum();
    Cell {
        connections,
        per_second: latencies.len() as f64 / total.as_secs_f64() * connections as f64,
        p50: at(0.5),
        p99: at(0.99),
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

fn user_name(n: usize) -> String {
    format!("user.{n}@load.test")
}

/// About what a provisioning client sends.
fn user(n: usize) -> Value {
    let name = user_name(n);
    json!({
        "schemas": [USER], "userName": name, "externalId": format!("external-{n}"), "active": true,
        "displayName": format!("User {n}"),
        "name": {"givenName": "User", "familyName": n.to_string(), "formatted": format!("User {n}")},
        "emails": [{"value": name, "type": "work", "primary": true}],
        "phoneNumbers": [{"value": "+1 555 0100", "type": "work"}],
    })
}

fn patch(operation: Value) -> Value {
    json!({"schemas": [PATCH], "Operations": [operation]})
}

fn id(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    body["id"].as_str().expect("an id").to_owned()
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("an open socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    // Ends with its sender.
    tokio::spawn(connection);
    sender
}

/// Sends a request and asserts the status of the answer; the body.
async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: HttpRequest,
    expected: u16,
) -> Bytes {
    connection.ready().await.expect("an open connection");
    let response = connection.send_request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body");
    let body = body.to_bytes();
    assert_eq!(status, expected, "{}", String::from_utf8_lossy(&body));
    body
}
