//! Tokens of users, and the keys that sign them.

use muster_proto::v1::{
    CreatePersonalAccessTokenRequest, IssueUserTokenRequest, ListSigningKeysRequest,
    RevokeAllUserTokensRequest, RevokeSigningKeyRequest, RevokeTokenRequest,
    RotateSigningKeyRequest, RotateTokenRequest, UserKey, revoke_token_request::Target,
    signing_key::State, user_key::Key,
};
use muster_tests::{issuer::now_s, oauth::Client, runtime::wait, service::API};
use prost_types::Timestamp;

use super::{Cases, Requests, World};

pub(super) const CASES: Cases = &[
    ("CreatePersonalAccessToken", |world| {
        let user_id = world.user();
        let request = |name| personal(&user_id, name);
        Requests::of(&request("laptop"), &request("phone"))
    }),
    ("RotateToken", |world| {
        let (id, _) = world.personal();
        let request = |expire_time| RotateTokenRequest {
            id: id.clone(),
            overlap: Some(prost_types::Duration {
                seconds: 3_600,
                nanos: 0,
            }),
            expire_time,
            options: None,
        };
        Requests::of(&request(None), &request(Some(in_an_hour())))
    }),
    ("RevokeToken", |world| {
        revoke(&Target::Id(world.personal().0))
    }),
    ("RevokeToken", |world| revoke(&Target::Jti(issue(world).1))),
    ("RevokeAllUserTokens", |world| {
        let made = personal(&world.user(), "laptop");
        let user_id = made.user_id.clone();
        let made = wait(world.grpc.tokens().create_personal_access_token(made));
        made.expect("a token");
        let request = |reason: &str| RevokeAllUserTokensRequest {
            user_id: user_id.clone(),
            reason: reason.to_owned(),
            ..RevokeAllUserTokensRequest::default()
        };
        Requests::of(&request("a stolen laptop"), &request("a stolen phone"))
    }),
    ("RotateSigningKey", |world| {
        if let Some(kid) = published(world) {
            let revoke = RevokeSigningKeyRequest {
                kid,
                ..RevokeSigningKeyRequest::default()
            };
            wait(world.grpc.keys().revoke_signing_key(revoke)).expect("revoked");
        }
        let [one, other] = ["ES256", "EdDSA"].map(|algorithm| RotateSigningKeyRequest {
            algorithm: algorithm.to_owned(),
            options: None,
        });
        Requests::of(&one, &other)
    }),
    ("RevokeSigningKey", |world| {
        let kid = published(world).unwrap_or_else(|| {
            let request = RotateSigningKeyRequest::default();
            let made = wait(world.grpc.keys().rotate_signing_key(request));
            made.expect("a key").into_inner().key.expect("it").kid
        });
        let request = |reason: &str| RevokeSigningKeyRequest {
            kid: kid.clone(),
            reason: reason.to_owned(),
            options: None,
        };
        Requests::of(&request("it leaked"), &request("it was seen"))
    }),
    ("RevokeToken", |world| {
        revoke(&Target::Token(world.personal().1))
    }),
    ("RevokeToken", |world| {
        let client = Client::create(&world.server, &world.tenant);
        revoke(&Target::Token(client.secret))
    }),
    ("RevokeToken", |world| {
        revoke(&Target::Token(issue(world).0))
    }),
];

/// A request for a personal token.
pub(in super::super) fn personal(user_id: &str, name: &str) -> CreatePersonalAccessTokenRequest {
    CreatePersonalAccessTokenRequest {
        user_id: user_id.to_owned(),
        name: name.to_owned(),
        audiences: vec![API.to_owned()],
        expire_time: Some(in_an_hour()),
        ..CreatePersonalAccessTokenRequest::default()
    }
}

fn in_an_hour() -> Timestamp {
    let seconds = i64::try_from(now_s() + 3_600).expect("a time");
    Timestamp { seconds, nanos: 0 }
}

fn revoke(target: &Target) -> Requests {
    let request = |reason: &str| RevokeTokenRequest {
        target: Some(target.clone()),
        reason: reason.to_owned(),
        options: None,
    };
    Requests::of(&request("it leaked"), &request("it was seen"))
}

/// A signed token and its `jti`.
fn issue(world: &World) -> (String, String) {
    let request = IssueUserTokenRequest {
        user: Some(UserKey {
            key: Some(Key::Id(world.user())),
        }),
        audiences: vec![API.to_owned()],
        ..IssueUserTokenRequest::default()
    };
    let issued = wait(world.grpc.tokens().issue_user_token(request));
    let issued = issued.expect("a token").into_inner();
    (issued.access_token, issued.jti)
}

/// The key that is to sign next.
fn published(world: &World) -> Option<String> {
    let listed = wait(
        world
            .grpc
            .keys()
            .list_signing_keys(ListSigningKeysRequest {}),
    );
    let mut keys = listed.expect("keys").into_inner().keys.into_iter();
    keys.find(|key| key.state() == State::Published)
        .map(|key| key.kid)
}
