//! `docs/conformance.md` is whole: no cell of its tables is empty, and every
//! test that it names is there.

use std::{collections::BTreeSet, fs, path::Path};

use muster_tests::binary::workspace;

/// What stands in the place of a test where there can be none, before the
/// reason.
const NO_TEST: &str = "None: ";
/// The column of tests.
const TEST: usize = 4;

/// A row of a table.
struct Row {
    line: usize,
    cells: Vec<String>,
}

fn document() -> String {
    let path = workspace().join("docs/conformance.md");
    fs::read_to_string(path).expect("the document is there")
}

/// The rows of all tables that have a column of tests, without heads.
fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for (number, line) in text.lines().enumerate() {
        let Some(inner) = line.trim().strip_prefix('|') else {
            in_table = false;
            continue;
        };
        let inner = inner.strip_suffix('|').unwrap_or(inner);
        let cells: Vec<String> = inner.split('|').map(|c| c.trim().to_owned()).collect();
        let is_rule = cells
            .iter()
            .all(|c| !c.is_empty() && c.chars().all(|c| c == '-'));
        if in_table && !is_rule {
            let line = number + 1;
            rows.push(Row { line, cells });
        }
        in_table = true;
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The files in which a test of this name may be, and the test's function.
fn function_of(name: &str) -> Option<(Vec<String>, &str)> {
    let (module, function) = name.rsplit_once("::")?;
    let path = module.replace("::", "/");
    let places = vec![
        format!("tests/suite/{path}.rs"),
        format!("tests/suite/{path}/mod.rs"),
    ];
    Some((places, function))
}

fn defines(text: &str, function: &str) -> bool {
    text.contains(&format!("fn {function}("))
}

/// Whether a test of this name is in the suite or in a crate.
fn is_there(name: &str) -> bool {
    let Some((places, function)) = function_of(name) else {
        return false;
    };
    let in_suite = places.iter().any(|place| {
        let text = fs::read_to_string(workspace().join(place));
        text.is_ok_and(|text| defines(&text, function))
    });
    in_suite || is_in_crate(name, function)
}

/// Whether a crate's sources have the test: `scim-facade: scim::path::name`
/// is written `scim_facade::scim::path::name`.
fn is_in_crate(name: &str, function: &str) -> bool {
    let member = name
        .split("::")
        .next()
        .unwrap_or_default()
        .replace('_', "-");
    let sources = workspace().join(member).join("src");
    sources.is_dir() && folder_defines(&sources, function)
}

fn folder_defines(folder: &Path, function: &str) -> bool {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return folder_defines(&path, function);
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        defines(&text, function)
    })
}

#[test]
fn no_cell_is_empty() {
    for Row { line, cells } in rows(&document()) {
        for cell in cells {
            assert!(!cell.is_empty(), "docs/conformance.md:{line}");
        }
    }
}

#[test]
fn every_requirement_has_a_test_or_a_reason() {
    let text = document();
    let requirements = text
        .split("\n## Accents of clients")
        .next()
        .unwrap_or_default();
    let rows = rows(requirements);
    assert!(rows.len() > 200, "{} lines", rows.len());
    for Row { line, cells } in rows {
        assert_eq!(cells.len(), TEST + 1, "docs/conformance.md:{line}");
        let cell = &cells[TEST];
        let has_test = quoted(cell).any(|name| name.contains("::"));
        let has_reason = cell
            .strip_prefix(NO_TEST)
            .is_some_and(|why| !why.is_empty());
        assert!(has_test || has_reason, "docs/conformance.md:{line}: {cell}");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut missing = BTreeSet::new();
    for Row { line, cells } in rows(&document()) {
        let cell = cells.last().map(String::as_str).unwrap_or_default();
        for name in quoted(cell).filter(|name| name.contains("::")) {
            if !is_there(name) {
                missing.insert((line, name.to_owned()));
            }
        }
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn names_of_tests_are_looked_up_where_they_say() {
    assert!(is_there("conformance_document::no_cell_is_empty"));
    assert!(!is_there("conformance_document::no_such_test"));
    assert!(!is_there("no_module::no_cell_is_empty"));
    assert!(!is_there("no_cell_is_empty"));
}
