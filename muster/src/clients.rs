//! Commands on service clients and their tokens.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use muster_directory::{
    clock::{Source as _, System},
    domain::client::{Grantable, directory_audience},
    service::{Directory, Registration},
    signing::service_key::{KeyFile, ServiceKey},
    storage::clients,
};
use muster_proto::v1::{IssueServiceTokenRequest, admin_service_client::AdminServiceClient};
use serde_json::{Value, json};
use tonic::{Code, transport::Channel};

use crate::{
    arguments::{Client, Json},
    channel,
    credentials::operator,
    output, pem,
    serve::open_directory,
    settings::Settings,
};

/// Most clients that are listed.
const LIMIT: usize = 10_000;

/// How long the directory may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one command on the database.
pub(crate) async fn run(command: Client, directory: &Directory) -> anyhow::Result<()> {
    match command {
        Client::Create {
            name,
            scopes,
            audiences,
            token_scopes,
            generate_key,
            public_keys,
            certificate,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let registration = Registration {
                name: name.get().to_owned(),
                scopes,
                grantable: Grantable {
                    audiences,
                    scopes: Some(token_scopes).filter(|names| !names.is_empty()),
                },
                certificate: certificate.as_deref().map(thumbprint).transpose()?,
                ..Registration::default()
            };
            let create = Create {
                directory,
                tenant_id: &tenant.id,
                registration,
            };
            let shown = match (generate_key, public_keys) {
                (Some(file), _) => create.with_new_key(&file).await?,
                (None, Some(file)) => create.with_keys(read(&file)?).await?,
                (None, None) => bail!("--generate-key or --public-keys is needed"),
            };
            output::one(&shown, json)?;
        }
        Client::List { tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let clients = directory.list_clients(&tenant.id, "", LIMIT).await?;
            let clients: Vec<_> = clients.iter().map(shown).collect();
            output::many(
                &clients,
                &["name", "id", "disabled", "last_used_at", "scopes"],
                json,
            )?;
        }
        Client::Show {
            client,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let client = directory.find_client(&tenant.id, &client).await?;
            output::one(&shown(&client), json)?;
        }
        Client::Disable {
            client,
            reason,
            tenant,
            json,
        } => switch(directory, &tenant.tenant, &client, Some(reason), json).await?,
        Client::Enable {
            client,
            tenant,
            json,
        } => switch(directory, &tenant.tenant, &client, None, json).await?,
        Client::Token { .. } => bail!("a token is not got here"),
    }
    Ok(())
}

async fn switch(
    directory: &Directory,
    tenant: &str,
    client: &str,
    disabled: Option<String>,
    json: Json,
) -> anyhow::Result<()> {
    let tenant = directory.find_tenant(tenant).await?;
    let client = directory.find_client(&tenant.id, client).await?;
    let caller = operator(&tenant.id);
    let switched = directory.set_client_disabled(&caller, &client.id, disabled.as_deref());
    let (client, changed) = switched.await?;
    let mut shown = shown(&client);
    shown["changed"] = changed.into();
    output::one(&shown, json)?;
    Ok(())
}

/// A client that is to be registered.
struct Create<'a> {
    directory: &'a Directory,
    tenant_id: &'a str,
    registration: Registration,
}

impl Create<'_> {
    async fn with_keys(mut self, keys: String) -> anyhow::Result<Value> {
        self.registration.keys = keys;
        let caller = operator(self.tenant_id);
        let created = self.directory.create_client(&caller, self.registration);
        Ok(shown(&created.await?))
    }

    /// The file is made first: a client whose key could not be kept is of no use.
    async fn with_new_key(self, path: &Path) -> anyhow::Result<Value> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let mut file = made.with_context(|| path.display().to_string())?;
        let (key, tenant_id) = (ServiceKey::generate()?, self.tenant_id.to_owned());
        let registered = self.with_keys(key.public_set()?).await;
        let mut registered = match registered {
            Ok(registered) => registered,
            Err(error) => {
                drop(file);
                // It was empty and ours.
                let _ = fs::remove_file(path);
                return Err(error);
            }
        };
        let id = registered["id"].as_str().unwrap_or_default();
        let text = key.file(id, &directory_audience(&tenant_id))?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        written.with_context(|| path.display().to_string())?;
        registered["key_file"] = path.display().to_string().into();
        Ok(registered)
    }
}

fn shown(client: &clients::Client) -> Value {
    json!({
        "id": client.id,
        "client_id": client.id,
        "name": client.name,
        "tenant_id": client.tenant_id,
        "scopes": client.scopes,
        "audiences": client.grantable.audiences,
        "token_scopes": client.grantable.scopes,
        "certificate": client.certificate,
        "assertion_audience": directory_audience(&client.tenant_id),
        "disabled": client.disabled_at.is_some(),
        "disable_reason": client.disable_reason,
        "created_at": output::instant(Some(client.created_at)),
        "last_used_at": output::instant(client.last_used_at),
        "last_used_address": client.last_used_address,
    })
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn thumbprint(path: &Path) -> anyhow::Result<String> {
    let certificates = pem::certificates("--certificate", path)?;
    Ok(certificates.x5t_s256()?)
}

/// A token that is wanted.
pub(crate) struct TokenCommand {
    pub(crate) key: PathBuf,
    pub(crate) scopes: Vec<String>,
    /// `None`: from the database, if one is named, else from the usual place.
    pub(crate) directory_url: Option<String>,
    pub(crate) json: Json,
}

/// Gets a service token.
pub(crate) async fn token(command: TokenCommand, settings: &Settings) -> anyhow::Result<()> {
    let text = read(&command.key)?;
    let path = command.key.display().to_string();
    let key = KeyFile::read(&text).with_context(|| path)?;
    let assertion = key.assertion(&System.new_id(), System.now_ms())?;
    let shown = match command.directory_url {
        None if settings.names_database => {
            from_database(settings, &assertion, &command.scopes).await?
        }
        url => {
            let mut settings = settings.clone();
            settings.directory_url = url.unwrap_or(settings.directory_url);
            let channel = channel::connect(&settings)?;
            from_directory(channel, assertion, command.scopes).await?
        }
    };
    output::one(&shown, command.json)?;
    Ok(())
}

async fn from_database(
    settings: &Settings,
    assertion: &str,
    scopes: &[String],
) -> anyhow::Result<Value> {
    let directory = open_directory(settings).await?;
    let issued = async {
        directory.prepare_keys().await?;
        directory.issue_service_token(assertion, scopes).await
    };
    let issued = issued.await;
    directory.close().await;
    let issued = issued?;
    Ok(token_shown(
        &issued.token,
        issued.expires_in.as_secs(),
        &issued.scopes,
    ))
}

async fn from_directory(
    channel: Channel,
    client_assertion: String,
    scopes: Vec<String>,
) -> anyhow::Result<Value> {
    let request = IssueServiceTokenRequest {
        client_assertion,
        scopes,
    };
    let mut client = AdminServiceClient::new(channel);
    let mut request = tonic::Request::new(request);
    request.set_timeout(PATIENCE);
    let answer = match client.issue_service_token(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::Unavailable => {
            return Err(status).context("the directory cannot be reached");
        }
        Err(status) => bail!("the directory refuses: {}", status.message()),
    };
    let life = answer.expires_in.unwrap_or_default().seconds;
    let life = u64::try_from(life).unwrap_or_default();
    Ok(token_shown(&answer.access_token, life, &answer.scopes))
}

fn token_shown(token: &str, expires_in: u64, scopes: &[String]) -> Value {
    json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": scopes.join(" "),
    })
}
