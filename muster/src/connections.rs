//! Commands on connections.

use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use muster_directory::{
    domain::{flavor::Flavor, policy},
    error::{Error, Taken},
    service::{ConnectionEdit, Directory},
    storage::tenants::{Connection as Found, Tenant},
};
use serde_json::Value;

use crate::{
    arguments::{Connection, FlavorName, Lifetime, PolicySource},
    credentials::operator,
    faults, log, output, policies,
    presets::{self, Preset},
    settings::Settings,
    urls::Urls,
};

/// What is shown of each in a line.
const COLUMNS: [&str; 5] = ["name", "id", "flavor", "tenant_url", "created_at"];

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
            let wanted = Wanted {
                source,
                flavor,
                credential_lifetime,
            };
            let created = wanted.create(directory, settings, &tenant, name.get());
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
            let wanted = Wanted {
                source,
                flavor,
                credential_lifetime,
            };
            let updated = wanted.update(directory, settings, &connection).await?;
            output::one(&shower.show(&updated)?, json)?;
            note_lifetime(&connection, &updated, credential_lifetime)?;
        }
        Connection::List { tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let connections = directory.list_connections(&tenant.id).await?;
            let connections: Vec<_> = connections.iter().map(|c| shower.summary(c)).collect();
            output::many(&connections, &COLUMNS, json)?;
        }
        Connection::Health {
            connection,
            tenant,
            json,
        } => log::health(directory, connection.get(), &tenant, json).await?,
        Connection::Show {
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let found = directory.find_connection(&tenant.id, connection.get());
            output::one(&shower.show(&found.await?)?, json)?;
        }
        Connection::Policy {
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let found = directory.find_connection(&tenant.id, connection.get());
            policies::export(directory, &found.await?, json).await?;
        }
    }
    Ok(())
}

/// What a connection shall be.
struct Wanted {
    source: PolicySource,
    flavor: Option<FlavorName>,
    credential_lifetime: Option<Lifetime>,
}

impl Wanted {
    async fn create(
        self,
        directory: &Directory,
        settings: &Settings,
        tenant: &Tenant,
        name: &str,
    ) -> anyhow::Result<Found> {
        let edit = self.edit(directory, settings, &tenant.id).await?;
        let caller = operator(&tenant.id);
        let created = directory.create_connection(&caller, name, edit);
        created.await.map_err(|error| match error {
            Error::Taken(Taken::ConnectionName) => taken(tenant, name),
            other => refused(other),
        })
    }

    async fn update(
        self,
        directory: &Directory,
        settings: &Settings,
        connection: &Found,
    ) -> anyhow::Result<Found> {
        let caller = operator(&connection.tenant_id);
        let edit = self.edit(directory, settings, &caller.tenant_id).await?;
        let updated = directory.update_connection(&caller, &connection.id, edit);
        updated.await.map_err(refused)
    }

    async fn edit(
        self,
        directory: &Directory,
        settings: &Settings,
        tenant_id: &str,
    ) -> anyhow::Result<ConnectionEdit> {
        let preset = presets::read(&self.source)?;
        if let Some(preset) = &preset {
            let registered = directory.list_schemas(tenant_id).await?.into_iter();
            let registered = registered.map(|schema| (schema.extends, schema.definition));
            let wrong = preset.faults(registered.collect(), settings);
            if !wrong.is_empty() {
                return Err(faults::of_policy(&wrong));
            }
        }
        edit(preset, self.flavor, self.credential_lifetime)
    }
}

/// A name that another connection has: it may be the one that was meant.
fn taken(tenant: &Tenant, name: &str) -> anyhow::Error {
    let place = match tenant.name.as_str() {
        "default" => String::new(),
        other => format!("--tenant {other} "),
    };
    anyhow!(
        "the tenant has a connection {name:?} already; \
         \"muster connection update {place}--name {name}\" changes it"
    )
}

fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(wrong) => faults::of_policy(&wrong),
        other => other.into(),
    }
}

/// Says that a lifetime of credentials went with the policy that had it, or before
/// which it was set.
fn note_lifetime(before: &Found, after: &Found, said: Option<Lifetime>) -> io::Result<()> {
    let (was, is) = (
        before.policy.credential_lifetime,
        after.policy.credential_lifetime,
    );
    let Some(was) = was.filter(|_| was != is && said.is_none()) else {
        return Ok(());
    };
    let now = is.map_or_else(|| "for good".to_owned(), |life| life.to_string());
    writeln!(
        io::stderr(),
        "note: new credentials lived {was}, and live {now} with this policy; \
         --credential-lifetime {was} sets it again"
    )
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
