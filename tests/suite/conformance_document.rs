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

/// Whether a test of this name is in the suite or in a crate: the modules are
/// where the name says, and the function is a test.
fn is_there(name: &str) -> bool {
    let modules: Vec<&str> = name.split("::").collect();
    let Some((function, modules)) = modules.split_last() else {
        return false;
    };
    let Some((first, below)) = modules.split_first() else {
        return false;
    };
    let member = workspace().join(first.replace('_', "-")).join("src");
    match member.is_dir() {
        true => holds(&member, &["lib.rs"], below, function),
        // What runs once, and what runs on every database.
        false => {
            let suite = workspace().join("tests/suite");
            holds(&suite, &["main.rs", "behaviour.rs"], modules, function)
        }
    }
}

/// Whether one of these files of a folder declares the first of the modules,
/// that one the next, and the last one the test.
fn holds(folder: &Path, files: &[&str], modules: &[&str], function: &str) -> bool {
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(folder.join(file)));
    let mut texts = texts.flatten();
    texts.any(|text| tests_in(&text, "", folder, modules, function))
}

/// The same of a module's text, whose lines stand so far to the right, and whose
/// modules have their files in this folder.
fn tests_in(text: &str, margin: &str, folder: &Path, modules: &[&str], function: &str) -> bool {
    let Some((module, below)) = modules.split_first() else {
        return is_test(text, margin, function);
    };
    let within = folder.join(module);
    if let Some(start) = line_of(text, &format!("mod {module} {{")) {
        let inner = text.get(start..).unwrap_or_default();
        return tests_in(inner, &format!("{margin}    "), &within, below, function);
    }
    if line_of(text, &format!("mod {module};")).is_none() {
        return false;
    }
    let places = [folder.join(format!("{module}.rs")), within.join("mod.rs")];
    let mut texts = places.iter().flat_map(fs::read_to_string);
    texts.any(|text| tests_in(&text, "", &within, below, function))
}

/// Where a line with this declaration ends, whoever may see what it declares.
fn line_of(text: &str, declaration: &str) -> Option<usize> {
    let mut end = 0;
    let mut lines = text.split_inclusive('\n');
    lines.find_map(|line| {
        end += line.len();
        let line = line.trim();
        let line = line.strip_prefix("pub").map_or(line, |rest| {
            let rest = rest.strip_prefix("(super)").unwrap_or(rest);
            rest.strip_prefix("(crate)").unwrap_or(rest).trim_start()
        });
        (line == declaration).then_some(end)
    })
}

/// Whether the text has this function, marked as a test that is not ignored.
fn is_test(text: &str, margin: &str, function: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let heads = ["", "async "].map(|before| format!("{margin}{before}fn {function}("));
    let defined = |line: &&str| heads.iter().any(|head| line.starts_with(head));
    let Some(at) = lines.iter().position(defined) else {
        return false;
    };
    let above = lines.iter().take(at).rev().map(|line| line.trim());
    let marks: Vec<&str> = above
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .collect();
    let marked = |mark: &str| marks.iter().any(|line| line.starts_with(mark));
    (marked("#[test]") || marked("#[tokio::test")) && !marked("#[ignore")
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
    for there in [
        "conformance_document::no_cell_is_empty",
        "conformance::errors::every_keyword_has_its_occasion",
        "scim_facade::scim::flavor::tests::names_are_unique",
        "scim_facade::scim::coerce::tests::accents_of_values",
        "scim_facade::scim::patch::tests::accents::of_values",
    ] {
        assert!(is_there(there), "{there}");
    }
    for absent in [
        "no_cell_is_empty",
        "conformance_document::no_such_test",
        "no_module::no_cell_is_empty",
        // In another module.
        "conformance::bulk::every_keyword_has_its_occasion",
        "errors::every_keyword_has_its_occasion",
        "scim_facade::scim::path::tests::names_are_unique",
        "scim_facade::scim::flavor::names_are_unique",
        "directory::scim::flavor::tests::names_are_unique",
        "scim_facade::names_are_unique",
        // No tests.
        "conformance_document::document",
        "conformance::errors::shaped",
        "scim_facade::scim::flavor::tests::accents",
    ] {
        assert!(!is_there(absent), "{absent}");
    }
}
