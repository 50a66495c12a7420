//! What a consumer of the feed keeps: who is there, who may act, who belongs to
//! what. It knows nothing but what the contract promises.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::v1::{
    self, Change, ResourceType, SnapshotPage, change::Kind, member_ref::Member,
};

use crate::{grpc::Grpc, runtime::wait};

/// Versions of users and groups, and the memberships between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Version, and whether access is allowed, by id.
    pub users: BTreeMap<String, (i64, bool)>,
    /// Version by id.
    pub groups: BTreeMap<String, i64>,
    /// Group and member.
    pub memberships: BTreeSet<(String, String)>,
}

impl Cache {
    /// Takes a page of a snapshot.
    pub fn fill(&mut self, page: SnapshotPage) {
        for user in page.users {
            let active = user.active.expect("never unset in an answer");
            let version = version(user.meta);
            self.see_user(user.id, version, active);
        }
        for group in page.groups {
            let version = version(group.meta);
            self.see_group(group.id, version);
        }
        let edges = page.memberships.into_iter().map(edge);
        self.memberships.extend(edges);
    }

    /// Takes a change.
    pub fn apply(&mut self, change: &Change) {
        let id = change.resource_id.clone();
        match (change.kind(), change.r#type()) {
            (Kind::Deleted | Kind::Purged, kind) => self.drop(kind, &id, change.version),
            (Kind::MemberAdded, _) => {
                self.memberships.insert(membership(change));
                self.touch_group(&id, change.version);
            }
            (Kind::MemberRemoved, _) => {
                self.memberships.remove(&membership(change));
                self.touch_group(&id, change.version);
            }
            (_, ResourceType::User) => self.see_user(id, change.version, change.effective_active),
            (_, ResourceType::Group) => self.see_group(id, change.version),
            _ => {}
        }
    }

    fn drop(&mut self, kind: ResourceType, id: &str, version: i64) {
        match kind {
            ResourceType::User if self.users.get(id).is_some_and(|held| held.0 <= version) => {
                self.users.remove(id);
            }
            ResourceType::Group if self.groups.get(id).is_some_and(|held| *held <= version) => {
                self.groups.remove(id);
            }
            _ => {}
        }
        // Should it be back by now, a later change brings them back.
        self.memberships
            .retain(|(group, member)| group != id && member != id);
    }

    fn see_user(&mut self, id: String, version: i64, active: bool) {
        let held = self.users.entry(id).or_insert((version, active));
        if held.0 < version {
            *held = (version, active);
        }
    }

    fn see_group(&mut self, id: String, version: i64) {
        let held = self.groups.entry(id).or_insert(version);
        *held = version.max(*held);
    }

    /// The version of a group whose members changed; it is not there when the
    /// snapshot came after its end.
    fn touch_group(&mut self, id: &str, version: i64) {
        if let Some(held) = self.groups.get_mut(id) {
            *held = version.max(*held);
        }
    }
}

/// What the directory says of itself when it is asked for everything.
#[track_caller]
pub fn truth(grpc: &Grpc) -> Cache {
    let mut cache = Cache::default();
    for user in users(grpc) {
        let active = user.active.expect("never unset in an answer");
        cache.users.insert(user.id, (version(user.meta), active));
    }
    for group in groups(grpc) {
        for member in members(grpc, &group.id) {
            cache.memberships.insert((group.id.clone(), member));
        }
        cache.groups.insert(group.id, version(group.meta));
    }
    cache
}

fn users(grpc: &Grpc) -> Vec<v1::User> {
    let mut all = Vec::new();
    let mut page = Some(page(String::new()));
    while page.is_some() {
        let request = v1::ListUsersRequest {
            page,
            ..Default::default()
        };
        let answer = wait(grpc.users().list_users(request));
        let answer = answer.expect("users are listed").into_inner();
        all.extend(answer.users);
        page = following(answer.page);
    }
    all
}

fn groups(grpc: &Grpc) -> Vec<v1::Group> {
    let mut all = Vec::new();
    let mut page = Some(page(String::new()));
    while page.is_some() {
        let request = v1::ListGroupsRequest {
            page,
            ..Default::default()
        };
        let answer = wait(grpc.groups().list_groups(request));
        let answer = answer.expect("groups are listed").into_inner();
        all.extend(answer.groups);
        page = following(answer.page);
    }
    all
}

fn members(grpc: &Grpc, group_id: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut page = Some(page(String::new()));
    while page.is_some() {
        let request = v1::ListGroupMembersRequest {
            group_id: group_id.to_owned(),
            page,
            consistency: None,
        };
        let answer = wait(grpc.groups().list_group_members(request));
        let answer = answer.expect("members are listed").into_inner();
        all.extend(answer.members.into_iter().map(|member| id(member.member)));
        page = following(answer.page);
    }
    all
}

fn page(page_token: String) -> v1::PageRequest {
    v1::PageRequest {
        page_size: 1_000,
        page_token,
        ..Default::default()
    }
}

fn following(answer: Option<v1::PageResponse>) -> Option<v1::PageRequest> {
    let next = answer.map(|page| page.next_page_token);
    next.filter(|token| !token.is_empty()).map(page)
}

fn version(meta: Option<v1::ResourceMeta>) -> i64 {
    meta.expect("meta always comes").version
}

/// Group and member of a change of a membership.
#[track_caller]
pub fn membership(change: &Change) -> (String, String) {
    match change.resource.clone() {
        Some(v1::change::Resource::Membership(membership)) => edge(membership),
        other => panic!("a membership always comes: {other:?}"),
    }
}

fn edge(membership: v1::Membership) -> (String, String) {
    (membership.group_id, id(membership.member))
}

fn id(member: Option<v1::MemberRef>) -> String {
    match member.and_then(|member| member.member) {
        Some(Member::UserId(id) | Member::GroupId(id)) => id,
        other => panic!("neither user nor group: {other:?}"),
    }
}
