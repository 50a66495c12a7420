//! Who is this, may he act, what is he in: point reads of the sign-in path.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    Directory,
    reading::{Consistency, Reading},
    view::View,
};
use crate::{
    auth::Caller,
    domain::{Kind, access::Standing, history::Position, resource::ResourceKind},
    error::{Error, Result},
    storage::{
        Tx, history,
        lookup::{self, GroupKey, Holder, Tie},
        relations::{GroupRef, Wants},
        resources::{self, Kept, Reach},
        subjects::{GroupsWanted, UserKey},
    },
};

/// Most keys in one request.
pub const KEY_LIMIT: usize = 1_000;

/// Most groups that one user is checked against.
pub const GROUP_LIMIT: usize = 100;

/// Users of a batch that are in memory at one time.
const LOADED_AT_ONCE: usize = 50;

/// Reads that are more likely remembered than not when there are few of them.
const FEW: usize = 4;

/// What a check of membership is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipQuestion {
    /// Who.
    pub user: UserKey,
    /// In what.
    pub groups: Vec<Option<GroupKey>>,
    /// Whether only members by name count.
    pub direct_only: bool,
    /// Whether a way from him to the group is wanted.
    pub explain: bool,
}

/// A pair of user and group of a batch; `None` for a key that was not given.
pub type Pair = (Option<UserKey>, Option<GroupKey>);

/// What is said of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The group's id.
    pub group_id: String,
    /// How he is in it.
    pub tie: Tie,
    /// Whether he may act.
    pub may_act: bool,
    /// From the group that names him to the one asked about; empty when it is not
    /// wanted, or there is none.
    pub path: Vec<String>,
}

/// What is said of a user's membership in groups.
#[derive(Debug)]
pub struct Memberships {
    /// Whether he may act.
    pub standing: Standing,
    /// By group, in the order of the question.
    pub results: Vec<Result<Membership>>,
}

/// What groups a user's view is read with.
const WITH_GROUPS: Wants = Wants {
    groups: true,
    ..Wants::NONE
};

impl Directory {
    /// The user who is meant, whether he may act or not. One who is deleted is found
    /// by his id alone, and only where that is asked for.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::ScopeMissing`] and those of
    /// the consistency.
    pub async fn resolve_user(
        &self,
        caller: &Caller,
        key: &UserKey,
        reach: Reach,
        wants: Wants,
        consistency: &Consistency,
    ) -> Result<Arc<Kept>> {
        may_ask_by(caller, key)?;
        let wants = caller.seen(wants);
        let (scope, kind) = (caller.scope(), ResourceKind::User);
        let found = match (consistency, key) {
            (Consistency::Strong, UserKey::Id(id)) => {
                self.store.load_now(scope, kind, id, reach, wants).await?
            }
            (Consistency::Strong, key) => self.store.find_now(scope, key, wants).await?,
            _ => {
                let tx = Box::pin(self.one_moment(caller, consistency)).await?;
                load(&tx, caller, key, reach, wants).await?
            }
        };
        let found = found.ok_or_else(|| key.not_found())?;
        caller.reach(kind, &found.found.0.id)?;
        Ok(found)
    }

    /// Users by their keys, each by itself; with what is wanted about others. They are
    /// handed over in the order of the keys, until there is no room for one.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`] and those of the consistency.
    pub async fn resolve_users<T>(
        &self,
        caller: &Caller,
        keys: &[UserKey],
        wants: Wants,
        consistency: &Consistency,
        mut take: impl FnMut(View) -> Result<T>,
    ) -> Result<Reading<Vec<Result<T>>>> {
        let (tx, at) = self.many(caller, keys, consistency).await?;
        let holders = lookup::users(&tx, &caller.tenant_id, keys).await?;
        let wants = caller.seen(wants);
        let mut value = Vec::with_capacity(keys.len());
        let mut is_full = false;
        for keys in keys.chunks(LOADED_AT_ONCE) {
            let found = match is_full {
                true => HashMap::new(),
                false => users_of(&tx, caller, wants, keys, &holders).await?,
            };
            for key in keys {
                let user = match held(caller, key, holders.get(key)) {
                    Ok(_) if is_full => Err(Error::AnswerFull),
                    Ok(id) => found.get(id).cloned().ok_or_else(|| key.not_found()),
                    Err(error) => Err(error),
                };
                let user = user.and_then(&mut take);
                is_full = is_full || matches!(user, Err(Error::AnswerFull));
                value.push(user);
            }
        }
        Ok(Reading { value, at })
    }

    /// Whether users may act, each by itself, with their ids.
    ///
    /// # Errors
    /// As [`resolve_users`](Self::resolve_users).
    pub async fn user_standings(
        &self,
        caller: &Caller,
        keys: &[UserKey],
        consistency: &Consistency,
    ) -> Result<Reading<Vec<Result<(String, Standing)>>>> {
        let (tx, at) = self.many(caller, keys, consistency).await?;
        let holders = lookup::users(&tx, &caller.tenant_id, keys).await?;
        let ids = ids(holders.values());
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let standings = lookup::standings(&tx, &caller.tenant_id, &ids).await?;
        let standing = |key: &UserKey| {
            let id = held(caller, key, holders.get(key))?;
            let standing = standings.get(id).ok_or_else(|| key.not_found())?;
            Ok((id.to_owned(), *standing))
        };
        Ok(Reading {
            value: keys.iter().map(standing).collect(),
            at,
        })
    }

    /// The groups that a user is in, of those that are wanted; whether he may act.
    ///
    /// # Errors
    /// [`Error::TooManyGroups`] and those of [`resolve_user`](Self::resolve_user).
    pub async fn effective_groups(
        &self,
        caller: &Caller,
        user: &UserKey,
        wanted: &GroupsWanted,
        consistency: &Consistency,
    ) -> Result<Reading<(Standing, Vec<GroupRef>)>> {
        let kept = self.resolve_user(caller, user, Reach::Live, WITH_GROUPS, consistency);
        let kept = kept.await?;
        let (user, relations) = &*kept.found;
        Ok(Reading {
            value: (user.standing(), wanted_groups(&relations.groups, wanted)?),
            at: kept.at.clone(),
        })
    }

    /// How a user is in groups, each by itself.
    ///
    /// # Errors
    /// Those of [`resolve_user`](Self::resolve_user).
    pub async fn check_membership(
        &self,
        caller: &Caller,
        question: &MembershipQuestion,
        consistency: &Consistency,
    ) -> Result<Reading<Memberships>> {
        let keys = question.groups.iter().flatten();
        let mut by_name = keys.filter(|key| !matches!(key, GroupKey::Id(_)));
        if question.explain || by_name.next().is_some() {
            return self.check_at_once(caller, question, consistency).await;
        }
        let user = self.resolve_user(
            caller,
            &question.user,
            Reach::Live,
            WITH_GROUPS,
            consistency,
        );
        let kept = user.await?;
        let groups = &kept.found.1.groups;
        let open = question.groups.iter().flatten();
        let open = open.filter(|key| own(groups, key).is_none());
        let open: Vec<_> = open.cloned().collect();
        let found = self.named_groups(caller, &open, consistency).await?;
        Ok(Reading {
            value: memberships(&kept, question, &found),
            at: kept.at.clone(),
        })
    }

    /// The same of one moment, as names of groups may be others' in the next; with a
    /// shortest way from the user to each group, where that is wanted.
    async fn check_at_once(
        &self,
        caller: &Caller,
        question: &MembershipQuestion,
        consistency: &Consistency,
    ) -> Result<Reading<Memberships>> {
        may_ask_by(caller, &question.user)?;
        let tx = self.one_moment(caller, consistency).await?;
        let wants = caller.seen(WITH_GROUPS);
        let kept = load(&tx, caller, &question.user, Reach::Live, wants).await?;
        let kept = kept.ok_or_else(|| question.user.not_found())?;
        let (user, relations) = &*kept.found;
        caller.reach(ResourceKind::User, &user.id)?;
        let keys = question.groups.iter().flatten().cloned().collect();
        let found = lookup::groups(&tx, &caller.tenant_id, &seen(caller, keys)).await?;
        let mut value = memberships(&kept, question, &found);
        if question.explain {
            let within = relations.groups.iter().map(|group| group.id.as_str());
            let members: Vec<_> = within.chain([user.id.as_str()]).collect();
            let paths = Paths::new(&user.id, lookup::containers(&tx, &members).await?);
            let ties = value.results.iter_mut().flatten();
            for result in ties.filter(|result| result.tie != Tie::None) {
                result.path = paths.to(&result.group_id);
            }
        }
        Ok(Reading {
            value,
            at: kept.at.clone(),
        })
    }

    /// How users are in groups, pair by pair.
    ///
    /// # Errors
    /// As [`resolve_users`](Self::resolve_users).
    pub async fn check_memberships(
        &self,
        caller: &Caller,
        pairs: &[Pair],
        consistency: &Consistency,
    ) -> Result<Reading<Vec<Result<Membership>>>> {
        let users: Vec<_> = pairs.iter().filter_map(|pair| pair.0.clone()).collect();
        let groups: Vec<_> = pairs.iter().filter_map(|pair| pair.1.clone()).collect();
        let (tx, at) = self.many(caller, &users, consistency).await?;
        let tenant_id = &caller.tenant_id;
        let holders = lookup::users(&tx, tenant_id, &users).await?;
        let named = lookup::groups(&tx, tenant_id, &seen(caller, groups)).await?;
        let ids = ids(holders.values());
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let standings = lookup::standings(&tx, tenant_id, &ids).await?;
        let pair = |(user, group): &Pair| {
            let user = user.as_ref().ok_or(Error::Required("user"))?;
            let group = group.as_ref().ok_or(Error::Required("group"))?;
            let user_id = held(caller, user, holders.get(user))?;
            let standing = standings.get(user_id);
            let standing = standing.filter(|standing| !standing.is_deleted());
            let standing = standing.ok_or_else(|| user.not_found())?;
            Ok((user_id, group_id(group, named.get(group))?, *standing))
        };
        let known: Vec<_> = pairs.iter().map(pair).collect();
        let asked = known.iter().flatten();
        let asked: Vec<_> = asked.map(|(user, group, _)| (*user, *group)).collect();
        let mut ties = lookup::ties(&tx, &asked).await?.into_iter();
        let mut membership = |(_, group_id, standing): (&str, &str, Standing)| Membership {
            group_id: group_id.to_owned(),
            tie: ties.next().unwrap_or(Tie::None),
            may_act: standing.may_act(),
            path: Vec::new(),
        };
        let results = known.into_iter().map(|known| known.map(&mut membership));
        Ok(Reading {
            value: results.collect(),
            at,
        })
    }

    /// Where many keys are looked up, all at one moment.
    async fn many(
        &self,
        caller: &Caller,
        keys: &[UserKey],
        consistency: &Consistency,
    ) -> Result<(Tx, Position)> {
        keys.iter().try_for_each(|key| may_ask_by(caller, key))?;
        let tx = self.one_moment(caller, consistency).await?;
        let at = history::position(&tx, &caller.tenant_id).await?;
        let at = at.ok_or_else(|| Error::internal("the tenant has no head"))?;
        Ok((tx, at))
    }

    /// Which of these groups, by their ids, are there.
    async fn named_groups(
        &self,
        caller: &Caller,
        keys: &[GroupKey],
        consistency: &Consistency,
    ) -> Result<lookup::Holders<GroupKey>> {
        let keys = seen(caller, keys.to_vec());
        if *consistency == Consistency::Strong && keys.len() <= FEW {
            return self.remembered_groups(caller, keys).await;
        }
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let tx = match consistency {
            Consistency::Strong => self.store.single(),
            _ => self.one_moment(caller, consistency).await?,
        };
        lookup::groups(&tx, &caller.tenant_id, &keys).await
    }

    async fn remembered_groups(
        &self,
        caller: &Caller,
        keys: Vec<GroupKey>,
    ) -> Result<lookup::Holders<GroupKey>> {
        let mut found = HashMap::with_capacity(keys.len());
        for key in keys {
            if let GroupKey::Id(id) = &key {
                let (scope, kind) = (caller.scope(), ResourceKind::Group);
                let load = self
                    .store
                    .load_now(scope, kind, id, Reach::Live, Wants::NONE);
                if let Some(group) = load.await? {
                    found.insert(key, Holder::One(group.found.0.id.clone()));
                }
            }
        }
        Ok(found)
    }
}

/// Checks that a caller may ask for users by such a key.
fn may_ask_by(caller: &Caller, key: &UserKey) -> Result<()> {
    match key {
        UserKey::Id(_) => Ok(()),
        _ => caller.require("users.resolve"),
    }
}

/// The keys of groups, for those who have to do with groups.
fn seen(caller: &Caller, keys: Vec<GroupKey>) -> Vec<GroupKey> {
    match caller.knows(ResourceKind::Group) {
        Ok(()) => keys,
        Err(_) => Vec::new(),
    }
}

async fn load(
    tx: &Tx,
    caller: &Caller,
    key: &UserKey,
    reach: Reach,
    wants: Wants,
) -> Result<Option<Arc<Kept>>> {
    let (scope, kind) = (caller.scope(), ResourceKind::User);
    let found = match key {
        UserKey::Id(id) => resources::load(tx, scope, kind, id, reach, wants).await?,
        _ => resources::find(tx, scope, key, wants).await?,
    };
    Ok(found.map(Kept::alone))
}

/// Those whom keys have led to, by their ids.
async fn users_of(
    tx: &Tx,
    caller: &Caller,
    wants: Wants,
    keys: &[UserKey],
    holders: &lookup::Holders<UserKey>,
) -> Result<HashMap<String, View>> {
    let ids = ids(keys.iter().filter_map(|key| holders.get(key)));
    let (scope, kind) = (caller.scope(), ResourceKind::User);
    let found = resources::load_many(tx, scope, kind, ids, wants).await?;
    let found = found.into_iter().map(View::from);
    Ok(found.map(|view| (view.resource.id.clone(), view)).collect())
}

/// The ids of those whom keys have led to, each once.
fn ids<'a>(holders: impl Iterator<Item = &'a Holder>) -> Vec<String> {
    let id = |holder: &Holder| match holder {
        Holder::One(id) => Some(id.clone()),
        Holder::Several => None,
    };
    let ids: HashSet<_> = holders.filter_map(id).collect();
    ids.into_iter().collect()
}

/// The id of a key's holder, of whom the caller may speak.
fn held<'a>(caller: &Caller, key: &UserKey, holder: Option<&'a Holder>) -> Result<&'a str> {
    match holder {
        Some(Holder::One(id)) => {
            caller.reach(ResourceKind::User, id)?;
            Ok(id)
        }
        Some(Holder::Several) => Err(key.ambiguous()),
        None => Err(key.not_found()),
    }
}

fn group_id<'a>(key: &GroupKey, holder: Option<&'a Holder>) -> Result<&'a str> {
    match holder {
        Some(Holder::One(id)) => Ok(id),
        // Each key of a group has one holder at most.
        Some(Holder::Several) | None => Err(Error::NotFound {
            kind: Kind::Group,
            id: match key {
                GroupKey::Id(id) => id.clone(),
                GroupKey::External { .. } | GroupKey::DisplayName(_) => String::new(),
            },
        }),
    }
}

/// A user's group with this id.
fn own<'a>(groups: &'a [GroupRef], key: &GroupKey) -> Option<&'a GroupRef> {
    match key {
        GroupKey::Id(id) => by_id(groups, id),
        GroupKey::External { .. } | GroupKey::DisplayName(_) => None,
    }
}

/// Groups of a user are in the order of their ids.
fn by_id<'a>(groups: &'a [GroupRef], id: &str) -> Option<&'a GroupRef> {
    let place = groups.binary_search_by(|group| group.id.as_str().cmp(id));
    place.ok().and_then(|place| groups.get(place))
}

fn memberships(
    kept: &Kept,
    question: &MembershipQuestion,
    found: &lookup::Holders<GroupKey>,
) -> Memberships {
    let (user, relations) = &*kept.found;
    let standing = user.standing();
    let result = |key: &Option<GroupKey>| {
        let key = key.as_ref().ok_or(Error::Required("groups"))?;
        let his = match own(&relations.groups, key) {
            Some(group) => Some(group),
            None => by_id(&relations.groups, group_id(key, found.get(key))?),
        };
        let tie = match his {
            Some(group) if !group.indirect => Tie::Direct,
            Some(_) if !question.direct_only => Tie::Indirect,
            _ => Tie::None,
        };
        let id = match his {
            Some(group) => group.id.clone(),
            None => group_id(key, found.get(key))?.to_owned(),
        };
        Ok(Membership {
            group_id: id,
            tie,
            may_act: standing.may_act(),
            path: Vec::new(),
        })
    };
    Memberships {
        standing,
        results: question.groups.iter().map(result).collect(),
    }
}

/// Of a user's groups those that are wanted, in the order of their ids.
///
/// # Errors
/// [`Error::TooManyGroups`].
pub fn wanted_groups(groups: &[GroupRef], wanted: &GroupsWanted) -> Result<Vec<GroupRef>> {
    let only: HashSet<_> = wanted.only.iter().map(String::as_str).collect();
    let is_wanted = |group: &&GroupRef| {
        (wanted.transitive || !group.indirect)
            && (only.is_empty() || only.contains(group.id.as_str()))
    };
    let found: Vec<_> = groups.iter().filter(is_wanted).cloned().collect();
    match found.len() > wanted.limit {
        true => Err(Error::TooManyGroups(wanted.limit)),
        false => Ok(found),
    }
}

/// Shortest ways from a user to the groups that he is in.
struct Paths {
    /// By which member each group was reached first.
    by: HashMap<String, String>,
    user_id: String,
}

impl Paths {
    /// From pairs of a group and its member.
    fn new(user_id: &str, pairs: Vec<(String, String)>) -> Self {
        let mut containers: HashMap<&str, Vec<&str>> = HashMap::new();
        for (group, member) in &pairs {
            containers.entry(member).or_default().push(group);
        }
        let mut by: HashMap<String, String> = HashMap::new();
        let mut next = VecDeque::from([user_id]);
        while let Some(member) = next.pop_front() {
            for &group in containers.get(member).into_iter().flatten() {
                if !by.contains_key(group) {
                    by.insert(group.to_owned(), member.to_owned());
                    next.push_back(group);
                }
            }
        }
        let user_id = user_id.to_owned();
        Self { by, user_id }
    }

    /// From the group that names the user to this one.
    fn to(&self, group_id: &str) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = group_id;
        while at != self.user_id {
            path.push(at.to_owned());
            match self.by.get(at) {
                Some(member) => at = member,
                None => return Vec::new(),
            }
        }
        path.reverse();
        path
    }
}
