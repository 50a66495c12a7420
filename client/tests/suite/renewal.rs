//! How tokens for a service's key are got.

use std::{sync::Arc, time::Duration};

use muster_client::{Client, Error, ErrorReason, Uuid, key, testing::TestServer};
use tokio::task::JoinHandle;

use crate::{
    front::Front,
    world::{Ahead, dead},
};

const EXCHANGE: &str = "IssueServiceToken";

struct World {
    server: TestServer,
    front: Front,
    key: String,
    clock: Arc<Ahead>,
    ada: Uuid,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start().await.expect("it starts");
        let ada = server.user("ada").await.expect("a user");
        let key = server.service_key(&["users.read.status"]).await;
        Self {
            front: Front::before(&server.url()),
            key: key.expect("a key"),
            clock: Ahead::new(),
            server,
            ada,
        }
    }

    fn client(&self, key: &str) -> Client {
        let builder = Client::builder().endpoint(self.front.url());
        let builder = builder.service_key(key).clock(self.clock.clone());
        builder.build().expect("a client")
    }

    /// Asks for something that must be there in half a second.
    fn ask(&self, client: &Client) -> JoinHandle<Result<bool, Error>> {
        let (client, who) = (client.clone(), key::id(self.ada.to_string()));
        tokio::spawn(async move { Ok(client.user_status(who).await?.effective_active) })
    }

    async fn comes(&self, count: usize) {
        let comes = async {
            while self.front.count(EXCHANGE) < count {
                tokio::task::yield_now().await;
            }
        };
        let comes = tokio::time::timeout(Duration::from_secs(10), comes);
        comes.await.expect("it is asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_good_token_does_not_wait_for_the_next() {
    let world = World::new().await;
    let client = world.client(&world.key);
    assert!(world.ask(&client).await.expect("no panic").expect("one"));
    // Its time to be renewed has come, and it lives yet.
    world.clock.pass(Duration::from_secs(12 * 60 + 1));
    world.front.hold(EXCHANGE);
    let asked: Vec<_> = (0..10).map(|_| world.ask(&client)).collect();
    for answer in asked {
        assert!(answer.await.expect("no panic").expect("an answer"));
    }
    world.comes(2).await;
    world.front.hold("");
    // The next one is there after a while, though nobody waited for it.
    world.clock.pass(Duration::from_secs(3 * 60));
    assert!(world.ask(&client).await.expect("no panic").expect("one"));
    assert_eq!(world.front.count(EXCHANGE), 2, "once, for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_leaves_the_token_to_the_others() {
    let world = World::new().await;
    let client = world.client(&world.key);
    world.front.hold(EXCHANGE);
    // His time ends before there is one.
    let given_up = world.ask(&client).await.expect("no panic");
    assert!(given_up.expect_err("no token").is_retryable());
    let waiting = world.ask(&client);
    world.front.hold("");
    assert!(waiting.await.expect("no panic").expect("an answer"));
    assert_eq!(world.front.count(EXCHANGE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_shared_and_counts_for_a_moment() {
    let world = World::new().await;
    let client_id = serde_json::from_str::<serde_json::Value>(&world.key).expect("JSON");
    let client_id = client_id["client_id"].as_str().expect("an id");
    let others = world.key.replace(client_id, &Uuid::nil().to_string());
    let client = world.client(&others);
    let asked: Vec<_> = (0..10).map(|_| world.ask(&client)).collect();
    for answer in asked {
        let refused = answer.await.expect("no panic").expect_err("no such client");
        assert_eq!(refused.reason(), Some(ErrorReason::CredentialInvalid));
    }
    assert_eq!(world.front.count(EXCHANGE), 1);
    world.clock.pass(Duration::from_secs(1));
    let again = world.ask(&client).await.expect("no panic");
    again.expect_err("it is none yet");
    assert_eq!(world.front.count(EXCHANGE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_gives_no_token_and_the_next_does() {
    let world = World::new().await;
    let builder = Client::builder().endpoint(dead().await);
    let builder = builder.endpoint(world.server.url()).service_key(&world.key);
    let client = builder.build().expect("a client");
    let mut answer = world.ask(&client).await.expect("no panic");
    for _ in 0..4 {
        if answer.is_ok() {
            break;
        }
        answer = world.ask(&client).await.expect("no panic");
    }
    assert!(answer.expect("an answer"), "within two seconds");
}
