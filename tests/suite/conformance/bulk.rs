//! RFC 7644 section 3.7: many operations in one request.

use muster_tests::scim::{ENTERPRISE, ERROR, GROUP, PATCH, Reply, Scim, USER};
use serde_json::{Value, json};

use super::{BULK, BULK_ANSWER, NOBODY, both, post_large, refused, strict, tenant, unassigned};

fn send(scim: &Scim, operations: &Value) -> Reply {
    scim.post(
        "/Bulk",
        &json!({"schemas": [BULK], "Operations": operations}),
    )
}

/// What became of the operations, in their order.
#[track_caller]
fn run(scim: &Scim, operations: &Value) -> Vec<Value> {
    let reply = send(scim, operations).status(200);
    let body = reply.json();
    assert_eq!(body["schemas"], json!([BULK_ANSWER]), "{reply}");
    body["Operations"].as_array().expect("a list").clone()
}

/// The operation with this bulk id.
#[track_caller]
fn of<'a>(results: &'a [Value], bulk_id: &str) -> &'a Value {
    let found = results.iter().find(|result| result["bulkId"] == bulk_id);
    found.unwrap_or_else(|| panic!("no {bulk_id} in {results:?}"))
}

/// The resource that an operation was about.
#[track_caller]
fn read(scim: &Scim, result: &Value) -> Value {
    let location = result["location"].as_str();
    let location = location.unwrap_or_else(|| panic!("no location: {result}"));
    scim.get(location).status(200).json()
}

fn user(bulk_id: &str, name: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id,
        "data": {"schemas": [USER], "userName": name}})
}

fn group(bulk_id: &str, name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members
        .iter()
        .map(|id| json!({"value": id, "type": "User"}))
        .collect();
    json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id,
        "data": {"schemas": [GROUP], "displayName": name, "members": members}})
}

#[track_caller]
fn assert_failed(result: &Value, status: &str, scim_type: Option<&str>) {
    assert_eq!(result["status"], status, "{result}");
    let response = &result["response"];
    assert_eq!(response["schemas"], json!([ERROR]), "{result}");
    assert_eq!(response["status"], status, "{result}");
    assert_eq!(response["scimType"].as_str(), scim_type, "{result}");
}

#[test]
fn every_method_works_and_says_what_became_of_it() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let name = |letter: &str| format!("{letter}-{size}");
        let (old, gone) = (scim.user(&name("old")), scim.user(&name("gone")));
        let patched = scim.user(&name("patched"));
        let results = run(
            &scim,
            &json!([
                user("new", &name("new")),
                {"method": "PUT", "path": format!("/Users/{old}"),
                    "data": {"schemas": [USER], "userName": name("old"), "title": "Replaced"}},
                {"method": "PATCH", "path": format!("/Users/{patched}"),
                    "data": {"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "Patched"}]}},
                {"method": "DELETE", "path": format!("/Users/{gone}")},
            ]),
        );
        assert_eq!(results.len(), 4, "{results:?}");
        for (result, (method, status)) in results.iter().zip([
            ("POST", "201"),
            ("PUT", "200"),
            ("PATCH", "200"),
            ("DELETE", "204"),
        ]) {
            assert_eq!(result["method"], method, "{result}");
            let fits =
                result["status"] == status || (method == "PATCH" && result["status"] == "204");
            assert!(fits, "{result}");
            let location = result["location"].as_str().expect("a location");
            assert!(
                location.starts_with(&format!("{}/Users/", scim.base())),
                "{result}"
            );
            if method != "DELETE" {
                assert_eq!(
                    read(&scim, result)["meta"]["version"],
                    result["version"],
                    "{result}"
                );
            }
        }
        assert_eq!(results[0]["bulkId"], "new");
        assert_eq!(read(&scim, &results[0])["userName"], name("new"));
        assert_eq!(read(&scim, &results[1])["title"], "Replaced");
        assert_eq!(read(&scim, &results[2])["title"], "Patched");
        let _ = scim.get(&format!("/Users/{gone}")).scim_error(404, None);
    }
}

#[test]
fn references_are_resolved_backward_and_forward() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let name = |letter: &str| format!("{letter}-{size}");
        let results = run(
            &scim,
            &json!([
                group("forward", &name("forward"), &["bulkId:ann", "bulkId:bob"]),
                user("ann", &name("ann")),
                user("bob", &name("bob")),
                group("backward", &name("backward"), &["bulkId:ann"]),
                {"method": "POST", "path": "/Users", "bulkId": "carl", "data": {"schemas": [USER, ENTERPRISE],
                    "userName": name("carl"), ENTERPRISE: {"manager": {"value": "bulkId:ann"}}}},
            ]),
        );
        for result in &results {
            assert_eq!(result["status"], "201", "{result}");
        }
        let ann = read(&scim, of(&results, "ann"))["id"].clone();
        let bob = read(&scim, of(&results, "bob"))["id"].clone();
        let members = |group: &Value| -> Vec<Value> {
            let members = group["members"].as_array().into_iter().flatten();
            members.map(|member| member["value"].clone()).collect()
        };
        let forward = members(&read(&scim, of(&results, "forward")));
        assert!(
            forward.len() == 2 && forward.contains(&ann) && forward.contains(&bob),
            "{forward:?}"
        );
        assert_eq!(
            members(&read(&scim, of(&results, "backward"))),
            std::slice::from_ref(&ann)
        );
        assert_eq!(
            read(&scim, of(&results, "carl"))[ENTERPRISE]["manager"]["value"],
            ann
        );
    }
}

#[test]
fn references_work_in_patches_and_replacements() {
    let scim = tenant().scim();
    let (first, second) = (scim.group("first", &[]), scim.group("second", &[]));
    let results = run(
        &scim,
        &json!([
            {"method": "PATCH", "path": format!("/Groups/{first}"), "data": {"schemas": [PATCH], "Operations": [
                {"op": "add", "path": "members", "value": [{"value": "bulkId:ann"}]}]}},
            {"method": "PUT", "path": format!("/Groups/{second}"),
                "data": {"schemas": [GROUP], "displayName": "second", "members": [{"value": "bulkId:ann"}]}},
            user("ann", "ann"),
        ]),
    );
    let ann = read(&scim, of(&results, "ann"))["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(scim.members(&first), std::slice::from_ref(&ann));
    assert_eq!(scim.members(&second), [ann]);
}

#[test]
fn circles_are_resolved_or_refused_as_conflicts() {
    let scim = tenant().scim();
    let managed = |bulk_id: &str, by: &str| {
        json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [USER, ENTERPRISE],
            "userName": bulk_id, ENTERPRISE: {"manager": {"value": format!("bulkId:{by}")}}}})
    };
    let results = run(
        &scim,
        &json!([managed("a", "b"), managed("b", "c"), managed("c", "a")]),
    );
    for result in &results {
        assert_eq!(result["status"], "201", "{results:?}");
    }
    for (one, other) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let manager = &read(&scim, of(&results, one))[ENTERPRISE]["manager"]["value"];
        assert_eq!(*manager, read(&scim, of(&results, other))["id"], "{one}");
    }
    // Groups that are in each other are no groups of muster.
    let circle = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g",
            "members": [{"value": "bulkId:h", "type": "Group"}]}},
        {"method": "POST", "path": "/Groups", "bulkId": "h", "data": {"schemas": [GROUP], "displayName": "h",
            "members": [{"value": "bulkId:g", "type": "Group"}]}},
    ]);
    let results = run(&scim, &circle);
    assert!(
        results.iter().any(|result| result["status"] == "409"),
        "{results:?}"
    );
    for result in &results {
        let text = result.to_string();
        assert!(
            !text.contains("\"bulkId:"),
            "a reference got through: {result}"
        );
    }
    for result in &results {
        assert_eq!(result["status"], "409", "{result}");
        assert_eq!(result.get("location"), None, "{result}");
    }
    // What failed was not done.
    assert_eq!(scim.get("/Groups").total(), 0);
}

#[test]
fn a_reference_to_nothing_fails_its_operation() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let results = run(
            &scim,
            &json!([
                group("g", &format!("G{size}"), &["bulkId:nobody"]),
                user("ok", &format!("ok-{size}")),
            ]),
        );
        let status = of(&results, "g")["status"].as_str().unwrap_or_default();
        assert!(["400", "409"].contains(&status), "{results:?}");
        assert_eq!(of(&results, "ok")["status"], "201");
        assert_eq!(scim.get("/Groups").total(), 0);
    }
}

/// RFC 7644 section 3.7: "location" is there but for a POST that failed.
#[test]
fn what_fails_says_where_it_would_have_been() {
    let scim = tenant().scim();
    let path = format!("/Users/{}", scim.user("ada"));
    let location = format!("{}{path}", scim.base());
    let nobody = json!({"schemas": [PATCH], "Operations": [
        {"op": "add", "value": {"manager": {"value": "bulkId:nobody"}}}]});
    let results = run(
        &scim,
        &json!([
            {"method": "PATCH", "path": path, "data": nobody},
            {"method": "PUT", "path": path, "data": []},
            {"method": "DELETE", "path": path, "version": 7},
            {"method": "PATCH", "path": "/Users/bulkId:nobody", "data": nobody},
            {"method": "PUT", "path": "/Users", "data": {"userName": "x"}},
        ]),
    );
    for (result, status) in results.iter().zip(["409", "400", "400"]) {
        assert_eq!(result["status"], status, "{result}");
        assert_eq!(result["location"], location, "{result}");
    }
    assert_eq!(results[3].get("location"), None, "{results:?}");
    assert_failed(&results[4], "405", None);
    assert_eq!(scim.get(&path).json()["userName"], "ada");
}

/// RFC 7644 section 3.7: the versions are those of the resources.
#[test]
fn groups_have_the_versions_that_reading_them_shows() {
    let scim = tenant().scim();
    let ids: Vec<_> = (0..102).map(|n| scim.user(&format!("u{n}"))).collect();
    let few: Vec<_> = ids[..3].iter().map(String::as_str).collect();
    let many: Vec<_> = ids.iter().map(String::as_str).collect();
    let results = run(
        &scim,
        &json!([
            group("few", "Few", &few),
            group("many", "Many", &many),
            group("none", "None", &[])
        ]),
    );
    for name in ["few", "none"] {
        let result = of(&results, name);
        assert_eq!(read(&scim, result)["meta"]["version"], result["version"]);
    }
    // A version is told of only when it is known: it tells of members, too.
    let many = of(&results, "many");
    assert_eq!(
        (&many["status"], many.get("version")),
        (&json!("201"), None)
    );
    let group = read(&scim, many);
    assert_eq!(group["members"].as_array().map(Vec::len), Some(102));
}

#[test]
fn what_refers_to_a_failure_fails_too() {
    let scim = tenant().scim();
    scim.user("taken");
    let results = run(
        &scim,
        &json!([user("twin", "TAKEN"), group("g", "G", &["bulkId:twin"]),]),
    );
    assert_failed(of(&results, "twin"), "409", Some("uniqueness"));
    let status = of(&results, "g")["status"].as_str().unwrap_or_default();
    assert!(["400", "409"].contains(&status), "{results:?}");
    assert_eq!(scim.get("/Groups").total(), 0);
}

#[test]
fn failures_are_told_apart_and_the_rest_goes_on() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let taken = format!("taken-{size}");
        let id = scim.user(&taken);
        let results = run(
            &scim,
            &json!([
                user("twin", &taken),
                {"method": "POST", "path": "/Users", "bulkId": "nameless", "data": {"schemas": [USER]}},
                {"method": "PUT", "path": format!("/Users/{NOBODY}"), "data": {"schemas": [USER], "userName": "x"}},
                {"method": "DELETE", "path": format!("/Groups/{NOBODY}")},
                {"method": "PATCH", "path": format!("/Users/{id}"), "data": {"schemas": [PATCH], "Operations": [
                    {"op": "replace", "path": "id", "value": "x"}]}},
                {"method": "POST", "path": "/Devices", "bulkId": "device", "data": {"schemas": [USER], "userName": "x"}},
                user("fine", &format!("fine-{size}")),
            ]),
        );
        assert_eq!(results.len(), 7, "{results:?}");
        assert_failed(&results[0], "409", Some("uniqueness"));
        assert!(
            unassigned(&results[0], "location"),
            "nothing was made: {results:?}"
        );
        assert_eq!(results[0]["bulkId"], "twin");
        assert_failed(&results[1], "400", Some("invalidValue"));
        assert_failed(&results[2], "404", None);
        assert!(results[2]["location"].is_string(), "{results:?}");
        assert_failed(&results[3], "404", None);
        assert_failed(&results[4], "400", Some("mutability"));
        let status = results[5]["status"].as_str().unwrap_or_default();
        assert!(["400", "404"].contains(&status), "{results:?}");
        assert_eq!(results[6]["status"], "201");
    }
}

#[test]
fn so_many_errors_stop_the_rest() {
    for scim in both() {
        let before = scim.get("/Users").total();
        let name = |letter: &str| format!("{letter}-{before}");
        let bad = |bulk_id: &str| json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [USER]}});
        let operations = json!([
            user("a", &name("a")),
            bad("bad-1"),
            user("b", &name("b")),
            bad("bad-2"),
            user("c", &name("c")),
            bad("bad-3"),
        ]);
        let run = |fail_on_errors: u64, operations: &Value| {
            let body = json!({"schemas": [BULK], "failOnErrors": fail_on_errors, "Operations": operations});
            let answer = scim.post("/Bulk", &body).status(200).json();
            answer["Operations"].as_array().expect("a list").clone()
        };
        let results = run(2, &operations);
        let ids: Vec<&str> = results
            .iter()
            .filter_map(|result| result["bulkId"].as_str())
            .collect();
        assert_eq!(ids, ["a", "bad-1", "b", "bad-2"]);
        assert_eq!(
            scim.get("/Users").total(),
            before + 2,
            "what was done stays done"
        );
        let results = run(1, &json!([bad("first"), user("never", &name("never"))]));
        assert_eq!(results.len(), 1, "{results:?}");
        assert_eq!(scim.get("/Users").total(), before + 2);
        let results = run(9, &json!([bad("first"), user("c", &name("c"))]));
        assert_eq!(results.len(), 2, "{results:?}");
    }
}

#[test]
fn versions_guard_single_operations() {
    let scim = tenant().scim();
    let created = scim
        .post("/Users", &json!({"schemas": [USER], "userName": "a"}))
        .status(201);
    let (path, first) = (format!("/Users/{}", created.id()), created.etag());
    let patch = |version: &str, title: &str| {
        json!({"method": "PATCH", "path": path, "version": version, "data": {"schemas": [PATCH],
            "Operations": [{"op": "replace", "path": "title", "value": title}]}})
    };
    let results = run(&scim, &json!([patch(&first, "one"), patch(&first, "two")]));
    assert!(
        results[0]["status"] == "200" || results[0]["status"] == "204",
        "{results:?}"
    );
    assert_failed(&results[1], "412", None);
    let read = scim.get(&path).status(200);
    assert_eq!(read.json()["title"], "one");
    assert_eq!(results[0]["version"], read.etag());
    let results = run(
        &scim,
        &json!([
            {"method": "PUT", "path": path, "version": first, "data": {"schemas": [USER], "userName": "a"}},
            {"method": "DELETE", "path": path, "version": first},
            {"method": "DELETE", "path": path, "version": read.etag()},
        ]),
    );
    assert_failed(&results[0], "412", None);
    assert_failed(&results[1], "412", None);
    assert_eq!(results[2]["status"], "204", "{results:?}");
}

#[test]
fn operations_that_are_none_are_refused() {
    for scim in both() {
        for bad in [
            json!({"path": "/Users", "bulkId": "x", "data": {"schemas": [USER], "userName": "x"}}),
            json!({"method": "GET", "path": "/Users"}),
            json!({"method": "BREW", "path": "/Users", "bulkId": "x", "data": {}}),
            json!({"method": "POST", "bulkId": "x", "data": {"schemas": [USER], "userName": "x"}}),
            json!({"method": "POST", "path": "/Users", "data": {"schemas": [USER], "userName": "x"}}),
            json!({"method": "POST", "path": "/Users", "bulkId": "x"}),
            json!({"method": "POST", "path": "/Users/1", "bulkId": "x", "data": {"schemas": [USER], "userName": "x"}}),
            json!({"method": "DELETE", "path": "/Users"}),
            json!({"method": "POST", "path": "/Bulk", "bulkId": "x", "data": {"schemas": [BULK], "Operations": []}}),
            json!({"method": "PUT", "path": "/ServiceProviderConfig", "data": {}}),
            json!({"method": "DELETE", "path": "/Schemas/urn:x"}),
            json!({"method": "POST", "path": "https://elsewhere.test/Users", "bulkId": "x", "data": {"schemas": [USER], "userName": "x"}}),
            json!(7),
        ] {
            let reply = send(&scim, &json!([bad]));
            if reply.code() == 200 {
                let body = reply.json();
                let status = body["Operations"][0]["status"].as_str().unwrap_or_default();
                assert!(
                    ["400", "404", "405", "501"].contains(&status),
                    "{bad}: {reply}"
                );
            } else {
                refused(
                    &reply,
                    400,
                    &["invalidSyntax", "invalidValue", "invalidPath"],
                );
            }
        }
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

#[test]
fn a_bulk_id_names_one_operation() {
    let scim = tenant().scim();
    let reply = send(&scim, &json!([user("same", "a"), user("same", "b")]));
    if reply.code() == 200 {
        let body = reply.json();
        let failed = |result: &&Value| {
            result["status"]
                .as_str()
                .is_some_and(|s| s.starts_with('4'))
        };
        let results = body["Operations"].as_array().expect("a list");
        assert!(results.iter().filter(failed).count() >= 1, "{reply}");
    } else {
        refused(&reply, 400, &["invalidSyntax", "invalidValue"]);
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

#[test]
fn more_operations_than_announced_are_too_many() {
    let scim = tenant().scim();
    let config = scim.get("/ServiceProviderConfig").status(200).json();
    assert_eq!(
        config["bulk"],
        json!({"supported": true, "maxOperations": 1000, "maxPayloadSize": 16_777_216})
    );
    let operations: Vec<Value> = (0..1001)
        .map(|n| user(&format!("b{n}"), &format!("u{n}")))
        .collect();
    let detail = send(&scim, &json!(operations)).scim_error(413, None);
    assert!(detail.contains("1000"), "names the limit: {detail}");
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn more_bytes_than_announced_are_too_large() {
    let scim = tenant().scim();
    let filler = "x".repeat(16 * 1024 * 1024);
    let body = json!({"schemas": [BULK], "Operations": [user("a", "a")], "filler": filler});
    let reply = post_large(&scim, "/Bulk", &body);
    reply.scim_error(413, None);
    assert!(
        reply.text().contains("16777216"),
        "names the limit: {}",
        reply.text()
    );
    assert_eq!(scim.get("/Users").total(), 0);
    // As much as fits is fine, more than a single resource may be.
    let title = "x".repeat(60_000);
    let operations: Vec<Value> = (0..40)
        .map(|n| {
            let mut one = user(&format!("b{n}"), &format!("u{n}"));
            one["data"]["title"] = json!(title);
            one
        })
        .collect();
    let results = run(&scim, &json!(operations));
    assert!(results.iter().all(|result| result["status"] == "201"));
}

#[test]
fn the_envelope_is_checked() {
    let scim = strict();
    let operations = json!([user("a", "a")]);
    for body in [
        json!({"Operations": operations}),
        json!({"schemas": [USER], "Operations": operations}),
        json!({"schemas": [BULK]}),
        json!({"schemas": [BULK], "Operations": {}}),
        json!({"schemas": [BULK], "Operations": operations, "failOnErrors": "many"}),
        json!({"schemas": [BULK], "Operations": operations, "failOnErrors": -1}),
        json!([]),
    ] {
        let reply = scim.post("/Bulk", &body);
        refused(&reply, 400, &["invalidSyntax", "invalidValue"]);
    }
    assert_eq!(scim.get("/Users").total(), 0);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let reply = scim.request(method, "/Bulk").json(&json!({})).send();
        assert!(
            reply
                .header("allow")
                .is_some_and(|methods| methods.contains("POST")),
            "{method}"
        );
        let _ = reply.scim_error(405, None);
    }
}
