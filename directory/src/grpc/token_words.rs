//! Tokens, clients and keys on the wire.

use std::time::Duration;

use muster_proto::v1::{self, group_expansion::Mode, signing_key, user_key};
use prost_types::Timestamp;

use super::encode::{actor, timestamp};
use crate::{
    domain::{
        client::Grantable,
        credential::{Federation, Proof, Wanted},
        signing_key::State,
        version::etag,
    },
    error::{Error, Result},
    service::{
        ActiveToken, Introspection, KeyState, Registration, StoredToken, TokenKind, TokenWanted,
    },
    signing::token::Confirmation,
    storage::{
        clients::Client,
        subjects::{GroupsWanted, UserKey},
    },
};

/// Most groups in a token: with more, it fits no header.
const GROUPS: usize = 200;

/// Most groups that a request may name.
const ONLY_GROUPS: usize = 1_000;

/// A moment, in milliseconds since the Unix epoch.
pub(super) fn moment(time: &Timestamp) -> i64 {
    let ms = i64::from(time.nanos) / 1_000_000;
    time.seconds.saturating_mul(1_000).saturating_add(ms)
}

/// A moment of which something is expected.
pub(super) fn checked_moment(field: &'static str, time: Option<&Timestamp>) -> Result<Option<i64>> {
    // The moments that RFC 3339 can write.
    let range = -62_135_596_800..=253_402_300_799;
    match time {
        None => Ok(None),
        Some(time) if range.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) => {
            Ok(Some(moment(time)))
        }
        Some(_) => Err(Error::invalid(field, "must be a time from year 1 to 9999")),
    }
}

/// A length of time that is not negative.
pub(super) fn length(
    field: &'static str,
    duration: Option<&prost_types::Duration>,
) -> Result<Option<Duration>> {
    let Some(duration) = duration else {
        return Ok(None);
    };
    let length = Duration::try_from(*duration);
    let length = length.map_err(|_| Error::invalid(field, "must not be negative"))?;
    Ok(Some(length))
}

/// A length of time on the wire.
pub(super) fn wire_length(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

/// How a user is named.
pub(super) fn user_key(key: Option<v1::UserKey>) -> Result<UserKey> {
    use user_key::Key;
    let key = key.and_then(|key| key.key);
    Ok(match key {
        Some(Key::Id(id)) => UserKey::Id(id),
        Some(Key::UserName(name)) => UserKey::UserName(name),
        Some(Key::Email(address)) => UserKey::Email(address),
        Some(Key::Federated(key)) => UserKey::Federated {
            issuer: key.issuer,
            subject: key.subject,
        },
        Some(Key::External(key)) => UserKey::External {
            connection_id: key.connection_id,
            external_id: key.external_id,
        },
        None => return Err(Error::Required("user")),
    })
}

/// Which groups are wanted; `None` for none. No more than `most` are told.
pub(super) fn groups(
    groups: Option<v1::GroupExpansion>,
    most: usize,
) -> Result<Option<GroupsWanted>> {
    let Some(wanted) = groups else {
        return Ok(None);
    };
    let transitive = match wanted.mode() {
        Mode::Unspecified | Mode::None => return Ok(None),
        Mode::Direct => false,
        Mode::Transitive => true,
    };
    if wanted.only_group_ids.len() > ONLY_GROUPS {
        return Err(Error::TooMany {
            what: "groups",
            limit: ONLY_GROUPS,
        });
    }
    let limit = match usize::try_from(wanted.max_groups) {
        Ok(0) => most,
        Ok(limit) => limit.min(most),
        Err(_) => return Err(Error::invalid("groups.max_groups", "must not be negative")),
    };
    Ok(Some(GroupsWanted {
        transitive,
        only: wanted.only_group_ids,
        limit,
    }))
}

/// A token of a user that is wanted.
pub(super) fn token_wanted(request: v1::IssueUserTokenRequest) -> Result<TokenWanted> {
    let life = length("lifetime", request.lifetime.as_ref())?;
    let life_s = life.map(|life| i64::try_from(life.as_secs()).unwrap_or(i64::MAX));
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let auth_time = checked_moment("auth_time", request.auth_time.as_ref())?;
    Ok(TokenWanted {
        user: user_key(request.user)?,
        audiences: request.audiences,
        scopes: request.scopes,
        life_s,
        client_id: request.client_id,
        session_id: request.session_id,
        auth_time: auth_time.map(|ms| ms.div_euclid(1_000)),
        acr: request.acr,
        amr: request.amr,
        groups: groups(request.groups, GROUPS)?,
        confirmation: Confirmation {
            jkt: text(request.dpop_jkt),
            x5t_s256: text(request.mtls_x5t_s256),
        },
    })
}

/// What kind of credential is wanted.
pub(super) fn credential_wanted(
    kind: Option<v1::create_credential_request::Kind>,
) -> Result<Wanted> {
    use v1::create_credential_request::Kind;
    match kind {
        Some(Kind::Bearer(true)) => Ok(Wanted::Bearer),
        Some(Kind::OauthClient(true)) => Ok(Wanted::OauthClient),
        Some(Kind::FederatedWorkload(workload)) => Ok(Wanted::Federated(Federation {
            issuer: workload.issuer,
            subject: workload.subject,
            audience: workload.audience,
        })),
        Some(Kind::Bearer(false) | Kind::OauthClient(false)) => {
            Err(Error::invalid("kind", "can only be true"))
        }
        None => Err(Error::Required("kind")),
    }
}

/// A stored token.
pub(super) fn stored(token: StoredToken) -> v1::Token {
    let StoredToken {
        credential,
        key_id,
        overlap_until,
    } = token;
    let kind = match credential.connection_id {
        Some(_) => v1::TokenKind::ScimCredential,
        None => v1::TokenKind::PersonalAccess,
    };
    let prefix = match &credential.proof {
        Proof::Secret(purpose) => purpose.prefix(),
        Proof::Federated(_) => "",
    };
    v1::Token {
        kind: kind.into(),
        display_prefix: key_id.map_or_else(String::new, |id| format!("{prefix}{id}")),
        scopes: credential.scopes.to_names(),
        id: credential.id,
        user_id: credential.user_id.unwrap_or_default(),
        name: credential.name,
        audiences: credential.audiences,
        create_time: Some(timestamp(credential.created_at)),
        expire_time: credential.expires_at.map(timestamp),
        last_used_time: credential.last_used_at.map(timestamp),
        last_used_ip: credential.last_used_address.unwrap_or_default(),
        revoke_time: credential.revoked_at.map(timestamp),
        revoke_reason: credential.revoke_reason,
        created_by: Some(actor(&credential.created_by)),
        previous_secret_expire_time: overlap_until.map(timestamp),
        connection_id: credential.connection_id.unwrap_or_default(),
    }
}

/// What is said of a token.
pub(super) fn introspection(said: Introspection) -> v1::IntrospectTokenResponse {
    let cache_ttl = Some(wire_length(said.cache_ttl));
    let Some(token) = said.active else {
        return v1::IntrospectTokenResponse {
            cache_ttl,
            ..Default::default()
        };
    };
    let ActiveToken {
        kind,
        subject,
        username,
        client_id,
        scopes,
        audiences,
        issuer,
        jti,
        issued_at,
        expires_at,
        confirmation,
        ..
    } = (*token).clone();
    let kind = match kind {
        TokenKind::UserAccess => v1::TokenKind::UserAccess,
        TokenKind::PersonalAccess => v1::TokenKind::PersonalAccess,
        TokenKind::Connection => v1::TokenKind::ScimCredential,
        TokenKind::Service => v1::TokenKind::Service,
    };
    v1::IntrospectTokenResponse {
        active: true,
        kind: kind.into(),
        sub: subject,
        username,
        client_id,
        scopes,
        audiences,
        issuer,
        jti,
        issue_time: Some(timestamp(issued_at)),
        expire_time: expires_at.map(timestamp),
        dpop_jkt: confirmation.jkt.unwrap_or_default(),
        mtls_x5t_s256: confirmation.x5t_s256.unwrap_or_default(),
        cache_ttl,
    }
}

/// A client that is to be registered.
pub(super) fn registration(client: Option<v1::ServiceClient>) -> Result<Registration> {
    let client = client.ok_or(Error::Required("client"))?;
    let keys = String::from_utf8(client.jwks_json);
    Ok(Registration {
        name: client.display_name,
        scopes: client.scopes,
        grantable: Grantable {
            audiences: client.grantable_audiences,
            scopes: Some(client.grantable_scopes).filter(|names| !names.is_empty()),
        },
        keys: keys.map_err(|_| Error::invalid("jwks_json", "must be a JWK set"))?,
        certificate: Some(client.mtls_x5t_s256).filter(|text| !text.is_empty()),
    })
}

/// A service client as callers see it.
pub(super) fn client(client: Client) -> v1::ServiceClient {
    v1::ServiceClient {
        meta: Some(v1::ResourceMeta {
            etag: etag(client.version),
            version: client.version,
            create_time: Some(timestamp(client.created_at)),
            update_time: Some(timestamp(client.updated_at)),
            ..Default::default()
        }),
        id: client.id,
        display_name: client.name,
        scopes: client.scopes,
        grantable_audiences: client.grantable.audiences,
        grantable_scopes: client.grantable.scopes.unwrap_or_default(),
        jwks_json: client.keys.into_bytes(),
        mtls_x5t_s256: client.certificate.unwrap_or_default(),
        disabled: client.disabled_at.is_some(),
        disable_reason: client.disable_reason,
        last_used_time: client.last_used_at.map(timestamp),
        last_used_ip: client.last_used_address.unwrap_or_default(),
    }
}

/// A signing key as callers see it.
pub(super) fn key(key: KeyState) -> v1::SigningKey {
    use signing_key::State as Wire;
    let state = match key.state {
        State::Published => Wire::Published,
        State::Signing => Wire::Signing,
        State::VerifyOnly => Wire::VerifyOnly,
        State::Retired => Wire::Retired,
        State::Revoked => Wire::Revoked,
    };
    let (life, key) = (key.key.life, key.key);
    v1::SigningKey {
        kid: key.kid,
        algorithm: key.algorithm.to_string(),
        state: state.into(),
        create_time: Some(timestamp(key.created_at)),
        sign_from: Some(timestamp(life.sign_from)),
        sign_until: life.sign_until.map(timestamp),
        verify_until: life.verify_until().map(timestamp),
        stored: key.private.is_some(),
        revoke_reason: key.revoke_reason,
    }
}
