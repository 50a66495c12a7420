//! Which tokens are believed.

use std::time::{Duration, Instant};

use muster_client::{
    Client, Error, TokenFault, TokenWish, Uuid,
    cache::Cache,
    key,
    testing::{AUDIENCE, TestServer},
    v1::IssueUserTokenRequest,
    verify::{Builder, Unsure, Verifier},
};

use crate::{
    front::Front,
    world::{Ahead, ready},
};

struct World {
    server: TestServer,
    client: Client,
    clock: std::sync::Arc<Ahead>,
    cache: Cache,
    ada: Uuid,
}

impl World {
    async fn new() -> Self {
        Self::keeping(true).await
    }

    async fn keeping(values: bool) -> Self {
        let server = TestServer::start().await.expect("it starts");
        let ada = server.user("ada").await.expect("a user");
        let scopes = [
            "changes.read",
            "users.read.pii",
            "tokens.issue",
            "tokens.introspect",
        ];
        let key = server.service_key(&scopes).await.expect("a key");
        let clock = Ahead::new();
        let builder = server.builder().service_key(key).clock(clock.clone());
        let client = builder.build().expect("a client");
        let cache = Cache::builder(&client)
            .values(values)
            .heartbeat(Duration::from_secs(30))
            .start();
        ready(&cache).await;
        Self {
            server,
            client,
            clock,
            cache,
            ada,
        }
    }

    async fn token(&self) -> String {
        let wish = TokenWish {
            audiences: vec![AUDIENCE.to_owned()],
            scopes: vec!["read".to_owned()],
            lifetime: Some(Duration::from_secs(60)),
            ..Default::default()
        };
        let issued = self
            .client
            .issue_token(key::id(self.ada.to_string()), wish)
            .await;
        issued.expect("a token").access_token
    }

    fn builder(&self) -> Builder {
        Verifier::builder(&self.client, AUDIENCE, self.server.tenant_id()).cache(&self.cache)
    }

    async fn passed(&self, written: muster_client::Result<Option<muster_client::v1::Revision>>) {
        let revision = written.expect("written").expect("it changed something");
        self.cache.wait_for(&revision).await.expect("it goes on");
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>, fault: TokenFault) {
    match outcome {
        Err(Error::TokenRefused(found)) => assert_eq!(found, fault),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_says_who_comes() {
    let world = World::new().await;
    let verifier = world.builder().scope("read").build().expect("a verifier");
    let token = world.token().await;
    let claims = verifier.verify(&token).await.expect("it is good");
    assert_eq!(claims.sub, world.ada.to_string());
    assert_eq!(claims.tid, world.server.tenant_id());
    assert!(claims.has_scope("read") && !claims.has_scope("rea"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_must_be_is_refused() {
    let world = World::new().await;
    let token = world.token().await;
    let (client, tenant) = (&world.client, world.server.tenant_id());
    let with = |builder: Builder| builder.cache(&world.cache).build().expect("a verifier");
    for (verifier, fault) in [
        (
            Verifier::builder(client, "https://other.test", tenant),
            TokenFault::Audience,
        ),
        (
            Verifier::builder(client, AUDIENCE, "other"),
            TokenFault::Tenant,
        ),
        (
            world.builder().issuer("https://other.test"),
            TokenFault::Issuer,
        ),
        (world.builder().scope("write"), TokenFault::Scope),
    ] {
        assert_refused(with(verifier).verify(&token).await, fault);
    }
    let verifier = with(world.builder());
    let (head, rest) = token.split_once('.').expect("a JWT");
    let (payload, signature) = rest.split_once('.').expect("a JWT");
    let other = world.token().await;
    let (_, signature_of_other) = other.rsplit_once('.').expect("a JWT");
    assert_ne!(signature, signature_of_other);
    let service = world.service_token().await;
    for (broken, fault) in [
        (String::new(), TokenFault::Malformed),
        ("a.b.c".to_owned(), TokenFault::Malformed),
        (
            format!("{head}.{payload}.{signature_of_other}"),
            TokenFault::Signature,
        ),
        (unsigned(&token), TokenFault::Malformed),
        (under_another_name(&token), TokenFault::UnknownKey),
        // Of a service, not of a user: its audience is the directory.
        (service, TokenFault::Audience),
    ] {
        assert_refused(verifier.verify(&broken).await, fault);
    }
    world.clock.pass(Duration::from_secs(64));
    assert!(verifier.verify(&token).await.is_ok(), "within the leeway");
    world.clock.pass(Duration::from_secs(3));
    assert_refused(verifier.verify(&token).await, TokenFault::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_his_access_lost_his_tokens() {
    let world = World::new().await;
    let verifier = world.builder().build().expect("a verifier");
    let token = world.token().await;
    world.passed(world.server.sign_out(world.ada).await).await;
    assert_refused(verifier.verify(&token).await, TokenFault::Ended);
    // Waits for the next second, so that it is alive.
    let token = world.token().await;
    assert!(verifier.verify(&token).await.is_ok());
    world.passed(world.server.lock(world.ada).await).await;
    assert_refused(verifier.verify(&token).await, TokenFault::Inactive);
    world.passed(world.server.unlock(world.ada).await).await;
    assert_refused(verifier.verify(&token).await, TokenFault::Ended);
    world
        .passed(world.server.delete_user(world.ada).await)
        .await;
    assert_refused(verifier.verify(&token).await, TokenFault::Inactive);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_is_seen_without_values() {
    let world = World::keeping(false).await;
    let verifier = world.builder().build().expect("a verifier");
    let token = world.token().await;
    assert!(verifier.verify(&token).await.is_ok());
    world.passed(world.server.sign_out(world.ada).await).await;
    assert_refused(verifier.verify(&token).await, TokenFault::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fresh_cache_nobody_gets_in_or_the_directory_is_asked() {
    let world = World::new().await;
    let closed = world.builder().build().expect("a verifier");
    let asking = world
        .builder()
        .unsure(Unsure::Introspect)
        .build()
        .expect("one");
    let none = Verifier::builder(&world.client, AUDIENCE, world.server.tenant_id());
    let none = none.build().expect("a verifier");
    let key = key::id(world.ada.to_string());
    let wish = TokenWish {
        audiences: vec![AUDIENCE.to_owned()],
        ..Default::default()
    };
    let token = world.client.issue_token(key, wish).await.expect("a token");
    let token = token.access_token;
    assert!(matches!(none.verify(&token).await, Err(Error::NotReady)));
    world.clock.pass(Duration::from_secs(91));
    let stale = closed.verify(&token).await;
    assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
    assert!(asking.verify(&token).await.is_ok());
    world.server.lock(world.ada).await.expect("he is locked");
    let refused = asking.verify(&token).await;
    assert!(
        matches!(refused, Err(Error::TokenRefused(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_looked_for_and_a_made_up_one_not_for_long() {
    let mut world = World::new().await;
    let verifier = world.builder().build().expect("a verifier");
    let token = world.token().await;
    assert!(verifier.verify(&token).await.is_ok());
    world.server.revoke_signing_keys().await.expect("revoked");
    let token = world.token().await;
    // The keys were fetched a moment ago: they are not fetched again for a name.
    assert_refused(verifier.verify(&token).await, TokenFault::UnknownKey);
    world.clock.pass(Duration::from_secs(5));
    assert!(verifier.verify(&token).await.is_ok());
    // The directory is away: its keys count for as long as it said, and the cache
    // for three heartbeats.
    world.server.stop().await;
    assert!(verifier.verify(&token).await.is_ok());
}

/// Another server between the verifier and the directory, and a token that lives long.
async fn with_front(world: &World) -> (Front, Cache, Verifier, String) {
    // It hears of the directory each second, however far the clock goes.
    let cache = Cache::builder(&world.client)
        .values(false)
        .heartbeat(Duration::from_secs(1))
        .start();
    ready(&cache).await;
    let front = Front::before(&world.server.url());
    let token = world.server.service_token(&["tokens.introspect"]).await;
    let client = Client::builder()
        .endpoint(front.url())
        .bearer(token.expect("a token"))
        .clock(world.clock.clone())
        .build()
        .expect("a client");
    let verifier = Verifier::builder(&client, AUDIENCE, world.server.tenant_id());
    let verifier = verifier.cache(&cache).build().expect("a verifier");
    let wish = TokenWish {
        audiences: vec![AUDIENCE.to_owned()],
        lifetime: Some(Duration::from_secs(3_600)),
        ..Default::default()
    };
    let key = key::id(world.ada.to_string());
    let issued = world.client.issue_token(key, wish).await;
    let token = issued.expect("a token").access_token;
    (front, cache, verifier, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_newer_keys() {
    let world = World::new().await;
    let (front, cache, verifier, token) = with_front(&world).await;
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(front.count("GetJwks"), 1);
    front.hold("GetJwks");
    // Longer than the directory told its keys for.
    world.clock.pass(Duration::from_secs(301));
    ready(&cache).await;
    let began = Instant::now();
    for _ in 0..20 {
        assert!(verifier.verify(&token).await.is_ok());
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let asked = async {
        while front.count("GetJwks") < 2 {
            tokio::task::yield_now().await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(10), asked).await;
    asked.expect("they are asked for meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_not_believed_for_long() {
    let world = World::new().await;
    let (front, _cache, verifier, token) = with_front(&world).await;
    assert!(verifier.verify(&token).await.is_ok());
    world.server.revoke_signing_keys().await.expect("revoked");
    world.clock.pass(Duration::from_secs(30));
    let refused = async {
        loop {
            match verifier.verify(&token).await {
                // The cache's own token died with the key, too: it comes back in a moment.
                Ok(_) | Err(Error::Stale { .. }) => tokio::task::yield_now().await,
                refused => break refused,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(10), refused).await;
    assert_refused(refused.expect("in time"), TokenFault::UnknownKey);
    assert_eq!(front.count("GetJwks"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_token_is_no_bearer_token() {
    let world = World::new().await;
    let (key, certificate) = ("a".repeat(43), "b".repeat(43));
    for (dpop_jkt, mtls_x5t_s256) in [(key, String::new()), (String::new(), certificate)] {
        let request = IssueUserTokenRequest {
            user: Some(key::id(world.ada.to_string())),
            audiences: vec![AUDIENCE.to_owned()],
            dpop_jkt,
            mtls_x5t_s256,
            ..Default::default()
        };
        let issued = world.client.tokens().issue_user_token(request).await;
        let token = issued.expect("a token").into_inner().access_token;
        let careless = world.builder().build().expect("a verifier");
        assert_refused(careless.verify(&token).await, TokenFault::Bound);
        let checking = world.builder().checks_cnf().build().expect("a verifier");
        let claims = checking.verify(&token).await.expect("the caller checks it");
        assert!(claims.cnf.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_is_held_is_printed() {
    let world = World::new().await;
    let builder = world.builder();
    let verifier = builder.clone().build().expect("a verifier");
    let fields = format!(
        "audience: {AUDIENCE:?}, tenant: {:?}, ..",
        world.server.tenant_id()
    );
    assert_eq!(format!("{builder:?}"), format!("Builder {{ {fields} }}"));
    assert_eq!(format!("{verifier:?}"), format!("Verifier {{ {fields} }}"));
}

#[tokio::test]
async fn a_check_is_never_left_out() {
    let client = Client::builder().endpoint("http://127.0.0.1:1").bearer("x");
    let client = client.build().expect("a client");
    for (audience, tenant) in [("", "t"), ("a", "")] {
        let built = Verifier::builder(&client, audience, tenant).build();
        assert!(matches!(built, Err(Error::Settings(_))), "{built:?}");
    }
}

impl World {
    /// A token of a service client.
    async fn service_token(&self) -> String {
        self.server
            .service_token(&["users.read.basic"])
            .await
            .expect("a token")
    }
}

fn read_head(token: &str) -> serde_json::Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let head = token.split('.').next().expect("a header");
    let head = URL_SAFE_NO_PAD.decode(head).expect("base64");
    serde_json::from_slice(&head).expect("JSON")
}

fn with_head(token: &str, head: &serde_json::Value, signature: bool) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut parts = token.split('.').skip(1);
    let payload = parts.next().expect("a payload");
    let signature = parts.next().filter(|_| signature).unwrap_or_default();
    let head = URL_SAFE_NO_PAD.encode(head.to_string());
    format!("{head}.{payload}.{signature}")
}

/// The same without a signature, under the algorithm `none`.
fn unsigned(token: &str) -> String {
    let mut head = read_head(token);
    head["alg"] = "none".into();
    with_head(token, &head, false)
}

fn under_another_name(token: &str) -> String {
    let mut head = read_head(token);
    head["kid"] = "other".into();
    with_head(token, &head, true)
}
