//! RFC 7644 section 3.5.2: what the operations of a PATCH do.

use muster_tests::scim::{ENTERPRISE, GROUP, Scim, USER};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{both, unassigned};

/// Runs a test for a client of each flavor, with a fresh user that has a value
/// in every kind of attribute.
fn each(test: impl Fn(&Scim, &str)) {
    for scim in both() {
        let id = scim.post("/Users", &ada()).status(201).id();
        let path = format!("/Users/{id}");
        test(&scim, &path);
        let _ = scim.delete(&path).status(204);
    }
}

/// Applies one operation; the user as he is read afterwards.
#[track_caller]
fn apply(scim: &Scim, path: &str, operations: Value) -> Value {
    let reply = scim.patch(path, &operations).status(200);
    let user = scim.get(path).status(200);
    assert_eq!(reply.json(), user.json(), "{operations}");
    assert_eq!(reply.etag(), user.etag(), "{operations}");
    user.json()
}

fn add(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

fn replace(path: &str, value: Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

fn remove(path: &str) -> Value {
    json!([{"op": "remove", "path": path}])
}

const WORK: &str = "emails[type eq \"work\"]";

#[test]
fn add_sets_what_is_not_there() {
    each(|scim, path| {
        let _ = apply(
            scim,
            path,
            json!([{"op": "remove", "path": "title"}, {"op": "remove", "path": "name"}]),
        );
        let user = apply(scim, path, add("title", json!("T")));
        assert_eq!(user["title"], "T");
        let user = apply(scim, path, add("name.givenName", json!("G")));
        assert_eq!(user["name"], json!({"givenName": "G"}));
        let user = apply(scim, path, add("name", json!({"familyName": "F"})));
        assert_eq!(
            user["name"],
            json!({"givenName": "G", "familyName": "F"}),
            "merged"
        );
        let user = apply(
            scim,
            path,
            add("ims", json!([{"value": "a", "type": "xmpp"}])),
        );
        assert_eq!(user["ims"], json!([{"value": "a", "type": "xmpp"}]));
        // A single value need not be a list.
        let user = apply(
            scim,
            path,
            add("ims", json!({"value": "b", "type": "xmpp"})),
        );
        assert_eq!(user["ims"].as_array().map(Vec::len), Some(2), "{user}");
    });
}

#[test]
fn add_replaces_single_values_and_appends_to_lists() {
    each(|scim, path| {
        let user = apply(scim, path, add("title", json!("New")));
        assert_eq!(user["title"], "New");
        let user = apply(scim, path, add("active", json!(false)));
        assert_eq!(user["active"], false);
        let more = json!([{"value": "x@other.test", "type": "other"}, {"value": "y@other.test"}]);
        let user = apply(scim, path, add("emails", more));
        let emails = user["emails"].as_array().expect("a list");
        assert_eq!(emails.len(), 4, "{user}");
        assert_eq!(emails[0]["value"], "ada@work.test");
        let user = apply(
            scim,
            path,
            add(&format!("{WORK}.display"), json!("At work")),
        );
        assert_eq!(user["emails"][0]["display"], "At work");
        assert_eq!(user["emails"][0]["value"], "ada@work.test");
        let user = apply(
            scim,
            path,
            add("addresses[type eq \"work\"].streetAddress", json!("1 Way")),
        );
        assert_eq!(
            user["addresses"][0],
            json!({"type": "work", "locality": "London", "country": "GB", "streetAddress": "1 Way"})
        );
    });
}

#[test]
fn add_without_a_path_merges_its_value() {
    each(|scim, path| {
        let value = json!({
            "title": "T", "name": {"middleName": "King"},
            "emails": [{"value": "third@x.test", "type": "other"}],
            ENTERPRISE: {"costCenter": "7"},
        });
        let user = apply(scim, path, json!([{"op": "add", "value": value}]));
        assert_eq!(user["title"], "T");
        assert_eq!(user["name"]["middleName"], "King");
        assert_eq!(user["name"]["givenName"], "Ada");
        assert_eq!(user["emails"].as_array().map(Vec::len), Some(3), "{user}");
        assert_eq!(user[ENTERPRISE]["costCenter"], "7");
        assert_eq!(user[ENTERPRISE]["employeeNumber"], "1815");
    });
}

#[test]
fn adding_what_is_there_changes_nothing() {
    each(|scim, path| {
        let before = scim.get(path).status(200);
        for operations in [
            add("title", json!("Analyst")),
            add(
                "emails",
                json!([{"value": "ada@home.test", "type": "home"}]),
            ),
            add("roles", json!([{"value": "admin", "primary": true}])),
            add("name", json!({"givenName": "Ada"})),
            add(&format!("{ENTERPRISE}:department"), json!("Engines")),
            json!([{"op": "add", "value": {"nickName": "Countess"}}]),
            add(
                "emails",
                json!([{"value": "ada@home.test", "type": "home"}, {"value": "ada@home.test", "type": "home"}]),
            ),
        ] {
            let user = apply(scim, path, operations.clone());
            assert_eq!(user, before.json(), "{operations}");
        }
        assert_eq!(scim.get(path).etag(), before.etag());
    });
}

#[test]
fn the_schemas_follow_the_extensions() {
    each(|scim, path| {
        let user = apply(scim, path, remove(ENTERPRISE));
        assert!(unassigned(&user, ENTERPRISE), "{user}");
        assert_eq!(user["schemas"], json!([USER]));
        let user = apply(
            scim,
            path,
            add(&format!("{ENTERPRISE}:division"), json!("North")),
        );
        assert_eq!(user[ENTERPRISE], json!({"division": "North"}));
        let schemas = user["schemas"].as_array().expect("a list");
        assert!(schemas.contains(&json!(ENTERPRISE)), "{user}");
        let shouted = format!("{}:DIVISION", ENTERPRISE.to_uppercase());
        let user = apply(scim, path, replace(&shouted, json!("South")));
        assert_eq!(user[ENTERPRISE]["division"], "South");
        let user = apply(scim, path, remove(&format!("{ENTERPRISE}:division")));
        assert!(unassigned(&user, ENTERPRISE), "{user}");
    });
}

#[test]
fn remove_unassigns() {
    each(|scim, path| {
        let user = apply(scim, path, remove("title"));
        assert!(unassigned(&user, "title"), "{user}");
        let user = apply(scim, path, remove("name.formatted"));
        assert_eq!(
            user["name"],
            json!({"givenName": "Ada", "familyName": "Lovelace"})
        );
        let user = apply(scim, path, remove("name"));
        assert!(unassigned(&user, "name"), "{user}");
        let user = apply(scim, path, remove("phoneNumbers"));
        assert!(unassigned(&user, "phoneNumbers"), "{user}");
        let user = apply(scim, path, remove(&format!("{WORK}.primary")));
        assert_eq!(
            user["emails"][0],
            json!({"value": "ada@work.test", "type": "work"})
        );
        let user = apply(scim, path, remove(WORK));
        assert_eq!(
            user["emails"],
            json!([{"value": "ada@home.test", "type": "home"}])
        );
        let user = apply(scim, path, remove("emails[value ew \"@home.test\"]"));
        assert!(unassigned(&user, "emails"), "the last one: {user}");
        // What is not there is gone already.
        let before = scim.get(path).etag();
        let user = apply(scim, path, remove("title"));
        assert!(unassigned(&user, "title"), "{user}");
        assert_eq!(scim.get(path).etag(), before);
    });
}

#[test]
fn replace_sets_exactly_what_it_names() {
    each(|scim, path| {
        let user = apply(scim, path, replace("title", json!("T")));
        assert_eq!(user["title"], "T");
        let user = apply(
            scim,
            path,
            replace("name", json!({"middleName": "King", "givenName": "A"})),
        );
        assert_eq!(
            user["name"],
            json!({"givenName": "A", "familyName": "Lovelace", "middleName": "King", "formatted": "Ada Lovelace"}),
            "sub-attributes that are not named stay"
        );
        let user = apply(scim, path, replace("name.givenName", json!("Augusta")));
        assert_eq!(user["name"]["givenName"], "Augusta");
        let list = json!([{"value": "only@x.test", "type": "other"}]);
        let user = apply(scim, path, replace("emails", list.clone()));
        assert_eq!(user["emails"], list);
        // What is not there is added.
        let user = apply(scim, path, replace("ims", json!([{"value": "i"}])));
        assert_eq!(user["ims"], json!([{"value": "i"}]));
        let user = apply(
            scim,
            path,
            replace(&format!("{ENTERPRISE}:costCenter"), json!("7")),
        );
        assert_eq!(user[ENTERPRISE]["costCenter"], "7");
        let user = apply(
            scim,
            path,
            replace(ENTERPRISE, json!({"department": "Looms"})),
        );
        assert_eq!(user[ENTERPRISE]["department"], "Looms");
    });
}

#[test]
fn replace_without_a_path_replaces_what_its_value_names() {
    each(|scim, path| {
        let value = json!({
            "title": "T", "active": false, "emails": [{"value": "only@x.test"}],
            ENTERPRISE: {"department": "Looms"},
        });
        let user = apply(scim, path, json!([{"op": "replace", "value": value}]));
        assert_eq!(user["title"], "T");
        assert_eq!(user["active"], false);
        assert_eq!(user["emails"], json!([{"value": "only@x.test"}]));
        assert_eq!(user[ENTERPRISE]["department"], "Looms");
        assert_eq!(user["nickName"], "Countess");
        assert_eq!(user["userName"], "ada@example.test");
    });
}

#[test]
fn replace_changes_every_value_that_a_filter_finds() {
    each(|scim, path| {
        let phones = json!([
            {"value": "1", "type": "work", "display": "first"}, {"value": "2", "type": "home"},
            {"value": "3", "type": "work"}, {"value": "4", "type": "mobile"},
        ]);
        let _ = apply(scim, path, replace("phoneNumbers", phones));
        let user = apply(
            scim,
            path,
            replace("phoneNumbers[type eq \"work\"].display", json!("Desk")),
        );
        let display = |user: &Value| -> Vec<Value> {
            let phones = user["phoneNumbers"].as_array().expect("a list");
            phones
                .iter()
                .map(|phone| phone["display"].clone())
                .collect()
        };
        assert_eq!(
            display(&user),
            [json!("Desk"), Value::Null, json!("Desk"), Value::Null]
        );
        let filter = "phoneNumbers[type eq \"mobile\" or value eq \"2\"]";
        let user = apply(
            scim,
            path,
            replace(&format!("{filter}.display"), json!("Away")),
        );
        assert_eq!(display(&user)[1], "Away");
        assert_eq!(display(&user)[3], "Away");
        let filter = "phoneNumbers[not (type eq \"work\") and value ne \"2\"]";
        let user = apply(scim, path, remove(filter));
        assert_eq!(
            user["phoneNumbers"].as_array().map(Vec::len),
            Some(3),
            "{user}"
        );
        let filter = "phoneNumbers[display sw \"aw\" and not (value pr and type eq \"work\")]";
        let user = apply(
            scim,
            path,
            replace(filter, json!({"value": "22", "type": "home"})),
        );
        let phones = user["phoneNumbers"].as_array().expect("a list");
        let home: Vec<&Value> = phones
            .iter()
            .filter(|phone| phone["type"] == "home")
            .collect();
        assert_eq!(home.len(), 1, "{user}");
        assert_eq!(home[0]["value"], "22");
    });
}

#[test]
fn a_new_primary_is_the_only_one() {
    each(|scim, path| {
        let primaries = |user: &Value| -> Vec<String> {
            let emails = user["emails"].as_array().into_iter().flatten();
            let primary = emails.filter(|email| email["primary"] == true);
            primary.map(|email| email["value"].to_string()).collect()
        };
        let user = apply(
            scim,
            path,
            add("emails", json!([{"value": "new@x.test", "primary": true}])),
        );
        assert_eq!(primaries(&user), ["\"new@x.test\""]);
        assert_eq!(user["emails"].as_array().map(Vec::len), Some(3));
        let user = apply(
            scim,
            path,
            replace("emails[type eq \"home\"].primary", json!(true)),
        );
        assert_eq!(primaries(&user), ["\"ada@home.test\""]);
        let user = apply(scim, path, add(&format!("{WORK}.primary"), json!(true)));
        assert_eq!(primaries(&user), ["\"ada@work.test\""]);
        let value = json!({"emails": [{"value": "last@x.test", "primary": true}]});
        let user = apply(scim, path, json!([{"op": "add", "value": value}]));
        assert_eq!(primaries(&user), ["\"last@x.test\""]);
        let user = apply(
            scim,
            path,
            replace("emails[primary eq true].primary", json!(false)),
        );
        assert!(primaries(&user).is_empty(), "{user}");
    });
}

#[test]
fn operations_see_what_earlier_ones_did() {
    each(|scim, path| {
        let user = apply(
            scim,
            path,
            json!([
                {"op": "add", "path": "emails", "value": [{"value": "n@x.test", "type": "other"}]},
                {"op": "replace", "path": "emails[type eq \"other\"].value", "value": "m@x.test"},
                {"op": "remove", "path": "emails[type eq \"work\"]"},
                {"op": "remove", "path": "nickName"},
                {"op": "add", "path": "nickName", "value": "N"},
                {"op": "replace", "path": "title", "value": "first"},
                {"op": "replace", "path": "title", "value": "second"},
            ]),
        );
        assert_eq!(
            user["emails"],
            json!([
                {"value": "ada@home.test", "type": "home"}, {"value": "m@x.test", "type": "other"},
            ])
        );
        assert_eq!(
            (&user["nickName"], &user["title"]),
            (&json!("N"), &json!("second"))
        );
    });
}

#[test]
fn paths_with_their_urn_and_in_any_case_are_the_same_paths() {
    each(|scim, path| {
        let shouted = USER.to_uppercase();
        for (spelled, pointer) in [
            ("TITLE".to_owned(), "/title"),
            (format!("{USER}:title"), "/title"),
            (format!("{shouted}:Title"), "/title"),
            ("NAME.GIVENNAME".to_owned(), "/name/givenName"),
            (format!("{USER}:name.givenName"), "/name/givenName"),
            (
                "Emails[TYPE EQ \"WORK\"].Value".to_owned(),
                "/emails/0/value",
            ),
            (
                format!("{USER}:emails[type eq \"work\"].value"),
                "/emails/0/value",
            ),
            (
                format!("{ENTERPRISE}:Department"),
                &format!("/{}/department", ENTERPRISE.replace('/', "~1")),
            ),
        ] {
            let value = format!("by {spelled}");
            let user = apply(scim, path, replace(&spelled, json!(value)));
            assert_eq!(
                user.pointer(pointer),
                Some(&json!(value)),
                "{spelled}: {user}"
            );
        }
    });
}

#[test]
fn null_unassigns() {
    each(|scim, path| {
        let user = apply(scim, path, replace("title", Value::Null));
        assert!(unassigned(&user, "title"), "{user}");
        let user = apply(scim, path, replace("roles", json!([])));
        assert!(unassigned(&user, "roles"), "{user}");
        let user = apply(
            scim,
            path,
            json!([{"op": "replace", "value": {"nickName": null}}]),
        );
        assert!(unassigned(&user, "nickName"), "{user}");
    });
}

#[test]
fn members_are_added_removed_and_replaced() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let ids: Vec<String> = (0..4).map(|n| scim.user(&format!("u{size}-{n}"))).collect();
        let group = scim.group(&format!("G{size}"), &[&ids[0]]);
        let path = format!("/Groups/{group}");
        let run = |operation: Value| {
            let _ = scim
                .patch(&path, &json!([operation]))
                .status_in(&[200, 204]);
            scim.members(&group)
        };
        let sorted = |picked: &[usize]| {
            let mut picked: Vec<String> = picked.iter().map(|n| ids[*n].clone()).collect();
            picked.sort();
            picked
        };
        let value = |n: usize| json!({"value": ids[n]});
        let all =
            run(json!({"op": "add", "path": "members", "value": [value(1), value(2), value(0)]}));
        assert_eq!(all, sorted(&[0, 1, 2]));
        let path_of = format!("members[value eq \"{}\"]", ids[1]);
        assert_eq!(
            run(json!({"op": "remove", "path": path_of})),
            sorted(&[0, 2])
        );
        let value_less = json!({"op": "add", "value": {"members": [value(3)]}});
        assert_eq!(run(value_less), sorted(&[0, 2, 3]));
        let both_of = format!(
            "members[value eq \"{}\" or value eq \"{}\"]",
            ids[0], ids[3]
        );
        assert_eq!(run(json!({"op": "remove", "path": both_of})), sorted(&[2]));
        let set = json!({"op": "replace", "path": "members", "value": [value(1), value(3)]});
        assert_eq!(run(set), sorted(&[1, 3]));
        let named = json!({"op": "replace", "path": format!("{GROUP}:displayName"), "value": format!("H{size}")});
        assert_eq!(run(named), sorted(&[1, 3]));
        assert_eq!(scim.get(&path).json()["displayName"], format!("H{size}"));
        assert!(run(json!({"op": "remove", "path": "members"})).is_empty());
    }
}

#[test]
fn a_changed_group_is_shown_while_it_is_small() {
    for scim in both() {
        let size = scim.get("/Groups").total();
        let ada = scim.user(&format!("ada-{size}"));
        let path = format!("/Groups/{}", scim.group(&format!("G{size}"), &[&ada]));
        let name = format!("H{size}");
        let renamed = scim.patch(&path, &replace("displayName", json!(name)));
        let renamed = renamed.status(200);
        let read = scim.get(&path);
        assert_eq!(renamed.etag(), read.etag());
        assert_eq!(renamed.json(), read.json());
    }
}

#[test]
fn the_answer_is_the_resource_or_nothing() {
    each(|scim, path| {
        let reply = scim
            .patch(path, &replace("title", json!("T")))
            .status_in(&[200, 204]);
        if reply.code() == 200 {
            assert_eq!(reply.json()["title"], "T");
        } else {
            assert!(reply.bytes().is_empty(), "{reply}");
        }
        let _ = reply.etag();
    });
}
