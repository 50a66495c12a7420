//! What a provisioning client asks, at 1, 16 and 64 connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::Request;
use muster_tests::{scim::query, server::Server};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    CONNECTIONS, FEW_USERS, Plan, TURNS,
    http::{HttpRequest, Place, connect, exchange, patch, user_name},
    table::{Cell, Row, head, line, ms},
};

const VERBS: [&str; 2] = ["add", "remove"];

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

    fn creation(&self) -> Subject {
        let place = self.clone();
        let make: Make = Box::new(move |_, _| place.create());
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
            // Only a small group is shown after a change.
            ..self.subject("", if size > 100 { 204 } else { 200 }, make)
        }
    }
}

pub(crate) struct Bench {
    /// Where all the users and groups are.
    large: Place,
    /// A server of its own with few users.
    small: Place,
    /// A tenant of the large server for users to be created in.
    fresh: Place,
    seconds: f64,
    rows: Vec<Row>,
}

impl Bench {
    pub(crate) fn new(plan: &Plan, large: &Server, small: &Server) -> Self {
        Self {
            large: Place::new(large),
            small: Place::new(small),
            fresh: Place::new(large),
            seconds: plan.seconds,
            rows: Vec::new(),
        }
    }

    pub(crate) async fn run(&mut self, plan: &Plan) {
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
        self.together(vec![self.fresh.creation()]).await;
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
                    let cell = Cell::of(connections, own.map(|s| s.1).collect());
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

    pub(crate) fn print(&self, plan: &Plan) {
        head(&["request", "connections", "requests/s", "p50 ms", "p99 ms"]);
        for row in &self.rows {
            for cell in &row.cells {
                line(&[
                    row.name.clone(),
                    cell.connections.to_string(),
                    format!("{:.0}", cell.per_second),
                    ms(cell.p50),
                    ms(cell.p99),
                ]);
            }
        }
        self.print_ratios(plan);
    }

    fn print_ratios(&self, plan: &Plan) {
        head(&["ratio of median latencies", "1 connection", "16", "64"]);
        let print = |label: String, large: String, small: String| {
            let cells = |name: String| {
                let row = self.rows.iter().find(|row| row.name == name);
                row.expect("a measured row").cells.iter()
            };
            let ratios = cells(large).zip(cells(small));
            let ratios =
                ratios.map(|(l, s)| format!("{:.2}", l.p50.as_secs_f64() / s.p50.as_secs_f64()));
            let mut cells = vec![label];
            cells.extend(ratios);
            line(&cells);
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
}

fn filter_row(users: usize) -> String {
    format!("GET filter by userName, {users} users")
}

fn member_row(verb: &str, size: usize) -> String {
    format!("PATCH {verb} one member, group of {size}")
}
