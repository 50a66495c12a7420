//! Who calls too often has to wait, and nobody else.

use std::time::Duration;

use muster_proto::v1::{CreateUserRequest, ListUsersRequest, User};
use muster_tests::{
    grpc::{Grpc, reason},
    issuer::Issuer,
    oauth::{AUDIENCE, Client, SUBJECT},
    runtime::wait,
    scim::{Reply, Scim, USER},
    server::Server,
    service::Service,
    soon::wait_until,
    tenant::Tenant,
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// More calls than any limit of these tests allows at once.
const MANY: usize = 20;

fn create(grpc: &Grpc) -> Result<(), Status> {
    let user = User {
        user_name: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let request = CreateUserRequest {
        user: Some(user),
        options: None,
    };
    wait(grpc.users().create_user(request)).map(|_| ())
}

fn list(grpc: &Grpc) -> Result<(), Status> {
    let listed = wait(grpc.users().list_users(ListUsersRequest::default()));
    listed.map(|_| ())
}

fn post(scim: &Scim) -> Reply {
    let name = Uuid::new_v4().to_string();
    scim.post("/Users", &json!({"schemas": [USER], "userName": name}))
}

/// Repeats a call until it is refused; how often it was not.
#[track_caller]
fn until_refused(call: impl Fn() -> Result<(), Status>) -> (usize, Status) {
    for done in 0..MANY {
        if let Err(status) = call() {
            return (done, status);
        }
    }
    panic!("{MANY} calls were not too many");
}

/// Asserts that a caller is told to come back, and how soon.
#[track_caller]
fn limited(status: &Status) -> Duration {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(status), "RATE_LIMITED", "{status:?}");
    let told = status.get_details_retry_info().expect("when to come back");
    let told = told.retry_delay.expect("how long that is");
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    let pushback = pushback.and_then(|ms| ms.to_str().ok()?.parse::<u64>().ok());
    let pushback = Duration::from_millis(pushback.expect("for clients that retry"));
    assert!(pushback >= told && pushback < told + Duration::from_millis(2));
    told
}

/// The same over SCIM.
#[track_caller]
fn told_to_wait(reply: &Reply) {
    let after = reply.header("retry-after").unwrap_or_default();
    let after: u64 = after.parse().expect("Retry-After in seconds");
    assert!((1..=60).contains(&after), "{reply}");
    let _ = reply.clone().scim_error(429, None);
}

fn server(name: &str, value: &str) -> Server {
    super::super::launch().env(name, value).start()
}

#[test]
fn one_caller_who_writes_too_often_waits_alone() {
    let server = server("MUSTER_RATE_LIMITS", "write=1");
    let (tenant, other) = (Tenant::create(&server), Tenant::create(&server));
    let service = Service::full(&server, &tenant);
    let grpc = service.grpc();
    let (done, status) = until_refused(|| create(&grpc));
    // Two seconds' worth, and what becomes free meanwhile.
    assert!(done >= 2, "{done}");
    let delay = limited(&status);
    assert!(delay <= Duration::from_secs(1), "{delay:?}");
    // Another token of the same client is the same caller; reads are not writes.
    let (done, _) = until_refused(|| create(&service.grpc()));
    assert!(done < 2, "{done}");
    list(&grpc).expect("reads have a rate of their own");
    // Others are not: a connection of the tenant, another tenant.
    for scim in [tenant.scim(), other.scim()] {
        let _ = post(&scim).status(201);
    }
    let sibling = Service::create(&server, &tenant, "users.write");
    create(&sibling.grpc()).expect("another client");
    wait_until("room for a write", || create(&grpc).is_ok());
}

#[test]
fn over_scim_who_writes_too_often_is_told_to_wait() {
    let server = server("MUSTER_RATE_LIMITS", "write=1");
    let tenant = Tenant::create(&server);
    let scim = tenant.scim();
    let refused = (0..MANY)
        .map(|_| post(&scim))
        .find(|reply| reply.code() != 201);
    told_to_wait(&refused.expect("that was too much"));
    let _ = scim.get("/Users").status(200);
    let (_, second) = tenant.credential(&server, "entra", &[]);
    let _ = post(&tenant.scim_with(&second)).status(201);
    wait_until("room for a write", || post(&scim).code() == 201);
}

#[test]
fn a_tenants_callers_share_its_rate() {
    let server = server("MUSTER_TENANT_RATE_LIMITS", "write=1");
    let (tenant, other) = (Tenant::create(&server), Tenant::create(&server));
    let clients = [
        Service::create(&server, &tenant, "users.write").grpc(),
        Service::create(&server, &tenant, "users.write").grpc(),
    ];
    let (_, status) = until_refused(|| create(&clients[0]));
    limited(&status);
    let (done, status) = until_refused(|| create(&clients[1]));
    assert!(done < 2, "{done}");
    limited(&status);
    let _ = post(&other.scim()).status(201);
    // Who is refused is told so before anything is looked at, and it is no
    // failure to prove himself.
    let _ = tenant.scim().get("/Users").status(200);
}

#[test]
fn who_trades_too_often_waits_as_well() {
    let server = server("MUSTER_RATE_LIMITS", "token=1");
    let tenant = Tenant::create(&server);
    let service = Service::create(&server, &tenant, "users.list");
    let trade = || service.trade(&service.assertion(&json!({})), &[]);
    let (done, status) = until_refused(|| trade().map(|_| ()));
    assert!(done >= 2, "{done}");
    limited(&status);
    let client = Client::create(&server, &tenant);
    let refused = (0..MANY)
        .map(|_| client.trade(&client.secret))
        .find(|reply| reply.code() != 200);
    let refused = refused.expect("that was too much");
    assert_eq!(refused.code(), 429, "{refused}");
    assert!(refused.header("retry-after").is_some(), "{refused}");
    // Whoever proves nothing uses up nobody's rate.
    let other = Client::create(&server, &tenant);
    let wrong = Client {
        secret: "wrong".to_owned(),
        ..other.clone()
    };
    for _ in 0..MANY {
        assert_eq!(wrong.trade(&wrong.secret).code(), 401);
    }
    assert_eq!(other.trade(&other.secret).code(), 200);
}

#[test]
fn failures_are_counted_by_address_and_good_credentials_never() {
    let server = server("MUSTER_FAILURE_RATE_LIMIT", "5");
    let tenant = Tenant::create(&server);
    let good = tenant.grpc_with(&tenant.token);
    list(&good).expect("let in");
    let wrong = Scim::new(server.scim_url(), "wrong");
    let codes: Vec<_> = (0..10).map(|_| wrong.get("/Users").code()).collect();
    assert_eq!(codes[..5], [401; 5]);
    // In so short a time there is no room again.
    assert_eq!(codes[5..], [429; 5]);
    told_to_wait(&wrong.get("/Users"));
    let limited_here = |url: &str, token| {
        let status = list(&Grpc::new(url, token)).expect_err("nobody is let in");
        limited(&status)
    };
    for token in [Some("wrong"), None] {
        let delay = limited_here(server.grpc(), token);
        assert!(delay <= Duration::from_secs(12), "{delay:?}");
    }
    let client = Client::create(&server, &tenant);
    let reply = client.trade("wrong");
    assert_eq!(reply.code(), 429, "{reply}");
    assert!(reply.header("retry-after").is_some(), "{reply}");
    // Whoever proves himself is served: behind one address there may be many.
    list(&good).expect("let in");
    let _ = tenant.scim().get("/Users").status(200);
    assert_eq!(client.trade(&client.secret).code(), 200);
    let service = Service::create(&server, &tenant, "users.list");
    list(&service.grpc()).expect("let in");
}

/// Whoever knows an issuer that does not answer can send any signature.
#[test]
fn what_nobody_can_check_is_a_failure_too() {
    let server = server("MUSTER_FAILURE_RATE_LIMIT", "5");
    let tenant = Tenant::create(&server);
    // Nobody listens there.
    let silent = "http://127.0.0.1:1/";
    let _ = Client::federated(&server, &tenant, silent);
    let forged = Issuer::shared().assertion(SUBJECT, AUDIENCE, &json!({"iss": silent}));
    let stranger = Scim::new(server.scim_url(), forged);
    let codes: Vec<_> = (0..10).map(|_| stranger.get("/Users").code()).collect();
    assert_eq!(codes[..5], [503; 5]);
    assert_eq!(codes[5..], [429; 5]);
    let _ = tenant.scim().get("/Users").status(200);
}

#[test]
fn nobody_chooses_the_address_that_he_is_counted_by() {
    let server = server("MUSTER_FAILURE_RATE_LIMIT", "5");
    let wrong = Scim::new(server.scim_url(), "wrong");
    let codes: Vec<_> = (0..10)
        .map(|number| {
            let draft = wrong.request("GET", "/Users");
            let address = format!("203.0.113.{number}");
            let draft = draft.header("x-forwarded-for", &address);
            draft
                .header("x-muster-client-address", &address)
                .send()
                .code()
        })
        .collect();
    assert_eq!(codes[5..], [429; 5], "{codes:?}");
}
