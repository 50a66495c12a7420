//! What operators do: tenants and connections.

use std::sync::Arc;

use muster_proto::{
    policy::Policies,
    schema::{Definition, Extends},
};

use super::replays::Write;
use super::{
    Directory,
    credentials::{Expiry, insert_credential},
    ledger::Deed,
    policies,
    schemas::SchemaEdit,
    stored_tokens::IssuedCredential,
};
use crate::{
    auth::{Caller, Principal, Scopes},
    clock::Source,
    domain::{
        Kind,
        credential::{Secret, Wanted},
        flavor::Flavor,
        history::{ChangeKind, ResourceType},
        policy::{Lifetime, Policy},
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx, history,
        tenants::{self, Connection, Tenant},
    },
};

/// Longest name of a tenant, connection or credential, in characters.
const NAME_LIMIT: usize = 200;

/// What is to change of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionEdit {
    /// What people call it.
    pub name: Option<String>,
    /// How far its client deviates from the standard.
    pub flavor: Option<Flavor>,
    /// What it does with what its client sends.
    pub policy: Option<Policy>,
    /// How long new credentials live, whatever the policy says; `Some(None)` for good.
    pub credential_lifetime: Option<Option<Lifetime>>,
    /// Extension schemas that its policy names: registered where the tenant has none of
    /// their URNs.
    pub schemas: Vec<(Extends, Definition)>,
    /// Which versions are changed; a new connection has none yet.
    pub precondition: Precondition,
}

/// An edit on its way into the database.
struct Editing {
    caller: Caller,
    edit: ConnectionEdit,
    schemas: Vec<SchemaEdit>,
    source: Arc<dyn Source>,
}

impl Editing {
    /// Applies it, its policy checked against what the tenant has.
    async fn apply(&self, tx: &Tx, connection: &mut Connection) -> Result<()> {
        let (edit, caller) = (self.edit.clone(), &self.caller);
        for schema in &self.schemas {
            schema.put_if_missing(tx, caller).await?;
        }
        if let Some(name) = &edit.name {
            connection.name = connection_name(name)?;
        }
        connection.flavor = edit.flavor.unwrap_or(connection.flavor);
        let mut policy = edit.policy.unwrap_or_else(|| connection.policy.clone());
        if let Some(lifetime) = edit.credential_lifetime {
            policy.credential_lifetime = lifetime;
        }
        if policy != connection.policy {
            connection.policy =
                policies::settled(tx, caller, self.source.as_ref(), policy, &connection.policy)
                    .await?;
        }
        Ok(())
    }
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

    /// Creates a connection of the caller's tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Taken`].
    pub async fn create_connection(
        &self,
        caller: &Caller,
        name: &str,
        edit: ConnectionEdit,
    ) -> Result<Connection> {
        let connection = self.new_connection(&caller.tenant_id, name)?;
        let work = Arc::new((self.editing(caller, edit)?, connection));
        self.once(caller, Write::at_length("CreateConnection"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (editing, connection) = &*work;
                let mut new = connection.clone();
                editing.apply(&tx, &mut new).await?;
                insert_connection(&tx, &editing.caller, &new).await?;
                Ok(new)
            }
        })
        .await
    }

    /// Changes the connection with this id; what it is already changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::Taken`],
    /// [`Error::VersionMismatch`].
    pub async fn update_connection(
        &self,
        caller: &Caller,
        connection_id: &str,
        edit: ConnectionEdit,
    ) -> Result<Connection> {
        let work = Arc::new((self.editing(caller, edit)?, connection_id.to_owned()));
        self.once(caller, Write::at_length("UpdateConnection"), move |tx| {
            let work = Arc::clone(&work);
            async move { update(&tx, &work.0, &work.1).await }
        })
        .await
    }

    fn editing(&self, caller: &Caller, mut edit: ConnectionEdit) -> Result<Editing> {
        let schemas = std::mem::take(&mut edit.schemas).into_iter();
        let schemas = schemas
            .map(|(extends, definition)| self.schema_edit(&caller.tenant_id, extends, definition));
        Ok(Editing {
            caller: caller.clone(),
            schemas: schemas.collect::<Result<_>>()?,
            source: Arc::clone(&self.source),
            edit,
        })
    }

    fn new_connection(&self, tenant_id: &str, name: &str) -> Result<Connection> {
        let now = self.source.now_ms();
        Ok(Connection {
            id: self.source.new_id(),
            tenant_id: tenant_id.to_owned(),
            name: connection_name(name)?,
            flavor: Flavor::default(),
            policy: Policy::default(),
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

    /// The tenant's connections behind this id, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn connections_after(
        &self,
        tenant_id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Connection>> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        tenants::connections_after(&self.store.single(), tenant_id, after, limit).await
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

    /// A connection of the caller's tenant, by its id. A provisioning client knows
    /// its own alone, and need not name it; others must be allowed to see all.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::ScopeMissing`].
    pub async fn own_connection(&self, caller: &Caller, id: &str) -> Result<Connection> {
        let id = match caller.connection() {
            Some(own) if id.is_empty() || id == own => own,
            None if !id.is_empty() => {
                caller.require("provisioning.read")?;
                id
            }
            _ => return Err(not_found(Kind::Connection, id)),
        };
        self.connection(&caller.tenant_id, id).await
    }

    /// The tenant's connection with this id, which is no name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn connection(&self, tenant_id: &str, id: &str) -> Result<Connection> {
        let found = self.find_connection(tenant_id, id).await?;
        match found.id == id {
            true => Ok(found),
            false => Err(not_found(Kind::Connection, id)),
        }
    }

    /// On an empty database, makes tenant `default` with connection `entra` and
    /// one credential; otherwise `None`.
    ///
    /// # Errors
    /// The database's.
    pub async fn bootstrap(&self) -> Result<Option<Bootstrap>> {
        let tenant = self.new_tenant("default")?;
        let connection = self.new_connection(&tenant.id, "entra")?;
        let operator = Caller::inside(&tenant.id, Principal::Operator);
        let (wanted, expiry) = (Wanted::Bearer, Expiry::Never);
        let issued = self.new_credential(&operator, &connection, wanted, "bootstrap", expiry)?;
        let made = Bootstrap {
            tenant,
            connection,
            issued,
        };
        let new = Arc::new((made.clone(), operator));
        let empty = self
            .store
            .administer("Bootstrap", move |tx| {
                let new = Arc::clone(&new);
                async move {
                    let (new, operator) = &*new;
                    if !tenants::list_tenants(&tx).await?.is_empty() {
                        return Ok(false);
                    }
                    insert_tenant(&tx, &new.tenant).await?;
                    insert_connection(&tx, operator, &new.connection).await?;
                    let IssuedCredential {
                        credential, secret, ..
                    } = &new.issued;
                    let kept = secret.as_ref().map(Secret::kept);
                    let method = "CreateCredential";
                    insert_credential(&tx, operator, method, credential, kept).await?;
                    Ok(true)
                }
            })
            .await?;
        Ok(empty.then_some(made))
    }
}

pub(super) fn not_found(kind: Kind, id: &str) -> Error {
    Error::NotFound {
        kind,
        id: id.to_owned(),
    }
}

pub(super) fn checked_name(name: &str) -> Result<String> {
    checked("name", name)
}

fn connection_name(name: &str) -> Result<String> {
    checked("display_name", name)
}

fn checked(field: &str, name: &str) -> Result<String> {
    let name = name.trim();
    let printable = !name.chars().any(char::is_control);
    if name.is_empty() || name.chars().count() > NAME_LIMIT || !printable {
        let rule = format!("must have 1 to {NAME_LIMIT} printable characters");
        return Err(Error::invalid(field, rule));
    }
    Ok(name.to_owned())
}

/// Scopes of the contract for which no RPC asks yet: who has one need not be
/// registered again when one does.
const AHEAD: [&str; 3] = ["provisioning.facade", "server.admin", "server.read"];

/// Scopes of the contract, each once.
pub(super) fn checked_scopes(scopes: Scopes) -> Result<Scopes> {
    let Scopes::Named(names) = &scopes else {
        return Ok(scopes);
    };
    let known = Policies::load().map_err(|e| Error::Internal(e.into()))?;
    let mut known = known.scopes();
    known.extend(AHEAD);
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

async fn update(tx: &Tx, editing: &Editing, id: &str) -> Result<Connection> {
    let (caller, now) = (&editing.caller, editing.source.now_ms());
    let found = tenants::find_connection(tx, &caller.tenant_id, id).await?;
    let found = found.filter(|found| found.id == id);
    let mut connection = found.ok_or_else(|| not_found(Kind::Connection, id))?;
    editing.edit.precondition.check(connection.version)?;
    let before = connection.clone();
    editing.apply(tx, &mut connection).await?;
    if connection == before {
        return Ok(connection);
    }
    connection.version += 1;
    connection.updated_at = now.max(connection.updated_at + 1);
    tenants::update_connection(tx, &connection).await?;
    // Calls go by it.
    history::change_access(tx, &caller.tenant_id).await?;
    let what = ("UpdateConnection", ChangeKind::Updated);
    record(tx, caller, what, &connection, now).await?;
    Ok(connection)
}

async fn record(
    tx: &Tx,
    caller: &Caller,
    (method, kind): (&'static str, ChangeKind),
    connection: &Connection,
    now: i64,
) -> Result<()> {
    let deed = Deed {
        method,
        kind,
        resource_type: ResourceType::Connection,
        resource_id: &connection.id,
        owner: Some(&connection.id),
        user_id: None,
        version: connection.version,
    };
    deed.record(tx, caller, now).await.map(|_| ())
}

async fn insert_tenant(tx: &Tx, tenant: &Tenant) -> Result<()> {
    tenants::insert_tenant(tx, tenant).await?;
    history::start(tx, &tenant.id).await
}

async fn insert_connection(tx: &Tx, caller: &Caller, connection: &Connection) -> Result<()> {
    tenants::insert_connection(tx, connection).await?;
    let what = ("CreateConnection", ChangeKind::Created);
    record(tx, caller, what, connection, connection.created_at).await
}
