//! The feed of changes as a stream: what comes, when, and why it ends.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use muster_proto::v1::{
    self, ChangeBatch, ChangeFilter, ListChangesRequest, ResourceType, Revision, change::Kind,
    watch_changes_request::Start,
};
use muster_tests::{
    feed::{Watch, flat, kinds, latest, list, only, people, try_list},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::Scim,
    server::Server,
    tenant::Tenant,
};
use serde_json::json;
use tonic::Code;

/// A tenant of a server, and somebody who reads its feed.
fn observed(server: &Server) -> (Tenant, Grpc) {
    let tenant = Tenant::create(server);
    let reader = tenant.grpc_may(server, "changes.read");
    (tenant, reader)
}

fn everything() -> ChangeFilter {
    ChangeFilter::default()
}

#[test]
fn from_now_on_what_comes_is_told() {
    let (tenant, reader) = observed(super::server());
    let _before = tenant.scim().user("before");
    let (mut watch, start) = Watch::from_now(&reader, everything());
    assert_eq!(start, latest(&reader));
    let after = tenant.scim().user("after");
    let message = watch.news();
    assert_eq!(kinds(&message.batches), [(Kind::Created, after)]);
    assert_eq!(message.through, Some(latest(&reader)));
}

#[test]
fn behind_a_revision_the_past_comes_first() {
    let (tenant, reader) = observed(super::server());
    let start = latest(&reader);
    let past = tenant.scim().user("past");
    let mut watch = Watch::after(&reader, start, everything());
    assert_eq!(kinds(&watch.take(1)), [(Kind::Created, past)]);
    let present = tenant.scim().user("present");
    assert_eq!(kinds(&watch.take(1)), [(Kind::Created, present)]);
}

#[test]
fn a_stream_needs_a_start() {
    let (_tenant, reader) = observed(super::server());
    let request = v1::WatchChangesRequest::default();
    let status = wait(reader.changes().watch_changes(request)).expect_err("no start");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "FIELD_INVALID")
    );
    let never = Watch::open(&reader, Start::FromNow(false), everything());
    assert_eq!(never.expect_err("no start").code(), Code::InvalidArgument);
}

#[test]
fn heartbeats_come_where_nothing_happens() {
    let (_tenant, reader) = observed(super::server());
    let (mut watch, start) = Watch::from_now(&reader, everything());
    let began = Instant::now();
    for _ in 0..2 {
        let message = watch.checkpoint();
        let checkpoint = message.checkpoint.expect("a checkpoint");
        assert!(checkpoint.caught_up);
        assert!(
            checkpoint
                .server_time
                .is_some_and(|time| time.seconds > 1_700_000_000)
        );
        assert_eq!(message.through.as_ref(), Some(&start));
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_500), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn heartbeats_move_on_where_the_filter_lets_nothing_through() {
    let (tenant, reader) = observed(super::server());
    let filter = only(&[ResourceType::Connection]);
    let (mut watch, start) = Watch::from_now(&reader, filter.clone());
    tenant.scim().user("a");
    let end = latest(&reader);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let message = watch.checkpoint();
        assert!(message.batches.is_empty());
        if message.through.as_ref() == Some(&end) {
            break;
        }
        assert_eq!(message.through.as_ref(), Some(&start), "a place of its own");
        assert!(Instant::now() < deadline, "it does not move");
    }
    // Whoever resumes there misses what he wants as little.
    let (hr, ..) = tenant.connection(super::server(), "hr");
    let mut resumed = Watch::after(&reader, end, filter);
    assert_eq!(kinds(&resumed.take(1)), [(Kind::Created, hr)]);
}

/// Writes that come close together, some of them in one transaction.
fn write_a_lot(scim: &Scim) {
    for round in 0..15 {
        let user = scim.user(&format!("user-{round}"));
        let group = scim.group(&format!("group-{round}"), &[&user]);
        let rename = json!([{"op": "replace", "path": "title", "value": "T"}]);
        let _ = scim.patch(&format!("/Users/{user}"), &rename).status(200);
        if round % 3 == 0 {
            let _ = scim.delete(&format!("/Groups/{group}")).status(204);
        }
    }
}

/// All that lies behind a revision, message by message.
fn received(watch: &mut Watch, count: usize) -> Vec<(Revision, Vec<ChangeBatch>)> {
    let mut messages = Vec::new();
    let mut seen = 0;
    while seen < count {
        let message = watch.message();
        seen += flat(&message.batches).len();
        messages.push((message.through.expect("always set"), message.batches));
    }
    messages
}

#[test]
fn resuming_behind_any_message_repeats_nothing_and_skips_nothing() {
    let (tenant, reader) = observed(super::server());
    let (mut watch, start) = Watch::from_now(&reader, everything());
    write_a_lot(&tenant.scim());
    let all = list(&reader, Some(start), everything()).batches;
    let messages = received(&mut watch, flat(&all).len());
    let mut before = Vec::new();
    for (through, batches) in messages {
        before.extend(batches);
        let rest = list(&reader, Some(through), everything()).batches;
        let whole: Vec<_> = before.iter().chain(&rest).cloned().collect();
        assert_eq!(whole, all, "behind {} batches", before.len());
    }
}

#[test]
fn of_many_who_write_at_once_each_version_comes_once_and_in_order() {
    let (tenant, reader) = observed(super::server());
    let (mut watch, _) = Watch::from_now(&reader, people());
    let scim = tenant.scim();
    let users: Vec<_> = (0..4).map(|n| scim.user(&format!("u{n}"))).collect();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (scim, user) = (scim.clone(), &users[writer % 4]);
            scope.spawn(move || {
                for round in 0..10 {
                    let title = format!("{writer}-{round}");
                    let edit = json!([{"op": "replace", "path": "title", "value": title}]);
                    let _ = scim.patch(&format!("/Users/{user}"), &edit).status(200);
                }
            });
        }
    });
    let mut versions = BTreeMap::<String, i64>::new();
    for change in flat(&watch.take(84)) {
        let last = versions.entry(change.resource_id).or_default();
        assert_eq!(change.version, *last + 1);
        *last = change.version;
    }
    assert!(
        versions.values().all(|version| *version == 21),
        "{versions:?}"
    );
}

#[test]
fn a_revoked_credential_ends_its_streams() {
    let server = super::server();
    let tenant = Tenant::create(server);
    let (id, token) = tenant.credential(server, "entra", &["--scopes", "changes.read"]);
    let (mut watch, _) = Watch::from_now(&tenant.grpc_with(&token), everything());
    let revoke = ["credential", "revoke", "--tenant", &tenant.id, "--id", &id];
    server.admin().json(&revoke);
    let (status, took) = watch.end();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(reason(&status), "CREDENTIAL_INVALID");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_server_that_stops_ends_streams_and_waiting_calls() {
    let server = super::launch().start();
    let (_tenant, reader) = observed(&server);
    let (mut watch, start) = Watch::from_now(&reader, everything());
    let waiting = std::thread::spawn(move || {
        let request = ListChangesRequest {
            after: Some(start),
            wait: Some(prost_types::Duration {
                seconds: 25,
                nanos: 0,
            }),
            ..Default::default()
        };
        try_list(&reader, request)
    });
    // The call is there once a later one on its connection is answered.
    watch.checkpoint();
    server.terminate();
    let (status, _) = watch.end();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "DRAINING")
    );
    let stopped = server.ended();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    assert!(stopped.took < Duration::from_secs(5), "{:?}", stopped.took);
    // Whichever it is, it is no end without a reason.
    match waiting.join().expect("no panic") {
        Ok(answer) => assert!(answer.batches.is_empty()),
        Err(status) => assert_eq!(reason(&status), "DRAINING"),
    }
}

#[test]
fn who_comes_back_at_once_is_told_as_soon_as_before() {
    let (tenant, reader) = observed(super::server());
    let (watch, _) = Watch::from_now(&reader, everything());
    drop(watch);
    let (mut watch, _) = Watch::from_now(&reader, everything());
    // By now nobody is left of those who worked for the first stream.
    watch.checkpoint();
    let mut delays = Vec::new();
    for round in 0..15 {
        tenant.scim().user(&format!("u-{round}"));
        let began = Instant::now();
        assert_eq!(flat(&watch.take(1)).len(), 1);
        delays.push(began.elapsed());
    }
    delays.sort();
    assert!(delays[7] < Duration::from_millis(150), "{delays:?}");
}

/// A write that takes much room in a message with values.
fn write_much(scim: &Scim, round: usize) {
    let title = "x".repeat(60_000);
    let body = json!({
        "schemas": [muster_tests::scim::USER], "userName": format!("u-{round}"), "title": title,
    });
    let _ = scim.post("/Users", &body).status(201);
}

#[test]
fn who_does_not_read_delays_nobody_and_is_sent_away() {
    let server = super::server();
    let tenant = Tenant::create(server);
    let reader = tenant.grpc_full(server);
    let (_, token) = tenant.credential(
        server,
        "entra",
        &["--scopes", "changes.read,users.read.pii"],
    );
    let filter = ChangeFilter {
        include_resource: true,
        ..Default::default()
    };
    let stalled = Grpc::narrow(server.grpc(), &token);
    let (mut stalled, _) = Watch::from_now(&stalled, filter.clone());
    let (mut watch, start) = Watch::from_now(&reader, filter);
    for round in 0..30 {
        let began = Instant::now();
        write_much(&tenant.scim(), round);
        assert_eq!(flat(&watch.take(1)).len(), 1);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "round {round} took {took:?}");
    }
    // Five seconds are his, and some for a busy machine.
    std::thread::sleep(Duration::from_secs(7));
    let (status, through) = rest(&mut stalled, start);
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(&status), "SLOW_CONSUMER");
    // Behind the last message that came, the rest is there.
    let answer = list(&reader, Some(through), everything());
    assert!(!answer.batches.is_empty(), "he had taken everything");
}

/// What was on its way: the status behind it, and the last revision before.
fn rest(watch: &mut Watch, start: Revision) -> (tonic::Status, Revision) {
    let mut through = start;
    loop {
        match watch.try_message() {
            Ok(message) => through = message.through.expect("always set"),
            Err(status) => return (status, through),
        }
    }
}

#[test]
fn what_one_process_writes_another_tells_within_a_second() {
    let one = super::launch().start();
    let other = one.launch().start();
    let (tenant, _) = observed(&one);
    let (_, token) = tenant.credential(&one, "entra", &["--scopes", "changes.read"]);
    let reader = Grpc::new(other.grpc(), Some(&token));
    let (mut watch, _) = Watch::from_now(&reader, everything());
    let mut delays = Vec::new();
    for round in 0..9 {
        let id = tenant.scim().user(&format!("u-{round}"));
        let began = Instant::now();
        assert_eq!(kinds(&watch.take(1)), [(Kind::Created, id)]);
        delays.push(began.elapsed());
    }
    delays.sort();
    assert!(delays[4] < Duration::from_secs(1), "{delays:?}");
    // Revisions are good on either.
    let here = list(&tenant.grpc_may(&one, "changes.read"), None, everything());
    assert_eq!(list(&reader, None, everything()).batches, here.batches);
}

#[test]
fn another_history_ends_streams_and_is_told_from_ours() {
    let server = super::launch().start();
    let (tenant, reader) = observed(&server);
    let (mut watch, start) = Watch::from_now(&reader, everything());
    tenant.scim().user("a");
    let _ = server.admin().run(&["epoch", "renew"]).code(0);
    let (status, took) = watch.end();
    let expected = (Code::FailedPrecondition, "STORE_EPOCH_MISMATCH");
    assert_eq!((status.code(), reason(&status).as_str()), expected);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let request = ListChangesRequest {
        after: Some(start.clone()),
        ..Default::default()
    };
    let status = try_list(&reader, request).expect_err("of another history");
    assert_eq!((status.code(), reason(&status).as_str()), expected);
    let resumed = Watch::open(&reader, Start::After(start), everything());
    assert_eq!(
        reason(&resumed.expect_err("of another history")),
        "STORE_EPOCH_MISMATCH"
    );
    // A new start is all it takes.
    let (mut watch, _) = Watch::from_now(&reader, everything());
    let user = tenant.scim().user("b");
    assert_eq!(kinds(&watch.take(1)), [(Kind::Created, user)]);
}
