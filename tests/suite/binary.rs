//! The binary: arguments, start, admin commands, stop.

use std::net::TcpListener;

use muster_tests::{
    binary::muster,
    cli,
    raw::{self, RawConnection},
    scim::{Scim, USER},
    server::{Launch, Server},
    tenant::{Tenant, text},
};
use serde_json::json;

fn printed(server: &Server, label: &str) -> Option<String> {
    let line = server.printed().iter().find_map(|l| l.strip_prefix(label));
    line.map(|rest| rest.trim().to_owned())
}

#[test]
fn bootstrap_prints_what_to_paste_and_it_works() {
    let server = Launch::new().arg("--bootstrap").start();
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
    let server = Launch::new().arg("--bootstrap").start();
    let token = printed(&server, "Secret Token:").expect("a token");
    let server = server.restart();
    assert_eq!(printed(&server, "Secret Token:"), None);
    let scim = Scim::new(server.scim_url(), token);
    let _ = scim.get("/Users").status(200);
}

#[test]
fn the_public_url_is_the_clients_url() {
    let launch = Launch::new().arg("--bootstrap").arg("--public-url");
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
    let server = Server::start();
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
    let server = Server::start();
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
    let server = Server::start();
    let tenant = Tenant::create(&server);
    // Leaves a connection open behind it, idle.
    let _ = tenant.scim().get("/Users").status(200);
    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(stopped.took.as_secs() < 5, "{:?}", stopped.took);
}

#[test]
fn directory_and_facade_run_apart() {
    let directory = Launch::new().role("directory").start();
    let facade = Launch::new()
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
    let directory = Launch::new().role("directory").start();
    let facade = Launch::new()
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

#[test]
fn admin_commands_administer() {
    let server = Server::start();
    let admin = server.admin();
    let tenant = admin.json(&["tenant", "create", "--name", "acme"]);
    let id = text(&tenant, "id");
    for key in [id.as_str(), "acme"] {
        let shown = admin.json(&["tenant", "show", key]);
        assert_eq!(
            (shown["id"].as_str(), shown["name"].as_str()),
            (Some(id.as_str()), Some("acme"))
        );
    }
    let connection = admin.json(&[
        "connection",
        "create",
        "--tenant",
        "acme",
        "--name",
        "entra",
    ]);
    assert_eq!(connection["tenant_id"], id);
    let credential = admin.json(&[
        "credential",
        "create",
        "--tenant",
        "acme",
        "--connection",
        "entra",
        "--name",
        "first",
        "--expires-in",
        "365d",
    ]);
    let (key, secret) = (text(&credential, "id"), text(&credential, "secret"));
    assert!(text(&credential, "tenant_url").contains("/scim/v2"));
    assert!(!text(&credential, "expires_at").is_empty());
    let scim = Scim::new(server.scim_url(), &secret);
    let _ = scim.get("/Users").status(200);
    for (what, contains) in [
        ("tenant", &id),
        ("connection", &text(&connection, "id")),
        ("credential", &key),
    ] {
        let mut arguments = vec![what, "list"];
        if what != "tenant" {
            arguments.extend(["--tenant", "acme"]);
        }
        if what == "credential" {
            arguments.extend(["--connection", "entra"]);
        }
        let list = admin.json(&arguments).to_string();
        assert!(list.contains(contains.as_str()), "{what}: {list}");
        assert!(!list.contains(&secret), "{what} list tells the secret");
    }
}

#[test]
fn admin_commands_fail_with_a_sentence() {
    let server = Server::start();
    let admin = server.admin();
    admin.json(&["tenant", "create", "--name", "acme"]);
    for arguments in [
        &["tenant", "create", "--name", "ACME"][..],
        &["tenant", "show", "nobody"],
        &["connection", "create", "--tenant", "nobody", "--name", "x"],
        &[
            "credential",
            "create",
            "--tenant",
            "acme",
            "--connection",
            "nobody",
        ],
        &["credential", "revoke", "--id", "nobody", "--tenant", "acme"],
    ] {
        let outcome = admin.run(arguments).code(1);
        let said = outcome.stderr();
        assert!(!said.trim().is_empty(), "{arguments:?}");
        assert!(
            !said.contains("panicked") && !said.contains("constraint"),
            "{said}"
        );
    }
}

#[test]
fn migrations_have_a_status_and_go_up() {
    let launch = Launch::new();
    let admin = launch.admin();
    let before = admin.run(&["migrate", "status"]).code(0).stdout();
    let _ = admin.run(&["migrate", "up"]).code(0);
    let after = admin.run(&["migrate", "status"]).code(0).stdout();
    assert_ne!(before, after);
    let server = launch.start();
    let tenant = Tenant::create(&server);
    tenant.scim().user("a");
    assert_eq!(
        server.admin().run(&["migrate", "status"]).code(0).stdout(),
        after
    );
}

#[test]
fn a_configuration_file_configures_and_unknown_keys_are_named() {
    let launch = Launch::new().without_addresses().without_database();
    let file = launch.folder().join("muster.toml");
    let database = launch.database_url();
    let write = |more: &str| {
        let text = format!(
            "database_url = \"{database}\"\nhttp_listen = \"127.0.0.1:0\"\n\
             grpc_listen = \"127.0.0.1:0\"\n{more}"
        );
        std::fs::write(&file, text).expect("a writable folder");
    };
    write("");
    let launch = launch.arg("--config").arg(&file);
    let server = launch.start();
    Tenant::create(&server).scim().user("a");
    assert_eq!(server.stop().status.code(), Some(0));
    write("colour = \"blue\"\n");
    let failure = launch.try_start().expect_err("an unknown key");
    assert_eq!(
        failure.status.and_then(|s| s.code()),
        Some(2),
        "{}",
        failure.log
    );
    assert!(failure.log.contains("colour"), "{}", failure.log);
}

#[test]
fn the_environment_configures_too() {
    let launch = Launch::new().without_database();
    let database = launch.database_url();
    let server = launch.env("MUSTER_DATABASE_URL", &database).start();
    Tenant::create(&server).scim().user("a");
}

#[test]
fn bad_arguments_end_with_code_2() {
    for arguments in [
        &["serve", "--role", "cook"][..],
        &["serve", "--no-such-flag"],
        &["serve", "--http-listen", "nowhere"],
        &["serve", "--database-url", "oracle://x"],
        &["no-such-command"],
        &["tenant", "create"],
        &[
            "credential",
            "create",
            "--connection",
            "x",
            "--expires-in",
            "soon",
        ],
    ] {
        let outcome = cli::run(muster(), arguments).code(2);
        assert!(!outcome.stderr().trim().is_empty(), "{arguments:?}");
    }
    let _ = cli::run(muster(), &["--help"]).code(0);
    let version = cli::run(muster(), &["--version"]).code(0).stdout();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound port").to_string();
    for flag in ["--http-listen", "--grpc-listen"] {
        let launch = Launch::new().without_addresses();
        let other = if flag == "--http-listen" {
            "--grpc-listen"
        } else {
            "--http-listen"
        };
        let launch = launch.arg(flag).arg(&address).arg(other).arg("127.0.0.1:0");
        let failure = launch.try_start().expect_err("the port is taken");
        assert_eq!(
            failure.status.and_then(|s| s.code()),
            Some(1),
            "{}",
            failure.log
        );
        assert!(failure.log.contains(&address), "{}", failure.log);
        assert!(!failure.log.contains("panicked"), "{}", failure.log);
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let launch = Launch::new().without_database();
    let file = launch.folder().join("a-file");
    std::fs::write(&file, "no folder").expect("a writable folder");
    let url = format!("sqlite://{}/x.db", file.display());
    let launch = launch.arg("--database-url").arg(&url);
    let failure = launch.try_start().expect_err("no database");
    let said = &failure.log;
    assert_eq!(failure.status.and_then(|s| s.code()), Some(1), "{said}");
    assert!(
        said.contains("x.db") && !said.contains("panicked"),
        "{said}"
    );
}
