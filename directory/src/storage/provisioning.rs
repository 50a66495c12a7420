//! The provisioning log: events go in by the hundred, and come out as lists and
//! counts. Rows are found by their ids, which are in the order of time.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    Tx,
    entity::{external_ids, provisioning_events},
    history::at_once,
    sql::{Sql, can_be},
};
use crate::{
    domain::{
        health::{Last, Tally},
        history::ResourceType,
        provisioning::{Event, Operation, RESOLVED, first_id_at},
        resource::ResourceKind,
    },
    error::{Error, Result},
};

/// Which events are wanted. Empty texts and `None` mean any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of this connection.
    pub connection_id: String,
    /// About this user or group.
    pub resource_id: String,
    /// About whom the client calls so.
    pub external_id: String,
    /// Only what failed.
    pub failures_only: bool,
    /// Not before, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only with a lower id.
    pub below: Option<String>,
    /// Only with a higher id.
    pub above: Option<String>,
}

/// Puts events in, but for those that are there: a commit may have gone
/// unanswered.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &Tx, events: &[Event]) -> Result<()> {
    let mut rows: Vec<_> = events.iter().map(row).collect::<Result<_>>()?;
    let once = OnConflict::column(provisioning_events::Column::Id)
        .do_nothing()
        .to_owned();
    while !rows.is_empty() {
        provisioning_events::Entity::insert_many(rows.drain(..at_once(rows.len())))
            .on_conflict(once.clone())
            .exec_without_returning(&tx.connection())
            .await?;
    }
    Ok(())
}

fn row(event: &Event) -> Result<provisioning_events::ActiveModel> {
    let payload = serde_json::to_string(&event.details).map_err(|e| Error::Internal(e.into()))?;
    let kind = event.kind.map_or(ResourceType::Unknown, Into::into);
    Ok(provisioning_events::ActiveModel {
        id: Set(event.id.clone()),
        tenant_id: Set(event.tenant_id.clone()),
        connection_id: Set(event.connection_id.clone()),
        credential_id: Set(event.credential_id.clone()),
        recorded_at: Set(event.at),
        name: Set(event.name.clone()),
        operation: Set(event.operation as i64),
        resource_type: Set(kind as i64),
        resource_id: Set(event.resource_id.clone()),
        external_id: Set(event.external_id.clone()),
        http_status: Set(event.status.into()),
        failed: Set(event.failed()),
        scim_type: Set(event.scim_type.clone()),
        reason: Set(event.reason.clone()),
        attribute: Set(event.attribute.clone()),
        request_id: Set(event.request_id.clone()),
        payload: Set(payload),
    })
}

impl TryFrom<provisioning_events::Model> for Event {
    type Error = Error;

    fn try_from(row: provisioning_events::Model) -> Result<Self> {
        let details = serde_json::from_str(&row.payload)
            .map_err(|e| Error::internal(format!("provisioning_events.payload: {e}")))?;
        let is = |kind: ResourceType| row.resource_type == kind as i64;
        let kind = match () {
            () if is(ResourceType::User) => Some(ResourceKind::User),
            () if is(ResourceType::Group) => Some(ResourceKind::Group),
            () => None,
        };
        Ok(Self {
            kind,
            details,
            id: row.id,
            at: row.recorded_at,
            tenant_id: row.tenant_id,
            connection_id: row.connection_id,
            credential_id: row.credential_id,
            name: row.name,
            operation: Operation::of(row.operation),
            resource_id: row.resource_id,
            external_id: row.external_id,
            status: code(row.http_status),
            scim_type: row.scim_type,
            reason: row.reason,
            attribute: row.attribute,
            request_id: row.request_id,
        })
    }
}

fn code(column: i64) -> u16 {
    u16::try_from(column).unwrap_or_default()
}

/// A tenant's events, the newest first; those above an id the oldest first.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, tenant_id: &str, wanted: &EventQuery, limit: u64) -> Result<Vec<Event>> {
    use provisioning_events::Column;
    let mut query = provisioning_events::Entity::find().filter(Column::TenantId.eq(tenant_id));
    for (column, text) in [
        (Column::ConnectionId, &wanted.connection_id),
        (Column::ResourceId, &wanted.resource_id),
        (Column::ExternalId, &wanted.external_id),
    ] {
        if !can_be(text) {
            return Ok(Vec::new());
        }
        if !text.is_empty() {
            // Literally, so that the index on those that have one is used.
            let has_one = Expr::col(column).ne(Expr::cust("''"));
            query = query.filter(column.eq(text)).filter(has_one);
        }
    }
    if wanted.failures_only {
        query = query.filter(Expr::col(Column::Failed).eq(Expr::cust("TRUE")));
    }
    if let Some(since) = wanted.since {
        query = query.filter(Column::Id.gte(first_id_at(since)));
    }
    if let Some(below) = &wanted.below {
        query = query.filter(Column::Id.lt(below));
    }
    query = match &wanted.above {
        Some(above) => query.filter(Column::Id.gt(above)).order_by_asc(Column::Id),
        None => query.order_by_desc(Column::Id),
    };
    let rows = query.limit(limit).all(&tx.connection()).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Requests of a connection since a time, by what they are.
///
/// # Errors
/// The database's.
pub async fn tallies(
    tx: &Tx,
    tenant_id: &str,
    connection_id: &str,
    since_ms: i64,
) -> Result<Vec<Tally>> {
    #[derive(FromQueryResult)]
    struct Row {
        failed: bool,
        operation: i64,
        http_status: i64,
        scim_type: String,
        reason: String,
        attribute: String,
        count: i64,
        latest: String,
    }
    let sql = Sql::new(
        "SELECT failed, operation, http_status, scim_type, reason, attribute, \
         COUNT(*) AS count, MAX(id) AS latest FROM provisioning_events \
         WHERE tenant_id = ? AND connection_id = ? AND id >= ? AND http_status > ? \
         GROUP BY failed, operation, http_status, scim_type, reason, attribute",
    )
    .bind(tenant_id)
    .bind(connection_id)
    .bind(first_id_at(since_ms))
    .bind(i64::from(RESOLVED));
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Row::find_by_statement(statement).all(connection).await?;
    let tally = |row: Row| Tally {
        failed: row.failed,
        is_lookup: Operation::of(row.operation) == Operation::Lookup,
        status: code(row.http_status),
        scim_type: row.scim_type,
        reason: row.reason,
        attribute: row.attribute,
        count: row.count,
        latest: row.latest,
    };
    Ok(rows.into_iter().map(tally).collect())
}

/// The last request of a connection that is kept, or the last that succeeded.
///
/// # Errors
/// The database's.
pub async fn last(
    tx: &Tx,
    tenant_id: &str,
    connection_id: &str,
    succeeded: bool,
) -> Result<Option<Last>> {
    use provisioning_events::Column;
    let mut query = provisioning_events::Entity::find()
        .select_only()
        .column(Column::RecordedAt)
        .column(Column::HttpStatus)
        .filter(Column::TenantId.eq(tenant_id))
        .filter(Column::ConnectionId.eq(connection_id))
        .filter(Column::HttpStatus.gt(i64::from(RESOLVED)));
    if succeeded {
        query = query.filter(Column::Failed.eq(false));
    }
    let found: Option<(i64, i64)> = query
        .order_by_desc(Column::Id)
        .limit(1)
        .into_tuple()
        .one(&tx.connection())
        .await?;
    Ok(found.map(|(at, status)| Last {
        at,
        status: code(status),
    }))
}

/// These events, in no order.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, ids: &[&str]) -> Result<Vec<Event>> {
    let rows = provisioning_events::Entity::find()
        .filter(provisioning_events::Column::Id.is_in(ids.iter().copied()))
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Gives events that name somebody by our id alone what their connection calls him,
/// also where he was deleted, but for those of whom nothing is kept any more.
///
/// # Errors
/// The database's.
pub async fn name(tx: &Tx, events: &mut [Event]) -> Result<()> {
    use external_ids::Column;
    let is_nameless =
        |event: &&mut Event| event.external_id.is_empty() && !event.resource_id.is_empty();
    let nameless: Vec<_> = events.iter_mut().filter(is_nameless).collect();
    let ids: HashSet<_> = nameless.iter().map(|event| &event.resource_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, String, String)> = external_ids::Entity::find()
        .select_only()
        .column(Column::ConnectionId)
        .column(Column::ResourceId)
        .column(Column::ExternalId)
        .filter(Column::ResourceId.is_in(ids))
        .into_tuple()
        .all(&tx.connection())
        .await?;
    let rows = rows.into_iter();
    // What another connection calls him is not for this one to know.
    let names: HashMap<_, _> = rows.map(|(of, id, name)| ((of, id), name)).collect();
    for event in nameless {
        let key = (event.connection_id.clone(), event.resource_id.clone());
        if let Some(name) = names.get(&key) {
            event.external_id.clone_from(name);
        }
    }
    Ok(())
}

/// Forgets the oldest events from before a time, at most so many; how many.
///
/// # Errors
/// The database's.
pub async fn prune(tx: &Tx, before_ms: i64, limit: i64) -> Result<u64> {
    let sql = Sql::new(
        "DELETE FROM provisioning_events WHERE id IN \
         (SELECT id FROM provisioning_events WHERE id < ? ORDER BY id LIMIT ?)",
    )
    .bind(first_id_at(before_ms))
    .bind(limit);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    Ok(connection.execute_raw(statement).await?.rows_affected())
}
