//! Service clients: how they are registered, what proves them, and how they end.

use std::os::unix::fs::PermissionsExt as _;

use muster_proto::v1::{
    CreateServiceClientRequest, DisableServiceClientRequest, EnableServiceClientRequest,
    GetJwksRequest, ListServiceClientsRequest, ListUsersRequest, PageRequest, ServiceClient,
};
use muster_tests::{
    cli,
    generic::Face,
    grpc::Grpc,
    issuer::now_s,
    jws::{Signer, macked, message, public_bytes, read},
    runtime::wait,
    service::{API, OTHER_API, Service, trade},
    soon::wait_within,
    tenant::text,
};
use serde_json::{Value, json};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{ELSEWHERE, World, about, refused, world};

fn create(world: &World, client: ServiceClient) -> Result<ServiceClient, Status> {
    let request = CreateServiceClientRequest {
        client: Some(client),
        options: None,
    };
    let created = wait(world.grpc.admin().create_service_client(request))?;
    Ok(created.into_inner().client.expect("the client"))
}

/// A client that is to be registered with this key.
fn registration(key: &Signer) -> ServiceClient {
    ServiceClient {
        display_name: format!("service-{}", Uuid::new_v4().simple()),
        scopes: vec!["users.list".to_owned()],
        jwks_json: key.jwks().into_bytes(),
        ..Default::default()
    }
}

fn lists_users(grpc: &Grpc) -> Result<(), Status> {
    let listed = wait(grpc.users().list_users(ListUsersRequest::default()));
    listed.map(|_| ())
}

#[test]
fn a_client_gets_tokens_with_its_key() {
    let server = super::super::server();
    let world = world();
    let service = Service::create(server, &world.tenant, "users.list,groups.read");
    let file = std::fs::metadata(service.file()).expect("the key's file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let token = service.token();
    let (header, claims) = read(&token);
    assert_eq!(header["typ"], "at+jwt");
    let iat = claims["iat"].as_i64().expect("a number");
    let expected = json!({
        "iss": claims["iss"], "sub": service.id, "client_id": service.id,
        "aud": format!("muster:directory:{}", world.tenant.id), "tid": world.tenant.id,
        "scope": "users.list groups.read", "iat": iat, "exp": iat + 900, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    lists_users(&Grpc::new(server.grpc(), Some(&token))).expect("let in");
    // Some of its scopes, by request and by command.
    let path = service.file().to_str().expect("a plain path");
    let arguments = ["client", "token", "--key", path, "--scopes", "groups.read"];
    let url = ["--directory-url", server.grpc(), "--json"];
    let binary = server.launch().binary();
    let told = cli::run(binary, &[&arguments[..], &url].concat()).code(0);
    let told = told.json();
    assert_eq!(
        (&told["scope"], &told["token_type"]),
        (&json!("groups.read"), &json!("Bearer"))
    );
    assert_eq!(told["expires_in"], 900);
    let narrow = Grpc::new(server.grpc(), Some(&text(&told, "access_token")));
    let _ = refused(
        lists_users(&narrow),
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    let answer = service.trade(
        &service.assertion(&json!({})),
        &["users.list", "audit.read"],
    );
    let status = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    assert_eq!(about(&status, "scope"), "audit.read");
    // A file that is there is kept.
    let arguments = [
        "client",
        "create",
        "--name",
        "other",
        "--scopes",
        "users.list",
    ];
    let more = ["--generate-key", path, "--tenant", &world.tenant.id];
    let outcome = server
        .admin()
        .run(&[&arguments[..], &more].concat())
        .code(1);
    assert!(outcome.stderr().contains(path), "{outcome:?}");
    lists_users(&service.grpc()).expect("its key is as it was");
}

#[test]
fn without_a_server_the_database_gives_tokens_too() {
    let server = super::super::server();
    let world = world();
    let path = world.service.file().to_str().expect("a plain path");
    let told = server
        .admin()
        .run(&["client", "token", "--key", path, "--json"]);
    let token = text(&told.code(0).json(), "access_token");
    // Without a key encryption key it is signed with a key of the command's own,
    // of which the server learns when it sees the token.
    lists_users(&Grpc::new(server.grpc(), Some(&token))).expect("let in");
}

#[test]
fn an_assertion_may_name_the_server_in_several_ways() {
    let world = world();
    let jwks = wait(world.grpc.keys().get_jwks(GetJwksRequest::default()));
    let issuer = jwks.expect("an answer").into_inner().issuer;
    let own = &world.service.audience;
    assert_eq!(*own, format!("muster:directory:{}", world.tenant.id));
    let endpoint = format!("{}/oauth2/token", super::super::server().http());
    for audience in [
        json!(own),
        json!([own, "https://other.example.test"]),
        json!(issuer),
        json!(format!("{issuer}/")),
        json!(endpoint),
    ] {
        let assertion = world.service.assertion(&json!({"aud": audience}));
        let answer = world.service.trade(&assertion, &[]);
        assert!(answer.is_ok(), "{audience}: {answer:?}");
    }
}

/// Assertions that prove nobody.
fn wrong_assertions(service: &Service, other: &Service) -> Vec<(&'static str, String)> {
    let now = now_s();
    let said = |changes: Value| service.assertion(&changes);
    let key = service.key();
    let claims = || service.claims(&json!({}));
    let header = |changes: Value| {
        let mut header = json!({"typ": "JWT", "alg": "EdDSA", "kid": key.kid()});
        for (name, value) in changes.as_object().expect("an object") {
            header[name] = value.clone();
        }
        header
    };
    let headed = |changes: Value| key.sign(&header(changes), &claims());
    let mac = |bytes: &[u8]| macked(&header(json!({"alg": "HS256"})), &claims(), bytes);
    let attacker = Signer::ed25519().named(key.kid());
    let unnamed = Signer::ed25519();
    let long = "j".repeat(201);
    let none = message(&header(json!({"alg": "none"})), &claims());
    let mut cut = said(json!({}));
    cut.truncate(cut.len() - 10);
    vec![
        ("nothing", String::new()),
        ("nonsense", "nonsense".to_owned()),
        ("20 KiB", "x".repeat(20 * 1_024)),
        ("expired", said(json!({"exp": now - 60}))),
        (
            "good for long and again",
            said(json!({"exp": now + 420, "jti": null})),
        ),
        ("without an end", said(json!({"exp": null}))),
        ("more than an hour ahead", said(json!({"exp": now + 3_700}))),
        ("not yet valid", said(json!({"nbf": now + 60}))),
        ("for another", said(json!({"aud": API}))),
        ("for another tenant", said(json!({"aud": other.audience}))),
        ("for nobody", said(json!({"aud": null}))),
        ("of another issuer", said(json!({"iss": other.id}))),
        ("of another subject", said(json!({"sub": other.id}))),
        (
            "in the name of another",
            said(json!({"iss": other.id, "sub": other.id})),
        ),
        (
            "in the name of another, at his",
            said(json!({"iss": other.id, "sub": other.id, "aud": other.audience})),
        ),
        ("of nobody", said(json!({"sub": null}))),
        ("of no issuer", said(json!({"iss": null}))),
        ("of a NUL", said(json!({"iss": "\0", "sub": "\0"}))),
        ("with too long an id", said(json!({"jti": long}))),
        ("with a NUL for an id", said(json!({"jti": "\0"}))),
        ("unsigned", format!("{none}.")),
        ("cut", cut),
        ("a MAC under the public key", mac(&public_bytes(&key.jwk()))),
        ("a MAC under the JWK", mac(key.jwk().to_string().as_bytes())),
        (
            "another key under its kid",
            attacker.sign(&header(json!({})), &claims()),
        ),
        (
            "a key of its own",
            unnamed.sign(
                &header(json!({"kid": unnamed.kid(), "jwk": unnamed.jwk()})),
                &claims(),
            ),
        ),
        (
            "the kid of another",
            headed(json!({"kid": other.key().kid()})),
        ),
        ("without a kid", headed(json!({"kid": null}))),
        (
            "an unknown extension",
            headed(json!({"crit": ["x"], "x": 1})),
        ),
        ("another alg", headed(json!({"alg": "ES256"}))),
        ("a service token", service.token()),
    ]
}

#[test]
fn whatever_is_wrong_with_an_assertion_looks_the_same() {
    let server = super::super::server();
    let (world, others) = (world(), world());
    let service = Service::create(server, &world.tenant, "users.list");
    let disabled = Service::create(server, &world.tenant, "users.list");
    let disable = [
        "client",
        "disable",
        &disabled.id,
        "--tenant",
        &world.tenant.id,
    ];
    let _ = server.admin().json(&disable);
    let mut wrong = wrong_assertions(&service, &others.service);
    wrong.push(("of a disabled client", disabled.assertion(&json!({}))));
    let used = service.assertion(&json!({}));
    service.trade(&used, &[]).expect("good once");
    wrong.push(("used twice", used));
    let mut first = None;
    for (name, assertion) in wrong {
        let answer = service.trade(&assertion, &[]);
        let status = answer.expect_err(name);
        let told = muster_tests::grpc::reason(&status);
        assert_eq!(told, "CREDENTIAL_INVALID", "{name}");
        let face = Face::from(&status);
        assert_eq!(face, *first.get_or_insert(face.clone()), "{name}");
    }
    // A jti is good once for its client; without one there is nothing to count.
    let plain = service.assertion(&json!({"jti": null}));
    for _ in 0..2 {
        service.trade(&plain, &[]).expect("good");
    }
    let sibling = Service::create(server, &world.tenant, "users.list");
    for service in [&service, &sibling] {
        let assertion = service.assertion(&json!({"jti": "the same"}));
        service.trade(&assertion, &[]).expect("each its own");
    }
}

#[test]
fn a_client_signs_with_whichever_of_its_keys() {
    let server = super::super::server();
    let world = world();
    let keys = [Signer::ed25519(), Signer::p256().named("second")];
    let set = json!({"keys": [keys[0].jwk(), keys[1].jwk()]}).to_string();
    let client = ServiceClient {
        jwks_json: set.clone().into_bytes(),
        grantable_audiences: vec![API.to_owned()],
        ..registration(&keys[0])
    };
    let created = create(&world, client.clone()).expect("created");
    assert_eq!(created.jwks_json, set.into_bytes());
    assert_eq!(created.display_name, client.display_name);
    assert!(!created.disabled && created.meta.is_some());
    let anyone = Grpc::new(server.grpc(), None);
    for key in &keys {
        let claims = world
            .service
            .claims(&json!({"iss": created.id, "sub": created.id}));
        let header = json!({"alg": key.algorithm(), "kid": key.kid()});
        let token = trade(&anyone, &key.sign(&header, &claims), &[]).expect("a token");
        assert_eq!(token.scopes, ["users.list"]);
        let grpc = Grpc::new(server.grpc(), Some(&token.access_token));
        lists_users(&grpc).expect("let in");
    }
}

#[test]
fn a_registration_breaks_no_rule() {
    let world = world();
    let key = Signer::ed25519();
    let mut private = key.jwk();
    private["d"] = "AAAA".into();
    let set = |keys: Value| json!({"keys": keys}).to_string().into_bytes();
    let mut nameless = key.jwk();
    nameless.as_object_mut().expect("an object").remove("kid");
    let mac = json!({"kty": "oct", "kid": "k", "k": "AAAA"});
    let keys: Vec<_> = (0..11).map(|_| Signer::ed25519().jwk()).collect();
    let good = || registration(&key);
    let with_keys = |jwks_json: Vec<u8>| ServiceClient {
        jwks_json,
        ..good()
    };
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    for wrong in [
        with_keys(Vec::new()),
        with_keys(b"\xff".to_vec()),
        with_keys(b"{}".to_vec()),
        with_keys(set(json!([]))),
        with_keys(set(json!([private]))),
        with_keys(set(json!([nameless]))),
        with_keys(set(json!([key.jwk(), key.jwk()]))),
        with_keys(set(json!([mac]))),
        with_keys(set(json!(keys))),
        ServiceClient {
            display_name: String::new(),
            ..good()
        },
        ServiceClient {
            display_name: "a\nb".to_owned(),
            ..good()
        },
        ServiceClient {
            scopes: Vec::new(),
            ..good()
        },
        ServiceClient {
            scopes: owned(&["users.fly"]),
            ..good()
        },
        ServiceClient {
            grantable_audiences: owned(&["muster:directory:x"]),
            ..good()
        },
        ServiceClient {
            grantable_audiences: owned(&["a b"]),
            ..good()
        },
        ServiceClient {
            grantable_scopes: owned(&["a b"]),
            ..good()
        },
        ServiceClient {
            mtls_x5t_s256: "short".to_owned(),
            ..good()
        },
    ] {
        let what = format!("{wrong:?}");
        let answer = create(&world, wrong);
        let status = answer.expect_err(&what);
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        let told = format!("{status:?}");
        assert!(!told.contains("AAAA"), "a key is repeated: {told}");
    }
    let named = create(&world, good()).expect("created");
    let again = ServiceClient {
        display_name: named.display_name.to_uppercase(),
        ..good()
    };
    let _ = refused(
        create(&world, again),
        Code::AlreadyExists,
        "DISPLAY_NAME_TAKEN",
    );
}

#[test]
fn nobody_gives_what_he_has_not() {
    let server = super::super::server();
    let world = world();
    let mut lesser = super::world();
    let scopes = "clients.admin,users.list,keys.admin";
    lesser.grpc = Service::create(server, &world.tenant, scopes).grpc();
    let key = Signer::ed25519();
    let with = |scopes: &[&str]| ServiceClient {
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        ..registration(&key)
    };
    create(&lesser, with(&["users.list", "clients.admin"])).expect("he has both");
    // What is the server's own, only operators give.
    for (scopes, beyond) in [
        (["users.list", "audit.read"], "audit.read"),
        (["users.list", "keys.admin"], "keys.admin"),
    ] {
        let answer = create(&lesser, with(&scopes));
        let status = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
        assert_eq!(about(&status, "scope"), beyond);
    }
}

#[test]
fn who_lets_others_make_tokens_gives_no_more_than_he_may() {
    let server = super::super::server();
    let mut world = world();
    let options = ["--audiences", API, "--token-scopes", "read"];
    let scopes = "clients.admin,tokens.issue,tokens.write,users.list";
    let lesser = Service::create_with(server, &world.tenant, scopes, &options);
    world.grpc = lesser.grpc();
    let key = Signer::ed25519();
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let with = |scope: &str, audiences: &[&str], scopes: &[&str]| {
        let client = ServiceClient {
            scopes: owned(&[scope]),
            grantable_audiences: owned(audiences),
            grantable_scopes: owned(scopes),
            ..registration(&key)
        };
        create(&world, client)
    };
    for scope in ["tokens.issue", "tokens.write"] {
        with(scope, &[API], &["read"]).expect("no more than he may");
        for (audiences, scopes) in [
            (&[API, OTHER_API][..], &["read"][..]),
            (&[API], &["read", "write"]),
            // Without any, all.
            (&[API], &[]),
        ] {
            let answer = with(scope, audiences, scopes);
            let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
        }
    }
    with("users.list", &[OTHER_API], &[]).expect("it makes none");
}

#[test]
fn a_disabled_client_is_out_at_once_and_its_tokens_stay_dead() {
    let server = super::super::server();
    let world = world();
    let service = Service::create(server, &world.tenant, "users.list");
    let old = service.grpc();
    lists_users(&old).expect("let in");
    let disable = |reason: &str| {
        let request = DisableServiceClientRequest {
            id: service.id.clone(),
            reason: reason.to_owned(),
            options: None,
        };
        wait(world.grpc.admin().disable_service_client(request))
    };
    let _ = refused(
        disable(&"x".repeat(201)),
        Code::InvalidArgument,
        "FIELD_INVALID",
    );
    let answer = disable("its key leaked").expect("disabled").into_inner();
    let client = answer.client.expect("the client");
    assert!(answer.changed && client.disabled);
    assert_eq!(client.disable_reason, "its key leaked");
    let _ = refused(
        lists_users(&old),
        Code::Unauthenticated,
        "CREDENTIAL_INVALID",
    );
    let answer = service.trade(&service.assertion(&json!({})), &[]);
    let _ = refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert!(!disable("").expect("that is no error").into_inner().changed);

    let enable = || {
        let request = EnableServiceClientRequest {
            id: service.id.clone(),
            options: None,
        };
        wait(world.grpc.admin().enable_service_client(request))
    };
    assert!(enable().expect("enabled").into_inner().changed);
    assert!(!enable().expect("that is no error").into_inner().changed);
    let _ = refused(
        lists_users(&old),
        Code::Unauthenticated,
        "CREDENTIAL_INVALID",
    );
    lists_users(&service.grpc()).expect("a new token is good");
    let nobody = EnableServiceClientRequest {
        id: "nobody".to_owned(),
        options: None,
    };
    let answer = wait(world.grpc.admin().enable_service_client(nobody));
    let _ = refused(answer, Code::NotFound, "CLIENT_NOT_FOUND");
}

#[test]
fn a_command_disables_a_client_within_a_second() {
    let server = super::super::server();
    let world = world();
    let service = Service::create(server, &world.tenant, "users.list");
    let grpc = service.grpc();
    lists_users(&grpc).expect("let in");
    let run = |command: &str| {
        let arguments = ["client", command, &service.id, "--tenant", &world.tenant.id];
        server.admin().json(&arguments)
    };
    let told = run("disable");
    wait_within(ELSEWHERE, "the client to be out", || {
        lists_users(&grpc).is_err()
    });
    assert_eq!(
        (&told["disabled"], &told["changed"]),
        (&json!(true), &json!(true))
    );
    let told = run("enable");
    assert_eq!(
        (&told["disabled"], &told["changed"]),
        (&json!(false), &json!(true))
    );
    lists_users(&service.grpc()).expect("let in again");
}

/// An assertion of this very second, from before the client was let back in, is
/// as good as one from after; its token must be, too.
#[test]
fn a_client_that_is_let_back_in_gets_tokens_that_are_good() {
    let server = super::super::server();
    let world = world();
    let service = Service::create(server, &world.tenant, "users.list");
    for _ in 0..5 {
        let disable = DisableServiceClientRequest {
            id: service.id.clone(),
            reason: String::new(),
            options: None,
        };
        wait(world.grpc.admin().disable_service_client(disable)).expect("disabled");
        let enable = EnableServiceClientRequest {
            id: service.id.clone(),
            options: None,
        };
        wait(world.grpc.admin().enable_service_client(enable)).expect("enabled");
        lists_users(&service.grpc()).expect("what is issued is good");
    }
}

#[test]
fn clients_are_listed_in_pages_without_their_secrets() {
    let world = world();
    let key = Signer::ed25519();
    let mut expected = vec![world.service.id.clone()];
    for _ in 0..4 {
        expected.push(create(&world, registration(&key)).expect("created").id);
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = PageRequest {
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let request = ListServiceClientsRequest { page: Some(page) };
        let found = wait(world.grpc.admin().list_service_clients(request));
        let found = found.expect("a page").into_inner();
        seen.extend(found.clients.into_iter().map(|client| client.id));
        token = found.page.expect("always set").next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, expected);
}
