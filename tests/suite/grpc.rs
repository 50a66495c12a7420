//! The directory over gRPC: errors with reasons, health, the caller's rights.

use muster_proto::v1;
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_types::StatusExt as _;

fn user(user_name: &str) -> v1::User {
    v1::User {
        user_name: user_name.to_owned(),
        ..Default::default()
    }
}

fn create(grpc: &Grpc, user: v1::User) -> Result<v1::User, Status> {
    let request = v1::CreateUserRequest {
        user: Some(user),
        options: None,
    };
    let answer = wait(grpc.users().create_user(request))?;
    Ok(answer.into_inner().user.expect("the created user"))
}

fn path(attribute: &str) -> v1::AttributePath {
    v1::AttributePath {
        attribute: attribute.to_owned(),
        ..Default::default()
    }
}

fn text(value: &str) -> v1::AttributeValue {
    v1::AttributeValue {
        value: Some(v1::attribute_value::Value::StringValue(value.to_owned())),
    }
}

fn equals(attribute: &str, value: &str) -> v1::Filter {
    let comparison = v1::Comparison {
        path: Some(Box::new(path(attribute))),
        operator: v1::ComparisonOperator::Equal.into(),
        value: Some(text(value)),
    };
    v1::Filter {
        node: Some(v1::filter::Node::Comparison(Box::new(comparison))),
    }
}

#[test]
fn health_is_serving_without_a_credential() {
    let grpc = Grpc::new(super::server().grpc(), None);
    for service in [
        "",
        "identity.directory.v1.UserService",
        "identity.directory.v1.GroupService",
    ] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = wait(grpc.health().check(request)).expect("a health service");
        assert_eq!(
            answer.into_inner().status(),
            ServingStatus::Serving,
            "{service}"
        );
    }
}

#[test]
fn what_grpc_writes_scim_reads() {
    let tenant = super::tenant();
    let created = create(&tenant.grpc(), user("ada")).expect("created");
    let read = tenant
        .scim()
        .get(&format!("/Users/{}", created.id))
        .status(200);
    assert_eq!(read.json()["userName"], "ada");
    let etag = created.meta.expect("meta").etag;
    assert_eq!(read.etag(), format!("W/{etag}"));
}

#[test]
fn lists_filter_page_and_count() {
    let grpc = super::tenant().grpc();
    for n in 0..5 {
        create(&grpc, user(&format!("u{n}"))).expect("created");
    }
    let page = v1::PageRequest {
        page_size: 2,
        include_total_size: true,
        ..Default::default()
    };
    let mut request = v1::ListUsersRequest {
        page: Some(page),
        ..Default::default()
    };
    let mut names = Vec::new();
    loop {
        let answer = wait(grpc.users().list_users(request.clone())).expect("a page");
        let answer = answer.into_inner();
        names.extend(answer.users.into_iter().map(|u| u.user_name));
        let next = answer.page.expect("page information");
        assert_eq!(next.total_size, 5);
        if next.next_page_token.is_empty() {
            break;
        }
        let page = request.page.as_mut().expect("set above");
        page.page_token = next.next_page_token;
    }
    assert_eq!(names, ["u0", "u1", "u2", "u3", "u4"]);
    let request = v1::ListUsersRequest {
        filter: Some(equals("userName", "U3")),
        ..Default::default()
    };
    let answer = wait(grpc.users().list_users(request)).expect("a page");
    assert_eq!(answer.into_inner().users.len(), 1);
}

#[test]
fn a_taken_name_has_its_reason_and_not_its_holder() {
    let grpc = super::tenant().grpc();
    let holder = create(&grpc, user("ada")).expect("created");
    let status = create(&grpc, user("ADA")).expect_err("taken");
    assert_eq!(status.code(), Code::AlreadyExists);
    assert_eq!(reason(&status), "USER_NAME_TAKEN");
    let info = status.get_details_error_info().expect("checked above");
    assert_eq!(
        info.metadata.get("attribute").map(String::as_str),
        Some("userName")
    );
    assert!(!format!("{status:?}").contains(&holder.id), "{status:?}");
}

#[test]
fn every_refusal_has_a_reason() {
    let grpc = super::tenant().grpc();
    let one = create(&grpc, user("one")).expect("created");
    let patch = |operation: v1::PatchOperation, if_match: &str| {
        let request = v1::PatchUserRequest {
            id: one.id.clone(),
            operations: vec![operation],
            options: Some(v1::WriteOptions {
                if_match: if_match.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        wait(grpc.users().patch_user(request)).expect_err("refused")
    };
    let operation = |op: v1::patch_operation::Op, attribute: Option<&str>, value: Option<&str>| {
        v1::PatchOperation {
            op: op.into(),
            path: attribute.map(path),
            value: value.map(text),
            ..Default::default()
        }
    };
    let list = |filter: Option<v1::Filter>, page_token: &str| {
        let request = v1::ListUsersRequest {
            filter,
            page: Some(v1::PageRequest {
                page_token: page_token.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        wait(grpc.users().list_users(request)).expect_err("refused")
    };
    use v1::patch_operation::Op::{Add, Remove, Replace, Unspecified};
    let refusals = [
        (
            create(&grpc, user("")).expect_err("refused"),
            Code::InvalidArgument,
            &["REQUIRED_ATTRIBUTE_MISSING", "FIELD_INVALID"][..],
        ),
        (
            create(&grpc, user(&"x".repeat(1025))).expect_err("refused"),
            Code::InvalidArgument,
            &["FIELD_INVALID"],
        ),
        (
            patch(operation(Replace, Some("shoeSize"), Some("9")), ""),
            Code::InvalidArgument,
            &["PATH_INVALID"],
        ),
        (
            patch(operation(Replace, Some("id"), Some("x")), ""),
            Code::InvalidArgument,
            &["MUTABILITY"],
        ),
        (
            patch(operation(Replace, Some("active"), Some("x")), ""),
            Code::InvalidArgument,
            &["FIELD_INVALID"],
        ),
        (
            patch(operation(Remove, None, None), ""),
            Code::InvalidArgument,
            &["FIELD_INVALID"],
        ),
        (
            patch(operation(Unspecified, Some("title"), Some("x")), ""),
            Code::InvalidArgument,
            &["FIELD_INVALID"],
        ),
        (
            patch(operation(Add, Some("title"), Some("x")), "\"other\""),
            Code::Aborted,
            &["ETAG_MISMATCH"],
        ),
        (
            list(Some(equals("shoeSize", "9")), ""),
            Code::InvalidArgument,
            &["FILTER_INVALID"],
        ),
        (
            list(Some(v1::Filter::default()), ""),
            Code::InvalidArgument,
            &["FILTER_INVALID"],
        ),
        (
            list(None, "nonsense"),
            Code::InvalidArgument,
            &["PAGE_TOKEN_INVALID"],
        ),
    ];
    for (status, code, reasons) in refusals {
        assert_eq!(status.code(), code, "{status:?}");
        let reason = reason(&status);
        assert!(reasons.contains(&reason.as_str()), "{reason}: {status:?}");
    }
}

#[test]
fn negative_pages_are_refused() {
    let grpc = super::tenant().grpc();
    for page in [
        v1::PageRequest {
            page_size: -1,
            ..Default::default()
        },
        v1::PageRequest {
            skip: -1,
            ..Default::default()
        },
    ] {
        let request = v1::ListUsersRequest {
            page: Some(page),
            ..Default::default()
        };
        let status = wait(grpc.users().list_users(request)).expect_err("refused");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "FIELD_INVALID")
        );
    }
}

#[test]
fn filters_beyond_the_limits_are_refused() {
    let grpc = super::tenant().grpc();
    let list = |filter: v1::Filter| {
        let request = v1::ListUsersRequest {
            filter: Some(filter),
            ..Default::default()
        };
        wait(grpc.users().list_users(request)).expect_err("refused")
    };
    let mut deep = equals("userName", "x");
    for _ in 0..30 {
        deep = v1::Filter {
            node: Some(v1::filter::Node::Not(Box::new(deep))),
        };
    }
    let filters = vec![equals("userName", "x"); 1_100];
    let wide = v1::Filter {
        node: Some(v1::filter::Node::Or(v1::FilterList { filters })),
    };
    for filter in [deep, wide] {
        assert_eq!(reason(&list(filter)), "FILTER_INVALID");
    }
}

#[test]
fn a_token_names_its_own_connection() {
    let tenant = super::tenant();
    let request = v1::GetConnectionRequest::default();
    let answer = wait(tenant.grpc().provisioning().get_connection(request)).expect("its own");
    let connection = answer.into_inner().connection.expect("a connection");
    assert_eq!(connection.id, tenant.connection_id);
    assert_eq!(connection.display_name, "entra");
}

#[test]
fn a_token_reads_no_other_connection_of_its_tenant() {
    let tenant = super::tenant();
    let (okta, ..) = tenant.connection(super::server(), "okta");
    let request = v1::GetConnectionRequest { id: okta };
    let status = wait(tenant.grpc().provisioning().get_connection(request)).expect_err("refused");
    assert!(
        [Code::NotFound, Code::PermissionDenied].contains(&status.code()),
        "{status:?}"
    );
    reason(&status);
}

#[test]
fn a_connection_named_in_the_metadata_must_be_the_tokens() {
    let (tenant, other) = (super::tenant(), super::tenant());
    for (id, fits) in [(&tenant.connection_id, true), (&other.connection_id, false)] {
        let mut request = tonic::Request::new(v1::ListUsersRequest::default());
        let value = id.parse().expect("an id is ASCII");
        request
            .metadata_mut()
            .insert(muster_proto::CONNECTION_METADATA, value);
        let answer = wait(tenant.grpc().users().list_users(request));
        match answer {
            Ok(_) => assert!(fits),
            Err(status) => {
                assert!(!fits, "{status:?}");
                assert_eq!(reason(&status), "CREDENTIAL_INVALID");
            }
        }
    }
}
