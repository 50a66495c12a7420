//! What operators do: tenants, connections, credentials.

use super::{Directory, keep};
use crate::{
    auth::Caller,
    domain::{
        Kind,
        credential::{Federation, KeptSecret, Proof, Purpose, RANDOM_BYTES, Secret, Wanted},
        history::{Actor, AuditEntry, Change, ChangeKind, ResourceType},
    },
    error::{Error, Result, Violation},
    issuers::key_url,
    storage::{
        Tx,
        credentials::{self, Credential},
        history, settings,
        tenants::{self, Connection, Tenant},
    },
};

/// Longest name of a tenant, connection or credential, in characters.
const NAME_LIMIT: usize = 200;

/// Longest subject or audience of a federated client, in bytes.
const CLAIM_LIMIT: usize = 500;

/// A new credential. The secret exists here and nowhere else.
#[derive(Debug, Clone)]
pub struct IssuedCredential {
    /// What is kept.
    pub credential: Credential,
    /// What the client gets; `None` when its own issuer vouches for it.
    pub secret: Option<Secret>,
}

/// URLs that are given to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Of the SCIM endpoint.
    pub tenant_url: String,
    /// Where OAuth clients get access tokens.
    pub token_endpoint: String,
}

/// What a first start made.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The tenant `default`.
    pub tenant: Tenant,
    /// Its connection `entra`.
    pub connection: Connection,
    /// The connection's first credential.
    pub issued: IssuedCredential,
}

impl Directory {
    /// Creates a tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Taken`].
    pub async fn create_tenant(&self, name: &str) -> Result<Tenant> {
        let tenant = self.new_tenant(name)?;
        let tenant = &tenant;
        self.store
            .transact("create_tenant", |tx| async move {
                insert_tenant(&tx, tenant).await
            })
            .await?;
        Ok(tenant.clone())
    }

    fn new_tenant(&self, name: &str) -> Result<Tenant> {
        Ok(Tenant {
            id: self.source.new_id(),
            name: checked_name(name)?,
            created_at: self.source.now_ms(),
        })
    }

    /// All tenants.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_tenants(&self) -> Result<Vec<Tenant>> {
        tenants::list_tenants(&self.store.single()).await
    }

    /// The tenant with this id or name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find_tenant(&self, id_or_name: &str) -> Result<Tenant> {
        let found = tenants::find_tenant(&self.store.single(), id_or_name).await?;
        found.ok_or_else(|| not_found(Kind::Tenant, id_or_name))
    }

    /// Creates a connection of a tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Taken`].
    pub async fn create_connection(&self, tenant_id: &str, name: &str) -> Result<Connection> {
        let connection = self.new_connection(tenant_id, name)?;
        let connection = &connection;
        self.store
            .transact("create_connection", |tx| async move {
                insert_connection(&tx, connection).await
            })
            .await?;
        Ok(connection.clone())
    }

    fn new_connection(&self, tenant_id: &str, name: &str) -> Result<Connection> {
        let now = self.source.now_ms();
        Ok(Connection {
            id: self.source.new_id(),
            tenant_id: tenant_id.to_owned(),
            name: checked_name(name)?,
            version: 1,
            created_at: now,
            updated_at: now,
        })
    }

    /// The tenant's connections.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_connections(&self, tenant_id: &str) -> Result<Vec<Connection>> {
        tenants::list_connections(&self.store.single(), tenant_id).await
    }

    /// The tenant's connection with this id or name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find_connection(&self, tenant_id: &str, id_or_name: &str) -> Result<Connection> {
        let tx = self.store.single();
        let found = tenants::find_connection(&tx, tenant_id, id_or_name).await?;
        found.ok_or_else(|| not_found(Kind::Connection, id_or_name))
    }

    /// The caller's own connection; `id` must be empty or its id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn own_connection(&self, caller: &Caller, id: &str) -> Result<Connection> {
        if !id.is_empty() && id != caller.connection_id {
            return Err(not_found(Kind::Connection, id));
        }
        self.find_connection(&caller.tenant_id, &caller.connection_id)
            .await
    }

    /// Issues a credential of a connection, valid until `expires_at`
    /// (milliseconds since the Unix epoch) or for good.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub async fn create_credential(
        &self,
        connection: &Connection,
        wanted: Wanted,
        name: &str,
        expires_at: Option<i64>,
    ) -> Result<IssuedCredential> {
        let issued = self.new_credential(connection, wanted, name, expires_at)?;
        let credential = &issued.credential;
        self.store
            .transact("create_credential", |tx| async move {
                insert_credential(&tx, credential).await
            })
            .await?;
        Ok(issued)
    }

    fn new_credential(
        &self,
        connection: &Connection,
        wanted: Wanted,
        name: &str,
        expires_at: Option<i64>,
    ) -> Result<IssuedCredential> {
        let (proof, secret) = match wanted {
            Wanted::Bearer => self.new_secret(Purpose::Bearer)?,
            Wanted::OauthClient => self.new_secret(Purpose::Client)?,
            Wanted::Federated(federation) => {
                (Proof::Federated(checked_federation(federation)?), None)
            }
        };
        let now = self.source.now_ms();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid("expires_at", "must be in the future"));
        }
        let credential = Credential {
            id: self.source.new_id(),
            tenant_id: connection.tenant_id.clone(),
            connection_id: connection.id.clone(),
            name: checked_name(name)?,
            proof,
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        Ok(IssuedCredential { credential, secret })
    }

    fn new_secret(&self, purpose: Purpose) -> Result<(Proof, Option<Secret>)> {
        let mut random = [0; RANDOM_BYTES];
        self.source
            .fill_random(&mut random)
            .map_err(|e| Error::Internal(e.into()))?;
        let secret = Secret::new(purpose, &random);
        let kept = KeptSecret {
            purpose,
            key_id: secret.key_id().to_owned(),
            hash: secret.hash(),
        };
        Ok((Proof::Secret(kept), Some(secret)))
    }

    /// The connection's credentials.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_credentials(&self, connection_id: &str) -> Result<Vec<Credential>> {
        credentials::list(&self.store.single(), connection_id).await
    }

    /// Revokes a credential of a tenant; revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_credential(&self, tenant_id: &str, id: &str) -> Result<Credential> {
        let now = self.source.now_ms();
        self.store
            .transact("revoke_credential", |tx| async move {
                let found = credentials::find(&tx, tenant_id, id).await?;
                let mut credential = found.ok_or_else(|| not_found(Kind::Credential, id))?;
                if credential.revoked_at.is_none() {
                    credentials::revoke(&tx, id, now).await?;
                    credential.revoked_at = Some(now);
                    let written = (ResourceType::Token, id);
                    record(
                        &tx,
                        tenant_id,
                        "RevokeToken",
                        ChangeKind::Deleted,
                        written,
                        now,
                    )
                    .await?;
                }
                Ok(credential)
            })
            .await
    }

    /// On an empty database, makes tenant `default` with connection `entra` and
    /// one credential; otherwise `None`.
    ///
    /// # Errors
    /// The database's.
    pub async fn bootstrap(&self) -> Result<Option<Bootstrap>> {
        let tenant = self.new_tenant("default")?;
        let connection = self.new_connection(&tenant.id, "entra")?;
        let issued = self.new_credential(&connection, Wanted::Bearer, "bootstrap", None)?;
        let made = Bootstrap {
            tenant,
            connection,
            issued,
        };
        let new = &made;
        let empty = self
            .store
            .transact("bootstrap", |tx| async move {
                if !tenants::list_tenants(&tx).await?.is_empty() {
                    return Ok(false);
                }
                insert_tenant(&tx, &new.tenant).await?;
                insert_connection(&tx, &new.connection).await?;
                insert_credential(&tx, &new.issued.credential).await?;
                Ok(true)
            })
            .await?;
        Ok(empty.then_some(made))
    }

    /// Remembers the URLs under which clients reach this server, for commands
    /// that print them.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce(&self, urls: &Announcement) -> Result<()> {
        let urls = [
            (settings::TENANT_URL, &urls.tenant_url),
            (settings::TOKEN_ENDPOINT, &urls.token_endpoint),
        ];
        self.store
            .transact("announce", |tx| async move {
                for (name, url) in urls {
                    if keep(&tx, name, url.clone()).await? != *url {
                        settings::save(&tx, name, url.clone()).await?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// The URLs that the server that last ran announced.
    ///
    /// # Errors
    /// The database's.
    pub async fn announced(&self) -> Result<Option<Announcement>> {
        let tx = self.store.snapshot().await?;
        let tenant_url = settings::load(&tx, settings::TENANT_URL).await?;
        let token_endpoint = settings::load(&tx, settings::TOKEN_ENDPOINT).await?;
        let urls = tenant_url.zip(token_endpoint);
        Ok(urls.map(|(tenant_url, token_endpoint)| Announcement {
            tenant_url,
            token_endpoint,
        }))
    }
}

fn not_found(kind: Kind, id: &str) -> Error {
    Error::NotFound {
        kind,
        id: id.to_owned(),
    }
}

fn checked_name(name: &str) -> Result<String> {
    let name = name.trim();
    let printable = !name.chars().any(char::is_control);
    if name.is_empty() || name.chars().count() > NAME_LIMIT || !printable {
        let rule = format!("must have 1 to {NAME_LIMIT} printable characters");
        return Err(Error::invalid("name", rule));
    }
    Ok(name.to_owned())
}

fn checked_federation(federation: Federation) -> Result<Federation> {
    let rules = [
        ("issuer", key_url(&federation.issuer).err()),
        ("subject", claim_rule(&federation.subject)),
        ("audience", claim_rule(&federation.audience)),
    ];
    let broken = rules.into_iter();
    let broken = broken.filter_map(|(field, rule)| Some(Violation::new(field, rule?)));
    let broken: Vec<_> = broken.collect();
    if broken.is_empty() {
        return Ok(federation);
    }
    Err(Error::Invalid(broken))
}

fn claim_rule(text: &str) -> Option<&'static str> {
    let fits = (1..=CLAIM_LIMIT).contains(&text.len());
    let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    (!fits || !printable).then_some("must have 1 to 500 bytes, without spaces")
}

async fn insert_tenant(tx: &Tx, tenant: &Tenant) -> Result<()> {
    tenants::insert_tenant(tx, tenant).await?;
    history::start(tx, &tenant.id).await
}

async fn insert_connection(tx: &Tx, connection: &Connection) -> Result<()> {
    tenants::insert_connection(tx, connection).await?;
    let written = (ResourceType::Connection, connection.id.as_str());
    let (tenant, now) = (&connection.tenant_id, connection.created_at);
    record(
        tx,
        tenant,
        "CreateConnection",
        ChangeKind::Created,
        written,
        now,
    )
    .await
}

async fn insert_credential(tx: &Tx, credential: &Credential) -> Result<()> {
    credentials::insert(tx, credential).await?;
    let written = (ResourceType::Token, credential.id.as_str());
    let (tenant, now) = (&credential.tenant_id, credential.created_at);
    record(
        tx,
        tenant,
        "CreateCredential",
        ChangeKind::Created,
        written,
        now,
    )
    .await
}

async fn record(
    tx: &Tx,
    tenant_id: &str,
    method: &'static str,
    kind: ChangeKind,
    (resource_type, resource_id): (ResourceType, &str),
    now_ms: i64,
) -> Result<()> {
    let entry = AuditEntry {
        actor: Actor::Operator,
        method,
        resource_type,
        resource_id: resource_id.to_owned(),
        changed_attributes: Vec::new(),
    };
    let change = Change {
        kind,
        resource_type,
        resource_id: resource_id.to_owned(),
        version: 1,
        changed_attributes: Vec::new(),
        member_id: None,
        active: None,
    };
    history::record(tx, tenant_id, &entry, &[change], now_ms).await?;
    Ok(())
}
