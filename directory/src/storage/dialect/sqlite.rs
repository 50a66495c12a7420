//! SQLite: a file, one writer, readers beside it.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use sea_orm::{ConnectOptions, SqliteTransactionMode, TransactionOptions, sqlx};
use sqlx::{Connection as _, SqliteConnection};

use super::{Fault, JsonKind, Purpose};
use crate::storage::sql::Sql;

/// Reading connections. SQLite reads in parallel; more than a few only queue
/// for the cores. Up to three of them are kept by reads that share
/// statements.
const READERS: u32 = 6;

/// Connections that only tell who a caller is.
const SENTRIES: u32 = 2;

/// Pages kept per connection: negative is KiB. Taken as they are read.
const CACHE: &str = "-8192";

/// How long a call waits for its turn before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How connections are opened. There is one that writes: a pool of one lets
/// writers queue here instead of colliding in the file.
pub(super) fn options(url: &str, purpose: Purpose) -> ConnectOptions {
    let connections = match purpose {
        Purpose::Write => 1,
        Purpose::Read => READERS,
        Purpose::Watch => SENTRIES,
    };
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        .test_before_acquire(false);
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.before_acquire(|connection, _| Box::pin(async { Ok(is_at_rest(connection)) }))
    });
    options.map_sqlx_sqlite_opts(move |sqlite| match purpose {
        Purpose::Write => durable(sqlite).create_if_missing(true),
        Purpose::Read | Purpose::Watch => durable(sqlite).pragma("query_only", "ON"),
    });
    options
}

/// Whether a connection is in no transaction by the driver's count. A full disk
/// makes SQLite end a transaction by itself; it then refuses to roll it back, and
/// the driver goes on counting it. What such a connection "commits" is a
/// savepoint inside of something that nobody ends: gone with the process, and
/// acknowledged. It is closed instead.
fn is_at_rest(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
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

/// The path of a database's file.
pub(in crate::storage) fn path(url: &str) -> &Path {
    let path = url.strip_prefix("sqlite://").unwrap_or_default();
    Path::new(path.split('?').next().unwrap_or_default())
}

/// Makes the database's file and folder when they are missing, for the owner's
/// eyes alone: it holds personal data and what secrets are checked against.
pub(in crate::storage) fn make_file(url: &str) -> io::Result<()> {
    let path = path(url);
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

pub(super) fn write_transaction() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Booleans are 0 and 1.
pub(super) fn json_value(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_extract({column}, ?)")).bind(json_path(keys))
}

pub(super) fn json_type(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_type({column}, ?)")).bind(json_path(keys))
}

pub(super) fn json_comparable(column: &str, keys: &[&str], kind: JsonKind) -> Sql {
    when(json_type(column, keys), kind, json_value(column, keys))
}

pub(super) fn json_elements(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("json_each({column}, ?) AS element")).bind(json_path(keys))
}

pub(super) fn element_comparable(kind: JsonKind) -> Sql {
    when(Sql::new("element.type"), kind, Sql::new(super::ELEMENT))
}

fn when(json_type: Sql, kind: JsonKind, value: Sql) -> Sql {
    let types = match kind {
        JsonKind::Text => " = 'text'",
        JsonKind::Boolean => " IN ('true', 'false')",
        JsonKind::Number => " IN ('integer', 'real')",
    };
    Sql::new("CASE WHEN ")
        .then(json_type)
        .text(types)
        .text(" THEN ")
        .then(value)
        .text(" END")
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

/// By SQLite's extended result codes; the low byte is the primary code.
pub(super) fn fault(error: &dyn sqlx::error::DatabaseError) -> Fault {
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
        // SQLITE_READONLY, SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL,
        // SQLITE_CANTOPEN, SQLITE_NOTADB
        (_, 8 | 10 | 11 | 13 | 14 | 26) => Fault::Unreachable,
        _ => Fault::Other,
    }
}
