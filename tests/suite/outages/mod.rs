//! The database fails under a running server, which stays and says so.

#[cfg(not(skip_postgres))]
mod postgres;
mod sqlite;

use std::time::Duration;

use muster_tests::{server::Server, soon};

/// A failing database shows in `/readyz` within this time: it is asked once a
/// second, and may take half a second.
const SHOWS: Duration = Duration::from_secs(3);

/// No call of the tests may take longer than this.
const DEADLINE: Duration = Duration::from_secs(31);

#[track_caller]
fn wait_until_unready(server: &Server) {
    soon::wait_within(SHOWS, "/readyz to fail", || !server.is_ready());
    assert!(server.is_alive(), "the process itself is well");
}

#[track_caller]
fn wait_until_ready(server: &Server) {
    soon::wait_within(Duration::from_secs(15), "/readyz", || server.is_ready());
}
