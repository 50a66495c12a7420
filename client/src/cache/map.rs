//! What the cache holds, as readers see it: they take no lock and wait for nobody.
//!
//! Groups have small numbers ("slots") in place of their ids, and a user's memberships
//! are a sorted list of these. A slot is never given to another group. So a group that
//! is gone needs no search for its members: nobody finds its slot any more, and should
//! it come back, it gets another one.
//!
//! A group knows the slots of all groups below it. Whether somebody is in a group is a
//! look into his own list and, for groups that have some below them, whether the two
//! lists share a slot.

use std::{collections::HashSet, fmt, sync::Arc};

use muster_proto::v1::{InactiveReason, User};
use papaya::HashMap;

use super::{
    ids::{self, Ids},
    names::Name,
};
use crate::error::{Error, Result};

/// Whether a user may act, and since when his tokens are dead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether he may act.
    pub effective_active: bool,
    /// Why he may not; `Unspecified` where the feed does not say.
    pub inactive_reason: InactiveReason,
    /// Tokens issued until then are dead, in milliseconds since the Unix epoch; `None`
    /// while none are.
    pub tokens_valid_after_ms: Option<i64>,
}

impl Access {
    /// Whether a token that was issued in this second is alive. Times of issue are whole
    /// seconds, so that all of the second in which tokens died is dead.
    pub fn admits(&self, issued_s: i64) -> bool {
        self.tokens_valid_after_ms
            .is_none_or(|after| issued_s > after.div_euclid(1_000))
    }
}

/// What a question after a membership comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// He is not in the group.
    NotMember,
    /// The group names him.
    Direct,
    /// He is in it through other groups.
    Transitive,
    /// He would be in it, and may not act.
    UserInactive,
}

impl Verdict {
    /// Whether he is in the group and may act.
    pub fn is_member(self) -> bool {
        matches!(self, Self::Direct | Self::Transitive)
    }
}

/// A user.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) version: i64,
    pub(super) access: Access,
    /// Slots of the groups that name him, sorted.
    pub(super) teams: Box<[u32]>,
    /// His attributes, if they are kept.
    pub(super) user: Option<Arc<User>>,
}

/// A group.
#[derive(Clone)]
pub(super) struct Team {
    pub(super) id: u128,
    pub(super) version: i64,
    pub(super) name: Option<Arc<str>>,
    /// Slots of the groups that name it, sorted.
    pub(super) above: Box<[u32]>,
    /// Slots of all groups in it, directly or through others, sorted.
    pub(super) below: Box<[u32]>,
}

/// A group that a user is in.
pub(super) struct Found {
    pub(super) id: u128,
    pub(super) name: Option<Arc<str>>,
    /// Only through others.
    pub(super) indirect: bool,
}

/// Users, groups and memberships of a tenant. There is one writer.
#[derive(Default)]
pub(super) struct Map {
    pub(super) users: HashMap<u128, Person, Ids>,
    /// Slots by id.
    pub(super) groups: HashMap<u128, u32, Ids>,
    pub(super) teams: HashMap<u32, Team, Ids>,
    pub(super) names: HashMap<Name, Box<[u128]>>,
}

impl fmt::Debug for Map {
    /// How much it holds: what it holds are names and addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("users", &self.users.len())
            .field("groups", &self.groups.len())
            .finish_non_exhaustive()
    }
}

impl Map {
    /// Whether a user is in a group.
    pub(super) fn check(&self, user: u128, group: u128) -> Result<Verdict> {
        let users = self.users.pin();
        let person = users.get(&user).ok_or(Error::UserNotFound)?;
        let slot = self.groups.pin().get(&group).copied();
        let slot = slot.ok_or(Error::GroupNotFound)?;
        let verdict = match person.teams.binary_search(&slot) {
            Ok(_) => Verdict::Direct,
            Err(_) if self.is_below(&person.teams, slot) => Verdict::Transitive,
            Err(_) => return Ok(Verdict::NotMember),
        };
        match person.access.effective_active {
            true => Ok(verdict),
            false => Ok(Verdict::UserInactive),
        }
    }

    fn is_below(&self, teams: &[u32], slot: u32) -> bool {
        let all = self.teams.pin();
        all.get(&slot)
            .is_some_and(|team| ids::meet(teams, &team.below))
    }

    /// All groups of a user.
    pub(super) fn groups_of(&self, user: u128) -> Result<Vec<Found>> {
        let users = self.users.pin();
        let person = users.get(&user).ok_or(Error::UserNotFound)?;
        let teams = self.teams.pin();
        let mut seen: HashSet<u32> = person.teams.iter().copied().collect();
        let mut found = Vec::with_capacity(seen.len());
        let mut next: Vec<u32> = person.teams.to_vec();
        while let Some(slot) = next.pop() {
            // One that is gone leaves its slot behind in lists.
            let Some(team) = teams.get(&slot) else {
                continue;
            };
            let indirect = person.teams.binary_search(&slot).is_err();
            found.push(Found {
                id: team.id,
                name: team.name.clone(),
                indirect,
            });
            next.extend(team.above.iter().filter(|above| seen.insert(**above)));
        }
        found.sort_unstable_by_key(|found| found.id);
        Ok(found)
    }

    pub(super) fn access(&self, user: u128) -> Result<Access> {
        let users = self.users.pin();
        let person = users.get(&user).ok_or(Error::UserNotFound)?;
        Ok(person.access)
    }

    /// Who has this name: his id, whether he may act, and his attributes if they are kept.
    pub(super) fn find(&self, name: &Name) -> Result<(u128, Access, Option<Arc<User>>)> {
        let id = match name {
            Name::Id(id) => *id,
            name => match self.names.pin().get(name).map(AsRef::as_ref) {
                Some([id]) => *id,
                None | Some([]) => return Err(Error::UserNotFound),
                Some(_) => return Err(Error::AmbiguousKey),
            },
        };
        let users = self.users.pin();
        let person = users.get(&id).ok_or(Error::UserNotFound)?;
        Ok((id, person.access, person.user.clone()))
    }
}
