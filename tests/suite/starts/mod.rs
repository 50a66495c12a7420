//! Starts that cannot succeed, and say why in one sentence.

#[cfg(not(skip_postgres))]
mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use muster_tests::{postgres::PASSWORD, server::Launch};

/// Nobody waits longer for a server that will not come.
const SOON: Duration = Duration::from_secs(10);

/// Asserts that the server ends with this code and one line with these words,
/// which keeps the password to itself.
#[track_caller]
pub(super) fn refuses(launch: &Launch, code: i32, words: &str) {
    let began = Instant::now();
    let failure = launch.try_start().expect_err("it cannot start");
    let (took, log) = (began.elapsed(), &failure.log);
    assert!(took < SOON, "{took:?}: {log}");
    let ended = failure.status.and_then(|status| status.code());
    assert_eq!(ended, Some(code), "{log}");
    let lines: Vec<_> = log.lines().filter(|l| l.starts_with("error:")).collect();
    let [line] = lines[..] else {
        panic!("not one line: {log}");
    };
    assert!(line.contains(words), "{words:?} is not in {line:?}");
    assert!(!line.contains(" at line "), "speaks of sources: {line:?}");
    assert!(!log.contains(PASSWORD), "tells the password: {log}");
}
