//! The provisioning log: what waits is written once, whatever happens meanwhile.

use crate::{
    domain::provisioning::Event,
    storage::provisioning::{self, EventQuery},
};

use super::*;

impl World {
    async fn statuses(&self) -> Vec<u16> {
        let wanted = EventQuery::default();
        let events = self
            .directory
            .tail_events(&self.caller.tenant_id, &wanted, 100);
        let events = events.await.unwrap().into_iter();
        events.map(|event| event.status).collect()
    }

    fn record(&self, statuses: &[u16]) {
        let events = statuses.iter().map(|&status| Event {
            status,
            ..Event::default()
        });
        let dropped = self.directory.record_events(&self.caller, events.collect());
        assert_eq!(dropped.unwrap(), 0);
    }
}

#[tokio::test]
async fn events_are_written_in_their_order() {
    let world = World::new().await;
    world.record(&[200, 201]);
    world.record(&[404]);
    assert!(world.statuses().await.is_empty(), "they wait");
    world.directory.write_events().await;
    assert_eq!(world.statuses().await, [404, 201, 200]);
}

/// A commit whose answer nobody heard is tried again.
#[tokio::test]
async fn what_is_written_twice_is_there_once() {
    let world = World::new().await;
    world.record(&[200, 201]);
    let taken = world.directory.journal.take();
    let events = Arc::new(taken.events.clone());
    let written = world.directory.store.administer("Test", move |tx| {
        let events = Arc::clone(&events);
        async move { provisioning::insert(&tx, &events).await }
    });
    written.await.unwrap();
    drop(taken);
    world.record(&[404]);
    world.directory.write_events().await;
    assert_eq!(world.statuses().await, [404, 201, 200]);
    assert_eq!(world.directory.dropped_events(), 0);
}

/// What this database never takes is one event, and takes no other with it.
#[tokio::test]
async fn an_event_that_cannot_be_written_is_dropped_alone() {
    let world = World::new().await;
    world.record(&[200, 201]);
    let foreign = Event {
        id: world.directory.source.new_id(),
        tenant_id: "nobody".to_owned(),
        ..Event::default()
    };
    assert_eq!(world.directory.journal.add([foreign]), 0);
    world.record(&[404]);
    world.directory.write_events().await;
    assert_eq!(world.statuses().await, [404, 201, 200]);
    assert_eq!(world.directory.dropped_events(), 1);
}
