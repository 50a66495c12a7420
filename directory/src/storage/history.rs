//! The tenant's head, its changes and its audit entries.
//!
//! The head row is the last lock of every write: number n+1 is handed out only
//! after n is committed, so whoever reads n has everything below it.

use sea_orm::{ActiveValue::Set, ConnectionTrait as _, EntityTrait as _, FromQueryResult};

use super::{
    Tx,
    entity::{audit_entries, changes, directory_heads},
    resources::CHUNK,
    sql::Sql,
};
use crate::{
    domain::history::{AuditEntry, Change, chain},
    error::{Error, Result},
};

/// Outcome of an audited call that did what was asked.
const OK: &str = "OK";

#[derive(Debug, FromQueryResult)]
struct Head {
    revision: i64,
    audit_sequence: i64,
    audit_hash: String,
}

/// Starts the history of a new tenant.
///
/// # Errors
/// The database's.
pub async fn start(tx: &Tx, tenant_id: &str) -> Result<()> {
    let head = directory_heads::ActiveModel {
        tenant_id: Set(tenant_id.to_owned()),
        revision: Set(0),
        audit_sequence: Set(0),
        audit_hash: Set(String::new()),
    };
    directory_heads::Entity::insert(head)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// Records what a transaction did, as its last statements, and gives the
/// tenant's new revision.
///
/// # Errors
/// The database's; [`Error::Internal`] when the tenant has no head.
pub async fn record(
    tx: &Tx,
    tenant_id: &str,
    entry: &AuditEntry,
    changes: &[Change],
    now_ms: i64,
) -> Result<i64> {
    let connection = &tx.connection();
    let backend = connection.get_database_backend();
    let advance = Sql::new(
        "UPDATE directory_heads SET revision = revision + 1, audit_sequence = audit_sequence + 1 \
         WHERE tenant_id = ? RETURNING revision, audit_sequence, audit_hash",
    )
    .bind(tenant_id);
    let head = Head::find_by_statement(advance.statement(backend))
        .one(connection)
        .await?;
    let head = head.ok_or_else(|| Error::internal("the tenant has no head"))?;

    let row = audit_row(tenant_id, entry, &head, now_ms)?;
    let remember = Sql::new("UPDATE directory_heads SET audit_hash = ? WHERE tenant_id = ?")
        .bind(row.hash.as_ref().as_str())
        .bind(tenant_id);
    let actor = row.actor.as_ref().clone();
    audit_entries::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    insert_changes(tx, tenant_id, &actor, changes, &head, now_ms).await?;
    connection.execute_raw(remember.statement(backend)).await?;
    Ok(head.revision)
}

fn audit_row(
    tenant_id: &str,
    entry: &AuditEntry,
    head: &Head,
    now_ms: i64,
) -> Result<audit_entries::ActiveModel> {
    let actor = json(&entry.actor)?;
    let changed = json(&entry.changed_attributes)?;
    let resource_type = entry.resource_type as i64;
    let hash = chain(
        &head.audit_hash,
        &[
            tenant_id,
            &head.audit_sequence.to_string(),
            &head.revision.to_string(),
            &now_ms.to_string(),
            &actor,
            entry.method,
            &resource_type.to_string(),
            &entry.resource_id,
            OK,
            &changed,
        ],
    );
    Ok(audit_entries::ActiveModel {
        tenant_id: Set(tenant_id.to_owned()),
        sequence: Set(head.audit_sequence),
        revision: Set(head.revision),
        recorded_at: Set(now_ms),
        actor: Set(actor),
        method: Set(entry.method.to_owned()),
        resource_type: Set(resource_type),
        resource_id: Set(entry.resource_id.clone()),
        outcome: Set(OK.to_owned()),
        changed_attributes: Set(changed),
        hash: Set(hash),
    })
}

async fn insert_changes(
    tx: &Tx,
    tenant_id: &str,
    actor: &str,
    list: &[Change],
    head: &Head,
    now_ms: i64,
) -> Result<()> {
    let mut rows = Vec::with_capacity(list.len());
    for (part, change) in (0_i64..).zip(list) {
        rows.push(changes::ActiveModel {
            tenant_id: Set(tenant_id.to_owned()),
            revision: Set(head.revision),
            part: Set(part),
            committed_at: Set(now_ms),
            actor: Set(actor.to_owned()),
            payload: Set(json(change)?),
        });
    }
    for rows in rows.chunks(CHUNK) {
        changes::Entity::insert_many(rows.to_vec())
            .exec_without_returning(&tx.connection())
            .await?;
    }
    Ok(())
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
            ],
            method: row.method,
            hash: row.hash,
        }
    }
}
