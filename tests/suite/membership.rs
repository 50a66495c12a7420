//! Who is in which group.

use muster_tests::scim::{Scim, USER};
use serde_json::{Value, json};

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn three_users(scim: &Scim) -> (String, String, String) {
    (scim.user("a"), scim.user("b"), scim.user("c"))
}

#[track_caller]
fn patch(scim: &Scim, group: &str, operation: &Value) {
    let path = format!("/Groups/{group}");
    let _ = scim.patch(&path, &json!([operation])).status(200);
}

#[test]
fn add_keeps_who_is_there_and_repeats_are_nothing() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[&a]);
    let add = json!({"op": "Add", "path": "members", "value": [{"value": b}, {"value": a}]});
    patch(&scim, &group, &add);
    assert_eq!(scim.members(&group), sorted(vec![a, b]));
    let path = format!("/Groups/{group}");
    let before = scim.get(&path).etag();
    patch(&scim, &group, &add);
    assert_eq!(scim.get(&path).etag(), before, "nothing changed");
}

#[test]
fn remove_takes_only_those_that_are_named() {
    let scim = super::tenant().scim();
    let (a, b, c) = three_users(&scim);
    let group = scim.group("G", &[&a, &b, &c]);
    patch(
        &scim,
        &group,
        &json!({"op": "Remove", "path": "members", "value": [{"value": a}]}),
    );
    assert_eq!(scim.members(&group), sorted(vec![b.clone(), c.clone()]));
    let by_filter = format!("members[value eq \"{b}\"]");
    patch(&scim, &group, &json!({"op": "remove", "path": by_filter}));
    assert_eq!(scim.members(&group), std::slice::from_ref(&c));
    // Somebody who is no member, or nobody at all.
    for stranger in [a.as_str(), "0190a5c1-0000-7000-8000-000000000000", "u1"] {
        let value = json!([{"value": stranger}]);
        patch(
            &scim,
            &group,
            &json!({"op": "remove", "path": "members", "value": value}),
        );
    }
    assert_eq!(scim.members(&group), [c]);
}

#[test]
fn remove_without_a_value_empties_the_group() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[&a, &b]);
    patch(&scim, &group, &json!({"op": "remove", "path": "members"}));
    assert!(scim.members(&group).is_empty());
}

#[test]
fn replace_sets_exactly_these() {
    let scim = super::tenant().scim();
    let (a, b, c) = three_users(&scim);
    let group = scim.group("G", &[&a, &b]);
    let value = json!([{"value": b}, {"value": c}]);
    patch(
        &scim,
        &group,
        &json!({"op": "replace", "path": "members", "value": value}),
    );
    assert_eq!(scim.members(&group), sorted(vec![b, c]));
}

#[test]
fn operations_on_members_apply_in_order() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[]);
    let operations = json!([
        {"op": "add", "path": "members", "value": [{"value": a}, {"value": b}]},
        {"op": "remove", "path": format!("members[value eq \"{a}\"]")},
        {"op": "replace", "path": "displayName", "value": "H"},
    ]);
    let _ = scim
        .patch(&format!("/Groups/{group}"), &operations)
        .status(200);
    assert_eq!(scim.members(&group), [b]);
}

#[test]
fn an_unknown_member_leaves_the_group_untouched() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[&a]);
    let path = format!("/Groups/{group}");
    for unknown in ["0190a5c1-0000-7000-8000-000000000000", "no-such-user", ""] {
        let operations = json!([
            {"op": "replace", "path": "displayName", "value": "H"},
            {"op": "add", "path": "members", "value": [{"value": b}, {"value": unknown}]},
        ]);
        let _ = scim
            .patch(&path, &operations)
            .scim_error(400, "invalidValue");
    }
    assert_eq!(scim.members(&group), [a]);
    assert_eq!(scim.get(&path).json()["displayName"], "G");
}

#[test]
fn members_carry_reference_type_and_name() {
    let scim = super::tenant().scim();
    let named = json!({"schemas": [USER], "userName": "ada@example.test", "displayName": "Ada"});
    let user = scim.post("/Users", &named).status(201).id();
    let nameless = scim.user("bob@example.test");
    let inner = scim.group("Inner", &[]);
    let group = scim.group("Outer", &[&user, &nameless, &inner]);
    let body = scim.get(&format!("/Groups/{group}")).status(200).json();
    let members = body["members"].as_array().expect("a list");
    let of = |id: &str| members.iter().find(|m| m["value"] == id).expect("a member");
    assert_eq!(of(&user)["type"], "User");
    assert_eq!(of(&user)["$ref"], format!("{}/Users/{user}", scim.base()));
    assert_eq!(of(&user)["display"], "Ada");
    assert!(of(&nameless).get("display").is_none());
    assert_eq!(of(&inner)["type"], "Group");
    assert_eq!(of(&inner)["display"], "Inner");
}

#[test]
fn users_show_their_groups() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let group = scim.group("G", &[&user]);
    let body = scim.get(&format!("/Users/{user}")).status(200).json();
    assert_eq!(body["groups"][0]["value"], group);
    assert_eq!(body["groups"][0]["display"], "G");
}

#[test]
fn a_group_is_no_member_of_itself() {
    let scim = super::tenant().scim();
    let inner = scim.group("Inner", &[]);
    let outer = scim.group("Outer", &[&inner]);
    for (group, member) in [(&inner, &inner), (&inner, &outer)] {
        let operations = json!([{"op": "add", "path": "members", "value": [{"value": member}]}]);
        let reply = scim.patch(&format!("/Groups/{group}"), &operations);
        // What cannot be is refused; what is refused has changed nothing.
        if reply.code() != 200 {
            reply.keeps_the_store_to_itself();
            let _ = reply.status_in(&[400, 409]);
            assert!(scim.members(group).is_empty());
        } else {
            assert_ne!(group, member, "a group became a member of itself");
        }
    }
}

#[test]
fn deleted_users_leave_their_groups() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[&a, &b]);
    let _ = scim.delete(&format!("/Users/{a}")).status(204);
    assert_eq!(scim.members(&group), [b]);
}

#[test]
fn disabled_users_stay_in_their_groups() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let group = scim.group("G", &[&user]);
    let operations = json!([{"op": "replace", "value": {"active": false}}]);
    let _ = scim
        .patch(&format!("/Users/{user}"), &operations)
        .status(200);
    assert_eq!(scim.members(&group), [user]);
}

#[test]
fn groups_are_found_by_their_members() {
    let scim = super::tenant().scim();
    let (a, b, _) = three_users(&scim);
    let group = scim.group("G", &[&a]);
    let found = |filter: String| scim.find("/Groups", &filter).status(200).total();
    assert_eq!(found(format!("members eq \"{a}\"")), 1);
    assert_eq!(found(format!("members.value eq \"{a}\"")), 1);
    assert_eq!(
        found(format!("id eq \"{group}\" and members eq \"{b}\"")),
        0
    );
}

#[test]
fn a_group_of_a_thousand_and_one_is_whole() {
    let scim = super::tenant().scim();
    let mut ids = Vec::new();
    for n in 0..1001 {
        ids.push(scim.user(&format!("user-{n}")));
    }
    let (last, first) = ids.split_last().expect("a thousand and one");
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let group = scim.group("Everybody", &first);
    // Too many to be shown unasked.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": last}]}]);
    let _ = scim.patch(&format!("/Groups/{group}"), &add).status(204);
    assert_eq!(scim.members(&group), sorted(ids));
}
