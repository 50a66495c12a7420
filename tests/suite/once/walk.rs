//! Every mutation of the contract, one request after the other.

use std::collections::BTreeSet;

use muster_tests::{grpc::Grpc, runtime::wait};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    World,
    cases::{Case, cases},
    name, new_id, parted, refused, reused,
    wire::{self, identified, mutation, mutations, tells_secrets, words},
};

fn call(
    grpc: &Grpc,
    method: &MethodDescriptor,
    request: &[u8],
    id: &str,
) -> Result<DynamicMessage, Status> {
    wait(wire::call(grpc, method, identified(method, request, id)))
}

#[test]
fn every_mutation_of_the_contract_has_its_case() {
    let known: BTreeSet<_> = cases().iter().map(|case| case.method).collect();
    let all = mutations();
    let all: BTreeSet<_> = all.iter().map(MethodDescriptor::name).collect();
    assert_eq!(known, all);
}

#[test]
fn every_mutation_is_done_once_and_answered_each_time() {
    let world = World::new();
    let (_server, elsewhere) = world.elsewhere();
    for case in cases() {
        once(&world, &elsewhere, &case);
    }
}

/// Asserts that a request that comes again is answered as before, here and by
/// another process, and that its id is good for no other request.
#[track_caller]
fn once(world: &World, elsewhere: &Grpc, case: &Case) {
    let (name, method) = (case.method, mutation(case.method));
    let (requests, id) = ((case.prepare)(world), new_id());
    let before = world.trace();
    let first = call(&world.grpc, &method, &requests.one, &id);
    let first = first.unwrap_or_else(|status| panic!("{name}: {status:?}"));
    let after = world.trace();
    assert_eq!(after.count(name), before.count(name) + 1, "{name}");
    assert_ne!(after.latest, before.latest, "{name}");
    let (first, secrets) = parted(first);
    assert_eq!(secrets.is_empty(), !tells_secrets(&method), "{name}");
    for grpc in [&world.grpc, elsewhere] {
        let again = call(grpc, &method, &requests.one, &id.to_uppercase());
        let again = again.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        let (again, secrets) = parted(again);
        assert_eq!(secrets, Vec::<String>::new(), "{name} tells a secret twice");
        assert_eq!(words(&again), words(&first), "{name}");
    }
    assert_eq!(world.trace(), after, "{name} is done twice");
    for grpc in [&world.grpc, elsewhere] {
        reused(call(grpc, &method, &requests.other, &id));
        let (method, request) = another(name);
        reused(call(grpc, &method, &request, &id));
    }
    assert_eq!(world.trace(), after, "{name}: another request is done");
}

/// A request of another method.
fn another(method: &str) -> (MethodDescriptor, Vec<u8>) {
    use muster_proto::v1::{CreateGroupRequest, CreateUserRequest, Group, User};
    let user = CreateUserRequest {
        user: Some(User {
            user_name: name("user"),
            ..User::default()
        }),
        options: None,
    };
    let group = CreateGroupRequest {
        group: Some(Group {
            display_name: name("group"),
            ..Group::default()
        }),
        ..CreateGroupRequest::default()
    };
    match method {
        "CreateUser" => (mutation("CreateGroup"), group.encode_to_vec()),
        _ => (mutation("CreateUser"), user.encode_to_vec()),
    }
}

#[test]
fn every_mutation_wants_a_uuid() {
    let tenant = super::super::tenant();
    let service = muster_tests::service::Service::full(super::super::server(), &tenant);
    let grpc = service.grpc();
    for method in mutations() {
        for id in ["17", "\0", "0b0e3a3e-0f6c-4d6a-9d0b-7f3a0c9d1e2", " "] {
            let answer = call(&grpc, &method, &[], id);
            let status = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
            let fields = status.get_details_bad_request().expect("it names fields");
            let fields = fields.field_violations.into_iter();
            let fields: Vec<_> = fields.map(|one| one.field).collect();
            assert_eq!(fields, ["options.request_id"], "{}", method.name());
        }
    }
}
