//! Indexed values: rows by which an index finds who has a value.
//!
//! They follow from a resource's attributes ([`indexed_values`]); nobody reads
//! them but filters.
//!
//! [`indexed_values`]: crate::domain::search::indexed_values

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::CHUNK;
use crate::{
    domain::resource::ResourceKind,
    error::Result,
    storage::{Tx, sql::Sql},
};

/// An attribute's name in the index, and the key of a value.
pub(super) type Value = (String, String);

/// Values with whose they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owned<'a> {
    pub(super) tenant_id: &'a str,
    /// Of the resource.
    pub(super) id: &'a str,
    pub(super) values: &'a [Value],
}

/// The table of values of this kind, and its column that says whose they are.
pub(in crate::storage) fn table(kind: ResourceKind) -> (&'static str, &'static str) {
    match kind {
        ResourceKind::User => ("user_values", "user_id"),
        ResourceKind::Group => ("group_values", "group_id"),
    }
}

/// Puts values in.
///
/// # Errors
/// The database's.
pub(super) async fn insert(tx: &Tx, kind: ResourceKind, owned: &[Owned<'_>]) -> Result<()> {
    let (table, owner) = table(kind);
    let rows = owned
        .iter()
        .flat_map(|of| of.values.iter().map(move |value| (of, value)));
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(CHUNK) {
        let rows = rows.iter().map(|(of, (attribute, key))| {
            Sql::new("(?, ?, ?, ?)")
                .bind(of.id)
                .bind(attribute.as_str())
                .bind(key.as_str())
                .bind(of.tenant_id)
        });
        let sql = Sql::new(format!(
            "INSERT INTO {table} ({owner}, attribute, value_key, tenant_id) VALUES "
        ))
        .then(Sql::join(rows, ", ", ""));
        execute(tx, sql).await?;
    }
    Ok(())
}

/// Takes all values of these resources out.
///
/// # Errors
/// The database's.
pub(super) async fn delete(tx: &Tx, kind: ResourceKind, ids: &[&str]) -> Result<()> {
    let (table, owner) = table(kind);
    for ids in ids.chunks(CHUNK) {
        let sql = Sql::new(format!("DELETE FROM {table} WHERE {owner} IN ("))
            .then(Sql::list(ids.iter().copied()))
            .text(")");
        execute(tx, sql).await?;
    }
    Ok(())
}

/// The values of these resources, in order.
///
/// # Errors
/// The database's.
pub(super) async fn of(
    tx: &Tx,
    kind: ResourceKind,
    ids: &[&str],
) -> Result<HashMap<String, Vec<Value>>> {
    #[derive(FromQueryResult)]
    struct Row {
        owner: String,
        attribute: String,
        value_key: String,
    }
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    let (table, owner) = table(kind);
    let connection = &tx.connection();
    for ids in ids.chunks(CHUNK) {
        let sql = Sql::new(format!(
            "SELECT {owner} AS owner, attribute, value_key FROM {table} WHERE {owner} IN ("
        ))
        .then(Sql::list(ids.iter().copied()))
        .text(")");
        let statement = sql.statement(connection.get_database_backend());
        for row in Row::find_by_statement(statement).all(connection).await? {
            let value = (row.attribute, row.value_key);
            found.entry(row.owner).or_default().push(value);
        }
    }
    found.values_mut().for_each(|values| values.sort());
    Ok(found)
}

async fn execute(tx: &Tx, sql: Sql) -> Result<()> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
