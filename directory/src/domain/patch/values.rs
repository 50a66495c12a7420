//! Operations on lists of simple values.

use muster_proto::{
    schema::{Attribute, Kind},
    value::{Object, Value},
};

use super::{Change, Op};
use crate::{
    domain::{
        conform::{self, LIST_LIMIT},
        filter::Filter,
        fold::{self, fold},
    },
    error::{Error, Result},
};

/// Changes a list, or takes values out of it.
pub(super) fn change(
    container: &mut Object,
    op: Op,
    attribute: &'static Attribute,
    value: Value,
) -> Result<()> {
    let mut values = match container.remove(attribute.name) {
        Some(Value::List(values)) => values,
        _ => Vec::new(),
    };
    match (op, value) {
        (Op::Remove, Value::Null) => values.clear(),
        (Op::Remove, meant) => remove(&mut values, attribute, conformed(attribute, meant)?),
        (Op::Replace, given) => values = conformed(attribute, given)?,
        (Op::Add, given) => add(&mut values, attribute, conformed(attribute, given)?)?,
    }
    if !values.is_empty() {
        container.insert(attribute.name.to_owned(), Value::List(values));
    }
    Ok(())
}

/// Changes the values that a filter selects. Where there are none and none is
/// required, what is set is put beside the others, as it is with objects.
pub(super) fn change_selected(
    container: &mut Object,
    change: Change,
    attribute: &'static Attribute,
    select: &Filter,
    value: Value,
) -> Result<()> {
    let mut values = match container.remove(attribute.name) {
        Some(Value::List(values)) => values,
        _ => Vec::new(),
    };
    let is_selected = |value: &Value| select.matches_value(value);
    if change.require_target && !values.iter().any(is_selected) {
        return Err(Error::NoTarget(attribute.name.to_owned()));
    }
    if change.op != Op::Add {
        values.retain(|value| !is_selected(value));
    }
    if change.op != Op::Remove {
        add(&mut values, attribute, conformed(attribute, value)?)?;
    }
    if !values.is_empty() {
        container.insert(attribute.name.to_owned(), Value::List(values));
    }
    Ok(())
}

/// One value is a list of one.
fn conformed(attribute: &Attribute, value: Value) -> Result<Vec<Value>> {
    let list = match value {
        list @ (Value::List(_) | Value::Null) => list,
        single => Value::List(vec![single]),
    };
    Ok(match conform::value(attribute, list)? {
        Some(Value::List(values)) => values,
        _ => Vec::new(),
    })
}

fn remove(values: &mut Vec<Value>, attribute: &Attribute, meant: Vec<Value>) {
    let meant: Vec<_> = meant
        .into_iter()
        .map(|v| comparable(attribute, v))
        .collect();
    values.retain(|value| !meant.contains(&comparable(attribute, value.clone())));
}

fn add(values: &mut Vec<Value>, attribute: &Attribute, added: Vec<Value>) -> Result<()> {
    for value in added {
        // Every operation asks this of every value: nothing is folded that need
        // not be.
        if !values.iter().any(|known| same(attribute, known, &value)) {
            values.push(value);
        }
    }
    if values.len() > LIST_LIMIT {
        let rule = format!("has more than {LIST_LIMIT} values");
        return Err(Error::invalid(attribute.name, rule));
    }
    Ok(())
}

/// Whether two values are the same, whatever their case where it does not count.
fn same(attribute: &Attribute, one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other))
            if attribute.kind == Kind::String && !attribute.case_exact =>
        {
            fold::same(one, other)
        }
        (one, other) => one == other,
    }
}

/// Text folded where case does not count.
fn comparable(attribute: &Attribute, value: Value) -> Value {
    match value {
        Value::String(text) if attribute.kind == Kind::String && !attribute.case_exact => {
            fold(&text).into()
        }
        other => other,
    }
}
