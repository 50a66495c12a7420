//! PostgreSQL's programs: where they are, and as whom they run.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// What a folder must hold to be a server's.
const SERVER: &[&str] = &["postgres", "initdb", "pg_basebackup", "pg_isready", "psql"];
const CLIENT: &[&str] = &["psql"];

/// Where Debian keeps them, by version, and out of `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

const REMEDY: &str = "\
Half of the tests run on PostgreSQL. One of these is needed:
  * its server programs on PATH or in /usr/lib/postgresql (Debian: `apt-get install postgresql`);
  * TEST_POSTGRES_URL=postgres://USER:PASSWORD@HOST:PORT/DATABASE, whose user may CREATE DATABASE,
    and psql (Debian: `apt-get install postgresql-client`);
  * SKIP_POSTGRES=1, to leave these tests out.";

/// A server program, which refuses to be run by root: then it runs as another.
pub(super) fn server(name: &str) -> Command {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| find(SERVER));
    let mut command = command(folder.as_deref(), name, SERVER);
    if let Some((user, group)) = unprivileged() {
        // This drops root's further groups, too.
        command.uid(user).gid(group);
    }
    command
}

/// A program that speaks to a server.
pub(super) fn client(name: &str) -> Command {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    // Debian's psql on PATH is a wrapper, which a server's own folder spares us.
    let folder = FOLDER.get_or_init(|| find(SERVER).or_else(|| find(CLIENT)));
    command(folder.as_deref(), name, CLIENT)
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// What it said, when it failed.
pub(super) fn finish(mut command: Command) -> Result<String, String> {
    let output = command.output();
    let output = output.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let program = Path::new(command.get_program());
    Err(format!("{}: {}", program.display(), said.trim()))
}

/// Gives a folder to the user as whom the server runs.
pub(super) fn hand_over(folder: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(folder, Some(user), Some(group)).expect("root may give away");
    }
}

fn command(folder: Option<&Path>, name: &str, wanted: &[&str]) -> Command {
    let Some(folder) = folder else {
        panic!("Found no folder with {}.\n{REMEDY}", wanted.join(", "));
    };
    let mut command = Command::new(folder.join(name));
    // The caller's habits must not decide where and as whom it connects.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
        .env("PGCONNECT_TIMEOUT", "30")
        // Another user may not enter the caller's folder.
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// The first folder that holds all of these.
fn find(wanted: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter_map(|folder| {
        // Links to a few of the programs lead to the folder of all of them.
        let program = folder.join(wanted.first()?);
        Some(program.canonicalize().ok()?.parent()?.to_owned())
    });
    let plain = std::env::split_paths(&path);
    on_path
        .chain(plain)
        .chain(debian())
        .find(|folder| wanted.iter().all(|name| folder.join(name).is_file()))
}

/// Debian's folders, the newest version first.
fn debian() -> Vec<PathBuf> {
    let entries = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, bin)| bin).collect()
}

/// User and group for server programs when we are root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a system with users");
    let found = ["postgres", "nobody"].iter().find_map(|n| ids(&users, n));
    Some(found.expect("a user other than root: postgres, or nobody"))
}

/// The ids of a user, as in `/etc/passwd`.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next()? == name;
        let mut fields = is_it.then_some(fields)?.skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_ids() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:n:/:/bin/false\n";
        assert_eq!(ids(users, "nobody"), Some((65534, 65533)));
        assert_eq!(ids(users, "postgres"), None);
    }
}
