//! Personal access tokens, and what is done with stored tokens: rotation, lists.

use std::collections::BTreeSet;

use muster_proto::v1::{
    Actor, CreatePersonalAccessTokenRequest, GetTokenRequest, ListTokensRequest,
    ListTokensResponse, PageRequest, RotateTokenRequest, RotateTokenResponse, Token, TokenKind,
    actor, revoke_token_request::Target,
};
use muster_tests::{
    issuer::Issuer,
    oauth::{Client, access_token},
    runtime::wait,
    service::{API, Service},
    soon::wait_until,
    tenant::text,
};
use tonic::{Code, Status};

use super::{World, ahead, personal, refused, seconds, try_personal, world};

fn rotate(world: &World, id: &str, overlap: i64) -> Result<RotateTokenResponse, Status> {
    let request = RotateTokenRequest {
        id: id.to_owned(),
        overlap: seconds(overlap),
        expire_time: None,
        options: None,
    };
    Ok(wait(world.grpc.tokens().rotate_token(request))?.into_inner())
}

fn try_list(world: &World, request: ListTokensRequest) -> Result<ListTokensResponse, Status> {
    Ok(wait(world.grpc.tokens().list_tokens(request))?.into_inner())
}

#[track_caller]
fn list(world: &World, request: ListTokensRequest) -> Vec<Token> {
    try_list(world, request).expect("a list").tokens
}

#[track_caller]
fn get(world: &World, id: &str) -> Token {
    let request = GetTokenRequest { id: id.to_owned() };
    let found = wait(world.grpc.tokens().get_token(request));
    found.expect("a token").into_inner().token.expect("it")
}

#[test]
fn a_personal_token_is_shown_once_and_described_for_good() {
    let world = world();
    let user = world.scim.user("ada");
    let made = try_personal(&world.grpc, personal(&user)).expect("a token");
    assert!(made.secret.starts_with("musp_"), "a prefix of its own");
    assert!(made.written_at.is_some());
    let token = made.token.expect("the token");
    let (prefix, secret) = made.secret.split_at(16);
    assert_eq!(token.display_prefix, prefix);
    let service_client = actor::Actor::ServiceClientId(world.service.id.clone());
    let expected = Token {
        kind: TokenKind::PersonalAccess.into(),
        user_id: user.clone(),
        name: "laptop".to_owned(),
        scopes: vec!["read".to_owned()],
        audiences: vec![API.to_owned()],
        created_by: Some(Actor {
            actor: Some(service_client),
        }),
        id: token.id.clone(),
        display_prefix: token.display_prefix.clone(),
        create_time: token.create_time,
        expire_time: token.expire_time,
        ..Default::default()
    };
    assert_eq!(token, expected);
    assert_eq!(get(&world, &token.id), token);
    assert!(!format!("{:?}", get(&world, &token.id)).contains(secret));
}

#[test]
fn a_personal_token_breaks_no_rule() {
    let world = world();
    let user = world.scim.user("ada");
    let year = 366 * 24 * 3_600;
    let with = |change: fn(&mut CreatePersonalAccessTokenRequest)| {
        let mut request = personal(&user);
        change(&mut request);
        try_personal(&world.grpc, request)
    };
    let last = CreatePersonalAccessTokenRequest {
        expire_time: Some(ahead(year - 60)),
        ..personal(&user)
    };
    assert!(try_personal(&world.grpc, last).is_ok());
    let late = CreatePersonalAccessTokenRequest {
        expire_time: Some(ahead(year + 60)),
        ..personal(&user)
    };
    let answer = try_personal(&world.grpc, late);
    let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    let wrong: [fn(&mut CreatePersonalAccessTokenRequest); 7] = [
        |request| request.expire_time = Some(ahead(-1)),
        |request| request.expire_time = Some(ahead(i64::MAX / 2)),
        |request| request.name = String::new(),
        |request| request.name = "x".repeat(201),
        |request| request.name = "a\nb".to_owned(),
        |request| request.audiences = Vec::new(),
        |request| request.scopes = vec!["a b".to_owned()],
    ];
    for change in wrong {
        let _ = refused(with(change), Code::InvalidArgument, "FIELD_INVALID");
    }
    let endless = with(|request| request.expire_time = None);
    let why = "REQUIRED_ATTRIBUTE_MISSING";
    let _ = refused(endless, Code::InvalidArgument, why);
    let nobodys = with(|request| request.user_id = "nobody".to_owned());
    let _ = refused(nobodys, Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn a_personal_token_ends_when_it_was_said_to() {
    let world = world();
    let user = world.scim.user("ada");
    let request = CreatePersonalAccessTokenRequest {
        expire_time: Some(ahead(2)),
        ..personal(&user)
    };
    let made = try_personal(&world.grpc, request).expect("a token");
    assert!(world.is_active(&made.secret));
    wait_until("the end of the token", || !world.is_active(&made.secret));
    let id = made.token.expect("the token").id;
    let _ = refused(
        rotate(&world, &id, 0),
        Code::FailedPrecondition,
        "TOKEN_STATE",
    );
}

#[test]
fn a_new_secret_replaces_the_old_one_at_once_or_later() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, first) = world.personal(&user);
    let rotated = rotate(&world, &id, 0).expect("rotated");
    let token = rotated.token.expect("the token");
    assert_eq!(token.id, id);
    assert!(rotated.secret.starts_with(&token.display_prefix));
    assert!(token.previous_secret_expire_time.is_none());
    assert!(!world.is_active(&first) && world.is_active(&rotated.secret));

    let third = rotate(&world, &id, 3_600).expect("rotated");
    let until = third.token.expect("the token").previous_secret_expire_time;
    let until = until.expect("both work").seconds;
    assert!((ahead(3_590).seconds..=ahead(3_601).seconds).contains(&until));
    assert_eq!(
        get(&world, &id)
            .previous_secret_expire_time
            .map(|t| t.seconds),
        Some(until)
    );
    assert!(world.is_active(&rotated.secret) && world.is_active(&third.secret));
    assert!(!world.is_active(&first), "what is dead stays dead");

    let fourth = rotate(&world, &id, 2).expect("rotated");
    for secret in [&rotated.secret, &third.secret, &fourth.secret] {
        assert!(world.is_active(secret));
    }
    wait_until("the end of the overlap", || {
        !world.is_active(&third.secret) && !world.is_active(&rotated.secret)
    });
    assert!(world.is_active(&fourth.secret));
    // One revocation ends all secrets.
    let fifth = rotate(&world, &id, 3_600).expect("rotated");
    world
        .revoke(Target::Token(fourth.secret.clone()))
        .expect("revoked");
    assert!(!world.is_active(&fourth.secret) && !world.is_active(&fifth.secret));
    let _ = refused(
        rotate(&world, &id, 0),
        Code::FailedPrecondition,
        "TOKEN_STATE",
    );
}

#[test]
fn a_rotation_breaks_no_rule() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, secret) = world.personal(&user);
    for overlap in [-1, 7 * 24 * 3_600 + 1] {
        let answer = rotate(&world, &id, overlap);
        let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    }
    for id in ["", "nobody", "\0"] {
        let answer = rotate(&world, id, 0);
        let _ = refused(answer, Code::NotFound, "TOKEN_NOT_FOUND");
    }
    let expiring = |at| {
        let request = RotateTokenRequest {
            id: id.clone(),
            overlap: None,
            expire_time: Some(ahead(at)),
            options: None,
        };
        wait(world.grpc.tokens().rotate_token(request))
    };
    // 366 days is the longest, as when it is made.
    for at in [-1, 367 * 24 * 3_600] {
        let _ = refused(expiring(at), Code::InvalidArgument, "FIELD_INVALID");
    }
    assert!(world.is_active(&secret), "nothing happened");
    let rotated = expiring(60).expect("rotated").into_inner();
    let end = rotated.token.expect("the token").expire_time;
    assert!(end.is_some_and(|end| end.seconds <= ahead(61).seconds));
    assert_eq!(get(&world, &id).expire_time, end);
}

#[test]
fn credentials_of_connections_rotate_with_an_overlap() {
    let server = super::super::server();
    let world = world();
    let tenant = &world.tenant;
    let good = |token: &str| tenant.scim_with(token).get("/Users").code() == 200;
    let rotated = rotate(&world, &tenant.credential_id, 3_600).expect("rotated");
    assert!(good(&tenant.token) && good(&rotated.secret));
    let rotated = rotate(&world, &tenant.credential_id, 0).expect("rotated");
    assert!(!good(&tenant.token) && good(&rotated.secret));

    // The same by command, which counts here within a second.
    let by_command = |overlap: &str| {
        let id = &tenant.credential_id;
        let arguments = ["credential", "rotate", "--id", id, "--overlap", overlap];
        let rotated = server
            .admin()
            .json(&[&arguments[..], &["--tenant", &tenant.id]].concat());
        assert_eq!(text(&rotated, "id"), *id);
        let until = rotated["previous_secret_expires_at"].is_string();
        (text(&rotated, "secret"), until)
    };
    let (second, overlaps) = by_command("24h");
    assert!(overlaps && good(&second) && good(&rotated.secret));
    let (third, overlaps) = by_command("0s");
    assert!(!overlaps && good(&third));
    wait_until("the end of the former", || !good(&second));
    assert!(!good(&rotated.secret));

    let client = Client::create(server, tenant);
    let new = rotate(&world, &client.id, 3_600).expect("rotated").secret;
    for secret in [&client.secret, &new] {
        assert!(good(&access_token(&client.trade(secret))));
    }
    let newest = rotate(&world, &client.id, 0).expect("rotated").secret;
    for (secret, code) in [(&client.secret, 401), (&new, 401), (&newest, 200)] {
        assert_eq!(client.trade(secret).code(), code);
    }
}

#[test]
fn a_federated_credential_has_no_secret_to_rotate() {
    let server = super::super::server();
    let world = world();
    let issuer = Issuer::shared().url();
    let client = Client::federated(server, &world.tenant, issuer);
    let answer = rotate(&world, &client.id, 0);
    let _ = refused(answer, Code::FailedPrecondition, "TOKEN_STATE");
    let id = ["credential", "rotate", "--id", &client.id];
    let id = [&id[..], &["--tenant", &world.tenant.id]].concat();
    let outcome = server.admin().run(&id).code(1);
    assert!(outcome.stderr().contains("no secret"), "{outcome:?}");
}

#[test]
fn secrets_are_for_those_who_could_have_made_the_token() {
    let server = super::super::server();
    let world = world();
    let user = world.scim.user("ada");
    let (id, _) = world.personal(&user);
    let options = ["--audiences", "https://third.example.test"];
    let service = Service::create_with(server, &world.tenant, "tokens.write", &options);
    let narrow = service.grpc();
    for id in [&id, &world.tenant.credential_id] {
        let request = RotateTokenRequest {
            id: id.clone(),
            ..Default::default()
        };
        let answer = wait(narrow.tokens().rotate_token(request));
        let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    }
    let _ = world.tenant.scim().get("/Users").status(200);
}

#[test]
fn stored_tokens_are_listed_by_what_they_are() {
    let server = super::super::server();
    let world = world();
    let (ada, bob) = (world.scim.user("ada"), world.scim.user("bob"));
    let (first, _) = world.personal(&ada);
    let (second, _) = world.personal(&bob);
    let short = CreatePersonalAccessTokenRequest {
        expire_time: Some(ahead(60)),
        ..personal(&ada)
    };
    let short = try_personal(&world.grpc, short).expect("a token");
    let short = short.token.expect("the token").id;
    let (gone, _) = world.personal(&ada);
    world.revoke(Target::Id(gone.clone())).expect("revoked");
    let (other, bearer, _) = world.tenant.connection(server, "other");
    let own = &world.tenant.credential_id;
    let check = |request: ListTokensRequest, expected: &[&String]| {
        let tokens = list(&world, request);
        let ids: Vec<_> = tokens.iter().map(|token| &token.id).collect();
        assert_eq!(ids, expected);
    };
    let all = ListTokensRequest::default;
    // In the order of creation.
    check(all(), &[own, &first, &second, &short, &bearer]);
    let with_revoked = ListTokensRequest {
        show_revoked: true,
        ..all()
    };
    check(
        with_revoked,
        &[own, &first, &second, &short, &gone, &bearer],
    );
    let of_ada = ListTokensRequest {
        user_id: ada.clone(),
        ..all()
    };
    check(of_ada.clone(), &[&first, &short]);
    let of_ada = ListTokensRequest {
        show_revoked: true,
        expires_before: Some(ahead(600)),
        ..of_ada
    };
    check(of_ada, &[&short]);
    let kind = |kind: TokenKind| ListTokensRequest {
        kind: kind.into(),
        ..all()
    };
    check(kind(TokenKind::PersonalAccess), &[&first, &second, &short]);
    check(kind(TokenKind::ScimCredential), &[own, &bearer]);
    let of_other = ListTokensRequest {
        connection_id: other,
        ..all()
    };
    check(of_other, &[&bearer]);
    let of_nobody = ListTokensRequest {
        user_id: "nobody\0".to_owned(),
        ..all()
    };
    check(of_nobody, &[]);
    for unstored in [TokenKind::UserAccess, TokenKind::Service] {
        let answer = try_list(&world, kind(unstored));
        let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    }
}

#[test]
fn lists_of_tokens_have_pages() {
    let world = world();
    let user = world.scim.user("ada");
    for _ in 0..5 {
        world.personal(&user);
    }
    let page = |size: i32, token: &str| PageRequest {
        page_size: size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    let of_user = |page: PageRequest| ListTokensRequest {
        user_id: user.clone(),
        page: Some(page),
        ..Default::default()
    };
    let (mut seen, mut next, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let found = try_list(&world, of_user(page(2, &next))).expect("a page");
        pages += 1;
        for token in found.tokens {
            assert!(seen.insert(token.id), "no token comes twice");
        }
        next = found.page.expect("always set").next_page_token;
        if next.is_empty() {
            break;
        }
        // The place in a list belongs to it alone.
        let other = ListTokensRequest {
            page: Some(page(2, &next)),
            ..Default::default()
        };
        let answer = try_list(&world, other);
        let _ = refused(answer, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    }
    assert_eq!((seen.len(), pages), (5, 3));
    let answer = try_list(&world, of_user(page(2, "nonsense")));
    let _ = refused(answer, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let counted = PageRequest {
        include_total_size: true,
        ..Default::default()
    };
    let answer = try_list(&world, of_user(counted));
    let _ = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
}
