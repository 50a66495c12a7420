//! Two switches: `active` is the provisioning client's, the lock is the
//! operator's. Either ends all tokens of a user, and so does his deletion.

use muster_proto::v1::{
    GetTokenRequest, GetUserRequest, LockUserRequest, LockUserResponse, UndeleteUserRequest,
    UnlockUserRequest, User,
};
use muster_tests::{
    grpc::Grpc,
    runtime::wait,
    scim::{PATCH, USER},
    soon::{wait_until, wait_within},
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{ELSEWHERE, World, personal, refused, try_personal, wanted, world};

const NOBODYS: &str = "0190a5c1-0000-7000-8000-000000000000";

/// A user with one token of each kind.
struct Holder {
    world: World,
    user: String,
    path: String,
    tokens: [String; 2],
}

impl Holder {
    fn new() -> Self {
        let world = world();
        let user = world.scim.user("ada");
        let holder = Self {
            tokens: [world.issue(&user).access_token, world.personal(&user).1],
            path: format!("/Users/{user}"),
            world,
            user,
        };
        holder.have(true);
        holder
    }

    /// Asserts that all his tokens are good, or none is.
    #[track_caller]
    fn have(&self, active: bool) {
        for token in &self.tokens {
            assert_eq!(self.world.is_active(token), active, "{token}");
        }
    }

    /// Asserts that he gets no token, and why.
    #[track_caller]
    fn gets_none(&self) {
        let world = &self.world;
        let signed = world.try_issue(wanted(&self.user)).map(|_| ());
        let stored = try_personal(&world.grpc, personal(&self.user)).map(|_| ());
        for answer in [signed, stored] {
            let _ = refused(answer, Code::FailedPrecondition, "USER_INACTIVE");
        }
    }

    /// Asserts that he gets tokens that are good, while the old ones stay dead.
    #[track_caller]
    fn gets_new_ones(&self) {
        let world = &self.world;
        let new = [
            world.issue(&self.user).access_token,
            world.personal(&self.user).1,
        ];
        for token in new {
            assert!(world.is_active(&token), "{token}");
        }
        self.have(false);
    }

    fn set_active(&self, active: &Value) {
        let operation = json!([{"op": "Replace", "path": "active", "value": active}]);
        let _ = self.world.scim.patch(&self.path, &operation).status(200);
    }

    fn lock(&self, reason: &str) -> Result<LockUserResponse, Status> {
        let request = LockUserRequest {
            id: self.user.clone(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        Ok(wait(self.world.grpc.users().lock_user(request))?.into_inner())
    }

    /// Lifts the lock; whether there was one.
    #[track_caller]
    fn unlock(&self) -> bool {
        let request = UnlockUserRequest {
            id: self.user.clone(),
            ..Default::default()
        };
        let answer = wait(self.world.grpc.users().unlock_user(request));
        answer.expect("unlocked").into_inner().changed
    }

    #[track_caller]
    fn read(&self) -> User {
        self.read_as(&self.world.grpc)
    }

    /// What the provisioning client is told.
    #[track_caller]
    fn read_by_provisioning(&self) -> User {
        self.read_as(&self.world.tenant.grpc())
    }

    #[track_caller]
    fn read_as(&self, grpc: &Grpc) -> User {
        let request = GetUserRequest {
            id: self.user.clone(),
            ..Default::default()
        };
        let answer = wait(grpc.users().get_user(request));
        answer.expect("the user").into_inner().user.expect("him")
    }
}

#[test]
fn deactivating_over_scim_ends_all_tokens_in_the_same_transaction() {
    for active in [json!(false), json!("False")] {
        let holder = Holder::new();
        holder.set_active(&active);
        holder.have(false);
        holder.gets_none();
        holder.set_active(&json!("True"));
        holder.have(false);
        holder.gets_new_ones();
    }
}

#[test]
fn every_way_of_deactivating_ends_all_tokens() {
    let put = |holder: &Holder| {
        let body = json!({"schemas": [USER], "userName": "ada", "active": false});
        let _ = holder.world.scim.put(&holder.path, &body).status(200);
    };
    let without_path = |holder: &Holder| {
        let operations = json!([{"op": "replace", "value": {"active": false, "title": "x"}}]);
        let _ = holder
            .world
            .scim
            .patch(&holder.path, &operations)
            .status(200);
    };
    let bulk = |holder: &Holder| {
        let operations = json!([{"op": "replace", "path": "active", "value": false}]);
        let data = json!({"schemas": [PATCH], "Operations": operations});
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{"method": "PATCH", "path": holder.path, "data": data}],
        });
        let _ = holder.world.scim.post("/Bulk", &body).status(200);
    };
    let delete = |holder: &Holder| {
        let _ = holder.world.scim.delete(&holder.path).status(204);
    };
    let ways: [&dyn Fn(&Holder); 4] = [&put, &without_path, &bulk, &delete];
    for way in ways {
        let holder = Holder::new();
        way(&holder);
        holder.have(false);
    }
}

#[test]
fn a_refused_change_ends_nothing() {
    let holder = Holder::new();
    let operations = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "replace", "path": "userName", "value": ""},
    ]);
    let reply = holder.world.scim.patch(&holder.path, &operations);
    assert!(reply.code() >= 400, "{reply}");
    holder.have(true);
    // What changes something else, neither.
    let operations = json!([{"op": "replace", "path": "title", "value": "x"}]);
    let _ = holder
        .world
        .scim
        .patch(&holder.path, &operations)
        .status(200);
    holder.set_active(&json!(true));
    holder.have(true);
}

#[test]
fn a_lock_ends_all_tokens_and_is_no_provisioning_clients_to_lift() {
    let holder = Holder::new();
    let locked = holder.lock(" suspicious sign-ins ").expect("locked");
    assert!(locked.changed && locked.written_at.is_some());
    let told = locked.user.expect("what is so now");
    assert!(!told.effective_active && told.active == Some(true));
    assert!(told.tokens_valid_after.is_some());
    assert_eq!(told.user_name, "", "the operator need not see who it is");
    holder.have(false);
    holder.gets_none();
    // The client sees what it wrote, and writes what it likes.
    let seen = holder.world.scim.get(&holder.path).status(200);
    assert_eq!(seen.json()["active"], true);
    let text = seen.text();
    assert!(
        !text.contains("suspicious") && !text.contains("lock"),
        "{text}"
    );
    let put = json!({"schemas": [USER], "userName": "ada", "active": true});
    for _ in 0..2 {
        holder.set_active(&json!("True"));
        holder.set_active(&json!(true));
        let _ = holder.world.scim.put(&holder.path, &put).status(200);
        holder.gets_none();
    }
    holder.set_active(&json!(false));
    holder.set_active(&json!(true));
    holder.gets_none();
    let user = holder.read();
    let lock = user.admin_lock.expect("it is still there");
    assert_eq!(lock.reason, "suspicious sign-ins");
    assert!(lock.lock_time.is_some() && !user.effective_active);
    let told = holder.read_by_provisioning();
    assert!(told.admin_lock.is_none() && !told.effective_active);

    assert!(holder.unlock());
    assert!(!holder.unlock(), "there is none any more");
    assert!(holder.read().admin_lock.is_none());
    holder.gets_new_ones();
}

#[test]
fn both_switches_must_be_on() {
    let holder = Holder::new();
    holder.set_active(&json!(false));
    holder.lock("").expect("locked");
    holder.unlock();
    holder.gets_none();
    holder.lock("").expect("locked");
    holder.set_active(&json!(true));
    holder.gets_none();
    assert!(!holder.read().effective_active);
    holder.unlock();
    assert!(holder.read().effective_active);
    holder.gets_new_ones();
}

#[test]
fn locking_who_is_locked_changes_nothing() {
    let holder = Holder::new();
    assert!(holder.lock("first").expect("locked").changed);
    let before = holder.read();
    let again = holder.lock("second").expect("that is no error");
    assert!(!again.changed && again.written_at.is_none());
    assert_eq!(holder.read(), before);
    for reason in ["x".repeat(201), "a\u{7}".to_owned()] {
        let _ = refused(holder.lock(&reason), Code::InvalidArgument, "FIELD_INVALID");
    }
    let nobody = Holder {
        user: NOBODYS.to_owned(),
        ..holder
    };
    let _ = refused(nobody.lock(""), Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn a_locked_users_personal_tokens_say_why_they_ended() {
    let holder = Holder::new();
    let (id, _) = holder.world.personal(&holder.user);
    holder.lock("").expect("locked");
    let found = wait(holder.world.grpc.tokens().get_token(GetTokenRequest { id }));
    let token = found.expect("it stays").into_inner().token.expect("it");
    assert!(token.revoke_time.is_some());
    assert_ne!(token.revoke_reason, "");
}

#[test]
fn who_is_deleted_and_brought_back_has_no_tokens() {
    let holder = Holder::new();
    let _ = holder.world.scim.delete(&holder.path).status(204);
    holder.have(false);
    let answer = holder.world.try_issue(wanted(&holder.user));
    let status = answer.expect_err("he is gone");
    let expected = [Code::NotFound, Code::FailedPrecondition];
    assert!(expected.contains(&status.code()), "{status:?}");
    let request = UndeleteUserRequest {
        id: holder.user.clone(),
        options: None,
    };
    wait(holder.world.grpc.users().undelete_user(request)).expect("he is back");
    holder.gets_new_ones();
}

#[test]
fn a_lock_outlives_a_deletion() {
    let holder = Holder::new();
    holder.lock("").expect("locked");
    let _ = holder.world.scim.delete(&holder.path).status(204);
    let request = UndeleteUserRequest {
        id: holder.user.clone(),
        options: None,
    };
    wait(holder.world.grpc.users().undelete_user(request)).expect("he is back");
    holder.gets_none();
}

#[test]
fn a_user_ends_with_his_own_credentials() {
    let server = super::super::server();
    let holder = Holder::new();
    let own = ["--scopes", "users.read.basic,provisioning.self", "--user"];
    let own = [&own[..], &[&holder.user]].concat();
    let (_, token) = holder.world.tenant.credential(server, "entra", &own);
    let scim = holder.world.tenant.scim_with(&token);
    let _ = scim.get("/Me").status_in(&[200, 307, 308]);
    holder.lock("").expect("locked");
    let _ = scim.get("/Me").scim_error(401, None);
}

#[test]
fn an_operators_command_locks_within_a_second() {
    let server = super::super::server();
    let holder = Holder::new();
    let tenant = &holder.world.tenant.id;
    let run = |command: &str, more: &[&str]| {
        let arguments = ["user", command, "--id", &holder.user, "--tenant", tenant];
        server.admin().json(&[&arguments[..], more].concat())
    };
    let told = run("lock", &["--reason", "left"]);
    let tokens = &holder.tokens;
    let is_over = || !tokens.iter().any(|token| holder.world.is_active(token));
    wait_within(ELSEWHERE, "the lock to count", is_over);
    assert_eq!(told["locked"], true, "{told}");
    assert_eq!(told["effective_active"], false, "{told}");
    assert_eq!(told["changed"], true, "{told}");
    holder.gets_none();
    let told = run("unlock", &[]);
    assert_eq!(told["effective_active"], true, "{told}");
    wait_until("the lock to go", || {
        holder.world.try_issue(wanted(&holder.user)).is_ok()
    });
    holder.gets_new_ones();
}
