//! Projections of built-in attributes, and of a tenant's own.

use muster_proto::schema::{GROUP, Kind, Schema, USER, Uniqueness};

use super::{
    super::{
        flavor::{Flavor, meeting},
        patch::Op,
    },
    *,
};

#[track_caller]
fn check(attributes: Option<&str>, excluded: Option<&str>, groups: bool, members: bool) {
    let user =
        Projection::parse(attributes, excluded, &USER, Flavor::Entra.accents()).expect("few names");
    assert_eq!(
        user.wants("", "groups"),
        groups,
        "{attributes:?} {excluded:?}"
    );
    let group = Projection::parse(attributes, excluded, &GROUP, Flavor::Entra.accents())
        .expect("few names");
    assert_eq!(
        group.wants("", "members"),
        members,
        "{attributes:?} {excluded:?}"
    );
}

#[test]
fn costly_attributes_are_loaded_only_when_wanted() {
    check(None, None, true, true);
    check(Some(""), Some(" "), true, true);
    check(Some("id"), None, false, false);
    check(Some("Members.value,GROUPS"), None, true, true);
    check(None, Some("members,groups"), false, false);
    check(None, Some("members.display,groups.$ref"), true, true);
    check(
        None,
        Some("urn:ietf:params:scim:schemas:core:2.0:Group:members"),
        true,
        false,
    );
    check(Some("members"), Some("members"), false, true);
}

#[test]
fn id_comes_always() {
    let projection =
        Projection::parse(None, Some("id"), &USER, Flavor::Entra.accents()).expect("one name");
    assert!(projection.wants("", "id"));
}

const TEXT: Attribute = Attribute {
    name: "text",
    kind: Kind::String,
    multi_valued: false,
    description: "",
    required: false,
    case_exact: false,
    mutability: Mutability::ReadWrite,
    returned: Returned::Default,
    uniqueness: Uniqueness::None,
    canonical_values: &[],
    reference_types: &[],
    sub_attributes: &[],
    reach: muster_proto::schema::Reach::Document,
};

const NEVER: Attribute = Attribute {
    name: "never",
    returned: Returned::Never,
    ..TEXT
};

const SECRET: Attribute = Attribute {
    name: "secret",
    mutability: Mutability::WriteOnly,
    ..TEXT
};

const REQUEST: Attribute = Attribute {
    name: "request",
    returned: Returned::Request,
    ..TEXT
};

const ALWAYS: Attribute = Attribute {
    name: "always",
    returned: Returned::Always,
    ..TEXT
};

static ACME: Schema = Schema {
    urn: "urn:acme",
    name: "Acme",
    description: "",
    attributes: &[
        TEXT,
        NEVER,
        SECRET,
        REQUEST,
        ALWAYS,
        Attribute {
            name: "parts",
            kind: Kind::Complex,
            sub_attributes: &[TEXT, NEVER, SECRET, REQUEST, ALWAYS],
            ..TEXT
        },
    ],
};

static TENANT: ResourceType = ResourceType {
    name: USER.name,
    description: USER.description,
    endpoint: USER.endpoint,
    core: USER.core,
    extensions: &[&ACME],
};

fn tenant(attributes: Option<&str>, excluded: Option<&str>) -> Projection {
    let projection = Projection::parse(attributes, excluded, &TENANT, Accents::default());
    projection.expect("few names")
}

#[track_caller]
fn shown(attributes: Option<&str>, excluded: Option<&str>, top: &str, parts: &str) {
    let projection = tenant(attributes, excluded);
    compare(&projection, top, parts);
}

#[track_caller]
fn compare(projection: &Projection, top: &str, parts: &str) {
    let names = ["text", "never", "secret", "request", "always"];
    let kept = names
        .into_iter()
        .filter(|name| projection.wants("urn:acme", name));
    assert_eq!(kept.collect::<Vec<_>>().join(" "), top, "{projection:?}");
    let all = names.map(|name| (name.to_owned(), Value::from(true)));
    let all = Value::Complex(Object::from(all));
    let kept = projection.keep("urn:acme", "parts", all);
    let kept = kept.as_ref().and_then(Value::as_object);
    let kept: Vec<_> = kept
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(kept.join(" "), parts, "{projection:?}");
}

#[test]
fn schemas_say_when_an_attribute_is_returned() {
    let only = Projection::parse(Some("id"), None, &TENANT, Accents::default());
    let wanted = only.as_ref().map(Projection::wanted);
    let expected = vec![("", "id"), ("urn:acme", "always")];
    assert_eq!(wanted, Ok(Some(expected)));
    shown(None, None, "text always", "always text");
    shown(Some("urn:acme:parts"), None, "always", "always text");
    shown(
        Some("urn:acme:text,urn:acme:never,urn:acme:secret,urn:acme:request"),
        None,
        "text request always",
        "",
    );
    shown(
        Some("urn:acme:parts.request,urn:acme:parts.secret,urn:acme:parts.never"),
        None,
        "always",
        "always request",
    );
    shown(
        None,
        Some("urn:acme:always,urn:acme:text,urn:acme:parts.text,urn:acme:parts.always"),
        "always",
        "always",
    );
}

#[test]
fn accents() {
    let parse = |attributes, excluded, accents: Accents<'_>| {
        Projection::parse(attributes, excluded, &USER, accents).is_ok()
    };
    for (accent, attributes, excluded) in [
        (Accent::BothProjections, "id", Some("members")),
        (
            Accent::BracketsInProjection,
            "emails[type eq \"work\"]",
            None,
        ),
    ] {
        let with = meeting(accent, |with| parse(Some(attributes), excluded, with));
        assert!(with, "{accent:?}");
        let without = Accents::default();
        assert!(!parse(Some(attributes), excluded, without), "{accent:?}");
    }
}

#[test]
fn names_are_counted_once_each() {
    let parse = |text: &str| Projection::parse(Some(text), None, &USER, Flavor::Entra.accents());
    let many = |count: usize| {
        let names: Vec<_> = (0..count)
            .map(|n| format!("urn:x:Y:2.0:User:a{n}"))
            .collect();
        names.join(",")
    };
    assert!(parse(&many(MAX_NAMES)).is_ok());
    let error = parse(&many(MAX_NAMES + 1)).expect_err("too many");
    assert_eq!(error.status(), 400);
    let repeated = parse(&"emails.value, EMAILS.Value,,".repeat(MAX_NAMES));
    let wanted = repeated.as_ref().map(Projection::wanted);
    assert_eq!(wanted, Ok(Some(vec![("", "emails")])));
}

#[test]
fn parts_of_extensions_are_named_without_case() {
    let projection = Projection::parse(
        None,
        Some("urn:X:y:2.0:User:SITE.floor"),
        &USER,
        Flavor::Entra.accents(),
    );
    let projection = projection.expect("one name");
    let parts = ["Floor", "room"].map(|name| (name.to_owned(), Value::from(true)));
    let site = Value::Complex(Object::from(parts));
    let kept = projection.keep("urn:x:Y:2.0:User", "site", site);
    let room = Object::from([("room".to_owned(), Value::from(true))]);
    assert_eq!(kept, Some(Value::Complex(room)));
}

#[test]
fn what_a_request_set_is_shown_to_it() {
    let object = |name: &str, value| Object::from([(name.to_owned(), value)]);
    let body = |name, value| object("urn:acme", Value::Complex(object(name, value)));
    let top = body("request", true.into());
    let part = body(
        "parts",
        Value::List(vec![Value::Complex(object("request", true.into()))]),
    );
    let all = || tenant(None, None);
    compare(&all().written(&top), "text request always", "always text");
    compare(&all().written(&part), "text always", "always request text");
    for secret in ["never", "secret"] {
        let hidden = all().written(&body(secret, true.into()));
        compare(&hidden, "text always", "always text");
    }
    let except = tenant(None, Some("urn:acme:request,urn:acme:parts.request"));
    let except = except.written(&top).written(&part);
    compare(&except, "text always", "always text");
    let only = tenant(Some("urn:acme:text"), None).written(&top);
    compare(&only, "text always", "");
    let edit = |path: &str| Edit {
        op: Op::Replace,
        path: Path::parse(path)
            .and_then(|path| path.resolve(&TENANT, Accents::default()))
            .expect(path),
        filter: None,
        value: Some(true.into()),
        require_target: false,
    };
    compare(
        &all().edited(&[edit("urn:acme:REQUEST"), edit("urn:acme:parts.request")]),
        "text request always",
        "always request text",
    );
}
