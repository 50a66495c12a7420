//! Reads of one resource each, which share statements.
//!
//! Most of what such a read costs is the way to the database and back. Reads that
//! wait at the same time go together, whoever they are for, over a connection
//! that is kept while they follow each other. Each is answered by a statement
//! that began after it was asked for, so it sees all that was committed until
//! then. While nobody waits, a read goes at once; under load statements get
//! larger instead of the queue longer.
//!
//! The same goes for asking how far the history of tenants has come, which tells
//! whether what was read before still holds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{Reach, Row, columns, table};
use crate::{
    domain::{history::Position, resource::ResourceKind},
    error::{Error, Result},
    storage::{
        Scope,
        dialect::{Dialect, held::Held},
        relations::Wants,
        sql::Sql,
    },
};

/// Most rows that one statement reads: some take long, and all wait for all.
const ROWS: usize = 16;

/// Most statements under way at once, each over a connection of its own.
const STATEMENTS: usize = 1;

/// How long a connection is kept while nobody asks. Those that rest longer are
/// tried before they are used, which the pool does.
const REST: Duration = Duration::from_millis(250);

/// A statement that takes longer is given up, with its connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// The reads of a process that wait.
#[derive(Clone)]
pub(in crate::storage) struct Together(Arc<Inner>);

struct Inner {
    pool: DatabaseConnection,
    dialect: Dialect,
    waiting: Mutex<Waiting>,
    /// Wakes a worker that rests.
    asked: Notify,
}

#[derive(Default)]
struct Waiting {
    rows: VecDeque<RowRead>,
    positions: Vec<PositionRead>,
    workers: usize,
    /// Workers that have nothing to do, but their connection still.
    resting: usize,
}

/// What is the same for all rows that a statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Manner {
    pub(super) kind: ResourceKind,
    pub(super) reach: Reach,
    pub(super) wants: Wants,
}

/// Somebody who waits for a row.
struct RowRead {
    manner: Manner,
    /// Id, tenant, connection.
    wanted: [String; 3],
    reply: oneshot::Sender<Option<Row>>,
}

/// Somebody who waits for a tenant's position.
struct PositionRead {
    tenant_id: String,
    reply: oneshot::Sender<Option<Position>>,
}

/// A row, and the place of the read that it answers.
#[derive(FromQueryResult)]
struct Placed {
    place: i64,
    #[sea_orm(nested)]
    row: Row,
}

/// The positions of tenants: as one row, because a driver tells of each row and
/// of the end by itself.
#[derive(FromQueryResult)]
struct Heads {
    epoch: Option<String>,
    /// Tenants and their revisions, as a JSON object.
    revisions: String,
}

impl Together {
    pub(in crate::storage) fn new(pool: DatabaseConnection, dialect: Dialect) -> Self {
        Self(Arc::new(Inner {
            pool,
            dialect,
            waiting: Mutex::default(),
            asked: Notify::new(),
        }))
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
        let wanted = [id, scope.tenant_id, scope.connection_id].map(ToOwned::to_owned);
        self.ask(|waiting| {
            waiting.rows.push_back(RowRead {
                manner,
                wanted,
                reply,
            });
        });
        answer.await.map_err(|_| Alone)
    }

    /// How far the tenant's history has come; `None` for an unknown tenant.
    ///
    /// # Errors
    /// [`Alone`] when this is not to be learned here.
    pub(super) async fn position(&self, tenant_id: &str) -> Result<Option<Position>, Alone> {
        let (reply, answer) = oneshot::channel();
        let tenant_id = tenant_id.to_owned();
        self.ask(|waiting| waiting.positions.push(PositionRead { tenant_id, reply }));
        answer.await.map_err(|_| Alone)
    }

    fn ask(&self, push: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.0.lock();
        push(&mut waiting);
        if waiting.resting > 0 {
            self.0.asked.notify_one();
        } else if waiting.workers < STATEMENTS {
            waiting.workers += 1;
            drop(waiting);
            let worker = Worker {
                inner: Arc::clone(&self.0),
                held: None,
                ended: false,
            };
            tokio::spawn(worker.work());
        }
    }
}

/// A statement for many failed: each asks for himself, and hears why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alone;

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.positions.is_empty()
    }

    /// The rows that are read together now. Nobody is told of what nobody waits
    /// for.
    fn take_rows(&mut self) -> Option<(Manner, Vec<RowRead>)> {
        self.rows.retain(|read| !read.reply.is_closed());
        let manner = self.rows.front()?.manner;
        let first = self.rows.iter().take(ROWS);
        let count = first.take_while(|read| read.manner == manner).count();
        Some((manner, self.rows.drain(..count).collect()))
    }

    fn take_positions(&mut self) -> Vec<PositionRead> {
        self.positions.retain(|read| !read.reply.is_closed());
        std::mem::take(&mut self.positions)
    }
}

/// Answers reads until none comes for a while.
struct Worker {
    inner: Arc<Inner>,
    held: Option<Held>,
    /// It is no longer counted.
    ended: bool,
}

impl Drop for Worker {
    /// After a panic those who wait are sent to ask for themselves, and the next
    /// read makes a new worker.
    fn drop(&mut self) {
        if !self.ended {
            let mut waiting = self.inner.lock();
            waiting.workers -= 1;
            waiting.rows.clear();
            waiting.positions.clear();
        }
    }
}

impl Worker {
    async fn work(mut self) {
        let mut crowded = false;
        loop {
            if crowded {
                // Whoever is about to ask comes along.
                tokio::task::yield_now().await;
            }
            // Neither kind lets the other wait for long.
            let positions = self.inner.lock().take_positions();
            let mut count = positions.len();
            if !positions.is_empty() {
                self.answer_positions(positions).await;
            }
            let rows = self.inner.lock().take_rows();
            if let Some((manner, reads)) = rows {
                count += reads.len();
                self.answer_rows(manner, reads).await;
            }
            if count > 0 {
                crowded = count > 1;
            } else if self.rests().await {
                return;
            }
        }
    }

    /// Waits for somebody who asks; whether that was in vain, and the worker
    /// ends.
    async fn rests(&mut self) -> bool {
        {
            let mut waiting = self.inner.lock();
            if !waiting.is_empty() {
                return false;
            }
            waiting.resting += 1;
        }
        let asked = timeout(REST, self.inner.asked.notified()).await;
        let mut waiting = self.inner.lock();
        waiting.resting -= 1;
        self.ended = asked.is_err() && waiting.is_empty();
        if self.ended {
            waiting.workers -= 1;
        }
        self.ended
    }

    /// Those who are not told ask for themselves.
    async fn answer_positions(&mut self, reads: Vec<PositionRead>) {
        let mut tenants: Vec<_> = reads.iter().map(|read| read.tenant_id.as_str()).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let Ok(heads) = self.heads(&tenants).await else {
            return;
        };
        for read in reads {
            let position = heads.get(&read.tenant_id).cloned();
            // Whoever went away does not want to know.
            let _ = read.reply.send(position);
        }
    }

    async fn heads(&mut self, tenants: &[&str]) -> Result<HashMap<String, Position>> {
        let statement = self.statement(positions(self.inner.dialect), &tenants)?;
        let row = self
            .within_patience(async |held| held.one(statement).await)
            .await?;
        let heads = row
            .map(|row| Heads::from_query_result(&row, ""))
            .transpose()?;
        let Some(Heads { epoch, revisions }) = heads else {
            return Ok(HashMap::new());
        };
        let epoch = epoch.unwrap_or_default();
        let revisions: HashMap<String, i64> =
            serde_json::from_str(&revisions).map_err(|e| Error::Internal(e.into()))?;
        let position = |revision| Position {
            epoch: epoch.clone(),
            revision,
        };
        let revisions = revisions.into_iter();
        Ok(revisions
            .map(|(tenant, revision)| (tenant, position(revision)))
            .collect())
    }

    /// Those who are not told ask for themselves.
    async fn answer_rows(&mut self, manner: Manner, reads: Vec<RowRead>) {
        let wanted: Vec<_> = reads.iter().map(|read| &read.wanted).collect();
        let Ok(statement) = self.statement(rows(self.inner.dialect, manner), &wanted) else {
            return;
        };
        let found = self.within_patience(async |held| held.all(statement).await);
        let Ok(found) = found.await else {
            return;
        };
        let placed = found.iter().map(|row| Placed::from_query_result(row, ""));
        let Ok(placed) = placed.collect::<Result<Vec<_>, _>>() else {
            return;
        };
        let mut reads: Vec<_> = reads.into_iter().map(Some).collect();
        for Placed { place, row } in placed {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if let Some(read) = reads.get_mut(place).and_then(Option::take) {
                // Whoever went away does not want to know.
                let _ = read.reply.send(Some(row));
            }
        }
        for read in reads.into_iter().flatten() {
            let _ = read.reply.send(None);
        }
    }

    /// What is wanted is its last value, as JSON.
    fn statement(&self, sql: Sql, wanted: &impl serde::Serialize) -> Result<Statement> {
        let wanted = serde_json::to_string(wanted).map_err(|e| Error::Internal(e.into()))?;
        Ok(sql.bind(wanted).statement(self.inner.dialect.backend()))
    }

    async fn within_patience<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut Held) -> Result<T, DbErr>,
    ) -> Result<T> {
        let (pool, dialect) = (&self.inner.pool, self.inner.dialect);
        let held = &mut self.held;
        let asked = timeout(PATIENCE, async {
            let held = match held {
                Some(held) => held,
                none => none.insert(Held::of(pool, dialect).await?),
            };
            Ok(ask(held).await?)
        });
        let answer = asked.await;
        let answer =
            answer.unwrap_or_else(|_| Err(Error::Unavailable("the database took too long".into())));
        answer.inspect_err(|error| {
            tracing::debug!(%error, "reads are tried one by one");
            self.held = None;
        })
    }
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
