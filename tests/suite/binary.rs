//! The binary: what it is told wrongly, and what it says then.

use std::net::TcpListener;

use muster_tests::{binary::muster, cli, engine::Engine, server::Launch};

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
        let launch = Launch::on(Engine::Sqlite).without_addresses();
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
    let launch = Launch::on(Engine::Sqlite).without_database();
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
