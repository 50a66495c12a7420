//! Every RPC and SCIM form that ends access is heard of. The RPCs come from the
//! descriptor: one that is new must be sorted here.

use std::collections::BTreeSet;

use muster_proto::v1::{
    self, CreatePersonalAccessTokenRequest, IssueUserTokenRequest, LockUserRequest, PatchOperation,
    PatchUserRequest, PurgeUserRequest, ResolveHeldOperationsRequest, RevokeAllUserTokensRequest,
    RevokeSigningKeyRequest, RevokeTokenRequest, RotateTokenRequest, Signal,
    SignalType::{
        self, AccountDisabled, AccountPurged, ClaimsChanged, CredentialChanged, FederationChanged,
        SessionsRevoked, SigningKeyRevoked,
    },
    UnlockUserRequest, WriteOptions,
    revoke_token_request::Target,
    user_key::Key,
};
use muster_tests::{
    feed,
    generic::methods,
    issuer::now_s,
    jws::read,
    runtime::wait,
    scim::USER,
    service::{API, Service},
    signals::{link, told, unlink},
    tenant::{Tenant, text},
};
use serde_json::json;

use super::{World, world};

/// Audited RPCs that end or narrow what somebody can do as a user.
const ENDING: [&str; 15] = [
    "CreateUser",
    "DeleteGroup",
    "DeleteUser",
    "LockUser",
    "ModifyGroup",
    "PatchUser",
    "PurgeGroup",
    "PurgeUser",
    "ReplaceUser",
    "ResolveHeldOperations",
    "RevokeAllUserTokens",
    "RevokeSigningKey",
    "RevokeToken",
    "RotateToken",
    "UnlinkFederatedIdentity",
];

/// Audited RPCs that give access, or have nothing to do with that of users.
const OTHERS: [&str; 15] = [
    "CreateConnection",
    "CreateCredential",
    "CreateGroup",
    "CreatePersonalAccessToken",
    "CreateServiceClient",
    "DeleteSchema",
    "DisableServiceClient",
    "EnableServiceClient",
    "LinkFederatedIdentity",
    "PutSchema",
    "RotateSigningKey",
    "UndeleteGroup",
    "UndeleteUser",
    "UnlockUser",
    "UpdateConnection",
];

#[test]
fn every_audited_rpc_is_known_to_end_access_or_not() {
    let audited = methods().into_iter().filter(|one| one.policy.audited);
    let audited: BTreeSet<_> = audited
        .filter_map(|one| one.path.rsplit('/').next().map(str::to_owned))
        .collect();
    let known = ENDING.iter().chain(&OTHERS).map(ToString::to_string);
    assert_eq!(audited, known.collect());
}

/// Asserts that exactly this is told of the user, with the end of his tokens.
#[track_caller]
fn ends(signals: &[Signal], expected: SignalType, user: &str) {
    assert_eq!(told(signals), [(expected, user.to_owned())]);
    assert!(signals[0].tokens_valid_after.is_some(), "{signals:?}");
}

fn personal(world: &World, user: &str) -> String {
    let seconds = i64::try_from(now_s() + 3_600).expect("a time");
    let request = CreatePersonalAccessTokenRequest {
        user_id: user.to_owned(),
        name: "one".to_owned(),
        audiences: vec![API.to_owned()],
        expire_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..Default::default()
    };
    let made = wait(world.grpc.tokens().create_personal_access_token(request));
    made.expect("a token").into_inner().token.expect("it").id
}

fn etag(world: &World, user: &str) -> Option<WriteOptions> {
    let request = v1::GetUserRequest {
        id: user.to_owned(),
        ..Default::default()
    };
    let found = wait(world.grpc.users().get_user(request)).expect("him");
    let meta = found.into_inner().user.expect("him").meta;
    Some(WriteOptions {
        if_match: meta.expect("meta").etag,
        ..Default::default()
    })
}

#[test]
fn over_scim_every_form_that_ends_access_is_told() {
    let world = world();
    let users = ["a", "b", "c", "d"].map(|name| world.scim.user(name));
    let [a, b, c, d] = &users;
    let path = |id: &str| format!("/Users/{id}");
    let forms = [
        (
            a,
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
        ),
        (b, json!([{"op": "replace", "value": {"active": false}}])),
        (c, json!([{"op": "remove", "path": "active"}])),
    ];
    for (user, operations) in forms {
        let heard = world.hears(|| drop(world.scim.patch(&path(user), &operations).status(200)));
        ends(&heard, AccountDisabled, user);
    }
    let body = json!({"schemas": [USER], "userName": "d", "active": false});
    let heard = world.hears(|| drop(world.scim.put(&path(d), &body).status(200)));
    ends(&heard, AccountDisabled, d);
    // Whoever is inactive already is told of once more, for another reason.
    let heard = world.hears(|| drop(world.scim.delete(&path(d)).status(204)));
    ends(&heard, AccountDisabled, d);
    assert_eq!(heard[0].inactive_reason(), v1::InactiveReason::Deleted);
    let e = world.scim.user("e");
    let group = world.scim.group("G", &[&e]);
    let remove = json!([{"op": "Remove", "path": format!("members[value eq \"{e}\"]")}]);
    let group = format!("/Groups/{group}");
    let heard = world.hears(|| drop(world.scim.patch(&group, &remove)));
    assert_eq!(told(&heard), [(ClaimsChanged, e.clone())]);
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "DELETE", "path": path(&e)}],
    });
    let heard = world.hears(|| drop(world.scim.post("/Bulk", &bulk).status(200)));
    ends(&heard, AccountDisabled, &e);
}

#[test]
fn what_a_policy_makes_of_a_deletion_is_told() {
    for (on_delete, expected) in [("deactivate", AccountDisabled), ("hard", AccountPurged)] {
        let world = world();
        obey(&world, &format!("[policy]\non_delete = \"{on_delete}\"\n"));
        let scim = world.tenant.scim();
        let ada = scim.user("ada");
        let heard = world.hears(|| drop(scim.delete(&format!("/Users/{ada}")).status(204)));
        assert_eq!(told(&heard), [(expected, ada)], "{on_delete}");
    }
}

fn obey(world: &World, policy: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, format!("description = \"x\"\n{policy}")).expect("a file");
    let file = file.display().to_string();
    let tenant: &Tenant = &world.tenant;
    let update = ["connection", "update", "--tenant", &tenant.id];
    let what = ["--name", &tenant.connection_id, "--policy", &file];
    let server = super::super::server();
    let _ = server.admin().json(&[update, what].concat());
}

#[test]
fn who_is_held_is_told_of_when_he_is_released() {
    let world = world();
    let guard = "[policy.deprovision_guard]\nmax_users = 1\nwindow = \"1h\"\nmax_hold = \"72h\"\n";
    obey(&world, guard);
    let (ada, bob) = (world.scim.user("ada"), world.scim.user("bob"));
    world.set_active(&ada, false);
    let held = world.hears(|| world.set_active(&bob, false));
    assert_eq!(told(&held), [], "he may still act");
    let released = world.hears(|| {
        let request = ResolveHeldOperationsRequest {
            user_ids: vec![bob.clone()],
            apply: true,
            options: None,
        };
        wait(world.grpc.provisioning().resolve_held_operations(request)).expect("released");
    });
    ends(&released, AccountDisabled, &bob);
}

#[test]
fn over_grpc_every_end_of_a_users_access_is_told() {
    let world = world();
    let mut users = world.grpc.users();
    let ada = world.scim.user("ada");
    let heard = world.hears(|| {
        let request = PatchUserRequest {
            id: ada.clone(),
            operations: vec![PatchOperation {
                op: v1::patch_operation::Op::Replace.into(),
                path: Some(v1::AttributePath {
                    attribute: "active".to_owned(),
                    ..Default::default()
                }),
                value: Some(v1::AttributeValue {
                    value: Some(v1::attribute_value::Value::BoolValue(false)),
                }),
                ..Default::default()
            }],
            ..Default::default()
        };
        wait(users.patch_user(request)).expect("patched");
    });
    ends(&heard, AccountDisabled, &ada);
    world.set_active(&ada, true);
    let heard = world.hears(|| {
        let request = LockUserRequest {
            id: ada.clone(),
            reason: "stolen laptop".to_owned(),
            ..Default::default()
        };
        wait(users.lock_user(request)).expect("locked");
    });
    ends(&heard, AccountDisabled, &ada);
    assert_eq!(heard[0].inactive_reason(), v1::InactiveReason::AdminLocked);
    let request = UnlockUserRequest {
        id: ada.clone(),
        ..Default::default()
    };
    let heard = world.hears(|| drop(wait(users.unlock_user(request)).expect("unlocked")));
    assert_eq!(told(&heard), [(SignalType::AccountEnabled, ada.clone())]);
    let heard = world.hears(|| {
        let request = RevokeAllUserTokensRequest {
            user_id: ada.clone(),
            ..Default::default()
        };
        let revoking = wait(world.grpc.tokens().revoke_all_user_tokens(request));
        revoking.expect("revoked");
    });
    ends(&heard, SessionsRevoked, &ada);
    let _ = link(&world.grpc, &ada, "s").expect("linked");
    let heard = world.hears(|| drop(unlink(&world.grpc, &ada, "s").expect("unlinked")));
    assert_eq!(told(&heard), [(FederationChanged, ada.clone())]);
    let request = PurgeUserRequest {
        options: etag(&world, &ada),
        id: ada.clone(),
    };
    let heard = world.hears(|| drop(wait(users.purge_user(request)).expect("purged")));
    assert_eq!(told(&heard), [(AccountPurged, ada)]);
}

#[test]
fn over_grpc_every_end_of_a_token_is_told() {
    let world = world();
    let mut tokens = world.grpc.tokens();
    let ada = world.scim.user("ada");
    let id = personal(&world, &ada);
    let of_token = |signals: &[Signal]| {
        assert_eq!(told(signals), [(CredentialChanged, ada.clone())]);
        assert_eq!(signals[0].token_id, id);
    };
    let rotate = RotateTokenRequest {
        id: id.clone(),
        ..Default::default()
    };
    of_token(&world.hears(|| drop(wait(tokens.rotate_token(rotate)).expect("rotated"))));
    let revoke = |target| RevokeTokenRequest {
        target: Some(target),
        ..Default::default()
    };
    let stored = revoke(Target::Id(id.clone()));
    of_token(&world.hears(|| drop(wait(tokens.revoke_token(stored)).expect("revoked"))));
    let issue = IssueUserTokenRequest {
        user: Some(v1::UserKey {
            key: Some(Key::Id(ada.clone())),
        }),
        audiences: vec![API.to_owned()],
        ..Default::default()
    };
    let issued = wait(tokens.issue_user_token(issue)).expect("a token");
    let jwt = issued.into_inner().access_token;
    let jti = text(&read(&jwt).1, "jti");
    let signed = revoke(Target::Token(jwt));
    let heard = world.hears(|| drop(wait(tokens.revoke_token(signed)).expect("revoked")));
    assert_eq!(told(&heard), [(CredentialChanged, jti)]);
    // A connection's own credential is nobody's session.
    let (own, _) = world
        .tenant
        .credential(super::super::server(), "entra", &[]);
    let own = revoke(Target::Id(own));
    let heard = world.hears(|| drop(wait(tokens.revoke_token(own)).expect("revoked")));
    assert_eq!(told(&heard), []);
}

#[test]
fn every_tenant_hears_of_a_key_that_is_revoked() {
    let server = super::super::launch().start();
    let tenants = [Tenant::create(&server), Tenant::create(&server)];
    let clients = tenants
        .each_ref()
        .map(|tenant| Service::full(&server, tenant));
    let grpcs = clients.each_ref().map(Service::grpc);
    let before = grpcs.each_ref().map(feed::latest);
    let (header, _) = read(&clients[0].token());
    let kid = text(&header, "kid");
    let request = RevokeSigningKeyRequest {
        kid: kid.clone(),
        reason: "it leaked".to_owned(),
        options: None,
    };
    wait(grpcs[0].keys().revoke_signing_key(request)).expect("revoked");
    for (client, before) in clients.iter().zip(before) {
        let (heard, _) = muster_tests::signals::list(&client.grpc(), Some(before));
        assert_eq!(told(&heard), [(SigningKeyRevoked, kid.clone())]);
    }
}
