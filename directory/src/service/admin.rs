//! What operators do: tenants, connections, credentials.

use muster_proto::{policy::Policies, schema::Registry};

use super::Directory;
use crate::{
    auth::{Caller, Grant, Scopes},
    domain::{
        Kind,
        credential::{Federation, KeptSecret, Proof, Purpose, RANDOM_BYTES, Secret, Wanted},
        flavor::Flavor,
        history::{Actor, AuditEntry, Change, ChangeKind, ResourceType},
        resource::ResourceKind,
    },
    error::{Error, Result, Violation},
    issuers::key_url,
    storage::{
        Scope, Tx,
        credentials::{self, Credential},
        history, resources,
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
        let new = tenant.clone();
        self.store
            .administer("CreateTenant", move |tx| {
                let new = new.clone();
                async move { insert_tenant(&tx, &new).await }
            })
            .await?;
        Ok(tenant)
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
    pub async fn create_connection(
        &self,
        tenant_id: &str,
        name: &str,
        flavor: Flavor,
    ) -> Result<Connection> {
        let mut connection = self.new_connection(tenant_id, name)?;
        connection.flavor = flavor;
        let new = connection.clone();
        self.store
            .write(tenant_id, "CreateConnection", move |tx| {
                let new = new.clone();
                async move { insert_connection(&tx, &new).await }
            })
            .await?;
        Ok(connection)
    }

    /// Gives a connection another flavor; the one it has changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_flavor(
        &self,
        tenant_id: &str,
        connection_id: &str,
        flavor: Flavor,
    ) -> Result<Connection> {
        let now = self.source.now_ms();
        let (tenant, id) = (tenant_id.to_owned(), connection_id.to_owned());
        self.store
            .write(tenant_id, "UpdateConnection", move |tx| {
                let (tenant, id) = (tenant.clone(), id.clone());
                async move { set_flavor(&tx, &tenant, &id, flavor, now).await }
            })
            .await
    }

    fn new_connection(&self, tenant_id: &str, name: &str) -> Result<Connection> {
        let now = self.source.now_ms();
        Ok(Connection {
            id: self.source.new_id(),
            tenant_id: tenant_id.to_owned(),
            name: checked_name(name)?,
            flavor: Flavor::default(),
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
    /// [`Error::Invalid`], and [`Error::NotFound`] for a user who does not exist.
    pub async fn create_credential(
        &self,
        connection: &Connection,
        wanted: Wanted,
        name: &str,
        expires_at: Option<i64>,
        grant: Grant,
    ) -> Result<IssuedCredential> {
        if let Some(scope) = grant.excess() {
            let rule = format!("has {scope}, which a credential of a user's own cannot have");
            return Err(Error::invalid("scopes", rule));
        }
        let mut issued = self.new_credential(connection, wanted, name, expires_at)?;
        issued.credential.scopes = checked_scopes(grant.scopes)?;
        issued.credential.user_id = grant.user_id;
        let new = issued.credential.clone();
        self.store
            .write(&connection.tenant_id, "CreateCredential", move |tx| {
                let new = new.clone();
                async move { insert_credential(&tx, &new).await }
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
            scopes: Scopes::Provisioning,
            user_id: None,
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
        let id = id.to_owned();
        let tenant = tenant_id.to_owned();
        self.store
            .write(tenant_id, "RevokeToken", move |tx| {
                let (tenant, id) = (tenant.clone(), id.clone());
                async move { revoke(&tx, &tenant, &id, now).await }
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
        let new = made.clone();
        let empty = self
            .store
            .administer("Bootstrap", move |tx| {
                let new = new.clone();
                async move {
                    if !tenants::list_tenants(&tx).await?.is_empty() {
                        return Ok(false);
                    }
                    insert_tenant(&tx, &new.tenant).await?;
                    insert_connection(&tx, &new.connection).await?;
                    insert_credential(&tx, &new.issued.credential).await?;
                    Ok(true)
                }
            })
            .await?;
        Ok(empty.then_some(made))
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

/// Scopes that some RPC asks for, each once.
fn checked_scopes(scopes: Scopes) -> Result<Scopes> {
    let Scopes::Named(names) = &scopes else {
        return Ok(scopes);
    };
    let known = Policies::load().map_err(|e| Error::Internal(e.into()))?;
    let known = known.scopes();
    if names.is_empty() {
        return Err(Error::invalid("scopes", "must name at least one"));
    }
    match names.iter().find(|name| !known.contains(name.as_str())) {
        None => Ok(scopes),
        Some(unknown) => {
            let known: Vec<_> = known.into_iter().collect();
            let rule = format!("has {unknown:?}, which is none of {}", known.join(", "));
            Err(Error::invalid("scopes", rule))
        }
    }
}

async fn revoke(tx: &Tx, tenant_id: &str, id: &str, now: i64) -> Result<Credential> {
    let found = credentials::find(tx, tenant_id, id).await?;
    let mut credential = found.ok_or_else(|| not_found(Kind::Credential, id))?;
    if credential.revoked_at.is_none() {
        credentials::revoke(tx, id, now).await?;
        credential.revoked_at = Some(now);
        let written = Operated {
            method: "RevokeToken",
            kind: ChangeKind::Deleted,
            resource_type: ResourceType::Token,
            resource_id: id,
            owner: &credential.connection_id,
            version: 1,
        };
        written.record(tx, tenant_id, now).await?;
    }
    Ok(credential)
}

async fn set_flavor(
    tx: &Tx,
    tenant_id: &str,
    id: &str,
    flavor: Flavor,
    now: i64,
) -> Result<Connection> {
    let found = tenants::find_connection(tx, tenant_id, id).await?;
    let mut connection = found.ok_or_else(|| not_found(Kind::Connection, id))?;
    if connection.flavor == flavor {
        return Ok(connection);
    }
    connection.flavor = flavor;
    connection.version += 1;
    connection.updated_at = now.max(connection.updated_at + 1);
    tenants::update_connection(tx, &connection).await?;
    let written = Operated {
        method: "UpdateConnection",
        kind: ChangeKind::Updated,
        resource_type: ResourceType::Connection,
        resource_id: &connection.id,
        owner: &connection.id,
        version: connection.version,
    };
    written.record(tx, tenant_id, now).await?;
    Ok(connection)
}

async fn insert_tenant(tx: &Tx, tenant: &Tenant) -> Result<()> {
    tenants::insert_tenant(tx, tenant).await?;
    history::start(tx, &tenant.id).await
}

async fn insert_connection(tx: &Tx, connection: &Connection) -> Result<()> {
    tenants::insert_connection(tx, connection).await?;
    let written = Operated {
        method: "CreateConnection",
        kind: ChangeKind::Created,
        resource_type: ResourceType::Connection,
        resource_id: &connection.id,
        owner: &connection.id,
        version: connection.version,
    };
    written
        .record(tx, &connection.tenant_id, connection.created_at)
        .await
}

async fn insert_credential(tx: &Tx, credential: &Credential) -> Result<()> {
    if let Some(user_id) = &credential.user_id {
        let scope = Scope {
            tenant_id: &credential.tenant_id,
            connection_id: &credential.connection_id,
            registry: Registry::builtin(),
        };
        let (kind, wanted) = (ResourceKind::User, [user_id.clone()]);
        if resources::resolve(tx, scope, kind, &wanted, false)
            .await?
            .is_empty()
        {
            return Err(not_found(Kind::User, user_id));
        }
    }
    credentials::insert(tx, credential).await?;
    let written = Operated {
        method: "CreateCredential",
        kind: ChangeKind::Created,
        resource_type: ResourceType::Token,
        resource_id: &credential.id,
        owner: &credential.connection_id,
        version: 1,
    };
    written
        .record(tx, &credential.tenant_id, credential.created_at)
        .await
}

/// What an operator did.
struct Operated<'a> {
    method: &'static str,
    kind: ChangeKind,
    resource_type: ResourceType,
    resource_id: &'a str,
    owner: &'a str,
    /// The resource's version afterwards.
    version: i64,
}

impl Operated<'_> {
    async fn record(&self, tx: &Tx, tenant_id: &str, now_ms: i64) -> Result<()> {
        let entry = AuditEntry {
            actor: Actor::Operator,
            method: self.method.into(),
            resource_type: self.resource_type,
            resource_id: self.resource_id.to_owned(),
            changed_attributes: Vec::new(),
            request_id: String::new(),
            refusal: None,
        };
        let change = Change {
            kind: self.kind,
            resource_type: self.resource_type,
            resource_id: self.resource_id.to_owned(),
            version: self.version,
            changed_attributes: Vec::new(),
            member_id: None,
            active: None,
            owner: Some(self.owner.to_owned()),
            member_is_group: false,
        };
        history::record(tx, tenant_id, &entry, &[change], now_ms).await?;
        Ok(())
    }
}
