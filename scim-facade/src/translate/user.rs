//! Users between SCIM and the contract.

use muster_proto::{
    resource::{WrongShape, user_from_object, user_to_object},
    schema::ResourceType,
    v1,
    value::Object,
};

use crate::scim::{
    error::ScimError,
    meta::{Links, Meta, timestamp},
    resource::Resource,
    user::{GroupRef, add_groups, add_manager},
};

/// The message for what a client wants a user to be.
///
/// # Errors
/// `invalidValue` when an attribute has a shape the message cannot carry.
pub fn lower(attributes: Object) -> Result<v1::User, ScimError> {
    user_from_object(attributes).map_err(wrong_shape)
}

/// The user as a resource of this type.
pub fn resource(mut user: v1::User, kind: &'static ResourceType, links: &Links) -> Resource {
    let groups = std::mem::take(&mut user.groups);
    let enterprise = user.enterprise.as_mut();
    let manager = enterprise.map(|e| std::mem::take(&mut e.manager_display_name));
    let mut resource = Resource {
        kind,
        id: std::mem::take(&mut user.id),
        members: None,
        meta: meta(user.meta.take()),
        attributes: user_to_object(user),
    };
    let group = |group: v1::GroupRef| GroupRef {
        id: group.id,
        display: group.display_name,
        indirect: group.indirect,
    };
    add_groups(
        &mut resource,
        groups.into_iter().map(group).collect(),
        links,
    );
    add_manager(&mut resource, manager.unwrap_or_default(), links);
    resource
}

pub(super) fn wrong_shape(error: WrongShape) -> ScimError {
    let detail = format!("{} has a value of the wrong type.", error.0);
    ScimError::invalid_value(detail).about(error.0)
}

pub(super) fn meta(meta: Option<v1::ResourceMeta>) -> Meta {
    let meta = meta.unwrap_or_default();
    let text = |time: Option<prost_types::Timestamp>| {
        time.map(|time| timestamp(time.seconds, time.nanos))
            .unwrap_or_default()
    };
    Meta {
        created: text(meta.create_time),
        last_modified: text(meta.update_time),
        version: meta.etag,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::*;
    use crate::scim::{flavor::Flavor, projection::Projection};

    #[test]
    fn a_user_is_shown_with_what_the_directory_knows() {
        let user = v1::User {
            id: "1".to_owned(),
            user_name: "ada".to_owned(),
            active: Some(true),
            enterprise: Some(v1::EnterpriseUser {
                manager_id: "2".to_owned(),
                manager_display_name: "Bob".to_owned(),
                ..v1::EnterpriseUser::default()
            }),
            groups: vec![v1::GroupRef {
                id: "3".to_owned(),
                display_name: "g".to_owned(),
                indirect: false,
            }],
            meta: Some(v1::ResourceMeta {
                etag: "\"e\"".to_owned(),
                create_time: Some(prost_types::Timestamp::default()),
                ..v1::ResourceMeta::default()
            }),
            ..v1::User::default()
        };
        let links = Links::new("http://h", "/b");
        let resource = resource(user, &USER, &links);
        let all = Projection::parse(None, None, &USER, Flavor::Entra.accents()).expect("no names");
        let shown = resource.render(&links, &all);
        let urn = muster_proto::schema::ENTERPRISE_USER;
        assert!(shown.version.starts_with("W/\"e."), "{}", shown.version);
        let tag = shown.version.replace('"', "\\\"");
        assert_eq!(
            shown.body.to_string(),
            format!(
                "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\",\"{urn}\"],\
                 \"id\":\"1\",\"userName\":\"ada\",\"active\":true,\
                 \"groups\":[{{\"value\":\"3\",\"$ref\":\"http://h/b/Groups/3\",\"display\":\"g\",\"type\":\"direct\"}}],\
                 \"{urn}\":{{\"manager\":{{\"value\":\"2\",\"$ref\":\"http://h/b/Users/2\",\"displayName\":\"Bob\"}}}},\
                 \"meta\":{{\"resourceType\":\"User\",\"created\":\"1970-01-01T00:00:00.000Z\",\
                 \"location\":\"http://h/b/Users/1\",\"version\":\"{tag}\"}}}}"
            )
        );
    }
}
