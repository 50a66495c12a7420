//! PATCH: RFC 7644 section 3.5.2, applied to a resource.
//!
//! Pure and strict. Accents of provisioning clients are translated before
//! operations get here. Values pass through [`conform`], so a
//! patched resource is as sound as a created one; a list of operations is
//! applied to a copy, so that the first error leaves nothing behind.
//!
//! [`Operation`] and its target are here, changes of single-valued attributes
//! in `single`, of lists of complex values in `multi`, of lists of simple ones
//! in `values`, of extensions that no schema describes in `unregistered`.

mod multi;
mod single;
mod unregistered;
mod values;

use muster_proto::{
    schema::{Attribute, Kind, Mutability, ResourceType, Schema, Target},
    value::{Object, Value},
};

use super::{Resource, characteristics, conform, filter::Filter};
use crate::error::{Error, Result};

/// Most operations in one request.
pub const OPERATION_LIMIT: usize = 1_000;

/// What an operation does to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Adds values, or sets what is single-valued. Makes what a value filter
    /// describes where nothing matches it.
    Add,
    /// Sets values. Makes what a value filter describes where nothing matches
    /// it; a filter that describes no element is an error.
    Replace,
    /// Takes values away; those that are not there are passed over.
    Remove,
}

/// One operation, its path looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// To what.
    pub path: Path,
    /// With what. `None` and null are the same.
    pub value: Value,
    /// Whether it is an error that a value filter matches nothing. An element
    /// that is replaced then keeps nothing that the value does not give.
    pub require_target: bool,
}

impl Operation {
    /// Whether it is about this attribute of the core schema.
    pub fn is_about(&self, name: &str) -> bool {
        match &self.path {
            Path::Attribute {
                schema, attribute, ..
            } => schema.is_none() && attribute.name == name,
            Path::Extension(_) | Path::Unregistered { .. } => false,
        }
    }
}

/// What an operation is applied to.
#[derive(Debug, Clone, PartialEq)]
pub enum Path {
    /// An attribute of the core schema or of a registered extension.
    Attribute {
        /// The extension.
        schema: Option<&'static Schema>,
        /// The attribute.
        attribute: &'static Attribute,
        /// Which elements of a multi-valued attribute.
        select: Option<Filter>,
        /// Which part of it.
        sub: Option<&'static Attribute>,
    },
    /// A registered extension as a whole.
    Extension(&'static Schema),
    /// An attribute of an extension that no schema describes.
    Unregistered {
        /// URN of the extension.
        urn: String,
        /// The attribute; `None` for the whole extension.
        attribute: Option<String>,
        /// The sub-attribute.
        sub: Option<String>,
    },
}

impl Path {
    /// Looks up a path without a value filter.
    ///
    /// # Errors
    /// [`Error::PathInvalid`] when it names nothing; [`Error::ReadOnly`] when
    /// it names what only the server writes.
    pub fn find(
        resource: &'static ResourceType,
        schema: &str,
        name: &str,
        sub: &str,
    ) -> Result<Self> {
        let unknown = || Error::PathInvalid([schema, name, sub].join(" ").trim().to_owned());
        if !conform::may_name_extension(schema) {
            return Err(unknown());
        }
        let target = resource.find(schema, name).ok_or_else(unknown)?;
        let (schema, attribute) = match target {
            Target::Core(attribute) => (None, attribute),
            Target::Extension(schema, attribute) => (Some(schema), attribute),
            Target::WholeExtension(schema) => return Ok(Self::Extension(schema)),
            Target::Unregistered(urn, attribute) => {
                return Ok(Self::Unregistered {
                    urn: urn.to_owned(),
                    attribute: Some(attribute.to_owned()),
                    sub: (!sub.is_empty()).then(|| sub.to_owned()),
                });
            }
            Target::WholeUnregistered(urn) => {
                let urn = urn.to_owned();
                return Ok(Self::Unregistered {
                    urn,
                    attribute: None,
                    sub: None,
                });
            }
        };
        let sub = match sub {
            "" => None,
            name => Some(attribute.sub_attribute(name).ok_or_else(unknown)?),
        };
        for part in [Some(attribute), sub].into_iter().flatten() {
            if part.mutability == Mutability::ReadOnly || part.is_made() {
                return Err(Error::ReadOnly(part.name.to_owned()));
            }
        }
        Ok(Self::Attribute {
            schema,
            attribute,
            select: None,
            sub,
        })
    }
}

impl Operation {
    /// The URN of the registered extension that it takes away as a whole.
    pub fn removed_extension(&self) -> Option<&'static str> {
        match (self.op, &self.path) {
            (Op::Remove, Path::Extension(whole)) => Some(whole.urn),
            _ => None,
        }
    }
}

/// Applies the operations in order, all or none.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unremovable`], [`Error::Immutable`],
/// [`Error::PathInvalid`], [`Error::NoTarget`]; the resource is then unchanged.
pub fn apply(
    resource: &mut Resource,
    operations: Vec<Operation>,
    schema: &'static ResourceType,
) -> Result<()> {
    let mut patched = resource.clone();
    let mut removed = Vec::new();
    for operation in operations {
        removed.extend(operation.removed_extension());
        apply_one(&mut patched.attributes, operation)?;
    }
    check(resource, &patched, schema, &removed)?;
    *resource = patched;
    Ok(())
}

/// Checks that no extension went because the attribute that it requires did:
/// only removed as a whole may it go.
fn keep_required(
    before: &Resource,
    after: &Resource,
    schema: &'static ResourceType,
    removed: &[&str],
) -> Result<()> {
    for &extension in schema.extensions {
        let gone = !after.attributes.contains_key(extension.urn);
        let Some(Value::Complex(old)) = before.attributes.get(extension.urn) else {
            continue;
        };
        let mut required = extension.attributes.iter().filter(|a| a.required);
        let lost = required.find(|attribute| old.contains_key(attribute.name));
        if let Some(lost) = lost
            && gone
            && !removed.contains(&extension.urn)
        {
            let path = format!("{}:{}", extension.urn, lost.name);
            return Err(Error::Unremovable(path));
        }
    }
    Ok(())
}

/// Checks what several operations made of a resource. Required attributes that
/// were missing before, as those of a schema that came later are, may stay so;
/// those of extensions that were removed as a whole may go with them.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unremovable`], [`Error::Immutable`].
pub fn check(
    before: &Resource,
    after: &Resource,
    schema: &'static ResourceType,
    removed: &[&str],
) -> Result<()> {
    let missing_before = characteristics::missing(schema, &before.attributes);
    for missing in characteristics::missing(schema, &after.attributes) {
        // RFC 7644 section 3.5.2.2: a removed attribute that is required is a
        // matter of mutability.
        if missing.is_in(&before.attributes) {
            return Err(Error::Unremovable(missing.path()));
        }
        if !missing_before.contains(&missing) {
            return Err(missing.error());
        }
    }
    keep_required(before, after, schema, removed)?;
    characteristics::keep_immutable(schema, &before.attributes, &after.attributes)?;
    after.check_limits()
}

/// Applies one operation of several; the resource is to be checked when all
/// are done.
///
/// # Errors
/// As [`apply`]; the attributes may then be half changed.
pub fn apply_one(attributes: &mut Object, operation: Operation) -> Result<()> {
    let Operation {
        op,
        path,
        value,
        require_target,
    } = operation;
    let op = Change { op, require_target };
    match path {
        Path::Attribute {
            schema: None,
            attribute,
            select,
            sub,
        } => change(attributes, op, attribute, select, sub, value),
        Path::Attribute {
            schema: Some(schema),
            attribute,
            select,
            sub,
        } => within(attributes, schema.urn, |extension| {
            change(extension, op, attribute, select, sub, value)
        }),
        Path::Extension(schema) => change_extension(attributes, op, schema, value),
        Path::Unregistered {
            urn,
            attribute,
            sub,
        } => unregistered::change(
            attributes,
            op.op,
            &urn,
            attribute.as_deref(),
            sub.as_deref(),
            value,
        ),
    }
}

/// What an operation does, and on what terms.
#[derive(Debug, Clone, Copy)]
struct Change {
    op: Op,
    require_target: bool,
}

fn change(
    container: &mut Object,
    change: Change,
    attribute: &'static Attribute,
    select: Option<Filter>,
    sub: Option<&'static Attribute>,
    value: Value,
) -> Result<()> {
    let complex = attribute.kind == Kind::Complex;
    match (attribute.multi_valued, select) {
        (false, None) => single::change(container, change.op, attribute, sub, value),
        (true, None) if !complex => values::change(container, change.op, attribute, value),
        (true, Some(select)) if !complex && sub.is_none() => {
            values::change_selected(container, change, attribute, &select, value)
        }
        (true, select) if complex => {
            multi::change(container, change, attribute, select.as_ref(), sub, value)
        }
        (_, _) => Err(Error::PathInvalid(attribute.name.to_owned())),
    }
}

fn change_extension(
    attributes: &mut Object,
    op: Change,
    schema: &'static Schema,
    value: Value,
) -> Result<()> {
    let given = match (op.op, value) {
        (Op::Remove, _) | (_, Value::Null) => {
            attributes.remove(schema.urn);
            return Ok(());
        }
        (_, Value::Complex(given)) => given,
        _ => return Err(Error::invalid(schema.urn, "must have attributes")),
    };
    within(attributes, schema.urn, |extension| {
        for (name, value) in given {
            let unknown = || Error::PathInvalid(format!("{}:{name}", schema.urn));
            let attribute = schema.attribute(&name).ok_or_else(unknown)?;
            // Read-only attributes conform to nothing; they must not be
            // removed by it.
            if attribute.mutability != Mutability::ReadOnly {
                change(extension, op, attribute, None, None, value)?;
            }
        }
        Ok(())
    })
}

/// Runs a change on the complex value with this name, made when missing and
/// removed when it ends up empty.
fn within(
    container: &mut Object,
    name: &str,
    change: impl FnOnce(&mut Object) -> Result<()>,
) -> Result<()> {
    let mut object = match container.remove(name) {
        Some(Value::Complex(object)) => object,
        _ => Object::new(),
    };
    change(&mut object)?;
    if !object.is_empty() {
        container.insert(name.to_owned(), Value::Complex(object));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
