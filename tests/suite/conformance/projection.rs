//! RFC 7644 sections 3.4.2.5 and 3.9: `attributes` and `excludedAttributes`.

use std::collections::BTreeSet;

use muster_tests::scim::{ENTERPRISE, GROUP, LIST, Reply, Scim, USER};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{BULK, NOBODY, SEARCH, both, resources, tenant};

/// The names of what is shown.
fn keys(resource: &Value) -> BTreeSet<&str> {
    let fields = resource.as_object().expect("an object");
    fields.keys().map(String::as_str).collect()
}

#[track_caller]
fn shows(resource: &Value, expected: &[&str]) {
    let mut shown = keys(resource);
    // RFC 7643 section 3 wants it in every representation.
    assert!(shown.remove("schemas"), "{resource}");
    let expected: BTreeSet<&str> = expected.iter().copied().collect();
    assert_eq!(shown, expected, "{resource}");
}

fn one_user() -> (Scim, String) {
    let scim = tenant().scim();
    let id = scim.post("/Users", &ada()).status(201).id();
    (scim, format!("/Users/{id}"))
}

#[test]
fn what_was_asked_for_is_shown_and_what_is_always_shown() {
    let (scim, path) = one_user();
    for (attributes, expected) in [
        ("userName", &["id", "userName"][..]),
        ("USERNAME,Title", &["id", "userName", "title"]),
        ("meta", &["id", "meta"]),
        ("id", &["id"]),
        ("externalId", &["id", "externalId"]),
        ("shoeSize", &["id"]),
        ("shoeSize,userName,name.shoeSize", &["id", "userName"]),
        ("emails", &["id", "emails"]),
        ("photos,userName", &["id", "userName"]),
        (ENTERPRISE, &["id", ENTERPRISE]),
    ] {
        let user = scim
            .get(&format!("{path}?attributes={attributes}"))
            .status(200)
            .json();
        let expected: Vec<&str> = expected.to_vec();
        shows(&user, &expected);
    }
    let qualified = format!(
        "{path}?attributes={USER}:userName,{}:TITLE",
        USER.to_uppercase()
    );
    shows(
        &scim.get(&qualified).status(200).json(),
        &["id", "userName", "title"],
    );
}

#[test]
fn sub_attributes_are_shown_by_themselves() {
    let (scim, path) = one_user();
    let ask = |attributes: &str| {
        scim.get(&format!("{path}?attributes={attributes}"))
            .status(200)
            .json()
    };
    let user = ask("emails.value,name.givenName");
    shows(&user, &["id", "emails", "name"]);
    assert_eq!(user["name"], json!({"givenName": "Ada"}));
    assert_eq!(
        user["emails"],
        json!([{"value": "ada@work.test"}, {"value": "ada@home.test"}])
    );
    let user = ask("EMAILS.Type");
    assert_eq!(user["emails"], json!([{"type": "work"}, {"type": "home"}]));
    let user = ask(&format!("{USER}:name.familyName"));
    assert_eq!(user["name"], json!({"familyName": "Lovelace"}));
    let user = ask(&format!("{ENTERPRISE}:department"));
    shows(&user, &["id", ENTERPRISE]);
    assert_eq!(user[ENTERPRISE], json!({"department": "Engines"}));
    let user = ask("meta.location");
    assert_eq!(keys(&user["meta"]), BTreeSet::from(["location"]));
    // All of an attribute is more than a part of it.
    let user = ask("name,name.givenName");
    assert_eq!(user["name"]["familyName"], "Lovelace");
}

#[test]
fn what_was_excluded_is_not_shown_but_for_what_is_always_shown() {
    let (scim, path) = one_user();
    let whole = scim.get(&path).status(200).json();
    for excluded in [
        "userName",
        "emails",
        "meta",
        "externalId",
        "name",
        ENTERPRISE,
        "NICKNAME",
    ] {
        let user = scim
            .get(&format!("{path}?excludedAttributes={excluded}"))
            .status(200)
            .json();
        let mut expected = whole.clone();
        let fields = expected.as_object_mut().expect("an object");
        fields.retain(|name, _| !name.eq_ignore_ascii_case(excluded));
        // Whether an extension that is not shown is named is nobody's word.
        expected["schemas"] = user["schemas"].clone();
        assert!(
            user["schemas"]
                .as_array()
                .is_some_and(|urns| !urns.is_empty()),
            "{user}"
        );
        assert_eq!(user, expected, "{excluded}");
    }
    let user = scim
        .get(&format!("{path}?excludedAttributes=id,schemas,shoeSize"))
        .status(200)
        .json();
    assert_eq!(user, whole, "always returned");
    let parts =
        format!("{path}?excludedAttributes=name.familyName,emails.value,{ENTERPRISE}:department");
    let user = scim.get(&parts).status(200).json();
    assert!(user["name"].get("familyName").is_none(), "{user}");
    assert_eq!(user["name"]["givenName"], "Ada");
    assert_eq!(user["emails"][0], json!({"type": "work", "primary": true}));
    assert_eq!(user[ENTERPRISE], json!({"employeeNumber": "1815"}));
}

#[test]
fn both_at_once_is_no_fault_of_the_server() {
    let (scim, path) = one_user();
    let reply = scim.get(&format!(
        "{path}?attributes=userName,title&excludedAttributes=title"
    ));
    if reply.code() == 200 {
        assert_eq!(reply.json()["userName"], "ada@example.test");
    } else {
        let _ = reply.status(400);
    }
}

#[test]
fn lists_and_searches_show_what_was_asked_for() {
    let (scim, _) = one_user();
    let check = |reply: Reply| {
        let list = reply.status(200).json();
        assert_eq!(list["schemas"], json!([LIST]));
        assert_eq!(list["totalResults"], 1);
        let users = resources(&list);
        shows(&users[0], &["id", "name", "userName"]);
        assert_eq!(users[0]["name"], json!({"givenName": "Ada"}));
    };
    check(scim.get("/Users?attributes=userName,name.givenName"));
    check(scim.get("/?attributes=userName,name.givenName"));
    let body = json!({"schemas": [SEARCH], "attributes": ["userName", "name.givenName"]});
    check(scim.post("/Users/.search", &body));
    check(scim.post("/.search", &body));
    let body = json!({"schemas": [SEARCH], "excludedAttributes": ["name.familyName", "emails"]});
    let list = scim.post("/Users/.search", &body).status(200).json();
    let user = &resources(&list)[0];
    assert!(
        user.get("emails").is_none() && user["name"].get("familyName").is_none(),
        "{user}"
    );
    assert_eq!(user["userName"], "ada@example.test");
}

#[test]
fn what_is_not_shown_is_still_looked_for_and_sorted_by() {
    let scim = tenant().scim();
    for (name, title) in [("a", "Z"), ("b", "Y"), ("c", "X")] {
        let body = json!({"schemas": [USER], "userName": name, "title": title});
        let _ = scim.post("/Users", &body).status(201);
    }
    let list = scim
        .get("/Users?attributes=userName&sortBy=title&filter=title+ne+%22X%22")
        .status(200)
        .json();
    assert_eq!(super::column(&list, "userName"), ["b", "a"]);
    shows(&resources(&list)[0], &["id", "userName"]);
}

#[test]
fn answers_to_writes_show_what_was_asked_for() {
    for scim in both() {
        let mut user = ada();
        user["userName"] = json!(format!("{}@example.test", scim.get("/Users").total()));
        user["externalId"] = json!("e");
        let created = scim
            .post("/Users?attributes=userName,emails.value", &user)
            .status(201);
        shows(&created.json(), &["id", "userName", "emails"]);
        assert!(created.header("location").is_some() && created.header("etag").is_some());
        let path = format!("/Users/{}", created.id());
        let replaced = scim.put(&format!("{path}?excludedAttributes=emails,meta"), &user);
        let replaced = replaced.status(200).json();
        assert!(replaced.get("emails").is_none() && replaced.get("meta").is_none());
        assert_eq!(replaced["title"], "Analyst");
        let operations = json!([{"op": "replace", "path": "title", "value": "Countess"}]);
        let patched = scim.patch(&format!("{path}?attributes=title"), &operations);
        let patched = patched.status(200).json();
        shows(&patched, &["id", "title"]);
        assert_eq!(patched["title"], "Countess");
        let read = scim.get(&path).status(200).json();
        assert_eq!(
            read["emails"].as_array().map(Vec::len),
            Some(2),
            "all of it was kept"
        );
    }
}

#[test]
fn a_patch_with_attributes_answers_with_a_body() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let user = scim.user(&format!("u{size}"));
        let group = scim.group(&format!("G{size}"), &[&user]);
        let path = format!("/Groups/{group}?attributes=displayName");
        let operations =
            json!([{"op": "replace", "path": "displayName", "value": format!("H{size}")}]);
        let answer = scim.patch(&path, &operations).status(200).json();
        shows(&answer, &["id", "displayName"]);
        assert_eq!(answer["displayName"], format!("H{size}"));
    }
}

#[test]
fn a_patch_of_a_large_group_has_a_body_for_those_who_ask() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let operations: Vec<Value> = (0..101)
            .map(|n| {
                json!({"method": "POST", "path": "/Users", "bulkId": format!("b{n}"),
                    "data": {"schemas": [USER], "userName": format!("u{size}-{n}")}})
            })
            .collect();
        let body = json!({"schemas": [BULK], "Operations": operations});
        let done = scim.post("/Bulk", &body).status(200).json();
        let ids: Vec<&str> = done["Operations"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|result| result["location"].as_str()?.rsplit('/').next())
            .collect();
        assert_eq!(ids.len(), 101);
        let path = format!("/Groups/{}", scim.group(&format!("G{size}"), &ids));
        let rename = |name: &str| json!([{"op": "replace", "path": "displayName", "value": name}]);
        let nothing = scim.patch(&path, &rename(&format!("H{size}"))).status(204);
        assert!(nothing.bytes().is_empty(), "{nothing}");
        let asked = format!("{path}?attributes=displayName");
        let answer = scim.patch(&asked, &rename(&format!("I{size}"))).status(200);
        shows(&answer.json(), &["id", "displayName"]);
        assert_eq!(answer.json()["displayName"], format!("I{size}"));
        // The last that is too many goes.
        let filter = format!("members[value eq \"{}\"]", ids[0]);
        let fewer = scim.patch(&path, &json!([{"op": "remove", "path": filter}]));
        let fewer = fewer.status(200).json();
        assert_eq!(fewer["members"].as_array().map(Vec::len), Some(100));
        let one = json!([{"op": "add", "path": "members", "value": [{"value": ids[0]}]}]);
        let _ = scim.patch(&path, &one).status(204);
    }
}

#[test]
fn members_and_groups_are_projected() {
    let scim = tenant().scim();
    let named = json!({"schemas": [USER], "userName": "ada", "displayName": "ada"});
    let user = scim.post("/Users", &named).status(201).id();
    let group = scim.group("G", &[&user]);
    let path = format!("/Groups/{group}");
    let shown = scim
        .get(&format!("{path}?attributes=members.value"))
        .status(200)
        .json();
    shows(&shown, &["id", "members"]);
    assert_eq!(shown["members"], json!([{"value": user}]));
    let shown = scim
        .get(&format!("{path}?attributes=members"))
        .status(200)
        .json();
    assert_eq!(shown["members"][0]["display"], "ada");
    let shown = scim
        .get(&format!("{path}?excludedAttributes=members.display"))
        .status(200)
        .json();
    assert!(shown["members"][0].get("display").is_none(), "{shown}");
    assert_eq!(shown["members"][0]["value"], user);
    let list = scim
        .get("/Groups?attributes=displayName")
        .status(200)
        .json();
    shows(&resources(&list)[0], &["id", "displayName"]);
    let shown = scim
        .get(&format!("/Users/{user}?attributes=groups.display"))
        .status(200)
        .json();
    shows(&shown, &["id", "groups"]);
    assert_eq!(shown["groups"], json!([{"display": "G"}]));
    let list = scim.get("/Users?attributes=groups").status(200).json();
    assert_eq!(resources(&list)[0]["groups"][0]["value"], group);
    let body = json!({"schemas": [GROUP], "displayName": "H", "members": [{"value": user}]});
    let created = scim
        .post("/Groups?excludedAttributes=members", &body)
        .status(201)
        .json();
    assert!(created.get("members").is_none(), "{created}");
}

#[test]
fn errors_are_never_projected() {
    let scim = tenant().scim();
    let path = format!("/Users/{NOBODY}?attributes=userName");
    let detail = scim.get(&path).scim_error(404, None);
    assert!(!detail.is_empty());
}
