//! What the sign-in path asks, beside a service that does nothing: users with
//! their groups, and membership, in a small directory and in a large one: while
//! nobody writes, while somebody writes a user, and while somebody writes a group, which
//! leaves nothing that was read before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use muster_proto::v1::{
    CheckMembershipRequest, CreateGroupRequest, GetUserResponse, Group, GroupExpansion, GroupKey,
    MemberRef, ResolveUserRequest, ResolveUserResponse, User, UserKey,
    directory_lookup_service_client::DirectoryLookupServiceClient, group_expansion::Mode,
    group_key, member_ref::Member, user_key::Key,
};
use muster_tests::{
    grpc::{Authorized, Grpc},
    server::Server,
    service::Service,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Plan,
    echo::Echo,
    http::{Place, answered, connect, patch},
    points::{Caller, ReadUser, compare, draw, table_head},
};

/// How many users are asked about, and in how many groups each of them is.
const ASKED: usize = 1_000;
const GROUPS_OF_ASKED: usize = 20;
/// In how many groups everybody else is.
const GROUPS_OF_OTHERS: usize = 10;

/// How long somebody who writes waits after each answer.
const BETWEEN_WRITES: Duration = Duration::from_millis(5);

/// How large a directory is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) groups: usize,
}

/// A client that looks people up.
pub(crate) struct Reader(String);

impl Reader {
    /// Registers it.
    pub(crate) fn new(server: &Server, place: &Place) -> Self {
        let scopes = "users.read.basic,users.resolve,groups.read,groups.check";
        Self(Service::create(server, &place.tenant, scopes).token())
    }
}

/// A directory to be asked.
struct Filled {
    /// The users who are asked about, each with his groups.
    asked: Arc<[(String, Vec<String>)]>,
}

/// Measures and prints the table.
pub(crate) async fn run(server: &Server, plan: &Plan, place: &Place, reader: &Reader, size: Size) {
    let began = std::time::Instant::now();
    let filled = fill(server, place, size).await;
    println!(
        "\n{} users, {} groups, {} memberships; filled in {:.0} s.",
        size.users,
        size.groups,
        ASKED * GROUPS_OF_ASKED + (size.users - ASKED) * GROUPS_OF_OTHERS,
        began.elapsed().as_secs_f64()
    );
    let open = |url: &str| Grpc::new(url, Some(&reader.0)).lookup();
    let resolve = |seed| Resolve {
        lookup: open(server.grpc()),
        asked: Arc::clone(&filled.asked),
        seed,
    };
    let check = |seed| Check {
        lookup: open(server.grpc()),
        asked: Arc::clone(&filled.asked),
        seed,
    };
    let request = resolve(0).request(0);
    let answer = open(server.grpc()).resolve_user(request).await;
    let echo = Echo::start(&as_large(answer.expect("an answer").into_inner()));
    let small = Echo::start(&GetUserResponse {
        user: Some(User::default()),
        ..GetUserResponse::default()
    });
    let ids: Arc<[String]> = filled.asked.iter().map(|one| one.0.clone()).collect();
    let reads = |url: &str| {
        let (url, ids, token) = (url.to_owned(), Arc::clone(&ids), reader.0.clone());
        move |seed| ReadUser::new(Grpc::new(&url, Some(&token)).users(), &ids, seed)
    };
    let (large_echo, small_echo) = (reads(&echo.url), reads(&small.url));
    let get = reads(server.grpc());
    table_head();
    let (user, groups) = &filled.asked[0];
    let writers = [
        ("", None),
        (
            ", a user is written",
            Some(("Users", user.as_str(), "title")),
        ),
        (
            ", read anew",
            Some(("Groups", groups[0].as_str(), "displayName")),
        ),
    ];
    for (beside, what) in writers {
        let writer = what.map(|what| Writer::start(place.clone(), what));
        let name = |call: &str| format!("{call}{beside}");
        compare(server, plan, &name("GetUser"), &small_echo, &get).await;
        let resolving = name("ResolveUser, 20 groups");
        compare(server, plan, &resolving, &large_echo, &resolve).await;
        compare(server, plan, &name("CheckMembership"), &small_echo, &check).await;
        if let Some(writer) = writer {
            writer.stop().await;
        }
    }
}

/// An answer of the echo service that is as large as this one.
fn as_large(answer: ResolveUserResponse) -> GetUserResponse {
    GetUserResponse {
        user: Some(User {
            groups: answer.groups,
            ..answer.user.unwrap_or_default()
        }),
        read_at: answer.read_at,
    }
}

/// Writes one resource of the tenant again and again.
struct Writer {
    ended: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    /// Of an endpoint's resource this attribute.
    fn start(place: Place, (kind, id, attribute): (&str, &str, &str)) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let (path, attribute) = (format!("/{kind}/{id}"), attribute.to_owned());
        let task = tokio::spawn(async move {
            let mut connection = connect(&place.address).await;
            for n in 0_u64.. {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let value = format!("written {n}");
                let change = json!({"op": "replace", "path": attribute, "value": value});
                let request = place.request("PATCH", &path, &patch(change));
                // A group of many members is answered without a body.
                let (status, body) = answered(&mut connection, request).await;
                assert!(matches!(status, 200 | 204), "{status}: {body:?}");
                tokio::time::sleep(BETWEEN_WRITES).await;
            }
        });
        Self { ended, task }
    }

    async fn stop(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.task.await.expect("no panic");
    }
}

async fn fill(server: &Server, place: &Place, size: Size) -> Filled {
    let users = place.seed_users(size.users).await;
    let mut members = vec![Vec::new(); size.groups];
    let mut of_user = vec![Vec::new(); ASKED];
    for (user, id) in users.iter().enumerate() {
        let count = match user < ASKED {
            true => GROUPS_OF_ASKED,
            false => GROUPS_OF_OTHERS,
        };
        for n in 0..count {
            let group = (user * 13 + n * (size.groups / count)) % size.groups;
            members[group].push(id.clone());
            if let Some(groups) = of_user.get_mut(user) {
                groups.push(group);
            }
        }
    }
    let groups = create_groups(server, place, members).await;
    let named = |of: Vec<usize>| of.into_iter().map(|n| groups[n].clone()).collect();
    let asked = users.iter().cloned().zip(of_user.into_iter().map(named));
    Filled {
        asked: asked.collect(),
    }
}

async fn create_groups(server: &Server, place: &Place, members: Vec<Vec<String>>) -> Vec<String> {
    const WORKERS: usize = 8;
    let members = Arc::new(members);
    let mut tasks = JoinSet::new();
    for worker in 0..WORKERS {
        let members = Arc::clone(&members);
        let mut groups = Grpc::new(server.grpc(), Some(&place.tenant.token)).groups();
        tasks.spawn(async move {
            let mut created = Vec::new();
            for n in (worker..members.len()).step_by(WORKERS) {
                let member = |id: &String| MemberRef {
                    member: Some(Member::UserId(id.clone())),
                };
                let request = CreateGroupRequest {
                    group: Some(Group {
                        display_name: format!("Group {n}"),
                        ..Group::default()
                    }),
                    members: members[n].iter().map(member).collect(),
                    ..CreateGroupRequest::default()
                };
                let answer = groups.create_group(request).await.expect("a group");
                let group = answer.into_inner().group.expect("the group");
                created.push((n, group.id));
            }
            created
        });
    }
    let mut all: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    all.sort();
    all.into_iter().map(|(_, id)| id).collect()
}

/// Resolves users, whichever, with all their groups.
#[derive(Clone)]
struct Resolve {
    lookup: DirectoryLookupServiceClient<Authorized>,
    asked: Arc<[(String, Vec<String>)]>,
    seed: u64,
}

impl Resolve {
    fn request(&self, n: usize) -> ResolveUserRequest {
        ResolveUserRequest {
            key: Some(by_id(&self.asked[n].0)),
            groups: Some(GroupExpansion {
                mode: Mode::Transitive.into(),
                ..GroupExpansion::default()
            }),
            ..ResolveUserRequest::default()
        }
    }
}

impl Caller for Resolve {
    async fn call(&mut self) {
        let n = draw(&mut self.seed) % self.asked.len();
        let request = self.request(n);
        let answer = self.lookup.resolve_user(request).await.expect("a user");
        assert_eq!(answer.into_inner().groups.len(), GROUPS_OF_ASKED);
    }

    fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// Checks whether users, whichever, are in one of their groups.
#[derive(Clone)]
struct Check {
    lookup: DirectoryLookupServiceClient<Authorized>,
    asked: Arc<[(String, Vec<String>)]>,
    seed: u64,
}

impl Caller for Check {
    async fn call(&mut self) {
        let (user, groups) = &self.asked[draw(&mut self.seed) % self.asked.len()];
        let group = groups[draw(&mut self.seed) % groups.len()].clone();
        let request = CheckMembershipRequest {
            user: Some(by_id(user)),
            groups: vec![GroupKey {
                key: Some(group_key::Key::Id(group)),
            }],
            ..CheckMembershipRequest::default()
        };
        let answer = self.lookup.check_membership(request).await;
        let answer = answer.expect("an answer").into_inner();
        assert!(answer.results[0].error.is_none(), "{answer:?}");
    }

    fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

fn by_id(id: &str) -> UserKey {
    UserKey {
        key: Some(Key::Id(id.to_owned())),
    }
}
