//! The flavor of Okta: some accents, and otherwise the letter.

use muster_tests::scim::{ENTERPRISE, GROUP, PATCH, Scim, USER};
use serde_json::{Value, json};

use super::schemas::{BADGE, badged};
use super::{ask, create, refused, server, tenant, unassigned};

/// A fresh tenant's client of this flavor.
fn okta() -> Scim {
    tenant().flavored(server(), "okta")
}

/// A user with a value in every kind of attribute; his path.
fn one_user(scim: &Scim) -> String {
    let body = json!({"schemas": [USER, ENTERPRISE], "userName": "ada", "title": "Analyst",
        "emails": [{"value": "ada@work.test", "type": "work"}], ENTERPRISE: {"department": "D"}});
    format!("/Users/{}", create(scim, "/Users", &body))
}

/// One operation; the user as he is read afterwards.
#[track_caller]
fn apply(scim: &Scim, path: &str, operation: Value) -> Value {
    let _ = scim.patch(path, &json!([operation])).status(200);
    scim.get(path).status(200).json()
}

#[test]
fn text_stands_for_booleans_and_numbers_and_numbers_for_text() {
    let scim = badged().flavored(server(), "okta");
    let body = json!({"schemas": [USER, BADGE], "userName": "ada", "active": "False", "title": 7,
        "emails": [{"value": "ada@work.test", "primary": "true"}], BADGE: {"level": "3", "score": "2.5"}});
    let created = scim.post("/Users", &body).status(201);
    let user = created.json();
    assert_eq!(
        (&user["active"], &user["title"]),
        (&json!(false), &json!("7"))
    );
    assert_eq!(user["emails"][0]["primary"], true);
    assert_eq!(user[BADGE], json!({"level": 3, "score": 2.5}));
    let path = format!("/Users/{}", created.id());
    let on = json!({"op": "replace", "path": "active", "value": "true"});
    assert_eq!(apply(&scim, &path, on)["active"], true);
    let level = json!({"op": "replace", "path": format!("{BADGE}:level"), "value": "4"});
    assert_eq!(apply(&scim, &path, level)[BADGE]["level"], 4);
}

#[test]
fn the_empty_text_clears() {
    let scim = okta();
    let path = one_user(&scim);
    let cleared = json!({"op": "replace", "path": "title", "value": ""});
    assert!(unassigned(&apply(&scim, &path, cleared), "title"));
    let body = json!({"schemas": [USER], "userName": "ada", "nickName": ""});
    let user = scim.put(&path, &body).status(200).json();
    assert!(unassigned(&user, "nickName"), "{user}");
}

#[test]
fn unknown_attributes_are_passed_over_and_unregistered_extensions_kept() {
    const OWN: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";
    let scim = okta();
    let body = json!({"schemas": [USER, OWN], "userName": "ada", "shoeSize": 9,
        "emails": [{"value": "a@b.test", "colour": "red"}], OWN: {"site": "North"}});
    let created = scim.post("/Users", &body).status(201);
    let user = created.json();
    assert!(user.get("shoeSize").is_none(), "{user}");
    assert_eq!(user["emails"], json!([{"value": "a@b.test"}]));
    assert_eq!(user[OWN], json!({"site": "North"}));
    let path = format!("/Users/{}", created.id());
    let replaced = json!({"op": "replace", "path": format!("{OWN}:site"), "value": "South"});
    assert_eq!(apply(&scim, &path, replaced)[OWN]["site"], "South");
    // Names with a dot or a filter in them are names that nobody knows.
    let passed_over = json!({"op": "replace", "value": {"shoeSize": 10, "title": "T",
        "name.givenName": "G", "emails[type eq \"work\"].value": "c@d.test"}});
    let user = apply(&scim, &path, passed_over);
    assert_eq!(user["title"], "T");
    assert!(unassigned(&user, "name"), "{user}");
    assert_eq!(user["emails"], json!([{"value": "a@b.test"}]));
}

/// Behind a version, Okta's URNs of applications go on in small letters.
#[test]
fn extensions_of_applications_are_kept_as_sent() {
    const OWN: &str = "urn:okta:app_1:1.0:user:custom";
    for flavor in ["okta", "entra"] {
        let scim = tenant().flavored(server(), flavor);
        let body = json!({"schemas": [USER, OWN], "userName": "ada", OWN: {"site": "North"}});
        let path = format!("/Users/{}", create(&scim, "/Users", &body));
        let user = scim.get(&path).json();
        assert_eq!(user[OWN], json!({"site": "North"}), "{flavor}");
        assert_eq!(user["schemas"], json!([USER, OWN]), "{flavor}");
        let replace = json!({"op": "replace", "path": format!("{OWN}:site"), "value": "South"});
        assert_eq!(
            apply(&scim, &path, replace)[OWN]["site"],
            "South",
            "{flavor}"
        );
        let filter = format!("{OWN}:site eq \"south\"");
        assert_eq!(scim.found(&filter), ["ada"], "{flavor}");
    }
}

#[test]
fn a_password_and_what_is_read_only_are_passed_over_in_a_patch() {
    let scim = okta();
    let path = one_user(&scim);
    let before = scim.get(&path).status(200);
    let password = json!({"op": "replace", "path": "password", "value": "t1meMa$heen"});
    assert_eq!(apply(&scim, &path, password), before.json());
    let password = json!({"op": "replace", "value": {"password": "t1meMa$heen"}});
    assert_eq!(apply(&scim, &path, password), before.json());
    let group = scim.group("G", &[]);
    let path = format!("/Groups/{group}");
    let renamed = json!({"op": "replace", "value": {"id": group, "displayName": "H"}});
    assert_eq!(apply(&scim, &path, renamed)["displayName"], "H");
    let by_path = json!([{"op": "replace", "path": "id", "value": group}]);
    refused(&scim.patch(&path, &by_path), 400, &["mutability"]);
}

#[test]
fn a_comparison_may_follow_brackets() {
    let scim = okta();
    one_user(&scim);
    let filter = |value: &str| format!("emails[type eq \"work\"].value eq \"{value}\"");
    assert_eq!(scim.found(&filter("ADA@work.test")), ["ada"]);
    assert!(scim.found(&filter("ada@home.test")).is_empty());
}

/// Each of these is understood for Microsoft Entra, and changes nothing here.
#[test]
fn what_only_entra_says_is_refused() {
    let scim = okta();
    let path = one_user(&scim);
    let boss = scim.user("boss");
    let before = scim.get(&path).status(200);
    let manager = format!("{ENTERPRISE}:manager");
    for (operation, word) in [
        (
            json!({"op": "Replace", "path": "title", "value": "T"}),
            "invalidSyntax",
        ),
        (
            json!({"op": "replace", "path": "", "value": {"title": "T"}}),
            "invalidPath",
        ),
        (
            json!({"op": "remove", "path": "title", "value": "Analyst"}),
            "invalidValue",
        ),
        (
            json!({"op": "replace", "path": "emails", "value": {"value": "a@b.test"}}),
            "invalidValue",
        ),
        (
            json!({"op": "replace", "path": manager, "value": boss}),
            "invalidValue",
        ),
        (
            json!({"op": "replace", "path": "manager", "value": {"value": boss}}),
            "invalidPath",
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"home\"].value", "value": "a@b.test"}),
            "noTarget",
        ),
        (
            json!({"op": "add", "path": "emails[type eq \"home\"].value", "value": "a@b.test"}),
            "noTarget",
        ),
    ] {
        let reply = scim.patch(&path, &json!([operation]));
        assert_eq!(reply.code(), 400, "{operation}: {reply}");
        refused(&reply, 400, &[word]);
    }
    refused(&scim.patch(&path, &json!([])), 400, &["invalidSyntax"]);
    assert_eq!(scim.get(&path).status(200).json(), before.json());
    for filter in ["userName eq ada", "manager eq \"x\""] {
        refused(&scim.find("/Users", filter), 400, &["invalidFilter"]);
    }
    for parameters in [
        &[("attributes", "id"), ("excludedAttributes", "title")][..],
        &[("attributes", "emails[type eq \"work\"]")],
    ] {
        refused(&ask(&scim, "/Users", parameters), 400, &["invalidValue"]);
    }
}

#[test]
fn schemas_are_named_here_too() {
    let scim = okta();
    let path = one_user(&scim);
    for body in [
        json!({"userName": "u"}),
        json!({"schemas": [], "userName": "u"}),
        json!({"schemas": [GROUP], "userName": "u"}),
        json!({"schemas": [USER], "userName": "u", ENTERPRISE: {"department": "D"}}),
    ] {
        refused(&scim.post("/Users", &body), 400, &["invalidValue"]);
    }
    let operations = json!([{"op": "replace", "path": "title", "value": "T"}]);
    for schemas in [Value::Null, json!([]), json!([USER])] {
        let body = json!({"schemas": schemas, "Operations": operations});
        let reply = scim.request("PATCH", &path).json(&body).send();
        refused(&reply, 400, &["invalidValue"]);
    }
    let body = json!({"schemas": [PATCH], "Operations": operations});
    let _ = scim.request("PATCH", &path).json(&body).send().status(200);
    for message in ["/.search", "/Bulk"] {
        refused(&scim.post(message, &json!({})), 400, &["invalidValue"]);
    }
}

#[test]
fn members_are_objects_that_are_named_by_id() {
    let scim = okta();
    let body = json!({"schemas": [USER], "userName": "ada", "externalId": "e-1"});
    let user = create(&scim, "/Users", &body);
    let path = format!("/Groups/{}", scim.group("G", &[]));
    for value in [json!([user]), json!([{"value": "e-1"}])] {
        let add = json!([{"op": "add", "path": "members", "value": value}]);
        refused(&scim.patch(&path, &add), 400, &["invalidValue"]);
    }
    let by_filter = json!([{"op": "add", "path": format!("members[value eq \"{user}\"]")}]);
    refused(&scim.patch(&path, &by_filter), 400, &["mutability"]);
    let add =
        json!([{"op": "add", "path": "members", "value": [{"value": user, "display": "Ada"}]}]);
    let _ = scim.patch(&path, &add).status(200);
    assert_eq!(scim.get(&path).json()["members"][0]["value"], user);
}
