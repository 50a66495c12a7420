//! Bulk: RFC 7644 section 3.7.

use muster_tests::scim::{ENTERPRISE, GROUP, Reply, Scim, USER};
use serde_json::{Value, json};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

fn send(scim: &Scim, operations: &Value) -> Reply {
    let body = json!({"schemas": [REQUEST], "Operations": operations});
    scim.post("/Bulk", &body)
}

/// The results, each with its status.
#[track_caller]
fn results(reply: Reply) -> (Vec<Value>, Vec<String>) {
    let body = reply.status(200).json();
    assert_eq!(body["schemas"], json!([RESPONSE]));
    let results = body["Operations"].as_array().expect("a list").clone();
    let status = |r: &Value| r["status"].as_str().expect("a string").to_owned();
    let statuses = results.iter().map(status).collect();
    (results, statuses)
}

fn user(bulk_id: &str, more: Value) -> Value {
    let mut data = json!({"schemas": [USER], "userName": bulk_id});
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data})
}

fn group(bulk_id: &str, members: &[&str]) -> Value {
    let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
    let data = json!({"schemas": [GROUP], "displayName": bulk_id, "members": members});
    json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data})
}

#[test]
fn every_operation_is_what_a_request_of_its_own_would_be() {
    let scim = super::tenant().scim();
    let first = send(&scim, &json!([user("a", json!({})), user("b", json!({}))]));
    let (made, statuses) = results(first);
    assert_eq!(statuses, ["201", "201"]);
    let location = |n: usize| made[n]["location"].as_str().expect("a location").to_owned();
    let read = scim.get(&location(0)).status(200);
    assert_eq!(
        (&made[0]["bulkId"], &made[0]["version"]),
        (&json!("a"), &json!(read.etag()))
    );
    let path = |n: usize| location(n).replace(scim.base(), "");
    let patch = json!({"Operations": [{"op": "add", "path": "title", "value": "T"}]});
    let operations = json!([
        {"method": "PATCH", "path": path(0), "version": read.etag(), "data": patch},
        {"method": "PATCH", "path": path(0), "version": read.etag(), "data": patch},
        {"method": "PUT", "path": path(0), "data": {"userName": "c"}},
        {"method": "DELETE", "path": path(1)},
        {"method": "DELETE", "path": path(1)},
        user("c", json!({})),
        {"method": "GET", "path": path(0)},
        {"method": "DELETE", "path": "/Nothing/1"},
    ]);
    let (done, statuses) = results(send(&scim, &operations));
    assert_eq!(
        statuses,
        ["200", "412", "200", "204", "404", "409", "400", "404"]
    );
    for result in &done {
        let failed = result["status"].as_str() >= Some("400");
        assert_eq!(result.get("response").is_some(), failed, "{result}");
    }
    assert_eq!(done[5]["response"]["scimType"], "uniqueness");
    assert_eq!(scim.found("userName pr"), ["c"]);
}

#[test]
fn names_stand_for_what_other_operations_make() {
    let scim = super::tenant().scim();
    let operations = json!([
        group("G", &["bulkId:a", "bulkId:b"]),
        user("a", json!({ENTERPRISE: {"manager": {"value": "bulkId:b"}}})),
        user("b", json!({ENTERPRISE: {"manager": {"value": "bulkId:a"}}})),
        {"method": "PATCH", "path": "/Users/bulkId:a", "data":
            {"Operations": [{"op": "add", "path": "title", "value": "T"}]}},
        group("H", &["bulkId:none"]),
        group("I", &["bulkId:H"]),
    ]);
    let (done, statuses) = results(send(&scim, &operations));
    assert_eq!(statuses, ["201", "201", "201", "200", "409", "409"]);
    let get = |n: usize| {
        scim.get(done[n]["location"].as_str().expect("a location"))
            .json()
    };
    let (group, a, b) = (get(0), get(1), get(2));
    assert_eq!(a[ENTERPRISE]["manager"]["value"], b["id"]);
    assert_eq!(b[ENTERPRISE]["manager"]["value"], a["id"]);
    assert_eq!(a["title"], "T");
    assert_eq!(group["members"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_client_says_how_many_errors_it_takes() {
    let scim = super::tenant().scim();
    let gone = json!({"method": "DELETE", "path": "/Users/none"});
    let operations = json!([gone, user("a", json!({})), gone, user("b", json!({}))]);
    let body = json!({"schemas": [REQUEST], "failOnErrors": 2, "Operations": operations});
    let (_, statuses) = results(scim.post("/Bulk", &body));
    assert_eq!(statuses, ["404", "201", "404"]);
    assert_eq!(scim.found("userName pr"), ["a"]);
}

#[test]
fn bulks_are_bounded() {
    let scim = super::tenant().scim();
    let gone = json!({"method": "DELETE", "path": "/Users/none"});
    let (_, statuses) = results(send(&scim, &json!([gone])));
    assert_eq!(statuses, ["404"]);
    let many = json!(vec![gone; 1_001]);
    let _ = send(&scim, &many).scim_error(413, None);
    let _ = send(&scim, &json!({})).scim_error(400, "invalidSyntax");
}

#[test]
fn many_are_made_at_once() {
    let scim = super::tenant().scim();
    let users: Vec<_> = (0..300)
        .map(|n| user(&format!("u{n}"), json!({})))
        .collect();
    let (_, statuses) = results(send(&scim, &json!(users)));
    assert!(statuses.iter().all(|status| status == "201"));
    assert_eq!(scim.get("/Users?count=0").total(), 300);
}

#[test]
fn a_list_of_very_large_groups_comes_in_more_pages() {
    let scim = super::tenant().scim();
    let mut ids = Vec::new();
    for part in 0..6 {
        let users: Vec<_> = (0..850)
            .map(|n| user(&format!("u{part}-{n}"), json!({})))
            .collect();
        let (made, _) = results(send(&scim, &json!(users)));
        let id = |r: &Value| {
            let location = r["location"].as_str().expect("a location");
            location.rsplit('/').next().expect("an id").to_owned()
        };
        ids.extend(made.iter().map(id));
    }
    let members: Vec<_> = ids.iter().map(String::as_str).collect();
    let groups = json!([group("G", &members), group("H", &members)]);
    let (made, statuses) = results(send(&scim, &groups));
    assert_eq!(statuses, ["201", "201"]);
    let location = made[0]["location"].as_str().expect("a location");
    let whole = scim.get(location).status(200).json();
    assert_eq!(whole["members"].as_array().map(Vec::len), Some(ids.len()));
    let shown = |query: &str| {
        let list = scim.get(&format!("/Groups?{query}")).status(200).json();
        let names = list["Resources"].as_array().expect("a list").iter();
        let names: Vec<_> = names.map(|g| g["displayName"].clone()).collect();
        assert_eq!(list["totalResults"], 2);
        (names, list["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(shown("").0, ["G"], "there is room for one");
    assert_eq!(shown("startIndex=2").0, ["H"]);
    let (first, next) = shown("cursor=");
    let next = next.expect("there is more");
    assert_eq!(first, ["G"]);
    assert_eq!(shown(&format!("cursor={next}")), (vec![json!("H")], None));
    assert_eq!(shown("excludedAttributes=members").0, ["G", "H"]);
}
