//! Schemas of a tenant's own, over gRPC: what they ask of values that are there,
//! what is unique, and what follows from a change of them.

use muster_proto::v1::{
    self,
    attribute_value::Value as Is,
    schema_attribute::{Mutability, Type, Uniqueness},
};
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
    scim::USER,
};
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Status;

const BADGE: &str = "urn:example:badge:2.0:User";
const SITE: &str = "urn:example:site:2.0:Group";

fn grpc() -> Grpc {
    super::tenant().grpc_full(super::server())
}

fn attribute(name: &str, kind: Type) -> v1::SchemaAttribute {
    v1::SchemaAttribute {
        name: name.to_owned(),
        r#type: kind.into(),
        ..Default::default()
    }
}

fn unique(name: &str, kind: Type) -> v1::SchemaAttribute {
    v1::SchemaAttribute {
        uniqueness: Uniqueness::Server.into(),
        ..attribute(name, kind)
    }
}

fn put(grpc: &Grpc, urn: &str, attributes: Vec<v1::SchemaAttribute>) -> Result<(), Status> {
    let resource_type = match urn.ends_with("Group") {
        true => v1::ResourceType::Group,
        false => v1::ResourceType::User,
    };
    let schema = v1::ExtensionSchema {
        urn: urn.to_owned(),
        resource_type: resource_type.into(),
        attributes,
        ..Default::default()
    };
    let request = v1::PutSchemaRequest {
        schema: Some(schema),
        options: None,
    };
    wait(grpc.schemas().put_schema(request)).map(drop)
}

fn complex(fields: Vec<(&str, Is)>) -> v1::ComplexValue {
    let field = |(name, value): (&str, Is)| {
        let value = v1::AttributeValue { value: Some(value) };
        (name.to_owned(), value)
    };
    v1::ComplexValue {
        fields: fields.into_iter().map(field).collect(),
    }
}

fn user(name: &str, badge: Vec<(&str, Is)>) -> v1::CreateUserRequest {
    let user = v1::User {
        user_name: name.to_owned(),
        extensions: [(BADGE.to_owned(), complex(badge))].into(),
        ..Default::default()
    };
    v1::CreateUserRequest {
        user: Some(user),
        options: None,
    }
}

fn create(grpc: &Grpc, name: &str, badge: Vec<(&str, Is)>) -> Result<v1::User, Status> {
    let answer = wait(grpc.users().create_user(user(name, badge)))?;
    Ok(answer.into_inner().user.expect("the created user"))
}

fn create_group(grpc: &Grpc, name: &str, site: Vec<(&str, Is)>) -> Result<String, Status> {
    let group = v1::Group {
        display_name: name.to_owned(),
        extensions: [(SITE.to_owned(), complex(site))].into(),
        ..Default::default()
    };
    let request = v1::CreateGroupRequest {
        group: Some(group),
        ..Default::default()
    };
    let answer = wait(grpc.groups().create_group(request))?;
    Ok(answer.into_inner().group.expect("the created group").id)
}

fn path(schema: &str, name: &str) -> v1::AttributePath {
    v1::AttributePath {
        schema: schema.to_owned(),
        attribute: name.to_owned(),
        ..Default::default()
    }
}

/// Names of the users whose badge has this value.
fn found(grpc: &Grpc, name: &str, value: Is) -> Vec<v1::User> {
    let comparison = v1::Comparison {
        path: Some(Box::new(path(BADGE, name))),
        operator: v1::ComparisonOperator::Equal.into(),
        value: Some(v1::AttributeValue { value: Some(value) }),
    };
    let filter = v1::Filter {
        node: Some(v1::filter::Node::Comparison(Box::new(comparison))),
    };
    let page = v1::PageRequest {
        page_size: 1_000,
        ..Default::default()
    };
    let request = v1::ListUsersRequest {
        filter: Some(filter),
        page: Some(page),
        ..Default::default()
    };
    let answer = wait(grpc.users().list_users(request)).expect("a page");
    answer.into_inner().users
}

fn text(value: &str) -> Is {
    Is::StringValue(value.to_owned())
}

/// Users with badges that no schema describes yet.
fn many(grpc: &Grpc, count: usize) {
    wait(async {
        let mut writers = JoinSet::new();
        for n in 0..count {
            let badge = vec![
                ("NUMBER", text(&format!("N-{n}"))),
                ("level", Is::IntegerValue(7)),
            ];
            let (grpc, request) = (grpc.clone(), user(&format!("u{n}"), badge));
            writers.spawn(async move { grpc.users().create_user(request).await });
        }
        for created in writers.join_all().await {
            created.expect("created");
        }
    });
}

#[test]
fn everybody_is_brought_into_line_and_nobody_twice() {
    const MANY: usize = 450;
    let grpc = grpc();
    many(&grpc, MANY);
    let schema = |described: &str| {
        let number = v1::SchemaAttribute {
            description: described.to_owned(),
            ..unique("number", Type::String)
        };
        vec![number, attribute("level", Type::Decimal)]
    };
    put(&grpc, BADGE, schema("")).expect("everybody fits");
    let version = |user: &v1::User| user.meta.as_ref().expect("meta").version;
    for n in [0, 199, 200, MANY - 1] {
        let users = found(&grpc, "number", text(&format!("n-{n}")));
        let names: Vec<_> = users.iter().map(|user| user.user_name.as_str()).collect();
        assert_eq!(names, [format!("u{n}")]);
        assert!(users[0].extensions[BADGE].fields.contains_key("number"));
        assert_eq!(version(&users[0]), 2);
    }
    assert_eq!(found(&grpc, "level", Is::DecimalValue(7.0)).len(), MANY);
    put(&grpc, BADGE, schema("Another word")).expect("everybody fits");
    let users = found(&grpc, "level", Is::IntegerValue(7));
    assert!(users.len() == MANY && users.iter().all(|user| version(user) == 2));
    // One who does not fit, and all is as it was.
    create(&grpc, "odd", vec![("level", Is::DecimalValue(0.5))]).expect("created");
    let whole = vec![
        unique("number", Type::String),
        attribute("level", Type::Integer),
    ];
    let refused = put(&grpc, BADGE, whole).expect_err("refused");
    assert_eq!(reason(&refused), "SCHEMA_IN_USE");
    assert_eq!(found(&grpc, "level", Is::DecimalValue(0.5)).len(), 1);
}

#[test]
fn what_is_unique_is_so_whatever_its_type() {
    let grpc = grpc();
    let schema = || {
        vec![
            unique("text", Type::String),
            unique("page", Type::Reference),
            unique("whole", Type::Integer),
            unique("number", Type::Decimal),
            unique("since", Type::DateTime),
            unique("chosen", Type::Boolean),
        ]
    };
    put(&grpc, BADGE, schema()).expect("registered");
    put(&grpc, SITE, schema()).expect("registered");
    let largest = Is::IntegerValue(i64::MAX);
    for (name, value, same, other) in [
        ("text", text("Ada"), text("aDA"), text("Bob")),
        (
            "page",
            text("https://x"),
            text("https://x"),
            text("https://X"),
        ),
        (
            "whole",
            largest.clone(),
            largest,
            Is::IntegerValue(i64::MAX - 1),
        ),
        (
            "number",
            Is::DecimalValue(2.0),
            Is::IntegerValue(2),
            Is::DecimalValue(2.5),
        ),
        (
            "since",
            text("2026-01-02T03:04:05Z"),
            text("2026-01-02T04:04:05.000+01:00"),
            text("2026-01-02T03:04:06Z"),
        ),
        (
            "chosen",
            Is::BoolValue(true),
            Is::BoolValue(true),
            Is::BoolValue(false),
        ),
    ] {
        let holder = create(&grpc, &format!("{name}-1"), vec![(name, value.clone())]);
        let holder = holder.expect("created");
        let refused = create(&grpc, "no", vec![(name, same.clone())]).expect_err("refused");
        assert_eq!(reason(&refused), "VALUE_TAKEN", "{name}");
        create(&grpc, &format!("{name}-2"), vec![(name, other.clone())]).expect("another");
        assert_eq!(found(&grpc, name, same.clone()).len(), 1, "{name}");
        let request = v1::DeleteUserRequest {
            id: holder.id,
            ..Default::default()
        };
        wait(grpc.users().delete_user(request)).expect("deleted");
        create(&grpc, &format!("{name}-3"), vec![(name, same.clone())]).expect("free again");

        let group = create_group(&grpc, &format!("{name}-1"), vec![(name, value)]);
        let group = group.expect("created");
        let refused = create_group(&grpc, "no", vec![(name, same.clone())]);
        assert_eq!(
            reason(&refused.expect_err("refused")),
            "VALUE_TAKEN",
            "{name}"
        );
        create_group(&grpc, &format!("{name}-2"), vec![(name, other)]).expect("another");
        purge(&grpc, &group);
        create_group(&grpc, &format!("{name}-3"), vec![(name, same)]).expect("free again");
    }
}

fn purge(grpc: &Grpc, group: &str) {
    let request = v1::PurgeGroupRequest {
        id: group.to_owned(),
        options: Some(v1::WriteOptions {
            if_match: "\"1\"".to_owned(),
            ..Default::default()
        }),
    };
    wait(grpc.groups().purge_group(request)).expect("purged");
}

#[test]
fn a_page_of_a_sorted_list_ends_with_its_schema() {
    let grpc = grpc();
    put(&grpc, BADGE, vec![attribute("level", Type::Integer)]).expect("registered");
    for n in 0..3 {
        create(
            &grpc,
            &format!("u{n}"),
            vec![("level", Is::IntegerValue(n))],
        )
        .expect("created");
    }
    let list = |token: &str, sort: bool| {
        let sort = v1::SortOrder {
            path: sort.then(|| path(BADGE, "level")),
            ..Default::default()
        };
        let page = v1::PageRequest {
            page_size: 2,
            page_token: token.to_owned(),
            ..Default::default()
        };
        let request = v1::ListUsersRequest {
            sort: sort.path.is_some().then_some(sort),
            page: Some(page),
            ..Default::default()
        };
        let answer = wait(grpc.users().list_users(request))?.into_inner();
        Ok::<_, Status>(answer.page.expect("a page").next_page_token)
    };
    let sorted = list("", true).expect("a page");
    let plain = list("", false).expect("a page");
    list(&sorted, true).expect("the next page");
    let schema = vec![attribute("level", Type::Decimal)];
    put(&grpc, BADGE, schema).expect("everybody fits");
    let refused = list(&sorted, true).expect_err("another order");
    assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
    list(&plain, false).expect("the same order");
}

#[test]
fn put_keeps_the_parts_that_nobody_is_shown() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let hidden = |name: &str| v1::SchemaAttribute {
        mutability: Mutability::WriteOnly.into(),
        returned: v1::schema_attribute::Returned::Never.into(),
        ..attribute(name, Type::String)
    };
    let complex_of = |name: &str, parts| v1::SchemaAttribute {
        sub_attributes: parts,
        ..attribute(name, Type::Complex)
    };
    let card = vec![attribute("number", Type::String), hidden("pin")];
    let schema = vec![
        complex_of("card", card),
        complex_of("vault", vec![hidden("code")]),
    ];
    put(&grpc, BADGE, schema).expect("registered");
    let scim = tenant.scim();
    let body = json!({"schemas": [USER, BADGE], "userName": "u",
        BADGE: {"card": {"number": "7", "pin": "1234"}, "vault": {"code": "5678"}}});
    let id = scim.post("/Users", &body).status(201).id();
    let path = format!("/Users/{id}");
    let shown = scim.get(&path).status(200).json();
    assert_eq!(shown[BADGE], json!({"card": {"number": "7"}}), "{shown}");
    let _ = scim.put(&path, &shown).status(200);
    let kept = |card: &[&str], vault: &[&str]| {
        let request = v1::GetUserRequest {
            id: id.clone(),
            ..Default::default()
        };
        let user = wait(grpc.users().get_user(request))
            .expect("read")
            .into_inner();
        let user = user.user.expect("a user");
        let parts = |name: &str| {
            let badge = user.extensions.get(BADGE)?;
            let Is::ComplexValue(complex) = badge.fields.get(name)?.value.clone()? else {
                return None;
            };
            let mut names: Vec<_> = complex.fields.into_keys().collect();
            names.sort();
            Some(names)
        };
        assert_eq!(parts("card").unwrap_or_default(), card);
        assert_eq!(parts("vault").unwrap_or_default(), vault);
    };
    kept(&["number", "pin"], &["code"]);
    // Who leaves out what he was shown clears it, and what belongs to it.
    let body = json!({"schemas": [USER, BADGE], "userName": "u", BADGE: {"card": {"number": "8"}}});
    let _ = scim.put(&path, &body).status(200);
    kept(&["number", "pin"], &["code"]);
    let _ = scim
        .put(&path, &json!({"schemas": [USER], "userName": "u"}))
        .status(200);
    kept(&[], &[]);
}
