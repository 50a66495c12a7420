use muster_proto::schema::{GROUP, Mutability, Returned, Schema, USER, Uniqueness};

use super::*;
use crate::{
    scim::{
        error::ScimType,
        filter,
        flavor::{Flavor, meeting, meeting_none},
    },
    translate::list::sort_order,
};

fn show(message: &v1::Filter) -> String {
    let list = |l: &v1::FilterList, word: &str| {
        let parts: Vec<_> = l.filters.iter().map(show).collect();
        format!("({})", parts.join(word))
    };
    let path = |p: Option<&v1::AttributePath>| {
        let p = p.expect("a path");
        let schema = p.schema.rsplit(':').nth(2).unwrap_or_default().to_owned();
        format!("{schema}/{}.{}", p.attribute, p.sub_attribute)
    };
    match message.node.as_ref().expect("a node") {
        Node::And(l) => list(l, " and "),
        Node::Or(l) => list(l, " or "),
        Node::Not(f) => format!("!{}", show(f)),
        Node::Present(p) => format!("{}?", path(Some(p))),
        Node::ValuePath(v) => {
            let inner = v.filter.as_deref().expect("a filter");
            format!("{}[{}]", path(v.path.as_deref()), show(inner))
        }
        Node::Comparison(c) => {
            let value = c.value.clone().and_then(|v| v.value).expect("a value");
            format!("{} {:?} {value:?}", path(c.path.as_deref()), c.operator())
        }
    }
}

#[track_caller]
fn check(resource: &'static ResourceType, text: &str, expected: Option<&str>) {
    let found = lowered(resource, text, Flavor::Entra.accents());
    assert_eq!(found.as_deref(), expected, "{text}");
}

fn lowered(resource: &'static ResourceType, text: &str, accents: Accents<'_>) -> Option<String> {
    let tree = filter::parse(text, accents).ok()?;
    let links = Links::new("http://h", "/s");
    let context = Context {
        resource,
        accents,
        links: &links,
        among: &[],
    };
    lower(&tree, context).as_ref().map(show).ok()
}

#[test]
fn attributes_of_other_types_have_no_value() {
    let accents = Flavor::Entra.accents();
    let links = Links::new("http://h", "/s");
    let lowered = |resource, text| {
        let context = Context {
            resource,
            accents,
            links: &links,
            among: &[&USER, &GROUP],
        };
        let tree = filter::parse(text, accents).expect(text);
        lower(&tree, context).as_ref().map(show).ok()
    };
    let (all, none) = (Some("/id.?"), Some("!/id.?"));
    for (text, user, group) in [
        (
            "userName eq \"a\"",
            Some("/userName. Equal StringValue(\"a\")"),
            none,
        ),
        ("members pr", none, Some("/members.?")),
        (
            "title ne \"a\"",
            Some("/title. NotEqual StringValue(\"a\")"),
            all,
        ),
        ("title eq null", Some("/title. Equal Unassigned(true)"), all),
        (
            "emails[type eq \"x\"]",
            Some("/emails.[/type. Equal StringValue(\"x\")]"),
            none,
        ),
    ] {
        assert_eq!(lowered(&USER, text).as_deref(), user, "{text}");
        assert_eq!(lowered(&GROUP, text).as_deref(), group, "{text}");
    }
    assert_eq!(lowered(&USER, "jobTitle pr"), None);
}

#[test]
fn filters_are_typed_by_the_registry() {
    let user = |text, expected| check(&USER, text, Some(expected));
    user("USERNAME eq \"A\"", "/userName. Equal StringValue(\"A\")");
    user("externalId eq 12", "/externalId. Equal StringValue(\"12\")");
    user("active eq \"True\"", "/active. Equal BoolValue(true)");
    user("active eq false", "/active. Equal BoolValue(false)");
    user("title eq null", "/title. Equal Unassigned(true)");
    user(
        "emails co \"x\"",
        "/emails.value Contains StringValue(\"x\")",
    );
    user("emails.type pr", "/emails.type?");
    user(
        "emails[type eq work]",
        "/emails.[/type. Equal StringValue(\"work\")]",
    );
    user(
        "emails[primary eq \"true\"] eq x",
        "/emails.[(/primary. Equal BoolValue(true) and /value. Equal StringValue(\"x\"))]",
    );
    user(
        "manager eq x",
        "enterprise/manager.value Equal StringValue(\"x\")",
    );
    user(
        "manager[value eq x]",
        "enterprise/manager.value Equal StringValue(\"x\")",
    );
    user("name[givenName pr]", "/name.givenName?");
    user(
        "not (id eq 1 or groups eq g)",
        "!(/id. Equal StringValue(\"1\") or /groups.value Equal StringValue(\"g\"))",
    );
    user(
        "meta.created gt \"2011-05-13T04:42:34\"",
        "/meta.created GreaterThan StringValue(\"2011-05-13T04:42:34Z\")",
    );
    user(
        "urn:x:Site:2.0:User:floor ge 3",
        "Site/floor. GreaterOrEqual IntegerValue(3)",
    );
    check(
        &GROUP,
        "members eq u",
        Some("/members.value Equal StringValue(\"u\")"),
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    for text in [
        "jobTitle eq \"x\"",
        "name.nick pr",
        "name eq \"x\"",
        "addresses eq \"x\"",
        "active co \"t\"",
        "active gt true",
        "active eq \"maybe\"",
        "title gt null",
        "meta.created gt \"yesterday\"",
        "meta.created co \"2011\"",
        "x509Certificates.value sw \"x\"",
        "userName[value eq 1]",
        "emails[name pr]",
        "emails[emails.value pr]",
        "emails[value[type pr]]",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User eq 1",
        "members eq x",
    ] {
        check(&USER, text, None);
    }
}

#[test]
fn literals_of_other_types_are_an_accent() {
    for text in [
        "active eq \"True\"",
        "userName eq 12",
        "roles[primary eq \"true\"]",
        "userName eq true",
    ] {
        let with = meeting(Accent::LiteralTypes, |with| lowered(&USER, text, with));
        assert!(with.is_some(), "{text}");
        assert_eq!(lowered(&USER, text, Accents::default()), None, "{text}");
    }
    let enterprise = format!("{ENTERPRISE_USER}:manager eq \"x\"");
    for text in [
        "active eq true",
        "title eq \"x\"",
        "title eq null",
        &enterprise,
    ] {
        assert!(lowered(&USER, text, Accents::default()).is_some(), "{text}");
        assert!(meeting_none(|all| lowered(&USER, text, all)).is_some());
    }
    let padded = lowered(&USER, "x509Certificates eq \"TQ\"", Accents::default());
    let expected = "/x509Certificates.value Equal StringValue(\"TQ==\")";
    assert_eq!(padded.as_deref(), Some(expected));
}

#[test]
fn uris_are_compared_by_their_ids() {
    let user = |text, expected| check(&USER, text, Some(expected));
    let group = |text, expected| check(&GROUP, text, Some(expected));
    user(
        "meta.location eq \"http://h/s/Users/7\"",
        "/id. Equal StringValue(\"7\")",
    );
    user("meta.location sw \"http://h\"", "/id.?");
    user("meta.location eq \"7\"", "(/id.? and !/id.?)");
    user(
        "meta.location eq null",
        "/meta.location Equal Unassigned(true)",
    );
    user(
        "groups.$ref eq \"http://h/s/Groups/7\"",
        "/groups.[/value. Equal StringValue(\"7\")]",
    );
    user(
        "groups[$ref ew \"7\"]",
        "/groups.[/value. EndsWith StringValue(\"7\")]",
    );
    user(
        "manager.$ref ne \"http://h/s/Users/7\"",
        "enterprise/manager.value NotEqual StringValue(\"7\")",
    );
    group(
        "members[$ref eq \"http://h/s/Users/7\"]",
        "/members.[((/type. Equal StringValue(\"User\") and /value. Equal StringValue(\"7\")) or \
         (/type. Equal StringValue(\"Group\") and (/value.? and !/value.?)))]",
    );
    group(
        "members.$ref co \"/Groups/\"",
        "/members.[((/type. Equal StringValue(\"User\") and (/value.? and !/value.?)) or \
         (/type. Equal StringValue(\"Group\") and /value.?))]",
    );
}

#[test]
fn of_a_version_the_number_counts() {
    for tag in ["W/\\\"3.k2\\\"", "W/\\\"3\\\"", "\\\"3\\\"", "\\\"3.x\\\""] {
        check(
            &USER,
            &format!("meta.version eq \"{tag}\""),
            Some("/meta.version Equal StringValue(\"\\\"3\\\"\")"),
        );
    }
    check(
        &USER,
        "meta.version sw \"W/\"",
        Some("/meta.version StartsWith StringValue(\"\")"),
    );
}

#[test]
fn what_is_never_shown_is_not_filtered_on() {
    let accents = Accents::default();
    let open = |text| lowered(&TENANT, text, accents).is_some();
    for text in [
        "urn:acme:text eq \"a\"",
        "urn:acme:parts.type pr",
        "urn:acme:parts[type eq \"a\"]",
    ] {
        assert!(open(text), "{text}");
    }
    for text in [
        "urn:acme:never eq \"a\"",
        "urn:acme:SECRET sw \"a\"",
        "not (urn:acme:never pr)",
        "urn:acme:secret gt \"a\" or userName pr",
        "urn:acme:parts.value eq \"a\"",
        "urn:acme:parts eq \"a\"",
        "urn:acme:parts[value eq \"a\"]",
    ] {
        assert!(!open(text), "{text}");
    }
    let sort = |text: &str| {
        let path = Path::parse(text).and_then(|path| path.resolve(&TENANT, accents));
        let order = sort_order(path.expect(text), false);
        order.map_err(|e| e.scim_type().map(ScimType::as_str))
    };
    assert!(sort("urn:acme:text").is_ok());
    for text in ["urn:acme:never", "urn:acme:secret", "urn:acme:parts"] {
        assert_eq!(sort(text), Err(Some("invalidPath")), "{text}");
    }
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

static ACME: Schema = Schema {
    urn: "urn:acme",
    name: "Acme",
    description: "",
    attributes: &[
        TEXT,
        Attribute {
            name: "never",
            returned: Returned::Never,
            ..TEXT
        },
        Attribute {
            name: "secret",
            mutability: Mutability::WriteOnly,
            ..TEXT
        },
        Attribute {
            name: "parts",
            kind: Kind::Complex,
            multi_valued: true,
            sub_attributes: &[
                Attribute {
                    name: "type",
                    ..TEXT
                },
                Attribute {
                    name: "value",
                    returned: Returned::Never,
                    ..TEXT
                },
            ],
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
