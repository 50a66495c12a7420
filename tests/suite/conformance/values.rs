//! Lists of simple values, which are their own `value` (RFC 7644 section 3.5.2.2),
//! and members that are named by where they are (RFC 7643 section 4.2).

use muster_tests::scim::GROUP;
use serde_json::{Value, json};

use super::{
    both, both_of, create, refused,
    schemas::{BADGE, badged},
    strict, unassigned,
};

#[test]
fn single_values_are_chosen_in_patches() {
    for scim in both_of(&badged()) {
        let user = json!({"schemas": [muster_tests::scim::USER, BADGE], "userName": "u",
            BADGE: {"tags": ["Red", "blue"], "codes": [7, 11]}});
        let path = format!("/Users/{}", create(&scim, "/Users", &user));
        let apply = |operation: Value| {
            let user = scim.patch(&path, &json!([operation])).status(200).json();
            assert_eq!(scim.get(&path).json(), user);
            user[BADGE].clone()
        };
        let of = |attribute: &str| format!("{BADGE}:{attribute}");
        let badge = apply(json!({"op": "remove", "path": of("tags[value eq \"RED\"]")}));
        assert_eq!(badge["tags"], json!(["blue"]));
        let badge =
            apply(json!({"op": "replace", "path": of("tags[value sw \"b\"]"), "value": "green"}));
        assert_eq!(badge["tags"], json!(["green"]));
        let badge = apply(json!({"op": "remove", "path": of("codes[value gt 7]")}));
        assert_eq!(badge["codes"], json!([7]));
        let badge = apply(json!({"op": "remove", "path": of("codes[value eq 7]")}));
        assert!(unassigned(&badge, "codes"), "{badge}");
        let parts = json!([{"op": "remove", "path": of("tags[type eq \"work\"]")}]);
        refused(&scim.patch(&path, &parts), 400, &["invalidPath"]);
        let _ = scim.delete(&path).status(204);
    }
    let scim = badged().flavored(super::server(), "strict");
    let user = json!({"schemas": [muster_tests::scim::USER, BADGE], "userName": "u",
        BADGE: {"tags": ["Red"]}});
    let path = format!("/Users/{}", create(&scim, "/Users", &user));
    let missing = format!("{BADGE}:tags[value eq \"green\"]");
    for operation in [
        json!({"op": "remove", "path": missing}),
        json!({"op": "replace", "path": missing, "value": "blue"}),
    ] {
        refused(&scim.patch(&path, &json!([operation])), 400, &["noTarget"]);
    }
    assert_eq!(scim.get(&path).json()[BADGE]["tags"], json!(["Red"]));
}

/// RFC 7643 section 2.5: null is an empty list, and adding nothing takes nothing
/// away.
#[test]
fn adding_null_to_a_list_leaves_it_alone() {
    for scim in both() {
        let user = json!({"schemas": [muster_tests::scim::USER], "userName": "u",
            "emails": [{"value": "u@x.test"}]});
        let path = format!("/Users/{}", create(&scim, "/Users", &user));
        let before = scim.get(&path);
        for operation in [
            json!({"op": "add", "path": "emails", "value": null}),
            json!({"op": "add", "path": "emails", "value": []}),
            json!({"op": "add", "value": {"emails": null}}),
        ] {
            let _ = scim.patch(&path, &json!([operation])).status(200);
            assert_eq!(scim.get(&path).etag(), before.etag());
        }
        let clear = json!([{"op": "replace", "path": "emails", "value": null}]);
        let user = scim.patch(&path, &clear).status(200).json();
        assert!(unassigned(&user, "emails"), "{user}");
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn members_can_be_named_by_their_uris() {
    let scim = strict();
    let (ada, tools) = (scim.user("ada"), scim.group("Tools", &[]));
    let members = json!([
        {"$ref": format!("{}/Users/{ada}", scim.base())},
        {"$ref": format!("../Groups/{tools}"), "type": "Group"},
    ]);
    let group = json!({"schemas": [GROUP], "displayName": "G", "members": members});
    let group = scim.post("/Groups", &group).status(201).json();
    let mut found: Vec<_> = group["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(|member| member["value"].as_str())
        .collect();
    found.sort_unstable();
    let mut expected = [ada.as_str(), tools.as_str()];
    expected.sort_unstable();
    assert_eq!(found, expected);
}
