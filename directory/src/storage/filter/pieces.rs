//! What conditions are put together from.

use muster_proto::schema::{Attribute, Kind, Schema};

use crate::{
    domain::{filter::Operator, fold::fold},
    storage::{dialect::JsonKind, sql::Sql},
};

/// As what a JSON value of the attribute is read. The search document has
/// instants as numbers.
pub(super) fn json_kind(attribute: &Attribute) -> JsonKind {
    match attribute.kind {
        Kind::Boolean => JsonKind::Boolean,
        Kind::Integer | Kind::Decimal | Kind::DateTime => JsonKind::Number,
        Kind::String | Kind::Binary | Kind::Reference | Kind::Complex => JsonKind::Text,
    }
}

/// The place in the search document of what the registry knows.
pub(super) fn keys<'a>(
    schema: Option<&'a Schema>,
    attribute: &'a Attribute,
    sub: Option<&'a Attribute>,
) -> Vec<&'a str> {
    let names = [
        schema.map(|s| s.urn),
        Some(attribute.name),
        sub.map(|s| s.name),
    ];
    names.into_iter().flatten().collect()
}

/// Names as the search document spells them.
pub(super) fn folded<const N: usize>(names: [Option<&String>; N]) -> Vec<String> {
    names.into_iter().flatten().map(|name| fold(name)).collect()
}

pub(super) fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

pub(super) fn ordered(place: Sql, operator: Operator, literal: Sql) -> Sql {
    let sign = match operator {
        Operator::Equal => " = ",
        // What has no value differs from every value.
        Operator::NotEqual => return not(ordered(place, Operator::Equal, literal)),
        Operator::Greater => " > ",
        Operator::GreaterOrEqual => " >= ",
        Operator::Less => " < ",
        Operator::LessOrEqual => " <= ",
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => return never(),
    };
    known(place, |place| place.text(sign).then(literal))
}

/// A condition on a value that may be NULL, false when it is. What has to be
/// dug out of a document is mentioned once, so that it is dug out once; of a
/// column the plain condition is kept, for indexes.
pub(super) fn known(place: Sql, condition: impl FnOnce(Sql) -> Sql) -> Sql {
    if !place.is_column() {
        return Sql::new("COALESCE(")
            .then(condition(place))
            .text(", FALSE)");
    }
    Sql::new("(")
        .then(place.clone())
        .text(" IS NOT NULL AND ")
        .then(condition(place))
        .text(")")
}

pub(super) fn exists(from: Sql, condition: Sql) -> Sql {
    Sql::new("EXISTS (SELECT 1 FROM ")
        .then(from)
        .text(" WHERE ")
        .then(condition)
        .text(")")
}

/// Conditions that need no parentheses among themselves.
const TOGETHER: usize = 4;

pub(super) fn all(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    joined(conditions.into_iter().collect(), " AND ", "TRUE")
}

pub(super) fn any(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    joined(conditions.into_iter().collect(), " OR ", "FALSE")
}

/// Conditions in parentheses, halves of them in parentheses of their own: read
/// from left to right, each would lie a level deeper than the one behind it, and
/// SQLite takes no more than 1,000 levels.
fn joined(mut conditions: Vec<Sql>, between: &str, empty: &str) -> Sql {
    if conditions.len() > TOGETHER {
        let rest = conditions.split_off(conditions.len() / 2);
        let halves = [conditions, rest].map(|half| joined(half, between, empty));
        return joined(halves.into(), between, empty);
    }
    Sql::new("(")
        .then(Sql::join(conditions, between, empty))
        .text(")")
}

pub(super) fn not(condition: Sql) -> Sql {
    Sql::new("NOT (").then(condition).text(")")
}

pub(super) fn always() -> Sql {
    Sql::new("TRUE")
}

pub(super) fn never() -> Sql {
    Sql::new("FALSE")
}
