//! Security event tokens: signed, and told until they are acknowledged.

use std::collections::BTreeSet;

use muster_proto::v1::{GetJwksRequest, PollSecurityEventTokensRequest};
use muster_tests::{
    grpc::reason,
    jws::{read, verifies},
    runtime::wait,
    service::Service,
    signals::{ISSUER, link, poll},
};
use serde_json::Value;
use tonic::Code;

use super::{World, world};

const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type";

fn jtis(world: &World, most: Option<i32>, acks: &[&str]) -> (BTreeSet<String>, bool) {
    let answer = poll(&world.grpc, "sso", most, acks).expect("events");
    (answer.sets.into_keys().collect(), answer.more_available)
}

#[test]
fn an_event_is_a_signed_token_that_says_who_and_what() {
    let world = world();
    let ada = world.scim.user("ada");
    let bob = world.scim.user("bob");
    let _ = link(&world.grpc, &ada, "s").expect("linked");
    let first = poll(&world.grpc, "sso", None, &[]).expect("a stream begins");
    assert!(first.sets.is_empty() && !first.more_available, "{first:?}");
    world.set_active(&ada, false);
    world.set_active(&bob, false);
    let answer = poll(&world.grpc, "sso", None, &[]).expect("events");
    assert_eq!(answer.sets.len(), 2);
    let jwks = wait(world.grpc.keys().get_jwks(GetJwksRequest::default()));
    let jwks = jwks.expect("keys").into_inner().jwks_json;
    let jwks: Value = serde_json::from_slice(&jwks).expect("JSON");
    let mut subjects = Vec::new();
    for (jti, set) in &answer.sets {
        assert!(verifies(set, &jwks));
        let (header, claims) = read(set);
        assert_eq!(header["typ"], "secevent+jwt");
        assert_eq!(claims["jti"], **jti);
        assert_eq!(claims["aud"], world.service.id);
        assert!(claims["iss"].is_string() && claims["iat"].is_i64());
        assert!(claims["txn"].is_string() && claims.get("sub").is_none());
        assert!(claims["events"][format!("{RISC}/account-disabled")].is_object());
        subjects.push(claims["sub_id"].clone());
    }
    subjects.sort_by_key(ToString::to_string);
    let iss_sub = serde_json::json!({"format": "iss_sub", "iss": ISSUER, "sub": "s"});
    let opaque = serde_json::json!({"format": "opaque", "id": bob});
    assert_eq!(subjects, [iss_sub, opaque]);
}

#[test]
fn events_come_again_until_they_are_acknowledged_in_any_order() {
    let world = world();
    let ada = world.scim.user("ada");
    assert_eq!(jtis(&world, None, &[]).0.len(), 0);
    for active in [false, true, false] {
        world.set_active(&ada, active);
    }
    let (first, more) = jtis(&world, Some(1), &[]);
    assert!(first.len() == 1 && more);
    let (all, more) = jtis(&world, None, &[]);
    assert!(all.len() == 3 && !more && all.is_superset(&first));
    // Those behind the first one are acknowledged; it still comes.
    let last: Vec<_> = all.difference(&first).map(String::as_str).collect();
    let (none, more) = jtis(&world, Some(0), &last);
    assert!(none.is_empty() && more);
    assert_eq!(jtis(&world, None, &[]).0, first);
    world.set_active(&ada, true);
    let (two, _) = jtis(&world, None, &last);
    assert!(two.len() == 2 && two.is_superset(&first));
    // One that could not be used counts as handled.
    let first = first.iter().next().expect("one").clone();
    let request = PollSecurityEventTokensRequest {
        stream_id: "sso".to_owned(),
        return_immediately: true,
        error_by_jti: [(first.clone(), "invalid_request".to_owned())].into(),
        ..Default::default()
    };
    let answer = wait(world.grpc.signals().poll_security_event_tokens(request));
    let rest = answer.expect("events").into_inner().sets;
    assert!(rest.len() == 1 && !rest.contains_key(&first));
    let acks: Vec<_> = rest.keys().map(String::as_str).collect();
    assert_eq!(jtis(&world, None, &acks), (BTreeSet::new(), false));
}

#[test]
fn a_poll_waits_for_the_first_event() {
    let world = world();
    let ada = world.scim.user("ada");
    assert_eq!(jtis(&world, None, &[]).0.len(), 0);
    let mut signals = world.grpc.signals();
    let waiting = muster_tests::runtime::runtime().spawn(async move {
        let request = PollSecurityEventTokensRequest {
            stream_id: "sso".to_owned(),
            ..Default::default()
        };
        signals.poll_security_event_tokens(request).await
    });
    world.set_active(&ada, false);
    let answer = wait(waiting).expect("no panic").expect("events");
    assert_eq!(answer.into_inner().sets.len(), 1);
}

#[test]
fn streams_are_a_service_clients_own_and_few() {
    let world = world();
    let ada = world.scim.user("ada");
    for name in ["", "a b", &"x".repeat(101)] {
        let refused = poll(&world.grpc, name, None, &[]).expect_err("no name");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused), "FIELD_INVALID");
    }
    for number in 0..16 {
        let _ = poll(&world.grpc, &format!("s{number}"), None, &[]).expect("a stream");
    }
    let refused = poll(&world.grpc, "more", None, &[]).expect_err("one too many");
    assert_eq!(reason(&refused), "FIELD_INVALID");
    let other = Service::full(super::super::server(), &world.tenant).grpc();
    let _ = poll(&other, "s0", None, &[]).expect("a stream");
    world.set_active(&ada, false);
    let mine = poll(&world.grpc, "s0", None, &[]).expect("events").sets;
    let acks: Vec<_> = mine.keys().map(String::as_str).collect();
    let _ = poll(&world.grpc, "s0", None, &acks).expect("acknowledged");
    assert_eq!(poll(&other, "s0", None, &[]).expect("events").sets.len(), 1);
    assert_eq!(
        poll(&world.grpc, "s1", None, &[])
            .expect("events")
            .sets
            .len(),
        1
    );
}
