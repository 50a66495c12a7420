//! A PATCH body as operations on attributes that the registry knows.

use muster_proto::schema::ResourceType;

use super::{AtMost, MAX_OPERATIONS, Op, dialect, too_many};
use crate::scim::{
    document,
    error::ScimError,
    filter::{self, Filter},
    json::{Json, Members},
    path::AttrPath,
};

/// An operation whose path was found.
pub(super) struct Target {
    pub(super) op: Op,
    pub(super) path: AttrPath,
    pub(super) filter: Option<Filter>,
    pub(super) value: Option<Json>,
}

/// The operations of a body, one for each attribute.
pub(super) fn targets(
    mut body: Members,
    resource: &'static ResourceType,
) -> Result<Vec<Target>, ScimError> {
    if let Some(schemas) = body.take("schemas") {
        document::check_schemas(&schemas)?;
    }
    let Some(Json::Array(operations)) = body.take("Operations") else {
        return Err(ScimError::invalid_syntax("Operations must be a list."));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(too_many());
    }
    let mut targets = AtMost::default();
    for operation in operations {
        operation_targets(operation, resource, &mut targets)?;
    }
    Ok(targets.0)
}

fn operation_targets(
    operation: Json,
    resource: &'static ResourceType,
    targets: &mut AtMost<Target>,
) -> Result<(), ScimError> {
    let Json::Object(mut operation) = operation else {
        return Err(ScimError::invalid_syntax("An operation must be an object."));
    };
    let op = operation.get("op").and_then(Json::as_str);
    let op = op.and_then(dialect::op).ok_or_else(|| {
        ScimError::invalid_syntax("op must be \"add\", \"replace\" or \"remove\".")
    })?;
    let value = operation.take("value");
    match operation.take("path") {
        None | Some(Json::Null) => without_path(op, value, resource, targets),
        Some(Json::String(path)) if path.is_empty() => without_path(op, value, resource, targets),
        Some(Json::String(path)) => {
            let target = with_path(op, &path, value, resource)?;
            target.map_or(Ok(()), |target| targets.push(target))
        }
        Some(_) => Err(ScimError::invalid_syntax("path must be a string.")),
    }
}

fn with_path(
    op: Op,
    text: &str,
    value: Option<Json>,
    resource: &'static ResourceType,
) -> Result<Option<Target>, ScimError> {
    let parsed = filter::parse_key(text, value.as_ref())
        .map_err(|error| ScimError::invalid_path(format!("The path is malformed: {error}.")))?;
    let Some(path) = parsed.path.resolve(resource) else {
        if dialect::is_passed_over(&parsed) {
            return Ok(None);
        }
        let detail = format!("{} has no attribute {}.", resource.name, parsed.path);
        return Err(ScimError::invalid_path(detail));
    };
    if path.is_read_only() {
        return Err(ScimError::mutability(format!("{path} is read-only.")));
    }
    Ok(Some(Target {
        op,
        path,
        filter: parsed.filter,
        value,
    }))
}

/// The value names the attributes. Those that clients may not write and those
/// that nobody knows are passed over, as in POST and PUT.
fn without_path(
    op: Op,
    value: Option<Json>,
    resource: &'static ResourceType,
    targets: &mut AtMost<Target>,
) -> Result<(), ScimError> {
    if op == Op::Remove {
        return Err(ScimError::no_target("A remove operation needs a path."));
    }
    let Some(Json::Object(members)) = value else {
        let detail = "Without a path, the value must be an object of attributes.";
        return Err(ScimError::invalid_value(detail));
    };
    for (parsed, json) in dialect::keys_as_paths(members) {
        let path = parsed.path.resolve(resource);
        if let Some(path) = path.filter(|path| !path.is_read_only()) {
            targets.push(Target {
                op,
                path,
                filter: parsed.filter,
                value: Some(json),
            })?;
        }
    }
    Ok(())
}
