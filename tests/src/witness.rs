//! Loads a server and holds it to what it has acknowledged.
//!
//! Threads create users, change them, put them into a group and take them away,
//! each one its own, until they are told to stop or the server is gone. What was
//! answered is known; of what was not, either outcome is right, but not half of
//! one. [`Load::compare`] then looks at all of it, and at the history.

mod compare;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    grpc::Grpc,
    scim::{Draft, Reply, Scim, USER},
    server::Server,
    soon,
    tenant::Tenant,
};

/// Threads of a load.
const THREADS: usize = 6;

/// What a load does to its server's connections in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The server dies; a call may get no answer, and a thread ends with its
    /// first.
    Death,
    /// The server stays, and answers every call: what it cannot do gets a 503.
    Answers,
}

/// A tenant of a server that may come and go, with the right to see its history.
#[derive(Debug)]
pub struct Witness {
    tenant: Tenant,
    observer: String,
}

impl Witness {
    /// A new tenant of this server.
    #[track_caller]
    pub fn new(server: &Server) -> Self {
        Self::of(server, &Tenant::create(server))
    }

    /// This tenant.
    #[track_caller]
    pub fn of(server: &Server, tenant: &Tenant) -> Self {
        let tenant = tenant.clone();
        let scopes = ["--scopes", "audit.read,changes.read"];
        let (_, observer) = tenant.credential(server, "entra", &scopes);
        Self { tenant, observer }
    }

    /// Its SCIM client on this process.
    pub fn scim(&self, server: &Server) -> Scim {
        Scim::new(server.scim_url(), &self.tenant.token)
    }

    /// Its reader of audit and changes on this process.
    pub fn history(&self, server: &Server) -> Grpc {
        Grpc::new(server.grpc(), Some(&self.observer))
    }

    /// A load that draws from this seed, on these processes in turn.
    #[track_caller]
    pub fn load(&self, servers: &[&Server], seed: u64, ending: Ending) -> Load {
        let scims: Vec<_> = servers.iter().map(|server| self.scim(server)).collect();
        Load {
            group: scims[0].group(&format!("load {seed}"), &[]),
            scims,
            seed,
            ending,
            acknowledged: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            slowest: Mutex::default(),
            accounts: Mutex::default(),
        }
    }
}

/// A load and what it knows.
#[derive(Debug)]
pub struct Load {
    scims: Vec<Scim>,
    group: String,
    seed: u64,
    ending: Ending,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
    slowest: Mutex<Duration>,
    accounts: Mutex<Vec<Account>>,
}

/// A user of the load. One thread has it, and leaves it alone after the first
/// call without success.
#[derive(Debug)]
struct Account {
    name: String,
    external_id: String,
    /// Once it was told.
    id: Option<String>,
    exists: Fact<bool>,
    member: Fact<bool>,
    title: Fact<u64>,
}

/// What was acknowledged, and what else may be so.
#[derive(Debug, Clone, Copy)]
struct Fact<T> {
    known: T,
    maybe: Option<T>,
}

impl<T: Copy + PartialEq> Fact<T> {
    fn of(known: T) -> Self {
        Self { known, maybe: None }
    }

    fn allows(&self, seen: T) -> bool {
        self.known == seen || self.maybe == Some(seen)
    }
}

impl Load {
    /// Runs the load while `meanwhile` does; then it stops.
    pub fn during<T>(&self, meanwhile: impl FnOnce(&Self) -> T) -> T {
        thread::scope(|scope| {
            let stop = StopOnDrop(self);
            for number in 0..THREADS {
                scope.spawn(move || self.work(number));
            }
            let result = meanwhile(self);
            drop(stop);
            result
        })
    }

    /// Writes that were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Calls that were told to come again.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// The longest that a call has taken.
    pub fn slowest(&self) -> Duration {
        *self.slowest.lock().expect("no panic while it is held")
    }

    /// Waits until this many more writes are acknowledged.
    pub fn wait_for(&self, more: usize) {
        let goal = self.acknowledged() + more;
        soon::wait_until("acknowledged writes", || self.acknowledged() >= goal);
    }

    fn work(&self, number: usize) {
        let mut draws = Draws(self.seed ^ (number as u64) << 32);
        for count in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let label = format!("{}-{number}-{count}", self.seed);
            let mut account = Account {
                name: format!("user-{label}@example.test"),
                external_id: format!("external-{label}"),
                id: None,
                exists: Fact::of(false),
                member: Fact::of(false),
                title: Fact::of(0),
            };
            let lived = self.live(&mut account, &mut draws);
            let mut accounts = self.accounts.lock().expect("no panic while it is held");
            accounts.push(account);
            if lived.is_none() && self.ending == Ending::Death {
                return;
            }
        }
    }

    /// A life; `None` when a call had no success.
    fn live(&self, account: &mut Account, draws: &mut Draws) -> Option<()> {
        let scim = &self.scims[draws.below(self.scims.len())];
        let body = account.body();
        let draft = scim.request("POST", "/Users").json(&body);
        let id = self.change(&mut account.exists, true, draft)?.id();
        account.id = Some(id.clone());
        let path = format!("/Users/{id}");
        for title in 1..=draws.below(3) as u64 {
            let set = json!([{"op": "replace", "path": "title", "value": title.to_string()}]);
            let _ = self.change(&mut account.title, title, scim.patching(&path, &set))?;
        }
        let group = format!("/Groups/{}", self.group);
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let _ = self.change(&mut account.member, true, scim.patching(&group, &add))?;
        if draws.below(4) == 0 {
            let from = format!("members[value eq \"{id}\"]");
            let remove = json!([{"op": "remove", "path": from}]);
            let _ = self.change(&mut account.member, false, scim.patching(&group, &remove))?;
        }
        if draws.below(4) == 0 {
            account.member.maybe = Some(false);
            let _ = self.change(&mut account.exists, false, scim.request("DELETE", &path))?;
            account.member = Fact::of(false);
        }
        Some(())
    }

    fn change<T: Copy>(&self, fact: &mut Fact<T>, to: T, draft: Draft) -> Option<Reply> {
        fact.maybe = Some(to);
        let reply = self.send(draft)?;
        *fact = Fact {
            known: to,
            maybe: None,
        };
        Some(reply)
    }

    /// Sends a write; `None` when it is not known to have happened.
    fn send(&self, draft: Draft) -> Option<Reply> {
        let began = Instant::now();
        let answer = draft.attempt();
        let mut slowest = self.slowest.lock().expect("no panic while it is held");
        *slowest = began.elapsed().max(*slowest);
        drop(slowest);
        match answer {
            Ok(reply) if [200, 201, 204].contains(&reply.code()) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                Some(reply)
            }
            Ok(reply) => {
                reply.try_again();
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(_) if self.ending == Ending::Death => None,
            Err(what) => panic!("no answer: {what}"),
        }
    }
}

impl Account {
    fn body(&self) -> Value {
        json!({"schemas": [USER], "userName": self.name, "externalId": self.external_id,
            "title": "0"})
    }
}

/// Whoever panics must not leave the others running.
struct StopOnDrop<'a>(&'a Load);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Numbers that look drawn, the same for the same seed (SplitMix64).
#[derive(Debug)]
pub struct Draws(pub u64);

impl Draws {
    /// A number below this one.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("a small number");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("below a small number")
    }
}
