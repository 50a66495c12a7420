//! Commands on connections.

use anyhow::Context as _;
use muster_directory::{
    auth::Caller,
    domain::{flavor::Flavor, policy},
    service::{ConnectionEdit, Directory},
    storage::tenants::Connection as Found,
};
use serde_json::Value;

use crate::{
    arguments::{Connection, FlavorName, Lifetime, PolicySource},
    credentials::operator,
    log, output,
    presets::{self, Preset},
    settings::Settings,
    urls::Urls,
};

/// Runs one command.
pub(crate) async fn run(
    command: Connection,
    directory: &Directory,
    settings: &Settings,
) -> anyhow::Result<()> {
    let shower = Shower::new(directory, settings).await?;
    match command {
        Connection::Create {
            tenant,
            name,
            source,
            flavor,
            credential_lifetime,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let caller = operator(&tenant.id);
            let preset = presets::read(&source, settings)?;
            let edit = edit(preset, flavor, credential_lifetime)?;
            let created = directory.create_connection(&caller, name.get(), edit);
            output::one(&shower.show(&created.await?)?, json)?;
        }
        Connection::Update {
            tenant,
            name,
            source,
            flavor,
            credential_lifetime,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connection = directory.find_connection(&tenant.id, name.get()).await?;
            let caller = operator(&tenant.id);
            let updated = Update {
                source,
                flavor,
                credential_lifetime,
            };
            let updated = updated.run(directory, settings, &caller, &connection);
            output::one(&shower.show(&updated.await?)?, json)?;
        }
        Connection::List { tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connections = directory.list_connections(&tenant.id).await?;
            let connections: Vec<_> = connections.iter().map(|c| shower.summary(c)).collect();
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
            output::one(&shower.show(&connection)?, json)?;
        }
    }
    Ok(())
}

struct Update {
    source: PolicySource,
    flavor: Option<FlavorName>,
    credential_lifetime: Option<Lifetime>,
}

impl Update {
    async fn run(
        self,
        directory: &Directory,
        settings: &Settings,
        caller: &Caller,
        connection: &Found,
    ) -> anyhow::Result<Found> {
        let preset = presets::read(&self.source, settings)?;
        let edit = edit(preset, self.flavor, self.credential_lifetime)?;
        let updated = directory.update_connection(caller, &connection.id, edit);
        Ok(updated.await?)
    }
}

fn edit(
    preset: Option<Preset>,
    flavor: Option<FlavorName>,
    lifetime: Option<Lifetime>,
) -> anyhow::Result<ConnectionEdit> {
    let lifetime = lifetime.map(|lifetime| match lifetime {
        Lifetime::Never => Ok(None),
        Lifetime::For(life) => {
            let ms = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
            policy::Lifetime::of_ms(ms).map(Some)
        }
    });
    let lifetime = lifetime.transpose().map_err(anyhow::Error::msg);
    let schemas = preset.iter().flat_map(Preset::schemas).collect();
    let (preset_flavor, policy) = preset.map(Preset::into_parts).unzip();
    Ok(ConnectionEdit {
        flavor: flavor.map(Into::into).or(preset_flavor),
        policy,
        schemas,
        credential_lifetime: lifetime.context("--credential-lifetime")?,
        ..ConnectionEdit::default()
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

/// Shows connections with the URLs that their clients are given.
struct Shower(Urls);

impl Shower {
    async fn new(directory: &Directory, settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self(Urls::find(directory, settings).await?))
    }

    fn summary(&self, connection: &Found) -> Value {
        output::connection(connection, &self.0.of(connection))
    }

    fn show(&self, connection: &Found) -> anyhow::Result<Value> {
        let mut shown = self.summary(connection);
        shown["policy"] = serde_json::to_value(&connection.policy)?;
        Ok(shown)
    }
}
