//! What a connection's policy does to users who come through it.

use super::*;
use crate::domain::policy::{Lifetime, OnDelete, OnMatch, Policy};

/// A policy as an operator writes it.
pub(super) fn policy(json: &str) -> Policy {
    serde_json::from_str(json).expect("it is a policy")
}

impl World {
    /// Gives the caller's connection this policy.
    pub(super) async fn obey(&mut self, policy: Policy) {
        let edit = ConnectionEdit {
            policy: Some(policy),
            ..ConnectionEdit::default()
        };
        let (operator, own) = (operator(&self.caller), self.caller.connection().unwrap());
        let updated = self.directory.update_connection(&operator, own, edit);
        self.caller.profile.policy = Arc::new(updated.await.unwrap().policy);
    }

    pub(super) async fn create(&self, fields: &[(&str, &str)]) -> Result<Written> {
        let attributes = fields.iter();
        let attributes = attributes.map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let attributes = attributes.collect();
        self.directory.create_user(&self.caller, attributes).await
    }

    pub(super) async fn patch(&self, id: &str, operations: Vec<Operation>) -> Result<Written> {
        let (free, wants) = (free(), Wants::NONE);
        let patching = self
            .directory
            .patch_user(&self.caller, id, operations, free, wants);
        patching.await
    }

    pub(super) async fn set_policy(&self, policy: Policy) -> Result<()> {
        let edit = ConnectionEdit {
            policy: Some(policy),
            ..ConnectionEdit::default()
        };
        let (operator, own) = (operator(&self.caller), self.caller.connection().unwrap());
        let updated = self.directory.update_connection(&operator, own, edit);
        updated.await.map(drop)
    }
}

#[tokio::test]
async fn a_request_that_comes_again_finds_the_same_user() {
    let mut world = World::new().await;
    let merging = r#"{"match_order": ["external_id", "user_name"], "on_match": "merge",
        "never_overwrite": ["title"]}"#;
    world.obey(policy(merging)).await;
    let ada = [("userName", "ada"), ("externalId", "1"), ("title", "First")];
    let first = world.create(&ada).await.unwrap();
    assert_eq!(first.report.matched_by, None);
    let again = [
        ("userName", "Ada L"),
        ("externalId", "1"),
        ("title", "Second"),
    ];
    let again = world.create(&again).await.unwrap();
    let user = again.view.resource;
    assert_eq!(user.id, first.view.resource.id);
    assert_eq!(again.report.matched_by.as_deref(), Some("externalId"));
    assert_eq!(
        (user.text("userName"), user.text("title")),
        (Some("Ada L"), Some("First"))
    );
    // The same once more changes nothing.
    let same = [("userName", "Ada L"), ("externalId", "1")];
    let same = world.create(&same).await.unwrap();
    assert_eq!(
        (same.position, same.view.resource.version),
        (None, user.version)
    );
    // Whom the connection calls by another name is somebody else.
    let other = world
        .create(&[("userName", "ada l"), ("externalId", "2")])
        .await;
    assert!(
        matches!(other, Err(Error::Taken(Taken::UserName))),
        "{other:?}"
    );
}

#[tokio::test]
async fn another_connections_users_are_not_taken_unless_the_policy_says_so() {
    let mut world = World::new().await;
    world.create(&[("userName", "ada")]).await.unwrap();
    let operator = operator(&world.caller);
    let edit = ConnectionEdit::default();
    let second = world.directory.create_connection(&operator, "second", edit);
    let second = second.await.unwrap();
    world.caller.principal = Principal::Connection {
        connection_id: second.id,
        credential_id: "c".to_owned(),
    };
    for (foreign, taken) in [(false, false), (true, true)] {
        let policy = Policy {
            match_foreign: foreign,
            ..policy(r#"{"match_order": ["user_name"], "on_match": "adopt"}"#)
        };
        world.obey(policy).await;
        let found = world
            .create(&[("userName", "ADA"), ("externalId", "1")])
            .await;
        assert_eq!(found.is_ok(), taken, "{found:?}");
    }
}

#[tokio::test]
async fn a_deleted_user_comes_back_with_everything_he_had() {
    let mut world = World::new().await;
    let reviving = r#"{"match_order": ["user_name"], "on_match": "merge", "match_deleted": true}"#;
    world.obey(policy(reviving)).await;
    let ada = world
        .create(&[("userName", "ada"), ("title", "Engineer")])
        .await
        .unwrap();
    let id = ada.view.resource.id;
    let group = world.group("G").await.view.resource.id;
    let members = vec![Modification::Add(vec![Reference::User(id.clone())])];
    let adding = world
        .directory
        .modify_group(&world.caller, &group, members, free(), 0);
    adding.await.unwrap();
    let deleting = world
        .directory
        .delete(&world.caller, ResourceKind::User, &id, free(), false);
    deleting.await.unwrap();
    let back = world
        .create(&[("userName", "ada"), ("externalId", "9")])
        .await
        .unwrap();
    let user = &back.view.resource;
    assert_eq!((&user.id, user.text("title")), (&id, Some("Engineer")));
    assert_eq!(user.text("externalId"), Some("9"));
    assert_eq!(back.view.relations.groups.len(), 1);
}

#[tokio::test]
async fn a_deletion_does_what_the_policy_says() {
    for on_delete in [OnDelete::Soft, OnDelete::Hard, OnDelete::Deactivate] {
        let mut world = World::new().await;
        world
            .obey(Policy {
                on_delete,
                ..Policy::default()
            })
            .await;
        let id = world
            .create(&[("userName", "ada")])
            .await
            .unwrap()
            .view
            .resource
            .id;
        let (directory, caller, kind) = (&world.directory, &world.caller, ResourceKind::User);
        let gone = directory
            .delete(caller, kind, &id, free(), false)
            .await
            .unwrap()
            .unwrap();
        let read = |reach| directory.get(caller, Get { reach, ..get(&id) }, &Consistency::Strong);
        let live = read(Reach::Live)
            .await
            .ok()
            .map(|found| found.value.resource.active());
        let kept = read(Reach::Deleted).await.is_ok();
        match on_delete {
            OnDelete::Soft => assert_eq!((live, kept), (None, true)),
            OnDelete::Hard => assert_eq!((live, kept), (None, false)),
            OnDelete::Deactivate => assert_eq!((live, kept), (Some(false), true)),
        }
        assert_eq!(gone.deleted_at.is_some(), on_delete == OnDelete::Soft);
    }
}

#[tokio::test]
async fn a_default_group_is_joined_and_cannot_be_deleted() {
    let mut world = World::new().await;
    world
        .obey(policy(
            r#"{"default_groups": ["All"], "create_default_groups": true}"#,
        ))
        .await;
    let ada = world.create(&[("userName", "ada")]).await.unwrap();
    let group = ada
        .view
        .relations
        .groups
        .first()
        .cloned()
        .expect("he is in it");
    assert_eq!(group.display_name, "All");
    let (directory, operator) = (&world.directory, operator(&world.caller));
    let deleting = directory.delete(&operator, ResourceKind::Group, &group.id, free(), false);
    let refused = deleting.await;
    assert!(matches!(refused, Err(Error::GroupInUse(_))), "{refused:?}");
    // What is gone all the same is reported, and keeps nobody out.
    directory
        .store
        .write(&operator.tenant_id, "test", {
            let id = group.id.clone();
            move |tx| {
                let id = id.clone();
                async move { crate::storage::resources::purge(&tx, ResourceKind::Group, &id).await }
            }
        })
        .await
        .unwrap();
    let eve = world.create(&[("userName", "eve")]).await.unwrap();
    assert_eq!(eve.report.ignored.len(), 1);
}

#[tokio::test]
async fn a_policy_is_checked_when_it_is_set() {
    let world = World::new().await;
    let many: Vec<_> = (0..100_000).map(|n| n.to_string()).collect();
    let lookups = [("title", many)].map(|(path, values)| {
        (
            crate::domain::policy::Path::parse(path).expect("a path"),
            values,
        )
    });
    let large = Policy {
        lookups: lookups.into(),
        ..Policy::default()
    };
    for (wrong, told) in [
        (large, "100000 values"),
        (policy(r#"{"on_match": "merge"}"#), "match_order"),
        (
            policy(r#"{"never_overwrite": ["title"]}"#),
            "never_overwrite",
        ),
        (policy(r#"{"default_groups": ["gone"]}"#), "\"gone\""),
        (policy(r#"{"protected_users": ["nobody"]}"#), "\"nobody\""),
        (
            policy(r#"{"mirror": {"title": "active"}}"#),
            "different types",
        ),
        (policy(r#"{"mirror": {"title": "title"}}"#), "fills itself"),
        (
            policy(r#"{"mirror": {"title": "emails"}}"#),
            "single values",
        ),
        (policy(r#"{"allowed_attributes": ["userName"]}"#), "active"),
        (
            policy(
                r#"{"allowed_attributes": ["userName", "active"], "required_attributes": ["title"]}"#,
            ),
            "title is not allowed",
        ),
        (policy(r#"{"required_attributes": ["hobby"]}"#), "hobby"),
        (policy(r#"{"lookups": {"title": []}}"#), "no values"),
        (policy(r#"{"credential_limit": 0}"#), "at least 1"),
        (policy(r#"{"base_path": "scim"}"#), "base_path"),
        (
            policy(r#"{"deprovision_guard": {"window": "1h"}}"#),
            "max_users",
        ),
        (
            policy(r#"{"deprovision_guard": {"window": "1h", "max_users": 1, "max_hold": "73h"}}"#),
            "72h",
        ),
        (
            policy(r#"{"user_name_immutable": true, "mirror": {"title": "userName"}}"#),
            "user_name_immutable",
        ),
    ] {
        let refused = world.set_policy(wrong).await;
        let error = refused.err().map(|error| error.to_string());
        assert!(
            error.as_deref().is_some_and(|e| e.contains(told)),
            "{told}: {error:?}"
        );
    }
    assert_eq!(Policy::default().on_match, OnMatch::Conflict);
    assert!(Lifetime::of_ms(0).is_err());
}

#[tokio::test]
async fn roles_follow_groups_and_the_first_counts() {
    let mut world = World::new().await;
    let roles = r#"{"group_roles": [{"group": "Admins", "role": "admin"},
        {"group": "Everyone", "role": "viewer"}]}"#;
    world.obey(policy(roles)).await;
    let id = world
        .create(&[("userName", "ada")])
        .await
        .unwrap()
        .view
        .resource
        .id;
    for name in ["everyone", "ADMINS", "Others"] {
        let group = world.group(name).await.view.resource.id;
        let members = vec![Modification::Add(vec![Reference::User(id.clone())])];
        let adding = world
            .directory
            .modify_group(&world.caller, &group, members, free(), 0);
        adding.await.unwrap();
    }
    let own = world.caller.connection().unwrap().to_owned();
    let of = || world.directory.roles_of(&world.caller, &own, &id);
    let names = |roles: Vec<Role>| roles.into_iter().map(|r| r.role).collect::<Vec<_>>();
    assert_eq!(names(of().await.unwrap()), ["admin", "viewer"]);
    world.patch(&id, set("active", false)).await.unwrap();
    assert_eq!(of().await.unwrap(), []);
}

#[tokio::test]
async fn a_put_that_is_silent_takes_nothing_away_that_it_may_not() {
    let mut world = World::new().await;
    let all = [("userName", "ada"), ("title", "T"), ("nickName", "N")];
    let id = world.create(&all).await.unwrap().view.resource.id;
    for (json, kept) in [
        (
            r#"{"rejected_attributes": ["title"]}"#,
            ["title"].as_slice(),
        ),
        (
            r#"{"allowed_attributes": ["userName", "active"], "on_other_attributes": "reject"}"#,
            &["title"],
        ),
    ] {
        world.obey(policy(json)).await;
        let whole = object([("userName", "ada")]);
        let put = world
            .directory
            .replace_user(&world.caller, &id, whole, free());
        let put = put.await.unwrap();
        for name in kept {
            assert!(put.view.resource.text(name).is_some(), "{json}");
        }
        assert!(put.report.ignored.is_empty(), "{:?}", put.report);
    }
}
