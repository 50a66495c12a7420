//! The database. The only place that knows sea-orm.
//!
//! [`Store`] holds the connections; queries are free functions that take the
//! transaction or connection they run on. What a caller names is looked up in
//! his tenant; what follows from a row that was found goes by its key. No
//! rule of the business lives here: absence is `None`, and what follows from it
//! is the service's to say. Where databases differ is in `dialect`; how writes
//! share transactions is in `lanes`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use muster_proto::schema::Registry;
use sea_orm::{
    Database, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, TransactionOptions,
    TransactionTrait as _,
};

use crate::error::{Error, Result};

pub mod access;
pub mod ancestors;
pub mod bell;
pub mod clients;
pub mod credentials;
mod dialect;
mod entity;
mod error;
pub mod federated;
pub mod feed;
mod filter;
pub mod held;
pub mod history;
pub mod identity;
pub mod keys;
mod keyset;
mod lanes;
pub mod lookup;
pub mod members;
mod order;
pub mod provisioning;
pub mod relations;
pub mod replays;
pub mod replicas;
pub mod resources;
mod schema;
pub mod schemas;
pub mod settings;
pub mod signal_streams;
pub mod spent;
mod sql;
pub mod subjects;
pub mod tenants;
pub mod transfer;
pub mod usage;

pub use schema::MigrationStatus;

use access::Access;
use bell::Bell;
use dialect::{Dialect, Fault, Purpose};
use history::Ledger;
use lanes::{Lanes, Pace};
use replicas::Replica;

/// How long opening a database that is busy is tried, and how often.
const OPENING: Duration = Duration::from_secs(30);
const COME_AGAIN: Duration = Duration::from_millis(20);

/// The database with its connections.
#[derive(Clone)]
pub struct Store {
    url: Arc<str>,
    dialect: Dialect,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    sentry: DatabaseConnection,
    replicas: Arc<[Replica]>,
    together: resources::Together,
    remembered: resources::Remembered,
    lanes: Lanes,
    bell: Bell,
    access: Access,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// What queries run on: a transaction, or the pool for a single statement.
#[derive(Clone)]
pub struct Tx {
    handle: Handle,
    dialect: Dialect,
    ledger: Option<Ledger>,
}

#[derive(Clone)]
enum Handle {
    Transaction(Arc<DatabaseTransaction>),
    Pool(DatabaseConnection),
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

impl Tx {
    fn connection(&self) -> DatabaseExecutor<'_> {
        match &self.handle {
            Handle::Transaction(transaction) => transaction.as_ref().into(),
            Handle::Pool(pool) => pool.into(),
        }
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}

impl Store {
    /// Opens the database at this URL: `sqlite://PATH`, made when missing, or
    /// `postgres://...`. The schema is left as it is.
    ///
    /// # Errors
    /// [`Error::Unusable`] with the reason.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with_replicas(url, &[]).await
    }

    /// As [`open`](Self::open), with replicas of a PostgreSQL database for reads
    /// that may be answered by one. A replica that does not answer now may do so
    /// later.
    ///
    /// # Errors
    /// [`Error::Unusable`] with the reason.
    pub async fn open_with_replicas(url: &str, replicas: &[String]) -> Result<Self> {
        let dialect = Dialect::of(url).ok_or_else(|| {
            Error::Unusable("the database URL must start with sqlite:// or postgres://".into())
        })?;
        check(dialect, url).await?;
        if dialect == Dialect::Sqlite && !replicas.is_empty() {
            return Err(Error::Unusable("SQLite has no replicas".into()));
        }
        // The writer comes first: it sets a SQLite file's mode, which readers
        // find.
        let writer = connect(dialect, url, Purpose::Write).await?;
        let reader = connect(dialect, url, Purpose::Read).await?;
        let sentry = connect(dialect, url, Purpose::Watch).await?;
        let mut opened = Vec::with_capacity(replicas.len());
        for url in replicas {
            opened.push(Replica::open(url).await?);
        }
        let (bell, access) = (Bell::default(), Access::default());
        Ok(Self {
            url: url.into(),
            dialect,
            together: resources::Together::new(&reader, dialect),
            remembered: resources::Remembered::default(),
            lanes: Lanes::new(writer.clone(), dialect, bell.clone(), access.clone()),
            writer,
            reader,
            sentry,
            replicas: opened.into(),
            bell,
            access,
        })
    }

    /// Runs a write of a tenant and commits it when it returns `Ok`: alone, or
    /// in one transaction with others that wait at the same time. While it runs
    /// nobody else writes in the tenant. It may run several times, so nothing
    /// outside the database may happen in it; once begun it goes on when the
    /// caller does not wait any longer.
    ///
    /// # Errors
    /// What the work returns; [`Error::Contention`] when the locks could not be
    /// had, [`Error::Unavailable`], and [`Error::NotFound`] for an unknown
    /// tenant.
    pub async fn write<T, F, Fut>(&self, tenant_id: &str, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let lane = (Some(tenant_id), Pace::Usual);
        self.lanes.run(lane, name, work).await
    }

    /// As [`write`](Self::write), for work that looks at all that a tenant has:
    /// alone in its transaction, and for as long as it takes, within half an hour.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_at_length<T, F, Fut>(
        &self,
        tenant_id: &str,
        name: &'static str,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let lane = (Some(tenant_id), Pace::Long);
        self.lanes.run(lane, name, work).await
    }

    /// As [`write`](Self::write), for what belongs to no tenant. Nobody else
    /// administers meanwhile.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn administer<T, F, Fut>(&self, name: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        self.lanes.run((None, Pace::Usual), name, work).await
    }

    /// A view of the database at one moment, for reads of several statements.
    ///
    /// # Errors
    /// [`Error::Contention`], [`Error::Unavailable`].
    pub async fn snapshot(&self) -> Result<Tx> {
        view(&self.reader, self.dialect).await
    }

    /// The pool, for reads of one statement: it sees one moment anyway, and
    /// beginning and ending a transaction would triple its cost.
    pub fn single(&self) -> Tx {
        self.pool(&self.reader)
    }

    /// A way past all other reads, for telling who a caller is.
    pub fn express(&self) -> Tx {
        self.pool(&self.sentry)
    }

    fn pool(&self, pool: &DatabaseConnection) -> Tx {
        Tx {
            handle: Handle::Pool(pool.clone()),
            dialect: self.dialect,
            ledger: None,
        }
    }

    /// The replicas, none for SQLite.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// What rings when a tenant's history grows.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Contention`], [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        Ok(self.sentry.ping().await?)
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(self) {
        // Nobody is left who could be told.
        let _ = self.sentry.close().await;
        let _ = self.reader.close().await;
        let _ = self.writer.close().await;
        for replica in self.replicas.iter() {
            replica.close().await;
        }
    }
}

/// Whether the database can be used at all.
async fn check(dialect: Dialect, url: &str) -> Result<()> {
    match dialect {
        Dialect::Sqlite => dialect::sqlite::make_file(url).map_err(|error| {
            let path = dialect::sqlite::path(url).display().to_string();
            Error::Unusable(format!("{path}: {error}"))
        }),
        Dialect::Postgres => dialect::postgres::inspect(url, true)
            .await
            .map_err(Error::Unusable),
    }
}

/// Begins a transaction. Whoever is no longer waited for between BEGIN and its
/// answer would leave a connection inside a transaction that sqlx does not know
/// of, and everybody who reads there later would see that moment. So this is
/// waited for by somebody who does not go away; what nobody takes is rolled back.
async fn begin(
    pool: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with_options(options).await }).await;
    Ok(begun.map_err(|e| Error::Internal(e.into()))??)
}

/// A view of a database at one moment.
async fn view(pool: &DatabaseConnection, dialect: Dialect) -> Result<Tx> {
    let transaction = begin(pool, TransactionOptions::default()).await?;
    Ok(Tx {
        handle: Handle::Transaction(Arc::new(transaction)),
        dialect,
        ledger: None,
    })
}

/// Opens a pool. Of processes that make a SQLite file's mode at the same time
/// all but one are refused at once, whatever patience the connection has: SQLite
/// does not let them wait for each other here, lest they wait for ever. So they
/// come again.
async fn connect(dialect: Dialect, url: &str, purpose: Purpose) -> Result<DatabaseConnection> {
    let since = Instant::now();
    loop {
        match Database::connect(dialect.options(url, purpose)).await {
            Ok(connection) => return Ok(connection),
            Err(error) if dialect::fault(&error) == Fault::Busy && since.elapsed() < OPENING => {
                tokio::time::sleep(COME_AGAIN).await;
            }
            Err(error) => return Err(Error::Unusable(error.to_string())),
        }
    }
}

/// Whose data a query is about, and through which connection's eyes.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The tenant.
    pub tenant_id: &'a str,
    /// The connection whose external ids count.
    pub connection_id: &'a str,
    /// What the tenant's users and groups consist of.
    pub registry: &'static Registry,
}

/// How many rows were written so far, for tests on SQLite.
#[cfg(test)]
pub(crate) async fn rows_written(store: &Store) -> Result<i64> {
    use sea_orm::FromQueryResult;
    #[derive(FromQueryResult)]
    struct Row {
        written: i64,
    }
    let statement = sql::Sql::new("SELECT total_changes() AS written");
    let statement = statement.statement(store.writer.get_database_backend());
    let row = Row::find_by_statement(statement).one(&store.writer).await?;
    Ok(row.map_or(0, |row| row.written))
}
