//! Users and groups.

use muster_proto::v1::{
    self, AttributePath, AttributeValue, CreateGroupRequest, CreateUserRequest, DeleteGroupRequest,
    DeleteUserRequest, FederatedIdentity, Group, GroupModification, LinkFederatedIdentityRequest,
    LockUserRequest, MemberList, MemberRef, ModifyGroupRequest, PatchOperation, PatchUserRequest,
    PurgeGroupRequest, PurgeUserRequest, ReplaceUserRequest, UndeleteGroupRequest,
    UndeleteUserRequest, UnlinkFederatedIdentityRequest, UnlockUserRequest, User, WriteOptions,
    group_modification::Modification, member_ref::Member,
};
use muster_tests::{
    runtime::wait,
    signals::{ISSUER, link},
};

use super::{super::name, Cases, Requests};

pub(super) const CASES: Cases = &[
    ("CreateUser", |_| {
        let named = name("user");
        let request = |title: &str| CreateUserRequest {
            user: Some(User {
                user_name: named.clone(),
                title: title.to_owned(),
                ..User::default()
            }),
            options: None,
        };
        Requests::of(&request("Countess"), &request("Admiral"))
    }),
    ("PatchUser", |world| {
        let id = world.user();
        let request = |title: &str| PatchUserRequest {
            id: id.clone(),
            operations: vec![replace("title", title)],
            ..PatchUserRequest::default()
        };
        Requests::of(&request("Countess"), &request("Admiral"))
    }),
    ("ReplaceUser", |world| {
        let id = world.user();
        let request = |user_name: String| ReplaceUserRequest {
            user: Some(User {
                id: id.clone(),
                user_name,
                ..User::default()
            }),
            options: None,
        };
        Requests::of(&request(name("user")), &request(name("user")))
    }),
    ("LockUser", |world| {
        let id = world.user();
        let request = |reason: &str| LockUserRequest {
            id: id.clone(),
            reason: reason.to_owned(),
            options: None,
        };
        Requests::of(&request("a stolen laptop"), &request("a stolen phone"))
    }),
    ("UnlockUser", |world| {
        let id = world.user();
        let locked = LockUserRequest {
            id: id.clone(),
            ..LockUserRequest::default()
        };
        wait(world.grpc.users().lock_user(locked)).expect("locked");
        let request = |options| UnlockUserRequest {
            id: id.clone(),
            options,
        };
        Requests::of(&request(None), &request(if_match("*")))
    }),
    ("DeleteUser", |world| {
        let id = world.user();
        let request = |allow_missing| DeleteUserRequest {
            id: id.clone(),
            allow_missing,
            options: None,
        };
        Requests::of(&request(false), &request(true))
    }),
    ("UndeleteUser", |world| {
        let id = world.user();
        let deleted = DeleteUserRequest {
            id: id.clone(),
            ..DeleteUserRequest::default()
        };
        wait(world.grpc.users().delete_user(deleted)).expect("deleted");
        let request = |options| UndeleteUserRequest {
            id: id.clone(),
            options,
        };
        Requests::of(&request(None), &request(if_match("*")))
    }),
    ("PurgeUser", |world| {
        let id = world.user();
        let request = v1::GetUserRequest {
            id: id.clone(),
            ..v1::GetUserRequest::default()
        };
        let found = wait(world.grpc.users().get_user(request)).expect("him");
        let meta = found.into_inner().user.expect("him").meta;
        let etag = meta.expect("always set").etag;
        let request = |tags: &str| PurgeUserRequest {
            id: id.clone(),
            options: if_match(tags),
        };
        Requests::of(&request(&etag), &request(&format!("{etag}, \"x\"")))
    }),
    ("LinkFederatedIdentity", |world| {
        let user_id = world.user();
        let request = |subject: String| LinkFederatedIdentityRequest {
            user_id: user_id.clone(),
            identity: Some(FederatedIdentity {
                issuer: ISSUER.to_owned(),
                subject,
                link_time: None,
            }),
            options: None,
        };
        Requests::of(&request(name("subject")), &request(name("subject")))
    }),
    ("UnlinkFederatedIdentity", |world| {
        let user_id = world.user();
        let subjects = [name("subject"), name("subject")];
        for subject in &subjects {
            let _ = link(&world.grpc, &user_id, subject).expect("linked");
        }
        let [one, other] = subjects.map(|subject| UnlinkFederatedIdentityRequest {
            user_id: user_id.clone(),
            issuer: ISSUER.to_owned(),
            subject,
            options: None,
        });
        Requests::of(&one, &other)
    }),
    ("CreateGroup", |world| {
        let members = vec![member(&world.user())];
        let named = name("group");
        let request = |members_up_to| CreateGroupRequest {
            group: Some(Group {
                display_name: named.clone(),
                ..Group::default()
            }),
            members: members.clone(),
            members_up_to,
            options: None,
        };
        Requests::of(&request(10), &request(0))
    }),
    ("ModifyGroup", |world| {
        let (id, user) = (world.group(), world.user());
        let add = Modification::AddMembers(MemberList {
            members: vec![member(&user)],
        });
        let request = |display_name: String| ModifyGroupRequest {
            id: id.clone(),
            modifications: vec![
                modification(add.clone()),
                modification(Modification::Patch(replace("displayName", &display_name))),
            ],
            members_up_to: 10,
            options: None,
        };
        Requests::of(&request(name("group")), &request(name("group")))
    }),
    ("DeleteGroup", |world| {
        let id = world.group();
        let request = |allow_missing| DeleteGroupRequest {
            id: id.clone(),
            allow_missing,
            options: None,
        };
        Requests::of(&request(false), &request(true))
    }),
    ("UndeleteGroup", |world| {
        let id = world.group();
        let deleted = DeleteGroupRequest {
            id: id.clone(),
            ..DeleteGroupRequest::default()
        };
        wait(world.grpc.groups().delete_group(deleted)).expect("deleted");
        let request = |options| UndeleteGroupRequest {
            id: id.clone(),
            options,
        };
        Requests::of(&request(None), &request(if_match("*")))
    }),
    ("PurgeGroup", |world| {
        let id = world.group();
        let request = v1::GetGroupRequest {
            id: id.clone(),
            ..v1::GetGroupRequest::default()
        };
        let found = wait(world.grpc.groups().get_group(request)).expect("it");
        let meta = found.into_inner().group.expect("it").meta;
        let etag = meta.expect("always set").etag;
        let request = |tags: &str| PurgeGroupRequest {
            id: id.clone(),
            options: if_match(tags),
        };
        Requests::of(&request(&etag), &request(&format!("{etag}, \"x\"")))
    }),
];

fn replace(attribute: &str, value: &str) -> PatchOperation {
    let value = v1::attribute_value::Value::StringValue(value.to_owned());
    PatchOperation {
        op: v1::patch_operation::Op::Replace.into(),
        path: Some(AttributePath {
            attribute: attribute.to_owned(),
            ..AttributePath::default()
        }),
        value: Some(AttributeValue { value: Some(value) }),
        ..PatchOperation::default()
    }
}

fn modification(modification: Modification) -> GroupModification {
    GroupModification {
        modification: Some(modification),
        require_target: false,
    }
}

fn member(user: &str) -> MemberRef {
    MemberRef {
        member: Some(Member::UserId(user.to_owned())),
    }
}

fn if_match(tags: &str) -> Option<WriteOptions> {
    Some(WriteOptions {
        if_match: tags.to_owned(),
        ..WriteOptions::default()
    })
}
