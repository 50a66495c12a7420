//! A schema of the tenant's own, with an attribute of every simple type.

use muster_proto::{
    schema::{Definition, Extends, Registry, ResourceType, Schema},
    v1::{self, SchemaAttribute, schema_attribute as wire},
    value::{Object, Value},
};

use super::{
    dice::Dice,
    people::{NUMBERS, WORDS, text},
};

/// Its URN.
pub(super) const BADGE: &str = "urn:example:Badge:2.0:User";

/// Times, two of them one instant.
pub(super) const TIMES: [&str; 5] = [
    "2020-02-29T23:30:00Z",
    "2020-03-01T00:30:00+01:00",
    "2020-03-01T00:00:00.001Z",
    "1969-12-31T23:59:59Z",
    "2038-01-19T03:14:08-12:00",
];

/// Bytes in base64, two of them alike but for case.
pub(super) const PHOTOS: [&str; 4] = ["TQ==", "tQ==", "AAAA", "/+8="];

/// Whole numbers, near and far.
pub(super) const LEVELS: [i64; 7] = [0, 2, 3, 10, -3, i64::MAX, 9_007_199_254_740_993];

fn attribute(name: &str, kind: wire::Type) -> SchemaAttribute {
    SchemaAttribute {
        name: name.to_owned(),
        r#type: kind.into(),
        ..Default::default()
    }
}

fn list(name: &str, kind: wire::Type) -> SchemaAttribute {
    SchemaAttribute {
        multi_valued: true,
        ..attribute(name, kind)
    }
}

/// The schema as it is registered.
pub(super) fn schema() -> v1::ExtensionSchema {
    use wire::Type as T;
    let number = SchemaAttribute {
        case_exact: true,
        uniqueness: wire::Uniqueness::Server.into(),
        ..attribute("number", T::String)
    };
    let office = SchemaAttribute {
        sub_attributes: vec![
            attribute("building", T::String),
            attribute("floor", T::Integer),
        ],
        ..attribute("office", T::Complex)
    };
    let desks = SchemaAttribute {
        sub_attributes: vec![
            attribute("value", T::String),
            attribute("type", T::String),
            attribute("primary", T::Boolean),
            attribute("floor", T::Integer),
        ],
        ..list("desks", T::Complex)
    };
    v1::ExtensionSchema {
        urn: BADGE.to_owned(),
        name: "Badge".to_owned(),
        resource_type: v1::ResourceType::User.into(),
        attributes: vec![
            number,
            attribute("nick", T::String),
            attribute("level", T::Integer),
            attribute("score", T::Decimal),
            attribute("certified", T::Boolean),
            attribute("since", T::DateTime),
            attribute("photo", T::Binary),
            list("tags", T::String),
            list("codes", T::Integer),
            office,
            desks,
        ],
        ..Default::default()
    }
}

/// What users of a tenant with this schema consist of.
pub(super) fn users() -> &'static ResourceType {
    let definition = Definition::from(schema());
    Registry::with(vec![(Extends::User, definition)]).user
}

/// The schema as the rules know it.
pub(super) fn extension() -> &'static Schema {
    let extensions = users().extensions.iter();
    let mut own = extensions.filter(|schema| schema.urn == BADGE);
    own.next().expect("registered")
}

/// The badge of the person with this number.
pub(super) fn badge(dice: &mut Dice, number: usize) -> Object {
    let mut badge = Object::new();
    for attribute in extension().attributes {
        if dice.one_in(4) {
            continue;
        }
        let value = match attribute.name {
            "number" => format!("{}{number}", dice.one_of(&WORDS)).into(),
            "level" => level(dice),
            "score" if dice.one_in(4) => level(dice),
            "score" => Value::Decimal(*dice.one_of(&NUMBERS)),
            "certified" => Value::Boolean(dice.one_in(2)),
            "since" => (*dice.one_of(&TIMES)).into(),
            "photo" => (*dice.one_of(&PHOTOS)).into(),
            "tags" => Value::List((0..dice.below(4)).map(|_| text(dice).into()).collect()),
            "codes" => Value::List((0..dice.below(4)).map(|_| level(dice)).collect()),
            "office" => Value::Complex(place(dice, "building")),
            "desks" => Value::List((0..dice.below(3)).map(|_| desk(dice)).collect()),
            _ => text(dice).into(),
        };
        badge.insert(attribute.name.to_owned(), value);
    }
    badge
}

fn level(dice: &mut Dice) -> Value {
    Value::Integer(*dice.one_of(&LEVELS))
}

fn place(dice: &mut Dice, name: &str) -> Object {
    let mut place = Object::new();
    if !dice.one_in(3) {
        place.insert(name.to_owned(), text(dice).into());
    }
    if !dice.one_in(3) {
        place.insert("floor".to_owned(), level(dice));
    }
    place
}

fn desk(dice: &mut Dice) -> Value {
    let mut desk = place(dice, "value");
    let label = *dice.one_of(&["work", "home", "Work"]);
    desk.insert("type".to_owned(), label.into());
    Value::Complex(desk)
}
