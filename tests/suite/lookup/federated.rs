//! Signing in: a user who was provisioned is found by what the provisioning client
//! calls him, linked to what the identity provider calls him, and found by that.

use muster_proto::v1::{ExternalKey, FederatedIdentity, FederatedKey, InactiveReason};
use muster_tests::signals::{ISSUER, link, unlink};

use super::*;

/// Another identity provider.
const OTHER: &str = "https://login.other.test/tenant";

fn federated(issuer: &str, subject: &str) -> Key {
    Key::Federated(FederatedKey {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    })
}

impl World {
    /// Whom the claims of an ID token lead to by the identity.
    fn who(&self, issuer: &str, subject: &str) -> Result<String, Status> {
        let said = self.resolve(federated(issuer, subject))?;
        Ok(said.user.expect("the user").id)
    }

    /// Whom the claim leads to that Entra provisions as `externalId`.
    fn provisioned(&self, oid: &str) -> Result<String, Status> {
        let said = self.resolve(Key::External(ExternalKey {
            connection_id: self.tenant.connection_id.clone(),
            external_id: oid.to_owned(),
        }))?;
        Ok(said.user.expect("the user").id)
    }

    fn link_to(&self, issuer: &str, user: &str, subject: &str) -> Result<bool, Status> {
        let request = v1::LinkFederatedIdentityRequest {
            user_id: user.to_owned(),
            identity: Some(FederatedIdentity {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
                link_time: None,
            }),
            options: None,
        };
        let linked = wait(self.grpc.users().link_federated_identity(request))?;
        Ok(linked.into_inner().changed)
    }
}

#[track_caller]
fn unknown(answer: Result<String, Status>) {
    refused(answer, Code::NotFound, "USER_NOT_FOUND");
}

#[test]
fn who_was_provisioned_is_linked_once_and_found_by_his_identity() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    unknown(world.who(ISSUER, "s"));
    let found = world.provisioned("ada-oid").expect("she was provisioned");
    assert_eq!(found, ada);
    assert!(link(&world.grpc, &found, "s").expect("linked").changed);
    // Twice: read, then remembered.
    for _ in 0..2 {
        assert_eq!(world.who(ISSUER, "s").expect("linked"), ada);
    }
    let request = v1::BatchGetUsersRequest {
        keys: vec![
            user_key(federated(ISSUER, "s")),
            user_key(federated(OTHER, "s")),
        ],
        ..Default::default()
    };
    let said = wait(world.grpc.lookup().batch_get_users(request)).expect("an answer");
    let found = said.into_inner().results.into_iter().map(|one| one.result);
    let [
        Some(v1::user_result::Result::User(user)),
        Some(v1::user_result::Result::Error(error)),
    ] = &found.collect::<Vec<_>>()[..]
    else {
        panic!("one is known, one is not");
    };
    assert_eq!(user.id, ada);
    assert_eq!(item_reason(Some(error)), "USER_NOT_FOUND");
    assert!(unlink(&world.grpc, &ada, "s").expect("unlinked").changed);
    unknown(world.who(ISSUER, "s"));
    // He is provisioned all the same, and may be linked again.
    assert_eq!(world.provisioned("ada-oid").expect("as before"), ada);
    assert!(link(&world.grpc, &ada, "s").expect("linked").changed);
    assert_eq!(world.who(ISSUER, "s").expect("linked"), ada);
}

#[test]
fn an_identity_is_issuer_and_subject_as_they_are_written() {
    let world = world();
    let (ada, bob) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
    );
    assert!(world.link_to(ISSUER, &ada, "s").expect("linked"));
    for (issuer, subject) in [
        (OTHER, "s"),
        (&format!("{ISSUER}/")[..], "s"),
        (&ISSUER.to_uppercase()[..], "s"),
        (ISSUER, "S"),
        (ISSUER, "s "),
        (ISSUER, ""),
        ("", "s"),
        ("s", ISSUER),
    ] {
        unknown(world.who(issuer, subject));
    }
    assert!(world.link_to(OTHER, &bob, "s").expect("linked"));
    assert_eq!(world.who(ISSUER, "s").expect("ada"), ada);
    assert_eq!(world.who(OTHER, "s").expect("bob"), bob);
    // Another tenant knows neither.
    unknown(super::world().who(ISSUER, "s"));
}

#[test]
fn an_identity_is_one_users() {
    let world = world();
    let (ada, bob) = (
        world.person("ada", "ada@x.test"),
        world.person("bob", "bob@x.test"),
    );
    assert!(world.link_to(ISSUER, &ada, "s").expect("linked"));
    let taken = world.link_to(ISSUER, &bob, "s");
    refused(taken, Code::AlreadyExists, "FEDERATED_IDENTITY_TAKEN");
    assert_eq!(world.who(ISSUER, "s").expect("ada"), ada);
    // Nor is it taken away by who does not have it.
    assert!(!unlink(&world.grpc, &bob, "s").expect("no error").changed);
    assert_eq!(world.who(ISSUER, "s").expect("ada"), ada);
    assert!(unlink(&world.grpc, &ada, "s").expect("unlinked").changed);
    assert!(world.link_to(ISSUER, &bob, "s").expect("it is free"));
    assert_eq!(world.who(ISSUER, "s").expect("bob"), bob);
}

#[test]
fn who_may_not_act_does_not_sign_in_by_his_identity() {
    let world = world();
    let ada = world.person("ada", "ada@x.test");
    assert!(world.link_to(ISSUER, &ada, "s").expect("linked"));
    let operations = json!([{"op": "replace", "path": "active", "value": false}]);
    let path = format!("/Users/{ada}");
    let _ = world.scim.patch(&path, &operations).status(200);
    let inactive = (Code::FailedPrecondition, "USER_INACTIVE");
    refused(world.who(ISSUER, "s"), inactive.0, inactive.1);
    refused(world.provisioned("ada-oid"), inactive.0, inactive.1);
    let asked = ResolveUserRequest {
        allow_inactive: true,
        ..ask(federated(ISSUER, "s"))
    };
    let said = resolve(&world.grpc, asked.clone()).expect("asked for");
    let access = said.access.expect("always there");
    assert_eq!(access.inactive_reason(), InactiveReason::Deprovisioned);
    let _ = world.scim.delete(&path).status(204);
    unknown(world.who(ISSUER, "s"));
    unknown(world.provisioned("ada-oid"));
    // Who is deleted is found by his id alone.
    let gone = resolve(&world.grpc, asked);
    refused(gone, Code::NotFound, "USER_NOT_FOUND");
    let refusal = world.link_to(ISSUER, &ada, "other");
    refused(refusal, Code::NotFound, "USER_NOT_FOUND");
    // His identity is free: whoever comes after him is provisioned and linked.
    let successor = world.person("ada", "ada@x.test");
    assert_ne!(successor, ada);
    assert_eq!(world.provisioned("ada-oid").expect("she is new"), successor);
    unknown(world.who(ISSUER, "s"));
    assert!(world.link_to(ISSUER, &successor, "s").expect("linked"));
    assert_eq!(world.who(ISSUER, "s").expect("linked"), successor);
}
