//! Users, groups and memberships of a tenant in this process, kept true by the feed.
//!
//! It answers in well under a microsecond, and goes on to answer while the directory is
//! away for a moment. It never answers from what may be long ago: when it was not surely
//! exact for three heartbeats, as the feed is silent or tells of what is older, it stops,
//! and before it is filled it does not begin.
//! Readers never wait, and never see a map that is half filled.
//!
//! ```no_run
//! # async fn example(client: muster_client::Client) -> muster_client::Result<()> {
//! use muster_client::cache::Cache;
//! # let (user, group) = (uuid::Uuid::nil(), uuid::Uuid::nil());
//! let cache = Cache::builder(&client).start();
//! cache.ready().await?;
//! if cache.check_membership(user, group).await?.is_member() {
//!     // Let him in.
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It needs the scope `changes.read`, and `users.read.pii` to find users by anything but
//! their ids; `values(false)` does without.

mod again;
mod follow;
mod ids;
mod keep;
mod lag;
mod map;
mod names;
mod over;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::{fmt, sync::Arc, time::Duration};

use muster_proto::v1::{
    AccessStatus, CheckMembershipRequest, ErrorReason, GetEffectiveGroupsRequest,
    ListChangesRequest, ResolveUserRequest, Revision, User, UserKey, membership_result,
};
use tokio::task::AbortHandle;
use tonic::Request;
use uuid::Uuid;

pub use self::{
    map::{Access, Verdict},
    state::Freshness,
};
use self::{
    map::{Found, Map},
    names::Name,
    state::State,
    writer::millis,
};
use crate::{
    client::Client,
    error::{Error, Refused, Result},
    key,
};

/// For how long a name that nobody has is not asked for again.
const MISS: Duration = Duration::from_secs(5);

/// For how long a revision is waited for before the directory is asked.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long the directory may take to say whether a revision is good.
const VALIDATION: Duration = Duration::from_secs(10);

/// For how long a revision is waited for that is good.
const LONGEST: Duration = Duration::from_secs(30);

/// What is done when the feed was silent, or behind, for too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Silent {
    /// Questions are answered with [`Error::Stale`].
    #[default]
    FailClosed,
    /// The directory is asked each of them.
    AskServer,
}

/// A user as the cache knows him. `Debug` leaves his attributes out.
#[derive(Clone)]
pub struct Resolved {
    /// His id.
    pub id: Uuid,
    /// Whether he may act.
    pub access: Access,
    /// His attributes; `None` where the cache keeps none.
    pub user: Option<Arc<User>>,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved")
            .field("id", &self.id)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A group of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group's id.
    pub group_id: Uuid,
    /// Its name, where the cache keeps them.
    pub display_name: Option<Arc<str>>,
    /// Whether he is in it only through others.
    pub indirect: bool,
}

/// How a cache is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    client: Client,
    values: bool,
    heartbeat: Duration,
    silent: Silent,
    asks_for_misses: bool,
    chance: fn() -> f64,
}

impl Builder {
    /// Whether attributes are kept, so that users are found by name, address and the
    /// like. Default: yes.
    #[must_use]
    pub fn values(mut self, values: bool) -> Self {
        self.values = values;
        self
    }

    /// How often the feed speaks when there is nothing to say; 1 to 30 seconds, 5 by
    /// default. After three times as long nothing is believed any more.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat.clamp(Duration::from_secs(1), Duration::from_secs(30));
        self
    }

    /// What is done when the feed was silent for too long.
    #[must_use]
    pub fn silent(mut self, silent: Silent) -> Self {
        self.silent = silent;
        self
    }

    /// Whether the directory is asked for users whom the cache does not know, each at most
    /// once in 5 seconds: for who must see a user in the moment in which he is created.
    /// Default: no, the cache is complete.
    #[must_use]
    pub fn ask_for_misses(mut self, ask: bool) -> Self {
        self.asks_for_misses = ask;
        self
    }

    /// Takes chance from elsewhere: numbers from 0 to 1, by which pauses differ. For
    /// tests.
    #[must_use]
    pub fn chance(mut self, chance: fn() -> f64) -> Self {
        self.chance = chance;
        self
    }

    /// Begins to fill the cache. It stops with the last handle to it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Cache {
        let state = Arc::new(State::new(self.client.clock(), self.heartbeat * 3));
        let task = tokio::spawn(keep::keep(self.clone(), Arc::clone(&state)));
        Cache(Arc::new(Inner {
            client: self.client,
            state,
            values: self.values,
            silent: self.silent,
            asks_for_misses: self.asks_for_misses,
            task: task.abort_handle(),
        }))
    }
}

/// Users, groups and memberships of a tenant. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    client: Client,
    state: Arc<State>,
    values: bool,
    silent: Silent,
    asks_for_misses: bool,
    task: AbortHandle,
}

impl fmt::Debug for Inner {
    /// How it is set and how fresh it is: nothing of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("values", &self.values)
            .field("silent", &self.silent)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cache {
    /// A cache of what this client may see.
    pub fn builder(client: &Client) -> Builder {
        Builder {
            client: client.clone(),
            values: true,
            heartbeat: Duration::from_secs(5),
            silent: Silent::default(),
            asks_for_misses: false,
            chance: over::chance,
        }
    }

    /// Waits until it is filled and exact.
    ///
    /// # Errors
    /// [`Error::Refused`] when the client's rights do not reach; everything else is
    /// waited for.
    pub async fn ready(&self) -> Result<()> {
        self.0.state.ready().await
    }

    /// How fresh it is.
    pub fn freshness(&self) -> Freshness {
        self.0.state.freshness()
    }

    /// Waits until everything until a revision is in it: one's own write, or that of
    /// whoever sent the revision along. For half a minute at the longest: whoever has less
    /// time limits it.
    ///
    /// # Errors
    /// [`ErrorReason::RevisionInvalid`] for what is no revision of this tenant, or lies in
    /// the future, [`ErrorReason::StoreEpochMismatch`] for one of another history; else
    /// [`Error::Refused`] when the directory does not answer in time or the client's rights
    /// do not reach, [`Error::Stopped`] when the cache stops.
    pub async fn wait_for(&self, revision: &Revision) -> Result<()> {
        let state = &self.0.state;
        if state.passes(revision, PATIENCE).await {
            return Ok(());
        }
        self.validate(revision).await?;
        match state.has_passed(revision) {
            true => Ok(()),
            false => state.looks(LONGEST).await,
        }
    }

    /// Asks the directory whether this is a revision that it has reached.
    async fn validate(&self, revision: &Revision) -> Result<()> {
        let mut request = Request::new(ListChangesRequest {
            after: Some(revision.clone()),
            max_changes: 1,
            ..Default::default()
        });
        request.set_timeout(VALIDATION);
        match self.0.client.changes().list_changes(request).await {
            Ok(_) => Ok(()),
            Err(status) => match Error::from(status) {
                // It is older than what is kept, or what follows it is large: it is good.
                error if error.is(ErrorReason::CursorExpired) => Ok(()),
                error if over::is_too_large(&error) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// What is held here, without asking anybody: for code that cannot wait.
    pub fn local(&self) -> Local<'_> {
        Local(&self.0)
    }

    /// Whether a user is in a group, and may act.
    ///
    /// # Errors
    /// [`Error::UserNotFound`], [`Error::GroupNotFound`]; [`Error::Stale`] and
    /// [`Error::NotReady`] unless the directory is asked, and its errors if it is.
    pub async fn check_membership(&self, user: Uuid, group: Uuid) -> Result<Verdict> {
        match self.local().check_membership(user, group) {
            Err(error) if self.asks(&error) => self.ask_membership(user, group).await,
            answer => answer,
        }
    }

    /// All groups of a user, in the order of their ids. Also of one who may not act.
    ///
    /// # Errors
    /// As [`check_membership`](Self::check_membership).
    pub async fn effective_groups(&self, user: Uuid) -> Result<Vec<Membership>> {
        match self.local().effective_groups(user) {
            Err(error) if self.asks(&error) => self.ask_groups(user).await,
            answer => answer,
        }
    }

    /// Whether a user may act, and since when his tokens are dead.
    ///
    /// # Errors
    /// As [`check_membership`](Self::check_membership).
    pub async fn status(&self, user: Uuid) -> Result<Access> {
        match self.local().status(user) {
            Err(error) if self.asks(&error) => {
                let status = self.0.client.user_status(key::id(user.to_string())).await?;
                Ok(Access::from(&status))
            }
            answer => answer,
        }
    }

    /// Who has this key. One who may not act is refused.
    ///
    /// # Errors
    /// [`Error::UserNotFound`], [`Error::AmbiguousKey`], [`Error::UserInactive`];
    /// [`Error::NotKept`] for keys other than ids where no attributes are kept; else as
    /// [`check_membership`](Self::check_membership).
    pub async fn resolve_user(&self, key: &UserKey) -> Result<Resolved> {
        active(self.resolve_any_user(key).await?)
    }

    /// Who has this key, whether he may act or not.
    ///
    /// # Errors
    /// As [`resolve_user`](Self::resolve_user) but for [`Error::UserInactive`].
    pub async fn resolve_any_user(&self, key: &UserKey) -> Result<Resolved> {
        match self.local().resolve_any_user(key) {
            Err(Error::UserNotFound) if self.0.asks_for_misses => self.ask_for_miss(key).await,
            Err(error) if self.asks(&error) => self.ask_user(key).await,
            answer => answer,
        }
    }

    fn asks(&self, error: &Error) -> bool {
        self.0.silent == Silent::AskServer && matches!(error, Error::Stale { .. } | Error::NotReady)
    }

    async fn ask_for_miss(&self, key: &UserKey) -> Result<Resolved> {
        let name = Name::read(key).ok_or(Error::UserNotFound)?;
        if self.0.state.is_missed(&name) {
            return Err(Error::UserNotFound);
        }
        let answer = self.ask_user(key).await;
        if answer
            .as_ref()
            .is_err_and(|e| e.is(ErrorReason::UserNotFound))
        {
            self.0.state.miss(name, MISS);
        }
        answer
    }

    async fn ask_user(&self, key: &UserKey) -> Result<Resolved> {
        let request = ResolveUserRequest {
            key: Some(key.clone()),
            allow_inactive: true,
            ..Default::default()
        };
        let answer = self.0.client.lookup().resolve_user(request).await?;
        let answer = answer.into_inner();
        let user = answer.user.ok_or(Error::UserNotFound)?;
        Ok(Resolved {
            id: Uuid::try_parse(&user.id).map_err(|_| Error::UserNotFound)?,
            access: Access::from(&answer.access.unwrap_or_default()),
            user: Some(Arc::new(user)),
        })
    }

    async fn ask_membership(&self, user: Uuid, group: Uuid) -> Result<Verdict> {
        let request = CheckMembershipRequest {
            user: Some(key::id(user.to_string())),
            groups: vec![key::group(group.to_string())],
            ..Default::default()
        };
        let answer = self.0.client.lookup().check_membership(request).await?;
        let result = answer.into_inner().results.into_iter().next();
        verdict(&result.ok_or(Error::GroupNotFound)?)
    }

    async fn ask_groups(&self, user: Uuid) -> Result<Vec<Membership>> {
        let request = GetEffectiveGroupsRequest {
            user: Some(key::id(user.to_string())),
            ..Default::default()
        };
        let answer = self.0.client.lookup().get_effective_groups(request).await?;
        let groups = answer.into_inner().groups.into_iter();
        let membership = |group: muster_proto::v1::GroupRef| {
            Some(Membership {
                group_id: Uuid::try_parse(&group.id).ok()?,
                display_name: Some(group.display_name.into()),
                indirect: group.indirect,
            })
        };
        Ok(groups.filter_map(membership).collect())
    }
}

/// What is held here, without asking anybody.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a>(&'a Inner);

impl Local<'_> {
    /// As [`Cache::check_membership`].
    ///
    /// # Errors
    /// As there; the directory is not asked.
    pub fn check_membership(&self, user: Uuid, group: Uuid) -> Result<Verdict> {
        self.read(|map| map.check(user.as_u128(), group.as_u128()))
    }

    /// As [`Cache::effective_groups`].
    ///
    /// # Errors
    /// As there; the directory is not asked.
    pub fn effective_groups(&self, user: Uuid) -> Result<Vec<Membership>> {
        let found = self.read(|map| map.groups_of(user.as_u128()))?;
        let membership = |found: Found| Membership {
            group_id: Uuid::from_u128(found.id),
            display_name: found.name,
            indirect: found.indirect,
        };
        Ok(found.into_iter().map(membership).collect())
    }

    /// As [`Cache::status`].
    ///
    /// # Errors
    /// As there; the directory is not asked.
    pub fn status(&self, user: Uuid) -> Result<Access> {
        self.read(|map| map.access(user.as_u128()))
    }

    /// As [`Cache::resolve_user`].
    ///
    /// # Errors
    /// As there; the directory is not asked.
    pub fn resolve_user(&self, key: &UserKey) -> Result<Resolved> {
        active(self.resolve_any_user(key)?)
    }

    /// As [`Cache::resolve_any_user`].
    ///
    /// # Errors
    /// As there; the directory is not asked.
    pub fn resolve_any_user(&self, key: &UserKey) -> Result<Resolved> {
        let name = Name::read(key).ok_or(Error::UserNotFound)?;
        if !self.0.values && !matches!(name, Name::Id(_)) {
            return Err(Error::NotKept("names of users"));
        }
        let (id, access, user) = self.read(|map| map.find(&name))?;
        Ok(Resolved {
            id: Uuid::from_u128(id),
            access,
            user,
        })
    }

    #[inline]
    fn read<T>(&self, read: impl FnOnce(&Map) -> Result<T>) -> Result<T> {
        let map = self.0.state.map()?;
        map.as_ref().map_or(Err(Error::NotReady), |map| read(map))
    }
}

fn active(found: Resolved) -> Result<Resolved> {
    match found.access.effective_active {
        true => Ok(found),
        false => Err(Error::UserInactive),
    }
}

impl From<&AccessStatus> for Access {
    fn from(status: &AccessStatus) -> Self {
        Self {
            effective_active: status.effective_active,
            inactive_reason: status.inactive_reason(),
            tokens_valid_after_ms: status.tokens_valid_after.map(millis),
        }
    }
}

/// The verdict of an answer.
///
/// # Errors
/// [`Error::GroupNotFound`] and what else stands in its place.
pub(crate) fn verdict(result: &muster_proto::v1::MembershipResult) -> Result<Verdict> {
    use membership_result::Verdict as Told;
    match result.verdict() {
        Told::NotMember => Ok(Verdict::NotMember),
        Told::DirectMember => Ok(Verdict::Direct),
        Told::TransitiveMember => Ok(Verdict::Transitive),
        Told::UserInactive => Ok(Verdict::UserInactive),
        Told::Unspecified => {
            let error = result.error.clone().unwrap_or_default();
            Err(Error::Refused(Box::new(Refused::from_rpc(&error))))
        }
    }
}
