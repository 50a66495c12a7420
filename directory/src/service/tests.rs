//! Use cases on a real database: what a write leaves behind, and what nobody
//! else may see.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use muster_proto::value::Object;

use super::*;
use crate::{
    auth::{Caller, Grant, Peer, Principal, Profile, Scopes},
    clock::RandomError,
    domain::{
        credential::Wanted,
        flavor::Flavor,
        history::{ChangeKind, chain},
        patch::{Op, Operation, Path},
        resource::ResourceKind,
        version::Precondition,
    },
    error::Taken,
    storage::history::tests_support::{History, history},
};

mod guard;
mod journal;
mod lists;
mod oauth;
mod policies;
mod polling;
mod remembered;
mod replays;
mod schemas;
mod tokens;
mod values;

/// Time and identifiers that count up.
#[derive(Debug, Default)]
struct Counting {
    ms: AtomicI64,
    id: AtomicU64,
}

impl Source for Counting {
    fn now_ms(&self) -> i64 {
        self.ms.fetch_add(1, Ordering::Relaxed) + 1_700_000_000_000
    }

    fn new_id(&self) -> String {
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-7000-8000-{id:012}")
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(buffer).map_err(|_| RandomError)
    }
}

/// A directory on a file of its own, with one tenant and one caller.
struct World {
    directory: Directory,
    caller: Caller,
    folder: PathBuf,
    source: Arc<Counting>,
}

impl World {
    async fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("muster-directory-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let url = format!("sqlite://{}/test.db", folder.display());
        let store = Store::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        let source = Arc::new(Counting::default());
        let directory = Directory::open(store, Arc::clone(&source) as _).await;
        let directory = directory.unwrap();
        directory
            .take_issuer("https://id.example.test")
            .await
            .unwrap();
        let caller = caller(&directory, "acme").await;
        Self {
            directory,
            caller,
            folder,
            source,
        }
    }

    async fn user(&self, name: &str) -> Written {
        let attributes = object([("userName", name), ("title", "Engineer")]);
        self.directory
            .create_user(&self.caller, attributes)
            .await
            .unwrap()
    }

    async fn group(&self, name: &str) -> Written {
        let attributes = object([("displayName", name)]);
        self.directory
            .create_group(&self.caller, attributes, Vec::new(), 0)
            .await
            .unwrap()
    }

    async fn history(&self) -> History {
        history(
            &self.directory.store.snapshot().await.unwrap(),
            &self.caller.tenant_id,
        )
        .await
        .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const EVERYTHING: Selection<'static> = Selection {
    filter: None,
    sort: None,
    reach: Reach::Live,
    wants: Wants::ALL,
};

fn get(id: &str) -> Get<'_> {
    Get {
        kind: ResourceKind::User,
        id,
        reach: Reach::Live,
        wants: Wants::ALL,
    }
}

/// The secret of a credential that has one.
fn exposed(issued: &IssuedCredential) -> &str {
    issued.secret.as_ref().expect("it has one").expose()
}

async fn caller(directory: &Directory, tenant: &str) -> Caller {
    let tenant = directory.create_tenant(tenant).await.unwrap();
    let operator = Caller::inside(&tenant.id, Principal::Operator);
    let connection = directory
        .create_connection(&operator, "entra", ConnectionEdit::default())
        .await
        .unwrap();
    Caller {
        tenant_id: tenant.id,
        principal: Principal::Connection {
            connection_id: connection.id,
            credential_id: "credential".to_owned(),
        },
        scopes: Scopes::Provisioning,
        once: None,
        request_id: String::new(),
        profile: Profile::plain(),
    }
}

/// Whoever runs commands, in the same tenant.
fn operator(caller: &Caller) -> Caller {
    Caller::inside(&caller.tenant_id, Principal::Operator)
}

/// A credential of the caller's connection.
async fn issue(world: &World, wanted: Wanted, expiry: Expiry) -> Result<IssuedCredential> {
    let (directory, caller) = (&world.directory, &world.caller);
    let connection = directory.own_connection(caller, "").await.unwrap();
    let (operator, grant) = (operator(caller), Grant::provisioning());
    let created =
        directory.create_credential(&operator, &connection, wanted, "name", expiry, grant);
    created.await.map(|(issued, _)| issued)
}

/// Whoever comes with this bearer.
async fn let_in(directory: &Directory, bearer: &str, connection: Option<&str>) -> Result<Caller> {
    let peer = Peer::default();
    directory.authenticate(bearer, connection, &peer).await
}

fn object<const N: usize>(fields: [(&str, &str); N]) -> Object {
    fields
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into()
}

fn set(name: &str, value: impl Into<muster_proto::value::Value>) -> Vec<Operation> {
    let path = Path::find(ResourceKind::User.schema(), "", name, "").unwrap();
    vec![Operation {
        op: Op::Replace,
        path,
        value: value.into(),
        require_target: false,
    }]
}

/// Any version.
fn free() -> &'static Precondition {
    static FREE: std::sync::LazyLock<Precondition> =
        std::sync::LazyLock::new(Precondition::default);
    &FREE
}

#[tokio::test]
async fn every_write_leaves_one_audit_entry_one_revision_and_its_changes() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let user = world.user("ada").await.view.resource.id;
    let group = world.group("engineers").await.view.resource.id;
    let member = vec![Modification::Add(vec![Reference::User(user.clone())])];
    directory
        .modify_group(caller, &group, member, free(), 0)
        .await
        .unwrap();
    directory
        .patch_user(caller, &user, set("active", false), free(), Wants::ALL)
        .await
        .unwrap();
    directory
        .delete(caller, ResourceKind::User, &user, free(), false)
        .await
        .unwrap();

    let history = world.history().await;
    let methods: Vec<_> = history
        .audit
        .iter()
        .map(|entry| entry.method.as_str())
        .collect();
    assert_eq!(
        methods,
        [
            "CreateConnection",
            "CreateUser",
            "CreateGroup",
            "ModifyGroup",
            "PatchUser",
            "DeleteUser"
        ]
    );
    let kinds: Vec<_> = history
        .changes
        .iter()
        .map(|(_, change)| change.kind)
        .collect();
    assert_eq!(
        kinds,
        [
            ChangeKind::Created,
            ChangeKind::Created,
            ChangeKind::Created,
            ChangeKind::MemberAdded,
            ChangeKind::AccessEnded,
            ChangeKind::Deleted,
        ]
    );
    let revisions: Vec<_> = history
        .changes
        .iter()
        .map(|(revision, _)| *revision)
        .collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6]);
    assert_eq!(history.changes[4].1.changed_attributes, ["active"]);
}

#[tokio::test]
async fn the_audit_chain_can_be_recomputed() {
    let world = World::new().await;
    world.user("ada").await;
    world.user("bob").await;
    let history = world.history().await;
    let mut hash = String::new();
    for entry in &history.audit {
        let fields: Vec<_> = entry.fields.iter().map(String::as_str).collect();
        hash = chain(&hash, &fields);
        assert_eq!(entry.hash, hash);
    }
    assert_eq!(history.head_hash, hash);
}

#[tokio::test]
async fn what_changes_nothing_leaves_nothing() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let user = world.user("ada").await.view.resource;
    let group = world.group("engineers").await.view.resource.id;
    let before = world.history().await.audit.len();

    let same = set("title", "Engineer");
    let written = directory
        .patch_user(caller, &user.id, same, free(), Wants::ALL)
        .await
        .unwrap();
    assert_eq!((written.position, written.view.resource.version), (None, 1));

    let members = vec![Reference::User(user.id.clone())];
    let there_and_back = vec![
        Modification::Add(members.clone()),
        Modification::Remove(members.clone()),
    ];
    let modified = directory
        .modify_group(caller, &group, there_and_back, free(), 0)
        .await
        .unwrap();
    assert_eq!(modified.written.position, None);
    let absent = vec![Modification::Remove(members)];
    let modified = directory
        .modify_group(caller, &group, absent, free(), 0)
        .await
        .unwrap();
    assert_eq!(modified.counts.not_present, 1);
    assert_eq!(world.history().await.audit.len(), before);
}

/// Steps that go on in each other are done as one, and nobody can tell.
#[tokio::test]
async fn members_are_counted_step_by_step() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let group = world.group("engineers").await.view.resource.id;
    let mut users = Vec::new();
    for name in ["a", "b", "c"] {
        users.push(world.user(name).await.view.resource.id);
    }
    let named = |n: &usize| Reference::User(users[*n].clone());
    let add = |names: &[usize]| Modification::Add(names.iter().map(named).collect());
    let remove = |names: &[usize]| Modification::Remove(names.iter().map(named).collect());
    let steps = vec![
        add(&[0, 0]),
        add(&[0, 1]),
        remove(&[0, 2]),
        remove(&[0, 1]),
        add(&[2]),
        add(&[0]),
    ];
    let modified = directory
        .modify_group(caller, &group, steps, free(), 0)
        .await;
    let counts = Counts {
        added: 4,
        already_present: 1,
        removed: 2,
        not_present: 2,
    };
    assert_eq!(modified.unwrap().counts, counts);
    let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
    let members = directory.list_members(caller, &group, &page, &Consistency::Strong);
    let members = members.await.unwrap().value.items.into_iter();
    let members: Vec<_> = members.map(|member| member.id).collect();
    assert_eq!(members, [users[0].clone(), users[2].clone()]);
    let changes = world.history().await.changes;
    let added = changes
        .iter()
        .filter(|(_, c)| c.kind == ChangeKind::MemberAdded);
    assert_eq!(added.count(), 2);
}

#[tokio::test]
async fn a_change_of_a_connection_has_its_version() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    for flavor in [Flavor::Okta, Flavor::Strict] {
        let edit = ConnectionEdit {
            flavor: Some(flavor),
            ..ConnectionEdit::default()
        };
        let (operator, own) = (operator(caller), caller.connection().unwrap());
        let changed = directory.update_connection(&operator, own, edit);
        changed.await.unwrap();
    }
    let changes = world.history().await.changes.into_iter();
    let versions: Vec<_> = changes.map(|(_, change)| change.version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn a_file_of_a_flavor_that_is_none_is_refused() {
    let world = World::new().await;
    let mut file = Vec::new();
    world.directory.export(&mut file).await.unwrap();
    let file = String::from_utf8(file).unwrap();
    let file = file.replace(r#""flavor":"entra""#, r#""flavor":"vanilla""#);
    assert!(file.contains("vanilla"));

    let url = format!("sqlite://{}/other.db", world.folder.display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let other = Directory::open(store, Arc::clone(&world.directory.source));
    let refused = other.await.unwrap().import(&mut file.as_bytes()).await;
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("flavor"), "{told}");
}

#[tokio::test]
async fn a_refused_write_leaves_nothing() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    world.user("ada").await;
    let before = world.history().await.audit.len();

    let taken = directory
        .create_user(caller, object([("userName", "ADA")]))
        .await;
    assert!(matches!(taken, Err(Error::Taken(Taken::UserName))));
    let group = object([("displayName", "engineers"), ("externalId", "x")]);
    let nobody = vec![Reference::Any("nobody".to_owned())];
    let refused = directory.create_group(caller, group, nobody, 0).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
    assert_eq!(world.history().await.audit.len(), before);
    let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
    let groups = directory
        .list(
            caller,
            ResourceKind::Group,
            &EVERYTHING,
            &page,
            &Consistency::Strong,
        )
        .await;
    assert!(groups.unwrap().value.items.is_empty());
}

#[tokio::test]
async fn a_refused_write_leaves_those_that_wait_with_it_alone() {
    let world = World::new().await;
    let before = world.history().await.changes.len();
    let mut writes = tokio::task::JoinSet::new();
    for name in ["ada", "bob", "ADA", "cy", "bob", "dee"] {
        let (directory, caller) = (world.directory.clone(), world.caller.clone());
        let attributes = object([("userName", name)]);
        writes.spawn(async move { directory.create_user(&caller, attributes).await });
    }
    let outcomes = writes.join_all().await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (4, 2));
    let taken = |outcome| matches!(outcome, Err(Error::Taken(Taken::UserName)));
    assert!(refused.into_iter().all(taken));
    let changes = world.history().await.changes;
    assert_eq!(changes.len(), before + 4);
    let revisions = changes.iter().map(|(revision, _)| *revision);
    assert!(revisions.eq(1..=changes.len() as i64), "{changes:?}");
}

#[tokio::test]
async fn another_tenant_sees_nothing_and_reaches_nobody() {
    let world = World::new().await;
    let directory = &world.directory;
    let stranger = caller(directory, "other").await;
    let user = world.user("ada").await.view.resource.id;
    let group = world.group("engineers").await.view.resource.id;

    let got = directory
        .get(&stranger, get(&user), &Consistency::Strong)
        .await;
    assert!(matches!(got, Err(Error::NotFound { .. })));
    let own = directory.create_group(&stranger, object([("displayName", "engineers")]), vec![], 0);
    let own = own.await.unwrap().view.resource.id;
    for reference in [
        Reference::User(user.clone()),
        Reference::Any(user),
        Reference::Group(group),
    ] {
        let add = vec![Modification::Add(vec![reference])];
        let added = directory
            .modify_group(&stranger, &own, add, free(), 0)
            .await;
        assert!(matches!(added, Err(Error::Invalid(_))));
    }
}

#[tokio::test]
async fn a_group_is_never_within_itself() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let mut groups = Vec::new();
    for name in ["a", "b", "c"] {
        groups.push(world.group(name).await.view.resource.id);
    }
    let add = |into: usize, member: usize| {
        let step = vec![Modification::Add(vec![Reference::Group(
            groups[member].clone(),
        )])];
        let into = groups[into].clone();
        async move { directory.modify_group(caller, &into, step, free(), 0).await }
    };
    add(0, 1).await.unwrap();
    add(1, 2).await.unwrap();
    for (into, member) in [(2, 0), (1, 0), (0, 0)] {
        let cycle = add(into, member).await;
        assert!(
            matches!(cycle, Err(Error::GroupCycle(_))),
            "{into} {member}"
        );
    }
}

#[tokio::test]
async fn a_deleted_user_frees_his_names_and_leaves_his_groups() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let attributes = object([("userName", "ada"), ("externalId", "e")]);
    let user = directory
        .create_user(caller, attributes.clone())
        .await
        .unwrap()
        .view
        .resource
        .id;
    let group = object([("displayName", "engineers")]);
    let members = vec![Reference::Any("e".to_owned())];
    let group = directory
        .create_group(caller, group, members, 0)
        .await
        .unwrap()
        .view
        .resource
        .id;
    directory
        .delete(caller, ResourceKind::User, &user, free(), false)
        .await
        .unwrap();

    let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
    assert!(
        directory
            .list_members(caller, &group, &page, &Consistency::Strong)
            .await
            .unwrap()
            .value
            .items
            .is_empty()
    );
    let again = directory
        .create_user(caller, attributes)
        .await
        .unwrap()
        .view
        .resource
        .id;
    assert_ne!(again, user);
}

#[tokio::test]
async fn a_stale_precondition_stops_a_write() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let user = world.user("ada").await.view.resource.id;
    let first = Precondition::parse("\"1\"");
    for (title, expected) in [("A", true), ("B", false)] {
        let patch = directory.patch_user(caller, &user, set("title", title), &first, Wants::ALL);
        assert_eq!(patch.await.is_ok(), expected);
    }
}

#[tokio::test]
async fn credentials_are_good_until_revoked_or_expired() {
    let world = World::new().await;
    let (directory, caller) = (&world.directory, &world.caller);
    let lasting = issue(&world, Wanted::Bearer, Expiry::Never).await.unwrap();
    let soon = directory.source.now_ms() + 20;
    let short = issue(&world, Wanted::Bearer, Expiry::At(soon))
        .await
        .unwrap();
    assert!(let_in(directory, exposed(&short), None).await.is_ok());

    let token = exposed(&lasting);
    let found = let_in(directory, token, caller.connection()).await.unwrap();
    assert_eq!(found.tenant_id, caller.tenant_id);
    let elsewhere = let_in(directory, token, Some("elsewhere")).await;
    assert!(elsewhere.is_err());
    while directory.source.now_ms() < soon {}
    assert!(let_in(directory, exposed(&short), None).await.is_err());
    let (operator, id) = (operator(caller), &lasting.credential.id);
    directory.revoke_token(&operator, id, "lost").await.unwrap();
    assert!(let_in(directory, token, None).await.is_err());
}

#[tokio::test]
async fn a_first_start_happens_once() {
    let world = World::new().await;
    assert!(world.directory.bootstrap().await.unwrap().is_none());
}
