//! Admin commands: on the database directly, also while a server runs on it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use muster_directory::{
    auth::{Grant, OWN_SCOPES, Scopes},
    clock::{Source as _, System},
    domain::{
        credential::{Federation, Wanted},
        flavor::Flavor,
    },
    service::{Announcement, Directory},
    storage::Store,
};

use crate::{
    arguments::{
        Admin, Audit, Connection, Credential, CredentialKind, Epoch, FederationArguments,
        FlavorName, Migrate, Tenant,
    },
    output, schema,
    serve::open_directory,
    settings::Settings,
    transfer,
};

/// Runs one command.
pub(crate) async fn run(command: Admin, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Admin::Migrate(command) => migrate(command, settings).await,
        command => {
            let directory = open_directory(settings).await?;
            let done = on_directory(command, &directory, settings).await;
            directory.close().await;
            done
        }
    }
}

async fn on_directory(
    command: Admin,
    directory: &Directory,
    settings: &Settings,
) -> anyhow::Result<()> {
    match command {
        Admin::Migrate(command) => migrate(command, settings).await,
        Admin::Tenant(command) => tenant(command, directory).await,
        Admin::Connection(command) => connection(command, directory, settings).await,
        Admin::Credential(command) => credential(command, directory, settings).await,
        Admin::Schema(command) => schema::run(command, directory).await,
        Admin::Epoch(command) => epoch(command, directory).await,
        Admin::Audit(command) => audit(command, directory).await,
        Admin::Export { output, json } => transfer::export(directory, &output, json).await,
        Admin::Import { input, json } => transfer::import(directory, &input, json).await,
    }
}

async fn epoch(command: Epoch, directory: &Directory) -> anyhow::Result<()> {
    let (epoch, json) = match command {
        Epoch::Show { json } => (directory.store_epoch().await?, json),
        Epoch::Renew { json } => (directory.renew_epoch().await?, json),
    };
    output::one(&output::epoch(&epoch), json)?;
    Ok(())
}

async fn audit(command: Audit, directory: &Directory) -> anyhow::Result<()> {
    let Audit::Verify {
        tenant,
        expected_head,
        json,
    } = command;
    let tenant = directory.find_tenant(&tenant.tenant).await?;
    let expected = expected_head.as_deref();
    let verdict = directory.verify_audit(&tenant.id, 1, 0, expected).await?;
    output::one(&output::verdict(&verdict), json)?;
    match verdict.broken {
        None => Ok(()),
        Some(sequence) => bail!("the audit is broken at entry {sequence}"),
    }
}

async fn tenant(command: Tenant, directory: &Directory) -> anyhow::Result<()> {
    match command {
        Tenant::Create { name, json } => {
            let tenant = directory.create_tenant(name.get()).await?;
            output::one(&output::tenant(&tenant), json)?;
        }
        Tenant::List { json } => {
            let tenants = directory.list_tenants().await?;
            let tenants: Vec<_> = tenants.iter().map(output::tenant).collect();
            output::many(&tenants, json)?;
        }
        Tenant::Show {
            tenant,
            named,
            json,
        } => {
            let tenant = tenant.or(named).unwrap_or_else(|| "default".to_owned());
            let tenant = directory.find_tenant(&tenant).await?;
            output::one(&output::tenant(&tenant), json)?;
        }
    }
    Ok(())
}

async fn connection(
    command: Connection,
    directory: &Directory,
    settings: &Settings,
) -> anyhow::Result<()> {
    let url = urls(directory, settings).await?.tenant_url;
    match command {
        Connection::Create {
            tenant,
            name,
            flavor,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let created = directory.create_connection(&tenant.id, name.get(), flavor.into());
            output::one(&output::connection(&created.await?, &url), json)?;
        }
        Connection::Update {
            tenant,
            name,
            flavor,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, name.get()).await?;
            let updated = directory.set_flavor(&tenant.id, &connection.id, flavor.into());
            output::one(&output::connection(&updated.await?, &url), json)?;
        }
        Connection::List { tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connections = directory.list_connections(&tenant.id).await?;
            let connections: Vec<_> = connections
                .iter()
                .map(|c| output::connection(c, &url))
                .collect();
            output::many(&connections, json)?;
        }
        Connection::Show {
            connection,
            named,
            tenant,
            json,
        } => {
            // One of the two is there; the parser sees to it.
            let connection = connection.or(named).unwrap_or_default();
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, &connection).await?;
            output::one(&output::connection(&connection, &url), json)?;
        }
    }
    Ok(())
}

async fn credential(
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
            let expires_at = expires_in.map(expiry).transpose()?;
            let issued = directory
                .create_credential(
                    &connection,
                    wanted(kind, federation),
                    &name,
                    expires_at,
                    granted(scopes, user),
                )
                .await?;
            let urls = urls(directory, settings).await?;
            output::one(&output::issued(&issued, &urls), json)?;
        }
        Credential::List {
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, &connection).await?;
            let credentials = directory.list_credentials(&connection.id).await?;
            let credentials: Vec<_> = credentials.iter().map(output::credential).collect();
            output::many(&credentials, json)?;
        }
        Credential::Revoke { id, tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let credential = directory.revoke_credential(&tenant.id, &id).await?;
            output::one(&output::credential(&credential), json)?;
        }
    }
    Ok(())
}

/// When something that is made now ends.
fn expiry(after: Duration) -> anyhow::Result<i64> {
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

impl From<FlavorName> for Flavor {
    fn from(name: FlavorName) -> Self {
        match name {
            FlavorName::Entra => Self::Entra,
            FlavorName::Okta => Self::Okta,
            FlavorName::Strict => Self::Strict,
        }
    }
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

/// The URLs to give to clients: the configured ones, else those that the
/// server which last ran on this database announced.
async fn urls(directory: &Directory, settings: &Settings) -> anyhow::Result<Announcement> {
    if settings.public_url.is_none()
        && let Some(announced) = directory.announced().await?
    {
        return Ok(announced);
    }
    let urls = settings.urls(Some(settings.http_listen));
    urls.context("no public URL is known")
}

async fn migrate(command: Migrate, settings: &Settings) -> anyhow::Result<()> {
    let store = Store::open(&settings.database_url)
        .await
        .context("cannot open the database")?;
    let json = match command {
        Migrate::Status { json } => json,
        Migrate::Up { json } => {
            store.migrate().await?;
            json
        }
        Migrate::Down { steps, json } => {
            store.migrate_down(steps).await?;
            json
        }
    };
    let migrations = store.migrations().await?;
    let migrations: Vec<_> = migrations.iter().map(output::migration).collect();
    output::many(&migrations, json)?;
    store.close().await;
    Ok(())
}
