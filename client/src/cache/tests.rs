//! What a map says after a snapshot and changes, whatever order they come in.

use std::{sync::Arc, time::Duration};

use muster_proto::v1::{
    Change, ExternalKey, FederatedIdentity, Group, InactiveReason, LabeledValue, MemberRef,
    Membership, ResourceMeta, ResourceType, Revision, SnapshotPage, User,
    change::{Kind, Resource},
    member_ref::Member,
};

use super::{
    ids,
    map::{Map, Verdict},
    names::Name,
    state::{News, State},
    writer::{Again, Writer},
};
use crate::{clock::System, error::Error, key};

const ADA: &str = "01890000-0000-7000-8000-000000000001";
const BOB: &str = "01890000-0000-7000-8000-000000000002";
const INNER: &str = "01890000-0000-7000-8000-00000000000a";
const OUTER: &str = "01890000-0000-7000-8000-00000000000b";

fn meta(version: i64) -> Option<ResourceMeta> {
    Some(ResourceMeta {
        version,
        ..Default::default()
    })
}

fn user(id: &str, version: i64, name: &str) -> User {
    User {
        id: id.to_owned(),
        user_name: name.to_owned(),
        emails: vec![LabeledValue {
            value: "shared@example.test".to_owned(),
            ..Default::default()
        }],
        effective_active: true,
        meta: meta(version),
        ..Default::default()
    }
}

fn group(id: &str, version: i64) -> Group {
    Group {
        id: id.to_owned(),
        display_name: id.to_owned(),
        meta: meta(version),
        ..Default::default()
    }
}

fn edge(group: &str, member: Member) -> Membership {
    Membership {
        group_id: group.to_owned(),
        member: Some(MemberRef {
            member: Some(member),
        }),
    }
}

fn in_group(group: &str, user: &str) -> Membership {
    edge(group, Member::UserId(user.to_owned()))
}

fn nested(group: &str, child: &str) -> Membership {
    edge(group, Member::GroupId(child.to_owned()))
}

fn change(kind: Kind, of: ResourceType, id: &str, version: i64) -> Change {
    Change {
        kind: kind.into(),
        r#type: of.into(),
        resource_id: id.to_owned(),
        version,
        effective_active: true,
        ..Default::default()
    }
}

fn moved(kind: Kind, membership: Membership, version: i64) -> Change {
    Change {
        resource: Some(Resource::Membership(membership.clone())),
        ..change(
            kind,
            ResourceType::Membership,
            &membership.group_id,
            version,
        )
    }
}

/// Ada in the inner group, which is in the outer one.
fn filled() -> Writer {
    let mut writer = Writer::new(true);
    writer.fill(SnapshotPage {
        users: vec![user(ADA, 3, "ada"), user(BOB, 1, "bob")],
        groups: vec![group(INNER, 5), group(OUTER, 5)],
        memberships: vec![in_group(INNER, ADA), nested(OUTER, INNER)],
    });
    writer.settle();
    writer
}

fn id(text: &str) -> u128 {
    ids::read(text).unwrap()
}

#[track_caller]
fn check(map: &Map, user: &str, group: &str, expected: Verdict) {
    assert_eq!(map.check(id(user), id(group)).unwrap(), expected);
}

fn apply(writer: &mut Writer, changes: impl IntoIterator<Item = Change>) {
    for change in changes {
        assert_eq!(writer.apply(change), None);
    }
    writer.settle();
}

#[test]
fn nested_groups_count_until_an_edge_between_them_goes() {
    let mut writer = filled();
    let map = writer.map();
    check(&map, ADA, INNER, Verdict::Direct);
    check(&map, ADA, OUTER, Verdict::Transitive);
    check(&map, BOB, OUTER, Verdict::NotMember);
    apply(
        &mut writer,
        [moved(Kind::MemberRemoved, nested(OUTER, INNER), 6)],
    );
    check(&map, ADA, OUTER, Verdict::NotMember);
}

#[test]
fn what_is_older_than_what_is_held_is_dropped() {
    use ResourceType::User;
    let mut writer = filled();
    let map = writer.map();
    let mut old = change(Kind::AccessEnded, User, ADA, 2);
    old.effective_active = false;
    apply(&mut writer, [old.clone()]);
    check(&map, ADA, INNER, Verdict::Direct);
    old.version = 4;
    apply(&mut writer, [old]);
    check(&map, ADA, INNER, Verdict::UserInactive);
}

#[test]
fn who_came_back_before_his_end_is_told_has_what_follows_alone() {
    use ResourceType::{Group, User};
    // The page was read after he was deleted and undeleted; the changes tell both.
    let mut writer = filled();
    let map = writer.map();
    apply(&mut writer, [change(Kind::Deleted, User, ADA, 2)]);
    check(&map, ADA, INNER, Verdict::NotMember);
    apply(
        &mut writer,
        [
            change(Kind::Undeleted, User, ADA, 3),
            moved(Kind::MemberAdded, in_group(INNER, ADA), 6),
        ],
    );
    check(&map, ADA, OUTER, Verdict::Transitive);
    apply(&mut writer, [change(Kind::Deleted, Group, INNER, 4)]);
    check(&map, ADA, INNER, Verdict::NotMember);
    check(&map, ADA, OUTER, Verdict::NotMember);
    assert!(map.groups_of(id(ADA)).unwrap().is_empty());
}

#[test]
fn edges_to_nobody_are_passed_over() {
    let mut writer = filled();
    let map = writer.map();
    let nobody = "01890000-0000-7000-8000-0000000000ff";
    apply(
        &mut writer,
        [
            moved(Kind::MemberAdded, in_group(nobody, ADA), 1),
            moved(Kind::MemberAdded, in_group(INNER, nobody), 6),
            change(Kind::Deleted, ResourceType::User, nobody, 9),
            change(Kind::Created, ResourceType::User, "no id", 1),
        ],
    );
    assert!(matches!(
        map.check(id(nobody), id(INNER)),
        Err(Error::UserNotFound)
    ));
    assert!(matches!(
        map.check(id(ADA), id(nobody)),
        Err(Error::GroupNotFound)
    ));
}

#[test]
fn a_cycle_ends() {
    // The directory makes none; a moment between two changes might look like one.
    let mut writer = filled();
    let map = writer.map();
    apply(
        &mut writer,
        [moved(Kind::MemberAdded, nested(INNER, OUTER), 6)],
    );
    check(&map, ADA, INNER, Verdict::Direct);
    assert_eq!(map.groups_of(id(ADA)).unwrap().len(), 2);
}

#[test]
fn users_are_found_by_what_they_are_called_now() {
    let mut writer = filled();
    let map = writer.map();
    let find = |key| map.find(&Name::read(&key).unwrap()).map(|found| found.0);
    assert_eq!(find(key::user_name("ADA")).unwrap(), id(ADA));
    let shared = find(key::email("Shared@example.test"));
    assert!(matches!(shared, Err(Error::AmbiguousKey)), "{shared:?}");
    let mut renamed = user(ADA, 4, "countess");
    renamed.emails.clear();
    renamed.federated_identities = vec![FederatedIdentity {
        issuer: "https://id.example.test".to_owned(),
        subject: "Ada".to_owned(),
        link_time: None,
    }];
    renamed.external_keys = vec![ExternalKey {
        connection_id: "c".to_owned(),
        external_id: "E".to_owned(),
    }];
    let updated = Change {
        resource: Some(Resource::User(renamed)),
        ..change(Kind::Updated, ResourceType::User, ADA, 4)
    };
    apply(&mut writer, [updated]);
    for key in [
        key::user_name("Countess"),
        key::federated("https://id.example.test", "Ada"),
        key::external("c", "E"),
        key::id(ADA),
    ] {
        assert_eq!(find(key).unwrap(), id(ADA));
    }
    assert_eq!(find(key::email("shared@example.test")).unwrap(), id(BOB));
    for key in [
        key::user_name("ada"),
        key::federated("https://id.example.test", "ada"),
        key::external("c", "e"),
    ] {
        assert!(matches!(find(key), Err(Error::UserNotFound)));
    }
    check(&map, ADA, INNER, Verdict::Direct);
    apply(
        &mut writer,
        [change(Kind::Purged, ResourceType::User, ADA, 5)],
    );
    assert!(matches!(
        find(key::user_name("countess")),
        Err(Error::UserNotFound)
    ));
}

#[test]
fn nothing_that_is_held_is_printed() {
    let writer = filled();
    let state = State::new(Arc::new(System::default()), Duration::from_secs(15));
    state.publish(writer.map());
    state.miss(
        Name::read(&key::user_name("nobody@example.test")).unwrap(),
        Duration::MAX / 4,
    );
    let map = writer.map();
    let printed = format!("{writer:?} {map:?} {state:?} {state:#?}");
    for personal in [ADA, "ada", "bob", "example.test", INNER] {
        assert!(!printed.contains(personal), "{printed}");
    }
    assert!(printed.contains("users: 2"), "{printed}");
}

#[test]
fn the_end_of_tokens_never_moves_back() {
    let mut writer = filled();
    let map = writer.map();
    let signed_out = |version, seconds| Change {
        tokens_valid_after: Some(prost_types::Timestamp {
            seconds,
            nanos: 1_000_000,
        }),
        ..change(Kind::Updated, ResourceType::User, ADA, version)
    };
    apply(&mut writer, [signed_out(4, 50), signed_out(5, 40)]);
    let access = map.access(id(ADA)).unwrap();
    assert_eq!(access.tokens_valid_after_ms, Some(50_001));
    assert!(!access.admits(50) && access.admits(51));
    apply(
        &mut writer,
        [change(Kind::Updated, ResourceType::User, ADA, 6)],
    );
    assert_eq!(map.access(id(ADA)).unwrap(), access);
}

#[test]
fn what_is_not_understood_is_read_again() {
    let mut writer = filled();
    let map = writer.map();
    let mut unknown = change(Kind::Unspecified, ResourceType::User, ADA, 9);
    unknown.kind = 1_000;
    let again = |kind, id: &str| Again {
        kind,
        id: id.to_owned(),
    };
    let user = again(ResourceType::User, ADA);
    assert_eq!(writer.apply(unknown.clone()), Some(user.clone()));
    unknown.r#type = ResourceType::Membership.into();
    unknown.resource_id = INNER.to_owned();
    assert_eq!(
        writer.apply(unknown.clone()),
        Some(again(ResourceType::Group, INNER))
    );
    unknown.r#type = ResourceType::Connection.into();
    assert_eq!(writer.apply(unknown), None);
    // Read again, the group has another member.
    let members = vec![MemberRef {
        member: Some(Member::UserId(BOB.to_owned())),
    }];
    let slot = map.groups.pin().get(&id(INNER)).copied();
    writer.see_whole(group(INNER, 9), members);
    writer.settle();
    check(&map, ADA, INNER, Verdict::NotMember);
    check(&map, BOB, INNER, Verdict::Direct);
    // It is still where it was, and in the group that names it.
    assert_eq!(map.groups.pin().get(&id(INNER)).copied(), slot);
    check(&map, ADA, OUTER, Verdict::NotMember);
    check(&map, BOB, OUTER, Verdict::Transitive);
    writer.see_whole(group(OUTER, 9), Vec::new());
    writer.settle();
    check(&map, BOB, OUTER, Verdict::NotMember);
    writer.is_gone(&user);
    assert!(matches!(map.access(id(ADA)), Err(Error::UserNotFound)));
}

#[test]
fn a_change_says_why_somebody_may_not_act() {
    use InactiveReason::{AdminLocked, Deprovisioned, Unspecified};
    let mut writer = filled();
    let map = writer.map();
    let ended = |version, active, reason: InactiveReason| Change {
        effective_active: active,
        inactive_reason: reason.into(),
        ..change(Kind::Updated, ResourceType::User, ADA, version)
    };
    for (version, active, told, expected) in [
        (4, false, AdminLocked, AdminLocked),
        (5, false, Unspecified, AdminLocked),
        (6, false, Deprovisioned, Deprovisioned),
        (7, true, Unspecified, Unspecified),
        (8, false, Unspecified, Unspecified),
    ] {
        apply(&mut writer, [ended(version, active, told)]);
        let access = map.access(id(ADA)).unwrap();
        assert_eq!(access.inactive_reason, expected, "{version}");
    }
}

#[test]
fn what_is_gone_leaves_nothing_behind() {
    use ResourceType::{Group, User};
    let mut writer = filled();
    let map = writer.map();
    assert!(
        writer.take_named().is_empty(),
        "nobody was asked for while it was filled"
    );
    for n in 0..2_500_u32 {
        let (him, it) = (
            uuid::Uuid::from_u128(u128::from(n) + 1_000).to_string(),
            uuid::Uuid::from_u128(u128::from(n) + 100_000).to_string(),
        );
        writer.see_user(user(&him, 1, &format!("user-{n}")));
        writer.see_group(group(&it, 1));
        writer.add(&in_group(&it, ADA));
        writer.add(&in_group(&it, &him));
        writer.add(&nested(OUTER, &it));
        apply(
            &mut writer,
            [
                change(Kind::Deleted, Group, &it, 2),
                change(Kind::Deleted, User, &him, 2),
            ],
        );
    }
    let sizes = [map.users.len(), map.groups.len(), map.teams.len()];
    assert_eq!(sizes, [2, 2, 2]);
    let names = map.names.pin();
    assert_eq!(names.len(), 3, "two names and an address");
    let users = map.users.pin();
    let slots = users.get(&id(ADA)).unwrap().teams.len();
    assert!(slots <= 1_000, "{slots}");
    check(&map, ADA, OUTER, Verdict::Transitive);
}

#[test]
fn a_miss_counts_until_somebody_gets_the_name() {
    let state = State::new(Arc::new(System::default()), Duration::from_secs(15));
    let name = Name::read(&key::user_name("Eve")).unwrap();
    state.miss(name.clone(), Duration::from_secs(5));
    assert!(state.is_missed(&name));
    let mut writer = filled();
    state.found(writer.take_named());
    assert!(state.is_missed(&name));
    writer.see_user(user("01890000-0000-7000-8000-000000000005", 1, "EVE"));
    state.found(writer.take_named());
    assert!(!state.is_missed(&name));
    state.miss(name.clone(), Duration::ZERO);
    assert!(!state.is_missed(&name));
}

#[tokio::test]
async fn a_revision_is_passed_when_it_is_heard_or_a_look_was_answered() {
    let state = State::new(Arc::new(System::default()), Duration::from_secs(15));
    let revision = |token: &str| Revision {
        token: token.to_owned(),
    };
    for n in 0..2_000 {
        state.heard(News {
            through: Some(&revision(&n.to_string())),
            as_of: None,
            caught_up: false,
        });
    }
    assert!(state.has_passed(&revision("1999")) && !state.has_passed(&revision("1")));
    assert!(state.passes(&revision("1999"), Duration::ZERO).await);
    assert!(!state.passes(&revision("skipped"), Duration::ZERO).await);
    let (looked, ()) = tokio::join!(state.looks(Duration::from_secs(20)), async {
        state.look.notified().await;
        state.answer(state.asked());
    });
    looked.unwrap();
    let late = state.looks(Duration::ZERO).await.unwrap_err();
    assert_eq!(late.code(), Some(tonic::Code::DeadlineExceeded));
    state.fails(Some((&tonic::Status::permission_denied("x")).into()));
    let refused = state.looks(Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(refused.code(), Some(tonic::Code::PermissionDenied));
    state.stops();
    let stopped = state.looks(Duration::from_secs(20)).await;
    assert!(matches!(stopped, Err(Error::Stopped)));
    assert!(matches!(state.map().err(), Some(Error::Stopped)));
}
