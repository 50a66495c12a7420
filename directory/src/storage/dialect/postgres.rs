//! PostgreSQL: a server that several processes share.

use std::time::Duration;

use sea_orm::{ConnectOptions, sqlx};
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::{Fault, JsonKind, Purpose};
use crate::storage::sql::Sql;

/// The oldest server that is accepted, in the form of `server_version_num`.
const OLDEST: i32 = 130_000;

/// Connections a process opens at most, by purpose. Few: on two cores 8 to 16
/// do the most work, 64 half of it. Up to three readers are kept by reads that share
/// statements.
const WRITERS: u32 = 6;
const READERS: u32 = 8;
const SENTRIES: u32 = 2;

/// What limits how long a session may take.
pub(super) const LIMITS: [&str; 3] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
];

/// How long a call waits for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection that rested longer is tried before it is used: the server may
/// have been restarted.
const RESTED: Duration = Duration::from_millis(500);

/// A connection that rested for this long, and at most twice that, is closed:
/// the server may have few, and another pool or process wait for one. Less
/// would make steady light load connect again and again.
const IDLE: Duration = Duration::from_secs(5);

/// How long a connection lives at most. A pool uses those that it has in turn, so that
/// a little work keeps all that a storm opened from ever resting.
const LIFETIME: Duration = Duration::from_secs(30);

/// No statement runs longer, whoever still waits for it.
const STATEMENT: &str = "60s";

/// No transaction waits longer for another's lock.
const LOCK: &str = "10s";

pub(super) fn options(url: &str, purpose: Purpose) -> ConnectOptions {
    let connections = match purpose {
        Purpose::Write => WRITERS,
        Purpose::Read => READERS,
        Purpose::Watch => SENTRIES,
    };
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(PATIENCE)
        .idle_timeout(IDLE)
        .max_lifetime(LIFETIME)
        .sqlx_logging(false)
        .test_before_acquire_if_idle_for(RESTED)
        .connect_lazy(true);
    options.map_sqlx_postgres_opts(move |postgres| session(postgres, purpose));
    options
}

/// What each session is told. Reads of several statements see one moment;
/// writes see what others committed, once they have their tenant's lock.
fn session(options: PgConnectOptions, purpose: Purpose) -> PgConnectOptions {
    let isolation = match purpose {
        Purpose::Write => "read committed",
        Purpose::Read | Purpose::Watch => "repeatable read",
    };
    let options = options.application_name("muster").options([
        ("default_transaction_isolation", isolation),
        ("statement_timeout", STATEMENT),
        ("lock_timeout", LOCK),
        ("idle_in_transaction_session_timeout", STATEMENT),
        ("client_min_messages", "warning"),
        // Compiling a statement takes longer than any of these runs.
        ("jit", "off"),
    ]);
    match purpose {
        Purpose::Write => options,
        Purpose::Read | Purpose::Watch => {
            options.options([("default_transaction_read_only", "on")])
        }
    }
}

/// Connects once and asks what answers, so that a start that cannot succeed
/// says why: the pool would only say that it waited.
///
/// # Errors
/// In words for the operator, without the password.
pub(in crate::storage) async fn inspect(url: &str, primary: bool) -> Result<(), String> {
    let options: PgConnectOptions = url
        .parse()
        .map_err(|_| "the database URL is not of the form postgres://user@host/name".to_owned())?;
    let place = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    let connecting = tokio::time::timeout(PATIENCE * 2, options.connect());
    let mut connection = match connecting.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(format!("{place}: {}", words(&error))),
        Err(_) => return Err(format!("{place}: no answer")),
    };
    let query = "SELECT current_setting('server_version_num')::int, \
         current_setting('server_encoding'), pg_is_in_recovery(), \
         current_setting('transaction_read_only') = 'on'";
    let facts: (i32, String, bool, bool) =
        sqlx::query_as(query)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| format!("{place}: {}", words(&error)))?;
    // The answer is here; how the connection ends tells nothing more.
    let _ = connection.close().await;
    unfit(facts, primary).map_or(Ok(()), |why| Err(format!("{place}: {why}")))
}

/// What the server said, without the line of its sources that the driver adds.
pub(in crate::storage) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        error => error.to_string(),
    }
}

/// Why a server with these facts (version, encoding, in recovery, read-only)
/// cannot be used.
fn unfit(facts: (i32, String, bool, bool), primary: bool) -> Option<String> {
    let (version, encoding, in_recovery, read_only) = facts;
    if version < OLDEST {
        let (old, needed) = (version / 10_000, OLDEST / 10_000);
        return Some(format!("PostgreSQL {old} is too old, {needed} is needed"));
    }
    if encoding != "UTF8" {
        return Some(format!(
            "the database's encoding is {encoding}, it must be UTF8"
        ));
    }
    if primary && in_recovery {
        return Some(
            "this is a read-only replica; name the primary, and this one as --replica-url"
                .to_owned(),
        );
    }
    (primary && read_only).then(|| "the database is read-only".to_owned())
}

pub(super) fn json_text(column: &str, keys: &[&str]) -> Sql {
    Sql::new(format!("jsonb_extract_path_text(CAST({column} AS jsonb), "))
        .then(Sql::list(keys.iter().copied()))
        .text(") COLLATE \"C\"")
}

pub(super) fn json_value(column: &str, keys: &[&str], kind: JsonKind) -> Sql {
    let (types, end) = match kind {
        JsonKind::Text => ("'string'", " #>> '{}') COLLATE \"C\""),
        JsonKind::Boolean => ("'boolean'", " #>> '{}')::boolean"),
        JsonKind::Number => ("'number'", " #>> '{}')::numeric"),
    };
    Sql::new("(CASE jsonb_typeof(")
        .then(extract(column, keys))
        .text(&format!(") WHEN {types} THEN ("))
        .then(extract(column, keys))
        .text(end)
        .text(" END)")
}

pub(super) fn json_type(column: &str, keys: &[&str]) -> Sql {
    Sql::new("jsonb_typeof(")
        .then(extract(column, keys))
        .text(")")
}

pub(super) fn json_elements(column: &str, keys: &[&str]) -> Sql {
    let value = extract(column, keys);
    Sql::new("jsonb_array_elements(CASE WHEN jsonb_typeof(")
        .then(value.clone())
        .text(") = 'array' THEN ")
        .then(value.clone())
        .text(" WHEN ")
        .then(value.clone())
        .text(" IS NOT NULL THEN jsonb_build_array(")
        .then(value)
        .text(") END) WITH ORDINALITY AS element(value, key)")
}

fn extract(column: &str, keys: &[&str]) -> Sql {
    if keys.is_empty() {
        return Sql::new(column);
    }
    Sql::new(format!("jsonb_extract_path(CAST({column} AS jsonb), "))
        .then(Sql::list(keys.iter().copied()))
        .text(")")
}

/// By SQLSTATE (PostgreSQL's appendix A).
pub(super) fn fault(error: &dyn sqlx::error::DatabaseError) -> Fault {
    let code = error.code().unwrap_or_default();
    match code.as_ref() {
        "23505" => Fault::Unique(error.constraint().unwrap_or_default().to_owned()),
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Fault::Busy,
        // read_only_sql_transaction, query_canceled, idle_in_transaction
        "25006" | "57014" | "25P03" => Fault::Unreachable,
        // connection exceptions, insufficient resources, operator intervention,
        // invalid authorization, system errors
        _ if ["08", "53", "57", "28", "58"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Fault::Unreachable
        }
        _ => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_serve_is_told_why() {
        let fit = (150_018, "UTF8".to_owned(), false, false);
        assert_eq!(unfit(fit.clone(), true), None);
        let why = |facts, primary| unfit(facts, primary).unwrap_or_default();
        assert!(why((120_000, "UTF8".to_owned(), false, false), true).contains("too old"));
        assert!(why((150_000, "LATIN1".to_owned(), false, false), true).contains("LATIN1"));
        assert!(why((150_000, "UTF8".to_owned(), true, true), true).contains("replica"));
        assert!(why((150_000, "UTF8".to_owned(), false, true), true).contains("read-only"));
        assert_eq!(unfit((150_000, "UTF8".to_owned(), true, true), false), None);
    }
}
