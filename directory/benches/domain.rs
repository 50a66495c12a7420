//! The directory's pure parts: PATCH, folding, search documents.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use muster_directory::domain::{
    Resource,
    filter::{Field, Filter, Operator},
    fold::fold,
    patch::{self, Op, Operation, Path},
    resource::ResourceKind,
    search::{object_from_json, search_document},
};
use muster_proto::schema::USER;
use serde_json::json;

fn user() -> Resource {
    let attributes = object_from_json(json!({
        "userName": "ada@example.test",
        "displayName": "Ada Lovelace",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [
            {"type": "work", "value": "ada@example.test", "primary": true},
            {"type": "home", "value": "ada@home.test"},
        ],
        "phoneNumbers": [{"type": "mobile", "value": "+358 40 123"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Engines", "employeeNumber": "7",
        },
    }));
    Resource::new(ResourceKind::User, &USER, "id".to_owned(), attributes, 0).expect("it is a user")
}

fn operations() -> Vec<Operation> {
    let path = |name: &str, sub: &str| Path::find(&USER, "", name, sub).expect("registered");
    let mut work = path("emails", "value");
    if let Path::Attribute {
        attribute, select, ..
    } = &mut work
    {
        let field = Field::element(attribute, "type").expect("registered");
        *select = Some(Filter::compare(field, Operator::Equal, "work".into()).expect("fits"));
    }
    vec![
        Operation {
            op: Op::Replace,
            path: work,
            value: "new@example.test".into(),
            require_target: false,
        },
        Operation {
            op: Op::Replace,
            path: path("name", "familyName"),
            value: "Byron".into(),
            require_target: false,
        },
        Operation {
            op: Op::Replace,
            path: path("active", ""),
            value: false.into(),
            require_target: false,
        },
    ]
}

fn domain(c: &mut Criterion) {
    let (user, operations) = (user(), operations());
    c.bench_function("patch/apply 3 operations", |b| {
        b.iter_batched(
            || (user.clone(), operations.clone()),
            |(mut user, operations)| patch::apply(&mut user, operations, &USER),
            BatchSize::SmallInput,
        );
    });
    c.bench_function("search/document of a user", |b| {
        b.iter(|| search_document(&USER, black_box(&user.attributes)));
    });
    c.bench_function("fold/ascii", |b| {
        b.iter(|| fold(black_box("Ada.Lovelace@Example.TEST")));
    });
    c.bench_function("fold/unicode", |b| {
        b.iter(|| fold(black_box("Åda Lövelace Straße")));
    });
}

criterion_group!(benches, domain);
criterion_main!(benches);
