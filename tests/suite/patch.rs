//! PATCH on users: RFC 7644 section 3.5.2 and the accents of real clients.
//! The recorded cases hold more of the latter.

use muster_tests::scim::{ENTERPRISE, PATCH, Scim, USER};
use serde_json::{Value, json};

use super::users::ada;

/// A tenant's client and the path of a user with something everywhere.
fn one_user() -> (Scim, String) {
    let scim = super::tenant().scim();
    let id = scim.post("/Users", &ada()).status(201).id();
    (scim, format!("/Users/{id}"))
}

/// Applies the operations; the user as a later read shows it, which must be
/// what the answer showed.
#[track_caller]
fn patched(scim: &Scim, path: &str, operations: Value) -> Value {
    let answer = scim.patch(path, &operations).status(200).json();
    let read = scim.get(path).status(200).json();
    assert_eq!(answer, read, "{operations}");
    read
}

#[test]
fn replace_sets_single_values_by_every_spelling_of_the_path() {
    let (scim, path) = one_user();
    for (spelled, reach) in [
        ("title", "/title"),
        ("TITLE", "/title"),
        ("name.givenName", "/name/givenName"),
        ("Name.GivenName", "/name/givenName"),
        (&format!("{USER}:title"), "/title"),
        (&format!("{USER}:name.givenName"), "/name/givenName"),
    ] {
        for op in ["replace", "Replace", "add", "ADD"] {
            let value = format!("{op} {spelled}");
            let user = patched(
                &scim,
                &path,
                json!([{"op": op, "path": spelled, "value": value}]),
            );
            assert_eq!(user.pointer(reach), Some(&json!(value)));
            assert_eq!(user["name"]["familyName"], "Lovelace", "siblings stay");
        }
    }
}

#[test]
fn extension_attributes_are_reached_by_their_urn() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Looms"},
        {"op": "add", "path": format!("{ENTERPRISE}:costCenter"), "value": "7"},
    ]);
    let user = patched(&scim, &path, operations);
    assert_eq!(user[ENTERPRISE]["department"], "Looms");
    assert_eq!(user[ENTERPRISE]["costCenter"], "7");
    assert_eq!(user[ENTERPRISE]["employeeNumber"], "1815");
    let user = patched(&scim, &path, json!([{"op": "remove", "path": ENTERPRISE}]));
    assert!(user.get(ENTERPRISE).is_none(), "{user}");
}

#[test]
fn operations_without_a_path_name_attributes_in_their_value() {
    let (scim, path) = one_user();
    let value = json!({
        "displayName": "A.L.", "name.givenName": "A.", "active": "False",
        "name": {"middleName": "King"},
        format!("{ENTERPRISE}:department"): "Looms",
        ENTERPRISE: {"division": "North"},
    });
    let user = patched(&scim, &path, json!([{"op": "replace", "value": value}]));
    assert_eq!(user["displayName"], "A.L.");
    assert_eq!(user["active"], false);
    assert_eq!(user["name"]["middleName"], "King");
    assert_eq!(user[ENTERPRISE]["department"], "Looms");
    assert_eq!(user[ENTERPRISE]["division"], "North");
    assert!(user.get("name.givenName").is_none(), "{user}");
}

#[test]
fn value_paths_change_the_elements_they_select() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "new@work.test"},
        {"op": "add", "path": "emails[type eq \"home\"].display", "value": "Home"},
    ]);
    let user = patched(&scim, &path, operations);
    assert_eq!(
        user["emails"],
        json!([
            {"value": "new@work.test", "type": "work", "primary": true},
            {"value": "ada@home.test", "type": "home", "display": "Home"},
        ])
    );
}

#[test]
fn value_paths_that_select_nothing_make_one_element() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+44 7"},
        {"op": "Replace", "path": "phoneNumbers[type eq \"mobile\"].display", "value": "Mobile"},
    ]);
    let user = patched(&scim, &path, operations);
    let phones = user["phoneNumbers"].as_array().expect("a list");
    assert_eq!(phones.len(), 2, "{user}");
    assert_eq!(
        phones[1],
        json!({"type": "mobile", "value": "+44 7", "display": "Mobile"})
    );
}

#[test]
fn remove_takes_attributes_elements_and_sub_attributes() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "remove", "path": "nickName"},
        {"op": "Remove", "path": "emails[type eq \"home\"]"},
        {"op": "remove", "path": "name.formatted"},
        {"op": "remove", "path": "roles"},
        {"op": "remove", "path": "ims"},
    ]);
    let user = patched(&scim, &path, operations);
    assert!(user.get("nickName").is_none(), "{user}");
    assert_eq!(user["emails"].as_array().map(Vec::len), Some(1));
    assert!(user["name"].get("formatted").is_none(), "{user}");
    assert!(user["roles"].as_array().is_none_or(Vec::is_empty), "{user}");
}

#[test]
fn empty_text_and_null_clear() {
    let (scim, path) = one_user();
    for value in [json!(""), json!(null)] {
        let set = json!([{"op": "replace", "path": "title", "value": "T"}]);
        assert_eq!(patched(&scim, &path, set)["title"], "T");
        let clear = json!([{"op": "replace", "path": "title", "value": value}]);
        let user = patched(&scim, &path, clear);
        assert!(user.get("title").is_none_or(Value::is_null), "{user}");
    }
}

#[test]
fn add_appends_and_a_repeat_is_nothing() {
    let (scim, path) = one_user();
    let add = json!([{"op": "add", "path": "roles", "value": [{"value": "guest"}]}]);
    let user = patched(&scim, &path, add.clone());
    assert_eq!(user["roles"].as_array().map(Vec::len), Some(2));
    let before = scim.get(&path).etag();
    assert_eq!(patched(&scim, &path, add)["roles"], user["roles"]);
    assert_eq!(scim.get(&path).etag(), before);
}

#[test]
fn replace_of_a_list_sets_exactly_this_list() {
    let (scim, path) = one_user();
    let value = json!([{"value": "x@y.test", "type": "other"}]);
    let user = patched(
        &scim,
        &path,
        json!([{"op": "replace", "path": "emails", "value": value}]),
    );
    assert_eq!(user["emails"], value);
}

#[test]
fn one_primary_remains() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"},
    ]);
    let user = patched(&scim, &path, operations);
    let primaries = user["emails"].as_array().into_iter().flatten();
    let primaries: Vec<&Value> = primaries.filter(|e| e["primary"] == true).collect();
    assert_eq!(primaries.len(), 1, "{user}");
    assert_eq!(primaries[0]["type"], "home");
}

#[test]
fn the_manager_is_an_object_however_it_was_sent() {
    let (scim, path) = one_user();
    let boss = scim.user("boss");
    for (spelled, value) in [
        (format!("{ENTERPRISE}:manager"), json!(boss)),
        (format!("{ENTERPRISE}:manager"), json!({"value": boss})),
        ("manager".to_owned(), json!([{"$ref": null, "value": boss}])),
        (format!("{ENTERPRISE}:manager.value"), json!(boss)),
    ] {
        let set = json!([{"op": "Add", "path": spelled, "value": value}]);
        let user = patched(&scim, &path, set);
        assert_eq!(
            user[ENTERPRISE]["manager"]["value"], boss,
            "{spelled} {value}"
        );
        let clear =
            json!([{"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": ""}]);
        let user = patched(&scim, &path, clear);
        assert!(user[ENTERPRISE].get("manager").is_none(), "{user}");
    }
}

#[test]
fn a_failing_operation_takes_the_whole_request_back() {
    let (scim, path) = one_user();
    let before = scim.get(&path).status(200);
    let good = json!({"op": "replace", "path": "title", "value": "Half"});
    for (bad, scim_type) in [
        (
            json!({"op": "replace", "path": "shoeSize", "value": 9}),
            "invalidPath",
        ),
        (
            json!({"op": "replace", "path": "name.shoeSize", "value": 9}),
            "invalidPath",
        ),
        (
            json!({"op": "replace", "path": "emails[type eq", "value": 9}),
            "invalidPath",
        ),
        (
            json!({"op": "replace", "path": "id", "value": "mine"}),
            "mutability",
        ),
        (
            json!({"op": "replace", "path": "meta.created", "value": "x"}),
            "mutability",
        ),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (
            json!({"op": "replace", "path": "userName", "value": null}),
            "mutability",
        ),
        (
            json!({"op": "replace", "path": "active", "value": "maybe"}),
            "invalidValue",
        ),
        (
            json!({"op": "replace", "path": "title", "value": {"a": 1}}),
            "invalidValue",
        ),
        (
            json!({"op": "add", "path": "emails", "value": [[7]]}),
            "invalidValue",
        ),
    ] {
        let reply = scim.patch(&path, &json!([good, bad]));
        let code = reply.code();
        let found = reply.json()["scimType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(code == 400 && found == scim_type, "{bad}: {reply}");
        reply.keeps_the_store_to_itself();
    }
    let after = scim.get(&path).status(200);
    assert_eq!(after.json(), before.json());
    assert_eq!(after.etag(), before.etag());
}

#[test]
fn operations_apply_in_order() {
    let (scim, path) = one_user();
    let operations = json!([
        {"op": "remove", "path": "externalId"},
        {"op": "add", "path": "externalId", "value": "second"},
        {"op": "replace", "path": "externalId", "value": "third"},
    ]);
    assert_eq!(patched(&scim, &path, operations)["externalId"], "third");
}

#[test]
fn no_operations_and_no_differences_are_fine() {
    let (scim, path) = one_user();
    let before = scim.get(&path).etag();
    for operations in [
        json!([]),
        json!([{"op": "replace", "path": "active", "value": "True"}]),
        json!([{"op": "replace", "path": "userName", "value": "ada@example.test"}]),
    ] {
        let _ = scim.patch(&path, &operations).status_in(&[200, 204]);
    }
    assert_eq!(scim.get(&path).etag(), before);
}

#[test]
fn the_envelope_is_read_without_case_and_with_strangers_in_it() {
    let (scim, path) = one_user();
    let body = json!({
        "operations": [{"OP": "Replace", "Path": "title", "VALUE": "T", "name": "x"}],
        "Schemas": [PATCH], "id": "ignored",
    });
    let reply = scim.request("PATCH", &path).json(&body).send().status(200);
    assert_eq!(reply.json()["title"], "T");
}

#[test]
fn an_envelope_that_is_none_is_refused() {
    let (scim, path) = one_user();
    let before = scim.get(&path).etag();
    for body in [
        json!({}),
        json!([]),
        json!("x"),
        json!({"schemas": [PATCH]}),
        json!({"schemas": [PATCH], "Operations": "x"}),
        json!({"schemas": [PATCH], "Operations": ["x"]}),
        json!({"schemas": [PATCH], "Operations": [{"path": "title", "value": "T"}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": 1, "path": "title", "value": "T"}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "move", "path": "title", "value": "T"}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": 1, "value": "T"}]}),
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "value": "T"}]}),
    ] {
        let reply = scim.request("PATCH", &path).json(&body).send();
        assert_eq!(reply.code(), 400, "{body}: {reply}");
        let scim_type = reply.json()["scimType"].as_str().map(str::to_owned);
        let fitting = ["invalidSyntax", "invalidValue", "invalidPath"];
        assert!(
            scim_type.is_some_and(|t| fitting.contains(&t.as_str())),
            "{body}: {reply}"
        );
    }
    assert_eq!(scim.get(&path).etag(), before);
}

#[test]
fn a_user_is_renamed_and_found_by_the_new_name_alone() {
    let (scim, path) = one_user();
    let tombstone = "6f9619ff8b86d011b42d00c04fc964ffada@example.test";
    let rename = json!([
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "userName", "value": tombstone},
    ]);
    let user = patched(&scim, &path, rename);
    assert_eq!(
        (&user["active"], &user["userName"]),
        (&json!(false), &json!(tombstone))
    );
    assert!(scim.found("userName eq \"ada@example.test\"").is_empty());
    assert_eq!(
        scim.found(&format!("userName eq \"{tombstone}\"")),
        [tombstone]
    );
    scim.user("ada@example.test");
}
