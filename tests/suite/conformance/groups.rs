//! RFC 7643 sections 4.1.2, 4.2: groups, in each other and large.

use std::collections::BTreeSet;

use muster_tests::{
    runtime::at_once,
    scim::{GROUP, Scim, USER},
    tenant::Tenant,
};
use serde_json::{Value, json};

use super::{BULK, both, list, refused, resources, server, tenant, unassigned};

/// The groups of a user, as id and type.
fn groups_of(scim: &Scim, user: &str) -> BTreeSet<(String, String)> {
    let user = scim.get(&format!("/Users/{user}")).status(200).json();
    let groups = user["groups"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    groups
        .iter()
        .map(|group| (text(&group["value"]), text(&group["type"])))
        .collect()
}

/// A user who is called by his user name.
fn named(scim: &Scim, name: &str) -> String {
    let body = json!({"schemas": [USER], "userName": name, "displayName": name});
    scim.post("/Users", &body).status(201).id()
}

fn add(scim: &Scim, group: &str, member: &str) -> muster_tests::scim::Reply {
    let operations = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
    scim.patch(&format!("/Groups/{group}"), &operations)
}

#[test]
fn members_say_who_they_are() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let user = named(&scim, &format!("ada{size}"));
        let inner = scim.group(&format!("Inner{size}"), &[]);
        let body = json!({"schemas": [GROUP], "displayName": format!("Outer{size}"), "members": [
            {"value": user, "type": "User", "display": "whoever"}, {"value": inner, "type": "Group"}]});
        let group = scim.post("/Groups", &body).status(201).json();
        let members = group["members"].as_array().expect("a list");
        assert_eq!(members.len(), 2, "{group}");
        for (id, kind, collection, display) in [
            (&user, "User", "Users", format!("ada{size}")),
            (&inner, "Group", "Groups", format!("Inner{size}")),
        ] {
            let member = members
                .iter()
                .find(|m| m["value"] == json!(id))
                .expect("a member");
            assert_eq!(member["type"], kind);
            assert_eq!(member["display"], display, "the server's word");
            assert_eq!(member["$ref"], format!("{}/{collection}/{id}", scim.base()));
        }
        let again = scim
            .get(&format!("/Groups/{}", group["id"].as_str().expect("an id")))
            .json();
        assert_eq!(again["members"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    let tenant = tenant();
    let scim = tenant.scim();
    let (user, group) = (scim.user("a"), scim.group("G", &[]));
    let wrong = [(&user, "Group"), (&group, "User"), (&user, "Robot")];
    let body = |id: &String, kind: &str| {
        let members = json!([{"value": id, "type": kind}]);
        json!({"schemas": [GROUP], "displayName": "H", "members": members})
    };
    let strict = tenant.flavored(server(), "strict");
    for (id, kind) in wrong {
        let reply = strict.post("/Groups", &body(id, kind));
        refused(&reply, 400, &["invalidValue"]);
    }
    assert_eq!(strict.get("/Groups").total(), 1);
    for (id, kind) in [(&user, "User"), (&group, "group")] {
        let id = strict.post("/Groups", &body(id, kind)).status(201).id();
        let _ = strict.delete(&format!("/Groups/{id}")).status(204);
    }
    // A client's word for what something is may be passed over.
    for flavor in ["entra", "okta"] {
        let scim = tenant.flavored(server(), flavor);
        for (id, kind) in wrong {
            let reply = scim.post("/Groups", &body(id, kind)).status(201);
            let expected = if *id == user { "User" } else { "Group" };
            assert_eq!(reply.json()["members"][0]["type"], expected, "{reply}");
            let _ = scim.delete(&format!("/Groups/{}", reply.id())).status(204);
        }
    }
}

#[test]
fn a_member_is_named_by_its_id_whatever_its_reference_says() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let (ada, bob) = (
            named(&scim, &format!("a{size}")),
            named(&scim, &format!("b{size}")),
        );
        let base = scim.base().trim_end_matches("/v2").to_owned();
        for (number, reference) in [
            // Without a version, of somebody else, of another place.
            format!("{base}/Users/{ada}"),
            format!("{}/Users/{bob}", scim.base()),
            "https://elsewhere.test/v7/Users/1".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let body = json!({"schemas": [GROUP], "displayName": format!("G{size}-{number}"),
                "members": [{"value": ada, "$ref": reference}]});
            let group = scim.post("/Groups", &body).status(201).json();
            let member = &group["members"][0];
            assert_eq!(member["value"], ada, "{group}");
            assert_eq!(member["$ref"], format!("{}/Users/{ada}", scim.base()));
        }
    }
}

#[test]
fn users_show_groups_that_hold_them_directly_or_through_others() {
    let scim = tenant().scim();
    let user = scim.user("ada");
    let inner = scim.group("Inner", &[&user]);
    let middle = scim.group("Middle", &[&inner]);
    let outer = scim.group("Outer", &[&middle]);
    let expected = |pairs: &[(&String, &str)]| -> BTreeSet<(String, String)> {
        pairs
            .iter()
            .map(|(id, kind)| ((*id).clone(), (*kind).to_owned()))
            .collect()
    };
    assert_eq!(
        groups_of(&scim, &user),
        expected(&[
            (&inner, "direct"),
            (&middle, "indirect"),
            (&outer, "indirect")
        ])
    );
    // Directly is more than through another.
    let _ = add(&scim, &outer, &user).status_in(&[200, 204]);
    assert_eq!(
        groups_of(&scim, &user),
        expected(&[
            (&inner, "direct"),
            (&middle, "indirect"),
            (&outer, "direct")
        ])
    );
    let path = format!("/Groups/{middle}");
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{inner}\"]")}]);
    let _ = scim.patch(&path, &remove).status_in(&[200, 204]);
    assert_eq!(
        groups_of(&scim, &user),
        expected(&[(&inner, "direct"), (&outer, "direct")])
    );
    let shown = scim.get(&format!("/Users/{user}")).status(200).json();
    for group in shown["groups"].as_array().expect("a list") {
        let location = group["$ref"].as_str().expect("a reference");
        assert_eq!(
            scim.get(location).status(200).json()["displayName"],
            group["display"]
        );
    }
}

#[test]
fn no_group_is_in_itself_by_any_way() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let name = |letter: &str| format!("{letter}{size}");
        let inner = scim.group(&name("inner"), &[]);
        let middle = scim.group(&name("middle"), &[&inner]);
        let outer = scim.group(&name("outer"), &[&middle]);
        for (group, member) in [
            (&inner, &inner),
            (&inner, &middle),
            (&inner, &outer),
            (&middle, &outer),
        ] {
            let before = scim.get(&format!("/Groups/{group}")).status(200);
            let reply = add(&scim, group, member).status_in(&[400, 409]);
            reply.keeps_the_store_to_itself();
            let body = json!({"schemas": [GROUP], "displayName": before.json()["displayName"],
                "members": [{"value": member}]});
            let _ = scim
                .put(&format!("/Groups/{group}"), &body)
                .status_in(&[400, 409]);
            let after = scim.get(&format!("/Groups/{group}")).status(200);
            assert_eq!(after.json()["members"], before.json()["members"]);
        }
        // Two ways to the same group are no circle.
        let user = scim.user(&name("user"));
        let _ = add(&scim, &inner, &user).status_in(&[200, 204]);
        let _ = add(&scim, &outer, &inner).status_in(&[200, 204]);
        assert_eq!(groups_of(&scim, &user).len(), 3);
    }
}

#[test]
fn groups_are_not_written_from_the_side_of_the_user() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let group = scim.group(&format!("G{size}"), &[]);
        let body = json!({"schemas": [USER], "userName": format!("u{size}"), "groups": [{"value": group}]});
        let user = scim.post("/Users", &body).status(201);
        assert!(unassigned(&user.json(), "groups"), "{user}");
        let path = format!("/Users/{}", user.id());
        let _ = scim.put(&path, &body).status(200);
        assert!(scim.members(&group).is_empty());
        let operations = json!([{"op": "add", "path": "groups", "value": [{"value": group}]}]);
        refused(&scim.patch(&path, &operations), 400, &["mutability"]);
    }
}

#[test]
fn groups_change_when_their_members_go() {
    let scim = tenant().scim();
    let (a, b) = (scim.user("a"), scim.user("b"));
    let inner = scim.group("Inner", &[&a]);
    let outer = scim.group("Outer", &[&inner, &b]);
    let _ = scim.delete(&format!("/Groups/{inner}")).status(204);
    assert_eq!(scim.members(&outer), std::slice::from_ref(&b));
    assert!(groups_of(&scim, &a).is_empty());
    let _ = scim.delete(&format!("/Users/{b}")).status(204);
    assert!(scim.members(&outer).is_empty());
}

/// A thousand users, in one request; their ids.
fn a_thousand(scim: &Scim, prefix: usize) -> Vec<String> {
    let operations: Vec<Value> = (0..1000)
        .map(|n| {
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{n}"),
                "data": {"schemas": [USER], "userName": format!("u{prefix:03}-{n:03}")}})
        })
        .collect();
    let body = json!({"schemas": [BULK], "Operations": operations});
    let answer = scim.post("/Bulk", &body).status(200).json();
    let id = |result: &Value| {
        let location = result["location"].as_str();
        let location = location.unwrap_or_else(|| panic!("{result}"));
        location.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let results = answer["Operations"].as_array().expect("a list");
    results.iter().map(id).collect()
}

/// A hundred thousand users, made by some at once: writes of a tenant that
/// wait for each other share their commits. No more than the database has
/// connections for, or it turns some away.
fn crowd(scim: &Scim) -> Vec<String> {
    let some = |writer: usize| -> Vec<String> {
        let rounds = (0..50).flat_map(|round| a_thousand(scim, writer * 50 + round));
        rounds.collect()
    };
    at_once((0..2).collect(), some).concat()
}

#[test]
fn a_group_of_a_hundred_thousand_is_whole() {
    // On a server of its own: nobody else shall wait for it.
    let server = super::super::launch().start();
    let scim = Tenant::create(&server).scim();
    let ids = crowd(&scim);
    assert_eq!(ids.len(), 100_000);
    let member = |id: &String| json!({"value": id});
    let all: Vec<Value> = ids.iter().map(member).collect();
    let body = json!({"schemas": [GROUP], "displayName": "Everybody", "members": all});
    let created = scim
        .post("/Groups?excludedAttributes=members", &body)
        .status(201);
    let group = created.id();
    let path = format!("/Groups/{group}");
    let mut expected = ids.clone();
    expected.sort();
    assert!(scim.members(&group) == expected, "everybody, once");

    // The same again changes nothing; all but one is one change.
    let before = scim
        .get(&format!("{path}?excludedAttributes=members"))
        .status(200)
        .etag();
    let _ = scim
        .put(&format!("{path}?excludedAttributes=members"), &body)
        .status(200);
    let after = scim
        .get(&format!("{path}?excludedAttributes=members"))
        .status(200)
        .etag();
    assert_eq!(after, before);
    let fewer: Vec<Value> = ids[1..].iter().map(member).collect();
    let body = json!({"schemas": [GROUP], "displayName": "Everybody", "members": fewer});
    let _ = scim
        .put(&format!("{path}?excludedAttributes=members"), &body)
        .status(200);
    assert!(groups_of(&scim, &ids[0]).is_empty());
    assert_eq!(groups_of(&scim, &ids[1]).len(), 1);

    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[1])}]);
    let _ = scim.patch(&path, &remove).status_in(&[200, 204]);
    assert!(groups_of(&scim, &ids[1]).is_empty());
    let _ = add(&scim, &group, &ids[0]).status_in(&[200, 204]);
    let found = scim.find("/Groups", &format!("members.value eq \"{}\"", ids[50_000]));
    assert_eq!(found.total(), 1);

    // Page by page, from the side of the users.
    let filter = format!("groups.value eq \"{group}\"");
    let page = list(
        &scim,
        "/Users",
        &[
            ("filter", &filter),
            ("startIndex", "99000"),
            ("count", "1000"),
            ("attributes", "userName"),
        ],
    );
    assert_eq!(page["totalResults"], 99_999);
    assert_eq!(resources(&page).len(), 1000);
    let clear = json!([{"op": "remove", "path": "members"}]);
    let _ = scim.patch(&path, &clear).status_in(&[200, 204]);
    assert!(scim.members(&group).is_empty());
}
