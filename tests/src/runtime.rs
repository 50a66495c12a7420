//! One asynchronous runtime for all tests, which themselves are plain
//! functions on the threads of the test runner.

use std::{future::Future, sync::OnceLock};

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
