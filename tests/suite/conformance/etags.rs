//! RFC 7644 section 3.14: versions as entity tags.

use muster_tests::scim::{GROUP, PATCH, Reply, Scim, USER};
use serde_json::{Value, json};

use super::{NOBODY, both, resources, tenant};

fn one_user() -> (Scim, String, String) {
    let scim = tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let created = scim.post("/Users", &body).status(201);
    (scim, format!("/Users/{}", created.id()), created.etag())
}

fn send(scim: &Scim, method: &str, path: &str, header: (&str, &str), body: &Value) -> Reply {
    let draft = scim.request(method, path).header(header.0, header.1);
    match method {
        "GET" | "HEAD" | "DELETE" => draft.send(),
        _ => draft.json(body).send(),
    }
}

fn retitle(title: &str) -> Value {
    json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": title}]})
}

/// Without the mark of weakness.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[test]
fn the_version_of_a_resource_is_its_tag() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"schemas": [USER], "userName": format!("u{size}")});
        let created = scim.post("/Users", &body).status(201);
        assert_eq!(created.json()["meta"]["version"], created.etag());
        let tag = created.etag();
        assert!(
            opaque(&tag).len() > 2 && opaque(&tag).starts_with('"') && tag.ends_with('"'),
            "{tag}"
        );
        let path = format!("/Users/{}", created.id());
        let read = scim.get(&path).status(200);
        assert_eq!(read.etag(), tag);
        assert_eq!(read.json()["meta"]["version"], tag);
        let head = scim.request("HEAD", &path).send().status(200);
        assert_eq!(head.etag(), tag);
        let patched = scim
            .request("PATCH", &path)
            .json(&retitle("T"))
            .send()
            .status(200);
        assert_ne!(patched.etag(), tag);
        assert_eq!(patched.json()["meta"]["version"], patched.etag());
        let replaced = scim.put(&path, &body).status(200);
        assert_ne!(replaced.etag(), patched.etag());
        assert_eq!(replaced.json()["meta"]["version"], replaced.etag());
        let listed = scim
            .find("/Users", &format!("userName eq \"u{size}\""))
            .json();
        assert_eq!(resources(&listed)[0]["meta"]["version"], replaced.etag());
    }
}

#[test]
fn a_read_that_knows_the_version_is_not_answered_again() {
    let (scim, path, tag) = one_user();
    let other = "W/\"none\"";
    for method in ["GET", "HEAD"] {
        let ask = |tags: &str| send(&scim, method, &path, ("if-none-match", tags), &json!({}));
        for tags in [
            tag.clone(),
            opaque(&tag).to_owned(),
            format!("W/{}", opaque(&tag)),
            format!("{other}, {tag}"),
            format!("{tag},{other}"),
            "*".to_owned(),
        ] {
            let reply = ask(&tags).status(304);
            assert_eq!(reply.bytes(), b"", "{tags}");
            assert_eq!(reply.etag(), tag, "{tags}");
        }
        let _ = ask(other).status(200);
    }
    let _ = scim
        .request("PATCH", &path)
        .json(&retitle("T"))
        .send()
        .status(200);
    let reply = send(&scim, "GET", &path, ("if-none-match", &tag), &json!({}));
    assert_ne!(reply.status(200).etag(), tag);
}

#[test]
fn a_read_of_another_version_than_wanted_fails() {
    let (scim, path, tag) = one_user();
    let ask = |tags: &str| send(&scim, "GET", &path, ("if-match", tags), &json!({}));
    let _ = ask(&tag).status(200);
    let _ = ask("*").status(200);
    let _ = ask("W/\"none\"").scim_error(412, None);
}

/// A projection of URIs alone tells of others, too.
#[test]
fn uris_of_others_are_in_the_tag() {
    let (scim, path, _) = one_user();
    let id = path.trim_start_matches("/Users/").to_owned();
    let (one, other) = (scim.group("One", &[&id]), scim.group("Other", &[]));
    let uris = format!("{path}?attributes=groups.$ref");
    let before = scim.get(&uris).status(200).etag();
    let gone = json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]);
    let _ = scim.patch(&format!("/Groups/{one}"), &gone).status(200);
    let here = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    let _ = scim.patch(&format!("/Groups/{other}"), &here).status(200);
    let reply = send(&scim, "GET", &uris, ("if-none-match", &before), &json!({}));
    assert_ne!(reply.status(200).etag(), before);
}

#[test]
fn writes_of_a_version_that_is_gone_change_nothing() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"schemas": [USER], "userName": format!("u{size}")});
        let created = scim.post("/Users", &body).status(201);
        let (path, first) = (format!("/Users/{}", created.id()), created.etag());
        let second = send(&scim, "PATCH", &path, ("if-match", &first), &retitle("1"))
            .status(200)
            .etag();
        let third = send(&scim, "PATCH", &path, ("if-match", &second), &retitle("2"))
            .status(200)
            .etag();
        let mut replacement = body.clone();
        replacement["title"] = json!("stale");
        for stale in [&first, &second, &"W/\"none\"".to_owned()] {
            let tags = ("if-match", stale.as_str());
            let _ = send(&scim, "PATCH", &path, tags, &retitle("stale")).scim_error(412, None);
            let _ = send(&scim, "PUT", &path, tags, &replacement).scim_error(412, None);
            let _ = send(&scim, "DELETE", &path, tags, &body).scim_error(412, None);
        }
        let read = scim.get(&path).status(200);
        assert_eq!(
            (read.etag(), &read.json()["title"]),
            (third.clone(), &json!("2"))
        );
        replacement["title"] = json!("3");
        let tags = ("if-match", third.as_str());
        let fourth = send(&scim, "PUT", &path, tags, &replacement)
            .status(200)
            .etag();
        let any = format!("W/\"none\", {fourth}");
        let _ = send(&scim, "DELETE", &path, ("if-match", &any), &body).status(204);
    }
}

#[test]
fn a_star_matches_what_exists() {
    let (scim, path, _) = one_user();
    let _ = send(&scim, "PATCH", &path, ("if-match", "*"), &retitle("T")).status(200);
    let nobody = format!("/Users/{NOBODY}");
    for method in ["PATCH", "PUT", "DELETE", "GET"] {
        let body = if method == "PATCH" {
            retitle("T")
        } else {
            json!({"schemas": [USER], "userName": "x"})
        };
        let reply = send(&scim, method, &nobody, ("if-match", "*"), &body);
        let _ = reply.status_in(&[404, 412]);
    }
}

#[test]
fn writes_that_must_not_meet_a_version_do_not() {
    let (scim, path, tag) = one_user();
    let replacement = json!({"schemas": [USER], "userName": "a", "title": "no"});
    for tags in [tag.as_str(), "*", opaque(&tag)] {
        let tags = ("if-none-match", tags);
        let _ = send(&scim, "PATCH", &path, tags, &retitle("no")).scim_error(412, None);
        let _ = send(&scim, "PUT", &path, tags, &replacement).scim_error(412, None);
        let _ = send(&scim, "DELETE", &path, tags, &replacement).scim_error(412, None);
    }
    assert_eq!(scim.get(&path).status(200).etag(), tag);
    let other = ("if-none-match", "W/\"none\"");
    let changed = send(&scim, "PATCH", &path, other, &retitle("yes")).status(200);
    assert_eq!(changed.json()["title"], "yes");
    let _ = send(&scim, "DELETE", &path, other, &replacement).status(204);
}

#[test]
fn what_is_no_tag_matches_nothing() {
    let (scim, path, tag) = one_user();
    for nonsense in [
        "nonsense",
        opaque(&tag).trim_matches('"'),
        "\"",
        "W/",
        "w/\"1\"",
        "\"*\"",
        ",",
    ] {
        let reply = send(
            &scim,
            "PATCH",
            &path,
            ("if-match", nonsense),
            &retitle("no"),
        );
        let _ = reply.status_in(&[400, 412]);
    }
    assert_eq!(scim.get(&path).status(200).etag(), tag);
}

#[test]
fn nothing_new_is_no_new_version() {
    let (scim, path, tag) = one_user();
    let before = scim.get(&path).status(200).json();
    for operations in [
        json!([{"op": "replace", "path": "userName", "value": "a"}]),
        json!([{"op": "add", "path": "userName", "value": "a"}]),
        json!([{"op": "remove", "path": "title"}]),
        json!([{"op": "add", "path": "title", "value": "T"}, {"op": "remove", "path": "title"}]),
    ] {
        let reply = scim.patch(&path, &operations).status_in(&[200, 204]);
        assert_eq!(reply.etag(), tag, "{operations}");
    }
    let replaced = scim
        .put(&path, &json!({"schemas": [USER], "userName": "a"}))
        .status(200);
    assert_eq!(replaced.etag(), tag);
    let after = scim.get(&path).status(200).json();
    assert_eq!(after["meta"], before["meta"], "not even its time");
}

#[test]
fn the_tag_of_a_user_tells_of_his_groups() {
    let scim = tenant().scim();
    let id = scim.user("a");
    let path = format!("/Users/{id}");
    let alone = scim.get(&path).status(200).etag();
    let group = scim.group("G", &[&id]);
    let ask = |tag: &str| send(&scim, "GET", &path, ("if-none-match", tag), &json!({}));
    let member = ask(&alone).status(200);
    assert_eq!(member.json()["groups"][0]["value"], group);
    assert_eq!(member.json()["meta"]["version"], member.etag());
    let _ = ask(&member.etag()).status(304);
    let rename = json!([{"op": "replace", "path": "displayName", "value": "H"}]);
    let _ = scim
        .patch(&format!("/Groups/{group}"), &rename)
        .status_in(&[200, 204]);
    let renamed = ask(&member.etag()).status(200);
    assert_eq!(renamed.json()["groups"][0]["display"], "H");
    // None of that is a change of the user: who read it before may write.
    let _ = send(&scim, "PATCH", &path, ("if-match", &alone), &retitle("T")).status(200);
}

#[test]
fn groups_have_tags_too() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let user = scim.user(&format!("u{size}"));
        let body = json!({"schemas": [GROUP], "displayName": format!("G{size}")});
        let created = scim.post("/Groups", &body).status(201);
        assert_eq!(created.json()["meta"]["version"], created.etag());
        let (path, first) = (format!("/Groups/{}", created.id()), created.etag());
        let add = json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": user}]}]});
        let _ = send(&scim, "PATCH", &path, ("if-match", &first), &add).status_in(&[200, 204]);
        let _ = send(&scim, "PATCH", &path, ("if-match", &first), &add).scim_error(412, None);
        let read = scim.get(&path).status(200);
        assert_ne!(read.etag(), first);
        assert_eq!(read.json()["meta"]["version"], read.etag());
        let _ = send(&scim, "GET", &path, ("if-none-match", &read.etag()), &add).status(304);
        let _ = send(&scim, "DELETE", &path, ("if-match", &first), &add).scim_error(412, None);
        let _ = send(&scim, "DELETE", &path, ("if-match", &read.etag()), &add).status(204);
    }
}
