//! Groups between SCIM and the contract.

use muster_proto::{
    resource::{group_from_object, group_to_object},
    schema::ResourceType,
    v1::{self, group_modification::Modification, member_ref},
    value::Object,
};

use super::user::{meta, wrong_shape};
use crate::scim::{
    error::ScimError,
    group::{Member, MemberKind, MemberName},
    resource::Resource,
};

/// The message for what a client wants a group to be.
///
/// # Errors
/// `invalidValue` when an attribute has a shape the message cannot carry.
pub fn lower(attributes: Object) -> Result<v1::Group, ScimError> {
    group_from_object(attributes).map_err(wrong_shape)
}

/// A resource as the directory told it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The resource, without members.
    pub resource: Resource,
    /// Of a group: its members, when they came with it.
    pub members: Option<Vec<Member>>,
}

impl From<Resource> for Told {
    fn from(resource: Resource) -> Self {
        Self {
            resource,
            members: None,
        }
    }
}

/// The group as a resource of this type.
pub fn told(mut group: v1::Group, kind: &'static ResourceType) -> Told {
    let members = group.members.take().map(|came| came.members.into_iter());
    let resource = Resource {
        kind,
        id: std::mem::take(&mut group.id),
        members: None,
        meta: meta(group.meta.take()),
        attributes: group_to_object(group),
    };
    Told {
        resource,
        members: members.map(|members| members.filter_map(member).collect()),
    }
}

/// References to members.
pub fn member_refs(names: Vec<MemberName>) -> Vec<v1::MemberRef> {
    let reference = |name| v1::MemberRef {
        member: Some(match name {
            MemberName::User(id) => member_ref::Member::UserId(id),
            MemberName::Group(id) => member_ref::Member::GroupId(id),
            MemberName::Id(id) => member_ref::Member::Id(id),
            MemberName::Any(text) => member_ref::Member::Any(text),
        }),
    };
    names.into_iter().map(reference).collect()
}

/// A member as the directory lists it; `None` for one without an id.
pub fn member(message: v1::GroupMember) -> Option<Member> {
    let (kind, id) = match message.member?.member? {
        member_ref::Member::UserId(id)
        | member_ref::Member::Id(id)
        | member_ref::Member::Any(id) => (MemberKind::User, id),
        member_ref::Member::GroupId(id) => (MemberKind::Group, id),
    };
    Some(Member {
        kind,
        id,
        display: message.display_name,
    })
}

/// PUT: the attributes and the members are exactly these.
///
/// # Errors
/// As [`lower`].
pub fn replacement(
    attributes: Object,
    members: Vec<MemberName>,
) -> Result<Vec<v1::GroupModification>, ScimError> {
    let modifications = [
        Modification::ReplaceAttributes(lower(attributes)?),
        replace_members(members),
    ];
    Ok(modifications.map(modification).to_vec())
}

pub(super) fn replace_members(names: Vec<MemberName>) -> Modification {
    if names.is_empty() {
        return Modification::ClearMembers(true);
    }
    Modification::ReplaceMembers(member_list(names))
}

pub(super) fn member_list(names: Vec<MemberName>) -> v1::MemberList {
    v1::MemberList {
        members: member_refs(names),
    }
}

fn modification(modification: Modification) -> v1::GroupModification {
    v1::GroupModification {
        modification: Some(modification),
        require_target: false,
    }
}
