//! Reads of one resource each, and of how far the history of tenants has come,
//! which tells whether what was read before still holds. Each sort shares
//! statements.

use std::collections::{HashMap, VecDeque};

use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use tokio::sync::oneshot;

use super::{
    Reach, Row, columns,
    desk::{Desk, Line, Read},
    table,
};
use crate::{
    domain::{history::Position, resource::ResourceKind},
    error::{Error, Result},
    storage::{Scope, dialect::Dialect, relations::Wants, sql::Sql},
};

/// Most rows that one statement reads: some take long, and all wait for all.
const ROWS: usize = 16;

/// The reads of a process that wait.
#[derive(Clone)]
pub(in crate::storage) struct Together {
    rows: Desk<RowRead>,
    positions: Desk<PositionRead>,
}

/// What is the same for all rows that a statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub(super) kind: ResourceKind,
    pub(super) reach: Reach,
    pub(super) wants: Wants,
}

/// A statement for many failed: each asks for himself, and hears why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alone;

impl Together {
    pub(in crate::storage) fn new(pool: &DatabaseConnection, dialect: Dialect) -> Self {
        Self {
            rows: Desk::new(pool.clone(), dialect),
            positions: Desk::new(pool.clone(), dialect),
        }
    }

    /// The row of the resource with this id.
    ///
    /// # Errors
    /// [`Alone`] when it must be read by a statement of its own.
    pub(super) async fn row(
        &self,
        scope: Scope<'_>,
        id: &str,
        manner: Manner,
    ) -> Result<Option<Row>, Alone> {
        let (reply, answer) = oneshot::channel();
        self.rows.push(RowRead {
            manner,
            wanted: [id, scope.tenant_id, scope.connection_id].map(ToOwned::to_owned),
            reply,
        });
        answer.await.map_err(|_| Alone)
    }

    /// How far the tenant's history has come; `None` for an unknown tenant.
    ///
    /// # Errors
    /// [`Alone`] when this is not to be learned here.
    pub(super) async fn position(&self, tenant_id: &str) -> Result<Option<Position>, Alone> {
        let (reply, answer) = oneshot::channel();
        self.positions.push(PositionRead {
            tenant_id: tenant_id.to_owned(),
            reply,
        });
        answer.await.map_err(|_| Alone)
    }
}

/// Somebody who waits for a row.
struct RowRead {
    manner: Manner,
    /// Id, tenant, connection.
    wanted: [String; 3],
    reply: oneshot::Sender<Option<Row>>,
}

/// A row, and the place of the read that it answers.
#[derive(FromQueryResult)]
struct Placed {
    place: i64,
    #[sea_orm(nested)]
    row: Row,
}

impl Read for RowRead {
    const STATEMENTS: usize = 2;

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn together(waiting: &mut VecDeque<Self>) -> Vec<Self> {
        let manner = waiting.front().map(|read| read.manner);
        let first = waiting.iter().take(ROWS);
        let count = first.take_while(|read| Some(read.manner) == manner).count();
        waiting.drain(..count).collect()
    }

    async fn answer(reads: Vec<Self>, line: &mut Line) -> Result<()> {
        let Some(manner) = reads.first().map(|read| read.manner) else {
            return Ok(());
        };
        let wanted: Vec<_> = reads.iter().map(|read| &read.wanted).collect();
        let statement = given(rows(line.dialect, manner), &wanted, line.dialect)?;
        let found = line.ask(async |held| held.all(statement).await).await?;
        let mut reads: Vec<_> = reads.into_iter().map(Some).collect();
        for row in found {
            let Placed { place, row } = Placed::from_query_result(&row, "")?;
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if let Some(read) = reads.get_mut(place).and_then(Option::take) {
                // Whoever went away does not want to know.
                let _ = read.reply.send(Some(row));
            }
        }
        for read in reads.into_iter().flatten() {
            let _ = read.reply.send(None);
        }
        Ok(())
    }
}

/// Somebody who waits for a tenant's position.
struct PositionRead {
    tenant_id: String,
    reply: oneshot::Sender<Option<Position>>,
}

/// The positions of tenants: as one row, because a driver tells of each row and
/// of the end by itself.
#[derive(FromQueryResult)]
struct Heads {
    epoch: Option<String>,
    /// Tenants and their revisions, as a JSON object.
    revisions: String,
}

impl Read for PositionRead {
    /// Two would only make each smaller.
    const STATEMENTS: usize = 1;

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn together(waiting: &mut VecDeque<Self>) -> Vec<Self> {
        waiting.drain(..).collect()
    }

    async fn answer(reads: Vec<Self>, line: &mut Line) -> Result<()> {
        let mut tenants: Vec<_> = reads.iter().map(|read| read.tenant_id.as_str()).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let statement = given(positions(line.dialect), &tenants, line.dialect)?;
        let row = line.ask(async |held| held.one(statement).await).await?;
        let row = row.ok_or_else(|| Error::internal("no row of an aggregate"))?;
        let heads = Heads::from_query_result(&row, "")?;
        let epoch = heads.epoch.unwrap_or_default();
        let revisions: HashMap<String, i64> =
            serde_json::from_str(&heads.revisions).map_err(|e| Error::Internal(e.into()))?;
        for read in reads {
            let revision = revisions.get(&read.tenant_id);
            let position = revision.map(|&revision| Position {
                epoch: epoch.clone(),
                revision,
            });
            // Whoever went away does not want to know.
            let _ = read.reply.send(position);
        }
        Ok(())
    }
}

/// A statement whose last value is what is wanted, as JSON.
fn given(sql: Sql, wanted: &impl serde::Serialize, dialect: Dialect) -> Result<Statement> {
    let wanted = serde_json::to_string(wanted).map_err(|e| Error::Internal(e.into()))?;
    Ok(sql.bind(wanted).statement(dialect.backend()))
}

/// Reads the rows that are wanted, each with its place among them.
fn rows(dialect: Dialect, manner: Manner) -> Sql {
    let Manner { kind, reach, wants } = manner;
    let condition = match reach {
        Reach::Live => " AND r.deleted_at IS NULL",
        Reach::Deleted => "",
    };
    Sql::new("SELECT w.place, ")
        .then(columns(dialect, kind, wants, Sql::new("w.connection_id")))
        .text(" ")
        .text(&dialect.wanted(table(kind)))
        .text(condition)
}

/// Reads the positions of the tenants that are named.
fn positions(dialect: Dialect) -> Sql {
    let revisions = dialect.json_object("h.tenant_id", "h.revision");
    Sql::new(format!(
        "SELECT (SELECT s.value FROM settings s WHERE s.name = 'epoch') AS epoch, \
         {revisions} AS revisions FROM directory_heads h WHERE h.tenant_id {}",
        dialect.is_among()
    ))
}
