//! The generic guide: joiner, mover and leaver with job title, department and manager;
//! groups; one source of truth.

use muster_proto::v1::{CreateUserRequest, User};
use muster_tests::{
    entra::{Entra, Person},
    integration::Integration,
    runtime::wait,
    scim::ENTERPRISE,
    service::Service,
    tenant::Tenant,
};
use serde_json::json;

fn generic() -> Integration {
    Integration::preset(super::server(), "generic")
}

fn entra(it: &Integration) -> Entra {
    it.entra("userName")
}

#[test]
fn from_test_connection_to_the_last_day() {
    let it = generic();
    let entra = entra(&it);
    entra.test_connection();
    // A joiner: with title and department, then with a manager, then in a group.
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.upn, &ada.mapped());
    let joiner = bob.mapped_with(&json!({
        "title": "Engineer", ENTERPRISE: {"department": "Networks"},
    }));
    let bob_id = entra.provision(&bob.upn, &joiner);
    let manager = format!("{ENTERPRISE}:manager");
    let _ = entra.add(&bob_id, &manager, &json!(ada_id)).status(200);
    let (editors, admins) = (
        entra.provision_group("Editors"),
        entra.provision_group("Administrators"),
    );
    entra.join(&editors, &bob_id);
    let user = entra.read(&bob_id);
    assert_eq!(
        (&user["title"], &user[ENTERPRISE]["department"]),
        (&json!("Engineer"), &json!("Networks"))
    );
    assert_eq!(user[ENTERPRISE]["manager"]["value"], ada_id);
    assert_eq!(user["groups"][0]["display"], "Editors");
    // A mover: another title, department, manager and group.
    let eve = Person::new("Eve", "Polastri");
    let eve_id = entra.provision(&eve.upn, &eve.mapped());
    let _ = entra
        .set(&bob_id, "title", &json!("Head of Networks"))
        .status(200);
    let moved = json!({format!("{ENTERPRISE}:department"): "Board", "displayName": "R. Kahn"});
    let _ = entra.set_all(&bob_id, &moved).status(200);
    let _ = entra
        .set(&bob_id, &manager, &json!({"value": eve_id}))
        .status(200);
    entra.join(&admins, &bob_id);
    entra.leave(&editors, &bob_id);
    let user = entra.read(&bob_id);
    assert_eq!(
        (&user["title"], &user["displayName"]),
        (&json!("Head of Networks"), &json!("R. Kahn"))
    );
    assert_eq!(user[ENTERPRISE]["department"], "Board");
    assert_eq!(user[ENTERPRISE]["manager"]["value"], eve_id);
    assert_eq!(user["groups"][0]["display"], "Administrators");
    assert_eq!(user["groups"].as_array().map(Vec::len), Some(1));
    // A leaver: disabled, with effect; back; soft-deleted and restored.
    entra.set_active(&bob_id, false);
    assert!(!it.user(&bob_id).effective_active);
    entra.set_active_flagged(&bob_id, true);
    let gone = entra.bury(&bob_id, &bob);
    assert_eq!(
        (&gone["active"], &gone["userName"]),
        (&json!(false), &json!(bob.tombstone()))
    );
    let back = entra.revive(&bob_id, &bob);
    assert_eq!(
        (&back["active"], &back["userName"]),
        (&json!(true), &json!(bob.upn))
    );
    assert_eq!(entra.scim().members(&admins), std::slice::from_ref(&bob_id));
    // Conflict, renewal of the token, and the last day.
    let taken = entra.set(&bob_id, "userName", &json!(ada.upn));
    let _ = taken.scim_error(409, "uniqueness");
    let entra = Entra::new(super::renew(&it), "userName");
    entra.remove(&bob_id);
    assert!(entra.scim().members(&admins).is_empty());
}

#[test]
fn the_base_url_is_scim_v2_and_the_token_has_no_end() {
    let it = generic();
    assert_eq!(it.base_path(), "/scim/v2");
    assert!(it.credential["expires_at"].is_null());
}

#[test]
fn whoever_was_invited_by_hand_is_taken_over_and_keeps_what_is_not_sent() {
    let (server, ada) = (super::server(), Person::new("Ada", "Lovelace"));
    let tenant = Tenant::create(server);
    let by_hand = CreateUserRequest {
        options: None,
        user: Some(User {
            user_name: ada.upn.to_uppercase(),
            title: "Countess".to_owned(),
            ..Default::default()
        }),
    };
    let grpc = Service::full(server, &tenant).grpc();
    let invited = wait(grpc.users().create_user(by_hand)).expect("a user");
    let invited = invited.into_inner().user.expect("a user");
    let it = Integration::preset_in(server, tenant.id, "generic");
    let taken_over = it.scim().post("/Users", &ada.mapped()).status(200);
    assert_eq!(taken_over.id(), invited.id);
    let user = taken_over.json();
    assert_eq!(user["title"], "Countess", "what is not sent stays");
    assert_eq!(user["displayName"], ada.display());
    assert_eq!(user["externalId"], ada.object_id);
    assert_eq!(it.scim().get("/Users").total(), 1);
}

#[test]
fn a_user_of_another_source_is_a_conflict() {
    let (server, ada) = (super::server(), Person::new("Ada", "Lovelace"));
    let tenant = Tenant::create(server);
    let id = tenant.scim().post("/Users", &ada.mapped()).status(201).id();
    let it = Integration::preset_in(server, tenant.id, "generic");
    let body = ada.mapped_with(&json!({"displayName": "Somebody else"}));
    let _ = it
        .scim()
        .post("/Users", &body)
        .scim_error(409, "uniqueness");
    let user = it.scim().get(&format!("/Users/{id}")).status(200).json();
    assert_eq!(user["displayName"], ada.display());
}

#[test]
fn whoever_left_and_returns_is_the_same_user() {
    let it = generic();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped());
    entra.remove(&id);
    let back = entra.scim().post("/Users", &ada.mapped()).status(200);
    assert_eq!(back.id(), id);
    assert!(it.user(&id).effective_active);
}

#[test]
fn a_user_without_a_user_name_fails() {
    let nameless = Person::new("Ada", "Lovelace").mapped_with(&json!({"userName": null}));
    let detail = generic()
        .scim()
        .post("/Users", &nameless)
        .scim_error(400, "invalidValue");
    assert!(detail.contains("userName"), "{detail}");
}

#[test]
fn roles_come_with_groups_the_first_counts() {
    let it = generic();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped());
    assert_eq!(it.roles(&id), Vec::<String>::new());
    let groups = ["Everyone", "Editors", "Administrators"];
    let groups = groups.map(|name| entra.provision_group(name));
    for group in &groups {
        entra.join(group, &id);
    }
    assert_eq!(it.roles(&id), ["admin", "editor", "viewer"]);
    // A mover: the change of his groups is one of his roles.
    entra.leave(&groups[2], &id);
    assert_eq!(it.roles(&id), ["editor", "viewer"]);
    entra.set_active(&id, false);
    assert_eq!(it.roles(&id), Vec::<String>::new());
}

#[test]
fn the_log_has_a_line_for_each_action() {
    let it = generic();
    let ada = Person::new("Ada", "Lovelace");
    super::every_action_is_told(&it, &entra(&it), &ada.mapped());
}
