//! Users and groups alike: create, get, list, patch, replace, delete, restore,
//! purge.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use muster_proto::value::Object;

use super::{
    Directory, joining, leaving,
    reading::{Consistency, Reading},
    removal::check_unused,
    revocation::regard_access,
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        filter::Filter,
        history::{AuditEntry, Change, ChangeKind, Position},
        page::{Page, PageRequest},
        patch::{self, Operation},
        report::{Ignored, Report},
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx, history,
        relations::Wants,
        resources::{self, Found, Reach, Selection},
    },
};

/// What a write ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The resource afterwards.
    pub view: View,
    /// The tenant's position; `None` when nothing differed and so nothing was
    /// written.
    pub position: Option<Position>,
    /// What it came to.
    pub report: Report,
}

/// What a deletion ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The tenant's position; `None` when nothing differed.
    pub position: Option<Position>,
    /// When, in milliseconds since the Unix epoch; `None` for what is not to come
    /// back, and for who is not active instead.
    pub deleted_at: Option<i64>,
    /// What it came to.
    pub report: Report,
}

/// What is to be read of which resource.
#[derive(Debug, Clone, Copy)]
pub struct Get<'a> {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id.
    pub id: &'a str,
    /// Whether a deleted one counts.
    pub reach: Reach,
    /// What it says about others.
    pub wants: Wants,
}

impl Directory {
    /// Creates a user, or takes over the one whom the connection's policy finds.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`], [`Error::Taken`],
    /// [`Error::ValueTaken`].
    pub async fn create_user(&self, caller: &Caller, attributes: Object) -> Result<Written> {
        caller.require_unbound("users.write")?;
        caller.profile.policy.require_active(&attributes)?;
        let (id, now) = (self.source.new_id(), self.source.now_ms());
        let mut user = Resource::new(
            ResourceKind::User,
            caller.profile.registry.user,
            id,
            attributes,
            now,
        )?;
        user.owner = caller.connection().map(ToOwned::to_owned);
        let work = Arc::new((caller.clone(), user));
        self.store
            .write(&caller.tenant_id, "CreateUser", move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (caller, user) = &*work;
                    check_profile(&tx, caller)?;
                    joining::create(&tx, caller, user.clone(), now).await
                }
            })
            .await
    }

    /// Reads a resource by id.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the consistency.
    pub async fn get(
        &self,
        caller: &Caller,
        get: Get<'_>,
        consistency: &Consistency,
    ) -> Result<Reading<View>> {
        caller.reach(get.kind, get.id)?;
        let Get {
            kind, id, reach, ..
        } = get;
        if caller.knows(kind).is_err() {
            return Err(kind.not_found(id));
        }
        let wants = caller.seen(get.wants);
        let scope = caller.scope();
        let found = match (consistency, wants.members_up_to) {
            (Consistency::Strong, 0) => self.store.load_now(scope, kind, id, reach, wants).await?,
            // Apart, so that the usual read is not as large as this.
            _ => {
                let view = Box::pin(async {
                    let tx = self.one_moment(caller, consistency).await?;
                    resources::load(&tx, scope, kind, id, reach, wants).await
                });
                view.await?
            }
        };
        let (found, at) = found.ok_or_else(|| kind.not_found(id))?;
        Ok(Reading {
            value: found.into(),
            at,
        })
    }

    /// Reads resources by their ids; what is gone is left out.
    ///
    /// # Errors
    /// The database's.
    pub async fn get_many(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        ids: BTreeSet<String>,
    ) -> Result<HashMap<String, Resource>> {
        let (tx, scope) = (self.store.single(), caller.scope());
        let found = resources::load_many(&tx, scope, kind, ids.into_iter().collect()).await?;
        let by_id = |resource: Resource| (resource.id.clone(), resource);
        Ok(found.into_iter().map(by_id).collect())
    }

    /// Lists resources, unless told otherwise in the order of their ids.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`] for a filter that is too large, and those of
    /// the consistency.
    pub async fn list(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        selection: &Selection<'_>,
        page: &PageRequest,
        consistency: &Consistency,
    ) -> Result<Reading<Page<View>>> {
        selection.filter.map_or(Ok(()), Filter::check_size)?;
        let selection = Selection {
            wants: caller.seen(selection.wants),
            ..*selection
        };
        let tx = self.one_moment(caller, consistency).await?;
        if caller.knows(kind).is_err() {
            let at = history::position(&tx, &caller.tenant_id).await?;
            let at = at.ok_or_else(|| Error::internal("a tenant has no head"))?;
            return Ok(Reading {
                value: Page::empty(),
                at,
            });
        }
        let found = resources::list(&tx, caller.scope(), kind, &selection, page);
        let (found, at) = found.await?;
        Ok(Reading {
            value: found.map(Into::into),
            at,
        })
    }

    /// Lists resources of several kinds together: in one order where they are
    /// sorted, else users first, each kind in the order of its ids.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn search(
        &self,
        caller: &Caller,
        selections: &[(ResourceKind, Selection<'_>)],
        page: &PageRequest,
        consistency: &Consistency,
    ) -> Result<Reading<Page<View>>> {
        for (_, selection) in selections {
            selection.filter.map_or(Ok(()), Filter::check_size)?;
        }
        let known = selections
            .iter()
            .filter(|(kind, _)| caller.knows(*kind).is_ok());
        let known = known.map(|(kind, selection)| {
            let wants = caller.seen(selection.wants);
            (
                *kind,
                Selection {
                    wants,
                    ..*selection
                },
            )
        });
        let known: Vec<_> = known.collect();
        let tx = self.one_moment(caller, consistency).await?;
        let (found, at) = resources::search(&tx, caller.scope(), &known, page).await?;
        Ok(Reading {
            value: found.map(Into::into),
            at,
        })
    }

    /// Applies PATCH operations to a user, all or none.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Taken`] and
    /// those of [`patch::apply`].
    pub async fn patch_user(
        &self,
        caller: &Caller,
        id: &str,
        operations: Vec<Operation>,
        precondition: &Precondition,
        wants: Wants,
    ) -> Result<Written> {
        let target = Target::new(caller, ResourceKind::User, id, precondition);
        let schema = caller.profile.registry.user;
        let edit = Edit {
            method: "PatchUser",
            wants,
            speaks_of_active: operations.iter().any(|one| one.is_about("active")),
        };
        self.edit_user(target, edit, move |user| {
            patch::apply(user, operations.clone(), schema)
        })
        .await
    }

    /// Replaces all attributes of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Taken`],
    /// [`Error::Invalid`], [`Error::Required`].
    pub async fn replace_user(
        &self,
        caller: &Caller,
        id: &str,
        attributes: Object,
        precondition: &Precondition,
    ) -> Result<Written> {
        let target = Target::new(caller, ResourceKind::User, id, precondition);
        let schema = caller.profile.registry.user;
        let edit = Edit {
            method: "ReplaceUser",
            wants: Wants::ALL,
            speaks_of_active: attributes.contains_key("active"),
        };
        self.edit_user(target, edit, move |user| {
            user.replace(attributes.clone(), schema)
        })
        .await
    }

    async fn edit_user(
        &self,
        target: Target,
        edit: Edit,
        change: impl Fn(&mut Resource) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Written> {
        let now = self.source.now_ms();
        let tenant = target.caller.tenant_id.clone();
        let work = Arc::new((target, change));
        self.store
            .write(&tenant, edit.method, move |tx| {
                let work = Arc::clone(&work);
                async move { edit.run(&tx, &work.0, &work.1, now).await }
            })
            .await
    }

    /// Deletes a resource, as its connection's policy has it; `None` when it was
    /// missing and that is allowed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Protected`],
    /// [`Error::GroupsDisabled`], [`Error::GroupInUse`].
    pub async fn delete(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        precondition: &Precondition,
        allow_missing: bool,
    ) -> Result<Option<Deleted>> {
        caller.knows(kind)?;
        let method = match kind {
            ResourceKind::User => "DeleteUser",
            ResourceKind::Group => "DeleteGroup",
        };
        let now = self.source.now_ms();
        let target = Arc::new(Target::new(caller, kind, id, precondition));
        self.store
            .write(&caller.tenant_id, method, move |tx| {
                let target = Arc::clone(&target);
                async move {
                    match target.load(&tx, Reach::Live, Wants::NONE).await {
                        Err(Error::NotFound { .. }) if allow_missing => Ok(None),
                        Err(error) => Err(error),
                        Ok((resource, _)) => {
                            target.delete(&tx, resource, method, now).await.map(Some)
                        }
                    }
                }
            })
            .await
    }

    /// Brings a deleted resource back with everything it had; one that is not
    /// deleted stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Taken`],
    /// [`Error::GroupsDisabled`].
    pub async fn undelete(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        precondition: &Precondition,
    ) -> Result<Written> {
        caller.require_unbound("users.write")?;
        caller.knows(kind)?;
        let method = match kind {
            ResourceKind::User => "UndeleteUser",
            ResourceKind::Group => "UndeleteGroup",
        };
        let now = self.source.now_ms();
        let target = Arc::new(Target::new(caller, kind, id, precondition));
        self.store
            .write(&caller.tenant_id, method, move |tx| {
                let target = Arc::clone(&target);
                async move { target.undelete(&tx, method, now).await }
            })
            .await
    }

    /// Removes a resource for good, deleted before or not.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::GroupsDisabled`],
    /// [`Error::GroupInUse`], and [`Error::Required`] without a precondition: nothing
    /// is purged unseen.
    pub async fn purge(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        precondition: &Precondition,
    ) -> Result<Position> {
        if precondition.is_free() {
            return Err(Error::Required("options.if_match"));
        }
        caller.knows(kind)?;
        let method = purge_method(kind);
        let now = self.source.now_ms();
        let target = Arc::new(Target::new(caller, kind, id, precondition));
        self.store
            .write(&caller.tenant_id, method, move |tx| {
                let target = Arc::clone(&target);
                async move {
                    let found = target.load(&tx, Reach::Deleted, Wants::NONE).await?;
                    let mut resource = found.0;
                    if kind == ResourceKind::Group {
                        check_unused(&tx, &target.caller, &resource.id).await?;
                    }
                    advance(&mut resource, now);
                    resources::purge(&tx, kind, &resource.id).await?;
                    history::change_access(&tx, &target.caller.tenant_id).await?;
                    let changes = [Change::of(ChangeKind::Purged, &resource)];
                    record(&tx, &target.caller, method, &resource, &changes).await
                }
            })
            .await
    }
}

pub(super) fn purge_method(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "PurgeUser",
        ResourceKind::Group => "PurgeGroup",
    }
}

/// How attributes of a user are changed.
#[derive(Debug, Clone, Copy)]
struct Edit {
    method: &'static str,
    wants: Wants,
    /// Whether the request says if the user is active.
    speaks_of_active: bool,
}

impl Edit {
    async fn run(
        self,
        tx: &Tx,
        target: &Target,
        change: &(impl Fn(&mut Resource) -> Result<()> + Sync),
        now: i64,
    ) -> Result<Written> {
        let (caller, scope) = (&target.caller, target.caller.scope());
        check_profile(tx, caller)?;
        let wants = caller.seen(self.wants);
        let (before, relations) = target.load(tx, Reach::Live, wants).await?;
        let mut after = before.clone();
        change(&mut after)?;
        caller.may_change(&after.changed_attributes(&before))?;
        let ignored = target.admit(&before, &mut after, self.speaks_of_active)?;
        let held = leaving::regard(tx, caller, &before, &mut after, now).await?;
        let report = Report {
            ignored,
            held,
            ..Report::between(&before, &after)
        };
        if after.attributes == before.attributes {
            return Ok(Written {
                view: (after, relations).into(),
                position: None,
                report,
            });
        }
        advance(&mut after, now);
        regard_access(tx, caller, &before, &mut after, now).await?;
        resources::update(tx, scope, &before, &after).await?;
        let changes = [Change::between(&before, &after)];
        let position = record(tx, caller, self.method, &after, &changes).await?;
        let view = View::after(tx, scope, Some(&before), after, relations).await?;
        Ok(Written {
            view,
            position: Some(position),
            report,
        })
    }
}

/// The resource that a write is about, and who writes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) caller: Caller,
    pub(super) kind: ResourceKind,
    pub(super) id: String,
    precondition: Precondition,
}

impl Target {
    pub(super) fn new(
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        precondition: &Precondition,
    ) -> Self {
        Self {
            caller: caller.clone(),
            kind,
            id: id.to_owned(),
            precondition: precondition.clone(),
        }
    }

    /// The resource, its precondition checked.
    pub(super) async fn load(&self, tx: &Tx, reach: Reach, wants: Wants) -> Result<Found> {
        self.caller.reach(self.kind, &self.id)?;
        let scope = self.caller.scope();
        let found = resources::load(tx, scope, self.kind, &self.id, reach, wants).await?;
        let (found, _) = found.ok_or_else(|| self.kind.not_found(&self.id))?;
        self.precondition.check(found.0.version)?;
        Ok(found)
    }

    /// Leaves in a user what the connection's policy lets through.
    fn admit(
        &self,
        before: &Resource,
        after: &mut Resource,
        speaks_of_active: bool,
    ) -> Result<Vec<Ignored>> {
        if self.caller.connection().is_none() {
            return Ok(Vec::new());
        }
        let policy = &self.caller.profile.policy;
        let ignored = policy.admit(Some(before), after, speaks_of_active)?;
        after.check(self.caller.scope().registry.user)?;
        Ok(ignored)
    }
}

/// Checks that what the caller sent was read by the tenant's schemas as they
/// are: one may have been registered since he was let in.
///
/// # Errors
/// [`Error::ProfileStale`], or [`Error::Conflict`] for who named no profile.
pub(super) fn check_profile(tx: &Tx, caller: &Caller) -> Result<()> {
    let version = history::schema_version(tx, &caller.tenant_id)?;
    match version == caller.profile.schema_version {
        true => Ok(()),
        false if caller.profile.is_named => Err(Error::ProfileStale),
        // The same call will be read by the new ones.
        false => Err(Error::Conflict),
    }
}

/// Makes the next version. Time never runs backwards for a resource.
pub(super) fn advance(resource: &mut Resource, now_ms: i64) {
    resource.version += 1;
    resource.updated_at = resource.updated_at.max(now_ms);
}

/// Records a write to a resource.
pub(super) async fn record(
    tx: &Tx,
    caller: &Caller,
    method: &'static str,
    resource: &Resource,
    changes: &[Change],
) -> Result<Position> {
    let mut changed: Vec<_> = changes
        .iter()
        .flat_map(|change| change.changed_attributes.iter().cloned())
        .collect();
    if changes.iter().any(|change| change.member_id.is_some()) {
        changed.push("members".to_owned());
    }
    let entry = AuditEntry {
        actor: caller.actor(),
        method: method.into(),
        resource_type: resource.kind.into(),
        resource_id: resource.id.clone(),
        changed_attributes: changed,
        request_id: caller.request_id.clone(),
        refusal: None,
    };
    history::record(tx, &caller.tenant_id, &entry, changes, resource.updated_at).await
}
