//! Signals: whoever keeps people signed in hears of everything that ends or
//! changes access, and of nobody's name.

mod ends;
mod linking;
mod polling;

use muster_proto::v1::{
    InactiveReason, Revision, Signal, SignalType, WatchSignalsRequest, watch_signals_request::Start,
};
use muster_tests::{
    feed::{contains, latest},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{Scim, USER},
    service::Service,
    signals::{link, list, told},
    tenant::Tenant,
};
use prost::Message as _;
use serde_json::json;
use tonic::Code;

/// A tenant with a service client that may do everything.
struct World {
    tenant: Tenant,
    service: Service,
    grpc: Grpc,
    scim: Scim,
}

fn world() -> World {
    let server = super::server();
    let tenant = Tenant::create(server);
    let service = Service::full(server, &tenant);
    World {
        grpc: service.grpc(),
        scim: tenant.scim(),
        tenant,
        service,
    }
}

impl World {
    /// What is told of what is done.
    #[track_caller]
    fn hears(&self, what: impl FnOnce()) -> Vec<Signal> {
        let before = latest(&self.grpc);
        what();
        list(&self.grpc, Some(before)).0
    }

    fn set_active(&self, user: &str, active: bool) {
        let operation = json!([{"op": "Replace", "path": "active", "value": active}]);
        let path = format!("/Users/{user}");
        let _ = self.scim.patch(&path, &operation).status(200);
    }
}

#[test]
fn signals_say_who_and_since_when_and_no_names() {
    let world = world();
    let ada = world.scim.user("ada-the-secret");
    let _ = link(&world.grpc, &ada, "sub-1").expect("linked");
    let signals = world.hears(|| world.set_active(&ada, false));
    let [signal] = signals.as_slice() else {
        panic!("{signals:?}");
    };
    assert_eq!(signal.r#type(), SignalType::AccountDisabled);
    assert_eq!(signal.inactive_reason(), InactiveReason::Deprovisioned);
    assert_eq!(signal.user_id, ada);
    assert_eq!(signal.subjects[0].subject, "sub-1");
    assert!(signal.tokens_valid_after.is_some() && signal.event_time.is_some());
    assert!(signal.actor.is_some() && !signal.transaction_id.is_empty());
    assert!(!contains(&signal.encode_to_vec(), "secret"));
    // The same again when it is read again.
    let (all, _) = list(&world.grpc, None);
    assert_eq!(all.last(), Some(signal));
    let back = world.hears(|| world.set_active(&ada, true));
    assert_eq!(told(&back), [(SignalType::AccountEnabled, ada)]);
}

#[test]
fn a_stream_resumes_by_the_feeds_revisions_and_shows_the_wanted_types() {
    let world = world();
    let ada = world.scim.user("ada");
    let before = latest(&world.grpc);
    world.set_active(&ada, false);
    world.set_active(&ada, true);
    let watch = |start: Start, types: &[SignalType]| {
        let request = WatchSignalsRequest {
            start: Some(start),
            types: types.iter().map(|one| (*one).into()).collect(),
            heartbeat: None,
        };
        let stream = wait(world.grpc.signals().watch_signals(request));
        stream.expect("the stream opens").into_inner()
    };
    let next = |stream: &mut tonic::Streaming<_>| {
        wait(stream.message()).expect("a message").expect("no end")
    };
    let mut stream = watch(Start::After(before.clone()), &[SignalType::AccountEnabled]);
    let message: muster_proto::v1::WatchSignalsResponse = next(&mut stream);
    let enabled = (SignalType::AccountEnabled, ada.clone());
    assert_eq!(told(&message.signals), std::slice::from_ref(&enabled));
    let through: Revision = message.through.expect("always set");
    let (rest, _) = list(&world.grpc, Some(through.clone()));
    assert!(rest.is_empty(), "{rest:?}");
    let mut resumed = watch(Start::After(through), &[]);
    let mut coming = watch(Start::FromNow(true), &[]);
    assert!(next(&mut coming).signals.is_empty());
    world.set_active(&ada, false);
    for stream in [&mut resumed, &mut coming] {
        let message = next(stream);
        let disabled = (SignalType::AccountDisabled, ada.clone());
        assert_eq!(told(&message.signals), [disabled]);
    }
}

#[test]
fn who_is_in_a_group_hears_by_himself_and_of_groups_together() {
    use SignalType::{ClaimsChanged, IdentifierChanged};
    let world = world();
    let (ada, bob) = (world.scim.user("ada"), world.scim.user("bob"));
    let inner = world.scim.group("Inner", &[&bob]);
    let outer = world.scim.group("Outer", &[]);
    let path = format!("/Groups/{outer}");
    let add = |ids: &[&str]| {
        let members: Vec<_> = ids.iter().map(|id| json!({"value": id})).collect();
        let operation = json!([{"op": "Add", "path": "members", "value": members}]);
        let _ = world.scim.patch(&path, &operation).status_in(&[200, 204]);
    };
    let mut heard = told(&world.hears(|| add(&[&ada, &inner])));
    heard.sort_by(|one, other| one.1.cmp(&other.1));
    let mut expected = [(ClaimsChanged, ada.clone()), (ClaimsChanged, inner)];
    expected.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(heard, expected);
    // A group that is renamed, deleted or back is one signal, however many it has.
    let rename = json!([{"op": "Replace", "path": "displayName", "value": "Other"}]);
    let of_group = [(ClaimsChanged, outer.clone())];
    let renamed = world.hears(|| drop(world.scim.patch(&path, &rename)));
    assert_eq!(told(&renamed), of_group);
    let deleted = world.hears(|| drop(world.scim.delete(&path)));
    assert_eq!(told(&deleted), of_group);
    let back = world.hears(|| {
        let request = muster_proto::v1::UndeleteGroupRequest {
            id: outer.clone(),
            options: None,
        };
        let mut groups = world.tenant.grpc_full(super::server()).groups();
        wait(groups.undelete_group(request)).expect("it is back");
    });
    assert_eq!(told(&back), of_group);
    // Roles and names of a user, together.
    let body = json!({"schemas": [USER], "userName": "ada2", "roles": [{"value": "r"}],
        "emails": [{"value": "a@example.test", "primary": true}]});
    let path = format!("/Users/{ada}");
    let both = world.hears(|| drop(world.scim.put(&path, &body).status(200)));
    let expected = [
        (ClaimsChanged, ada.clone()),
        (IdentifierChanged, ada.clone()),
    ];
    assert_eq!(told(&both), expected);
    // Another second address is no other identifier.
    let second = json!([{"op": "Add", "path": "emails", "value": [{"value": "b@example.test"}]}]);
    let none = world.hears(|| drop(world.scim.patch(&path, &second).status(200)));
    assert_eq!(told(&none), []);
    let title = json!([{"op": "Replace", "path": "title", "value": "t"}]);
    let none = world.hears(|| drop(world.scim.patch(&path, &title).status(200)));
    assert_eq!(told(&none), []);
}

#[test]
fn revisions_that_are_none_are_refused() {
    let world = world();
    let request = muster_proto::v1::ListSignalsRequest {
        after: Some(Revision {
            token: "x".to_owned(),
        }),
        ..Default::default()
    };
    let refused = wait(world.grpc.signals().list_signals(request)).expect_err("no revision");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reason(&refused), "REVISION_INVALID");
}
