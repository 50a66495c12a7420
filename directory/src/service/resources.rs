//! Users and groups alike: create, get, list, patch, replace, delete.

use muster_proto::value::Object;

use super::{Directory, view::View};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        filter::Filter,
        history::{AuditEntry, Change, ChangeKind},
        page::{Page, PageRequest},
        patch::{self, Operation},
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx, history,
        relations::{Relations, Wants},
        resources::{self, Found},
    },
};

/// What a write ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The resource afterwards.
    pub view: View,
    /// The tenant's revision; `None` when nothing differed and so nothing was
    /// written.
    pub revision: Option<i64>,
}

impl Directory {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`], [`Error::Taken`].
    pub async fn create_user(&self, caller: &Caller, attributes: Object) -> Result<Written> {
        let (id, now) = (self.source.new_id(), self.source.now_ms());
        let user = Resource::new(ResourceKind::User, id, attributes, now)?;
        self.store
            .transact("create_user", |tx| {
                let user = user.clone();
                async move {
                    let scope = caller.scope();
                    resources::insert(&tx, scope, &user).await?;
                    let changes = [Change::of(ChangeKind::Created, &user)];
                    let revision = record(&tx, caller, "CreateUser", &user, &changes).await?;
                    // A new user is in no group.
                    let relations = Relations::default();
                    let view = View::after(&tx, scope, None, user, relations).await?;
                    Ok(Written {
                        view,
                        revision: Some(revision),
                    })
                }
            })
            .await
    }

    /// Reads a resource by id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        wants: Wants,
    ) -> Result<View> {
        let tx = self.store.single();
        let found = resources::load(&tx, caller.scope(), kind, id, wants).await?;
        let found = found.ok_or_else(|| kind.not_found(id))?;
        Ok(found.into())
    }

    /// Lists resources in the order of their ids.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`] for a filter that is too large.
    pub async fn list(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        filter: Option<&Filter>,
        page: &PageRequest,
        wants: Wants,
    ) -> Result<Page<View>> {
        filter.map_or(Ok(()), Filter::check_size)?;
        let tx = self.store.snapshot().await?;
        let found = resources::list(&tx, caller.scope(), kind, filter, page, wants).await?;
        Ok(found.map(Into::into))
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
        self.edit_user(caller, "PatchUser", id, precondition, wants, |user| {
            patch::apply(user, operations.clone())
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
        self.edit_user(
            caller,
            "ReplaceUser",
            id,
            precondition,
            Wants::ALL,
            |user| user.replace(attributes.clone()),
        )
        .await
    }

    async fn edit_user(
        &self,
        caller: &Caller,
        method: &'static str,
        id: &str,
        precondition: &Precondition,
        wants: Wants,
        edit: impl Fn(&mut Resource) -> Result<()>,
    ) -> Result<Written> {
        let now = self.source.now_ms();
        let edit = &edit;
        self.store
            .transact(method, |tx| async move {
                let scope = caller.scope();
                let kind = ResourceKind::User;
                let (before, relations) = load(&tx, caller, kind, id, precondition, wants).await?;
                let mut after = before.clone();
                edit(&mut after)?;
                if after.attributes == before.attributes {
                    return Ok(Written {
                        view: (after, relations).into(),
                        revision: None,
                    });
                }
                advance(&mut after, now);
                resources::update(&tx, scope, &before, &after).await?;
                let changes = [Change::between(&before, &after)];
                let revision = record(&tx, caller, method, &after, &changes).await?;
                let view = View::after(&tx, scope, Some(&before), after, relations).await?;
                Ok(Written {
                    view,
                    revision: Some(revision),
                })
            })
            .await
    }

    /// Deletes a resource; the tenant's revision, or `None` when it was
    /// missing and that is allowed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`].
    pub async fn delete(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        precondition: &Precondition,
        allow_missing: bool,
    ) -> Result<Option<i64>> {
        let method = match kind {
            ResourceKind::User => "DeleteUser",
            ResourceKind::Group => "DeleteGroup",
        };
        let now = self.source.now_ms();
        self.store
            .transact(method, |tx| async move {
                let found = load(&tx, caller, kind, id, precondition, Wants::NONE).await;
                let (mut resource, _) = match found {
                    Err(Error::NotFound { .. }) if allow_missing => return Ok(None),
                    found => found?,
                };
                advance(&mut resource, now);
                resources::delete(&tx, &resource).await?;
                let changes = [Change::of(ChangeKind::Deleted, &resource)];
                record(&tx, caller, method, &resource, &changes)
                    .await
                    .map(Some)
            })
            .await
    }
}

/// The resource that a write is about, its precondition checked.
pub(super) async fn load(
    tx: &Tx,
    caller: &Caller,
    kind: ResourceKind,
    id: &str,
    precondition: &Precondition,
    wants: Wants,
) -> Result<Found> {
    let found = resources::load(tx, caller.scope(), kind, id, wants).await?;
    let found = found.ok_or_else(|| kind.not_found(id))?;
    precondition.check(found.0.version)?;
    Ok(found)
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
) -> Result<i64> {
    let mut changed: Vec<_> = changes
        .iter()
        .flat_map(|change| change.changed_attributes.iter().cloned())
        .collect();
    if changes.iter().any(|change| change.member_id.is_some()) {
        changed.push("members".to_owned());
    }
    let entry = AuditEntry {
        actor: caller.actor(),
        method,
        resource_type: resource.kind.into(),
        resource_id: resource.id.clone(),
        changed_attributes: changed,
    };
    history::record(tx, &caller.tenant_id, &entry, changes, resource.updated_at).await
}
