//! OAuth clients: what proves them, what they get, and how it ends.

use std::time::{Duration, Instant};

use muster_proto::v1::{self, IssueConnectionTokenRequest, issue_connection_token_request::Proof};
use muster_tests::{
    grpc::{Grpc, reason},
    issuer::{Issuer, now_s},
    oauth::{AUDIENCE, Client, SUBJECT, access_token},
    runtime::wait,
    scim::Reply,
    server::Server,
    tenant::Tenant,
};
use serde_json::{Value, json};
use tonic::Code;

use super::auth::face;

#[track_caller]
fn refused(reply: &Reply) {
    assert_eq!(reply.code(), 401, "{reply}");
    let body: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
    assert_eq!(body["error"], "invalid_client", "{reply}");
}

fn revoke(server: &Server, tenant: &Tenant, id: &str) {
    let arguments = ["credential", "revoke", "--id", id, "--tenant", &tenant.id];
    let _ = server.admin().run(&arguments).code(0);
}

/// Provisions with the token, and not for others or beyond the credential.
#[track_caller]
fn is_good_until_revoked(tenant: &Tenant, client: &Client, token: &str) {
    let server = super::server();
    let scim = tenant.scim_with(token);
    let id = scim.user("ada");
    assert_eq!(tenant.scim().get(&format!("/Users/{id}")).code(), 200);
    let own = format!("/connections/{}/Users", tenant.connection_id);
    let _ = scim.get(&own).status(200);
    let other = super::tenant();
    let others = format!("/connections/{}/Users", other.connection_id);
    let _ = scim.get(&others).scim_error(401, None);
    assert_eq!(other.scim().get("/Users").total(), 0);

    revoke(server, tenant, &client.id);
    // Revocations count within a second; the rest is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(5);
    while scim.get("/Users").code() != 401 {
        assert!(Instant::now() < deadline, "the token still works");
    }
    let _ = scim.get("/Users").scim_error(401, None);
    let _ = tenant.scim().get("/Users").status(200);
}

#[test]
fn a_client_secret_buys_access_until_it_is_revoked() {
    let (server, tenant) = (super::server(), super::tenant());
    let client = Client::create(server, &tenant);
    assert_eq!(
        client.token_endpoint,
        format!("{}/oauth2/token", server.http())
    );
    let token = access_token(&client.trade(&client.secret));
    is_good_until_revoked(&tenant, &client, &token);
    refused(&client.trade(&client.secret));
}

#[test]
fn an_assertion_buys_access_until_its_client_is_revoked() {
    let (server, tenant, issuer) = (super::server(), super::tenant(), Issuer::shared());
    let client = Client::federated(server, &tenant, issuer.url());
    assert_eq!(client.secret, "");
    let assertion = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    let token = access_token(&client.assert(&assertion));
    is_good_until_revoked(&tenant, &client, &token);
    refused(&client.assert(&assertion));
}

#[test]
fn an_assertion_must_be_this_clients_and_now() {
    let (server, tenant, issuer) = (super::server(), super::tenant(), Issuer::shared());
    let client = Client::federated(server, &tenant, issuer.url());
    let _ = access_token(&client.assert(&issuer.assertion(SUBJECT, AUDIENCE, &json!({}))));
    for wrong in [
        json!({"sub": "another"}),
        json!({"aud": "api://another"}),
        json!({"iss": "http://127.0.0.1:1/"}),
        json!({"exp": now_s() - 60}),
        json!({"nbf": now_s() + 60}),
        json!({"exp": null}),
        json!({"sub": null}),
    ] {
        refused(&client.assert(&issuer.assertion(SUBJECT, AUDIENCE, &wrong)));
    }
    // Signed by another issuer that claims to be this one, with the same key id.
    let forged = Issuer::start().assertion(SUBJECT, AUDIENCE, &json!({"iss": issuer.url()}));
    refused(&client.assert(&forged));
    for nonsense in ["x", "a.b.c", "eyJhbGciOiJub25lIiwia2lkIjoia2V5LTAifQ.e30."] {
        refused(&client.assert(nonsense));
    }
}

#[test]
fn a_new_key_of_an_issuer_is_found_within_seconds() {
    let (server, tenant) = (super::server(), super::tenant());
    let issuer = Issuer::start();
    let client = Client::federated(server, &tenant, issuer.url());
    let old = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    let _ = access_token(&client.assert(&old));
    issuer.rotate();
    let _ = access_token(&client.assert(&old));
    // It is not asked again within five seconds; the rest is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(20);
    let new = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    while client.assert(&new).code() != 200 {
        assert!(Instant::now() < deadline, "the new key is not found");
        std::thread::sleep(Duration::from_millis(100));
    }
    refused(&client.assert(&old));
}

#[test]
fn a_token_of_an_issuer_for_two_connections_opens_neither_until_it_is_said_which() {
    let (server, tenant, other) = (super::server(), super::tenant(), super::tenant());
    let issuer = Issuer::start();
    let _ = Client::federated(server, &tenant, issuer.url());
    let scim = tenant.scim_with(&issuer.assertion(SUBJECT, AUDIENCE, &json!({})));
    let _ = scim.get("/Users").status(200);
    let theirs = Client::federated(server, &other, issuer.url());
    // Credentials count within a second; the rest is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(5);
    while scim.get("/Users").code() != 401 {
        assert!(Instant::now() < deadline, "it still opens the first");
    }
    for tenant in [&tenant, &other] {
        let own = format!("/connections/{}/Users", tenant.connection_id);
        let _ = scim.get(&own).status(200);
    }
    revoke(server, &other, &theirs.id);
    let deadline = Instant::now() + Duration::from_secs(5);
    while scim.get("/Users").code() != 200 {
        assert!(Instant::now() < deadline, "it does not open the only one");
    }
}

#[test]
fn a_client_whose_issuer_is_silent_is_asked_to_come_back() {
    let (server, tenant) = (super::server(), super::tenant());
    // Nobody listens there.
    let client = Client::federated(server, &tenant, "http://127.0.0.1:1/");
    let assertion = Issuer::shared().assertion(SUBJECT, AUDIENCE, &json!({}));
    let reply = client.assert(&assertion);
    assert_eq!(reply.code(), 503, "{reply}");
    assert!(reply.header("retry-after").is_some(), "{reply}");
    reply.keeps_the_store_to_itself();
}

#[test]
fn no_kind_of_credential_passes_for_another() {
    let (server, tenant, issuer) = (super::server(), super::tenant(), Issuer::shared());
    let client = Client::create(server, &tenant);
    let federated = Client::federated(server, &tenant, issuer.url());
    let bearer = Client {
        id: tenant.credential_id.clone(),
        ..client.clone()
    };
    let access = access_token(&client.trade(&client.secret));
    let assertion = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));

    let secrets = [&client.secret, &tenant.token, &access, &assertion];
    let faces = [&client, &federated, &bearer].map(|holder| {
        secrets.map(|secret| {
            let own = holder.id == client.id && *secret == client.secret;
            (!own).then(|| holder.trade(secret))
        })
    });
    for reply in faces.iter().flatten().flatten() {
        refused(reply);
    }
    for holder in [&client, &bearer] {
        refused(&holder.assert(&assertion));
    }
    for text in [&access, &tenant.token, &client.secret] {
        refused(&federated.assert(text));
    }
    for text in [&client.secret, &assertion] {
        let _ = tenant.scim_with(text).get("/Users").scim_error(401, None);
    }
    let mut tampered = access.clone();
    let last = if tampered.ends_with('A') { 'B' } else { 'A' };
    tampered.pop();
    tampered.insert(10, last);
    let _ = tenant
        .scim_with(&tampered)
        .get("/Users")
        .scim_error(401, None);
}

#[test]
fn every_refusal_of_a_client_looks_the_same() {
    let (server, tenant, issuer) = (super::server(), super::tenant(), Issuer::shared());
    let client = Client::create(server, &tenant);
    let revoked = Client::create(server, &tenant);
    revoke(server, &tenant, &revoked.id);
    let unknown = Client {
        id: "0190a5c1-0000-7000-8000-000000000000".to_owned(),
        ..client.clone()
    };
    let federated = Client::federated(server, &tenant, issuer.url());
    let good = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    let ended = issuer.assertion(SUBJECT, AUDIENCE, &json!({"exp": now_s() - 60}));
    let stranger = Issuer::start().assertion(SUBJECT, AUDIENCE, &json!({}));
    let long = "x".repeat(20 << 10);
    let long_jwt = issuer.assertion(SUBJECT, AUDIENCE, &json!({"groups": long}));
    let token = access_token(&client.trade(&client.secret));
    let faces = [
        ("a wrong secret", client.trade("wrong")),
        ("another's secret", client.trade(&revoked.secret)),
        ("a revoked client", revoked.trade(&revoked.secret)),
        ("an unknown client", unknown.trade(&client.secret)),
        ("a long secret", client.trade(&long)),
        ("a bearer", client.trade(&tenant.token)),
        ("an access token", client.trade(&token)),
        (
            "no proof",
            client.post(&[("grant_type", "client_credentials")]),
        ),
        ("no assertion", federated.assert("wrong")),
        ("an assertion for a secret", client.assert(&good)),
        ("an unknown client's assertion", unknown.assert(&good)),
        ("an assertion that ended", federated.assert(&ended)),
        ("an unknown issuer's assertion", federated.assert(&stranger)),
        ("a long assertion", federated.assert(&long_jwt)),
        ("an access token as an assertion", federated.assert(&token)),
    ]
    .map(|(what, reply)| {
        refused(&reply);
        (what, face(&reply))
    });
    for (what, face) in &faces {
        assert_eq!(*face, faces[0].1, "{what}");
    }
}

#[test]
fn over_grpc_a_proof_is_all_that_counts() {
    let (server, tenant) = (super::server(), super::tenant());
    let client = Client::create(server, &tenant);
    let ask = |bearer: Option<&str>, proof: Option<Proof>| {
        let request = IssueConnectionTokenRequest {
            client_id: client.id.clone(),
            proof,
        };
        let grpc = Grpc::new(server.grpc(), bearer);
        wait(grpc.provisioning().issue_connection_token(request))
    };
    let right = || Some(Proof::ClientSecret(client.secret.clone()));
    for bearer in [None, Some("wrong")] {
        let answer = ask(bearer, right()).expect("it is proven").into_inner();
        assert_eq!(answer.expires_in.map(|d| d.seconds), Some(3600));
        let grpc = Grpc::new(server.grpc(), Some(&answer.access_token));
        let request = v1::GetConnectionRequest::default();
        let own = wait(grpc.provisioning().get_connection(request)).expect("let in");
        let connection = own.into_inner().connection.expect("it is there");
        assert_eq!(connection.id, tenant.connection_id);
    }
    for wrong in [
        None,
        Some(Proof::ClientSecret(tenant.token.clone())),
        Some(Proof::ClientAssertion(client.secret.clone())),
    ] {
        let status = ask(Some(&tenant.token), wrong).expect_err("it is not proven");
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(reason(&status), "CREDENTIAL_INVALID");
    }
}

#[test]
fn contradictory_options_are_refused_with_the_remedy() {
    let (server, tenant) = (super::server(), super::tenant());
    let create = |options: &[&str]| {
        let mut arguments = vec!["credential", "create", "--connection", "entra"];
        arguments.extend_from_slice(&["--tenant", &tenant.id]);
        arguments.extend_from_slice(options);
        server.admin().run(&arguments)
    };
    let outcome = create(&["--kind", "federated", "--issuer", "https://i.test"]).code(2);
    assert!(outcome.stderr().contains("--subject"), "{outcome:?}");
    let outcome = create(&["--issuer", "https://i.test"]).code(2);
    assert!(outcome.stderr().contains("--kind federated"), "{outcome:?}");
    let plain = ["--kind", "federated", "--issuer", "http://i.test"];
    let outcome = create(&[&plain[..], &["--subject", "s", "--audience", "a"]].concat()).code(1);
    assert!(outcome.stderr().contains("https"), "{outcome:?}");
}

#[test]
fn a_listed_credential_tells_its_kind_and_no_secret() {
    let (server, tenant, issuer) = (super::server(), super::tenant(), Issuer::shared());
    let client = Client::create(server, &tenant);
    let _ = Client::federated(server, &tenant, issuer.url());
    let arguments = [
        "credential",
        "list",
        "--connection",
        "entra",
        "--tenant",
        &tenant.id,
    ];
    let listed = server.admin().json(&arguments);
    let kinds: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|c| &c["kind"])
        .collect();
    assert_eq!(kinds, ["bearer", "oauth-client", "federated"]);
    assert_eq!(listed[2]["issuer"], issuer.url());
    assert!(!listed.to_string().contains(&client.secret));
}

#[test]
fn the_log_names_no_proof_and_no_access_token() {
    let server = super::launch().env("RUST_LOG", "debug").start();
    let tenant = Tenant::create(&server);
    let issuer = Issuer::shared();
    let client = Client::create(&server, &tenant);
    let federated = Client::federated(&server, &tenant, issuer.url());
    let assertion = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    let tokens = [
        access_token(&client.trade(&client.secret)),
        access_token(&federated.assert(&assertion)),
    ];
    for token in &tokens {
        let _ = tenant.scim_with(token).get("/Users").status(200);
    }
    refused(&client.trade(&assertion));
    let stopped = server.stop();
    let (_, signature) = assertion.rsplit_once('.').expect("three parts");
    for secret in [&client.secret, signature, &tokens[0], &tokens[1]] {
        assert!(!stopped.log.contains(secret), "the log tells {secret:?}");
    }
}
