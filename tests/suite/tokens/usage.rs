//! When a credential was last used, and whence.

use muster_proto::v1::{GetTokenRequest, ListServiceClientsRequest, ServiceClient, Token};
use muster_tests::{runtime::wait, soon::wait_until};

use super::{World, ahead, world};

#[track_caller]
fn credential(world: &World) -> Token {
    let id = world.tenant.credential_id.clone();
    let found = wait(world.grpc.tokens().get_token(GetTokenRequest { id }));
    found.expect("a token").into_inner().token.expect("it")
}

#[track_caller]
fn client(world: &World) -> ServiceClient {
    let request = ListServiceClientsRequest::default();
    let found = wait(world.grpc.admin().list_service_clients(request));
    let clients = found.expect("clients").into_inner().clients;
    let own = clients
        .into_iter()
        .find(|client| client.id == world.service.id);
    own.expect("its own")
}

#[test]
fn the_last_use_is_written_with_the_address_and_at_most_once_a_minute() {
    let world = world();
    assert!(credential(&world).last_used_time.is_none());
    let began = ahead(0).seconds;
    let _ = world.scim.get("/Users").status(200);
    wait_until("the use to be written", || {
        credential(&world).last_used_time.is_some()
    });
    let used = credential(&world);
    assert_eq!(used.last_used_ip, "127.0.0.1");
    let at = used.last_used_time.expect("it was used").seconds;
    assert!((began..=ahead(0).seconds).contains(&at), "{at}");
    wait_until("the client's use", || {
        client(&world).last_used_time.is_some()
    });
    let client_used = client(&world);
    assert_eq!(client_used.last_used_ip, "127.0.0.1");
    // Long enough for another to be written, if it were.
    let server = super::super::server();
    let second = world.tenant.credential(server, "entra", &[]);
    let scim = world.tenant.scim_with(&second.1);
    wait_until("another credential's use to be written", || {
        let _ = scim.get("/Users").status(200);
        let _ = world.scim.get("/Users").status(200);
        let request = GetTokenRequest {
            id: second.0.clone(),
        };
        let found = wait(world.grpc.tokens().get_token(request));
        let token = found.expect("a token").into_inner().token;
        token.is_some_and(|token| token.last_used_time.is_some())
    });
    assert_eq!(credential(&world), used);
    assert_eq!(client(&world).last_used_time, client_used.last_used_time);
}

#[test]
fn a_personal_token_is_used_when_it_is_introspected() {
    let world = world();
    let user = world.scim.user("ada");
    let (id, secret) = world.personal(&user);
    assert!(world.is_active(&secret));
    let read = || {
        let request = GetTokenRequest { id: id.clone() };
        let found = wait(world.grpc.tokens().get_token(request));
        found.expect("a token").into_inner().token.expect("it")
    };
    wait_until("the use to be written", || read().last_used_time.is_some());
    assert_eq!(read().last_used_ip, "", "another service was shown it");
}

#[test]
fn a_refused_use_is_none() {
    let world = world();
    let mut wrong = world.tenant.token.clone();
    wrong.pop();
    let _ = world.tenant.scim_with(&wrong).get("/Users").status(401);
    let _ = world.tenant.scim_with(&wrong).get("/Users").status(401);
    wait_until("the client's use", || {
        client(&world).last_used_time.is_some()
    });
    assert!(credential(&world).last_used_time.is_none());
}
