//! Rows on their way out of a database and into another.
//!
//! What can be computed is not carried: keys and search documents are made
//! anew, by the rules of the build that reads them.

mod rows;

use std::collections::HashMap;

use muster_proto::schema::Registry;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, FromQueryResult, IntoActiveModel as _};
use serde::{Deserialize, Serialize};

use super::{
    Handle, Store, Tx, begin, credentials as credential_rows,
    entity::{
        audit_entries, connections, credential_secrets, credentials, extension_schemas,
        external_ids, federated_identities, groups, held_operations, memberships, service_clients,
        settings, tenants, users,
    },
    history, resources, schemas,
    sql::Sql,
};
use crate::{
    domain::{
        Resource,
        access::{Access, Lock},
        flavor::Flavor,
        resource::ResourceKind,
        search::object_from_json,
    },
    error::{Error, Result, Violation},
};

pub use rows::Rows;

/// Rows written by one statement.
const CHUNK: usize = 500;

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A fact about the store.
    Setting(SettingRow),
    /// A tenant.
    Tenant(TenantRow),
    /// Where a tenant's history stands.
    Head(HeadRow),
    /// An extension schema of a tenant.
    Schema(SchemaRow),
    /// A provisioning client.
    Connection(ConnectionRow),
    /// A stored token.
    Credential(CredentialRow),
    /// A secret of a stored token, as its hash.
    Secret(SecretRow),
    /// A service client.
    Client(ClientRow),
    /// A user.
    User(ResourceRow),
    /// A group.
    Group(ResourceRow),
    /// What a connection calls a resource.
    ExternalId(ExternalIdRow),
    /// What an identity provider calls a user.
    FederatedIdentity(FederatedIdentityRow),
    /// A member of a group.
    Membership(MembershipRow),
    /// A deactivation that waits for an operator.
    Held(HeldRow),
    /// What somebody did.
    Audit(AuditRow),
}

/// Opaque rows: what is in them is for the database alone.
macro_rules! row {
    ($($(#[$attribute:meta])* $name:ident = $model:ty),* $(,)?) => {
        $(
            $(#[$attribute])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $name($model);
        )*
    };
}

row! {
    /// A fact about the store.
    SettingRow = settings::Model,
    /// A tenant.
    TenantRow = tenants::Model,
    /// An extension schema.
    SchemaRow = extension_schemas::Model,
    /// A provisioning client.
    ConnectionRow = connections::Model,
    /// A secret of a stored token.
    SecretRow = credential_secrets::Model,
    /// A service client.
    ClientRow = service_clients::Model,
    /// What a connection calls a resource.
    ExternalIdRow = external_ids::Model,
    /// What an identity provider calls a user.
    FederatedIdentityRow = federated_identities::Model,
    /// A member of a group.
    MembershipRow = memberships::Model,
    /// A deactivation that waits.
    HeldRow = held_operations::Model,
    /// What somebody did.
    AuditRow = audit_entries::Model,
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CredentialRow {
    #[serde(flatten)]
    kept: credentials::Model,
    // The only secret, in exports from before there could be several.
    #[serde(default, skip_serializing)]
    key_id: Option<String>,
    #[serde(default, skip_serializing)]
    secret_hash: Option<String>,
}

impl CredentialRow {
    fn secret(&mut self) -> Option<credential_secrets::Model> {
        Some(credential_secrets::Model {
            key_id: self.key_id.take()?,
            secret_hash: self.secret_hash.take()?,
            credential_id: self.kept.id.clone(),
            created_at: self.kept.created_at,
            valid_until: None,
        })
    }
}

/// Where a tenant's history stands. Changes are not carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadRow {
    tenant_id: String,
    revision: i64,
    audit_sequence: i64,
    audit_hash: String,
}

/// A user or a group, deleted ones included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRow {
    id: String,
    tenant_id: String,
    attributes: serde_json::Value,
    version: i64,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
    connection_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_valid_after: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lock_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_at: Option<i64>,
}

macro_rules! resource_row {
    ($model:ty { $($own:ident),* } { $($other:ident),* }) => {
        impl TryFrom<$model> for ResourceRow {
            type Error = Error;

            fn try_from(row: $model) -> Result<Self> {
                let attributes = serde_json::from_str(&row.document);
                Ok(Self {
                    attributes: attributes.map_err(|e| Error::Internal(e.into()))?,
                    id: row.id,
                    tenant_id: row.tenant_id,
                    version: row.version,
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                    deleted_at: row.deleted_at,
                    connection_id: row.connection_id,
                    $($own: row.$own,)*
                    $($other: None,)*
                })
            }
        }
    };
}

resource_row!(users::Model { tokens_valid_after, locked_at, lock_reason, held_at } {});
resource_row!(groups::Model {} { tokens_valid_after, locked_at, lock_reason, held_at });

impl ResourceRow {
    /// The resource that the row holds.
    ///
    /// # Errors
    /// Those of [`Resource::conformed`].
    fn into_resource(self, kind: ResourceKind, registry: &Registry) -> Result<Resource> {
        let resource = Resource {
            kind,
            id: self.id,
            attributes: object_from_json(self.attributes),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            owner: self.connection_id,
            access: Access {
                lock: self.locked_at.map(|at| Lock {
                    at,
                    reason: self.lock_reason.unwrap_or_default(),
                }),
                tokens_valid_after: self.tokens_valid_after,
                held_at: self.held_at,
            },
        };
        resource.conformed(kind.within(registry))
    }
}

/// Writes rows of one kind.
///
/// # Errors
/// [`Error::Taken`] for rows that are there already.
pub async fn insert(tx: &Tx, rows: Vec<Record>) -> Result<()> {
    for chunk in rows.chunks(CHUNK) {
        insert_chunk(tx, chunk.to_vec()).await?;
    }
    Ok(())
}

async fn insert_chunk(tx: &Tx, rows: Vec<Record>) -> Result<()> {
    let mut many = Many::default();
    for row in rows {
        many.add(tx, row).await?;
    }
    many.insert(tx).await
}

/// Rows by kind; one of them is filled.
#[derive(Default)]
struct Many {
    registries: HashMap<String, &'static Registry>,
    schemas: Vec<extension_schemas::ActiveModel>,
    tenants: Vec<tenants::ActiveModel>,
    connections: Vec<connections::ActiveModel>,
    credentials: Vec<credentials::ActiveModel>,
    secrets: Vec<credential_secrets::ActiveModel>,
    clients: Vec<service_clients::ActiveModel>,
    users: Vec<(String, Resource)>,
    groups: Vec<(String, Resource)>,
    external_ids: Vec<external_ids::ActiveModel>,
    identities: Vec<federated_identities::ActiveModel>,
    memberships: Vec<memberships::ActiveModel>,
    held: Vec<held_operations::ActiveModel>,
    audit: Vec<audit_entries::ActiveModel>,
}

impl Many {
    async fn add(&mut self, tx: &Tx, row: Record) -> Result<()> {
        match row {
            Record::Setting(SettingRow(row)) if row.name == super::settings::CURSOR_KEY => {
                super::settings::save(tx, &row.name, row.value).await?;
            }
            Record::Setting(_) => return Err(Error::invalid("setting", "is none that is carried")),
            Record::Head(row) => {
                let HeadRow {
                    tenant_id,
                    revision,
                    audit_sequence,
                    audit_hash,
                } = row;
                let numbers = 0..=i64::MAX / 2;
                if !numbers.contains(&revision) || !numbers.contains(&audit_sequence) {
                    return Err(Error::invalid("head", "has numbers out of range"));
                }
                history::begin_at(tx, &tenant_id, revision, audit_sequence, audit_hash).await?;
            }
            Record::Schema(SchemaRow(row)) => {
                if schemas::extends(row.resource_type).is_none() {
                    let rule = "is neither that of users nor that of groups";
                    return Err(Error::invalid("resource_type", rule));
                }
                let schema = schemas::TenantSchema::try_from(row.clone())?;
                let broken = schema.definition.broken_rules().into_iter();
                let broken: Vec<_> = broken.map(|(p, rule)| Violation::new(p, rule)).collect();
                if !broken.is_empty() {
                    return Err(Error::SchemaInvalid(broken));
                }
                history::have_schemas(tx, &row.tenant_id, row.updated_at.max(1)).await?;
                self.schemas.push(row.into_active_model());
            }
            Record::Tenant(TenantRow(row)) => self.tenants.push(row.into_active_model()),
            Record::Connection(ConnectionRow(row)) => {
                if Flavor::of(&row.flavor).is_none() {
                    let rule = format!("is {:?}, which is none", row.flavor);
                    return Err(Error::invalid("flavor", rule));
                }
                self.connections.push(row.into_active_model());
            }
            Record::Credential(mut row) => {
                let grant = credential_rows::grant(&row.kept);
                let is_connections = row.kept.connection_id.is_some();
                if let Some(scope) = grant.excess().filter(|_| is_connections) {
                    let rule =
                        format!("has {scope}, which a credential of a user's own cannot have");
                    return Err(Error::invalid("scopes", rule));
                }
                let secret = row
                    .secret()
                    .map(sea_orm::IntoActiveModel::into_active_model);
                self.secrets.extend(secret);
                self.credentials.push(row.kept.into_active_model());
            }
            Record::Secret(SecretRow(row)) => self.secrets.push(row.into_active_model()),
            Record::Client(ClientRow(row)) => self.clients.push(row.into_active_model()),
            Record::User(row) => {
                let tenant = row.tenant_id.clone();
                let registry = self.learn(tx, &tenant).await?;
                let user = row.into_resource(ResourceKind::User, registry)?;
                self.users.push((tenant, user));
            }
            Record::Group(row) => {
                let tenant = row.tenant_id.clone();
                let registry = self.learn(tx, &tenant).await?;
                let group = row.into_resource(ResourceKind::Group, registry)?;
                self.groups.push((tenant, group));
            }
            Record::ExternalId(ExternalIdRow(row)) => {
                self.external_ids.push(row.into_active_model());
            }
            Record::FederatedIdentity(FederatedIdentityRow(row)) => {
                self.identities.push(row.into_active_model());
            }
            Record::Membership(MembershipRow(row)) => {
                self.memberships.push(row.into_active_model());
            }
            Record::Held(HeldRow(row)) => {
                // What cannot be read cannot be done.
                super::held::Held::try_from(row.clone())
                    .map_err(|_| Error::invalid("operation", "is none that can wait"))?;
                self.held.push(row.into_active_model());
            }
            Record::Audit(AuditRow(row)) => self.audit.push(row.into_active_model()),
        }
        Ok(())
    }

    /// What resources of a tenant consist of; its schemas came before.
    async fn learn(&mut self, tx: &Tx, tenant_id: &str) -> Result<&'static Registry> {
        if let Some(registry) = self.registries.get(tenant_id) {
            return Ok(registry);
        }
        let registry = schemas::registry(tx, tenant_id).await?;
        self.registries.insert(tenant_id.to_owned(), registry);
        Ok(registry)
    }

    async fn insert(self, tx: &Tx) -> Result<()> {
        macro_rules! all {
            ($rows:expr, $entity:ident) => {
                if !$rows.is_empty() {
                    $entity::Entity::insert_many($rows)
                        .exec_without_returning(&tx.connection())
                        .await?;
                }
            };
        }
        all!(self.tenants, tenants);
        all!(self.schemas, extension_schemas);
        all!(self.connections, connections);
        all!(self.credentials, credentials);
        all!(self.secrets, credential_secrets);
        all!(self.clients, service_clients);
        all!(self.external_ids, external_ids);
        all!(self.identities, federated_identities);
        all!(self.memberships, memberships);
        all!(self.held, held_operations);
        all!(self.audit, audit_entries);
        resources::insert_all(tx, &self.registries, &self.users).await?;
        resources::insert_all(tx, &self.registries, &self.groups).await
    }
}

/// What rows must not say, with a query that finds those that do.
const LIES: [(&str, &str); 10] = [
    (
        "a tenant has no head",
        "SELECT COUNT(*) AS found FROM tenants t \
         WHERE NOT EXISTS (SELECT 1 FROM directory_heads h WHERE h.tenant_id = t.id)",
    ),
    (
        "a credential is of another tenant than its connection",
        "SELECT COUNT(*) AS found FROM credentials c \
         JOIN connections o ON o.id = c.connection_id WHERE o.tenant_id <> c.tenant_id",
    ),
    (
        "a credential belongs to nobody, or to a user of another tenant",
        "SELECT COUNT(*) AS found FROM credentials c LEFT JOIN users u ON u.id = c.user_id \
         WHERE (c.connection_id IS NULL AND u.id IS NULL) \
         OR (u.id IS NOT NULL AND u.tenant_id <> c.tenant_id)",
    ),
    (
        "a secret belongs to no credential",
        "SELECT COUNT(*) AS found FROM credential_secrets s \
         WHERE NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = s.credential_id)",
    ),
    (
        "an external id names no resource of its connection's tenant",
        "SELECT COUNT(*) AS found FROM external_ids e \
         JOIN connections o ON o.id = e.connection_id \
         LEFT JOIN users u ON u.id = e.resource_id AND u.tenant_id = o.tenant_id \
         LEFT JOIN groups g ON g.id = e.resource_id AND g.tenant_id = o.tenant_id \
         WHERE u.id IS NULL AND g.id IS NULL",
    ),
    (
        "a federated identity is nobody's, of another tenant, or counts for who is deleted",
        "SELECT COUNT(*) AS found FROM federated_identities f \
         LEFT JOIN users u ON u.id = f.user_id AND u.tenant_id = f.tenant_id \
         WHERE u.id IS NULL OR (u.deleted_at IS NULL) <> f.live",
    ),
    (
        "a member is none of its group's tenant",
        "SELECT COUNT(*) AS found FROM memberships m JOIN groups g ON g.id = m.group_id \
         LEFT JOIN users mu ON mu.id = m.member_id AND mu.tenant_id = g.tenant_id \
         LEFT JOIN groups mg ON mg.id = m.member_id AND mg.tenant_id = g.tenant_id \
         WHERE mu.id IS NULL AND mg.id IS NULL",
    ),
    (
        "a deactivation waits without its user or connection, or a user without it",
        "SELECT (SELECT COUNT(*) FROM held_operations o \
         LEFT JOIN users u ON u.id = o.user_id AND u.tenant_id = o.tenant_id \
         AND u.held_at IS NOT NULL AND u.deleted_at IS NULL \
         LEFT JOIN connections c ON c.id = o.connection_id AND c.tenant_id = o.tenant_id \
         WHERE u.id IS NULL OR c.id IS NULL) + \
         (SELECT COUNT(*) FROM users u WHERE u.held_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM held_operations o WHERE o.user_id = u.id)) AS found",
    ),
    (
        "a version is out of range",
        "SELECT (SELECT COUNT(*) FROM users WHERE version < 1 OR version > 4611686018427387904) \
         + (SELECT COUNT(*) FROM groups WHERE version < 1 OR version > 4611686018427387904) \
         AS found",
    ),
    (
        "the audit does not end where its head says",
        "SELECT COUNT(*) AS found FROM directory_heads h \
         LEFT JOIN audit_entries a ON a.tenant_id = h.tenant_id \
         AND a.sequence = h.audit_sequence \
         WHERE h.audit_sequence > 0 AND (a.hash IS NULL OR a.hash <> h.audit_hash)",
    ),
];

/// Whether rows that came from elsewhere fit together.
///
/// # Errors
/// [`Error::Invalid`] with what does not.
pub async fn check(tx: &Tx) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Row {
        found: i64,
    }
    let connection = &tx.connection();
    for (what, query) in LIES {
        let statement = Sql::new(query).statement(connection.get_database_backend());
        let row = Row::find_by_statement(statement).one(connection).await?;
        if row.is_none_or(|row| row.found > 0) {
            return Err(Error::invalid("file", what));
        }
    }
    Ok(())
}

/// A transaction that has the store to itself.
#[derive(Debug)]
pub struct Alone {
    tx: Tx,
}

impl Alone {
    /// What queries run on.
    pub fn tx(&self) -> &Tx {
        &self.tx
    }

    /// Commits what was written.
    ///
    /// # Errors
    /// The database's.
    pub async fn commit(self) -> Result<()> {
        let Handle::Transaction(transaction) = self.tx.handle else {
            return Err(Error::internal("not a transaction"));
        };
        let transaction = std::sync::Arc::try_unwrap(transaction)
            .map_err(|_| Error::internal("a transaction outlived its work"))?;
        Ok(transaction.commit().await?)
    }
}

impl Store {
    /// A view of the database at one moment that may be looked at for long.
    ///
    /// # Errors
    /// The database's.
    pub async fn long_view(&self) -> Result<Tx> {
        let tx = self.snapshot().await?;
        if let Handle::Transaction(transaction) = &tx.handle {
            self.dialect.take_time(transaction).await?;
        }
        Ok(tx)
    }

    /// Begins a transaction for work that is too much for a closure. Nothing is
    /// written unless it is committed.
    ///
    /// # Errors
    /// The database's.
    pub async fn alone(&self) -> Result<Alone> {
        let options = self.dialect.write_transaction();
        let transaction = begin(&self.writer, options).await?;
        self.dialect.take_time(&transaction).await?;
        let tx = Tx {
            handle: Handle::Transaction(std::sync::Arc::new(transaction)),
            dialect: self.dialect,
            ledger: None,
        };
        history::administer(&tx).await?;
        Ok(Alone { tx })
    }
}
