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
    replays::Write,
    target::{Edit, Target, advance, check_profile, check_unused, record},
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        history::{Change, ChangeKind, Position},
        page::{Page, PageRequest},
        patch::{self, Operation},
        policy::Said,
        report::Report,
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        history,
        relations::Wants,
        resources::{self, Reach, Selection},
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
        let says_active = attributes.contains_key("active");
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
        self.once(caller, Write::of("CreateUser"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, user) = &*work;
                check_profile(&tx, caller)?;
                joining::create(&tx, caller, user.clone(), says_active, now).await
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
            (Consistency::Strong, 0) => {
                let kept = self.store.load_now(scope, kind, id, reach, wants).await?;
                kept.map(|kept| ((*kept.found).clone(), kept.at.clone()))
            }
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
        let ids = ids.into_iter().collect();
        let found = resources::load_many(&tx, scope, kind, ids, Wants::NONE).await?;
        let by_id = |(resource, _): (Resource, _)| (resource.id.clone(), resource);
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
        check_filter(caller, selection)?;
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
            check_filter(caller, selection)?;
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
            said: Said {
                active: operations.iter().any(|one| one.is_about("active")),
                whole: false,
            },
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
            said: Said {
                active: attributes.contains_key("active"),
                whole: true,
            },
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
        let caller = target.caller.clone();
        let work = Arc::new((target, change));
        self.once(
            &caller,
            Write::showing(edit.method, edit.wants),
            move |tx| {
                let work = Arc::clone(&work);
                async move { edit.run(&tx, &work.0, &work.1, now).await }
            },
        )
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
        self.once(caller, Write::of(method), move |tx| {
            let target = Arc::clone(&target);
            async move {
                match target.load(&tx, Reach::Live, Wants::NONE).await {
                    Err(Error::NotFound { .. }) if allow_missing => Ok(None),
                    Err(error) => Err(error),
                    Ok((resource, _)) => target.delete(&tx, resource, method, now).await.map(Some),
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
        self.once(caller, Write::of(method), move |tx| {
            let target = Arc::clone(&target);
            async move { target.undelete(&tx, method, now).await }
        })
        .await
    }

    /// Removes a resource for good, deleted before or not.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::GroupsDisabled`],
    /// [`Error::GroupInUse`], [`Error::Protected`] also for whom a guard would let wait,
    /// and [`Error::Required`] without a precondition: nothing
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
        self.once(caller, Write::of(method), move |tx| {
            let target = Arc::clone(&target);
            async move {
                let found = target.load(&tx, Reach::Deleted, Wants::NONE).await?;
                let mut resource = found.0;
                match kind {
                    ResourceKind::Group => {
                        check_unused(&tx, &target.caller, &resource.id).await?;
                    }
                    ResourceKind::User => {
                        leaving::check_purge(&tx, &target.caller, &resource, now).await?;
                    }
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

/// Checks what is looked for: who is shown no groups does not find people by them.
fn check_filter(caller: &Caller, selection: &Selection<'_>) -> Result<()> {
    let Some(filter) = selection.filter else {
        return Ok(());
    };
    filter.check_size()?;
    match caller.knows(ResourceKind::Group) {
        Err(error) if filter.is_about("groups") => Err(Error::FilterInvalid(error.to_string())),
        _ => Ok(()),
    }
}

pub(super) fn purge_method(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "PurgeUser",
        ResourceKind::Group => "PurgeGroup",
    }
}
