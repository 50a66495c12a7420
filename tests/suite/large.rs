//! A transaction with more changes than a message holds.

use std::collections::BTreeSet;

use muster_proto::v1::{
    self, ChangeBatch, ChangeFilter, ListChangesRequest, MemberRef, ResourceType, Revision,
    change::Kind, member_ref::Member,
};
use muster_tests::{
    cache::membership,
    feed::{Watch, flat, latest, list, only, try_list},
    grpc::Grpc,
    runtime::wait,
};
use tokio::task::JoinSet;

const MEMBERS: usize = 2_500;

/// Users, created as fast as they are taken.
fn users(grpc: &Grpc) -> Vec<String> {
    wait(async {
        let mut writers = JoinSet::new();
        for writer in 0..25 {
            let grpc = grpc.clone();
            writers.spawn(async move { some_users(&grpc, writer).await });
        }
        writers.join_all().await.concat()
    })
}

async fn some_users(grpc: &Grpc, writer: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for round in 0..MEMBERS / 25 {
        let user = v1::User {
            user_name: format!("u-{writer}-{round}"),
            ..Default::default()
        };
        let request = v1::CreateUserRequest {
            user: Some(user),
            options: None,
        };
        let answer = grpc.users().create_user(request).await.expect("created");
        ids.push(answer.into_inner().user.expect("the created user").id);
    }
    ids
}

fn group_of(grpc: &Grpc, members: &[String]) -> String {
    let reference = |id: &String| MemberRef {
        member: Some(Member::UserId(id.clone())),
    };
    let request = v1::CreateGroupRequest {
        group: Some(v1::Group {
            display_name: "Everybody".to_owned(),
            ..Default::default()
        }),
        members: members.iter().map(reference).collect(),
        ..Default::default()
    };
    let answer = wait(grpc.groups().create_group(request)).expect("created");
    answer.into_inner().group.expect("the created group").id
}

/// All messages of a transaction, to its end.
fn transaction(watch: &mut Watch) -> Vec<(Revision, ChangeBatch)> {
    let mut parts = Vec::new();
    loop {
        let message = watch.news();
        let through = message.through.expect("always set");
        for batch in message.batches {
            let whole = batch.transaction_complete;
            parts.push((through.clone(), batch));
            if whole {
                return parts;
            }
        }
    }
}

#[test]
fn a_large_transaction_comes_in_parts_and_counts_when_it_is_whole() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let members = users(&grpc);
    let (mut watch, start) = Watch::from_now(&grpc, ChangeFilter::default());
    let (mut groups, _) = Watch::from_now(&grpc, only(&[ResourceType::Group]));
    let group = group_of(&grpc, &members);
    let end = latest(&grpc);

    let parts = transaction(&mut watch);
    check_parts(&parts, &start, &end);
    let batches: Vec<_> = parts.into_iter().map(|(_, batch)| batch).collect();
    check_members(&batches, &group, &members);
    check_list(&grpc, &start, &end, &batches);
    check_resumed(&grpc, &start, &batches);
    check_filtered(&mut groups, &group);
}

fn check_parts(parts: &[(Revision, ChangeBatch)], start: &Revision, end: &Revision) {
    assert!(parts.len() >= 3, "{} parts", parts.len());
    let (last, before) = parts.split_last().expect("parts");
    for (through, batch) in before {
        assert_eq!(through, start, "nobody resumes inside");
        assert!(!batch.transaction_complete && batch.changes.len() <= 1_000);
    }
    assert_eq!(&last.0, end);
}

fn check_members(batches: &[ChangeBatch], group: &str, members: &[String]) {
    let changes = flat(batches);
    assert_eq!(changes[0].kind(), Kind::Created);
    assert_eq!(changes.len(), MEMBERS + 1);
    let added: BTreeSet<_> = changes[1..].iter().map(membership).collect();
    let expected = members.iter().map(|id| (group.to_owned(), id.clone()));
    assert_eq!(added, expected.collect());
}

fn check_list(grpc: &Grpc, start: &Revision, end: &Revision, batches: &[ChangeBatch]) {
    let request = ListChangesRequest {
        after: Some(start.clone()),
        max_changes: 10,
        ..Default::default()
    };
    let answer = try_list(grpc, request).expect("changes are listed");
    assert_eq!(flat(&answer.batches), flat(batches), "it comes whole");
    assert!(
        answer
            .batches
            .last()
            .is_some_and(|b| b.transaction_complete)
    );
    assert_eq!(
        (answer.through.as_ref(), answer.caught_up),
        (Some(end), true)
    );
}

fn check_resumed(grpc: &Grpc, start: &Revision, batches: &[ChangeBatch]) {
    let mut again = Watch::after(grpc, start.clone(), ChangeFilter::default());
    let parts = transaction(&mut again);
    let again: Vec<_> = parts.into_iter().map(|(_, batch)| batch).collect();
    assert_eq!(flat(&again), flat(batches));
}

/// Whoever waits for the end of a transaction is told of it, also when his
/// filter lets nothing of the end through.
fn check_filtered(groups: &mut Watch, group: &str) {
    let parts = transaction(groups);
    let batches: Vec<_> = parts.into_iter().map(|(_, batch)| batch).collect();
    let changes = flat(&batches);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].resource_id, group);
}

#[test]
fn a_list_tells_the_end_of_a_large_transaction_through_a_filter() {
    let tenant = super::tenant();
    let grpc = tenant.grpc_full(super::server());
    let members = users(&grpc);
    let start = latest(&grpc);
    let group = group_of(&grpc, &members);
    let answer = list(&grpc, Some(start), only(&[ResourceType::Group]));
    let changes = flat(&answer.batches);
    assert_eq!(
        (changes.len(), changes[0].resource_id.as_str()),
        (1, group.as_str())
    );
    assert!(
        answer
            .batches
            .last()
            .is_some_and(|b| b.transaction_complete)
    );
}
