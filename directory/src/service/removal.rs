//! What a deletion does: a user goes softly, for good, or stays and is not active; and
//! how what is gone comes back.

use super::{
    leaving,
    resources::{Deleted, Target, Written, advance, check_profile, record},
    revocation::regard_access,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        history::{Change, ChangeKind},
        policy::{OnDelete, Policy},
        report::{Outcome, Report},
        resource::ResourceKind,
    },
    error::{Error, Result},
    storage::{
        Tx, history, members,
        relations::Wants,
        resources::{self, Reach},
        tenants,
    },
};

impl Target {
    /// Deletes the resource, as its connection's policy has it.
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
        match on_delete {
            _ if held => self.deactivate(tx, &before, resource, method, now).await,
            OnDelete::Deactivate => self.deactivate(tx, &before, resource, method, now).await,
            OnDelete::Soft => {
                advance(&mut resource, now);
                resource.deleted_at = Some(resource.updated_at);
                regard_access(tx, caller, &before, &mut resource, now).await?;
                resources::delete(tx, &resource).await?;
                let deleted_at = resource.deleted_at;
                self.gone(tx, &resource, (method, ChangeKind::Deleted), deleted_at)
                    .await
            }
            OnDelete::Hard => {
                advance(&mut resource, now);
                resources::purge(tx, self.kind, &resource.id).await?;
                history::change_access(tx, &caller.tenant_id).await?;
                self.gone(tx, &resource, (method, ChangeKind::Purged), None)
                    .await
            }
        }
    }

    async fn gone(
        &self,
        tx: &Tx,
        resource: &Resource,
        (method, kind): (&'static str, ChangeKind),
        deleted_at: Option<i64>,
    ) -> Result<Deleted> {
        let changes = [Change::of(kind, resource)];
        let position = record(tx, &self.caller, method, resource, &changes).await?;
        Ok(Deleted {
            position: Some(position),
            deleted_at,
            report: Report::of(Outcome::Deleted),
        })
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

    /// Brings the resource back, if it is deleted.
    pub(super) async fn undelete(
        &self,
        tx: &Tx,
        method: &'static str,
        now: i64,
    ) -> Result<Written> {
        check_profile(tx, &self.caller)?;
        let (mut resource, relations) = self.load(tx, Reach::Deleted, Wants::ALL).await?;
        if resource.deleted_at.take().is_none() {
            return Ok(Written {
                view: (resource, relations).into(),
                position: None,
                report: Report::default(),
            });
        }
        advance(&mut resource, now);
        resources::restore(tx, self.caller.scope(), &resource).await?;
        let mut changes = vec![Change::of(ChangeKind::Undeleted, &resource)];
        let edges = members::edges_of(tx, &resource.id).await?;
        changes.extend(edges.into_iter().map(Change::restored));
        let position = record(tx, &self.caller, method, &resource, &changes).await?;
        Ok(Written {
            view: (resource, relations).into(),
            position: Some(position),
            report: Report::of(Outcome::Created),
        })
    }
}

/// Checks that no connection's new users join this group.
///
/// # Errors
/// [`Error::GroupInUse`].
pub(super) async fn check_unused(tx: &Tx, caller: &Caller, group_id: &str) -> Result<()> {
    let connections = tenants::list_connections(tx, &caller.tenant_id).await?;
    let joins = |policy: &Policy| policy.default_groups.iter().any(|id| id == group_id);
    match connections.into_iter().find(|one| joins(&one.policy)) {
        Some(connection) => Err(Error::GroupInUse(connection.name)),
        None => Ok(()),
    }
}
