//! Lookups of what is another tenant's.

use std::collections::BTreeMap;

use muster_proto::v1::{self, group_key, user_key};
use tonic::Code;

use super::{Call, Expected, Seen};

fn user(id: String) -> Option<v1::UserKey> {
    Some(v1::UserKey {
        key: Some(user_key::Key::Id(id)),
    })
}

fn group(id: String) -> v1::GroupKey {
    v1::GroupKey {
        key: Some(group_key::Key::Id(id)),
    }
}

/// Whether an item of a batch says that there is no such thing.
fn is_not_found(error: Option<&tonic_types::Status>) -> bool {
    error.is_some_and(|error| error.code == Code::NotFound as i32)
}

/// Calls of lookups.
pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 6] = [
        ("DirectoryLookupService/ResolveUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::ResolveUserRequest {
                    key: user(ids.user),
                    allow_inactive: true,
                    ..Default::default()
                };
                let answer = g.lookup().resolve_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("DirectoryLookupService/BatchGetUsers", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::BatchGetUsersRequest {
                    keys: user(ids.user).into_iter().collect(),
                    ..Default::default()
                };
                let answer = g.lookup().batch_get_users(request).await?.into_inner();
                let is_nobody = |one: &v1::UserResult| match &one.result {
                    Some(v1::user_result::Result::Error(error)) => is_not_found(Some(error)),
                    _ => false,
                };
                Ok(answer.results.iter().all(is_nobody).into())
            })
        }),
        (
            "DirectoryLookupService/BatchGetUserStatus",
            Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::BatchGetUserStatusRequest {
                        keys: user(ids.user).into_iter().collect(),
                        ..Default::default()
                    };
                    let answer = g.lookup().batch_get_user_status(request).await?;
                    let answer = answer.into_inner().results;
                    let is_nobody = |one: &v1::UserStatusResult| {
                        one.user_id.is_empty() && is_not_found(one.error.as_ref())
                    };
                    Ok(answer.iter().all(is_nobody).into())
                })
            },
        ),
        (
            "DirectoryLookupService/GetEffectiveGroups",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::GetEffectiveGroupsRequest {
                        user: user(ids.user),
                        ..Default::default()
                    };
                    let answer = g.lookup().get_effective_groups(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        (
            "DirectoryLookupService/CheckMembership",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::CheckMembershipRequest {
                        user: user(ids.user),
                        groups: vec![group(ids.group), group(ids.own_group)],
                        ..Default::default()
                    };
                    let answer = g.lookup().check_membership(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        (
            "DirectoryLookupService/BatchCheckMembership",
            Nothing,
            |g, ids| {
                Box::pin(async move {
                    let questions = [&ids.group, &ids.own_group].map(|id| v1::MembershipQuestion {
                        user: user(ids.user.clone()),
                        group: Some(group(id.clone())),
                    });
                    let request = v1::BatchCheckMembershipRequest {
                        questions: questions.into(),
                        include_inactive: true,
                        ..Default::default()
                    };
                    let answer = g.lookup().batch_check_membership(request).await?;
                    let answer = answer.into_inner().results;
                    let mut all = answer.iter();
                    Ok(all.all(|one| is_not_found(one.error.as_ref())).into())
                })
            },
        ),
    ];
    let calls = calls.into_iter();
    calls
        .map(|(rpc, expected, call)| (rpc, (expected, call)))
        .collect()
}
