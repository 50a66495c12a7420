//! The database. The only place that knows sea-orm.
//!
//! [`Store`] holds the connections; queries are free functions that take the
//! transaction or connection they run on. What a caller names is looked up in
//! his tenant; what follows from a row that was found goes by its key. No
//! rule of the business lives here: absence is `None`, and what follows from it
//! is the service's to say. Where databases differ is in `dialect`.

use std::{fmt, sync::Arc, time::Duration};

use muster_migrations::Migrator;
use sea_orm::{
    Database, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;

use crate::error::{Error, Result};

pub mod credentials;
mod dialect;
mod entity;
mod error;
mod filter;
pub mod history;
pub mod members;
pub mod relations;
pub mod resources;
pub mod settings;
mod sql;
pub mod tenants;

/// How often a write is tried when others keep the lock.
const ATTEMPTS: u32 = 3;

/// The database with its connections.
#[derive(Clone)]
pub struct Store {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    sentry: DatabaseConnection,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// What queries run on: a transaction, or the pool for a single statement.
#[derive(Clone)]
pub struct Tx(Handle);

#[derive(Clone)]
enum Handle {
    Transaction(Arc<DatabaseTransaction>),
    Pool(DatabaseConnection),
}

impl Tx {
    fn connection(&self) -> DatabaseExecutor<'_> {
        match &self.0 {
            Handle::Transaction(transaction) => transaction.as_ref().into(),
            Handle::Pool(pool) => pool.into(),
        }
    }
}

/// Whether a migration of the schema has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// Whether it is in the database.
    pub applied: bool,
}

impl Store {
    /// Opens the database at this URL (`sqlite://PATH`), made when missing.
    /// The schema is left as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        if !url.starts_with("sqlite://") {
            let what = "the database URL must start with sqlite://";
            return Err(Error::Unavailable(what.into()));
        }
        dialect::make_file(url).map_err(|e| Error::Unavailable(e.into()))?;
        // The writer comes first: it sets the file's mode, which readers find.
        let writer = connect(dialect::writer_options(url)).await?;
        let reader = connect(dialect::reader_options(url)).await?;
        let sentry = connect(dialect::sentry_options(url)).await?;
        Ok(Self {
            writer,
            reader,
            sentry,
        })
    }

    /// Brings the schema up to this build's.
    ///
    /// # Errors
    /// [`Error::Internal`], also when the database is newer than this build.
    pub async fn migrate(&self) -> Result<()> {
        Ok(Migrator::up(&self.writer, None).await?)
    }

    /// Takes the newest migrations back.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn migrate_down(&self, steps: u32) -> Result<()> {
        Ok(Migrator::down(&self.writer, Some(steps)).await?)
    }

    /// All migrations of this build and whether they have been applied.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>> {
        let migrations = Migrator::get_migration_with_status(&self.writer).await?;
        let status = migrations.iter().map(|migration| MigrationStatus {
            name: migration.name().to_owned(),
            applied: migration.status() == sea_orm_migration::MigrationStatus::Applied,
        });
        Ok(status.collect())
    }

    /// Runs a closure in a transaction and commits when it returns `Ok`. It may
    /// run several times when others hold the lock, so nothing outside the
    /// database may happen in it.
    ///
    /// # Errors
    /// What the closure returns, and [`Error::Contention`] when the lock could
    /// not be had.
    pub async fn transact<T, F, Fut>(&self, name: &'static str, closure: F) -> Result<T>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut attempt = 1;
        loop {
            match self.attempt(&closure).await {
                Err(Error::Contention) if attempt < ATTEMPTS => {
                    tracing::debug!(
                        transaction = name,
                        attempt,
                        "the database is busy, trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(u64::from(10 * attempt))).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt<T, F, Fut>(&self, closure: &F) -> Result<T>
    where
        F: Fn(Tx) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let options = dialect::write_transaction();
        let transaction = Arc::new(self.writer.begin_with_options(options).await?);
        let result = closure(Tx(Handle::Transaction(Arc::clone(&transaction)))).await;
        let transaction = Arc::try_unwrap(transaction)
            .map_err(|_| Error::internal("a transaction outlived its closure"))?;
        match result {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // The error that led here tells more than one of the rollback.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// A view of the database at one moment, for reads of several statements.
    ///
    /// # Errors
    /// [`Error::Contention`], [`Error::Unavailable`].
    pub async fn snapshot(&self) -> Result<Tx> {
        let transaction = Arc::new(self.reader.begin().await?);
        Ok(Tx(Handle::Transaction(transaction)))
    }

    /// The pool, for reads of one statement: it sees one moment anyway, and
    /// beginning and ending a transaction would triple its cost.
    pub fn single(&self) -> Tx {
        Tx(Handle::Pool(self.reader.clone()))
    }

    /// A way past all other reads, for telling who a caller is.
    pub fn express(&self) -> Tx {
        Tx(Handle::Pool(self.sentry.clone()))
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
    }
}

async fn connect(options: sea_orm::ConnectOptions) -> Result<DatabaseConnection> {
    let connection = Database::connect(options).await;
    connection.map_err(|error| Error::Unavailable(error.into()))
}

/// Whose data a query is about, and through which connection's eyes.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The tenant.
    pub tenant_id: &'a str,
    /// The connection whose external ids count.
    pub connection_id: &'a str,
}
