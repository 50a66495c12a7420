//! The baseline of a create: the rows that it leaves, put there by bare SQL.
//!
//! What the rows hold is copied from a user that muster created, with another id
//! and name. The order of statements is the one that keeps the tenant's head
//! locked for the shortest time, and numbers come from the update of the head
//! itself: one statement a table, all of them prepared.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use muster_tests::tenant::Tenant;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Postgres, Sqlite,
    postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use tokio::task::JoinSet;

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is on the disk: `synchronous = FULL`, `synchronous_commit = on`.
    Full,
    /// It survives the process, not the machine: `NORMAL`, `off`.
    Process,
}

/// What one create leaves.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    tenant_id: String,
    connection_id: String,
    id: String,
    /// What is unique in the user's names.
    token: String,
    user: User,
    values: Vec<(String, String)>,
    external_id: String,
    audit: Audit,
    change: Change,
}

#[derive(Debug, Clone)]
struct User {
    user_name_key: String,
    display_name: Option<String>,
    display_name_key: Option<String>,
    document: String,
    search: String,
    created_at: i64,
}

#[derive(Debug, Clone)]
struct Audit {
    actor: String,
    method: String,
    changed_attributes: String,
    hash: String,
    request_id: String,
}

#[derive(Debug, Clone)]
struct Change {
    actor: String,
    payload: String,
    request_id: String,
}

/// The statements, made once.
#[derive(Debug)]
pub(crate) struct Statements {
    user: String,
    values: String,
}

const EXTERNAL_ID: &str = "INSERT INTO external_ids \
    (connection_id, resource_id, resource_type, external_id, live) VALUES ($1, $2, $3, $4, $5)";
const HEAD: &str = "UPDATE directory_heads SET revision = revision + 1, \
    audit_sequence = audit_sequence + 1, audit_hash = $1 WHERE tenant_id = $2 \
    RETURNING revision, audit_sequence";
const AUDIT: &str = "INSERT INTO audit_entries (tenant_id, sequence, revision, recorded_at, actor, \
    method, resource_type, resource_id, outcome, changed_attributes, hash, request_id, reason) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const CHANGE: &str = "INSERT INTO changes (tenant_id, revision, part, committed_at, actor, payload, \
    request_id) VALUES ($1, $2, $3, $4, $5, $6, $7)";

type UserRow = (String, Option<String>, Option<String>, String, String, i64);

impl User {
    fn of(row: UserRow) -> Self {
        Self {
            user_name_key: row.0,
            display_name: row.1,
            display_name_key: row.2,
            document: row.3,
            search: row.4,
            created_at: row.5,
        }
    }
}

impl Audit {
    fn of(row: (String, String, String, String, String)) -> Self {
        Self {
            actor: row.0,
            method: row.1,
            changed_attributes: row.2,
            hash: row.3,
            request_id: row.4,
        }
    }
}

impl Change {
    fn of(row: (String, String, String)) -> Self {
        Self {
            actor: row.0,
            payload: row.1,
            request_id: row.2,
        }
    }
}

impl Rows {
    fn statements(&self, search: &str) -> Statements {
        let places = (0..self.values.len()).map(|n| {
            let first = 4 * n + 1;
            format!("(${first}, ${}, ${}, ${})", first + 1, first + 2, first + 3)
        });
        let values = places.collect::<Vec<_>>().join(", ");
        Statements {
            user: format!(
                "INSERT INTO users (id, tenant_id, user_name_key, display_name, display_name_key, \
                 active, document, search, version, created_at, updated_at, deleted_at, \
                 connection_id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, {search}, $9, $10, $11, $12, $13)"
            ),
            values: format!(
                "INSERT INTO user_values (user_id, attribute, value_key, tenant_id) VALUES {values}"
            ),
        }
    }

    /// The same for a user whom nobody knows.
    fn fresh(&self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "bare SQL makes its own ids")]
        let id = uuid::Uuid::now_v7().to_string();
        let token = uuid::Uuid::new_v4().to_string();
        let named = |text: &str| text.replace(&self.token, &token);
        let about = |text: &str| text.replace(&self.id, &id);
        Self {
            user: User {
                user_name_key: named(&self.user.user_name_key),
                document: named(&self.user.document),
                search: named(&self.user.search),
                ..self.user.clone()
            },
            values: self
                .values
                .iter()
                .map(|(attribute, value)| (attribute.clone(), named(value)))
                .collect(),
            external_id: named(&self.external_id),
            change: Change {
                payload: about(&self.change.payload),
                ..self.change.clone()
            },
            id,
            token,
            ..self.clone()
        }
    }
}

impl Rows {
    /// Statements that put this many users beside this one, quickly: without
    /// changes and audit entries.
    pub(crate) fn multiplied(&self, count: usize, is_sqlite: bool) -> Vec<String> {
        let (number, series) = if is_sqlite {
            let series = format!(
                "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) \
                 SELECT n FROM s)"
            );
            ("printf('%012d', n)", series)
        } else {
            let series = format!("generate_series(1, {count}) AS series(n)");
            ("lpad(CAST(n AS TEXT), 12, '0')", series)
        };
        // Ids in order, names of the same length as those of everybody else.
        let (id, token) = (&self.id, &self.token);
        let new_id = format!("('00000000-0000-7000-8000-' || {number})");
        let name = |column: &str| {
            format!("replace({column}, '{token}', '00000000-0000-4000-8000-' || {number})")
        };
        let search = match is_sqlite {
            true => name("search"),
            false => format!("CAST({} AS JSONB)", name("CAST(search AS TEXT)")),
        };
        vec![
            format!(
                "INSERT INTO users (id, tenant_id, user_name_key, display_name, display_name_key, \
                 active, document, search, version, created_at, updated_at, connection_id) \
                 SELECT {new_id}, tenant_id, {}, display_name, display_name_key, active, {}, \
                 {search}, version, created_at, updated_at, connection_id \
                 FROM {series} CROSS JOIN users WHERE id = '{id}'",
                name("user_name_key"),
                name("document"),
            ),
            format!(
                "INSERT INTO user_values (user_id, attribute, value_key, tenant_id) \
                 SELECT {new_id}, attribute, {}, tenant_id \
                 FROM {series} CROSS JOIN user_values WHERE user_id = '{id}'",
                name("value_key"),
            ),
            format!(
                "INSERT INTO external_ids \
                 (connection_id, resource_id, resource_type, external_id, live) \
                 SELECT connection_id, {new_id}, resource_type, {}, live \
                 FROM {series} CROSS JOIN external_ids WHERE resource_id = '{id}'",
                name("external_id"),
            ),
            "ANALYZE".to_owned(),
        ]
    }
}

/// The same statements for each driver, which share no type of a connection.
macro_rules! baseline {
    ($module:ident, $database:ty, $begin:literal, $search:literal) => {
        mod $module {
            use super::*;

            pub(super) type Connection = <$database as sqlx::Database>::Connection;

            /// What muster left of this user.
            pub(super) async fn rows(
                connection: &mut Connection,
                tenant: &Tenant,
                id: &str,
                token: &str,
            ) -> sqlx::Result<Rows> {
                let user = "SELECT user_name_key, display_name, display_name_key, document, \
                    CAST(search AS TEXT) AS search, created_at FROM users WHERE id = $1";
                let values = "SELECT attribute, value_key FROM user_values WHERE user_id = $1";
                let external_id = "SELECT external_id FROM external_ids WHERE resource_id = $1";
                let audit = "SELECT actor, method, changed_attributes, hash, request_id \
                    FROM audit_entries WHERE resource_id = $1";
                let change = "SELECT actor, payload, request_id FROM changes \
                    WHERE tenant_id = $1 ORDER BY revision DESC LIMIT 1";
                Ok(Rows {
                    tenant_id: tenant.id.clone(),
                    connection_id: tenant.connection_id.clone(),
                    id: id.to_owned(),
                    token: token.to_owned(),
                    user: sqlx::query_as::<$database, _>(user)
                        .bind(id)
                        .fetch_one(&mut *connection)
                        .await
                        .map(User::of)?,
                    values: sqlx::query_as::<$database, (String, String)>(values)
                        .bind(id)
                        .fetch_all(&mut *connection)
                        .await?,
                    external_id: sqlx::query_scalar::<$database, String>(external_id)
                        .bind(id)
                        .fetch_one(&mut *connection)
                        .await?,
                    audit: sqlx::query_as::<$database, _>(audit)
                        .bind(id)
                        .fetch_one(&mut *connection)
                        .await
                        .map(Audit::of)?,
                    change: sqlx::query_as::<$database, _>(change)
                        .bind(&tenant.id)
                        .fetch_one(&mut *connection)
                        .await
                        .map(Change::of)?,
                })
            }

            pub(super) fn statements(rows: &Rows) -> Statements {
                rows.statements($search)
            }

            /// One create: one transaction.
            pub(super) async fn create(
                connection: &mut Connection,
                statements: &Statements,
                rows: &Rows,
            ) -> sqlx::Result<()> {
                let mut transaction = connection.begin_with($begin).await?;
                let tx = &mut *transaction;
                let user = &rows.user;
                sqlx::query::<$database>(AssertSqlSafe(statements.user.as_str()))
                    .bind(&rows.id)
                    .bind(&rows.tenant_id)
                    .bind(&user.user_name_key)
                    .bind(&user.display_name)
                    .bind(&user.display_name_key)
                    .bind(true)
                    .bind(&user.document)
                    .bind(&user.search)
                    .bind(1_i64)
                    .bind(user.created_at)
                    .bind(user.created_at)
                    .bind(None::<i64>)
                    .bind(&rows.connection_id)
                    .execute(&mut *tx)
                    .await?;
                let mut values =
                    sqlx::query::<$database>(AssertSqlSafe(statements.values.as_str()));
                for (attribute, value) in &rows.values {
                    values = values
                        .bind(&rows.id)
                        .bind(attribute)
                        .bind(value)
                        .bind(&rows.tenant_id);
                }
                values.execute(&mut *tx).await?;
                sqlx::query::<$database>(EXTERNAL_ID)
                    .bind(&rows.connection_id)
                    .bind(&rows.id)
                    .bind(1_i64)
                    .bind(&rows.external_id)
                    .bind(true)
                    .execute(&mut *tx)
                    .await?;
                let audit = &rows.audit;
                let (revision, sequence) = sqlx::query_as::<$database, (i64, i64)>(HEAD)
                    .bind(&audit.hash)
                    .bind(&rows.tenant_id)
                    .fetch_one(&mut *tx)
                    .await?;
                sqlx::query::<$database>(AUDIT)
                    .bind(&rows.tenant_id)
                    .bind(sequence)
                    .bind(revision)
                    .bind(user.created_at)
                    .bind(&audit.actor)
                    .bind(&audit.method)
                    .bind(1_i64)
                    .bind(&rows.id)
                    .bind("OK")
                    .bind(&audit.changed_attributes)
                    .bind(&audit.hash)
                    .bind(&audit.request_id)
                    .bind("")
                    .execute(&mut *tx)
                    .await?;
                let change = &rows.change;
                sqlx::query::<$database>(CHANGE)
                    .bind(&rows.tenant_id)
                    .bind(revision)
                    .bind(0_i64)
                    .bind(user.created_at)
                    .bind(&change.actor)
                    .bind(&change.payload)
                    .bind(&change.request_id)
                    .execute(&mut *tx)
                    .await?;
                transaction.commit().await
            }
        }
    };
}

baseline!(sqlite, Sqlite, "BEGIN IMMEDIATE", "$8");
baseline!(
    postgres,
    Postgres,
    "BEGIN",
    "CAST(CAST($8 AS TEXT) AS JSONB)"
);

/// A connection to either database.
pub(crate) enum Raw {
    Sqlite(sqlite::Connection),
    Postgres(postgres::Connection),
}

impl Raw {
    pub(crate) async fn open(url: &str, durability: Durability) -> Self {
        let full = durability == Durability::Full;
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse().expect("a URL");
            let options = options
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", if full { "FULL" } else { "NORMAL" })
                .foreign_keys(true)
                // Whoever waits does so in SQLite, as long as it takes.
                .busy_timeout(Duration::from_secs(120));
            Self::Sqlite(options.connect().await.expect("the database opens"))
        } else {
            let options: PgConnectOptions = url.parse().expect("a URL");
            let commit = if full { "on" } else { "off" };
            let options = options.options([("synchronous_commit", commit)]);
            Self::Postgres(options.connect().await.expect("the database answers"))
        }
    }

    /// What muster left of the user with this id, whose names have this in them.
    pub(crate) async fn rows(&mut self, tenant: &Tenant, id: &str, token: &str) -> Rows {
        let rows = match self {
            Self::Sqlite(connection) => sqlite::rows(connection, tenant, id, token).await,
            Self::Postgres(connection) => postgres::rows(connection, tenant, id, token).await,
        };
        rows.expect("what a create leaves")
    }

    fn statements(&self, rows: &Rows) -> Statements {
        match self {
            Self::Sqlite(_) => sqlite::statements(rows),
            Self::Postgres(_) => postgres::statements(rows),
        }
    }

    async fn create(&mut self, statements: &Statements, rows: &Rows) {
        let created = match self {
            Self::Sqlite(connection) => sqlite::create(connection, statements, rows).await,
            Self::Postgres(connection) => postgres::create(connection, statements, rows).await,
        };
        created.expect("a row that is not there");
    }

    /// How large the database is, in bytes.
    pub(crate) async fn size(&mut self) -> i64 {
        let size = match self {
            Self::Sqlite(connection) => {
                let pages =
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
                sqlx::query_scalar(pages).fetch_one(connection).await
            }
            Self::Postgres(connection) => {
                let size = "SELECT pg_database_size(current_database())";
                sqlx::query_scalar(size).fetch_one(connection).await
            }
        };
        size.expect("a size")
    }

    /// Runs statements that return nothing.
    pub(crate) async fn run(&mut self, statements: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(statements));
        let done = match self {
            Self::Sqlite(connection) => sql.execute(connection).await.map(|_| ()),
            Self::Postgres(connection) => sql.execute(connection).await.map(|_| ()),
        };
        done.expect("the statements run");
    }
}

/// Creates for a while over this many connections; how long each took.
pub(crate) async fn turn(
    url: &str,
    durability: Durability,
    rows: &Arc<Rows>,
    connections: usize,
    time: Duration,
) -> Vec<Duration> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Raw::open(url, durability).await);
    }
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let rows = Arc::clone(rows);
        tasks.spawn(async move {
            let statements = connection.statements(&rows);
            let mut took = Vec::new();
            while Instant::now() < end {
                let fresh = rows.fresh();
                let began = Instant::now();
                connection.create(&statements, &fresh).await;
                took.push(began.elapsed());
            }
            took
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
