//! RFC 7644 section 3.5.1: replacing.

use muster_tests::scim::{ENTERPRISE, GROUP, USER};
use serde_json::{Value, json};

use super::super::users::{ada, assert_includes};
use super::{NOBODY, both, keyword, refused, tenant, unassigned};

#[test]
fn what_is_not_sent_is_cleared() {
    for scim in both() {
        let id = scim.post("/Users", &ada()).status(201).id();
        let path = format!("/Users/{id}");
        let body = json!({"schemas": [USER], "userName": "ada@example.test", "displayName": "A",
            "emails": [{"value": "new@work.test", "type": "work"}]});
        let reply = scim.put(&path, &body).status(200);
        let user = reply.json();
        assert_eq!(user["id"], id);
        assert_includes(&user, &body);
        for gone in [
            "name",
            "nickName",
            "title",
            "phoneNumbers",
            "roles",
            ENTERPRISE,
        ] {
            assert!(unassigned(&user, gone), "{gone}: {user}");
        }
        assert_eq!(user["schemas"], json!([USER]));
        assert_eq!(scim.get(&path).status(200).json(), user);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn null_and_the_empty_list_are_not_sent() {
    for scim in both() {
        let id = scim.post("/Users", &ada()).status(201).id();
        let path = format!("/Users/{id}");
        let body = json!({"schemas": [USER], "userName": "ada@example.test", "title": null,
            "emails": [], "name": null, "roles": null});
        let user = scim.put(&path, &body).status(200).json();
        for gone in ["title", "emails", "name", "roles"] {
            assert!(unassigned(&user, gone), "{gone}: {user}");
        }
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn what_the_server_writes_is_ignored() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let name = format!("u{size}");
        let id = scim.user(&name);
        let group = scim.group(&format!("G{size}"), &[&id]);
        let path = format!("/Users/{id}");
        let before = scim.get(&path).status(200).json();
        let body = json!({"schemas": [USER], "userName": name, "title": "T", "id": id,
            "groups": [], "meta": {"resourceType": "Robot", "created": "1970-01-01T00:00:00Z",
            "location": "https://elsewhere.test", "version": "W/\"99\""}});
        let user = scim.put(&path, &body).status(200).json();
        assert_eq!(user["title"], "T");
        assert_eq!(user["groups"][0]["value"], group, "{user}");
        for kept in ["resourceType", "created", "location"] {
            assert_eq!(user["meta"][kept], before["meta"][kept], "{kept}");
        }
    }
}

#[test]
fn what_was_read_can_be_written_back() {
    for scim in both() {
        let id = scim.post("/Users", &ada()).status(201).id();
        let path = format!("/Users/{id}");
        let read = scim.get(&path).status(200);
        let replaced = scim.put(&path, &read.json()).status(200);
        assert_eq!(replaced.json(), read.json());
        let mut changed = read.json();
        changed["title"] = json!("Countess");
        changed[ENTERPRISE]["department"] = json!("Looms");
        let replaced = scim.put(&path, &changed).status(200).json();
        assert_eq!(replaced["title"], "Countess");
        assert_eq!(replaced[ENTERPRISE]["department"], "Looms");
        assert_eq!(replaced[ENTERPRISE]["employeeNumber"], "1815");
        assert_eq!(replaced["emails"], read.json()["emails"]);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn a_replacement_creates_nothing() {
    for scim in both() {
        let body = json!({"schemas": [USER], "userName": "new"});
        let _ = scim
            .put(&format!("/Users/{NOBODY}"), &body)
            .scim_error(404, None);
        let body = json!({"schemas": [GROUP], "displayName": "new"});
        let _ = scim
            .put(&format!("/Groups/{NOBODY}"), &body)
            .scim_error(404, None);
        assert_eq!(scim.get("/Users").total() + scim.get("/Groups").total(), 0);
    }
}

#[test]
fn what_is_required_must_be_there() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let path = format!("/Users/{}", scim.user(&format!("u{size}")));
        let before = scim.get(&path).status(200).json();
        for body in [
            json!({"schemas": [USER], "title": "T"}),
            json!({"schemas": [USER], "userName": null, "title": "T"}),
            json!({"schemas": [USER], "userName": "", "title": "T"}),
        ] {
            refused(&scim.put(&path, &body), 400, &["invalidValue"]);
        }
        assert_eq!(scim.get(&path).status(200).json(), before);
        let path = format!("/Groups/{}", scim.group(&format!("G{size}"), &[]));
        refused(
            &scim.put(&path, &json!({"schemas": [GROUP]})),
            400,
            &["invalidValue"],
        );
    }
}

#[test]
fn a_taken_name_stays_with_its_owner() {
    let scim = tenant().scim();
    scim.user("owner");
    let path = format!("/Users/{}", scim.user("other"));
    let body = json!({"schemas": [USER], "userName": "OWNER", "title": "T"});
    refused(&scim.put(&path, &body), 409, &["uniqueness"]);
    let user = scim.get(&path).status(200).json();
    assert_eq!(user["userName"], "other");
    assert!(unassigned(&user, "title"), "{user}");
    // His own in other letters is no conflict.
    let body = json!({"schemas": [USER], "userName": "Other"});
    assert_eq!(
        scim.put(&path, &body).status(200).json()["userName"],
        "Other"
    );
}

#[test]
fn an_id_of_another_is_not_taken_over() {
    let scim = tenant().scim();
    let (a, b) = (scim.user("a"), scim.user("b"));
    let body = json!({"schemas": [USER], "id": b, "userName": "a", "title": "T"});
    let reply = scim.put(&format!("/Users/{a}"), &body);
    if reply.code() == 200 {
        assert_eq!(reply.id(), a);
    } else {
        let word = keyword(&reply);
        assert!(
            matches!(word.as_deref(), Some("mutability" | "invalidValue")),
            "{reply}"
        );
    }
    let other = scim.get(&format!("/Users/{b}")).status(200).json();
    assert_eq!(other["userName"], "b");
    assert!(unassigned(&other, "title"), "{other}");
}

#[test]
fn members_are_replaced_by_those_that_are_sent() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let ids: Vec<String> = (0..4).map(|n| scim.user(&format!("u{size}-{n}"))).collect();
        let group = scim.group(&format!("G{size}"), &[&ids[0], &ids[1]]);
        let path = format!("/Groups/{group}");
        let member = |id: &String| json!({"value": id});
        let mut body = json!({"schemas": [GROUP], "displayName": format!("G{size}"),
            "members": [member(&ids[1]), member(&ids[2]), member(&ids[3])]});
        let replaced = scim.put(&path, &body).status(200).json();
        assert_eq!(
            replaced["members"].as_array().map(Vec::len),
            Some(3),
            "{replaced}"
        );
        let mut expected = ids[1..].to_vec();
        expected.sort();
        assert_eq!(scim.members(&group), expected);
        let tag = scim.get(&path).status(200).etag();
        let _ = scim.put(&path, &body).status(200);
        assert_eq!(scim.get(&path).etag(), tag, "the same again is nothing new");
        body["members"] = Value::Null;
        let replaced = scim.put(&path, &body).status(200).json();
        assert!(unassigned(&replaced, "members"), "{replaced}");
        assert!(scim.members(&group).is_empty());
    }
}

#[test]
fn without_an_id_there_is_nothing_to_replace() {
    let scim = tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let _ = scim.put("/Users", &body).scim_error(405, None);
    let _ = scim.put("/Groups", &body).scim_error(405, None);
    assert_eq!(scim.get("/Users").total(), 0);
}
