//! What is no credential: real ones that have ended, that are meant for something
//! else, or that were changed, and what never was one.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_proto::v1;
use muster_tests::{
    grpc::Grpc,
    issuer::{Issuer, now_s},
    jws::{Signer, changed, encode, macked, message, public_bytes, read},
    oauth::{AUDIENCE, Client, SUBJECT, access_token},
    runtime::wait,
    server::Server,
    service::{API, Service},
    soon::wait_until,
    tenant::Tenant,
    vault,
};
use serde_json::{Value, json};
use tonic::{Code, metadata::AsciiMetadataValue};

use super::bearer;

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    /// He brought nothing.
    Missing,
    /// He brought nothing good.
    Invalid,
}

impl Told {
    /// The reason, as it travels.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "CREDENTIAL_MISSING",
            Self::Invalid => "CREDENTIAL_INVALID",
        }
    }
}

/// Something that is no credential.
pub(super) struct Case {
    /// What it is.
    pub(super) name: String,
    /// How it is sent.
    pub(super) authorization: Vec<AsciiMetadataValue>,
    /// What the answer is.
    pub(super) told: Told,
}

/// A tenant with one of everything that proves somebody.
struct World<'a> {
    server: &'a Server,
    tenant: Tenant,
    other: Tenant,
    service: Service,
    foreign: Service,
    user: String,
    /// The key with which the server signs.
    signer: Signer,
    /// A good token of the service client.
    token: String,
}

impl<'a> World<'a> {
    fn new(server: &'a Server) -> Self {
        let (tenant, other) = (Tenant::create(server), Tenant::create(server));
        let service = Service::full(server, &tenant);
        Self {
            user: tenant.scim().user("ada"),
            foreign: Service::full(server, &other),
            signer: vault::signers(server).pop().expect("a key signs"),
            token: service.token(),
            server,
            tenant,
            other,
            service,
        }
    }

    /// The token with other claims, which the server's own key signed.
    fn claiming(&self, changes: &Value) -> String {
        let claims = changed(&self.token, changes);
        self.signer.sign(&self.signer.header(), &claims)
    }

    /// The token with another header, which the server's own key signed.
    fn headed(&self, changes: &Value) -> String {
        let (_, claims) = read(&self.token);
        self.signer.sign(&self.header(changes), &claims)
    }

    /// The server's header with these members changed; null takes one away.
    fn header(&self, changes: &Value) -> Value {
        let mut header = self.signer.header();
        let all = header.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            all.insert(name.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        header
    }

    /// The token's claims under a header with these changes, signed by another.
    fn signed_by(&self, key: &Signer, changes: &Value) -> String {
        let (_, claims) = read(&self.token);
        key.sign(&self.header(changes), &claims)
    }
}

/// Everything that is no credential.
pub(super) fn cases(server: &Server) -> Vec<Case> {
    let world = World::new(server);
    proves_that_forging_works(&world);
    let mut cases = no_bearers(&world);
    let forged = [
        claims(&world),
        headers(&world),
        signatures(&world),
        shapes(&world),
        others(&world),
        ended(&world),
    ];
    for (name, token) in forged.into_iter().flatten() {
        cases.push(Case {
            authorization: vec![bearer(&token)],
            told: Told::Invalid,
            name,
        });
    }
    cases
}

/// What the test signs with the server's key is as good as what the server signs:
/// otherwise all that follows would be refused for that alone.
fn proves_that_forging_works(world: &World<'_>) {
    let again = world.claiming(&json!({"jti": uuid::Uuid::new_v4().to_string()}));
    for token in [&again, &world.token] {
        let grpc = Grpc::new(world.server.grpc(), Some(token));
        let listed = wait(grpc.users().list_users(v1::ListUsersRequest::default()));
        assert!(listed.is_ok(), "{listed:?}");
    }
}

/// Nothing that could be a bearer, or more than one.
fn no_bearers(world: &World<'_>) -> Vec<Case> {
    let good = format!("Bearer {}", world.token);
    let text = |text: &str| text.parse().expect("visible ASCII");
    let bytes = AsciiMetadataValue::try_from(b"Bearer \xe9\xff".as_slice());
    let basic = STANDARD.encode(format!("{}:{}", world.service.id, world.token));
    let cases: [(&str, Vec<AsciiMetadataValue>); 10] = [
        ("none", vec![]),
        ("empty", vec![text("")]),
        ("a scheme alone", vec![text("Bearer")]),
        ("a scheme and a space", vec![text("Bearer ")]),
        ("a token without a scheme", vec![text(&world.token)]),
        (
            "another scheme",
            vec![text(&format!("DPoP {}", world.token))],
        ),
        ("Basic", vec![text(&format!("Basic {basic}"))]),
        ("no ASCII", vec![bytes.expect("bytes of a header")]),
        ("twice the same", vec![text(&good), text(&good)]),
        (
            "a good one before a bad one",
            vec![text(&good), text("Bearer x")],
        ),
    ];
    let case = |(name, authorization): (&str, Vec<_>)| Case {
        name: name.to_owned(),
        authorization,
        told: Told::Missing,
    };
    cases.into_iter().map(case).collect()
}

/// Wrong words under the right signature.
fn claims(world: &World<'_>) -> Vec<(String, String)> {
    let now = now_s();
    let (own, other) = (&world.tenant.id, &world.other.id);
    let own_directory = format!("muster:directory:{own}");
    let other_directory = format!("muster:directory:{other}");
    let issuer = read(&world.token).1["iss"].clone();
    let slashed = format!("{}/", issuer.as_str().unwrap_or_default());
    let wrong = [
        ("expired", json!({"exp": now - 1})),
        (
            "expired long ago",
            json!({"iat": now - 7_200, "exp": now - 3_600}),
        ),
        ("expired before it began", json!({"exp": 0})),
        ("without an end", json!({"exp": null})),
        ("an end in words", json!({"exp": "tomorrow"})),
        ("an end as text", json!({"exp": (now + 600).to_string()})),
        (
            "issued in the future",
            json!({"iat": now + 60, "exp": now + 600}),
        ),
        ("not yet valid", json!({"nbf": now + 60})),
        ("valid from words on", json!({"nbf": "tomorrow"})),
        ("without a time of issue", json!({"iat": null})),
        ("for another", json!({"aud": API})),
        ("for another tenant", json!({"aud": other_directory})),
        (
            "for provisioning clients",
            json!({"aud": format!("muster:scim:{own}")}),
        ),
        ("for us and another", json!({"aud": [&own_directory, API]})),
        (
            "for two of us",
            json!({"aud": [&own_directory, &other_directory]}),
        ),
        ("for nobody", json!({"aud": []})),
        ("without an audience", json!({"aud": null})),
        (
            "for us in other letters",
            json!({"aud": own_directory.to_uppercase()}),
        ),
        (
            "of another issuer",
            json!({"iss": "https://evil.example.test"}),
        ),
        ("of a like issuer", json!({"iss": slashed})),
        ("without an issuer", json!({"iss": null})),
        (
            "of two issuers",
            json!({"iss": [issuer, "https://evil.example.test"]}),
        ),
        ("of another tenant", json!({"tid": other})),
        (
            "of another tenant, and for it",
            json!({"tid": other, "aud": other_directory}),
        ),
        ("without a tenant", json!({"tid": null})),
        (
            "of another tenant's client",
            json!({"sub": world.foreign.id}),
        ),
        ("of a user", json!({"sub": world.user})),
        (
            "of a credential",
            json!({"sub": world.tenant.credential_id}),
        ),
        (
            "of nobody",
            json!({"sub": "0190a5c1-0000-7000-8000-000000000000"}),
        ),
        ("of an empty name", json!({"sub": ""})),
        ("of a NUL", json!({"sub": "\0"})),
        ("without a subject", json!({"sub": null})),
        ("of a list", json!({"sub": [world.service.id]})),
        ("with a NUL for an id", json!({"jti": "\0"})),
        ("without an id", json!({"jti": null})),
    ];
    let forged = wrong.map(|(name, changes)| (name, world.claiming(&changes)));
    forged.map(named).into()
}

/// Wrong headers under the right signature.
fn headers(world: &World<'_>) -> Vec<(String, String)> {
    let wrong = [
        ("typ JWT", json!({"typ": "JWT"})),
        ("no typ", json!({"typ": null})),
        ("typ of a logout token", json!({"typ": "logout+jwt"})),
        ("no kid", json!({"kid": null})),
        ("an empty kid", json!({"kid": ""})),
        ("a kid that is no text", json!({"kid": 1})),
        (
            "a kid that is a path",
            json!({"kid": "../../../../dev/null"}),
        ),
        ("a kid that is SQL", json!({"kid": "' OR '1'='1' --"})),
        (
            "a kid that ends a statement",
            json!({"kid": "x'; DROP TABLE signing_keys; --"}),
        ),
        ("a kid with a NUL", json!({"kid": "\0"})),
        (
            "a kid of 10,000 letters",
            json!({"kid": "k".repeat(10_000)}),
        ),
        ("an unknown extension", json!({"crit": ["x"], "x": 1})),
        ("an extension that is none", json!({"crit": []})),
        ("an extension of JWS", json!({"crit": ["b64"], "b64": true})),
        ("alg ES256", json!({"alg": "ES256"})),
        ("alg RS256", json!({"alg": "RS256"})),
        ("alg HS256", json!({"alg": "HS256"})),
        ("alg none", json!({"alg": "none"})),
        ("alg NONE", json!({"alg": "NONE"})),
        ("no alg", json!({"alg": null})),
        ("alg in small letters", json!({"alg": "eddsa"})),
    ];
    let forged = wrong.map(|(name, changes)| (name, world.headed(&changes)));
    forged.map(named).into()
}

/// Right words under wrong signatures.
fn signatures(world: &World<'_>) -> Vec<(String, String)> {
    let jwk = world.signer.jwk();
    let (_, claims) = read(&world.token);
    let header = |changes: Value| world.header(&changes);
    let (signed, signature) = world.token.rsplit_once('.').expect("three parts");
    let (own_header, _) = signed.split_once('.').expect("two parts");
    let escalated = changed(&world.token, &json!({"sub": world.foreign.id}));
    let unsigned = |alg: &str| message(&header(json!({"alg": alg})), &claims);
    let mac = |key: &[u8]| macked(&header(json!({"alg": "HS256"})), &claims, key);
    let attacker = Signer::ed25519();
    let named_by = |changes: Value| world.signed_by(&attacker, &changes);
    let jwks_url = Issuer::shared().url().to_owned() + "/keys";
    let x5c = json!(["MIIB"]);
    let p256 = Signer::p256();
    // The first character: the last ones may say nothing.
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let flipped = format!("{other}{}", &signature[1..]);
    let issuer = Issuer::shared();
    let own = world.service.key();
    let forged = [
        ("unsigned", format!("{}.", unsigned("none"))),
        (
            "unsigned with a signature",
            format!("{}.{signature}", unsigned("none")),
        ),
        ("unsigned under our alg", format!("{}.", unsigned("EdDSA"))),
        ("a MAC under the public key", mac(&public_bytes(&jwk))),
        ("a MAC under the JWK", mac(jwk.to_string().as_bytes())),
        (
            "a MAC under the set of keys",
            mac(world.signer.jwks().as_bytes()),
        ),
        ("a MAC under the kid", mac(world.signer.kid().as_bytes())),
        ("a MAC under nothing", mac(&[])),
        ("another key under our kid", named_by(json!({}))),
        ("another kind of key under our kid", {
            world.signed_by(&p256, &json!({"alg": "ES256"}))
        }),
        ("an unknown key", named_by(json!({"kid": attacker.kid()}))),
        (
            "a key in jwk",
            named_by(json!({"kid": attacker.kid(), "jwk": attacker.jwk()})),
        ),
        (
            "a key in jwk under our kid",
            named_by(json!({"jwk": attacker.jwk()})),
        ),
        (
            "a key at jku",
            named_by(json!({"kid": attacker.kid(), "jku": jwks_url})),
        ),
        (
            "a key at jku under our kid",
            named_by(json!({"jku": jwks_url})),
        ),
        ("a key at x5u", named_by(json!({"x5u": jwks_url}))),
        ("a key in x5c", named_by(json!({"x5c": x5c}))),
        (
            "the client's own key",
            world.signed_by(own, &json!({"kid": own.kid()})),
        ),
        (
            "the client's own key under our kid",
            world.signed_by(own, &json!({})),
        ),
        ("another issuer's key", issuer.sign(&claims)),
        ("other words under the old signature", {
            format!("{own_header}.{}.{signature}", encode(escalated.to_string()))
        }),
        ("a bit of the signature", format!("{signed}.{flipped}")),
        (
            "half of the signature",
            format!("{signed}.{}", &signature[..40]),
        ),
        (
            "the signature and more",
            format!("{signed}.{signature}AAAA"),
        ),
        (
            "the signature with padding",
            format!("{signed}.{signature}=="),
        ),
    ];
    forged.map(named).into()
}

/// What has not the shape of a token.
fn shapes(world: &World<'_>) -> Vec<(String, String)> {
    let token = &world.token;
    let padding = "x".repeat(20 * 1_024);
    let large = world.claiming(&json!({"padding": padding}));
    let forged = [
        ("nonsense", "nonsense".to_owned()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("no JSON", "a.b.c".to_owned()),
        (
            "JSON of the wrong kind",
            format!("{}.{}.AA", encode("[]"), encode("1")),
        ),
        ("four parts", format!("{token}.AAAA")),
        (
            "the parts of an encrypted one",
            format!("{token}.AAAA.AAAA"),
        ),
        (
            "two parts",
            token.rsplit_once('.').expect("three").0.to_owned(),
        ),
        ("two tokens", format!("{token} {token}")),
        ("a list of tokens", format!("{token},{token}")),
        ("in quotes", format!("\"{token}\"")),
        ("behind its scheme again", format!("Bearer {token}")),
        ("20 KiB of nothing", padding),
        ("20 KiB that we signed", large),
        ("its digest", encode(digest(&SHA256, token.as_bytes()))),
        ("an id", world.service.id.clone()),
    ];
    forged.map(named).into()
}

/// What is good for something else.
fn others(world: &World<'_>) -> Vec<(String, String)> {
    let World { server, tenant, .. } = world;
    let grpc = world.service.grpc();
    let issued = wait(grpc.tokens().issue_user_token(v1::IssueUserTokenRequest {
        user: Some(v1::UserKey {
            key: Some(v1::user_key::Key::Id(world.user.clone())),
        }),
        audiences: vec![API.to_owned()],
        scopes: vec!["users.list".to_owned()],
        ..Default::default()
    }));
    let expire = i64::try_from(now_s() + 600).expect("a time");
    let personal = v1::CreatePersonalAccessTokenRequest {
        user_id: world.user.clone(),
        name: "a user's".to_owned(),
        audiences: vec![API.to_owned()],
        scopes: vec!["users.list".to_owned()],
        expire_time: Some(prost_types::Timestamp {
            seconds: expire,
            nanos: 0,
        }),
        options: None,
    };
    let personal = wait(grpc.tokens().create_personal_access_token(personal));
    let client = Client::create(server, tenant);
    let issuer = Issuer::shared();
    let _ = Client::federated(server, tenant, issuer.url());
    let now = now_s();
    let assertion = |changes: Value| issuer.assertion(SUBJECT, AUDIENCE, &changes);
    let personal = personal.expect("a token").into_inner().secret;
    let stranger = Signer::ed25519();
    let nul = json!({"iss": "\0", "sub": "\0", "aud": "\0", "exp": now + 60});
    let nul = stranger.sign(&json!({"alg": "EdDSA", "kid": "k"}), &nul);
    let forged = [
        (
            "a user's token",
            issued.expect("a token").into_inner().access_token,
        ),
        (
            "a user's token under the prefix of bearers",
            personal.replace("musp_", "musc_"),
        ),
        ("a user's personal token", personal),
        ("an OAuth client's secret", client.secret.clone()),
        ("an OAuth client's id", client.id.clone()),
        ("an assertion of a NUL", nul),
        (
            "an assertion of a client",
            world.service.assertion(&json!({})),
        ),
        (
            "an assertion for the issuer's own",
            assertion(json!({"aud": issuer.url()})),
        ),
        (
            "an assertion for another subject",
            assertion(json!({"sub": "another"})),
        ),
        ("an expired assertion", assertion(json!({"exp": now - 60}))),
        ("a bearer of other letters", tenant.token.to_uppercase()),
        (
            "a bearer without its end",
            tenant.token[..tenant.token.len() - 1].to_owned(),
        ),
    ];
    forged.map(named).into()
}

/// What was good, and is no longer.
fn ended(world: &World<'_>) -> Vec<(String, String)> {
    let World { server, tenant, .. } = world;
    let admin = server.admin();
    let expired = tenant
        .credential(server, "entra", &["--expires-in", "1s"])
        .1;
    let (id, revoked) = tenant.credential(server, "entra", &[]);
    let client = Client::create(server, tenant);
    let access = access_token(&client.trade(&client.secret));
    for id in [&id, &client.id] {
        let arguments = ["credential", "revoke", "--id", id, "--tenant", &tenant.id];
        let _ = admin.json(&arguments);
    }
    let disabled = Service::full(server, tenant);
    let token = disabled.token();
    let _ = admin.json(&["client", "disable", &disabled.id, "--tenant", &tenant.id]);
    let spent = world.service.token();
    let request = v1::RevokeTokenRequest {
        target: Some(v1::revoke_token_request::Target::Token(spent.clone())),
        ..Default::default()
    };
    let ended = wait(world.service.grpc().tokens().revoke_token(request));
    assert!(ended.expect("revoked").into_inner().changed);
    let forged = [
        ("an expired bearer", expired),
        ("a revoked bearer", revoked),
        ("a token of a revoked OAuth client", access),
        ("a token of a disabled client", token),
        ("a token that was revoked", spent),
    ];
    for (name, token) in &forged {
        let grpc = Grpc::new(server.grpc(), Some(token));
        wait_until(name, || {
            let listed = wait(grpc.users().list_users(v1::ListUsersRequest::default()));
            listed.is_err_and(|status| status.code() == Code::Unauthenticated)
        });
    }
    forged.map(named).into()
}

fn named((name, token): (&str, String)) -> (String, String) {
    (name.to_owned(), token)
}
