//! How far the word of a service client goes.

use muster_proto::v1::{
    DisableServiceClientRequest, EnableServiceClientRequest, GetConnectionRequest,
};
use muster_tests::{jws::read, runtime::wait, service::Service};
use serde_json::{Value, json};
use tonic::Code;

use super::{refused, world};

#[test]
fn nobody_lets_a_client_in_that_may_do_more_than_he() {
    let server = super::super::server();
    let world = world();
    let strong = Service::create(server, &world.tenant, "keys.admin,users.purge");
    let weak = Service::create(server, &world.tenant, "clients.admin").grpc();
    let disable = DisableServiceClientRequest {
        id: strong.id.clone(),
        reason: String::new(),
        options: None,
    };
    wait(weak.admin().disable_service_client(disable)).expect("that takes nothing");
    let enable = EnableServiceClientRequest {
        id: strong.id.clone(),
        options: None,
    };
    let answer = wait(weak.admin().enable_service_client(enable));
    let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    let command = ["client", "enable", &strong.id, "--tenant", &world.tenant.id];
    let told: Value = server.admin().json(&command);
    assert_eq!(told["changed"], true);
}

#[test]
fn a_service_that_knows_itself_alone_sees_no_connection() {
    let server = super::super::server();
    let world = world();
    let (connection, _, _) = world.tenant.connection(server, "hr");
    let seen = |scopes: &str| {
        let grpc = Service::create(server, &world.tenant, scopes).grpc();
        let request = GetConnectionRequest {
            id: connection.clone(),
        };
        wait(grpc.provisioning().get_connection(request))
    };
    let _ = refused(
        seen("provisioning.self"),
        Code::PermissionDenied,
        "SCOPE_MISSING",
    );
    seen("provisioning.read").expect("it may see all");
}

#[test]
fn a_scope_that_is_asked_for_twice_is_given_once() {
    let world = world();
    let service = Service::create(super::super::server(), &world.tenant, "users.list");
    let asked = ["users.list"; 5_000];
    let answer = service.trade(&service.assertion(&json!({})), &asked);
    let answer = answer.expect("a token");
    assert_eq!(answer.scopes, ["users.list"]);
    assert_eq!(read(&answer.access_token).1["scope"], "users.list");
}
