//! The flows that ask the directory's lookup service.

use std::time::Duration;

use muster_client::{
    Error, ErrorReason, SignIn, Uuid,
    cache::{Cache, Silent, Verdict},
    key,
    testing::TestServer,
    v1::{FederatedKey, GroupExpansion, group_expansion::Mode},
};

use crate::world::{Ahead, ready};

#[tokio::test(flavor = "multi_thread")]
async fn memberships_and_states_are_asked() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let group = server.group("group").await.expect("a group");
    server.add_user(group, ada).await.expect("a member");
    let client = server.client();
    let (who, which) = (key::id(ada.to_string()), group.to_string());
    let verdict = client.check_membership(who.clone(), &which).await;
    assert_eq!(verdict.expect("an answer"), Verdict::Direct);
    let unknown = client
        .check_membership(who.clone(), &Uuid::nil().to_string())
        .await;
    let unknown = unknown.expect_err("no such group");
    assert_eq!(unknown.reason(), Some(ErrorReason::GroupNotFound));
    server.lock(ada).await.expect("he is locked");
    let status = client.user_status(who).await.expect("an answer");
    assert!(!status.effective_active);
    let unknown = client.user_status(key::user_name("nobody")).await;
    let unknown = unknown.expect_err("nobody has this name");
    assert_eq!(unknown.reason(), Some(ErrorReason::UserNotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_who_is_not_linked() {
    let server = TestServer::start().await.expect("it starts");
    server.user("ada").await.expect("a user");
    let who = SignIn {
        identity: FederatedKey {
            issuer: "https://id.example.test".to_owned(),
            subject: "ada".to_owned(),
        },
        fallback: None,
        groups: Some(GroupExpansion {
            mode: Mode::Transitive.into(),
            ..Default::default()
        }),
    };
    let refused = server.client().sign_in(who).await.expect_err("not linked");
    assert_eq!(refused.reason(), Some(ErrorReason::UserNotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_cache_may_ask() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let group = server.group("group").await.expect("a group");
    server.add_user(group, ada).await.expect("a member");
    let scopes = [
        "changes.read",
        "users.read.pii",
        "users.read.basic",
        "users.resolve",
        "groups.read",
    ];
    let key = server.service_key(&scopes).await.expect("a key");
    let clock = Ahead::new();
    let builder = server.builder().service_key(key).clock(clock.clone());
    let cache = Cache::builder(&builder.build().expect("a client"))
        .heartbeat(Duration::from_secs(30))
        .silent(Silent::AskServer)
        .start();
    ready(&cache).await;
    clock.pass(Duration::from_secs(91));
    let verdict = cache.check_membership(ada, group).await;
    assert_eq!(verdict.expect("an answer"), Verdict::Direct);
    assert!(cache.status(ada).await.expect("an answer").effective_active);
    let groups = cache.effective_groups(ada).await.expect("an answer");
    assert_eq!(groups.len(), 1);
    let found = cache.resolve_user(&key::user_name("ada")).await;
    assert_eq!(found.expect("he is found").id, ada);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_asked_for_once() {
    let server = TestServer::start().await.expect("it starts");
    let cache = Cache::builder(&server.client())
        .ask_for_misses(true)
        .start();
    ready(&cache).await;
    let name = key::user_name("ada");
    for _ in 0..2 {
        let missed = cache.resolve_user(&name).await.expect_err("nobody");
        assert_eq!(missed.reason(), Some(ErrorReason::UserNotFound));
    }
    let missed = cache.resolve_user(&name).await;
    assert!(
        matches!(missed, Err(Error::UserNotFound)),
        "not asked again: {missed:?}"
    );
    let ada = server.user("ada").await.expect("a user");
    let found = async {
        loop {
            if let Ok(found) = cache.resolve_user(&name).await {
                return found.id;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), found).await;
    assert_eq!(found.expect("in time"), ada);
}
