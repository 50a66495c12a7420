//! Operations on the members of a group.
//!
//! A value of an odd form is an error. It never means "all members": a server
//! that read it so emptied its customers' groups.

use super::{GroupEdit, Op, Target, dialect};
use crate::scim::{error::ScimError, group, json::Json, path::Definition};

pub(super) fn edit(target: Target) -> Result<Option<GroupEdit>, ScimError> {
    let names_value = match target.path.definition {
        Definition::SubAttribute(_, sub) => sub.name == "value",
        _ => true,
    };
    if !names_value {
        return Err(immutable(&target));
    }
    if target.filter.is_some() {
        return chosen(target).map(Some);
    }
    let Target { op, value, .. } = target;
    match (op, value) {
        (Op::Remove, None | Some(Json::Null)) => Ok(Some(GroupEdit::ClearMembers)),
        (Op::Remove, Some(json)) => some_members(json, GroupEdit::RemoveMembers),
        (Op::Add | Op::Replace, None) => Err(ScimError::invalid_value(
            "The operation on members needs a value.",
        )),
        (Op::Add, Some(json)) => some_members(json, GroupEdit::AddMembers),
        (Op::Replace, Some(json)) => {
            let members = group::member_ids(json)?;
            Ok(Some(if members.is_empty() {
                GroupEdit::ClearMembers
            } else {
                GroupEdit::ReplaceMembers(members)
            }))
        }
    }
}

fn some_members(
    json: Json,
    edit: fn(Vec<String>) -> GroupEdit,
) -> Result<Option<GroupEdit>, ScimError> {
    let members = group::member_ids(json)?;
    Ok((!members.is_empty()).then(|| edit(members)))
}

/// `members[...]`
fn chosen(mut target: Target) -> Result<GroupEdit, ScimError> {
    let Some(filter) = target.filter.take() else {
        return Err(immutable(&target));
    };
    let named = dialect::filter_as_members(&filter);
    match (target.op, named) {
        (Op::Remove, Some(members)) => Ok(GroupEdit::RemoveMembers(members)),
        (Op::Remove, None) => Ok(GroupEdit::RemoveMatching(filter)),
        (Op::Add | Op::Replace, Some(members)) if target.path.sub_attribute.is_none() => {
            same_members(target, members)
        }
        (Op::Add | Op::Replace, _) => Err(immutable(&target)),
    }
}

/// A value beside the filter may repeat who is meant. Somebody else's id would
/// change a member's `value`, which is immutable.
fn same_members(mut target: Target, members: Vec<String>) -> Result<GroupEdit, ScimError> {
    let given = match target.value.take() {
        None | Some(Json::Null) => Vec::new(),
        Some(json) => group::member_ids(json)?,
    };
    if given.iter().all(|member| members.contains(member)) {
        Ok(GroupEdit::AddMembers(members))
    } else {
        Err(immutable(&target))
    }
}

fn immutable(target: &Target) -> ScimError {
    ScimError::mutability(format!("{} cannot be changed.", target.path))
}
