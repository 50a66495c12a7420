//! What a tenant sees of another: nothing.

mod schemas;

use std::{collections::BTreeMap, future::Future, pin::Pin};

use muster_proto::{FILE_DESCRIPTOR_SET, v1};
use muster_tests::{
    feed::contains,
    grpc::{self, Grpc},
    runtime::wait,
    scim::USER,
};
use prost::Message;
use prost_reflect::DescriptorPool;
use serde_json::json;
use tonic::{Code, Status};

/// Ids of things of the other tenant, and one group of the caller's own.
#[derive(Clone)]
struct Ids {
    user: String,
    group: String,
    connection: String,
    own_group: String,
}

type Answer = Pin<Box<dyn Future<Output = Result<Seen, Status>> + Send>>;
type Call = fn(Grpc, Ids) -> Answer;

/// What a call that succeeds showed of the other tenant.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Something,
}

impl From<bool> for Seen {
    fn from(empty: bool) -> Self {
        if empty {
            Self::Nothing
        } else {
            Self::Something
        }
    }
}

/// What the other tenant's ids must lead to.
#[derive(Clone, Copy)]
enum Expected {
    /// As if there were no such thing.
    NotFound,
    /// The call takes no id, and shows nothing of the other tenant.
    Nothing,
    /// The id is a part of the request that names nobody.
    Refused(Code),
}

/// Every RPC of the contract: an RPC without a line here fails the test.
fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing, Refused};
    let calls: [(&'static str, Expected, Call); 15] = [
        ("UserService/CreateUser", Nothing, |g, _| {
            Box::pin(async move {
                let user = v1::User {
                    user_name: "theirs".to_owned(),
                    ..Default::default()
                };
                let request = v1::CreateUserRequest { user: Some(user) };
                g.users().create_user(request).await.map(|_| Seen::Nothing)
            })
        }),
        ("UserService/GetUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::GetUserRequest {
                    id: ids.user,
                    ..Default::default()
                };
                g.users().get_user(request).await.map(|_| Seen::Something)
            })
        }),
        ("UserService/ListUsers", Nothing, |g, ids| {
            Box::pin(async move {
                let answer = g
                    .users()
                    .list_users(v1::ListUsersRequest::default())
                    .await?;
                let users = answer.into_inner().users;
                Ok(users.iter().all(|u| u.id != ids.user).into())
            })
        }),
        ("UserService/PatchUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::PatchUserRequest {
                    id: ids.user,
                    ..Default::default()
                };
                g.users().patch_user(request).await.map(|_| Seen::Something)
            })
        }),
        ("UserService/ReplaceUser", NotFound, |g, ids| {
            Box::pin(async move {
                let user = v1::User {
                    id: ids.user,
                    user_name: "x".to_owned(),
                    ..Default::default()
                };
                let request = v1::ReplaceUserRequest {
                    user: Some(user),
                    ..Default::default()
                };
                g.users()
                    .replace_user(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        ("UserService/DeleteUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::DeleteUserRequest {
                    id: ids.user,
                    ..Default::default()
                };
                g.users()
                    .delete_user(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        (
            "GroupService/CreateGroup",
            Refused(Code::InvalidArgument),
            |g, ids| {
                Box::pin(async move {
                    let group = v1::Group {
                        display_name: "new".to_owned(),
                        ..Default::default()
                    };
                    let request = v1::CreateGroupRequest {
                        group: Some(group),
                        members: vec![member(ids.user)],
                        members_up_to: 100,
                    };
                    g.groups()
                        .create_group(request)
                        .await
                        .map(|_| Seen::Something)
                })
            },
        ),
        ("GroupService/GetGroup", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::GetGroupRequest {
                    id: ids.group,
                    ..Default::default()
                };
                g.groups().get_group(request).await.map(|_| Seen::Something)
            })
        }),
        ("GroupService/ListGroups", Nothing, |g, ids| {
            Box::pin(async move {
                let answer = g
                    .groups()
                    .list_groups(v1::ListGroupsRequest::default())
                    .await?;
                let groups = answer.into_inner().groups;
                Ok(groups.iter().all(|u| u.id != ids.group).into())
            })
        }),
        ("SearchService/SearchResources", Nothing, |g, ids| {
            Box::pin(async move {
                let kinds = [v1::ResourceType::User, v1::ResourceType::Group];
                let target = |kind: v1::ResourceType| v1::Target {
                    r#type: kind.into(),
                    ..Default::default()
                };
                let request = v1::SearchResourcesRequest {
                    targets: kinds.map(target).into(),
                    ..Default::default()
                };
                let answer = g.search().search_resources(request).await?;
                let mut found = answer.into_inner().resources.into_iter();
                Ok(found
                    .all(|found| match found.resource {
                        Some(v1::resource::Resource::User(user)) => user.id != ids.user,
                        Some(v1::resource::Resource::Group(group)) => group.id != ids.group,
                        None => false,
                    })
                    .into())
            })
        }),
        ("GroupService/ModifyGroup", NotFound, |g, ids| {
            Box::pin(async move {
                // Their user into our group is refused ...
                let add = v1::MemberList {
                    members: vec![member(ids.user)],
                };
                let modification = v1::GroupModification {
                    modification: Some(v1::group_modification::Modification::AddMembers(add)),
                    ..Default::default()
                };
                let request = v1::ModifyGroupRequest {
                    id: ids.own_group,
                    modifications: vec![modification],
                    ..Default::default()
                };
                let refusal = g.groups().modify_group(request).await;
                let refusal = refusal.expect_err("their user became our member");
                assert_eq!(refusal.code(), Code::InvalidArgument, "{refusal:?}");
                // ... and their group is not there.
                let request = v1::ModifyGroupRequest {
                    id: ids.group,
                    ..Default::default()
                };
                g.groups()
                    .modify_group(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        ("GroupService/ListGroupMembers", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::ListGroupMembersRequest {
                    group_id: ids.group,
                    page: None,
                    ..v1::ListGroupMembersRequest::default()
                };
                g.groups()
                    .list_group_members(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        ("GroupService/DeleteGroup", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::DeleteGroupRequest {
                    id: ids.group,
                    ..Default::default()
                };
                g.groups()
                    .delete_group(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        ("ProvisioningService/GetConnection", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::GetConnectionRequest { id: ids.connection };
                g.provisioning()
                    .get_connection(request)
                    .await
                    .map(|_| Seen::Something)
            })
        }),
        (
            "ProvisioningService/IssueConnectionToken",
            Refused(Code::Unauthenticated),
            |g, ids| {
                Box::pin(async move {
                    let request = v1::IssueConnectionTokenRequest {
                        client_id: ids.connection,
                        proof: None,
                    };
                    g.provisioning()
                        .issue_connection_token(request)
                        .await
                        .map(|_| Seen::Something)
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}

/// What came with the feed, the audit and the way back from a deletion.
fn calls_of_the_feed() -> BTreeMap<&'static str, (Expected, Call)> {
    let calls: [(&'static str, Expected, Call); 11] = [
        ("UserService/UndeleteUser", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::UndeleteUserRequest {
                    id: ids.user,
                    options: None,
                };
                let answer = g.users().undelete_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("UserService/PurgeUser", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::PurgeUserRequest {
                    id: ids.user,
                    options: as_seen(),
                };
                let answer = g.users().purge_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "GroupService/UndeleteGroup",
            Expected::NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::UndeleteGroupRequest {
                        id: ids.group,
                        options: None,
                    };
                    let answer = g.groups().undelete_group(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("GroupService/PurgeGroup", Expected::NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::PurgeGroupRequest {
                    id: ids.group,
                    options: as_seen(),
                };
                let answer = g.groups().purge_group(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "ChangeService/GetChangeBounds",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::GetChangeBoundsRequest {};
                    let answer = g.changes().get_change_bounds(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
        ("ChangeService/ListChanges", Expected::Nothing, |g, ids| {
            Box::pin(async move {
                // Their group and connection are asked for by name.
                let filter = v1::ChangeFilter {
                    group_ids: vec![ids.group.clone()],
                    connection_id: ids.connection.clone(),
                    ..Default::default()
                };
                for filter in [None, Some(filter)] {
                    let request = v1::ListChangesRequest {
                        filter,
                        ..Default::default()
                    };
                    let answer = g.changes().list_changes(request).await?;
                    if is_silent(&answer.into_inner(), &ids) == Seen::Something {
                        return Ok(Seen::Something);
                    }
                }
                Ok(Seen::Nothing)
            })
        }),
        ("ChangeService/WatchChanges", Expected::Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::WatchChangesRequest {
                    start: Some(v1::watch_changes_request::Start::FromNow(true)),
                    ..Default::default()
                };
                let answer = g.changes().watch_changes(request).await?;
                let first = answer.into_inner().message().await?;
                Ok(is_silent(&first.unwrap_or_default(), &ids))
            })
        }),
        (
            "ChangeService/StreamSnapshot",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::StreamSnapshotRequest::default();
                    let answer = g.changes().stream_snapshot(request).await?;
                    let mut pages = answer.into_inner();
                    while let Some(page) = pages.message().await? {
                        if is_silent(&page, &ids) == Seen::Something {
                            return Ok(Seen::Something);
                        }
                    }
                    Ok(Seen::Nothing)
                })
            },
        ),
        (
            "AuditService/ListAuditEntries",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ListAuditEntriesRequest::default();
                    let answer = g.audit().list_audit_entries(request).await?;
                    Ok(is_done_to_nobody(&answer.into_inner().entries, &ids))
                })
            },
        ),
        (
            "AuditService/ExportAuditEntries",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ExportAuditEntriesRequest::default();
                    let answer = g.audit().export_audit_entries(request).await?;
                    let mut entries = Vec::new();
                    let mut parts = answer.into_inner();
                    while let Some(part) = parts.message().await? {
                        entries.extend(part.entries);
                    }
                    Ok(is_done_to_nobody(&entries, &ids))
                })
            },
        ),
        (
            "AuditService/VerifyAuditChain",
            Expected::Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::VerifyAuditChainRequest::default();
                    let answer = g.audit().verify_audit_chain(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}

/// Whether none of the other tenant's ids stands in a message.
fn is_silent(message: &impl Message, ids: &Ids) -> Seen {
    let bytes = message.encode_to_vec();
    let theirs = [&ids.user, &ids.group, &ids.connection];
    theirs.iter().all(|id| !contains(&bytes, id)).into()
}

/// Whether the entries name the other tenant's ids only where a call of ours
/// named them and was refused.
fn is_done_to_nobody(entries: &[v1::AuditEntry], ids: &Ids) -> Seen {
    let done = entries.iter().filter(|entry| entry.outcome == "OK");
    let seen = done.map(|entry| is_silent(entry, ids));
    seen.into_iter().all(|seen| seen == Seen::Nothing).into()
}

fn as_seen() -> Option<v1::WriteOptions> {
    Some(v1::WriteOptions {
        if_match: "\"1\"".to_owned(),
        ..Default::default()
    })
}

fn member(id: String) -> v1::MemberRef {
    v1::MemberRef {
        member: Some(v1::member_ref::Member::Any(id)),
    }
}

fn rpcs() -> Vec<String> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the compiled contract");
    let services: Vec<_> = pool.services().collect();
    services
        .iter()
        .flat_map(|s| {
            s.methods()
                .map(|m| format!("{}/{}", s.name(), m.name()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_rpc_treats_another_tenants_ids_as_nobodys() {
    let (ours, theirs) = (super::tenant(), super::tenant());
    let user = theirs.scim().user("theirs");
    let ids = Ids {
        group: theirs.scim().group("Theirs", &[&user]),
        user,
        connection: theirs.connection_id.clone(),
        own_group: ours.scim().group("Ours", &[]),
    };
    let schema = Some(schemas::schema(schemas::THEIRS));
    let mut client = theirs.grpc_full(super::server()).schemas();
    wait(client.put_schema(v1::PutSchemaRequest { schema })).expect("they have a schema");
    let full = ours.grpc_full(super::server());
    let mut calls = calls();
    calls.extend(calls_of_the_feed());
    calls.extend(schemas::calls());
    for rpc in rpcs() {
        let Some((expected, call)) = calls.get(rpc.as_str()) else {
            panic!("{rpc} has no line in this test");
        };
        let answer = wait(call(full.clone(), ids.clone()));
        match (expected, answer) {
            (Expected::Nothing, Ok(Seen::Nothing)) => {}
            (Expected::NotFound, Err(status)) => {
                assert_eq!(status.code(), Code::NotFound, "{rpc}: {status:?}");
                let reason = grpc::reason(&status);
                assert!(reason.ends_with("_NOT_FOUND"), "{rpc}: {reason}");
            }
            (Expected::Refused(code), Err(status)) => {
                assert_eq!(status.code(), *code, "{rpc}: {status:?}");
                grpc::reason(&status);
            }
            (_, answer) => panic!("{rpc}: {answer:?}"),
        }
    }
    assert_eq!(theirs.scim().found("userName pr"), ["theirs"]);
    assert_eq!(theirs.scim().members(&ids.group), [ids.user]);
    assert!(ours.scim().members(&ids.own_group).is_empty());
}

#[test]
fn every_rpc_without_a_credential_is_unauthenticated() {
    let url = super::server().grpc();
    let ids = Ids {
        user: "u".to_owned(),
        group: "g".to_owned(),
        connection: "c".to_owned(),
        own_group: "o".to_owned(),
    };
    let calls = calls().into_iter().chain(calls_of_the_feed());
    let calls = calls.chain(schemas::calls());
    for (rpc, (_, call)) in calls {
        // Its second call is the one that counts; the first asserts of its own.
        if rpc == "GroupService/ModifyGroup" {
            continue;
        }
        // Brings its own proof and needs no bearer: see the module `oauth`.
        if rpc == "ProvisioningService/IssueConnectionToken" {
            continue;
        }
        for (token, reason) in [
            (None, "CREDENTIAL_MISSING"),
            (Some("wrong"), "CREDENTIAL_INVALID"),
        ] {
            let answer = wait(call(Grpc::new(url, token), ids.clone()));
            let status = answer.expect_err("answered without a credential");
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc}: {status:?}");
            assert_eq!(grpc::reason(&status), reason, "{rpc}");
        }
    }
}

#[test]
fn over_scim_another_tenants_resources_are_not_found() {
    let (ours, theirs) = (super::tenant().scim(), super::tenant().scim());
    let user = theirs.user("theirs");
    let group = theirs.group("Theirs", &[&user]);
    let body = json!({"schemas": [USER], "userName": "x", "displayName": "x"});
    let operations = json!([{"op": "replace", "path": "displayName", "value": "x"}]);
    for path in [format!("/Users/{user}"), format!("/Groups/{group}")] {
        let _ = ours.get(&path).scim_error(404, None);
        let _ = ours.put(&path, &body).scim_error(404, None);
        let _ = ours.patch(&path, &operations).scim_error(404, None);
        let _ = ours.delete(&path).scim_error(404, None);
    }
    assert_eq!(ours.get("/Users").total(), 0);
    assert_eq!(
        ours.find("/Groups", &format!("members eq \"{user}\""))
            .total(),
        0
    );
    assert_eq!(ours.find("/Users", &format!("id eq \"{user}\"")).total(), 0);
}

#[test]
fn names_and_keys_are_unique_in_a_tenant_only() {
    for _ in 0..2 {
        let scim = super::tenant().scim();
        let body = json!({"schemas": [USER], "userName": "ada", "externalId": "e"});
        let _ = scim.post("/Users", &body).status(201);
        scim.group("G", &[]);
    }
}
