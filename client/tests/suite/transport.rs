//! Other endpoints, repetition, deadlines, tokens.

use std::time::{Duration, Instant};

use muster_client::{
    Client, Error, ErrorReason, RateClass, key,
    testing::TestServer,
    tonic::{Code, Request},
    v1::{GetUserRequest, ListUsersRequest, LockUserRequest, WriteOptions},
};
use uuid::Uuid;

use crate::world::{Ahead, Habit, Proxy, dead, nobody};

async fn read(client: &Client, user: Uuid) -> Result<String, Error> {
    let request = GetUserRequest {
        id: user.to_string(),
        ..Default::default()
    };
    let answer = client.users().get_user(request).await?;
    Ok(answer.into_inner().user.unwrap_or_default().user_name)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_reached_costs_no_call() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let key = server
        .service_key(&["users.read.basic"])
        .await
        .expect("a key");
    let client = Client::builder()
        .endpoint(nobody().await)
        .endpoint(server.url())
        .service_key(key)
        .build()
        .expect("a client");
    for _ in 0..20 {
        assert_eq!(read(&client, ada).await.expect("an answer"), "ada");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_costs_no_call() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let scopes = ["users.read.status", "users.lock"];
    let token = server.service_token(&scopes).await.expect("a token");
    let client = Client::builder()
        .endpoint(dead().await)
        .endpoint(server.url())
        .bearer(token)
        .build()
        .expect("a client");
    // Many at once, half of which go to the dead one first: half a second is all they have.
    let ask = || {
        let client = client.clone();
        tokio::spawn(async move { client.user_status(key::id(ada.to_string())).await })
    };
    let asked: Vec<_> = (0..40).map(|_| ask()).collect();
    for answer in asked {
        answer.await.expect("no panic").expect("an answer");
    }
    // It is asked again at the end of each rest, by a call that does not fail for it.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let answer = ask().await.expect("no panic");
        assert!(answer.expect("an answer").effective_active);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..2 {
        let request = LockUserRequest {
            id: ada.to_string(),
            ..Default::default()
        };
        client.users().lock_user(request).await.expect("it is done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_repeats_a_read_elsewhere() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let proxy = Proxy::before(&server.url(), Habit::Breaks).await;
    let key = server
        .service_key(&["users.read.basic"])
        .await
        .expect("a key");
    let client = Client::builder()
        .endpoint(proxy.url())
        .endpoint(server.url())
        .service_key(key)
        .build()
        .expect("a client");
    for _ in 0..4 {
        assert_eq!(read(&client, ada).await.expect("an answer"), "ada");
    }
    assert!(proxy.broken() > 0, "the first was asked, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_repeated_under_the_same_id() {
    let server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let proxy = Proxy::before(&server.url(), Habit::Breaks).await;
    let token = server.service_key(&["users.lock"]).await.expect("a key");
    let client = Client::builder()
        .endpoint(proxy.url())
        .endpoint(server.url())
        .service_key(token)
        .build()
        .expect("a client");
    for _ in 0..2 {
        let request = LockUserRequest {
            id: ada.to_string(),
            reason: "left".to_owned(),
            options: Some(WriteOptions::default()),
        };
        let answer = client.users().lock_user(request).await.expect("it is done");
        assert!(answer.into_inner().user.is_some());
    }
    assert!(proxy.broken() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_waited_for_beyond_the_deadline() {
    let client = Client::builder()
        .endpoint(nobody().await)
        .bearer("x")
        .deadline(RateClass::Read, Duration::from_millis(300))
        .build()
        .expect("a client");
    let began = Instant::now();
    let error = read(&client, Uuid::nil())
        .await
        .expect_err("nobody is there");
    assert_eq!(
        (error.code(), error.reason()),
        (Some(Code::Unavailable), None)
    );
    assert!(error.is_retryable());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    // A call's own word counts more.
    let mut request = Request::new(GetUserRequest::default());
    request.set_timeout(Duration::from_millis(20));
    let began = Instant::now();
    client.users().get_user(request).await.expect_err("nobody");
    assert!(began.elapsed() < Duration::from_millis(280));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_yet_is_waited_for() {
    let mut server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let client = server.client();
    server.stop().await;
    let reading = tokio::spawn(async move { read(&client, ada).await });
    server.start_again().await.expect("it starts again");
    assert_eq!(reading.await.expect("no panic").expect("an answer"), "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_reason_of_the_directory() {
    let server = TestServer::start().await.expect("it starts");
    let client = server
        .client_with(&["users.read.basic"])
        .await
        .expect("a client");
    let error = read(&client, Uuid::nil())
        .await
        .expect_err("nobody has this id");
    assert_eq!(error.reason(), Some(ErrorReason::UserNotFound));
    assert!(!error.is_retryable());
    let listed = client.users().list_users(ListUsersRequest::default()).await;
    let error = Error::from(listed.expect_err("not within its scopes"));
    assert_eq!(error.reason(), Some(ErrorReason::ScopeMissing));
    let Error::Refused(refused) = error else {
        unreachable!("the directory said so");
    };
    assert!(
        refused
            .metadata
            .contains(&("scope".to_owned(), "users.list".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends_and_when_it_is_refused() {
    let mut server = TestServer::start().await.expect("it starts");
    let ada = server.user("ada").await.expect("a user");
    let key = server
        .service_key(&["users.read.basic"])
        .await
        .expect("a key");
    let clock = Ahead::new();
    let client = server
        .builder()
        .service_key(key)
        .clock(clock.clone())
        .build()
        .expect("a client");
    read(&client, ada).await.expect("an answer");
    // Later than 80 % of 15 minutes: an assertion of a minute, so far ahead, is taken.
    clock.pass(Duration::from_secs(12 * 60 + 1));
    read(&client, ada)
        .await
        .expect("an answer with the next token");
    // A directory with other keys refuses it, and the client gets another.
    server
        .revoke_signing_keys()
        .await
        .expect("they are revoked");
    read(&client, ada)
        .await
        .expect("an answer with yet another");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_that_is_refused_is_not_tried_again() {
    let server = TestServer::start().await.expect("it starts");
    let client = server.builder().bearer("musc_x").build().expect("a client");
    let error = read(&client, Uuid::nil()).await.expect_err("it is none");
    assert_eq!(error.reason(), Some(ErrorReason::CredentialInvalid));
}
