//! Admin commands: on the database directly, also while a server runs on it.

use anyhow::{Context as _, bail};
use muster_directory::{service::Directory, storage::Store};

use crate::{
    arguments::{Admin, Audit, Client, Epoch, Migrate, Tenant},
    clients::{self, TokenCommand},
    connections, credentials, faults, held, keys, log, output, presets, schema,
    serve::open_directory,
    settings::Settings,
    transfer,
};

/// Runs one command.
pub(crate) async fn run(command: Admin, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Admin::Migrate(command) => migrate(command, settings).await,
        Admin::Preset(command) => presets::run(&command),
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
            let tenant = command.tenant().map(ToOwned::to_owned);
            let done = on_directory(command, &directory, settings).await;
            directory.close().await;
            done.map_err(|error| faults::told(error, tenant.as_deref()))
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
        Admin::Preset(command) => presets::run(&command),
        Admin::Connection(command) => connections::run(command, directory, settings).await,
        Admin::Credential(command) => credentials::run(command, directory, settings).await,
        Admin::Client(command) => clients::run(command, directory).await,
        Admin::Key(command) => keys::run(command, directory).await,
        Admin::User(command) => credentials::lock(command, directory).await,
        Admin::Held(command) => held::run(command, directory).await,
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
            output::many(&tenants, &["name", "id", "created_at"], json)?;
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
    output::many(&migrations, &["applied", "name"], json)?;
    store.close().await;
    Ok(())
}
