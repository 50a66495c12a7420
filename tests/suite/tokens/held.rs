//! Deactivations that the guard of a connection lets wait: the client sees them
//! done, and access stays until an operator has spoken.

use muster_proto::v1::{
    GetUserRequest, GetUserRolesRequest, ListHeldOperationsRequest, PageRequest,
    ResolveHeldOperationsRequest, User, held_operation::Kind,
};
use muster_tests::{runtime::wait, scim::USER, tenant::text};
use serde_json::json;
use tonic::Code;

use super::{World, refused, world};

const GUARD: &str = r#"
description = "at most two"
[policy.deprovision_guard]
max_users = 2
window = "1h"
max_hold = "72h"
[[policy.group_roles]]
group = "Admins"
role = "admin"
"#;

impl World {
    /// Gives the tenant's connection this policy.
    fn obey(&self, policy: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, policy).expect("a file");
        let file = file.display().to_string();
        let (tenant, connection) = (&self.tenant.id, &self.tenant.connection_id);
        let _ = super::super::server().admin().json(&[
            "connection",
            "update",
            "--tenant",
            tenant,
            "--name",
            connection,
            "--policy",
            &file,
        ]);
    }

    fn disable(&self, user: &str) {
        let operation = json!([{"op": "Replace", "path": "active", "value": "False"}]);
        let path = format!("/Users/{user}");
        let shown = self.scim.patch(&path, &operation).status(200).json();
        assert_eq!(shown["active"], false);
    }

    fn user(&self, id: &str) -> User {
        let request = GetUserRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let found = wait(self.grpc.users().get_user(request)).expect("the user");
        found.into_inner().user.expect("the user")
    }

    fn held(&self) -> Vec<String> {
        let listing = ListHeldOperationsRequest::default();
        let held = wait(self.grpc.provisioning().list_held_operations(listing)).expect("a list");
        let held = held.into_inner().operations.into_iter();
        held.map(|one| {
            assert_eq!(one.kind(), Kind::Deactivate);
            assert_eq!(one.connection_id, self.tenant.connection_id);
            one.user_id
        })
        .collect()
    }

    fn resolve(&self, user: &str, apply: bool) -> Result<i32, tonic::Status> {
        let request = ResolveHeldOperationsRequest {
            user_ids: vec![user.to_owned()],
            apply,
            options: None,
        };
        let resolved = wait(self.grpc.provisioning().resolve_held_operations(request))?;
        Ok(resolved.into_inner().resolved)
    }
}

#[test]
fn tokens_live_until_an_operator_releases_what_is_held() {
    let world = world();
    world.obey(GUARD);
    let users: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|name| world.scim.user(name))
        .into();
    let tokens: Vec<_> = users
        .iter()
        .map(|user| world.issue(user).access_token)
        .collect();
    for user in &users {
        world.disable(user);
    }
    for (index, (user, token)) in users.iter().zip(&tokens).enumerate() {
        let (user, is_held) = (world.user(user), index >= 2);
        assert_eq!((user.active, user.effective_active), (Some(false), is_held));
        assert_eq!(
            (user.deactivation_held, world.is_active(token)),
            (is_held, is_held)
        );
    }
    assert_eq!(world.held(), users[2..]);
    // Released: done now.
    assert_eq!(world.resolve(&users[2], true).expect("it waits"), 1);
    assert!(!world.is_active(&tokens[2]) && !world.user(&users[2]).effective_active);
    // Dropped: active for everybody.
    assert_eq!(world.resolve(&users[3], false).expect("it waits"), 1);
    let dropped = world.user(&users[3]);
    assert_eq!(
        (dropped.active, dropped.effective_active),
        (Some(true), true)
    );
    assert!(world.is_active(&tokens[3]));
    // Nothing is done twice, and nothing for another tenant's user.
    for user in [&users[2], &users[0]] {
        let _ = refused(world.resolve(user, true), Code::NotFound, "USER_NOT_FOUND");
    }
    let foreign = super::world();
    let _ = refused(
        foreign.resolve(&users[4], true),
        Code::NotFound,
        "USER_NOT_FOUND",
    );
    assert_eq!(foreign.held(), [""; 0]);
    // The rest by command.
    let admin = super::super::server().admin();
    let (tenant, connection) = (&world.tenant.id, &world.tenant.connection_id);
    let listed = admin.json(&["held", "list", "--tenant", tenant]);
    assert_eq!(text(&listed[0], "user_id"), users[4]);
    assert_eq!(text(&listed[0], "user_name"), "e");
    assert_eq!(text(&listed[0], "connection"), "entra");
    let all_of = [
        "held", "release", "--all-of", connection, "--tenant", tenant,
    ];
    assert_eq!(admin.json(&all_of), json!({"released": 1}));
    assert!(!world.user(&users[4]).effective_active && world.held().is_empty());
}

#[test]
fn what_is_held_comes_in_pages() {
    let world = world();
    world.obey(GUARD);
    let users: Vec<_> = (0..5).map(|n| world.scim.user(&format!("u{n}"))).collect();
    for user in &users {
        world.disable(user);
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let listing = ListHeldOperationsRequest {
            page: Some(PageRequest {
                page_size: 2,
                page_token,
                ..Default::default()
            }),
            ..Default::default()
        };
        let page = wait(world.grpc.provisioning().list_held_operations(listing));
        let page = page.expect("a page").into_inner();
        assert!(page.operations.len() <= 2);
        found.extend(page.operations.into_iter().map(|one| one.user_id));
        page_token = page.page.expect("a page").next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, users[2..]);
}

#[test]
fn whoever_awaits_activation_may_act_once_he_is_unlocked() {
    let world = world();
    world.obey("description = \"x\"\n[policy]\nrequire_activation = true\n");
    let body = json!({"schemas": [USER], "userName": "ada", "active": true});
    let user = world.scim.post("/Users", &body).status(201).json();
    assert_eq!(user["active"], true);
    let id = text(&user, "id");
    assert!(!world.user(&id).effective_active);
    let admin = super::super::server().admin();
    let unlock = ["user", "unlock", "--id", &id, "--tenant", &world.tenant.id];
    assert_eq!(admin.json(&unlock)["effective_active"], true);
    assert!(world.is_active(&world.issue(&id).access_token));
}

#[test]
fn roles_follow_groups() {
    let world = world();
    world.obey(GUARD);
    let user = world.scim.user("ada");
    let roles = || {
        let request = GetUserRolesRequest {
            connection_id: world.tenant.connection_id.clone(),
            user_id: user.clone(),
        };
        let found = wait(world.grpc.provisioning().get_user_roles(request)).expect("roles");
        let roles = found.into_inner().roles.into_iter();
        roles.map(|role| role.role).collect::<Vec<_>>()
    };
    assert_eq!(roles(), [""; 0]);
    let group = world.scim.group("admins", &[&user]);
    assert_eq!(roles(), ["admin"]);
    let admin = super::super::server().admin();
    let (tenant, connection) = (&world.tenant.id, &world.tenant.connection_id);
    let listing = [
        "user",
        "roles",
        "--id",
        &user,
        "--connection",
        connection,
        "--tenant",
        tenant,
    ];
    assert_eq!(admin.json(&listing)[0]["group_id"], *group);
}
