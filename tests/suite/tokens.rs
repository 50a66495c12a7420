//! Tokens of users, of services and of connections: how they begin, what they
//! are good for, and everything that ends them.

mod clients;
mod groups;
mod held;
mod introspection;
mod issue;
mod keys;
mod limits;
mod locks;
mod names;
mod personal;
mod processes;
mod reach;
mod restarts;
mod revocation;
mod secrets;
mod usage;

use std::time::Duration;

use muster_proto::v1::{
    self, CreatePersonalAccessTokenRequest, CreatePersonalAccessTokenResponse,
    IntrospectTokenRequest, IntrospectTokenResponse, IssueUserTokenRequest, IssueUserTokenResponse,
    RevokeTokenRequest, RevokeTokenResponse, revoke_token_request::Target, user_key::Key,
};
use muster_tests::{
    grpc::{Grpc, reason},
    issuer::now_s,
    runtime::wait,
    scim::Scim,
    server::Server,
    service::{API, Service},
    tenant::Tenant,
};
use prost_types::Timestamp;
use tonic::{Code, Status};

/// Within this time a process must refuse what was ended elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// A tenant with a service client that may do everything, and speaks to one
/// server.
struct World {
    tenant: Tenant,
    service: Service,
    grpc: Grpc,
    scim: Scim,
}

/// In the server that tests share.
fn world() -> World {
    World::on(super::server())
}

impl World {
    #[track_caller]
    fn on(server: &Server) -> Self {
        let tenant = Tenant::create(server);
        let service = Service::full(server, &tenant);
        Self {
            grpc: service.grpc(),
            scim: tenant.scim(),
            tenant,
            service,
        }
    }

    /// The same tenant and client, as another server sees them.
    fn at(&self, server: &Server) -> (Grpc, Scim) {
        let token = self.service.token_with(&[]);
        let scim = Scim::new(server.scim_url(), &self.tenant.token);
        (Grpc::new(server.grpc(), Some(&token)), scim)
    }

    /// Issues a token that may be refused.
    fn try_issue(&self, wanted: IssueUserTokenRequest) -> Result<IssueUserTokenResponse, Status> {
        try_issue(&self.grpc, wanted)
    }

    /// A token of this user for [`API`].
    #[track_caller]
    fn issue(&self, user: &str) -> IssueUserTokenResponse {
        self.try_issue(wanted(user)).expect("a token")
    }

    /// A personal token of this user for [`API`].
    #[track_caller]
    fn personal(&self, user: &str) -> (String, String) {
        let made = try_personal(&self.grpc, personal(user)).expect("a token");
        (made.token.expect("the token").id, made.secret)
    }

    fn revoke(&self, target: Target) -> Result<RevokeTokenResponse, Status> {
        let request = RevokeTokenRequest {
            target: Some(target),
            ..Default::default()
        };
        Ok(wait(self.grpc.tokens().revoke_token(request))?.into_inner())
    }

    /// What is said of a token, whoever it is meant for.
    #[track_caller]
    fn introspect(&self, token: &str) -> IntrospectTokenResponse {
        introspect(&self.grpc, token)
    }

    #[track_caller]
    fn is_active(&self, token: &str) -> bool {
        is_active(&self.grpc, token)
    }
}

fn try_issue(grpc: &Grpc, wanted: IssueUserTokenRequest) -> Result<IssueUserTokenResponse, Status> {
    Ok(wait(grpc.tokens().issue_user_token(wanted))?.into_inner())
}

fn try_personal(
    grpc: &Grpc,
    wanted: CreatePersonalAccessTokenRequest,
) -> Result<CreatePersonalAccessTokenResponse, Status> {
    let made = wait(grpc.tokens().create_personal_access_token(wanted))?;
    Ok(made.into_inner())
}

#[track_caller]
fn introspect(grpc: &Grpc, token: &str) -> IntrospectTokenResponse {
    ask(grpc, token, "", &[])
}

/// Asks whether a token is good for this audience and these scopes.
#[track_caller]
fn ask(grpc: &Grpc, token: &str, audience: &str, scopes: &[&str]) -> IntrospectTokenResponse {
    let request = IntrospectTokenRequest {
        token: token.to_owned(),
        expected_audience: audience.to_owned(),
        required_scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let said = wait(grpc.tokens().introspect_token(request));
    said.expect("introspection is no error").into_inner()
}

/// Whether a token is active; of one that is not, nothing else is said.
#[track_caller]
fn is_active(grpc: &Grpc, token: &str) -> bool {
    let said = introspect(grpc, token);
    if !said.active {
        says_nothing(&said);
    }
    said.active
}

#[track_caller]
fn says_nothing(said: &IntrospectTokenResponse) {
    let nothing = IntrospectTokenResponse {
        cache_ttl: said.cache_ttl,
        ..Default::default()
    };
    assert_eq!(*said, nothing);
    let ttl = said.cache_ttl.expect("also set of what is inactive");
    assert_eq!(ttl.seconds, 10);
}

/// An ordinary token of this user.
fn wanted(user: &str) -> IssueUserTokenRequest {
    IssueUserTokenRequest {
        user: Some(by(Key::Id(user.to_owned()))),
        audiences: vec![API.to_owned()],
        ..Default::default()
    }
}

fn by(key: Key) -> v1::UserKey {
    v1::UserKey { key: Some(key) }
}

/// An ordinary personal token of this user.
fn personal(user: &str) -> CreatePersonalAccessTokenRequest {
    CreatePersonalAccessTokenRequest {
        user_id: user.to_owned(),
        name: "laptop".to_owned(),
        scopes: vec!["read".to_owned()],
        audiences: vec![API.to_owned()],
        expire_time: Some(ahead(3_600)),
        options: None,
    }
}

/// So many seconds from now.
fn ahead(seconds: i64) -> Timestamp {
    let now = i64::try_from(now_s()).expect("a time");
    Timestamp {
        seconds: now + seconds,
        nanos: 0,
    }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// Asserts why a call was refused; gives the value of this name in its metadata.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(reason(&status), why, "{status:?}");
    status
}

/// Which scope, audience or limit a refusal speaks of.
#[track_caller]
fn about(status: &Status, name: &str) -> String {
    use tonic_types::StatusExt as _;
    let info = status.get_details_error_info().expect("always there");
    info.metadata.get(name).cloned().unwrap_or_default()
}
