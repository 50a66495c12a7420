//! Deactivations that wait for an operator, and what a guard counts.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Tx, entity::held_operations::Model, sql::Sql};
use crate::error::{Error, Result};

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOperation {
    /// The user is to be deactivated.
    Deactivate,
    /// The user is to be deleted.
    Delete,
}

impl HeldOperation {
    /// Its name in the database and for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Deactivate, Self::Delete]
            .into_iter()
            .find(|operation| operation.name() == name)
    }
}

/// A deactivation that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose; also the id of what waits.
    pub user_id: String,
    /// Of the user.
    pub tenant_id: String,
    /// Whose client asked for it.
    pub connection_id: String,
    /// For what.
    pub operation: HeldOperation,
    /// The `userName` that he is to have then; `None`: the one that he has.
    pub user_name: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub held_at: i64,
    /// When it is done all the same, in milliseconds since the Unix epoch.
    pub due_at: i64,
}

impl TryFrom<Model> for Held {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self> {
        let broken = || Error::internal(format!("held_operations of {}", row.user_id));
        Ok(Self {
            operation: HeldOperation::of(&row.operation).ok_or_else(broken)?,
            user_name: row.user_name,
            user_id: row.user_id,
            tenant_id: row.tenant_id,
            connection_id: row.connection_id,
            held_at: row.held_at,
            due_at: row.due_at,
        })
    }
}

/// Which of a tenant's are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldOf<'a> {
    /// Of this connection; `None`: of all.
    pub connection_id: Option<&'a str>,
    /// Behind this user, in the order of their ids.
    pub after: Option<&'a str>,
    /// Due until then; `None`: whenever.
    pub due_until: Option<i64>,
}

/// Lets a deactivation wait, or changes what waits.
///
/// # Errors
/// The database's.
pub async fn put(tx: &Tx, held: &Held) -> Result<()> {
    remove(tx, &held.user_id).await?;
    let insert = Sql::new(
        "INSERT INTO held_operations \
         (user_id, tenant_id, connection_id, operation, user_name, held_at, due_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(held.user_id.as_str())
    .bind(held.tenant_id.as_str())
    .bind(held.connection_id.as_str())
    .bind(held.operation.name())
    .bind(held.user_name.as_deref())
    .bind(held.held_at)
    .bind(held.due_at);
    run(tx, insert).await
}

/// Nothing waits for this user any more.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &Tx, user_id: &str) -> Result<()> {
    run(
        tx,
        Sql::new("DELETE FROM held_operations WHERE user_id = ?").bind(user_id),
    )
    .await
}

/// What waits for this user of the tenant.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, tenant_id: &str, user_id: &str) -> Result<Option<Held>> {
    let sql = Sql::new("SELECT * FROM held_operations WHERE tenant_id = ? AND user_id = ?")
        .bind(tenant_id)
        .bind(user_id);
    Ok(read(tx, sql).await?.pop())
}

/// What waits in a tenant, in the order of users' ids.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, tenant_id: &str, of: HeldOf<'_>, limit: usize) -> Result<Vec<Held>> {
    let mut sql = Sql::new("SELECT * FROM held_operations WHERE tenant_id = ?").bind(tenant_id);
    if let Some(connection_id) = of.connection_id {
        sql = sql.text(" AND connection_id = ?").bind(connection_id);
    }
    if let Some(after) = of.after {
        sql = sql.text(" AND user_id > ?").bind(after);
    }
    if let Some(due) = of.due_until {
        sql = sql.text(" AND due_at <= ?").bind(due);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read(tx, sql.text(" ORDER BY user_id LIMIT ?").bind(limit)).await
}

/// How many wait for a connection's sake.
///
/// # Errors
/// The database's.
pub async fn count(tx: &Tx, connection_id: &str) -> Result<u64> {
    counted(
        tx,
        Sql::new("SELECT count(*) AS number FROM held_operations WHERE connection_id = ?")
            .bind(connection_id),
    )
    .await
}

/// Notes that a connection deactivated a user, and forgets what was before `since`.
///
/// # Errors
/// The database's.
pub async fn note(
    tx: &Tx,
    connection_id: &str,
    user_id: &str,
    now_ms: i64,
    since: i64,
) -> Result<()> {
    let forget = Sql::new(
        "DELETE FROM deactivations WHERE connection_id = ? AND (done_at < ? OR user_id = ?)",
    )
    .bind(connection_id)
    .bind(since)
    .bind(user_id);
    run(tx, forget).await?;
    let note =
        Sql::new("INSERT INTO deactivations (connection_id, user_id, done_at) VALUES (?, ?, ?)")
            .bind(connection_id)
            .bind(user_id)
            .bind(now_ms);
    run(tx, note).await
}

/// Forgets that a user was deactivated: he is back.
///
/// # Errors
/// The database's.
pub async fn forget_noted(tx: &Tx, user_id: &str) -> Result<()> {
    let forget = Sql::new("DELETE FROM deactivations WHERE user_id = ?");
    run(tx, forget.bind(user_id)).await
}

/// Forgets what no guard counts any more: from before this time.
///
/// # Errors
/// The database's.
pub async fn forget_before(tx: &Tx, before_ms: i64) -> Result<()> {
    let forget = Sql::new("DELETE FROM deactivations WHERE done_at < ?");
    run(tx, forget.bind(before_ms)).await
}

/// How many began to wait since then, by tenant and connection.
///
/// # Errors
/// The database's.
pub async fn begun_since(tx: &Tx, since: i64) -> Result<Vec<(String, String, i64)>> {
    #[derive(FromQueryResult)]
    struct Row {
        tenant_id: String,
        connection_id: String,
        number: i64,
    }
    let sql = Sql::new(
        "SELECT tenant_id, connection_id, count(*) AS number FROM held_operations \
         WHERE held_at >= ? GROUP BY tenant_id, connection_id",
    )
    .bind(since);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Row::find_by_statement(statement).all(connection).await?;
    let begun = rows.into_iter();
    Ok(begun
        .map(|row| (row.tenant_id, row.connection_id, row.number))
        .collect())
}

/// How many users a connection deactivated since then.
///
/// # Errors
/// The database's.
pub async fn noted_since(tx: &Tx, connection_id: &str, since: i64) -> Result<u64> {
    let sql = Sql::new(
        "SELECT count(*) AS number FROM deactivations WHERE connection_id = ? AND done_at >= ?",
    );
    counted(tx, sql.bind(connection_id).bind(since)).await
}

/// How many users of a tenant may act, as far as their client decides: all but the
/// few who may not, of whom there is an index.
///
/// # Errors
/// The database's.
pub async fn users(tx: &Tx, tenant_id: &str) -> Result<u64> {
    let sql = Sql::new(
        "SELECT (SELECT count(*) FROM users WHERE tenant_id = ? AND deleted_at IS NULL) - \
         (SELECT count(*) FROM users WHERE tenant_id = ? AND deleted_at IS NULL \
         AND NOT active AND held_at IS NULL) AS number",
    );
    counted(tx, sql.bind(tenant_id).bind(tenant_id)).await
}

async fn counted(tx: &Tx, sql: Sql) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Count {
        number: i64,
    }
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Count::find_by_statement(statement).one(connection).await?;
    let number = row.map(|row| row.number).unwrap_or_default();
    Ok(u64::try_from(number).unwrap_or_default())
}

async fn read(tx: &Tx, sql: Sql) -> Result<Vec<Held>> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Model::find_by_statement(statement).all(connection).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

async fn run(tx: &Tx, sql: Sql) -> Result<()> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
