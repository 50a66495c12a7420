//! A resource with what its representation says about others.

use muster_proto::{schema::ENTERPRISE_USER, value::Value};

use crate::{
    domain::{Resource, resource::ResourceKind},
    error::Result,
    storage::{
        Scope, Tx,
        relations::{GroupRef, display_names, groups_of},
    },
};

/// A resource as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The resource.
    pub resource: Resource,
    /// Of a user: the groups he is a direct member of, when wanted.
    pub groups: Vec<GroupRef>,
    /// Of a user: his manager's display name, when wanted and known.
    pub manager_name: Option<String>,
}

/// Which relations a caller wants to see. Those he does not are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// `groups` of users.
    pub groups: bool,
    /// The manager's display name.
    pub manager_name: bool,
}

impl Wants {
    /// All of them.
    pub const ALL: Self = Self {
        groups: true,
        manager_name: true,
    };
}

/// Looks up the relations of a page of resources, each kind in one query.
pub(super) async fn views(
    tx: &Tx,
    scope: Scope<'_>,
    resources: Vec<Resource>,
    wants: Wants,
) -> Result<Vec<View>> {
    let users = resources.iter().filter(|r| r.kind == ResourceKind::User);
    let ids: Vec<_> = users
        .clone()
        .filter(|_| wants.groups)
        .map(|r| r.id.as_str())
        .collect();
    let managers: Vec<_> = users
        .filter(|_| wants.manager_name)
        .filter_map(manager)
        .collect();
    let mut groups = groups_of(tx, scope, &ids).await?;
    let names = display_names(tx, scope, &managers).await?;
    let view = |resource: Resource| View {
        groups: groups.remove(&resource.id).unwrap_or_default(),
        manager_name: manager(&resource).and_then(|id| names.get(id).cloned()),
        resource,
    };
    Ok(resources.into_iter().map(view).collect())
}

/// The view of one resource.
pub(super) async fn view(
    tx: &Tx,
    scope: Scope<'_>,
    resource: Resource,
    wants: Wants,
) -> Result<View> {
    let mut views = views(tx, scope, vec![resource], wants).await?;
    views
        .pop()
        .ok_or_else(|| crate::error::Error::internal("one resource makes one view"))
}

fn manager(resource: &Resource) -> Option<&str> {
    let extension = resource.attributes.get(ENTERPRISE_USER)?.as_object()?;
    extension
        .get("manager")?
        .as_object()?
        .get("value")
        .and_then(Value::as_str)
}
