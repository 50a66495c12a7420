//! From signals to an orderly end: first a wish, then, after a while or a
//! second signal, an order.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tokens that tell the parts of the server to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Take no more requests, finish those in flight.
    pub(crate) soft: CancellationToken,
    /// Stop now.
    pub(crate) hard: CancellationToken,
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT. The first cancels `soft` and, after
    /// `grace`, `hard`; a second one skips the wait.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub(crate) fn on_signals(grace: Duration) -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let tokens = Self::default();
        let shutdown = tokens.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let name = next().await;
            tracing::info!(signal = name, "stopping; requests in flight are finished");
            tokens.soft.cancel();
            tokio::select! {
                () = tokio::time::sleep(grace) => tracing::warn!("requests in flight took too long"),
                _ = next() => tracing::warn!("a second signal; not waiting any longer"),
            }
            tokens.hard.cancel();
        });
        Ok(shutdown)
    }
}
