//! Reads what changed in a way that this build does not know.

use muster_proto::v1::{
    GetGroupRequest, GetUserRequest, ListGroupMembersRequest, PageRequest, ResourceType,
};
use prost_types::FieldMask;
use tonic::Code;

use super::{
    follow::{Follower, PAGE},
    over::Over,
    writer::Again,
};
use crate::error::Result;

/// What makes a user's access.
const ACCESS: [&str; 4] = [
    "active",
    "effective_active",
    "inactive_reason",
    "tokens_valid_after",
];

/// What else a snapshot has of a user.
const ATTRIBUTES: [&str; 24] = [
    "addresses",
    "admin_lock",
    "deactivation_held",
    "display_name",
    "emails",
    "enterprise",
    "entitlements",
    "extensions",
    "external_keys",
    "federated_identities",
    "ims",
    "locale",
    "name",
    "nick_name",
    "phone_numbers",
    "photos",
    "preferred_language",
    "profile_url",
    "roles",
    "timezone",
    "title",
    "user_name",
    "user_type",
    "x509_certificates",
];

fn mask<'a>(fields: impl IntoIterator<Item = &'a str>) -> Option<FieldMask> {
    let paths = fields.into_iter().map(ToOwned::to_owned).collect();
    Some(FieldMask { paths })
}

impl Follower {
    /// Whoever may not read it, or cannot, takes a new snapshot.
    pub(super) async fn read_again(&mut self, again: Again) -> Result<(), Over> {
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
            Some(Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented) => {
                Err(Over::Resync(error))
            }
            _ => Err(Over::from(error)),
        }
    }

    async fn read_user(&mut self, again: &Again) -> Result<()> {
        let attributes = ATTRIBUTES.into_iter().filter(|_| self.values);
        let request = GetUserRequest {
            id: again.id.clone(),
            read_mask: mask(ACCESS.into_iter().chain(attributes)),
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
            read_mask: mask(["display_name"]),
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
            writer.see_whole(group, members);
            writer.settle();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::FILE_DESCRIPTOR_SET;
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn all_is_read_that_a_snapshot_has() {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let user = pool.get_message_by_name("identity.directory.v1.User");
        let user = user.unwrap();
        let mut fields: Vec<_> = user.fields().map(|f| f.name().to_owned()).collect();
        // Those come always, is a connection's alone, and is held otherwise.
        fields.retain(|name| !["id", "meta", "external_id", "groups"].contains(&&**name));
        fields.sort();
        let mut asked: Vec<_> = ACCESS.into_iter().chain(ATTRIBUTES).collect();
        asked.sort_unstable();
        assert_eq!(asked, fields);
    }
}
