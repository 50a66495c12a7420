//! Edits as the directory's PATCH operations and group modifications.

use muster_proto::v1::{self, group_modification::Modification, patch_operation};

use super::{
    filter::{lower_elements, wire_path},
    group::{member_list, modification, replace_members},
};
use crate::scim::{
    error::ScimError,
    filter::Filter,
    group::MEMBERS,
    patch::{Edit, GroupEdit, Op},
    path::{AttrPath, Definition},
};
use muster_proto::schema::{Attribute, GROUP};

/// Operations for a user.
///
/// # Errors
/// `invalidPath` for brackets that the attribute's elements cannot satisfy.
pub fn operations(edits: Vec<Edit>) -> Result<Vec<v1::PatchOperation>, ScimError> {
    edits.into_iter().map(operation).collect()
}

/// Modifications for a group, in order.
///
/// # Errors
/// As [`operations`].
pub fn modifications(edits: Vec<GroupEdit>) -> Result<Vec<v1::GroupModification>, ScimError> {
    edits
        .into_iter()
        .map(|edit| group_modification(edit).map(modification))
        .collect()
}

fn group_modification(edit: GroupEdit) -> Result<Modification, ScimError> {
    Ok(match edit {
        GroupEdit::Attribute(edit) => Modification::Patch(operation(edit)?),
        GroupEdit::AddMembers(ids) => Modification::AddMembers(member_list(ids)),
        GroupEdit::RemoveMembers(ids) => Modification::RemoveMembers(member_list(ids)),
        GroupEdit::ClearMembers => Modification::ClearMembers(true),
        GroupEdit::ReplaceMembers(ids) => replace_members(ids),
        GroupEdit::RemoveMatching(filter) => {
            let members = GROUP.core.attribute(MEMBERS);
            Modification::RemoveMatchingMembers(elements(&filter, members)?)
        }
    })
}

fn operation(edit: Edit) -> Result<v1::PatchOperation, ScimError> {
    let mut path = wire_path(&edit.path);
    if let Some(filter) = &edit.filter {
        let filter = elements(filter, attribute(&edit.path))?;
        path.value_filter = Some(Box::new(filter));
    }
    let op = match edit.op {
        Op::Add => patch_operation::Op::Add,
        Op::Replace => patch_operation::Op::Replace,
        Op::Remove => patch_operation::Op::Remove,
    };
    Ok(v1::PatchOperation {
        op: op.into(),
        path: Some(path),
        value: edit.value.map(Into::into),
        require_target: false,
    })
}

fn attribute(path: &AttrPath) -> Option<&'static Attribute> {
    match path.definition {
        Definition::Attribute(attribute) | Definition::SubAttribute(attribute, _) => {
            Some(attribute)
        }
        Definition::Extension(_) | Definition::Unregistered => None,
    }
}

fn elements(
    filter: &Filter,
    attribute: Option<&'static Attribute>,
) -> Result<v1::Filter, ScimError> {
    let attribute =
        attribute.ok_or_else(|| ScimError::invalid_path("The path has no elements."))?;
    // The same fault, but in a path (RFC 7644 table 9).
    lower_elements(filter, attribute).map_err(|e| ScimError::invalid_path(e.detail()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::{json, patch};

    fn user(operation: &str) -> Result<Vec<v1::PatchOperation>, ScimError> {
        let body = format!("{{\"Operations\":[{operation}]}}");
        operations(patch::user_edits(json::parse_object(body.as_bytes())?)?)
    }

    #[test]
    fn a_filtered_path_carries_its_filter_typed() {
        let lowered = user(r#"{"op":"Add","path":"roles[primary eq \"True\"].value","value":"r"}"#);
        let operation = lowered.expect("lowers").remove(0);
        let path = operation.path.expect("every operation has a path");
        assert_eq!(
            (path.attribute.as_str(), path.sub_attribute.as_str()),
            ("roles", "value")
        );
        let filter = path.value_filter.and_then(|f| f.node);
        let Some(v1::filter::Node::Comparison(comparison)) = filter else {
            panic!("a comparison");
        };
        let value = comparison.value.and_then(|v| v.value);
        assert_eq!(value, Some(v1::attribute_value::Value::BoolValue(true)));
    }

    #[test]
    fn a_filter_on_what_elements_lack_is_a_path_error() {
        let error = user(r#"{"op":"add","path":"emails[color eq \"x\"].value","value":"r"}"#)
            .expect_err("no such sub-attribute");
        assert_eq!(
            error.scim_type(),
            Some(crate::scim::error::ScimType::InvalidPath)
        );
    }
}
