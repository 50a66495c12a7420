//! Requests that meet.

use muster_tests::{
    runtime::at_once,
    scim::{Scim, USER},
};
use serde_json::json;

fn users(scim: &Scim, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| scim.user(&format!("user-{n}")))
        .collect()
}

#[test]
fn concurrent_patches_of_one_group_all_land() {
    let scim = super::tenant().scim();
    for round in 0..4 {
        let mut ids: Vec<String> = (0..5)
            .map(|n| scim.user(&format!("u-{round}-{n}")))
            .collect();
        let group = scim.group(&format!("G{round}"), &[]);
        let path = format!("/Groups/{group}");
        let codes = at_once(ids.clone(), |id| {
            let add = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
            scim.patch(&path, &add).code()
        });
        assert_eq!(codes, [204; 5]);
        ids.sort();
        assert_eq!(scim.members(&group), ids);
    }
}

#[test]
fn concurrent_adds_and_removes_each_have_their_effect() {
    let scim = super::tenant().scim();
    let ids = users(&scim, 16);
    let (leaving, coming) = ids.split_at(8);
    let members: Vec<&str> = leaving.iter().map(String::as_str).collect();
    let group = scim.group("G", &members);
    let path = format!("/Groups/{group}");
    let operations: Vec<_> = leaving
        .iter()
        .map(|id| json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]))
        .chain(
            coming
                .iter()
                .map(|id| json!([{"op": "add", "path": "members", "value": [{"value": id}]}])),
        )
        .collect();
    let codes = at_once(operations, |operations| {
        scim.patch(&path, &operations).code()
    });
    assert_eq!(codes, [204; 16]);
    let mut expected = coming.to_vec();
    expected.sort();
    assert_eq!(scim.members(&group), expected);
}

#[test]
fn of_many_creates_of_one_name_one_wins() {
    let scim = super::tenant().scim();
    let bodies = (0..32).map(|n| {
        let name = if n % 2 == 0 {
            "ada@example.test"
        } else {
            "ADA@EXAMPLE.TEST"
        };
        json!({"schemas": [USER], "userName": name, "externalId": format!("e-{n}")})
    });
    let replies = at_once(bodies.collect(), |body| scim.post("/Users", &body));
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|r| r.code() == 201);
    assert_eq!(won.len(), 1);
    for reply in lost {
        let _ = reply.scim_error(409, "uniqueness");
    }
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn of_many_writes_with_one_tag_one_wins() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let created = scim.post("/Users", &body).status(201);
    let path = format!("/Users/{}", created.id());
    let tag = created.etag();
    let codes = at_once((0..16).collect(), |n| {
        let body = json!({"schemas": [USER], "userName": "a", "title": format!("T{n}")});
        let draft = scim.request("PUT", &path).json(&body);
        draft.header("if-match", &tag).send().code()
    });
    let won = codes.iter().filter(|c| **c == 200).count();
    let lost = codes.iter().filter(|c| **c == 412).count();
    assert_eq!((won, lost), (1, 15), "{codes:?}");
}

#[test]
fn concurrent_patches_of_one_user_all_land() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    let attributes = [
        "title",
        "nickName",
        "locale",
        "timezone",
        "userType",
        "displayName",
    ];
    let codes = at_once(attributes.to_vec(), |name| {
        let operations = json!([{"op": "replace", "path": name, "value": "x"}]);
        scim.patch(&path, &operations).code()
    });
    assert_eq!(codes, [200; 6]);
    let user = scim.get(&path).json();
    for name in attributes {
        assert_eq!(user[name], "x", "{user}");
    }
}
