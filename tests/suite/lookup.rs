//! Who is this, may he act, what is he in.

mod answers;
mod federated;
mod members;
mod moments;
mod refusals;

use muster_proto::v1::{
    self, CheckMembershipRequest, CheckMembershipResponse, GroupKey, ResolveUserRequest,
    ResolveUserResponse, UserKey, group_key, membership_result::Verdict, user_key::Key,
};
use muster_tests::{
    grpc::{Grpc, reason},
    runtime::wait,
    scim::{Scim, USER},
    service::Service,
    tenant::Tenant,
};
use serde_json::json;
use tonic::{Code, Status};

/// A tenant with a service client that may do everything.
struct World {
    tenant: Tenant,
    scim: Scim,
    grpc: Grpc,
}

fn world() -> World {
    let tenant = super::tenant();
    let service = Service::full(super::server(), &tenant);
    World {
        scim: tenant.scim(),
        grpc: service.grpc(),
        tenant,
    }
}

impl World {
    /// A client that may do only this.
    fn may(&self, scopes: &str) -> Grpc {
        Service::create(super::server(), &self.tenant, scopes).grpc()
    }

    /// A user with an address and an external id.
    #[track_caller]
    fn person(&self, name: &str, email: &str) -> String {
        let body = json!({
            "schemas": [USER],
            "userName": name,
            "displayName": name,
            "externalId": format!("{name}-oid"),
            "emails": [{"value": email, "type": "work", "primary": true}],
        });
        self.scim.post("/Users", &body).status(201).id()
    }

    fn resolve(&self, key: Key) -> Result<ResolveUserResponse, Status> {
        resolve(&self.grpc, ask(key))
    }

    /// How a user is in groups that are named by their ids.
    #[track_caller]
    fn verdicts(&self, user: &str, groups: &[&str]) -> Vec<Verdict> {
        let groups = groups.iter().map(|id| by_id(id)).collect();
        let said = check(&self.grpc, about(user, groups)).expect("an answer");
        said.results
            .iter()
            .map(v1::MembershipResult::verdict)
            .collect()
    }
}

fn ask(key: Key) -> ResolveUserRequest {
    ResolveUserRequest {
        key: Some(UserKey { key: Some(key) }),
        ..Default::default()
    }
}

fn id(id: &str) -> Key {
    Key::Id(id.to_owned())
}

fn user_key(key: Key) -> UserKey {
    UserKey { key: Some(key) }
}

fn by_id(id: &str) -> GroupKey {
    GroupKey {
        key: Some(group_key::Key::Id(id.to_owned())),
    }
}

fn resolve(grpc: &Grpc, request: ResolveUserRequest) -> Result<ResolveUserResponse, Status> {
    Ok(wait(grpc.lookup().resolve_user(request))?.into_inner())
}

fn about(user: &str, groups: Vec<GroupKey>) -> CheckMembershipRequest {
    CheckMembershipRequest {
        user: Some(user_key(id(user))),
        groups,
        ..Default::default()
    }
}

fn check(grpc: &Grpc, request: CheckMembershipRequest) -> Result<CheckMembershipResponse, Status> {
    Ok(wait(grpc.lookup().check_membership(request))?.into_inner())
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(reason(&status), why, "{status:?}");
}

/// The reason that an item of a batch has for its error.
#[track_caller]
fn item_reason(error: Option<&tonic_types::Status>) -> String {
    use tonic_types::RpcStatusExt as _;
    let error = error.expect("an error");
    let info = error.get_details_error_info().expect("always there");
    info.reason
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    let paths = paths.iter().map(ToString::to_string).collect();
    Some(prost_types::FieldMask { paths })
}

/// Somebody whom nobody knows.
const NOBODY: &str = "0190a5c1-0000-7000-8000-000000000000";

fn expansion(mode: v1::group_expansion::Mode) -> v1::GroupExpansion {
    v1::GroupExpansion {
        mode: mode.into(),
        ..Default::default()
    }
}
