//! RFC 7643 sections 2 to 4, RFC 7644 sections 3.3, 3.4.1 and 3.6: what a
//! resource looks like, how it is made, and how it goes.

use muster_tests::scim::{ENTERPRISE, GROUP, PATCH, USER};
use serde_json::{Value, json};

use super::super::users::{ada, assert_includes};
use super::{both, create, refused, tenant, unassigned};

#[test]
fn what_is_created_is_answered_whole() {
    for scim in both() {
        let reply = scim.post("/Users", &ada()).status(201);
        let user = reply.json();
        assert_includes(&user, &ada());
        let location = format!("{}/Users/{}", scim.base(), reply.id());
        assert_eq!(reply.header("location"), Some(location.as_str()));
        assert_eq!(user["meta"]["location"], location);
        assert_eq!(user["meta"]["resourceType"], "User");
        for time in ["created", "lastModified"] {
            let text = user["meta"][time].as_str().expect("a time");
            assert!(
                text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'),
                "{text}"
            );
        }
        assert!(!reply.id().is_empty() && reply.id() != "bulkId");
        let read = scim.get(&location).status(200);
        assert_eq!(read.json(), user);
        assert_eq!(read.etag(), reply.etag());
        let _ = scim.delete(&location).status(204);
    }
}

#[test]
fn schemas_name_what_is_there() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let plain = json!({"schemas": [USER], "userName": format!("p{size}")});
        let user = scim.post("/Users", &plain).status(201).json();
        assert_eq!(user["schemas"], json!([USER]));
        let both = json!({"schemas": [USER, ENTERPRISE], "userName": format!("e{size}"),
            ENTERPRISE: {"department": "D"}});
        let user = scim.post("/Users", &both).status(201).json();
        let schemas = user["schemas"].as_array().expect("a list");
        assert_eq!(schemas.len(), 2, "{user}");
        assert!(schemas.contains(&json!(USER)) && schemas.contains(&json!(ENTERPRISE)));
        let group = json!({"schemas": [GROUP], "displayName": format!("G{size}")});
        let group = scim.post("/Groups", &group).status(201).json();
        assert_eq!(group["schemas"], json!([GROUP]));
        assert_eq!(group["meta"]["resourceType"], "Group");
    }
}

#[test]
fn what_only_the_server_writes_is_ignored() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"schemas": [USER], "userName": format!("u{size}"), "id": "mine",
            "groups": [{"value": "g"}], "meta": {"resourceType": "Robot", "version": "W/\"9\"",
            "created": "1970-01-01T00:00:00Z", "location": "https://elsewhere.test"}});
        let user = scim.post("/Users", &body).status(201).json();
        assert_ne!(user["id"], "mine");
        assert_eq!(user["meta"]["resourceType"], "User");
        assert!(user["meta"]["created"].as_str() > Some("2020"), "{user}");
        assert!(unassigned(&user, "groups"), "{user}");
    }
}

#[test]
fn null_and_empty_lists_are_no_values() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"schemas": [USER], "userName": format!("u{size}"), "title": null,
            "emails": [], "roles": null, "name": null});
        let reply = scim.post("/Users", &body).status(201);
        let user = reply.json();
        for gone in ["title", "emails", "roles", "name"] {
            assert!(unassigned(&user, gone), "{gone}: {user}");
        }
        let filter = format!(
            "userName eq \"u{size}\" and not (title pr or emails pr or roles pr or name pr)"
        );
        assert_eq!(scim.find("/Users", &filter).total(), 1);
    }
}

#[test]
fn names_of_attributes_know_no_case() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"SCHEMAS": [USER], "USERNAME": format!("u{size}"), "Name": {"GivenName": "G"},
            "EMAILS": [{"VALUE": "a@b.test", "Primary": true}]});
        let user = scim.post("/Users", &body).status(201).json();
        assert_eq!(user["userName"], format!("u{size}"));
        assert_eq!(user["name"], json!({"givenName": "G"}));
        assert_eq!(
            user["emails"],
            json!([{"value": "a@b.test", "primary": true}])
        );
        assert!(user.get("USERNAME").is_none(), "{user}");
    }
}

#[test]
fn names_are_unique_without_case() {
    let scim = tenant().scim();
    create(
        &scim,
        "/Users",
        &json!({"schemas": [USER], "userName": "Ada"}),
    );
    for taken in ["Ada", "ADA", "ada"] {
        let reply = scim.post("/Users", &json!({"schemas": [USER], "userName": taken}));
        refused(&reply, 409, &["uniqueness"]);
    }
    // Another tenant is another world.
    create(
        &tenant().scim(),
        "/Users",
        &json!({"schemas": [USER], "userName": "Ada"}),
    );
}

#[test]
fn names_are_prepared_before_they_are_compared() {
    let scim = tenant().scim();
    for (name, same) in [
        ("\u{c5}se", "A\u{30a}SE"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("\u{ff42}\u{ff4f}\u{ff42}", "Bob"),
    ] {
        create(
            &scim,
            "/Users",
            &json!({"schemas": [USER], "userName": name}),
        );
        let reply = scim.post("/Users", &json!({"schemas": [USER], "userName": same}));
        assert_eq!(reply.code(), 409, "{name:?} and {same:?}: {reply}");
        refused(&reply, 409, &["uniqueness"]);
        assert_eq!(scim.found(&format!("userName eq \"{same}\"")), [name]);
    }
    // Another letter, or another writing, is another name.
    for name in ["\u{430}da", "ada", "ad\u{e1}"] {
        create(
            &scim,
            "/Users",
            &json!({"schemas": [USER], "userName": name}),
        );
    }
}

#[test]
fn at_most_one_value_is_primary() {
    for scim in both() {
        let body = json!({"schemas": [USER], "userName": "two", "emails": [
            {"value": "a@x.test", "primary": true}, {"value": "b@x.test", "primary": true}]});
        refused(&scim.post("/Users", &body), 400, &["invalidValue"]);
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

#[test]
fn values_have_the_type_of_their_attribute() {
    for scim in both() {
        for (name, value) in [
            ("active", json!("perhaps")),
            ("active", json!([true])),
            ("displayName", json!({"a": 1})),
            ("displayName", json!(["a"])),
            ("name", json!("Ada")),
            ("emails", json!(true)),
            ("emails", json!([[]])),
            ("emails", json!([{"value": {"a": 1}}])),
            ("emails", json!([{"value": "a", "primary": "perhaps"}])),
            ("x509Certificates", json!([{"value": "no base64!"}])),
            (ENTERPRISE, json!("text")),
            (ENTERPRISE, json!({"department": {"a": 1}})),
        ] {
            let mut body = json!({"schemas": [USER, ENTERPRISE], "userName": "u"});
            body[name] = value;
            refused(
                &scim.post("/Users", &body),
                400,
                &["invalidValue", "invalidSyntax"],
            );
        }
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

#[test]
fn neither_members_nor_schemas_have_an_order() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let members = [
            format!(r#""schemas":["{USER}","{ENTERPRISE}"]"#),
            format!(r#""{ENTERPRISE}":{{"department":"D","employeeNumber":"7"}}"#),
            r#""name":{"givenName":"G","familyName":"F"}"#.to_owned(),
            r#""title":"T""#.to_owned(),
        ];
        let backwards = [
            r#""title":"T""#.to_owned(),
            r#""name":{"familyName":"F","givenName":"G"}"#.to_owned(),
            format!(r#""{ENTERPRISE}":{{"employeeNumber":"7","department":"D"}}"#),
            format!(r#""schemas":["{ENTERPRISE}","{USER}"]"#),
        ];
        let send = |method: &str, path: &str, body: String| {
            let draft = scim.request(method, path);
            let draft = draft.header("content-type", "application/scim+json");
            draft.body(body).send()
        };
        let [one, other] = [members, backwards].map(|members| {
            let name = format!("u{}", scim.get("/Users").total());
            let body = format!(r#"{{{},"userName":"{name}"}}"#, members.join(","));
            let path = format!("/Users/{}", send("POST", "/Users", body).status(201).id());
            // The value before the path, the path before the operation.
            let body = format!(
                r#"{{"Operations":[{{"value":"N","path":"nickName","op":"add"}}],"schemas":["{PATCH}"]}}"#
            );
            let mut user = send("PATCH", &path, body).status(200).json();
            for own in ["id", "meta", "userName"] {
                user.as_object_mut().expect("an object").remove(own);
            }
            user
        });
        assert_eq!(one, other);
        assert_eq!(one["nickName"], "N");
        assert_eq!(scim.get("/Users").total(), size + 2);
    }
}

#[test]
fn nobody_makes_up_an_external_id() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let user = json!({"schemas": [USER], "userName": format!("u{size}")});
        let group = json!({"schemas": [GROUP], "displayName": format!("G{size}")});
        for (collection, body) in [("/Users", &user), ("/Groups", &group)] {
            let created = scim.post(collection, body).status(201);
            let path = format!("{collection}/{}", created.id());
            let replaced = scim.put(&path, body).status(200);
            let read = scim.get(&path).status(200);
            for reply in [created, replaced, read] {
                assert!(unassigned(&reply.json(), "externalId"), "{reply}");
            }
            assert_eq!(scim.find(collection, "externalId pr").total(), 0);
            // What was sent is what is there, as long as it is sent.
            let mut own = body.clone();
            own["externalId"] = json!("e-1");
            let shown = scim.put(&path, &own).status(200).json();
            assert_eq!(shown["externalId"], "e-1");
            let shown = scim.put(&path, body).status(200).json();
            assert!(unassigned(&shown, "externalId"), "{shown}");
        }
    }
}

#[test]
fn the_same_value_of_two_types_is_two_values() {
    let scim = tenant().scim();
    let body = json!({"schemas": [USER], "userName": "u", "emails": [
        {"value": "a@x.test", "type": "work"}, {"value": "a@x.test", "type": "home"}]});
    let user = scim.post("/Users", &body).status(201).json();
    assert_eq!(user["emails"].as_array().map(Vec::len), Some(2), "{user}");
}

#[test]
fn the_same_value_of_one_type_is_one_value() {
    for scim in both() {
        let emails = json!([
            {"value": "a@x.test", "type": "work"}, {"value": "b@x.test", "type": "work"},
            {"value": "a@x.test", "type": "work", "display": "A", "primary": true}]);
        let body = json!({"schemas": [USER], "userName": "u", "emails": emails});
        let created = scim.post("/Users", &body).status(201);
        let once = json!([
            {"value": "a@x.test", "type": "work", "display": "A", "primary": true},
            {"value": "b@x.test", "type": "work"}]);
        assert_eq!(created.json()["emails"], once);
        let path = format!("/Users/{}", created.id());
        assert_eq!(scim.put(&path, &body).status(200).json()["emails"], once);
        let replace = json!([{"op": "replace", "path": "emails", "value": emails}]);
        let user = scim.patch(&path, &replace).status(200).json();
        assert_eq!(user["emails"], once);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn text_of_every_script_comes_back() {
    for scim in both() {
        for name in [
            "Åse",
            "李小龍",
            "👩‍🚀",
            "a\"b\\c",
            "%_'--;",
            "İ",
            "ß",
            "line\nbreak",
        ] {
            let body = json!({"schemas": [USER], "userName": name, "displayName": name,
                "name": {"formatted": name}});
            let reply = scim.post("/Users", &body).status(201);
            let user = scim
                .get(&format!("/Users/{}", reply.id()))
                .status(200)
                .json();
            assert_eq!(
                (
                    &user["userName"],
                    &user["displayName"],
                    &user["name"]["formatted"]
                ),
                (&json!(name), &json!(name), &json!(name))
            );
            let _ = scim.delete(&format!("/Users/{}", reply.id())).status(204);
        }
    }
}

#[test]
fn what_is_deleted_is_gone_for_everybody() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let id = scim.user(&format!("u{size}"));
        let group = scim.group(&format!("G{size}"), &[&id]);
        let path = format!("/Users/{id}");
        let reply = scim.delete(&path).status(204);
        assert!(reply.bytes().is_empty(), "{reply}");
        for method in ["GET", "HEAD", "DELETE"] {
            let reply = scim.request(method, &path).send().status(404);
            assert_eq!(reply.bytes().is_empty(), method == "HEAD", "{reply}");
        }
        let _ = scim
            .put(&path, &json!({"schemas": [USER], "userName": "x"}))
            .scim_error(404, None);
        let operations = json!([{"op": "add", "path": "title", "value": "T"}]);
        let _ = scim.patch(&path, &operations).scim_error(404, None);
        assert_eq!(scim.find("/Users", &format!("id eq \"{id}\"")).total(), 0);
        assert_eq!(
            scim.find("/Users", &format!("userName eq \"u{size}\""))
                .total(),
            0
        );
        assert!(scim.members(&group).is_empty());
        // The name is free again.
        let again = scim.user(&format!("u{size}"));
        assert_ne!(again, id);
    }
}

#[test]
fn passwords_are_never_returned_or_found() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body =
            json!({"schemas": [USER], "userName": format!("u{size}"), "password": "t1meMa$heen"});
        let reply = scim.post("/Users", &body).status(201);
        assert!(!reply.text().contains("t1meMa"), "{reply}");
        let path = format!("/Users/{}?attributes=password", reply.id());
        assert!(!scim.get(&path).status(200).text().contains("t1meMa"));
        let found = scim.find("/Users", "password eq \"t1meMa$heen\"");
        assert!(found.code() == 400 || found.total() == 0, "{found}");
    }
}

#[test]
fn references_are_whole_uris() {
    let scim = tenant().scim();
    let boss = scim.user("boss");
    let body = json!({"schemas": [USER, ENTERPRISE], "userName": "u", ENTERPRISE: {"manager": {"value": boss}}});
    let id = create(&scim, "/Users", &body);
    let group = scim.group("G", &[&id]);
    let user = scim.get(&format!("/Users/{id}")).status(200).json();
    let manager = &user[ENTERPRISE]["manager"];
    let follow = |reference: &Value| {
        let location = reference.as_str().expect("a reference");
        assert!(location.starts_with("http"), "{location}");
        scim.get(location).status(200).id()
    };
    assert_eq!(follow(&manager["$ref"]), boss);
    assert_eq!(follow(&user["groups"][0]["$ref"]), group);
    let group = scim.get(&format!("/Groups/{group}")).status(200).json();
    assert_eq!(follow(&group["members"][0]["$ref"]), id);
    assert_eq!(
        follow(&group["meta"]["location"]),
        group["id"].as_str().expect("an id")
    );
}
