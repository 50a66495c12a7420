//! What is deleted comes back, or goes for good.

use std::time::{Duration, Instant};

use muster_proto::v1::{self, ChangeFilter, WriteOptions, change::Kind};
use muster_tests::{
    feed::{kinds, latest, list, people, try_list},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{Scim, USER},
    server::PATIENCE,
    tenant::Tenant,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

fn undelete(grpc: &Grpc, id: &str) -> Result<v1::UndeleteUserResponse, Status> {
    let request = v1::UndeleteUserRequest {
        id: id.to_owned(),
        options: None,
    };
    Ok(wait(grpc.users().undelete_user(request))?.into_inner())
}

fn undelete_group(grpc: &Grpc, id: &str) -> Result<v1::UndeleteGroupResponse, Status> {
    let request = v1::UndeleteGroupRequest {
        id: id.to_owned(),
        options: None,
    };
    Ok(wait(grpc.groups().undelete_group(request))?.into_inner())
}

fn purge(grpc: &Grpc, id: &str, if_match: &str) -> Result<v1::PurgeUserResponse, Status> {
    let request = v1::PurgeUserRequest {
        id: id.to_owned(),
        options: seen(if_match),
    };
    Ok(wait(grpc.users().purge_user(request))?.into_inner())
}

fn purge_group(grpc: &Grpc, id: &str, if_match: &str) -> Result<v1::PurgeGroupResponse, Status> {
    let request = v1::PurgeGroupRequest {
        id: id.to_owned(),
        options: seen(if_match),
    };
    Ok(wait(grpc.groups().purge_group(request))?.into_inner())
}

fn seen(if_match: &str) -> Option<WriteOptions> {
    (!if_match.is_empty()).then(|| WriteOptions {
        if_match: if_match.to_owned(),
        ..Default::default()
    })
}

/// The user, deleted or not.
fn find(grpc: &Grpc, id: &str) -> Result<v1::User, Status> {
    let request = v1::GetUserRequest {
        id: id.to_owned(),
        show_deleted: true,
        ..Default::default()
    };
    let answer = wait(grpc.users().get_user(request))?.into_inner();
    Ok(answer.user.expect("the user"))
}

#[track_caller]
fn refused(answer: Result<impl std::fmt::Debug, Status>, code: Code, why: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why));
}

fn ada() -> Value {
    json!({
        "schemas": [USER], "userName": "ada", "externalId": "e-1", "title": "Countess",
        "emails": [{"value": "ada@example.test", "type": "work"}], "active": false,
    })
}

/// A user in two groups.
fn member(scim: &Scim) -> (String, [String; 2]) {
    let user = scim.post("/Users", &ada()).status(201).id();
    let groups = ["G", "H"].map(|name| scim.group(name, &[&user]));
    (user, groups)
}

/// What the client gets back, but for what names the version.
fn shown(scim: &Scim, id: &str) -> Value {
    let mut user = scim.get(&format!("/Users/{id}")).status(200).json();
    user.as_object_mut().expect("an object").remove("meta");
    user
}

#[test]
fn a_deleted_user_comes_back_with_everything() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, groups) = member(&scim);
    let before = shown(&scim, &user);
    let _ = scim.delete(&format!("/Users/{user}")).status(204);
    assert!(scim.members(&groups[0]).is_empty());
    let start = latest(&grpc);
    let answer = undelete(&grpc, &user).expect("it comes back");
    assert!(answer.changed);
    let back = answer.user.expect("the user");
    assert_eq!(
        (back.user_name.as_str(), back.external_id.as_str()),
        ("ada", "e-1")
    );
    let meta = back.meta.expect("meta always comes");
    assert_eq!(
        (meta.version, meta.delete_time, meta.purge_time),
        (3, None, None)
    );
    assert_eq!(shown(&scim, &user), before);
    assert_eq!(scim.found("externalId eq \"e-1\""), ["ada"]);
    for group in &groups {
        assert_eq!(scim.members(group), [user.as_str()]);
    }
    let changes = list(&grpc, Some(start), people());
    assert_eq!(
        (changes.batches.len(), changes.through),
        (1, answer.written_at)
    );
    let mut expected: Vec<_> = groups.map(|group| (Kind::MemberAdded, group)).into();
    expected.insert(0, (Kind::Undeleted, user));
    assert_eq!(kinds(&changes.batches), expected);
}

#[test]
fn a_deleted_group_comes_back_with_its_members_and_its_place() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (stays, goes) = (scim.user("stays"), scim.user("goes"));
    let inner = scim.group("Inner", &[&stays, &goes]);
    let outer = scim.group("Outer", &[&inner]);
    let _ = scim.delete(&format!("/Groups/{inner}")).status(204);
    assert!(scim.members(&outer).is_empty());
    let _ = scim.delete(&format!("/Users/{goes}")).status(204);
    let start = latest(&grpc);
    assert!(
        undelete_group(&grpc, &inner)
            .expect("it comes back")
            .changed
    );
    // Who is gone by himself does not come back with a group.
    assert_eq!(scim.members(&inner), [stays]);
    assert_eq!(scim.members(&outer), [inner.as_str()]);
    let changes = kinds(&list(&grpc, Some(start), people()).batches);
    assert_eq!(changes[0], (Kind::Undeleted, inner));
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(undelete(&grpc, &goes).expect("it comes back").changed);
    assert_eq!(scim.members(&outer).len(), 1);
}

#[test]
fn whoever_was_removed_meanwhile_stays_out() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, [kept, left]) = member(&scim);
    let _ = scim.delete(&format!("/Users/{user}")).status(204);
    let leave = json!([{"op": "remove", "path": "members", "value": [{"value": user}]}]);
    let _ = scim.patch(&format!("/Groups/{left}"), &leave).status(200);
    assert!(undelete(&grpc, &user).expect("it comes back").changed);
    assert_eq!(scim.members(&kept), [user]);
    assert!(scim.members(&left).is_empty());
}

#[test]
fn a_name_that_was_taken_meanwhile_keeps_a_user_deleted() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    for (taken, why) in [
        (
            json!({"schemas": [USER], "userName": "ADA"}),
            "USER_NAME_TAKEN",
        ),
        (
            json!({"schemas": [USER], "userName": "b", "externalId": "e-1"}),
            "EXTERNAL_ID_TAKEN",
        ),
    ] {
        let user = scim.post("/Users", &ada()).status(201).id();
        let _ = scim.delete(&format!("/Users/{user}")).status(204);
        let heir = scim.post("/Users", &taken).status(201).id();
        refused(undelete(&grpc, &user), Code::AlreadyExists, why);
        let deleted = find(&grpc, &user).expect("still there").meta;
        assert!(deleted.expect("meta always comes").delete_time.is_some());
        let _ = scim.delete(&format!("/Users/{heir}")).status(204);
        assert!(undelete(&grpc, &user).expect("it comes back").changed);
        let _ = scim.delete(&format!("/Users/{user}")).status(204);
    }
    let group = scim.group("G", &[]);
    let _ = scim.delete(&format!("/Groups/{group}")).status(204);
    scim.group("g", &[]);
    let answer = undelete_group(&grpc, &group);
    refused(answer, Code::AlreadyExists, "DISPLAY_NAME_TAKEN");
}

#[test]
fn who_is_not_deleted_stays_as_he_is() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, [group, _]) = member(&scim);
    let start = latest(&grpc);
    let answer = undelete(&grpc, &user).expect("nothing is the matter");
    assert_eq!((answer.changed, answer.written_at), (false, None));
    let meta = answer.user.and_then(|user| user.meta);
    assert_eq!(meta.expect("meta always comes").version, 1);
    let answer = undelete_group(&grpc, &group).expect("nothing is the matter");
    assert_eq!((answer.changed, answer.written_at), (false, None));
    assert_eq!(latest(&grpc), start);
}

#[test]
fn the_deleted_are_shown_to_who_asks() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, stays) = (scim.user("a"), scim.user("b"));
    let _ = scim.delete(&format!("/Users/{user}")).status(204);
    let listed = |show_deleted| {
        let request = v1::ListUsersRequest {
            show_deleted,
            ..Default::default()
        };
        let answer = wait(grpc.users().list_users(request)).expect("users are listed");
        let users = answer.into_inner().users;
        users.into_iter().map(|user| user.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(false), [stays.as_str()]);
    assert_eq!(listed(true), [user.clone(), stays]);
    let meta = find(&grpc, &user).expect("it is shown").meta.expect("meta");
    let (deleted, purged) = (
        meta.delete_time.expect("a time"),
        meta.purge_time.expect("a time"),
    );
    assert_eq!(purged.seconds - deleted.seconds, 30 * 24 * 60 * 60);
    let request = v1::GetUserRequest {
        id: user,
        ..Default::default()
    };
    let answer = wait(grpc.users().get_user(request));
    refused(answer, Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn nothing_is_purged_unseen() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, [group, _]) = member(&scim);
    let unseen = (Code::InvalidArgument, "REQUIRED_ATTRIBUTE_MISSING");
    refused(purge(&grpc, &user, ""), unseen.0, unseen.1);
    refused(purge_group(&grpc, &group, ""), unseen.0, unseen.1);
    let other = (Code::Aborted, "ETAG_MISMATCH");
    refused(purge(&grpc, &user, "\"7\""), other.0, other.1);
    refused(purge_group(&grpc, &group, "\"7\""), other.0, other.1);
    assert_eq!(scim.members(&group), [user.as_str()]);
    let may_write = muster_tests::tenant::ALL_SCOPES.replace("users.purge,", "");
    let cannot = tenant.grpc_may(super::server(), &may_write);
    refused(
        purge(&cannot, &user, "\"1\""),
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
}

#[test]
fn a_purged_user_is_gone_for_good() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, [group, _]) = member(&scim);
    let _ = scim.delete(&format!("/Users/{user}")).status(204);
    let start = latest(&grpc);
    let answer = purge(&grpc, &user, "\"2\"").expect("purged");
    let changes = list(&grpc, Some(start), people());
    assert_eq!(kinds(&changes.batches), [(Kind::Purged, user.clone())]);
    assert_eq!(changes.through, answer.written_at);
    refused(find(&grpc, &user), Code::NotFound, "USER_NOT_FOUND");
    refused(undelete(&grpc, &user), Code::NotFound, "USER_NOT_FOUND");
    refused(
        purge(&grpc, &user, "\"3\""),
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    assert!(scim.members(&group).is_empty());
    // Name and key are free.
    let _ = scim.post("/Users", &ada()).status(201);
}

#[test]
fn who_lives_can_be_purged_too() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let (user, [group, other]) = member(&scim);
    let start = latest(&grpc);
    purge(&grpc, &user, "\"1\"").expect("purged");
    let _ = scim.get(&format!("/Users/{user}")).scim_error(404, None);
    assert!(scim.members(&group).is_empty());
    let _ = scim.post("/Users", &ada()).status(201);
    purge_group(&grpc, &other, "\"1\"").expect("purged");
    let _ = scim.get(&format!("/Groups/{other}")).scim_error(404, None);
    scim.group("H", &[]);
    let changes = list(&grpc, Some(start), people());
    let purged = kinds(&changes.batches)
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::Purged);
    assert_eq!(purged.map(|(_, id)| id).collect::<Vec<_>>(), [user, other]);
}

#[test]
fn a_group_does_not_become_its_own_member_by_coming_back() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc_full(super::server()));
    let top = scim.group("Top", &[]);
    let middle = scim.group("Middle", &[&top]);
    let bottom = scim.group("Bottom", &[&middle]);
    let _ = scim.delete(&format!("/Groups/{middle}")).status(204);
    // Bottom has Middle, which has Top and may come back.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": bottom}]}]);
    let _ = scim
        .patch(&format!("/Groups/{top}"), &add)
        .status_in(&[400, 409]);
    assert!(
        undelete_group(&grpc, &middle)
            .expect("it comes back")
            .changed
    );
    assert_eq!(scim.members(&bottom), [middle.as_str()]);
    assert_eq!(scim.members(&middle), [top.as_str()]);
    assert!(scim.members(&top).is_empty());
}

/// Waits for what housekeeping does soon.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_deleted_for_long_is_purged_by_itself() {
    let launch = super::launch().env("MUSTER_DELETED_RETENTION_DAYS", "0");
    let server = launch.start();
    let tenant = Tenant::create(&server);
    let scopes = muster_tests::tenant::ALL_SCOPES;
    let (_, token) = tenant.credential(&server, "entra", &["--scopes", scopes]);
    let (user, [group, stays]) = member(&tenant.scim());
    let start = latest(&tenant.grpc_with(&token));
    let _ = tenant.scim().delete(&format!("/Users/{user}")).status(204);
    let _ = tenant
        .scim()
        .delete(&format!("/Groups/{group}"))
        .status(204);
    // Housekeeping comes with the start, and every minute.
    let server = server.restart();
    let grpc = Grpc::new(server.grpc(), Some(&token));
    wait_until("the purge", || find(&grpc, &user).is_err());
    wait_until("the purge", || {
        let changes = list(&grpc, Some(start.clone()), people());
        kinds(&changes.batches).len() == 4
    });
    let changes = list(&grpc, Some(start), people());
    let purged = [(Kind::Purged, user), (Kind::Purged, group)];
    assert_eq!(kinds(&changes.batches)[2..], purged);
    let actor = changes.batches[2]
        .actor
        .clone()
        .and_then(|actor| actor.actor);
    assert_eq!(actor, Some(v1::actor::Actor::SystemJob("purge".to_owned())));
    let scim = Scim::new(server.scim_url(), &tenant.token);
    let _ = scim.post("/Users", &ada()).status(201);
    assert!(scim.members(&stays).is_empty());
}

#[test]
fn changes_that_are_no_longer_kept_are_told_from_none() {
    let launch = super::launch().env("MUSTER_CHANGE_RETENTION_DAYS", "0");
    let server = launch.start();
    let tenant = Tenant::create(&server);
    let (_, token) = tenant.credential(&server, "entra", &["--scopes", "changes.read"]);
    let old = latest(&tenant.grpc_with(&token));
    for round in 0..5 {
        tenant.scim().user(&format!("u-{round}"));
    }
    let server = server.restart();
    let grpc = Grpc::new(server.grpc(), Some(&token));
    let all_gone = || {
        list(&grpc, None, ChangeFilter::default())
            .batches
            .is_empty()
    };
    wait_until("old changes to go", all_gone);
    let request = v1::ListChangesRequest {
        after: Some(old),
        ..Default::default()
    };
    refused(try_list(&grpc, request), Code::OutOfRange, "CURSOR_EXPIRED");
    let bounds = muster_tests::feed::bounds(&grpc);
    assert_eq!(bounds.earliest, bounds.latest);
    // The newest position is good, and what comes is told.
    let scim = Scim::new(server.scim_url(), &tenant.token);
    let user = scim.user("new");
    let news = list(&grpc, bounds.latest, ChangeFilter::default());
    assert_eq!(kinds(&news.batches), [(Kind::Created, user)]);
}
