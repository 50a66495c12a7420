//! What a schema demands of a resource as a whole: RFC 7643 section 7's
//! "required" and "immutable". What it demands of one value is in
//! [`super::conform`].

use muster_proto::{
    schema::{Attribute, Kind, Mutability, ResourceType, Returned, Schema},
    value::{Object, Value},
};

use super::{conform::instant_ms, number::Number};
use crate::error::{Error, Result};

/// A required attribute without a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    extension: Option<&'static str>,
    attribute: &'static str,
    sub_attribute: Option<&'static str>,
}

impl Missing {
    /// Its path.
    pub fn path(&self) -> String {
        let urn = self.extension.map(|urn| format!("{urn}:"));
        let sub = self.sub_attribute.map(|sub| format!(".{sub}"));
        let (urn, sub) = (urn.unwrap_or_default(), sub.unwrap_or_default());
        format!("{urn}{}{sub}", self.attribute)
    }

    /// What a resource meets that has none.
    pub fn error(&self) -> Error {
        match self {
            Self {
                extension: None,
                attribute,
                sub_attribute: None,
            } => Error::Required(attribute),
            _ => Error::invalid(self.path(), "is required"),
        }
    }

    /// Whether these attributes have it. Of a list no element can be told from
    /// another, so that none is said to have lost something.
    pub fn is_in(&self, attributes: &Object) -> bool {
        let home = match self.extension {
            None => Some(attributes),
            Some(urn) => attributes.get(urn).and_then(Value::as_object),
        };
        let value = home.and_then(|home| home.get(self.attribute));
        let value = match self.sub_attribute {
            None => value,
            Some(sub) => value
                .and_then(Value::as_object)
                .and_then(|complex| complex.get(sub)),
        };
        value.is_some_and(|value| !is_blank(value))
    }
}

/// The required attributes that have no value: those of the core schema, of
/// extensions that are there, and parts of values that are there.
pub fn missing(resource: &'static ResourceType, attributes: &Object) -> Vec<Missing> {
    let mut found = Vec::new();
    missing_of(resource.core, None, attributes, &mut found);
    for schema in resource.extensions {
        if let Some(Value::Complex(object)) = attributes.get(schema.urn) {
            missing_of(schema, Some(schema.urn), object, &mut found);
        }
    }
    found
}

fn missing_of(
    schema: &'static Schema,
    extension: Option<&'static str>,
    object: &Object,
    found: &mut Vec<Missing>,
) {
    for attribute in schema.attributes {
        let missing = |sub_attribute| Missing {
            extension,
            attribute: attribute.name,
            sub_attribute,
        };
        let elements = match object.get(attribute.name) {
            Some(Value::List(elements)) => elements.as_slice(),
            Some(value) if !is_blank(value) => std::slice::from_ref(value),
            _ => {
                found.extend(must_be_given(attribute).then(|| missing(None)));
                continue;
            }
        };
        let required = attribute.sub_attributes.iter().filter(|s| must_be_given(s));
        for sub in required {
            let has = |element: &Value| {
                let value = element
                    .as_object()
                    .and_then(|complex| complex.get(sub.name));
                value.is_some_and(|value| !is_blank(value))
            };
            found.extend((!elements.iter().all(has)).then(|| missing(Some(sub.name))));
        }
    }
}

/// What only the server gives, no client can be asked for.
fn must_be_given(attribute: &Attribute) -> bool {
    attribute.required && attribute.mutability != Mutability::ReadOnly
}

/// Text that shows nothing is no value for what must have one.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty()) || value.is_unassigned()
}

/// Puts values of extensions that no client is shown, or may write, beside those
/// that a client gave in place of what it was shown: whole attributes, and parts
/// of complex ones. Elements of lists cannot be told from each other.
pub fn keep_unseen(resource: &'static ResourceType, before: &Object, after: &mut Object) {
    for schema in resource.extensions {
        keep_in(schema.attributes, schema.urn, before, after);
    }
}

/// Keeps what is unseen of the complex value with this name. Who leaves out one
/// of which he was shown something clears it.
fn keep_in(attributes: &[Attribute], name: &str, before: &Object, after: &mut Object) {
    let Some(Value::Complex(old)) = before.get(name) else {
        return;
    };
    if !after.contains_key(name) && is_all_unseen(attributes, old) {
        after.insert(name.to_owned(), Value::Complex(old.clone()));
    }
    let Some(Value::Complex(new)) = after.get_mut(name) else {
        return;
    };
    for attribute in attributes {
        match old.get(attribute.name) {
            Some(value) if is_unseen(attribute) => {
                let kept = new.entry(attribute.name.to_owned());
                kept.or_insert_with(|| value.clone());
            }
            Some(_) => keep_in(attribute.sub_attributes, attribute.name, old, new),
            None => {}
        }
    }
}

/// Whether a client was shown nothing of a complex value.
fn is_all_unseen(attributes: &[Attribute], value: &Object) -> bool {
    let is_shown = |attribute: &&Attribute| match value.get(attribute.name) {
        None => false,
        Some(_) if is_unseen(attribute) => false,
        Some(Value::Complex(parts)) => !is_all_unseen(attribute.sub_attributes, parts),
        Some(_) => true,
    };
    !attributes.iter().any(|attribute| is_shown(&attribute))
}

fn is_unseen(attribute: &Attribute) -> bool {
    attribute.returned == Returned::Never
        || matches!(
            attribute.mutability,
            Mutability::WriteOnly | Mutability::ReadOnly
        )
}

/// Checks that what is immutable and had a value has the same one.
///
/// # Errors
/// [`Error::Immutable`].
pub fn keep_immutable(
    resource: &'static ResourceType,
    before: &Object,
    after: &Object,
) -> Result<()> {
    keep_all(resource.core.attributes, "", before, after)?;
    let nothing = Object::new();
    for schema in resource.extensions {
        let home = |attributes: &Object| {
            let home = attributes.get(schema.urn).and_then(Value::as_object);
            home.cloned()
        };
        if let Some(before) = home(before) {
            let after = home(after);
            let after = after.as_ref().unwrap_or(&nothing);
            let prefix = format!("{}:", schema.urn);
            keep_all(schema.attributes, &prefix, &before, after)?;
        }
    }
    Ok(())
}

/// The same for the parts of one complex value.
///
/// # Errors
/// [`Error::Immutable`].
pub fn keep_parts(attribute: &Attribute, before: &Object, after: &Object) -> Result<()> {
    let prefix = format!("{}.", attribute.name);
    keep_all(attribute.sub_attributes, &prefix, before, after)
}

/// Whether two values mean the same: a time in another zone is the same time, and
/// `2.0` is `2`.
fn say_the_same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    let instants = || Some((instant_ms(one.as_str()?)?, instant_ms(other.as_str()?)?));
    let numbers = || Some((Number::of(one)?, Number::of(other)?));
    let is_same_time = attribute.kind == Kind::DateTime && instants().is_some_and(|(a, b)| a == b);
    one == other || is_same_time || numbers().is_some_and(|(a, b)| a == b)
}

fn keep_all(attributes: &[Attribute], prefix: &str, before: &Object, after: &Object) -> Result<()> {
    let nothing = Object::new();
    for attribute in attributes {
        let (old, new) = (before.get(attribute.name), after.get(attribute.name));
        let path = || format!("{prefix}{}", attribute.name);
        match (attribute.mutability, old) {
            (_, None) => {}
            (Mutability::Immutable, Some(old))
                if !new.is_some_and(|new| say_the_same(attribute, old, new)) =>
            {
                return Err(Error::Immutable(path()));
            }
            // Elements of lists come and go as wholes.
            (_, Some(Value::Complex(old))) => {
                let new = new.and_then(Value::as_object).unwrap_or(&nothing);
                keep_all(attribute.sub_attributes, &format!("{}.", path()), old, new)?;
            }
            _ => {}
        }
    }
    Ok(())
}
