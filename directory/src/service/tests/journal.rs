//! The provisioning log: what waits is written once, whatever happens meanwhile.

use crate::{
    domain::{
        provisioning::{Event, Operation},
        report::Outcome,
    },
    storage::{
        held::{Held, HeldOperation},
        provisioning::{self, EventQuery},
    },
};

use super::*;

impl World {
    /// The newest first.
    async fn events(&self) -> Vec<Event> {
        let wanted = EventQuery::default();
        let events = self
            .directory
            .tail_events(&self.caller.tenant_id, &wanted, 100);
        events.await.unwrap()
    }

    async fn statuses(&self) -> Vec<u16> {
        let events = self.events().await.into_iter();
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

#[tokio::test]
async fn what_became_of_a_deactivation_is_in_the_log_and_no_request() {
    let world = World::new().await;
    let attributes = object([("userName", "ada"), ("externalId", "x-1")]);
    let user = world.directory.create_user(&world.caller, attributes);
    let user = user.await.unwrap().view.resource;
    let connection_id = world.caller.connection().unwrap().to_owned();
    let held = Held {
        user_id: user.id.clone(),
        tenant_id: world.caller.tenant_id.clone(),
        connection_id: connection_id.clone(),
        operation: HeldOperation::Deactivate,
        user_name: None,
        held_at: 0,
        due_at: 0,
    };
    let server = Caller::inside(&world.caller.tenant_id, Principal::Server);
    let by = operator(&world.caller);
    for (caller, came_to) in [
        (&server, Outcome::Deleted),
        (&by, Outcome::Disabled),
        (&by, Outcome::Enabled),
    ] {
        world.directory.note_resolved(caller, &held, came_to);
    }
    world.directory.write_events().await;
    let events = world.events().await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.operation, event.name.as_str(), event.status))
        .collect();
    assert_eq!(
        told,
        [
            (Operation::Enable, "", 0),
            (Operation::Disable, "scim_user_deactivated", 0),
            (Operation::Delete, "scim_user_deleted", 0),
        ]
    );
    assert!(events[2].details.detail.contains("Nobody decided"));
    for event in &events {
        assert_eq!(event.resource_id, user.id);
        assert_eq!(event.external_id, "x-1", "looked up when it is written");
        assert_eq!(event.connection_id, connection_id);
        assert!(!event.details.held && event.credential_id.is_empty());
    }
    let health = world
        .directory
        .connection_health(&world.caller.tenant_id, &connection_id);
    let health = health.await.unwrap();
    assert_eq!((health.requests, health.last_request), (0, None));
}

/// What another connection calls somebody is not for this one to know.
#[tokio::test]
async fn nobody_is_named_as_another_connection_names_him() {
    let world = World::new().await;
    let attributes = object([("userName", "ada"), ("externalId", "x-1")]);
    let user = world.directory.create_user(&world.caller, attributes);
    let user = user.await.unwrap().view.resource;
    let by = operator(&world.caller);
    let other = world
        .directory
        .create_connection(&by, "other", ConnectionEdit::default())
        .await
        .unwrap();
    let stranger = Caller {
        principal: Principal::Connection {
            connection_id: other.id,
            credential_id: "credential".to_owned(),
        },
        ..world.caller.clone()
    };
    for caller in [&world.caller, &stranger] {
        let event = Event {
            status: 404,
            resource_id: user.id.clone(),
            ..Event::default()
        };
        let _ = world.directory.record_events(caller, vec![event]).unwrap();
    }
    world.directory.write_events().await;
    let events = world.events().await;
    let names: Vec<_> = events
        .iter()
        .map(|event| event.external_id.as_str())
        .collect();
    assert_eq!(names, ["", "x-1"]);
}
