//! A connection that is kept for several statements.
//!
//! The pool tries every connection that comes back, which is another way to the
//! database and back. Whoever asks again at once keeps his.

use sea_orm::{DatabaseConnection, DbErr, QueryResult, RuntimeErr, Statement, Value, sqlx};
use sqlx::{AssertSqlSafe, Postgres, Sqlite, pool::PoolConnection, query::Query};

use super::Dialect;

/// A connection out of a pool; dropping it gives it back.
pub(in crate::storage) enum Held {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Held {
    /// One of this pool's.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::storage) async fn of(
        pool: &DatabaseConnection,
        dialect: Dialect,
    ) -> Result<Self, DbErr> {
        let held = match dialect {
            Dialect::Sqlite => {
                let pool = pool.get_sqlite_connection_pool();
                pool.acquire().await.map(Self::Sqlite)
            }
            Dialect::Postgres => {
                let pool = pool.get_postgres_connection_pool();
                pool.acquire().await.map(Self::Postgres)
            }
        };
        held.map_err(failed)
    }

    /// The rows of a statement whose values are texts.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::storage) async fn all(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let (text, values) = parts(statement);
        match self {
            Self::Sqlite(connection) => {
                let query = values.fold(sqlx::query(text), Query::bind);
                let rows = query.fetch_all(&mut **connection).await;
                Ok(rows.map_err(failed)?.into_iter().map(Into::into).collect())
            }
            Self::Postgres(connection) => {
                let query = values.fold(sqlx::query(text), Query::bind);
                let rows = query.fetch_all(&mut **connection).await;
                Ok(rows.map_err(failed)?.into_iter().map(Into::into).collect())
            }
        }
    }

    /// The first row of such a statement. Does not wait until the driver says
    /// that there is no other.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::storage) async fn one(
        &mut self,
        statement: Statement,
    ) -> Result<Option<QueryResult>, DbErr> {
        let (text, values) = parts(statement);
        match self {
            Self::Sqlite(connection) => {
                let query = values.fold(sqlx::query(text), Query::bind);
                let row = query.fetch_optional(&mut **connection).await;
                Ok(row.map_err(failed)?.map(Into::into))
            }
            Self::Postgres(connection) => {
                let query = values.fold(sqlx::query(text), Query::bind);
                let row = query.fetch_optional(&mut **connection).await;
                Ok(row.map_err(failed)?.map(Into::into))
            }
        }
    }
}

/// The text of a statement, and its values.
fn parts(statement: Statement) -> (AssertSqlSafe<String>, impl Iterator<Item = Option<String>>) {
    let values = statement.values.into_iter().flat_map(|values| values.0);
    let texts = values.map(|value| match value {
        Value::String(text) => text,
        _ => None,
    });
    (AssertSqlSafe(statement.sql), texts)
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
