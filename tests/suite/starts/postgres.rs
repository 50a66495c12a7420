//! PostgreSQL cannot be had, or not like this.

use std::{fs, net::TcpListener, path::Path};

use muster_tests::{
    postgres::{Cluster, PASSWORD, Stop, sql},
    server::Launch,
};

use super::refuses;

/// The URL with another name of the database.
fn renamed(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL with a name");
    format!("{server}/{name}")
}

/// The URL with another user, whose password is [`PASSWORD`].
fn by(url: &str, user: &str) -> String {
    let (_, place) = url.split_once('@').expect("a URL with a user");
    format!("postgres://{user}:{PASSWORD}@{place}")
}

#[test]
fn a_missing_database_is_named() {
    let url = renamed(&Cluster::shared().database(), "nowhere");
    refuses(&Launch::at(&url), 1, "nowhere\" does not exist");
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    drop(listener);
    let url = format!("postgres://muster:{PASSWORD}@{address}/muster");
    refuses(&Launch::at(&url), 1, &format!("{address}/muster: "));
    refuses(&Launch::at(&url), 1, "refused");
}

#[test]
fn a_server_that_stands_still_gives_no_answer() {
    let cluster = Cluster::start();
    let url = cluster.database();
    cluster.pause();
    refuses(&Launch::at(&url), 1, "no answer");
}

#[test]
fn a_wrong_password_is_called_so() {
    let cluster = Cluster::start();
    let url = cluster.database();
    cluster.administer("CREATE ROLE secured LOGIN PASSWORD 'another'");
    demand_password(&cluster.folder().join("data/pg_hba.conf"), "secured");
    cluster.stop(Stop::Fast);
    cluster.start_again();
    let launch = Launch::at(&by(&url, "secured"));
    refuses(&launch, 1, "password authentication failed");
}

fn demand_password(file: &Path, role: &str) {
    let rules = fs::read_to_string(file).expect("initdb wrote it");
    let rules = format!("host all {role} 127.0.0.1/32 scram-sha-256\n{rules}");
    fs::write(file, rules).expect("it is writable");
}

#[test]
fn a_role_without_login_is_named() {
    let cluster = Cluster::start();
    let url = cluster.database();
    cluster.administer("CREATE ROLE idle NOLOGIN");
    refuses(
        &Launch::at(&by(&url, "idle")),
        1,
        "\"idle\" is not permitted",
    );
}

#[test]
fn a_role_that_may_not_make_tables_is_told_so() {
    let cluster = Cluster::start();
    let url = cluster.database();
    cluster.administer("CREATE ROLE reader LOGIN");
    refuses(&Launch::at(&by(&url, "reader")), 1, "permission denied");
}

#[test]
fn a_server_without_a_free_connection_is_called_so() {
    let cluster = Cluster::start();
    let url = cluster.database();
    cluster.administer("ALTER ROLE muster CONNECTION LIMIT 0");
    refuses(&Launch::at(&url), 1, "too many connections");
}

#[test]
fn a_read_only_database_is_called_so() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let name = url.rsplit('/').next().unwrap_or_default();
    cluster.administer(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ));
    refuses(&Launch::at(&url), 1, "read-only");
}

#[test]
fn a_database_of_a_newer_muster_is_left_alone() {
    let url = Cluster::shared().database();
    let launch = Launch::at(&url);
    assert_eq!(launch.start().stop().status.code(), Some(0));
    sql(
        &url,
        "INSERT INTO seaql_migrations VALUES ('m20991231_000001_newer', 0)",
    );
    refuses(&launch, 1, "m20991231_000001_newer");
    sql(
        &url,
        "DELETE FROM seaql_migrations WHERE version = 'm20991231_000001_newer'",
    );
    assert_eq!(launch.start().stop().status.code(), Some(0));
}

#[test]
fn another_encoding_is_named() {
    let cluster = Cluster::start();
    let url = renamed(&cluster.database(), "ascii");
    let version: u32 = cluster
        .administer("SHOW server_version_num")
        .parse()
        .expect("a number");
    let provider = if version < 150_000 {
        ""
    } else {
        "LOCALE_PROVIDER libc"
    };
    cluster.administer(&format!(
        "CREATE DATABASE ascii OWNER muster TEMPLATE template0 ENCODING 'SQL_ASCII' \
         LC_COLLATE 'C' LC_CTYPE 'C' {provider}"
    ));
    refuses(&Launch::at(&url), 1, "SQL_ASCII");
}

#[test]
fn a_replica_is_no_primary() {
    let primary = Cluster::start();
    let url = primary.database();
    let replica = primary.replica();
    replica.catch_up(&primary);
    refuses(&Launch::at(&replica.here(&url)), 1, "replica");
}
