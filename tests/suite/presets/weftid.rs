//! WeftID: users found by objectId, then by e-mail address, and merged; groups; several
//! named tokens; a soft deletion that takes nothing away.

use muster_tests::{
    entra::{Entra, Person},
    integration::Integration,
    scim::{ENTERPRISE, GROUP, Scim, USER},
    tenant::text,
};
use serde_json::{Value, json};
use uuid::Uuid;

const EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:weftid:2.0:User";

fn weftid() -> Integration {
    Integration::preset(super::server(), "weftid")
}

fn entra(it: &Integration) -> Entra {
    it.entra("externalId")
}

#[test]
fn from_test_connection_to_the_last_day() {
    let it = weftid();
    let entra = entra(&it);
    entra.test_connection();
    // Initial cycle: users, managers in a second request, then groups.
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.object_id, &ada.mapped());
    let bob_id = entra.provision(&bob.object_id, &bob.mapped());
    let manager = format!("{ENTERPRISE}:manager");
    let _ = entra.add(&bob_id, &manager, &json!(ada_id)).status(200);
    assert_eq!(entra.read(&bob_id)[ENTERPRISE]["manager"]["value"], ada_id);
    let group = entra.provision_group("Engineers");
    entra.join(&group, &ada_id);
    entra.join(&group, &bob_id);
    assert_eq!(entra.scim().members(&group).len(), 2);
    // Incremental cycle, in both forms.
    let department = format!("{ENTERPRISE}:department");
    let _ = entra
        .add(&bob_id, &department, &json!("Networks"))
        .status(200);
    let _ = entra
        .set_all(
            &bob_id,
            &json!({"title": "Architect", "name.givenName": "Robert"}),
        )
        .status(200);
    let changed = entra.read(&bob_id);
    assert_eq!(changed[ENTERPRISE]["department"], "Networks");
    assert_eq!(
        (&changed["title"], &changed["name"]["givenName"]),
        (&json!("Architect"), &json!("Robert"))
    );
    let _ = entra.set(&bob_id, &manager, &json!("")).status(200);
    assert!(
        entra.read(&bob_id)[ENTERPRISE]
            .get("manager")
            .is_none_or(super::is_nothing)
    );
    // Groups change, in both forms.
    entra.leave(&group, &ada_id);
    entra.leave_flagged(&group, &bob_id);
    assert!(entra.scim().members(&group).is_empty());
    entra.join(&group, &bob_id);
    // Disabled and back, soft-deleted and restored: he stays where he was.
    entra.set_active(&bob_id, false);
    entra.set_active_flagged(&bob_id, true);
    let gone = entra.bury(&bob_id, &bob);
    assert_eq!(
        (&gone["active"], &gone["emails"][0]["value"]),
        (&json!(false), &json!(bob.mail))
    );
    let back = entra.revive(&bob_id, &bob);
    assert_eq!(
        (&back["active"], &back["userName"]),
        (&json!(true), &json!(bob.upn))
    );
    assert_eq!(entra.scim().members(&group), std::slice::from_ref(&bob_id));
    // Conflict, renewal of the token, and the last day.
    let taken = entra.set(&bob_id, "userName", &json!(ada.upn));
    let _ = taken.scim_error(409, "uniqueness");
    let entra = Entra::new(super::renew(&it), "externalId");
    entra.remove(&bob_id);
    let _ = entra.scim().delete(&format!("/Groups/{group}")).status(204);
}

#[test]
fn the_base_url_names_the_connection_with_a_slash_or_without() {
    let it = weftid();
    assert_eq!(it.base_path(), format!("/scim/v2/inbound/{}", it.id()));
    let secret = text(&it.credential, "secret");
    let slash = Scim::new(format!("{}/", it.tenant_url()), &secret);
    let ada = Person::new("Ada", "Lovelace");
    let created = slash.post("/Users", &ada.mapped()).status(201);
    let location = format!("{}/Users/{}", it.tenant_url(), created.id());
    assert_eq!(created.header("location"), Some(&*location));
    let found = slash.find("/Users", &format!("externalId eq \"{}\"", ada.object_id));
    assert_eq!(found.status(200).total(), 1);
}

#[test]
fn a_token_of_another_connection_is_refused() {
    let (it, other) = (weftid(), weftid());
    let stranger = Scim::new(it.tenant_url(), text(&other.credential, "secret"));
    let _ = stranger.get("/Users").scim_error(401, None);
}

#[test]
fn there_are_several_named_tokens_without_an_end() {
    let it = weftid();
    assert!(it.credential["expires_at"].is_null());
    let id = it.id();
    let create = [
        "credential",
        "create",
        "--connection",
        &id,
        "--name",
        "second",
    ];
    let second = it.admin(&create).code(0).json();
    let scim = it.scim_with(&text(&second, "secret"));
    let _ = scim.get("/Users").status(200);
    let list = ["credential", "list", "--connection", &id];
    muster_tests::soon::wait_until("the last use", || {
        let known = it.admin(&list).code(0).json();
        let mut known = known.as_array().expect("a list").iter();
        known.any(|one| one["name"] == "second" && one["last_used_at"].is_string())
    });
    let listed = it
        .admin(&["credential", "list", "--connection", &id])
        .code(0);
    let known = listed.json();
    let known = known.as_array().expect("a list");
    assert_eq!(known.len(), 2);
    assert!(known.iter().any(|one| one["name"] == "second"));
    for secret in [&it.credential, &second] {
        assert!(
            !listed.stdout().contains(&text(secret, "secret")),
            "shown once"
        );
    }
    let _ = it
        .admin(&["credential", "revoke", "--id", &text(&second, "id")])
        .code(0);
    muster_tests::soon::wait_until("the end of the second", || scim.get("/Users").code() == 401);
    let _ = it.scim().get("/Users").status(200);
}

#[test]
fn every_bad_token_gets_the_same_401() {
    let it = weftid();
    let id = text(&it.credential, "id");
    let _ = it.scim().get("/Users").status(200);
    let _ = it.admin(&["credential", "revoke", "--id", &id]).code(0);
    muster_tests::soon::wait_until("the end", || it.scim().get("/Users").code() == 401);
    let revoked = it.scim().get("/Users");
    let garbled = it.scim_with("garbled").get("/Users");
    let unknown = it
        .scim_with(&format!("musc_{}", Uuid::new_v4().simple()))
        .get("/Users");
    for reply in [&garbled, &unknown] {
        assert_eq!(reply.code(), 401);
        assert_eq!(reply.bytes(), revoked.bytes());
    }
}

#[test]
fn users_are_found_by_object_id_first_and_then_by_their_address() {
    let it = weftid();
    let scim = it.scim();
    // He was there before this connection called him by anything.
    let ada = Person::new("Ada", "Lovelace");
    let first = scim.post("/Users", &ada.mapped()).status(201).id();
    let bob = Person::new("Bob", "Kahn");
    let second = scim.post("/Users", &bob.mapped_with(&json!({"externalId": null})));
    let second = second.status(201).id();
    let by_address = bob.mapped_with(&json!({"userName": "other@contoso.test"}));
    assert_eq!(scim.post("/Users", &by_address).status(200).id(), second);
    // The objectId counts more than an address, whosever it is.
    let by_id = ada.mapped_with(&json!({
        "userName": "ada@elsewhere.test",
        "emails": [{"type": "work", "value": bob.mail}],
    }));
    assert_eq!(scim.post("/Users", &by_id).status(200).id(), first);
    assert_eq!(scim.get("/Users").total(), 2);
}

#[test]
fn whoever_is_found_is_merged_and_keeps_his_address() {
    let it = weftid();
    let scim = it.scim();
    let ada = Person::new("Ada", "Lovelace");
    let before = ada.mapped_with(&json!({"externalId": null, "title": "Countess"}));
    let id = scim.post("/Users", &before).status(201).id();
    let mut after =
        ada.mapped_with(&json!({"displayName": "Ada King", "userName": "king@contoso.test"}));
    after["emails"] = json!([
        {"type": "work", "value": ada.mail},
        {"type": "home", "value": "ada@home.test", "primary": true},
    ]);
    let merged = scim.post("/Users", &after).status(200);
    assert_eq!(merged.id(), id);
    let merged = merged.json();
    assert_eq!(merged["displayName"], "Ada King", "what is sent is written");
    assert_eq!(merged["title"], "Countess", "what is not sent stays");
    assert_eq!(merged["userName"], ada.upn);
    assert_eq!(merged["emails"].as_array().map(Vec::len), Some(1));
    assert_eq!(merged["emails"][0]["value"], ada.mail);
    assert_eq!(merged["externalId"], ada.object_id);
}

#[test]
fn a_user_of_another_object_id_is_a_conflict() {
    let it = weftid();
    let scim = it.scim();
    let ada = Person::new("Ada", "Lovelace");
    let id = scim.post("/Users", &ada.mapped()).status(201).id();
    let stranger = Uuid::new_v4().to_string();
    for body in [
        // The same address, or the same name.
        ada.mapped_with(&json!({"externalId": stranger, "userName": "x@contoso.test"})),
        ada.mapped_with(&json!({"externalId": stranger, "emails": null})),
    ] {
        let _ = scim.post("/Users", &body).scim_error(409, "uniqueness");
    }
    let user = scim.get(&format!("/Users/{id}")).json();
    assert_eq!(user["externalId"], ada.object_id);
    assert_eq!(scim.get("/Users").total(), 1);
}

#[test]
fn a_user_without_a_user_name_fails() {
    let nameless = Person::new("Ada", "Lovelace").mapped_with(&json!({"userName": null}));
    let detail = weftid()
        .scim()
        .post("/Users", &nameless)
        .scim_error(400, "invalidValue");
    assert!(detail.contains("userName"), "{detail}");
}

#[test]
fn a_user_without_an_address_fails() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let none = ada.mapped_with(&json!({"userName": "ada", "emails": null}));
    let told = it.scim().post("/Users", &none);
    let detail = told.scim_error(400, "invalidValue");
    assert!(
        detail.contains("emails") && detail.contains("userName"),
        "{detail}"
    );
    // A name that is an address is one.
    let named = ada.mapped_with(&json!({"emails": null}));
    let id = entra.provision(&ada.object_id, &named);
    let told = entra.set(&id, "userName", &json!("ada"));
    let _ = told.scim_error(400, "invalidValue");
    let emails = json!([{"type": "work", "value": "ada@contoso.test"}]);
    let _ = entra.add(&id, "emails", &emails).status(200);
    let _ = entra.set(&id, "userName", &json!("ada")).status(200);
    let remove = json!([{"op": "Remove", "path": "emails"}]);
    let _ = entra.patch(&id, &remove).scim_error(400, "invalidValue");
}

#[test]
fn all_its_attributes_are_kept() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let more = json!({
        "title": "Countess", "preferredLanguage": "en-GB",
        "phoneNumbers": [
            {"type": "work", "value": "+44 20 7946 0000"},
            {"type": "mobile", "value": "+44 7700 900000"},
        ],
        ENTERPRISE: {"department": "Engines", "organization": "Contoso", "employeeNumber": "7"},
    });
    let id = entra.provision(&ada.object_id, &ada.mapped_with(&more));
    let user = entra.read(&id);
    for attribute in ["title", "preferredLanguage", "phoneNumbers"] {
        assert_eq!(user[attribute], more[attribute]);
    }
    for attribute in ["department", "organization", "employeeNumber"] {
        assert_eq!(user[ENTERPRISE][attribute], more[ENTERPRISE][attribute]);
    }
}

#[test]
fn employee_id_reaches_the_employee_number() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let body = ada.mapped_with(&json!({EXTENSION: {"employeeId": "1815"}}));
    let id = entra.provision(&ada.object_id, &body);
    assert_eq!(entra.read(&id)[ENTERPRISE]["employeeNumber"], "1815");
    let _ = entra
        .set(&id, &format!("{EXTENSION}:employeeId"), &json!("1852"))
        .status(200);
    let user = entra.read(&id);
    assert_eq!(user[EXTENSION]["employeeId"], "1852");
    assert_eq!(user[ENTERPRISE]["employeeNumber"], "1852");
    let enterprise = it.user(&id).enterprise.expect("an extension");
    assert_eq!(enterprise.employee_number, "1852");
}

#[test]
fn roles_are_rejected_as_not_to_be_written() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let roles = json!([{"value": "admin", "primary": true}]);
    let body = ada.mapped_with(&json!({"roles": roles}));
    let _ = it
        .scim()
        .post("/Users", &body)
        .scim_error(400, "mutability");
    // An empty list says nothing.
    let body = ada.mapped_with(&json!({"roles": []}));
    let id = entra.provision(&ada.object_id, &body);
    let _ = entra
        .add(&id, "roles", &roles)
        .scim_error(400, "mutability");
    assert!(entra.read(&id).get("roles").is_none_or(super::is_nothing));
}

#[test]
fn other_attributes_are_passed_over() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let body = ada.mapped_with(
        &json!({"nickName": "Ada", "addresses": [{"type": "work", "locality": "London"}]}),
    );
    let id = entra.provision(&ada.object_id, &body);
    let operations = json!([
        {"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "GB"},
        {"op": "Replace", "path": "displayName", "value": "Ada King"},
    ]);
    let _ = entra.patch(&id, &operations).status(200);
    let user = entra.read(&id);
    for other in ["nickName", "addresses"] {
        assert!(user.get(other).is_none_or(super::is_nothing), "{user}");
    }
    assert_eq!(user["displayName"], "Ada King");
}

#[test]
fn a_deletion_is_soft_and_the_same_record_comes_back_with_everything() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(
        &ada.object_id,
        &ada.mapped_with(&json!({"title": "Countess"})),
    );
    let group = entra.provision_group("Engineers");
    entra.join(&group, &id);
    entra.remove(&id);
    assert_eq!(entra.look_up(&ada.object_id).total(), 0);
    assert!(entra.scim().members(&group).is_empty());
    let back = entra.scim().post("/Users", &ada.mapped()).status(200);
    assert_eq!(back.id(), id);
    assert_eq!(
        (&back.json()["title"], &back.json()["active"]),
        (&json!("Countess"), &json!(true))
    );
    assert_eq!(entra.scim().members(&group), std::slice::from_ref(&id));
    assert!(it.user(&id).effective_active);
}

#[test]
fn a_disabled_user_keeps_his_groups_and_comes_back_by_active() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &ada.mapped());
    let group = entra.provision_group("Engineers");
    entra.join(&group, &id);
    entra.set_active(&id, false);
    assert!(!it.user(&id).effective_active);
    assert_eq!(entra.scim().members(&group), std::slice::from_ref(&id));
    entra.set_active(&id, true);
    assert!(it.user(&id).effective_active);
}

#[test]
fn members_are_named_by_id_or_by_external_id() {
    let it = weftid();
    let entra = entra(&it);
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.object_id, &ada.mapped());
    let bob_id = entra.provision(&bob.object_id, &bob.mapped());
    let members = json!([{"value": ada_id}, {"value": bob.object_id}]);
    let body = json!({"schemas": [GROUP], "displayName": "Engineers", "members": members});
    let group = entra.scim().post("/Groups", &body).status(201).id();
    let mut both = vec![ada_id.clone(), bob_id];
    both.sort();
    assert_eq!(entra.scim().members(&group), both);
    entra.leave_flagged(&group, &bob.object_id);
    assert_eq!(entra.scim().members(&group), [ada_id]);
}

#[test]
fn an_unknown_member_is_refused() {
    let it = weftid();
    let entra = entra(&it);
    let group = entra.provision_group("Engineers");
    let value = json!([{"value": Uuid::new_v4().to_string()}]);
    let add = json!([{"op": "Add", "path": "members", "value": value}]);
    let refused = entra.scim().patch(&format!("/Groups/{group}"), &add);
    let _ = refused.scim_error(400, "invalidValue");
}

#[test]
fn a_group_of_a_name_that_is_taken_is_a_conflict() {
    let it = weftid();
    let entra = entra(&it);
    let _ = entra.provision_group("Engineers");
    let body = json!({"schemas": [GROUP], "displayName": "ENGINEERS"});
    let _ = entra
        .scim()
        .post("/Groups", &body)
        .scim_error(409, "uniqueness");
}

#[test]
fn batches_and_paths_with_urns_are_understood() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.object_id, &ada.mapped());
    let operations: Value = json!([
        {"op": "Replace", "path": format!("{USER}:displayName"), "value": "Ada King"},
        {"op": "Add", "path": format!("{USER}:name.givenName"), "value": "Augusta"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Engines"},
        {"op": "Replace", "path": format!("{USER}:active"), "value": "False"},
    ]);
    let user = entra.patch(&id, &operations).status(200).json();
    assert_eq!(
        (&user["displayName"], &user["active"]),
        (&json!("Ada King"), &json!(false))
    );
    assert_eq!(user["name"]["givenName"], "Augusta");
    assert_eq!(user[ENTERPRISE]["department"], "Engines");
}

#[test]
fn the_log_has_its_names_of_events() {
    let it = weftid();
    let entra = entra(&it);
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    super::every_action_is_told(&it, &entra, &ada.mapped());
    let id = entra.scim().post("/Users", &bob.mapped()).status(201).id();
    let body = json!({"schemas": [GROUP], "displayName": "Engineers"});
    let group = entra.scim().post("/Groups", &body).status(201).id();
    entra.join(&group, &id);
    entra.leave(&group, &id);
    let _ = entra.scim().delete(&format!("/Groups/{group}")).status(204);
    let _ = entra.scim().delete(&format!("/Users/{id}")).status(204);
    let names = |id: &str, count| -> Vec<_> {
        let told = it.told(id, count).into_iter();
        told.map(|(_, event)| event).collect()
    };
    assert_eq!(names(&id, 2), ["scim_user_received", "scim_user_deleted"]);
    let of_groups = [
        "scim_group_received",
        "scim_group_member_added",
        "scim_group_member_removed",
        "scim_group_deleted",
    ];
    assert_eq!(names(&group, 4), of_groups);
}

#[test]
fn groups_and_passwords_of_users_are_rejected_as_not_to_be_written() {
    let it = weftid();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let group = entra.provision_group("Engineers");
    let both = [
        ("groups", json!([{"value": group}])),
        ("password", json!("correct horse")),
    ];
    for (name, value) in &both {
        let body = ada.mapped_with(&json!({*name: value}));
        let told = it.scim().post("/Users", &body);
        let detail = told.scim_error(400, "mutability");
        assert!(detail.contains(name), "{detail}");
    }
    // What says nothing is nothing.
    let body = ada.mapped_with(&json!({"groups": [], "password": null}));
    let id = entra.provision(&ada.object_id, &body);
    for (name, value) in &both {
        let _ = entra.add(&id, name, value).scim_error(400, "mutability");
        let whole = json!([{"op": "Add", "value": {*name: value}}]);
        let _ = entra.patch(&id, &whole).scim_error(400, "mutability");
        let body = ada.mapped_with(&json!({*name: value}));
        let told = it.scim().put(&format!("/Users/{id}"), &body);
        let _ = told.scim_error(400, "mutability");
    }
    let user = entra.read(&id);
    for (absent, _) in both {
        assert!(user.get(absent).is_none_or(super::is_nothing), "{user}");
    }
    assert!(entra.scim().members(&group).is_empty());
}
