//! PostgreSQL for the tests: a private cluster, or the server that
//! `TEST_POSTGRES_URL` names.
//!
//! A private cluster lives in a temporary folder and on a loopback port, is as
//! durable as a real one, and goes with the test process, however that ends.
//! Where text of the database is ordered, it is ordered as people of a language
//! do and not by bytes, so that a wrong collation shows.
//!
//! `programs` finds what PostgreSQL consists of, `home` is the folder of a
//! cluster, `postmaster` its processes.

mod home;
mod postmaster;
mod programs;

use std::{fs, path::Path, sync::OnceLock, time::Duration};

use uuid::Uuid;

use self::{home::Home, postmaster::Postmaster};
use crate::{guard::Guard, soon};

/// What stands as the password in the URLs of a private cluster. It trusts
/// everybody; tests look for this word where no password may be.
pub const PASSWORD: &str = "database-secret-4711";

/// How long PostgreSQL may take to start, to stop or to catch up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Owns the databases, and may do no more than an operator would allow muster.
const ROLE: &str = "muster";
const SUPERUSER: &str = "postgres";

/// What differs from PostgreSQL's own configuration; a replica inherits it.
/// Shared memory in files goes with the folder, even when nobody is left to
/// give it back.
const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
wal_level = replica
max_wal_senders = 10
dynamic_shared_memory_type = mmap
";

/// Locales in the order of preference: the first that this build of PostgreSQL
/// and this system know is taken.
const LOCALES: [&[&str]; 4] = [
    &[
        "--locale=C.UTF-8",
        "--locale-provider=icu",
        "--icu-locale=en-US",
    ],
    &["--locale=en_US.UTF-8"],
    &["--locale=C.UTF-8"],
    &["--locale=C"],
];

/// A PostgreSQL server with databases for tests.
#[derive(Debug)]
pub struct Cluster(Kind);

#[derive(Debug)]
enum Kind {
    Private(Postmaster),
    Given(Given),
}

/// Somebody else's server; the guard removes our databases from it.
#[derive(Debug)]
struct Given {
    url: String,
    guard: Guard,
}

/// How PostgreSQL is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// When the last client has gone.
    Smart,
    /// Transactions are rolled back and clients sent away.
    Fast,
    /// At once; the next start recovers, as after a crash.
    Immediate,
}

impl Cluster {
    /// The server that tests share: the one that `TEST_POSTGRES_URL` names, or
    /// a private cluster. Every test brings a database of its own.
    ///
    /// # Panics
    /// Says what to install or to set when there is neither.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::given().unwrap_or_else(Self::start))
    }

    /// A private cluster, for tests that stop or pause PostgreSQL.
    ///
    /// # Panics
    /// Says what to install when there are no server programs.
    pub fn start() -> Self {
        let home = Home::new();
        initialize(&home.data());
        let cluster = Self(Kind::Private(Postmaster::start(home)));
        cluster.administer(&format!("CREATE ROLE {ROLE} LOGIN CREATEDB"));
        cluster
    }

    fn given() -> Option<Self> {
        let url = std::env::var("TEST_POSTGRES_URL").ok()?;
        if url.is_empty() {
            return None;
        }
        let guard = drop_databases_in_the_end(&url);
        Some(Self(Kind::Given(Given { url, guard })))
    }

    /// Makes an empty database and tells its URL. It goes with the test process.
    pub fn database(&self) -> String {
        let name = format!("muster_test_{}", Uuid::new_v4().simple());
        if let Kind::Given(given) = &self.0 {
            given.guard.tell(&name);
        }
        sql(&self.meeting_place(), &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The database of this URL on this server, where a replica has it too.
    pub fn here(&self, database_url: &str) -> String {
        let name = split(database_url).1;
        self.url(name)
    }

    /// Runs a statement as superuser, in the database `postgres`.
    ///
    /// # Panics
    /// When it fails, and on a server that is not private.
    pub fn administer(&self, statement: &str) -> String {
        let port = self.postmaster().port();
        let url = format!("postgres://{SUPERUSER}@127.0.0.1:{port}/postgres");
        sql(&url, statement)
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.postmaster().folder()
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.postmaster().pid()
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        self.postmaster().log()
    }

    /// Ends all its processes at once, as a crash does (SIGKILL).
    pub fn kill(&self) {
        self.postmaster().kill();
    }

    /// Stops it in an orderly way.
    ///
    /// # Panics
    /// When it still runs after [`PATIENCE`].
    pub fn stop(&self, how: Stop) {
        self.postmaster().stop(how);
    }

    /// Starts it on the same files and port after [`Cluster::kill`] or
    /// [`Cluster::stop`], and waits until it answers.
    pub fn start_again(&self) {
        self.postmaster().start_again();
    }

    /// Freezes all its processes (SIGSTOP): connections stay open, and nobody
    /// answers.
    pub fn pause(&self) {
        self.postmaster().pause();
    }

    /// Lets it go on after [`Cluster::pause`].
    pub fn resume(&self) {
        self.postmaster().resume();
    }

    /// A streaming replica of this cluster, which serves reads.
    pub fn replica(&self) -> Self {
        let home = Home::new();
        let port = self.postmaster().port();
        let primary = format!("postgres://{SUPERUSER}@127.0.0.1:{port}");
        let arguments = [
            "--dbname",
            &primary,
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
            "--pgdata",
        ];
        let mut backup = programs::server("pg_basebackup");
        backup.args(arguments).arg(home.data());
        if let Err(what) = programs::finish(backup) {
            panic!("no replica: {what}");
        }
        Self(Kind::Private(Postmaster::start(home)))
    }

    /// Lets a replica fall behind: what comes from the primary is kept and not
    /// shown.
    pub fn pause_replay(&self) {
        self.administer("SELECT pg_wal_replay_pause()");
        soon::wait_until("the replay to pause", || {
            self.administer("SELECT pg_get_wal_replay_pause_state()") == "paused"
        });
    }

    /// Lets a replica go on after [`Cluster::pause_replay`].
    pub fn resume_replay(&self) {
        self.administer("SELECT pg_wal_replay_resume()");
    }

    /// Waits until this replica shows all that the primary has written by now.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`].
    pub fn catch_up(&self, primary: &Self) {
        let written = primary.administer("SELECT pg_current_wal_lsn()");
        let shown = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        soon::wait_until("the replica", || self.administer(&shown) == "t");
    }

    #[track_caller]
    fn postmaster(&self) -> &Postmaster {
        match &self.0 {
            Kind::Private(postmaster) => postmaster,
            Kind::Given(_) => panic!("not ours: only Cluster::start() gives a server to play with"),
        }
    }

    /// A database that is there before any other.
    fn meeting_place(&self) -> String {
        match &self.0 {
            Kind::Private(_) => self.url("postgres"),
            Kind::Given(given) => given.url.clone(),
        }
    }

    fn url(&self, database: &str) -> String {
        match &self.0 {
            Kind::Private(postmaster) => {
                let port = postmaster.port();
                format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{database}")
            }
            Kind::Given(given) => {
                let (server, _, parameters) = split(&given.url);
                format!("{server}/{database}{parameters}")
            }
        }
    }
}

/// Runs statements on a database, as the user of the URL. Gives the rows, one a
/// line, their columns separated by `|`.
///
/// # Panics
/// With PostgreSQL's words when one of them fails.
#[track_caller]
pub fn sql(database_url: &str, statements: &str) -> String {
    let mut psql = programs::client("psql");
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set", "ON_ERROR_STOP=1", "--dbname", database_url])
        .args(["--command", statements]);
    match programs::finish(psql) {
        Ok(rows) => rows.trim_end().to_owned(),
        Err(what) => panic!("{statements}: {what}"),
    }
}

/// What stands before the database's name in a URL, the name, and the
/// parameters behind it with their `?`.
fn split(url: &str) -> (&str, &str, &str) {
    let (rest, parameters) = url.split_at(url.find('?').unwrap_or(url.len()));
    let host = rest.find("://").map_or(0, |at| at + 3);
    let slash = rest[host..].find('/').map_or(rest.len(), |at| host + at);
    let (server, name) = rest.split_at(slash);
    (server, name.trim_start_matches('/'), parameters)
}

/// Makes the files of a cluster.
fn initialize(data: &Path) {
    let mut failures = Vec::new();
    for locale in LOCALES {
        let mut initdb = programs::server("initdb");
        // The files survive the processes all the same, and nobody's power fails.
        initdb
            .args(["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8"])
            .args(["--no-sync", "--pgdata"])
            .arg(data)
            .args(locale);
        match programs::finish(initdb) {
            Ok(_) => return configure(data),
            Err(what) => failures.push(what),
        }
    }
    panic!("no cluster: {failures:#?}");
}

fn configure(data: &Path) {
    let file = data.join("postgresql.conf");
    let mut text = fs::read_to_string(&file).expect("initdb wrote it");
    text.push_str(CONFIGURATION);
    fs::write(file, text).expect("it is writable");
}

/// Removes the databases whose names the guard is told.
fn drop_databases_in_the_end(url: &str) -> Guard {
    const SCRIPT: &str = r#"
        while read -r name; do
            names="$names $name"
        done
        for name in $names; do
            "$1" --no-psqlrc --dbname "$2" --command "DROP DATABASE IF EXISTS $name WITH (FORCE)"
        done"#;
    let psql = programs::client("psql");
    Guard::new(SCRIPT, &[psql.get_program(), url.as_ref()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: (&str, &str, &str)) {
        assert_eq!(split(url), expected, "{url}");
    }

    #[test]
    fn urls_are_split_at_the_name_of_the_database() {
        check("postgres://h/a", ("postgres://h", "a", ""));
        check("postgres://h", ("postgres://h", "", ""));
        check("postgres://h/", ("postgres://h", "", ""));
        check(
            "postgresql://u:p@h:1/a?sslmode=disable",
            ("postgresql://u:p@h:1", "a", "?sslmode=disable"),
        );
        check(
            "postgres:///a?host=/run/postgresql",
            ("postgres://", "a", "?host=/run/postgresql"),
        );
        check("postgres://h?user=u", ("postgres://h", "", "?user=u"));
    }
}
