//! RFC 7644 section 3.4.3: queries by POST.

use muster_tests::scim::{LIST, Scim, USER};
use serde_json::{Value, json};

use super::{SEARCH, both, column, create, refused, resources, tenant};

fn people() -> Scim {
    let scim = tenant().scim();
    for (name, title) in [
        ("ann", "Pilot"),
        ("bob", "Clerk"),
        ("carl", "Pilot"),
        ("dora", "Pilot"),
    ] {
        create(
            &scim,
            "/Users",
            &json!({"schemas": [USER], "userName": name, "title": title}),
        );
    }
    scim.group("Pilots", &[]);
    scim
}

#[track_caller]
fn search(scim: &Scim, path: &str, mut body: Value) -> Value {
    body["schemas"] = json!([SEARCH]);
    let reply = scim.post(path, &body).status(200);
    assert_eq!(reply.json()["schemas"], json!([LIST]), "{reply}");
    assert_eq!(reply.header("location"), None, "nothing was made: {reply}");
    reply.json()
}

#[test]
fn every_parameter_means_what_it_means_in_a_query() {
    let scim = people();
    let page = search(
        &scim,
        "/Users/.search",
        json!({
            "filter": "title eq \"PILOT\"", "sortBy": "userName", "sortOrder": "descending",
            "startIndex": 2, "count": 1, "attributes": ["userName"],
        }),
    );
    assert_eq!(page["totalResults"], 3);
    assert_eq!(page["startIndex"], 2);
    assert_eq!(page["itemsPerPage"], 1);
    assert_eq!(column(&page, "userName"), ["carl"]);
    assert!(resources(&page)[0].get("title").is_none(), "{page}");
    let page = search(
        &scim,
        "/Users/.search",
        json!({"excludedAttributes": ["title", "meta"], "count": 2}),
    );
    assert_eq!(page["totalResults"], 4);
    assert_eq!(column(&page, "userName"), ["ann", "bob"]);
    assert!(resources(&page)[0].get("meta").is_none(), "{page}");
    let page = search(&scim, "/Users/.search", json!({"count": 0}));
    assert_eq!(page["totalResults"], 4);
    assert!(resources(&page).is_empty());
    let page = search(
        &scim,
        "/Users/.search",
        json!({"startIndex": -3, "count": -1}),
    );
    assert_eq!(page["totalResults"], 4);
    assert!(resources(&page).is_empty());
}

#[test]
fn a_search_without_parameters_finds_everything() {
    let scim = people();
    assert_eq!(
        search(&scim, "/Users/.search", json!({}))["totalResults"],
        4
    );
    assert_eq!(
        search(&scim, "/Groups/.search", json!({}))["totalResults"],
        1
    );
    assert_eq!(search(&scim, "/.search", json!({}))["totalResults"], 5);
    // What a query does not know, it passes over.
    assert_eq!(
        search(&scim, "/Users/.search", json!({"shoeSize": 9}))["totalResults"],
        4
    );
}

#[test]
fn the_root_is_searched_across_types() {
    let scim = people();
    let page = search(
        &scim,
        "/.search",
        json!({
            "filter": "displayName sw \"pilot\" or userName sw \"A\"", "attributes": ["userName", "displayName"],
        }),
    );
    assert_eq!(page["totalResults"], 2, "{page}");
    let page = search(
        &scim,
        "/.search",
        json!({"filter": "meta.resourceType eq \"Group\""}),
    );
    assert_eq!(column(&page, "displayName"), ["Pilots"]);
}

#[test]
fn groups_are_searched() {
    let scim = people();
    let page = search(
        &scim,
        "/Groups/.search",
        json!({"filter": "displayName eq \"PILOTS\""}),
    );
    assert_eq!(column(&page, "displayName"), ["Pilots"]);
}

#[test]
fn searches_that_are_none_are_refused() {
    for scim in both() {
        for (body, keywords) in [
            (
                json!({"schemas": [SEARCH], "filter": "userName eq"}),
                &["invalidFilter"][..],
            ),
            (
                json!({"schemas": [SEARCH], "filter": 7}),
                &["invalidSyntax", "invalidValue", "invalidFilter"],
            ),
            (
                json!({"schemas": [SEARCH], "count": "many"}),
                &["invalidSyntax", "invalidValue", "invalidCount"],
            ),
            (
                json!({"schemas": [SEARCH], "startIndex": {}}),
                &["invalidSyntax", "invalidValue"],
            ),
            (
                json!({"schemas": [SEARCH], "attributes": {"a": 1}}),
                &["invalidSyntax", "invalidValue"],
            ),
            (json!([]), &["invalidSyntax", "invalidValue"]),
        ] {
            for path in ["/Users/.search", "/Groups/.search", "/.search"] {
                let reply = scim.post(path, &body);
                refused(&reply, 400, keywords);
            }
        }
        let reply = scim
            .request("POST", "/Users/.search")
            .header("content-type", "application/scim+json")
            .body("{")
            .send();
        refused(&reply, 400, &["invalidSyntax"]);
    }
}

#[test]
fn strictly_a_search_names_its_schema() {
    let scim = super::strict();
    for schemas in [json!([]), json!([USER]), Value::Null] {
        let reply = scim.post("/Users/.search", &json!({"schemas": schemas}));
        refused(&reply, 400, &["invalidSyntax", "invalidValue"]);
    }
}

#[test]
fn a_search_is_posted() {
    let scim = tenant().scim();
    for path in ["/Users/.search", "/Groups/.search", "/.search"] {
        for method in ["PUT", "PATCH", "DELETE"] {
            let reply = scim
                .request(method, path)
                .json(&json!({"schemas": [SEARCH]}))
                .send();
            let _ = reply.status_in(&[404, 405]);
        }
    }
    for path in [
        "/Devices/.search",
        "/ServiceProviderConfig/.search",
        "/Schemas/.search",
    ] {
        let _ = scim
            .post(path, &json!({"schemas": [SEARCH]}))
            .status_in(&[403, 404, 405, 501]);
    }
}
