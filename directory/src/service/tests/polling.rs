//! Streams of security event tokens that lost their place.

use super::*;
use crate::service::{Poll, Polled};

const STREAM: &str = "sso";

/// A receiver of security events.
struct Receiver<'a> {
    world: &'a World,
    caller: Caller,
}

impl<'a> Receiver<'a> {
    async fn new(world: &'a World) -> Self {
        let caller = super::tokens::service(world, &["signals.read"]).await;
        Self { world, caller }
    }

    async fn poll(&self, begins_anew: bool) -> Result<Polled> {
        let poll = Poll {
            stream_id: STREAM.to_owned(),
            most: None,
            acks: Vec::new(),
            failed: 0,
            begins_anew,
        };
        let polled = self.world.directory.poll_events(&self.caller, &poll);
        polled.await
    }
}

#[tokio::test]
async fn a_stream_that_lost_events_says_so_until_it_is_heard() {
    const EIGHT_DAYS_MS: i64 = 8 * 24 * 60 * 60 * 1_000;
    let world = World::new().await;
    let receiver = Receiver::new(&world).await;
    let ada = world.user("ada").await.view.resource.id;
    assert_eq!(receiver.poll(false).await.unwrap().sets.len(), 0);
    let _ = world.disable(&ada).await;
    assert_eq!(receiver.poll(false).await.unwrap().sets.len(), 1);
    world.source.ms.fetch_add(EIGHT_DAYS_MS, Ordering::Relaxed);
    world.directory.keep_house().await.unwrap();
    for _ in 0..2 {
        let lost = receiver.poll(false).await;
        assert!(matches!(lost, Err(Error::CursorExpired)), "{lost:?}");
    }
    assert_eq!(receiver.poll(true).await.unwrap(), Polled::default());
    let bob = world.user("bob").await.view.resource.id;
    let _ = world.disable(&bob).await;
    // Nothing is lost now, so that there is nothing to begin anew.
    assert_eq!(receiver.poll(true).await.unwrap().sets.len(), 1);
}

#[tokio::test]
async fn after_a_restored_backup_a_stream_is_another_one() {
    let world = World::new().await;
    let receiver = Receiver::new(&world).await;
    let ada = world.user("ada").await.view.resource.id;
    receiver.poll(false).await.unwrap();
    world.directory.renew_epoch().await.unwrap();
    for _ in 0..2 {
        let lost = receiver.poll(false).await;
        assert!(matches!(lost, Err(Error::EpochMismatch)), "{lost:?}");
    }
    receiver.poll(true).await.unwrap();
    let _ = world.disable(&ada).await;
    assert_eq!(receiver.poll(false).await.unwrap().sets.len(), 1);
}

#[tokio::test]
async fn what_is_no_event_moves_no_stream() {
    let world = World::new().await;
    let receiver = Receiver::new(&world).await;
    let ada = world.user("ada").await.view.resource.id;
    receiver.poll(false).await.unwrap();
    let Principal::Client { id: client_id, .. } = &receiver.caller.principal else {
        panic!("a service client");
    };
    let key = crate::storage::signal_streams::StreamKey {
        tenant_id: world.caller.tenant_id.clone(),
        client_id: client_id.clone(),
        stream_id: STREAM.to_owned(),
    };
    let place = async || {
        let tx = world.directory.store.single();
        let state = crate::storage::signal_streams::load(&tx, &key).await;
        state.unwrap().map(|state| state.place.revision)
    };
    let began = place().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let title = directory.patch_user(caller, &ada, set("title", "Dr"), free(), Wants::ALL);
    title.await.unwrap();
    assert_eq!(receiver.poll(false).await.unwrap().sets.len(), 0);
    assert_eq!(place().await, began, "nobody wrote");
    let _ = world.disable(&ada).await;
    assert_eq!(receiver.poll(false).await.unwrap().sets.len(), 1);
}
