//! What was refused, by the facade or by the directory.

use muster_proto::v1::{
    ErrorReason, ListProvisioningEventsRequest, ProvisioningOperation as Op, ResourceType,
};
use muster_tests::scim::USER;
use serde_json::json;

use super::{World, told, world};

/// The last event of a world that has so many.
#[track_caller]
fn last(world: &World, count: usize) -> muster_proto::v1::ProvisioningEvent {
    world.events(count).pop().expect("an event")
}

#[test]
fn what_the_facade_refuses_is_in_the_log() {
    let world = world();
    let scim = &world.scim;
    let post = |kind: &str, body: &str| {
        let draft = scim.request("POST", "/Users").header("content-type", kind);
        draft.body(body.to_owned()).send()
    };
    let scim_json = "application/scim+json";
    let _ = post(scim_json, "{\"userName\":").scim_error(400, "invalidSyntax");
    let event = last(&world, 1);
    assert_eq!(told(&event), (Op::Create, 400, ""));
    assert_eq!(event.scim_type, "invalidSyntax");
    assert_eq!(event.reason(), ErrorReason::Unspecified);
    assert!(!event.detail.is_empty());

    let _ = post("text/plain", "{}").status(415);
    assert_eq!(told(&last(&world, 2)), (Op::Create, 415, ""));

    let _ = post(scim_json, &" ".repeat(2 * 1024 * 1024)).status(413);
    assert_eq!(told(&last(&world, 3)), (Op::Create, 413, ""));

    let draft = scim.request("GET", "/Users").header("accept", "text/html");
    let _ = draft.send().status(406);
    assert_eq!(told(&last(&world, 4)), (Op::Lookup, 406, ""));

    let _ = scim
        .find("/Users", "userName eq")
        .scim_error(400, "invalidFilter");
    let event = last(&world, 5);
    assert_eq!(event.scim_type, "invalidFilter");
    assert_eq!(event.resource_type(), ResourceType::User);

    let _ = scim.get("/Userz").status(404);
    let event = last(&world, 6);
    assert_eq!(told(&event), (Op::Lookup, 404, ""));
    assert_eq!(event.resource_type(), ResourceType::Unspecified);

    let _ = scim
        .request("POST", "/Schemas")
        .json(&json!({}))
        .send()
        .status(405);
    assert_eq!(told(&last(&world, 7)), (Op::Unspecified, 405, ""));

    let _ = scim
        .post("/Users", &json!({"schemas": [USER], "externalId": "x-1"}))
        .status(400);
    let event = last(&world, 8);
    assert_eq!(event.reason(), ErrorReason::RequiredAttributeMissing);
    assert_eq!(event.attribute, "userName");
    assert_eq!(event.external_id, "x-1");

    let wrong = json!({"schemas": [USER], "userName": "ada", "active": "perhaps"});
    let _ = scim.post("/Users", &wrong).scim_error(400, "invalidValue");
    assert_eq!(last(&world, 9).attribute, "active");
}

#[test]
fn what_the_directory_refuses_is_in_the_log_with_its_reason() {
    let world = world();
    let person = json!({"schemas": [USER], "userName": "ada", "externalId": "x-1"});
    let id = world.scim.post("/Users", &person).status(201).id();
    let other = json!({"schemas": [USER], "userName": "ada", "externalId": "x-2"});
    let _ = world.scim.post("/Users", &other).status(409);
    let event = last(&world, 2);
    assert_eq!(told(&event), (Op::Create, 409, ""));
    assert_eq!(event.scim_type, "uniqueness");
    assert_eq!(event.reason(), ErrorReason::UserNameTaken);
    assert_eq!(event.attribute, "userName");
    assert_eq!(
        (event.external_id.as_str(), event.resource_id.as_str()),
        ("x-2", "")
    );

    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057";
    let title = json!([{"op": "replace", "path": "title", "value": "t"}]);
    let _ = world
        .scim
        .patch(&format!("/Users/{nobody}"), &title)
        .status(404);
    let event = last(&world, 3);
    assert_eq!(told(&event), (Op::Update, 404, ""));
    assert_eq!(event.reason(), ErrorReason::UserNotFound);
    assert_eq!(event.resource_id, nobody);

    let draft = world.scim.patching(&format!("/Users/{id}"), &title);
    let _ = draft.header("if-match", "W/\"99\"").send().status(412);
    let event = last(&world, 4);
    assert_eq!(event.reason(), ErrorReason::EtagMismatch);
    assert_eq!(
        (event.resource_id.as_str(), event.external_id.as_str()),
        (id.as_str(), "x-1")
    );
    let own = ListProvisioningEventsRequest {
        external_id: "x-1".to_owned(),
        failures_only: true,
        ..ListProvisioningEventsRequest::default()
    };
    assert_eq!(world.list(own).len(), 1, "found by the client's own id");
}

#[test]
fn who_has_no_credential_leaves_no_trace() {
    let world = world();
    let stranger = world.tenant.scim_with(&format!("{}x", world.tenant.token));
    let _ = stranger.get("/Users").status(401);
    let _ = stranger.get("/Userz").status(404);
    let _ = stranger.post("/Users", &json!({})).status(401);
    let _ = world.scim.user("ada");
    assert_eq!(world.event().operation(), Op::Create);
}

#[test]
fn the_true_secret_of_a_dead_credential_is_told_of_once_a_minute() {
    let world = world();
    let server = super::super::server();
    let (id, token) = world.tenant.credential(server, "entra", &[]);
    let revoke = [
        "credential",
        "revoke",
        "--tenant",
        &world.tenant.id,
        "--id",
        &id,
    ];
    let _ = server.admin().json(&revoke);
    let mut wrong = token.clone();
    wrong.replace_range(wrong.len() - 10.., "0000000000");
    for _ in 0..3 {
        let _ = world.tenant.scim_with(&wrong).get("/Users").status(401);
    }
    let dead = world.tenant.scim_with(&token);
    muster_tests::soon::wait_until("the credential to be dead", || {
        dead.get("/Users").code() == 401
    });
    for _ in 0..3 {
        let _ = dead.get("/Users").status(401);
    }
    let _ = world.scim.user("ada");
    let mut events = Vec::new();
    muster_tests::soon::wait_until("the events", || {
        events = world.list(Default::default());
        events.iter().any(|event| event.operation() == Op::Create)
    });
    let of_it = events.iter().filter(|event| event.http_status == 401);
    let of_it: Vec<_> = of_it.collect();
    assert_eq!(of_it.len(), 1, "{events:#?}");
    assert_eq!(of_it[0].credential_id, id);
    assert_eq!(of_it[0].connection_id, world.tenant.connection_id);
    assert_eq!(of_it[0].reason(), ErrorReason::CredentialInvalid);
}

#[test]
fn a_dead_oauth_client_is_told_of_too() {
    let world = world();
    let server = super::super::server();
    let client = muster_tests::oauth::Client::create(server, &world.tenant);
    let id = client.id.clone();
    let revoke = [
        "credential",
        "revoke",
        "--tenant",
        &world.tenant.id,
        "--id",
        &id,
    ];
    let _ = server.admin().json(&revoke);
    let _ = client.trade(&client.secret).status(401);
    let event = world.event();
    assert_eq!((event.http_status, event.credential_id), (401, id));
}
