//! Snapshots, from which caches are filled.

use std::collections::BTreeSet;

use muster_proto::v1::{
    ChangeFilter, ResourceType, Revision, SnapshotComplete, SnapshotPage, StreamSnapshotRequest,
    StreamSnapshotResponse, stream_snapshot_response::Item,
};
use muster_tests::{
    cache::{Cache, truth},
    feed::{PATIENCE, contains, flat, latest, list, only},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::USER,
    tenant::Tenant,
};
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status, Streaming};

fn open(
    grpc: &Grpc,
    filter: ChangeFilter,
    resume_token: &str,
) -> Result<Streaming<StreamSnapshotResponse>, Status> {
    let request = StreamSnapshotRequest {
        filter: Some(filter),
        resume_token: resume_token.to_owned(),
        page_size: 2,
    };
    Ok(wait(grpc.changes().stream_snapshot(request))?.into_inner())
}

/// The next message; `None` at the end.
#[track_caller]
fn next(stream: &mut Streaming<StreamSnapshotResponse>) -> Option<StreamSnapshotResponse> {
    let next = wait(async { tokio::time::timeout(PATIENCE, stream.message()).await });
    next.expect("the stream is silent")
        .expect("the stream goes on")
}

/// All messages behind a token.
#[track_caller]
fn behind(grpc: &Grpc, filter: ChangeFilter, token: &str) -> Vec<StreamSnapshotResponse> {
    let mut stream = open(grpc, filter, token).expect("the stream opens");
    std::iter::from_fn(|| next(&mut stream)).collect()
}

/// The token of the first message of a snapshot.
pub(super) fn first_token(grpc: &Grpc) -> String {
    let mut stream = open(grpc, ChangeFilter::default(), "").expect("the stream opens");
    next(&mut stream).expect("a message").resume_token
}

/// The pages, and the end, which must be the last message.
#[track_caller]
fn split(messages: Vec<StreamSnapshotResponse>) -> (Vec<SnapshotPage>, SnapshotComplete) {
    let mut items: Vec<_> = messages.into_iter().filter_map(|m| m.item).collect();
    let Some(Item::Complete(complete)) = items.pop() else {
        panic!("it does not end with its end");
    };
    let pages = items.into_iter().map(|item| match item {
        Item::Page(page) => page,
        Item::Complete(_) => panic!("the end comes twice"),
    });
    (pages.collect(), complete)
}

fn cache(pages: Vec<SnapshotPage>) -> Cache {
    let mut cache = Cache::default();
    for page in pages {
        cache.fill(page);
    }
    cache
}

/// Seven users, one of them inactive, one deleted, and three groups, one of
/// them within another.
fn populate(tenant: &Tenant) {
    let scim = tenant.scim();
    let users: Vec<_> = (0..7).map(|n| scim.user(&format!("needle-{n}"))).collect();
    let first = scim.group("needle-a", &[&users[0], &users[1], &users[2]]);
    scim.group("needle-b", &[&first, &users[1]]);
    scim.group("needle-c", &[]);
    let end = json!([{"op": "replace", "path": "active", "value": false}]);
    let _ = scim
        .patch(&format!("/Users/{}", users[3]), &end)
        .status(200);
    let _ = scim.delete(&format!("/Users/{}", users[2])).status(204);
}

#[test]
fn a_snapshot_has_everybody_and_says_where_to_go_on() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    populate(&tenant);
    let before = latest(&grpc);
    let (pages, complete) = split(behind(&grpc, ChangeFilter::default(), ""));
    assert!(pages.len() >= 6, "pages of two");
    for page in &pages {
        let size = page.users.len() + page.groups.len() + page.memberships.len();
        assert!((1..=2).contains(&size), "{page:?}");
    }
    let found = cache(pages);
    assert_eq!(found, truth(&grpc));
    assert_eq!((found.users.len(), found.memberships.len()), (6, 4));
    assert_eq!(complete.replay_from.as_ref(), Some(&before));
    assert_eq!(complete.exact_at.as_ref(), Some(&before));
    let user = tenant.scim().user("later");
    let later = list(&grpc, complete.replay_from, ChangeFilter::default());
    assert_eq!(flat(&later.batches)[0].resource_id, user);
}

#[test]
fn pages_become_exact_with_the_changes_behind_them() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    populate(&tenant);
    let mut stream = open(&grpc, ChangeFilter::default(), "").expect("the stream opens");
    let first = next(&mut stream).expect("a message");
    let token = first.resume_token.clone();
    drop(stream);
    // While it is read, the tenant goes on.
    populate_again(&tenant);
    let mut messages = vec![first];
    messages.extend(behind(&grpc, ChangeFilter::default(), &token));
    let (pages, complete) = split(messages);
    let mut found = cache(pages);
    assert_ne!(found, truth(&grpc), "the first page is old");
    assert_eq!(complete.exact_at, Some(latest(&grpc)));
    let changes = list(&grpc, complete.replay_from, ChangeFilter::default());
    for change in flat(&changes.batches) {
        found.apply(&change);
    }
    assert_eq!(found, truth(&grpc));
}

fn populate_again(tenant: &Tenant) {
    let scim = tenant.scim();
    let all = scim.get("/Users").json();
    let first = all["Resources"][0]["id"].as_str().expect("an id");
    let _ = scim.delete(&format!("/Users/{first}")).status(204);
    let user = scim.user("new");
    scim.group("new", &[&user]);
}

#[test]
fn a_snapshot_goes_on_elsewhere_behind_any_message() {
    let server = super::launch().start();
    let other = server.launch().start();
    let tenant = Tenant::create(&server);
    let scopes = muster_tests::tenant::ALL_SCOPES;
    let (_, token) = tenant.credential(&server, "entra", &["--scopes", scopes]);
    let (here, there) = (
        tenant.grpc_with(&token),
        Grpc::new(other.grpc(), Some(&token)),
    );
    populate(&tenant);
    let all = behind(&here, ChangeFilter::default(), "");
    for (at, message) in all.iter().enumerate() {
        let rest = behind(&there, ChangeFilter::default(), &message.resume_token);
        assert_eq!(rest, all[at + 1..], "behind message {at}");
    }
}

#[test]
fn filters_leave_out_what_is_not_wanted() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    populate(&tenant);
    let whole = truth(&grpc);
    let found = |filter: ChangeFilter| cache(split(behind(&grpc, filter, "")).0);
    let users = found(only(&[ResourceType::User]));
    assert_eq!((users.users, users.groups.len()), (whole.users, 0));
    assert!(users.memberships.is_empty());
    let groups = found(only(&[ResourceType::Group, ResourceType::Membership]));
    assert!(groups.users.is_empty());
    assert_eq!(
        (&groups.groups, &groups.memberships),
        (&whole.groups, &whole.memberships)
    );
    let (first, _) = whole.groups.first_key_value().expect("groups");
    let one = found(ChangeFilter {
        group_ids: vec![first.clone()],
        ..Default::default()
    });
    assert!(one.users.is_empty());
    assert_eq!(one.groups.keys().collect::<Vec<_>>(), [first]);
    let of_first = whole.memberships.iter().filter(|(group, _)| group == first);
    assert_eq!(one.memberships, of_first.cloned().collect());
}

#[test]
fn a_snapshot_of_a_connection_has_what_it_created() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    populate(&tenant);
    let (hr, _, token) = tenant.connection(super::server(), "hr");
    let scim = tenant.scim_with(&token);
    let user = scim.user("theirs");
    let group = scim.group("Theirs", &[&user]);
    let filter = ChangeFilter {
        connection_id: hr,
        ..Default::default()
    };
    let found = cache(split(behind(&grpc, filter, "")).0);
    assert_eq!(found.users.keys().collect::<Vec<_>>(), [&user]);
    assert_eq!(found.groups.keys().collect::<Vec<_>>(), [&group]);
    assert_eq!(
        found.memberships,
        BTreeSet::from([(group.clone(), user.clone())])
    );
}

#[test]
fn without_asking_for_resources_pages_show_no_value() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let body = json!({
        "schemas": [USER], "userName": "needle", "displayName": "needle", "externalId": "needle",
        "emails": [{"value": "needle@example.test"}],
    });
    let _ = tenant.scim().post("/Users", &body).status(201);
    populate(&tenant);
    for message in behind(&grpc, ChangeFilter::default(), "") {
        assert!(!contains(&message.encode_to_vec(), "needle"), "{message:?}");
    }
    let filter = ChangeFilter {
        include_resource: true,
        ..Default::default()
    };
    let (pages, _) = split(behind(&grpc, filter, ""));
    let users = pages.iter().flat_map(|page| &page.users);
    assert!(users.clone().count() == 7 && users.clone().all(|u| u.user_name.contains("needle")));
    assert!(users.clone().any(|user| user.external_id == "needle"));
    let groups = pages.iter().flat_map(|page| &page.groups);
    assert!(
        groups.clone().count() == 3 && groups.clone().all(|g| g.display_name.contains("needle"))
    );
}

#[track_caller]
fn refused(grpc: &Grpc, filter: ChangeFilter, token: &str, code: Code, why: &str) {
    let status = open(grpc, filter, token).expect_err("it is refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why));
}

#[test]
fn a_token_of_another_snapshot_is_refused() {
    let (tenant, stranger) = (super::tenant(), super::tenant());
    let grpc = tenant.grpc_full(super::server());
    populate(&tenant);
    let strange = first_token(&stranger.grpc_full(super::server()));
    let revision = latest(&grpc).token;
    let token = first_token(&grpc);
    let everything = ChangeFilter::default;
    for wrong in ["x", &token[1..], &strange, &revision] {
        refused(
            &grpc,
            everything(),
            wrong,
            Code::InvalidArgument,
            "PAGE_TOKEN_INVALID",
        );
    }
    let with_values = ChangeFilter {
        include_resource: true,
        ..Default::default()
    };
    for other in [only(&[ResourceType::User]), with_values] {
        refused(
            &grpc,
            other,
            &token,
            Code::InvalidArgument,
            "PAGE_TOKEN_INVALID",
        );
    }
}

#[test]
fn what_may_not_be_read_is_refused() {
    let tenant = super::tenant();
    let reader = tenant.grpc_may(super::server(), "changes.read");
    let with_values = ChangeFilter {
        include_resource: true,
        ..Default::default()
    };
    refused(
        &reader,
        with_values,
        "",
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    let everything = ChangeFilter::default();
    refused(
        &tenant.grpc(),
        everything,
        "",
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    let request = StreamSnapshotRequest {
        page_size: -1,
        ..Default::default()
    };
    let status = wait(reader.changes().stream_snapshot(request)).expect_err("negative");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn a_snapshot_of_another_history_does_not_go_on() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    let grpc = tenant.grpc_full(&server);
    populate(&tenant);
    let token = first_token(&grpc);
    let revision: Revision = latest(&grpc);
    let _ = server.admin().run(&["epoch", "renew"]).code(0);
    let everything = ChangeFilter::default();
    refused(
        &grpc,
        everything,
        &token,
        Code::FailedPrecondition,
        "STORE_EPOCH_MISMATCH",
    );
    assert_ne!(latest(&grpc), revision);
}
