//! One asynchronous runtime for all tests, which themselves are plain
//! functions on the threads of the test runner.

use std::{
    future::Future,
    sync::{Barrier, OnceLock},
    thread,
};

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime that drives connections to servers under test.
pub fn runtime() -> &'static Runtime {
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime needs threads only")
    })
}

/// Runs the future to its end, from a thread that is not asynchronous.
pub fn wait<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// Runs `each` on as many threads as there are inputs, all at once.
///
/// # Panics
/// When one of them does.
pub fn at_once<I: Send, O: Send>(inputs: Vec<I>, each: impl Fn(I) -> O + Sync) -> Vec<O> {
    let start = Barrier::new(inputs.len());
    thread::scope(|scope| {
        let (each, start) = (&each, &start);
        let running: Vec<_> = inputs
            .into_iter()
            .map(|input| {
                scope.spawn(move || {
                    start.wait();
                    each(input)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    })
}
