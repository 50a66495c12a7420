//! Credentials of connections. The secret itself is never here.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::Expr,
};

use super::{Tx, entity::credentials};
use crate::error::Result;

/// What is kept of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// UUIDv7.
    pub id: String,
    /// Whose tenant.
    pub tenant_id: String,
    /// Whose connection.
    pub connection_id: String,
    /// What people call it.
    pub name: String,
    /// The part of the secret that finds it.
    pub key_id: String,
    /// SHA-256 of the secret, in hexadecimal.
    pub secret_hash: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expires_at: Option<i64>,
    /// Milliseconds since the Unix epoch; `None`: not revoked.
    pub revoked_at: Option<i64>,
}

impl From<credentials::Model> for Credential {
    fn from(row: credentials::Model) -> Self {
        Self {
            id: row.id,
            tenant_id: row.tenant_id,
            connection_id: row.connection_id,
            name: row.name,
            key_id: row.key_id,
            secret_hash: row.secret_hash,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// Puts a new credential in.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &Tx, credential: &Credential) -> Result<()> {
    let row = credentials::ActiveModel {
        id: Set(credential.id.clone()),
        tenant_id: Set(credential.tenant_id.clone()),
        connection_id: Set(credential.connection_id.clone()),
        name: Set(credential.name.clone()),
        key_id: Set(credential.key_id.clone()),
        secret_hash: Set(credential.secret_hash.clone()),
        created_at: Set(credential.created_at),
        expires_at: Set(credential.expires_at),
        revoked_at: Set(credential.revoked_at),
    };
    credentials::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// The credential with this key id, of whatever tenant.
///
/// # Errors
/// The database's.
pub async fn find_by_key(tx: &Tx, key_id: &str) -> Result<Option<Credential>> {
    let row = credentials::Entity::find()
        .filter(credentials::Column::KeyId.eq(key_id))
        .one(&tx.connection())
        .await?;
    Ok(row.map(Into::into))
}

/// The tenant's credential with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, tenant_id: &str, id: &str) -> Result<Option<Credential>> {
    let row = credentials::Entity::find_by_id(id.to_owned())
        .filter(credentials::Column::TenantId.eq(tenant_id))
        .one(&tx.connection())
        .await?;
    Ok(row.map(Into::into))
}

/// The connection's credentials, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, connection_id: &str) -> Result<Vec<Credential>> {
    let rows = credentials::Entity::find()
        .filter(credentials::Column::ConnectionId.eq(connection_id))
        .order_by_asc(credentials::Column::Id)
        .all(&tx.connection())
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Marks the credential as revoked.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &Tx, id: &str, now_ms: i64) -> Result<()> {
    credentials::Entity::update_many()
        .col_expr(credentials::Column::RevokedAt, Expr::value(now_ms))
        .filter(credentials::Column::Id.eq(id))
        .exec(&tx.connection())
        .await?;
    Ok(())
}
