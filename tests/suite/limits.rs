//! What is at a limit is done, and what lies behind it is refused, over gRPC: the
//! facade lets less through.

use muster_proto::v1;
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
};
use tonic::{Code, Status};

const EXTENSION: &str = "urn:example:anything:2.0:User";

fn path(schema: &str, attribute: &str, sub: &str) -> v1::AttributePath {
    v1::AttributePath {
        schema: schema.to_owned(),
        attribute: attribute.to_owned(),
        sub_attribute: sub.to_owned(),
        ..Default::default()
    }
}

fn text(value: &str) -> v1::AttributeValue {
    v1::AttributeValue {
        value: Some(v1::attribute_value::Value::StringValue(value.to_owned())),
    }
}

fn equals(path: v1::AttributePath, value: &str) -> v1::Filter {
    let comparison = v1::Comparison {
        path: Some(Box::new(path)),
        operator: v1::ComparisonOperator::Equal.into(),
        value: Some(text(value)),
    };
    v1::Filter {
        node: Some(v1::filter::Node::Comparison(Box::new(comparison))),
    }
}

fn any(filters: Vec<v1::Filter>) -> v1::Filter {
    let list = v1::FilterList { filters };
    v1::Filter {
        node: Some(v1::filter::Node::Or(list)),
    }
}

fn all(filters: Vec<v1::Filter>) -> v1::Filter {
    let list = v1::FilterList { filters };
    v1::Filter {
        node: Some(v1::filter::Node::And(list)),
    }
}

fn found(grpc: &Grpc, filter: v1::Filter) -> Result<Vec<String>, Status> {
    let request = v1::ListUsersRequest {
        filter: Some(filter),
        ..Default::default()
    };
    let answer = wait(grpc.users().list_users(request))?.into_inner();
    Ok(answer.users.into_iter().map(|user| user.id).collect())
}

#[test]
fn a_filter_of_a_thousand_ids_is_answered() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc());
    let ids = [scim.user("a"), scim.user("b"), scim.user("c")];
    let by_id = |id: &str| equals(path("", "id", ""), id);
    let nobody = (0..1_020).map(|n| by_id(&format!("nobody-{n}")));
    let mut wide: Vec<_> = nobody.collect();
    wide.insert(0, by_id(&ids[0]));
    wide.push(by_id(&ids[2]));
    let chosen = [ids[0].clone(), ids[2].clone()];
    assert_eq!(found(&grpc, any(wide.clone())).expect("answered"), chosen);
    let not = |filter| v1::Filter {
        node: Some(v1::filter::Node::Not(Box::new(filter))),
    };
    let without = wide.drain(..511).map(not).collect();
    assert_eq!(found(&grpc, all(without)).expect("answered"), ids[1..]);
}

#[test]
fn a_filter_that_is_wide_and_deep_is_answered() {
    let tenant = super::tenant();
    let (scim, grpc) = (tenant.scim(), tenant.grpc());
    let id = scim.user("a");
    let titled = |n: usize| equals(path("", "title", ""), &format!("title-{n}"));
    let mut filter = equals(path("", "userName", ""), "a");
    let named = || equals(path("", "userName", ""), "A");
    for level in 0..22 {
        let any_of = (0..43).map(titled);
        let all_of = (0..43).map(|_| named());
        filter = match level % 2 {
            0 => any(any_of.chain([filter]).collect()),
            _ => all(all_of.chain([filter]).collect()),
        };
    }
    assert_eq!(found(&grpc, filter).expect("answered"), [id]);
}

#[test]
fn a_filter_behind_the_limit_is_refused() {
    let grpc = super::tenant().grpc();
    let by_id = |n: usize| equals(path("", "id", ""), &n.to_string());
    let refused = found(&grpc, any((0..1_024).map(by_id).collect())).expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
}

#[test]
fn what_no_value_has_cannot_be_asked_for() {
    let grpc = super::tenant().grpc();
    for path in [
        path("", "userName", ""),
        path("", "id", ""),
        path("", "emails", "value"),
        path("", "title", ""),
        path(EXTENSION, "a", ""),
    ] {
        let refused = found(&grpc, equals(path.clone(), "a\0")).expect_err("refused");
        assert_eq!(reason(&refused), "FILTER_INVALID", "{path:?}: {refused:?}");
    }
}

#[test]
fn names_of_anything_are_text_that_can_be_stored() {
    let tenant = super::tenant();
    let (grpc, id) = (tenant.grpc(), tenant.scim().user("a"));
    let complex = v1::AttributeValue {
        value: Some(v1::attribute_value::Value::ComplexValue(v1::ComplexValue {
            fields: [("a\0b".to_owned(), text("x"))].into(),
        })),
    };
    let whole = path(EXTENSION, "", "");
    for (path, value) in [
        (path(EXTENSION, "a\0b", ""), text("x")),
        (path(EXTENSION, "a", "b\0c"), text("x")),
        (path(EXTENSION, "a\0b", "c"), text("x")),
        (path(EXTENSION, "a", ""), complex.clone()),
        (whole, complex),
    ] {
        let operation = v1::PatchOperation {
            op: v1::patch_operation::Op::Add.into(),
            path: Some(path.clone()),
            value: Some(value),
            ..Default::default()
        };
        let request = v1::PatchUserRequest {
            id: id.clone(),
            operations: vec![operation],
            ..Default::default()
        };
        let refused = wait(grpc.users().patch_user(request)).expect_err("refused");
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{path:?}: {refused:?}"
        );
    }
}
