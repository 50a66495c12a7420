//! What a connection's policy made of requests.

use muster_proto::v1::ProvisioningOperation as Op;
use muster_tests::scim::{ENTERPRISE, USER};
use serde_json::{Value, json};

use super::{World, told, world};

const POLICY: &str = r#"
description = "leaves out, takes over, holds"
[policy]
match_order = ["user_name"]
on_match = "merge"
allowed_attributes = ["userName", "active", "displayName", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"]
protected_users = []
[policy.lookups]
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department" = ["Sales"]
[policy.deprovision_guard]
max_users = 0
window = "1h"
"#;

/// A tenant whose connection goes by that policy.
fn policed() -> World {
    let world = world();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).expect("a file");
    let (tenant, connection) = (&world.tenant.id, &world.tenant.connection_id);
    let update = [
        "connection",
        "update",
        "--tenant",
        tenant,
        "--name",
        connection,
    ];
    let source = ["--policy", &file.display().to_string()];
    let _ = super::super::server()
        .admin()
        .json(&[&update[..], &source].concat());
    world
}

#[test]
fn what_was_left_out_taken_over_and_held_is_told() {
    let world = policed();
    let ada = json!({
        "schemas": [USER, ENTERPRISE], "userName": "ada", "nickName": "A",
        ENTERPRISE: {"department": "Nowhere"},
    });
    let user = world.scim.post("/Users", &ada).status(201).json();
    assert_eq!(
        (&user["nickName"], &user[ENTERPRISE]),
        (&Value::Null, &Value::Null)
    );
    let _ = world.scim.post("/Users", &ada).status(200);
    let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
    let disable = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let disabled = world.scim.patch(&path, &disable).status(200).json();
    assert_eq!(disabled["active"], false);

    let events = world.events(3);
    let [created, found, held] = events.as_slice() else {
        panic!("three: {events:#?}");
    };
    assert_eq!(told(created), (Op::Create, 201, "scim_user_received"));
    let mut ignored: Vec<_> = created
        .ignored
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    ignored.sort_unstable();
    let department = format!("{ENTERPRISE}:department");
    assert_eq!(ignored, ["nickName", &department]);
    assert!(created.ignored.iter().all(|one| !one.reason.is_empty()));
    assert_eq!(
        (found.http_status, found.matched_by.as_str()),
        (200, "userName")
    );
    assert_eq!(told(held), (Op::Disable, 200, "scim_user_deactivated"));
    assert!(held.held && !created.held);
}
