//! Media types, compression, methods and locations: RFC 7644 section 3.8, RFC
//! 9110 sections 9, 12 and 15.

use muster_tests::scim::{Reply, Scim, USER};
use serde_json::{Value, json};

fn ask(scim: &Scim, path: &str, header: &str, value: &str) -> Reply {
    scim.request("GET", path).header(header, value).send()
}

#[test]
fn the_answer_is_of_a_type_that_the_client_takes() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    for path in [
        path.as_str(),
        "/Users",
        "/Schemas",
        "/ServiceProviderConfig",
    ] {
        for (accept, answered) in [
            ("*/*", "application/scim+json"),
            ("application/json, application/*;q=0.5", "application/json"),
        ] {
            let reply = ask(&scim, path, "accept", accept).status(200);
            let media = reply.header("content-type").unwrap_or_default();
            assert!(media.starts_with(answered), "{path} {accept}: {media}");
            let body: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
            assert!(body["schemas"].is_array(), "{path}");
        }
        let _ = ask(&scim, path, "accept", "text/html").scim_error(406, None);
    }
    let body = json!({"schemas": [USER], "userName": "b"});
    let draft = scim.request("POST", "/Users").json(&body);
    let _ = draft
        .header("accept", "image/png")
        .send()
        .scim_error(406, None);
    assert_eq!(scim.get("/Users").total(), 1, "nothing was made");
    let reply = ask(&scim, "/Users?filter=x", "accept", "application/json").status(400);
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn bodies_are_unicode() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "ä"}).to_string();
    let send = |media: &str| {
        let draft = scim.request("POST", "/Users").header("content-type", media);
        draft.body(body.clone()).send()
    };
    let _ = send("application/scim+json; charset=ISO-8859-1").scim_error(415, None);
    let _ = send("application/scim+json; charset=UTF-8").status(201);
}

#[test]
fn long_answers_are_compressed_for_those_who_want_it() {
    let scim = super::tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    let plain = scim.get("/Schemas").status(200);
    assert_eq!(plain.header("content-encoding"), None);
    let packed = ask(&scim, "/Schemas", "accept-encoding", "gzip").status(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.bytes().starts_with(&[0x1f, 0x8b]), "gzip");
    assert!(packed.bytes().len() * 4 < plain.bytes().len());
    let short = ask(&scim, &path, "accept-encoding", "gzip").status(200);
    assert_eq!(short.header("content-encoding"), None);
}

#[test]
fn http_2_is_spoken_from_the_first_byte() {
    let scim = super::tenant().scim();
    let _ = scim.request("GET", "/Users").send_http2().status(200);
}

#[test]
fn every_endpoint_tells_its_methods() {
    let scim = super::tenant().scim();
    for (path, methods) in [
        ("/Users", "GET,HEAD,POST,OPTIONS"),
        ("/Groups/x", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS"),
        ("/Schemas", "GET,HEAD,OPTIONS"),
        ("/ServiceProviderConfig", "GET,HEAD,OPTIONS"),
    ] {
        let reply = scim.request("OPTIONS", path).send().status(204);
        assert_eq!(reply.header("allow"), Some(methods), "{path}");
        let origin = reply.header("access-control-allow-origin");
        assert_eq!(origin, None, "pages of others have no business here");
        let reply = scim.request("TRACE", path).send();
        assert_eq!(reply.header("allow"), Some(methods), "{path}");
        let _ = reply.scim_error(405, None);
    }
}

#[test]
fn an_answer_about_one_resource_says_where_it_is() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [USER], "userName": "a"});
    let made = scim.post("/Users", &body).status(201);
    let path = format!("/Users/{}", made.id());
    let replies = [
        scim.get(&path),
        scim.put(&path, &body),
        scim.patch(
            &path,
            &json!([{"op": "add", "path": "title", "value": "T"}]),
        ),
        made,
    ];
    for reply in replies {
        let body = reply.json();
        let location = body["meta"]["location"].as_str();
        assert_eq!(location, Some(format!("{}{path}", scim.base()).as_str()));
        assert_eq!(reply.header("content-location"), location, "{reply}");
        assert_eq!(reply.header("location"), location, "{reply}");
        assert_eq!(body["meta"]["version"], reply.etag());
    }
    let head = scim.request("HEAD", &path).send().status(200);
    assert_eq!(head.header("etag"), scim.get(&path).header("etag"));
}

#[test]
fn a_proxy_is_believed_only_when_it_is_trusted() {
    for trust in [false, true] {
        let launch = super::launch();
        let server = match trust {
            true => launch.arg("--trust-forwarded").start(),
            false => launch.start(),
        };
        let scim = muster_tests::tenant::Tenant::create(&server).scim();
        let draft = scim.request("GET", "/ServiceProviderConfig");
        let draft = draft.header("x-forwarded-proto", "https");
        let reply = draft.header("x-forwarded-host", "id.example.test").send();
        let body = reply.status(200).json();
        let location = body["meta"]["location"].as_str().unwrap_or_default();
        let believed = location.starts_with("https://id.example.test/scim/v2/");
        assert_eq!(believed, trust, "{location}");
    }
}
