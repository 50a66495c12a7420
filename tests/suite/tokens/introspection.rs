//! What is said of tokens (RFC 7662).

use muster_proto::v1::{self, IssueUserTokenRequest, TokenKind};
use muster_tests::{
    jws::{Signer, message, read},
    oauth::{Client, access_token},
    scim::USER,
    server::Server,
    service::{API, OTHER_API, Service},
};
use serde_json::json;

use super::{ahead, ask, introspect, personal, says_nothing, seconds, try_personal, wanted, world};

fn server() -> &'static Server {
    super::super::server()
}

#[test]
fn a_signed_token_of_a_user_is_described() {
    let world = world();
    let user = json!({"schemas": [USER], "userName": "Ada", "displayName": "Ada Lovelace"});
    let user = world.scim.post("/Users", &user).status(201).id();
    let issued = world.try_issue(IssueUserTokenRequest {
        scopes: vec!["read".to_owned()],
        ..wanted(&user)
    });
    let issued = issued.expect("a token");
    let (_, claims) = read(&issued.access_token);
    let time = |name: &str| {
        let seconds = claims[name].as_i64().expect("a number");
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    };
    let expected = v1::IntrospectTokenResponse {
        active: true,
        kind: TokenKind::UserAccess.into(),
        sub: user,
        username: "Ada".to_owned(),
        client_id: world.service.id.clone(),
        scopes: vec!["read".to_owned()],
        audiences: vec![API.to_owned()],
        issuer: claims["iss"].as_str().unwrap_or_default().to_owned(),
        jti: issued.jti,
        issue_time: time("iat"),
        expire_time: time("exp"),
        cache_ttl: seconds(30),
        ..Default::default()
    };
    // From the database, and from what is remembered.
    for _ in 0..2 {
        assert_eq!(world.introspect(&issued.access_token), expected);
    }
}

#[test]
fn a_personal_token_is_described() {
    let world = world();
    let user = world.scim.user("ada");
    let made = try_personal(&world.grpc, personal(&user)).expect("a token");
    let token = made.token.expect("the token");
    let expected = v1::IntrospectTokenResponse {
        active: true,
        kind: TokenKind::PersonalAccess.into(),
        sub: user,
        username: "ada".to_owned(),
        scopes: vec!["read".to_owned()],
        audiences: vec![API.to_owned()],
        jti: token.id,
        issue_time: token.create_time,
        expire_time: token.expire_time,
        cache_ttl: seconds(30),
        ..Default::default()
    };
    for _ in 0..2 {
        assert_eq!(world.introspect(&made.secret), expected);
    }
}

#[test]
fn tokens_for_the_directory_are_described_to_those_who_name_it() {
    let world = world();
    let client = Client::create(server(), &world.tenant);
    let access = access_token(&client.trade(&client.secret));
    let tenant = &world.tenant;
    let directory = format!("muster:directory:{}", tenant.id);
    let connection = format!("muster:scim:{}", tenant.id);
    let service = world.service.token_with(&["users.list"]);
    for (token, audience, kind, sub) in [
        (&service, &directory, TokenKind::Service, &world.service.id),
        (&access, &connection, TokenKind::ScimCredential, &client.id),
        (
            &tenant.token,
            &connection,
            TokenKind::ScimCredential,
            &tenant.credential_id,
        ),
    ] {
        // It is for nobody whom the caller speaks for.
        says_nothing(&world.introspect(token));
        says_nothing(&ask(&world.grpc, token, API, &[]));
        let said = ask(&world.grpc, token, audience, &["users.list"]);
        assert!(said.active, "{kind:?}");
        assert_eq!(said.kind(), kind);
        assert_eq!((&said.sub, &said.client_id), (sub, sub));
        assert_eq!(said.audiences, [audience.as_str()]);
        says_nothing(&ask(&world.grpc, token, audience, &["keys.admin"]));
    }
}

#[test]
fn a_token_is_good_for_its_audience_and_its_scopes() {
    let world = world();
    let user = world.scim.user("ada");
    let issued = world.try_issue(IssueUserTokenRequest {
        scopes: vec!["read".to_owned(), "write".to_owned()],
        audiences: vec![API.to_owned(), OTHER_API.to_owned()],
        ..wanted(&user)
    });
    let token = issued.expect("a token").access_token;
    for (audience, scopes, active) in [
        ("", &[][..], true),
        (API, &[], true),
        (OTHER_API, &["read"], true),
        (API, &["write", "read"], true),
        (API, &["read", "admin"], false),
        (API, &["Read"], false),
        (API, &["read write"], false),
        ("https://third.example.test", &[], false),
        ("https://api.example.test/", &[], false),
    ] {
        let said = ask(&world.grpc, &token, audience, scopes);
        assert_eq!(said.active, active, "{audience} {scopes:?}");
        if !active {
            says_nothing(&said);
        }
    }
    // One who speaks for another audience.
    let more = ["--audiences", "https://third.example.test"];
    let scopes = "tokens.introspect";
    let third = Service::create_with(server(), &world.tenant, scopes, &more);
    says_nothing(&introspect(&third.grpc(), &token));
    let nobody = Service::create_with(server(), &world.tenant, scopes, &[]);
    says_nothing(&introspect(&nobody.grpc(), &token));
    let connection = world.tenant.grpc_may(server(), scopes);
    says_nothing(&introspect(&connection, &token));
    assert!(ask(&connection, &token, API, &[]).active);
}

#[test]
fn of_what_cannot_be_used_nothing_is_said() {
    let world = world();
    let user = world.scim.user("ada");
    let good = world.issue(&user).access_token;
    let (_, personal) = world.personal(&user);
    let client = Client::create(server(), &world.tenant);
    let (header, claims) = read(&good);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let attacker = Signer::ed25519();
    let mut unsigned = header.clone();
    unsigned["alg"] = "none".into();
    let mut cut = personal.clone();
    cut.pop();
    for (what, token) in [
        ("nothing", String::new()),
        ("a space", " ".to_owned()),
        ("a NUL", "\0".to_owned()),
        ("nonsense", "nonsense".to_owned()),
        ("letters of others", "\u{e9}\u{4e2d}".to_owned()),
        ("dots", "..".to_owned()),
        ("no JSON", "a.b.c".to_owned()),
        ("20 KiB", "x".repeat(20 * 1_024)),
        ("a MiB", "x".repeat(1_024 * 1_024)),
        ("another key under our kid", attacker.sign(&header, &claims)),
        ("an unknown key", attacker.sign(&attacker.header(), &claims)),
        ("no signature", format!("{signed}.")),
        ("alg none", format!("{}.", message(&unsigned, &claims))),
        ("half a signature", format!("{signed}.{}", &signature[..20])),
        ("something before it", format!(" {good}")),
        ("its scheme before it", format!("Bearer {good}")),
        ("half a personal token", cut),
        ("another kind of token", personal.replace("musp_", "musc_")),
        ("an OAuth client's secret", client.secret),
        ("an assertion", world.service.assertion(&json!({}))),
        ("an id", user.clone()),
    ] {
        let said = world.introspect(&token);
        assert!(!said.active, "{what}");
        says_nothing(&said);
    }
    assert!(world.is_active(&good) && world.is_active(&personal));
}

#[test]
fn another_tenants_tokens_are_nobodys() {
    let (ours, theirs) = (world(), world());
    let user = theirs.scim.user("ada");
    let tokens = [theirs.issue(&user).access_token, theirs.personal(&user).1];
    for token in tokens {
        // Remembered or not.
        says_nothing(&ours.introspect(&token));
        assert!(theirs.is_active(&token));
        says_nothing(&ours.introspect(&token));
    }
}

#[test]
fn an_answer_is_kept_no_longer_than_its_token_lives() {
    let world = world();
    let user = world.scim.user("ada");
    let issued = world.try_issue(IssueUserTokenRequest {
        lifetime: seconds(5),
        ..wanted(&user)
    });
    let said = world.introspect(&issued.expect("a token").access_token);
    let ttl = said.cache_ttl.expect("always set").seconds;
    assert!((0..=5).contains(&ttl), "{ttl}");
    let made = v1::CreatePersonalAccessTokenRequest {
        expire_time: Some(ahead(4)),
        ..personal(&user)
    };
    let made = try_personal(&world.grpc, made).expect("a token");
    let said = world.introspect(&made.secret);
    let ttl = said.cache_ttl.expect("always set").seconds;
    assert!((0..=4).contains(&ttl), "{ttl}");
}

#[test]
fn a_token_is_described_by_the_name_that_its_user_has_now() {
    let world = world();
    let user = world.scim.user("ada");
    let tokens = [world.issue(&user).access_token, world.personal(&user).1];
    let named = |name: &str| {
        for token in &tokens {
            assert_eq!(world.introspect(token).username, name);
        }
    };
    named("ada");
    let rename = json!([{"op": "replace", "path": "userName", "value": "countess"}]);
    let path = format!("/Users/{user}");
    let _ = world.scim.patch(&path, &rename).status(200);
    named("countess");
}
