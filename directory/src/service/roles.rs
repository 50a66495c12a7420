//! Roles that a connection's policy gives with groups.

use super::{Directory, admin::not_found, reading::Consistency};
use crate::{
    auth::Caller,
    domain::{Kind, fold::fold, policy::GroupRole, resource::ResourceKind},
    error::Result,
    storage::{
        relations::Wants,
        resources::{self, Reach},
        tenants,
    },
};

/// A role of a user, and through what he has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The role.
    pub role: String,
    /// Id of the group.
    pub group_id: String,
    /// Its display name.
    pub group_name: String,
}

impl Directory {
    /// The roles of a user by the policy of a connection, the one that counts first:
    /// of several groups the one that the policy names first decides. Whoever may not
    /// act has none.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::error::Error::NotFound) and those of the consistency.
    pub async fn roles_of(
        &self,
        caller: &Caller,
        connection_id: &str,
        user_id: &str,
    ) -> Result<Vec<Role>> {
        caller.knows(ResourceKind::Group)?;
        let tx = self.one_moment(caller, &Consistency::Strong).await?;
        let found = tenants::find_connection(&tx, &caller.tenant_id, connection_id).await?;
        let is_his = |id: &str| caller.connection().is_none_or(|own| own == id);
        let found = found.filter(|one| one.id == connection_id && is_his(&one.id));
        let connection = found.ok_or_else(|| not_found(Kind::Connection, connection_id))?;
        let kind = ResourceKind::User;
        let wants = Wants {
            groups: true,
            ..Wants::NONE
        };
        let user = resources::load(&tx, caller.scope(), kind, user_id, Reach::Live, wants).await?;
        let ((user, relations), _) = user.ok_or_else(|| kind.not_found(user_id))?;
        if !user.may_act() {
            return Ok(Vec::new());
        }
        let in_group = |entry: &GroupRole| {
            let name = fold(&entry.group);
            let mut groups = relations.groups.iter();
            let group = groups.find(|group| fold(&group.display_name) == name)?;
            Some(Role {
                role: entry.role.clone(),
                group_id: group.id.clone(),
                group_name: group.display_name.clone(),
            })
        };
        Ok(connection
            .policy
            .group_roles
            .iter()
            .filter_map(in_group)
            .collect())
    }
}
