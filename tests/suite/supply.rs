//! Where the dependencies come from, under which licence, and what is known
//! against them. Works from the lock file and from what cargo has at hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use muster_tests::binary::workspace;
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::Value;

/// Licences that fit a program under Apache-2.0. `deny.toml` has the same list.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that bring a TLS stack of their own.
const TLS_STACKS: &[&str] = &["boring", "native-tls", "openssl", "rustls", "s2n-tls"];

/// Crates of which the shipped binary holds two versions, and why.
const TWICE: &[(&str, &str)] = &[
    ("block-buffer", "with digest"),
    ("cpufeatures", "with sha2"),
    ("crypto-common", "with digest"),
    ("digest", "with sha2"),
    (
        "getrandom",
        "metrics-util draws with rand 0.9, which uses 0.3",
    ),
    (
        "hashbrown",
        "dashmap uses 0.14, sqlx-core and metrics-util 0.16, indexmap 0.17",
    ),
    ("heck", "derive macros of sea-orm use 0.4, at build time"),
    (
        "itertools",
        "sea-orm uses 0.14, prost-derive 0.15 at build time",
    ),
    ("rand", "metrics-util uses 0.9, sqlx-postgres 0.10"),
    ("rand_core", "with rand"),
    ("sha2", "sqlx-core uses 0.10, we use 0.11"),
    (
        "syn",
        "derive macros move from 2 to 3 one by one, at build time",
    ),
    ("untrusted", "aws-lc-rs uses 0.7, rustls-webpki 0.9"),
];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Version,
    source: Option<String>,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct Advisories {
    advisory: Vec<Advisory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    id: String,
    #[serde(rename = "crate")]
    name: String,
    safe: Vec<VersionReq>,
}

impl Advisory {
    fn affects(&self, version: &Version) -> bool {
        !self.safe.iter().any(|safe| safe.matches(version))
    }
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let text = fs::read_to_string(workspace().join(file)).expect("the file");
    match toml::from_str(&text) {
        Ok(value) => value,
        Err(e) => panic!("{file}: {e}"),
    }
}

#[test]
fn no_locked_crate_has_a_known_advisory() {
    let lock: Lock = read("Cargo.lock");
    let advisories: Advisories = read("tests/advisories.toml");
    assert!(advisories.advisory.len() > 50, "the list is there");
    let mut found = Vec::new();
    for advisory in &advisories.advisory {
        assert!(advisory.id.starts_with("RUSTSEC-"), "{}", advisory.id);
        for package in lock.package.iter().filter(|p| p.name == advisory.name) {
            if advisory.affects(&package.version) {
                found.push(format!(
                    "{} {}: {}",
                    package.name, package.version, advisory.id
                ));
            }
        }
    }
    assert!(found.is_empty(), "affected: {found:#?}");
}

#[test]
fn an_advisory_affects_what_no_safe_requirement_covers() {
    let safe = ["<1.0.0", ">=1.2.3, <1.3.0", ">=1.4.1"];
    let advisory = Advisory {
        id: "RUSTSEC-0000-0000".to_owned(),
        name: "x".to_owned(),
        safe: safe
            .iter()
            .map(|s| s.parse().expect("a requirement"))
            .collect(),
    };
    let affected = |version: &str| advisory.affects(&version.parse().expect("a version"));
    for (version, expected) in [
        ("0.9.0", false),
        ("1.0.0", true),
        ("1.2.2", true),
        ("1.2.9", false),
        ("1.3.0", true),
        ("1.4.0", true),
        ("1.4.1", false),
    ] {
        assert_eq!(affected(version), expected, "{version}");
    }
}

#[test]
fn every_crate_comes_from_the_registry_with_a_checksum() {
    let lock: Lock = read("Cargo.lock");
    for package in lock.package {
        let Some(source) = &package.source else {
            let name = package.name.as_str();
            let ours = name.starts_with("muster") || ["scim-facade", "sso-example"].contains(&name);
            assert!(ours, "{} has no source", package.name);
            continue;
        };
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        assert_eq!(source, registry, "{}", package.name);
        assert!(
            package.checksum.is_some(),
            "{} has no checksum",
            package.name
        );
    }
}

/// As far as cargo's own copy of the index reaches; without one there is
/// nothing to look into, and `cargo deny` asks the registry itself.
#[test]
fn no_locked_crate_is_known_to_be_yanked() {
    let lock: Lock = read("Cargo.lock");
    let Some(indexes) = index_folders() else {
        return;
    };
    for package in lock.package.iter().filter(|p| p.source.is_some()) {
        for index in &indexes {
            let Ok(bytes) = fs::read(index.join(index_path(&package.name))) else {
                continue;
            };
            let wanted = package.version.to_string();
            let entries = bytes.split(|b| *b == 0);
            let entries = entries.filter_map(|e| serde_json::from_slice::<Value>(e).ok());
            for entry in entries.filter(|e| e["vers"] == wanted.as_str()) {
                assert_ne!(entry["yanked"], true, "{} {wanted}", package.name);
            }
        }
    }
}

fn index_folders() -> Option<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|h| h.join(".cargo")))?;
    let entries = fs::read_dir(home.join("registry/index")).ok()?;
    Some(entries.flatten().map(|e| e.path().join(".cache")).collect())
}

/// Where the index keeps a crate.
fn index_path(name: &str) -> PathBuf {
    let name = name.to_lowercase();
    match name.len() {
        1 | 2 => PathBuf::from(name.len().to_string()).join(&name),
        3 => PathBuf::from("3").join(&name[..1]).join(&name),
        _ => PathBuf::from(&name[..2]).join(&name[2..4]).join(&name),
    }
}

#[test]
fn every_licence_is_allowed() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "the graph is there");
    let mut refused = BTreeMap::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        if !allows(licence) {
            let name = format!("{} {}", package["name"], package["version"]);
            refused.insert(name, licence.to_owned());
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// The packages that this machine's build may hold.
fn metadata() -> Value {
    let host = cargo(&["-vV"]);
    let host = host.lines().find_map(|l| l.strip_prefix("host: "));
    let host = host.expect("cargo knows its host");
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        host,
    ];
    serde_json::from_str(&cargo(&arguments)).expect("JSON")
}

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .current_dir(workspace())
        .args(arguments)
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Whether an SPDX expression can be met with the allowed licences. The old
/// `/` means `OR`; `AND` binds tighter than `OR`. Crates use brackets only as
/// in `(A OR B) AND C`, where every term of the `AND` stands for itself.
fn allows(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    if expression.contains('(') {
        return plain.split(" AND ").all(any_of);
    }
    plain
        .split(" OR ")
        .any(|all| all.split(" AND ").all(one_of))
}

fn any_of(alternatives: &str) -> bool {
    alternatives.split(" OR ").any(one_of)
}

fn one_of(licence: &str) -> bool {
    LICENCES.contains(
        &licence
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .as_str(),
    )
}

#[test]
fn licence_expressions_are_read_as_they_mean() {
    for fine in [
        "MIT",
        "MIT OR GPL-3.0",
        "MIT/Apache-2.0",
        "Apache-2.0 / MIT",
        "MIT AND BSD-3-Clause",
        "GPL-3.0 OR MIT AND ISC",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    ] {
        assert!(allows(fine), "{fine}");
    }
    for not in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND AGPL-3.0",
        "none",
        "",
    ] {
        assert!(!allows(not), "{not}");
    }
}

/// Names of what the shipped binary is made of, each with its versions.
fn shipped() -> BTreeMap<String, BTreeSet<String>> {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package",
        "muster",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let versions = crates.entry(name.to_owned()).or_default();
            versions.insert(version.to_owned());
        }
    }
    crates
}

#[test]
fn the_binary_holds_one_tls_stack_at_most() {
    let shipped = shipped();
    let stacks: Vec<_> = TLS_STACKS
        .iter()
        .filter(|s| shipped.contains_key(**s))
        .collect();
    assert!(stacks.len() <= 1, "{stacks:?}");
}

/// With a second one, rustls would not know which to take, and panic.
#[test]
fn the_binary_holds_one_crypto_provider() {
    let shipped = shipped();
    assert!(shipped.contains_key("aws-lc-rs"));
    assert!(!shipped.contains_key("ring"));
}

#[test]
fn no_crate_is_shipped_twice_without_a_cause() {
    let shipped = shipped();
    assert!(shipped.len() > 50, "the graph is there");
    for (name, versions) in shipped.iter().filter(|(_, v)| v.len() > 1) {
        let known = TWICE.iter().any(|(twice, _)| twice == name);
        assert!(known, "{name} in {versions:?}: unify it, or name the cause");
    }
    for (name, _) in TWICE {
        let twice = shipped
            .get(*name)
            .is_some_and(|versions| versions.len() > 1);
        assert!(
            twice,
            "{name} is shipped once by now: strike it from the list"
        );
    }
}
