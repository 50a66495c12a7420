//! The folder of a private cluster, which goes with what lives in it.

use std::path::{Path, PathBuf};

use super::programs;
use crate::guard::Guard;

/// Ends the last postmaster it was told of, none if that line was empty, and
/// removes the folder. SIGQUIT lets PostgreSQL give back shared memory.
const SCRIPT: &str = r#"
    pid=
    while read -r line; do
        pid=$line
    done
    if [ -n "$pid" ]; then
        kill -QUIT "$pid"
        kill -CONT "$pid"
        turns=100
        while [ $turns -gt 0 ] && kill -0 "$pid"; do
            turns=$((turns - 1))
            sleep 0.1
        done
        kill -KILL "$pid"
    fi
    # Whoever still fills it stops when much of it is gone.
    rm -rf "$1" || { sleep 1; rm -rf "$1"; }"#;

/// A temporary folder; dropping it ends what runs in it.
#[derive(Debug)]
pub(super) struct Home {
    folder: PathBuf,
    guard: Guard,
}

impl Home {
    /// An empty folder, which the user of the server may enter.
    pub(super) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("muster-postgres-")
            .tempdir();
        // From here on the guard removes it.
        let folder = folder.expect("a temporary folder").keep();
        let guard = Guard::new(SCRIPT, &[folder.as_os_str()]);
        programs::hand_over(&folder);
        Self { folder, guard }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `initdb` makes.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server prints.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Tells the guard which postmaster runs here by now.
    pub(super) fn runs(&self, postmaster: Option<u32>) {
        let process = postmaster.map(|id| id.to_string());
        self.guard.tell(&process.unwrap_or_default());
    }
}
