//! Operations on the members of a group.
//!
//! A value of an odd form is an error. It never means "all members": a server
//! that read it so emptied its customers' groups.

use super::{GroupEdit, Op, Target, dialect};
use crate::scim::{
    error::ScimError,
    flavor::Accent,
    group::{MEMBERS, MemberName, member_names},
    json::Json,
    path::Definition,
};

pub(super) fn edit(target: Target<'_>) -> Result<Option<GroupEdit>, ScimError> {
    let may_change = match target.path.definition {
        // Nothing of a member can be changed, but some mean the member by it.
        Definition::SubAttribute(_, sub) => {
            sub.name == "value" && target.accents.has(Accent::MembersByFilter)
        }
        _ => true,
    };
    if !may_change {
        return Err(immutable(&target));
    }
    if target.filter.is_some() {
        return chosen(target).map(Some);
    }
    let accents = target.accents;
    let Target { op, value, .. } = target;
    match (op, value) {
        (Op::Remove, None | Some(Json::Null)) => Ok(Some(GroupEdit::ClearMembers)),
        (Op::Add | Op::Replace, None) => {
            let detail = "The operation on members needs a value.";
            Err(ScimError::invalid_value(detail).about(MEMBERS))
        }
        (Op::Remove, Some(json)) => {
            let members = member_names(json, accents)?;
            Ok((!members.is_empty()).then_some(GroupEdit::RemoveMembers(members)))
        }
        (Op::Add, Some(json)) => {
            let members = member_names(dialect::list_of_one(json), accents)?;
            Ok((!members.is_empty()).then_some(GroupEdit::AddMembers(members)))
        }
        (Op::Replace, Some(json)) => {
            let members = member_names(json, accents)?;
            Ok(Some(if members.is_empty() {
                GroupEdit::ClearMembers
            } else {
                GroupEdit::ReplaceMembers(members)
            }))
        }
    }
}

/// `members[...]`
fn chosen(mut target: Target<'_>) -> Result<GroupEdit, ScimError> {
    let require_target = target.requires_target();
    let Some(filter) = target.filter.take() else {
        return Err(immutable(&target));
    };
    let accents = target.accents;
    let named = dialect::filter_as_members(&filter).map(|ids| {
        let names = ids.into_iter().map(|id| MemberName::new(id, accents));
        names.collect::<Vec<_>>()
    });
    match (target.op, named) {
        (Op::Remove, Some(members)) if !require_target => Ok(GroupEdit::RemoveMembers(members)),
        (Op::Remove, _) => Ok(GroupEdit::RemoveMatching {
            filter,
            require_target,
        }),
        (Op::Add | Op::Replace, Some(members))
            if target.path.sub_attribute.is_none() && accents.has(Accent::MembersByFilter) =>
        {
            same_members(target, members)
        }
        (Op::Add | Op::Replace, _) => Err(immutable(&target)),
    }
}

/// A value beside the filter may repeat who is meant. Somebody else's id would
/// change a member's `value`, which is immutable.
fn same_members(mut target: Target<'_>, members: Vec<MemberName>) -> Result<GroupEdit, ScimError> {
    let given = match target.value.take() {
        None | Some(Json::Null) => Vec::new(),
        Some(json) => member_names(dialect::list_of_one(json), target.accents)?,
    };
    let is_meant = |given: &MemberName| members.iter().any(|m| m.text() == given.text());
    if given.iter().all(is_meant) {
        Ok(GroupEdit::AddMembers(members))
    } else {
        Err(immutable(&target))
    }
}

fn immutable(target: &Target<'_>) -> ScimError {
    ScimError::mutability(format!("{} cannot be changed.", target.path))
}
