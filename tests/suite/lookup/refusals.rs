//! What is asked for too much of, without the right, or at a time that is not.

use muster_proto::v1::{Consistency, Revision, consistency::Requirement, group_expansion::Mode};

use super::*;

#[test]
fn keys_other_than_the_id_need_a_scope_of_their_own() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let basic = world.may("users.read.basic");
    resolve(&basic, ask(id(&ada))).expect("by id");
    let lacking = |answer: Result<_, Status>| {
        refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
    };
    for key in [
        Key::UserName("ada".to_owned()),
        // Whether there is somebody or not.
        Key::UserName("nobody".to_owned()),
        Key::Email("ada@x.test".to_owned()),
        Key::External(v1::ExternalKey::default()),
        Key::Federated(v1::FederatedKey::default()),
    ] {
        lacking(resolve(&basic, ask(key)));
    }
    let with_groups = ResolveUserRequest {
        groups: Some(expansion(Mode::Direct)),
        ..ask(id(&ada))
    };
    lacking(resolve(&basic, with_groups));
    let masked = ResolveUserRequest {
        read_mask: mask(&["groups"]),
        ..ask(id(&ada))
    };
    lacking(resolve(&basic, masked));
    let group = world.scim.group("Group", &[&ada]);
    let checks = world.may("groups.check");
    let said = check(&checks, about(&ada, vec![by_id(&group)])).expect("yes or no");
    assert_eq!(said.results[0].verdict(), Verdict::DirectMember);
    let named = GroupKey {
        key: Some(group_key::Key::DisplayName("Group".to_owned())),
    };
    let answer = check(&checks, about(&ada, vec![named]));
    refused(answer, Code::PermissionDenied, "SCOPE_MISSING");
}

#[test]
fn too_much_is_refused_and_nothing_is_shortened() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let keys = vec![user_key(id(&ada)); 1_001];
    let users = v1::BatchGetUsersRequest {
        keys: keys.clone(),
        ..Default::default()
    };
    let many = (Code::InvalidArgument, "TOO_MANY_ITEMS");
    let answer = wait(world.grpc.lookup().batch_get_users(users));
    refused(answer, many.0, many.1);
    let statuses = v1::BatchGetUserStatusRequest {
        keys,
        ..Default::default()
    };
    let answer = wait(world.grpc.lookup().batch_get_user_status(statuses));
    refused(answer, many.0, many.1);
    let answer = check(&world.grpc, about(&ada, vec![by_id(NOBODY); 101]));
    refused(answer, many.0, many.1);
    let questions = v1::BatchCheckMembershipRequest {
        questions: vec![v1::MembershipQuestion::default(); 1_001],
        ..Default::default()
    };
    let answer = wait(world.grpc.lookup().batch_check_membership(questions));
    refused(answer, many.0, many.1);
    let missing = (Code::InvalidArgument, "REQUIRED_ATTRIBUTE_MISSING");
    let answer = check(&world.grpc, about(&ada, Vec::new()));
    refused(answer, missing.0, missing.1);
    let answer = resolve(&world.grpc, ResolveUserRequest::default());
    refused(answer, missing.0, missing.1);
    let odd = ResolveUserRequest {
        read_mask: mask(&["password"]),
        ..ask(id(&ada))
    };
    let answer = resolve(&world.grpc, odd);
    refused(answer, Code::InvalidArgument, "FIELD_INVALID");
}

#[test]
fn a_revision_is_reached_or_refused() {
    let (world, other) = (world(), world());
    let ada = world.person("ada", "ada@x.test");
    let said = world.resolve(id(&ada)).expect("she is known");
    let at = |revision: Option<Revision>| ResolveUserRequest {
        consistency: Some(Consistency {
            requirement: revision.map(Requirement::AtLeastAsFresh),
        }),
        ..ask(id(&ada))
    };
    let again = resolve(&world.grpc, at(said.read_at.clone())).expect("as fresh");
    assert_eq!(again.read_at, said.read_at);
    let bob = other.person("bob", "bob@x.test");
    let theirs = other.resolve(id(&bob)).expect("he is known").read_at;
    for revision in [theirs, Some(Revision::default())] {
        let answer = resolve(&world.grpc, at(revision));
        refused(answer, Code::InvalidArgument, "REVISION_INVALID");
    }
}

#[test]
fn a_deadline_that_has_passed_is_told() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let service = Service::full(super::super::server(), &world.tenant);
    let code = muster_tests::grpc::bare(
        super::super::server().grpc(),
        &service.token(),
        "identity.directory.v1.DirectoryLookupService/ResolveUser",
        "1n",
        &ask(id(&ada)),
    );
    assert_eq!(code, Code::DeadlineExceeded);
}
