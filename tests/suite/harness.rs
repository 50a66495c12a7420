//! The PostgreSQL of the tests is what they take it for.

use muster_tests::postgres::{Cluster, PASSWORD, Stop, sql};

/// A database with one row, and its URL.
fn with_a_row(cluster: &Cluster) -> String {
    let url = cluster.database();
    sql(&url, "CREATE TABLE t (n int)");
    sql(&url, "INSERT INTO t VALUES (1)");
    url
}

fn rows(url: &str) -> String {
    sql(url, "SELECT count(*) FROM t")
}

#[test]
fn every_database_is_new_and_apart() {
    let cluster = Cluster::shared();
    let (one, other) = (with_a_row(cluster), cluster.database());
    assert_eq!(rows(&one), "1");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(sql(&other, tables), "0");
}

#[test]
fn a_cluster_is_as_careful_as_a_real_one() {
    let cluster = Cluster::start();
    let url = cluster.database();
    assert!(url.contains(PASSWORD), "{url}");
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("wal_level", "replica"),
        ("max_connections", "300"),
        ("server_encoding", "UTF8"),
        ("is_superuser", "off"),
        ("listen_addresses", "127.0.0.1"),
    ] {
        assert_eq!(sql(&url, &format!("SHOW {setting}")), value, "{setting}");
    }
}

#[test]
fn text_is_not_ordered_by_bytes() {
    let cluster = Cluster::start();
    let url = cluster.database();
    assert_eq!(sql(&url, "SELECT 'a' < 'B'"), "t");
}

#[test]
fn a_killed_cluster_has_all_that_was_committed() {
    let cluster = Cluster::start();
    let url = with_a_row(&cluster);
    let before = cluster.pid();
    cluster.kill();
    cluster.start_again();
    assert_ne!(cluster.pid(), before);
    assert_eq!(rows(&url), "1");
    assert!(cluster.log().contains("not properly shut down"));
}

#[test]
fn a_stopped_cluster_starts_again() {
    let cluster = Cluster::start();
    let url = with_a_row(&cluster);
    for how in [Stop::Smart, Stop::Fast, Stop::Immediate] {
        cluster.stop(how);
        cluster.start_again();
        assert_eq!(rows(&url), "1", "{how:?}");
    }
}

#[test]
fn a_paused_cluster_answers_when_it_goes_on() {
    let cluster = Cluster::start();
    let url = with_a_row(&cluster);
    cluster.pause();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| rows(&url));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!answer.is_finished(), "nobody is there to answer");
        cluster.resume();
        assert_eq!(answer.join().expect("an answer"), "1");
    });
}

#[test]
fn a_replica_shows_what_the_primary_writes_and_lags_when_told() {
    let primary = Cluster::start();
    let url = with_a_row(&primary);
    let replica = primary.replica();
    let there = replica.here(&url);
    replica.catch_up(&primary);
    assert_eq!(rows(&there), "1");
    replica.pause_replay();
    sql(&url, "INSERT INTO t VALUES (2)");
    assert_eq!((rows(&url), rows(&there)), ("2".to_owned(), "1".to_owned()));
    replica.resume_replay();
    replica.catch_up(&primary);
    assert_eq!(rows(&there), "2");
}

#[test]
fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start();
    let (process, folder) = (format!("/proc/{}", cluster.pid()), cluster.folder());
    let folder = folder.to_owned();
    assert!(std::path::Path::new(&process).exists() && folder.exists());
    drop(cluster);
    assert!(!std::path::Path::new(&process).exists() && !folder.exists());
}
