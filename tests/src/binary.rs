//! Finds the `muster` binary under test.
//!
//! `MUSTER_BIN` names it, for runs against an installed build. Otherwise it is
//! built once from this workspace, in the profile of the running test binary.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// `None` if it does not build: hundreds of tests need not find out again.
static MUSTER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The binary under test, built on the first call unless `MUSTER_BIN` names it.
pub fn muster() -> &'static Path {
    of_profile(&profile_folder())
}

/// The release binary, whatever the profile of the caller.
pub fn muster_release() -> &'static Path {
    of_profile(&profile_folder().with_file_name("release"))
}

fn of_profile(folder: &Path) -> &'static Path {
    let binary = MUSTER.get_or_init(|| named().or_else(|| build(folder)));
    binary.as_deref().expect("the muster binary builds")
}

fn named() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("MUSTER_BIN")?);
    assert!(
        path.is_file(),
        "MUSTER_BIN names no file: {}",
        path.display()
    );
    Some(path)
}

/// `target/<profile>` of the running binary.
fn profile_folder() -> PathBuf {
    let binary = std::env::current_exe().expect("a process knows its binary");
    let mut folder = binary.parent().expect("a binary lies in a folder");
    if folder.ends_with("deps") {
        folder = folder.parent().expect("deps lies in a profile's folder");
    }
    folder.to_owned()
}

fn build(profile_folder: &Path) -> Option<PathBuf> {
    let name = profile_folder.file_name().and_then(|n| n.to_str());
    let profile = match name.expect("a profile has a name") {
        "debug" => "dev",
        other => other,
    };
    let target = profile_folder.parent().expect("a profile lies in target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace())
        .args(["build", "--quiet", "--bin", "muster", "--profile", profile])
        .arg("--target-dir")
        .arg(target);
    if profile == "dev" {
        // The features of `cargo test --workspace`, so that nothing but the
        // binary itself is left to compile.
        cargo.args(["--workspace", "--tests"]);
    } else {
        // What an operator builds.
        cargo.args(["--package", "muster"]);
    }
    let status = cargo.status().expect("cargo starts");
    let binary = profile_folder.join(format!("muster{}", std::env::consts::EXE_SUFFIX));
    status.success().then_some(binary)
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}
