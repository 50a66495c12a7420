//! Switches that no preset has, presets that are for everybody, and how a policy
//! changes.

use std::{fs, thread, time::Duration};

use muster_proto::v1::{GetGroupRequest, PurgeGroupRequest, WriteOptions};
use muster_tests::{
    entra::Person,
    grpc::reason,
    integration::{self, Integration},
    runtime::wait,
    scim::{ENTERPRISE, GROUP, Scim},
    service::Service,
    soon::wait_until,
    tenant::{Tenant, text},
};
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

fn policy(policy: &str) -> Integration {
    Integration::policy(super::server(), policy)
}

/// Whom the client does not call by anything yet.
fn unclaimed(person: &Person, more: &Value) -> Value {
    let mut body = person.mapped_with(more);
    body.as_object_mut()
        .expect("an object")
        .remove("externalId");
    body
}

#[test]
fn adopted_users_keep_their_values_and_gain_what_they_lack() {
    let it = policy("match_order = [\"user_name\"]\non_match = \"adopt\"");
    let (scim, ada) = (it.scim(), Person::new("Ada", "Lovelace"));
    let before = unclaimed(
        &ada,
        &json!({"active": false, "name": {"givenName": "Augusta"}}),
    );
    let id = scim.post("/Users", &before).status(201).id();
    let sent = ada.mapped_with(&json!({"displayName": "Somebody", "title": "Countess"}));
    let adopted = scim.post("/Users", &sent).status(200);
    assert_eq!(adopted.id(), id);
    let user = adopted.json();
    assert_eq!(user["displayName"], ada.display());
    assert_eq!(user["name"]["givenName"], "Augusta");
    assert_eq!(user["name"]["familyName"], "Lovelace");
    assert_eq!(user["title"], "Countess");
    // These two are the client's word.
    assert_eq!(user["active"], true);
    assert_eq!(user["externalId"], ada.object_id);
}

#[test]
fn users_of_another_connection_are_taken_over_where_that_is_said() {
    let (server, ada) = (super::server(), Person::new("Ada", "Lovelace"));
    let tenant = Tenant::create(server);
    let id = tenant.scim().post("/Users", &ada.mapped()).status(201).id();
    let keys = "match_order = [\"user_name\"]\non_match = \"merge\"\nmatch_foreign = true";
    let it = Integration::policy_in(server, tenant.id.clone(), keys);
    let own = ada.mapped_with(&json!({"externalId": "other", "displayName": "Ada King"}));
    assert_eq!(it.scim().post("/Users", &own).status(200).id(), id);
    // Each connection calls him by its own name.
    let former = tenant.scim().get(&format!("/Users/{id}")).json();
    assert_eq!(former["externalId"], ada.object_id);
    assert_eq!(former["displayName"], "Ada King");
}

#[test]
fn users_are_found_by_employee_number() {
    let it = policy("match_order = [\"employee_number\"]\non_match = \"merge\"");
    let (ada, other) = (Person::new("Ada", "Lovelace"), Person::new("Ada", "King"));
    let number = json!({ENTERPRISE: {"employeeNumber": "1815"}});
    let id = it
        .scim()
        .post("/Users", &unclaimed(&ada, &number))
        .status(201)
        .id();
    let found = it
        .scim()
        .post("/Users", &other.mapped_with(&number))
        .status(200);
    assert_eq!(
        (found.id(), &found.json()["userName"]),
        (id, &json!(other.upn))
    );
}

#[test]
fn who_is_meant_of_two_is_nobodys_guess() {
    let keys = "match_order = [\"work_email\"]\non_match = \"merge\"";
    let it = policy("");
    let (scim, ada) = (it.scim(), Person::new("Ada", "Lovelace"));
    for name in ["one", "two"] {
        let body = unclaimed(&ada, &json!({"userName": name}));
        let _ = scim.post("/Users", &body).status(201);
    }
    let _ = it.edit(keys).code(0);
    wait_until("the new policy", || {
        let third = unclaimed(&ada, &json!({"userName": Uuid::new_v4().to_string()}));
        scim.post("/Users", &third).code() == 409
    });
    let detail = scim
        .post("/Users", &ada.mapped())
        .scim_error(409, "uniqueness");
    assert!(
        detail.contains("emails[type eq \"work\"].value"),
        "{detail}"
    );
}

#[test]
fn without_a_policy_a_second_user_is_a_conflict() {
    let it = policy("");
    let ada = Person::new("Ada", "Lovelace");
    let _ = it.scim().post("/Users", &ada.mapped()).status(201);
    let _ = it
        .scim()
        .post("/Users", &ada.mapped())
        .scim_error(409, "uniqueness");
}

#[test]
fn other_attributes_are_refused_where_that_is_said() {
    let it = policy(
        "allowed_attributes = [\"userName\", \"active\", \"name\"]\non_other_attributes = \"reject\"",
    );
    let (scim, ada) = (it.scim(), Person::new("Ada", "Lovelace"));
    let lean = ada.mapped_with(&json!({"displayName": null, "emails": null}));
    let id = scim.post("/Users", &lean).status(201).id();
    let detail = scim
        .post("/Users", &ada.mapped())
        .scim_error(400, "invalidValue");
    assert!(detail.contains("displayName"), "{detail}");
    let add = json!([{"op": "Add", "path": "title", "value": "Countess"}]);
    let detail = scim
        .patch(&format!("/Users/{id}"), &add)
        .scim_error(400, "invalidValue");
    assert!(detail.contains("title"), "{detail}");
}

#[test]
fn only_a_primary_number_and_a_single_address_are_kept() {
    let it = policy("emails = \"primary_or_single\"\nphone_numbers = \"primary_only\"");
    let ada = Person::new("Ada", "Lovelace");
    let body = ada.mapped_with(&json!({
        "emails": [{"type": "home", "value": "ada@home.test"}],
        "phoneNumbers": [{"type": "work", "value": "1"}],
    }));
    let user = it.scim().post("/Users", &body).status(201).json();
    assert_eq!(user["emails"][0]["value"], "ada@home.test");
    assert!(
        user.get("phoneNumbers").is_none_or(super::is_nothing),
        "{user}"
    );
}

/// A group of a connection of this policy with a member who exists and one who does
/// not: the answer, and what may be compared with it.
#[track_caller]
fn added(it: &Integration, member: &str) -> (Scim, String, u16) {
    let scim = it.scim();
    let group = scim.group("Engineers", &[]);
    let bob = scim.user("bob");
    let value = json!([{"value": member}, {"value": bob}]);
    let add = json!([{"op": "Add", "path": "members", "value": value}]);
    let code = scim.patch(&format!("/Groups/{group}"), &add).code();
    assert_eq!(scim.members(&group).contains(&bob), code < 300);
    (scim, group, code)
}

#[test]
fn unknown_members_are_skipped_where_that_is_said() {
    let it = policy("on_unknown_member = \"skip\"");
    let (scim, group, code) = added(&it, &Uuid::new_v4().to_string());
    assert_eq!((code / 100, scim.members(&group).len()), (2, 1));
}

#[test]
fn members_are_named_by_id_alone_where_that_is_said() {
    let it = policy("members_by_external_id = false");
    let ada = Person::new("Ada", "Lovelace");
    let _ = it.scim().post("/Users", &ada.mapped()).status(201);
    assert_eq!(added(&it, &ada.object_id).2, 400);
}

#[test]
fn protected_users_are_neither_disabled_deleted_nor_renamed() {
    let it = policy("");
    let (scim, ada) = (it.scim(), Person::new("Ada", "Lovelace"));
    let id = scim.post("/Users", &ada.mapped()).status(201).id();
    let path = format!("/Users/{id}");
    let _ = it
        .edit(&format!("protected_users = [{:?}]", ada.upn.to_uppercase()))
        .code(0);
    let disable = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let enable = json!([{"op": "Replace", "path": "active", "value": "True"}]);
    wait_until("the new policy", || {
        let code = scim.patch(&path, &disable).code();
        let _ = scim.patch(&path, &enable).status(200);
        code == 403
    });
    let detail = scim.patch(&path, &disable).scim_error(403, None);
    assert!(detail.contains("protected"), "{detail}");
    let _ = scim.delete(&path).scim_error(403, None);
    let rename = json!([{"op": "Replace", "path": "userName", "value": "x"}]);
    let _ = scim.patch(&path, &rename).scim_error(403, None);
    let other = json!([{"op": "Replace", "path": "title", "value": "Countess"}]);
    let user = scim.patch(&path, &other).status(200).json();
    assert_eq!(
        (&user["active"], &user["userName"]),
        (&json!(true), &json!(ada.upn))
    );
}

#[test]
fn so_many_credentials_and_no_more() {
    let it = policy("credential_limit = 2\ncredential_lifetime = \"30d\"");
    let create = ["credential", "create", "--connection", &it.id()];
    let short = it.admin(&[&create[..], &["--expires-in", "1s"]].concat());
    let _ = short.code(0);
    // One that ended does not count.
    wait_until("the end of the second", || {
        it.admin(&create).exit() == Some(0)
    });
    let told = it.admin(&create).code(1).stderr();
    assert!(
        told.contains("as many credentials as its policy allows"),
        "{told}"
    );
    // A flag of the command is worth more than the file.
    let never = [
        "connection",
        "update",
        "--name",
        &it.id(),
        "--credential-lifetime",
        "never",
    ];
    let shown = it.admin(&never).code(0).json();
    assert!(shown["credential_lifetime_seconds"].is_null());
    assert_eq!(shown["policy"]["credential_limit"], 2);
}

#[test]
fn a_change_counts_within_a_second_for_what_is_written_then() {
    let it = policy("allowed_attributes = [\"userName\", \"active\"]");
    let (scim, ada) = (it.scim(), Person::new("Ada", "Lovelace"));
    let user = scim.post("/Users", &ada.mapped()).status(201);
    assert!(user.json().get("displayName").is_none());
    let _ = it.edit("required_attributes = [\"title\"]").code(0);
    thread::sleep(Duration::from_secs(1));
    let bob = Person::new("Bob", "Kahn");
    let detail = scim
        .post("/Users", &bob.mapped())
        .scim_error(400, "invalidValue");
    assert!(detail.contains("title"), "{detail}");
    // Who is there stays as he is, and loses nothing that he never had.
    let path = format!("/Users/{}", user.id());
    let name = json!([{"op": "Replace", "path": "displayName", "value": "Ada"}]);
    let user = scim.patch(&path, &name).status(200).json();
    assert_eq!(user["displayName"], "Ada");
}

#[test]
fn default_groups_are_named_by_id_or_name_and_are_not_deleted() {
    let server = super::server();
    let tenant = Tenant::create(server);
    let scim = tenant.scim();
    let (one, two) = (scim.group("Everyone", &[]), scim.group("Guests", &[]));
    let keys = format!("default_groups = [{one:?}, \"GUESTS\"]");
    let it = Integration::policy_in(server, tenant.id.clone(), &keys);
    assert_eq!(it.says("default_groups"), json!([one, two]));
    let user = it.scim().user("ada");
    for group in [&one, &two] {
        assert_eq!(scim.members(group), std::slice::from_ref(&user));
        let refused = scim.delete(&format!("/Groups/{group}"));
        let detail = refused.scim_error(409, None);
        assert!(
            detail.contains("provisioning"),
            "it names the connection: {detail}"
        );
    }
    // Nor are they removed for good.
    let grpc = Service::full(server, &tenant).grpc();
    let read = GetGroupRequest {
        id: one.clone(),
        ..Default::default()
    };
    let read = wait(grpc.groups().get_group(read)).expect("a group");
    let meta = read.into_inner().group.and_then(|group| group.meta);
    let etag = meta.expect("an entity tag").etag;
    let request = PurgeGroupRequest {
        id: one.clone(),
        options: Some(WriteOptions {
            if_match: etag,
            ..Default::default()
        }),
    };
    let refused = wait(grpc.groups().purge_group(request)).expect_err("it is in use");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "GROUP_IN_USE");
    // Once no policy names it, it is a group like others.
    let _ = it.edit("").code(0);
    let _ = scim.delete(&format!("/Groups/{one}")).status(204);
}

#[test]
fn presets_are_files_to_copy_and_edit() {
    let server = super::server();
    let admin = server.admin();
    let listed = admin.json(&["preset", "list"]);
    let names: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| text(one, "name"))
        .collect();
    for name in [
        "entra-default",
        "okta",
        "wintro",
        "weftid",
        "generic",
        "configcat",
        "ultimo",
    ] {
        assert!(names.iter().any(|known| known == name), "{name}");
        let shown = admin.run(&["preset", "show", name]).code(0).stdout();
        let edited = match shown.contains("credential_limit = 1\n") {
            true => shown.replace("credential_limit = 1\n", "credential_limit = 7\n"),
            false => shown.replace("[policy]\n", "[policy]\ncredential_limit = 7\n"),
        };
        let file = server
            .folder()
            .join(format!("{}.toml", Uuid::new_v4().simple()));
        fs::write(&file, edited).expect("a file");
        let tenant = integration::tenant(server);
        let file = file.to_str().expect("a plain path");
        let create = [
            "connection",
            "create",
            "--tenant",
            &tenant,
            "--name",
            "copy",
        ];
        let made = admin.json(&[&create[..], &["--policy", file]].concat());
        assert_eq!(made["policy"]["credential_limit"], 7, "{name}");
    }
}

#[test]
fn the_other_presets_are_served_too() {
    for (preset, flavor) in [("entra-default", "entra"), ("okta", "okta")] {
        let it = Integration::preset(super::server(), preset);
        assert_eq!(it.connection["flavor"], flavor);
        assert_eq!(it.base_path(), "/scim/v2");
        let id = it.scim().user("ada");
        let body = json!({"schemas": [muster_tests::scim::USER], "userName": "ADA"});
        let _ = it
            .scim()
            .post("/Users", &body)
            .scim_error(409, "uniqueness");
        let _ = it.scim().delete(&format!("/Users/{id}")).status(204);
        let body = json!({"schemas": [GROUP], "displayName": "Engineers"});
        let _ = it.scim().post("/Groups", &body).status(201);
    }
}
