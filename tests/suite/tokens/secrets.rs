//! What was issued is not read where others read: in the log, in the audit, in
//! the metrics, in the feed, in an export.

use muster_proto::v1::{
    ExportAuditEntriesRequest, ListTokensRequest, RotateTokenRequest, revoke_token_request::Target,
};
use muster_tests::{
    feed::{contains, list},
    grpc::Grpc,
    issuer::Issuer,
    oauth::{AUDIENCE, Client, SUBJECT, access_token},
    runtime::wait,
    scim::Scim,
    server::Server,
    vault,
};
use prost::Message as _;
use serde_json::json;

use super::{World, wanted};

/// What nobody must read, and what it is.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.to_owned()));
        // What proves a token is its last part: of a signed one the signature, of
        // an opaque one what follows the id of its key.
        let parts = [secret.rsplit_once('.'), secret.rsplit_once('_')];
        for (_, proof) in parts.into_iter().flatten() {
            if proof.len() > 20 {
                self.0
                    .push((format!("the proof in {what}"), proof.to_owned()));
            }
        }
    }

    #[track_caller]
    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for (what, secret) in &self.0 {
            assert!(!contains(bytes, secret), "{place} tells {what}");
        }
    }
}

/// Issues, uses, rotates, fails and ends everything there is.
fn live(world: &World, server: &Server) -> Secrets {
    let mut secrets = Secrets::default();
    let tenant = &world.tenant;
    let mut add = |what: &str, secret: &str| secrets.add(what, secret);
    add("the key encryption key", &vault::key());
    add("a bearer", &tenant.token);
    let user = world.scim.user("ada");
    let issued = world.issue(&user).access_token;
    add("a user's token", &issued);
    let (id, personal) = world.personal(&user);
    add("a personal token", &personal);
    let assertion = world.service.assertion(&json!({}));
    let service = world.service.trade(&assertion, &[]).expect("a token");
    add("an assertion", &assertion);
    add("a service token", &service.access_token);
    let _ = world.service.trade(&assertion, &[]).expect_err("used");
    for token in [&issued, &personal, &service.access_token, &assertion] {
        world.introspect(token);
        // Where it is none, it is refused, and not repeated.
        let _ = Scim::new(server.scim_url(), token)
            .get("/Users")
            .status(401);
        let answer = Grpc::new(server.grpc(), Some(token));
        let _ = wait(answer.tokens().list_tokens(ListTokensRequest::default()));
        let _ = world.scim.get(&format!("/Users/{token}")).status(404);
    }
    for id in [&id, &tenant.credential_id] {
        let request = RotateTokenRequest {
            id: id.clone(),
            overlap: super::seconds(60),
            expire_time: None,
            options: None,
        };
        let rotated = wait(world.grpc.tokens().rotate_token(request));
        add(
            "a new secret",
            &rotated.expect("rotated").into_inner().secret,
        );
    }
    let client = Client::create(server, tenant);
    let access = access_token(&client.trade(&client.secret));
    add("a client secret", &client.secret);
    add("an access token", &access);
    let _ = tenant.scim_with(&access).get("/Users").status(200);
    let _ = tenant.scim_with(&client.secret).get("/Users").status(401);
    let issuer = Issuer::shared();
    let federated = Client::federated(server, tenant, issuer.url());
    let assertion = issuer.assertion(SUBJECT, AUDIENCE, &json!({}));
    add("an issuer's assertion", &assertion);
    add("its token", &access_token(&federated.assert(&assertion)));
    let _ = client.assert(&assertion).status(401);
    // A secret that is almost right is almost as good.
    let mut wrong = client.secret.clone();
    wrong.pop();
    add("a mistyped secret", &wrong);
    let _ = client.trade(&wrong).status(401);
    let _ = tenant.scim_with(&wrong).get("/Users").status(401);
    let file = std::fs::read_to_string(world.service.file()).expect("the key's file");
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    add("a private key", file["d"].as_str().expect("the key"));
    for token in [personal, issued, access] {
        world.revoke(Target::Token(token)).expect("revoked");
    }
    let missing = world.try_issue(wanted("nobody"));
    assert!(missing.is_err());
    secrets
}

#[test]
fn nothing_that_was_issued_is_read_elsewhere() {
    let launch = vault::sealed(super::super::launch());
    let launch = launch.env("RUST_LOG", "trace,h2=info,hyper=info");
    let server = launch.start();
    let world = World::on(&server);
    let secrets = live(&world, &server);

    let metrics = Scim::anonymous(server.http()).get("/metrics");
    assert!(metrics.text().contains("# TYPE"), "{metrics}");
    secrets.are_not_in("/metrics", metrics.bytes());

    let audit = wait(async {
        let request = ExportAuditEntriesRequest::default();
        let mut parts = world.grpc.audit().export_audit_entries(request).await?;
        let (mut bytes, mut count) = (Vec::new(), 0);
        while let Some(part) = parts.get_mut().message().await? {
            count += part.entries.len();
            bytes.extend(part.encode_to_vec());
        }
        Ok::<_, tonic::Status>((bytes, count))
    });
    let (audit, count) = audit.expect("the audit");
    assert!(count > 8, "{count} entries prove nothing");
    secrets.are_not_in("the audit", &audit);

    let feed = list(&world.grpc, None, muster_proto::v1::ChangeFilter::default());
    secrets.are_not_in("the feed", &feed.encode_to_vec());
    let listed = ListTokensRequest {
        show_revoked: true,
        ..Default::default()
    };
    let listed = wait(world.grpc.tokens().list_tokens(listed)).expect("a list");
    secrets.are_not_in("the list of tokens", &listed.into_inner().encode_to_vec());

    let export = vault::admin(&server)
        .run(&["export", "--output", "-"])
        .code(0);
    assert!(export.stdout().len() > 1_000);
    secrets.are_not_in("an export", export.stdout().as_bytes());

    let stopped = server.stop();
    let log = stopped.log.as_bytes();
    let lines = stopped.log.lines().count();
    assert!(lines > 40, "a log of {lines} lines proves nothing");
    assert!(contains(log, "TRACE") && contains(log, "refused a call"));
    secrets.are_not_in("the log", log);
    assert!(!contains(log, "\"laptop\""), "the log names a token");
}

#[test]
fn what_is_kept_of_tokens_is_their_hashes() {
    // Its folder is there for as long as this is.
    let launch = vault::sealed(super::super::launch());
    let server = launch.start();
    let world = World::on(&server);
    let secrets = live(&world, &server);
    assert_eq!(server.stop().status.code(), Some(0));
    let mut read = 0;
    for entry in std::fs::read_dir(launch.folder())
        .expect("the server's folder")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        // The keys of clients lie there, too, and are not the server's.
        if name.starts_with("muster.db") {
            let bytes = std::fs::read(entry.path()).expect("a file");
            secrets.are_not_in(&name, &bytes);
            read += 1;
        }
    }
    let is_file = super::super::engine() == muster_tests::engine::Engine::Sqlite;
    assert_eq!(read > 0, is_file);
}
