//! RFC 7644 section 3.11: the alias of whoever asks.

use muster_tests::{
    scim::{ENTERPRISE, PATCH, Scim, USER},
    tenant::Tenant,
};
use serde_json::{Value, json};

use super::{refused, server, tenant};

/// What a user may do with himself.
const OWN: &str = "users.read.basic,users.read.pii,users.write,provisioning.self";

/// A tenant with a user and a client whose token is bound to him.
fn bound() -> (Tenant, String, Scim) {
    let tenant = tenant();
    let scim = tenant.scim();
    let body = json!({"schemas": [USER], "userName": "ada", "title": "Analyst"});
    let id = scim.post("/Users", &body).status(201).id();
    let (_, token) = tenant.credential(server(), "entra", &["--user", &id, "--scopes", OWN]);
    let me = tenant.scim_with(&token);
    (tenant, id, me)
}

#[test]
fn nobody_is_me_without_a_bound_token() {
    let scim = tenant().scim();
    for (method, body) in [
        ("GET", Value::Null),
        ("PUT", json!({"schemas": [USER], "userName": "a"})),
        ("PATCH", json!({"schemas": [PATCH], "Operations": []})),
        ("DELETE", Value::Null),
        ("POST", json!({"schemas": [USER], "userName": "a"})),
    ] {
        let draft = scim.request(method, "/Me");
        let reply = if body.is_null() {
            draft.send()
        } else {
            draft.json(&body).send()
        };
        let _ = reply.scim_error(501, None);
    }
    let _ = Scim::anonymous(scim.base())
        .get("/Me")
        .scim_error(401, None);
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn me_is_the_user_of_the_token() {
    let (tenant, id, me) = bound();
    let path = format!("/Users/{id}");
    let whole = tenant.scim().get(&path).status(200);
    let reply = me.get("/Me").status(200);
    assert_eq!(reply.json(), whole.json());
    assert_eq!(reply.etag(), whole.etag());
    let location = format!("{}{path}", me.base());
    assert_eq!(
        reply.json()["meta"]["location"],
        location,
        "the permanent place"
    );
    assert_eq!(reply.header("location"), Some(location.as_str()));
    assert_eq!(reply.header("content-location"), Some(location.as_str()));
    let shown = me.get("/Me?attributes=title").status(200).json();
    assert_eq!(shown["title"], "Analyst");
    assert!(shown.get("userName").is_none(), "{shown}");
    let known = me
        .request("GET", "/Me")
        .header("if-none-match", &whole.etag())
        .send();
    let _ = known.status(304);
}

#[test]
fn me_is_written_to() {
    let (tenant, id, me) = bound();
    let scim = tenant.scim();
    let path = format!("/Users/{id}");
    let operations = json!([{"op": "replace", "path": "title", "value": "Countess"}]);
    let _ = me.patch("/Me", &operations).status_in(&[200, 204]);
    assert_eq!(scim.get(&path).json()["title"], "Countess");
    let body = json!({"schemas": [USER], "userName": "ada", "displayName": "Ada"});
    let replaced = me.put("/Me", &body).status(200).json();
    assert_eq!(replaced["id"], id);
    assert_eq!(scim.get(&path).json()["displayName"], "Ada");
    let stale = me
        .request("DELETE", "/Me")
        .header("if-match", "W/\"none\"")
        .send();
    let _ = stale.scim_error(412, None);
    let _ = me.delete("/Me").status(204);
    let _ = scim.get(&path).scim_error(404, None);
    // Whoever is gone is nobody, whatever his token says.
    let _ = me.get("/Me").status_in(&[401, 404]);
}

#[test]
fn what_the_organization_decides_is_not_his_to_change() {
    let (tenant, id, me) = bound();
    let path = format!("/Users/{id}");
    let before = tenant.scim().get(&path).status(200).json();
    for (attribute, value) in [
        ("userName", json!("eve")),
        ("active", json!(false)),
        ("externalId", json!("e-1")),
        ("roles", json!([{"value": "admin"}])),
        ("entitlements", json!([{"value": "engine"}])),
        (&format!("{ENTERPRISE}:department"), json!("Engines")),
        ("urn:example:own:2.0:User:site", json!("North")),
    ] {
        let set = json!([{"op": "replace", "path": attribute, "value": value}]);
        let reply = me.patch("/Me", &set);
        assert_eq!(reply.code(), 400, "{attribute}: {reply}");
        refused(&reply, 400, &["mutability"]);
    }
    let body = json!({"schemas": [USER], "userName": "eve"});
    refused(&me.put("/Me", &body), 400, &["mutability"]);
    assert_eq!(tenant.scim().get(&path).status(200).json(), before);
}

#[test]
fn a_user_without_more_scopes_reads_himself_and_one_with_others_does_not() {
    let (tenant, id, _) = bound();
    let title = json!([{"op": "replace", "path": "title", "value": "Countess"}]);
    let (_, token) = tenant.credential(server(), "entra", &["--user", &id]);
    let reader = tenant.scim_with(&token);
    assert_eq!(reader.get("/Me").status(200).json()["title"], "Analyst");
    let _ = reader.patch("/Me", &title).scim_error(403, None);
    let _ = reader.delete("/Me").scim_error(403, None);
    let write = ["--user", &id, "--scopes", "users.write"];
    let (_, token) = tenant.credential(server(), "entra", &write);
    let writer = tenant.scim_with(&token);
    let _ = writer.get("/Me").scim_error(403, None);
}

#[test]
fn me_is_not_created() {
    let (tenant, _, me) = bound();
    let reply = me.post("/Me", &json!({"schemas": [USER], "userName": "twin"}));
    let _ = reply.status_in(&[403, 405, 409, 501]);
    assert_eq!(tenant.scim().get("/Users").total(), 1);
}
