//! Who may speak at all.

use std::time::{Duration, Instant};

use muster_tests::{
    scim::{Reply, Scim, USER},
    tenant::Tenant,
};
use serde_json::json;

/// What a client sees of a refusal, but for what differs between any two.
fn face(reply: &Reply) -> (u16, Vec<u8>, Option<String>, Option<String>) {
    let header = |name| reply.header(name).map(str::to_owned);
    (
        reply.code(),
        reply.bytes().to_vec(),
        header("content-type"),
        header("www-authenticate"),
    )
}

fn knock(tenant: &Tenant, authorization: Option<&str>, path: &str) -> Reply {
    let mut draft = tenant.scim().bare("GET", path);
    if let Some(value) = authorization {
        draft = draft.header("authorization", value);
    }
    draft.send()
}

#[test]
fn every_refusal_looks_the_same() {
    let server = super::server();
    let (tenant, other) = (super::tenant(), super::tenant());
    let revoked = tenant.credential(server, "entra", &[]);
    let _ = server
        .admin()
        .run(&[
            "credential",
            "revoke",
            "--id",
            &revoked.0,
            "--tenant",
            &tenant.id,
        ])
        .code(0);
    wait_until_refused(&tenant.scim_with(&revoked.1));
    let expired = tenant.credential(server, "entra", &["--expires-in", "1s"]);
    wait_until_refused(&tenant.scim_with(&expired.1));

    let own = &tenant.token;
    let mut tampered = own.clone();
    let last = if tampered.ends_with('a') { 'b' } else { 'a' };
    tampered.pop();
    tampered.push(last);
    let other_connection = format!("/connections/{}/Users", other.connection_id);
    let no_connection = "/connections/0190a5c1-0000-7000-8000-000000000000/Users".to_owned();
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let users = "/Users".to_owned();
    let attempts = [
        ("none", None, users.clone()),
        ("empty", Some("Bearer ".to_owned()), users.clone()),
        ("other scheme", Some(format!("Basic {own}")), users.clone()),
        ("nonsense", bearer("nonsense"), users.clone()),
        ("over-long", bearer(&"x".repeat(4000)), users.clone()),
        ("tampered", bearer(&tampered), users.clone()),
        ("cut", bearer(&own[..own.len() - 4]), users.clone()),
        ("revoked", bearer(&revoked.1), users.clone()),
        ("expired", bearer(&expired.1), users.clone()),
        ("another tenant's connection", bearer(own), other_connection),
        ("no connection", bearer(own), no_connection),
    ];
    let faces = attempts.map(|(what, authorization, path)| {
        let reply = knock(&tenant, authorization.as_deref(), &path);
        let _ = reply.clone().scim_error(401, None);
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{what}: {challenge:?}");
        (what, face(&reply))
    });
    for (what, face) in &faces {
        assert_eq!(*face, faces[0].1, "{what} differs from {}", faces[0].0);
    }
}

#[track_caller]
fn wait_until_refused(scim: &Scim) {
    // Revocations and expiry count within a second; the rest is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(5);
    while scim.get("/Users").code() != 401 {
        assert!(Instant::now() < deadline, "the token still works");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_refused_write_writes_nothing() {
    let tenant = super::tenant();
    let stranger = tenant.scim_with("wrong");
    let id = tenant.scim().user("a");
    let body = json!({"schemas": [USER], "userName": "b"});
    let _ = stranger.post("/Users", &body).scim_error(401, None);
    let _ = stranger
        .put(&format!("/Users/{id}"), &body)
        .scim_error(401, None);
    let _ = stranger
        .delete(&format!("/Users/{id}"))
        .scim_error(401, None);
    assert_eq!(tenant.scim().found("userName pr"), ["a"]);
}

#[test]
fn a_refusal_comes_before_any_look_at_the_request() {
    let tenant = super::tenant();
    let stranger = tenant.scim_with("wrong");
    for (method, path) in [
        ("GET", "/Users/none"),
        ("GET", "/Users?filter=nonsense"),
        ("GET", "/Users?startIndex=x"),
        ("DELETE", "/Groups/none"),
    ] {
        let _ = stranger.request(method, path).send().scim_error(401, None);
    }
    let draft = stranger.request("POST", "/Users");
    let _ = draft.body("{").send().scim_error(401, None);
}

#[test]
fn the_scheme_is_read_without_case() {
    let tenant = super::tenant();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {}", tenant.token);
        let _ = knock(&tenant, Some(&value), "/Users").status(200);
    }
}

#[test]
fn a_connections_own_path_takes_its_own_token_only() {
    let server = super::server();
    let tenant = super::tenant();
    let (okta, _, token) = tenant.connection(server, "okta");
    let path = |connection: &str| format!("/connections/{connection}/Users");
    let get = |token: &str, connection: &str| tenant.scim_with(token).get(&path(connection));
    let _ = get(&tenant.token, &tenant.connection_id).status(200);
    let _ = get(&token, &okta).status(200);
    let _ = get(&tenant.token, &okta).scim_error(401, None);
    let _ = get(&token, &tenant.connection_id).scim_error(401, None);
}

#[test]
fn several_credentials_of_a_connection_live_and_die_alone() {
    let server = super::server();
    let tenant = super::tenant();
    let second = tenant.credential(server, "entra", &["--name", "rotation"]);
    let _ = tenant.scim_with(&second.1).get("/Users").status(200);
    let _ = server
        .admin()
        .run(&[
            "credential",
            "revoke",
            "--id",
            &tenant.credential_id,
            "--tenant",
            &tenant.id,
        ])
        .code(0);
    wait_until_refused(&tenant.scim());
    let _ = tenant.scim_with(&second.1).get("/Users").status(200);
}

#[test]
fn everybody_is_told_how_to_prove_himself_and_only_tenants_their_schemas() {
    let tenant = super::tenant();
    for (path, stranger) in [
        ("/ServiceProviderConfig", 200),
        ("/Schemas", 401),
        ("/ResourceTypes", 401),
    ] {
        let _ = tenant.scim().get(path).status(200);
        let _ = knock(&tenant, None, path).status(stranger);
    }
}
