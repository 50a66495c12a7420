//! What was written, read back: changes for the feed, the audit for auditors,
//! and the pages of a snapshot.

use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, Func},
};

use super::{
    Tx,
    entity::{audit_entries, changes, directory_heads},
    history::link,
    keyset::behind,
};
use crate::{
    domain::history::{Actor, Change},
    error::{Error, Result},
};

/// What one transaction did, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its revision.
    pub revision: i64,
    /// Milliseconds since the Unix epoch.
    pub committed_at: i64,
    /// Who.
    pub actor: Actor,
    /// By which call.
    pub request_id: String,
    /// What, in order.
    pub changes: Vec<Change>,
    /// Whether no more of it follows.
    pub is_complete: bool,
}

/// A place between two changes: behind this part of this revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The revision.
    pub revision: i64,
    /// The part of it; [`Place::END`] for all.
    pub part: i64,
}

impl Place {
    /// Behind all parts of a revision.
    pub const END: i64 = i64::MAX;
}

/// Changes behind a place, up to a revision, in order: at most `limit`, so the
/// last transaction may not be complete.
///
/// # Errors
/// The database's.
pub async fn changes_after(
    tx: &Tx,
    tenant_id: &str,
    after: Place,
    through: i64,
    limit: u64,
) -> Result<Vec<Transaction>> {
    use changes::Column;
    let key = [after.revision.into(), after.part.into()];
    let rows = changes::Entity::find()
        .filter(Column::TenantId.eq(tenant_id))
        .filter(behind([Column::Revision, Column::Part], key))
        .filter(Column::Revision.lte(through))
        .order_by_asc(Column::Revision)
        .order_by_asc(Column::Part)
        // One more tells whether the last transaction goes on.
        .limit(limit.saturating_add(1))
        .all(&tx.connection())
        .await?;
    transactions(rows, usize::try_from(limit).unwrap_or(usize::MAX))
}

fn transactions(rows: Vec<changes::Model>, limit: usize) -> Result<Vec<Transaction>> {
    let following = rows.get(limit).map(|row| row.revision);
    let mut transactions: Vec<Transaction> = Vec::new();
    for row in rows.into_iter().take(limit) {
        let change = read(&row.payload)?;
        match transactions.last_mut() {
            Some(last) if last.revision == row.revision => last.changes.push(change),
            _ => transactions.push(Transaction {
                revision: row.revision,
                committed_at: row.committed_at,
                actor: read(&row.actor)?,
                request_id: row.request_id,
                changes: vec![change],
                is_complete: true,
            }),
        }
    }
    if let Some(last) = transactions.last_mut() {
        last.is_complete = following != Some(last.revision);
    }
    Ok(transactions)
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|e| Error::Internal(e.into()))
}

/// The revision and time of the change that lies `count` changes behind the
/// oldest; `None` when there are fewer.
///
/// # Errors
/// The database's.
pub async fn nth_oldest(tx: &Tx, tenant_id: &str, count: u64) -> Result<Option<(i64, i64)>> {
    let row = changes::Entity::find()
        .filter(changes::Column::TenantId.eq(tenant_id))
        .order_by_asc(changes::Column::Revision)
        .order_by_asc(changes::Column::Part)
        .offset(count)
        .one(&tx.connection())
        .await?;
    Ok(row.map(|row| (row.revision, row.committed_at)))
}

/// From now on changes are promised only behind this revision.
///
/// # Errors
/// The database's.
pub async fn set_earliest(tx: &Tx, tenant_id: &str, revision: i64) -> Result<()> {
    directory_heads::Entity::update_many()
        .col_expr(directory_heads::Column::Earliest, Expr::value(revision))
        .filter(directory_heads::Column::TenantId.eq(tenant_id))
        .filter(directory_heads::Column::Earliest.lt(revision))
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// Deletes the changes up to this revision.
///
/// # Errors
/// The database's.
pub async fn delete_through(tx: &Tx, tenant_id: &str, revision: i64) -> Result<()> {
    changes::Entity::delete_many()
        .filter(changes::Column::TenantId.eq(tenant_id))
        .filter(changes::Column::Revision.lte(revision))
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// An audit entry as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// From 1, without gaps.
    pub sequence: i64,
    /// The tenant's revision afterwards.
    pub revision: i64,
    /// Milliseconds since the Unix epoch.
    pub recorded_at: i64,
    /// Who.
    pub actor: Actor,
    /// Did what.
    pub method: String,
    /// To what type of thing, by its number.
    pub resource_type: i64,
    /// To which one.
    pub resource_id: String,
    /// `OK` or the name of a code.
    pub outcome: String,
    /// Why it was refused; may be empty.
    pub reason: String,
    /// Names of attributes.
    pub changed_attributes: Vec<String>,
    /// By which call.
    pub request_id: String,
    /// Its link in the chain, in hexadecimal.
    pub hash: String,
}

impl TryFrom<audit_entries::Model> for Audited {
    type Error = Error;

    fn try_from(row: audit_entries::Model) -> Result<Self> {
        Ok(Self {
            sequence: row.sequence,
            revision: row.revision,
            recorded_at: row.recorded_at,
            actor: read(&row.actor)?,
            method: row.method,
            resource_type: row.resource_type,
            resource_id: row.resource_id,
            outcome: row.outcome,
            reason: row.reason,
            changed_attributes: read(&row.changed_attributes)?,
            request_id: row.request_id,
            hash: row.hash,
        })
    }
}

/// Which audit entries are wanted. Empty texts and `None` mean any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// About this resource.
    pub resource_id: String,
    /// By this connection, service client, job or `operator`.
    pub actor_id: String,
    /// Of this method.
    pub method: String,
    /// Not before, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Before.
    pub until: Option<i64>,
    /// Only what was refused.
    pub refused_only: bool,
    /// Only with a lower sequence.
    pub below: Option<i64>,
}

/// Audit entries, the newest first.
///
/// # Errors
/// The database's.
pub async fn audit(
    tx: &Tx,
    tenant_id: &str,
    wanted: &AuditQuery,
    limit: u64,
) -> Result<Vec<Audited>> {
    use audit_entries::Column;
    let mut query = audit_entries::Entity::find().filter(Column::TenantId.eq(tenant_id));
    if !wanted.resource_id.is_empty() {
        query = query.filter(Column::ResourceId.eq(&wanted.resource_id));
    }
    if !wanted.method.is_empty() {
        query = query.filter(Column::Method.eq(&wanted.method));
    }
    if !wanted.actor_id.is_empty() {
        query = query.filter(is_by(&wanted.actor_id)?);
    }
    if let Some(since) = wanted.since {
        query = query.filter(Column::RecordedAt.gte(since));
    }
    if let Some(until) = wanted.until {
        query = query.filter(Column::RecordedAt.lt(until));
    }
    if wanted.refused_only {
        query = query.filter(Column::Outcome.ne(super::history::OK));
    }
    if let Some(below) = wanted.below {
        query = query.filter(Column::Sequence.lt(below));
    }
    let rows = query
        .order_by_desc(Column::Sequence)
        .limit(limit)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Whether an entry's actor has this id. Compared as recorded, whole and with
/// case: `LIKE` means something else to each database.
fn is_by(id: &str) -> Result<Condition> {
    use audit_entries::Column;
    let connection = Actor::Connection {
        connection_id: id.to_owned(),
        credential_id: String::new(),
    };
    let connection = spell(&connection)?;
    // Up to the credential, whichever it is.
    let prefix = connection.trim_end_matches("\"}");
    let length = i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX);
    let start = Func::cust("substr").args([
        Expr::col(Column::Actor),
        Expr::value(1),
        Expr::value(length),
    ]);
    let job = Actor::Job {
        name: id.to_owned(),
    };
    let client = Actor::Client {
        client_id: id.to_owned(),
    };
    let mut condition = Condition::any()
        .add(Expr::expr(start).eq(prefix))
        .add(Column::Actor.eq(spell(&job)?))
        .add(Column::Actor.eq(spell(&client)?));
    if id == "operator" {
        condition = condition.add(Column::Actor.eq(spell(&Actor::Operator)?));
    }
    Ok(condition)
}

fn spell(actor: &Actor) -> Result<String> {
    serde_json::to_string(actor).map_err(|e| Error::Internal(e.into()))
}

/// Audit entries behind a sequence, in order.
///
/// # Errors
/// The database's.
pub async fn audit_after(
    tx: &Tx,
    tenant_id: &str,
    after: i64,
    through: i64,
    limit: u64,
) -> Result<Vec<Audited>> {
    let rows = audit_rows(tx, tenant_id, after, through, limit).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Entries behind a sequence, each with its sequence, its recorded hash, and
/// the hash that it must have behind the one before. `former` is the hash of the
/// entry at `after`.
///
/// # Errors
/// The database's.
pub async fn links_after(
    tx: &Tx,
    tenant_id: &str,
    after: i64,
    through: i64,
    former: &str,
    limit: u64,
) -> Result<Vec<Link>> {
    let mut former = former.to_owned();
    let rows = audit_rows(tx, tenant_id, after, through, limit).await?;
    let links = rows.into_iter().map(|row| {
        let expected = link(&former, &row);
        former.clone_from(&row.hash);
        Link {
            sequence: row.sequence,
            recorded: row.hash,
            expected,
        }
    });
    Ok(links.collect())
}

/// A link of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The entry's sequence.
    pub sequence: i64,
    /// The hash that is recorded.
    pub recorded: String,
    /// The hash of what is recorded.
    pub expected: String,
}

async fn audit_rows(
    tx: &Tx,
    tenant_id: &str,
    after: i64,
    through: i64,
    limit: u64,
) -> Result<Vec<audit_entries::Model>> {
    use audit_entries::Column;
    let rows = audit_entries::Entity::find()
        .filter(Column::TenantId.eq(tenant_id))
        .filter(Column::Sequence.gt(after))
        .filter(Column::Sequence.lte(through))
        .order_by_asc(Column::Sequence)
        .limit(limit)
        .all(&tx.connection())
        .await?;
    Ok(rows)
}

/// Where the tenant's audit ends: the sequence and hash of the last entry.
///
/// # Errors
/// The database's.
pub async fn audit_head(tx: &Tx, tenant_id: &str) -> Result<Option<(i64, String)>> {
    let head = directory_heads::Entity::find_by_id(tenant_id.to_owned())
        .one(&tx.connection())
        .await?;
    Ok(head.map(|head| (head.audit_sequence, head.audit_hash)))
}
