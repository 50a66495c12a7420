//! Entity tags and preconditions: RFC 7644 section 3.14, RFC 9110 section 13.

use muster_tests::scim::{ENTERPRISE, PATCH, Reply, Scim, USER};
use serde_json::json;

#[track_caller]
fn retitle(scim: &Scim, path: &str, title: &str, if_match: Option<&str>) -> Reply {
    let body = json!({"schemas": [PATCH],
        "Operations": [{"op": "replace", "path": "title", "value": title}]});
    let mut draft = scim.request("PATCH", path).json(&body);
    if let Some(tags) = if_match {
        draft = draft.header("if-match", tags);
    }
    draft.send()
}

fn one_user() -> (Scim, String, String) {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let reply = scim.post("/Users", &body).status(201);
    let path = format!("/Users/{}", reply.id());
    (scim, path, reply.etag())
}

#[test]
fn every_change_changes_the_tag() {
    let (scim, path, first) = one_user();
    let second = retitle(&scim, &path, "T", None).status(200).etag();
    assert_ne!(first, second);
    assert!(
        second.starts_with("W/\"") && second.ends_with('"'),
        "weak: {second}"
    );
    let read = scim.get(&path);
    assert_eq!(read.etag(), second);
    assert_eq!(read.json()["meta"]["version"], second);
}

#[test]
fn a_write_with_a_stale_tag_changes_nothing() {
    let (scim, path, first) = one_user();
    let second = retitle(&scim, &path, "T", Some(&first)).status(200).etag();
    let _ = retitle(&scim, &path, "U", Some(&first)).scim_error(412, None);
    let put = json!({"schemas": [USER], "userName": "a", "title": "V"});
    let draft = scim.request("PUT", &path).json(&put);
    let _ = draft
        .header("if-match", &first)
        .send()
        .scim_error(412, None);
    let draft = scim.request("DELETE", &path).header("if-match", &first);
    let _ = draft.send().scim_error(412, None);
    let read = scim.get(&path).status(200);
    assert_eq!(
        (read.etag(), read.json()["title"].as_str()),
        (second.clone(), Some("T"))
    );
    let draft = scim.request("DELETE", &path).header("if-match", &second);
    let _ = draft.send().status(204);
}

#[test]
fn any_tag_of_a_list_will_do_and_a_star_means_it_exists() {
    let (scim, path, first) = one_user();
    let _ = retitle(&scim, &path, "A", Some(&format!("\"other\", {first}"))).status(200);
    let _ = retitle(&scim, &path, "B", Some("*")).status(200);
    let nobody = "/Users/0190a5c1-0000-7000-8000-000000000000";
    let _ = retitle(&scim, nobody, "B", Some("*")).status_in(&[404, 412]);
}

#[test]
fn tags_of_other_versions_never_match() {
    let (scim, path, first) = one_user();
    let strong = first.trim_start_matches("W/");
    let bare = strong.trim_matches('"');
    for tags in [
        "\"none\"",
        "W/\"none\"",
        "nonsense",
        bare,
        "\"",
        "\"*\"",
        "",
    ] {
        let _ = retitle(&scim, &path, "A", Some(tags)).scim_error(412, None);
    }
    assert_eq!(scim.get(&path).etag(), first);
    // Weak or strong, it is the same version.
    let _ = retitle(&scim, &path, "A", Some(strong)).status(200);
    let _ = retitle(&scim, &path, "B", Some(&first)).status(412);
}

#[test]
fn a_known_version_is_not_sent_again() {
    let (scim, path, first) = one_user();
    let own = format!("{path}?excludedAttributes=groups");
    let ask = |tag: &str| {
        scim.request("GET", &own)
            .header("if-none-match", tag)
            .send()
    };
    for tag in [
        first.as_str(),
        "*",
        first.trim_start_matches("W/"),
        &format!("\"x\", {first}"),
    ] {
        let reply = ask(tag).status(304);
        assert_eq!(
            (reply.bytes(), reply.etag()),
            (&b""[..], first.clone()),
            "{tag}"
        );
    }
    let _ = ask("\"none\"").status(200);
    let second = retitle(&scim, &path, "T", None).status(200).etag();
    assert_eq!(ask(&first).status(200).etag(), second);
}

#[test]
fn a_read_may_demand_a_version() {
    let (scim, path, first) = one_user();
    let second = retitle(&scim, &path, "T", None).status(200).etag();
    for method in ["GET", "HEAD"] {
        for (tag, status) in [(first.as_str(), 412), (&second, 200), ("*", 200)] {
            let draft = scim.request(method, &path).header("if-match", tag);
            let _ = draft.send().status(status);
        }
    }
}

#[test]
fn a_write_may_refuse_versions() {
    let (scim, path, first) = one_user();
    let send = |method: &str, tag: &str| {
        let body = match method {
            "PUT" => json!({"schemas": [USER], "userName": "a", "title": "new"}),
            _ => json!({"schemas": [PATCH], "Operations":
                [{"op": "replace", "path": "title", "value": "newer"}]}),
        };
        let draft = scim.request(method, &path).json(&body);
        draft.header("if-none-match", tag).send()
    };
    for method in ["PUT", "PATCH", "DELETE"] {
        for tag in [first.as_str(), "*"] {
            let _ = send(method, tag).scim_error(412, None);
        }
    }
    assert_eq!(scim.get(&path).etag(), first);
    let _ = send("PUT", "\"0\"").status(200);
    let _ = send("PATCH", &first).status(200);
    let _ = send("DELETE", &first).status(204);
}

#[test]
fn what_others_say_of_a_user_changes_the_tag() {
    let (scim, path, tag) = one_user();
    let id = scim.get(&path).status(200).id();
    let ask = |path: &str, tag: &str| {
        let draft = scim.request("GET", path);
        draft.header("if-none-match", tag).send()
    };
    let _ = ask(&path, &tag).status(304);
    let group = scim.group("G", &[&id]);
    let user = ask(&path, &tag).status(200);
    assert_ne!(user.etag(), tag, "a membership shows");
    assert_eq!(user.json()["meta"]["version"], user.etag());
    assert_eq!(user.json()["groups"][0]["value"], group);
    let _ = ask(&path, &user.etag()).status(304);
    let listed = scim.get("/Users").status(200).json();
    assert_eq!(listed["Resources"][0]["meta"]["version"], user.etag());
    let own = format!("{path}?excludedAttributes=groups");
    let _ = ask(&own, &tag).status(304);
    // The user himself is what he was.
    let _ = retitle(&scim, &path, "T", Some(&tag)).status(200);

    let manager = scim.user("boss");
    let set = json!([{"op": "add", "path": "manager", "value": manager}]);
    let _ = scim.patch(&path, &set).status(200);
    let tag = scim.get(&own).etag();
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Boss"}]);
    let _ = scim
        .patch(&format!("/Users/{manager}"), &rename)
        .status(200);
    let user = ask(&own, &tag).status(200);
    assert_eq!(user.json()[ENTERPRISE]["manager"]["displayName"], "Boss");
    let _ = ask(&own, &user.etag()).status(304);
    let bare = format!("{path}?excludedAttributes=groups,{ENTERPRISE}:manager");
    let tag = scim.get(&bare).etag();
    let _ = ask(&bare, &tag).status(304);
}

#[test]
fn versions_are_filtered_by_their_number() {
    let (scim, path, first) = one_user();
    let id = scim.get(&path).id();
    scim.group("G", &[&id]);
    let tag = scim.get(&path).etag();
    assert_ne!(tag, first);
    for tag in [tag.as_str(), &first, "\"1\""] {
        let literal = json!(tag);
        assert_eq!(scim.found(&format!("meta.version eq {literal}")), ["a"]);
    }
    let none = scim.found("meta.version eq \"W/\\\"2\\\"\"");
    assert_eq!(none.len(), 0);
}

#[test]
fn groups_have_versions_as_well() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let path = format!("/Groups/{}", scim.group("G", &[]));
    let first = scim.get(&path).status(200).etag();
    let add = json!({"schemas": [PATCH],
        "Operations": [{"op": "add", "path": "members", "value": [{"value": user}]}]});
    let send = |tag: &str| {
        let draft = scim.request("PATCH", &path).json(&add);
        draft.header("if-match", tag).send()
    };
    let _ = send(&first).status(200);
    let bare = format!("{path}?excludedAttributes=members");
    let second = scim.get(&path).etag();
    assert_ne!(first, second, "a new member is a new version");
    let _ = send(&first).scim_error(412, None);
    let ask = |path: &str, tag: &str| {
        let draft = scim.request("GET", path);
        draft.header("if-none-match", tag).send()
    };
    let _ = ask(&path, &second).status(304);
    let own = scim.get(&bare).etag();
    // Members have names of their own.
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Ada"}]);
    let _ = scim.patch(&format!("/Users/{user}"), &rename).status(200);
    let group = ask(&path, &second).status(200);
    assert_eq!(group.json()["members"][0]["display"], "Ada");
    let _ = ask(&path, &group.etag()).status(304);
    let _ = ask(&bare, &own).status(304);
    let _ = send(&second).status(200);
}
