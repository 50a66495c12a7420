//! What was acknowledged outlives the process.

use muster_tests::witness::{Draws, Ending, Witness};

/// Deaths of a server.
const ROUNDS: u64 = 12;

/// A server dies at most behind this many acknowledged writes.
const WRITES: usize = 160;

/// Moments are drawn from this; a failure comes again with it.
const SEED: u64 = 4711;

#[test]
fn what_was_acknowledged_outlives_kill_9() {
    let mut server = super::launch().start();
    let witness = Witness::new(&server);
    let mut draws = Draws(SEED);
    for round in 0..ROUNDS {
        let load = witness.load(&[&server], SEED + round, Ending::Death);
        load.during(|load| {
            load.wait_for(1 + draws.below(WRITES));
            server.kill();
        });
        let launch = server.launch().clone();
        drop(server);
        server = launch.start();
        load.compare(&witness, &server);
    }
}
