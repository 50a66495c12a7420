//! Operations on extensions that no schema describes. Their attributes have no
//! type, so values are taken as they come.

use muster_proto::value::{Object, Value};

use super::{Op, within};
use crate::{
    domain::conform::{self, LIST_LIMIT},
    error::{Error, Result},
};

/// Changes the whole extension, an attribute of it, or a part of that.
pub(super) fn change(
    attributes: &mut Object,
    op: Op,
    urn: &str,
    attribute: Option<&str>,
    sub: Option<&str>,
    value: Value,
) -> Result<()> {
    for name in [attribute, sub].into_iter().flatten() {
        conform::unregistered_name(name)?;
    }
    let urn = &spelling(attributes, urn);
    match (attribute, op, value) {
        (None, Op::Remove, _) | (None, _, Value::Null) => {
            attributes.remove(urn);
            Ok(())
        }
        (None, _, Value::Complex(given)) => within(attributes, urn, |extension| {
            given.into_iter().try_for_each(|(name, value)| {
                conform::unregistered_name(&name)?;
                put(extension, op, &name, value)
            })
        }),
        (None, ..) => Err(Error::invalid(urn, "must have attributes")),
        (Some(name), op, value) => within(attributes, urn, |extension| match sub {
            None => put(extension, op, name, value),
            Some(sub) => {
                let name = spelling(extension, name);
                within(extension, &name, |complex| put(complex, op, sub, value))
            }
        }),
    }
}

fn put(container: &mut Object, op: Op, name: &str, value: Value) -> Result<()> {
    let name = spelling(container, name);
    let value = match op {
        Op::Remove => None,
        Op::Add | Op::Replace => conform::unregistered(&name, value)?,
    };
    match (op, container.get_mut(&name), value) {
        (Op::Add, Some(Value::List(elements)), Some(Value::List(added))) => {
            for element in added {
                if !elements.contains(&element) {
                    elements.push(element);
                }
            }
            if elements.len() > LIST_LIMIT {
                let rule = format!("has more than {LIST_LIMIT} values");
                return Err(Error::invalid(name, rule));
            }
        }
        (_, _, Some(value)) => {
            container.insert(name, value);
        }
        (_, _, None) => {
            container.remove(&name);
        }
    }
    Ok(())
}

/// Names are compared without case (RFC 7643 section 2.1): the spelling that is
/// there already wins.
fn spelling(container: &Object, name: &str) -> String {
    let known = container.keys().find(|key| key.eq_ignore_ascii_case(name));
    known.map_or_else(|| name.to_owned(), Clone::clone)
}
