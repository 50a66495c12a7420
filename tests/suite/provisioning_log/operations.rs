//! What was done, as the log tells it.

use muster_proto::v1::{
    ListProvisioningEventsRequest, ProvisioningEvent, ProvisioningOperation as Op,
    RecordProvisioningEventsRequest, ResourceType,
};
use muster_tests::{
    grpc::reason,
    runtime::wait,
    scim::{GROUP, USER},
    service::Service,
    tenant::Tenant,
};
use serde_json::json;
use tonic::Code;

use super::{World, list, told, world};

#[test]
fn every_operation_on_a_user_is_in_the_log() {
    let world = world();
    let scim = &world.scim;
    let person = json!({"schemas": [USER], "userName": "ada", "externalId": "x-1"});
    let id = scim.post("/Users", &person).status(201).id();
    let path = format!("/Users/{id}");
    let replace = |path: &str, value| json!([{"op": "replace", "path": path, "value": value}]);
    let _ = scim.get(&path).status(200);
    let _ = scim.find("/Users", "userName eq \"ada\"").status(200);
    for _ in 0..2 {
        let _ = scim.patch(&path, &replace("title", json!("t"))).status(200);
    }
    let _ = scim
        .patch(&path, &replace("active", json!(false)))
        .status(200);
    let _ = scim
        .patch(&path, &replace("active", json!(true)))
        .status(200);
    let body = json!({"schemas": [USER], "userName": "ada", "externalId": "x-1", "title": "u"});
    let _ = scim.put(&path, &body).status(200);
    let _ = scim.delete(&path).status(204);
    let events = world.events(9);
    let expected = [
        (Op::Create, 201, "scim_user_received", "POST"),
        (Op::Lookup, 200, "", "GET"),
        (Op::Lookup, 200, "", "GET"),
        (Op::Update, 200, "scim_user_updated", "PATCH"),
        (Op::Skip, 200, "", "PATCH"),
        (Op::Disable, 200, "scim_user_deactivated", "PATCH"),
        (Op::Enable, 200, "scim_user_reactivated", "PATCH"),
        (Op::Update, 200, "scim_user_updated", "PUT"),
        (Op::Delete, 204, "scim_user_deleted", "DELETE"),
    ];
    for (event, (operation, status, name, method)) in events.iter().zip(expected) {
        assert_eq!(told(event), (operation, status, name), "{event:?}");
        assert_eq!(event.method, method, "{event:?}");
        assert_eq!(event.resource_type(), ResourceType::User, "{event:?}");
        assert_eq!(event.connection_id, world.tenant.connection_id);
        assert_eq!(event.credential_id, world.tenant.credential_id);
        assert!(event.time.is_some() && event.latency.is_some(), "{event:?}");
        assert!(!event.request_id.is_empty(), "{event:?}");
        assert_eq!(event.detail, "", "{event:?}");
    }
    for (number, event) in events.iter().enumerate() {
        let expected = if number == 2 { "" } else { id.as_str() };
        assert_eq!(event.resource_id, expected, "{event:?}");
    }
    // The answer to a deletion has nobody's name, and is given it all the same.
    for number in [0, 1, 3, 4, 5, 6, 7, 8] {
        assert_eq!(events[number].external_id, "x-1", "{:?}", events[number]);
    }
    assert_eq!(events[2].filtered_attributes, ["userName"]);
    assert_eq!(events[3].changed_attributes, ["title"]);
    assert_eq!(events[4].changed_attributes, [""; 0]);
    assert_eq!(events[5].changed_attributes, ["active"]);
    let ids: Vec<_> = events.iter().map(|event| &event.id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn every_operation_on_a_group_is_in_the_log() {
    let world = world();
    let scim = &world.scim;
    let user = scim.user("ada");
    let group = scim.group("g", &[]);
    let path = format!("/Groups/{group}");
    let members = |op: &str| json!([{"op": op, "path": "members", "value": [{"value": user}]}]);
    let _ = scim.patch(&path, &members("add")).status_in(&[200, 204]);
    let _ = scim.patch(&path, &members("remove")).status_in(&[200, 204]);
    let rename = json!([{"op": "replace", "path": "displayName", "value": "h"}]);
    let _ = scim.patch(&path, &rename).status_in(&[200, 204]);
    let _ = scim.get("/Groups").status(200);
    let body = json!({"schemas": [GROUP], "displayName": "h"});
    let _ = scim.put(&path, &body).status(200);
    let _ = scim.delete(&path).status(204);
    let events = world.events(8);
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "scim_user_received",
            "scim_group_received",
            "scim_group_member_added",
            "scim_group_member_removed",
            "scim_group_updated",
            "",
            "",
            "scim_group_deleted",
        ]
    );
    let added = &events[2];
    assert_eq!((added.members_added, added.members_removed), (1, 0));
    assert_eq!(added.changed_attributes, ["members"]);
    assert_eq!(events[6].operation(), Op::Skip, "{:?}", events[6]);
    for event in &events[1..] {
        assert_eq!(event.resource_type(), ResourceType::Group, "{event:?}");
    }
}

#[test]
fn a_bulk_is_as_many_events_as_it_has_operations() {
    let world = world();
    let taken = world.scim.user("taken");
    let operation = |method: &str, path: &str, more: serde_json::Value| {
        let mut operation = json!({"method": method, "path": path});
        let all = operation.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        operation
    };
    let user = |name: &str| json!({"bulkId": name, "data": {"userName": name, "schemas": [USER]}});
    let group = json!({"bulkId": "g", "data": {"displayName": "g", "schemas": [GROUP],
        "members": [{"value": "bulkId:nobody"}]}});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            operation("POST", "/Users", user("ada")),
            operation("POST", "/Users", user("taken")),
            operation("DELETE", &format!("/Users/{taken}"), json!({})),
            operation("POST", "/Nowhere", json!({"bulkId": "n", "data": {}})),
            operation("POST", "/Groups", group),
        ],
    });
    let reply = world.scim.post("/Bulk", &body).status(200);
    let events = world.events(6).split_off(1);
    let mut found: Vec<_> = events
        .iter()
        .map(|event| (event.http_status, event.name.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (201, "scim_user_received"),
            (204, "scim_user_deleted"),
            (404, ""),
            (409, ""),
            (409, ""),
        ]
    );
    let request = reply.header("x-request-id").expect("it has one");
    assert!(events.iter().all(|event| event.request_id == request));
    let refused = json!({"schemas": [], "Operations": "none"});
    let _ = world.scim.post("/Bulk", &refused).status(400);
    let last = world.events(7).pop().expect("an event");
    assert_eq!(told(&last), (Op::Unspecified, 400, ""));
}

#[test]
fn the_accents_that_were_met_are_told_and_no_others() {
    let world = world();
    let id = world.scim.user("ada");
    let path = format!("/Users/{id}");
    let odd = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let _ = world.scim.patch(&path, &odd).status(200);
    let plain = json!([{"op": "replace", "path": "active", "value": true}]);
    let _ = world.scim.patch(&path, &plain).status(200);
    let unknown = json!({"schemas": [USER], "userName": "bob", "shoeSize": 7});
    let _ = world.scim.post("/Users", &unknown).status(201);
    let _ = world.scim.get("/Users?filter=userName+eq+ada").status(200);
    let events = world.events(5);
    let accents: Vec<_> = events.iter().map(|event| event.accents.join(" ")).collect();
    let expected = [
        "",
        "booleans-as-text capital-ops",
        "",
        "unknown-attributes",
        "bare-literals",
    ];
    assert_eq!(accents, expected);
}

#[test]
fn lookups_never_tell_what_was_looked_for() {
    let world = world();
    let scim = &world.scim;
    let (path, id) = ("/Users", "externalId eq \"secret-4711\"");
    let _ = scim.find(path, id).status(200);
    let _ = scim
        .find(path, "emails[value eq \"secret-4711\"] and id pr")
        .status(200);
    let _ = scim.find(path, "nobody eq \"secret-4711\"").status(400);
    let _ = scim.find(path, "userName eq \"secret-4711").status(400);
    let _ = scim
        .get("/Users?sortBy=secret-4711@example.test")
        .status(400);
    let _ = scim.get("/Users/secret-4711").status(404);
    let _ = scim.get("/secret-4711").status(404);
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "userName eq \"secret-4711\"", "count": 1});
    let _ = scim.post("/Users/.search", &search).status(200);
    let events = world.events(8);
    for event in &events {
        assert_eq!(event.operation(), Op::Lookup, "{event:?}");
        assert!(!format!("{event:?}").contains("4711"), "{event:?}");
    }
    assert_eq!(events[0].filtered_attributes, ["externalId"]);
    assert_eq!(events[1].filtered_attributes, ["emails", "id"]);
    assert_eq!(events[2].filtered_attributes, [""; 0]);
    assert_eq!(events[7].filtered_attributes, ["userName"]);
}

#[test]
fn nobody_sees_the_log_of_another() {
    let (ours, theirs) = (world(), world());
    let server = super::super::server();
    let (other, _, token) = ours.tenant.connection(server, "other");
    let _ = theirs.scim.user("theirs");
    let _ = ours.tenant.scim_with(&token).user("other");
    let _ = ours.scim.user("ours");
    assert_eq!(theirs.events(1).len(), 1);
    assert_eq!(ours.events(2).len(), 2, "a reader of the tenant sees both");
    let of = |connection_id: &str| ListProvisioningEventsRequest {
        connection_id: connection_id.to_owned(),
        ..ListProvisioningEventsRequest::default()
    };
    let found = ours.list(of(&other));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].connection_id, other);
    for unknown in [theirs.tenant.connection_id.as_str(), "nobody"] {
        let answer = wait(
            ours.grpc
                .provisioning()
                .list_provisioning_events(of(unknown)),
        );
        let status = answer.expect_err("it is not ours");
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "CONNECTION_NOT_FOUND");
    }
    // A provisioning client sees its own, whatever it may do.
    let client = ours.tenant.grpc_full(server);
    let own = list(&client, ListProvisioningEventsRequest::default());
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].connection_id, ours.tenant.connection_id);
    let answer = wait(client.provisioning().list_provisioning_events(of(&other)));
    assert_eq!(answer.expect_err("another's").code(), Code::NotFound);
}

#[test]
fn lists_are_of_what_is_asked_for_and_go_on_page_by_page() {
    let world = world();
    let person = json!({"schemas": [USER], "userName": "ada", "externalId": "x-1"});
    let id = world.scim.post("/Users", &person).status(201).id();
    for _ in 0..3 {
        let _ = world.scim.post("/Users", &person).status(409);
    }
    let _ = world.scim.get(&format!("/Users/{id}")).status(200);
    let all = world.events(5);
    let count = |wanted: ListProvisioningEventsRequest| world.list(wanted).len();
    let any = ListProvisioningEventsRequest::default;
    let about = |id: &str| ListProvisioningEventsRequest {
        resource_id: id.to_owned(),
        ..any()
    };
    let named = |id: &str| ListProvisioningEventsRequest {
        external_id: id.to_owned(),
        ..any()
    };
    let since = |since| ListProvisioningEventsRequest { since, ..any() };
    assert_eq!(count(about(&id)), 2);
    assert_eq!(count(about("nobody")), 0);
    assert_eq!((count(named("x-1")), count(named("x\u{0}"))), (5, 0));
    let failures = ListProvisioningEventsRequest {
        failures_only: true,
        ..any()
    };
    assert_eq!(count(failures), 3);
    assert_eq!(count(since(all[0].time)), 5);
    let later = all[4].time.map(|time| prost_types::Timestamp {
        seconds: time.seconds + 1,
        ..time
    });
    assert_eq!(count(since(later)), 0);
    let (mut found, mut token) = (Vec::<ProvisioningEvent>::new(), String::new());
    loop {
        let page = muster_proto::v1::PageRequest {
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let request = ListProvisioningEventsRequest {
            page: Some(page),
            ..any()
        };
        let answer = wait(world.grpc.provisioning().list_provisioning_events(request));
        let answer = answer.expect("a page").into_inner();
        assert!((1..=2).contains(&answer.events.len()));
        found.extend(answer.events);
        token = answer.page.expect("it is told").next_page_token;
        if token.is_empty() {
            break;
        }
    }
    found.reverse();
    assert_eq!(found, all);
}

#[test]
fn whoever_records_has_no_say_in_whose_it_is() {
    let (ours, theirs) = (world(), world());
    let forged = ProvisioningEvent {
        id: "id".to_owned(),
        connection_id: theirs.tenant.connection_id.clone(),
        credential_id: theirs.tenant.credential_id.clone(),
        name: "scim_user_deleted".to_owned(),
        operation: Op::Lookup.into(),
        http_status: 200,
        resource_id: "ada@example.test".to_owned(),
        detail: "x".repeat(10_000),
        ..ProvisioningEvent::default()
    };
    let request = RecordProvisioningEventsRequest {
        events: vec![forged],
    };
    let grpc = ours.tenant.grpc();
    let answer = wait(grpc.provisioning().record_provisioning_events(request));
    assert_eq!(answer.expect("it is taken").into_inner().dropped, 0);
    let event = ours.event();
    assert_ne!(event.id, "id");
    assert_eq!(event.connection_id, ours.tenant.connection_id);
    assert_eq!(event.credential_id, ours.tenant.credential_id);
    assert_eq!((event.name.as_str(), event.resource_id.as_str()), ("", ""));
    assert_eq!(event.detail.len(), 500);
    let refused = |grpc: &muster_tests::grpc::Grpc, count| {
        let events = vec![ProvisioningEvent::default(); count];
        let request = RecordProvisioningEventsRequest { events };
        let answer = wait(grpc.provisioning().record_provisioning_events(request));
        reason(&answer.expect_err("it is refused"))
    };
    assert_eq!(refused(&grpc, 1_001), "TOO_MANY_ITEMS");
    let service = Service::full(super::super::server(), &ours.tenant);
    assert_eq!(refused(&service.grpc(), 1), "CREDENTIAL_INVALID");
    let user = ours.scim.user("ada");
    let own = ["--user", user.as_str()];
    let (_, token) = ours
        .tenant
        .credential(super::super::server(), "entra", &own);
    assert_eq!(refused(&ours.tenant.grpc_with(&token), 1), "SCOPE_MISSING");
    assert!(
        theirs
            .list(ListProvisioningEventsRequest::default())
            .is_empty()
    );
}

#[test]
fn who_speaks_for_himself_provisions_nobody() {
    let world = world();
    let server = super::super::server();
    let id = world.scim.user("ada");
    let (_, token) = world.tenant.credential(server, "entra", &["--user", &id]);
    let _ = world.tenant.scim_with(&token).get("/Me").status(200);
    let (_, narrow) = world
        .tenant
        .credential(server, "entra", &["--scopes", "users.list"]);
    let _ = world
        .tenant
        .scim_with(&narrow)
        .get("/Users")
        .status_in(&[200, 403]);
    let events = world.events(2);
    assert_eq!(events[0].operation(), Op::Create);
    assert_eq!(
        events[1].operation(),
        Op::Lookup,
        "any other credential leaves its own"
    );
    assert_eq!(events[1].filtered_attributes, [""; 0]);
}

#[test]
fn what_was_answered_before_a_stop_is_in_the_log_after_it() {
    let server = super::super::launch().start();
    let tenant = Tenant::create(&server);
    let scim = tenant.scim();
    for number in 0..20 {
        let _ = scim.user(&format!("user-{number}"));
    }
    let server = server.restart();
    let tail = ["log", "tail", "--tenant", &tenant.id, "--json"];
    let lines = server.admin().run(&tail).code(0).stdout();
    assert_eq!(lines.lines().count(), 20, "{lines}");
}

#[test]
fn events_are_kept_for_as_long_as_is_said() {
    let launch = super::super::launch();
    let server = launch.start();
    let world = World::on(&server);
    let _ = world.scim.user("ada");
    let _ = world.event();
    assert_eq!(server.stop().status.code(), Some(0));
    let launch = launch.env("MUSTER_PROVISIONING_LOG_RETENTION_DAYS", "0");
    let server = launch.start();
    let tail = ["log", "tail", "--tenant", &world.tenant.id, "--json"];
    muster_tests::soon::wait_until("the log to be empty", || {
        server.admin().run(&tail).code(0).stdout().is_empty()
    });
}
