//! Ultimo: users only, found by a userName that never changes, with one address, one
//! phone number, and values that must exist; new users join a group.

use muster_proto::v1::{EnterpriseUser, User};
use muster_tests::{
    entra::{Entra, Person},
    integration::Integration,
    scim::{ENTERPRISE, Scim},
};
use serde_json::{Value, json};

const EXTENSION: &str = "urn:ietf:params:scim:schemas:extension:ultimo:2.0:User";

fn ultimo() -> Integration {
    Integration::preset(super::server(), "ultimo")
}

fn entra(it: &Integration) -> Entra {
    it.entra("userName")
}

/// A new user with more attributes: as he is answered.
#[track_caller]
fn created(scim: &Scim, more: &Value) -> Value {
    let ada = Person::new("Ada", "Lovelace");
    scim.post("/Users", &ada.mapped_with(more))
        .status(201)
        .json()
}

#[test]
fn from_test_connection_to_the_last_day() {
    let it = ultimo();
    let entra = entra(&it);
    entra.test_connection();
    // Initial cycle.
    let (ada, bob) = (Person::new("Ada", "Lovelace"), Person::new("Bob", "Kahn"));
    let ada_id = entra.provision(&ada.upn, &ada.mapped());
    let bob_id = entra.provision(&bob.upn, &bob.mapped());
    entra.groups_are_refused();
    // Incremental cycle, in both forms; a manager is not provisioned and stops nothing.
    let _ = entra.set(&bob_id, "title", &json!("Mechanic")).status(200);
    let department = format!("{ENTERPRISE}:department");
    let values = json!({department: "Operations", format!("{EXTENSION}:site"): "Utrecht"});
    let _ = entra.set_all(&bob_id, &values).status(200);
    let _ = entra
        .add(&bob_id, &format!("{ENTERPRISE}:manager"), &json!(ada_id))
        .status(200);
    let changed = entra.read(&bob_id);
    assert_eq!(
        (&changed["title"], &changed[EXTENSION]["site"]),
        (&json!("Mechanic"), &json!("Utrecht"))
    );
    assert_eq!(changed[ENTERPRISE], json!({"department": "Operations"}));
    // Disabled and back.
    entra.set_active(&bob_id, false);
    entra.set_active(&bob_id, true);
    entra.set_active_flagged(&bob_id, false);
    entra.set_active_flagged(&bob_id, true);
    // A soft deletion renames him: the name stays, and active goes through.
    let gone = entra.bury(&bob_id, &bob);
    assert_eq!(
        (&gone["active"], &gone["userName"]),
        (&json!(false), &json!(bob.upn))
    );
    let back = entra.revive(&bob_id, &bob);
    assert_eq!(
        (&back["active"], &back["userName"]),
        (&json!(true), &json!(bob.upn))
    );
    // Conflict, renewal of the token, and the last day.
    let _ = entra
        .scim()
        .post("/Users", &ada.mapped())
        .scim_error(409, "uniqueness");
    let entra = Entra::new(super::renew(&it), "userName");
    entra.remove(&bob_id);
}

#[test]
fn the_base_url_is_scim_and_the_token_has_no_end() {
    let it = ultimo();
    assert_eq!(it.base_path(), "/scim");
    assert!(it.credential["expires_at"].is_null());
}

#[test]
fn groups_are_not_supported() {
    let it = ultimo();
    // Nor those of others in the tenant.
    let onlooker = it.onlooker();
    let group = onlooker.group("Engineers", &[]);
    entra(&it).groups_are_refused();
    let path = format!("/Groups/{group}");
    let _ = it.scim().get(&path).scim_error(404, None);
    let _ = it.scim().delete(&path).scim_error(501, None);
    let _ = onlooker.get(&path).status(200);
}

#[test]
fn a_second_user_of_a_name_is_a_conflict() {
    let it = ultimo();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped());
    let found = entra.look_up(&ada.upn.to_uppercase()).status(200);
    assert_eq!(found.json()["Resources"][0]["id"], id);
    let again = ada.mapped_with(&json!({"userName": ada.upn.to_uppercase(), "externalId": "x"}));
    let _ = entra
        .scim()
        .post("/Users", &again)
        .scim_error(409, "uniqueness");
}

#[test]
fn a_user_without_a_user_name_fails() {
    let nameless = Person::new("Ada", "Lovelace").mapped_with(&json!({"userName": null}));
    let detail = ultimo()
        .scim()
        .post("/Users", &nameless)
        .scim_error(400, "invalidValue");
    assert!(detail.contains("userName"), "{detail}");
}

#[test]
fn user_name_stays_but_active_goes_through() {
    let it = ultimo();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped());
    // Alone it is refused, in either form.
    let _ = entra
        .set(&id, "userName", &json!("x@contoso.test"))
        .scim_error(400, "mutability");
    let values = json!({"userName": "x@contoso.test", "title": "Countess"});
    let _ = entra.set_all(&id, &values).scim_error(400, "mutability");
    assert!(entra.read(&id).get("title").is_none(), "all or nothing");
    // The same name again is no change.
    let _ = entra.set(&id, "userName", &json!(ada.upn)).status(200);
    // With active beside it the rest is done, in either form.
    for (active, said) in [(false, json!("False")), (true, json!(true))] {
        let values = json!({"userName": "x@contoso.test", "active": said, "title": "Countess"});
        let user = entra.set_all(&id, &values).status(200).json();
        assert_eq!(
            (&user["userName"], &user["active"]),
            (&json!(ada.upn), &json!(active))
        );
        assert_eq!(user["title"], "Countess");
    }
    let gone = entra.bury(&id, &ada);
    assert_eq!(
        (&gone["userName"], &gone["active"]),
        (&json!(ada.upn), &json!(false))
    );
    assert!(!it.user(&id).effective_active);
}

#[test]
fn of_addresses_the_primary_one_is_kept() {
    let scim = ultimo().scim();
    let user = created(
        &scim,
        &json!({"emails": [
            {"type": "home", "value": "ada@home.test"},
            {"type": "work", "value": "ada@work.test", "primary": true},
        ]}),
    );
    assert_eq!(user["emails"].as_array().map(Vec::len), Some(1));
    assert_eq!(user["emails"][0]["value"], "ada@work.test");
}

#[test]
fn an_address_that_is_not_primary_is_not_kept() {
    let user = created(
        &ultimo().scim(),
        &json!({"emails": [{"type": "work", "value": "ada@work.test"}]}),
    );
    assert!(user.get("emails").is_none_or(super::is_nothing), "{user}");
}

#[test]
fn of_phone_numbers_the_primary_one_wins() {
    let user = created(
        &ultimo().scim(),
        &json!({"phoneNumbers": [
            {"type": "work", "value": "1"},
            {"type": "mobile", "value": "2", "primary": true},
        ]}),
    );
    assert_eq!(user["phoneNumbers"].as_array().map(Vec::len), Some(1));
    assert_eq!(user["phoneNumbers"][0]["value"], "2");
}

#[test]
fn a_single_phone_number_is_used() {
    let it = ultimo();
    let user = created(
        &it.scim(),
        &json!({"phoneNumbers": [{"type": "mobile", "value": "2"}]}),
    );
    assert_eq!(user["phoneNumbers"][0]["value"], "2");
    // As it is sent later: by an operation on an element that is not there.
    let entra = entra(&it);
    let bob = Person::new("Bob", "Kahn");
    let id = entra.provision(&bob.upn, &bob.mapped());
    let _ = entra
        .add(&id, "phoneNumbers[type eq \"work\"].value", &json!("3"))
        .status(200);
    assert_eq!(entra.read(&id)["phoneNumbers"][0]["value"], "3");
}

#[test]
fn unknown_departments_are_skipped_and_the_rest_applies() {
    let it = ultimo();
    let entra = entra(&it);
    let user = created(
        &it.scim(),
        &json!({
            "title": "Countess",
            ENTERPRISE: {"department": "Astrology", "organization": "contoso", "employeeNumber": "7"},
        }),
    );
    let id = user["id"].as_str().expect("an id");
    assert_eq!(user["title"], "Countess");
    assert_eq!(
        user[ENTERPRISE],
        json!({"organization": "contoso", "employeeNumber": "7"})
    );
    let department = format!("{ENTERPRISE}:department");
    let _ = entra.set(id, &department, &json!("Operations")).status(200);
    // An unknown one later leaves the one that is there.
    let values = json!({department: "Astrology", "displayName": "Ada King"});
    let user = entra.set_all(id, &values).status(200).json();
    assert_eq!(user[ENTERPRISE]["department"], "Operations");
    assert_eq!(user["displayName"], "Ada King");
}

#[test]
fn unknown_values_are_reported() {
    let report = ultimo().reported(User {
        user_name: "ada@contoso.test".to_owned(),
        enterprise: Some(EnterpriseUser {
            department: "Astrology".to_owned(),
            organization: "Initech".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    });
    let mut ignored: Vec<_> = report.ignored.iter().map(|one| one.path.clone()).collect();
    ignored.sort();
    let path = |name: &str| format!("{ENTERPRISE}:{name}");
    assert_eq!(ignored, [path("department"), path("organization")]);
    for one in report.ignored {
        assert_eq!(
            one.reason,
            "is none of the values that this connection knows"
        );
    }
}

#[test]
fn the_site_is_an_attribute_of_its_own_and_must_exist() {
    let it = ultimo();
    let user = created(&it.scim(), &json!({EXTENSION: {"site": "Amsterdam"}}));
    assert_eq!(user[EXTENSION]["site"], "Amsterdam");
    let id = user["id"].as_str().expect("an id");
    let entra = entra(&it);
    let _ = entra
        .set(id, &format!("{EXTENSION}:site"), &json!("Atlantis"))
        .status(200);
    assert_eq!(entra.read(id)[EXTENSION]["site"], "Amsterdam");
    let schemas = it.scim().get("/Schemas").status(200).text();
    assert!(schemas.contains(EXTENSION));
}

#[test]
fn its_attributes_are_kept_and_others_are_passed_over() {
    let user = created(
        &ultimo().scim(),
        &json!({
            "title": "Countess", "nickName": "Ada", "locale": "en-GB",
            ENTERPRISE: {"employeeNumber": "7", "costCenter": "9", "division": "Engines"},
        }),
    );
    assert_eq!(
        (&user["title"], &user["name"]["givenName"]),
        (&json!("Countess"), &json!("Ada"))
    );
    assert_eq!(user[ENTERPRISE], json!({"employeeNumber": "7"}));
    for other in ["nickName", "locale"] {
        assert!(user.get(other).is_none(), "{user}");
    }
}

#[test]
fn new_users_join_the_default_group() {
    let it = ultimo();
    let onlooker = it.onlooker();
    let group = onlooker.find("/Groups", "displayName eq \"Ultimo users\"");
    let group = group.status(200).json()["Resources"][0]["id"].clone();
    let group = group.as_str().expect("it is made with the connection");
    let user = created(&it.scim(), &json!({}));
    assert_eq!(
        onlooker.members(group),
        [user["id"].as_str().expect("an id")]
    );
    assert!(
        user.get("groups").is_none_or(super::is_nothing),
        "its client knows no groups"
    );
}

#[test]
fn whoever_was_deleted_comes_as_a_new_user() {
    let it = ultimo();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped());
    entra.remove(&id);
    // He comes again as a new one: nobody is found among those who are gone.
    let again = entra.scim().post("/Users", &ada.mapped()).status(201);
    assert_ne!(again.id(), id);
}

#[test]
fn what_is_not_sent_stays() {
    let it = ultimo();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let more = json!({"title": "Countess", "phoneNumbers": [{"type": "work", "value": "1815"}]});
    let id = entra.provision(&ada.upn, &ada.mapped_with(&more));
    // An empty value in Entra is none that is sent, whatever else is.
    let _ = entra
        .set_all(&id, &json!({"displayName": "Ada King"}))
        .status(200);
    let user = entra.read(&id);
    assert_eq!(
        (&user["title"], &user["displayName"]),
        (&json!("Countess"), &json!("Ada King"))
    );
    assert_eq!(user["phoneNumbers"][0]["value"], "1815");
}

#[test]
fn an_address_that_comes_later_is_kept() {
    let it = ultimo();
    let entra = entra(&it);
    let ada = Person::new("Ada", "Lovelace");
    let id = entra.provision(&ada.upn, &ada.mapped_with(&json!({"emails": null})));
    let path = "emails[type eq \"work\"].value";
    for mail in [&ada.mail, "ada.king@contoso.test"] {
        let _ = entra.add(&id, path, &json!(mail)).status(200);
        assert_eq!(entra.read(&id)["emails"][0]["value"], mail.to_owned());
    }
}

#[test]
fn the_log_has_a_line_for_each_action() {
    let it = ultimo();
    let ada = Person::new("Ada", "Lovelace");
    super::every_action_is_told(&it, &entra(&it), &ada.mapped());
}
