//! The feed of changes, for those who ask again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

use muster_proto::v1::{
    self, Change, ChangeFilter, ListChangesRequest, ResourceType, Revision, change::Kind,
    watch_changes_request::Start,
};
use muster_tests::{
    cache::membership,
    feed::{Watch, bounds, contains, flat, kinds, latest, list, only, people, try_list},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{GROUP, USER},
    tenant::Tenant,
};
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Request, Status};

/// A tenant and somebody who reads its feed.
fn observed() -> (Tenant, Grpc) {
    let tenant = super::tenant();
    let reader = tenant.grpc_may(super::server(), "changes.read");
    (tenant, reader)
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn including_resources() -> ChangeFilter {
    ChangeFilter {
        include_resource: true,
        ..people()
    }
}

#[track_caller]
fn refused(answer: Result<impl std::fmt::Debug, Status>, code: Code, why: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why));
}

/// A user who works, changes, leaves and is let in again, and a group.
fn a_short_life(tenant: &Tenant) -> (String, String) {
    let scim = tenant.scim();
    let user = scim.user("ada");
    let group = scim.group("G", &[&user]);
    let path = format!("/Users/{user}");
    for operation in [
        json!([{"op": "replace", "path": "title", "value": "Countess"}]),
        json!([{"op": "replace", "path": "active", "value": false}]),
        json!([{"op": "replace", "path": "active", "value": true}]),
    ] {
        let _ = scim.patch(&path, &operation).status(200);
    }
    let leave = json!([{"op": "remove", "path": format!("members[value eq \"{user}\"]")}]);
    let _ = scim.patch(&format!("/Groups/{group}"), &leave).status(200);
    let _ = scim.delete(&path).status(204);
    (user, group)
}

#[test]
fn every_write_is_a_transaction_with_its_changes_in_order() {
    let (tenant, reader) = observed();
    let (user, group) = a_short_life(&tenant);
    let answer = list(&reader, None, people());
    assert!(answer.caught_up);
    let (u, g) = (&user, &group);
    let expected = [
        vec![(Kind::Created, u, 1)],
        vec![(Kind::Created, g, 1), (Kind::MemberAdded, g, 1)],
        vec![(Kind::Updated, u, 2)],
        vec![(Kind::AccessEnded, u, 3)],
        vec![(Kind::AccessRestored, u, 4)],
        vec![(Kind::MemberRemoved, g, 2)],
        vec![(Kind::Deleted, u, 5)],
    ];
    let told = |change: &'_ Change| (change.kind(), change.resource_id.clone(), change.version);
    let found: Vec<Vec<_>> = answer
        .batches
        .iter()
        .map(|batch| batch.changes.iter().map(told).collect())
        .collect();
    let expected: Vec<Vec<_>> = expected
        .into_iter()
        .map(|batch| {
            batch
                .into_iter()
                .map(|(k, id, v)| (k, id.clone(), v))
                .collect()
        })
        .collect();
    assert_eq!(found, expected);
    assert!(answer.batches.iter().all(|b| b.transaction_complete));
}

#[test]
fn a_change_says_what_differs_and_who_may_act() {
    let (tenant, reader) = observed();
    let (user, group) = a_short_life(&tenant);
    let changes = flat(&list(&reader, None, people()).batches);
    let of_user = changes.iter().filter(|c| c.resource_id == user);
    let active: Vec<bool> = of_user.map(|change| change.effective_active).collect();
    assert_eq!(active, [true, true, false, true, false]);
    let named = |kind: Kind| {
        let found = changes
            .iter()
            .find(|c| c.kind() == kind && c.resource_id == user);
        found.expect("it is there").changed_attributes.clone()
    };
    assert_eq!(named(Kind::Updated), ["title"]);
    assert_eq!(named(Kind::AccessEnded), ["active"]);
    let members = changes
        .iter()
        .filter(|c| c.r#type() == ResourceType::Membership);
    let edges: Vec<_> = members.map(membership).collect();
    assert_eq!(edges, [(group.clone(), user.clone()), (group, user)]);
}

#[test]
fn a_batch_names_its_writer_its_call_and_its_time() {
    let (tenant, reader) = observed();
    let body = json!({"schemas": [USER], "userName": "ada"});
    let draft = tenant.scim().request("POST", "/Users").json(&body);
    let _ = draft.header("x-request-id", "call-4711").send().status(201);
    let answer = list(&reader, None, people());
    let batch = &answer.batches[0];
    let actor = batch.actor.clone().and_then(|actor| actor.actor);
    let expected = v1::actor::Actor::ConnectionId(tenant.connection_id.clone());
    assert_eq!(actor, Some(expected));
    assert_eq!(batch.request_id, "call-4711");
    assert!(
        batch
            .commit_time
            .is_some_and(|time| time.seconds > 1_700_000_000)
    );
}

#[test]
fn bounds_enclose_all_that_is_kept() {
    let (tenant, reader) = observed();
    let at_first = latest(&reader);
    a_short_life(&tenant);
    let bounds = bounds(&reader);
    assert!(!bounds.store_epoch.is_empty());
    let week = 7 * 24 * 60 * 60;
    assert_eq!(bounds.retention, seconds(week));
    let all = list(&reader, None, ChangeFilter::default());
    let from_earliest = list(&reader, bounds.earliest, ChangeFilter::default());
    assert_eq!(from_earliest.batches, all.batches);
    let behind = list(&reader, bounds.latest.clone(), ChangeFilter::default());
    assert_eq!((behind.batches.len(), behind.caught_up), (0, true));
    assert_eq!(behind.through, bounds.latest);
    let since = list(&reader, Some(at_first), ChangeFilter::default());
    assert_eq!(since.batches.len(), 7);
}

#[test]
fn a_write_tells_the_revision_behind_which_its_changes_are_seen() {
    let (tenant, reader) = observed();
    let users = tenant.grpc().users();
    let mut written = Vec::new();
    for name in ["a", "b"] {
        let user = v1::User {
            user_name: name.to_owned(),
            ..Default::default()
        };
        let request = v1::CreateUserRequest {
            user: Some(user),
            options: None,
        };
        let answer = wait(users.clone().create_user(request)).expect("created");
        let answer = answer.into_inner();
        let id = answer.user.expect("the created user").id;
        written.push((id, answer.written_at));
    }
    let (second, first) = (written.remove(1), written.remove(0));
    let behind = list(&reader, first.1, people());
    assert_eq!(kinds(&behind.batches), [(Kind::Created, second.0)]);
    assert_eq!(behind.through, second.1);
}

#[test]
fn one_by_one_the_same_changes_come() {
    let (tenant, reader) = observed();
    a_short_life(&tenant);
    let all = list(&reader, None, ChangeFilter::default());
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = ListChangesRequest {
            after,
            max_changes: 1,
            ..Default::default()
        };
        let answer = try_list(&reader, request).expect("changes are listed");
        assert_eq!(
            answer.batches.len(),
            1,
            "a transaction comes whole and alone"
        );
        found.extend(answer.batches);
        after = answer.through;
        assert_eq!(answer.caught_up, found.len() == all.batches.len());
        if answer.caught_up {
            break;
        }
    }
    assert_eq!(found, all.batches);
}

#[test]
fn nobody_is_told_that_he_caught_up_while_there_is_more() {
    let (tenant, reader) = observed();
    // A reader is at work, and may not have looked yet.
    let (_watch, mut after) = Watch::from_now(&reader, ChangeFilter::default());
    for round in 0..10 {
        tenant.scim().user(&format!("a-{round}"));
        tenant.scim().user(&format!("b-{round}"));
        let request = ListChangesRequest {
            after: Some(after.clone()),
            max_changes: 1,
            ..Default::default()
        };
        let answer = try_list(&reader, request).expect("changes are listed");
        assert!(!answer.caught_up, "round {round}");
        after = latest(&reader);
    }
}

#[test]
fn a_waiting_call_is_answered_by_a_write_at_once() {
    let (tenant, reader) = observed();
    let request = ListChangesRequest {
        after: Some(latest(&reader)),
        wait: seconds(20),
        ..Default::default()
    };
    let began = Instant::now();
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| try_list(&reader, request));
        // Long enough to be waited for, most of the time.
        thread::sleep(Duration::from_millis(500));
        assert!(!waiting.is_finished(), "it did not wait");
        tenant.scim().user("ada");
        waiting.join().expect("no panic")
    });
    let answer = answer.expect("changes are listed");
    assert_eq!(answer.batches.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
}

#[test]
fn a_waiting_call_ends_in_time_without_a_write() {
    let (_tenant, reader) = observed();
    let after = Some(latest(&reader));
    for (wait_for, deadline, least) in [(1, 20, 1), (20, 2, 1)] {
        let mut request = Request::new(ListChangesRequest {
            after: after.clone(),
            wait: seconds(wait_for),
            ..Default::default()
        });
        request.set_timeout(Duration::from_secs(deadline));
        let began = Instant::now();
        let answer = wait(reader.changes().list_changes(request));
        let answer = answer.expect("an answer before the deadline").into_inner();
        assert_eq!((answer.batches.len(), answer.caught_up), (0, true));
        assert_eq!(answer.through, after);
        let took = began.elapsed().as_secs();
        assert!((least..5).contains(&took), "{took} s");
    }
}

#[test]
fn a_waiting_call_moves_on_where_the_filter_lets_nothing_through() {
    let (tenant, reader) = observed();
    let after = latest(&reader);
    tenant.scim().user("ada");
    let request = ListChangesRequest {
        after: Some(after.clone()),
        filter: Some(only(&[ResourceType::Group])),
        wait: seconds(1),
        ..Default::default()
    };
    let answer = try_list(&reader, request).expect("changes are listed");
    assert!(answer.batches.is_empty());
    assert_eq!(answer.through, Some(latest(&reader)));
    assert_ne!(answer.through, Some(after));
}

#[test]
fn types_and_groups_are_filtered() {
    let (tenant, reader) = observed();
    let (user, group) = a_short_life(&tenant);
    let other = tenant.scim().group("Other", &[]);
    let found = |filter: ChangeFilter| kinds(&list(&reader, None, filter).batches);
    let users = found(only(&[ResourceType::User]));
    assert_eq!(users.len(), 5);
    assert!(users.iter().all(|(_, id)| *id == user));
    let groups = found(only(&[ResourceType::Group]));
    assert_eq!(
        groups,
        [(Kind::Created, group.clone()), (Kind::Created, other)]
    );
    let of_group = found(ChangeFilter {
        group_ids: vec![group.clone()],
        ..Default::default()
    });
    let expected = [Kind::Created, Kind::MemberAdded, Kind::MemberRemoved];
    assert_eq!(of_group, expected.map(|kind| (kind, group.clone())));
}

#[test]
fn a_connection_is_told_apart_from_others() {
    let (tenant, reader) = observed();
    let before = latest(&reader);
    let (hr, credential, token) = tenant.connection(super::server(), "hr");
    let scim = tenant.scim_with(&token);
    let ours = tenant.scim().user("ours");
    let theirs = scim.user("theirs");
    // A group of theirs with a user of ours.
    let group = scim.group("Theirs", &[&ours]);
    tenant.scim().group("Ours", &[&theirs]);
    let filter = ChangeFilter {
        connection_id: hr.clone(),
        ..Default::default()
    };
    let found = kinds(&list(&reader, Some(before.clone()), filter).batches);
    let expected = [
        (Kind::Created, hr),
        (Kind::Created, credential),
        (Kind::Created, theirs),
        (Kind::Created, group.clone()),
        (Kind::MemberAdded, group),
    ];
    assert_eq!(found, expected);
    let unknown = ChangeFilter {
        connection_id: "nobody".to_owned(),
        ..Default::default()
    };
    assert!(list(&reader, Some(before), unknown).batches.is_empty());
}

#[test]
fn credentials_and_connections_have_changes() {
    let (tenant, reader) = observed();
    let server = super::server();
    let before = latest(&reader);
    let (id, _) = tenant.credential(server, "entra", &[]);
    let revoke = ["credential", "revoke", "--tenant", &tenant.id, "--id", &id];
    server.admin().json(&revoke);
    let found = list(&reader, Some(before), only(&[ResourceType::Token]));
    let expected = [(Kind::Created, id.clone()), (Kind::Deleted, id)];
    assert_eq!(kinds(&found.batches), expected);
    let actor = found.batches[0].actor.clone().and_then(|actor| actor.actor);
    assert_eq!(actor, Some(v1::actor::Actor::Operator(true)));
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    let (_tenant, reader) = observed();
    let unspecified = only(&[ResourceType::Unspecified]);
    let unknown = ChangeFilter {
        types: vec![4711],
        ..Default::default()
    };
    for filter in [unspecified, unknown] {
        let request = ListChangesRequest {
            filter: Some(filter),
            ..Default::default()
        };
        let answer = try_list(&reader, request);
        refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    }
    let many = ListChangesRequest {
        filter: Some(ChangeFilter {
            group_ids: vec!["g".to_owned(); 101],
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = try_list(&reader, many);
    refused(answer, Code::InvalidArgument, "TOO_MANY_ITEMS");
    for (max_changes, wait) in [(-1, None), (0, seconds(-1))] {
        let request = ListChangesRequest {
            max_changes,
            wait,
            ..Default::default()
        };
        refused(
            try_list(&reader, request),
            Code::InvalidArgument,
            "FIELD_INVALID",
        );
    }
}

/// What no message without values may have in it.
const NEEDLE: &str = "needle-4711";

fn with_needles(tenant: &Tenant) -> (String, String) {
    let body = json!({
        "schemas": [USER], "userName": format!("{NEEDLE}@example.test"),
        "externalId": format!("x-{NEEDLE}"), "displayName": NEEDLE, "title": NEEDLE,
        "emails": [{"value": format!("{NEEDLE}@example.test"), "type": "work"}],
    });
    let user = tenant.scim().post("/Users", &body).status(201).id();
    let body = json!({
        "schemas": [GROUP], "displayName": NEEDLE, "externalId": NEEDLE,
        "members": [{"value": user}],
    });
    let group = tenant.scim().post("/Groups", &body).status(201).id();
    (user, group)
}

#[test]
fn without_asking_for_resources_no_value_is_shown() {
    let (tenant, _) = observed();
    // The right to see them changes nothing.
    let reader = tenant.grpc_full(super::server());
    let (user, _) = with_needles(&tenant);
    let rename = json!([{"op": "replace", "path": "userName", "value": NEEDLE}]);
    let _ = tenant.scim().patch(&format!("/Users/{user}"), &rename);
    let listed = list(&reader, None, ChangeFilter::default());
    assert!(flat(&listed.batches).len() >= 4);
    assert!(!contains(&listed.encode_to_vec(), NEEDLE), "{listed:?}");
    let start = bounds(&reader).earliest.expect("always set");
    let mut watch = Watch::after(&reader, start, ChangeFilter::default());
    let message = watch.news();
    assert!(!contains(&message.encode_to_vec(), NEEDLE), "{message:?}");
}

#[test]
fn resources_need_the_scope_for_personal_data() {
    let (tenant, reader) = observed();
    tenant.scim().user("ada");
    let request = ListChangesRequest {
        filter: Some(including_resources()),
        ..Default::default()
    };
    let listed = try_list(&reader, request);
    refused(listed, Code::PermissionDenied, "SCOPE_MISSING");
    let watched = Watch::open(&reader, Start::FromNow(true), including_resources());
    refused(watched, Code::PermissionDenied, "SCOPE_MISSING");
}

#[test]
fn resources_come_as_they_are_and_never_older_than_their_change() {
    let (tenant, _) = observed();
    let reader = tenant.grpc_full(super::server());
    let (user, group) = with_needles(&tenant);
    let gone = tenant.scim().user("gone");
    let _ = tenant.scim().delete(&format!("/Users/{gone}")).status(204);
    let path = format!("/Users/{user}");
    for title in ["A", "B"] {
        let operation = json!([{"op": "replace", "path": "title", "value": title}]);
        let _ = tenant.scim().patch(&path, &operation).status(200);
    }
    let changes = flat(&list(&reader, None, including_resources()).batches);
    let (mut users, mut groups) = (0, 0);
    for change in changes {
        match change.resource {
            Some(v1::change::Resource::User(found)) => {
                assert_eq!(
                    (found.id.as_str(), found.title.as_str()),
                    (user.as_str(), "B")
                );
                assert_eq!(found.external_id, format!("x-{NEEDLE}"));
                assert!(found.meta.expect("meta always comes").version >= change.version);
                users += 1;
            }
            Some(v1::change::Resource::Group(found)) => {
                assert_eq!(
                    (found.id.as_str(), found.display_name.as_str()),
                    (group.as_str(), NEEDLE)
                );
                groups += 1;
            }
            Some(v1::change::Resource::Membership(_)) => {}
            None => assert_eq!(change.resource_id, gone),
        }
    }
    assert_eq!((users, groups), (3, 1));
}

/// Changes one character of what the token seals.
fn tampered(revision: &Revision) -> Revision {
    let mut token = revision.token.clone().into_bytes();
    let middle = token.len() / 2;
    token[middle] = if token[middle] == b'A' { b'B' } else { b'A' };
    Revision {
        token: String::from_utf8(token).expect("ASCII"),
    }
}

fn page_token(tenant: &Tenant) -> String {
    tenant.scim().user("one");
    tenant.scim().user("two");
    let request = v1::ListUsersRequest {
        page: Some(v1::PageRequest {
            page_size: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = wait(tenant.grpc().users().list_users(request)).expect("users are listed");
    answer.into_inner().page.expect("a page").next_page_token
}

#[test]
fn what_is_no_revision_of_the_tenant_is_refused() {
    let (tenant, reader) = observed();
    let (_, stranger) = observed();
    let revision = latest(&reader);
    let token = |token: &str| Revision {
        token: token.to_owned(),
    };
    let snapshot = super::snapshot::first_token(&reader);
    for wrong in [
        token(""),
        token("x"),
        token("%%%"),
        token(&revision.token[1..]),
        token(&format!("{}A", revision.token)),
        token(&page_token(&tenant)),
        token(&snapshot),
        tampered(&revision),
        latest(&stranger),
    ] {
        let request = ListChangesRequest {
            after: Some(wrong.clone()),
            ..Default::default()
        };
        let listed = try_list(&reader, request);
        refused(listed, Code::InvalidArgument, "REVISION_INVALID");
        let watched = Watch::open(&reader, Start::After(wrong), ChangeFilter::default());
        refused(watched, Code::InvalidArgument, "REVISION_INVALID");
    }
}

#[test]
fn provisioning_alone_reads_no_feed() {
    let tenant = super::tenant();
    let grpc = tenant.grpc();
    let listed = try_list(&grpc, ListChangesRequest::default());
    refused(listed, Code::PermissionDenied, "SCOPE_MISSING");
    let watched = Watch::open(&grpc, Start::FromNow(true), ChangeFilter::default());
    refused(watched, Code::PermissionDenied, "SCOPE_MISSING");
    let told = wait(
        grpc.changes()
            .get_change_bounds(v1::GetChangeBoundsRequest {}),
    );
    refused(told, Code::PermissionDenied, "SCOPE_MISSING");
}
