//! Groups in tokens.

use muster_proto::v1::{GroupExpansion, IssueUserTokenRequest, group_expansion::Mode};
use muster_tests::{jws::read, service::Service};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{World, about, refused, try_issue, wanted, world};

/// A user in `Alpha` and `Beta`; `All` contains `Alpha`, and `World` contains
/// `All`.
struct Groups {
    world: World,
    user: String,
    alpha: String,
    beta: String,
    all: String,
    everything: String,
}

fn groups() -> Groups {
    let world = world();
    let user = world.scim.user("ada");
    let alpha = world.scim.group("Alpha", &[&user]);
    let beta = world.scim.group("Beta", &[&user]);
    let all = world.scim.group("All", &[&alpha]);
    let everything = world.scim.group("World", &[&all]);
    let _ = world.scim.group("Other", &[]);
    Groups {
        world,
        user,
        alpha,
        beta,
        all,
        everything,
    }
}

impl Groups {
    fn issue(&self, mode: Mode, only: &[&str], most: i32) -> Result<Value, Status> {
        let expansion = GroupExpansion {
            mode: mode.into(),
            only_group_ids: only.iter().map(|&id| id.to_owned()).collect(),
            max_groups: most,
        };
        let request = IssueUserTokenRequest {
            groups: Some(expansion),
            ..wanted(&self.user)
        };
        let issued = try_issue(&self.world.grpc, request)?;
        Ok(read(&issued.access_token).1["groups"].clone())
    }

    #[track_caller]
    fn names(&self, mode: Mode, only: &[&str], expected: &[&str]) {
        let mut expected: Vec<_> = expected.to_vec();
        expected.sort_unstable();
        let found = self.issue(mode, only, 0).expect("a token");
        assert_eq!(found, json!(expected), "{mode:?} {only:?}");
    }
}

#[test]
fn a_token_names_the_groups_that_are_asked_for() {
    let groups = groups();
    let Groups {
        alpha,
        beta,
        all,
        everything,
        ..
    } = &groups;
    groups.names(Mode::Direct, &[], &[alpha, beta]);
    groups.names(Mode::Transitive, &[], &[alpha, beta, all, everything]);
    groups.names(Mode::Direct, &[alpha, all], &[alpha]);
    groups.names(Mode::Transitive, &[all, beta, "none", "\0"], &[all, beta]);
    groups.names(Mode::Direct, &["none"], &[]);
    for mode in [Mode::Unspecified, Mode::None] {
        assert_eq!(groups.issue(mode, &[], 0).expect("a token"), Value::Null);
    }
    // What is deleted contains nobody.
    let path = format!("/Groups/{all}");
    let _ = groups.world.scim.delete(&path).status(204);
    groups.names(Mode::Transitive, &[], &[alpha, beta]);
}

#[test]
fn a_list_of_groups_is_whole_or_an_error() {
    let groups = groups();
    assert!(groups.issue(Mode::Direct, &[], 2).is_ok());
    for (mode, most) in [(Mode::Direct, 1), (Mode::Transitive, 3)] {
        let answer = groups.issue(mode, &[], most);
        let status = refused(answer, Code::FailedPrecondition, "GROUP_SET_TOO_LARGE");
        assert_eq!(about(&status, "limit"), most.to_string());
    }
    // A short list of interest keeps a token small.
    let only = [groups.alpha.as_str()];
    assert!(groups.issue(Mode::Transitive, &only, 1).is_ok());
    let negative = groups.issue(Mode::Direct, &[], -1);
    let _ = refused(negative, Code::InvalidArgument, "FIELD_INVALID");
    let too_many = vec!["id"; 1_001];
    let answer = groups.issue(Mode::Direct, &too_many, 0);
    let _ = refused(answer, Code::InvalidArgument, "TOO_MANY_ITEMS");
}

#[test]
fn more_groups_than_fit_a_header_are_an_error_whatever_is_asked() {
    let world = world();
    let user = world.scim.user("ada");
    let ids: Vec<_> = (0..201)
        .map(|number| world.scim.group(&format!("G{number}"), &[&user]))
        .collect();
    let groups = Groups {
        alpha: ids[0].clone(),
        beta: ids[1].clone(),
        all: String::new(),
        everything: String::new(),
        world,
        user,
    };
    for most in [0, 201, i32::MAX] {
        let answer = groups.issue(Mode::Direct, &[], most);
        let status = refused(answer, Code::FailedPrecondition, "GROUP_SET_TOO_LARGE");
        assert_eq!(about(&status, "limit"), "200");
    }
    let path = format!("/Groups/{}", groups.alpha);
    let _ = groups.world.scim.delete(&path).status(204);
    let named = groups.issue(Mode::Direct, &[], 0).expect("a token");
    assert_eq!(named.as_array().map(Vec::len), Some(200));
}

#[test]
fn groups_are_named_for_those_who_may_read_them() {
    let mut groups = groups();
    let server = super::super::server();
    let service = Service::create(server, &groups.world.tenant, "tokens.issue");
    groups.world.grpc = service.grpc();
    let answer = groups.issue(Mode::Direct, &[], 0);
    let status = refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    assert_eq!(about(&status, "scope"), "groups.read");
}
