//! Those who write: anything, at the same time, to whatever is there.

use std::sync::{Mutex, PoisonError};

use muster_proto::v1::{
    self, AttributePath, AttributeValue, MemberList, MemberRef, PatchOperation, WriteOptions,
    attribute_value::Value, group_modification::Modification, member_ref::Member,
    patch_operation::Op,
};
use muster_tests::{grpc::Grpc, runtime::wait};
use proptest::prelude::*;
use tonic::{Code, Status};

/// What a writer does; numbers choose among what is known by then.
#[derive(Debug, Clone)]
pub(super) enum Act {
    CreateUser,
    Rename(usize),
    Activate(usize, bool),
    DeleteUser(usize),
    UndeleteUser(usize),
    PurgeUser(usize),
    CreateGroup(Vec<usize>),
    RenameGroup(usize),
    AddMembers(usize, Vec<usize>),
    RemoveMembers(usize, Vec<usize>),
    ClearMembers(usize),
    AddGroup(usize, usize),
    DeleteGroup(usize),
    UndeleteGroup(usize),
    PurgeGroup(usize),
}

/// What was ever created.
#[derive(Debug, Default)]
pub(super) struct Known {
    users: Vec<String>,
    groups: Vec<String>,
}

pub(super) fn acts(count: usize) -> impl Strategy<Value = Vec<Act>> {
    let which = || any::<usize>();
    let some = || prop::collection::vec(any::<usize>(), 1..5);
    let act = prop_oneof![
        6 => Just(Act::CreateUser),
        3 => which().prop_map(Act::Rename),
        3 => (which(), any::<bool>()).prop_map(|(at, on)| Act::Activate(at, on)),
        4 => which().prop_map(Act::DeleteUser),
        4 => which().prop_map(Act::UndeleteUser),
        1 => which().prop_map(Act::PurgeUser),
        3 => some().prop_map(Act::CreateGroup),
        2 => which().prop_map(Act::RenameGroup),
        5 => (which(), some()).prop_map(|(at, who)| Act::AddMembers(at, who)),
        3 => (which(), some()).prop_map(|(at, who)| Act::RemoveMembers(at, who)),
        1 => which().prop_map(Act::ClearMembers),
        3 => (which(), which()).prop_map(|(at, which)| Act::AddGroup(at, which)),
        3 => which().prop_map(Act::DeleteGroup),
        3 => which().prop_map(Act::UndeleteGroup),
        1 => which().prop_map(Act::PurgeGroup),
    ];
    prop::collection::vec(act, count)
}

impl Known {
    fn user(&self, at: usize) -> String {
        pick(&self.users, at)
    }

    fn group(&self, at: usize) -> String {
        pick(&self.groups, at)
    }

    fn members(&self, at: &[usize]) -> Vec<MemberRef> {
        let ids = at.iter().map(|at| self.user(*at));
        ids.filter(|id| id != NOBODY).map(user_ref).collect()
    }
}

/// An id that nobody has.
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

fn pick(ids: &[String], at: usize) -> String {
    let id = at.checked_rem(ids.len()).map(|at| ids[at].clone());
    id.unwrap_or_else(|| NOBODY.to_owned())
}

fn user_ref(id: String) -> MemberRef {
    MemberRef {
        member: Some(Member::UserId(id)),
    }
}

fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Does it. That others were faster is no failure.
pub(super) fn perform(grpc: &Grpc, known: &Mutex<Known>, act: &Act) {
    if let Err(status) = attempt(grpc, known, act) {
        let expected = [
            Code::NotFound,
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::AlreadyExists,
            Code::Unavailable,
        ];
        assert!(expected.contains(&status.code()), "{act:?}: {status:?}");
    }
}

fn attempt(grpc: &Grpc, known: &Mutex<Known>, act: &Act) -> Result<(), Status> {
    let locked = || known.lock().unwrap_or_else(PoisonError::into_inner);
    let user = |at: &usize| locked().user(*at);
    let group = |at: &usize| locked().group(*at);
    match act {
        Act::CreateUser => {
            let id = create_user(grpc)?;
            locked().users.push(id);
            Ok(())
        }
        Act::CreateGroup(members) => {
            let members = locked().members(members);
            let id = create_group(grpc, members)?;
            locked().groups.push(id);
            Ok(())
        }
        Act::Rename(at) => patch(grpc, user(at), "userName", Value::StringValue(unique())),
        Act::Activate(at, on) => patch(grpc, user(at), "active", Value::BoolValue(*on)),
        Act::DeleteUser(at) => delete_user(grpc, user(at)),
        Act::UndeleteUser(at) => undelete_user(grpc, user(at)),
        Act::PurgeUser(at) => purge_user(grpc, user(at)),
        Act::RenameGroup(at) => {
            let name = Value::StringValue(unique());
            modify(
                grpc,
                group(at),
                Modification::Patch(set("displayName", name)),
            )
        }
        Act::AddMembers(at, who) => {
            let members = locked().members(who);
            modify(
                grpc,
                group(at),
                Modification::AddMembers(MemberList { members }),
            )
        }
        Act::RemoveMembers(at, who) => {
            let members = locked().members(who);
            modify(
                grpc,
                group(at),
                Modification::RemoveMembers(MemberList { members }),
            )
        }
        Act::ClearMembers(at) => modify(grpc, group(at), Modification::ClearMembers(true)),
        Act::AddGroup(at, which) => {
            let members = vec![MemberRef {
                member: Some(Member::GroupId(group(which))),
            }];
            modify(
                grpc,
                group(at),
                Modification::AddMembers(MemberList { members }),
            )
        }
        Act::DeleteGroup(at) => delete_group(grpc, group(at)),
        Act::UndeleteGroup(at) => undelete_group(grpc, group(at)),
        Act::PurgeGroup(at) => purge_group(grpc, group(at)),
    }
}

fn create_user(grpc: &Grpc) -> Result<String, Status> {
    let user = v1::User {
        user_name: unique(),
        ..Default::default()
    };
    let request = v1::CreateUserRequest {
        user: Some(user),
        options: None,
    };
    let answer = wait(grpc.users().create_user(request))?.into_inner();
    Ok(answer.user.expect("the created user").id)
}

fn create_group(grpc: &Grpc, members: Vec<MemberRef>) -> Result<String, Status> {
    let request = v1::CreateGroupRequest {
        group: Some(v1::Group {
            display_name: unique(),
            ..Default::default()
        }),
        members,
        ..Default::default()
    };
    let answer = wait(grpc.groups().create_group(request))?.into_inner();
    Ok(answer.group.expect("the created group").id)
}

fn set(attribute: &str, value: Value) -> PatchOperation {
    PatchOperation {
        op: Op::Replace.into(),
        path: Some(AttributePath {
            attribute: attribute.to_owned(),
            ..Default::default()
        }),
        value: Some(AttributeValue { value: Some(value) }),
        ..Default::default()
    }
}

fn patch(grpc: &Grpc, id: String, attribute: &str, value: Value) -> Result<(), Status> {
    let request = v1::PatchUserRequest {
        id,
        operations: vec![set(attribute, value)],
        ..Default::default()
    };
    wait(grpc.users().patch_user(request)).map(drop)
}

fn modify(grpc: &Grpc, id: String, modification: Modification) -> Result<(), Status> {
    let request = v1::ModifyGroupRequest {
        id,
        modifications: vec![v1::GroupModification {
            modification: Some(modification),
            ..Default::default()
        }],
        ..Default::default()
    };
    wait(grpc.groups().modify_group(request)).map(drop)
}

fn delete_user(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::DeleteUserRequest {
        id,
        ..Default::default()
    };
    wait(grpc.users().delete_user(request)).map(drop)
}

fn delete_group(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::DeleteGroupRequest {
        id,
        ..Default::default()
    };
    wait(grpc.groups().delete_group(request)).map(drop)
}

fn undelete_user(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::UndeleteUserRequest { id, options: None };
    wait(grpc.users().undelete_user(request)).map(drop)
}

fn undelete_group(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::UndeleteGroupRequest { id, options: None };
    wait(grpc.groups().undelete_group(request)).map(drop)
}

fn purge_user(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::GetUserRequest {
        id: id.clone(),
        show_deleted: true,
        ..Default::default()
    };
    let user = wait(grpc.users().get_user(request))?.into_inner().user;
    let options = seen(user.and_then(|user| user.meta));
    let request = v1::PurgeUserRequest { id, options };
    wait(grpc.users().purge_user(request)).map(drop)
}

fn purge_group(grpc: &Grpc, id: String) -> Result<(), Status> {
    let request = v1::GetGroupRequest {
        id: id.clone(),
        show_deleted: true,
        ..Default::default()
    };
    let group = wait(grpc.groups().get_group(request))?.into_inner().group;
    let options = seen(group.and_then(|group| group.meta));
    let request = v1::PurgeGroupRequest { id, options };
    wait(grpc.groups().purge_group(request)).map(drop)
}

fn seen(meta: Option<v1::ResourceMeta>) -> Option<WriteOptions> {
    meta.map(|meta| WriteOptions {
        if_match: meta.etag,
        ..Default::default()
    })
}
