//! When credentials and service clients were last used.

use sea_orm::ConnectionTrait as _;

use super::{Tx, sql::Sql};
use crate::error::Result;

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A stored token.
    Credential,
    /// A service client.
    Client,
}

/// That something was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What kind of thing.
    pub holder: Holder,
    /// Its id.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Whence.
    pub address: Option<String>,
}

/// Writes uses, but none within so many milliseconds of one that is written:
/// other processes write, too.
///
/// # Errors
/// The database's.
pub async fn write(tx: &Tx, uses: &[Use], apart_ms: i64) -> Result<()> {
    let connection = &tx.connection();
    for used in uses {
        let table = match used.holder {
            Holder::Credential => "credentials",
            Holder::Client => "service_clients",
        };
        let sql = Sql::new(format!(
            "UPDATE {table} SET last_used_at = ?, last_used_address = ? WHERE id = ? \
             AND (last_used_at IS NULL OR last_used_at <= ?)"
        ))
        .bind(used.at)
        .bind(used.address.clone())
        .bind(used.id.as_str())
        .bind(used.at - apart_ms);
        let statement = sql.statement(connection.get_database_backend());
        connection.execute_raw(statement).await?;
    }
    Ok(())
}
