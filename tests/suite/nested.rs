//! Groups in groups: who is in which through others.

use muster_tests::scim::Scim;
use serde_json::{Value, json};

/// Ada is in `inner`, which is in `middle`, which is in `outer`; Bob is in
/// `middle` and `outer`, Cy in none.
struct World {
    scim: Scim,
    users: [String; 3],
    groups: [String; 3],
}

fn world() -> World {
    let scim = super::tenant().scim();
    let users = ["ada", "bob", "cy"].map(|name| scim.user(name));
    let inner = scim.group("Inner", &[&users[0]]);
    let middle = scim.group("Middle", &[&inner, &users[1]]);
    let outer = scim.group("Outer", &[&middle, &users[1]]);
    World {
        scim,
        users,
        groups: [inner, middle, outer],
    }
}

/// A user's groups: name and type.
fn groups(scim: &Scim, user: &str) -> Vec<(String, String)> {
    let body = scim.get(&format!("/Users/{user}")).status(200).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let groups = body["groups"].as_array().cloned().unwrap_or_default();
    let pair = |group: &Value| (text(&group["display"]), text(&group["type"]));
    groups.iter().map(pair).collect()
}

#[track_caller]
fn check(scim: &Scim, filter: &str, expected: &[&str]) {
    assert_eq!(scim.found(filter), expected, "{filter}");
}

#[test]
fn groups_are_found_by_whom_they_contain() {
    let World {
        scim,
        users,
        groups: [inner, middle, outer],
    } = world();
    check(&scim, &format!("groups.value eq \"{inner}\""), &["ada"]);
    check(&scim, &format!("groups eq \"{middle}\""), &["ada", "bob"]);
    check(
        &scim,
        &format!("groups.value eq \"{outer}\""),
        &["ada", "bob"],
    );
    let direct = format!("groups[value eq \"{outer}\" and type eq \"direct\"]");
    check(&scim, &direct, &["bob"]);
    check(&scim, "groups[type eq \"indirect\"]", &["ada"]);
    check(&scim, "groups.display co \"UTE\"", &["ada", "bob"]);
    check(
        &scim,
        "groups[display eq \"outer\" and type ne \"direct\"]",
        &["ada"],
    );
    check(&scim, "groups pr", &["ada", "bob"]);
    check(&scim, "not (groups.display eq \"inner\")", &["bob", "cy"]);
    check(&scim, "groups.value eq \"nobody\"", &[]);
    let containing = |id: &str| {
        let filter = format!("members.value eq \"{id}\"");
        scim.find("/Groups", &filter).status(200).total()
    };
    assert_eq!(
        [
            containing(&users[1]),
            containing(&inner),
            containing(&users[2])
        ],
        [2, 1, 0]
    );
}

#[test]
fn a_deleted_group_lets_nobody_through() {
    let World {
        scim,
        users,
        groups: ids,
    } = world();
    let pair = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    assert_eq!(
        groups(&scim, &users[0]),
        [
            pair("Inner", "direct"),
            pair("Middle", "indirect"),
            pair("Outer", "indirect")
        ]
    );
    assert_eq!(
        groups(&scim, &users[1]),
        [pair("Middle", "direct"), pair("Outer", "direct")]
    );
    let _ = scim.delete(&format!("/Groups/{}", ids[1])).status(204);
    assert_eq!(groups(&scim, &users[0]), [pair("Inner", "direct")]);
    assert_eq!(groups(&scim, &users[1]), [pair("Outer", "direct")]);
    check(&scim, &format!("groups.value eq \"{}\"", ids[2]), &["bob"]);
    check(&scim, &format!("groups.value eq \"{}\"", ids[1]), &[]);
}

#[test]
fn a_user_is_sorted_by_the_first_of_his_groups() {
    let World { scim, .. } = world();
    let listed = scim.get("/Users?sortBy=groups.display&sortOrder=descending");
    let names = listed.status(200).json();
    let names = names["Resources"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = names.iter().map(|user| user["userName"].clone()).collect();
    assert_eq!(names, [json!("cy"), json!("bob"), json!("ada")]);
}
