//! Random filters, and what the domain understands of them.

use muster_directory::{
    domain::filter::{Field, Filter, Operator},
    error::{Error, Result},
};
use muster_proto::{
    schema::{Attribute, ENTERPRISE_USER, Kind, USER, schemas_attribute},
    v1::{self, ComparisonOperator as Wire, filter::Node},
    value::Value,
};

use super::{
    badge::{self, BADGE},
    dice::Dice,
    people::{NUMBERS, People, URN, simple, text},
};

/// What is asked for and sorted by: schema, attribute, sub-attribute.
pub(super) const PATHS: [(&str, &str, &str); 46] = [
    ("", "userName", ""),
    ("", "displayName", ""),
    ("", "externalId", ""),
    ("", "id", ""),
    ("", "title", ""),
    ("", "nickName", ""),
    ("", "profileUrl", ""),
    ("", "active", ""),
    ("", "name", ""),
    ("", "name", "familyName"),
    ("", "name", "givenName"),
    ("", "emails", ""),
    ("", "emails", "value"),
    ("", "emails", "type"),
    ("", "emails", "display"),
    ("", "emails", "primary"),
    ("", "roles", "value"),
    ("", "groups", ""),
    ("", "groups", "value"),
    ("", "groups", "display"),
    ("", "groups", "type"),
    ("", "meta", "created"),
    ("", "meta", "version"),
    ("", "schemas", ""),
    (ENTERPRISE_USER, "employeeNumber", ""),
    (ENTERPRISE_USER, "department", ""),
    (ENTERPRISE_USER, "manager", ""),
    (ENTERPRISE_USER, "manager", "displayName"),
    (URN, "mixed", ""),
    (URN, "many", ""),
    (URN, "parts", "value"),
    (URN, "whole", "value"),
    (URN, "whole", ""),
    (BADGE, "number", ""),
    (BADGE, "nick", ""),
    (BADGE, "level", ""),
    (BADGE, "score", ""),
    (BADGE, "certified", ""),
    (BADGE, "since", ""),
    (BADGE, "photo", ""),
    (BADGE, "tags", ""),
    (BADGE, "codes", ""),
    (BADGE, "office", ""),
    (BADGE, "office", "building"),
    (BADGE, "office", "floor"),
    (BADGE, "desks", "value"),
];

/// The lists whose elements are asked for: schema and attribute.
const LISTS: [(&str, &str); 5] = [
    ("", "emails"),
    ("", "roles"),
    ("", "groups"),
    ("", "schemas"),
    (BADGE, "desks"),
];

const OPERATORS: [(Wire, Operator); 9] = [
    (Wire::Equal, Operator::Equal),
    (Wire::NotEqual, Operator::NotEqual),
    (Wire::Contains, Operator::Contains),
    (Wire::StartsWith, Operator::StartsWith),
    (Wire::EndsWith, Operator::EndsWith),
    (Wire::GreaterThan, Operator::Greater),
    (Wire::GreaterOrEqual, Operator::GreaterOrEqual),
    (Wire::LessThan, Operator::Less),
    (Wire::LessOrEqual, Operator::LessOrEqual),
];

pub(super) fn path(schema: &str, attribute: &str, sub: &str) -> v1::AttributePath {
    v1::AttributePath {
        schema: schema.to_owned(),
        attribute: attribute.to_owned(),
        sub_attribute: sub.to_owned(),
        value_filter: None,
    }
}

/// A filter that may not fit: types are guessed well, not always right.
pub(super) fn filter(dice: &mut Dice, people: &People, depth: usize) -> v1::Filter {
    let more = |dice: &mut Dice| v1::FilterList {
        filters: (0..2 + dice.below(2))
            .map(|_| filter(dice, people, depth - 1))
            .collect(),
    };
    let node = match dice.below(if depth == 0 { 7 } else { 11 }) {
        0 => {
            let (schema, attribute, sub) = *dice.one_of(&PATHS);
            Node::Present(Box::new(path(schema, attribute, sub)))
        }
        1 | 2 => elements(dice, people),
        3..=6 => {
            let (schema, attribute, sub) = *dice.one_of(&PATHS);
            let asked = path(schema, attribute, sub);
            let leaf = field(&asked).ok().and_then(|field| field.leaf());
            comparison(dice, people, asked, leaf)
        }
        7 => Node::And(more(dice)),
        8 => Node::Or(more(dice)),
        _ => Node::Not(Box::new(filter(dice, people, depth - 1))),
    };
    v1::Filter { node: Some(node) }
}

/// Conditions on one element of a list.
fn elements(dice: &mut Dice, people: &People) -> Node {
    let (schema, name) = *dice.one_of(&LISTS);
    let attribute = listed(schema, name).expect("a list");
    let condition = |dice: &mut Dice| {
        let subs = attribute.sub_attributes;
        let sub = (!subs.is_empty()).then(|| dice.one_of(subs));
        let asked = path("", sub.map_or("value", |sub| sub.name), "");
        let node = match dice.one_in(5) {
            true => Node::Present(Box::new(asked)),
            false => comparison(dice, people, asked, Some(sub.unwrap_or(attribute))),
        };
        let condition = v1::Filter { node: Some(node) };
        match dice.one_in(4) {
            true => v1::Filter {
                node: Some(Node::Not(Box::new(condition))),
            },
            false => condition,
        }
    };
    let list = v1::FilterList {
        filters: (0..=dice.below(3)).map(|_| condition(dice)).collect(),
    };
    let inner = match dice.one_in(3) {
        true => Node::Or(list),
        false => Node::And(list),
    };
    Node::ValuePath(Box::new(v1::ValuePathFilter {
        path: Some(Box::new(path(schema, name, ""))),
        filter: Some(Box::new(v1::Filter { node: Some(inner) })),
    }))
}

fn comparison(
    dice: &mut Dice,
    people: &People,
    path: v1::AttributePath,
    leaf: Option<&'static Attribute>,
) -> Node {
    let value = value(dice, people, leaf);
    let fits = match value {
        Value::Null | Value::Boolean(_) => 2,
        _ => OPERATORS.len(),
    };
    let (operator, _) = *dice.one_of(&OPERATORS[..fits]);
    Node::Comparison(Box::new(v1::Comparison {
        path: Some(Box::new(path)),
        operator: operator.into(),
        value: Some(value.into()),
    }))
}

/// A value that has a chance to be there.
fn value(dice: &mut Dice, people: &People, leaf: Option<&'static Attribute>) -> Value {
    let Some(leaf) = leaf else {
        return simple(dice);
    };
    let person = dice.one_of(&people.all);
    match (leaf.kind, leaf.name) {
        _ if dice.one_in(20) => Value::Null,
        (Kind::Boolean, _) => Value::Boolean(dice.one_in(2)),
        (Kind::DateTime, "since") => (*dice.one_of(&badge::TIMES)).into(),
        (Kind::DateTime, _) => instant(person.resource.created_at).into(),
        (Kind::Binary, _) => (*dice.one_of(&badge::PHOTOS)).into(),
        (Kind::Integer, _) => Value::Integer(*dice.one_of(&badge::LEVELS)),
        (Kind::Decimal, _) if dice.one_in(4) => Value::Integer(*dice.one_of(&badge::LEVELS)),
        (Kind::Decimal, _) => Value::Decimal(*dice.one_of(&NUMBERS)),
        (_, "version") => "\"1\"".into(),
        (_, "schemas") => {
            let urns = [USER.core.urn, ENTERPRISE_USER, URN, BADGE, "urn:x"];
            (*dice.one_of(&urns)).into()
        }
        (_, "type") => (*dice.one_of(&["work", "HOME", "direct", "Indirect"])).into(),
        (_, "id") => person.resource.id.as_str().into(),
        (_, "value") if dice.one_in(2) => {
            let known = person.resource.id.as_str();
            let ids = [known, dice.one_of(&people.group_ids).as_str()];
            (*dice.one_of(&ids)).into()
        }
        (_, name @ ("userName" | "displayName" | "externalId" | "title")) if dice.one_in(2) => {
            person
                .resource
                .text(name)
                .unwrap_or("x")
                .to_uppercase()
                .into()
        }
        _ => text(dice).into(),
    }
}

/// As RFC 3339 writes it, in another zone.
fn instant(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days since the beginning of a 400-year cycle in March (H. Hinnant).
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let of_month = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (rest / 1_000, rest % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let seconds = seconds % 60;
    format!("{year:04}-{month:02}-{of_month:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

fn listed(schema: &str, name: &str) -> Option<&'static Attribute> {
    match (schema, name) {
        ("", "schemas") => Some(schemas_attribute()),
        ("", name) => USER.core.attribute(name),
        (_, name) => badge::extension().attribute(name),
    }
}

/// What the domain makes of a filter.
pub(super) fn decoded(filter: &v1::Filter) -> Result<Filter> {
    decode(filter, None)
}

fn decode(filter: &v1::Filter, element: Option<&'static Attribute>) -> Result<Filter> {
    let all = |list: &v1::FilterList| {
        let filters = list.filters.iter().map(|f| decode(f, element));
        filters.collect::<Result<Vec<_>>>()
    };
    let field = |path: Option<&v1::AttributePath>| {
        let path = path.expect("a path");
        match element {
            Some(attribute) => Field::element(attribute, &path.attribute),
            None => field(path),
        }
    };
    match filter.node.as_ref().expect("a node") {
        Node::And(list) => all(list).map(Filter::And),
        Node::Or(list) => all(list).map(Filter::Or),
        Node::Not(filter) => Ok(Filter::Not(Box::new(decode(filter, element)?))),
        Node::Present(path) => field(Some(path)).map(Filter::Present),
        Node::Comparison(comparison) => {
            let operators = OPERATORS.iter();
            let mut meant = operators.filter(|(wire, _)| *wire == comparison.operator());
            let (_, operator) = meant.next().expect("an operator");
            let value = comparison.value.clone().expect("a value");
            Filter::compare(field(comparison.path.as_deref())?, *operator, value.into())
        }
        Node::ValuePath(node) => {
            let path = node.path.as_ref().expect("a path");
            let attribute = listed(&path.schema, &path.attribute);
            let inner = decode(node.filter.as_ref().expect("a filter"), attribute)?;
            Ok(Filter::Element(self::field(path)?, Box::new(inner)))
        }
    }
}

fn field(path: &v1::AttributePath) -> Result<Field, Error> {
    let (schema, attribute) = (&path.schema, &path.attribute);
    Field::find(badge::users(), schema, attribute, &path.sub_attribute)
}
