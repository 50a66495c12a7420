//! RFC 7644 section 3.5.2 to the letter: targets that must be there, and the
//! characteristics of RFC 7643 section 7.

use muster_proto::schema::{Attribute, Kind, Reach, Returned, Schema, Uniqueness};

use super::*;
use crate::domain::resource::ResourceKind;

const ACME: &str = "urn:acme:badge";

const TEXT: Attribute = Attribute {
    name: "note",
    kind: Kind::String,
    multi_valued: false,
    description: "",
    required: false,
    case_exact: false,
    mutability: Mutability::ReadWrite,
    returned: Returned::Default,
    uniqueness: Uniqueness::None,
    canonical_values: &["some", "other"],
    reference_types: &[],
    sub_attributes: &[],
    reach: Reach::Document,
};

const ONCE: Attribute = Attribute {
    name: "once",
    mutability: Mutability::Immutable,
    ..TEXT
};

const NEEDED: Attribute = Attribute {
    name: "needed",
    required: true,
    ..TEXT
};

static BADGE: Schema = Schema {
    urn: ACME,
    name: "Badge",
    description: "",
    attributes: &[
        TEXT,
        ONCE,
        NEEDED,
        Attribute {
            name: "since",
            kind: Kind::DateTime,
            ..ONCE
        },
        Attribute {
            name: "tags",
            multi_valued: true,
            ..TEXT
        },
        Attribute {
            name: "levels",
            kind: Kind::Integer,
            multi_valued: true,
            ..TEXT
        },
        Attribute {
            name: "site",
            kind: Kind::Complex,
            sub_attributes: &[TEXT, ONCE, NEEDED],
            ..TEXT
        },
        Attribute {
            name: "doors",
            kind: Kind::Complex,
            multi_valued: true,
            sub_attributes: &[TEXT, ONCE, NEEDED],
            ..TEXT
        },
    ],
};

static TENANT: ResourceType = ResourceType {
    name: USER.name,
    description: USER.description,
    endpoint: USER.endpoint,
    core: USER.core,
    extensions: &[&BADGE],
};

/// A badge before, the operation, and the badge after or the word for the
/// error.
#[track_caller]
fn badge(before: Json, op: Op, name: &str, with: Json, after: Result<Json, &str>) {
    let (name, select) = match name.split_once('=') {
        Some((name, note)) => (name, Some(note)),
        None => (name, None),
    };
    let (attribute, sub) = name.split_once('.').unwrap_or((name, ""));
    let mut path = Path::find(&TENANT, ACME, attribute, sub).expect("registered");
    if let (
        Path::Attribute {
            attribute, select, ..
        },
        Some(note),
    ) = (&mut path, select)
    {
        let field = Field::element(attribute, "note").expect("registered");
        *select = Some(Filter::compare(field, Operator::Equal, note.into()).expect("fits"));
    }
    let operation = Operation {
        op,
        path,
        value: value(with),
        require_target: true,
    };
    let mut resource = match before == json!({}) {
        true => user(json!({})),
        false => user(json!({ACME: before})),
    };
    let unchanged = resource.clone();
    let applied = apply(&mut resource, vec![operation], &TENANT);
    let found = match &applied {
        Ok(()) => {
            let found = search::object_to_json(&resource.attributes);
            Ok(found.get(ACME).cloned().unwrap_or_default())
        }
        Err(error) => {
            assert_eq!(resource, unchanged);
            Err(word(error))
        }
    };
    assert_eq!(found, after, "{op:?} {name} {applied:?}");
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::Immutable(_) => "immutable",
        Error::Unremovable(_) => "unremovable",
        Error::Invalid(_) => "invalid",
        Error::NoTarget(_) => "no target",
        Error::PathInvalid(_) => "path",
        _ => "another",
    }
}

#[test]
fn what_is_immutable_is_written_once() {
    let unset = || json!({"needed": "n"});
    let set = || json!({"needed": "n", "once": "a"});
    badge(unset(), Op::Add, "once", json!("a"), Ok(set()));
    badge(unset(), Op::Replace, "once", json!("a"), Ok(set()));
    badge(set(), Op::Replace, "once", json!("a"), Ok(set()));
    badge(set(), Op::Replace, "once", json!("b"), Err("immutable"));
    badge(set(), Op::Remove, "once", json!(null), Err("immutable"));
    badge(set(), Op::Add, "once", json!(null), Err("immutable"));
    // The same time in another zone.
    let since = |time: &str| json!({"needed": "n", "since": time});
    let (here, there) = ("2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00");
    badge(
        since(here),
        Op::Replace,
        "since",
        json!(there),
        Ok(since(there)),
    );
    let later = json!("2020-01-01T00:00:01Z");
    badge(since(here), Op::Replace, "since", later, Err("immutable"));
    let site = || json!({"needed": "n", "site": {"needed": "s", "once": "a"}});
    badge(
        site(),
        Op::Replace,
        "site.once",
        json!("b"),
        Err("immutable"),
    );
    badge(site(), Op::Remove, "site", json!(null), Err("immutable"));
    badge(site(), Op::Add, "site", json!({"once": "a"}), Ok(site()));
}

#[test]
fn an_extension_keeps_what_is_immutable_in_it() {
    let before = user(json!({ACME: {"needed": "n", "once": "a"}}));
    let mut after = before.clone();
    let operation = Operation {
        op: Op::Remove,
        path: Path::find(&TENANT, ACME, "", "").expect("registered"),
        value: Value::Null,
        require_target: false,
    };
    let removed = apply(&mut after, vec![operation], &TENANT);
    assert!(matches!(removed, Err(Error::Immutable(path)) if path == format!("{ACME}:once")));
    assert_eq!(after, before);
    let replaced = |badge: Json| {
        let attributes = json!({"userName": "ada", ACME: badge});
        let attributes = search::object_from_json(attributes);
        before.clone().replace(attributes, &TENANT)
    };
    assert!(replaced(json!({"needed": "m", "once": "a"})).is_ok());
    let other = replaced(json!({"needed": "n", "once": "b"}));
    assert!(matches!(other, Err(Error::Immutable(_))));
    let gone = replaced(json!({"needed": "n"}));
    assert!(matches!(gone, Err(Error::Immutable(_))));
}

#[test]
fn elements_come_and_go_but_keep_what_is_immutable() {
    let door = |note: &str| json!({"needed": "d", "note": note, "once": "a"});
    let doors = || json!({"needed": "n", "doors": [door("x")]});
    badge(
        doors(),
        Op::Replace,
        "doors.once=x",
        json!("a"),
        Ok(doors()),
    );
    badge(
        doors(),
        Op::Replace,
        "doors.once=x",
        json!("b"),
        Err("immutable"),
    );
    badge(
        doors(),
        Op::Remove,
        "doors.once=x",
        json!(null),
        Err("immutable"),
    );
    badge(
        doors(),
        Op::Remove,
        "doors=x",
        json!(null),
        Ok(json!({"needed": "n"})),
    );
    badge(
        doors(),
        Op::Replace,
        "doors",
        json!([{"needed": "d", "once": "c"}]),
        Ok(json!({"needed": "n", "doors": [{"needed": "d", "once": "c"}]})),
    );
}

#[test]
fn what_is_required_stays() {
    let full = || json!({"needed": "n", "note": "x"});
    badge(
        full(),
        Op::Remove,
        "needed",
        json!(null),
        Err("unremovable"),
    );
    badge(
        full(),
        Op::Replace,
        "needed",
        json!(" "),
        Err("unremovable"),
    );
    badge(json!({}), Op::Add, "note", json!("x"), Err("invalid"));
    badge(
        full(),
        Op::Add,
        "site",
        json!({"note": "x"}),
        Err("invalid"),
    );
    badge(
        full(),
        Op::Add,
        "doors",
        json!([{"note": "x"}]),
        Err("invalid"),
    );
    let site = json!({"needed": "n", "site": {"needed": "s", "note": "x"}});
    badge(
        site,
        Op::Remove,
        "site.needed",
        json!(null),
        Err("unremovable"),
    );
    // A schema that came later does not stop other changes.
    let before = json!({"note": "x"});
    badge(
        before,
        Op::Replace,
        "note",
        json!("y"),
        Ok(json!({"note": "y"})),
    );
}

#[test]
fn a_new_resource_has_what_is_required() {
    let new = |badge: Json| {
        let attributes = search::object_from_json(json!({"userName": "ada", ACME: badge}));
        Resource::new(ResourceKind::User, &TENANT, String::new(), attributes, 0)
    };
    assert!(new(json!({"needed": "n"})).is_ok());
    assert!(new(json!({})).is_ok());
    assert!(matches!(new(json!({"note": "x"})), Err(Error::Invalid(_))));
    let door = new(json!({"needed": "n", "doors": [{"note": "x"}]}));
    assert!(matches!(door, Err(Error::Invalid(_))));
}

#[test]
fn lists_of_simple_values_are_sets() {
    let tags = |tags: Json| json!({"needed": "n", "tags": tags});
    let ab = || tags(json!(["a", "b"]));
    badge(
        ab(),
        Op::Add,
        "tags",
        json!(["B", "c"]),
        Ok(tags(json!(["a", "b", "c"]))),
    );
    badge(ab(), Op::Add, "tags", json!("A"), Ok(ab()));
    badge(
        ab(),
        Op::Remove,
        "tags",
        json!(["A"]),
        Ok(tags(json!(["b"]))),
    );
    badge(
        ab(),
        Op::Replace,
        "tags",
        json!(["x"]),
        Ok(tags(json!(["x"]))),
    );
    badge(
        ab(),
        Op::Remove,
        "tags",
        json!(null),
        Ok(json!({"needed": "n"})),
    );
    badge(
        ab(),
        Op::Replace,
        "tags",
        json!([]),
        Ok(json!({"needed": "n"})),
    );
    badge(ab(), Op::Add, "tags", json!([1]), Err("invalid"));
    let levels = |levels: Json| json!({"needed": "n", "levels": levels});
    badge(
        levels(json!([1])),
        Op::Add,
        "levels",
        json!([1, 2]),
        Ok(levels(json!([1, 2]))),
    );
    badge(
        levels(json!([1])),
        Op::Add,
        "levels",
        json!(["2"]),
        Err("invalid"),
    );
}

fn strict(before: Json, op: Op, at: &str, with: Json) -> Result<Json, &'static str> {
    let mut resource = user(before);
    let operation = Operation {
        op,
        path: path(at),
        value: value(with),
        require_target: true,
    };
    apply(&mut resource, vec![operation], &USER).map_err(|error| word(&error))?;
    resource.attributes.remove("userName");
    resource.attributes.remove("active");
    Ok(search::object_to_json(&resource.attributes))
}

#[test]
fn a_required_target_is_not_made() {
    let home = || json!({"emails": [{"type": "home", "value": "h"}]});
    for at in ["emails[type=work]", "emails[type=work].value"] {
        for op in [Op::Add, Op::Replace, Op::Remove] {
            let with = match at.ends_with(']') {
                true => json!({"value": "w"}),
                false => json!("w"),
            };
            assert_eq!(
                strict(home(), op, at, with),
                Err("no target"),
                "{op:?} {at}"
            );
        }
        let cleared = strict(home(), Op::Replace, at, json!(null));
        assert_eq!(cleared, Err("no target"), "{at}");
    }
    // Without a filter there is nothing to be missed (section 3.5.2.3: "add").
    let made = strict(json!({}), Op::Replace, "emails", json!([{"value": "w"}]));
    assert_eq!(made, Ok(json!({"emails": [{"value": "w"}]})));
}

#[test]
fn a_replaced_element_is_what_the_value_says() {
    let before = json!({"emails": [{"type": "work", "value": "a", "display": "A"}]});
    let after = strict(
        before,
        Op::Replace,
        "emails[type=work]",
        json!({"value": "b"}),
    );
    assert_eq!(after, Ok(json!({"emails": [{"value": "b"}]})));
}

#[test]
fn what_is_there_already_changes_nothing() {
    let before = || {
        json!({"emails": [
            {"type": "work", "value": "Ada@x", "primary": true},
            {"type": "home", "value": "h", "primary": false},
        ]})
    };
    for same in [
        json!([{"type": "WORK", "value": "ada@x", "primary": true}]),
        json!([{"type": "home", "value": "h"}]),
    ] {
        assert_eq!(strict(before(), Op::Add, "emails", same), Ok(before()));
    }
    let flipped = strict(
        before(),
        Op::Add,
        "emails",
        json!([{"value": "n", "primary": true}]),
    );
    let flipped = flipped.expect("applies");
    let primary: Vec<_> = (0..3)
        .map(|n| flipped["emails"][n]["primary"].clone())
        .collect();
    assert_eq!(primary, [json!(false), json!(false), json!(true)]);
    let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]);
    assert_eq!(
        strict(json!({}), Op::Replace, "emails", two),
        Err("invalid")
    );
}
