//! RFC 7644 section 3.4.2.3: sorting.

use muster_tests::scim::{ENTERPRISE, Scim, USER};
use serde_json::{Value, json};

use super::{ask, both, column, create, list, tenant};

#[track_caller]
fn check(scim: &Scim, parameters: &[(&str, &str)], expected: &[&str]) {
    let names = column(&list(scim, "/Users", parameters), "userName");
    assert_eq!(names, expected, "{parameters:?}");
}

/// The order by an attribute, both ways: `assigned` in ascending order, and
/// who has no value, in the order of creation.
#[track_caller]
fn both_ways(scim: &Scim, sort_by: &str, assigned: &[&str], unassigned: &[&str]) {
    let ascending = [assigned, unassigned].concat();
    check(scim, &[("sortBy", sort_by)], &ascending);
    let order = ("sortOrder", "ascending");
    check(scim, &[("sortBy", sort_by), order], &ascending);
    let order = ("sortOrder", "descending");
    let names = column(
        &list(scim, "/Users", &[("sortBy", sort_by), order]),
        "userName",
    );
    let (first, last) = names.split_at(unassigned.len());
    let mut first = first.to_vec();
    first.sort();
    let mut expected = unassigned.to_vec();
    expected.sort_unstable();
    assert_eq!(first, expected, "{sort_by}: without a value first");
    let mut backwards = assigned.to_vec();
    backwards.reverse();
    assert_eq!(last, backwards, "{sort_by}");
}

fn made(users: &[Value]) -> Scim {
    let scim = tenant().scim();
    for user in users {
        create(&scim, "/Users", user);
    }
    scim
}

#[test]
fn text_sorts_by_its_case_rule() {
    let scim = made(&[
        json!({"schemas": [USER], "userName": "bob", "externalId": "b"}),
        json!({"schemas": [USER], "userName": "Carol", "externalId": "C"}),
        json!({"schemas": [USER], "userName": "alice", "externalId": "A"}),
        json!({"schemas": [USER], "userName": "Dave", "externalId": "d"}),
    ]);
    both_ways(&scim, "userName", &["alice", "bob", "Carol", "Dave"], &[]);
    both_ways(&scim, "USERNAME", &["alice", "bob", "Carol", "Dave"], &[]);
    // externalId is caseExact: capitals first.
    both_ways(&scim, "externalId", &["alice", "Carol", "bob", "Dave"], &[]);
}

#[test]
fn unassigned_comes_last_and_first_when_descending() {
    let scim = made(&[
        json!({"schemas": [USER], "userName": "none-1"}),
        json!({"schemas": [USER], "userName": "z", "title": "Zookeeper"}),
        json!({"schemas": [USER], "userName": "a", "title": "accountant"}),
        json!({"schemas": [USER], "userName": "none-2"}),
        json!({"schemas": [USER], "userName": "m", "title": "Miller"}),
    ]);
    both_ways(&scim, "title", &["a", "m", "z"], &["none-1", "none-2"]);
    both_ways(
        &scim,
        &format!("{USER}:title"),
        &["a", "m", "z"],
        &["none-1", "none-2"],
    );
    // Nobody has one: the order of creation.
    let all = ["none-1", "z", "a", "none-2", "m"];
    check(&scim, &[("sortBy", "nickName")], &all);
}

#[test]
fn sub_attributes_sort() {
    let scim = made(&[
        json!({"schemas": [USER], "userName": "2", "name": {"familyName": "baker", "givenName": "Ann"}}),
        json!({"schemas": [USER], "userName": "1", "name": {"familyName": "Abel"}}),
        json!({"schemas": [USER], "userName": "4"}),
        json!({"schemas": [USER], "userName": "3", "name": {"familyName": "Öberg", "givenName": "ann"}}),
    ]);
    both_ways(&scim, "name.familyName", &["1", "2", "3"], &["4"]);
    check(
        &scim,
        &[("sortBy", "name.givenName")],
        &["2", "3", "1", "4"],
    );
}

#[test]
fn multi_valued_attributes_sort_by_their_primary_or_first_value() {
    let scim = made(&[
        json!({"schemas": [USER], "userName": "by-first", "emails": [{"value": "m@x.test"}, {"value": "a@x.test"}]}),
        json!({"schemas": [USER], "userName": "by-primary",
            "emails": [{"value": "a@x.test"}, {"value": "z@x.test", "primary": true}]}),
        json!({"schemas": [USER], "userName": "none"}),
        json!({"schemas": [USER], "userName": "single", "emails": [{"value": "C@x.test"}]}),
    ]);
    for sort_by in ["emails", "emails.value"] {
        both_ways(
            &scim,
            sort_by,
            &["single", "by-first", "by-primary"],
            &["none"],
        );
    }
}

#[test]
fn booleans_times_and_extensions_sort() {
    let scim = made(&[
        json!({"schemas": [USER], "userName": "1", "active": true}),
        json!({"schemas": [USER], "userName": "2", "active": false}),
        json!({"schemas": [USER, ENTERPRISE], "userName": "3", "active": true, ENTERPRISE: {"employeeNumber": "9"}}),
        json!({"schemas": [USER, ENTERPRISE], "userName": "4", "active": false, ENTERPRISE: {"employeeNumber": "10"}}),
    ]);
    let active = |order: &str| {
        let list = list(
            &scim,
            "/Users",
            &[("sortBy", "active"), ("sortOrder", order)],
        );
        let of = |user: &Value| user["active"].as_bool().expect("a boolean");
        super::resources(&list).iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(active("ascending"), [false, false, true, true]);
    assert_eq!(active("descending"), [true, true, false, false]);
    both_ways(&scim, "meta.created", &["1", "2", "3", "4"], &[]);
    // Numbers of employees are text.
    let number = format!("{ENTERPRISE}:employeeNumber");
    both_ways(&scim, &number, &["4", "3"], &["1", "2"]);
    let first = list(&scim, "/Users", &[("filter", "userName eq \"1\"")]);
    let id = first["Resources"][0]["id"].as_str().expect("an id");
    let operations = json!([{"op": "replace", "path": "title", "value": "T"}]);
    let _ = scim.patch(&format!("/Users/{id}"), &operations).status(200);
    both_ways(&scim, "meta.lastModified", &["2", "3", "4", "1"], &[]);
}

#[test]
fn sorted_pages_follow_each_other_through_equal_keys() {
    let scim = tenant().scim();
    for number in 0..12 {
        let mut user = json!({"schemas": [USER], "userName": format!("u{number:02}")});
        if number % 3 != 0 {
            user["title"] = json!(format!("T{}", number % 2));
        }
        create(&scim, "/Users", &user);
    }
    for order in ["ascending", "descending"] {
        let sorting = [("sortBy", "title"), ("sortOrder", order)];
        let whole = column(&list(&scim, "/Users", &sorting), "userName");
        assert_eq!(whole.len(), 12);
        let mut pages = Vec::new();
        for start in ["1", "6", "11"] {
            let parameters = [
                sorting[0],
                sorting[1],
                ("startIndex", start),
                ("count", "5"),
            ];
            pages.extend(column(&list(&scim, "/Users", &parameters), "userName"));
        }
        assert_eq!(pages, whole, "{order}");
    }
    let parameters = [
        ("sortBy", "title"),
        ("filter", "title eq \"t1\""),
        ("count", "2"),
    ];
    let page = list(&scim, "/Users", &parameters);
    assert_eq!(page["totalResults"], 4, "{page}");
    assert_eq!(column(&page, "title"), ["T1", "T1"]);
}

#[test]
fn groups_sort_too() {
    let scim = tenant().scim();
    for name in ["beta", "Alpha", "Gamma"] {
        scim.group(name, &[]);
    }
    let sorted = |order| {
        let parameters = [("sortBy", "displayName"), ("sortOrder", order)];
        column(&list(&scim, "/Groups", &parameters), "displayName")
    };
    assert_eq!(sorted("ascending"), ["Alpha", "beta", "Gamma"]);
    assert_eq!(sorted("descending"), ["Gamma", "beta", "Alpha"]);
}

#[test]
fn an_order_without_an_attribute_and_nonsense_are_no_fault_of_the_server() {
    let clients = both();
    clients[0].user("a");
    for scim in clients {
        let _ = ask(&scim, "/Users", &[("sortOrder", "descending")]).status(200);
        for nonsense in [
            [("sortBy", "shoeSize"), ("sortOrder", "ascending")],
            [("sortBy", "name"), ("sortOrder", "ascending")],
            [
                ("sortBy", "emails[type eq \"work\"]"),
                ("sortOrder", "ascending"),
            ],
            [("sortBy", "userName"), ("sortOrder", "sideways")],
        ] {
            let reply = ask(&scim, "/Users", &nonsense).status_in(&[200, 400]);
            if reply.code() == 400 {
                super::refused(&reply, 400, &["invalidValue", "invalidPath"]);
            }
        }
    }
}
