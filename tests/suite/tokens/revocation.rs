//! The end of tokens that somebody asks for.

use muster_proto::v1::{
    ChangeFilter, GetTokenRequest, ListAuditEntriesRequest, RevokeAllUserTokensRequest,
    RevokeAllUserTokensResponse, RevokeTokenRequest, RotateTokenRequest,
    revoke_token_request::Target,
};
use muster_tests::{
    feed::Watch,
    grpc::Grpc,
    jws::read,
    oauth::{Client, access_token},
    runtime::wait,
};
use prost_types::Timestamp;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{World, ahead, refused, world};

const NOBODYS: &str = "0190a5c1-0000-7000-8000-000000000000";

fn sign_out(
    world: &World,
    request: RevokeAllUserTokensRequest,
) -> Result<RevokeAllUserTokensResponse, Status> {
    Ok(wait(world.grpc.tokens().revoke_all_user_tokens(request))?.into_inner())
}

fn all_of(user: &str) -> RevokeAllUserTokensRequest {
    RevokeAllUserTokensRequest {
        user_id: user.to_owned(),
        ..Default::default()
    }
}

#[test]
fn a_token_ends_by_its_id_its_value_or_its_jti() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, by_id) = world.personal(&user);
    let (_, by_value) = world.personal(&user);
    let signed = world.issue(&user).access_token;
    let named = world.issue(&user);
    let (_, other) = world.personal(&user);
    let others = world.issue(&user).access_token;
    let ends = [
        (Target::Id(id), by_id),
        (Target::Token(by_value.clone()), by_value),
        (Target::Token(signed.clone()), signed),
        (Target::Jti(named.jti), named.access_token),
    ];
    for (target, token) in ends {
        assert!(world.is_active(&token), "{target:?}");
        let ended = world.revoke(target.clone()).expect("revoked");
        assert!(ended.changed && ended.written_at.is_some(), "{target:?}");
        assert!(!world.is_active(&token), "{target:?}");
        let again = world.revoke(target.clone()).expect("it stays so");
        assert!(!again.changed && again.written_at.is_none(), "{target:?}");
    }
    assert!(world.is_active(&other) && world.is_active(&others));
}

#[test]
fn what_is_unknown_cannot_end() {
    let world = world();
    for target in [
        Target::Token("nonsense".to_owned()),
        Target::Token(String::new()),
        Target::Token("x".repeat(20 * 1_024)),
        Target::Token("a.b.c".to_owned()),
        Target::Jti(String::new()),
        Target::Jti("x".to_owned()),
        // Not one of ours, and one of long ago.
        Target::Jti(Uuid::new_v4().to_string()),
        Target::Jti(NOBODYS.to_owned()),
    ] {
        let ended = world.revoke(target.clone()).expect("that is no error");
        assert!(!ended.changed, "{target:?}");
    }
    for id in [NOBODYS, "", "\0", "x"] {
        let answer = world.revoke(Target::Id(id.to_owned()));
        let _ = refused(answer, Code::NotFound, "TOKEN_NOT_FOUND");
    }
    let request = RevokeTokenRequest::default();
    let answer = wait(world.grpc.tokens().revoke_token(request));
    let why = "REQUIRED_ATTRIBUTE_MISSING";
    let _ = refused(answer, Code::InvalidArgument, why);
}

#[test]
fn credentials_and_service_tokens_end_the_same_way() {
    let server = super::super::server();
    let world = world();
    let tenant = &world.tenant;
    let client = Client::create(server, tenant);
    let access = access_token(&client.trade(&client.secret));
    let (id, bearer) = tenant.credential(server, "entra", &[]);
    let (_, leaked) = tenant.credential(server, "entra", &[]);
    for (target, token) in [
        (Target::Id(id), &bearer),
        (Target::Token(leaked.clone()), &leaked),
        (Target::Token(access.clone()), &access),
    ] {
        let scim = tenant.scim_with(token);
        let _ = scim.get("/Users").status(200);
        assert!(world.revoke(target).expect("revoked").changed);
        let _ = scim.get("/Users").scim_error(401, None);
    }
    // Of an OAuth client, one access token ended, not the client.
    let again = access_token(&client.trade(&client.secret));
    let _ = tenant.scim_with(&again).get("/Users").status(200);
    let ended = world.revoke(Target::Token(client.secret.clone()));
    assert!(ended.expect("revoked").changed);
    assert_eq!(client.trade(&client.secret).code(), 401);
    let _ = tenant.scim_with(&again).get("/Users").scim_error(401, None);

    let token = world.service.token();
    let grpc = Grpc::new(server.grpc(), Some(&token));
    let ask = || {
        let id = client.id.clone();
        wait(grpc.tokens().get_token(GetTokenRequest { id }))
    };
    let revoked = ask().expect("let in").into_inner().token;
    let revoked = revoked.expect("it is listed for good");
    assert!(revoked.revoke_time.is_some(), "{revoked:?}");
    assert!(world.revoke(Target::Token(token)).expect("revoked").changed);
    let _ = refused(ask(), Code::Unauthenticated, "CREDENTIAL_INVALID");
    // The client is as it was.
    assert!(world.revoke(Target::Id(client.id.clone())).is_ok());
}

#[test]
fn reasons_are_kept_and_short() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, _) = world.personal(&user);
    let revoke = |reason: String| {
        let request = RevokeTokenRequest {
            target: Some(Target::Id(id.clone())),
            reason,
            options: None,
        };
        wait(world.grpc.tokens().revoke_token(request))
    };
    for reason in ["x".repeat(201), "a\nb".to_owned()] {
        let _ = refused(revoke(reason), Code::InvalidArgument, "FIELD_INVALID");
    }
    revoke(" left in a taxi ".to_owned()).expect("revoked");
    let found = wait(world.grpc.tokens().get_token(GetTokenRequest { id }));
    let token = found.expect("it stays").into_inner().token.expect("it");
    assert_eq!(token.revoke_reason, "left in a taxi");
    assert!(token.revoke_time.is_some());
}

#[test]
fn all_tokens_of_a_user_end_together() {
    let world = world();
    let (user, other) = (world.scim.user("ada"), world.scim.user("bob"));
    let signed = world.issue(&user).access_token;
    let stored = [world.personal(&user).1, world.personal(&user).1];
    let others = [world.issue(&other).access_token, world.personal(&other).1];
    let done = sign_out(&world, all_of(&user)).expect("signed out");
    assert_eq!(done.revoked_token_count, 2);
    assert!(done.written_at.is_some());
    for token in [&signed, &stored[0], &stored[1]] {
        assert!(!world.is_active(token));
    }
    for token in &others {
        assert!(world.is_active(token));
    }
    // He may act, and so gets new ones at once.
    assert!(world.is_active(&world.issue(&user).access_token));
    assert!(world.is_active(&world.personal(&user).1));
    let nobody = sign_out(&world, all_of(NOBODYS));
    let _ = refused(nobody, Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn tokens_of_the_second_in_which_all_end_are_dead() {
    let world = world();
    let user = world.scim.user("ada");
    for _ in 0..5 {
        let before = world.issue(&user).access_token;
        let done = sign_out(&world, all_of(&user)).expect("signed out");
        let after = world.issue(&user).access_token;
        assert!(!world.is_active(&before));
        assert!(world.is_active(&after));
        let iat = read(&after).1["iat"].as_i64().expect("a number");
        let dead = done.tokens_valid_after.expect("always set").seconds;
        assert!(iat > dead, "{iat} {dead}");
    }
}

#[test]
fn personal_tokens_can_be_kept() {
    let world = world();
    let user = world.scim.user("ada");
    let signed = world.issue(&user).access_token;
    let (_, stored) = world.personal(&user);
    let request = RevokeAllUserTokensRequest {
        keep_personal_access_tokens: true,
        ..all_of(&user)
    };
    let done = sign_out(&world, request).expect("signed out");
    assert_eq!(done.revoked_token_count, 0);
    assert!(!world.is_active(&signed));
    assert!(world.is_active(&stored));
}

#[test]
fn tokens_issued_until_a_moment_end() {
    let world = world();
    let user = world.scim.user("ada");
    let signed = world.issue(&user);
    let iat = read(&signed.access_token).1["iat"].as_i64();
    let iat = iat.expect("a number");
    let at = |seconds: i64| RevokeAllUserTokensRequest {
        not_before: Some(Timestamp { seconds, nanos: 0 }),
        keep_personal_access_tokens: true,
        ..all_of(&user)
    };
    let done = sign_out(&world, at(iat - 1)).expect("signed out");
    assert_eq!(done.tokens_valid_after.map(|at| at.seconds), Some(iat - 1));
    assert!(world.is_active(&signed.access_token));
    assert!(
        sign_out(&world, at(iat))
            .expect("signed out")
            .written_at
            .is_some()
    );
    assert!(!world.is_active(&signed.access_token));
    // What is dead stays dead.
    let earlier = sign_out(&world, at(iat - 100)).expect("that is no error");
    assert_eq!(earlier.tokens_valid_after.map(|at| at.seconds), Some(iat));
    assert!(earlier.written_at.is_none());
    let future = sign_out(&world, at(ahead(60).seconds));
    let _ = refused(future, Code::InvalidArgument, "FIELD_INVALID");
}

#[test]
fn the_audit_tells_what_ended_and_by_whom() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, secret) = world.personal(&user);
    let signed = world.issue(&user);
    world
        .revoke(Target::Token(secret.clone()))
        .expect("revoked");
    world
        .revoke(Target::Token(signed.access_token.clone()))
        .expect("revoked");
    sign_out(&world, all_of(&user)).expect("signed out");
    let request = ListAuditEntriesRequest {
        actor_id: world.service.id.clone(),
        ..Default::default()
    };
    let found = wait(world.grpc.audit().list_audit_entries(request));
    let entries = found.expect("entries").into_inner().entries;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.method.as_str(), entry.resource_id.as_str()))
        .collect();
    let expected = [
        ("RevokeAllUserTokens", user.as_str()),
        ("RevokeToken", &signed.jti),
        ("RevokeToken", &id),
        ("CreatePersonalAccessToken", &id),
    ];
    assert_eq!(told, expected, "the newest first");
    let text = format!("{entries:?}");
    for secret in [&secret, &signed.access_token] {
        assert!(!text.contains(secret.as_str()), "the audit tells a secret");
    }
}

/// Not only when the credential ends behind it.
#[test]
fn an_open_stream_ends_with_what_it_came_with() {
    let server = super::super::server();
    let world = world();
    let open = |token: &str| {
        let grpc = Grpc::new(server.grpc(), Some(token));
        Watch::from_now(&grpc, ChangeFilter::default()).0
    };
    let by_value = world.service.token_with(&["changes.read"]);
    let by_jti = world.service.token_with(&["changes.read"]);
    let jti = read(&by_jti).1["jti"]
        .as_str()
        .expect("it has one")
        .to_owned();
    let scopes = ["--scopes", "changes.read"];
    let (id, rotated) = world.tenant.credential(server, "entra", &scopes);
    let mut untouched = open(&world.service.token_with(&["changes.read"]));
    let mut streams = [&by_value, &by_jti, &rotated].map(|token| open(token));
    for target in [Target::Token(by_value), Target::Jti(jti)] {
        assert!(world.revoke(target).expect("revoked").changed);
    }
    let rotation = RotateTokenRequest {
        id,
        ..Default::default()
    };
    wait(world.grpc.tokens().rotate_token(rotation)).expect("rotated");
    for stream in &mut streams {
        let (status, took) = stream.end();
        assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
        assert!(took.as_secs() < 5, "{took:?}");
    }
    let _ = untouched.message();
}
