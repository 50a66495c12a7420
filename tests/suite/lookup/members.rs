//! Who is in what, through up to sixteen groups.

use muster_proto::v1::{ExternalKey, MembershipQuestion};

use super::*;

use Verdict::{DirectMember, NotMember, TransitiveMember, Unspecified, UserInactive};

#[test]
fn membership_is_told_direct_from_indirect() {
    let world = world();
    let (ada, bob) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
    );
    let inner = world.scim.group("Inner", &[&ada]);
    let middle = world.scim.group("Middle", &[&inner]);
    let outer = world.scim.group("Outer", &[&middle, &bob]);
    let all = [inner.as_str(), &middle, &outer, NOBODY];
    let of_ada = [
        DirectMember,
        TransitiveMember,
        TransitiveMember,
        Unspecified,
    ];
    assert_eq!(world.verdicts(&ada, &all), of_ada);
    let of_bob = [NotMember, NotMember, DirectMember, Unspecified];
    assert_eq!(world.verdicts(&bob, &all), of_bob);
    let keys: Vec<_> = [
        group_key::Key::DisplayName("OUTER".to_owned()),
        group_key::Key::Id(inner.clone()),
        group_key::Key::External(ExternalKey::default()),
    ]
    .map(|key| GroupKey { key: Some(key) })
    .into();
    let request = CheckMembershipRequest {
        direct_only: true,
        ..about(&ada, keys)
    };
    let said = check(&world.grpc, request).expect("an answer").results;
    let verdicts: Vec<_> = said.iter().map(v1::MembershipResult::verdict).collect();
    assert_eq!(verdicts, [NotMember, DirectMember, Unspecified]);
    let ids: Vec<_> = said.iter().map(|said| said.group_id.as_str()).collect();
    assert_eq!(ids, [outer.as_str(), &inner, ""]);
    assert_eq!(item_reason(said[2].error.as_ref()), "GROUP_NOT_FOUND");
    let explained = CheckMembershipRequest {
        explain: true,
        ..about(&ada, all.iter().map(|id| by_id(id)).collect())
    };
    let said = check(&world.grpc, explained).expect("an answer").results;
    let paths: Vec<_> = said
        .iter()
        .map(|said| said.path_group_ids.clone())
        .collect();
    let path = |ids: &[&String]| ids.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    let expected = [
        path(&[&inner]),
        path(&[&inner, &middle]),
        path(&[&inner, &middle, &outer]),
        path(&[]),
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_member_who_may_not_act_is_none() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let (in_it, not) = (
        world.scim.group("In", &[&ada]),
        world.scim.group("Not", &[]),
    );
    assert_eq!(
        world.verdicts(&ada, &[&in_it, &not]),
        [DirectMember, NotMember]
    );
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let path = format!("/Users/{ada}");
    let _ = world.scim.patch(&path, &operations).status(200);
    assert_eq!(
        world.verdicts(&ada, &[&in_it, &not]),
        [UserInactive, NotMember]
    );
    let request = CheckMembershipRequest {
        include_inactive: true,
        ..about(&ada, vec![by_id(&in_it)])
    };
    let said = check(&world.grpc, request).expect("an answer");
    assert_eq!(said.results[0].verdict(), DirectMember);
    assert!(!said.access.expect("always there").effective_active);
}

#[test]
fn what_is_between_counts_while_it_lives() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let inner = world.scim.group("Inner", &[&ada]);
    let middle = world.scim.group("Middle", &[&inner]);
    let outer = world.scim.group("Outer", &[&middle]);
    let is_in = |group: &str| world.verdicts(&ada, &[group])[0];
    assert_eq!(is_in(&outer), TransitiveMember);
    let _ = world.scim.delete(&format!("/Groups/{middle}")).status(204);
    assert_eq!((is_in(&outer), is_in(&middle)), (NotMember, Unspecified));
    let back = v1::UndeleteGroupRequest {
        id: middle.clone(),
        ..Default::default()
    };
    wait(world.grpc.groups().undelete_group(back)).expect("it is back");
    assert_eq!(is_in(&outer), TransitiveMember);
    let without = json!([{"op": "remove", "path": format!("members[value eq \"{middle}\"]")}]);
    let path = format!("/Groups/{outer}");
    let _ = world.scim.patch(&path, &without).status(200);
    assert_eq!(
        (is_in(&outer), is_in(&middle)),
        (NotMember, TransitiveMember)
    );
}

#[test]
fn groups_nest_sixteen_memberships_deep() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let mut chain = vec![world.scim.group("G0", &[&ada])];
    for depth in 1..=16 {
        let below = chain.last().expect("one at least").clone();
        chain.push(world.scim.group(&format!("G{depth}"), &[&below]));
    }
    let outermost = chain.last().expect("one at least");
    assert_eq!(world.verdicts(&ada, &[outermost])[0], TransitiveMember);
    let explained = CheckMembershipRequest {
        explain: true,
        ..about(&ada, vec![by_id(outermost)])
    };
    let said = check(&world.grpc, explained).expect("an answer");
    assert_eq!(said.results[0].path_group_ids, chain);
    // Above the outermost, below the innermost, and in between.
    let member = |id: &str| v1::MemberRef {
        member: Some(v1::member_ref::Member::GroupId(id.to_owned())),
    };
    let deeper = v1::CreateGroupRequest {
        group: Some(v1::Group {
            display_name: "Above".to_owned(),
            ..Default::default()
        }),
        members: vec![member(outermost)],
        ..Default::default()
    };
    let answer = wait(world.grpc.groups().create_group(deeper));
    refused(answer, Code::FailedPrecondition, "GROUP_DEPTH_EXCEEDED");
    let deepest = world.scim.group("Below", &[]);
    let add = |group: &str| {
        let list = v1::MemberList {
            members: vec![member(&deepest)],
        };
        let request = v1::ModifyGroupRequest {
            id: group.to_owned(),
            modifications: vec![v1::GroupModification {
                modification: Some(v1::group_modification::Modification::AddMembers(list)),
                ..Default::default()
            }],
            ..Default::default()
        };
        wait(world.grpc.groups().modify_group(request))
    };
    let refusal = add(&chain[0]);
    refused(refusal, Code::FailedPrecondition, "GROUP_DEPTH_EXCEEDED");
    add(&chain[1]).expect("as deep as allowed");
    let path = format!("/Groups/{}", chain[0]);
    let operations = json!([{"op": "add", "path": "members", "value": [{"value": deepest}]}]);
    let _ = world
        .scim
        .patch(&path, &operations)
        .scim_error(400, Some("invalidValue"));
}

#[test]
fn pairs_are_answered_in_their_order() {
    let world = world();
    let (ada, bob) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
    );
    let inner = world.scim.group("Inner", &[&ada]);
    let outer = world.scim.group("Outer", &[&inner, &bob]);
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let path = format!("/Users/{bob}");
    let _ = world.scim.patch(&path, &operations).status(200);
    let question = |user: Option<&str>, group: Option<&str>| MembershipQuestion {
        user: user.map(|user| user_key(id(user))),
        group: group.map(by_id),
    };
    let questions = vec![
        question(Some(&bob), Some(&outer)),
        question(Some(&ada), Some(&outer)),
        question(Some(NOBODY), Some(&outer)),
        question(Some(&ada), Some(NOBODY)),
        question(None, Some(&outer)),
        question(Some(&ada), None),
        question(Some(&bob), Some(&inner)),
        question(Some(&ada), Some(&inner)),
    ];
    let request = v1::BatchCheckMembershipRequest {
        questions: questions.clone(),
        ..Default::default()
    };
    let said = wait(world.grpc.lookup().batch_check_membership(request)).expect("an answer");
    let told = said
        .into_inner()
        .results
        .into_iter()
        .map(|said| match said.verdict() {
            Unspecified => item_reason(said.error.as_ref()),
            verdict => verdict.as_str_name().to_owned(),
        });
    let expected = [
        "VERDICT_USER_INACTIVE",
        "VERDICT_TRANSITIVE_MEMBER",
        "USER_NOT_FOUND",
        "GROUP_NOT_FOUND",
        "REQUIRED_ATTRIBUTE_MISSING",
        "REQUIRED_ATTRIBUTE_MISSING",
        "VERDICT_NOT_MEMBER",
        "VERDICT_DIRECT_MEMBER",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let many = v1::BatchCheckMembershipRequest {
        questions: vec![question(Some(&ada), Some(&outer)); 1_000],
        include_inactive: true,
        ..Default::default()
    };
    let said = wait(world.grpc.lookup().batch_check_membership(many)).expect("an answer");
    let said = said.into_inner().results;
    assert_eq!(said.len(), 1_000);
    assert!(said.iter().all(|said| said.verdict() == TransitiveMember));
}
