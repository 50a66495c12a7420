//! Tokens that are dead before their time, and assertions that were used.

use sea_orm::ConnectionTrait as _;

use super::{Tx, sql::Sql};
use crate::error::Result;

/// Remembers a token until it would end by itself; whether it was not known.
///
/// # Errors
/// The database's.
pub async fn spend(tx: &Tx, tenant_id: &str, jti: &str, expires_ms: i64) -> Result<bool> {
    let sql = Sql::new(
        "INSERT INTO spent_tokens (tenant_id, jti, expires_at) VALUES (?, ?, ?) \
         ON CONFLICT (tenant_id, jti) DO NOTHING",
    )
    .bind(tenant_id)
    .bind(jti)
    .bind(expires_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    Ok(connection.execute_raw(statement).await?.rows_affected() > 0)
}

/// Forgets tokens that ended before this time.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &Tx, before_ms: i64) -> Result<()> {
    let sql = Sql::new("DELETE FROM spent_tokens WHERE expires_at < ?").bind(before_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
