//! A whole directory into a file, and from there into an empty database.

use std::{fs, path::Path, time::Instant};

use muster_tests::{
    cli::Admin,
    engine::Engine,
    server::{Launch, Server},
};

use crate::{
    raw::{Durability, Raw},
    table::{head, line},
};

/// Moves what this server has to a database of its own.
pub(crate) async fn run(server: &Server, engine: Engine) {
    let file = server.folder().join("move.jsonl");
    let there = Launch::of(server.launch().binary(), engine);
    head(&[
        "move",
        "records",
        "MiB of the file",
        "seconds",
        "records/s",
        "MiB/s",
    ]);
    step("export", &server.admin(), ["export", "--output"], &file);
    step("import", &there.admin(), ["import", "--input"], &file);
    let again = server.folder().join("again.jsonl");
    step(
        "export again",
        &there.admin(),
        ["export", "--output"],
        &again,
    );
    let is_same = fs::read(&file).expect("a file") == fs::read(&again).expect("a file");
    assert!(is_same, "what was moved is not what there was");
    let mut raw = Raw::open(&there.database_url(), Durability::Process).await;
    println!("\nThe database has {} MiB then.", raw.size().await >> 20);
}

fn step(name: &str, admin: &Admin, [command, option]: [&str; 2], file: &Path) {
    let began = Instant::now();
    let path = file.to_str().expect("UTF-8");
    let tally = admin.json(&[command, option, path]);
    let seconds = began.elapsed().as_secs_f64();
    let records = tally["records"].as_f64().expect("a number");
    let size = fs::metadata(file).expect("a file").len();
    let mib = size as f64 / f64::from(1 << 20);
    line(&[
        name.to_owned(),
        format!("{records:.0}"),
        format!("{mib:.0}"),
        format!("{seconds:.1}"),
        format!("{:.0}", records / seconds),
        format!("{:.1}", mib / seconds),
    ]);
}
