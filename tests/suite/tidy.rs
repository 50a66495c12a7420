//! What the architecture says of the sources, read from the sources.
//!
//! Each rule is an absence: a word that stands nowhere but in named places.

use std::{
    fs,
    path::{Path, PathBuf},
};

use muster_tests::binary::workspace;

/// Longer files have two subjects.
const LINE_LIMIT: usize = 600;

struct Source {
    /// From the root of the workspace, with slashes.
    path: String,
    text: String,
}

/// Every Rust file under a folder of the workspace.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&workspace().join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has no sources");
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(workspace()).expect("below the root");
            Source {
                path: path.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&file).expect("a text file"),
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The lines that are code: neither comments nor documentation.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.split(" // ").next().unwrap_or(line)))
}

/// Asserts that none of the words is in the code of a folder, but for files
/// whose path starts with one of `places`.
#[track_caller]
fn assert_absent(folder: &str, words: &[&str], places: &[&str]) {
    let mut found = Vec::new();
    for source in sources(folder) {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in code(&source.text) {
            for word in words.iter().filter(|word| has_word(line, word)) {
                found.push(format!("{}:{number}: {word}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "out of place:\n  {}", found.join("\n  "));
}

/// Whether the word is in the line and not a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|l| l.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|l| l.chars().next());
        let goes_on = part_of_name(word.chars().next_back()) && part_of_name(after);
        !part_of_name(before) && !goes_on
    })
}

#[test]
fn the_facade_knows_neither_the_directory_nor_its_database() {
    let words = [
        "muster_directory",
        "muster_migrations",
        "sea_orm",
        "sqlx",
        "SELECT",
    ];
    assert_absent("scim-facade/src", &words, &[]);
}

#[test]
fn the_directory_knows_no_scim() {
    for source in sources("directory/src") {
        for (number, line) in code(&source.text) {
            for word in ["scimType", "urn:ietf:params:scim:api", "scim_facade"] {
                assert!(!line.contains(word), "{}:{number}: {word}", source.path);
            }
        }
    }
}

#[test]
fn the_database_is_spoken_to_in_storage_only() {
    for folder in [
        "directory/src",
        "scim-facade/src",
        "muster/src",
        "proto/src",
    ] {
        assert_absent(folder, &["sea_orm", "sqlx"], &["directory/src/storage"]);
    }
}

#[test]
fn tonic_stays_where_grpc_is_spoken() {
    assert_absent(
        "directory/src",
        &["tonic", "tonic_types", "tonic_health"],
        &[
            "directory/src/grpc",
            "directory/src/auth",
            "directory/src/server",
        ],
    );
    assert_absent(
        "scim-facade/src",
        &["tonic", "tonic_types", "tonic_health"],
        &[
            "scim-facade/src/translate",
            "scim-facade/src/client.rs",
            // They stand in for a directory.
            "scim-facade/src/http/tests",
        ],
    );
}

#[test]
fn other_issuers_are_met_in_one_place() {
    assert_absent(
        "directory/src",
        &["jsonwebtoken"],
        &["directory/src/signing"],
    );
    let client = ["hyper", "hyper_util", "hyper_rustls"];
    assert_absent("directory/src", &client, &["directory/src/issuers"]);
    // The socket's own certificates are looked at before tonic takes them.
    let tls = ["directory/src/issuers", "directory/src/server/tls.rs"];
    assert_absent("directory/src", &["rustls"], &tls);
    for folder in ["scim-facade/src", "muster/src", "proto/src"] {
        // The listener takes its timer from hyper_util.
        let server = ["scim-facade/src/server.rs"];
        assert_absent(folder, &["jsonwebtoken", "hyper_util", "rustls"], &server);
    }
}

#[test]
fn axum_stays_where_http_is_spoken() {
    assert_absent(
        "scim-facade/src",
        &["axum"],
        &["scim-facade/src/http", "scim-facade/src/server.rs"],
    );
    assert_absent("directory/src", &["axum"], &[]);
}

#[test]
fn the_domain_and_the_scim_language_are_pure() {
    let words = [
        "async",
        "await",
        "tokio",
        "SystemTime",
        "Instant::now",
        "now_utc",
        "now_v7",
        "new_v4",
        "getrandom",
        "std::fs",
        "std::net",
        "std::env",
        "println!",
    ];
    assert_absent("directory/src/domain", &words, &[]);
    assert_absent("scim-facade/src/scim", &words, &[]);
    assert_absent("proto/src/schema", &words, &[]);
}

#[test]
fn statuses_have_one_place_on_each_side() {
    // A gRPC code is chosen from a domain error in one file, and an HTTP
    // status from a reason in one file.
    assert_absent("directory/src/service", &["Status", "Code::"], &[]);
    assert_absent("directory/src/storage", &["Status", "Code::"], &[]);
}

#[test]
fn no_file_is_too_long() {
    let folders = [
        "proto",
        "migrations",
        "directory",
        "scim-facade",
        "client",
        "muster",
        "tests",
    ];
    for source in folders.into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        assert!(lines <= LINE_LIMIT, "{}: {lines} lines", source.path);
    }
}

#[test]
fn every_file_says_what_lives_in_it() {
    let folders = [
        "proto/src",
        "migrations/src",
        "directory/src",
        "scim-facade/src",
        "client",
        "muster/src",
        "tests",
    ];
    let silent: Vec<String> = folders
        .into_iter()
        .flat_map(sources)
        // The tests of the module beside them.
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(
        silent.is_empty(),
        "without module documentation: {silent:#?}"
    );
}

#[test]
fn unsafe_is_forbidden_everywhere() {
    let root = fs::read_to_string(workspace().join("Cargo.toml")).expect("the root manifest");
    assert!(root.contains("unsafe_code = \"forbid\""));
    for member in [
        "proto",
        "migrations",
        "directory",
        "scim-facade",
        "client",
        "muster",
        "tests",
    ] {
        let manifest = workspace().join(member).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(manifest)
            .expect("a manifest")
            .parse()
            .expect("TOML");
        let inherits = manifest.get("lints").and_then(|l| l.get("workspace"));
        assert_eq!(
            inherits.and_then(toml::Value::as_bool),
            Some(true),
            "{member}"
        );
    }
}

#[test]
fn crates_depend_along_the_arrows_only() {
    let allowed: [(&str, &[&str]); 5] = [
        ("proto", &[]),
        ("migrations", &[]),
        ("directory", &["muster-proto", "muster-migrations"]),
        ("scim-facade", &["muster-proto"]),
        // The directory is there for the feature `testing` alone: see below. Its own
        // tests are those of a user of that feature.
        (
            "client",
            &["muster-proto", "muster-directory", "muster-client"],
        ),
    ];
    let ours = [
        "muster",
        "muster-proto",
        "muster-migrations",
        "muster-directory",
        "muster-client",
        "scim-facade",
        "muster-tests",
    ];
    for (member, arrows) in allowed {
        let manifest = workspace().join(member).join("Cargo.toml");
        let text = fs::read_to_string(manifest).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let names = manifest.get(section).and_then(toml::Value::as_table);
            for name in names.into_iter().flat_map(|table| table.keys()) {
                let fits = !ours.contains(&name.as_str()) || arrows.contains(&name.as_str());
                assert!(fits, "{member} must not depend on {name}");
            }
        }
    }
}

#[test]
fn the_client_knows_the_directory_in_its_test_kit_only() {
    let words = ["muster_directory", "muster_migrations", "sea_orm", "sqlx"];
    assert_absent("client/src", &words, &["client/src/testing.rs"]);
    let manifest = workspace().join("client/Cargo.toml");
    let text = fs::read_to_string(manifest).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("TOML");
    let optional = &manifest["dependencies"]["muster-directory"]["optional"];
    assert_eq!(optional.as_bool(), Some(true));
    let features = manifest["features"].as_table().expect("features");
    let with: Vec<_> = features
        .iter()
        .filter(|(_, parts)| format!("{parts:?}").contains("muster-directory"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(with, ["testing"]);
    assert!(
        !text.contains("default ="),
        "nothing but the contract by default"
    );
}

#[test]
fn words_are_found_whole() {
    assert!(has_word("use tonic::Status;", "tonic"));
    assert!(!has_word("let tectonic = 1;", "tonic"));
    assert!(!has_word("use tonic_types::X;", "tonic"));
    assert!(has_word("Code::NotFound", "Code::"));
    assert!(!has_word("StatusCode::OK", "Code::"));
}
