//! Everything that is said differently to different databases, and nothing
//! else: how text, JSON and locks are spelled here, how connections are opened
//! and what errors mean in the module of each.

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    TransactionOptions, sqlx,
};

use super::sql::Sql;
use crate::domain::{filter::Literal, number::Number};

pub(super) mod held;
pub(super) mod postgres;
pub(super) mod sqlite;

/// A database's way of saying things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// As what a JSON value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Text,
    Boolean,
    Number,
}

impl From<&Literal> for JsonKind {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::Text { .. } => Self::Text,
            Literal::Boolean(_) => Self::Boolean,
            Literal::Number(_) | Literal::Instant(_) => Self::Number,
        }
    }
}

/// What connections are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Transactions that write.
    Write,
    /// Reads.
    Read,
    /// Telling who a caller is and whether the database is well: heavy filters
    /// must not make either wait.
    Watch,
}

impl Dialect {
    /// By the URL's scheme; `None` for a database that is not spoken to.
    pub(super) fn of(url: &str) -> Option<Self> {
        match url.split_once("://")?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    pub(super) fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    pub(super) fn options(self, url: &str, purpose: Purpose) -> ConnectOptions {
        match self {
            Self::Sqlite => sqlite::options(url, purpose),
            Self::Postgres => postgres::options(url, purpose),
        }
    }

    /// How a writing transaction begins. SQLite's begins with the lock, so that
    /// it cannot fail half way for want of it; PostgreSQL's takes the lock of
    /// its tenant first.
    pub(super) fn write_transaction(self) -> TransactionOptions {
        match self {
            Self::Sqlite => sqlite::write_transaction(),
            Self::Postgres => TransactionOptions::default(),
        }
    }

    /// Lets a transaction wait and rest for as long as it takes: a migration, or
    /// a file that comes slowly.
    pub(super) async fn take_time(self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        if self == Self::Sqlite {
            return Ok(());
        }
        for limit in postgres::LIMITS {
            let off = format!("SET LOCAL {limit} = 0");
            transaction.execute_unprepared(&off).await?;
        }
        Ok(())
    }

    /// Whether one transaction may serve writes of several tenants: where there
    /// is one writer, sharing costs nobody anything.
    pub(super) fn has_one_writer(self) -> bool {
        self == Self::Sqlite
    }

    /// Behind a `SELECT`: keeps the rows from changing until the transaction
    /// ends.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// A statement that keeps others who use the same key out until the
    /// transaction ends; `None` where the transaction has the lock already.
    pub(super) fn exclude(self, key: i64) -> Option<Sql> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Sql::new("SELECT pg_advisory_xact_lock(?)").bind(key)),
        }
    }

    /// A bound text in a place that tells the database nothing of its type.
    pub(super) fn text(self, text: &str) -> Sql {
        match self {
            Self::Sqlite => Sql::value(text),
            Self::Postgres => Sql::new("CAST(? AS TEXT) COLLATE \"C\"").bind(text),
        }
    }

    /// A bound text that a JSON column takes.
    pub(super) fn json_parameter(self) -> &'static str {
        match self {
            Self::Sqlite => "?",
            Self::Postgres => "CAST(? AS jsonb)",
        }
    }

    /// The value at these keys of a JSON column, which has one of this kind or
    /// none, as SQL's own type.
    pub(super) fn json_value(self, column: &str, keys: &[&str], kind: JsonKind) -> Sql {
        match self {
            Self::Sqlite => sqlite::json_value(column, keys),
            Self::Postgres if kind == JsonKind::Text => postgres::json_text(column, keys),
            Self::Postgres => postgres::json_value(column, keys, kind),
        }
    }

    /// Whether there is a value at these keys of a JSON column.
    pub(super) fn json_present(self, column: &str, keys: &[&str]) -> Sql {
        self.json_type(column, keys).text(" IS NOT NULL")
    }

    /// Whether the value at these keys of a JSON column is a list.
    pub(super) fn json_is_list(self, column: &str, keys: &[&str]) -> Sql {
        self.json_type(column, keys).text(" = 'array'")
    }

    /// Whether the value at these keys of a JSON column is there and no object.
    pub(super) fn json_is_no_object(self, column: &str, keys: &[&str]) -> Sql {
        self.json_type(column, keys).text(" <> 'object'")
    }

    /// Whether the value at these keys of a JSON column is an object.
    pub(super) fn json_is_object(self, column: &str, keys: &[&str]) -> Sql {
        known_is(self.json_type(column, keys), "object")
    }

    fn json_type(self, column: &str, keys: &[&str]) -> Sql {
        match self {
            Self::Sqlite => sqlite::json_type(column, keys),
            Self::Postgres => postgres::json_type(column, keys),
        }
    }

    /// The value at these keys of a JSON column when a literal of this kind can
    /// be compared with it, else NULL: values of other types would compare by
    /// rules of the database's own.
    pub(super) fn json_comparable(self, column: &str, keys: &[&str], kind: JsonKind) -> Sql {
        match self {
            Self::Sqlite => sqlite::json_comparable(column, keys, kind),
            Self::Postgres => postgres::json_value(column, keys, kind),
        }
    }

    /// The elements of the list at these keys, as a table named `element`
    /// with a column `key` by which they are in order; a single value counts as a
    /// list of one. What follows speaks of [`ELEMENT`].
    pub(super) fn json_elements(self, column: &str, keys: &[&str]) -> Sql {
        match self {
            Self::Sqlite => sqlite::json_elements(column, keys),
            Self::Postgres => postgres::json_elements(column, keys),
        }
    }

    /// The element itself, as [`json_comparable`](Self::json_comparable).
    pub(super) fn element_comparable(self, kind: JsonKind) -> Sql {
        match self {
            Self::Sqlite => sqlite::element_comparable(kind),
            Self::Postgres => postgres::json_value(ELEMENT, &[], kind),
        }
    }

    /// Whether the element is an object.
    pub(super) fn element_is_object(self) -> Sql {
        match self {
            Self::Sqlite => Sql::new("element.type = 'object'"),
            Self::Postgres => postgres::json_type(ELEMENT, &[]).text(" = 'object'"),
        }
    }

    /// The rows of a query with columns `first`, `second` and `third`, as one
    /// JSON list of triples in the query's order.
    pub(super) fn json_triples(self, query: &str) -> Sql {
        Sql::new(match self {
            Self::Sqlite => format!(
                "(SELECT json_group_array(json_array(first, second, third)) FROM ({query}))"
            ),
            Self::Postgres => format!(
                "(SELECT CAST(jsonb_agg(jsonb_build_array(first, second, third)) AS TEXT) \
                 FROM ({query}) AS triple)"
            ),
        })
    }

    /// Behind what is selected: rows `r` of a table, each with the `w` that wants
    /// it; a condition may follow. What is wanted is bound as a JSON list of
    /// lists of id, tenant and connection; its place in the list is `w.place`.
    pub(super) fn wanted(self, table: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "FROM (SELECT key AS place, value ->> 0 AS id, value ->> 1 AS tenant_id, \
                 value ->> 2 AS connection_id FROM json_each(?)) AS w \
                 CROSS JOIN {table} r WHERE r.id = w.id AND r.tenant_id = w.tenant_id"
            ),
            // The limit keeps the tenant out of the search for the row: a plan
            // made for an empty table would find him first, and walk all he has.
            Self::Postgres => format!(
                "FROM (SELECT key - 1 AS place, (value ->> 0) COLLATE \"C\" AS id, \
                 (value ->> 1) COLLATE \"C\" AS tenant_id, \
                 (value ->> 2) COLLATE \"C\" AS connection_id \
                 FROM jsonb_array_elements(CAST(? AS jsonb)) WITH ORDINALITY AS e(value, key)\
                 ) AS w CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE t.id = w.id LIMIT 1) \
                 AS r WHERE r.tenant_id = w.tenant_id"
            ),
        }
    }

    /// Behind a text: that it is in a list, which is bound as JSON.
    pub(super) fn is_among(self) -> &'static str {
        match self {
            Self::Sqlite => "IN (SELECT value FROM json_each(?))",
            Self::Postgres => {
                "= ANY (ARRAY(SELECT e.value COLLATE \"C\" \
                 FROM jsonb_array_elements_text(CAST(? AS jsonb)) AS e(value)))"
            }
        }
    }

    /// Names and values of many rows as the text of one JSON object.
    pub(super) fn json_object(self, name: &str, value: &str) -> String {
        match self {
            Self::Sqlite => format!("json_group_object({name}, {value})"),
            Self::Postgres => {
                format!("CAST(COALESCE(json_object_agg({name}, {value}), '{{}}') AS TEXT)")
            }
        }
    }

    /// A number that is compared with one of the database's.
    pub(super) fn number(self, number: Number) -> Sql {
        match (self, number) {
            (_, Number::Integer(value)) => Sql::value(value),
            (Self::Sqlite, Number::Decimal(value)) => Sql::value(value),
            // As a binary fraction it would compare after rounding.
            (Self::Postgres, Number::Decimal(_)) => {
                Sql::new("CAST(? AS NUMERIC)").bind(number.text())
            }
        }
    }

    /// A column of numbers as it is read without loss: as text, and as a binary
    /// fraction where the database has those, and writes them inexactly.
    pub(super) fn exact_number(self, column: &str) -> [String; 2] {
        match self {
            Self::Sqlite => [
                format!("CASE typeof({column}) WHEN 'integer' THEN CAST({column} AS TEXT) END"),
                format!("CASE typeof({column}) WHEN 'real' THEN {column} END"),
            ],
            Self::Postgres => [
                format!("CAST({column} AS TEXT)"),
                "CAST(NULL AS DOUBLE PRECISION)".to_owned(),
            ],
        }
    }

    /// A column of texts, to be compared by bytes.
    pub(super) fn bytewise(self, column: &str) -> String {
        match self {
            Self::Sqlite => column.to_owned(),
            Self::Postgres => format!("{column} COLLATE \"C\""),
        }
    }

    /// The beginning of a text.
    pub(super) fn beginning(self, text: Sql, characters: usize) -> Sql {
        let end = match self {
            Self::Sqlite => format!(", 1, {characters})"),
            Self::Postgres => format!(", {characters})"),
        };
        let function = match self {
            Self::Sqlite => "substr(",
            Self::Postgres => "left(",
        };
        Sql::new(function).then(text).text(&end)
    }

    /// The URNs of schemas that a resource has, in lower case, as a table named
    /// `element`: this one first, and those of its extensions.
    pub(super) fn schemas(self, column: &str, core: &str) -> Sql {
        let keys = match self {
            Self::Sqlite => format!("SELECT lower(key) AS value FROM json_each({column})"),
            Self::Postgres => {
                format!("SELECT lower(k) AS value FROM jsonb_object_keys({column}) AS k")
            }
        };
        Sql::new("(SELECT ")
            .then(self.text(&core.to_ascii_lowercase()))
            .text(&format!(
                " AS value, 0 AS key UNION ALL SELECT value, 1 AS key FROM ({keys}) AS keys \
                 WHERE substr(value, 1, 4) = 'urn:') AS element"
            ))
    }

    /// Whether a text contains another.
    pub(super) fn contains(self, text: Sql, part: &str) -> Sql {
        let function = match self {
            Self::Sqlite => "instr(",
            Self::Postgres => "strpos(",
        };
        Sql::new(function).then(text).text(", ?) > 0").bind(part)
    }

    /// Whether a text starts with another.
    pub(super) fn starts_with(self, text: Sql, start: &str) -> Sql {
        let text = match self {
            Self::Sqlite => Sql::new("substr(").then(text).text(", 1, ?) = ?"),
            Self::Postgres => Sql::new("left(").then(text).text(", CAST(? AS INT)) = ?"),
        };
        text.bind(characters(start)).bind(start)
    }

    /// Whether a text ends with another.
    pub(super) fn ends_with(self, text: Sql, end: &str) -> Sql {
        let length = characters(end);
        match self {
            // substr(x, 0) would be the whole text.
            Self::Sqlite if length == 0 => text.text(" IS NOT NULL"),
            Self::Sqlite => Sql::new("substr(")
                .then(text)
                .text(", ?) = ?")
                .bind(-length)
                .bind(end),
            Self::Postgres => Sql::new("right(")
                .then(text)
                .text(", CAST(? AS INT)) = ?")
                .bind(length)
                .bind(end),
        }
    }
}

/// The column of [`Dialect::json_elements`]' table.
pub(super) const ELEMENT: &str = "element.value";

/// Whether a type, which may be NULL, is this one.
fn known_is(json_type: Sql, name: &str) -> Sql {
    Sql::new("COALESCE(")
        .then(json_type)
        .text(&format!(", '') = '{name}'"))
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// What a driver's error means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A unique index refused a row: its name, or the columns it is on.
    Unique(String),
    /// Others have the locks, or this transaction was the one to give way.
    Busy,
    /// The database does not answer, not in time, or cannot write.
    Unreachable,
    /// Anything else.
    Other,
}

/// Reads a driver's error.
pub(super) fn fault(error: &DbErr) -> Fault {
    match driver_error(error) {
        Some(sqlx::Error::Database(error)) => {
            if error
                .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
                .is_some()
            {
                postgres::fault(error.as_ref())
            } else {
                sqlite::fault(error.as_ref())
            }
        }
        // Also what a pool says of a server that refuses it.
        Some(
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_),
        ) => Fault::Unreachable,
        Some(_) => Fault::Other,
        None if matches!(error, DbErr::ConnectionAcquire(_)) => Fault::Unreachable,
        None => Fault::Other,
    }
}

/// A driver's error for the operator.
pub(super) fn words(error: &DbErr) -> String {
    driver_error(error).map_or_else(|| error.to_string(), postgres::words)
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error.as_ref()),
        _ => None,
    }
}
