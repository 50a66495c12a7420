//! Reads of one resource each, which share statements.
//!
//! Most of what such a read costs is the way to the database and back. Reads that
//! wait at the same time go together, whoever they are for, over a connection
//! that is kept while they follow each other. Each is answered by a statement
//! that began after it was asked for, so it sees all that was committed until
//! then. While nobody waits, a read goes at once; under load statements get
//! larger instead of the queue longer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{DatabaseConnection, FromQueryResult};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{Found, Reach, Row, columns, table};
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

/// Most reads that one statement answers.
const BATCH: usize = 64;

/// Most statements under way at once, each over a connection of its own.
const STATEMENTS: usize = 2;

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
    reads: VecDeque<Read>,
    workers: usize,
    /// Workers that have nothing to do, but their connection still.
    resting: usize,
}

/// What is the same for all reads of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) kind: ResourceKind,
    pub(super) reach: Reach,
    pub(super) wants: Wants,
}

/// A read that waits.
struct Read {
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

impl Together {
    pub(in crate::storage) fn new(pool: DatabaseConnection, dialect: Dialect) -> Self {
        Self(Arc::new(Inner {
            pool,
            dialect,
            waiting: Mutex::default(),
            asked: Notify::new(),
        }))
    }

    /// The resource with this id, and when this was so.
    ///
    /// # Errors
    /// [`Alone`] when it must be read by a statement of its own.
    pub(super) async fn load(
        &self,
        scope: Scope<'_>,
        id: &str,
        manner: Manner,
    ) -> Result<Result<Option<(Found, Position)>>, Alone> {
        let (reply, answer) = oneshot::channel();
        self.push(Read {
            manner,
            wanted: [id, scope.tenant_id, scope.connection_id].map(ToOwned::to_owned),
            reply,
        });
        // Documents are taken apart here, not one behind the other.
        let found = |row: Row| {
            let position = row.position();
            Ok((row.into_found(manner.kind)?, position))
        };
        let row = answer.await.map_err(|_| Alone)?;
        Ok(row.map(found).transpose())
    }

    fn push(&self, read: Read) {
        let mut waiting = self.0.lock();
        waiting.reads.push_back(read);
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
            waiting.reads.clear();
        }
    }
}

impl Worker {
    async fn work(mut self) {
        loop {
            // Whoever is about to ask comes along.
            tokio::task::yield_now().await;
            while let Some((manner, reads)) = self.next() {
                if let Err(error) = self.within_patience(manner, reads).await {
                    tracing::debug!(%error, "reads are tried one by one");
                    self.held = None;
                }
            }
            if self.rests().await {
                return;
            }
        }
    }

    /// The reads that go together now; `None` lets the worker rest.
    fn next(&self) -> Option<(Manner, Vec<Read>)> {
        let mut waiting = self.inner.lock();
        // Nobody is told of what nobody waits for.
        waiting.reads.retain(|read| !read.reply.is_closed());
        let Some(manner) = waiting.reads.front().map(|read| read.manner) else {
            waiting.resting += 1;
            return None;
        };
        let first = waiting.reads.iter().take(BATCH);
        let count = first.take_while(|read| read.manner == manner).count();
        Some((manner, waiting.reads.drain(..count).collect()))
    }

    /// Waits for somebody who asks; whether that was in vain, and the worker
    /// ends.
    async fn rests(&mut self) -> bool {
        let asked = timeout(REST, self.inner.asked.notified()).await;
        let mut waiting = self.inner.lock();
        waiting.resting -= 1;
        self.ended = asked.is_err() && waiting.reads.is_empty();
        if self.ended {
            waiting.workers -= 1;
        }
        self.ended
    }

    async fn within_patience(&mut self, manner: Manner, reads: Vec<Read>) -> Result<()> {
        let answered = timeout(PATIENCE, self.answer(manner, reads)).await;
        answered.unwrap_or_else(|_| Err(Error::Unavailable("the database took too long".into())))
    }

    async fn answer(&mut self, manner: Manner, reads: Vec<Read>) -> Result<()> {
        let wanted: Vec<_> = reads.iter().map(|read| &read.wanted).collect();
        let wanted = serde_json::to_string(&wanted).map_err(|e| Error::Internal(e.into()))?;
        let dialect = self.inner.dialect;
        let statement = statement(dialect, manner, wanted).statement(dialect.backend());
        let held = match &mut self.held {
            Some(held) => held,
            none => none.insert(Held::of(&self.inner.pool, self.inner.dialect).await?),
        };
        let rows = held.all(statement).await?;
        let mut reads: Vec<_> = reads.into_iter().map(Some).collect();
        for row in rows {
            let placed = Placed::from_query_result(&row, "")?;
            let place = usize::try_from(placed.place).unwrap_or(usize::MAX);
            if let Some(read) = reads.get_mut(place).and_then(Option::take) {
                // Whoever went away does not want to know.
                let _ = read.reply.send(Some(placed.row));
            }
        }
        for read in reads.into_iter().flatten() {
            let _ = read.reply.send(None);
        }
        Ok(())
    }
}

/// Reads the rows that are wanted, each with its place among them.
fn statement(dialect: Dialect, manner: Manner, wanted: String) -> Sql {
    let Manner { kind, reach, wants } = manner;
    let condition = match reach {
        Reach::Live => " AND r.deleted_at IS NULL",
        Reach::Deleted => "",
    };
    Sql::new("SELECT w.place, ")
        .then(columns(dialect, kind, wants, Sql::new("w.connection_id")))
        .text(" ")
        .then(dialect.wanted(table(kind)).bind(wanted))
        .text(condition)
}
