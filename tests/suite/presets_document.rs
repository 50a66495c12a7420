//! `docs/presets.md` is whole: it has every key of a policy, each cell of the table of
//! systems has a test or a reason, and every test that it names is there.

use std::{collections::BTreeSet, fs};

use muster_tests::binary::workspace;

/// What stands in the place of a test where there can be none, before the reason.
const NO_TEST: &str = "None: ";

/// Rows in which Entra or the operator acts, and muster has no part.
const ROWS_OF_OTHERS: [&str; 4] = ["Who manages it", "Cadence", "Scope", "Single sign-on"];

/// Why there is nothing to show elsewhere.
const REASONS: [&str; 5] = [
    "the guide ",
    "there are no ",
    "all are kept",
    "plans limit",
    "the same, the guide ",
];

/// Where the keys of a policy are declared.
const DECLARATIONS: [(&str, &str); 3] = [
    ("directory/src/domain/policy/mod.rs", "Policy"),
    ("directory/src/domain/policy/mod.rs", "GroupRole"),
    ("directory/src/domain/policy/guard.rs", "Guard"),
];

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).expect("the file is there")
}

fn document() -> String {
    read("docs/presets.md")
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The public fields of a struct.
fn fields(path: &str, name: &str) -> BTreeSet<String> {
    let text = read(path);
    let head = format!("pub struct {name} {{\n");
    let (_, body) = text.split_once(&head).expect("the struct is there");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let fields = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub "));
    let names = fields.filter_map(|field| Some(field.split_once(':')?.0.to_owned()));
    names.collect()
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

#[test]
fn every_key_is_explained_and_no_other() {
    let text = document();
    let (_, reference) = text.split_once("\n## Reference").expect("a reference");
    let rows = reference
        .lines()
        .filter_map(cells)
        .filter(|row| row.len() == 6);
    let mut explained = BTreeSet::new();
    for row in rows {
        assert!(!row[1].is_empty() && !row[2].is_empty(), "{row:?}");
        if let Some(key) = quoted(row[0]).next() {
            assert!(explained.insert(key.to_owned()), "{key} is explained twice");
        }
    }
    let declared = |(path, name)| fields(path, name);
    let [policy, role, guard] = DECLARATIONS.map(declared);
    assert!(policy.len() > 20, "{policy:?}");
    let tables: BTreeSet<_> = policy.union(&guard).cloned().collect();
    assert_eq!(explained, tables);
    // The parts of a role are explained in its row.
    for part in role {
        assert!(reference.contains(&format!("`{part}`: ")), "{part}");
    }
}

#[test]
fn every_cell_has_a_test_or_a_reason() {
    let text = document();
    let (_, table) = text.split_once("\n## Five systems").expect("a table");
    let (table, _) = table.split_once("\n## ").expect("it ends");
    let rows: Vec<_> = table.lines().filter_map(cells).skip(2).collect();
    assert!(rows.len() > 25, "{} rows", rows.len());
    for row in rows {
        assert_eq!(row.len(), 6, "{row:?}");
        for cell in row.iter().skip(1) {
            let has_test = quoted(cell).any(|name| name.contains("::"));
            let reason = cell.strip_prefix(NO_TEST);
            let is_entras = ROWS_OF_OTHERS.contains(&row[0]);
            let is_silent = |why: &str| REASONS.iter().any(|reason| why.starts_with(reason));
            let has_reason = reason.is_some_and(|why| is_entras || is_silent(why));
            assert!(has_test || has_reason, "{}: {cell}", row[0]);
        }
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let text = document();
    let names = quoted(&text).filter_map(|name| name.split_once("::"));
    let mut missing = BTreeSet::new();
    for (module, function) in names {
        let path = workspace().join(format!("tests/suite/presets/{module}.rs"));
        let tests = fs::read_to_string(path).unwrap_or_default();
        if !tests.contains(&format!("#[test]\nfn {function}() {{")) {
            missing.insert(format!("{module}::{function}"));
        }
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}
