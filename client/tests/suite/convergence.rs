//! Whatever is written, and whenever a cache begins or loses its stream, it ends as the
//! directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use muster_client::{
    Client, Error, Uuid,
    cache::{Cache, Verdict},
    key,
    testing::TestServer,
    v1::{
        GetChangeBoundsRequest, ListGroupMembersRequest, ListGroupsRequest, ListUsersRequest,
        PageRequest, member_ref::Member,
    },
};

use crate::world::ready;

const ACTS: u64 = 250;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("small") % sides
    }
}

#[derive(Default)]
struct Known {
    users: Vec<Uuid>,
    groups: Vec<Uuid>,
}

/// Something happens. What the directory refuses, happens not.
async fn act(server: &TestServer, known: &mut Known, dice: &mut Dice, number: u64) {
    let user = known.users[dice.roll(known.users.len())];
    let group = known.groups[dice.roll(known.groups.len())];
    let other = known.groups[dice.roll(known.groups.len())];
    match dice.roll(20) {
        0 | 1 => known
            .users
            .extend(server.user(&format!("user-{number}")).await),
        2 => known
            .groups
            .extend(server.group(&format!("group-{number}")).await),
        3..=8 => drop(server.add_user(group, user).await),
        9 | 10 => drop(server.remove_user(group, user).await),
        11 | 12 => drop(server.add_group(group, other).await),
        13 => drop(server.remove_group(group, other).await),
        14 => drop(server.lock(user).await),
        15 => drop(server.unlock(user).await),
        16 => drop(server.delete_user(user).await),
        17 | 18 => drop(server.undelete_user(user).await),
        _ => match dice.roll(3) {
            0 => drop(server.delete_group(group).await),
            1 => drop(server.sign_out(user).await),
            _ => {}
        },
    }
}

/// What the directory says when it is asked for everything.
struct Truth {
    users: BTreeMap<Uuid, (String, bool)>,
    groups: BTreeSet<Uuid>,
    edges: BTreeSet<(Uuid, Uuid)>,
}

fn page() -> Option<PageRequest> {
    Some(PageRequest {
        page_size: 1_000,
        ..Default::default()
    })
}

fn id(text: &str) -> Uuid {
    text.parse().expect("an id")
}

async fn truth(client: &Client) -> Truth {
    let request = ListUsersRequest {
        page: page(),
        ..Default::default()
    };
    let users = client.users().list_users(request).await.expect("users");
    let users = users.into_inner().users.into_iter();
    let request = ListGroupsRequest {
        page: page(),
        ..Default::default()
    };
    let groups = client.groups().list_groups(request).await.expect("groups");
    let groups = groups.into_inner().groups.into_iter();
    let groups: BTreeSet<_> = groups.map(|group| id(&group.id)).collect();
    let mut edges = BTreeSet::new();
    for group in &groups {
        let request = ListGroupMembersRequest {
            group_id: group.to_string(),
            page: page(),
            consistency: None,
        };
        let members = client.groups().list_group_members(request).await;
        for member in members.expect("members").into_inner().members {
            let member = member.member.and_then(|member| member.member);
            if let Some(Member::UserId(member) | Member::GroupId(member)) = member {
                edges.insert((*group, id(&member)));
            }
        }
    }
    Truth {
        users: users
            .map(|user| (id(&user.id), (user.user_name, user.effective_active)))
            .collect(),
        groups,
        edges,
    }
}

impl Truth {
    fn verdict(&self, user: Uuid, group: Uuid) -> Verdict {
        let direct = self.edges.contains(&(group, user));
        let mut below = BTreeSet::from([group]);
        let mut next = vec![group];
        while let Some(group) = next.pop() {
            let children = self.edges.iter().filter(|(parent, _)| *parent == group);
            next.extend(
                children
                    .map(|(_, child)| *child)
                    .filter(|c| below.insert(*c)),
            );
        }
        match (below.contains(&user), direct, self.users[&user].1) {
            (false, ..) => Verdict::NotMember,
            (true, _, false) => Verdict::UserInactive,
            (true, true, true) => Verdict::Direct,
            (true, false, true) => Verdict::Transitive,
        }
    }

    fn assert_same(&self, known: &Known, cache: &Cache, values: bool) {
        let local = cache.local();
        for user in &known.users {
            let Some((name, active)) = self.users.get(user) else {
                let gone = local.status(*user);
                assert!(matches!(gone, Err(Error::UserNotFound)), "{user}: {gone:?}");
                continue;
            };
            assert_eq!(
                local.status(*user).expect("he is there").effective_active,
                *active
            );
            if values {
                let found = local.resolve_any_user(&key::user_name(name.as_str()));
                assert_eq!(found.expect("by his name").id, *user);
            }
            for group in &known.groups {
                let verdict = local.check_membership(*user, *group);
                match self.groups.contains(group) {
                    true => assert_eq!(verdict.expect("an answer"), self.verdict(*user, *group)),
                    false => assert!(matches!(verdict, Err(Error::GroupNotFound))),
                }
            }
            let told = local.effective_groups(*user).expect("an answer");
            let told: Vec<_> = told.iter().map(|group| group.group_id).collect();
            let within = |group: &&Uuid| self.verdict(*user, **group) != Verdict::NotMember;
            let expected: Vec<_> = self.groups.iter().filter(within).copied().collect();
            assert_eq!(told, expected, "{user}");
        }
    }
}

async fn check(seed: u64) {
    let mut server = TestServer::start().await.expect("it starts");
    let mut known = Known::default();
    for n in 0..5 {
        known.users.extend(server.user(&format!("first-{n}")).await);
        known
            .groups
            .extend(server.group(&format!("first-{n}")).await);
    }
    let mut dice = Dice(seed);
    let mut caches = Vec::new();
    for number in 0..ACTS {
        // Some begin in the midst of writes.
        if number % 60 == 5 {
            let values = caches.len() % 2 == 0;
            let cache = Cache::builder(&server.client()).values(values).start();
            caches.push((cache, values));
        }
        if number == ACTS / 2 {
            server.start_again().await.expect("it starts again");
        }
        act(&server, &mut known, &mut dice, number).await;
    }
    let mut changes = server.client().changes();
    let bounds = changes.get_change_bounds(GetChangeBoundsRequest {}).await;
    let end = bounds
        .expect("bounds")
        .into_inner()
        .latest
        .expect("always set");
    let truth = truth(&server.client()).await;
    for (cache, values) in &caches {
        ready(cache).await;
        let waited = tokio::time::timeout(Duration::from_secs(20), cache.wait_for(&end));
        waited.await.expect("in time").expect("it goes on");
        truth.assert_same(&known, cache, *values);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cache_ends_as_the_directory() {
    for seed in [1, 2] {
        check(seed).await;
    }
}
