//! What becomes true soon: looked at until it is, instead of slept for.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_millis(10);

/// Waits for what becomes true, and tells how long that took.
///
/// # Panics
/// When it has not after [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) -> Duration {
    wait_within(PATIENCE, what, is_so)
}

/// As [`wait_until`], with less patience: what is looked at later than that must
/// be so. How long the look itself takes is the machine's affair.
#[track_caller]
pub fn wait_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let looked = began.elapsed();
        if is_so() {
            return looked;
        }
        assert!(looked < patience, "waited in vain for {what}");
        thread::sleep(INTERVAL);
    }
}
