//! The file cannot be had, or is none.

use std::{fs, path::Path};

use muster_tests::{
    disk::{self, Disk},
    engine::Engine,
    postgres::PASSWORD,
    server::Launch,
};

use super::refuses;

fn at(path: &Path) -> Launch {
    Launch::at(&format!("sqlite://{}", path.display()))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_folder_is_no_database() {
    let folder = folder();
    refuses(&at(folder.path()), 1, "directory");
}

#[test]
fn a_path_through_a_file_leads_nowhere() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "text").expect("a writable folder");
    refuses(&at(&file.join("muster.db")), 1, "irectory");
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let folder = folder();
    let file = folder.path().join("letter.txt");
    let text = "Dear Sir or Madam, ".repeat(500);
    fs::write(&file, &text).expect("a writable folder");
    refuses(&at(&file), 1, "not a database");
    assert_eq!(fs::read_to_string(&file).expect("still there"), text);
}

#[test]
fn replicas_are_not_sqlites() {
    let url = format!("postgres://muster:{PASSWORD}@127.0.0.1:1/muster");
    let launch = Launch::on(Engine::Sqlite).arg("--replica-url").arg(url);
    refuses(&launch, 2, "SQLite has no replicas");
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let Some(disk) = Disk::mount(4) else {
        return;
    };
    let path = disk.folder().join("muster.db");
    disk.set_read_only();
    refuses(&at(&path), 1, "Read-only file system");
}

#[test]
fn a_database_that_may_not_be_written_is_named() {
    let Some(disk) = Disk::mount(16) else {
        return;
    };
    let launch = at(&disk.folder().join("muster.db"));
    assert_eq!(launch.start().stop().status.code(), Some(0));
    disk.set_read_only();
    refuses(&launch, 1, "Read-only file system");
}

#[test]
fn a_full_disk_is_called_so() {
    let Some(disk) = Disk::mount(1) else {
        return;
    };
    disk.fill();
    refuses(&at(&disk.folder().join("muster.db")), 1, "full");
}

#[test]
fn a_file_that_may_not_grow_ends_the_start() {
    let folder = folder();
    let launch = disk::limited(folder.path(), "ulimit -f 0");
    refuses(&launch, 1, "error");
}
