//! Operations on single-valued attributes.

use muster_proto::{
    schema::{Attribute, Kind},
    value::{Object, Value},
};

use super::{Op, within};
use crate::{
    domain::{conform, patch::multi::same},
    error::{Error, Result},
};

/// Changes a simple attribute, a complex one, or one of its parts.
pub(super) fn change(
    container: &mut Object,
    op: Op,
    attribute: &'static Attribute,
    sub: Option<&'static Attribute>,
    value: Value,
) -> Result<()> {
    match (sub, attribute.kind, op) {
        (Some(sub), ..) => within(container, attribute.name, |complex| {
            let value = if op == Op::Remove { Value::Null } else { value };
            set(complex, sub, value)
        }),
        (None, Kind::Complex, Op::Remove) => {
            remove_complex(container, attribute, &value);
            Ok(())
        }
        (None, _, Op::Remove) => {
            container.remove(attribute.name);
            Ok(())
        }
        (None, Kind::Complex, _) => merge_complex(container, attribute, value),
        (None, ..) => set(container, attribute, value),
    }
}

/// Sets a value, or removes the attribute when the value is unassigned.
pub(super) fn set(container: &mut Object, attribute: &Attribute, value: Value) -> Result<()> {
    match conform::value(attribute, value)? {
        Some(value) => container.insert(attribute.name.to_owned(), value),
        None => container.remove(attribute.name),
    };
    Ok(())
}

/// Sets the sub-attributes that are given and leaves the others alone, for
/// "add" and "replace" alike (RFC 7644 sections 3.5.2.1 and 3.5.2.3).
fn merge_complex(container: &mut Object, attribute: &Attribute, value: Value) -> Result<()> {
    let given = match value {
        Value::Complex(given) => given,
        Value::Null => {
            container.remove(attribute.name);
            return Ok(());
        }
        _ => return Err(Error::invalid(attribute.name, "must have sub-attributes")),
    };
    within(container, attribute.name, |complex| {
        merge(complex, attribute, given)
    })
}

/// Sets the given sub-attributes of a complex value; unassigned ones go.
pub(super) fn merge(complex: &mut Object, attribute: &Attribute, given: Object) -> Result<()> {
    for (name, value) in given {
        let unknown = || Error::invalid(format!("{}.{name}", attribute.name), "is no attribute");
        let sub = attribute.sub_attribute(&name).ok_or_else(unknown)?;
        // Read-only parts conform to nothing; they must not be removed by it.
        if sub.mutability != muster_proto::schema::Mutability::ReadOnly && !sub.is_made() {
            set(complex, sub, value)?;
        }
    }
    Ok(())
}

/// Removes the value. When the operation says which value it means, only that
/// one goes.
fn remove_complex(container: &mut Object, attribute: &Attribute, meant: &Value) {
    let stays = match (container.get(attribute.name), meant.as_object()) {
        (Some(Value::Complex(current)), Some(meant)) => !same(attribute, current, meant),
        _ => false,
    };
    if !stays {
        container.remove(attribute.name);
    }
}
