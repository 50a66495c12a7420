//! The disk is full, and has space again.

use muster_tests::{
    disk::{self, Disk},
    scim::USER,
    server::Server,
    soon,
    witness::{Ending, Witness},
};
use serde_json::json;

use super::DEADLINE;

/// Loads a server while its disk takes no more and then does again, and holds it
/// to what it acknowledged, also after a restart.
#[track_caller]
fn survives(server: Server, may_write: impl Fn(&Server, bool)) {
    let witness = Witness::new(&server);
    let scim = witness.scim(&server);
    let load = witness.load(&[&server], 4711, Ending::Answers);
    let user = scim.user("ada");
    load.during(|load| {
        for _ in 0..2 {
            load.wait_for(40);
            may_write(&server, false);
            let refused = load.refused();
            soon::wait_until("refusals", || load.refused() > refused + 20);
            let body = json!({"schemas": [USER], "userName": "new"});
            scim.post("/Users", &body).try_again();
            let _ = scim.get(&format!("/Users/{user}")).status(200);
            assert!(server.is_alive());
            may_write(&server, true);
        }
        load.wait_for(40);
    });
    assert!(load.slowest() < DEADLINE, "{:?}", load.slowest());
    let _ = scim.delete(&format!("/Users/{user}")).status(204);
    load.compare(&witness, &server);
    let launch = server.launch().clone();
    server.kill();
    drop(server);
    load.compare(&witness, &launch.start());
}

#[test]
fn a_file_that_may_not_grow_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = disk::limited(folder.path(), "").start();
    survives(server, disk::let_write);
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = Disk::mount(24) else {
        return;
    };
    let url = format!("sqlite://{}", disk.folder().join("muster.db").display());
    let server = muster_tests::server::Launch::at(&url).start();
    survives(server, |_, may| match may {
        true => disk.free(),
        false => disk.fill(),
    });
}
