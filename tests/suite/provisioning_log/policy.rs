//! What a connection's policy made of requests.

use muster_proto::v1::{ErrorReason, FailureGroup, ProvisioningOperation as Op};
use muster_tests::scim::{ENTERPRISE, GROUP, USER};
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

/// A tenant whose connection goes by this policy.
fn policed(policy: &str) -> World {
    let world = world();
    police(&world, policy);
    world
}

fn police(world: &World, policy: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, policy).expect("a file");
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
}

#[test]
fn what_was_left_out_taken_over_and_held_is_told() {
    let world = policed(POLICY);
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
    assert_eq!(
        told(held),
        (Op::Disable, 200, ""),
        "he still acts: nothing has happened"
    );
    assert!(held.held && !created.held);

    let health = world.health();
    assert_eq!(health.held_operations, 1);
    let reason = &health.verdict_reason;
    assert!(
        reason.contains("muster held list --connection entra"),
        "{reason}"
    );

    let bob = world.scim.user("bob");
    let _ = world.scim.delete(&format!("/Users/{bob}")).status(204);
    let deletion = world.events(5).remove(4);
    assert_eq!(told(&deletion), (Op::Delete, 204, ""));
    assert!(deletion.held, "{deletion:?}");
}

const STRICT: &str = r#"
description = "refuses"
[policy]
required_attributes = ["title"]
allowed_attributes = ["userName", "active", "title", "roles"]
on_other_attributes = "reject"
rejected_attributes = ["roles"]
protected_users = ["root"]
"#;

/// What is told of the kind of failure that a request met.
#[track_caller]
fn remedied(world: &World, requests: i64, reason: ErrorReason, attribute: &str) -> FailureGroup {
    let health = world.health_after(requests);
    let mut failures = health.top_failures.clone().into_iter();
    let found = failures.find(|one| one.reason() == reason && one.attribute == attribute);
    found.unwrap_or_else(|| panic!("{reason:?} {attribute}: {health:#?}"))
}

#[test]
fn what_a_policy_refuses_comes_with_what_to_do_about_it() {
    let world = world();
    let root = json!({"schemas": [USER], "userName": "root", "externalId": "x-root"});
    let root = world.scim.post("/Users", &root).status(201).id();
    police(&world, STRICT);
    // Whom the server has not met goes by the new policy at once.
    let (id, token) = world
        .tenant
        .credential(super::super::server(), "entra", &[]);
    let scim = &world.tenant.scim_with(&token);
    let user = |more: Value| {
        let mut user = json!({"schemas": [USER], "userName": "ada", "title": "t"});
        let all = user.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        user
    };
    let detail = scim
        .post("/Users", &user(json!({"title": null})))
        .scim_error(400, "invalidValue");
    assert!(detail.contains("is required: "), "{detail}");
    let missing = remedied(&world, 2, ErrorReason::RequiredAttributeMissing, "title");
    assert!(missing.remedy.contains("Attribute mapping"), "{missing:?}");
    assert_eq!(missing.example_detail, detail);
    assert_eq!(missing.example_credential_id, id);
    assert!(missing.example_time.is_some() && !missing.example_credential_name.is_empty());

    let roles = user(json!({"roles": [{"value": "r"}]}));
    let _ = scim.post("/Users", &roles).scim_error(400, "mutability");
    let rejected = remedied(&world, 3, ErrorReason::Mutability, "roles");
    let expected = "This connection does not take roles. Delete the mapping.";
    assert_eq!(rejected.remedy, expected);

    let other = user(json!({"nickName": "A"}));
    let _ = scim.post("/Users", &other).scim_error(400, "invalidValue");
    let other = remedied(&world, 4, ErrorReason::FieldInvalid, "nickName");
    assert!(other.remedy.contains("allowed_attributes"), "{other:?}");

    let group = json!({"schemas": [GROUP], "displayName": "g",
        "members": [{"value": "01890a5d-ac96-774b-bcce-b302099a8057"}]});
    let _ = scim.post("/Groups", &group).scim_error(400, "invalidValue");
    let unknown = remedied(&world, 5, ErrorReason::FieldInvalid, "members.value");
    assert!(unknown.remedy.contains("on_unknown_member"), "{unknown:?}");

    let _ = scim.delete(&format!("/Users/{root}")).status(403);
    let protected = remedied(&world, 6, ErrorReason::ProtectedAccount, "");
    assert!(
        protected.remedy.contains("protected_users"),
        "{protected:?}"
    );
    assert_eq!(protected.example_resource_id, root);
    assert_eq!(protected.example_external_id, "x-root");
}

#[test]
fn the_words_of_scim_stay_in_details() {
    let policy = "description = \"d\"\n[policy]\nrequired_attributes = [\"emails[type eq \\\"work\\\"].value\"]\n";
    let world = policed(policy);
    let nobody = json!({"schemas": [USER], "userName": "ada"});
    let told = world
        .scim
        .post("/Users", &nobody)
        .scim_error(400, "invalidValue");
    let event = world.event();
    assert_eq!(event.detail, told);
    assert_eq!(event.attribute, "emails[type eq \"work\"].value");
    assert_eq!(event.reason(), ErrorReason::RequiredAttributeMissing);
}
