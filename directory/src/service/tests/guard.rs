//! Deactivations that wait for an operator.

use super::{policies::policy, *};

const HOUR: i64 = 3_600_000;

const THREE: &str = r#"{"deprovision_guard": {"max_users": 3, "window": "1h", "max_hold": "24h"}}"#;

/// Whoever is deactivated waits.
const NONE: &str = r#"{"deprovision_guard": {"max_users": 0, "window": "1h"}}"#;

impl World {
    async fn guarded(json: &str, users: usize) -> (Self, Vec<String>) {
        let mut world = Self::new().await;
        let mut ids = Vec::new();
        for n in 0..users {
            ids.push(world.user(&format!("u{n}")).await.view.resource.id);
        }
        world.obey(policy(json)).await;
        (world, ids)
    }

    pub(super) async fn disable(&self, id: &str) -> Written {
        self.patch(id, set("active", false)).await.unwrap()
    }

    /// Whether the user is active for his client, and whether he may act.
    async fn standing(&self, id: &str) -> (bool, bool) {
        let found = self
            .directory
            .get(&self.caller, get(id), &Consistency::Strong);
        let user = found.await.unwrap().value.resource;
        (user.active(), user.may_act())
    }

    async fn held(&self) -> Vec<String> {
        let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
        let held = self
            .directory
            .list_held(&operator(&self.caller), None, &page)
            .await;
        let held = held.unwrap().items.into_iter();
        held.map(|held| held.user_id).collect()
    }

    fn pass(&self, ms: i64) {
        self.source.ms.fetch_add(ms, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_is_too_much_waits_and_looks_done_to_the_client() {
    let (world, ids) = World::guarded(THREE, 6).await;
    for id in &ids[..3] {
        assert!(!world.disable(id).await.report.held);
        assert_eq!(world.standing(id).await, (false, false));
    }
    let fourth = &ids[3];
    let written = world.disable(fourth).await;
    assert!(written.report.held);
    assert_eq!(world.standing(fourth).await, (false, true));
    // The same request again changes nothing, and still waits.
    let again = world.disable(fourth).await;
    assert!(again.report.held && again.position.is_none());
    assert_eq!(world.held().await, std::slice::from_ref(fourth));
    // A client that takes it back has taken it back.
    world.patch(fourth, set("active", true)).await.unwrap();
    assert_eq!(world.standing(fourth).await, (true, true));
    assert!(world.held().await.is_empty());
    // An hour later there is room again.
    world.pass(HOUR + 1_000);
    assert!(!world.disable(fourth).await.report.held);
}

#[tokio::test]
async fn an_operator_releases_or_drops_it() {
    let (world, ids) = World::guarded(THREE, 6).await;
    for id in &ids {
        world.disable(id).await;
    }
    let operator = operator(&world.caller);
    let resolve =
        |ids: &[String], apply| world.directory.resolve_held(&operator, ids.to_vec(), apply);
    assert_eq!(resolve(&ids[3..4], true).await.unwrap().count, 1);
    assert_eq!(world.standing(&ids[3]).await, (false, false));
    assert_eq!(resolve(&ids[4..5], false).await.unwrap().count, 1);
    assert_eq!(world.standing(&ids[4]).await, (true, true));
    // Of several all or none.
    let some = resolve(&ids[4..6], true).await;
    assert!(matches!(some, Err(Error::NotFound { .. })), "{some:?}");
    assert_eq!(world.held().await, ids[5..]);
    // Or whatever waits.
    let own = world.caller.connection().unwrap();
    for count in [1, 0] {
        let resolved = world.directory.resolve_held_of(&operator, own, true).await;
        assert_eq!(resolved.unwrap(), count);
    }
    assert_eq!(world.standing(&ids[5]).await, (false, false));
}

#[tokio::test]
async fn nobody_keeps_his_access_for_longer_than_the_hold() {
    let (world, ids) = World::guarded(THREE, 5).await;
    for id in &ids {
        world.disable(id).await;
    }
    world.pass(23 * HOUR);
    world.directory.apply_held().await.unwrap();
    assert_eq!(world.standing(&ids[4]).await, (false, true));
    // The last look before 24 hours are over does it.
    world.pass(HOUR - 30_000);
    world.directory.apply_held().await.unwrap();
    for id in &ids {
        assert_eq!(world.standing(id).await, (false, false));
    }
    assert!(world.held().await.is_empty());
}

#[tokio::test]
async fn deletions_count_and_wait_too() {
    let (world, ids) = World::guarded(THREE, 5).await;
    let delete = async |id: &str| {
        let deleting = world
            .directory
            .delete(&world.caller, ResourceKind::User, id, free(), false);
        deleting.await.unwrap().unwrap()
    };
    for id in &ids[..3] {
        assert!(!delete(id).await.report.held);
    }
    assert!(delete(&ids[3]).await.report.held);
    assert_eq!(world.standing(&ids[3]).await, (false, true));
    let operator = operator(&world.caller);
    let released = world
        .directory
        .resolve_held(&operator, vec![ids[3].clone()], true);
    released.await.unwrap();
    let found = world
        .directory
        .get(&world.caller, get(&ids[3]), &Consistency::Strong);
    assert!(found.await.is_err());
    // A deactivation that waits becomes a deletion that waits.
    world.disable(&ids[4]).await;
    assert!(delete(&ids[4]).await.report.held);
    let released = world
        .directory
        .resolve_held(&operator, vec![ids[4].clone()], true);
    released.await.unwrap();
    let found = world
        .directory
        .get(&world.caller, get(&ids[4]), &Consistency::Strong);
    assert!(found.await.is_err());
}

#[tokio::test]
async fn whoever_is_gone_for_good_counts_too() {
    let hard = r#"{"on_delete": "hard", "deprovision_guard": {"max_users": 2, "window": "1h"}}"#;
    let (world, ids) = World::guarded(hard, 4).await;
    let (directory, kind) = (&world.directory, ResourceKind::User);
    let any = Precondition::parse(&crate::domain::version::etag(1));
    directory
        .purge(&world.caller, kind, &ids[0], &any)
        .await
        .unwrap();
    let deleting = directory.delete(&world.caller, kind, &ids[1], free(), false);
    assert!(!deleting.await.unwrap().unwrap().report.held);
    let deleting = directory.delete(&world.caller, kind, &ids[2], free(), false);
    assert!(deleting.await.unwrap().unwrap().report.held);
    let refused = directory.purge(&world.caller, kind, &ids[3], &any).await;
    assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
    assert_eq!(world.held().await, ids[2..3]);
}

#[tokio::test]
async fn what_else_changes_of_whoever_waits_is_done() {
    let (world, ids) = World::guarded(NONE, 1).await;
    let gone = [set("userName", "gone"), set("active", false)].concat();
    assert!(world.patch(&ids[0], gone).await.unwrap().report.held);
    let renamed = [set("title", "Boss"), set("userName", "later")].concat();
    let renamed = world.patch(&ids[0], renamed).await.unwrap();
    assert!(!renamed.report.held && renamed.report.ignored.is_empty());
    let operator = operator(&world.caller);
    let released = world.directory.resolve_held(&operator, ids.clone(), true);
    released.await.unwrap();
    let found = world
        .directory
        .get(&world.caller, get(&ids[0]), &Consistency::Strong);
    let user = found.await.unwrap().value.resource;
    assert_eq!(
        (user.text("userName"), user.text("title")),
        (Some("later"), Some("Boss"))
    );
    assert!(!user.may_act());
}

#[tokio::test]
async fn a_share_counts_once_there_are_enough() {
    let share = r#"{"deprovision_guard": {"max_percent": 50, "min_users": 2, "window": "1h"}}"#;
    let (world, ids) = World::guarded(share, 6).await;
    let mut held = Vec::new();
    for id in &ids {
        held.push(world.disable(id).await.report.held);
    }
    assert_eq!(held, [false, false, false, true, true, true]);
}

#[tokio::test]
async fn an_operator_is_not_held_and_ends_what_waits() {
    let (world, ids) = World::guarded(THREE, 5).await;
    for id in &ids[..4] {
        world.disable(id).await;
    }
    let operator = operator(&world.caller);
    for id in &ids[3..] {
        let kind = ResourceKind::User;
        let deleting = world.directory.delete(&operator, kind, id, free(), false);
        deleting.await.unwrap();
    }
    assert!(world.held().await.is_empty());
    let back = world
        .directory
        .undelete(&operator, ResourceKind::User, &ids[3], free());
    assert!(!back.await.unwrap().view.resource.may_act());
}

#[tokio::test]
async fn protected_accounts_stay() {
    let (mut world, ids) = World::guarded("{}", 2).await;
    world.obey(policy(r#"{"protected_users": ["U0"]}"#)).await;
    let admin = &ids[0];
    for operations in [set("active", false), set("userName", "x")] {
        let refused = world.patch(admin, operations).await;
        assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
    }
    let kind = ResourceKind::User;
    let deleting = world
        .directory
        .delete(&world.caller, kind, admin, free(), false);
    assert!(matches!(deleting.await, Err(Error::Protected)));
    world.patch(admin, set("title", "Boss")).await.unwrap();
    world.disable(&ids[1]).await;
}

#[tokio::test]
async fn whoever_was_gone_gets_no_access_from_waiting() {
    let (mut world, ids) = World::guarded("{}", 1).await;
    let policy_of_all = r#"{"match_order": ["user_name"], "on_match": "merge",
        "match_deleted": true, "deprovision_guard": {"max_users": 0, "window": "1h"}}"#;
    world.obey(policy(policy_of_all)).await;
    let operator = operator(&world.caller);
    let (directory, kind) = (&world.directory, ResourceKind::User);
    let gone = directory.delete(&operator, kind, &ids[0], free(), false);
    gone.await.unwrap();
    let mut attributes = object([("userName", "u0")]);
    attributes.insert("active".to_owned(), false.into());
    let back = world.directory.create_user(&world.caller, attributes).await;
    assert!(!back.unwrap().view.resource.may_act());
    assert_eq!(world.standing(&ids[0]).await, (false, false));
}

#[tokio::test]
async fn nobody_is_enabled_by_saying_nothing() {
    let (mut world, ids) = World::guarded("{}", 1).await;
    world.disable(&ids[0]).await;
    for on_match in ["merge", "adopt"] {
        let json = format!(r#"{{"match_order": ["user_name"], "on_match": "{on_match}"}}"#);
        world.obey(policy(&json)).await;
        let attributes = object([("userName", "u0")]);
        let found = world.directory.create_user(&world.caller, attributes).await;
        assert_eq!(found.unwrap().view.resource.id, ids[0]);
        assert_eq!(world.standing(&ids[0]).await, (false, false));
    }
}

#[tokio::test]
async fn a_connection_resolves_nothing() {
    let (world, ids) = World::guarded(THREE, 4).await;
    for id in &ids {
        world.disable(id).await;
    }
    let refused = world
        .directory
        .resolve_held(&world.caller, ids[3..].to_vec(), false)
        .await;
    assert!(
        matches!(refused, Err(Error::ScopeMissing(_))),
        "{refused:?}"
    );
}

/// A second connection of the tenant, with this policy.
async fn second(world: &World, json: &str) -> Caller {
    let operator = operator(&world.caller);
    let edit = ConnectionEdit {
        policy: Some(policy(json)),
        ..ConnectionEdit::default()
    };
    let made = world.directory.create_connection(&operator, "second", edit);
    let made = made.await.unwrap();
    let mut caller = world.caller.clone();
    caller.principal = Principal::Connection {
        connection_id: made.id,
        credential_id: "c".to_owned(),
    };
    caller.profile.policy = Arc::new(made.policy);
    caller
}

#[tokio::test]
async fn what_one_connection_holds_another_or_an_operator_ends() {
    let (world, ids) = World::guarded(THREE, 6).await;
    for id in &ids {
        world.disable(id).await;
    }
    let guarded = r#"{"deprovision_guard": {"max_users": 0, "window": "1h"}}"#;
    let off = || set("active", false);
    let wants = Wants::NONE;
    let directory = &world.directory;
    // Whom his own guard holds back ends nothing.
    let held_back = second(&world, guarded).await;
    let patched = directory
        .patch_user(&held_back, &ids[3], off(), free(), wants)
        .await;
    assert!(patched.unwrap().report.held);
    assert_eq!(world.standing(&ids[3]).await, (false, true));
    for (id, caller) in [
        (&ids[3], operator(&world.caller)),
        (&ids[4], {
            let mut free = held_back.clone();
            free.profile.policy = Arc::default();
            free
        }),
    ] {
        let patched = directory
            .patch_user(&caller, id, off(), free(), wants)
            .await
            .unwrap();
        assert!(!patched.report.held && patched.position.is_some());
        assert_eq!(world.standing(id).await, (false, false));
    }
    assert_eq!(world.held().await, ids[5..]);
}

#[tokio::test]
async fn protected_accounts_are_so_for_every_connection() {
    let (mut world, ids) = World::guarded("{}", 1).await;
    let other = second(&world, "{}").await;
    world.obey(policy(r#"{"protected_users": ["u0"]}"#)).await;
    let off = set("active", false);
    let refused = world
        .directory
        .patch_user(&other, &ids[0], off, free(), Wants::NONE)
        .await;
    assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
}

#[tokio::test]
async fn a_connection_brings_back_its_own_alone() {
    let (world, ids) = World::guarded("{}", 1).await;
    let other = second(&world, "{}").await;
    let (directory, kind) = (&world.directory, ResourceKind::User);
    let operator = operator(&world.caller);
    let gone = directory.delete(&operator, kind, &ids[0], free(), false);
    gone.await.unwrap();
    let refused = directory.undelete(&other, kind, &ids[0], free()).await;
    assert!(
        matches!(refused, Err(Error::NotFound { .. })),
        "{refused:?}"
    );
    directory
        .undelete(&world.caller, kind, &ids[0], free())
        .await
        .unwrap();
}

#[tokio::test]
async fn whoever_waits_keeps_the_name_by_which_he_signs_in() {
    let (world, ids) = World::guarded(NONE, 3).await;
    let tombstone = async |id: &str| {
        let both = [set("userName", format!("gone-{id}")), set("active", false)].concat();
        let buried = world.patch(id, both).await.unwrap();
        assert!(buried.report.held);
        let ignored = buried.report.ignored.iter().map(|one| one.path.as_str());
        assert_eq!(ignored.collect::<Vec<_>>(), ["userName"]);
    };
    let name = async |id: &str| {
        let found = world
            .directory
            .get(&world.caller, get(id), &Consistency::Strong);
        let user = found.await.unwrap().value.resource;
        user.text("userName").unwrap().to_owned()
    };
    for id in &ids {
        tombstone(id).await;
        tombstone(id).await;
        assert_eq!(world.standing(id).await, (false, true));
    }
    assert_eq!(name(&ids[0]).await, "u0");
    let operator = operator(&world.caller);
    let resolve = |id: &String, apply| {
        let ids = vec![id.clone()];
        world.directory.resolve_held(&operator, ids, apply)
    };
    resolve(&ids[0], false).await.unwrap();
    assert_eq!(name(&ids[0]).await, "u0");
    resolve(&ids[1], true).await.unwrap();
    assert_eq!(name(&ids[1]).await, format!("gone-{}", ids[1]));
    // A name that somebody has by now is left to him.
    let taken = world.user(&format!("gone-{}", ids[2])).await;
    resolve(&ids[2], true).await.unwrap();
    assert_eq!(name(&ids[2]).await, "u2");
    assert_eq!(world.standing(&ids[2]).await, (false, false));
    assert!(taken.view.resource.may_act());
}

#[tokio::test]
async fn a_deletion_through_another_connection_is_its_own() {
    let (world, ids) = World::guarded(NONE, 3).await;
    for id in &ids {
        world.disable(id).await;
    }
    let mut other = second(&world, NONE).await;
    let delete = async |caller: &Caller, id: &str| {
        let kind = ResourceKind::User;
        let deleting = world.directory.delete(caller, kind, id, free(), false);
        deleting.await.unwrap().unwrap().report.held
    };
    // Its own guard lets it wait; then it is for its sake that he does.
    assert!(delete(&other, &ids[0]).await);
    let operator = operator(&world.caller);
    let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
    let held = world.directory.list_held(&operator, None, &page).await;
    let held = held.unwrap().items;
    assert_eq!(Some(held[0].connection_id.as_str()), other.connection());
    other.profile.policy = Arc::default();
    assert!(!delete(&other, &ids[1]).await);
    let found = world
        .directory
        .get(&world.caller, get(&ids[1]), &Consistency::Strong);
    assert!(found.await.is_err());
    assert_eq!(world.held().await, [ids[0].clone(), ids[2].clone()]);
}

#[tokio::test]
async fn a_provisioning_client_purges_nobody_who_would_wait() {
    let (mut world, ids) = World::guarded(NONE, 2).await;
    let purge = async |world: &World, id: &str, version: i64| {
        let exactly = Precondition::parse(&crate::domain::version::etag(version));
        let kind = ResourceKind::User;
        world
            .directory
            .purge(&world.caller, kind, id, &exactly)
            .await
    };
    let refused = purge(&world, &ids[0], 1).await;
    assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
    assert!(
        world.held().await.is_empty(),
        "what is refused leaves nothing"
    );
    world.obey(policy(r#"{"protected_users": ["u0"]}"#)).await;
    let refused = purge(&world, &ids[0], 1).await;
    assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
    purge(&world, &ids[1], 1).await.unwrap();
}

#[tokio::test]
async fn whoever_is_back_did_not_leave() {
    let (world, ids) = World::guarded(THREE, 5).await;
    let (directory, kind) = (&world.directory, ResourceKind::User);
    for _ in 0..3 {
        world.disable(&ids[0]).await;
        world.patch(&ids[0], set("active", true)).await.unwrap();
        let deleting = directory.delete(&world.caller, kind, &ids[0], free(), false);
        deleting.await.unwrap();
        let back = directory.undelete(&world.caller, kind, &ids[0], free());
        back.await.unwrap();
    }
    for id in &ids[..3] {
        assert!(!world.disable(id).await.report.held);
    }
    assert!(world.disable(&ids[3]).await.report.held);
}

#[tokio::test]
async fn whose_deactivation_waits_is_not_protected_unseen() {
    let (world, ids) = World::guarded(NONE, 1).await;
    world.disable(&ids[0]).await;
    let refused = world
        .set_policy(policy(r#"{"protected_users": ["u0"]}"#))
        .await;
    let told = refused.expect_err("it waits").to_string();
    assert!(told.contains("release or drop"), "{told}");
}

#[tokio::test]
async fn an_operators_lock_outlives_a_deletion() {
    let (world, _) = World::guarded("{}", 0).await;
    let operator = operator(&world.caller);
    let (directory, kind) = (&world.directory, ResourceKind::User);
    let create = async |name: &str, external_id: &str| {
        let sent = [("userName", name), ("externalId", external_id)];
        world.create(&sent).await.unwrap().view.resource
    };
    let lock = async |id: &str, reason: Option<&str>| {
        let locking = directory.set_locked(&operator, id, reason, free());
        locking.await.unwrap();
    };
    let delete = async |id: &str| {
        let deleting = directory.delete(&world.caller, kind, id, free(), false);
        deleting.await.unwrap();
    };
    let (first, other) = (create("ada", "1").await.id, create("bob", "2").await.id);
    lock(&first, Some("left")).await;
    delete(&first).await;
    delete(&other).await;
    assert!(create("bob", "2").await.may_act());
    // By his name, and by what the connection calls him.
    let named = create("ADA", "3").await;
    assert!(!named.may_act() && named.id != first);
    let called = create("eve", "1").await;
    assert!(!called.may_act());
    // Whom an operator unlocks stays so, when he comes once more as well.
    lock(&named.id, None).await;
    delete(&named.id).await;
    assert!(create("ada", "4").await.may_act());
}

#[tokio::test]
async fn whoever_waited_for_his_start_waits_for_it_as_the_policy_says() {
    let (mut world, _) = World::guarded(r#"{"require_activation": true}"#, 0).await;
    let first = world.user("ada").await.view.resource;
    assert!(!first.may_act());
    let kind = ResourceKind::User;
    let gone = world
        .directory
        .delete(&world.caller, kind, &first.id, free(), false);
    gone.await.unwrap();
    world.obey(policy("{}")).await;
    assert!(world.user("ada").await.view.resource.may_act());
}
