//! What the facade does with the processor for one request: reading a filter,
//! reading a PATCH body, writing a user.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster_proto::{
    schema::{ENTERPRISE_USER, USER},
    v1,
};
use scim_facade::{
    scim::{document, filter, json, meta::Links, patch, projection::Projection},
    translate,
};

const FILTER: &str =
    r#"emails[type eq "work" and value co "@example.com"] and not (active eq false or title pr)"#;

fn filters(c: &mut Criterion) {
    let simple = r#"userName eq "bjensen@example.com""#;
    for (name, text) in [("filter/simple", simple), ("filter/nested", FILTER)] {
        c.bench_function(name, |b| {
            b.iter(|| {
                let tree = filter::parse(black_box(text)).expect("a filter");
                translate::filter::lower(&tree, &USER).expect("known attributes")
            });
        });
    }
}

/// The form that Microsoft Entra sends with the flag `aadOptscim062020`.
fn patches(c: &mut Criterion) {
    let body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[
            {{"op":"replace","path":"emails[type eq \"work\"].value","value":"b@example.com"}},
            {{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}},
            {{"op":"replace","value":{{"displayName":"B","name.givenName":"G","name.familyName":"F",
              "active":"True","{ENTERPRISE_USER}:department":"D","{ENTERPRISE_USER}:manager":"m"}}}}]}}"#
    );
    c.bench_function("patch/user", |b| {
        b.iter(|| {
            let body = json::parse_object(black_box(body.as_bytes())).expect("an object");
            let edits = patch::user_edits(body).expect("a PATCH");
            translate::patch::operations(edits).expect("operations")
        });
    });
}

fn users(c: &mut Criterion) {
    let labeled = |name: &str| {
        format!(
            r#""{name}":[{{"value":"{name}","type":"work","primary":true}},{{"value":"x","type":"home"}}]"#
        )
    };
    let lists = [
        "emails",
        "phoneNumbers",
        "ims",
        "photos",
        "roles",
        "entitlements",
    ]
    .map(labeled);
    let body = format!(
        r#"{{"userName":"bjensen","externalId":"701984","displayName":"Babs Jensen","nickName":"Babs",
            "title":"Tour Guide","userType":"Employee","preferredLanguage":"en-US","locale":"en-US",
            "timezone":"America/Los_Angeles","active":true,"name":{{"formatted":"Ms. Barbara J Jensen",
            "familyName":"Jensen","givenName":"Barbara"}},"addresses":[{{"type":"work","country":"USA",
            "streetAddress":"100 Universal City Plaza","locality":"Hollywood","postalCode":"91608"}}],
            {},"{ENTERPRISE_USER}":{{"employeeNumber":"701984","department":"Tour Operations",
            "manager":{{"value":"26118915-6090-4610-87e4-49d8ca9f808d"}}}}}}"#,
        lists.join(",")
    );
    c.bench_function("user/read", |b| {
        b.iter(|| read(black_box(&body)));
    });

    let user = v1::User {
        id: "0198c0de-0000-7000-8000-000000000001".to_owned(),
        meta: Some(v1::ResourceMeta {
            etag: "\"1\"".to_owned(),
            create_time: Some(prost_types::Timestamp::default()),
            update_time: Some(prost_types::Timestamp::default()),
            version: 1,
            ..v1::ResourceMeta::default()
        }),
        ..read(&body)
    };
    let links = Links::new("https://id.example.com", "/scim/v2");
    let all = Projection::parse(None, None, &USER).expect("no names");
    c.bench_function("user/render", |b| {
        b.iter(|| {
            let resource = translate::user::resource(black_box(user.clone()), &links);
            resource.render(&links, &all).body.to_string()
        });
    });
}

fn read(body: &str) -> v1::User {
    let body = json::parse_object(body.as_bytes()).expect("an object");
    let document = document::read(body, &USER).expect("a user");
    translate::user::lower(document.attributes).expect("a message")
}

criterion_group!(benches, filters, patches, users);
criterion_main!(benches);
