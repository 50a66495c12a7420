//! The keys that sign tokens: how one follows another, and how one dies before
//! its time.

use std::collections::BTreeSet;

use muster_proto::v1::{
    ListSigningKeysRequest, RevokeSigningKeyRequest, RotateSigningKeyRequest, SigningKey,
    signing_key::State,
};
use muster_tests::{
    grpc::Grpc,
    jws::{read, verifies},
    runtime::wait,
    server::Server,
    service::Service,
    soon::wait_within,
    vault,
};
use tonic::{Code, Status};

use super::{ELSEWHERE, World, ahead, issue::jwks, refused};

fn list(grpc: &Grpc) -> Vec<SigningKey> {
    let found = wait(grpc.keys().list_signing_keys(ListSigningKeysRequest {}));
    found.expect("keys").into_inner().keys
}

fn rotate(grpc: &Grpc, algorithm: &str) -> Result<SigningKey, Status> {
    let request = RotateSigningKeyRequest {
        algorithm: algorithm.to_owned(),
        options: None,
    };
    let answer = wait(grpc.keys().rotate_signing_key(request))?;
    Ok(answer.into_inner().key.expect("the key"))
}

fn revoke(grpc: &Grpc, kid: &str) -> Result<SigningKey, Status> {
    let request = RevokeSigningKeyRequest {
        kid: kid.to_owned(),
        reason: "it leaked".to_owned(),
        options: None,
    };
    let answer = wait(grpc.keys().revoke_signing_key(request))?;
    Ok(answer.into_inner().key.expect("the key"))
}

#[track_caller]
fn state(grpc: &Grpc, kid: &str) -> State {
    let keys = list(grpc);
    let key = keys.iter().find(|key| key.kid == kid);
    key.expect("it is listed").state()
}

#[track_caller]
fn published(grpc: &Grpc) -> BTreeSet<String> {
    let (set, _) = jwks(grpc);
    let keys = set["keys"].as_array().expect("a list").iter();
    let kids = keys.filter_map(|key| key["kid"].as_str());
    kids.map(str::to_owned).collect()
}

/// A server that keeps its keys, and one whose keys live as long as it does.
fn both() -> [(Server, bool); 2] {
    let plain = super::super::launch().start();
    let sealed = vault::sealed(super::super::launch()).start();
    [(plain, false), (sealed, true)]
}

#[test]
fn a_key_is_published_before_it_signs() {
    for (server, stored) in both() {
        let world = World::on(&server);
        let user = world.scim.user("ada");
        let first = world.issue(&user);
        let keys = list(&world.grpc);
        let current = keys.iter().find(|key| key.kid == first.kid);
        let current = current.expect("it is listed");
        assert_eq!((current.state(), current.stored), (State::Signing, stored));
        assert_eq!(current.algorithm, "EdDSA");

        let next = rotate(&world.grpc, "ES256").expect("rotated");
        assert_eq!((next.state(), next.stored), (State::Published, stored));
        assert_eq!(next.algorithm, "ES256");
        let from = next.sign_from.expect("always set").seconds;
        assert!((ahead(590).seconds..=ahead(601).seconds).contains(&from));
        assert!(published(&world.grpc).is_superset(&[first.kid.clone(), next.kid.clone()].into()));
        let listed = list(&world.grpc);
        let before = listed.iter().find(|key| key.kid == first.kid);
        let before = before.expect("it is listed");
        assert_eq!(before.sign_until.map(|at| at.seconds), Some(from));
        let verify = before.verify_until.expect("it ends").seconds;
        assert!(verify >= from + 3_600, "its last token ends first");
        // It signs nothing until all verifiers know it.
        let second = world.issue(&user);
        assert_eq!(second.kid, first.kid);
        for token in [&first, &second] {
            assert!(world.is_active(&token.access_token));
        }
        let again = rotate(&world.grpc, "");
        let _ = refused(again, Code::FailedPrecondition, "KEY_STATE");
        let unknown = rotate(&world.grpc, "RS256");
        let _ = refused(unknown, Code::InvalidArgument, "FIELD_INVALID");
    }
}

#[test]
fn what_a_revoked_key_signed_is_dead_at_once() {
    for (server, _) in both() {
        let world = World::on(&server);
        let user = world.scim.user("ada");
        let old = world.issue(&user);
        let (_, stored) = world.personal(&user);
        assert!(world.is_active(&old.access_token));
        let next = rotate(&world.grpc, "ES256").expect("rotated");
        let own = world.grpc.clone();
        let revoked = revoke(&own, &old.kid).expect("revoked");
        assert_eq!(revoked.state(), State::Revoked);
        // The caller's own token was signed with it, too.
        let answer = wait(own.keys().list_signing_keys(ListSigningKeysRequest {}));
        let _ = refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
        let grpc = world.service.grpc();
        assert!(!super::is_active(&grpc, &old.access_token));
        assert!(super::is_active(&grpc, &stored), "it was not signed");
        assert!(!published(&grpc).contains(&old.kid));
        assert_eq!(state(&grpc, &old.kid), State::Revoked);
        // The one that was published signs at once: verifiers know it.
        let world = World { grpc, ..world };
        let new = world.issue(&user);
        assert_eq!(new.kid, next.kid);
        assert_eq!(state(&world.grpc, &new.kid), State::Signing);
        let (header, _) = read(&new.access_token);
        assert_eq!(header["alg"], "ES256");
        let (set, _) = jwks(&world.grpc);
        assert!(verifies(&new.access_token, &set));
        assert!(world.is_active(&new.access_token));
        // Again, which changes nothing; and the one that signs, without a next one.
        assert!(revoke(&world.grpc, &old.kid).is_ok());
        revoke(&world.grpc, &new.kid).expect("revoked");
        let grpc = world.service.grpc();
        let world = World { grpc, ..world };
        let third = world.issue(&user);
        assert!(![&old.kid, &new.kid].contains(&&third.kid));
        assert!(world.is_active(&third.access_token));
        for kid in ["", "nobody", "\0"] {
            let answer = revoke(&world.grpc, kid);
            let _ = refused(answer, Code::NotFound, "KEY_NOT_FOUND");
        }
    }
}

#[test]
fn a_command_revokes_a_key_within_a_second() {
    for (server, sealed) in both() {
        let world = World::on(&server);
        let user = world.scim.user("ada");
        let token = world.issue(&user);
        let grpc = world.grpc.clone();
        let admin = match sealed {
            true => vault::admin(&server),
            false => server.admin(),
        };
        let told = admin.json(&["key", "revoke", "--kid", &token.kid]);
        let ask = || wait(grpc.keys().list_signing_keys(ListSigningKeysRequest {}));
        wait_within(ELSEWHERE, "the key to be dead", || ask().is_err());
        assert_eq!(told["state"], "revoked", "{told}");
        let grpc = world.service.grpc();
        assert!(!super::is_active(&grpc, &token.access_token));
        let listed = admin.json(&["key", "list"]);
        let keys = listed.as_array().expect("a list").iter();
        let states: Vec<_> = keys
            .filter(|key| key["kid"] == token.kid.as_str())
            .map(|key| &key["state"])
            .collect();
        assert_eq!(states, ["revoked"]);
        assert!(!listed.to_string().contains("v1."), "{listed}");
    }
}

#[test]
fn a_command_makes_the_next_key_where_keys_are_kept() {
    let [(plain, _), (sealed, _)] = both();
    let outcome = plain.admin().run(&["key", "rotate"]).code(1);
    assert!(outcome.stderr().contains("restart"), "{outcome:?}");
    let told = vault::admin(&sealed).json(&["key", "rotate", "--algorithm", "ES256"]);
    assert_eq!(told["state"], "published", "{told}");
    let kid = told["kid"].as_str().expect("a kid").to_owned();
    let grpc = Grpc::new(sealed.grpc(), None);
    wait_within(ELSEWHERE, "the key to be published", || {
        published(&grpc).contains(&kid)
    });
    let outcome = vault::admin(&sealed).run(&["key", "rotate"]).code(1);
    assert!(outcome.stderr().contains("published"), "{outcome:?}");
}

#[test]
fn keys_are_the_servers_and_not_a_tenants() {
    let server = super::super::server();
    let world = super::world();
    let scopes = muster_tests::service::all_scopes();
    let others: Vec<_> = scopes
        .iter()
        .filter(|scope| *scope != "keys.admin")
        .collect();
    let others: Vec<_> = others.into_iter().map(String::as_str).collect();
    let service = Service::create(server, &world.tenant, &others.join(","));
    let answers = [
        rotate(&service.grpc(), "").map(|_| ()),
        revoke(&service.grpc(), "nobody").map(|_| ()),
    ];
    for answer in answers {
        let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    }
}
