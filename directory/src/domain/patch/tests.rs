//! One table per kind of target: resource before, operation, resource after.

use muster_proto::schema::{ENTERPRISE_USER, USER};
use serde_json::{Value as Json, json};

use super::*;
use crate::domain::{
    access::Access,
    filter::{Field, Operator},
    resource::ResourceKind,
    search,
};

mod letter;

const URN: &str = "urn:example:params:2.0:User";

fn user(attributes: Json) -> Resource {
    let mut attributes = search::object_from_json(attributes);
    attributes
        .entry("userName".to_owned())
        .or_insert_with(|| "ada".into());
    attributes
        .entry("active".to_owned())
        .or_insert_with(|| true.into());
    Resource {
        kind: ResourceKind::User,
        id: "id".to_owned(),
        attributes,
        version: 1,
        created_at: 0,
        updated_at: 0,
        deleted_at: None,
        owner: None,
        access: Access::default(),
    }
}

fn value(json: Json) -> Value {
    search::value_from_json(json)
}

/// `emails`, `name.familyName`, `emails[type=work].value`, `urn:...|department`.
fn path(text: &str) -> Path {
    let (schema, rest) = text.split_once('|').unwrap_or(("", text));
    let (name, filter, sub) = match rest.split_once('[') {
        Some((name, rest)) => {
            let (filter, rest) = rest.split_once(']').expect("closed");
            (name, Some(filter), rest.trim_start_matches('.'))
        }
        None => match rest.split_once('.') {
            Some((name, sub)) => (name, None, sub),
            None => (rest, None, ""),
        },
    };
    let mut path = Path::find(&USER, schema, name, sub).expect("known");
    if let (
        Path::Attribute {
            attribute, select, ..
        },
        Some(filter),
    ) = (&mut path, filter)
    {
        let (name, literal) = filter.split_once('=').expect("an equality");
        let field = Field::element(attribute, name).expect("known");
        let literal = match literal {
            "true" => Value::from(true),
            text => text.into(),
        };
        *select = Some(Filter::compare(field, Operator::Equal, literal).expect("fits"));
    }
    path
}

fn patched(before: Json, op: Op, at: &str, with: Json) -> Result<Json> {
    let mut resource = user(before);
    let operation = Operation {
        op,
        path: path(at),
        value: value(with),
        require_target: false,
    };
    apply(&mut resource, vec![operation], &USER)?;
    resource.attributes.remove("userName");
    resource.attributes.remove("active");
    Ok(search::object_to_json(&resource.attributes))
}

#[track_caller]
fn check(before: Json, op: Op, at: &str, with: Json, after: Json) {
    assert_eq!(patched(before, op, at, with).expect("applies"), after);
}

#[test]
fn simple_attributes_are_set_and_cleared() {
    use Op::{Add, Remove, Replace};
    check(json!({}), Add, "title", json!("x"), json!({"title": "x"}));
    check(
        json!({"title": "x"}),
        Replace,
        "title",
        json!("y"),
        json!({"title": "y"}),
    );
    check(
        json!({"title": "x"}),
        Replace,
        "title",
        json!(""),
        json!({}),
    );
    check(json!({"title": "x"}), Add, "title", json!(null), json!({}));
    check(
        json!({"title": "x"}),
        Remove,
        "title",
        json!("other"),
        json!({}),
    );
    check(json!({}), Remove, "title", json!(null), json!({}));
}

#[test]
fn complex_attributes_are_merged() {
    let before = json!({"name": {"givenName": "Ada", "familyName": "L"}});
    for op in [Op::Add, Op::Replace] {
        check(
            before.clone(),
            op,
            "name",
            json!({"familyName": "B", "givenName": ""}),
            json!({"name": {"familyName": "B"}}),
        );
    }
    check(before.clone(), Op::Remove, "name", json!(null), json!({}));
    check(
        before,
        Op::Remove,
        "name.givenName",
        json!(null),
        json!({"name": {"familyName": "L"}}),
    );
}

#[test]
fn a_manager_goes_when_he_is_the_one_meant() {
    let at = format!("{ENTERPRISE_USER}|manager");
    let before = json!({ENTERPRISE_USER: {"manager": {"value": "m"}}});
    check(
        before.clone(),
        Op::Remove,
        &at,
        json!({"value": "other"}),
        before.clone(),
    );
    check(
        before.clone(),
        Op::Remove,
        &at,
        json!({"value": "m"}),
        json!({}),
    );
    check(before, Op::Remove, &at, json!(null), json!({}));
}

#[test]
fn a_filter_that_matches_nothing_makes_an_element() {
    for op in [Op::Add, Op::Replace] {
        check(
            json!({}),
            op,
            "emails[type=work].value",
            json!("a@b"),
            json!({"emails": [{"type": "work", "value": "a@b"}]}),
        );
    }
    check(
        json!({}),
        Op::Add,
        "roles[primary=true].display",
        json!("r"),
        json!({"roles": [{"primary": true, "display": "r"}]}),
    );
    let mut path = path("emails[type=work].value");
    if let Path::Attribute {
        select: Some(filter),
        ..
    } = &mut path
    {
        *filter = Filter::Not(Box::new(filter.clone()));
    }
    let operation = Operation {
        op: Op::Add,
        path,
        value: "a@b".into(),
        require_target: false,
    };
    let refused = apply(&mut user(json!({})), vec![operation], &USER);
    assert!(matches!(refused, Err(Error::NoTarget(_))));
}

#[test]
fn parts_of_selected_elements_keep_their_siblings() {
    let before = json!({"emails": [
        {"type": "work", "value": "a@b", "display": "A", "primary": true},
        {"type": "home", "value": "h@b"},
    ]});
    check(
        before.clone(),
        Op::Replace,
        "emails[type=WORK].value",
        json!("c@d"),
        json!({"emails": [
            {"type": "work", "value": "c@d", "display": "A", "primary": true},
            {"type": "home", "value": "h@b"},
        ]}),
    );
    check(
        before.clone(),
        Op::Add,
        "emails[type=home].primary",
        json!(true),
        json!({"emails": [
            {"type": "work", "value": "a@b", "display": "A", "primary": false},
            {"type": "home", "value": "h@b", "primary": true},
        ]}),
    );
    check(
        before,
        Op::Remove,
        "emails[type=work].value",
        json!("never assigned"),
        json!({"emails": [{"type": "home", "value": "h@b"}]}),
    );
}

#[test]
fn replacing_a_selected_element_keeps_what_selected_it() {
    check(
        json!({"emails": [{"type": "work", "value": "a@b", "display": "A"}]}),
        Op::Replace,
        "emails[type=work]",
        json!({"value": "c@d"}),
        json!({"emails": [{"type": "work", "value": "c@d"}]}),
    );
}

#[test]
fn values_are_added_once() {
    let before = json!({"emails": [{"value": "a@b", "type": "work", "primary": true}]});
    check(
        before.clone(),
        Op::Add,
        "emails",
        json!([{"value": "a@b", "type": "work"}, {"value": "c@d", "primary": true}]),
        json!({"emails": [
            {"value": "a@b", "type": "work", "primary": false},
            {"value": "c@d", "primary": true},
        ]}),
    );
    check(
        before,
        Op::Replace,
        "emails",
        json!([{"value": "n@b"}]),
        json!({"emails": [{"value": "n@b"}]}),
    );
}

#[test]
fn only_the_values_meant_are_removed() {
    let before = json!({"roles": [{"value": "a"}, {"value": "b", "type": "t"}]});
    let after_b = json!({"roles": [{"value": "a"}]});
    check(
        before.clone(),
        Op::Remove,
        "roles",
        json!([{"value": "B"}]),
        after_b,
    );
    check(
        before.clone(),
        Op::Remove,
        "roles",
        json!([{"value": "z"}]),
        before.clone(),
    );
    check(
        before.clone(),
        Op::Remove,
        "roles",
        json!([{}]),
        before.clone(),
    );
    check(
        before.clone(),
        Op::Remove,
        "roles",
        json!([]),
        before.clone(),
    );
    check(before.clone(), Op::Remove, "roles", json!(null), json!({}));
    check(before, Op::Replace, "roles", json!([]), json!({}));
}

#[test]
fn unregistered_extensions_take_what_comes() {
    let at = format!("{URN}|Site");
    check(
        json!({}),
        Op::Add,
        &at,
        json!("x"),
        json!({URN: {"Site": "x"}}),
    );
    let before = json!({URN: {"Site": "x", "n": 1}});
    check(
        before.clone(),
        Op::Replace,
        &format!("{URN}|site"),
        json!("y"),
        json!({URN: {"Site": "y", "n": 1}}),
    );
    check(
        before.clone(),
        Op::Remove,
        &at,
        json!(null),
        json!({URN: {"n": 1}}),
    );
    check(
        before,
        Op::Remove,
        &format!("{URN}|"),
        json!(null),
        json!({}),
    );
}

#[test]
fn one_error_undoes_all() {
    let mut resource = user(json!({"title": "x"}));
    let before = resource.clone();
    let title = Operation {
        op: Op::Replace,
        path: path("title"),
        value: "y".into(),
        require_target: false,
    };
    let user_name = Operation {
        op: Op::Remove,
        path: path("userName"),
        value: Value::Null,
        require_target: false,
    };
    let refused = apply(&mut resource, vec![title, user_name], &USER);
    assert!(matches!(refused, Err(Error::Unremovable(name)) if name == "userName"));
    assert_eq!(resource, before);
}

#[test]
fn what_the_server_writes_is_read_only() {
    for name in ["id", "meta", "groups"] {
        let found = Path::find(&USER, "", name, "");
        assert!(matches!(found, Err(Error::ReadOnly(_))), "{name}");
    }
    let found = Path::find(&USER, "", "jobTitle", "");
    assert!(matches!(found, Err(Error::PathInvalid(_))));
}

#[test]
fn active_may_be_removed() {
    for op in [Op::Remove, Op::Replace] {
        let mut resource = user(json!({"active": true}));
        let operation = Operation {
            op,
            path: path("active"),
            value: Value::Null,
            require_target: false,
        };
        apply(&mut resource, vec![operation], &USER).expect("applies");
        assert!(!resource.attributes.contains_key("active"), "{op:?}");
    }
    let refused = patched(json!({}), Op::Replace, "active", json!(""));
    assert!(matches!(refused, Err(Error::Invalid(_))));
}

#[test]
fn work_is_bounded() {
    let many: Vec<_> = (0..1_001)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    let refused = patched(json!({}), Op::Remove, "emails", json!(many));
    assert!(matches!(refused, Err(Error::TooMany { .. })));
    let at = format!("{URN}|list");
    let half: Vec<_> = (0..600).collect();
    let other: Vec<_> = (600..1_200).collect();
    let refused = patched(json!({URN: {"list": half}}), Op::Add, &at, json!(other));
    assert!(matches!(refused, Err(Error::Invalid(_))));
}

/// Answers must fit a message: a user cannot be grown past it bit by bit.
#[test]
fn a_resource_cannot_outgrow_its_limit() {
    let mut resource = user(json!({}));
    let text = "x".repeat(conform::TEXT_LIMIT);
    let grow = |n: usize| Operation {
        op: Op::Add,
        path: path(&format!("{URN}|part{n}")),
        value: text.as_str().into(),
        require_target: false,
    };
    for n in 0..15 {
        apply(&mut resource, vec![grow(n)], &USER).expect("below a mebibyte");
    }
    let before = resource.clone();
    let refused = apply(&mut resource, vec![grow(15)], &USER);
    assert!(matches!(refused, Err(Error::Invalid(_))));
    assert_eq!(resource, before);
}
