//! Memory and starts of the process.

use std::time::Instant;

use muster_tests::server::Server;

use crate::table::{head, line, ms};

const STARTS: usize = 5;

/// Memory, and starts on the database that the run left behind.
pub(crate) fn print(server: Server, empty: u64, after_load: u64) {
    let launch = server.launch().clone();
    server.stop();
    let mut starts = Vec::new();
    let mut at_rest = 0;
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = launch.start();
        let anyone = muster_tests::scim::Scim::anonymous(server.http());
        let _ = anyone.get("/healthz").status(200);
        starts.push(began.elapsed());
        at_rest = at_rest.max(server.resident_kib());
        server.stop();
    }
    starts.sort();
    let mib = |kib: u64| format!("{} MiB", kib / 1024);
    let start = format!("{} ms", ms(starts[STARTS / 2]));
    head(&["process", ""]);
    let rows = [
        ("resident at rest, empty database", mib(empty)),
        ("resident at rest, the database of this run", mib(at_rest)),
        ("resident after the load", mib(after_load)),
        ("start to serving, median of 5", start),
    ];
    for (name, value) in rows {
        line(&[name.to_owned(), value]);
    }
}
