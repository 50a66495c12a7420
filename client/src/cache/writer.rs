//! Keeps a map true to a snapshot and the changes behind it.
//!
//! Pages of a snapshot are read at different moments; what makes them exact are the
//! changes that follow. So a resource that is held with a higher version stays, and an
//! edge to somebody who is not there is passed over: should he have come, or have come
//! back, after his page was read, a change says so and brings his memberships.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

use muster_proto::v1::{
    Change, Group, InactiveReason, MemberRef, Membership, ResourceMeta, ResourceType, SnapshotPage,
    User,
    change::{Kind, Resource},
    member_ref::Member,
};
use prost_types::Timestamp;

use super::{
    ids,
    map::{Access, Map, Person, Team},
    names::Name,
};

/// So many groups go before users' lists are swept.
const SWEEP: u32 = 1_000;

/// A resource that has to be read again, as nobody here knows what changed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) kind: ResourceType,
    pub(super) id: String,
}

/// The one who writes a map.
pub(super) struct Writer {
    map: Arc<Map>,
    values: bool,
    next_slot: u32,
    /// Slots of the groups that a group names.
    children: HashMap<u32, BTreeSet<u32>>,
    /// Slots that died since users' lists were last swept.
    dead: u32,
    /// Groups whose own groups changed since the last `settle`.
    moved: BTreeSet<u32>,
    /// Names that somebody got since they were last asked for.
    named: Vec<Name>,
}

impl fmt::Debug for Writer {
    /// As that of the map.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("map", &self.map)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// With an empty map; `values` says whether attributes are kept.
    pub(super) fn new(values: bool) -> Self {
        Self {
            map: Arc::default(),
            values,
            next_slot: 0,
            children: HashMap::new(),
            dead: 0,
            moved: BTreeSet::new(),
            named: Vec::new(),
        }
    }

    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map)
    }

    /// Names that somebody got.
    pub(super) fn take_named(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.named)
    }

    /// Takes a page of a snapshot.
    pub(super) fn fill(&mut self, page: SnapshotPage) {
        for user in page.users {
            self.see_user(user);
        }
        for group in page.groups {
            self.see_group(group);
        }
        for membership in &page.memberships {
            self.add(membership);
        }
        // Nobody has asked this map for anybody yet.
        self.named = Vec::new();
    }

    /// Takes a change; what it is of comes back if that has to be read again.
    pub(super) fn apply(&mut self, change: Change) -> Option<Again> {
        let (kind, of) = (change.kind(), change.r#type());
        match (kind, of) {
            (
                Kind::Unspecified,
                ResourceType::User | ResourceType::Group | ResourceType::Membership,
            ) => {
                // Of a membership the group is named.
                let kind = match of {
                    ResourceType::User => ResourceType::User,
                    _ => ResourceType::Group,
                };
                let id = change.resource_id;
                return Some(Again { kind, id });
            }
            (Kind::MemberAdded | Kind::MemberRemoved, _) => self.member(&change),
            (Kind::Deleted | Kind::Purged, ResourceType::User) => {
                self.drop_user(&change.resource_id, change.version);
            }
            (Kind::Deleted | Kind::Purged, ResourceType::Group) => {
                self.drop_group(&change.resource_id, change.version);
            }
            (_, ResourceType::User) => self.user_changed(change),
            (_, ResourceType::Group) => self.group_changed(change),
            _ => {}
        }
        None
    }

    fn member(&mut self, change: &Change) {
        if let Some(Resource::Membership(membership)) = &change.resource {
            match change.kind() {
                Kind::MemberAdded => self.add(membership),
                _ => self.remove(membership),
            }
        }
        let slot = ids::read(&change.resource_id).and_then(|id| self.slot(id));
        if let Some(slot) = slot {
            self.edit_team(slot, |team| team.version = team.version.max(change.version));
        }
    }

    fn user_changed(&mut self, change: Change) {
        if let Some(Resource::User(user)) = change.resource {
            return self.see_user(user);
        }
        let Some(id) = ids::read(&change.resource_id) else {
            return;
        };
        let users = self.map.users.pin();
        let held = users.get(&id);
        if held.is_some_and(|held| held.version > change.version) {
            return;
        }
        let access = Access {
            effective_active: change.effective_active,
            inactive_reason: reason(&change, held),
            tokens_valid_after_ms: change.tokens_valid_after.map(millis),
        };
        let person = Person {
            version: change.version,
            access: later(access, held),
            teams: held.map_or_else(Box::default, |held| held.teams.clone()),
            user: held.and_then(|held| held.user.clone()),
        };
        users.insert(id, person);
        self.named.push(Name::Id(id));
    }

    /// A user as he is read.
    pub(super) fn see_user(&mut self, user: User) {
        let Some(id) = ids::read(&user.id) else {
            return;
        };
        let version = version(user.meta.as_ref());
        let users = self.map.users.pin();
        let held = users.get(&id);
        if held.is_some_and(|held| held.version > version) {
            return;
        }
        let access = Access {
            effective_active: user.effective_active,
            inactive_reason: user.inactive_reason(),
            tokens_valid_after_ms: user.tokens_valid_after.map(millis),
        };
        let former = held.and_then(|held| held.user.clone());
        let user = self.values.then(|| Arc::new(user));
        let person = Person {
            version,
            access: later(access, held),
            teams: held.map_or_else(Box::default, |held| held.teams.clone()),
            user: user.clone(),
        };
        users.insert(id, person);
        drop(users);
        self.named.push(Name::Id(id));
        self.rename(id, former.as_deref(), user.as_deref());
    }

    fn drop_user(&mut self, id: &str, version: i64) {
        let Some(id) = ids::read(id) else {
            return;
        };
        let users = self.map.users.pin();
        let Some(held) = users.get(&id) else {
            return;
        };
        if held.version > version {
            // He is back already; a change that is still to come brings his memberships.
            let back = Person {
                teams: Box::default(),
                ..held.clone()
            };
            users.insert(id, back);
            return;
        }
        let former = held.user.clone();
        users.remove(&id);
        drop(users);
        self.rename(id, former.as_deref(), None);
    }

    /// Makes a user findable by what he is called now, and no longer by what he was.
    fn rename(&mut self, id: u128, former: Option<&User>, now: Option<&User>) {
        let before = former.map(Name::all).unwrap_or_default();
        let after = now.map(Name::all).unwrap_or_default();
        let names = self.map.names.pin();
        for name in after.iter().filter(|name| !before.contains(name)) {
            let holders = names.get(name).map(AsRef::as_ref).unwrap_or_default();
            let others = holders.iter().copied().filter(|holder| *holder != id);
            names.insert(name.clone(), others.chain([id]).collect());
            self.named.push(name.clone());
        }
        for name in before.iter().filter(|name| !after.contains(name)) {
            let holders = names.get(name).map(AsRef::as_ref).unwrap_or_default();
            let left: Box<[u128]> = holders.iter().copied().filter(|h| *h != id).collect();
            match left.is_empty() {
                true => names.remove(name),
                false => names.insert(name.clone(), left),
            };
        }
    }

    fn group_changed(&mut self, change: Change) {
        match change.resource {
            Some(Resource::Group(group)) => self.see_group(group),
            _ => self.see_team(&change.resource_id, change.version, None),
        }
    }

    /// A group as it is read.
    pub(super) fn see_group(&mut self, group: Group) {
        let version = version(group.meta.as_ref());
        let name = (self.values && !group.display_name.is_empty())
            .then(|| Arc::from(group.display_name.as_str()));
        self.see_team(&group.id, version, name);
    }

    fn see_team(&mut self, id: &str, version: i64, name: Option<Arc<str>>) {
        let Some(id) = ids::read(id) else {
            return;
        };
        match self.slot(id) {
            Some(slot) => self.edit_team(slot, |team| {
                if team.version <= version {
                    team.version = version;
                    team.name = name.or(team.name.take());
                }
            }),
            None => self.place(id, version, name),
        }
    }

    /// Gives a group a slot of its own.
    fn place(&mut self, id: u128, version: i64, name: Option<Arc<str>>) {
        let slot = self.next_slot;
        self.next_slot += 1;
        let team = Team {
            id,
            version,
            name,
            above: Box::default(),
            below: Box::default(),
        };
        self.map.teams.pin().insert(slot, team);
        self.map.groups.pin().insert(id, slot);
    }

    fn drop_group(&mut self, id: &str, version: i64) {
        let Some(id) = ids::read(id) else {
            return;
        };
        let teams = self.map.teams.pin();
        let held = self.slot(id).and_then(|slot| teams.get(&slot));
        let back = held.filter(|held| held.version > version);
        let back = back.map(|held| (held.version, held.name.clone()));
        drop(teams);
        self.vacate(id);
        if let Some((version, name)) = back {
            // It is back already; a change that is still to come brings its members.
            self.place(id, version, name);
        }
    }

    /// Forgets a group with all memberships in it, and its own.
    fn vacate(&mut self, id: u128) {
        let Some(slot) = self.slot(id) else {
            return;
        };
        self.map.groups.pin().remove(&id);
        for child in self.children.remove(&slot).unwrap_or_default() {
            self.edit_team(child, |team| {
                if let Some(above) = ids::without(&team.above, slot) {
                    team.above = above;
                }
            });
        }
        let teams = self.map.teams.pin();
        let above = teams.remove(&slot).map(|team| team.above.clone());
        drop(teams);
        for parent in above.iter().flat_map(|above| above.iter()) {
            self.forget_child(*parent, slot);
            self.moved.insert(*parent);
        }
        self.moved.remove(&slot);
        self.dead += 1;
        if self.dead >= SWEEP {
            self.sweep();
        }
    }

    /// Takes slots out of users' lists that are no group's any more.
    fn sweep(&mut self) {
        self.dead = 0;
        let (users, teams) = (self.map.users.pin(), self.map.teams.pin());
        let is_dead = |slot: &u32| !teams.contains_key(slot);
        let found = users
            .iter()
            .filter(|(_, held)| held.teams.iter().any(is_dead));
        let ids: Vec<u128> = found.map(|(id, _)| *id).collect();
        for id in ids {
            self.edit_teams_of(id, |held| {
                Some(held.iter().copied().filter(|slot| !is_dead(slot)).collect())
            });
        }
    }

    /// A group as it is read with all its members. It stays where it is: nobody who looks
    /// meanwhile misses somebody who is in it before and after.
    pub(super) fn see_whole(&mut self, group: Group, members: Vec<MemberRef>) {
        let id = group.id.clone();
        self.see_group(group);
        let Some(slot) = ids::read(&id).and_then(|id| self.slot(id)) else {
            return;
        };
        let (mut users, mut children) = (HashSet::new(), HashSet::new());
        for member in members {
            let membership = as_edge(&id, member);
            match self.edge(&membership) {
                Some((_, Who::User(user))) => drop(users.insert(user)),
                Some((_, Who::Group(child))) => drop(children.insert(child)),
                None => continue,
            }
            self.add(&membership);
        }
        for user in self.users_in(slot) {
            if !users.contains(&user) {
                self.edit_teams_of(user, |teams| ids::without(teams, slot));
            }
        }
        let held = self.children.get(&slot).cloned().unwrap_or_default();
        for child in held.into_iter().filter(|child| !children.contains(child)) {
            self.part(slot, child);
        }
    }

    /// Whom a group names. It costs a look at everybody, and is seldom asked.
    fn users_in(&self, slot: u32) -> Vec<u128> {
        let users = self.map.users.pin();
        let named = users
            .iter()
            .filter(|(_, held)| held.teams.binary_search(&slot).is_ok());
        named.map(|(id, _)| *id).collect()
    }

    /// Somebody is gone, as reading him again told.
    pub(super) fn is_gone(&mut self, gone: &Again) {
        match gone.kind {
            ResourceType::User => self.drop_user(&gone.id, i64::MAX),
            _ => self.drop_group(&gone.id, i64::MAX),
        }
    }

    pub(super) fn add(&mut self, membership: &Membership) {
        let Some((slot, member)) = self.edge(membership) else {
            return;
        };
        match member {
            Who::User(id) => self.edit_teams_of(id, |teams| ids::with(teams, slot)),
            Who::Group(child) => {
                self.children.entry(slot).or_default().insert(child);
                self.edit_team(child, |team| {
                    if let Some(above) = ids::with(&team.above, slot) {
                        team.above = above;
                    }
                });
                self.moved.insert(slot);
            }
        }
    }

    fn remove(&mut self, membership: &Membership) {
        let Some((slot, member)) = self.edge(membership) else {
            return;
        };
        match member {
            Who::User(id) => self.edit_teams_of(id, |teams| ids::without(teams, slot)),
            Who::Group(child) => self.part(slot, child),
        }
    }

    /// A group no longer names another one.
    fn part(&mut self, slot: u32, child: u32) {
        self.forget_child(slot, child);
        self.edit_team(child, |team| {
            if let Some(above) = ids::without(&team.above, slot) {
                team.above = above;
            }
        });
        self.moved.insert(slot);
    }

    fn forget_child(&mut self, slot: u32, child: u32) {
        if let Some(children) = self.children.get_mut(&slot) {
            children.remove(&child);
            if children.is_empty() {
                self.children.remove(&slot);
            }
        }
    }

    /// Both ends of an edge, if both are there.
    fn edge(&self, membership: &Membership) -> Option<(u32, Who)> {
        let slot = self.slot(ids::read(&membership.group_id)?)?;
        let who = match membership.member.as_ref().and_then(|m| m.member.as_ref())? {
            Member::UserId(id) => Who::User(ids::read(id)?),
            Member::GroupId(id) => Who::Group(self.slot(ids::read(id)?)?),
            _ => return None,
        };
        Some((slot, who))
    }

    fn edit_teams_of(&self, id: u128, edit: impl FnOnce(&[u32]) -> Option<Box<[u32]>>) {
        let users = self.map.users.pin();
        if let Some(held) = users.get(&id)
            && let Some(teams) = edit(&held.teams)
        {
            let person = Person {
                teams,
                user: held.user.clone(),
                ..*held
            };
            users.insert(id, person);
        }
    }

    fn edit_team(&self, slot: u32, edit: impl FnOnce(&mut Team)) {
        let teams = self.map.teams.pin();
        if let Some(held) = teams.get(&slot) {
            let mut team = held.clone();
            edit(&mut team);
            teams.insert(slot, team);
        }
    }

    fn slot(&self, id: u128) -> Option<u32> {
        self.map.groups.pin().get(&id).copied()
    }

    /// Tells groups what is below them, after edges between groups moved.
    pub(super) fn settle(&mut self) {
        let mut next: Vec<u32> = std::mem::take(&mut self.moved).into_iter().collect();
        let mut seen: BTreeSet<u32> = next.iter().copied().collect();
        while let Some(slot) = next.pop() {
            let below = self.below(slot);
            self.edit_team(slot, |team| team.below = below);
            let teams = self.map.teams.pin();
            let above = teams.get(&slot).map(|team| team.above.clone());
            let above = above.iter().flat_map(|above| above.iter());
            next.extend(above.filter(|above| seen.insert(**above)));
        }
    }

    fn below(&self, slot: u32) -> Box<[u32]> {
        let mut found = BTreeSet::new();
        let mut next = vec![slot];
        while let Some(slot) = next.pop() {
            let children = self.children.get(&slot);
            next.extend(children.into_iter().flatten().filter(|c| found.insert(**c)));
        }
        found.into_iter().collect()
    }
}

enum Who {
    User(u128),
    /// By its slot.
    Group(u32),
}

/// Why a user may not act. A change of an older server does not say; what was said
/// before may no longer be so if he could act in between.
fn reason(change: &Change, held: Option<&Person>) -> InactiveReason {
    if change.effective_active {
        return InactiveReason::Unspecified;
    }
    match (change.inactive_reason(), held) {
        (InactiveReason::Unspecified, Some(held)) if !held.access.effective_active => {
            held.access.inactive_reason
        }
        (told, _) => told,
    }
}

/// What is said of a user now; the moment until which his tokens are dead never goes
/// back.
fn later(access: Access, held: Option<&Person>) -> Access {
    let before = held.and_then(|held| held.access.tokens_valid_after_ms);
    Access {
        tokens_valid_after_ms: access.tokens_valid_after_ms.max(before),
        ..access
    }
}

fn version(meta: Option<&ResourceMeta>) -> i64 {
    meta.map_or(0, |meta| meta.version)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(time: Timestamp) -> i64 {
    let seconds = time.seconds.saturating_mul(1_000);
    seconds.saturating_add(i64::from(time.nanos) / 1_000_000)
}

/// A user as a member.
pub(super) fn as_edge(group_id: &str, member: MemberRef) -> Membership {
    Membership {
        group_id: group_id.to_owned(),
        member: Some(member),
    }
}
