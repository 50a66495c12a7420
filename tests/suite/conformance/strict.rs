//! The strict flavor: no accent is understood, the letter is.

use muster_tests::{
    scim::{PATCH, Scim, USER},
    soon::wait_until,
};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{refused, server, strict, tenant};

fn one_user(scim: &Scim) -> String {
    format!("/Users/{}", scim.post("/Users", &ada()).status(201).id())
}

#[test]
fn text_is_no_boolean_and_a_number_is_no_text() {
    let scim = strict();
    for (name, value) in [
        ("active", json!("true")),
        ("active", json!("False")),
        ("active", json!(1)),
        ("title", json!(7)),
        ("title", json!(true)),
        ("name", json!([{"givenName": "Ada"}])),
        ("emails", json!("a@b.test")),
        ("emails", json!({"value": "a@b.test"})),
        ("emails", json!([{"value": "a@b.test", "primary": "true"}])),
    ] {
        let mut body = json!({"schemas": [USER], "userName": "u"});
        body[name] = value.clone();
        let reply = scim.post("/Users", &body);
        assert_eq!(reply.code(), 400, "{name} = {value}: {reply}");
        refused(&reply, 400, &["invalidValue", "invalidSyntax"]);
    }
    refused(
        &scim.post("/Users", &json!({"schemas": [USER], "userName": 7})),
        400,
        &["invalidValue"],
    );
    assert_eq!(scim.get("/Users").total(), 0);
    let path = one_user(&scim);
    for (attribute, value) in [
        ("active", json!("False")),
        ("title", json!(7)),
        ("emails[type eq \"work\"].primary", json!("True")),
    ] {
        let operations = json!([{"op": "replace", "path": attribute, "value": value}]);
        refused(&scim.patch(&path, &operations), 400, &["invalidValue"]);
    }
    for filter in ["active eq \"true\"", "emails[primary eq \"True\"]"] {
        refused(&scim.find("/Users", filter), 400, &["invalidFilter"]);
    }
}

#[test]
fn operations_are_spelled_as_they_are_written() {
    let scim = strict();
    let path = one_user(&scim);
    for op in ["Add", "REPLACE", "Remove", "update", ""] {
        let operations = json!([{"op": op, "path": "title", "value": "T"}]);
        refused(
            &scim.patch(&path, &operations),
            400,
            &["invalidSyntax", "invalidValue"],
        );
    }
    assert_eq!(scim.get(&path).json()["title"], "Analyst");
}

#[test]
fn a_value_beside_a_removal_is_refused() {
    let scim = strict();
    let path = one_user(&scim);
    let operations = json!([{"op": "remove", "path": "roles", "value": [{"value": "nobody"}]}]);
    refused(&scim.patch(&path, &operations), 400, &["invalidValue"]);
    assert_eq!(scim.get(&path).json()["roles"][0]["value"], "admin");
    // Null is as good as nothing (RFC 7643 section 2.5).
    let operations = json!([{"op": "remove", "path": "roles", "value": null}]);
    let user = scim.patch(&path, &operations).status(200).json();
    assert!(super::unassigned(&user, "roles"), "{user}");
}

#[test]
fn dotted_keys_are_no_paths() {
    let scim = strict();
    let path = one_user(&scim);
    let operations = json!([{"op": "replace", "value": {"name.givenName": "X"}}]);
    let reply = scim.patch(&path, &operations).status_in(&[200, 204, 400]);
    if reply.code() == 400 {
        refused(
            &reply,
            400,
            &["invalidPath", "invalidValue", "invalidSyntax", "noTarget"],
        );
    }
    let user = scim.get(&path).status(200).json();
    assert_eq!(user["name"]["givenName"], "Ada");
    assert!(user.get("name.givenName").is_none(), "{user}");
}

#[test]
fn the_manager_is_an_object() {
    let scim = strict();
    let path = one_user(&scim);
    let boss = scim.user("boss");
    let urn = format!("{}:manager", muster_tests::scim::ENTERPRISE);
    for value in [json!(boss), json!([{"value": boss}])] {
        let operations = json!([{"op": "add", "path": urn, "value": value}]);
        refused(
            &scim.patch(&path, &operations),
            400,
            &["invalidValue", "invalidSyntax"],
        );
    }
    let operations = json!([{"op": "add", "path": urn, "value": {"value": boss}}]);
    let _ = scim.patch(&path, &operations).status(200);
}

#[test]
fn resources_name_their_schemas() {
    let scim = strict();
    for schemas in [
        None,
        Some(json!([])),
        Some(json!(USER)),
        Some(json!([PATCH])),
        Some(json!([7])),
    ] {
        let mut body = json!({"userName": "u"});
        if let Some(schemas) = schemas {
            body["schemas"] = schemas;
        }
        refused(
            &scim.post("/Users", &body),
            400,
            &["invalidSyntax", "invalidValue"],
        );
    }
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn extensions_that_no_schema_describes_are_unknown() {
    const OWN: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";
    let scim = strict();
    let path = one_user(&scim);
    let before = scim.get(&path).status(200);
    for (schemas, word) in [
        (json!([USER]), "invalidSyntax"),
        (json!([USER, OWN]), "invalidSyntax"),
    ] {
        let body = json!({"schemas": schemas, "userName": "u", OWN: {"site": "North"}});
        refused(&scim.post("/Users", &body), 400, &[word]);
    }
    let body = json!({"schemas": [USER, OWN], "userName": "u"});
    refused(&scim.post("/Users", &body), 400, &["invalidValue"]);
    for (operation, word) in [
        (
            json!({"op": "add", "path": format!("{OWN}:site"), "value": "North"}),
            "invalidPath",
        ),
        (json!({"op": "remove", "path": OWN}), "invalidPath"),
        (
            json!({"op": "add", "value": {OWN: {"site": "North"}}}),
            "invalidSyntax",
        ),
    ] {
        refused(&scim.patch(&path, &json!([operation])), 400, &[word]);
    }
    let filter = format!("{OWN}:site eq \"North\"");
    refused(&scim.find("/Users", &filter), 400, &["invalidFilter"]);
    assert_eq!(scim.get(&path).json(), before.json());
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn a_flavor_can_be_changed_and_changes_what_is_understood() {
    let tenant = tenant();
    let scim = tenant.scim();
    let path = format!("/Users/{}", scim.user("a"));
    let accent = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let _ = scim.patch(&path, &accent).status(200);
    let update = |flavor: &str| {
        let arguments = [
            "connection",
            "update",
            "--tenant",
            &tenant.id,
            "--name",
            "entra",
            "--flavor",
            flavor,
        ];
        let connection: Value = server().admin().json(&arguments);
        assert_eq!(connection["flavor"], flavor);
    };
    // A command is another process, of which the server hears within a second.
    let becomes = |code: u16| {
        wait_until("the flavor to change", || {
            scim.patch(&path, &accent).code() == code
        });
    };
    update("strict");
    becomes(400);
    refused(
        &scim.patch(&path, &accent),
        400,
        &["invalidSyntax", "invalidValue"],
    );
    update("okta");
    let _ = scim.get(&path).status(200);
    update("entra");
    becomes(200);
    let _ = scim.patch(&path, &accent).status(200);
}

#[test]
fn other_flavors_are_unknown() {
    let tenant = tenant();
    let arguments = [
        "connection",
        "create",
        "--tenant",
        &tenant.id,
        "--name",
        "x",
        "--flavor",
        "vanilla",
    ];
    let outcome = server().admin().run(&arguments);
    assert!(!outcome.stderr().is_empty());
    let _ = outcome.code(2);
}
