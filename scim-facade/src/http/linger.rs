//! What a client still sends when its answer is made.
//!
//! A connection that is closed while bytes of the client are unread is reset,
//! and a reset takes back what the client has not read yet: of a body that is
//! too long, the client would now and then see a broken connection in place of
//! 413. So the rest of a body is read and thrown away, beside the answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody as _},
    extract::Request,
    http::header::EXPECT,
};
use futures_util::{Stream, StreamExt as _};
use tokio::{runtime::Handle, time::timeout};

/// Whoever sends more than this, in bytes, gets his connection closed.
const LIMIT: usize = 8 * 1024 * 1024;
/// And whoever takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A request whose body is read to its end, whoever drops it.
///
/// A client that waits for `100 Continue` (RFC 9110 section 10.1.1) is left
/// alone until somebody reads: to read is to let it send.
pub(super) fn linger(request: Request) -> Request {
    let awaited = request.headers().contains_key(EXPECT);
    request.map(|body| {
        if body.is_end_stream() {
            return body;
        }
        Body::from_stream(Lingering {
            rest: Some(body.into_data_stream()),
            sending: !awaited,
        })
    })
}

struct Lingering {
    /// `None` at the end.
    rest: Option<BodyDataStream>,
    sending: bool,
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.sending = true;
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let next = rest.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.rest.take().filter(|_| self.sending);
        if let Some((rest, runtime)) = rest.zip(Handle::try_current().ok()) {
            runtime.spawn(timeout(PATIENCE, discard(rest)));
        }
    }
}

async fn discard(mut rest: BodyDataStream) {
    let mut length = 0;
    while let Some(Ok(data)) = rest.next().await {
        length += data.len();
        if length > LIMIT {
            return;
        }
    }
}
