//! Edits as the directory's PATCH operations and group modifications.

use muster_proto::v1::{self, group_modification::Modification, patch_operation};

use super::{
    filter::{Context, lower_elements, wire_path},
    group::{member_list, replace_members},
};
use crate::scim::{
    error::ScimError,
    filter::Filter,
    group,
    patch::{Edit, GroupEdit, Op},
    path::AttrPath,
};

/// Operations for a user.
///
/// # Errors
/// `invalidPath` for brackets that the attribute's elements cannot satisfy.
pub fn operations(
    edits: Vec<Edit>,
    context: Context<'_>,
) -> Result<Vec<v1::PatchOperation>, ScimError> {
    edits
        .into_iter()
        .map(|edit| operation(edit, context))
        .collect()
}

/// Modifications for a group, in order.
///
/// # Errors
/// As [`operations`].
pub fn modifications(
    edits: Vec<GroupEdit>,
    context: Context<'_>,
) -> Result<Vec<v1::GroupModification>, ScimError> {
    edits
        .into_iter()
        .map(|edit| {
            let require_target = matches!(
                edit,
                GroupEdit::RemoveMatching {
                    require_target: true,
                    ..
                }
            );
            Ok(v1::GroupModification {
                modification: Some(group_modification(edit, context)?),
                require_target,
            })
        })
        .collect()
}

fn group_modification(edit: GroupEdit, context: Context<'_>) -> Result<Modification, ScimError> {
    Ok(match edit {
        GroupEdit::Attribute(edit) => Modification::Patch(operation(edit, context)?),
        GroupEdit::AddMembers(names) => Modification::AddMembers(member_list(names)),
        GroupEdit::RemoveMembers(names) => Modification::RemoveMembers(member_list(names)),
        GroupEdit::ClearMembers => Modification::ClearMembers(true),
        GroupEdit::ReplaceMembers(names) => replace_members(names),
        GroupEdit::RemoveMatching { filter, .. } => {
            let members = group::members(context.resource);
            let path = members.and_then(|members| AttrPath::registered("", members, None));
            let path = path.ok_or_else(|| ScimError::invalid_path("Only groups have members."))?;
            Modification::RemoveMatchingMembers(elements(&filter, &path, context)?)
        }
    })
}

fn operation(edit: Edit, context: Context<'_>) -> Result<v1::PatchOperation, ScimError> {
    let mut path = wire_path(&edit.path);
    if let Some(filter) = &edit.filter {
        let filter = elements(filter, &edit.path, context)?;
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
        require_target: edit.require_target,
    })
}

fn elements(
    filter: &Filter,
    path: &AttrPath,
    context: Context<'_>,
) -> Result<v1::Filter, ScimError> {
    // The same fault, but in a path (RFC 7644 table 9).
    lower_elements(filter, path, context).map_err(|e| ScimError::invalid_path(e.detail()))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{GROUP, ResourceType, USER};

    use super::*;
    use crate::scim::{
        flavor::{Accent, Accents, Flavor},
        json,
        meta::Links,
        patch,
    };

    fn with<T>(
        resource: &'static ResourceType,
        accents: Accents<'_>,
        lower: impl FnOnce(Context<'_>) -> T,
    ) -> T {
        lower(Context {
            resource,
            accents,
            links: &Links::new("http://h", "/s"),
            among: &[],
        })
    }

    fn body(operation: &str) -> json::Members {
        let urn = crate::scim::urn::PATCH_OP;
        let body = format!("{{\"schemas\":[\"{urn}\"],\"Operations\":[{operation}]}}");
        json::parse_object(body.as_bytes()).expect("JSON")
    }

    fn user(operation: &str) -> Result<Vec<v1::PatchOperation>, ScimError> {
        user_of(operation, Flavor::Entra.accents())
    }

    fn user_of(
        operation: &str,
        accents: Accents<'_>,
    ) -> Result<Vec<v1::PatchOperation>, ScimError> {
        let edits = patch::user_edits(body(operation), &USER, accents)?;
        with(&USER, accents, |context| operations(edits, context))
    }

    #[test]
    fn accents_tell_whether_a_target_is_required() {
        let required = |op: &str, accents| {
            let path = r#""path":"emails[type eq \"work\"].value","value":"x""#;
            let lowered = user_of(&format!(r#"{{"op":"{op}",{path}}}"#), accents);
            lowered.expect("lowers").remove(0).require_target
        };
        for (op, accent) in [
            ("add", Accent::AddMakesElement),
            ("replace", Accent::ReplaceMakesElement),
        ] {
            assert!(!required(op, Accents::of(&[accent])));
            assert!(required(op, Accents::default()));
        }
        let plain = user_of(
            r#"{"op":"add","path":"title","value":"x"}"#,
            Accents::default(),
        );
        assert!(!plain.expect("lowers").remove(0).require_target);
    }

    #[test]
    fn members_are_chosen_by_what_the_facade_makes() {
        let operation = r#"{"op":"remove","path":"members[$ref eq \"http://h/s/Users/7\"]"}"#;
        let accents = Accents::default();
        let edits = patch::group_edits(body(operation), &GROUP, accents).expect("edits");
        let lowered = with(&GROUP, accents, |context| modifications(edits, context));
        let lowered = format!("{:?}", lowered.expect("lowers"));
        assert!(
            lowered.contains("\"7\"") && !lowered.contains("http"),
            "{lowered}"
        );
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
