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
        second.starts_with('"') && second.ends_with('"'),
        "strong: {second}"
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
    let bare = first.trim_matches('"');
    for tags in ["\"none\"", "W/\"none\"", "nonsense", bare, "\"", "\"*\""] {
        let _ = retitle(&scim, &path, "A", Some(tags)).status_in(&[400, 412]);
    }
    assert_eq!(scim.get(&path).etag(), first);
    // A proxy that compresses may have weakened the tag on its way.
    let weak = format!("W/{first}");
    let _ = retitle(&scim, &path, "A", Some(&weak)).status(200);
    let _ = retitle(&scim, &path, "B", Some(&weak)).status(412);
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
        &format!("W/{first}"),
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
fn what_others_say_of_a_user_is_sent_again() {
    let (scim, path, tag) = one_user();
    let id = scim.get(&path).status(200).id();
    let ask = |path: &str, tag: &str| {
        let draft = scim.request("GET", path);
        draft.header("if-none-match", tag).send()
    };
    let group = scim.group("G", &[&id]);
    let user = ask(&path, &tag).status(200);
    assert_eq!(user.etag(), tag, "a membership is no change of the user");
    assert_eq!(user.json()["groups"][0]["value"], group);

    let manager = scim.user("boss");
    let set = json!([{"op": "add", "path": "manager", "value": manager}]);
    let tag = scim.patch(&path, &set).status(200).etag();
    let managed = format!("{path}?excludedAttributes=groups");
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Boss"}]);
    let _ = scim
        .patch(&format!("/Users/{manager}"), &rename)
        .status(200);
    let user = ask(&managed, &tag).status(200).json();
    assert_eq!(user[ENTERPRISE]["manager"]["displayName"], "Boss");
    let bare = format!("{path}?excludedAttributes=groups,{ENTERPRISE}:manager");
    let _ = ask(&bare, &tag).status(304);
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
    let _ = send(&first).status(204);
    let second = scim.get(&path).etag();
    assert_ne!(first, second, "a new member is a new version");
    let _ = send(&first).scim_error(412, None);
    let ask = |path: &str| {
        let draft = scim.request("GET", path);
        draft.header("if-none-match", &second).send()
    };
    let _ = ask(&format!("{path}?excludedAttributes=members")).status(304);
    // Members have names of their own.
    let rename = json!([{"op": "replace", "path": "displayName", "value": "Ada"}]);
    let _ = scim.patch(&format!("/Users/{user}"), &rename).status(200);
    let group = ask(&path).status(200);
    assert_eq!(group.etag(), second, "a name is no change of the group");
    assert_eq!(group.json()["members"][0]["display"], "Ada");
}
