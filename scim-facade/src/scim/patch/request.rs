//! A PATCH body as operations on attributes that the registry knows.

use muster_proto::schema::ResourceType;

use super::{AtMost, MAX_OPERATIONS, Op, dialect, too_many};
use crate::scim::{
    coerce, document,
    error::ScimError,
    filter::{self, Filter},
    flavor::{Accent, Accents},
    json::{Json, Members},
    key::{self, Named},
    path::{AttrPath, Shape},
    urn,
};

/// An operation whose path was found.
pub(super) struct Target<'a> {
    pub(super) op: Op,
    pub(super) path: AttrPath,
    pub(super) filter: Option<Filter>,
    pub(super) value: Option<Json>,
    pub(super) accents: Accents<'a>,
}

/// The operations of a body, one for each attribute.
pub(super) fn targets<'a>(
    mut body: Members,
    resource: &'static ResourceType,
    accents: Accents<'a>,
) -> Result<Vec<Target<'a>>, ScimError> {
    document::check_schemas(body.take("schemas").as_ref(), urn::PATCH_OP, accents)?;
    let Some(Json::Array(operations)) = body.take("Operations") else {
        return Err(ScimError::invalid_syntax("Operations must be a list."));
    };
    if operations.is_empty() && !accents.has(Accent::EmptyOperations) {
        return Err(ScimError::invalid_syntax("Operations must not be empty."));
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(too_many());
    }
    let reader = Reader { resource, accents };
    let mut targets = AtMost::default();
    for operation in operations {
        reader.operation(operation, &mut targets)?;
    }
    Ok(targets.0)
}

struct Reader<'a> {
    resource: &'static ResourceType,
    accents: Accents<'a>,
}

impl<'a> Reader<'a> {
    fn operation(
        &self,
        operation: Json,
        targets: &mut AtMost<Target<'a>>,
    ) -> Result<(), ScimError> {
        let Json::Object(mut operation) = operation else {
            return Err(ScimError::invalid_syntax("An operation must be an object."));
        };
        let op = operation.get("op").and_then(Json::as_str);
        let op = op.and_then(|name| dialect::op(name, self.accents));
        let op = op.ok_or_else(|| {
            ScimError::invalid_syntax("op must be \"add\", \"replace\" or \"remove\".")
        })?;
        let value = operation.take("value");
        match operation.take("path") {
            None | Some(Json::Null) => self.without_path(op, value, targets),
            Some(Json::String(path)) if path.is_empty() && self.accents.has(Accent::EmptyPath) => {
                self.without_path(op, value, targets)
            }
            Some(Json::String(path)) => {
                let target = self.with_path(op, &path, value)?;
                target.map_or(Ok(()), |target| targets.push(target))
            }
            Some(_) => Err(ScimError::invalid_syntax("path must be a string.")),
        }
    }

    fn with_path(
        &self,
        op: Op,
        text: &str,
        value: Option<Json>,
    ) -> Result<Option<Target<'a>>, ScimError> {
        // RFC 7643 section 2.5: null is as good as nothing.
        let is_given = value.as_ref().is_some_and(|value| *value != Json::Null);
        if op == Op::Remove && is_given && !self.accents.has(Accent::ValueBesideRemove) {
            let detail = "A remove operation has a path and no value.";
            return Err(ScimError::invalid_value(detail));
        }
        let parsed = filter::parse_path(text, self.accents)
            .map_err(|error| ScimError::invalid_path(format!("The path is malformed: {error}.")))?;
        let shape = Shape::of(value.as_ref());
        let found = parsed.resolve_for(self.resource, self.accents, shape);
        let Some(path) = found else {
            if dialect::is_passed_over(&parsed, self.accents) {
                return Ok(None);
            }
            let detail = format!("{} has no attribute {parsed}.", self.resource.name);
            return Err(ScimError::invalid_path(detail));
        };
        if path.is_read_only() {
            return Err(read_only(&path));
        }
        Ok(Some(Target {
            op,
            path,
            filter: parsed.filter,
            value,
            accents: self.accents,
        }))
    }

    /// The value names the attributes, as in POST and PUT.
    fn without_path(
        &self,
        op: Op,
        value: Option<Json>,
        targets: &mut AtMost<Target<'a>>,
    ) -> Result<(), ScimError> {
        if op == Op::Remove {
            return Err(ScimError::no_target("A remove operation needs a path."));
        }
        let Some(Json::Object(members)) = value else {
            let detail = "Without a path, the value must be an object of attributes.";
            return Err(ScimError::invalid_value(detail));
        };
        for Named { path, filter, json } in key::in_order(self.named(members)?)? {
            if !path.is_read_only() {
                targets.push(Target {
                    op,
                    path,
                    filter,
                    value: Some(json),
                    accents: self.accents,
                })?;
            } else if !self.accents.has(Accent::ReadOnlyInPatch) {
                return Err(read_only(&path));
            }
        }
        Ok(())
    }

    fn named(&self, Members(members): Members) -> Result<Vec<Named>, ScimError> {
        let mut named = Vec::new();
        for (key, json) in members {
            // It says what the others are, and changes nothing itself.
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            match key::read(&key, json, self.resource, self.accents) {
                Ok(member) => named.push(member),
                Err(_) if self.may_be_passed_over(&key) => {}
                Err(_) => return Err(coerce::unknown(&key)),
            }
        }
        Ok(named)
    }

    fn may_be_passed_over(&self, key: &str) -> bool {
        let password = key.eq_ignore_ascii_case(dialect::PASSWORD);
        (password && self.accents.has(Accent::PasswordIgnored))
            || self.accents.has(Accent::UnknownAttributes)
    }
}

fn read_only(path: &AttrPath) -> ScimError {
    ScimError::mutability(format!("{path} is read-only."))
}
