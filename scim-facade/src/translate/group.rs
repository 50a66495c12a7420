//! Groups between SCIM and the contract.

use muster_proto::{
    resource::{group_from_object, group_to_object},
    schema::GROUP,
    v1::{self, group_modification::Modification, member_ref},
    value::Object,
};

use super::user::{meta, wrong_shape};
use crate::scim::{
    error::ScimError,
    group::{Member, MemberKind},
    resource::Resource,
};

/// The message for what a client wants a group to be.
///
/// # Errors
/// `invalidValue` when an attribute has a shape the message cannot carry.
pub fn lower(attributes: Object) -> Result<v1::Group, ScimError> {
    group_from_object(attributes).map_err(wrong_shape)
}

/// The group as a resource, without its members.
pub fn resource(mut group: v1::Group) -> Resource {
    Resource {
        kind: &GROUP,
        id: std::mem::take(&mut group.id),
        members: None,
        meta: meta(group.meta.take()),
        attributes: group_to_object(group),
    }
}

/// References to members. SCIM clients do not say what an id names.
pub fn member_refs(ids: Vec<String>) -> Vec<v1::MemberRef> {
    let reference = |id| v1::MemberRef {
        member: Some(member_ref::Member::Any(id)),
    };
    ids.into_iter().map(reference).collect()
}

/// A member as the directory lists it; `None` for one without an id.
pub fn member(message: v1::GroupMember) -> Option<Member> {
    let (kind, id) = match message.member?.member? {
        member_ref::Member::UserId(id) | member_ref::Member::Any(id) => (MemberKind::User, id),
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
    members: Vec<String>,
) -> Result<Vec<v1::GroupModification>, ScimError> {
    let modifications = [
        Modification::ReplaceAttributes(lower(attributes)?),
        replace_members(members),
    ];
    Ok(modifications.map(modification).to_vec())
}

pub(super) fn replace_members(ids: Vec<String>) -> Modification {
    if ids.is_empty() {
        return Modification::ClearMembers(true);
    }
    Modification::ReplaceMembers(member_list(ids))
}

pub(super) fn member_list(ids: Vec<String>) -> v1::MemberList {
    v1::MemberList {
        members: member_refs(ids),
    }
}

pub(super) fn modification(modification: Modification) -> v1::GroupModification {
    v1::GroupModification {
        modification: Some(modification),
    }
}
