//! Follows the feed for as long as the cache lives.
//!
//! A round is: fill a map from a snapshot, unless there is one; ask for all changes that
//! are there (`ListChanges`), after which the map is exact and is shown; take what comes
//! (`WatchChanges`) until the stream ends, which is normal, and begin the next round
//! behind the last message. So whoever comes back from an outage is not believed before
//! it has what happened meanwhile.

use std::{sync::Arc, time::Duration};

use muster_proto::v1::{
    ChangeBatch, ChangeFilter, ErrorReason, GetGroupRequest, GetUserRequest, ListChangesRequest,
    ListGroupMembersRequest, PageRequest, ResourceType, Revision, StreamSnapshotRequest,
    WatchChangesRequest, change_service_client::ChangeServiceClient,
    group_service_client::GroupServiceClient, stream_snapshot_response::Item,
    user_service_client::UserServiceClient, watch_changes_request::Start,
};
use tokio::time::timeout;
use tonic::{Code, Request, Status};

use super::{
    lag::Lag,
    state::{News, State},
    writer::{Again, Writer, as_edge},
};
use crate::{
    client::Client,
    error::{Error, Result},
    transport::{Transport, pause},
};

/// Resources of a page of a snapshot: the most that there may be.
const PAGE: i32 = 1_000;

/// How long one of the lists may take.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// The longest silence between two messages of a snapshot.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);

/// Why a round is over.
enum Over {
    /// It goes on behind the last message.
    Resume(Error),
    /// Somebody wants to know at once how far the directory is.
    Look,
    /// What is held is of no use any more.
    Resync(Error),
}

impl From<Status> for Over {
    fn from(status: Status) -> Self {
        Self::from(Error::from(status))
    }
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        match error.reason() {
            Some(
                ErrorReason::CursorExpired
                | ErrorReason::StoreEpochMismatch
                | ErrorReason::RevisionInvalid
                | ErrorReason::PageTokenInvalid,
            ) => Self::Resync(error),
            _ => Self::Resume(error),
        }
    }
}

/// The one who follows.
pub(super) struct Follower {
    state: Arc<State>,
    values: bool,
    heartbeat: Duration,
    changes: ChangeServiceClient<Transport>,
    users: UserServiceClient<Transport>,
    groups: GroupServiceClient<Transport>,
    /// A map that is being filled, and where its snapshot goes on.
    filling: Option<(Writer, String)>,
    /// A map that is filled, and up to where it has come.
    held: Option<(Writer, Revision)>,
    /// Whether that map is what readers see.
    is_shown: bool,
}

impl Follower {
    pub(super) fn new(
        client: &Client,
        state: Arc<State>,
        values: bool,
        heartbeat: Duration,
    ) -> Self {
        Self {
            state,
            values,
            heartbeat,
            changes: client.changes(),
            users: client.users(),
            groups: client.groups(),
            filling: None,
            held: None,
            is_shown: false,
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let mut well = false;
            let over = match self.round(&mut well).await {
                Ok(never) => match never {},
                Err(over) => over,
            };
            failures = if well { 0 } else { failures + 1 };
            let error = match over {
                Over::Look => continue,
                Over::Resume(error) => error,
                Over::Resync(error) => {
                    tracing::info!(%error, "the cache takes a new snapshot");
                    self.filling = None;
                    self.held = None;
                    self.is_shown = false;
                    error
                }
            };
            tracing::debug!(%error, failures, "the feed is resumed");
            let lasting = matches!(
                error.code(),
                Some(Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented)
            );
            let fault = match error {
                Error::Refused(refused) if lasting => Some(*refused),
                _ => None,
            };
            self.state.fails(fault);
            if !well {
                tokio::time::sleep(pause(failures)).await;
            }
        }
    }

    async fn round(&mut self, well: &mut bool) -> Result<std::convert::Infallible, Over> {
        if self.held.is_none() {
            self.fill().await?;
        }
        self.catch_up().await?;
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
            page_size: PAGE,
        };
        let mut filled = self.pages(&mut writer, &mut token, request).await;
        if let Ok(through) = &mut filled {
            writer.settle();
            self.held = Some((writer, std::mem::take(through)));
            self.is_shown = false;
            return Ok(());
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
            let message = message?.ok_or_else(|| Status::unavailable("the snapshot has no end"))?;
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
    async fn catch_up(&mut self) -> Result<(), Over> {
        let asked = self.state.asked();
        loop {
            let Some((_, through)) = &self.held else {
                return Err(Over::Resync(Error::NotReady));
            };
            let through = through.clone();
            let mut request = Request::new(ListChangesRequest {
                after: Some(through.clone()),
                filter: Some(self.filter()),
                max_changes: 10_000,
                wait: None,
            });
            request.set_timeout(LIST_PATIENCE);
            let answer = self.changes.list_changes(request).await?.into_inner();
            self.take(answer.batches, answer.through.as_ref()).await?;
            if answer.caught_up {
                break;
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
        }
        if let Some((writer, through)) = &self.held {
            if !self.is_shown {
                self.state.publish(writer.map());
                self.is_shown = true;
            }
            self.state.heard(News {
                through: Some(through),
                as_of: Some(self.state.now()),
                caught_up: true,
            });
        }
        self.state.answer(asked);
        Ok(())
    }

    /// Takes what comes.
    async fn watch(&mut self, well: &mut bool) -> Result<std::convert::Infallible, Over> {
        let after = self.held.as_ref().map(|(_, through)| through.clone());
        let request = WatchChangesRequest {
            start: after.map(Start::After),
            filter: Some(self.filter()),
            heartbeat: prost_types::Duration::try_from(self.heartbeat).ok(),
        };
        let mut messages = self.changes.watch_changes(request).await?.into_inner();
        let state = Arc::clone(&self.state);
        let mut lag = Lag::default();
        loop {
            let next = tokio::select! {
                next = timeout(self.heartbeat * 3, messages.message()) => next,
                () = state.look.notified() => return Err(Over::Look),
            };
            let next = next.map_err(|_| Status::unavailable("the feed is silent"))?;
            let message = next?.ok_or_else(|| Status::unavailable("the feed ended"))?;
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
        let mut again = Vec::new();
        if let Some((writer, _)) = &mut self.held {
            let changes = batches.into_iter().flat_map(|batch| batch.changes);
            for change in changes {
                again.extend(writer.apply(change));
            }
            writer.settle();
            self.state.found(writer.take_named());
        }
        again.dedup();
        for one in again {
            self.read_again(one).await?;
        }
        if let (Some((_, held)), Some(through)) = (&mut self.held, through) {
            held.clone_from(through);
        }
        Ok(())
    }

    /// Reads what changed in a way that this build does not know. Whoever may not read it
    /// takes a new snapshot.
    async fn read_again(&mut self, again: Again) -> Result<(), Over> {
        let read = match again.kind {
            ResourceType::User => self.read_user(&again).await,
            _ => self.read_group(&again).await,
        };
        let Err(error) = read else {
            return Ok(());
        };
        match error.code() {
            Some(Code::NotFound) => {
                if let Some((writer, _)) = &mut self.held {
                    writer.is_gone(&again);
                    writer.settle();
                }
                Ok(())
            }
            Some(Code::PermissionDenied) => Err(Over::Resync(error)),
            _ => Err(Over::from(error)),
        }
    }

    async fn read_user(&mut self, again: &Again) -> Result<()> {
        let request = GetUserRequest {
            id: again.id.clone(),
            ..Default::default()
        };
        let answer = self.users.get_user(request).await?.into_inner();
        if let (Some((writer, _)), Some(user)) = (&mut self.held, answer.user) {
            writer.see_user(user);
        }
        Ok(())
    }

    async fn read_group(&mut self, again: &Again) -> Result<()> {
        let request = GetGroupRequest {
            id: again.id.clone(),
            ..Default::default()
        };
        let answer = self.groups.get_group(request).await?.into_inner();
        let mut members = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListGroupMembersRequest {
                group_id: again.id.clone(),
                page: Some(PageRequest {
                    page_size: PAGE,
                    page_token,
                    ..Default::default()
                }),
                consistency: None,
            };
            let answer = self.groups.list_group_members(request).await?.into_inner();
            members.extend(answer.members.into_iter().filter_map(|one| one.member));
            page_token = answer.page.unwrap_or_default().next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if let (Some((writer, _)), Some(group)) = (&mut self.held, answer.group) {
            writer.begin_anew(group);
            for member in members {
                writer.add(&as_edge(&again.id, member));
            }
            writer.settle();
        }
        Ok(())
    }
}
