//! Users by their keys, and whether they may act.

use muster_proto::v1::{ExternalKey, InactiveReason, group_expansion::Mode, user_result};

use super::*;

#[test]
fn a_user_is_found_by_each_of_his_keys() {
    let world = world();
    let ada = world.person("Ada@X.test", "ada@mail.test");
    let external = |connection: &str| {
        Key::External(ExternalKey {
            connection_id: connection.to_owned(),
            external_id: "Ada@X.test-oid".to_owned(),
        })
    };
    for key in [
        id(&ada),
        Key::UserName("ADA@x.TEST".to_owned()),
        Key::Email("ADA@mail.test".to_owned()),
        external(&world.tenant.connection_id),
    ] {
        // Twice: read, then remembered.
        for _ in 0..2 {
            let said = world.resolve(key.clone()).expect("she is known");
            let user = said.user.expect("the user");
            assert_eq!(user.id, ada, "{key:?}");
            assert_eq!(user.user_name, "Ada@X.test");
            assert!(user.emails.is_empty(), "not asked for");
            let access = said.access.expect("always there");
            assert!(access.effective_active && user.effective_active);
            assert_eq!(access.cache_ttl.expect("a time").seconds, 30);
            assert!(said.read_at.is_some() && said.groups.is_empty());
        }
    }
    refused(
        world.resolve(external(NOBODY)),
        Code::NotFound,
        "USER_NOT_FOUND",
    );
}

#[test]
fn who_a_key_leads_to_follows_every_write_at_once() {
    let world = world();
    let (ada, bob) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
    );
    let name = || Key::UserName("ada".to_owned());
    let who = |key: Key| {
        world
            .resolve(key)
            .map(|said| said.user.expect("the user").id)
    };
    assert_eq!(who(name()).expect("ada"), ada);
    let rename = |user: &str, to: &str| {
        let operations = json!([{"op": "replace", "path": "userName", "value": to}]);
        let path = format!("/Users/{user}");
        let _ = world.scim.patch(&path, &operations).status(200);
    };
    rename(&ada, "ada.lovelace");
    refused(who(name()), Code::NotFound, "USER_NOT_FOUND");
    rename(&bob, "ada");
    assert_eq!(who(name()).expect("bob"), bob);
    let email = || Key::Email("ada@x.test".to_owned());
    assert_eq!(who(email()).expect("ada"), ada);
    let operations = json!([{"op": "replace", "path": "emails[type eq \"work\"].value",
        "value": "ADA@x.test"}]);
    let _ = world
        .scim
        .patch(&format!("/Users/{bob}"), &operations)
        .status(200);
    refused(who(email()), Code::FailedPrecondition, "AMBIGUOUS_KEY");
    let _ = world.scim.delete(&format!("/Users/{ada}")).status(204);
    assert_eq!(who(email()).expect("bob alone"), bob);
}

#[test]
fn who_may_not_act_is_refused_unless_asked_for() {
    let world = world();
    let (ada, bob, cy) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
        world.person("cy", "cy@x.test"),
    );
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let path = format!("/Users/{ada}");
    let _ = world.scim.patch(&path, &operations).status(200);
    let lock = v1::LockUserRequest {
        id: bob.clone(),
        ..Default::default()
    };
    wait(world.grpc.users().lock_user(lock)).expect("locked");
    let _ = world.scim.delete(&format!("/Users/{cy}")).status(204);
    for (user, why) in [
        (&ada, InactiveReason::Deprovisioned),
        (&bob, InactiveReason::AdminLocked),
    ] {
        refused(
            world.resolve(id(user)),
            Code::FailedPrecondition,
            "USER_INACTIVE",
        );
        let said = resolve(&world.grpc, allowed(user)).expect("asked for");
        let access = said.access.expect("always there");
        assert_eq!(access.inactive_reason(), why);
        assert!(!access.effective_active && access.tokens_valid_after.is_some());
        assert_eq!(said.user.expect("the user").inactive_reason(), why);
    }
    refused(world.resolve(id(&cy)), Code::NotFound, "USER_NOT_FOUND");
    let gone = resolve(&world.grpc, allowed(&cy)).expect("asked for by id");
    let access = gone.access.expect("always there");
    assert_eq!(access.inactive_reason(), InactiveReason::Deleted);
    let gone = ResolveUserRequest {
        allow_inactive: true,
        ..ask(Key::UserName("cy".to_owned()))
    };
    refused(resolve(&world.grpc, gone), Code::NotFound, "USER_NOT_FOUND");
}

fn allowed(user: &str) -> ResolveUserRequest {
    ResolveUserRequest {
        allow_inactive: true,
        ..ask(id(user))
    }
}

#[test]
fn batches_answer_item_by_item_in_their_order() {
    let world = world();
    let ada = world.person("ada", "same@x.test");
    let bob = world.person("bob", "same@x.test");
    let cy = world.person("cy", "cy@x.test");
    let _ = world.scim.delete(&format!("/Users/{cy}")).status(204);
    let keys: Vec<_> = [
        Some(Key::UserName("BOB".to_owned())),
        Some(id(NOBODY)),
        Some(id(&ada)),
        Some(Key::Email("Same@x.test".to_owned())),
        None,
        Some(id("\0")),
        Some(id(&ada)),
        Some(id(&cy)),
    ]
    .map(|key| UserKey { key })
    .into();
    let request = v1::BatchGetUsersRequest {
        keys: keys.clone(),
        read_mask: mask(&["user_name", "emails"]),
        ..Default::default()
    };
    let said = wait(world.grpc.lookup().batch_get_users(request)).expect("an answer");
    let said = said
        .into_inner()
        .results
        .into_iter()
        .map(|one| match one.result {
            Some(user_result::Result::User(user)) => user.id,
            Some(user_result::Result::Error(error)) => item_reason(Some(&error)),
            None => panic!("neither"),
        });
    let users = [
        bob.as_str(),
        "USER_NOT_FOUND",
        &ada,
        "AMBIGUOUS_KEY",
        "REQUIRED_ATTRIBUTE_MISSING",
        "USER_NOT_FOUND",
        &ada,
        "USER_NOT_FOUND",
    ];
    assert_eq!(said.collect::<Vec<_>>(), users);
    let request = v1::BatchGetUserStatusRequest {
        keys,
        ..Default::default()
    };
    let narrow = world.may("users.read.status,users.resolve");
    let said = wait(narrow.lookup().batch_get_user_status(request)).expect("an answer");
    for (one, expected) in said.into_inner().results.into_iter().zip(users) {
        let status = one.status.expect("always there");
        let is_gone = one.user_id == cy;
        assert_eq!(status.effective_active, one.error.is_none() && !is_gone);
        match one.error {
            Some(error) => assert_eq!(item_reason(Some(&error)), expected),
            None if is_gone => {
                assert_eq!(status.inactive_reason(), InactiveReason::Deleted);
            }
            None => assert_eq!(one.user_id, expected),
        }
    }
}

#[test]
fn groups_come_with_the_sign_in() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    let inner = world.scim.group("Inner", &[&ada]);
    let outer = world.scim.group("Outer", &[&inner]);
    let other = world.scim.group("Other", &[&ada]);
    let asked = |mode: Mode, only: &[&str], max_groups| {
        let request = ResolveUserRequest {
            groups: Some(v1::GroupExpansion {
                only_group_ids: only.iter().map(ToString::to_string).collect(),
                max_groups,
                ..expansion(mode)
            }),
            ..ask(id(&ada))
        };
        let said = resolve(&world.grpc, request)?;
        let groups = said
            .groups
            .into_iter()
            .map(|group| (group.id, group.indirect));
        Ok::<Vec<_>, Status>(groups.collect())
    };
    let sorted = |mut groups: Vec<(&String, bool)>| {
        groups.sort();
        let owned = groups
            .into_iter()
            .map(|(id, indirect)| (id.clone(), indirect));
        owned.collect::<Vec<_>>()
    };
    let all = sorted(vec![(&inner, false), (&outer, true), (&other, false)]);
    let direct = sorted(vec![(&inner, false), (&other, false)]);
    assert_eq!(asked(Mode::Transitive, &[], 0).expect("all"), all);
    assert_eq!(asked(Mode::Transitive, &[], 3).expect("all"), all);
    assert_eq!(asked(Mode::Direct, &[], 0).expect("some"), direct);
    assert_eq!(asked(Mode::None, &[], 0).expect("none"), []);
    let only = asked(Mode::Transitive, &[&outer, NOBODY], 1).expect("one");
    assert_eq!(only, [(outer.clone(), true)]);
    assert_eq!(asked(Mode::Transitive, &["\0"], 0).expect("none"), []);
    let large = asked(Mode::Transitive, &[], 2);
    refused(large, Code::FailedPrecondition, "GROUP_SET_TOO_LARGE");
    let negative = asked(Mode::Transitive, &[], -1);
    refused(negative, Code::InvalidArgument, "FIELD_INVALID");
    let effective = |groups| {
        let request = v1::GetEffectiveGroupsRequest {
            user: Some(user_key(id(&ada))),
            groups,
            ..Default::default()
        };
        let said = wait(world.grpc.lookup().get_effective_groups(request));
        let groups = said.expect("an answer").into_inner().groups.into_iter();
        groups
            .map(|group| (group.id, group.indirect))
            .collect::<Vec<_>>()
    };
    assert_eq!(effective(None), all);
    assert_eq!(effective(Some(expansion(Mode::Direct))), direct);
    assert_eq!(effective(Some(expansion(Mode::None))), []);
}
