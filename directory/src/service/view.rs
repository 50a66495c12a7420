//! A resource with what its representation says about others.

use crate::{
    domain::Resource,
    error::Result,
    storage::{
        Scope, Tx,
        relations::{Relations, display_name},
        resources::Found,
    },
};

/// A resource as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The resource.
    pub resource: Resource,
    /// What it says about others.
    pub relations: Relations,
}

impl From<Found> for View {
    fn from((resource, relations): Found) -> Self {
        Self {
            resource,
            relations,
        }
    }
}

impl View {
    /// A resource that says nothing about others.
    pub(super) fn plain(resource: Resource) -> Self {
        (resource, Relations::default()).into()
    }

    /// The view of a user after a write, from the relations before it. Of
    /// these, a write to the user changes only who his manager is.
    pub(super) async fn after(
        tx: &Tx,
        scope: Scope<'_>,
        before: Option<&Resource>,
        after: Resource,
        mut relations: Relations,
    ) -> Result<Self> {
        let now = after.manager_id();
        let is_his_own = now == Some(after.id.as_str());
        if is_his_own || before.and_then(Resource::manager_id) != now {
            relations.manager_name = match now {
                Some(id) => display_name(tx, scope, id).await?,
                None => None,
            };
        }
        Ok((after, relations).into())
    }
}
