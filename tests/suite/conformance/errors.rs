//! RFC 7644 section 3.12 and section 2: errors have one shape, and each its
//! status and keyword.

use muster_tests::scim::{ERROR, GROUP, Reply, Scim, USER};
use serde_json::{Value, json};

use super::{NOBODY, SEARCH, both, post_large, refused, server, tenant};

/// Asserts the shape of an error, whatever it is about.
#[track_caller]
fn shaped(reply: &Reply, status: u16) {
    let body = reply.clone().status(status).json();
    assert_eq!(body["schemas"], json!([ERROR]), "{reply}");
    assert_eq!(body["status"], json!(status.to_string()), "a text: {reply}");
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty()),
        "{reply}"
    );
    assert!(body.get("scimType").is_none_or(Value::is_string), "{reply}");
    reply.keeps_the_store_to_itself();
}

#[test]
fn every_status_has_the_shape_of_an_error() {
    for scim in both() {
        let size = scim.get("/Users").total();
        let name = format!("u{size}");
        let path = format!("/Users/{}", scim.user(&name));
        let user = json!({"schemas": [USER], "userName": name});
        shaped(&scim.find("/Users", "userName eq"), 400);
        shaped(&Scim::anonymous(scim.base()).get("/Users"), 401);
        shaped(&scim.get("/Schemas?filter=id+pr"), 403);
        shaped(&scim.get(&format!("/Users/{NOBODY}")), 404);
        shaped(&scim.get("/Nowhere"), 404);
        shaped(&scim.delete("/Users"), 405);
        shaped(&scim.post("/Users", &user), 409);
        let stale = scim
            .request("PUT", &path)
            .header("if-match", "W/\"none\"")
            .json(&user);
        shaped(&stale.send(), 412);
        let large = json!({"schemas": [USER], "userName": "x".repeat(1_200_000)});
        post_large(&scim, "/Users", &large).scim_error(413, None);
        let text = scim
            .request("POST", "/Users")
            .header("content-type", "text/plain")
            .body("x");
        shaped(&text.send(), 415);
        shaped(&scim.get("/Me"), 501);
    }
}

#[test]
fn every_keyword_has_its_occasion() {
    let scim = tenant().scim();
    let path = format!("/Users/{}", scim.user("a"));
    let user = |name: &Value| json!({"schemas": [USER], "userName": name});
    let patch = |operation: Value| scim.patch(&path, &json!([operation]));
    for (reply, status, word) in [
        (scim.find("/Users", "nonsense"), 400, "invalidFilter"),
        (scim.post("/Users", &user(&json!("A"))), 409, "uniqueness"),
        (
            patch(json!({"op": "replace", "path": "id", "value": "x"})),
            400,
            "mutability",
        ),
        (
            patch(json!({"op": "replace", "path": "emails[", "value": "x"})),
            400,
            "invalidPath",
        ),
        (patch(json!({"op": "remove"})), 400, "noTarget"),
        (
            scim.post("/Users", &user(&json!(null))),
            400,
            "invalidValue",
        ),
        (scim.get("/Users?cursor=nonsense"), 400, "invalidCursor"),
    ] {
        refused(&reply, status, &[word]);
    }
    let draft = scim
        .request("POST", "/Users")
        .header("content-type", "application/scim+json");
    refused(&draft.body("{").send(), 400, &["invalidSyntax"]);
}

#[test]
fn whoever_proves_nothing_learns_how_to() {
    let scim = tenant().scim();
    for client in [
        Scim::anonymous(scim.base()),
        Scim::new(scim.base(), "nonsense"),
        Scim::new(scim.base(), ""),
    ] {
        for (method, path) in [
            ("GET", "/Users"),
            ("POST", "/Users"),
            ("GET", "/Groups"),
            ("GET", "/Me"),
            ("GET", "/"),
            ("POST", "/Bulk"),
            ("POST", "/.search"),
            ("PATCH", &format!("/Users/{NOBODY}")),
        ] {
            let reply = client.request(method, path).json(&json!({})).send();
            let challenge = reply
                .header("www-authenticate")
                .unwrap_or_default()
                .to_owned();
            shaped(&reply, 401);
            assert!(
                challenge.to_lowercase().starts_with("bearer"),
                "{method} {path}: {challenge:?}"
            );
        }
    }
}

#[test]
fn what_a_credential_may_not_is_forbidden() {
    let tenant = tenant();
    let group = json!({"schemas": [GROUP], "displayName": "G"});
    let allowed = |scopes: &str| {
        let (_, token) = tenant.credential(server(), "entra", &["--scopes", scopes]);
        tenant.scim_with(&token)
    };
    let groups = allowed("groups.read,provisioning.self");
    let _ = groups.get("/Groups").status(200);
    shaped(&groups.post("/Groups", &group), 403);
    assert_eq!(tenant.scim().get("/Groups").total(), 0);
}

#[test]
fn who_may_not_see_people_sees_none() {
    let tenant = tenant();
    let id = tenant.scim().user("ada-4711");
    let path = format!("/Users/{id}");
    for scopes in [
        "groups.read,provisioning.self",
        "audit.read,provisioning.self",
    ] {
        let (_, token) = tenant.credential(server(), "entra", &["--scopes", scopes]);
        let narrow = tenant.scim_with(&token);
        let search = json!({"schemas": [SEARCH], "filter": "userName pr"});
        for reply in [
            narrow.get(&path),
            narrow.get(&format!("{path}?attributes=id")),
            narrow.get("/Users"),
            narrow.get("/Users?count=0"),
            narrow.find("/Users", "userName eq \"ada-4711\""),
            narrow.post("/Users/.search", &search),
            narrow.get("/"),
        ] {
            assert!(!reply.text().contains("4711"), "{scopes}: {reply}");
            shaped(&reply, 403);
        }
    }
}

#[test]
fn strangers_read_the_configuration_and_nothing_of_a_tenant() {
    let scim = tenant().scim();
    let stranger = Scim::anonymous(scim.base());
    for open in ["/ServiceProviderConfig", "/openapi.json"] {
        let reply = stranger.get(open);
        assert_eq!(reply.code(), 200, "{open}: {reply}");
    }
    let root = scim.base().trim_end_matches("/scim/v2");
    for open in ["/healthz", "/readyz", "/metrics"] {
        let reply = stranger.get(&format!("{root}{open}"));
        assert_eq!(reply.code(), 200, "{open}: {reply}");
    }
    for closed in [
        "/Schemas",
        &format!("/Schemas/{USER}"),
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Users",
        "/Users?count=0",
        "/Groups",
        "/Me",
        "/",
    ] {
        shaped(&stranger.get(closed), 401);
    }
}

#[test]
fn bodies_that_are_no_json_are_invalid_syntax() {
    for scim in both() {
        let path = format!("/Users/{NOBODY}");
        for (method, path) in [
            ("POST", "/Users"),
            ("POST", "/Groups"),
            ("PUT", &path),
            ("PATCH", &path),
            ("POST", "/Bulk"),
            ("POST", "/.search"),
        ] {
            for bad in [
                "",
                "{",
                "nonsense",
                "{\"a\":1,}",
                "{\"userName\":\"a\"} x",
                "[",
                "\u{feff}{}x",
            ] {
                let draft = scim
                    .request(method, path)
                    .header("content-type", "application/scim+json");
                let reply = draft.body(bad).send();
                // Whom it is about may be looked at first.
                if reply.code() == 404 {
                    assert!(path.contains(NOBODY), "{reply}");
                } else {
                    refused(&reply, 400, &["invalidSyntax"]);
                }
            }
        }
        assert_eq!(scim.get("/Users").total(), 0);
    }
}

#[test]
fn another_tenants_resources_are_not_there() {
    let (one, other) = (tenant().scim(), tenant().scim());
    let id = one.user("a");
    let group = one.group("G", &[&id]);
    for path in [format!("/Users/{id}"), format!("/Groups/{group}")] {
        let _ = other.get(&path).scim_error(404, None);
        let _ = other.delete(&path).scim_error(404, None);
    }
    assert_eq!(other.find("/Users", &format!("id eq \"{id}\"")).total(), 0);
    assert_eq!(other.get("/").total(), 0);
    let body = json!({"schemas": [GROUP], "displayName": "H", "members": [{"value": id}]});
    refused(&other.post("/Groups", &body), 400, &["invalidValue"]);
    let _ = one.get(&format!("/Users/{id}")).status(200);
}
