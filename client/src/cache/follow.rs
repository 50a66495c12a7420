//! Follows the feed for as long as the cache lives.
//!
//! A round is: fill a map from a snapshot, unless there is one; ask for all changes that
//! are there (`ListChanges`), after which the map is exact and is shown; take what comes
//! (`WatchChanges`) until the stream ends, which is normal, and begin the next round
//! behind the last message. So whoever comes back from an outage is not believed before
//! it has what happened meanwhile.

use std::{sync::Arc, time::Duration};

use muster_proto::v1::{
    ChangeBatch, ChangeFilter, ListChangesRequest, ResourceType, Revision, StreamSnapshotRequest,
    WatchChangesRequest, change_service_client::ChangeServiceClient,
    group_service_client::GroupServiceClient, stream_snapshot_response::Item,
    user_service_client::UserServiceClient, watch_changes_request::Start,
};
use tokio::time::{sleep, timeout};
use tonic::{Request, Status};

use super::{
    Builder,
    lag::Lag,
    over::{self, Over, pause, spread},
    state::{News, State},
    writer::{Again, Writer},
};
use crate::{
    error::{Error, Result},
    transport::Transport,
};

/// Resources of a page of a snapshot: the most that there may be.
pub(super) const PAGE: i32 = 1_000;

/// The least and the longest that one of the lists may take.
const LIST_PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// Heartbeats after which a silent stream is left: behind it there is time to ask
/// otherwise before nothing is believed any more.
const SILENT: f64 = 1.6;

/// The longest silence between two messages of a snapshot.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);

/// The one who follows.
pub(super) struct Follower {
    state: Arc<State>,
    pub(super) values: bool,
    heartbeat: Duration,
    /// Numbers from 0 to 1.
    chance: fn() -> f64,
    changes: ChangeServiceClient<Transport>,
    pub(super) users: UserServiceClient<Transport>,
    pub(super) groups: GroupServiceClient<Transport>,
    /// Rounds that failed in a row.
    failures: u32,
    /// Resources of a page: fewer when they were too large for a message.
    page: i32,
    /// A map that is being filled, and where its snapshot goes on.
    filling: Option<(Writer, String)>,
    /// A map that is filled, and up to where it has come.
    pub(super) held: Option<(Writer, Revision)>,
    /// Whether that map is what readers see.
    is_shown: bool,
}

impl Follower {
    pub(super) fn new(builder: &Builder, state: Arc<State>) -> Self {
        Self {
            state,
            values: builder.values,
            heartbeat: builder.heartbeat,
            chance: builder.chance,
            changes: builder.client.changes(),
            users: builder.client.users(),
            groups: builder.client.groups(),
            failures: 0,
            page: PAGE,
            filling: None,
            held: None,
            is_shown: false,
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let mut well = false;
            let over = match self.round(&mut well).await {
                Ok(never) => match never {},
                Err(over) => over,
            };
            self.failures = match well {
                true => 0,
                false => self.failures.saturating_add(1),
            };
            let wait = self.regard(&over);
            sleep(wait).await;
        }
    }

    /// What is to be done about the end of a round; how long to wait for the next one.
    fn regard(&mut self, over: &Over) -> Duration {
        let failures = self.failures;
        let wait = match over {
            Over::Look => return Duration::ZERO,
            Over::Resume(error) | Over::Ended(error) => {
                tracing::debug!(%error, failures, "the feed is resumed");
                pause(failures, (self.chance)())
            }
            Over::Resync(error) => {
                tracing::info!(%error, failures, "the cache takes a new snapshot");
                self.filling = None;
                self.held = None;
                self.is_shown = false;
                spread(failures, (self.chance)())
            }
        };
        self.state.fails(over.lasting());
        wait
    }

    async fn round(&mut self, well: &mut bool) -> Result<std::convert::Infallible, Over> {
        if self.held.is_none() {
            self.fill().await?;
        }
        let _ = self.catch_up().await?;
        self.watch(well).await
    }

    fn filter(&self) -> ChangeFilter {
        use ResourceType::{Group, Membership, User};
        ChangeFilter {
            types: [User, Group, Membership].map(Into::into).into(),
            include_resource: self.values,
            ..Default::default()
        }
    }

    /// Fills a map that nobody sees yet.
    async fn fill(&mut self) -> Result<(), Over> {
        let new = || (Writer::new(self.values), String::new());
        let (mut writer, mut token) = self.filling.take().unwrap_or_else(new);
        let request = StreamSnapshotRequest {
            filter: Some(self.filter()),
            resume_token: token.clone(),
            page_size: self.page,
        };
        let mut filled = self.pages(&mut writer, &mut token, request).await;
        if let Ok(through) = &mut filled {
            writer.settle();
            self.held = Some((writer, std::mem::take(through)));
            self.is_shown = false;
            return Ok(());
        }
        if let Err(Over::Resync(error)) = &filled
            && over::is_too_large(error)
        {
            self.page = (self.page / 4).max(1);
        }
        // It goes on where it broke off, if that is where to go on.
        self.filling = Some((writer, token));
        filled.map(|_| ())
    }

    async fn pages(
        &mut self,
        writer: &mut Writer,
        token: &mut String,
        request: StreamSnapshotRequest,
    ) -> Result<Revision, Over> {
        let mut pages = self.changes.stream_snapshot(request).await?.into_inner();
        loop {
            let message = timeout(PAGE_PATIENCE, pages.message()).await;
            let message =
                message.map_err(|_| Status::deadline_exceeded("the snapshot is silent"))?;
            let message = message.map_err(Over::of_stream)?;
            let message = message.ok_or_else(|| Status::unavailable("the snapshot has no end"))?;
            match message.item {
                Some(Item::Page(page)) => writer.fill(page),
                Some(Item::Complete(end)) => {
                    let from = end.replay_from;
                    return Ok(
                        from.ok_or_else(|| Status::internal("the snapshot has no revision"))?
                    );
                }
                None => {}
            }
            *token = message.resume_token;
            tokio::task::yield_now().await;
        }
    }

    /// Takes all changes that are there, and shows the map. Then it is exact: what was
    /// committed before this began is in it, also the revision from which a snapshot is.
    /// Tells whether there were any.
    async fn catch_up(&mut self) -> Result<bool, Over> {
        let asked = self.state.asked();
        let mut took = false;
        let as_of = loop {
            let Some((_, through)) = &self.held else {
                return Err(Over::Resync(Error::NotReady));
            };
            let through = through.clone();
            // Whatever is committed while the answer is on its way is not in it.
            let as_of = self.state.now();
            let request = self.list(through.clone());
            let answer = self.changes.list_changes(request).await?.into_inner();
            took |= !answer.batches.is_empty();
            self.take(answer.batches, answer.through.as_ref()).await?;
            if answer.caught_up {
                break as_of;
            }
            if answer.through.as_ref() == Some(&through) {
                return Err(Over::from(Status::unavailable("the feed does not move")));
            }
            if self.is_shown {
                self.state.heard(News {
                    through: answer.through.as_ref(),
                    as_of: None,
                    caught_up: false,
                });
            }
        };
        if let Some((writer, through)) = &self.held {
            if !self.is_shown {
                self.state.publish(writer.map());
                self.is_shown = true;
            }
            self.state.heard(News {
                through: Some(through),
                as_of: Some(as_of),
                caught_up: true,
            });
        }
        self.state.answer(asked);
        Ok(took)
    }

    /// It may take as long as leaves time for another one before nothing is believed any
    /// more, and longer for who has nothing to lose.
    fn list(&self, after: Revision) -> Request<ListChangesRequest> {
        let mut request = Request::new(ListChangesRequest {
            after: Some(after),
            filter: Some(self.filter()),
            max_changes: 10_000,
            wait: None,
        });
        let [least, longest] = LIST_PATIENCE;
        let patience = self.heartbeat.saturating_mul(1 + self.failures.min(30));
        request.set_timeout(match self.is_shown {
            true => patience.clamp(least, longest),
            false => longest,
        });
        request
    }

    /// Takes what comes.
    async fn watch(&mut self, well: &mut bool) -> Result<std::convert::Infallible, Over> {
        let after = self.held.as_ref().map(|(_, through)| through.clone());
        let request = WatchChangesRequest {
            start: after.map(Start::After),
            filter: Some(self.filter()),
            heartbeat: prost_types::Duration::try_from(self.heartbeat).ok(),
        };
        let patience = self.heartbeat.mul_f64(SILENT);
        let silent = |_| Over::from(Status::unavailable("the feed is silent"));
        let opened = timeout(patience, self.changes.watch_changes(request)).await;
        let mut messages = opened.map_err(silent)??.into_inner();
        let state = Arc::clone(&self.state);
        let mut lag = Lag::default();
        loop {
            let next = tokio::select! {
                next = timeout(patience, messages.message()) => next,
                () = state.look.notified() => {
                    // The stream goes on unless it would tell again what is known now.
                    match self.catch_up().await? {
                        true => return Err(Over::Look),
                        false => continue,
                    }
                }
            };
            let message = next.map_err(silent)?.map_err(Over::of_stream)?;
            let message = message.ok_or_else(|| Status::unavailable("the feed ended"))?;
            *well = true;
            if self.state.is_silent() {
                // What comes now may be long ago.
                return Err(Over::Resume(Error::Stale {
                    silence: self.state.silence(),
                }));
            }
            let now = self.state.now();
            let as_of = lag.of(&message, now).map(|lag| now.before(lag));
            let caught_up = message.checkpoint.is_some_and(|told| told.caught_up);
            self.take(message.batches, message.through.as_ref()).await?;
            self.state.heard(News {
                through: message.through.as_ref(),
                as_of,
                caught_up,
            });
        }
    }

    async fn take(
        &mut self,
        batches: Vec<ChangeBatch>,
        through: Option<&Revision>,
    ) -> Result<(), Over> {
        let mut again: Vec<Again> = Vec::new();
        if let Some((writer, _)) = &mut self.held {
            let changes = batches.into_iter().flat_map(|batch| batch.changes);
            for change in changes {
                let one = writer.apply(change);
                again.extend(one.filter(|one| !again.contains(one)));
            }
            writer.settle();
            self.state.found(writer.take_named());
        }
        for one in again {
            self.read_again(one).await?;
        }
        if let (Some((_, held)), Some(through)) = (&mut self.held, through) {
            held.clone_from(through);
        }
        Ok(())
    }
}
