//! `ChangeService`: decode, follow the feed, encode.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use muster_proto::v1::{self, change_service_server::ChangeService};
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tonic::{Request, Response, Status};

use super::{
    caller, encode,
    personal::PERSONAL_DATA,
    status::status,
    stream::{Lease, Outgoing, Sender, interrupted, stopped},
    wanted,
};
use crate::{
    auth::Caller,
    domain::{history::Position, resource::ResourceKind},
    error::{Error, Result},
    service::{
        Directory, Feed, FeedFilter, Snapshot, SnapshotPage, Start, Step, Transaction,
        snapshot_size,
    },
};

/// Changes of one answer of `ListChanges` when the caller does not say, and at
/// most.
const LIST_SIZE: (usize, usize) = (1_000, 10_000);

/// Changes of one answer with values, which may be large.
const VALUES: usize = 500;

/// How long `ListChanges` may wait.
const WAIT: Duration = Duration::from_secs(25);

/// What is left of a call's time to answer in.
const MARGIN: Duration = Duration::from_millis(250);

/// Between the checkpoints of a stream: when the caller does not say, at least,
/// at most.
const HEARTBEAT: (Duration, Duration, Duration) = (
    Duration::from_secs(5),
    Duration::from_secs(1),
    Duration::from_secs(30),
);

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
        let start = match &request.after {
            Some(after) => Start::After(wanted::position(&self.0, caller, after)?),
            None => Start::Oldest,
        };
        let most = match usize::try_from(request.max_changes) {
            Err(_) => return Err(Error::invalid("max_changes", "must not be negative")),
            Ok(0) => LIST_SIZE.0,
            Ok(count) => count.min(LIST_SIZE.1),
        };
        let most = if values { most.min(VALUES) } else { most };
        let wait = wanted::duration("wait", request.wait)?.unwrap_or_default();
        let last_moment = lease.deadline - MARGIN;
        let end = (Instant::now() + wait.min(WAIT)).min(last_moment);
        let mut feed = self.0.feed(caller, start, filter).await?;
        let from = feed.through();
        let (found, caught_up) = self
            .gather(lease, &mut feed, most, (end, last_moment))
            .await?;
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

    /// As many changes as are wanted, or the first that come until `end`; also
    /// whether that was all.
    async fn gather(
        &self,
        lease: &Lease,
        feed: &mut Feed,
        most: usize,
        (end, last_moment): (Instant, Instant),
    ) -> Result<(Vec<Arc<Transaction>>, bool)> {
        let mut stopping = self.0.stopping();
        let mut found = Vec::new();
        let mut count = 0;
        loop {
            match feed.read(most - count).await? {
                Some(step) => {
                    let changes = step.transactions.iter().map(|t| t.changes.len());
                    count = most.min(count + changes.sum::<usize>());
                    found.extend(step.transactions);
                    // A filter may let nothing through for long.
                    let enough = count == most || Instant::now() >= last_moment;
                    // A transaction is not cut: nobody could resume inside it.
                    if enough && !feed.is_inside_transaction() {
                        return Ok((found, feed.is_caught_up()));
                    }
                }
                None if !found.is_empty() => return Ok((found, true)),
                None => tokio::select! {
                    () = feed.news() => lease.renew(&self.0).await?,
                    () = tokio::time::sleep_until(end) => return Ok((found, true)),
                    () = stopped(&mut stopping) => return Err(Error::Draining),
                },
            }
        }
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
            Some(Asked::After(after)) => Start::After(wanted::position(&self.0, &caller, after)?),
            Some(Asked::FromNow(true)) => Start::Now,
            Some(Asked::FromNow(false)) | None => {
                return Err(Error::invalid("start", "must be a revision or from_now"));
            }
        };
        let heartbeat = wanted::duration("heartbeat", request.heartbeat)?;
        let heartbeat = heartbeat.unwrap_or(HEARTBEAT.0);
        let feed = self.0.feed(&caller, start.clone(), filter).await?;
        let watch = Watch {
            directory: self.0.clone(),
            caller,
            values,
            heartbeat: heartbeat.clamp(HEARTBEAT.1, HEARTBEAT.2),
            lease,
        };
        let (sender, outgoing) = Outgoing::new();
        tokio::spawn(async move {
            let ended = watch.run(feed, start == Start::Now, &sender).await;
            sender.end(ended.err().map(status));
        });
        Ok(outgoing)
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

/// A stream of changes.
struct Watch {
    directory: Directory,
    caller: Caller,
    values: bool,
    heartbeat: Duration,
    lease: Lease,
}

impl Watch {
    async fn run(
        &self,
        mut feed: Feed,
        announce: bool,
        sender: &Sender<v1::WatchChangesResponse>,
    ) -> Result<()> {
        if announce {
            sender.send(self.checkpoint(&feed)).await?;
        }
        let interruption = interrupted(&self.directory, &self.lease);
        tokio::pin!(interruption);
        let mut beats = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let encoder = Encoder::new(&self.directory, &self.caller, self.values);
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                error = &mut interruption => return Err(error),
                _ = beats.tick() => sender.send(self.checkpoint(&feed)).await?,
                ready = feed.ready() => {
                    ready?;
                    // A beat that is due waits for it: given up, it would begin anew.
                    let step = tokio::select! {
                        error = &mut interruption => return Err(error),
                        step = feed.take() => step?,
                    };
                    if let Some(step) = step {
                        self.send(step, &encoder, sender).await?;
                    }
                }
            }
        }
    }

    async fn send(
        &self,
        step: Step,
        encoder: &Encoder<'_>,
        sender: &Sender<v1::WatchChangesResponse>,
    ) -> Result<()> {
        // Without any, the next checkpoint tells how far it is.
        let mut parts = encoder.parts(&step.transactions, step.from).await?;
        if let Some(last) = parts.last_mut() {
            last.through = step.through;
        }
        for part in parts {
            let through = encode::revision(&self.directory, &self.caller, &part.through);
            let message = v1::WatchChangesResponse {
                batches: part.batches,
                through: Some(through),
                checkpoint: None,
            };
            sender.send(message).await?;
        }
        Ok(())
    }

    fn checkpoint(&self, feed: &Feed) -> v1::WatchChangesResponse {
        let through = encode::revision(&self.directory, &self.caller, &feed.through());
        v1::WatchChangesResponse {
            through: Some(through),
            batches: Vec::new(),
            checkpoint: Some(v1::Checkpoint {
                caught_up: feed.is_caught_up(),
                server_time: Some(encode::timestamp(self.directory.now_ms())),
            }),
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
            page => Item::Page(encode::snapshot_page(
                directory,
                caller,
                page,
                snapshot.has_values(),
            )?),
        };
        let message = v1::StreamSnapshotResponse {
            resume_token: part.next,
            item: Some(item),
        };
        sender.send(message).await?;
    }
    Ok(())
}

/// How long a message may grow before another one begins, in bytes. Receivers
/// take 4 MiB unless told otherwise.
const MESSAGE_BYTES: usize = 1024 * 1024;

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
        let mut batches: Vec<_> = transactions.iter().map(|t| encode::batch(t)).collect();
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
        Ok(())
    }
}
