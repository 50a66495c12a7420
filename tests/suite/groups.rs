//! Groups over SCIM, but for their members.

use muster_tests::scim::GROUP;
use serde_json::json;

#[test]
fn create_returns_the_group_with_id_meta_and_location() {
    let scim = super::tenant().scim();
    let body = json!({"schemas": [GROUP], "displayName": "Engines", "externalId": "g-1"});
    let reply = scim.post("/Groups", &body).status(201);
    let group = reply.json();
    let location = format!("{}/Groups/{}", scim.base(), reply.id());
    assert_eq!(reply.header("location"), Some(location.as_str()));
    assert_eq!(group["displayName"], "Engines");
    assert_eq!(group["externalId"], "g-1");
    assert_eq!(group["meta"]["resourceType"], "Group");
    assert_eq!(group["meta"]["version"], reply.etag());
    let read = scim.get(&format!("/Groups/{}", reply.id())).status(200);
    assert_eq!(read.json(), group);
}

#[test]
fn create_rejects_a_taken_display_name() {
    let scim = super::tenant().scim();
    scim.group("Engines", &[]);
    for taken in ["Engines", "eNGINES"] {
        let body = json!({"schemas": [GROUP], "displayName": taken});
        let detail = scim.post("/Groups", &body).scim_error(409, "uniqueness");
        assert!(detail.contains("displayName"), "{detail}");
    }
    assert_eq!(scim.get("/Groups").total(), 1);
}

#[test]
fn create_with_a_member_that_does_not_exist_creates_nothing() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let body = json!({
        "schemas": [GROUP], "displayName": "Engines",
        "members": [{"value": user}, {"value": "0190a5c1-0000-7000-8000-000000000000"}],
    });
    let _ = scim.post("/Groups", &body).scim_error(400, "invalidValue");
    assert_eq!(scim.get("/Groups").total(), 0);
}

#[test]
fn a_rename_is_answered_and_holds() {
    let scim = super::tenant().scim();
    let path = format!("/Groups/{}", scim.group("Engines", &[]));
    let operations = json!([{"op": "Replace", "path": "displayName", "value": "Looms"}]);
    let _ = scim.patch(&path, &operations).status(200);
    assert_eq!(scim.get(&path).json()["displayName"], "Looms");
    assert_eq!(scim.find("/Groups", "displayName eq \"looms\"").total(), 1);
    assert_eq!(
        scim.find("/Groups", "displayName eq \"engines\"").total(),
        0
    );
}

#[test]
fn rename_to_a_taken_name_changes_nothing() {
    let scim = super::tenant().scim();
    scim.group("Looms", &[]);
    let user = scim.user("a");
    let id = scim.group("Engines", &[]);
    let path = format!("/Groups/{id}");
    let operations = json!([
        {"op": "add", "path": "members", "value": [{"value": user}]},
        {"op": "replace", "path": "displayName", "value": "LOOMS"},
    ]);
    let _ = scim.patch(&path, &operations).scim_error(409, "uniqueness");
    assert_eq!(scim.get(&path).json()["displayName"], "Engines");
    assert!(scim.members(&id).is_empty());
}

#[test]
fn replace_sets_name_and_members() {
    let scim = super::tenant().scim();
    let (a, b) = (scim.user("a"), scim.user("b"));
    let id = scim.group("Engines", &[&a]);
    let body = json!({"schemas": [GROUP], "displayName": "Looms", "members": [{"value": b}]});
    let _ = scim
        .put(&format!("/Groups/{id}"), &body)
        .status_in(&[200, 204]);
    assert_eq!(
        scim.get(&format!("/Groups/{id}")).json()["displayName"],
        "Looms"
    );
    assert_eq!(scim.members(&id), [b]);
}

#[test]
fn delete_is_final_frees_the_name_and_spares_the_members() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let id = scim.group("Engines", &[&user]);
    let path = format!("/Groups/{id}");
    let _ = scim.delete(&path).status(204);
    let _ = scim.get(&path).scim_error(404, None);
    let _ = scim.delete(&path).scim_error(404, None);
    let user = scim.get(&format!("/Users/{user}")).status(200).json();
    assert!(
        user["groups"].as_array().is_none_or(Vec::is_empty),
        "{user}"
    );
    scim.group("Engines", &[]);
}

#[test]
fn members_are_left_out_when_excluded() {
    let scim = super::tenant().scim();
    let user = scim.user("a");
    let id = scim.group("Engines", &[&user]);
    for path in [
        format!("/Groups/{id}?excludedAttributes=members"),
        format!("/Groups/{id}?attributes=displayName"),
    ] {
        let group = scim.get(&path).status(200).json();
        assert!(group.get("members").is_none(), "{group}");
        assert_eq!(group["displayName"], "Engines");
    }
    let list = scim.get("/Groups?excludedAttributes=members").json();
    assert!(list["Resources"][0].get("members").is_none(), "{list}");
}

#[test]
fn a_group_without_a_name_is_refused() {
    let scim = super::tenant().scim();
    for body in [
        json!({"schemas": [GROUP]}),
        json!({"schemas": [GROUP], "displayName": ""}),
        json!({"schemas": [GROUP], "displayName": null}),
    ] {
        let _ = scim.post("/Groups", &body).scim_error(400, "invalidValue");
    }
    assert_eq!(scim.get("/Groups").total(), 0);
}
