//! Calls that came with tokens, service clients and signing keys.

use std::collections::BTreeMap;

use muster_proto::v1::{self, revoke_token_request::Target, user_key::Key};
use muster_tests::service::API;
use tonic::Code;

use super::{Call, Expected, Seen, is_silent};

/// Calls of tokens.
pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 8] = [
        ("TokenService/IssueUserToken", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::IssueUserTokenRequest {
                    user: Some(v1::UserKey {
                        key: Some(Key::Id(ids.user)),
                    }),
                    audiences: vec![API.to_owned()],
                    ..Default::default()
                };
                let answer = g.tokens().issue_user_token(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "TokenService/CreatePersonalAccessToken",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::CreatePersonalAccessTokenRequest {
                        user_id: ids.user,
                        name: "token".to_owned(),
                        audiences: vec![API.to_owned()],
                        expire_time: Some(super::in_an_hour()),
                        ..Default::default()
                    };
                    let answer = g.tokens().create_personal_access_token(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("TokenService/GetToken", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::GetTokenRequest { id: ids.token };
                let answer = g.tokens().get_token(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("TokenService/ListTokens", Nothing, |g, ids| {
            Box::pin(async move {
                // Their user and connection are asked for by name.
                let by_user = v1::ListTokensRequest {
                    user_id: ids.user.clone(),
                    show_revoked: true,
                    ..Default::default()
                };
                let by_connection = v1::ListTokensRequest {
                    connection_id: ids.connection.clone(),
                    ..Default::default()
                };
                let all = v1::ListTokensRequest::default();
                for request in [all, by_user, by_connection] {
                    let answer = g.tokens().list_tokens(request).await?;
                    if is_silent(&answer.into_inner(), &ids) == Seen::Something {
                        return Ok(Seen::Something);
                    }
                }
                Ok(Seen::Nothing)
            })
        }),
        ("TokenService/RotateToken", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::RotateTokenRequest {
                    id: ids.token,
                    ..Default::default()
                };
                let answer = g.tokens().rotate_token(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("TokenService/RevokeToken", NotFound, |g, ids| {
            Box::pin(async move {
                // Their token's value is as unknown as any other ...
                for target in [Target::Token(ids.secret), Target::Jti(ids.jti)] {
                    let request = v1::RevokeTokenRequest {
                        target: Some(target),
                        ..Default::default()
                    };
                    g.tokens().revoke_token(request).await?;
                }
                // ... and its id is not there.
                let request = v1::RevokeTokenRequest {
                    target: Some(Target::Id(ids.token)),
                    ..Default::default()
                };
                let answer = g.tokens().revoke_token(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("TokenService/RevokeAllUserTokens", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::RevokeAllUserTokensRequest {
                    user_id: ids.user,
                    ..Default::default()
                };
                let answer = g.tokens().revoke_all_user_tokens(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("TokenService/IntrospectToken", Nothing, |g, ids| {
            Box::pin(async move {
                for token in [ids.secret, ids.jwt] {
                    let request = v1::IntrospectTokenRequest {
                        token,
                        ..Default::default()
                    };
                    let answer = g.tokens().introspect_token(request).await?.into_inner();
                    let ttl_alone = v1::IntrospectTokenResponse {
                        cache_ttl: answer.cache_ttl,
                        ..Default::default()
                    };
                    if answer != ttl_alone {
                        return Ok(Seen::Something);
                    }
                }
                Ok(Seen::Nothing)
            })
        }),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}

/// Calls of clients, keys, locks and credentials.
pub(super) fn calls_of_operators() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing, Refused};
    let calls: [(&'static str, Expected, Call); 12] = [
        ("UserService/LockUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::LockUserRequest {
                    id: ids.user,
                    ..Default::default()
                };
                let answer = g.users().lock_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("UserService/UnlockUser", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::UnlockUserRequest {
                    id: ids.user,
                    ..Default::default()
                };
                let answer = g.users().unlock_user(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "ProvisioningService/CreateCredential",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::CreateCredentialRequest {
                        connection_id: ids.connection,
                        name: "credential".to_owned(),
                        kind: Some(v1::create_credential_request::Kind::Bearer(true)),
                        ..Default::default()
                    };
                    let answer = g.provisioning().create_credential(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("SigningKeyService/GetJwks", Nothing, |g, ids| {
            Box::pin(async move {
                let answer = g.keys().get_jwks(v1::GetJwksRequest::default()).await?;
                Ok(is_silent(&answer.into_inner(), &ids))
            })
        }),
        ("SigningKeyService/ListSigningKeys", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::ListSigningKeysRequest {};
                let answer = g.keys().list_signing_keys(request).await?;
                Ok(is_silent(&answer.into_inner(), &ids))
            })
        }),
        (
            "SigningKeyService/RotateSigningKey",
            // Keys are the server's, and other tests have it, too.
            Refused(Code::InvalidArgument),
            |g, _| {
                Box::pin(async move {
                    let request = v1::RotateSigningKeyRequest {
                        algorithm: "none".to_owned(),
                        options: None,
                    };
                    let answer = g.keys().rotate_signing_key(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("SigningKeyService/RevokeSigningKey", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::RevokeSigningKeyRequest {
                    kid: ids.client,
                    ..Default::default()
                };
                let answer = g.keys().revoke_signing_key(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "AdminService/CreateServiceClient",
            Refused(Code::InvalidArgument),
            |g, ids| {
                Box::pin(async move {
                    let client = v1::ServiceClient {
                        id: ids.client,
                        display_name: "client".to_owned(),
                        scopes: vec!["users.list".to_owned()],
                        ..Default::default()
                    };
                    let request = v1::CreateServiceClientRequest {
                        client: Some(client),
                        options: None,
                    };
                    let answer = g.admin().create_service_client(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("AdminService/ListServiceClients", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::ListServiceClientsRequest::default();
                let answer = g.admin().list_service_clients(request).await?;
                Ok(is_silent(&answer.into_inner(), &ids))
            })
        }),
        ("AdminService/DisableServiceClient", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::DisableServiceClientRequest {
                    id: ids.client,
                    ..Default::default()
                };
                let answer = g.admin().disable_service_client(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("AdminService/EnableServiceClient", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::EnableServiceClientRequest {
                    id: ids.client,
                    options: None,
                };
                let answer = g.admin().enable_service_client(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        (
            "AdminService/IssueServiceToken",
            Refused(Code::Unauthenticated),
            |g, ids| {
                Box::pin(async move {
                    let request = v1::IssueServiceTokenRequest {
                        client_assertion: ids.client,
                        scopes: Vec::new(),
                    };
                    let answer = g.admin().issue_service_token(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
