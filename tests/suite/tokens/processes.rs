//! Two servers on one database: what one ends, the other refuses within a second.

use muster_proto::v1::{
    DisableServiceClientRequest, IssueUserTokenRequest, ListUsersRequest, LockUserRequest,
    RevokeAllUserTokensRequest, revoke_token_request::Target,
};
use muster_tests::{
    grpc::Grpc,
    runtime::wait,
    scim::Scim,
    server::{Launch, Server},
    soon::wait_within,
    vault,
};
use serde_json::json;

use super::{ELSEWHERE, World, is_active, wanted};

/// Two servers that share a database, and a tenant.
struct Pair {
    world: World,
    /// The same service client at the other server.
    there: Grpc,
    scim: Scim,
    here: Server,
    elsewhere: Server,
}

impl Pair {
    fn new(change: fn(Launch) -> Launch) -> Self {
        let here = change(super::super::launch()).start();
        let url = here.launch().database_url();
        let elsewhere = change(Launch::at(&url)).start();
        let world = World::on(&here);
        let (there, scim) = world.at(&elsewhere);
        Self {
            world,
            there,
            scim,
            here,
            elsewhere,
        }
    }

    /// Asserts that a token is good at both.
    #[track_caller]
    fn both_know(&self, token: &str) {
        let known = (self.world.is_active(token), is_active(&self.there, token));
        assert_eq!(known, (true, true), "here and elsewhere: {token}");
    }

    /// Asserts that a token is dead here at once and there within a second.
    #[track_caller]
    fn both_forget(&self, token: &str) {
        assert!(!self.world.is_active(token), "at once where it ended");
        let took = wait_within(ELSEWHERE, "the token to end elsewhere", || {
            !is_active(&self.there, token)
        });
        println!("elsewhere after {took:?}");
    }
}

/// A way in which a token with this value and this id ends.
type End<'a> = &'a dyn Fn(&str, &str);

fn plain(launch: Launch) -> Launch {
    launch
}

#[test]
fn what_one_server_issues_the_other_knows() {
    for change in [plain, vault::sealed] {
        let pair = Pair::new(change);
        let user = pair.world.scim.user("ada");
        let here = pair.world.issue(&user).access_token;
        let there = super::try_issue(&pair.there, wanted(&user)).expect("a token");
        for token in [&here, &there.access_token, &pair.world.personal(&user).1] {
            pair.both_know(token);
        }
        // Tokens of services, too.
        let token = pair.world.service.token();
        let elsewhere = Grpc::new(pair.elsewhere.grpc(), Some(&token));
        assert!(wait(elsewhere.users().list_users(ListUsersRequest::default())).is_ok());
    }
}

#[test]
fn what_ends_at_one_server_ends_at_the_other_within_a_second() {
    let pair = Pair::new(plain);
    let world = &pair.world;
    let user = world.scim.user("ada");
    let path = format!("/Users/{user}");
    let ends: [End<'_>; 6] = [
        &|token, _| {
            world
                .revoke(Target::Token(token.to_owned()))
                .expect("revoked");
        },
        &|_, jti| {
            world.revoke(Target::Jti(jti.to_owned())).expect("revoked");
        },
        &|_, _| {
            let request = RevokeAllUserTokensRequest {
                user_id: user.clone(),
                ..Default::default()
            };
            wait(world.grpc.tokens().revoke_all_user_tokens(request)).expect("signed out");
        },
        &|_, _| {
            let off = json!([{"op": "replace", "path": "active", "value": false}]);
            let _ = world.scim.patch(&path, &off).status(200);
            let on = json!([{"op": "replace", "path": "active", "value": true}]);
            let _ = world.scim.patch(&path, &on).status(200);
        },
        &|_, _| {
            let request = LockUserRequest {
                id: user.clone(),
                ..Default::default()
            };
            wait(world.grpc.users().lock_user(request)).expect("locked");
            let unlock = muster_proto::v1::UnlockUserRequest {
                id: user.clone(),
                options: None,
            };
            wait(world.grpc.users().unlock_user(unlock)).expect("unlocked");
        },
        &|_, _| {
            let _ = world.scim.delete(&path).status(204);
        },
    ];
    for end in ends {
        let issued = world.issue(&user);
        pair.both_know(&issued.access_token);
        end(&issued.access_token, &issued.jti);
        pair.both_forget(&issued.access_token);
    }
}

#[test]
fn a_credential_revoked_at_one_server_is_refused_by_the_other_within_a_second() {
    let pair = Pair::new(plain);
    let (tenant, here) = (&pair.world.tenant, &pair.world.scim);
    let listed = |scim: &Scim| scim.get("/Users").code();
    assert_eq!((listed(here), listed(&pair.scim)), (200, 200));
    let target = Target::Id(tenant.credential_id.clone());
    pair.world.revoke(target).expect("revoked");
    assert_eq!(listed(here), 401, "at once where it ended");
    wait_within(ELSEWHERE, "the credential to end elsewhere", || {
        listed(&pair.scim) == 401
    });
}

#[test]
fn a_credential_revoked_by_command_is_refused_by_both_within_a_second() {
    let pair = Pair::new(plain);
    let tenant = &pair.world.tenant;
    let listed = |scim: &Scim| scim.get("/Users").code();
    let scims = [&pair.world.scim, &pair.scim];
    assert!(scims.iter().all(|scim| listed(scim) == 200));
    let id = &tenant.credential_id;
    let revoke = ["credential", "revoke", "--id", id, "--tenant", &tenant.id];
    let _ = pair.here.admin().json(&revoke);
    wait_within(ELSEWHERE, "the credential to end at both", || {
        scims.iter().all(|scim| listed(scim) == 401)
    });
}

#[test]
fn a_client_disabled_at_one_server_is_refused_by_the_other_within_a_second() {
    let pair = Pair::new(plain);
    let token = pair.world.service.token();
    let url = pair.elsewhere.grpc();
    let lists = |url: &str| {
        let grpc = Grpc::new(url, Some(&token));
        wait(grpc.users().list_users(ListUsersRequest::default())).is_ok()
    };
    assert!(lists(pair.here.grpc()) && lists(url));
    let request = DisableServiceClientRequest {
        id: pair.world.service.id.clone(),
        reason: String::new(),
        options: None,
    };
    wait(pair.world.grpc.admin().disable_service_client(request)).expect("disabled");
    assert!(!lists(pair.here.grpc()), "at once where it ended");
    wait_within(ELSEWHERE, "the client to be out elsewhere", || !lists(url));
}

#[test]
fn a_key_revoked_at_one_server_is_dead_at_the_other_within_a_second() {
    for change in [plain, vault::sealed] {
        let pair = Pair::new(change);
        let user = pair.world.scim.user("ada");
        let issued = pair.world.issue(&user);
        pair.both_know(&issued.access_token);
        let request = muster_proto::v1::RevokeSigningKeyRequest {
            kid: issued.kid,
            reason: String::new(),
            options: None,
        };
        wait(pair.world.grpc.keys().revoke_signing_key(request)).expect("revoked");
        // Tokens of the client were signed with it as well.
        let asks = |server: &Server| {
            let token = pair.world.service.token_with(&[]);
            is_active(
                &Grpc::new(server.grpc(), Some(&token)),
                &issued.access_token,
            )
        };
        assert!(!asks(&pair.here));
        wait_within(ELSEWHERE, "the key to be dead elsewhere", || {
            !asks(&pair.elsewhere)
        });
    }
}

/// An issuer waits for the second that follows a revocation; so must one that
/// learns of it from another process.
#[test]
fn what_is_issuedelsewhere_right_after_an_end_is_good() {
    let pair = Pair::new(plain);
    let user = pair.world.scim.user("ada");
    for _ in 0..3 {
        let request = RevokeAllUserTokensRequest {
            user_id: user.clone(),
            ..Default::default()
        };
        wait(pair.world.grpc.tokens().revoke_all_user_tokens(request)).expect("signed out");
        let issued = super::try_issue(
            &pair.there,
            IssueUserTokenRequest {
                client_id: "portal".to_owned(),
                ..wanted(&user)
            },
        );
        pair.both_know(&issued.expect("a token").access_token);
    }
}
