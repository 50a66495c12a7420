//! Requests that were done under an id of their caller's, and what they came to.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Tx, sql::Sql};
use crate::{
    auth::{Caller, Once},
    error::Result,
};

/// A request that was done.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Done {
    /// Of method and payload.
    pub digest: String,
    /// What it came to, as whoever did it wrote it.
    pub outcome: String,
}

/// The caller's request with this id, unless it was too long ago.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, caller: &Caller, once: &Once, now_ms: i64) -> Result<Option<Done>> {
    let sql = Sql::new(
        "SELECT digest, outcome FROM request_ids \
         WHERE tenant_id = ? AND caller_id = ? AND request_id = ? AND expires_at > ?",
    )
    .bind(caller.tenant_id.as_str())
    .bind(caller.id())
    .bind(once.request_id.as_str())
    .bind(now_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    Ok(Done::find_by_statement(statement).one(connection).await?)
}

/// Keeps what a request came to; one that was too long ago gives way.
///
/// # Errors
/// The database's.
pub async fn keep(
    tx: &Tx,
    caller: &Caller,
    once: &Once,
    outcome: &str,
    expires_ms: i64,
) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO request_ids \
         (tenant_id, caller_id, request_id, digest, outcome, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant_id, caller_id, request_id) DO UPDATE SET \
         digest = excluded.digest, outcome = excluded.outcome, expires_at = excluded.expires_at",
    )
    .bind(caller.tenant_id.as_str())
    .bind(caller.id())
    .bind(once.request_id.as_str())
    .bind(once.digest.as_str())
    .bind(outcome)
    .bind(expires_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}

/// Forgets requests that were done too long ago.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &Tx, now_ms: i64) -> Result<()> {
    let sql = Sql::new("DELETE FROM request_ids WHERE expires_at <= ?").bind(now_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
