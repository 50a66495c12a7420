//! PATCH: RFC 7644 section 3.5.2, applied to a resource.
//!
//! Pure and strict. Accents of provisioning clients are translated before
//! operations get here. Values pass through [`conform`], so a
//! patched resource is as sound as a created one; a list of operations is
//! applied to a copy, so that the first error leaves nothing behind.
//!
//! [`Operation`] and its target are here, changes of single-valued attributes
//! in `single`, of multi-valued ones in `multi`, of extensions that no schema
//! describes in `unregistered`.

mod multi;
mod single;
mod unregistered;

use muster_proto::{
    schema::{Attribute, Mutability, Schema, Target},
    value::{Object, Value},
};

use super::{Resource, conform, filter::Filter, resource::ResourceKind};
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
    pub fn find(kind: ResourceKind, schema: &str, name: &str, sub: &str) -> Result<Self> {
        let unknown = || Error::PathInvalid([schema, name, sub].join(" ").trim().to_owned());
        if !conform::may_name_extension(schema) {
            return Err(unknown());
        }
        let target = kind.schema().find(schema, name).ok_or_else(unknown)?;
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
            if part.mutability == Mutability::ReadOnly {
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

/// Applies the operations in order, all or none.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Required`], [`Error::PathInvalid`],
/// [`Error::NoTarget`]; the resource is then unchanged.
pub fn apply(resource: &mut Resource, operations: Vec<Operation>) -> Result<()> {
    let mut patched = resource.clone();
    for operation in operations {
        apply_one(&mut patched.attributes, operation)?;
    }
    patched.check()?;
    *resource = patched;
    Ok(())
}

/// Applies one operation of several; the resource is to be checked when all
/// are done.
///
/// # Errors
/// As [`apply`]; the attributes may then be half changed.
pub fn apply_one(attributes: &mut Object, operation: Operation) -> Result<()> {
    let Operation { op, path, value } = operation;
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
            op,
            &urn,
            attribute.as_deref(),
            sub.as_deref(),
            value,
        ),
    }
}

fn change(
    container: &mut Object,
    op: Op,
    attribute: &'static Attribute,
    select: Option<Filter>,
    sub: Option<&'static Attribute>,
    value: Value,
) -> Result<()> {
    match (attribute.multi_valued, select) {
        (false, None) => single::change(container, op, attribute, sub, value),
        (false, Some(_)) => Err(Error::PathInvalid(attribute.name.to_owned())),
        (true, select) => multi::change(container, op, attribute, select.as_ref(), sub, value),
    }
}

fn change_extension(
    attributes: &mut Object,
    op: Op,
    schema: &'static Schema,
    value: Value,
) -> Result<()> {
    let given = match (op, value) {
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
            change(extension, op, attribute, None, None, value)?;
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
