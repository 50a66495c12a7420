//! Wintro: individuals only, found by their work e-mail address, with five attributes
//! that must be there; disabled, never deleted.

use muster_proto::v1::{LabeledValue, PersonName, User};
use muster_tests::{
    entra::{Entra, Person},
    integration::Integration,
    issuer::now_s,
    scim::ENTERPRISE,
    soon::wait_until,
    tenant::text,
};
use prost_types::Timestamp;
use serde_json::{Value, json};

const WORK_EMAIL: &str = "emails[type eq \"work\"].value";

fn wintro() -> Integration {
    Integration::preset(super::server(), "wintro")
}

fn entra(it: &Integration) -> Entra {
    it.entra(WORK_EMAIL)
}

#[test]
fn from_test_connection_to_the_last_day() {
    let it = wintro();
    let entra = entra(&it);
    entra.test_connection();
    // Initial cycle.
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.mail, &ada.mapped());
    let bob_id = entra.provision(&bob.mail, &bob.mapped());
    // Incremental cycle, in both forms.
    let _ = entra
        .set(&ada_id, "name.familyName", &json!("King"))
        .status(200);
    let _ = entra
        .add(&ada_id, WORK_EMAIL, &json!("ada.king@contoso.test"))
        .status(200);
    let values = json!({"displayName": "Bob E. Kahn", "name.givenName": "Robert"});
    let _ = entra.set_all(&bob_id, &values).status(200);
    let changed = entra.read(&ada_id);
    assert_eq!(changed["name"]["familyName"], "King");
    assert_eq!(changed["emails"][0]["value"], "ada.king@contoso.test");
    assert_eq!(changed["emails"].as_array().map(Vec::len), Some(1));
    let changed = entra.read(&bob_id);
    assert_eq!(changed["displayName"], "Bob E. Kahn");
    assert_eq!(changed["name"]["givenName"], "Robert");
    // A manager is not among what is provisioned, and stops nothing.
    let manager = format!("{ENTERPRISE}:manager");
    let _ = entra.add(&bob_id, &manager, &json!(ada_id)).status(200);
    assert!(entra.read(&bob_id).get(ENTERPRISE).is_none());
    entra.groups_are_refused();
    // Leave and come back, twice.
    entra.set_active(&bob_id, false);
    entra.set_active(&bob_id, true);
    entra.set_active_flagged(&bob_id, false);
    entra.set_active_flagged(&bob_id, true);
    // Soft deletion with its rename, and restoration.
    let gone = entra.bury(&bob_id, &bob);
    assert_eq!(
        (&gone["active"], &gone["userName"]),
        (&json!(false), &json!(bob.tombstone()))
    );
    assert_eq!(
        gone["emails"][0]["value"], bob.mail,
        "the address is not renamed"
    );
    let back = entra.revive(&bob_id, &bob);
    assert_eq!(
        (&back["active"], &back["userName"]),
        (&json!(true), &json!(bob.upn))
    );
    // Conflict: a name that is somebody else's.
    let taken = entra.set(&bob_id, "userName", &json!(ada.upn));
    let _ = taken.scim_error(409, "uniqueness");
    // Renewal of the token, and the leaver's last day.
    let entra = Entra::new(super::renew(&it), WORK_EMAIL);
    let _ = entra.scim().delete(&format!("/Users/{bob_id}")).status(204);
    assert_eq!(entra.read(&bob_id)["active"], false);
}

#[test]
fn the_base_url_is_api_scim_v2() {
    let it = wintro();
    assert_eq!(it.base_path(), "/api/scim/v2");
    let _ = it.scim().get("/Users").status(200);
}

#[test]
fn there_is_one_token_and_it_is_good_for_a_year() {
    let it = wintro();
    let expires: Timestamp = text(&it.credential, "expires_at").parse().expect("a time");
    let now = i64::try_from(now_s()).expect("a time");
    let days = (expires.seconds - now + 60) / 86_400;
    assert_eq!(days, 365);
    let another = it.admin(&["credential", "create", "--connection", &it.id()]);
    let told = another.code(1).stderr();
    assert!(told.contains("revoke one first"), "{told}");
    // Once it is revoked there may be the next one.
    let id = text(&it.credential, "id");
    let _ = it.admin(&["credential", "revoke", "--id", &id]).code(0);
    let next = it.admin(&["credential", "create", "--connection", &it.id()]);
    let next = it.scim_with(&text(&next.code(0).json(), "secret"));
    let _ = next.get("/Users").status(200);
}

#[test]
fn a_new_token_takes_over_while_the_old_one_still_works() {
    let it = wintro();
    let id = text(&it.credential, "id");
    let rotate = ["credential", "rotate", "--id", &id, "--overlap", "2s"];
    let rotated = it.admin(&rotate).code(0).json();
    let new = it.scim_with(&text(&rotated, "secret"));
    let _ = it.scim().get("/Users").status(200);
    let _ = new.get("/Users").status(200);
    wait_until("the end of the overlap", || {
        it.scim().get("/Users").code() == 401
    });
    let _ = new.get("/Users").status(200);
}

#[test]
fn groups_are_not_supported() {
    entra(&wintro()).groups_are_refused();
}

#[test]
fn whoever_has_the_work_email_is_updated_and_not_duplicated() {
    let it = wintro();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = it
        .scim()
        .post("/Users", &ada.mapped_with(&json!({"externalId": null})))
        .status(201)
        .id();
    let mail = ada.mail.to_uppercase();
    let found = entra.look_up(&mail).status(200);
    assert_eq!(found.json()["Resources"][0]["id"], id, "found without case");
    let again =
        ada.mapped_with(&json!({"displayName": "Ada King", "userName": "ada.king@contoso.test"}));
    let updated = entra.scim().post("/Users", &again).status(200);
    assert_eq!(updated.id(), id);
    let updated = updated.json();
    assert_eq!(updated["displayName"], "Ada King");
    assert_eq!(updated["userName"], "ada.king@contoso.test");
    assert_eq!(updated["externalId"], ada.object_id);
    assert_eq!(entra.scim().get("/Users").total(), 1);
}

/// Asserts that a user whose body lacks something is refused, in words that name it.
#[track_caller]
fn refused_without(body: &Value, label: &str, path: &str) {
    let it = wintro();
    let detail = it
        .scim()
        .post("/Users", body)
        .scim_error(400, "invalidValue");
    assert!(detail.contains(label) && detail.contains(path), "{detail}");
    assert_eq!(it.scim().get("/Users").total(), 0);
}

#[test]
fn a_user_without_a_work_email_fails_and_the_message_names_it() {
    let ada = Person::new("Ada", "Lovelace");
    refused_without(
        &ada.mapped_with(&json!({"emails": null})),
        "work e-mail address",
        WORK_EMAIL,
    );
    let home = json!([{"type": "home", "value": ada.mail}]);
    refused_without(
        &ada.mapped_with(&json!({"emails": home})),
        "work e-mail address",
        WORK_EMAIL,
    );
}

#[test]
fn a_user_without_one_of_the_other_four_fails_and_the_message_names_it() {
    let ada = Person::new("Ada", "Lovelace");
    for (lack, label, path) in [
        (json!({"displayName": null}), "display name", "displayName"),
        (
            json!({"name": {"familyName": "Lovelace"}}),
            "given name",
            "name.givenName",
        ),
        (
            json!({"name": {"givenName": "Ada"}}),
            "family name",
            "name.familyName",
        ),
    ] {
        refused_without(&ada.mapped_with(&lack), label, path);
    }
    let nameless = ada.mapped_with(&json!({"userName": null}));
    let detail = wintro()
        .scim()
        .post("/Users", &nameless)
        .scim_error(400, "invalidValue");
    assert!(detail.contains("userName"), "{detail}");
}

#[test]
fn what_is_required_is_not_taken_away_either() {
    let it = wintro();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.mail, &ada.mapped());
    for path in ["displayName", WORK_EMAIL] {
        let remove = json!([{"op": "Remove", "path": path}]);
        let detail = entra.patch(&id, &remove).scim_error(400, "invalidValue");
        assert!(detail.contains(path), "{detail}");
    }
    assert_eq!(entra.read(&id)["displayName"], ada.display());
}

#[test]
fn user_name_may_change() {
    let it = wintro();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.mail, &ada.mapped());
    let renamed = entra
        .set(&id, "userName", &json!("ada.king@contoso.test"))
        .status(200);
    assert_eq!(renamed.json()["userName"], "ada.king@contoso.test");
}

#[test]
fn what_is_not_among_the_attributes_is_passed_over_and_reported() {
    let it = wintro();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let more = json!({
        "title": "Countess",
        "phoneNumbers": [{"type": "work", "value": "+44 20 7946 0000"}],
        ENTERPRISE: {"department": "Engines"},
    });
    let id = entra.provision(&ada.mail, &ada.mapped_with(&more));
    let _ = entra.set(&id, "nickName", &json!("Ada")).status(200);
    let _ = entra
        .set_all(&id, &json!({"title": "Countess", "displayName": "A. L."}))
        .status(200);
    let user = entra.read(&id);
    for other in ["title", "phoneNumbers", "nickName", ENTERPRISE] {
        assert!(
            user.get(other).is_none_or(super::is_nothing),
            "{other}: {user}"
        );
    }
    assert_eq!(user["displayName"], "A. L.");
    assert!(user["name"].get("formatted").is_none(), "{user}");
    let report = it.reported(User {
        user_name: "bob@contoso.test".to_owned(),
        display_name: "Bob".to_owned(),
        title: "Engineer".to_owned(),
        name: Some(PersonName {
            given_name: "Bob".to_owned(),
            family_name: "Kahn".to_owned(),
            ..Default::default()
        }),
        emails: vec![LabeledValue {
            value: "bob@contoso.test".to_owned(),
            r#type: "work".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    });
    let ignored: Vec<_> = report.ignored.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(ignored, ["title"]);
}

#[test]
fn a_deletion_disables_and_active_brings_him_back() {
    let it = wintro();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.mail, &ada.mapped());
    for _ in 0..2 {
        let _ = entra.scim().delete(&format!("/Users/{id}")).status(204);
        assert_eq!(entra.read(&id)["active"], false);
        assert_eq!(entra.look_up(&ada.mail).total(), 1, "he can be found");
    }
    assert!(!it.user(&id).effective_active);
    entra.set_active(&id, true);
    assert!(it.user(&id).effective_active);
}

#[test]
fn the_threshold_is_five_hundred() {
    let it = wintro();
    assert_eq!(it.says("deprovision_guard")["max_users"], 500);
    // The same with a threshold that a test can reach.
    let _ = it
        .edit_preset("wintro", "max_users = 500", "max_users = 1")
        .code(0);
    let entra = entra(&it);
    let people = ["Ada", "Bob", "Cleo"].map(|name| Person::new(name, "Lovelace"));
    let ids = people
        .each_ref()
        .map(|one| entra.provision(&one.mail, &one.mapped()));
    for (id, person) in ids.iter().zip(&people) {
        assert_eq!(entra.bury(id, person)["active"], false);
    }
    let [gone, dropped, released] = &ids;
    assert!(!it.user(gone).effective_active);
    let mut held = vec![dropped.clone(), released.clone()];
    held.sort();
    assert_eq!(it.held(), held);
    // Whoever waits may act, and is known by his name.
    for (id, person) in [(dropped, &people[1]), (released, &people[2])] {
        let user = it.user(id);
        assert!(user.effective_active && user.deactivation_held);
        assert_eq!(user.user_name, person.upn);
    }
    let _ = it.admin(&["held", "drop", "--id", dropped]).code(0);
    let _ = it.admin(&["held", "release", "--id", released]).code(0);
    assert_eq!(it.held(), Vec::<String>::new());
    let (kept, gone) = (it.user(dropped), it.user(released));
    assert_eq!((kept.active, kept.effective_active), (Some(true), true));
    assert_eq!(kept.user_name, people[1].upn);
    assert_eq!((gone.active, gone.effective_active), (Some(false), false));
    assert_eq!(gone.user_name, people[2].tombstone());
}

#[test]
fn the_log_has_create_update_disable_and_skip() {
    let it = wintro();
    let ada = Person::new("Ada", "Lovelace");
    super::every_action_is_told(&it, &entra(&it), &ada.mapped());
}
