//! Who may speak at all.

use std::time::{Duration, Instant};

use muster_proto::v1;
use muster_tests::{
    grpc::Grpc,
    issuer::{Issuer, now_s},
    oauth::{AUDIENCE, SUBJECT},
    runtime::wait,
    scim::{Reply, Scim, USER},
    server::Server,
    tenant::{Tenant, text},
};
use serde_json::json;
use tonic::{Request, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

/// What a client sees of a refusal, but for what differs between any two.
pub(super) fn face(reply: &Reply) -> (u16, Vec<u8>, Option<String>, Option<String>) {
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
    let service = service_token(server, &tenant);
    let [user, personal] = users_tokens(&tenant, &service);
    let foreign = Issuer::start().assertion(SUBJECT, AUDIENCE, &json!({}));
    let long = json!({"groups": "x".repeat(15 << 10)});
    let long_jwt = Issuer::shared().assertion(SUBJECT, AUDIENCE, &long);
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
        ("20 KiB", bearer(&"x".repeat(20 << 10)), users.clone()),
        ("20 KiB of a JWT", bearer(&long_jwt), users.clone()),
        ("a service client's", bearer(&service), users.clone()),
        ("a user's", bearer(&user), users.clone()),
        ("a user's own", bearer(&personal), users.clone()),
        ("an unknown issuer's", bearer(&foreign), users.clone()),
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

/// Where tokens of users are good.
const API: &str = "https://api.example.test";

/// A token of a service client that may issue tokens of users.
#[track_caller]
fn service_token(server: &Server, tenant: &Tenant) -> String {
    let file = server.folder().join(format!("{}.key", tenant.id));
    let file = file.to_str().expect("UTF-8");
    let (admin, named) = (server.admin(), ["--tenant", &tenant.id, "--name", "sso"]);
    let may = ["--scopes", "tokens.issue,tokens.write", "--audiences", API];
    let key = ["--generate-key", file];
    let _ = admin.json(&[&["client", "create"][..], &named, &may, &key].concat());
    let token = admin.json(&["client", "token", "--key", file]);
    text(&token, "access_token")
}

/// An access token of a user, and a personal one.
#[track_caller]
fn users_tokens(tenant: &Tenant, service: &str) -> [String; 2] {
    let (id, grpc) = (tenant.scim().user("ada"), tenant.grpc_with(service));
    let wanted = v1::IssueUserTokenRequest {
        user: Some(v1::UserKey {
            key: Some(v1::user_key::Key::Id(id.clone())),
        }),
        audiences: vec![API.to_owned()],
        ..Default::default()
    };
    let issued: v1::IssueUserTokenResponse = unary(&grpc, "TokenService/IssueUserToken", wanted);
    let ends = i64::try_from(now_s() + 3600).expect("a time");
    let wanted = v1::CreatePersonalAccessTokenRequest {
        user_id: id,
        name: "scripts".to_owned(),
        audiences: vec![API.to_owned()],
        expire_time: Some(prost_types::Timestamp {
            seconds: ends,
            nanos: 0,
        }),
        ..Default::default()
    };
    let path = "TokenService/CreatePersonalAccessToken";
    let created: v1::CreatePersonalAccessTokenResponse = unary(&grpc, path, wanted);
    [issued.access_token, created.secret]
}

/// Calls a method of the directory that answers.
#[track_caller]
pub(super) fn unary<M, R>(grpc: &Grpc, method: &str, message: M) -> R
where
    M: prost::Message + 'static,
    R: prost::Message + Default + 'static,
{
    let path = format!("/identity.directory.v1.{method}");
    let path = PathAndQuery::try_from(path).expect("a path");
    let mut raw = grpc.raw();
    let answer = async {
        raw.ready().await.expect("a connection");
        let codec = ProstCodec::<M, R>::default();
        raw.unary(Request::new(message), path, codec).await
    };
    wait(answer).expect("an answer").into_inner()
}

/// A facade apart must not ask what its directory could not even read: that would
/// end the connection which all its callers share.
#[test]
fn an_over_long_credential_is_refused_by_a_facade_apart_too() {
    let directory = super::launch().role("directory").start();
    let facade = super::launch()
        .role("scim")
        .arg("--directory-url")
        .arg(directory.grpc())
        .start();
    let tenant = Tenant::create_with(&directory, facade.http(), None);
    let none = face(&knock(&tenant, None, "/Users"));
    for length in [12 << 10, (12 << 10) + 1, 16 << 10, 20 << 10, 48 << 10] {
        let value = format!("Bearer {}", "x".repeat(length));
        let reply = knock(&tenant, Some(&value), "/Users");
        assert_eq!(face(&reply), none, "{length}");
        let draft = tenant.scim().bare("GET", "/Users");
        let reply = draft.header("authorization", &value).send_http2();
        assert_eq!(face(&reply), none, "{length} over HTTP/2");
    }
    let nowhere = format!("/connections/{}/Users", "x".repeat(20 << 10));
    let own = format!("Bearer {}", tenant.token);
    assert_eq!(face(&knock(&tenant, Some(&own), &nowhere)), none);
    let _ = tenant.scim().get("/Users").status(200);
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
