//! What connections do with what their clients send, and deactivations that wait
//! for an operator.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Policies and held deactivations.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}

async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let text = match manager.get_database_backend() {
        DbBackend::Sqlite => " TEXT",
        _ => " TEXT COLLATE \"C\"",
    };
    for statement in statements {
        let statement = statement.replace(" TEXT", text);
        manager
            .get_connection()
            .execute_unprepared(&statement)
            .await?;
    }
    Ok(())
}

const UP: [&str; 6] = [
    // JSON of a policy; how long credentials live stays in its own column.
    "ALTER TABLE connections ADD COLUMN policy TEXT NOT NULL DEFAULT '{}'",
    // Since when a deactivation waits: the user is not active for his client, and may
    // act. Milliseconds since the Unix epoch.
    "ALTER TABLE users ADD COLUMN held_at BIGINT",
    // operation: deactivate or delete. due_at: when it is done all the same.
    "CREATE TABLE held_operations (
        user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT NOT NULL REFERENCES connections (id),
        operation TEXT NOT NULL,
        held_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL)",
    "CREATE INDEX ix_held_operations_due ON held_operations (due_at)",
    // What a guard counts: rows older than its window are deleted.
    "CREATE TABLE deactivations (
        connection_id TEXT NOT NULL REFERENCES connections (id),
        user_id TEXT NOT NULL,
        done_at BIGINT NOT NULL,
        PRIMARY KEY (connection_id, user_id))",
    "CREATE INDEX ix_deactivations_done ON deactivations (connection_id, done_at)",
];

const DOWN: [&str; 5] = [
    "DROP TABLE deactivations",
    // What waited is done: nobody would do it later.
    "UPDATE users SET tokens_valid_after = held_at WHERE held_at IS NOT NULL",
    "DROP TABLE held_operations",
    "ALTER TABLE users DROP COLUMN held_at",
    "ALTER TABLE connections DROP COLUMN policy",
];
