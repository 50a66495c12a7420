//! Calls about one thing, beside those of a service that does nothing.
//!
//! Both are called by the same client over as many connections of HTTP/2, with
//! requests and answers of the same size, in alternating turns. What is left
//! between the two is what muster does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use muster_proto::v1::{
    GetUserRequest, GetUserResponse, IntrospectTokenRequest, IssueUserTokenRequest, UserKey,
    token_service_client::TokenServiceClient, user_key::Key,
    user_service_client::UserServiceClient,
};
use muster_tests::{
    grpc::{Authorized, Grpc},
    server::Server,
    service::{API, Service},
};
use prost::Message as _;
use tokio::task::JoinSet;

use crate::{
    Plan, TURNS,
    echo::Echo,
    http::Place,
    table::{Cell, head, line, ms},
};

/// Calls under way at once, and over how many connections.
const LOADS: [(usize, usize); 3] = [(1, 1), (16, 4), (64, 4)];

const USERS: usize = 1_000;

/// A client that issues and introspects tokens, and its own.
pub(crate) struct Issuer(String);

impl Issuer {
    /// Registers it.
    pub(crate) fn new(server: &Server, place: &Place) -> Self {
        let scopes = "tokens.issue,tokens.introspect";
        Self(Service::create(server, &place.tenant, scopes).token())
    }
}

/// Measures and prints the table.
pub(crate) async fn run(server: &Server, plan: &Plan, place: &Place, issuer: &Issuer) {
    let ids: Arc<[String]> = place.seed_users(USERS).await.into();
    let token = place.tenant.token.as_str();
    let mut first = Grpc::new(server.grpc(), Some(token)).users();
    let answer = first.get_user(request(&ids[0])).await.expect("a user");
    let answer = answer.into_inner();
    let echo = Echo::start(&answer);
    print_sizes(&ids[0], &answer);
    let reads = |url: &str| {
        let (url, ids) = (url.to_owned(), Arc::clone(&ids));
        let token = token.to_owned();
        move |seed| ReadUser::new(Grpc::new(&url, Some(&token)).users(), &ids, seed)
    };
    let (nothing, read_user) = (reads(&echo.url), reads(server.grpc()));
    table_head();
    compare(server, plan, "GetUser", &nothing, &read_user).await;

    let tokens = Grpc::new(server.grpc(), Some(&issuer.0)).tokens();
    let mut issued = Vec::with_capacity(ids.len());
    for id in ids.iter() {
        let answer = tokens.clone().issue_user_token(issue(id)).await;
        issued.push(answer.expect("a token").into_inner().access_token);
    }
    let issued: Arc<[String]> = issued.into();
    let open = || Grpc::new(server.grpc(), Some(&issuer.0)).tokens();
    let issues = |seed| IssueToken {
        tokens: open(),
        ids: Arc::clone(&ids),
        seed,
    };
    compare(server, plan, "IssueUserToken", &nothing, &issues).await;
    let introspects = |seed| Introspect {
        tokens: open(),
        issued: Arc::clone(&issued),
        seed,
    };
    compare(server, plan, "IntrospectToken", &nothing, &introspects).await;
}

fn print_sizes(id: &str, answer: &GetUserResponse) {
    let (asked, answered) = (request(id).encoded_len(), answer.encoded_len());
    println!("\nGetUser: {asked} bytes asked, {answered} answered; {USERS} users.");
}

/// Makes calls of one kind over its connection, one after the other. A clone
/// makes its own over the same connection.
pub(crate) trait Caller: Clone + Send + 'static {
    /// Makes a call and sees that it succeeds.
    fn call(&mut self) -> impl Future<Output = ()> + Send;

    /// The same, for what it draws to differ from what others draw.
    fn seeded(self, seed: u64) -> Self;
}

/// Reads users by their ids, whichever.
#[derive(Clone)]
pub(crate) struct ReadUser {
    users: UserServiceClient<Authorized>,
    ids: Arc<[String]>,
    seed: u64,
}

impl ReadUser {
    pub(crate) fn new(
        users: UserServiceClient<Authorized>,
        ids: &Arc<[String]>,
        seed: u64,
    ) -> Self {
        let ids = Arc::clone(ids);
        Self { users, ids, seed }
    }
}

impl Caller for ReadUser {
    async fn call(&mut self) {
        let id = &self.ids[draw(&mut self.seed) % self.ids.len()];
        let answer = self.users.get_user(request(id)).await.expect("a user");
        assert!(answer.into_inner().user.is_some(), "an answer without user");
    }

    fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// Issues tokens for users, whichever.
#[derive(Clone)]
struct IssueToken {
    tokens: TokenServiceClient<Authorized>,
    ids: Arc<[String]>,
    seed: u64,
}

impl Caller for IssueToken {
    async fn call(&mut self) {
        let id = &self.ids[draw(&mut self.seed) % self.ids.len()];
        let answer = self.tokens.issue_user_token(issue(id)).await;
        let token = answer.expect("a token").into_inner().access_token;
        assert!(!token.is_empty(), "an answer without a token");
    }

    fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

fn issue(id: &str) -> IssueUserTokenRequest {
    IssueUserTokenRequest {
        user: Some(UserKey {
            key: Some(Key::Id(id.to_owned())),
        }),
        audiences: vec![API.to_owned()],
        scopes: vec!["read".to_owned()],
        lifetime: Some(prost_types::Duration {
            seconds: 3_600,
            nanos: 0,
        }),
        ..IssueUserTokenRequest::default()
    }
}

/// Introspects tokens of users, whichever.
#[derive(Clone)]
struct Introspect {
    tokens: TokenServiceClient<Authorized>,
    issued: Arc<[String]>,
    seed: u64,
}

impl Caller for Introspect {
    async fn call(&mut self) {
        let token = &self.issued[draw(&mut self.seed) % self.issued.len()];
        let request = IntrospectTokenRequest {
            token: token.clone(),
            expected_audience: API.to_owned(),
            ..IntrospectTokenRequest::default()
        };
        let answer = self.tokens.introspect_token(request).await;
        assert!(answer.expect("an answer").into_inner().active, "inactive");
    }

    fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

fn request(id: &str) -> GetUserRequest {
    GetUserRequest {
        id: id.to_owned(),
        ..GetUserRequest::default()
    }
}

/// The next number of a sequence without visible order (Steele's SplitMix64).
pub(crate) fn draw(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

/// Measures calls of one kind beside those that do nothing, and prints a line
/// for each load. Each connection is opened by `nothing` and `calls`.
pub(crate) async fn compare<N: Caller, C: Caller>(
    server: &Server,
    plan: &Plan,
    name: &str,
    nothing: &impl Fn(u64) -> N,
    calls: &impl Fn(u64) -> C,
) {
    let time = Duration::from_secs_f64(plan.seconds / f64::from(TURNS));
    for (in_flight, connections) in LOADS {
        let nothing = open(connections, nothing).await;
        let calls = open(connections, calls).await;
        let (mut baseline, mut measured) = (Vec::new(), Vec::new());
        let mut cpu = Duration::ZERO;
        for _ in 0..TURNS {
            baseline.extend(turn(&nothing, in_flight, time).await);
            let before = server.cpu_time();
            measured.extend(turn(&calls, in_flight, time).await);
            cpu += server.cpu_time() - before;
        }
        let cpu = cpu.div_f64(measured.len().max(1) as f64);
        let baseline = Cell::of(in_flight, baseline);
        let measured = Cell::of(in_flight, measured);
        table_line(name, connections, &baseline, &measured, cpu);
    }
}

/// Callers over as many connections, which are open and known to both sides.
async fn open<C: Caller>(connections: usize, caller: &impl Fn(u64) -> C) -> Vec<C> {
    let mut open: Vec<C> = (0..connections as u64).map(caller).collect();
    for caller in &mut open {
        for _ in 0..WARM_UP {
            caller.call().await;
        }
    }
    open
}

const WARM_UP: usize = 100;

/// What each call took, so many of them under way at any time.
async fn turn<C: Caller>(open: &[C], in_flight: usize, time: Duration) -> Vec<Duration> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for (n, caller) in open.iter().cycle().take(in_flight).enumerate() {
        let mut caller = caller.clone().seeded(n as u64);
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                caller.call().await;
                took.push(began.elapsed());
            }
            took
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

pub(crate) fn table_head() {
    head(&[
        "call",
        "in flight",
        "connections",
        "echo calls/s",
        "calls/s",
        "ratio",
        "echo p50 ms",
        "echo p99 ms",
        "p50 ms",
        "p99 ms",
        "muster's CPU ms a call",
    ]);
}

fn table_line(name: &str, connections: usize, echo: &Cell, measured: &Cell, cpu: Duration) {
    let cells = [
        name.to_owned(),
        measured.connections.to_string(),
        connections.to_string(),
        format!("{:.0}", echo.per_second),
        format!("{:.0}", measured.per_second),
        format!("{:.2}", measured.per_second / echo.per_second),
        ms(echo.p50),
        ms(echo.p99),
        ms(measured.p50),
        ms(measured.p99),
        format!("{:.3}", cpu.as_secs_f64() * 1_000.0),
    ];
    eprintln!("{}", cells.join(" | "));
    line(&cells);
}
