//! ConfigCat: four attributes of users and no e-mail; groups are central; new users
//! are stopped until an operator starts them.

use muster_tests::{
    entra::{Entra, Person},
    integration::Integration,
    scim::{ENTERPRISE, GROUP},
};
use serde_json::{Value, json};
use uuid::Uuid;

fn configcat() -> Integration {
    Integration::preset(super::server(), "configcat")
}

fn entra(it: &Integration) -> Entra {
    it.entra("externalId")
}

/// What is left once all other mappings are removed.
fn mapped(person: &Person) -> Value {
    person.mapped_with(&json!({"name": null, "emails": null}))
}

#[test]
fn from_test_connection_to_the_last_day() {
    let it = configcat();
    let entra = entra(&it);
    entra.test_connection();
    // Initial cycle: groups are what permissions come with.
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.object_id, &mapped(&ada));
    let bob_id = entra.provision(&bob.object_id, &mapped(&bob));
    let admins = entra.provision_group("ConfigCat Admins");
    let viewers = entra.provision_group("ConfigCat Viewers");
    entra.join(&admins, &ada_id);
    entra.join(&viewers, &bob_id);
    // Both are stopped until an operator starts them.
    for id in [&ada_id, &bob_id] {
        assert!(!it.user(id).effective_active);
        let _ = it.admin(&["user", "unlock", "--id", id]).code(0);
        assert!(it.user(id).effective_active);
    }
    // Incremental cycle, in both forms; a manager is not provisioned and stops nothing.
    let _ = entra
        .set(&bob_id, "displayName", &json!("Robert Kahn"))
        .status(200);
    let _ = entra
        .set_all(&ada_id, &json!({"userName": "king@contoso.test"}))
        .status(200);
    let _ = entra
        .add(&bob_id, &format!("{ENTERPRISE}:manager"), &json!(ada_id))
        .status(200);
    assert_eq!(entra.read(&ada_id)["userName"], "king@contoso.test");
    let changed = entra.read(&bob_id);
    assert_eq!(changed["displayName"], "Robert Kahn");
    assert!(changed.get(ENTERPRISE).is_none(), "{changed}");
    // A mover: from one group to the other, in both forms.
    entra.join(&admins, &bob_id);
    entra.leave(&viewers, &bob_id);
    entra.leave_flagged(&admins, &ada_id);
    assert_eq!(entra.scim().members(&admins), std::slice::from_ref(&bob_id));
    assert!(entra.scim().members(&viewers).is_empty());
    // Disabled and back; soft-deleted and restored.
    entra.set_active(&bob_id, false);
    entra.set_active_flagged(&bob_id, true);
    let gone = entra.bury(&bob_id, &bob);
    assert_eq!(
        (&gone["active"], &gone["userName"]),
        (&json!(false), &json!(bob.tombstone()))
    );
    assert!(!it.user(&bob_id).effective_active);
    let _ = entra.revive(&bob_id, &bob);
    assert!(
        it.user(&bob_id).effective_active,
        "he need not be started again"
    );
    // Conflict, renewal of the token, and the last day.
    let taken = entra.set(&bob_id, "userName", &json!("KING@contoso.test"));
    let _ = taken.scim_error(409, "uniqueness");
    let entra = Entra::new(super::renew(&it), "externalId");
    entra.remove(&bob_id);
    assert!(entra.scim().members(&admins).is_empty());
    for group in [admins, viewers] {
        let _ = entra.scim().delete(&format!("/Groups/{group}")).status(204);
    }
}

#[test]
fn the_base_url_is_scim_v2() {
    assert_eq!(configcat().base_path(), "/scim/v2");
}

#[test]
fn the_token_has_no_end_and_there_may_be_more() {
    let it = configcat();
    assert!(it.credential["expires_at"].is_null());
    let _ = it
        .admin(&["credential", "create", "--connection", &it.id()])
        .code(0);
}

#[test]
fn users_are_matched_by_object_id() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &mapped(&ada));
    // A request whose answer was lost comes again.
    let again = ada.mapped_with(&json!({"name": null, "emails": null, "displayName": "Ada King"}));
    let again = entra.scim().post("/Users", &again).status(200);
    assert_eq!(
        (again.id(), &again.json()["displayName"]),
        (id, &json!("Ada King"))
    );
    let other = ada.mapped_with(&json!({"externalId": Uuid::new_v4().to_string()}));
    let _ = entra
        .scim()
        .post("/Users", &other)
        .scim_error(409, "uniqueness");
    assert_eq!(entra.scim().get("/Users").total(), 1);
}

#[test]
fn a_user_without_one_of_the_four_fails_and_the_message_names_it() {
    let scim = configcat().scim();
    let ada = Person::new("Ada", "Lovelace");
    for (path, label) in [
        ("externalId", "external id"),
        ("displayName", "display name"),
        ("active", "active flag"),
    ] {
        let mut body = mapped(&ada);
        body.as_object_mut().expect("an object").remove(path);
        let detail = scim.post("/Users", &body).scim_error(400, "invalidValue");
        assert!(detail.contains(path) && detail.contains(label), "{detail}");
    }
    let mut body = mapped(&ada);
    body.as_object_mut().expect("an object").remove("userName");
    let detail = scim.post("/Users", &body).scim_error(400, "invalidValue");
    assert!(detail.contains("userName"), "{detail}");
    assert_eq!(scim.get("/Users").total(), 0);
}

#[test]
fn what_is_left_of_other_mappings_is_passed_over() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(
        &ada.object_id,
        &ada.mapped_with(&json!({"title": "Countess"})),
    );
    let user = entra.read(&id);
    for other in ["name", "emails", "title"] {
        assert!(user.get(other).is_none_or(super::is_nothing), "{user}");
    }
}

#[test]
fn new_users_are_stopped_until_an_operator_starts_them() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &mapped(&ada));
    // The client sees an active user; he may not act.
    assert_eq!(entra.read(&id)["active"], true);
    assert!(!it.user(&id).effective_active);
    // Nothing that the client sends starts him.
    entra.set_active(&id, false);
    entra.set_active(&id, true);
    assert!(!it.user(&id).effective_active);
    let started = it.admin(&["user", "unlock", "--id", &id]).code(0).json();
    assert_eq!(started["effective_active"], true);
    assert!(it.user(&id).effective_active);
    // And stops him again.
    let _ = it.admin(&["user", "lock", "--id", &id]).code(0);
    assert!(!it.user(&id).effective_active);
}

#[test]
fn disabling_keeps_him_and_a_hard_deletion_removes_him_for_good() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &mapped(&ada));
    entra.set_active(&id, false);
    assert_eq!(entra.look_up(&ada.object_id).total(), 1);
    entra.remove(&id);
    let again = entra.scim().post("/Users", &mapped(&ada)).status(201);
    assert_ne!(again.id(), id);
    assert!(!it.user(&again.id()).effective_active, "he is new");
}

#[test]
fn groups_have_a_name_an_external_id_and_members() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &mapped(&ada));
    let (external_id, name) = (Uuid::new_v4().to_string(), "ConfigCat Developers");
    let body = json!({
        "schemas": [GROUP], "externalId": external_id, "displayName": name,
        "members": [{"value": id}],
    });
    let group = entra.scim().post("/Groups", &body).status(201).id();
    let found = entra
        .scim()
        .find("/Groups", &format!("externalId eq \"{external_id}\""));
    let found = found.status(200).json();
    assert_eq!(found["Resources"][0]["id"], group);
    assert_eq!(found["Resources"][0]["displayName"], name);
    assert_eq!(entra.scim().members(&group), [id]);
}

#[test]
fn the_first_group_counts_where_permissions_conflict() {
    let it = configcat();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &mapped(&ada));
    for name in ["Viewers", "Admins", "Developers"] {
        let group = entra.provision_group(&format!("ConfigCat {name}"));
        entra.join(&group, &id);
    }
    assert_eq!(it.roles(&id), Vec::<String>::new(), "he is not started yet");
    let _ = it.admin(&["user", "unlock", "--id", &id]).code(0);
    assert_eq!(it.roles(&id), ["admin", "developer", "viewer"]);
}

#[test]
fn the_log_tells_of_each_user() {
    let it = configcat();
    let ada = Person::new("Ada", "Lovelace");
    super::every_action_is_told(&it, &entra(&it), &mapped(&ada));
}
