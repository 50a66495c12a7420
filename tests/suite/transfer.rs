//! From one database into another, and back from a backup: nothing is lost, and
//! nobody goes on in a history that is gone.

use std::{fs, path::Path};

use muster_proto::v1;
use muster_tests::{
    engine::Engine,
    grpc::{Grpc, reason},
    postgres,
    runtime::wait,
    scim::{ENTERPRISE, Scim, USER},
    server::{Launch, Server},
    service::Service,
    signals,
    tenant::Tenant,
};
use serde_json::{Value, json};
use tonic::Code;

fn other(engine: Engine) -> Engine {
    match engine {
        Engine::Sqlite => Engine::Postgres,
        Engine::Postgres => Engine::Sqlite,
    }
}

/// A directory with something of everything; its tenant, and a user's id.
fn furnished(server: &Server) -> (Tenant, String) {
    let tenant = Tenant::create(server);
    let file = server.folder().join("guard.toml");
    fs::write(&file, GUARD).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let update = ["connection", "update", "--tenant", &tenant.id];
    let policy = ["--name", &tenant.connection_id, "--policy", file];
    // Before the server remembers anybody.
    let _ = server.admin().json(&[update, policy].concat());
    let scim = tenant.scim();
    let boss = scim.user("boss");
    let user = json!({
        "schemas": [USER, ENTERPRISE], "userName": "Ada Straße %_\\", "externalId": "e-1",
        "emails": [{"value": "ada@example.test", "type": "work", "primary": true}],
        ENTERPRISE: {"department": "R&D", "manager": {"value": boss}},
        "urn:example:custom": {"badge": {"number": 7, "valid": true}},
    });
    let ada = scim.post("/Users", &user).status(201).id();
    let gone = scim.user("gone");
    let link = Service::create(server, &tenant, "users.link").grpc();
    for (user, subject) in [(&ada, "ada"), (&ada, "ada again"), (&gone, "gone")] {
        let _ = signals::link(&link, user, subject).expect("linked");
    }
    scim.group("All", &[&ada, &boss, &gone]);
    let _ = scim.delete(&format!("/Users/{gone}")).status(204);
    let _ = scim.post("/Users", &user).status(409);
    let leaver = scim.user("leaver");
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    let _ = scim.patch(&format!("/Users/{leaver}"), &off).status(200);
    (tenant, ada)
}

/// The second one who leaves waits.
const GUARD: &str = "description = \"one\"\n[policy.deprovision_guard]\n\
                     max_users = 1\nwindow = \"1h\"\n";

/// How many deactivations wait.
fn waiting(launch: &Launch, tenant: &Tenant) -> Option<usize> {
    let held = ["held", "list", "--tenant", &tenant.id];
    launch.admin().json(&held).as_array().map(Vec::len)
}

fn export(launch: &Launch, file: &Path) -> Value {
    let file = file.to_str().expect("UTF-8");
    launch.admin().json(&["export", "--output", file])
}

fn revision(grpc: &Grpc, id: &str) -> v1::Revision {
    let request = v1::GetUserRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    let found = wait(grpc.users().get_user(request)).expect("the user is there");
    found.into_inner().read_at.expect("when it was true")
}

/// What a revision from before is good for.
fn read_at_least(grpc: &Grpc, id: &str, revision: v1::Revision) -> Result<(), tonic::Status> {
    use v1::consistency::Requirement;
    let request = v1::GetUserRequest {
        id: id.to_owned(),
        consistency: Some(v1::Consistency {
            requirement: Some(Requirement::AtLeastAsFresh(revision)),
        }),
        ..Default::default()
    };
    wait(grpc.users().get_user(request)).map(drop)
}

#[track_caller]
fn refused_as_another_epochs(result: Result<(), tonic::Status>) {
    let status = result.expect_err("the revision is from before");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "STORE_EPOCH_MISMATCH");
}

/// A user without the addresses of the server that showed it.
fn without_places(user: &Value) -> String {
    let text = user.to_string();
    let pieces = text.split("http://127.0.0.1:");
    let port = |piece: &str| {
        piece
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    };
    pieces.map(port).collect()
}

fn at(server: &Server, token: &str) -> (Scim, Grpc) {
    let scim = Scim::new(server.scim_url(), token);
    (scim, Grpc::new(server.grpc(), Some(token)))
}

#[test]
fn everything_moves_to_the_other_database_and_is_the_same_file_again() {
    let here = super::launch().start();
    let (tenant, ada) = furnished(&here);
    let before = revision(&tenant.grpc(), &ada);
    let path = format!("/Users/{ada}");
    let shown = tenant.scim().get(&path).status(200).json();
    let file = here.folder().join("move.jsonl");
    let tally = export(here.launch(), &file);
    assert!(tally["records"].as_u64() > Some(10), "{tally}");

    let there = Launch::on(other(super::engine()));
    let imported = there
        .admin()
        .json(&["import", "--input", file.to_str().expect("UTF-8")]);
    assert_eq!(imported, tally);
    let back = here.folder().join("back.jsonl");
    export(&there, &back);
    assert!(fs::read(&file).expect("a file") == fs::read(&back).expect("a file"));

    assert_eq!(waiting(&there, &tenant), Some(1));
    let there = there.start();
    let (scim, grpc) = at(&there, &tenant.token);
    let moved = scim.get(&path).status(200).json();
    assert_eq!(without_places(&moved), without_places(&shown));
    assert_eq!(scim.found("externalId eq \"e-1\""), ["Ada Straße %_\\"]);
    assert_eq!(
        scim.found("emails.value eq \"ADA@example.test\""),
        ["Ada Straße %_\\"]
    );
    assert_eq!(scim.found("userName eq \"gone\""), Vec::<String>::new());
    refused_as_another_epochs(read_at_least(&grpc, &ada, before));
    let verdict = there
        .admin()
        .json(&["audit", "verify", "--tenant", &tenant.id]);
    assert_eq!(verdict["intact"], true, "{verdict}");
    scim.user("new");
    read_at_least(&grpc, &ada, revision(&grpc, &ada)).expect("the history goes on");
}

#[test]
fn a_file_that_is_not_whole_changes_nothing() {
    let here = super::launch().start();
    furnished(&here);
    let file = here.folder().join("export.jsonl");
    export(here.launch(), &file);
    let text = fs::read_to_string(&file).expect("a file");
    let lines: Vec<_> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let end = lines.len() - 1;
    let one_less = [&lines[..end - 1], &lines[end..]].concat().join("\n");
    let an_orphan = [&lines[..4], &lines[5..]].concat().join("\n");
    let changed = text.replace("ada@example.test", "eve@example.test");
    let newer = text.replacen("\"version\":3}\n", "\"version\":99}\n", 1);
    let twice = format!("{text}{text}");
    let unknown = text.replacen("{\"user\":", "{\"usr\":", 1);
    let garbled = text.replacen("\"userName\":\"boss\"", "\"userName\":\"\"", 1);
    let there = Launch::on(super::engine());
    for (broken, expected) in [
        (String::new(), "no export"),
        ("{}\n".to_owned(), "no export"),
        ("SQLite format 3\0".to_owned(), "no export"),
        (newer, "format 99"),
        (without_end, "ends too early"),
        (one_less, "count or digest"),
        (an_orphan, "the database refuses"),
        (changed, "count or digest"),
        (twice, "something follows"),
        (unknown, "line "),
        (garbled, "userName"),
    ] {
        let path = there.folder().join("broken.jsonl");
        fs::write(&path, broken).expect("a file");
        let path = path.to_str().expect("UTF-8");
        let outcome = there.admin().run(&["import", "--input", path]).code(1);
        assert!(
            outcome.stderr().contains(expected),
            "{expected}: {}",
            outcome.stderr()
        );
        assert_eq!(
            there.admin().json(&["tenant", "list"]),
            json!([]),
            "{expected}"
        );
    }
}

#[test]
fn files_are_neither_overwritten_nor_imported_over_others() {
    let here = super::launch().start();
    furnished(&here);
    let file = here.folder().join("export.jsonl");
    export(here.launch(), &file);
    let path = file.to_str().expect("UTF-8");
    let again = here.admin().run(&["export", "--output", path]).code(1);
    assert!(again.stderr().contains("exists"), "{}", again.stderr());
    let over = here.admin().run(&["import", "--input", path]).code(1);
    assert!(
        over.stderr().contains("has tenants already"),
        "{}",
        over.stderr()
    );
    let missing = here
        .admin()
        .run(&["import", "--input", "nowhere.jsonl"])
        .code(1);
    assert!(
        missing.stderr().contains("nowhere.jsonl"),
        "{}",
        missing.stderr()
    );
}

#[test]
fn a_renewed_epoch_ends_what_was_handed_out() {
    let server = super::launch().start();
    let (tenant, ada) = furnished(&server);
    let before = revision(&tenant.grpc(), &ada);
    read_at_least(&tenant.grpc(), &ada, before.clone()).expect("it is of this epoch");
    let epoch = |words: &[&str]| server.admin().json(words)["epoch"].clone();
    let old = epoch(&["epoch", "show"]);
    let new = epoch(&["epoch", "renew"]);
    assert_ne!(old, new);
    assert_eq!(epoch(&["epoch", "show"]), new);
    refused_as_another_epochs(read_at_least(&tenant.grpc(), &ada, before));
    tenant.scim().user("after");
    let now = revision(&tenant.grpc(), &ada);
    read_at_least(&tenant.grpc(), &ada, now).expect("it is of the new epoch");
}

/// Puts the database back to what it was when `keep` was called.
struct Backup {
    engine: Engine,
    url: String,
    copy: String,
}

impl Backup {
    /// The server on it must be stopped.
    fn keep(launch: &Launch) -> Self {
        let (engine, url) = (super::engine(), launch.database_url());
        let copy = match engine {
            Engine::Sqlite => {
                let copy = launch.folder().join("backup.db");
                let copy = copy.to_str().expect("UTF-8").to_owned();
                fs::copy(url.trim_start_matches("sqlite://"), &copy).expect("a copy");
                copy
            }
            Engine::Postgres => {
                let cluster = postgres::Cluster::shared();
                let (copy, name) = (format!("{}_copy", name(&url)), name(&url));
                cluster.administer(&format!("CREATE DATABASE {copy} TEMPLATE {name}"));
                copy
            }
        };
        Self { engine, url, copy }
    }

    fn restore(&self) {
        match self.engine {
            Engine::Sqlite => {
                let file = self.url.trim_start_matches("sqlite://");
                for rest in ["-wal", "-shm"] {
                    // A server that stopped in order leaves none.
                    let _ = fs::remove_file(format!("{file}{rest}"));
                }
                fs::copy(&self.copy, file).expect("a copy");
            }
            Engine::Postgres => {
                let cluster = postgres::Cluster::shared();
                let name = name(&self.url);
                cluster.administer(&format!("DROP DATABASE {name} WITH (FORCE)"));
                let copy = &self.copy;
                let owner = owner(&self.url);
                cluster.administer(&format!(
                    "CREATE DATABASE {name} OWNER {owner} TEMPLATE {copy}"
                ));
            }
        }
    }
}

fn owner(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split([':', '@']).next().unwrap_or_default()
}

fn name(url: &str) -> String {
    let name = url.rsplit('/').next().expect("a database");
    name.split('?').next().unwrap_or(name).to_owned()
}

#[test]
fn a_restored_backup_is_recognised_and_begins_a_new_epoch() {
    let server = super::launch().start();
    let (tenant, ada) = furnished(&server);
    let kept = revision(&tenant.grpc(), &ada);
    let launch = server.launch().clone();
    let _ = server.stop();
    let backup = Backup::keep(&launch);

    let server = launch.start();
    let (scim, grpc) = at(&server, &tenant.token);
    read_at_least(&grpc, &ada, kept).expect("a restart changes nothing");
    scim.user("lost with the restore");
    let lost = revision(&grpc, &ada);
    let _ = server.stop();
    backup.restore();

    let server = launch.start();
    let (scim, grpc) = at(&server, &tenant.token);
    assert!(scim.found("userName sw \"lost\"").is_empty());
    refused_as_another_epochs(read_at_least(&grpc, &ada, lost));
    read_at_least(&grpc, &ada, revision(&grpc, &ada)).expect("the history goes on");
}
