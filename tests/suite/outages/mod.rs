//! The database fails under a running server, which stays and says so.

#[cfg(not(skip_postgres))]
mod postgres;
mod sqlite;

use std::time::Duration;

#[cfg(not(skip_postgres))]
use muster_tests::scim::Scim;
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

/// Waits until every read is served: connections for reading that died with the
/// database show once each, with a 503, when they are next used. Load that only
/// writes does not use them.
#[cfg(not(skip_postgres))]
#[track_caller]
fn wait_until_read(scim: &Scim) {
    const MORE_THAN_CONNECTIONS: usize = 50;
    let is_read = || scim.get("/Users?count=1").code() == 200;
    soon::wait_until("reads", || (0..MORE_THAN_CONNECTIONS).all(|_| is_read()));
}
