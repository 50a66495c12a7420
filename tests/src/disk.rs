//! Disks that are full or may not be written.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

use crate::{binary, engine::Engine, guard::Guard, server::Launch, server::Server};

/// A small disk of a test's own; dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    // Unmounted before the folder goes.
    _guard: Guard,
    _home: TempDir,
}

impl Disk {
    /// A disk of this many MiB; `None`, with the reason on standard error, where
    /// only root may mount one.
    pub fn mount(mib: u32) -> Option<Self> {
        let home = tempfile::Builder::new().prefix("muster-disk-").tempdir();
        let home = home.expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "muster-tests"]);
        let output = mount.arg(home.path()).output().expect("mount is there");
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            eprintln!("left out, no disk can be mounted: {why}");
            return None;
        }
        const SCRIPT: &str = r#"cat >/dev/null; umount -l "$1"; rmdir "$1""#;
        Some(Self {
            folder: home.path().to_owned(),
            _guard: Guard::new(SCRIPT, &[home.path().as_os_str()]),
            _home: home,
        })
    }

    /// Its only folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lets nobody write.
    #[track_caller]
    pub fn set_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(&self.folder);
        assert!(mount.status().is_ok_and(|status| status.success()));
    }

    /// Leaves no space.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.ballast()).expect("a file");
        for size in [65_536, 4_096, 1] {
            let block = vec![0; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Takes back what [`Disk::fill`] did.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

/// A server on a new SQLite file that meets limits of its process as errors of
/// the disk; `shell` is run before it. The folder holds what that needs.
pub fn limited(folder: &Path, shell: &str) -> Launch {
    let script = folder.join("limited");
    let muster = binary::muster().display();
    let text = format!("#!/bin/sh\ntrap '' XFSZ\n{shell}\nexec '{muster}' \"$@\"\n");
    fs::write(&script, text).expect("a writable folder");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&script, everybody).expect("our file");
    Launch::of(&script, Engine::Sqlite)
}

/// Lets a [`limited`] server write nothing to files any more, or all.
pub fn let_write(server: &Server, may: bool) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: (!may).then_some(0),
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).expect("our own process");
}
