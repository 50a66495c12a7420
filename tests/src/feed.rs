//! The language of tests about the feed of changes.

use std::time::{Duration, Instant};

use muster_proto::v1::{
    self, ChangeBatch, ChangeFilter, ListChangesRequest, ListChangesResponse, Revision,
    WatchChangesRequest, WatchChangesResponse, change::Kind, watch_changes_request::Start,
};
use tonic::{Status, Streaming};

use crate::{grpc::Grpc, runtime::wait};

/// How long a message of a stream may be waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whether these bytes have this text in them.
pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// Lists changes.
///
/// # Errors
/// As the directory answers.
pub fn try_list(grpc: &Grpc, request: ListChangesRequest) -> Result<ListChangesResponse, Status> {
    let answer = wait(grpc.changes().list_changes(request))?;
    Ok(answer.into_inner())
}

/// Lists changes behind a revision, `None` for all that are kept.
#[track_caller]
pub fn list(grpc: &Grpc, after: Option<Revision>, filter: ChangeFilter) -> ListChangesResponse {
    let request = ListChangesRequest {
        after,
        filter: Some(filter),
        max_changes: 10_000,
        wait: None,
    };
    try_list(grpc, request).expect("changes are listed")
}

/// From where to where changes are kept.
#[track_caller]
pub fn bounds(grpc: &Grpc) -> v1::GetChangeBoundsResponse {
    let request = v1::GetChangeBoundsRequest {};
    let answer = wait(grpc.changes().get_change_bounds(request));
    answer.expect("bounds are told").into_inner()
}

/// The newest revision.
#[track_caller]
pub fn latest(grpc: &Grpc) -> Revision {
    bounds(grpc).latest.expect("always set")
}

/// All changes of these batches, in order.
pub fn flat(batches: &[ChangeBatch]) -> Vec<v1::Change> {
    let changes = batches.iter().flat_map(|batch| batch.changes.clone());
    changes.collect()
}

/// Kind and id of each change.
pub fn kinds(batches: &[ChangeBatch]) -> Vec<(Kind, String)> {
    let kind = |change: &v1::Change| (change.kind(), change.resource_id.clone());
    flat(batches).iter().map(kind).collect()
}

/// A filter for some types.
pub fn only(types: &[v1::ResourceType]) -> ChangeFilter {
    ChangeFilter {
        types: types.iter().map(|kind| (*kind).into()).collect(),
        ..Default::default()
    }
}

/// A filter for users, groups and memberships.
pub fn people() -> ChangeFilter {
    use v1::ResourceType::{Group, Membership, User};
    only(&[User, Group, Membership])
}

/// A stream of changes.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<WatchChangesResponse>,
}

impl Watch {
    /// Opens a stream; heartbeats come every second.
    ///
    /// # Errors
    /// As the directory answers.
    pub fn open(grpc: &Grpc, start: Start, filter: ChangeFilter) -> Result<Self, Status> {
        let request = WatchChangesRequest {
            start: Some(start),
            filter: Some(filter),
            heartbeat: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        };
        let answer = wait(grpc.changes().watch_changes(request))?;
        Ok(Self {
            stream: answer.into_inner(),
        })
    }

    /// A stream of what comes, and from where it starts.
    #[track_caller]
    pub fn from_now(grpc: &Grpc, filter: ChangeFilter) -> (Self, Revision) {
        let watch = Self::open(grpc, Start::FromNow(true), filter);
        let mut watch = watch.expect("the stream opens");
        let first = watch.message();
        assert!(first.checkpoint.is_some(), "no checkpoint: {first:?}");
        assert!(first.batches.is_empty(), "{first:?}");
        (watch, first.through.expect("always set"))
    }

    /// A stream of what lies behind a revision.
    #[track_caller]
    pub fn after(grpc: &Grpc, after: Revision, filter: ChangeFilter) -> Self {
        Self::open(grpc, Start::After(after), filter).expect("the stream opens")
    }

    /// The next message, whatever it holds.
    ///
    /// # Errors
    /// The status that ends the stream.
    ///
    /// # Panics
    /// When there is none within [`PATIENCE`], or the stream ends without a
    /// status.
    #[track_caller]
    pub fn try_message(&mut self) -> Result<WatchChangesResponse, Status> {
        let next = wait(async { tokio::time::timeout(PATIENCE, self.stream.message()).await });
        let next = next.expect("the stream is silent");
        next.map(|message| message.expect("the stream ends without a reason"))
    }

    /// The next message, whatever it holds.
    #[track_caller]
    pub fn message(&mut self) -> WatchChangesResponse {
        self.try_message().expect("the stream goes on")
    }

    /// The next message with changes.
    #[track_caller]
    pub fn news(&mut self) -> WatchChangesResponse {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let message = self.message();
            if !message.batches.is_empty() {
                return message;
            }
        }
        panic!("no change comes");
    }

    /// The next checkpoint.
    #[track_caller]
    pub fn checkpoint(&mut self) -> WatchChangesResponse {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let message = self.message();
            if message.checkpoint.is_some() {
                return message;
            }
        }
        panic!("no checkpoint comes");
    }

    /// Batches until so many changes were received.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<ChangeBatch> {
        let mut batches = Vec::new();
        while flat(&batches).len() < count {
            batches.extend(self.news().batches);
        }
        batches
    }

    /// The status that ends the stream, whatever comes before it, and how long
    /// it took.
    #[track_caller]
    pub fn end(&mut self) -> (Status, Duration) {
        let began = Instant::now();
        loop {
            match self.try_message() {
                Err(status) => return (status, began.elapsed()),
                Ok(_) => assert!(began.elapsed() < PATIENCE, "the stream does not end"),
            }
        }
    }
}
