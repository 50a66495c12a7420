//! Messages on their way to a caller who may be slow.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_stream::Stream;
use tonic::{Request, Status};

use super::status::status;
use crate::{
    auth::Pass,
    error::{Error, Result},
    service::Directory,
};

/// Messages that wait for the caller; the transport keeps some more.
const BUFFER: usize = 8;

/// How long a message may wait for the ones before it to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a stream looks whether it may go on.
const CHECK: Duration = Duration::from_secs(1);

/// What a caller receives: messages, then the reason why there are no more.
pub(super) struct Outgoing<T> {
    messages: mpsc::Receiver<T>,
    end: Arc<Mutex<End>>,
}

/// How a stream ended.
enum End {
    /// Its sender is gone without a word: what was sent may not be all.
    Lost,
    /// With this reason, or because there was no more.
    Told(Option<Status>),
}

/// Where the messages come from.
pub(super) struct Sender<T> {
    messages: mpsc::Sender<T>,
    end: Arc<Mutex<End>>,
}

impl<T> Outgoing<T> {
    pub(super) fn new() -> (Sender<T>, Self) {
        let (sender, messages) = mpsc::channel(BUFFER);
        let end = Arc::new(Mutex::new(End::Lost));
        let sender = Sender {
            messages: sender,
            end: Arc::clone(&end),
        };
        (sender, Self { messages, end })
    }
}

impl<T> Sender<T> {
    /// Sends a message.
    ///
    /// # Errors
    /// [`Error::SlowConsumer`] when those before it are not taken in time.
    pub(super) async fn send(&self, message: T) -> Result<()> {
        match self.messages.send_timeout(message, PATIENCE).await {
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Error::SlowConsumer),
            // Whoever went away does not want it.
            Ok(()) | Err(mpsc::error::SendTimeoutError::Closed(_)) => Ok(()),
        }
    }

    /// Waits until the caller is gone.
    pub(super) async fn closed(&self) {
        self.messages.closed().await;
    }

    /// Ends the stream, with a reason or without.
    pub(super) fn end(self, reason: Option<Status>) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = End::Told(reason);
    }
}

impl<T> Stream for Outgoing<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages
            .poll_recv(context)
            .map(|message| match message {
                Some(message) => Some(Ok(message)),
                None => {
                    let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
                    match std::mem::replace(&mut *end, End::Told(None)) {
                        End::Told(reason) => reason.map(Err),
                        End::Lost => Some(Err(status(Error::internal("a stream was lost")))),
                    }
                }
            })
    }
}

/// How long a call may go on that outlives its first answer.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// When it must have ended.
    pub(super) deadline: Instant,
    pass: Pass,
}

impl Lease {
    pub(super) fn new(deadline: Instant, pass: Pass) -> Self {
        Self { deadline, pass }
    }

    /// That of this call.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen: the gate gives one to every call
    /// that it lets in.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self> {
        let lease = request.extensions().get::<Self>().cloned();
        lease.ok_or_else(|| Error::internal("the gate gave no lease"))
    }

    /// Whether the caller would be let in now.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`], [`Error::NotProven`].
    pub(super) async fn renew(&self, directory: &Directory) -> Result<()> {
        match directory.still_trusts(&self.pass).await {
            Err(error @ (Error::CredentialInvalid | Error::NotProven)) => Err(error),
            // While the database does not answer nothing can be sent anyway.
            _ => Ok(()),
        }
    }
}

/// Ends when a stream must: at its deadline, when the server stops, when what the
/// caller came with dies.
pub(super) async fn interrupted(directory: &Directory, lease: &Lease) -> Error {
    let mut stopping = directory.stopping();
    let mut checks = tokio::time::interval(CHECK);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(lease.deadline) => return Error::DeadlineExceeded,
            () = stopped(&mut stopping) => return Error::Draining,
            _ = checks.tick() => {
                if let Err(error) = lease.renew(directory).await {
                    return error;
                }
            }
        }
    }
}

/// Waits until the server stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The directory that says so outlives its streams.
    let _ = stopping.wait_for(|stops| *stops).await.is_ok();
}
