//! Service clients.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    Tx,
    credentials::words,
    entity::service_clients,
    sql::{Sql, can_be},
};
use crate::{
    domain::{client::Grantable, fold::fold},
    error::Result,
};

/// A program of a tenant that calls the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// UUIDv7.
    pub id: String,
    /// Whose.
    pub tenant_id: String,
    /// Unique in the tenant without case.
    pub name: String,
    /// What it may do at the directory.
    pub scopes: Vec<String>,
    /// What it may put into tokens of users.
    pub grantable: Grantable,
    /// Its public keys: a JWK set.
    pub keys: String,
    /// Thumbprint of the certificate that its calls must come with.
    pub certificate: Option<String>,
    /// Grows by one per change, from 1.
    pub version: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// Milliseconds since the Unix epoch; `None` while it is let in.
    pub disabled_at: Option<i64>,
    /// For people.
    pub disable_reason: String,
    /// Tokens issued until then are dead; milliseconds since the Unix epoch.
    pub tokens_valid_after: Option<i64>,
    /// Milliseconds since the Unix epoch; at most a minute old.
    pub last_used_at: Option<i64>,
    /// Whence it came then.
    pub last_used_address: Option<String>,
}

/// A client with what its calls go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The client.
    pub client: Client,
    /// Its tenant's.
    pub schema_version: i64,
    /// Its tenant's, read with it.
    pub access_version: i64,
}

#[derive(Debug, FromQueryResult)]
struct StandingRow {
    #[sea_orm(nested)]
    client: service_clients::Model,
    schema_version: i64,
    access_version: i64,
}

impl From<service_clients::Model> for Client {
    fn from(row: service_clients::Model) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            name: row.name,
            scopes: words(&row.scopes),
            grantable: Grantable {
                audiences: words(&row.audiences),
                scopes: row.token_scopes.as_deref().map(words),
            },
            keys: row.keys,
            certificate: row.certificate,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            disabled_at: row.disabled_at,
            disable_reason: row.disable_reason,
            tokens_valid_after: row.tokens_valid_after,
            last_used_at: row.last_used_at,
            last_used_address: row.last_used_address,
        }
    }
}

/// Puts a new client in.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken).
pub async fn insert(tx: &Tx, client: &Client) -> Result<()> {
    let row = service_clients::ActiveModel {
        id: Set(client.id.clone()),
        tenant_id: Set(client.tenant_id.clone()),
        name: Set(client.name.clone()),
        name_key: Set(fold(&client.name)),
        scopes: Set(client.scopes.join(" ")),
        audiences: Set(client.grantable.audiences.join(" ")),
        token_scopes: Set(client
            .grantable
            .scopes
            .as_ref()
            .map(|names| names.join(" "))),
        keys: Set(client.keys.clone()),
        certificate: Set(client.certificate.clone()),
        version: Set(client.version),
        created_at: Set(client.created_at),
        updated_at: Set(client.updated_at),
        disabled_at: Set(client.disabled_at),
        disable_reason: Set(client.disable_reason.clone()),
        tokens_valid_after: Set(client.tokens_valid_after),
        last_used_at: Set(None),
        last_used_address: Set(None),
    };
    service_clients::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// Writes what can change of a client.
///
/// # Errors
/// The database's.
pub async fn update(tx: &Tx, client: &Client) -> Result<()> {
    let row = service_clients::ActiveModel {
        id: Set(client.id.clone()),
        version: Set(client.version),
        updated_at: Set(client.updated_at),
        disabled_at: Set(client.disabled_at),
        disable_reason: Set(client.disable_reason.clone()),
        tokens_valid_after: Set(client.tokens_valid_after),
        ..Default::default()
    };
    service_clients::Entity::update(row)
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// The tenant's client with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, tenant_id: &str, id: &str) -> Result<Option<Client>> {
    if !can_be(id) {
        return Ok(None);
    }
    let row = service_clients::Entity::find_by_id(id.to_owned())
        .filter(service_clients::Column::TenantId.eq(tenant_id))
        .one(&tx.connection())
        .await?;
    Ok(row.map(Into::into))
}

/// The tenant's client with this name.
///
/// # Errors
/// The database's.
pub async fn find_named(tx: &Tx, tenant_id: &str, name: &str) -> Result<Option<Client>> {
    let row = service_clients::Entity::find()
        .filter(service_clients::Column::TenantId.eq(tenant_id))
        .filter(service_clients::Column::NameKey.eq(fold(name)))
        .one(&tx.connection())
        .await?;
    Ok(row.map(Into::into))
}

/// The tenant's clients behind this id, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, tenant_id: &str, after: &str, limit: u64) -> Result<Vec<Client>> {
    let rows = service_clients::Entity::find()
        .filter(service_clients::Column::TenantId.eq(tenant_id))
        .filter(service_clients::Column::Id.gt(after))
        .order_by_asc(service_clients::Column::Id)
        .limit(limit)
        .all(&tx.connection())
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// What is known of the client with this id, of whatever tenant; nothing when
/// this token of it was revoked. Whoever names it has still to prove that he is
/// it.
///
/// # Errors
/// The database's.
pub async fn standing(tx: &Tx, id: &str, jti: &str) -> Result<Option<Standing>> {
    if !can_be(id) || !can_be(jti) {
        return Ok(None);
    }
    let sql = Sql::new(
        "SELECT c.*, h.schema_version, h.access_version FROM service_clients c \
         JOIN directory_heads h ON h.tenant_id = c.tenant_id WHERE c.id = ? AND NOT EXISTS \
         (SELECT 1 FROM spent_tokens t WHERE t.tenant_id = c.tenant_id AND t.jti = ?)",
    )
    .bind(id)
    .bind(jti);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = StandingRow::find_by_statement(statement)
        .one(connection)
        .await?;
    Ok(row.map(|row| Standing {
        client: row.client.into(),
        schema_version: row.schema_version,
        access_version: row.access_version,
    }))
}
