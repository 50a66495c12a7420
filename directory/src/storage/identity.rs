//! Whether the database is still the one it was: a restored backup has the same
//! tenants and the same epoch, but what was acknowledged after it was made is
//! gone, and revisions that were handed out would be handed out again.
//!
//! PostgreSQL tells part of it by itself: a cluster made anew has another system
//! identifier, one recovered to a point in time and a promoted replica another
//! timeline, a dump restored into a new database another database. A copy of the
//! whole data directory put back has none of these; whoever does that must say
//! so. SQLite is a file that knows nothing: how far it had come is noted beside
//! it.

use std::{fs, path::PathBuf};

use sea_orm::{ConnectionTrait as _, FromQueryResult};
use serde::{Deserialize, Serialize};

use super::{
    Store, Tx,
    dialect::{Dialect, sqlite},
    settings,
    sql::Sql,
};
use crate::error::Result;

/// What is behind a SQLite file's name in the name of the note beside it.
const NOTE: &str = "-history";

/// How far a SQLite file had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    epoch: String,
    revisions: i64,
}

/// What tells a database from what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The same as when it was last looked at.
    Same,
    /// Restored or replaced; what is to be remembered of it now, if the database
    /// itself remembers it.
    Other(Option<String>),
    /// Nobody looked before; what is to be remembered.
    New(String),
}

impl Store {
    /// Whether the database is the one that it was.
    ///
    /// # Errors
    /// The database's.
    pub async fn identity(&self) -> Result<Identity> {
        match self.dialect {
            Dialect::Sqlite => self.sqlite_identity().await,
            Dialect::Postgres => self.postgres_identity().await,
        }
    }

    async fn postgres_identity(&self) -> Result<Identity> {
        #[derive(FromQueryResult)]
        struct Row {
            identity: String,
        }
        // The first eight digits of a segment's name are its timeline.
        let sql = Sql::new(
            "SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), \
             left(pg_walfile_name(pg_current_wal_lsn()), 8), \
             (SELECT oid FROM pg_database WHERE datname = current_database())) AS identity",
        );
        let connection = &self.reader;
        let statement = sql.statement(connection.get_database_backend());
        let row = Row::find_by_statement(statement).one(connection).await?;
        let now = row.map(|row| row.identity).unwrap_or_default();
        let before = settings::load(&self.single(), settings::IDENTITY).await?;
        Ok(match before {
            None => Identity::New(now),
            Some(before) if before == now => Identity::Same,
            Some(_) => Identity::Other(Some(now)),
        })
    }

    async fn sqlite_identity(&self) -> Result<Identity> {
        let Some(noted) = self.read_note() else {
            return Ok(Identity::Same);
        };
        let tx = self.single();
        let epoch = settings::load(&tx, settings::EPOCH).await?;
        let is_behind =
            epoch.as_ref() == Some(&noted.epoch) && revisions(&tx).await? < noted.revisions;
        match is_behind {
            true => Ok(Identity::Other(None)),
            false => Ok(Identity::Same),
        }
    }

    /// Notes how far a SQLite file has come.
    ///
    /// # Errors
    /// The database's. A note that cannot be written is only logged: the
    /// database goes on without.
    pub async fn note_history(&self) -> Result<()> {
        if self.dialect != Dialect::Sqlite {
            return Ok(());
        }
        let tx = self.single();
        let note = Note {
            epoch: settings::load(&tx, settings::EPOCH)
                .await?
                .unwrap_or_default(),
            revisions: revisions(&tx).await?,
        };
        if self.read_note().is_some_and(|noted| noted == note) {
            return Ok(());
        }
        if let Err(error) = self.write_note(&note) {
            tracing::warn!(%error, "how far the database has come cannot be noted");
        }
        Ok(())
    }

    fn note_path(&self) -> PathBuf {
        let mut path = sqlite::path(&self.url).as_os_str().to_owned();
        path.push(NOTE);
        path.into()
    }

    fn read_note(&self) -> Option<Note> {
        let text = fs::read_to_string(self.note_path()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// A note is there whole, or the one before is.
    fn write_note(&self, note: &Note) -> std::io::Result<()> {
        let path = self.note_path();
        let mut new = path.clone().into_os_string();
        new.push(format!(".{}", std::process::id()));
        fs::write(&new, serde_json::to_vec(note)?)?;
        fs::rename(new, path)
    }
}

/// All revisions of all tenants: a number that only grows.
async fn revisions(tx: &Tx) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Row {
        revisions: i64,
    }
    let sql = Sql::new(
        "SELECT COALESCE(SUM(revision + audit_sequence), 0) AS revisions FROM directory_heads",
    );
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Row::find_by_statement(statement).one(connection).await?;
    Ok(row.map_or(0, |row| row.revisions))
}
