//! RFC 7644 section 3.4.2.1: queries of the root, across types.

use std::collections::BTreeSet;

use muster_tests::scim::{GROUP, Scim, USER};
use serde_json::json;

use super::{ask, column, create, list, refused, resources, tenant};

fn furnished() -> Scim {
    let scim = tenant().scim();
    for (name, display) in [("ann", "Engineer Ann"), ("bob", "Zed")] {
        create(
            &scim,
            "/Users",
            &json!({"schemas": [USER], "userName": name, "displayName": display}),
        );
    }
    for name in ["Engineers", "Looms"] {
        create(
            &scim,
            "/Groups",
            &json!({"schemas": [GROUP], "displayName": name}),
        );
    }
    scim
}

#[track_caller]
fn check(scim: &Scim, filter: &str, expected: &[&str]) {
    let found = column(&list(scim, "/", &[("filter", filter)]), "displayName");
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect(), "{filter}");
}

#[test]
fn the_root_lists_every_type() {
    let scim = furnished();
    for path in ["/", ""] {
        let everything = list(&scim, path, &[("count", "100")]);
        assert_eq!(everything["totalResults"], 4, "{everything}");
        for resource in resources(&everything) {
            let kind = resource["meta"]["resourceType"].as_str().expect("a type");
            let urn = if kind == "User" { USER } else { GROUP };
            assert!(
                resource["schemas"]
                    .as_array()
                    .is_some_and(|s| s.contains(&json!(urn))),
                "{resource}"
            );
            let location = resource["meta"]["location"].as_str().expect("a location");
            assert_eq!(scim.get(location).status(200).json(), resource);
        }
    }
}

#[test]
fn filters_reach_across_types() {
    let scim = furnished();
    check(
        &scim,
        "displayName co \"engineer\"",
        &["Engineer Ann", "Engineers"],
    );
    check(
        &scim,
        "meta.resourceType eq \"User\"",
        &["Engineer Ann", "Zed"],
    );
    check(
        &scim,
        "meta.resourceType eq \"Group\"",
        &["Engineers", "Looms"],
    );
    check(
        &scim,
        "(meta.resourceType eq \"User\") or (meta.resourceType eq \"Group\")",
        &["Engineer Ann", "Engineers", "Looms", "Zed"],
    );
    check(
        &scim,
        "meta.resourceType eq \"Group\" and displayName sw \"l\"",
        &["Looms"],
    );
    check(
        &scim,
        "id pr",
        &["Engineer Ann", "Engineers", "Looms", "Zed"],
    );
}

#[test]
fn what_a_type_does_not_have_has_no_value() {
    let scim = furnished();
    check(&scim, "userName pr", &["Engineer Ann", "Zed"]);
    check(&scim, "not (userName pr)", &["Engineers", "Looms"]);
    check(&scim, "userName eq \"ann\"", &["Engineer Ann"]);
    check(&scim, "members pr", &[]);
    check(
        &scim,
        "userName eq \"ann\" or displayName eq \"looms\"",
        &["Engineer Ann", "Looms"],
    );
    check(&scim, "emails[type eq \"work\"]", &[]);
    check(
        &scim,
        &format!("{USER}:userName pr"),
        &["Engineer Ann", "Zed"],
    );
    check(
        &scim,
        &format!("{GROUP}:displayName sw \"e\""),
        &["Engineers"],
    );
}

#[test]
fn pages_and_orders_reach_across_types() {
    let scim = furnished();
    let sorted = column(
        &list(&scim, "/", &[("sortBy", "displayName")]),
        "displayName",
    );
    assert_eq!(sorted, ["Engineer Ann", "Engineers", "Looms", "Zed"]);
    let parameters = [("sortBy", "displayName"), ("sortOrder", "descending")];
    let sorted = column(&list(&scim, "/", &parameters), "displayName");
    assert_eq!(sorted, ["Zed", "Looms", "Engineers", "Engineer Ann"]);
    // Groups have no userName.
    let sorted = column(&list(&scim, "/", &[("sortBy", "userName")]), "userName");
    assert_eq!(sorted, ["ann", "bob", "", ""]);
    let mut seen = BTreeSet::new();
    for start in ["1", "2", "3", "4", "5"] {
        let page = list(&scim, "/", &[("startIndex", start), ("count", "1")]);
        assert_eq!(page["totalResults"], 4);
        seen.extend(column(&page, "id"));
    }
    assert_eq!(seen.len(), 4);
    let none = list(&scim, "/", &[("count", "0")]);
    assert_eq!(none["totalResults"], 4);
    assert!(resources(&none).is_empty());
}

#[test]
fn a_filter_that_is_none_is_refused_here_too() {
    let scim = furnished();
    for bad in ["userName eq", "displayName eq \"x", "active gt true"] {
        refused(
            &ask(&scim, "/", &[("filter", bad)]),
            400,
            &["invalidFilter"],
        );
    }
}

#[test]
fn the_root_is_read_only() {
    let scim = tenant().scim();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let reply = scim
            .request(method, "/")
            .json(&json!({"schemas": [USER], "userName": "a"}))
            .send();
        let _ = reply.scim_error(405, None);
    }
}
