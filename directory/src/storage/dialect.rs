//! Everything that is said differently to different databases, and nothing
//! else. Today that is SQLite's way.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use sea_orm::{ConnectOptions, DbErr, RuntimeErr, SqliteTransactionMode, TransactionOptions, sqlx};

use super::sql::Sql;
use crate::domain::filter::Literal;

/// Reading connections. SQLite reads in parallel; more than a few only queue
/// for the cores.
const READERS: u32 = 4;

/// Connections that only tell who a caller is and whether the database is
/// well: heavy filters must not make either wait.
const SENTRIES: u32 = 2;

/// Pages kept per connection: negative is KiB. Taken as they are read.
const CACHE: &str = "-8192";

/// How long a call waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the one writing connection is opened. SQLite has one writer: a pool of
/// one lets writers queue here instead of colliding in the file.
pub(super) fn writer_options(url: &str) -> ConnectOptions {
    let mut options = options(url, 1);
    options.map_sqlx_sqlite_opts(|sqlite| durable(sqlite).create_if_missing(true));
    options
}

/// How the reading connections are opened.
pub(super) fn reader_options(url: &str) -> ConnectOptions {
    reading(url, READERS)
}

/// How the connections are opened that stand apart from heavy reads.
pub(super) fn sentry_options(url: &str) -> ConnectOptions {
    reading(url, SENTRIES)
}

fn reading(url: &str, connections: u32) -> ConnectOptions {
    let mut options = options(url, connections);
    options.map_sqlx_sqlite_opts(|sqlite| durable(sqlite).pragma("query_only", "ON"));
    options
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        .test_before_acquire(false);
    options
}

/// WAL lets readers go on beside the writer; FULL makes a commit survive the
/// machine.
fn durable(options: sqlx::sqlite::SqliteConnectOptions) -> sqlx::sqlite::SqliteConnectOptions {
    options
        .pragma("journal_mode", "WAL")
        .pragma("cache_size", CACHE)
        .pragma("synchronous", "FULL")
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
}

/// Makes the database's file and folder when they are missing, for the owner's
/// eyes alone: it holds personal data and what secrets are checked against.
pub(super) fn make_file(url: &str) -> io::Result<()> {
    let path = url.strip_prefix("sqlite://").unwrap_or_default();
    let path = Path::new(path.split('?').next().unwrap_or_default());
    if let Some(folder) = path
        .parent()
        .filter(|f| !f.as_os_str().is_empty() && !f.exists())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// How a writing transaction begins: with the lock, so that it cannot fail
/// half way for want of it.
pub(super) fn write_transaction() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// The value at these keys of a JSON column, as SQL's own type; NULL when there
/// is none. Booleans are 0 and 1.
pub(super) fn json_value(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_extract({column}, ?)")).bind(json_path(keys))
}

/// The JSON type of the value at these keys of a JSON column; NULL when there
/// is none.
pub(super) fn json_type(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_type({column}, ?)")).bind(json_path(keys))
}

/// Whether a JSON type is the one that a literal can be compared with: values
/// of other types would compare by rules of the database's own.
pub(super) fn is_json_kind(kind: Sql, literal: &Literal) -> Sql {
    kind.text(match literal {
        Literal::Text { .. } => " = 'text'",
        Literal::Boolean(_) => " IN ('true', 'false')",
        Literal::Integer(_) | Literal::Decimal(_) | Literal::Instant(_) => {
            " IN ('integer', 'real')"
        }
    })
}

/// The elements of the list at these keys, as a table named `element` whose
/// column `value` is the element.
pub(super) fn json_elements(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_each({column}, ?) AS element")).bind(json_path(keys))
}

/// The rows of a query with columns `first` and `second`, as one JSON list of
/// pairs in the query's order.
pub(super) fn json_pairs(query: &str) -> Sql {
    Sql::new(format!(
        "(SELECT json_group_array(json_array(first, second)) FROM ({query}))"
    ))
}

/// Keys are names from the registry, or were checked when the filter was made:
/// none has a quote or a backslash.
fn json_path(keys: &[&str]) -> String {
    let mut path = "$".to_owned();
    for key in keys {
        path.push_str(".\"");
        path.push_str(key);
        path.push('"');
    }
    path
}

/// Whether a text contains another.
pub(super) fn contains(text: Sql, part: &str) -> Sql {
    Sql::new("instr(").then(text).text(", ?) > 0").bind(part)
}

/// Whether a text starts with another.
pub(super) fn starts_with(text: Sql, start: &str) -> Sql {
    let length = characters(start);
    Sql::new("substr(")
        .then(text)
        .text(", 1, ?) = ?")
        .bind(length)
        .bind(start)
}

/// Whether a text ends with another.
pub(super) fn ends_with(text: Sql, end: &str) -> Sql {
    let length = characters(end);
    if length == 0 {
        // substr(x, 0) would be the whole text.
        return text.text(" IS NOT NULL");
    }
    Sql::new("substr(")
        .then(text)
        .text(", ?) = ?")
        .bind(-length)
        .bind(end)
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// What a driver's error means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A unique index refused a row; the columns it is on.
    Unique(String),
    /// Another writer has the lock.
    Busy,
    /// The database does not answer, or not in time.
    Unreachable,
    /// Anything else.
    Other,
}

/// Reads a driver's error.
pub(super) fn fault(error: &DbErr) -> Fault {
    let error = match error {
        DbErr::ConnectionAcquire(_) => return Fault::Busy,
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => e.as_ref(),
        _ => return Fault::Other,
    };
    match error {
        sqlx::Error::PoolTimedOut => Fault::Busy,
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => {
            Fault::Unreachable
        }
        sqlx::Error::Database(error) => sqlite_fault(error.as_ref()),
        _ => Fault::Other,
    }
}

/// By SQLite's extended result codes; the low byte is the primary code.
fn sqlite_fault(error: &dyn sqlx::error::DatabaseError) -> Fault {
    const UNIQUE: i32 = 2067;
    const PRIMARY_KEY: i32 = 1555;
    let code: i32 = error
        .code()
        .and_then(|code| code.parse().ok())
        .unwrap_or_default();
    match (code, code & 0xff) {
        (UNIQUE | PRIMARY_KEY, _) => {
            let columns = error
                .message()
                .rsplit("failed: ")
                .next()
                .unwrap_or_default();
            Fault::Unique(columns.to_owned())
        }
        // SQLITE_BUSY, SQLITE_LOCKED
        (_, 5 | 6) => Fault::Busy,
        // SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
        (_, 8 | 10 | 13 | 14) => Fault::Unreachable,
        _ => Fault::Other,
    }
}
