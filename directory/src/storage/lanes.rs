//! How writes share transactions.
//!
//! Writes of a tenant queue in its lane; the lane's worker takes those that wait
//! and commits them together. Nearly always all of them succeed; when one does
//! not, they are done again, each behind a savepoint of its own. The
//! transaction holds the tenant's head row from its start, so that writes of a
//! tenant never meet, whichever processes they run in: what a write reads is
//! what it changes, and no two of them can deadlock. Under load, waiting for the
//! lock makes the next transaction larger instead of the queue longer.
//!
//! A write that looks at all that a tenant has takes long. It shares its
//! transaction with nobody, so that only the time of others is lost when it
//! fails.
//!
//! SQLite has one writer, hence one lane for all tenants.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction};
use tokio::{sync::oneshot, time::Instant};

use super::{
    Handle, Tx,
    access::Access,
    begin,
    bell::Bell,
    dialect::Dialect,
    history::{self, Ledger},
};
use crate::error::{Error, Result};

/// Most writes in one transaction.
const BATCH: usize = 64;

/// Most writes that wait in a lane.
const QUEUE: usize = 10_000;

/// A write that has been tried for this long is not tried again.
const ENOUGH: Duration = Duration::from_secs(2);

/// How often a write is tried when the database gives way to others or a
/// connection turns out to be dead.
const ATTEMPTS: u32 = 5;

/// How long one try may take: behind it the connection is given up.
const PATIENCE: Duration = Duration::from_secs(65);

/// The same for a write of which it is known that it takes long. Others wait for
/// it in their lane; what never ends must end some time.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The lock that keeps administration of several processes apart.
pub(super) const ADMINISTRATION: i64 = 0x6d75_7374_6572;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The lanes of a process.
#[derive(Clone)]
pub(super) struct Lanes(Arc<Inner>);

struct Inner {
    writer: DatabaseConnection,
    dialect: Dialect,
    bell: Bell,
    access: Access,
    /// A lane is here while its worker runs.
    queues: Mutex<HashMap<String, VecDeque<Box<dyn Job>>>>,
}

/// How long a write is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Moments: it shares its transaction with others that wait.
    Usual,
    /// Minutes, perhaps: it is alone.
    Long,
}

impl Pace {
    fn patience(self) -> Duration {
        match self {
            Self::Usual => PATIENCE,
            Self::Long => LONG_PATIENCE,
        }
    }
}

/// A write that waits for its turn.
trait Job: Send + Sync {
    fn tenant(&self) -> Option<&str>;
    fn pace(&self) -> Pace;
    fn name(&self) -> &'static str;
    /// Whether nobody waits for it any longer.
    fn is_abandoned(&self) -> bool;
    /// Does the work and keeps what it returned.
    fn run(&self, tx: Tx) -> Boxed<'_, Result<()>>;
    /// Tells whoever waits.
    fn settle(self: Box<Self>, outcome: Result<()>);
}

struct Typed<T, F> {
    tenant: Option<String>,
    pace: Pace,
    name: &'static str,
    work: F,
    value: Mutex<Option<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F, Fut> Job for Typed<T, F>
where
    T: Send,
    F: Fn(Tx) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T>> + Send,
{
    fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&self, tx: Tx) -> Boxed<'_, Result<()>> {
        Box::pin(async move {
            let value = (self.work)(tx).await?;
            *lock(&self.value) = Some(value);
            Ok(())
        })
    }

    fn settle(self: Box<Self>, outcome: Result<()>) {
        let value = self.value.into_inner();
        let value = value.unwrap_or_else(PoisonError::into_inner);
        let result = outcome.and_then(|()| value.ok_or_else(|| Error::internal("no outcome")));
        // Whoever went away does not want to know.
        let _ = self.reply.send(result);
    }
}

impl Lanes {
    pub(super) fn new(
        writer: DatabaseConnection,
        dialect: Dialect,
        bell: Bell,
        access: Access,
    ) -> Self {
        Self(Arc::new(Inner {
            writer,
            dialect,
            bell,
            access,
            queues: Mutex::default(),
        }))
    }

    /// Puts a write in its lane and waits for it.
    pub(super) async fn run<T, F, Fut>(
        &self,
        (tenant, pace): (Option<&str>, Pace),
        name: &'static str,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let (reply, outcome) = oneshot::channel();
        let job = Typed {
            tenant: tenant.map(ToOwned::to_owned),
            pace,
            name,
            work,
            value: Mutex::new(None),
            reply,
        };
        self.push(Box::new(job))?;
        let lost = |_| Err(Error::internal(format!("{name} was lost")));
        outcome.await.unwrap_or_else(lost)
    }

    fn push(&self, job: Box<dyn Job>) -> Result<()> {
        let lane = match job.tenant() {
            Some(tenant) if !self.0.dialect.has_one_writer() => tenant.to_owned(),
            _ => String::new(),
        };
        let mut queues = lock(&self.0.queues);
        if let Some(queue) = queues.get_mut(&lane) {
            if queue.len() >= QUEUE {
                return Err(Error::Contention);
            }
            queue.push_back(job);
            return Ok(());
        }
        queues.insert(lane.clone(), VecDeque::from([job]));
        drop(queues);
        let worker = Worker {
            inner: Arc::clone(&self.0),
            lane,
            ended: false,
        };
        tokio::spawn(worker.work());
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Works a lane off.
struct Worker {
    inner: Arc<Inner>,
    lane: String,
    /// The lane is no longer this worker's; another may be there.
    ended: bool,
}

impl Drop for Worker {
    /// After a panic nobody would work the lane off: those who wait are told,
    /// and the next write makes a new worker.
    fn drop(&mut self) {
        if !self.ended {
            lock(&self.inner.queues).remove(&self.lane);
        }
    }
}

impl Worker {
    async fn work(mut self) {
        while let Some(jobs) = self.next() {
            let Some(jobs) = self.inner.try_together(jobs).await else {
                continue;
            };
            for job in jobs {
                let outcome = self.inner.try_alone(job.as_ref()).await;
                job.settle(outcome);
            }
        }
    }

    /// The writes that wait; `None` ends the lane.
    fn next(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let mut queues = lock(&self.inner.queues);
        let queue = queues.get_mut(&self.lane)?;
        // Nobody is told of what nobody waits for.
        queue.retain(|job| !job.is_abandoned());
        let count = together(queue);
        let jobs: Vec<_> = queue.drain(..count).collect();
        if jobs.is_empty() {
            queues.remove(&self.lane);
            self.ended = true;
            return None;
        }
        Some(jobs)
    }
}

/// How many of those that wait first share a transaction.
fn together(queue: &VecDeque<Box<dyn Job>>) -> usize {
    let first = queue.iter().take(BATCH);
    match first.take_while(|job| job.pace() == Pace::Usual).count() {
        0 => queue.len().min(1),
        count => count,
    }
}

/// How writes that share a transaction are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Not at all: the failure of one undoes all.
    Trusting,
    /// By savepoints, which are two statements more for each.
    Savepoints,
}

/// Why a transaction did not happen.
struct Failed {
    error: Error,
    /// It cannot have been committed, so it may be tried again.
    undone: bool,
    /// The database did not even begin it.
    unbegun: bool,
}

impl Failed {
    fn undone(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            undone: true,
            unbegun: false,
        }
    }

    fn unbegun(error: impl Into<Error>) -> Self {
        Self {
            unbegun: true,
            ..Self::undone(error)
        }
    }

    fn unknown(error: impl Into<Error>) -> Self {
        Self {
            undone: false,
            ..Self::undone(error)
        }
    }
}

impl Inner {
    /// Commits the writes together. Gives them back when each must be tried
    /// alone.
    async fn try_together(&self, jobs: Vec<Box<dyn Job>>) -> Option<Vec<Box<dyn Job>>> {
        // Administration has locks of its own.
        if jobs.len() == 1 || jobs.iter().any(|job| job.tenant().is_none()) {
            return Some(jobs);
        }
        let together: Vec<_> = jobs.iter().map(AsRef::as_ref).collect();
        let mut tried = self.within_patience(&together, Care::Trusting).await;
        if let Err(failed) = &tried
            && failed.undone
            && !is_passing(&failed.error)
        {
            tracing::debug!(error = %failed.error, "writes are kept apart");
            tried = self.within_patience(&together, Care::Savepoints).await;
        }
        match tried {
            Ok(outcomes) => {
                for (job, outcome) in jobs.into_iter().zip(outcomes) {
                    job.settle(outcome);
                }
                None
            }
            Err(failed) if failed.undone && !failed.unbegun => {
                tracing::debug!(error = %failed.error, "writes are tried one by one");
                Some(jobs)
            }
            Err(failed) => {
                let what = match failed.undone {
                    true => "no transaction could be begun",
                    false => "it is not known whether writes happened",
                };
                tracing::warn!(error = %failed.error, what);
                for job in jobs {
                    job.settle(Err(Error::Unavailable(what.into())));
                }
                None
            }
        }
    }

    async fn try_alone(&self, job: &dyn Job) -> Result<()> {
        let began = Instant::now();
        let mut attempt = 1;
        loop {
            let failed = match self.within_patience(&[job], Care::Trusting).await {
                Ok(mut outcomes) => return outcomes.pop().unwrap_or(Ok(())),
                Err(failed) => failed,
            };
            let enough = attempt == ATTEMPTS || began.elapsed() > ENOUGH || job.is_abandoned();
            if enough || !failed.undone || !is_passing(&failed.error) {
                return Err(failed.error);
            }
            tracing::debug!(
                transaction = job.name(),
                attempt,
                error = %failed.error,
                "a write is tried again"
            );
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn within_patience(
        &self,
        jobs: &[&dyn Job],
        care: Care,
    ) -> Result<Vec<Result<()>>, Failed> {
        let patience = pace(jobs).patience();
        match tokio::time::timeout(patience, self.attempt(jobs, care)).await {
            Ok(result) => result,
            Err(_) => Err(Failed::unknown(Error::Unavailable(
                "the database took too long".into(),
            ))),
        }
    }

    async fn attempt(&self, jobs: &[&dyn Job], care: Care) -> Result<Vec<Result<()>>, Failed> {
        let options = self.dialect.write_transaction();
        let begun = begin(&self.writer, options).await;
        let transaction = Arc::new(begun.map_err(Failed::unbegun)?);
        if pace(jobs) == Pace::Long {
            let unlimited = self.dialect.take_time(&transaction).await;
            unlimited.map_err(Failed::undone)?;
        }
        let ledger = Ledger::default();
        let tx = Tx {
            handle: Handle::Transaction(Arc::clone(&transaction)),
            dialect: self.dialect,
            ledger: Some(ledger.clone()),
        };
        let worked = self.work(&tx, jobs, care).await;
        drop(tx);
        let transaction = Arc::try_unwrap(transaction)
            .map_err(|_| Failed::undone(Error::internal("a transaction outlived its work")))?;
        let outcomes = finish(transaction, worked).await?;
        // Before those who wait are told: whose access ended here is not let in
        // here any more.
        for (tenant, access_version) in ledger.tenants() {
            self.access.raise(&tenant, access_version);
            self.bell.ring(&tenant);
        }
        Ok(outcomes)
    }

    async fn work(&self, tx: &Tx, jobs: &[&dyn Job], care: Care) -> Result<Vec<Result<()>>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for &job in jobs {
            if job.is_abandoned() {
                outcomes.push(Err(Error::Unavailable("nobody waits".into())));
                continue;
            }
            match job.tenant() {
                Some(tenant) => history::take_head(tx, tenant).await?,
                None => history::administer(tx).await?,
            }
            let outcome = match care {
                Care::Savepoints => behind_savepoint(tx, job).await?,
                Care::Trusting => match job.run(tx.clone()).await {
                    // It must not undo what others did.
                    Err(error) if jobs.len() > 1 => return Err(error),
                    outcome => outcome,
                },
            };
            match outcome {
                // The transaction is lost with it.
                Err(error) if is_passing(&error) => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        if outcomes.iter().any(Result::is_ok) {
            history::close_books(tx).await?;
        }
        Ok(outcomes)
    }
}

/// That of the slowest.
fn pace(jobs: &[&dyn Job]) -> Pace {
    match jobs.iter().any(|job| job.pace() == Pace::Long) {
        true => Pace::Long,
        false => Pace::Usual,
    }
}

/// Does one of several writes so that its failure leaves the others alone.
async fn behind_savepoint(tx: &Tx, job: &dyn Job) -> Result<Result<()>> {
    let connection = &tx.connection();
    connection.execute_unprepared("SAVEPOINT job").await?;
    let mark = history::mark(tx);
    let outcome = job.run(tx.clone()).await;
    let end = match &outcome {
        Ok(()) => "RELEASE SAVEPOINT job",
        Err(error) if is_passing(error) => return Ok(outcome),
        Err(_) => {
            history::rewind(tx, mark);
            "ROLLBACK TO SAVEPOINT job"
        }
    };
    connection.execute_unprepared(end).await?;
    Ok(outcome)
}

async fn finish(
    transaction: DatabaseTransaction,
    worked: Result<Vec<Result<()>>>,
) -> Result<Vec<Result<()>>, Failed> {
    let outcomes = match worked {
        Ok(outcomes) if outcomes.iter().any(Result::is_ok) => outcomes,
        worked => {
            // What led here tells more than an error of the rollback.
            let _ = transaction.rollback().await;
            return worked.map_err(Failed::undone);
        }
    };
    transaction.commit().await.map_err(Failed::unknown)?;
    Ok(outcomes)
}

/// Whether the next try may do better.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Contention | Error::Unavailable(_))
}

/// How long to wait before the next try. Processes that collided wait for
/// different times.
fn pause(attempt: u32) -> Duration {
    let spread = u64::from(std::process::id() % 16);
    Duration::from_millis((10 << attempt) + spread)
}

#[cfg(test)]
mod tests;
