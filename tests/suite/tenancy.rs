//! What a tenant sees of another: nothing.

mod connections;
mod feed;
mod held;
mod lookup;
mod provisioning_log;
mod schemas;
mod signals;
mod tokens;

use std::{collections::BTreeMap, future::Future, pin::Pin};

use muster_proto::v1;
use muster_tests::{
    feed::contains,
    generic::methods,
    grpc::{self, Grpc},
    issuer::now_s,
    jws::read,
    runtime::wait,
    scim::USER,
    service::{API, Service},
    tenant::{Tenant, text},
};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};

/// Ids of things of the other tenant, and one group of the caller's own.
#[derive(Clone)]
struct Ids {
    user: String,
    group: String,
    connection: String,
    client: String,
    token: String,
    secret: String,
    jwt: String,
    jti: String,
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
                let request = v1::CreateUserRequest {
                    user: Some(user),
                    options: None,
                };
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
                        options: None,
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

/// Whether none of the other tenant's ids stands in a message.
fn is_silent(message: &impl Message, ids: &Ids) -> Seen {
    let bytes = message.encode_to_vec();
    let theirs = [
        &ids.user,
        &ids.group,
        &ids.connection,
        &ids.client,
        &ids.token,
    ];
    theirs.iter().all(|id| !contains(&bytes, id)).into()
}

fn member(id: String) -> v1::MemberRef {
    v1::MemberRef {
        member: Some(v1::member_ref::Member::Any(id)),
    }
}

/// The RPCs of the contract that prove nothing by themselves, or that do.
fn rpcs(unauthenticated: bool) -> Vec<String> {
    let methods = methods().into_iter();
    let methods = methods.filter(|method| method.policy.unauthenticated == unauthenticated);
    let short = |path: String| path.replace("/identity.directory.v1.", "");
    methods.map(|method| short(method.path)).collect()
}

fn in_an_hour() -> prost_types::Timestamp {
    let seconds = i64::try_from(now_s() + 3_600).expect("a time");
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// All calls with what they lead to, and whether a service client makes them.
fn all_calls() -> BTreeMap<&'static str, (Expected, Call, bool)> {
    let of_connections = [
        calls(),
        feed::calls(),
        provisioning_log::calls(),
        schemas::calls(),
    ];
    let of_connections = of_connections.into_iter().flatten();
    let of_services = [
        tokens::calls(),
        tokens::calls_of_operators(),
        connections::calls(),
        held::calls(),
        lookup::calls(),
        signals::calls(),
    ];
    let of_services = of_services.into_iter().flatten();
    of_connections
        .map(|(rpc, (expected, call))| (rpc, (expected, call, false)))
        .chain(of_services.map(|(rpc, (expected, call))| (rpc, (expected, call, true))))
        .collect()
}

/// What the other tenant has, once there is one of everything.
fn ids_of(theirs: &Tenant, client: &Service, own_group: String) -> Ids {
    let user = theirs.scim().user("theirs");
    let group = theirs.scim().group("Theirs", &[&user]);
    let schema = Some(schemas::schema(schemas::THEIRS));
    let mut schemas = theirs.grpc_full(super::server()).schemas();
    wait(schemas.put_schema(v1::PutSchemaRequest {
        schema,
        options: None,
    }))
    .expect("they have a schema");
    let grpc = client.grpc();
    let request = v1::CreatePersonalAccessTokenRequest {
        user_id: user.clone(),
        name: "theirs".to_owned(),
        audiences: vec![API.to_owned()],
        expire_time: Some(in_an_hour()),
        ..Default::default()
    };
    let made = wait(grpc.tokens().create_personal_access_token(request));
    let made = made.expect("they have a token").into_inner();
    let request = v1::IssueUserTokenRequest {
        user: Some(v1::UserKey {
            key: Some(v1::user_key::Key::Id(user.clone())),
        }),
        audiences: vec![API.to_owned()],
        ..Default::default()
    };
    let issued = wait(grpc.tokens().issue_user_token(request));
    let jwt = issued.expect("they have a token").into_inner().access_token;
    Ids {
        user,
        group,
        connection: theirs.connection_id.clone(),
        client: client.id.clone(),
        token: made.token.expect("the token").id,
        secret: made.secret,
        jti: text(&read(&jwt).1, "jti"),
        jwt,
        own_group,
    }
}

#[test]
fn every_rpc_treats_another_tenants_ids_as_nobodys() {
    let (ours, theirs) = (super::tenant(), super::tenant());
    let server = super::server();
    let own_group = ours.scim().group("Ours", &[]);
    let their_client = Service::full(server, &theirs);
    let ids = ids_of(&theirs, &their_client, own_group);
    let connection = ours.grpc_full(server);
    let service = Service::full(server, &ours).grpc();
    let calls = all_calls();
    for rpc in [rpcs(false), rpcs(true)].concat() {
        let Some((expected, call, by_service)) = calls.get(rpc.as_str()) else {
            panic!("{rpc} has no line in this test");
        };
        let caller = if *by_service { &service } else { &connection };
        let answer = wait(call(caller.clone(), ids.clone()));
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
    assert_eq!(theirs.scim().members(&ids.group), [ids.user.as_str()]);
    assert!(ours.scim().members(&ids.own_group).is_empty());
    let their_tokens = their_client.grpc();
    for token in [ids.secret, ids.jwt] {
        let request = v1::IntrospectTokenRequest {
            token,
            ..Default::default()
        };
        let said = wait(their_tokens.tokens().introspect_token(request));
        assert!(said.expect("an answer").into_inner().active);
    }
}

#[test]
fn every_rpc_without_a_credential_is_unauthenticated() {
    let url = super::server().grpc();
    let nobodys = || "0190a5c1-0000-7000-8000-000000000000".to_owned();
    let ids = Ids {
        user: nobodys(),
        group: nobodys(),
        connection: nobodys(),
        client: nobodys(),
        token: nobodys(),
        secret: nobodys(),
        jwt: nobodys(),
        jti: nobodys(),
        own_group: nobodys(),
    };
    let calls = all_calls();
    for rpc in rpcs(false) {
        // Its second call is the one that counts; the first asserts of its own.
        if rpc == "GroupService/ModifyGroup" {
            continue;
        }
        let (_, call, _) = calls[rpc.as_str()];
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
