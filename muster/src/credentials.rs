//! Commands on credentials of connections, and on locks of users.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use muster_directory::{
    auth::{Caller, Grant, OWN_SCOPES, Principal, Scopes},
    clock::{Source as _, System},
    domain::{
        credential::{Federation, Wanted},
        version::Precondition,
    },
    error::Error,
    service::{Directory, Expiry},
    storage::{credentials, tenants::Connection},
};
use serde_json::json;

use crate::{
    arguments::{Credential, CredentialKind, FederationArguments, Lifetime, User},
    output,
    settings::Settings,
    urls::Urls,
};

/// Most credentials that are listed.
const LIMIT: usize = 10_000;

/// What is shown of each in a line.
const COLUMNS: [&str; 7] = [
    "name",
    "id",
    "kind",
    "connection_id",
    "expires_at",
    "revoked_at",
    "last_used_at",
];

/// Whoever runs a command, in a tenant.
pub(crate) fn operator(tenant_id: &str) -> Caller {
    Caller::inside(tenant_id, Principal::Operator)
}

/// Runs one command on credentials.
pub(crate) async fn run(
    command: Credential,
    directory: &Directory,
    settings: &Settings,
) -> anyhow::Result<()> {
    match command {
        Credential::Create {
            connection,
            tenant,
            kind,
            federation,
            name,
            expires_in,
            scopes,
            user,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, &connection).await?;
            let caller = operator(&tenant.id);
            let created = directory.create_credential(
                &caller,
                &connection,
                wanted(kind, federation),
                &name,
                expires(expires_in)?,
                granted(scopes, user),
            );
            let (issued, _) = created.await.map_err(|error| full(error, &connection))?;
            let urls = Urls::find(directory, settings).await?.of(&connection);
            output::one(&output::issued(&issued, &urls), json)?;
        }
        Credential::List {
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection_id = match connection {
                Some(name) => Some(directory.find_connection(&tenant.id, &name).await?.id),
                None => None,
            };
            let wanted = credentials::Wanted {
                connection_id,
                personal: Some(false),
                revoked: true,
                ..Default::default()
            };
            let tokens = directory.list_tokens(&tenant.id, &wanted, LIMIT).await?;
            let tokens: Vec<_> = tokens.iter().map(output::stored).collect();
            output::many(&tokens, &COLUMNS, json)?;
        }
        Credential::Rotate {
            id,
            overlap,
            expires_in,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let expires_at = expires_in.map(at).transpose()?;
            let caller = operator(&tenant.id);
            let rotated = directory.rotate_token(&caller, &id, overlap, expires_at);
            let (issued, _) = rotated.await?;
            let owner = issued.credential.owner();
            let connection = directory.find_connection(&tenant.id, owner).await?;
            let urls = Urls::find(directory, settings).await?.of(&connection);
            let mut shown = output::issued(&issued, &urls);
            shown["previous_secret_expires_at"] = output::instant(issued.overlap_until);
            output::one(&shown, json)?;
        }
        Credential::Revoke { id, tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let caller = operator(&tenant.id);
            let (credential, _) = directory.revoke_token(&caller, &id, "").await?;
            output::one(&output::credential(&credential), json)?;
        }
    }
    Ok(())
}

/// Runs one command on users.
pub(crate) async fn lock(command: User, directory: &Directory) -> anyhow::Result<()> {
    let (id, lock, tenant, json) = match command {
        User::Roles {
            id,
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, &connection).await?;
            let caller = operator(&tenant.id);
            let roles = directory.roles_of(&caller, &connection.id, &id).await?;
            let roles = roles.into_iter().map(|role| {
                json!({
                    "role": role.role,
                    "group_id": role.group_id,
                    "group": role.group_name,
                })
            });
            let roles: Vec<_> = roles.collect();
            output::many(&roles, &["role", "group", "group_id"], json)?;
            return Ok(());
        }
        User::Lock {
            id,
            reason,
            tenant,
            json,
        } => (id, Some(reason), tenant, json),
        User::Unlock { id, tenant, json } => (id, None, tenant, json),
    };
    let tenant = directory.find_tenant(&tenant.tenant).await?;
    let (caller, free) = (operator(&tenant.id), Precondition::default());
    let written = directory.set_locked(&caller, &id, lock.as_deref(), &free);
    let written = written.await?;
    let user = &written.view.resource;
    let access = &user.access;
    let shown = json!({
        "id": user.id,
        "locked": access.lock.is_some(),
        "reason": access.lock.as_ref().map(|lock| lock.reason.as_str()),
        "active": user.active(),
        "effective_active": user.may_act(),
        "tokens_valid_after": output::instant(access.tokens_valid_after),
        "changed": written.position.is_some(),
    });
    output::one(&shown, json)?;
    Ok(())
}

/// The error with the way on where the connection may have no further credential.
fn full(error: Error, connection: &Connection) -> anyhow::Error {
    match (error, connection.policy.credential_limit) {
        (Error::TokenState(_), Some(limit)) => anyhow!(
            "the connection has as many credentials as its policy allows ({limit}). \
             \"muster credential rotate --id ID\" gives one a new secret without a gap; \
             or revoke one first"
        ),
        (other, _) => other.into(),
    }
}

/// When a new credential ends.
fn expires(expires_in: Option<Lifetime>) -> anyhow::Result<Expiry> {
    Ok(match expires_in {
        None => Expiry::Policy,
        Some(Lifetime::Never) => Expiry::Never,
        Some(Lifetime::For(after)) => Expiry::At(at(after)?),
    })
}

/// When something that is made now ends.
fn at(after: Duration) -> anyhow::Result<i64> {
    let after = i64::try_from(after.as_millis()).ok();
    let at = after.and_then(|after| System.now_ms().checked_add(after));
    // The last moment that RFC 3339 can write.
    at.filter(|at| *at < 253_402_300_800_000)
        .context("--expires-in lies too far in the future")
}

/// What a credential may do: what provisioning needs unless told otherwise, and
/// for a user's own what reading himself needs.
fn granted(scopes: Vec<String>, user_id: Option<String>) -> Grant {
    let scopes = match (scopes.is_empty(), &user_id) {
        (true, None) => Scopes::Provisioning,
        (true, Some(_)) => Scopes::Named(OWN_SCOPES.map(ToOwned::to_owned).into()),
        (false, _) => Scopes::Named(scopes.into()),
    };
    Grant { scopes, user_id }
}

/// What the arguments ask for; they have been checked to fit together.
fn wanted(kind: CredentialKind, federation: FederationArguments) -> Wanted {
    match kind {
        CredentialKind::Bearer => Wanted::Bearer,
        CredentialKind::OauthClient => Wanted::OauthClient,
        CredentialKind::Federated => Wanted::Federated(Federation {
            issuer: federation.issuer.unwrap_or_default(),
            subject: federation.subject.unwrap_or_default(),
            audience: federation.audience.unwrap_or_default(),
        }),
    }
}
