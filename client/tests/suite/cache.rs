//! What the cache answers, when it does not, and how it comes back.

use std::{sync::Arc, time::Duration};

use muster_client::{
    Error, ErrorReason, Uuid,
    cache::{Cache, Silent, Verdict},
    key,
    testing::TestServer,
    v1::{GetChangeBoundsRequest, WatchChangesRequest, watch_changes_request::Start},
};
use tokio::time::timeout;

use crate::world::{Ahead, Habit, Proxy, ready};

const PATIENCE: Duration = Duration::from_secs(20);

async fn start() -> TestServer {
    TestServer::start().await.expect("it starts")
}

async fn cached(server: &TestServer) -> Cache {
    let cache = Cache::builder(&server.client()).start();
    ready(&cache).await;
    cache
}

/// Waits for what was written.
async fn passed(cache: &Cache, revision: Result<Option<muster_client::v1::Revision>, Error>) {
    let revision = revision
        .expect("it is written")
        .expect("it changed something");
    let waited = timeout(PATIENCE, cache.wait_for(&revision)).await;
    waited.expect("in time").expect("the cache goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_what_follows_are_answered_from() {
    let server = start().await;
    let ada = server.user("ada@example.test").await.expect("a user");
    let (inner, outer) = (server.group("inner").await, server.group("outer").await);
    let (inner, outer) = (inner.expect("a group"), outer.expect("a group"));
    server.add_user(inner, ada).await.expect("a member");
    let cache = cached(&server).await;
    let check = async |group| cache.check_membership(ada, group).await.expect("an answer");
    assert_eq!(check(inner).await, Verdict::Direct);
    assert_eq!(check(outer).await, Verdict::NotMember);

    passed(&cache, server.add_group(outer, inner).await).await;
    assert_eq!(check(outer).await, Verdict::Transitive);
    let groups = cache.effective_groups(ada).await.expect("an answer");
    let told: Vec<_> = groups
        .iter()
        .map(|group| {
            (
                group.group_id,
                group.display_name.as_deref(),
                group.indirect,
            )
        })
        .collect();
    let expected = [(inner, Some("inner"), false), (outer, Some("outer"), true)];
    assert_eq!(told, expected);

    passed(&cache, server.lock(ada).await).await;
    assert_eq!(check(inner).await, Verdict::UserInactive);
    let by_name = key::user_name("ADA@example.test");
    let refused = cache.resolve_user(&by_name).await;
    assert!(matches!(refused, Err(Error::UserInactive)), "{refused:?}");
    let found = cache.resolve_any_user(&by_name).await.expect("he is there");
    assert!(found.id == ada && !found.access.effective_active);
    assert!(found.access.tokens_valid_after_ms.is_some());

    passed(&cache, server.unlock(ada).await).await;
    let found = cache.resolve_user(&key::email("ADA@example.test")).await;
    assert_eq!(found.expect("he may act").id, ada);
    passed(&cache, server.remove_group(outer, inner).await).await;
    assert_eq!(check(outer).await, Verdict::NotMember);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_says_when_it_tells_of_a_change() {
    let server = start().await;
    let mut changes = server.client().changes();
    let bounds = changes.get_change_bounds(GetChangeBoundsRequest {}).await;
    let after = bounds.expect("bounds").into_inner().latest;
    let request = WatchChangesRequest {
        start: after.map(Start::After),
        ..Default::default()
    };
    let stream = changes.watch_changes(request).await.expect("a stream");
    server.user("ada").await.expect("a user");
    let mut stream = stream.into_inner();
    let message = stream.message().await.expect("a message").expect("one");
    let committed = message.batches.last().expect("a change").commit_time;
    let told = message.checkpoint.expect("with a checkpoint").server_time;
    let committed = committed.expect("always set");
    let late = told.expect("always set").seconds - committed.seconds;
    assert!((0..10).contains(&late), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_users_and_groups_take_their_memberships_along() {
    let server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let group = server.group("group").await.expect("a group");
    server.add_user(group, ada).await.expect("a member");
    let cache = cached(&server).await;
    passed(&cache, server.delete_user(ada).await).await;
    let gone = cache.check_membership(ada, group).await;
    assert!(matches!(gone, Err(Error::UserNotFound)), "{gone:?}");
    let gone = cache.resolve_any_user(&key::user_name("ada")).await;
    assert!(matches!(gone, Err(Error::UserNotFound)), "{gone:?}");
    passed(&cache, server.undelete_user(ada).await).await;
    let back = cache.check_membership(ada, group).await.expect("an answer");
    assert_eq!(back, Verdict::Direct);
    passed(&cache, server.delete_group(group).await).await;
    let gone = cache.check_membership(ada, group).await;
    assert!(matches!(gone, Err(Error::GroupNotFound)), "{gone:?}");
    assert!(cache.effective_groups(ada).await.expect("none").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_prints_nobody() {
    let server = start().await;
    let ada = server.user("ada@example.test").await.expect("a user");
    let group = server.group("the inner circle").await.expect("a group");
    server.add_user(group, ada).await.expect("a member");
    let cache = cached(&server).await;
    let found = cache.resolve_user(&key::id(ada.to_string())).await;
    let found = found.expect("he is there");
    let printed = format!("{cache:?} {:?} {cache:#?} {found:?}", cache.local());
    for personal in ["ada@example.test", "inner circle"] {
        assert!(!printed.contains(personal), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_values_ids_are_enough() {
    let server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let group = server.group("group").await.expect("a group");
    server.add_user(group, ada).await.expect("a member");
    let client = server
        .client_with(&["changes.read"])
        .await
        .expect("a client");
    let cache = Cache::builder(&client).values(false).start();
    ready(&cache).await;
    let verdict = cache.check_membership(ada, group).await.expect("an answer");
    assert_eq!(verdict, Verdict::Direct);
    let found = cache.resolve_user(&key::id(ada.to_string())).await;
    assert!(found.expect("by his id").user.is_none());
    let unkept = cache.resolve_user(&key::user_name("ada")).await;
    assert!(matches!(unkept, Err(Error::NotKept(_))), "{unkept:?}");
    passed(&cache, server.lock(ada).await).await;
    assert!(!cache.status(ada).await.expect("an answer").effective_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_the_rights_is_told() {
    let server = start().await;
    let client = server
        .client_with(&["users.read.basic"])
        .await
        .expect("a client");
    let cache = Cache::builder(&client).start();
    let told = timeout(PATIENCE, cache.ready()).await.expect("in time");
    let told = told.expect_err("it may not");
    assert_eq!(told.reason(), Some(ErrorReason::ScopeMissing));
    let unready = cache.status(Uuid::nil()).await;
    assert!(matches!(unready, Err(Error::NotReady)), "{unready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_in_no_answer_and_a_word_in_answers_again() {
    let server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let key = server
        .service_key(&["changes.read", "users.read.pii"])
        .await;
    let clock = Ahead::new();
    let builder = server.builder().service_key(key.expect("a key"));
    let client = builder.clock(clock.clone()).build().expect("a client");
    let cache = Cache::builder(&client)
        .heartbeat(Duration::from_secs(30))
        .start();
    ready(&cache).await;
    let fresh = cache.freshness();
    assert!(fresh.is_fresh && fresh.caught_up && fresh.revision.is_some());
    clock.pass(Duration::from_secs(89));
    assert!(cache.status(ada).await.is_ok(), "three heartbeats are 90 s");
    clock.pass(Duration::from_secs(2));
    let stale = cache.status(ada).await;
    assert!(matches!(stale, Err(Error::Stale { .. })), "{stale:?}");
    assert!(!cache.freshness().is_fresh);
    // What is heard then may be old: it is asked how far the directory is.
    server.lock(ada).await.expect("he is locked");
    ready(&cache).await;
    assert!(!cache.status(ada).await.expect("an answer").effective_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived_and_nothing_is_missed() {
    let mut server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let group = server.group("group").await.expect("a group");
    let cache = cached(&server).await;
    server.stop().await;
    assert!(
        cache.status(ada).await.is_ok(),
        "it goes on to answer for a while"
    );
    server.start_again().await.expect("it starts again");
    passed(&cache, server.add_user(group, ada).await).await;
    let verdict = cache.check_membership(ada, group).await.expect("an answer");
    assert_eq!(verdict, Verdict::Direct);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_resumed() {
    let server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let key = server
        .service_key(&["changes.read", "users.read.pii"])
        .await;
    let proxy = Proxy::before(&server.url(), Habit::Passes).await;
    let client = muster_client::Client::builder()
        .endpoint(proxy.url())
        .service_key(key.expect("a key"))
        .build();
    let cache = Cache::builder(&client.expect("a client")).start();
    ready(&cache).await;
    passed(&cache, server.lock(ada).await).await;
    assert!(!cache.status(ada).await.expect("an answer").effective_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_begun_anew() {
    let mut server = start().await;
    let ada = server.user("ada").await.expect("a user");
    let cache = cached(&server).await;
    let before = cache.freshness().revision.expect("it is filled");
    server.renew_epoch().await.expect("it is renewed");
    // A directory that runs on looks every few seconds.
    server.start_again().await.expect("it starts again");
    let epoch = async {
        while cache.freshness().revision.as_ref() == Some(&before) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, epoch).await.expect("a new snapshot");
    passed(&cache, server.lock(ada).await).await;
    assert!(!cache.status(ada).await.expect("an answer").effective_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_no_half_filled_map() {
    let mut server = start().await;
    let group = server.group("group").await.expect("a group");
    let mut users = Vec::new();
    for n in 0..40 {
        let user = server.user(&format!("user-{n}")).await.expect("a user");
        server.add_user(group, user).await.expect("a member");
        users.push(user);
    }
    let cache = cached(&server).await;
    let users = Arc::new(users);
    let reading = {
        let (cache, users) = (cache.clone(), Arc::clone(&users));
        tokio::task::spawn_blocking(move || {
            for _ in 0..2_000 {
                for user in users.iter() {
                    let verdict = cache.local().check_membership(*user, group);
                    assert_eq!(verdict.expect("an answer"), Verdict::Direct);
                }
            }
        })
    };
    server.renew_epoch().await.expect("it is renewed");
    server.start_again().await.expect("it starts again");
    reading.await.expect("each was in all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_cache_asks_nobody_unless_it_is_set_to() {
    // The directory's answer to the question is the lookup service's own matter; that it
    // is asked is seen by its refusal.
    let server = start().await;
    let clock = Ahead::new();
    let key = server.service_key(&["changes.read"]).await.expect("a key");
    let builder = server.builder().service_key(key).clock(clock.clone());
    let client = builder.build().expect("a client");
    let cache = Cache::builder(&client)
        .values(false)
        .heartbeat(Duration::from_secs(30))
        .silent(Silent::AskServer)
        .start();
    ready(&cache).await;
    clock.pass(Duration::from_secs(91));
    let asked = cache.check_membership(Uuid::nil(), Uuid::nil()).await;
    assert!(matches!(asked, Err(Error::Refused(_))), "{asked:?}");
    let local = cache.local().check_membership(Uuid::nil(), Uuid::nil());
    assert!(matches!(local, Err(Error::Stale { .. })), "{local:?}");
}
