//! `ChangeService`: decode, follow the feed, encode.

use std::{collections::BTreeSet, sync::Arc};

use muster_proto::v1::{self, change_service_server::ChangeService};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    caller, encode,
    following::{
        Follower, MESSAGE_BYTES, Patience, follow, gather, list_size, list_start, stream_start,
    },
    keys,
    personal::PERSONAL_DATA,
    status::status,
    stream::{Lease, Outgoing, Sender, interrupted},
    wanted,
};
use crate::{
    auth::Caller,
    domain::{history::Position, resource::ResourceKind},
    error::Result,
    service::{
        Directory, Feed, FeedFilter, Snapshot, SnapshotPage, Start, Step, Transaction,
        snapshot_size,
    },
};

/// Changes of one answer with values, which may be large.
const VALUES: usize = 500;

pub(super) struct Changes(pub(super) Directory);

#[tonic::async_trait]
impl ChangeService for Changes {
    type WatchChangesStream = Outgoing<v1::WatchChangesResponse>;
    type StreamSnapshotStream = Outgoing<v1::StreamSnapshotResponse>;

    async fn get_change_bounds(
        &self,
        request: Request<v1::GetChangeBoundsRequest>,
    ) -> Result<Response<v1::GetChangeBoundsResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.bounds(&caller).await.map_err(status)?;
        Ok(Response::new(answer))
    }

    async fn list_changes(
        &self,
        request: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let answer = self.list(&caller, request.into_inner(), &lease).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn watch_changes(
        &self,
        request: Request<v1::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let watching = self.watch(caller, request.into_inner(), lease);
        Ok(Response::new(watching.await.map_err(status)?))
    }

    async fn stream_snapshot(
        &self,
        request: Request<v1::StreamSnapshotRequest>,
    ) -> Result<Response<Self::StreamSnapshotStream>, Status> {
        let caller = caller(&request)?;
        let lease = Lease::of(&request).map_err(status)?;
        let streaming = self.snapshot(caller, request.into_inner(), lease);
        Ok(Response::new(streaming.await.map_err(status)?))
    }
}

impl Changes {
    async fn bounds(&self, caller: &Caller) -> Result<v1::GetChangeBoundsResponse> {
        let bounds = self.0.change_bounds(caller).await?;
        let mut earliest = bounds.latest.clone();
        earliest.revision = bounds.earliest;
        let retention = self.0.retention().changes;
        Ok(v1::GetChangeBoundsResponse {
            earliest: Some(encode::revision(&self.0, caller, &earliest)),
            latest: Some(encode::revision(&self.0, caller, &bounds.latest)),
            store_epoch: bounds.latest.epoch,
            retention: prost_types::Duration::try_from(retention).ok(),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListChangesRequest,
        lease: &Lease,
    ) -> Result<v1::ListChangesResponse> {
        let (filter, values) = wanted(caller, request.filter)?;
        let start = list_start(&self.0, caller, request.after.as_ref())?;
        let most = list_size("max_changes", request.max_changes)?;
        let most = if values { most.min(VALUES) } else { most };
        let patience = Patience::asked(request.wait, lease)?;
        let mut feed = self.0.feed(caller, start, filter).await?;
        let from = feed.through();
        // The end of a transaction is told even when nothing of it is left.
        let weigh = |transaction: &Transaction| Some(transaction.changes.len());
        let gathering = gather(&self.0, lease, &mut feed, (most, patience), weigh);
        let (found, caught_up) = gathering.await?;
        let encoder = Encoder::new(&self.0, caller, values);
        let (answer, is_all) = encoder.answer(&found, from).await?;
        // What does not fit is asked for again.
        let through = if is_all {
            feed.through()
        } else {
            answer.through
        };
        Ok(v1::ListChangesResponse {
            batches: answer.batches,
            through: Some(encode::revision(&self.0, caller, &through)),
            caught_up: caught_up && is_all,
        })
    }

    async fn watch(
        &self,
        caller: Caller,
        request: v1::WatchChangesRequest,
        lease: Lease,
    ) -> Result<Outgoing<v1::WatchChangesResponse>> {
        use v1::watch_changes_request::Start as Asked;
        let (filter, values) = wanted(&caller, request.filter)?;
        let start = match &request.start {
            Some(Asked::After(after)) => (Some(after), false),
            Some(Asked::FromNow(from_now)) => (None, *from_now),
            None => (None, false),
        };
        let start = stream_start(&self.0, &caller, start)?;
        let announce = start == Start::Now;
        let feed = self.0.feed(&caller, start, filter).await?;
        let watch = Watch {
            directory: self.0.clone(),
            caller,
            values,
        };
        follow(&self.0, lease, (feed, announce), request.heartbeat, watch)
    }

    async fn snapshot(
        &self,
        caller: Caller,
        request: v1::StreamSnapshotRequest,
        lease: Lease,
    ) -> Result<Outgoing<v1::StreamSnapshotResponse>> {
        let (filter, values) = wanted(&caller, request.filter)?;
        let size = snapshot_size(request.page_size)?;
        let token = request.resume_token;
        let mut snapshot = self
            .0
            .snapshot(&caller, filter, size, values, &token)
            .await?;
        let (sender, outgoing) = Outgoing::new();
        let directory = self.0.clone();
        tokio::spawn(async move {
            let pages = send_pages(&directory, &caller, &mut snapshot, &sender);
            let ended = tokio::select! {
                ended = pages => ended,
                error = interrupted(&directory, &lease) => Err(error),
                () = sender.closed() => Ok(()),
            };
            sender.end(ended.err().map(status));
        });
        Ok(outgoing)
    }
}

/// What a caller wants, and whether with values.
fn wanted(caller: &Caller, filter: Option<v1::ChangeFilter>) -> Result<(FeedFilter, bool)> {
    let filter = filter.unwrap_or_default();
    let values = filter.include_resource;
    if values {
        caller.require(PERSONAL_DATA)?;
    }
    Ok((wanted::change_filter(filter)?, values))
}

/// Makes messages of changes for a stream.
struct Watch {
    directory: Directory,
    caller: Caller,
    values: bool,
}

impl Follower for Watch {
    type Message = v1::WatchChangesResponse;

    async fn messages(&self, step: Step) -> Result<Vec<Self::Message>> {
        let encoder = Encoder::new(&self.directory, &self.caller, self.values);
        let mut parts = encoder.parts(&step.transactions, step.from).await?;
        if let Some(last) = parts.last_mut() {
            last.through = step.through;
        }
        let message = |part: Part| v1::WatchChangesResponse {
            through: Some(encode::revision(
                &self.directory,
                &self.caller,
                &part.through,
            )),
            batches: part.batches,
            // Whether there is more by now, the next beat tells.
            checkpoint: Some(self.checkpoint(false)),
        };
        Ok(parts.into_iter().map(message).collect())
    }

    fn beat(&self, feed: &Feed) -> v1::WatchChangesResponse {
        let through = encode::revision(&self.directory, &self.caller, &feed.through());
        v1::WatchChangesResponse {
            through: Some(through),
            batches: Vec::new(),
            checkpoint: Some(self.checkpoint(feed.is_caught_up())),
        }
    }
}

impl Watch {
    fn checkpoint(&self, caught_up: bool) -> v1::Checkpoint {
        v1::Checkpoint {
            caught_up,
            server_time: Some(encode::timestamp(self.directory.now_ms())),
        }
    }
}

async fn send_pages(
    directory: &Directory,
    caller: &Caller,
    snapshot: &mut Snapshot,
    sender: &Sender<v1::StreamSnapshotResponse>,
) -> Result<()> {
    use v1::stream_snapshot_response::Item;
    while let Some(part) = snapshot.next().await? {
        let item = match part.page {
            SnapshotPage::Complete(from, exact) => Item::Complete(v1::SnapshotComplete {
                replay_from: Some(encode::revision(directory, caller, &from)),
                exact_at: Some(encode::revision(directory, caller, &exact)),
            }),
            page => {
                let values = snapshot.has_values();
                let mut page = encode::snapshot_page(directory, caller, page, values)?;
                if values {
                    let users = page.users.iter_mut().collect();
                    keys::add(directory, caller, keys::visible(caller), users).await?;
                }
                Item::Page(page)
            }
        };
        let message = v1::StreamSnapshotResponse {
            resume_token: part.next,
            item: Some(item),
        };
        sender.send(message).await?;
    }
    Ok(())
}

/// Transactions that are made into messages at once.
const ENCODED_AT_ONCE: usize = 50;

/// What fits a message, and where its receiver may resume.
struct Part {
    batches: Vec<v1::ChangeBatch>,
    through: Position,
}

/// Makes messages of changes.
struct Encoder<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    values: bool,
}

impl<'a> Encoder<'a> {
    fn new(directory: &'a Directory, caller: &'a Caller, values: bool) -> Self {
        Self {
            directory,
            caller,
            values,
        }
    }

    /// Transactions in messages that their receiver can take. `from` is where he
    /// may resume before the first one is complete.
    async fn parts(&self, found: &[Arc<Transaction>], from: Position) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        let (mut bytes, mut through) = (0, from);
        for transactions in found.chunks(ENCODED_AT_ONCE) {
            let batches = self.batches(transactions).await?;
            for (transaction, batch) in transactions.iter().zip(batches) {
                bytes += batch.encoded_len();
                if transaction.is_complete {
                    through.revision = transaction.revision;
                }
                match parts.last_mut() {
                    Some(part) if bytes <= MESSAGE_BYTES => {
                        part.batches.push(batch);
                        part.through = through.clone();
                    }
                    _ => {
                        bytes = batch.encoded_len();
                        parts.push(Part {
                            batches: vec![batch],
                            through: through.clone(),
                        });
                    }
                }
            }
        }
        Ok(parts)
    }

    /// As much as one answer takes, to the end of a transaction; whether it is
    /// all.
    async fn answer(&self, found: &[Arc<Transaction>], from: Position) -> Result<(Part, bool)> {
        let mut answer = Part {
            batches: Vec::new(),
            through: from.clone(),
        };
        let mut parts = self.parts(found, from).await?.into_iter().peekable();
        for part in parts.by_ref() {
            answer.batches.extend(part.batches);
            answer.through = part.through;
            if answer
                .batches
                .last()
                .is_some_and(|batch| batch.transaction_complete)
            {
                break;
            }
        }
        Ok((answer, parts.peek().is_none()))
    }

    async fn batches(&self, transactions: &[Arc<Transaction>]) -> Result<Vec<v1::ChangeBatch>> {
        let mut batches: Vec<_> = transactions
            .iter()
            .map(|one| encode::batch(self.caller, one))
            .collect();
        if self.values {
            let changes = batches.iter_mut().flat_map(|batch| &mut batch.changes);
            self.add_values(changes.collect()).await?;
        }
        Ok(batches)
    }

    /// Reads the resources that changes speak of as they are now.
    async fn add_values(&self, mut changes: Vec<&mut v1::Change>) -> Result<()> {
        for kind in [ResourceKind::User, ResourceKind::Group] {
            let of_kind = changes
                .iter()
                .filter(|change| encode::is_about(change, kind));
            let ids: BTreeSet<_> = of_kind.map(|change| change.resource_id.clone()).collect();
            let found = self.directory.get_many(self.caller, kind, ids).await?;
            for change in &mut changes {
                if encode::is_about(change, kind)
                    && let Some(resource) = found.get(&change.resource_id)
                {
                    change.resource = Some(encode::changed(
                        self.directory,
                        self.caller,
                        resource.clone(),
                    )?);
                }
            }
        }
        let users = changes.into_iter();
        let users = users.filter_map(|change| match &mut change.resource {
            Some(v1::change::Resource::User(user)) => Some(user),
            _ => None,
        });
        let wanted = keys::visible(self.caller);
        keys::add(self.directory, self.caller, wanted, users.collect()).await
    }
}
