//! What is asked for too much of, or without the right.

use muster_proto::v1::group_expansion::Mode;

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
