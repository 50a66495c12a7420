//! Ids of requests are their caller's own.

use muster_proto::v1::{self, PatchOperation, PatchUserRequest, PatchUserResponse};
use muster_tests::{grpc::Grpc, runtime::wait, service::Service, tenant::Tenant};
use tonic::{Code, Status};

use super::{create, name, new_id, options, refused};

/// Gives a user a title under this id.
fn entitle(grpc: &Grpc, user: &str, id: &str) -> Result<PatchUserResponse, Status> {
    let title = v1::attribute_value::Value::StringValue("Countess".to_owned());
    let request = PatchUserRequest {
        id: user.to_owned(),
        operations: vec![PatchOperation {
            op: v1::patch_operation::Op::Replace.into(),
            path: Some(v1::AttributePath {
                attribute: "title".to_owned(),
                ..Default::default()
            }),
            value: Some(v1::AttributeValue { value: Some(title) }),
            ..Default::default()
        }],
        read_mask: None,
        options: options(id),
    };
    Ok(wait(grpc.users().patch_user(request))?.into_inner())
}

/// Two service clients of a tenant, and two credentials of one connection.
fn callers(tenant: &Tenant) -> [Grpc; 4] {
    let server = super::super::server();
    [
        Service::full(server, tenant).grpc(),
        Service::full(server, tenant).grpc(),
        tenant.grpc(),
        tenant.grpc_full(server),
    ]
}

#[test]
fn nobody_is_told_what_another_callers_request_came_to() {
    let (tenant, other) = (super::super::tenant(), super::super::tenant());
    let (ours, theirs) = (callers(&tenant), callers(&other));
    let id = new_id();
    let ada = name("ada");
    let first = create(&ours[0], &ada, &id).expect("created");
    let user = first.user.clone().expect("her").id;
    for caller in &ours[1..] {
        // The same request of another caller is another request.
        let answer = create(caller, &ada, &id);
        let _ = refused(answer, Code::AlreadyExists, "USER_NAME_TAKEN");
        // So is another one.
        let created = create(caller, &name("user"), &id).expect("created");
        assert_ne!(created.user.expect("him").id, user);
    }
    let there = create(&theirs[0], &ada, &id).expect("created");
    assert_ne!(there.user.expect("hers").id, user);
    assert_eq!(create(&ours[0], &ada, &id).expect("as before"), first);
}

#[test]
fn each_caller_changes_something_by_himself() {
    let (tenant, other) = (super::super::tenant(), super::super::tenant());
    let (ours, theirs) = (callers(&tenant), callers(&other));
    let id = new_id();
    let user = create(&ours[0], &name("user"), "").expect("created");
    let user = user.user.expect("him").id;
    let first = entitle(&ours[0], &user, &id).expect("patched");
    assert!(first.changed && first.written_at.is_some());
    for _ in 0..2 {
        for caller in &ours[1..] {
            let said = entitle(caller, &user, &id).expect("patched");
            assert!(!said.changed && said.written_at.is_none(), "{said:?}");
        }
        for caller in &theirs {
            let answer = entitle(caller, &user, &id);
            let _ = refused(answer, Code::NotFound, "USER_NOT_FOUND");
        }
    }
    assert_eq!(entitle(&ours[0], &user, &id).expect("as before"), first);
}

#[test]
fn a_new_token_is_the_same_caller() {
    let tenant = super::super::tenant();
    let service = Service::full(super::super::server(), &tenant);
    let (id, user) = (new_id(), name("user"));
    let first = create(&service.grpc(), &user, &id).expect("created");
    assert_eq!(
        create(&service.grpc(), &user, &id).expect("as before"),
        first
    );
}

#[test]
fn whoever_lost_a_right_is_told_nothing_of_what_he_did_with_it() {
    let tenant = super::super::tenant();
    let service = Service::full(super::super::server(), &tenant);
    let (id, user) = (new_id(), name("user"));
    let _ = create(&service.grpc(), &user, &id).expect("created");
    let token = service.token_with(&["users.read.basic"]);
    let answer = create(&tenant.grpc_with(&token), &user, &id);
    let _ = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
}
