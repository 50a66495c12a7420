//! Identities of identity providers: linked and unlinked, and what becomes of
//! them when their user goes.

use muster_proto::v1::{
    Change, ChangeFilter, FederatedIdentity, GetUserRequest, InactiveReason,
    LinkFederatedIdentityRequest, SignalType, UndeleteUserRequest, User, WriteOptions,
    change::Kind, change::Resource,
};
use muster_tests::{
    feed::{self, latest},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::USER,
    signals::{ISSUER, link, told, unlink},
};
use prost_types::FieldMask;
use serde_json::json;
use tonic::{Code, Status};

use super::{World, world};

fn read(grpc: &Grpc, user: &str, paths: &[&str]) -> User {
    let request = GetUserRequest {
        id: user.to_owned(),
        read_mask: Some(FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        }),
        ..Default::default()
    };
    let answer = wait(grpc.users().get_user(request)).expect("the user");
    answer.into_inner().user.expect("him")
}

fn subjects(user: &User) -> Vec<&str> {
    let identities = user.federated_identities.iter();
    identities.map(|one| one.subject.as_str()).collect()
}

fn undelete(world: &World, user: &str) -> Result<(), Status> {
    let request = UndeleteUserRequest {
        id: user.to_owned(),
        options: None,
    };
    let mut users = world.tenant.grpc_full(super::super::server()).users();
    wait(users.undelete_user(request)).map(drop)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) {
    let status = answer.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why));
}

#[test]
fn a_link_is_a_change_of_the_user_and_repeating_it_is_none() {
    let world = world();
    let (ada, bob) = (world.scim.user("ada"), world.scim.user("bob"));
    let before = latest(&world.grpc);
    let linked = link(&world.grpc, &ada, "s1").expect("linked");
    assert!(linked.changed && linked.written_at.is_some());
    let user = linked.user.expect("him");
    assert_eq!(subjects(&user), ["s1"]);
    assert!(user.user_name.is_empty() && user.effective_active);
    let again = link(&world.grpc, &ada, "s1").expect("linked");
    assert!(!again.changed && again.written_at.is_none());
    let taken = link(&world.grpc, &bob, "s1").expect_err("it is his");
    assert_eq!(reason(&taken), "FEDERATED_IDENTITY_TAKEN");
    assert_eq!(taken.code(), Code::AlreadyExists);
    assert!(!format!("{taken:?}").contains(&ada), "{taken:?}");
    assert!(!unlink(&world.grpc, &bob, "s1").expect("no error").changed);
    let listed = feed::list(&world.grpc, Some(before), ChangeFilter::default());
    let [change]: [Change; 1] = feed::flat(&listed.batches).try_into().expect("one");
    assert_eq!(change.kind(), Kind::Updated);
    assert_eq!(change.changed_attributes, ["federatedIdentities"]);
    assert!(change.effective_active && change.tokens_valid_after.is_none());
    let heard = world.hears(|| drop(unlink(&world.grpc, &ada, "s1").expect("unlinked")));
    assert_eq!(told(&heard), [(SignalType::FederationChanged, ada.clone())]);
    assert!(link(&world.grpc, &bob, "s1").expect("it is free").changed);
    // The pair of another tenant is another one.
    let other = super::world();
    let eve = other.scim.user("eve");
    assert!(link(&other.grpc, &eve, "s1").expect("linked").changed);
}

#[test]
fn who_may_not_act_is_not_linked_and_bad_input_is_named() {
    let world = world();
    let ada = world.scim.user("ada");
    for subject in ["", "a\nb", "a\0b", &"x".repeat(1_025)] {
        refused(
            link(&world.grpc, &ada, subject),
            Code::InvalidArgument,
            "FIELD_INVALID",
        );
        refused(
            unlink(&world.grpc, &ada, subject),
            Code::InvalidArgument,
            "FIELD_INVALID",
        );
    }
    let long = "\u{e9}".repeat(512);
    assert!(link(&world.grpc, &ada, &long).expect("it fits").changed);
    let guarded = LinkFederatedIdentityRequest {
        user_id: ada.clone(),
        identity: Some(FederatedIdentity {
            issuer: ISSUER.to_owned(),
            subject: "s".to_owned(),
            link_time: None,
        }),
        options: Some(WriteOptions {
            if_match: "\"x\"".to_owned(),
            ..Default::default()
        }),
    };
    let answer = wait(world.grpc.users().link_federated_identity(guarded));
    refused(answer, Code::Aborted, "ETAG_MISMATCH");
    world.set_active(&ada, false);
    let inactive = link(&world.grpc, &ada, "s");
    refused(inactive, Code::FailedPrecondition, "USER_INACTIVE");
    let user = read(&world.grpc, &ada, &["inactive_reason", "effective_active"]);
    assert_eq!(user.inactive_reason(), InactiveReason::Deprovisioned);
    assert!(!user.effective_active);
}

#[test]
fn a_user_has_at_most_a_hundred() {
    let world = world();
    let ada = world.scim.user("ada");
    for number in 0..100 {
        let _ = link(&world.grpc, &ada, &format!("s{number:03}")).expect("linked");
    }
    let more = link(&world.grpc, &ada, "more");
    refused(more, Code::InvalidArgument, "FIELD_INVALID");
    let user = read(&world.grpc, &ada, &["federated_identities"]);
    assert_eq!(user.federated_identities.len(), 100);
}

#[test]
fn who_is_deleted_gives_his_identities_up_and_has_them_back() {
    let world = world();
    let (ada, bob) = (world.scim.user("ada"), world.scim.user("bob"));
    let _ = link(&world.grpc, &ada, "s").expect("linked");
    let path = format!("/Users/{ada}");
    let _ = world.scim.delete(&path).status(204);
    undelete(&world, &ada).expect("he is back");
    let user = read(&world.grpc, &ada, &["federated_identities"]);
    assert_eq!(subjects(&user), ["s"]);
    let _ = world.scim.delete(&path).status(204);
    assert!(link(&world.grpc, &bob, "s").expect("it is free").changed);
    // Nobody takes the one for the other.
    let (signals, _) = muster_tests::signals::list(&world.grpc, None);
    let of_ada = signals.iter().filter(|signal| signal.user_id == ada);
    for signal in of_ada {
        assert!(signal.subjects.is_empty(), "{signal:?}");
    }
    refused(
        undelete(&world, &ada),
        Code::AlreadyExists,
        "FEDERATED_IDENTITY_TAKEN",
    );
    let _ = unlink(&world.grpc, &bob, "s").expect("unlinked");
    undelete(&world, &ada).expect("he is back");
    let purge = muster_proto::v1::PurgeUserRequest {
        id: ada.clone(),
        options: Some(WriteOptions {
            if_match: read(&world.grpc, &ada, &["id"]).meta.expect("meta").etag,
            ..Default::default()
        }),
    };
    wait(world.grpc.users().purge_user(purge)).expect("he is gone");
    assert!(link(&world.grpc, &bob, "s").expect("it is free").changed);
}

#[test]
fn keys_are_shown_to_service_clients_that_ask_and_may() {
    let world = world();
    let body = json!({"schemas": [USER], "userName": "ada", "externalId": "e-1"});
    let ada = world.scim.post("/Users", &body).status(201).id();
    let _ = link(&world.grpc, &ada, "s").expect("linked");
    let keys = ["external_keys", "federated_identities"];
    let with = |scopes: &[&str]| {
        let token = world.service.token_with(scopes);
        world.tenant.grpc_with(&token)
    };
    let seen = |grpc: &Grpc, paths: &[&str]| {
        let user = read(grpc, &ada, paths);
        (user.external_keys.len(), user.federated_identities.len())
    };
    let resolve = with(&["users.read.basic", "users.resolve"]);
    assert_eq!(seen(&resolve, &keys), (1, 1));
    assert_eq!(seen(&resolve, &[]), (0, 0));
    let link_only = with(&["users.read.basic", "users.link"]);
    assert_eq!(seen(&link_only, &keys), (0, 1));
    assert_eq!(seen(&with(&["users.read.basic"]), &keys), (0, 0));
    assert_eq!(seen(&world.tenant.grpc(), &keys), (0, 0));
    let user = read(&resolve, &ada, &keys);
    assert_eq!(
        user.external_keys[0].connection_id,
        world.tenant.connection_id
    );
    assert_eq!(user.external_keys[0].external_id, "e-1");
    // SCIM knows nothing of it.
    let shown = world.scim.get(&format!("/Users/{ada}")).text();
    assert!(
        !shown.contains("ederated") && !shown.contains(ISSUER),
        "{shown}"
    );
}

#[test]
fn caches_hear_of_keys_and_of_the_end_of_tokens() {
    let world = world();
    let body = json!({"schemas": [USER], "userName": "ada", "externalId": "e-1"});
    let ada = world.scim.post("/Users", &body).status(201).id();
    let _ = link(&world.grpc, &ada, "s").expect("linked");
    let before = latest(&world.grpc);
    let rename = json!([{"op": "Replace", "path": "externalId", "value": "e-2"}]);
    let _ = world
        .scim
        .patch(&format!("/Users/{ada}"), &rename)
        .status(200);
    let request = muster_proto::v1::RevokeAllUserTokensRequest {
        user_id: ada.clone(),
        ..Default::default()
    };
    wait(world.grpc.tokens().revoke_all_user_tokens(request)).expect("revoked");
    let filter = ChangeFilter {
        include_resource: true,
        ..Default::default()
    };
    let listed = feed::list(&world.grpc, Some(before), filter.clone());
    let changes = feed::flat(&listed.batches);
    let [renamed, signed_out] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert_eq!(renamed.changed_attributes, ["externalId"]);
    let Some(Resource::User(user)) = &renamed.resource else {
        panic!("{renamed:?}");
    };
    assert_eq!(user.external_keys[0].external_id, "e-2");
    assert_eq!(subjects(user), ["s"]);
    assert!(signed_out.tokens_valid_after.is_some() && signed_out.effective_active);
    world.set_active(&ada, false);
    let snapshot = |filter: ChangeFilter| {
        let request = muster_proto::v1::StreamSnapshotRequest {
            filter: Some(filter),
            ..Default::default()
        };
        wait(async {
            use muster_proto::v1::stream_snapshot_response::Item;
            let stream = world.grpc.changes().stream_snapshot(request).await;
            let mut stream = stream.expect("a snapshot").into_inner();
            let mut users = Vec::new();
            while let Some(message) = stream.message().await.expect("a page") {
                if let Some(Item::Page(page)) = message.item {
                    users.extend(page.users);
                }
            }
            users
        })
    };
    let [bare]: [User; 1] = snapshot(ChangeFilter::default()).try_into().expect("one");
    assert_eq!(bare.id, ada);
    assert_eq!(bare.active, Some(false));
    assert_eq!(bare.inactive_reason(), InactiveReason::Deprovisioned);
    assert!(bare.tokens_valid_after.is_some() && bare.meta.is_some());
    assert!(bare.user_name.is_empty() && bare.federated_identities.is_empty());
    assert!(bare.external_keys.is_empty());
    let [full]: [User; 1] = snapshot(filter).try_into().expect("one");
    assert_eq!((full.external_keys.len(), subjects(&full)), (1, vec!["s"]));
}
