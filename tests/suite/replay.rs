//! Recorded requests of provisioning clients, replayed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use muster_tests::{
    binary::workspace,
    fixture::Case,
    oauth,
    replay::{self, Placeholders},
    tenant::Tenant,
};

#[test]
fn the_projects_own_cases_replay() {
    replay_folder(&workspace().join("tests/fixtures/entra"));
}

/// `MUSTER_CASES`: further folders of the same format, separated by colons.
#[test]
fn the_cases_of_other_folders_replay() {
    let folders: Vec<PathBuf> = std::env::var_os("MUSTER_CASES")
        .map(|folders| std::env::split_paths(&folders).collect())
        .unwrap_or_default();
    let folders: Vec<PathBuf> = folders
        .into_iter()
        .filter(|f| !f.as_os_str().is_empty())
        .collect();
    if folders.is_empty() {
        say("MUSTER_CASES names no folders: only the project's own cases were replayed");
    }
    for folder in folders {
        replay_folder(&folder);
    }
}

fn replay_folder(folder: &Path) {
    let summary = match replay::folder(super::server(), folder, &offered) {
        Ok(summary) => summary,
        Err(what) => panic!("{what}"),
    };
    for (case, reason) in &summary.excluded {
        say(&format!("excluded: {case}: {reason}"));
    }
    let failed = summary.failures.len();
    say(&format!(
        "replayed {} cases from {}{}",
        summary.replayed,
        folder.display(),
        if failed == 0 {
            String::new()
        } else {
            format!(", {failed} FAILED")
        }
    ));
    assert!(
        summary.failures.is_empty(),
        "{failed} of {} cases fail:\n  {}",
        summary.replayed,
        summary.failures.join("\n  ")
    );
}

/// What this server offers beyond a bearer.
fn offered(tenant: &Tenant, case: &Case) -> Placeholders {
    oauth::placeholders(super::server(), tenant, case)
}

/// Past the test runner's capture, so that a green run shows it too.
fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{line}");
}
