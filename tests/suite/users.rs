//! Users over SCIM: create, read, replace, delete.

use muster_tests::scim::{ENTERPRISE, USER};
use serde_json::{Value, json};

/// A user with something in every kind of attribute.
pub(crate) fn ada() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada@example.test",
        "externalId": "ext-ada",
        "displayName": "Ada Lovelace",
        "name": {"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada Lovelace"},
        "nickName": "Countess",
        "profileUrl": "https://example.test/ada",
        "title": "Analyst",
        "userType": "Employee",
        "preferredLanguage": "en-GB",
        "locale": "en-GB",
        "timezone": "Europe/London",
        "active": true,
        "emails": [
            {"value": "ada@work.test", "type": "work", "primary": true},
            {"value": "ada@home.test", "type": "home"},
        ],
        "phoneNumbers": [{"value": "+44 20 1", "type": "work"}],
        "addresses": [{"type": "work", "locality": "London", "country": "GB"}],
        "roles": [{"value": "admin", "primary": true}],
        "entitlements": [{"value": "engine"}],
        ENTERPRISE: {"employeeNumber": "1815", "department": "Engines"},
    })
}

/// Whether `whole` says all that `part` says.
#[track_caller]
pub(crate) fn assert_includes(whole: &Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole_fields), Value::Object(part_fields)) => {
            for (name, value) in part_fields {
                let Some(found) = whole_fields.get(name) else {
                    panic!("no {name} in {whole}");
                };
                assert_includes(found, value);
            }
        }
        (Value::Array(w), Value::Array(p)) => {
            assert_eq!(w.len(), p.len(), "{whole} is not {part}");
            for (w, p) in w.iter().zip(p) {
                assert_includes(w, p);
            }
        }
        _ => assert_eq!(whole, part),
    }
}

#[test]
fn create_returns_the_user_with_id_meta_and_location() {
    let scim = super::tenant().scim();
    let reply = scim.post("/Users", &ada()).status(201);
    let user = reply.json();
    assert_includes(&user, &ada());
    let id = reply.id();
    let location = format!("{}/Users/{id}", scim.base());
    assert_eq!(reply.header("location"), Some(location.as_str()));
    assert_eq!(user["meta"]["location"], location);
    assert_eq!(user["meta"]["resourceType"], "User");
    assert_eq!(user["meta"]["version"], reply.etag());
    assert!(user["meta"]["created"].is_string());
    assert_eq!(user["meta"]["created"], user["meta"]["lastModified"]);
}

#[test]
fn read_returns_what_create_returned() {
    let scim = super::tenant().scim();
    let created = scim.post("/Users", &ada()).status(201);
    let read = scim.get(&format!("/Users/{}", created.id())).status(200);
    assert_eq!(read.json(), created.json());
    assert_eq!(read.etag(), created.etag());
}

#[test]
fn a_user_is_active_unless_said_otherwise() {
    let scim = super::tenant().scim();
    let id = scim.user("plain@example.test");
    assert_eq!(scim.get(&format!("/Users/{id}")).json()["active"], true);
}

#[test]
fn create_rejects_a_taken_user_name() {
    let scim = super::tenant().scim();
    scim.user("Straße@example.test");
    for taken in ["Straße@example.test", "STRASSE@EXAMPLE.TEST"] {
        let body = json!({"schemas": [USER], "userName": taken});
        let detail = scim.post("/Users", &body).scim_error(409, "uniqueness");
        assert!(detail.contains("userName"), "{detail}");
    }
    assert_eq!(scim.get("/Users").status(200).total(), 1);
}

#[test]
fn create_rejects_a_taken_external_id() {
    let scim = super::tenant().scim();
    let user =
        |name: &str, key: &str| json!({"schemas": [USER], "userName": name, "externalId": key});
    let _ = scim.post("/Users", &user("a", "key")).status(201);
    let _ = scim
        .post("/Users", &user("b", "key"))
        .scim_error(409, "uniqueness");
    // externalId is caseExact.
    let _ = scim.post("/Users", &user("c", "KEY")).status(201);
}

#[test]
fn two_users_may_share_everything_but_their_keys() {
    let scim = super::tenant().scim();
    let _ = scim.post("/Users", &ada()).status(201);
    let mut twin = ada();
    twin["userName"] = json!("twin@example.test");
    twin["externalId"] = json!("ext-twin");
    let _ = scim.post("/Users", &twin).status(201);
}

#[test]
fn external_ids_belong_to_their_connection() {
    let tenant = super::tenant();
    let server = super::server();
    let (_, _, token) = tenant.connection(server, "okta");
    let (entra, okta) = (tenant.scim(), tenant.scim_with(&token));
    let id = entra.post("/Users", &ada()).status(201).id();
    assert_eq!(okta.find("/Users", "externalId eq \"ext-ada\"").total(), 0);
    assert!(okta.get(&format!("/Users/{id}")).json()["externalId"].is_null());
    let operations = json!([{"op": "add", "path": "externalId", "value": "00u1"}]);
    let _ = okta.patch(&format!("/Users/{id}"), &operations).status(200);
    assert_eq!(
        entra.get(&format!("/Users/{id}")).json()["externalId"],
        "ext-ada"
    );
    assert_eq!(okta.find("/Users", "externalId eq \"00u1\"").total(), 1);
}

#[test]
fn replace_clears_what_is_not_sent() {
    let scim = super::tenant().scim();
    let id = scim.post("/Users", &ada()).status(201).id();
    let body = json!({"schemas": [USER], "userName": "ada@example.test", "title": "Countess"});
    let user = scim.put(&format!("/Users/{id}"), &body).status(200).json();
    assert_eq!(user["id"], id);
    assert_eq!(user["title"], "Countess");
    for gone in ["nickName", "emails", "name", ENTERPRISE] {
        assert!(user.get(gone).is_none_or(is_empty), "{gone}: {user}");
    }
    assert_eq!(scim.get(&format!("/Users/{id}")).json(), user);
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

#[test]
fn replace_with_the_same_content_changes_no_version() {
    let scim = super::tenant().scim();
    let created = scim.post("/Users", &ada()).status(201);
    let path = format!("/Users/{}", created.id());
    let replaced = scim.put(&path, &created.json()).status(200);
    assert_eq!(replaced.etag(), created.etag());
}

#[test]
fn replace_of_an_unknown_user_is_not_found() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "nobody"});
    for id in ["0190a5c1-0000-7000-8000-000000000000", "nobody"] {
        let _ = scim
            .put(&format!("/Users/{id}"), &body)
            .scim_error(404, None);
    }
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn delete_is_final_and_frees_the_keys() {
    let scim = super::tenant().scim();
    let id = scim.post("/Users", &ada()).status(201).id();
    let path = format!("/Users/{id}");
    let reply = scim.delete(&path).status(204);
    assert_eq!(reply.bytes(), b"");
    let _ = scim.get(&path).scim_error(404, None);
    let _ = scim.delete(&path).scim_error(404, None);
    let operations = json!([{"op": "replace", "path": "active", "value": true}]);
    let _ = scim.patch(&path, &operations).scim_error(404, None);
    let _ = scim.put(&path, &ada()).scim_error(404, None);
    assert_eq!(scim.get("/Users").total(), 0);
    let again = scim.post("/Users", &ada()).status(201).id();
    assert_ne!(again, id);
}

#[test]
fn a_disabled_user_stays_readable() {
    let scim = super::tenant().scim();
    let id = scim.user("gone@example.test");
    let operations = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let _ = scim.patch(&format!("/Users/{id}"), &operations).status(200);
    assert_eq!(scim.get(&format!("/Users/{id}")).json()["active"], false);
    assert_eq!(scim.found("userName eq \"gone@example.test\"").len(), 1);
}

#[test]
fn unknown_extensions_are_kept() {
    const URN: &str = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User";
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "x", URN: {"badge": "7", "floor": 3}});
    let id = scim.post("/Users", &body).status(201).id();
    let user = scim.get(&format!("/Users/{id}")).json();
    assert_eq!(user[URN], json!({"badge": "7", "floor": 3}));
    let schemas = user["schemas"].as_array().expect("a list");
    assert!(schemas.contains(&json!(URN)), "{user}");
}

#[test]
fn passwords_are_neither_kept_nor_returned() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "x", "password": "hunter2-hunter2"});
    let reply = scim.post("/Users", &body).status(201);
    assert!(!reply.text().contains("hunter2"), "{reply}");
}

#[test]
fn output_only_attributes_are_the_servers() {
    let scim = super::tenant().scim();
    let body = json!({
        "schemas": [USER], "userName": "x", "id": "mine",
        "meta": {"resourceType": "Robot", "created": "1970-01-01T00:00:00Z", "version": "W/\"9\""},
        "groups": [{"value": "g"}],
    });
    let user = scim.post("/Users", &body).status(201).json();
    assert_ne!(user["id"], "mine");
    assert_eq!(user["meta"]["resourceType"], "User");
    assert!(user.get("groups").is_none_or(is_empty), "{user}");
}

#[test]
fn attributes_and_excluded_attributes_shape_the_answer() {
    let scim = super::tenant().scim();
    let id = scim.post("/Users", &ada()).status(201).id();
    let path = format!("/Users/{id}?attributes=userName,emails.value");
    let user = scim.get(&path).status(200).json();
    assert_eq!(user["id"], id, "id is returned always");
    assert_eq!(user["userName"], "ada@example.test");
    assert_eq!(user["emails"][0], json!({"value": "ada@work.test"}));
    assert!(user.get("displayName").is_none(), "{user}");
    let path = format!("/Users/{id}?excludedAttributes=emails,name.formatted,id");
    let user = scim.get(&path).status(200).json();
    assert_eq!(user["id"], id, "id is returned always");
    assert!(user.get("emails").is_none(), "{user}");
    assert!(user["name"].get("formatted").is_none(), "{user}");
    assert_eq!(user["name"]["givenName"], "Ada");
}

#[test]
fn attribute_names_are_read_without_case() {
    let scim = super::tenant().scim();
    let body = json!({"SCHEMAS": [USER], "USERNAME": "x", "Name": {"GIVENNAME": "X"}});
    let user = scim.post("/Users", &body).status(201).json();
    assert_eq!(user["userName"], "x");
    assert_eq!(user["name"]["givenName"], "X");
}

#[test]
fn text_of_every_script_comes_back_as_sent() {
    let scim = super::tenant().scim();
    for name in [
        "Åse",
        "A\u{30a}se",
        "李小龍",
        "👩‍🚀",
        "a\"b\\c",
        "%_'--;",
        " spaced ",
    ] {
        let body = json!({"schemas": [USER], "userName": name, "displayName": name});
        let reply = scim.post("/Users", &body);
        // The composed and the decomposed form may count as one name.
        if reply.code() == 409 {
            assert!(name.contains('\u{30a}'), "{reply}");
            continue;
        }
        let user = reply.status(201).json();
        assert_eq!(user["displayName"], name);
    }
}
