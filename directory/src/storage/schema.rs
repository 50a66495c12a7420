//! The schema's state.

use std::collections::BTreeSet;

use muster_migrations::Migrator;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr};
use sea_orm_migration::{MigratorTrait as _, SchemaManager};

use super::{Store, begin, dialect::words, lanes::ADMINISTRATION};
use crate::error::{Error, Result};

/// Whether a migration of the schema has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// Whether it is in the database.
    pub applied: bool,
}

impl Store {
    /// Brings the schema up to this build's. Processes that start at once do
    /// it one after the other; all of it happens, or nothing.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the database is newer than this build, or
    /// refuses; [`Error::Unavailable`], [`Error::Contention`].
    pub async fn migrate(&self) -> Result<()> {
        self.refuse_newer().await?;
        if self.migrations().await?.iter().all(|status| status.applied) {
            // A database that may not be written to can still be read.
            return Ok(());
        }
        let transaction = self.begin_migration().await?;
        let migrated = Migrator::up(&transaction, None).await;
        migrated.map_err(refusal)?;
        Ok(transaction.commit().await?)
    }

    /// Takes the newest migrations back.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_down(&self, steps: u32) -> Result<()> {
        self.refuse_newer().await?;
        let transaction = self.begin_migration().await?;
        Migrator::down(&transaction, Some(steps)).await?;
        Ok(transaction.commit().await?)
    }

    async fn begin_migration(&self) -> Result<DatabaseTransaction> {
        let options = self.dialect.write_transaction();
        let transaction = begin(&self.writer, options).await?;
        self.dialect.take_time(&transaction).await?;
        if let Some(exclude) = self.dialect.exclude(ADMINISTRATION) {
            let statement = exclude.statement(self.dialect.backend());
            transaction.execute_raw(statement).await?;
        }
        Ok(transaction)
    }

    /// All migrations of this build and whether they have been applied.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>> {
        let applied = self.applied().await?;
        let known = Migrator::migrations();
        let status = known.iter().map(|migration| MigrationStatus {
            name: migration.name().to_owned(),
            applied: applied.contains(migration.name()),
        });
        Ok(status.collect())
    }

    async fn applied(&self) -> Result<BTreeSet<String>> {
        let manager = SchemaManager::new(&self.writer);
        if !manager.has_table("seaql_migrations").await? {
            return Ok(BTreeSet::new());
        }
        let models = Migrator::get_migration_models(&self.writer).await?;
        Ok(models.into_iter().map(|model| model.version).collect())
    }

    async fn refuse_newer(&self) -> Result<()> {
        let known: BTreeSet<_> = Migrator::migrations()
            .iter()
            .map(|migration| migration.name().to_owned())
            .collect();
        let applied = self.applied().await?;
        match applied.difference(&known).next() {
            None => Ok(()),
            Some(newer) => Err(Error::Unusable(format!(
                "the database was made by a newer muster: it has the migration {newer}, \
                 which this one does not know; run the newer one"
            ))),
        }
    }
}

/// What the next try would meet again is for the operator, in the database's
/// words: a right that is missing, above all.
fn refusal(error: DbErr) -> Error {
    let words = words(&error);
    match Error::from(error) {
        Error::Internal(_) => Error::Unusable(words),
        passing => passing,
    }
}
