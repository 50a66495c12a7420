//! RFC 7643 sections 2, 6 and 7: attributes of schemas that a tenant has
//! registered are attributes like any other.

use muster_tests::{
    scim::{Scim, USER},
    tenant::Tenant,
};
use serde_json::{Value, json};

use super::{ask, both_of, column, create, list, refused, server, tenant, unassigned};

/// The extension that these tests register.
pub(super) const BADGE: &str = "urn:example:params:scim:schemas:extension:badge:2.0:User";

fn attribute(name: &str, kind: &str, more: &Value) -> Value {
    let mut attribute = json!({"name": name, "type": kind, "description": format!("The {name}."),
        "multiValued": false, "required": false, "mutability": "readWrite", "returned": "default"});
    if kind == "string" || kind == "reference" {
        attribute["caseExact"] = json!(false);
        attribute["uniqueness"] = json!("none");
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        attribute[name] = value.clone();
    }
    attribute
}

/// An attribute of every kind.
pub(super) fn badge() -> Value {
    let none = json!({});
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": BADGE, "name": "Badge", "description": "What is on a badge",
        "attributes": [
            attribute("number", "string", &json!({"caseExact": true, "uniqueness": "server"})),
            attribute("nick", "string", &none),
            attribute("level", "integer", &none),
            attribute("score", "decimal", &none),
            attribute("certified", "boolean", &none),
            attribute("since", "dateTime", &none),
            attribute("photo", "binary", &json!({"caseExact": true})),
            attribute("page", "reference", &json!({"caseExact": true, "referenceTypes": ["external"]})),
            attribute("tags", "string", &json!({"multiValued": true})),
            attribute("codes", "integer", &json!({"multiValued": true})),
            attribute("hired", "string", &json!({"mutability": "immutable"})),
            attribute("serial", "string", &json!({"mutability": "readOnly"})),
            attribute("pin", "string", &json!({"mutability": "writeOnly", "returned": "never"})),
            attribute("notes", "string", &json!({"returned": "request"})),
            attribute("stamp", "string", &json!({"returned": "always"})),
            attribute("office", "complex", &json!({"subAttributes": [
                attribute("building", "string", &none),
                attribute("floor", "integer", &none),
                attribute("open", "boolean", &none),
            ]})),
            attribute("desks", "complex", &json!({"multiValued": true, "subAttributes": [
                attribute("value", "string", &none),
                attribute("type", "string", &json!({"canonicalValues": ["fixed", "shared"]})),
                attribute("primary", "boolean", &none),
            ]})),
        ],
    })
}

/// Registers a schema with the command line.
pub(super) fn put(tenant: &Tenant, resource: &str, schema: &Value) -> muster_tests::cli::Outcome {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), schema.to_string()).expect("a writable file");
    let path = file.path().to_str().expect("UTF-8");
    let arguments = [
        "schema",
        "put",
        "--tenant",
        &tenant.id,
        "--resource",
        resource,
        "--file",
        path,
        "--json",
    ];
    server().admin().run(&arguments)
}

/// A tenant with the extension.
pub(super) fn badged() -> Tenant {
    let tenant = tenant();
    let _ = put(&tenant, "user", &badge()).code(0);
    tenant
}

/// A user with this badge.
fn holder(name: &str, badge: &Value) -> Value {
    json!({"schemas": [USER, BADGE], "userName": name, BADGE: badge})
}

fn full() -> Value {
    json!({"number": "A-1", "nick": "Ace", "level": 3, "score": 2.5, "certified": true,
        "since": "2020-02-03T04:05:06Z", "photo": "aGVsbG8=", "page": "https://p.test/A",
        "tags": ["Red", "blue"], "codes": [7, 11], "hired": "2019", "stamp": "S",
        "office": {"building": "North", "floor": 4, "open": true},
        "desks": [{"value": "d1", "type": "fixed", "primary": true}, {"value": "d2", "type": "shared"}]})
}

#[test]
fn every_kind_of_value_comes_back_as_sent() {
    for scim in both_of(&badged()) {
        let id = create(&scim, "/Users", &holder("u", &full()));
        let path = format!("/Users/{id}");
        let user = scim.get(&path).status(200).json();
        assert_eq!(user[BADGE], full(), "{user}");
        assert!(
            user["schemas"]
                .as_array()
                .is_some_and(|urns| urns.contains(&json!(BADGE)))
        );
        let replaced = scim.put(&path, &user).status(200);
        assert_eq!(replaced.json()[BADGE], full());
        assert_eq!(replaced.json()["meta"], user["meta"]);
        let plain = json!({"schemas": [USER], "userName": "u"});
        let user = scim.put(&path, &plain).status_in(&[200, 400]);
        if user.code() == 200 {
            assert!(
                unassigned(&user.json(), BADGE) || user.json()[BADGE]["hired"] == "2019",
                "{user}"
            );
        }
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn values_of_another_type_are_refused() {
    for scim in both_of(&badged()) {
        for (name, value) in [
            ("nick", json!({"a": 1})),
            ("level", json!("three")),
            ("level", json!(2.5)),
            ("level", json!([1])),
            ("score", json!("much")),
            ("certified", json!("perhaps")),
            ("since", json!("yesterday")),
            ("since", json!("2020-02-30T00:00:00Z")),
            ("photo", json!("not base64!")),
            ("page", json!({"a": 1})),
            ("tags", json!([{"value": "x"}])),
            ("tags", json!([["x"]])),
            ("codes", json!([1, "two"])),
            ("office", json!("North")),
            ("office", json!({"floor": "high"})),
            ("desks", json!(true)),
            (
                "desks",
                json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}]),
            ),
        ] {
            let reply = scim.post("/Users", &holder("u", &json!({name: value})));
            assert_eq!(reply.code(), 400, "{name} = {value}: {reply}");
            refused(&reply, 400, &["invalidValue", "invalidSyntax"]);
        }
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

fn people() -> Scim {
    let scim = badged().scim();
    create(&scim, "/Users", &holder("ace", &full()));
    create(
        &scim,
        "/Users",
        &holder(
            "bea",
            &json!({"number": "a-1", "nick": "bea", "level": 20, "score": -1.5,
        "certified": false, "since": "2021-01-01T00:00:00+01:00", "tags": ["green"], "codes": [7],
        "office": {"building": "south", "floor": 12}, "desks": [{"value": "d2", "type": "fixed"}]}),
        ),
    );
    create(
        &scim,
        "/Users",
        &holder(
            "cal",
            &json!({"level": 100, "score": 10, "office": {"floor": -1}}),
        ),
    );
    scim.user("dan");
    scim
}

#[track_caller]
fn check(scim: &Scim, filter: &str, expected: &[&str]) {
    let filter = filter.replace("b:", &format!("{BADGE}:"));
    assert_eq!(scim.found(&filter), expected, "{filter}");
}

#[test]
fn filters_know_the_types() {
    let scim = people();
    for (filter, expected) in [
        ("b:number eq \"A-1\"", &["ace"][..]),
        ("b:number eq \"a-1\"", &["bea"]),
        ("b:nick eq \"ACE\"", &["ace"]),
        ("b:nick sw \"B\"", &["bea"]),
        ("b:level eq 3", &["ace"]),
        // As numbers, not as text.
        ("b:level gt 3", &["bea", "cal"]),
        ("b:level ge 20", &["bea", "cal"]),
        ("b:level lt 100", &["ace", "bea"]),
        ("b:level le 3", &["ace"]),
        ("b:level gt 2.5", &["ace", "bea", "cal"]),
        ("b:level eq 3.0", &["ace"]),
        ("b:level eq 3.5", &[]),
        ("b:score gt 2.4", &["ace", "cal"]),
        ("b:score lt 0", &["bea"]),
        ("b:score eq 10", &["cal"]),
        ("b:score eq 10.0", &["cal"]),
        ("b:certified eq true", &["ace"]),
        ("b:certified eq false", &["bea"]),
        ("b:since lt \"2020-06-01T00:00:00Z\"", &["ace"]),
        ("b:since eq \"2020-12-31T23:00:00Z\"", &["bea"]),
        ("b:photo eq \"aGVsbG8=\"", &["ace"]),
        ("b:page eq \"https://p.test/A\"", &["ace"]),
        ("b:page eq \"https://p.test/a\"", &[]),
        ("b:tags eq \"red\"", &["ace"]),
        ("b:tags co \"e\"", &["ace", "bea"]),
        ("b:tags pr", &["ace", "bea"]),
        ("b:tags[value eq \"RED\"]", &["ace"]),
        ("b:tags[value sw \"b\" or value ew \"n\"]", &["ace", "bea"]),
        ("b:codes[value gt 7]", &["ace"]),
        ("b:office eq null", &["dan"]),
        ("b:desks ne null", &["ace", "bea"]),
        ("b:codes eq 7", &["ace", "bea"]),
        ("b:codes gt 7", &["ace"]),
        ("b:office.building eq \"SOUTH\"", &["bea"]),
        ("b:office.floor gt 4", &["bea"]),
        ("b:office.floor lt 0", &["cal"]),
        ("b:office pr", &["ace", "bea", "cal"]),
        ("b:desks[value eq \"d2\" and type eq \"fixed\"]", &["bea"]),
        ("b:desks[primary eq true]", &["ace"]),
        ("b:desks.value eq \"d2\"", &["ace", "bea"]),
        ("not (b:level pr)", &["dan"]),
        (
            "b:level gt 3 and b:score gt 0 or userName eq \"dan\"",
            &["cal", "dan"],
        ),
    ] {
        check(&scim, filter, expected);
    }
    let urn = BADGE.to_uppercase();
    check(&scim, &format!("{urn}:LEVEL eq 3"), &["ace"]);
    let filter = format!("schemas eq \"{BADGE}\"");
    assert_eq!(scim.found(&filter), ["ace", "bea", "cal"]);
}

#[test]
fn filters_that_do_not_fit_the_type_are_invalid() {
    let scim = people();
    for bad in [
        "level eq \"three\"",
        "certified gt true",
        "photo gt \"a\"",
        "photo co \"a\"",
        "since gt \"soon\"",
        "number.value eq \"x\"",
        "shoeSize pr",
        "office.shoeSize pr",
    ] {
        refused(
            &scim.find("/Users", &format!("{BADGE}:{bad}")),
            400,
            &["invalidFilter"],
        );
    }
}

#[test]
fn what_is_never_shown_is_neither_found_nor_sorted_by() {
    for scim in both_of(&badged()) {
        let body = holder("u", &json!({"pin": "1234", "nick": "N"}));
        let id = create(&scim, "/Users", &body);
        for hidden in ["pin eq \"1234\"", "pin ne \"1\"", "pin sw \"1\"", "pin pr"] {
            for filter in [
                format!("{BADGE}:{hidden}"),
                format!("not ({BADGE}:{hidden})"),
                format!("userName eq \"u\" and {BADGE}:{hidden}"),
            ] {
                refused(&scim.find("/Users", &filter), 400, &["invalidFilter"]);
            }
        }
        for order in ["ascending", "descending"] {
            let sort_by = format!("{BADGE}:pin");
            let parameters = [("sortBy", sort_by.as_str()), ("sortOrder", order)];
            refused(&ask(&scim, "/Users", &parameters), 400, &["invalidPath"]);
        }
        let _ = scim.delete(&format!("/Users/{id}")).status(204);
    }
}

#[test]
fn orders_know_the_types() {
    let scim = people();
    for (attribute, expected) in [
        ("level", &["ace", "bea", "cal", "dan"][..]),
        ("score", &["bea", "ace", "cal", "dan"]),
        ("since", &["ace", "bea", "cal", "dan"]),
        ("nick", &["ace", "bea", "cal", "dan"]),
        ("number", &["ace", "bea", "cal", "dan"]),
        ("certified", &["bea", "ace", "cal", "dan"]),
        ("office.floor", &["cal", "ace", "bea", "dan"]),
        ("desks.value", &["ace", "bea", "cal", "dan"]),
        ("tags", &["bea", "ace", "cal", "dan"]),
    ] {
        let sort_by = format!("{BADGE}:{attribute}");
        let found = column(&list(&scim, "/Users", &[("sortBy", &sort_by)]), "userName");
        assert_eq!(found, expected, "{attribute}");
    }
    let sort_by = format!("{BADGE}:level");
    let parameters = [("sortBy", sort_by.as_str()), ("sortOrder", "descending")];
    let found = column(&list(&scim, "/Users", &parameters), "userName");
    assert_eq!(found, ["dan", "cal", "bea", "ace"]);
}

#[test]
fn patches_reach_them() {
    for scim in both_of(&badged()) {
        let path = format!("/Users/{}", create(&scim, "/Users", &holder("u", &full())));
        let apply = |operation: Value| {
            let user = scim.patch(&path, &json!([operation])).status(200).json();
            assert_eq!(scim.get(&path).json(), user);
            user[BADGE].clone()
        };
        let of = |attribute: &str| format!("{BADGE}:{attribute}");
        assert_eq!(
            apply(json!({"op": "replace", "path": of("level"), "value": 4}))["level"],
            4
        );
        assert_eq!(
            apply(json!({"op": "replace", "path": of("score"), "value": 0.25}))["score"],
            0.25
        );
        let badge = apply(json!({"op": "add", "path": of("tags"), "value": ["green", "Red"]}));
        assert_eq!(badge["tags"], json!(["Red", "blue", "green"]));
        let badge = apply(json!({"op": "replace", "path": of("office.floor"), "value": 5}));
        assert_eq!(
            badge["office"],
            json!({"building": "North", "floor": 5, "open": true})
        );
        let badge = apply(
            json!({"op": "replace", "path": of("desks[type eq \"shared\"].value"), "value": "d9"}),
        );
        assert_eq!(badge["desks"][1]["value"], "d9");
        let badge = apply(
            json!({"op": "add", "path": of("desks"), "value": [{"value": "d3", "primary": true}]}),
        );
        assert_eq!(badge["desks"][2]["primary"], true);
        assert_ne!(badge["desks"][0]["primary"], true, "one primary: {badge}");
        let badge = apply(json!({"op": "remove", "path": of("desks[value eq \"d1\"]")}));
        assert_eq!(badge["desks"].as_array().map(Vec::len), Some(2));
        let badge = apply(json!({"op": "remove", "path": of("office")}));
        assert!(unassigned(&badge, "office"), "{badge}");
        let badge = apply(json!({"op": "replace", "value": {BADGE: {"nick": "New"}}}));
        assert_eq!(
            (&badge["nick"], &badge["level"]),
            (&json!("New"), &json!(4))
        );
        let badge = apply(json!({"op": "replace", "path": of("tags"), "value": ["only"]}));
        assert_eq!(badge["tags"], json!(["only"]));
        for (bad, value, words) in [
            ("level", json!("high"), &["invalidValue"][..]),
            ("tags", json!([{"a": 1}]), &["invalidValue"]),
            ("since", json!("soon"), &["invalidValue"]),
            ("shoeSize", json!(9), &["invalidPath", "noTarget"]),
            ("office.shoeSize", json!(9), &["invalidPath", "noTarget"]),
            ("serial", json!("mine"), &["mutability"]),
            ("hired", json!("2021"), &["mutability"]),
        ] {
            let operation = json!([{"op": "replace", "path": of(bad), "value": value}]);
            refused(&scim.patch(&path, &operation), 400, words);
        }
        let _ = scim.delete(&path).status(204);
    }
}

/// What a decimal of 64 bits cannot tell from its neighbour is not kept as it.
#[test]
fn whole_numbers_stay_what_they_are() {
    let scim = badged().scim();
    for (score, status) in [
        ("9007199254740992", 201),
        ("9007199254740993", 400),
        ("-9007199254740993", 400),
        ("9007199254740994", 201),
        ("0.1", 201),
    ] {
        let body = format!(
            r#"{{"schemas":["{USER}","{BADGE}"],"userName":"u{score}","{BADGE}":{{"score":{score}}}}}"#
        );
        let reply = scim
            .request("POST", "/Users")
            .header("content-type", "application/scim+json")
            .body(body.into_bytes());
        let _ = reply.send().status(status);
    }
}

#[test]
fn one_value_is_added_to_a_list_without_being_one() {
    for scim in both_of(&badged()) {
        let path = format!("/Users/{}", create(&scim, "/Users", &holder("u", &full())));
        let of = format!("{BADGE}:codes");
        for value in [json!(13), json!([17])] {
            let add = json!([{"op": "add", "path": of, "value": value}]);
            let _ = scim.patch(&path, &add).status(200);
        }
        let codes = scim.get(&path).json()[BADGE]["codes"].clone();
        assert_eq!(codes, json!([7, 11, 13, 17]));
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn what_is_returned_on_request_is_returned_to_who_wrote_it() {
    for scim in both_of(&badged()) {
        let body = holder("u", &json!({"notes": "n", "stamp": "S", "nick": "N"}));
        let created = scim.post("/Users", &body).status(201);
        let whole = json!({"stamp": "S", "nick": "N", "notes": "n"});
        assert_eq!(created.json()[BADGE], whole);
        let path = format!("/Users/{}", created.id());
        assert_eq!(scim.put(&path, &body).status(200).json()[BADGE], whole);
        let patch = json!([{"op": "replace", "path": format!("{BADGE}:notes"), "value": "m"}]);
        assert_eq!(
            scim.patch(&path, &patch).status(200).json()[BADGE]["notes"],
            "m"
        );
        let patch = json!([{"op": "replace", "path": "title", "value": "T"}]);
        let patched = scim.patch(&path, &patch).status(200).json();
        assert!(unassigned(&patched[BADGE], "notes"), "{patched}");
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn read_only_is_ignored_and_immutable_stays() {
    for scim in both_of(&badged()) {
        let body = holder(
            "u",
            &json!({"serial": "mine", "hired": "2019", "nick": "N"}),
        );
        let path = format!("/Users/{}", create(&scim, "/Users", &body));
        let badge = scim.get(&path).status(200).json()[BADGE].clone();
        assert!(unassigned(&badge, "serial"), "{badge}");
        assert_eq!(badge["hired"], "2019");
        let other = holder("u", &json!({"hired": "2021", "nick": "N"}));
        refused(&scim.put(&path, &other), 400, &["mutability"]);
        // Who leaves it out sends another value, too.
        for other in [
            holder("u", &json!({"nick": "N"})),
            holder("u", &json!({"hired": null, "nick": "N"})),
            json!({"schemas": [USER], "userName": "u"}),
        ] {
            refused(&scim.put(&path, &other), 400, &["mutability"]);
        }
        let same = holder("u", &json!({"serial": "x", "hired": "2019", "nick": "M"}));
        let badge = scim.put(&path, &same).status(200).json()[BADGE].clone();
        assert_eq!(badge, json!({"hired": "2019", "nick": "M"}));
        let remove = json!([{"op": "remove", "path": format!("{BADGE}:hired")}]);
        refused(&scim.patch(&path, &remove), 400, &["mutability"]);
        let again = json!([{"op": "add", "path": format!("{BADGE}:hired"), "value": "2019"}]);
        let _ = scim.patch(&path, &again).status(200);
        // What has no value yet may get one.
        let late = format!(
            "/Users/{}",
            create(&scim, "/Users", &holder("late", &json!({"nick": "L"})))
        );
        let set = json!([{"op": "add", "path": format!("{BADGE}:hired"), "value": "2020"}]);
        assert_eq!(
            scim.patch(&late, &set).status(200).json()[BADGE]["hired"],
            "2020"
        );
        let _ = scim.delete(&path).status(204);
        let _ = scim.delete(&late).status(204);
    }
}

#[test]
fn what_is_returned_is_what_the_schema_says() {
    for scim in both_of(&badged()) {
        let body = holder(
            "u",
            &json!({"pin": "1234", "notes": "n", "stamp": "S", "nick": "N"}),
        );
        let created = scim.post("/Users", &body).status(201);
        let path = format!("/Users/{}", created.id());
        let shown = |query: &str| scim.get(&format!("{path}{query}")).status(200).json();
        assert_eq!(shown("")[BADGE], json!({"stamp": "S", "nick": "N"}));
        assert!(!created.text().contains("1234"), "never: {created}");
        let user = shown(&format!("?attributes={BADGE}:notes"));
        assert_eq!(user[BADGE]["notes"], "n", "{user}");
        assert_eq!(user[BADGE]["stamp"], "S", "always: {user}");
        let user = shown("?attributes=userName");
        assert_eq!(user[BADGE], json!({"stamp": "S"}), "{user}");
        let user = shown(&format!("?excludedAttributes={BADGE}:stamp,{BADGE}:nick"));
        assert_eq!(user[BADGE], json!({"stamp": "S"}), "{user}");
        for query in [
            &format!("?attributes={BADGE}:pin"),
            &format!("?attributes={BADGE}"),
            "?attributes=userName",
        ] {
            assert!(!shown(query).to_string().contains("1234"), "never: {query}");
        }
        let list = scim.get("/Users").status(200);
        assert!(
            !list.text().contains("1234") && !list.text().contains("\"notes\""),
            "{list}"
        );
        let patch = json!([{"op": "replace", "path": format!("{BADGE}:pin"), "value": "5678"}]);
        let patched = scim.patch(&path, &patch).status(200);
        assert!(!patched.text().contains("5678"), "{patched}");
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn what_the_schema_makes_unique_is_unique() {
    let tenant = badged();
    let scim = tenant.scim();
    create(&scim, "/Users", &holder("a", &json!({"number": "N-1"})));
    let b = format!(
        "/Users/{}",
        create(&scim, "/Users", &holder("b", &json!({"number": "n-1"})))
    );
    refused(
        &scim.post("/Users", &holder("c", &json!({"number": "N-1"}))),
        409,
        &["uniqueness"],
    );
    refused(
        &scim.put(&b, &holder("b", &json!({"number": "N-1"}))),
        409,
        &["uniqueness"],
    );
    let set = json!([{"op": "replace", "path": format!("{BADGE}:number"), "value": "N-1"}]);
    refused(&scim.patch(&b, &set), 409, &["uniqueness"]);
    assert_eq!(scim.get(&b).json()[BADGE]["number"], "n-1");
    let found = scim.find("/Users", "userName eq \"a\"").json();
    let id = found["Resources"][0]["id"].as_str().expect("an id");
    let _ = scim.delete(&format!("/Users/{id}")).status(204);
    let _ = scim.patch(&b, &set).status(200);
}
