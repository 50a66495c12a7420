//! What is there against what was acknowledged.

use std::collections::BTreeSet;

use muster_proto::v1::{
    self, ChangeFilter, ListChangesRequest, ResourceType, VerifyAuditChainRequest,
    change::{Kind, Resource},
};

use super::{Account, Load, Witness};
use crate::{grpc::Grpc, runtime::wait, scim::Scim, server::Server};

type Ids = BTreeSet<String>;

impl Load {
    /// Asserts that everything acknowledged is there, nothing is there by half,
    /// and the history tells the same.
    #[track_caller]
    pub fn compare(&self, witness: &Witness, server: &Server) {
        let scim = &witness.scim(server);
        let users = all_users(scim);
        let members: Ids = scim.members(&self.group).into_iter().collect();
        let strangers: Vec<_> = members.difference(&users).collect();
        assert!(
            strangers.is_empty(),
            "members that are no users: {strangers:?}"
        );
        let accounts = self.accounts.lock().expect("no panic while it is held");
        assert!(!accounts.is_empty(), "the load has done nothing");
        for account in accounts.iter() {
            compare_account(scim, account, &members);
        }
        let history = witness.history(server);
        let told = told(&history, &self.group);
        assert_eq!(told.users, users, "what the feed tells and who is there");
        assert_eq!(told.members, members, "what the feed tells of the group");
        verify(&history);
        for account in accounts.iter().filter(|account| account.id.is_none()) {
            try_once_more(scim, account);
        }
    }
}

#[track_caller]
fn compare_account(scim: &Scim, account: &Account, members: &Ids) {
    let by_name = found(scim, "userName", &account.name);
    let by_external_id = found(scim, "externalId", &account.external_id);
    assert_eq!(by_name, by_external_id, "{account:?}");
    assert!(by_name.len() <= 1, "{account:?}: {by_name:?}");
    let exists = !by_name.is_empty();
    assert!(
        account.exists.allows(exists),
        "exists: {exists}: {account:?}"
    );
    let Some(id) = account.id.as_ref().or(by_name.first()) else {
        return;
    };
    let reply = scim.get(&format!("/Users/{id}"));
    if !exists {
        let _ = reply.status(404);
        assert!(!members.contains(id), "{account:?}");
        return;
    }
    assert_eq!(by_name.first(), Some(id), "{account:?}");
    let user = reply.status(200).json();
    assert_eq!(user["userName"], account.name.as_str(), "{account:?}");
    assert_eq!(
        user["externalId"],
        account.external_id.as_str(),
        "{account:?}"
    );
    let title = user["title"].as_str().and_then(|title| title.parse().ok());
    assert!(
        title.is_some_and(|title| account.title.allows(title)),
        "{account:?}: {user}"
    );
    let is_member = members.contains(id);
    assert!(
        account.member.allows(is_member),
        "member: {is_member}: {account:?}"
    );
    let groups = user["groups"].as_array().map_or(0, Vec::len);
    assert_eq!(groups, usize::from(is_member), "{account:?}: {user}");
}

/// A create that was not acknowledged can be sent again.
#[track_caller]
fn try_once_more(scim: &Scim, account: &Account) {
    let was_there = !found(scim, "userName", &account.name).is_empty();
    let reply = scim.post("/Users", &account.body());
    if was_there {
        let _ = reply.scim_error(409, "uniqueness");
    } else {
        let id = reply.status(201).id();
        assert_eq!(found(scim, "userName", &account.name), [id]);
    }
}

/// Ids of the users that have this value.
#[track_caller]
fn found(scim: &Scim, attribute: &str, value: &str) -> Vec<String> {
    let filter = format!("{attribute} eq \"{value}\"");
    let list = scim.find("/Users", &filter).status(200).json();
    let users = list["Resources"].as_array().into_iter().flatten();
    users
        .filter_map(|user| user["id"].as_str().map(str::to_owned))
        .collect()
}

#[track_caller]
fn all_users(scim: &Scim) -> Ids {
    let mut ids = Ids::new();
    loop {
        let page = format!(
            "/Users?attributes=id&count=200&startIndex={}",
            ids.len() + 1
        );
        let list = scim.get(&page).status(200).json();
        let users = list["Resources"].as_array().into_iter().flatten();
        let before = ids.len();
        ids.extend(users.filter_map(|user| user["id"].as_str().map(str::to_owned)));
        if ids.len() == before {
            assert_eq!(list["totalResults"], ids.len(), "{list}");
            return ids;
        }
    }
}

/// What somebody knows who has followed the feed.
#[derive(Default)]
struct Told {
    users: Ids,
    members: Ids,
}

impl Told {
    fn hear(&mut self, change: v1::Change, group: &str) {
        let (kind, id) = (change.kind(), change.resource_id.clone());
        match (kind, change.r#type(), change.resource) {
            (Kind::Created, ResourceType::User, _) => {
                assert!(self.users.insert(id), "created twice");
            }
            (Kind::Deleted, ResourceType::User, _) => {
                assert!(self.users.remove(&id), "deleted and never created");
                self.members.remove(&id);
            }
            (_, _, Some(Resource::Membership(membership))) if membership.group_id == group => {
                self.hear_of_member(kind, membership);
            }
            _ => {}
        }
    }

    fn hear_of_member(&mut self, kind: Kind, membership: v1::Membership) {
        let member = membership.member.and_then(|member| member.member);
        let Some(v1::member_ref::Member::UserId(id)) = member else {
            panic!("no user: {member:?}");
        };
        match kind {
            Kind::MemberAdded => assert!(self.members.insert(id), "added twice"),
            Kind::MemberRemoved => assert!(self.members.remove(&id), "never added"),
            other => panic!("{other:?} of a membership"),
        }
    }
}

/// Follows the feed from its beginning to its end.
#[track_caller]
fn told(history: &Grpc, group: &str) -> Told {
    let types = [ResourceType::User, ResourceType::Membership];
    let mut told = Told::default();
    let mut after = None;
    loop {
        let request = ListChangesRequest {
            after: after.take(),
            filter: Some(ChangeFilter {
                types: types.map(i32::from).to_vec(),
                ..ChangeFilter::default()
            }),
            ..ListChangesRequest::default()
        };
        let answer = wait(history.changes().list_changes(request));
        let answer = answer.expect("a feed").into_inner();
        for change in answer.batches.into_iter().flat_map(|batch| batch.changes) {
            told.hear(change, group);
        }
        if answer.caught_up {
            return told;
        }
        after = answer.through;
    }
}

#[track_caller]
fn verify(history: &Grpc) {
    let request = VerifyAuditChainRequest::default();
    let answer = wait(history.audit().verify_audit_chain(request));
    let chain = answer.expect("an audit").into_inner();
    assert!(chain.intact, "{chain:?}");
    assert_eq!(chain.checked_entries, chain.head_sequence, "{chain:?}");
    assert!(chain.head_sequence > 0, "{chain:?}");
}
