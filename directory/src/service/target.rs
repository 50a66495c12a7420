//! One user or group in a transaction: loaded, changed as his connection's policy has
//! it, deleted, brought back, recorded.

use super::{
    leaving,
    resources::{Deleted, Written},
    revocation::regard_access,
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        history::{AuditEntry, Change, ChangeKind, Position},
        policy::{OnDelete, Policy, Said},
        report::{Ignored, Outcome, Report},
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx, held, history, members,
        relations::Wants,
        resources::{self, Found, Reach},
        tenants,
    },
};

/// How attributes of a user are changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit {
    /// The name of the use case.
    pub(super) method: &'static str,
    pub(super) wants: Wants,
    /// How the request speaks of the user.
    pub(super) said: Said,
}

impl Edit {
    pub(super) async fn run(
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
        let mut ignored = target.admit(&before, &mut after, self.said)?;
        let (pair, speaks) = ((&before, &mut after), self.said.active);
        let held = leaving::regard(tx, caller, pair, speaks, &mut ignored, now).await?;
        let report = Report {
            ignored,
            held,
            ..Report::between(&before, &after)
        };
        if after.attributes == before.attributes && after.access == before.access {
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
    kind: ResourceKind,
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
    fn admit(&self, before: &Resource, after: &mut Resource, said: Said) -> Result<Vec<Ignored>> {
        if self.caller.connection().is_none() {
            return Ok(Vec::new());
        }
        let policy = &self.caller.profile.policy;
        let ignored = policy.admit(Some(before), after, said)?;
        after.check(self.caller.scope().registry.user)?;
        Ok(ignored)
    }

    pub(super) async fn delete(
        &self,
        tx: &Tx,
        mut resource: Resource,
        method: &'static str,
        now: i64,
    ) -> Result<Deleted> {
        let caller = &self.caller;
        let before = resource.clone();
        let held = match self.kind {
            ResourceKind::User => leaving::regard_deletion(tx, caller, &mut resource, now).await?,
            ResourceKind::Group => {
                check_unused(tx, caller, &resource.id).await?;
                false
            }
        };
        let on_delete = match (self.kind, caller.connection()) {
            (ResourceKind::User, Some(_)) => caller.profile.policy.on_delete,
            _ => OnDelete::Soft,
        };
        if held || on_delete == OnDelete::Deactivate {
            return self.deactivate(tx, &before, resource, method, now).await;
        }
        advance(&mut resource, now);
        if on_delete == OnDelete::Soft {
            resource.deleted_at = Some(resource.updated_at);
            regard_access(tx, caller, &before, &mut resource, now).await?;
        }
        let change = carry_out(tx, caller, on_delete, &mut resource).await?;
        let changes: Vec<_> = change.into_iter().collect();
        let position = record(tx, caller, method, &resource, &changes).await?;
        Ok(Deleted {
            position: Some(position),
            deleted_at: resource.deleted_at,
            report: Report::of(Outcome::Deleted),
        })
    }

    /// Checks that a provisioning client brings back its own alone.
    fn claim(&self, resource: &Resource) -> Result<()> {
        let Some(own) = self.caller.connection() else {
            return Ok(());
        };
        let is_own = resource.owner.as_deref() == Some(own)
            || resource.text("externalId").is_some()
            || self.caller.profile.policy.match_foreign;
        match is_own {
            true => Ok(()),
            false => Err(self.kind.not_found(&self.id)),
        }
    }

    /// Makes a user inactive who is not to be deleted, or not yet.
    async fn deactivate(
        &self,
        tx: &Tx,
        before: &Resource,
        mut after: Resource,
        method: &'static str,
        now: i64,
    ) -> Result<Deleted> {
        after.attributes.insert("active".to_owned(), false.into());
        let report = Report {
            held: after.access.held_at.is_some(),
            ..Report::between(before, &after)
        };
        if after.attributes == before.attributes {
            return Ok(Deleted {
                position: None,
                deleted_at: None,
                report,
            });
        }
        let caller = &self.caller;
        advance(&mut after, now);
        regard_access(tx, caller, before, &mut after, now).await?;
        resources::update(tx, caller.scope(), before, &after).await?;
        let changes = [Change::between(before, &after)];
        let position = record(tx, caller, method, &after, &changes).await?;
        Ok(Deleted {
            position: Some(position),
            deleted_at: None,
            report,
        })
    }

    pub(super) async fn undelete(
        &self,
        tx: &Tx,
        method: &'static str,
        now: i64,
    ) -> Result<Written> {
        check_profile(tx, &self.caller)?;
        let wants = self.caller.seen(Wants::ALL);
        let (mut resource, relations) = self.load(tx, Reach::Deleted, wants).await?;
        self.claim(&resource)?;
        if resource.deleted_at.take().is_none() {
            return Ok(Written {
                view: (resource, relations).into(),
                position: None,
                report: Report::default(),
            });
        }
        advance(&mut resource, now);
        resources::restore(tx, self.caller.scope(), &resource).await?;
        if resource.active() {
            held::forget_noted(tx, &resource.id).await?;
        }
        let mut changes = vec![Change::of(ChangeKind::Undeleted, &resource)];
        let edges = members::edges_of(tx, &resource.id).await?;
        changes.extend(
            edges
                .into_iter()
                .map(|edge| Change::restored(edge, &resource)),
        );
        let position = record(tx, &self.caller, method, &resource, &changes).await?;
        Ok(Written {
            view: (resource, relations).into(),
            position: Some(position),
            report: Report::of(Outcome::Created),
        })
    }
}

/// Does what a deletion does; what changed then.
pub(super) async fn carry_out(
    tx: &Tx,
    caller: &Caller,
    on_delete: OnDelete,
    resource: &mut Resource,
) -> Result<Option<Change>> {
    match on_delete {
        OnDelete::Deactivate => Ok(None),
        OnDelete::Soft => {
            resource.deleted_at.get_or_insert(resource.updated_at);
            resources::delete(tx, resource).await?;
            Ok(Some(Change::of(ChangeKind::Deleted, resource)))
        }
        OnDelete::Hard => {
            resources::purge(tx, resource.kind, &resource.id).await?;
            history::change_access(tx, &caller.tenant_id).await?;
            Ok(Some(Change::of(ChangeKind::Purged, resource)))
        }
    }
}

/// Checks that no connection's new users join this group.
///
/// # Errors
/// [`Error::GroupInUse`].
pub(super) async fn check_unused(tx: &Tx, caller: &Caller, group_id: &str) -> Result<()> {
    let named = tenants::policies_naming(tx, &caller.tenant_id, group_id).await?;
    let joins = |policy: &Policy| policy.default_groups.iter().any(|id| id == group_id);
    match named.into_iter().find(|(_, policy)| joins(policy)) {
        Some((connection, _)) => Err(Error::GroupInUse(connection)),
        None => Ok(()),
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
