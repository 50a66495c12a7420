//! Admin commands: on the database directly, also while a server runs on it.

use anyhow::{Context as _, bail};
use muster_directory::{
    domain::flavor::Flavor,
    service::{Announcement, ConnectionEdit, Directory},
    storage::Store,
};

use crate::{
    arguments::{Admin, Audit, Client, Connection, Epoch, FlavorName, Lifetime, Migrate, Tenant},
    clients::{self, TokenCommand},
    credentials::{self, operator},
    keys, log, output, schema,
    serve::open_directory,
    settings::Settings,
    transfer,
};

/// Runs one command.
pub(crate) async fn run(command: Admin, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Admin::Migrate(command) => migrate(command, settings).await,
        Admin::Client(Client::Token {
            key,
            scopes,
            directory_url,
            json,
        }) => {
            let command = TokenCommand {
                key,
                scopes,
                directory_url,
                json,
            };
            clients::token(command, settings).await
        }
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
        Admin::Credential(command) => credentials::run(command, directory, settings).await,
        Admin::Client(command) => clients::run(command, directory).await,
        Admin::Key(command) => keys::run(command, directory).await,
        Admin::User(command) => credentials::lock(command, directory).await,
        Admin::Schema(command) => schema::run(command, directory).await,
        Admin::Epoch(command) => epoch(command, directory).await,
        Admin::Audit(command) => audit(command, directory).await,
        Admin::Log(command) => log::run(command, directory).await,
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
            credential_lifetime,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let edit = edit(Some(flavor), credential_lifetime)?;
            let created = directory.create_connection(&tenant.id, name.get(), edit);
            output::one(&output::connection(&created.await?, &url), json)?;
        }
        Connection::Update {
            tenant,
            name,
            flavor,
            credential_lifetime,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, name.get()).await?;
            let (caller, edit) = (operator(&tenant.id), edit(flavor, credential_lifetime)?);
            let updated = directory.update_connection(&caller, &connection.id, edit);
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
        Connection::Health {
            connection,
            tenant,
            json,
        } => log::health(directory, &connection, &tenant, json).await?,
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

fn edit(flavor: Option<FlavorName>, lifetime: Option<Lifetime>) -> anyhow::Result<ConnectionEdit> {
    let lifetime = lifetime.map(|lifetime| match lifetime {
        Lifetime::Never => Ok(None),
        Lifetime::For(life) => i64::try_from(life.as_millis()).map(Some),
    });
    let lifetime = lifetime.transpose();
    Ok(ConnectionEdit {
        flavor: flavor.map(Into::into),
        credential_lifetime: lifetime.context("--credential-lifetime is too long")?,
    })
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

/// The URLs to give to clients: the configured ones, else those that the
/// server which last ran on this database announced.
pub(crate) async fn urls(
    directory: &Directory,
    settings: &Settings,
) -> anyhow::Result<Announcement> {
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
