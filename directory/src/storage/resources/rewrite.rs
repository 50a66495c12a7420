//! Rows of resources whose attributes are to be written otherwise: compared with
//! what they hold, and written many at once where that differs.

use std::mem;

use sea_orm::ConnectionTrait as _;

use super::{table, values};
use crate::{
    domain::resource::ResourceKind,
    error::Result,
    storage::{Scope, Tx, sql::Sql},
};

/// Resources and bytes of documents that one statement writes at most.
const ROWS: usize = 200;
const BYTES: usize = 4 * 1024 * 1024;

/// A row as it is to be.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) id: String,
    pub(super) document: String,
    pub(super) search: String,
    /// What clients see differs, so the resource has another version.
    pub(super) is_new_version: bool,
}

/// Collects what is to be written.
pub(super) struct Rewriting<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    kind: ResourceKind,
    now_ms: i64,
    rows: Vec<Rewritten>,
    /// Resources whose indexed values differ, with those that they are to have.
    values: Vec<(String, Vec<values::Value>)>,
    bytes: usize,
}

impl<'a> Rewriting<'a> {
    pub(super) fn new(tx: &'a Tx, scope: Scope<'a>, kind: ResourceKind, now_ms: i64) -> Self {
        Self {
            tx,
            scope,
            kind,
            now_ms,
            rows: Vec::new(),
            values: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes a row that differs.
    pub(super) fn row(&mut self, row: Rewritten) {
        self.bytes += row.document.len() + row.search.len();
        self.rows.push(row);
    }

    /// Takes indexed values that differ.
    pub(super) fn values(&mut self, id: String, values: Vec<values::Value>) {
        self.values.push((id, values));
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len().max(self.values.len()) >= ROWS || self.bytes >= BYTES
    }

    /// Writes what was taken.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        self.write_rows().await?;
        let values = mem::take(&mut self.values);
        let ids: Vec<_> = values.iter().map(|(id, _)| id.as_str()).collect();
        values::delete(self.tx, self.kind, &ids).await?;
        let owned = values.iter().map(|(id, values)| values::Owned {
            tenant_id: self.scope.tenant_id,
            id,
            values,
        });
        values::insert(self.tx, self.kind, &owned.collect::<Vec<_>>()).await
    }

    async fn write_rows(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let row = format!("(?, ?, {}, ?)", self.tx.dialect().json_parameter());
        let rows = mem::take(&mut self.rows).into_iter().map(|new| {
            Sql::new(row.as_str())
                .bind(new.id)
                .bind(new.document)
                .bind(new.search)
                .bind(i64::from(new.is_new_version))
        });
        // Every database gives the columns of VALUES these names.
        let sql = Sql::new(format!(
            "UPDATE {} AS r SET document = v.column2, search = v.column3, \
             version = r.version + v.column4, updated_at = CASE \
             WHEN v.column4 = 0 OR r.updated_at > ? THEN r.updated_at ELSE ? END FROM (VALUES ",
            table(self.kind)
        ))
        .bind(self.now_ms)
        .bind(self.now_ms)
        .then(Sql::join(rows, ", ", ""))
        .text(") AS v WHERE r.id = v.column1");
        let connection = &self.tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        connection.execute_raw(statement).await?;
        Ok(())
    }
}
