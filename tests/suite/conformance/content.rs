//! RFC 7644 sections 3.1, 3.8 and 3.13: media types, encodings, methods.

use std::io::Read as _;

use muster_tests::scim::{Reply, Scim, USER};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{NOBODY, both, list, refused, tenant};

const SCIM_JSON: &str = "application/scim+json";

fn content_type(reply: &Reply) -> &str {
    let value = reply.header("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

#[test]
fn answers_are_scim_unless_json_is_wanted() {
    for scim in both() {
        for (accept, expected) in [
            (None, SCIM_JSON),
            (Some("application/scim+json"), SCIM_JSON),
            (Some("Application/SCIM+JSON"), SCIM_JSON),
            (Some("*/*"), SCIM_JSON),
            (Some("application/*"), SCIM_JSON),
            (Some("application/json, application/scim+json"), SCIM_JSON),
            (Some("text/html, application/scim+json;q=0.5"), SCIM_JSON),
            (Some("application/scim+json; charset=utf-8"), SCIM_JSON),
            (Some("application/json"), "application/json"),
            (
                Some("application/json;q=0.9, text/html;q=0.8"),
                "application/json",
            ),
        ] {
            let mut draft = scim.request("GET", "/Users");
            if let Some(accept) = accept {
                draft = draft.header("accept", accept);
            }
            let reply = draft.send().status(200);
            let fits = content_type(&reply) == expected
                // Either is acceptable to whoever accepts both.
                || (accept.is_some_and(|a| a.contains(content_type(&reply))) && accept != Some("application/json"));
            assert!(fits, "{accept:?}: {}", content_type(&reply));
            let body: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
            assert_eq!(body["totalResults"], 0);
        }
    }
}

#[test]
fn what_cannot_be_given_is_not_acceptable() {
    let scim = tenant().scim();
    for accept in [
        "text/html",
        "application/xml",
        "application/scim+json;q=0, application/json;q=0",
        "image/*",
    ] {
        let reply = scim
            .request("GET", "/Users")
            .header("accept", accept)
            .send();
        assert_eq!(reply.code(), 406, "{accept}: {reply}");
        let body: Value = serde_json::from_slice(reply.bytes()).expect("an error in SCIM");
        assert_eq!(body["status"], "406");
    }
    // Nothing is written whose answer nobody wants.
    let body = json!({"schemas": [USER], "userName": "a"});
    let reply = scim
        .request("POST", "/Users")
        .header("accept", "text/html")
        .json(&body)
        .send();
    assert_eq!(reply.code(), 406, "{reply}");
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn bodies_are_scim_or_json_in_utf_8() {
    for scim in both() {
        for (number, content_type) in [
            "application/scim+json",
            "application/scim+json; charset=utf-8",
            "application/scim+json;charset=UTF-8",
            "application/json",
            "APPLICATION/JSON; Charset=\"utf-8\"",
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("ü{number}-{}", scim.get("/Users").total());
            let body = json!({"schemas": [USER], "userName": name}).to_string();
            let draft = scim
                .request("POST", "/Users")
                .header("content-type", content_type);
            let user = draft.body(body).send().status(201).json();
            assert_eq!(user["userName"], name);
        }
        let before = scim.get("/Users").total();
        for content_type in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "text/json",
            "nonsense",
        ] {
            let body = json!({"schemas": [USER], "userName": "no"}).to_string();
            let draft = scim
                .request("POST", "/Users")
                .header("content-type", content_type);
            let _ = draft.body(body).send().scim_error(415, None);
        }
        assert_eq!(scim.get("/Users").total(), before);
        let latin =
            b"{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"\xfc\"}";
        let draft = scim
            .request("POST", "/Users")
            .header("content-type", SCIM_JSON);
        refused(&draft.body(&latin[..]).send(), 400, &["invalidSyntax"]);
    }
}

fn unzipped(reply: &Reply) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(reply.bytes());
    let _ = decoder.read_to_end(&mut plain).expect("gzip");
    plain
}

/// No write is done and then refused.
#[test]
fn whoever_takes_no_coding_gets_none() {
    let scim = tenant().scim();
    for accept in [
        "*;q=0",
        "identity;q=0",
        "gzip;q=0, identity;q=0",
        "br, *;q=0",
    ] {
        let name = format!("taker of {accept}");
        let body = json!({"schemas": [USER], "userName": name});
        let written = scim
            .request("POST", "/Users")
            .header("accept-encoding", accept);
        let _ = written.json(&body).send().status(201);
        let reply = scim
            .request("GET", "/Users")
            .header("accept-encoding", accept);
        assert_eq!(
            reply.send().status(200).header("content-encoding"),
            None,
            "{accept}"
        );
    }
}

#[test]
fn answers_are_zipped_for_those_who_can_unzip() {
    let scim = tenant().scim();
    for number in 0..40 {
        let mut user = ada();
        user["userName"] = json!(format!("u{number}"));
        user["externalId"] = json!(format!("e{number}"));
        let _ = scim.post("/Users", &user).status(201);
    }
    let plain = scim.get("/Users").status(200);
    assert_eq!(plain.header("content-encoding"), None);
    for accept in ["gzip", "gzip, deflate, br", "br;q=0.5, gzip;q=1.0", "GZIP"] {
        let zipped = scim
            .request("GET", "/Users")
            .header("accept-encoding", accept)
            .send()
            .status(200);
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{accept}");
        assert!(zipped.bytes().len() < plain.bytes().len() / 2);
        assert_eq!(unzipped(&zipped), plain.bytes());
        assert_eq!(zipped.list("vary"), "accept, accept-encoding");
    }
    for accept in ["identity", "gzip;q=0", "br;q=0.1, gzip;q=0"] {
        let reply = scim
            .request("GET", "/Users")
            .header("accept-encoding", accept)
            .send()
            .status(200);
        assert_ne!(reply.header("content-encoding"), Some("gzip"), "{accept}");
    }
}

#[test]
fn a_zipped_answer_has_the_tag_of_its_version() {
    let scim = tenant().scim();
    let mut user = ada();
    user["title"] = json!("T".repeat(5000));
    let path = format!("/Users/{}", scim.post("/Users", &user).status(201).id());
    let plain = scim.get(&path).status(200);
    let zipped = scim
        .request("GET", &path)
        .header("accept-encoding", "gzip")
        .send()
        .status(200);
    assert_eq!(zipped.etag(), plain.etag());
    let known = scim
        .request("GET", &path)
        .header("accept-encoding", "gzip")
        .header("if-none-match", &zipped.etag())
        .send()
        .status(304);
    assert!(known.bytes().is_empty());
}

#[test]
fn head_is_get_without_a_body() {
    let scim = tenant().scim();
    let path = format!("/Users/{}", scim.post("/Users", &ada()).status(201).id());
    for path in [
        path.as_str(),
        "/Users",
        "/Groups?count=1",
        "/ServiceProviderConfig",
        "/Schemas",
    ] {
        let get = scim.get(path).status(200);
        let head = scim.request("HEAD", path).send().status(200);
        assert!(head.bytes().is_empty(), "{path}");
        for header in ["content-type", "etag", "content-location", "content-length"] {
            let (of_head, of_get) = (head.header(header), get.header(header));
            assert!(of_head.is_none() || of_head == of_get, "{header} of {path}");
        }
        assert_eq!(head.header("etag"), get.header("etag"), "{path}");
    }
    let head = scim
        .request("HEAD", &format!("/Users/{NOBODY}"))
        .send()
        .status(404);
    assert!(head.bytes().is_empty());
}

#[test]
fn places_are_named_in_headers_as_in_bodies() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let body = json!({"schemas": [USER], "userName": format!("u{size}")});
        let check = |reply: &Reply| {
            let body = reply.json();
            let location = body["meta"]["location"]
                .as_str()
                .expect("a location")
                .to_owned();
            assert_eq!(
                reply.header("content-location"),
                Some(location.as_str()),
                "{reply}"
            );
            location
        };
        let created = scim.post("/Users", &body).status(201);
        let location = check(&created);
        assert_eq!(created.header("location"), Some(location.as_str()));
        assert_eq!(location, format!("{}/Users/{}", scim.base(), created.id()));
        assert_eq!(check(&scim.get(&location).status(200)), location);
        assert_eq!(check(&scim.put(&location, &body).status(200)), location);
        let operations = json!([{"op": "add", "path": "title", "value": "T"}]);
        assert_eq!(
            check(&scim.patch(&location, &operations).status(200)),
            location
        );
        let group = scim.group(&format!("G{size}"), &[]);
        let _ = check(&scim.get(&format!("/Groups/{group}")).status(200));
    }
}

#[test]
fn methods_that_are_none_say_which_are_some() {
    let scim = tenant().scim();
    let user = format!("/Users/{}", scim.user("a"));
    let group = format!("/Groups/{}", scim.group("G", &[]));
    for (path, wrong, right) in [
        (
            "/Users",
            &["PUT", "PATCH", "DELETE", "BREW"][..],
            &["GET", "POST"][..],
        ),
        ("/Groups", &["PUT", "PATCH", "DELETE"], &["GET", "POST"]),
        (&user, &["POST", "BREW"], &["GET", "PUT", "PATCH", "DELETE"]),
        (&group, &["POST"], &["GET", "PUT", "PATCH", "DELETE"]),
        ("/Bulk", &["GET", "PUT", "PATCH", "DELETE"], &["POST"]),
    ] {
        for method in wrong {
            let reply = scim.request(method, path).json(&json!({})).send();
            let allow = reply.header("allow").unwrap_or_default().to_owned();
            let _ = reply.scim_error(405, None);
            for right in right {
                assert!(
                    allow.split(',').any(|m| m.trim() == *right),
                    "{method} {path}: {allow}"
                );
            }
            assert!(
                !allow.split(',').any(|m| m.trim() == *method),
                "{method} {path}: {allow}"
            );
        }
    }
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn other_origins_are_told_nothing() {
    let scim = tenant().scim();
    let reply = scim
        .request("OPTIONS", "/Users")
        .header("origin", "https://elsewhere.test")
        .header("access-control-request-method", "GET")
        .send()
        .status_in(&[200, 204, 405]);
    assert!(reply.header("allow").is_some(), "{reply}");
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let reply = scim
        .request("GET", "/Users")
        .header("origin", "https://elsewhere.test")
        .send()
        .status(200);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn http_2_says_the_same() {
    let scim = tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let created = scim
        .request("POST", "/Users")
        .json(&body)
        .send_http2()
        .status(201);
    assert_eq!(created.http_version(), hyper::Version::HTTP_2);
    let path = format!("/Users/{}", created.id());
    let read = scim.request("GET", &path).send_http2().status(200);
    assert_eq!(read.json(), scim.get(&path).status(200).json());
    let _ = scim
        .request("GET", "/Nowhere")
        .send_http2()
        .scim_error(404, None);
}

#[test]
fn unknown_parameters_are_passed_over() {
    let scim: Scim = tenant().scim();
    scim.user("a");
    let page = list(
        &scim,
        "/Users",
        &[("shoeSize", "9"), ("filter", "userName pr"), ("_", "1")],
    );
    assert_eq!(page["totalResults"], 1);
    let path = format!(
        "/Users/{}",
        page["Resources"][0]["id"].as_str().expect("an id")
    );
    let _ = scim.get(&format!("{path}?shoeSize=9&filter")).status(200);
}

#[test]
fn the_version_may_be_in_the_path() {
    let scim = tenant().scim();
    assert!(scim.base().ends_with("/v2"), "{}", scim.base());
    let other = Scim::new(scim.base().replace("/v2", "/v7"), scim.token());
    let _ = other.get("/Users").status_in(&[400, 404]);
}
