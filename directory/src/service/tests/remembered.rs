//! What is remembered is what there is, whatever is written, and by whom.

use muster_proto::schema::ENTERPRISE_USER;

use super::*;
use crate::{
    service::{Linking, Modification, Reference},
    storage::{
        Store,
        relations::Wants,
        resources::{self, Reach},
        subjects::UserKey,
    },
};

const STEPS: usize = 600;
const USERS: usize = 8;
const GROUPS: usize = 5;
const NAMES: [&str; 4] = ["ada", "bob", "cy", "dora"];
const ISSUER: &str = "https://login.example.test";

/// Numbers that are the same in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A tenant in which somebody writes at random.
struct Crowd {
    world: World,
    operator: Caller,
    users: Vec<String>,
    groups: Vec<String>,
    dice: Dice,
    /// How often each kind of write was done.
    done: [usize; 14],
}

impl Crowd {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for n in 0..USERS {
            users.push(world.user(&format!("user {n}")).await.view.resource.id);
        }
        for n in 0..GROUPS {
            groups.push(world.group(&format!("group {n}")).await.view.resource.id);
        }
        Self {
            operator: operator(&world.caller),
            world,
            users,
            groups,
            dice: Dice(seed),
            done: [0; 14],
        }
    }

    /// Writes something, or is refused.
    async fn step(&mut self) {
        let what = self.dice.below(self.done.len());
        self.done[what] += usize::from(self.write(what).await.is_ok());
    }

    async fn write(&mut self, what: usize) -> Result<()> {
        let user = self.dice.one(&self.users).clone();
        let other = self.dice.one(&self.users).clone();
        let group = self.dice.one(&self.groups).clone();
        let within = self.dice.one(&self.groups).clone();
        let name = *self.dice.one(&NAMES);
        let (caller, operator) = (&self.world.caller, &self.operator);
        let directory = &self.world.directory;
        let (a_user, a_group) = (ResourceKind::User, ResourceKind::Group);
        let patch = async |change: Vec<Operation>| {
            let patched = directory.patch_user(caller, &user, change, free(), Wants::ALL);
            patched.await.map(drop)
        };
        let modify = async |step: Modification| {
            let modified = directory.modify_group(caller, &group, vec![step], free(), 0);
            modified.await.map(drop)
        };
        match what {
            0 => patch(set("title", name)).await,
            1 => patch(set("userName", name)).await,
            2 => patch(set("displayName", name)).await,
            3 => patch(managed_by(&other)).await,
            4 => patch(set("externalId", name)).await,
            5 => directory
                .delete(caller, a_user, &user, free(), true)
                .await
                .map(drop),
            6 => directory
                .undelete(operator, a_user, &user, free())
                .await
                .map(drop),
            7 => {
                let lock = (self.dice.below(2) == 0).then_some("a stolen laptop");
                let locked = directory.set_locked(operator, &user, lock, free());
                locked.await.map(drop)
            }
            8 => {
                let how = [Linking::Link, Linking::Unlink][self.dice.below(2)];
                let identity = (ISSUER, name);
                let linked = directory.set_linked(operator, &user, identity, how, free());
                linked.await.map(drop)
            }
            9 => modify(Modification::Add(vec![Reference::User(other)])).await,
            10 => modify(Modification::Remove(vec![Reference::User(other)])).await,
            11 => {
                let member = vec![Reference::Group(within)];
                let nests = self.dice.below(2) == 0;
                modify(match nests {
                    true => Modification::Add(member),
                    false => Modification::Remove(member),
                })
                .await
            }
            12 => {
                modify(Modification::ReplaceAttributes(object([(
                    "displayName",
                    name,
                )])))
                .await
            }
            _ => match directory
                .delete(caller, a_group, &group, free(), true)
                .await?
            {
                Some(_) => Ok(()),
                None => directory
                    .undelete(operator, a_group, &group, free())
                    .await
                    .map(drop),
            },
        }
    }

    fn keys(&mut self) -> UserKey {
        let name = (*self.dice.one(&NAMES)).to_owned();
        match self.dice.below(3) {
            0 => UserKey::UserName(name),
            1 => UserKey::External {
                connection_id: self.connection(),
                external_id: name,
            },
            _ => UserKey::Federated {
                issuer: ISSUER.to_owned(),
                subject: name,
            },
        }
    }

    fn connection(&self) -> String {
        match &self.world.caller.principal {
            Principal::Connection { connection_id, .. } => connection_id.clone(),
            _ => panic!("a connection"),
        }
    }

    /// Reads at random from what a process remembers, and what there is.
    async fn compare(&mut self, store: &Store) {
        let key = self.keys();
        let (kind, id) = match self.dice.below(3) {
            0 => (ResourceKind::Group, self.dice.one(&self.groups).clone()),
            _ => (ResourceKind::User, self.dice.one(&self.users).clone()),
        };
        let (scope, tx) = (self.world.caller.scope(), store.single());
        let kept = store
            .load_now(scope, kind, &id, Reach::Live, Wants::ALL)
            .await;
        let kept = kept
            .unwrap()
            .map(|kept| ((*kept.found).clone(), kept.at.clone()));
        let there = resources::load(&tx, scope, kind, &id, Reach::Live, Wants::ALL).await;
        assert_eq!(kept, there.unwrap(), "{kind:?} {id}");
        let kept = store.find_now(scope, &key, Wants::ALL).await.unwrap();
        let kept = kept.map(|kept| ((*kept.found).clone(), kept.at.clone()));
        let there = resources::find(&tx, scope, &key, Wants::ALL).await.unwrap();
        assert_eq!(kept, there, "{key:?}");
    }
}

fn managed_by(id: &str) -> Vec<Operation> {
    let schema = ResourceKind::User.schema();
    vec![Operation {
        op: Op::Replace,
        path: Path::find(schema, ENTERPRISE_USER, "manager", "value").unwrap(),
        value: id.into(),
        require_target: false,
    }]
}

async fn what_is_remembered_is_what_there_is(seed: u64) {
    let mut crowd = Crowd::new(seed).await;
    let here = crowd.world.directory.store.clone();
    let url = format!("sqlite://{}/test.db", crowd.world.folder.display());
    let elsewhere = Store::open(&url).await.unwrap();
    for _ in 0..STEPS {
        crowd.step().await;
        for store in [&here, &elsewhere] {
            for _ in 0..crowd.dice.below(4) {
                crowd.compare(store).await;
            }
        }
    }
    assert!(
        crowd.done.iter().all(|&count| count > 3),
        "{:?}",
        crowd.done
    );
}

#[tokio::test]
async fn what_is_remembered_is_true_after_each_write() {
    what_is_remembered_is_what_there_is(0x5eed_0001).await;
}

#[tokio::test]
async fn what_is_remembered_is_true_after_other_writes() {
    what_is_remembered_is_what_there_is(0x5eed_0002).await;
}
