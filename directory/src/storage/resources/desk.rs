//! Where reads of one sort wait until a statement answers them together.
//!
//! Most of what a small read costs is the way to the database and back. Reads that
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

use sea_orm::{DatabaseConnection, DbErr};
use tokio::{sync::Notify, time::timeout};

use crate::{
    error::{Error, Result},
    storage::dialect::{Dialect, held::Held},
};

/// How long a connection is kept while nobody asks. Those that rest longer are
/// tried before they are used, which the pool does.
const REST: Duration = Duration::from_millis(250);

/// A statement that takes longer is given up, with its connection: there must be
/// time left for each to ask alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// A read that waits.
pub(super) trait Read: Send + Sized + 'static {
    /// Most statements under way at once, each over a connection of its own.
    const STATEMENTS: usize;

    /// Whether nobody waits for it any longer.
    fn is_abandoned(&self) -> bool;

    /// Those that go together now, the first among them.
    fn together(waiting: &mut VecDeque<Self>) -> Vec<Self>;

    /// Answers them. Who is dropped unanswered asks for himself.
    fn answer(reads: Vec<Self>, line: &mut Line) -> impl Future<Output = Result<()>> + Send;
}

/// The reads of one sort that wait in this process.
pub(super) struct Desk<R>(Arc<Inner<R>>);

impl<R> Clone for Desk<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<R> {
    pool: DatabaseConnection,
    dialect: Dialect,
    waiting: Mutex<Waiting<R>>,
    /// Wakes a worker that rests.
    asked: Notify,
}

struct Waiting<R> {
    reads: VecDeque<R>,
    workers: usize,
    /// Workers that have nothing to do, but their connection still.
    resting: usize,
}

impl<R> Inner<R> {
    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Read> Desk<R> {
    pub(super) fn new(pool: DatabaseConnection, dialect: Dialect) -> Self {
        let waiting = Waiting {
            reads: VecDeque::new(),
            workers: 0,
            resting: 0,
        };
        Self(Arc::new(Inner {
            pool,
            dialect,
            waiting: Mutex::new(waiting),
            asked: Notify::new(),
        }))
    }

    /// Lets a read wait for its answer.
    pub(super) fn push(&self, read: R) {
        let mut waiting = self.0.lock();
        waiting.reads.push_back(read);
        if waiting.resting > 0 {
            self.0.asked.notify_one();
        } else if waiting.workers < R::STATEMENTS {
            waiting.workers += 1;
            drop(waiting);
            let line = Line {
                pool: self.0.pool.clone(),
                dialect: self.0.dialect,
                held: None,
            };
            let worker = Worker {
                inner: Arc::clone(&self.0),
                line,
                ended: false,
            };
            tokio::spawn(worker.work());
        }
    }
}

/// Answers reads until none comes for a while.
struct Worker<R: Read> {
    inner: Arc<Inner<R>>,
    line: Line,
    /// It is no longer counted.
    ended: bool,
}

impl<R: Read> Drop for Worker<R> {
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

impl<R: Read> Worker<R> {
    async fn work(mut self) {
        loop {
            while let Some(reads) = self.next() {
                let is_crowded = reads.len() > 1;
                if let Err(error) = R::answer(reads, &mut self.line).await {
                    tracing::debug!(%error, "reads are tried one by one");
                    self.line.held = None;
                }
                if is_crowded {
                    // Whoever is about to ask comes along.
                    tokio::task::yield_now().await;
                }
            }
            if self.rests().await {
                return;
            }
        }
    }

    /// The reads that go together now; `None` lets the worker rest.
    fn next(&self) -> Option<Vec<R>> {
        let mut waiting = self.inner.lock();
        // Nobody is told of what nobody waits for.
        waiting.reads.retain(|read| !read.is_abandoned());
        if waiting.reads.is_empty() {
            waiting.resting += 1;
            return None;
        }
        Some(R::together(&mut waiting.reads))
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
}

/// A way to the database that is kept.
pub(super) struct Line {
    pool: DatabaseConnection,
    pub(super) dialect: Dialect,
    held: Option<Held>,
}

impl Line {
    /// Asks over it.
    ///
    /// # Errors
    /// The database's, and [`Error::Unavailable`] when it takes too long.
    pub(super) async fn ask<T>(
        &mut self,
        ask: impl AsyncFnOnce(&mut Held) -> Result<T, DbErr>,
    ) -> Result<T> {
        let (pool, dialect, held) = (&self.pool, self.dialect, &mut self.held);
        let asked = async {
            let held = match held {
                Some(held) => held,
                none => none.insert(Held::of(pool, dialect).await?),
            };
            Ok(ask(held).await?)
        };
        let answered = timeout(PATIENCE, asked).await;
        answered.unwrap_or_else(|_| Err(Error::Unavailable("the database took too long".into())))
    }
}
