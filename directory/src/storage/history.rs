//! The tenant's head, its changes and its audit entries.
//!
//! A write takes its tenant's head before anything else and gives it back with
//! the commit: number n+1 is handed out only after n is committed, so whoever
//! reads n has everything below it. What is recorded meanwhile is kept in the
//! transaction's ledger and written in few statements at its end.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sea_orm::{ActiveValue::Set, ConnectionTrait as _, EntityTrait as _, FromQueryResult};

use super::{
    Tx, bell,
    dialect::Dialect,
    entity::{audit_entries, changes, directory_heads},
    lanes::ADMINISTRATION,
    resources::CHUNK,
    sql::Sql,
};
use crate::{
    domain::{
        Kind,
        history::{AuditEntry, Change, Position, chain},
    },
    error::{Error, Result},
};

/// Outcome of an audited call that did what was asked.
pub const OK: &str = "OK";

#[derive(Debug, Clone, FromQueryResult)]
struct Head {
    revision: i64,
    audit_sequence: i64,
    audit_hash: String,
    schema_version: i64,
    access_version: i64,
    epoch: Option<String>,
}

impl Head {
    fn position(&self) -> Position {
        Position {
            epoch: self.epoch.clone().unwrap_or_default(),
            revision: self.revision,
        }
    }
}

/// What a transaction will leave behind.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    heads: BTreeMap<String, Head>,
    audit: Vec<audit_entries::ActiveModel>,
    changes: Vec<changes::ActiveModel>,
}

/// Where a ledger stood.
pub(super) struct Mark {
    heads: BTreeMap<String, Head>,
    audit: usize,
    changes: usize,
}

impl Ledger {
    fn open(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenants that it speaks of, with their access versions.
    pub(super) fn tenants(&self) -> Vec<(String, i64)> {
        let heads = &self.open().heads;
        let heads = heads.iter();
        heads
            .map(|(tenant, head)| (tenant.clone(), head.access_version))
            .collect()
    }
}

impl Tx {
    fn ledger(&self) -> Result<&Ledger> {
        let ledger = self.ledger.as_ref();
        ledger.ok_or_else(|| Error::internal("a write outside of a writing transaction"))
    }
}

/// Takes the tenant's head: nobody else writes in the tenant until the
/// transaction ends.
///
/// # Errors
/// [`Error::NotFound`] for an unknown tenant.
pub(super) async fn take_head(tx: &Tx, tenant_id: &str) -> Result<()> {
    let ledger = tx.ledger()?;
    if ledger.open().heads.contains_key(tenant_id) {
        return Ok(());
    }
    let sql = Sql::new(
        "SELECT h.revision, h.audit_sequence, h.audit_hash, h.schema_version, \
         h.access_version, (SELECT s.value FROM settings s WHERE s.name = 'epoch') AS epoch \
         FROM directory_heads h WHERE h.tenant_id = ?",
    )
    .bind(tenant_id)
    .text(tx.dialect().for_update());
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let head = Head::find_by_statement(statement).one(connection).await?;
    let head = head.ok_or_else(|| Error::NotFound {
        kind: Kind::Tenant,
        id: tenant_id.to_owned(),
    })?;
    ledger.open().heads.insert(tenant_id.to_owned(), head);
    Ok(())
}

/// Keeps others who administer out until the transaction ends.
///
/// # Errors
/// The database's.
pub(super) async fn administer(tx: &Tx) -> Result<()> {
    if let Some(exclude) = tx.dialect().exclude(ADMINISTRATION) {
        let connection = &tx.connection();
        let statement = exclude.statement(connection.get_database_backend());
        connection.execute_raw(statement).await?;
    }
    Ok(())
}

/// Where the ledger stands.
pub(super) fn mark(tx: &Tx) -> Option<Mark> {
    let books = tx.ledger.as_ref()?.open();
    Some(Mark {
        heads: books.heads.clone(),
        audit: books.audit.len(),
        changes: books.changes.len(),
    })
}

/// Forgets what was recorded since.
pub(super) fn rewind(tx: &Tx, mark: Option<Mark>) {
    if let (Some(ledger), Some(mark)) = (&tx.ledger, mark) {
        let mut books = ledger.open();
        books.heads = mark.heads;
        books.audit.truncate(mark.audit);
        books.changes.truncate(mark.changes);
    }
}

/// Starts the history of a new tenant.
///
/// # Errors
/// The database's.
pub async fn start(tx: &Tx, tenant_id: &str) -> Result<()> {
    begin_at(tx, tenant_id, 0, 0, String::new()).await
}

/// Starts the history of a tenant who comes from elsewhere: changes are kept
/// from here on, the audit goes on where it ended.
///
/// # Errors
/// The database's.
pub async fn begin_at(
    tx: &Tx,
    tenant_id: &str,
    revision: i64,
    audit_sequence: i64,
    audit_hash: String,
) -> Result<()> {
    let head = directory_heads::ActiveModel {
        tenant_id: Set(tenant_id.to_owned()),
        revision: Set(revision),
        audit_sequence: Set(audit_sequence),
        audit_hash: Set(audit_hash),
        earliest: Set(revision),
        schema_version: Set(0),
        access_version: Set(0),
    };
    directory_heads::Entity::insert(head)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// The version of the tenant's schemas, while its head is taken.
///
/// # Errors
/// [`Error::Internal`] outside of a write of the tenant.
pub fn schema_version(tx: &Tx, tenant_id: &str) -> Result<i64> {
    let books = tx.ledger()?.open();
    let head = books.heads.get(tenant_id);
    let head = head.ok_or_else(|| Error::internal("the head was not taken"))?;
    Ok(head.schema_version)
}

/// Says that a tenant who comes from elsewhere has schemas of its own.
///
/// # Errors
/// The database's.
pub async fn have_schemas(tx: &Tx, tenant_id: &str, since_ms: i64) -> Result<()> {
    let sql = Sql::new(
        "UPDATE directory_heads SET schema_version = ? WHERE tenant_id = ? AND schema_version < ?",
    )
    .bind(since_ms)
    .bind(tenant_id)
    .bind(since_ms);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}

/// Gives the tenant's schemas their next version: the time, so that none comes
/// back when a database is restored.
///
/// # Errors
/// As [`schema_version`].
pub fn advance_schemas(tx: &Tx, tenant_id: &str, now_ms: i64) -> Result<i64> {
    let mut books = tx.ledger()?.open();
    let head = books.heads.get_mut(tenant_id);
    let head = head.ok_or_else(|| Error::internal("the head was not taken"))?;
    head.schema_version = now_ms.max(head.schema_version + 1);
    head.access_version += 1;
    Ok(head.schema_version)
}

/// Says that somebody's access ended or is another: what processes remember of
/// the tenant's callers does not count any more.
///
/// # Errors
/// [`Error::Internal`] outside of a writing transaction.
pub async fn change_access(tx: &Tx, tenant_id: &str) -> Result<()> {
    take_head(tx, tenant_id).await?;
    let mut books = tx.ledger()?.open();
    let head = books.heads.get_mut(tenant_id);
    let head = head.ok_or_else(|| Error::internal("the head was not taken"))?;
    head.access_version += 1;
    Ok(())
}

/// Whether such a call was done to a resource of the tenant.
///
/// # Errors
/// The database's.
pub async fn has_done(tx: &Tx, tenant_id: &str, method: &str, resource_id: &str) -> Result<bool> {
    let sql = Sql::new(
        "SELECT sequence FROM audit_entries WHERE tenant_id = ? AND resource_id = ? \
         AND method = ? AND outcome = ? LIMIT 1",
    )
    .bind(tenant_id)
    .bind(resource_id)
    .bind(method)
    .bind(OK);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    Ok(connection.query_one_raw(statement).await?.is_some())
}

/// Records what a write did, and gives the tenant's position behind it. A
/// refused call moves the audit on, not the tenant.
///
/// # Errors
/// [`Error::Internal`] outside of a writing transaction.
pub async fn record(
    tx: &Tx,
    tenant_id: &str,
    entry: &AuditEntry,
    changed: &[Change],
    now_ms: i64,
) -> Result<Position> {
    take_head(tx, tenant_id).await?;
    let mut books = tx.ledger()?.open();
    let books = &mut *books;
    let head = books.heads.get_mut(tenant_id);
    let head = head.ok_or_else(|| Error::internal("the head was not taken"))?;
    if entry.refusal.is_none() {
        head.revision += 1;
    }
    head.audit_sequence += 1;
    let row = audit_row(tenant_id, entry, head, now_ms)?;
    head.audit_hash = row.hash.as_ref().clone();
    for (part, change) in (0_i64..).zip(changed) {
        books.changes.push(changes::ActiveModel {
            tenant_id: Set(tenant_id.to_owned()),
            revision: Set(head.revision),
            part: Set(part),
            committed_at: Set(now_ms),
            actor: row.actor.clone(),
            payload: Set(json(change)?),
            request_id: row.request_id.clone(),
        });
    }
    books.audit.push(row);
    Ok(head.position())
}

/// Writes what the ledger holds, as a transaction's last statements.
///
/// # Errors
/// The database's.
pub(super) async fn close_books(tx: &Tx) -> Result<()> {
    let (heads, mut audit, mut changed) = {
        let mut books = tx.ledger()?.open();
        let written: BTreeMap<_, _> = books
            .heads
            .iter()
            .filter(|(tenant, _)| {
                books
                    .audit
                    .iter()
                    .any(|row| row.tenant_id.as_ref() == *tenant)
            })
            .map(|(tenant, head)| (tenant.clone(), head.clone()))
            .collect();
        // Only who wrote is to be told of.
        books.heads = written.clone();
        (
            written,
            mem::take(&mut books.audit),
            mem::take(&mut books.changes),
        )
    };
    let connection = &tx.connection();
    while !audit.is_empty() {
        audit_entries::Entity::insert_many(audit.drain(..at_once(audit.len())))
            .exec_without_returning(connection)
            .await?;
    }
    while !changed.is_empty() {
        changes::Entity::insert_many(changed.drain(..at_once(changed.len())))
            .exec_without_returning(connection)
            .await?;
    }
    for (tenant_id, head) in heads {
        let backend = connection.get_database_backend();
        let advance = advance(tx.dialect(), &tenant_id, &head);
        connection.execute_raw(advance.statement(backend)).await?;
    }
    Ok(())
}

/// How many of these rows one statement inserts: a power of two, so that there
/// are few statements, which stay prepared.
pub(super) fn at_once(rows: usize) -> usize {
    1 << rows.min(CHUNK).ilog2()
}

/// The same for rows that are asked for, in their order.
pub(super) fn portions<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (now, later) = rest.split_at(at_once(rest.len()));
        rest = later;
        Some(now)
    })
}

fn advance(dialect: Dialect, tenant_id: &str, head: &Head) -> Sql {
    let update = Sql::new(
        "UPDATE directory_heads SET revision = ?, audit_sequence = ?, audit_hash = ?, \
         schema_version = ?, access_version = ? WHERE tenant_id = ?",
    )
    .bind(head.revision)
    .bind(head.audit_sequence)
    .bind(head.audit_hash.as_str())
    .bind(head.schema_version)
    .bind(head.access_version)
    .bind(tenant_id);
    match dialect {
        Dialect::Sqlite => update,
        // Other processes are told with the commit.
        Dialect::Postgres => update
            .text(" RETURNING pg_notify(?, ?)")
            .bind(bell::CHANNEL)
            .bind(tenant_id),
    }
}

/// The tenant's position; `None` for an unknown tenant.
///
/// # Errors
/// The database's.
pub async fn position(tx: &Tx, tenant_id: &str) -> Result<Option<Position>> {
    Ok(bounds(tx, tenant_id).await?.map(|bounds| bounds.latest))
}

/// Where a tenant's kept changes begin and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest revision behind which all changes are kept.
    pub earliest: i64,
    /// The newest.
    pub latest: Position,
}

/// The bounds of the tenant's changes; `None` for an unknown tenant.
///
/// # Errors
/// The database's.
pub async fn bounds(tx: &Tx, tenant_id: &str) -> Result<Option<Bounds>> {
    #[derive(FromQueryResult)]
    struct Row {
        earliest: i64,
        revision: i64,
        epoch: Option<String>,
    }
    let sql = Sql::new(
        "SELECT h.earliest, h.revision, \
         (SELECT s.value FROM settings s WHERE s.name = 'epoch') AS epoch \
         FROM directory_heads h WHERE h.tenant_id = ?",
    )
    .bind(tenant_id);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Row::find_by_statement(statement).one(connection).await?;
    Ok(row.map(|row| Bounds {
        earliest: row.earliest,
        latest: Position {
            epoch: row.epoch.unwrap_or_default(),
            revision: row.revision,
        },
    }))
}

fn audit_row(
    tenant_id: &str,
    entry: &AuditEntry,
    head: &Head,
    now_ms: i64,
) -> Result<audit_entries::ActiveModel> {
    let refusal = entry.refusal.as_ref();
    let mut row = audit_entries::Model {
        tenant_id: tenant_id.to_owned(),
        sequence: head.audit_sequence,
        revision: head.revision,
        recorded_at: now_ms,
        actor: json(&entry.actor)?,
        method: entry.method.clone().into_owned(),
        resource_type: entry.resource_type as i64,
        resource_id: entry.resource_id.clone(),
        outcome: refusal.map_or(OK, |refusal| refusal.outcome).to_owned(),
        changed_attributes: json(&entry.changed_attributes)?,
        hash: String::new(),
        request_id: entry.request_id.clone(),
        reason: refusal.map_or("", |refusal| refusal.reason).to_owned(),
    };
    row.hash = link(&head.audit_hash, &row);
    Ok(row.into_active())
}

/// The hash of an entry behind a former one.
pub(super) fn link(former: &str, row: &audit_entries::Model) -> String {
    let (sequence, revision) = (row.sequence.to_string(), row.revision.to_string());
    let (time, kind) = (row.recorded_at.to_string(), row.resource_type.to_string());
    let fields = [
        row.tenant_id.as_str(),
        &sequence,
        &revision,
        &time,
        &row.actor,
        &row.method,
        &kind,
        &row.resource_id,
        &row.outcome,
        &row.changed_attributes,
        &row.request_id,
        &row.reason,
    ];
    chain(former, &fields)
}

impl audit_entries::Model {
    fn into_active(self) -> audit_entries::ActiveModel {
        audit_entries::ActiveModel {
            tenant_id: Set(self.tenant_id),
            sequence: Set(self.sequence),
            revision: Set(self.revision),
            recorded_at: Set(self.recorded_at),
            actor: Set(self.actor),
            method: Set(self.method),
            resource_type: Set(self.resource_type),
            resource_id: Set(self.resource_id),
            outcome: Set(self.outcome),
            changed_attributes: Set(self.changed_attributes),
            hash: Set(self.hash),
            request_id: Set(self.request_id),
            reason: Set(self.reason),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.into()))
}

/// Reads history back, for tests.
#[cfg(test)]
pub(crate) mod tests_support {
    use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _};

    use super::*;

    /// A tenant's history.
    pub(crate) struct History {
        pub(crate) audit: Vec<Audited>,
        pub(crate) changes: Vec<(i64, Change)>,
        pub(crate) head_hash: String,
    }

    /// An audit entry and what its hash covers.
    pub(crate) struct Audited {
        pub(crate) method: String,
        pub(crate) fields: Vec<String>,
        pub(crate) hash: String,
    }

    /// The whole history of a tenant.
    pub(crate) async fn history(tx: &Tx, tenant_id: &str) -> Result<History> {
        let audit = audit_entries::Entity::find()
            .filter(audit_entries::Column::TenantId.eq(tenant_id))
            .order_by_asc(audit_entries::Column::Sequence)
            .all(&tx.connection())
            .await?;
        let changes = changes::Entity::find()
            .filter(changes::Column::TenantId.eq(tenant_id))
            .order_by_asc(changes::Column::Revision)
            .order_by_asc(changes::Column::Part)
            .all(&tx.connection())
            .await?;
        let head = directory_heads::Entity::find_by_id(tenant_id.to_owned())
            .one(&tx.connection())
            .await?;
        let change = |row: changes::Model| {
            let change = serde_json::from_str(&row.payload);
            change
                .map(|change| (row.revision, change))
                .map_err(|e| Error::Internal(e.into()))
        };
        Ok(History {
            audit: audit.into_iter().map(audited).collect(),
            changes: changes.into_iter().map(change).collect::<Result<_>>()?,
            head_hash: head.map(|head| head.audit_hash).unwrap_or_default(),
        })
    }

    fn audited(row: audit_entries::Model) -> Audited {
        Audited {
            fields: vec![
                row.tenant_id,
                row.sequence.to_string(),
                row.revision.to_string(),
                row.recorded_at.to_string(),
                row.actor,
                row.method.clone(),
                row.resource_type.to_string(),
                row.resource_id,
                row.outcome,
                row.changed_attributes,
                row.request_id,
                row.reason,
            ],
            method: row.method,
            hash: row.hash,
        }
    }
}
