//! How fresh answers are, and how a caller asks for it.

use std::time::Duration;

use muster_proto::v1::{self, Consistency, Revision, consistency::Requirement};
use muster_tests::{
    feed::latest,
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{ENTERPRISE, Scim},
    server::Launch,
    tenant::Tenant,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

/// Every read that can be told how fresh to be; what each answers is when it
/// was true.
fn reads(
    grpc: &Grpc,
    (user, group): (&str, &str),
    requirement: Option<Requirement>,
) -> Vec<Result<Option<Revision>, Status>> {
    let consistency = requirement.map(|requirement| Consistency {
        requirement: Some(requirement),
    });
    let get_user = v1::GetUserRequest {
        id: user.to_owned(),
        consistency: consistency.clone(),
        ..Default::default()
    };
    let get_group = v1::GetGroupRequest {
        id: group.to_owned(),
        consistency: consistency.clone(),
        ..Default::default()
    };
    let list_users = v1::ListUsersRequest {
        consistency: consistency.clone(),
        ..Default::default()
    };
    let list_groups = v1::ListGroupsRequest {
        consistency: consistency.clone(),
        ..Default::default()
    };
    let list_members = v1::ListGroupMembersRequest {
        group_id: group.to_owned(),
        page: None,
        consistency,
    };
    let (mut users, mut groups) = (grpc.users(), grpc.groups());
    wait(async {
        vec![
            users
                .get_user(get_user)
                .await
                .map(|a| a.into_inner().read_at),
            users
                .list_users(list_users)
                .await
                .map(|a| a.into_inner().read_at),
            groups
                .get_group(get_group)
                .await
                .map(|a| a.into_inner().read_at),
            groups
                .list_groups(list_groups)
                .await
                .map(|a| a.into_inner().read_at),
            groups
                .list_group_members(list_members)
                .await
                .map(|a| a.into_inner().read_at),
        ]
    })
}

#[track_caller]
fn all_read_at(answers: Vec<Result<Option<Revision>, Status>>, expected: &Revision) {
    for (at, answer) in answers.into_iter().enumerate() {
        assert_eq!(
            answer.expect("an answer").as_ref(),
            Some(expected),
            "read {at}"
        );
    }
}

#[track_caller]
fn all_refused(answers: Vec<Result<Option<Revision>, Status>>, code: Code, why: &str) {
    for (at, answer) in answers.into_iter().enumerate() {
        let status = answer.expect_err("it is refused");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (code, why),
            "read {at}"
        );
    }
}

fn populated(tenant: &Tenant) -> (String, String) {
    let user = tenant.scim().user("ada");
    let group = tenant.scim().group("G", &[&user]);
    (user, group)
}

#[test]
fn every_read_says_when_it_was_true() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let (user, group) = populated(&tenant);
    let ids = (user.as_str(), group.as_str());
    let before = latest(&grpc);
    let requirements = || {
        [
            None,
            Some(Requirement::Strong(true)),
            Some(Requirement::MinimizeLatency(true)),
        ]
    };
    for requirement in requirements() {
        all_read_at(reads(&grpc, ids, requirement), &before);
    }
    tenant.scim().user("grace");
    let after = latest(&grpc);
    assert_ne!(after, before);
    // Without replicas even the fastest answer is the newest.
    for requirement in requirements() {
        all_read_at(reads(&grpc, ids, requirement), &after);
    }
}

#[test]
fn ones_own_write_and_what_came_before_it_is_fresh_enough() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let (user, group) = populated(&tenant);
    let ids = (user.as_str(), group.as_str());
    let old = latest(&grpc);
    let request = v1::DeleteUserRequest {
        id: tenant.scim().user("gone"),
        ..Default::default()
    };
    let answer = wait(grpc.users().delete_user(request)).expect("deleted");
    let written = answer.into_inner().written_at.expect("it was changed");
    for revision in [old, written.clone()] {
        let fresh = Some(Requirement::AtLeastAsFresh(revision));
        all_read_at(reads(&grpc, ids, fresh), &written);
    }
}

#[test]
fn what_is_no_revision_of_the_tenant_is_no_measure() {
    let (tenant, stranger) = (super::tenant(), super::tenant());
    let grpc = tenant.grpc_full(super::server());
    let (user, group) = populated(&tenant);
    let theirs = latest(&stranger.grpc_full(super::server()));
    let ours = latest(&grpc).token;
    for token in ["", "x", &ours[1..], &theirs.token] {
        let revision = Revision {
            token: token.to_owned(),
        };
        let fresh = Some(Requirement::AtLeastAsFresh(revision));
        let answers = reads(&grpc, (&user, &group), fresh);
        all_refused(answers, Code::InvalidArgument, "REVISION_INVALID");
    }
}

#[test]
fn a_revision_of_another_history_is_no_measure() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    let grpc = tenant.grpc_full(&server);
    let (user, group) = populated(&tenant);
    let before = latest(&grpc);
    let _ = server.admin().run(&["epoch", "renew"]).code(0);
    let fresh = Some(Requirement::AtLeastAsFresh(before));
    let answers = reads(&grpc, (&user, &group), fresh);
    all_refused(answers, Code::FailedPrecondition, "STORE_EPOCH_MISMATCH");
    let now = latest(&grpc);
    let fresh = Some(Requirement::AtLeastAsFresh(now.clone()));
    all_read_at(reads(&grpc, (&user, &group), fresh), &now);
}

#[test]
fn calls_that_nobody_waits_for_leave_no_old_answers_behind() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let (user, group) = populated(&tenant);
    let ids = (user.as_str(), group.as_str());
    for round in 0..40 {
        // A connection of their own: a server hangs up on who gives up too often.
        give_up_early(&tenant.grpc(), round);
        let request = v1::CreateUserRequest {
            options: None,
            user: Some(v1::User {
                user_name: format!("u-{round}"),
                ..Default::default()
            }),
        };
        let answer = wait(grpc.users().create_user(request)).expect("created");
        let written = answer.into_inner().written_at.expect("it was changed");
        for requirement in [None, Some(Requirement::AtLeastAsFresh(written.clone()))] {
            all_read_at(reads(&grpc, ids, requirement), &written);
        }
    }
}

/// Many lists at once, none of which is waited for to its end.
fn give_up_early(grpc: &Grpc, round: u64) {
    wait(async {
        let mut calls = tokio::task::JoinSet::new();
        for call in 0..24 {
            let mut users = grpc.users();
            calls.spawn(async move {
                let listed = users.list_users(v1::ListUsersRequest::default());
                let patience = Duration::from_micros(1_500 * call + 37 * round);
                let _ = tokio::time::timeout(patience, listed).await;
            });
        }
        calls.join_all().await;
    });
}

/// What a server read before it remembers, and asks whether it still holds.
#[test]
fn a_read_sees_at_once_what_another_server_wrote() {
    let here = super::launch().start();
    let elsewhere = Launch::at(&here.launch().database_url()).start();
    let tenant = Tenant::create(&here);
    let scim = tenant.scim();
    let there = Scim::new(elsewhere.scim_url(), scim.token());
    let (manager, ada) = (scim.user("grace"), scim.user("ada"));
    let group = scim.group("Engineering", &[&ada]);
    let user = format!("/Users/{ada}");
    let replace = |path: &str, attribute: &str, value: Value| {
        let operations = json!([{"op": "replace", "path": attribute, "value": value}]);
        let _ = there.patch(path, &operations).status_in(&[200, 204]);
    };
    let sees = |pointer: &str, expected: Value| {
        // The second is answered from memory.
        for _ in 0..2 {
            let read = scim.get(&user).status(200).json();
            assert_eq!(read.pointer(pointer), Some(&expected), "{read:#}");
        }
    };
    let enterprise = |attribute: &str| format!("{ENTERPRISE}:{attribute}");
    let manager_name = format!("/{ENTERPRISE}/manager/displayName");
    sees("/groups/0/display", json!("Engineering"));
    replace(&user, "title", json!("Countess"));
    sees("/title", json!("Countess"));
    replace(&user, &enterprise("manager"), json!(manager));
    replace(
        &format!("/Users/{manager}"),
        "displayName",
        json!("Grace H."),
    );
    sees(&manager_name, json!("Grace H."));
    replace(&format!("/Users/{manager}"), "displayName", json!("Hopper"));
    sees(&manager_name, json!("Hopper"));
    replace(
        &format!("/Groups/{group}"),
        "displayName",
        json!("Research"),
    );
    sees("/groups/0/display", json!("Research"));
    replace(&user, "active", json!(false));
    sees("/active", json!(false));
    let _ = there.delete(&user).status(204);
    let _ = scim.get(&user).status(404);
}

/// They share statements, whoever they are for.
#[test]
fn reads_at_the_same_time_are_answered_each_for_its_own_caller() {
    let tenants = [super::tenant(), super::tenant()];
    let users = tenants.each_ref().map(|tenant| {
        let grpc = tenant.grpc();
        let names = (0..20).map(|n| format!("user-{n}"));
        names.map(|name| create(&grpc, &name)).collect::<Vec<_>>()
    });
    let mut asked = Vec::new();
    for (caller, tenant) in tenants.iter().enumerate() {
        for (owner, users) in users.iter().enumerate() {
            for (id, name) in users {
                let expected = (caller == owner).then(|| name.clone());
                asked.push((tenant.grpc().users(), id.clone(), expected));
            }
        }
    }
    let calls = asked
        .into_iter()
        .map(|(mut users, id, expected)| async move {
            let request = v1::GetUserRequest {
                id,
                ..Default::default()
            };
            let found = users.get_user(request).await;
            let found = found.map(|answer| answer.into_inner().user.expect("a user"));
            match (found, expected) {
                (Ok(user), Some(name)) => {
                    assert_eq!(user.user_name, name);
                    assert_eq!(user.external_id, format!("external {name}"));
                }
                (Err(status), None) => assert_eq!(reason(&status), "USER_NOT_FOUND"),
                (found, expected) => panic!("{expected:?} is wanted, {found:?} found"),
            }
        });
    wait(async {
        let mut tasks = tokio::task::JoinSet::new();
        calls.for_each(|call| drop(tasks.spawn(call)));
        tasks.join_all().await
    });
}

/// A new user: his id and his name.
fn create(grpc: &Grpc, name: &str) -> (String, String) {
    let user = v1::User {
        user_name: name.to_owned(),
        external_id: format!("external {name}"),
        ..Default::default()
    };
    let request = v1::CreateUserRequest {
        user: Some(user),
        options: None,
    };
    let created = wait(grpc.users().create_user(request)).expect("a user");
    let user = created.into_inner().user.expect("a user");
    (user.id, user.user_name)
}
