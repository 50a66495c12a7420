//! From the first start to the last request.

use muster_tests::{
    raw::{self, RawConnection},
    runtime::at_once,
    scim::{Scim, USER},
    server::Server,
    tenant::Tenant,
};
use serde_json::json;

fn printed(server: &Server, label: &str) -> Option<String> {
    let line = server.printed().iter().find_map(|l| l.strip_prefix(label));
    line.map(|rest| rest.trim().to_owned())
}

#[test]
fn bootstrap_prints_what_to_paste_and_it_works() {
    let server = super::launch().arg("--bootstrap").start();
    let url = printed(&server, "Tenant URL:").expect("a Tenant URL");
    let token = printed(&server, "Secret Token:").expect("a token");
    let scim = Scim::new(url.trim_end_matches('/'), &token);
    assert!(url.starts_with(server.http()), "{url}");
    assert_eq!(scim.get("/Users").status(200).total(), 0);
    scim.user("ada");
    let credentials = server
        .admin()
        .json(&["credential", "list", "--connection", "entra"]);
    assert!(!credentials.to_string().contains(&token), "shown once only");
    let tenant = server.admin().json(&["tenant", "show", "default"]);
    assert_eq!(tenant["name"], "default");
}

#[test]
fn a_second_bootstrap_prints_no_secret_and_keeps_the_first() {
    let server = super::launch().arg("--bootstrap").start();
    let token = printed(&server, "Secret Token:").expect("a token");
    let server = server.restart();
    assert_eq!(printed(&server, "Secret Token:"), None);
    let scim = Scim::new(server.scim_url(), token);
    let _ = scim.get("/Users").status(200);
}

#[test]
fn of_five_first_starts_at_once_one_makes_the_tenant() {
    let launch = super::launch().arg("--bootstrap");
    let servers = at_once(vec![launch; 5], |launch| launch.start());
    let tokens: Vec<_> = servers
        .iter()
        .filter_map(|server| printed(server, "Secret Token:"))
        .collect();
    let [token] = &tokens[..] else {
        panic!("not one of five: {}", tokens.len());
    };
    let tenants = servers[0].admin().json(&["tenant", "list"]);
    assert_eq!(tenants.as_array().map(Vec::len), Some(1), "{tenants}");
    let status = servers[0].admin().json(&["migrate", "status"]);
    assert!(!status.to_string().contains("false"), "{status}");
    for (number, server) in servers.iter().enumerate() {
        Scim::new(server.scim_url(), token).user(&format!("user-{number}"));
    }
    let scim = Scim::new(servers[4].scim_url(), token);
    assert_eq!(scim.get("/Users").status(200).total(), 5);
}

#[test]
fn five_first_commands_at_once_all_have_their_effect() {
    let admin = super::launch().admin();
    let names = ["a", "b", "c", "d", "e"];
    at_once(names.to_vec(), |name| {
        admin.json(&["tenant", "create", "--name", name])
    });
    let tenants = admin.json(&["tenant", "list"]);
    let mut made: Vec<_> = tenants
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tenant| tenant["name"].as_str())
        .collect();
    made.sort_unstable();
    assert_eq!(made, names);
}

/// A log that cannot be written is lost, and nothing else.
#[test]
fn a_server_whose_log_nobody_reads_serves_on_and_ends() {
    let server = super::launch().arg("--bootstrap").unheard().start();
    let token = printed(&server, "Secret Token:").expect("a token");
    let scim = Scim::new(server.scim_url(), token);
    scim.user("ada");
    assert_eq!(scim.get("/Users").status(200).total(), 1);
    let stopped = server.stop();
    assert!(stopped.status.success(), "{:?}", stopped.status);
}

#[test]
fn the_public_url_is_the_clients_url() {
    let launch = super::launch().arg("--bootstrap").arg("--public-url");
    let server = launch.arg("https://id.example.test/base").start();
    let url = printed(&server, "Tenant URL:").expect("a Tenant URL");
    assert!(
        url.starts_with("https://id.example.test/base/scim/v2"),
        "{url}"
    );
    let token = printed(&server, "Secret Token:").expect("a token");
    let scim = Scim::new(server.scim_url(), token);
    let body = json!({"schemas": [USER], "userName": "a"});
    let user = scim.post("/Users", &body).status(201).json();
    let location = user["meta"]["location"].as_str().unwrap_or_default();
    assert!(
        location.starts_with("https://id.example.test/base/scim/v2"),
        "{location}"
    );
}

#[test]
fn a_restart_keeps_everything() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    let id = tenant.scim().user("ada");
    let group = tenant.scim().group("G", &[&id]);
    let before = tenant.scim().get(&format!("/Users/{id}")).status(200);
    let server = server.restart();
    let scim = Scim::new(server.scim_url(), &tenant.token);
    let after = scim.get(&format!("/Users/{id}")).status(200);
    assert_eq!(after.etag(), before.etag());
    assert_eq!(scim.members(&group), [id]);
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    let body = json!({"schemas": [USER], "userName": "slow"}).to_string();
    let (first, rest) = body.split_at(10);
    let head = raw::head("POST", "/scim/v2/Users", &tenant.token, body.len());
    let mut connection = RawConnection::open(server.http_address());
    connection.send(head.as_bytes());
    connection.send(first.as_bytes());
    // The server has begun with this request once it answers the next.
    let _ = tenant.scim().get("/Users").status(200);
    server.terminate();
    wait_until_refusing(server.http_address());
    connection.send(rest.as_bytes());
    let reply = connection.reply();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let launch = server.launch().clone();
    let stopped = server.ended();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let server = launch.start();
    let scim = Scim::new(server.scim_url(), &tenant.token);
    assert_eq!(scim.found("userName eq \"slow\""), ["slow"]);
}

/// The listener closes soon after the signal.
#[track_caller]
fn wait_until_refusing(address: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(
            std::time::Instant::now() < deadline,
            "still accepting connections"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_idle_server_stops_at_once() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    // Leaves a connection open behind it, idle.
    let _ = tenant.scim().get("/Users").status(200);
    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(stopped.took.as_secs() < 5, "{:?}", stopped.took);
}

#[test]
fn directory_and_facade_run_apart() {
    let directory = super::launch().role("directory").start();
    let facade = super::launch()
        .role("scim")
        .arg("--directory-url")
        .arg(directory.grpc())
        .start();
    let tenant = Tenant::create_with(&directory, facade.http(), Some(directory.grpc()));
    let scim = tenant.scim();
    let id = scim.user("ada");
    let _ = scim.group("G", &[&id]);
    assert_eq!(scim.found("userName eq \"ADA\""), ["ada"]);
    let _ = tenant
        .scim_with("wrong")
        .get("/Users")
        .scim_error(401, None);
    assert_eq!(facade.stop().status.code(), Some(0));
    assert_eq!(directory.stop().status.code(), Some(0));
}

#[test]
fn a_facade_without_its_directory_says_try_again() {
    let directory = super::launch().role("directory").start();
    let facade = super::launch()
        .role("scim")
        .arg("--directory-url")
        .arg(directory.grpc())
        .start();
    let tenant = Tenant::create_with(&directory, facade.http(), None);
    let _ = tenant.scim().get("/Users").status(200);
    assert_eq!(directory.stop().status.code(), Some(0));
    let reply = tenant.scim().get("/Users");
    let retry = reply.header("retry-after").map(str::to_owned);
    let _ = reply.scim_error(503, None);
    assert!(retry.is_some_and(|r| r.parse::<u32>().is_ok()));
    let anyone = Scim::anonymous(facade.http());
    let _ = anyone.get("/healthz").status(200);
    let _ = anyone.get("/readyz").status(503);
}
