//! A feed that says what it is told to say: what the directory itself says seldom, late,
//! or after long.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use muster_client::{
    Client,
    tonic::{
        self, Request, Response, Status,
        codegen::tokio_stream::Stream,
        transport::{Server, server::TcpIncoming},
    },
    v1::{
        Change, ChangeBatch, Checkpoint, GetChangeBoundsRequest, GetChangeBoundsResponse,
        ListChangesRequest, ListChangesResponse, ResourceMeta, ResourceType, Revision,
        SnapshotComplete, SnapshotPage, StreamSnapshotRequest, StreamSnapshotResponse, User,
        WatchChangesRequest, WatchChangesResponse,
        change::Kind,
        change_service_server::{ChangeService, ChangeServiceServer},
        stream_snapshot_response::Item,
    },
};
use prost_types::Timestamp;
use tokio::{net::TcpListener, sync::mpsc};

/// Who is in every snapshot.
pub(crate) const ADA: &str = "01890000-0000-7000-8000-000000000001";

/// By the feed's own clock it is this second.
pub(crate) const NOW: i64 = 1_800_000_000;

type Answer<T> = Result<T, Status>;

/// Where a stream's messages go.
pub(crate) type Said = mpsc::UnboundedSender<Answer<WatchChangesResponse>>;

type Listing = Box<dyn FnMut(usize, &str) -> Answer<ListChangesResponse> + Send>;
type Watching = Box<dyn FnMut(usize, Said) + Send>;

/// What the feed says, and how often it was asked.
pub(crate) struct Script {
    listing: Mutex<Listing>,
    watching: Mutex<Watching>,
    pub(crate) lists: AtomicUsize,
    pub(crate) watches: AtomicUsize,
    pub(crate) snapshots: AtomicUsize,
}

#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) script: Arc<Script>,
    url: String,
}

impl Feed {
    /// One that has nothing new, and says so twenty times a second.
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Script {
            listing: Mutex::new(Box::new(|_, after| Ok(list(after, true)))),
            watching: Mutex::new(Box::new(|_, said| beats(said, || beat("0", true)))),
            lists: AtomicUsize::default(),
            watches: AtomicUsize::default(),
            snapshots: AtomicUsize::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let service = ChangeServiceServer::from_arc(Arc::clone(&script));
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self { script, url }
    }

    /// How lists are answered: by their number, from 0, and the revision behind which
    /// they ask.
    pub(crate) fn lists(
        &self,
        answer: impl FnMut(usize, &str) -> Answer<ListChangesResponse> + Send + 'static,
    ) {
        *self.script.listing.lock().expect("no panic") = Box::new(answer);
    }

    /// What streams say, by their number.
    pub(crate) fn streams(&self, say: impl FnMut(usize, Said) + Send + 'static) {
        *self.script.watching.lock().expect("no panic") = Box::new(say);
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn client(&self) -> Client {
        let client = Client::builder().endpoint(self.url()).bearer("x").build();
        client.expect("a client")
    }
}

/// Says the same again and again.
pub(crate) fn beats(said: Said, mut beat: impl FnMut() -> WatchChangesResponse + Send + 'static) {
    tokio::spawn(async move {
        while said.send(Ok(beat())).is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

pub(crate) fn revision(token: &str) -> Option<Revision> {
    Some(Revision {
        token: token.to_owned(),
    })
}

/// That second by the feed's clock.
pub(crate) fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

pub(crate) fn list(through: &str, caught_up: bool) -> ListChangesResponse {
    ListChangesResponse {
        batches: Vec::new(),
        through: revision(through),
        caught_up,
    }
}

/// A heartbeat.
pub(crate) fn beat(through: &str, caught_up: bool) -> WatchChangesResponse {
    WatchChangesResponse {
        through: revision(through),
        batches: Vec::new(),
        checkpoint: Some(Checkpoint {
            caught_up,
            server_time: None,
        }),
    }
}

/// Something happened to Ada; whether she may act afterwards.
pub(crate) fn about_ada(version: i64, active: bool) -> Change {
    Change {
        kind: Kind::Updated.into(),
        r#type: ResourceType::User.into(),
        resource_id: ADA.to_owned(),
        version,
        effective_active: active,
        ..Default::default()
    }
}

/// A transaction of that second.
pub(crate) fn batch(seconds: i64, changes: Vec<Change>) -> ChangeBatch {
    ChangeBatch {
        changes,
        transaction_complete: true,
        commit_time: time(seconds),
        ..Default::default()
    }
}

fn snapshot() -> [Item; 2] {
    let ada = User {
        id: ADA.to_owned(),
        user_name: "ada".to_owned(),
        effective_active: true,
        meta: Some(ResourceMeta {
            version: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let page = SnapshotPage {
        users: vec![ada],
        ..Default::default()
    };
    let complete = SnapshotComplete {
        replay_from: revision("0"),
        exact_at: revision("0"),
    };
    [Item::Page(page), Item::Complete(complete)]
}

/// Messages as they come.
pub(crate) struct Messages<T>(mpsc::UnboundedReceiver<Answer<T>>);

impl<T> Stream for Messages<T> {
    type Item = Answer<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

#[tonic::async_trait]
impl ChangeService for Script {
    type WatchChangesStream = Messages<WatchChangesResponse>;
    type StreamSnapshotStream = Messages<StreamSnapshotResponse>;

    async fn get_change_bounds(
        &self,
        _: Request<GetChangeBoundsRequest>,
    ) -> Answer<Response<GetChangeBoundsResponse>> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Answer<Response<ListChangesResponse>> {
        let number = self.lists.fetch_add(1, Ordering::SeqCst);
        let after = request.into_inner().after.unwrap_or_default().token;
        let mut answer = self.listing.lock().expect("no panic");
        answer(number, &after).map(Response::new)
    }

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Answer<Response<Self::WatchChangesStream>> {
        let number = self.watches.fetch_add(1, Ordering::SeqCst);
        let (sender, messages) = mpsc::unbounded_channel();
        (self.watching.lock().expect("no panic"))(number, sender);
        Ok(Response::new(Messages(messages)))
    }

    async fn stream_snapshot(
        &self,
        _: Request<StreamSnapshotRequest>,
    ) -> Answer<Response<Self::StreamSnapshotStream>> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        let (sender, messages) = mpsc::unbounded_channel();
        for item in snapshot() {
            let message = StreamSnapshotResponse {
                item: Some(item),
                ..Default::default()
            };
            let _ = sender.send(Ok(message));
        }
        Ok(Response::new(Messages(messages)))
    }
}
