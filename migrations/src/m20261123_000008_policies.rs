//! What connections do with what their clients send, and deactivations that wait
//! for an operator.

use sea_orm_migration::prelude::*;

use crate::statements::run;

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

const UP: [&str; 10] = [
    // JSON of a policy; how long credentials live stays in its own column.
    "ALTER TABLE connections ADD COLUMN policy TEXT NOT NULL DEFAULT '{}'",
    // Since when a deactivation waits: the user is not active for his client, and may
    // act. Milliseconds since the Unix epoch.
    "ALTER TABLE users ADD COLUMN held_at BIGINT",
    // operation: deactivate or delete. user_name: the one that he is to have then, where
    // it is another. due_at: when it is done all the same.
    "CREATE TABLE held_operations (
        user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT NOT NULL REFERENCES connections (id),
        operation TEXT NOT NULL,
        user_name TEXT,
        held_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL)",
    "CREATE INDEX ix_held_operations_due ON held_operations (due_at)",
    "CREATE INDEX ix_held_operations_connection ON held_operations (connection_id, user_id)",
    // What a guard counts: rows older than its window are deleted.
    "CREATE TABLE deactivations (
        connection_id TEXT NOT NULL REFERENCES connections (id),
        user_id TEXT NOT NULL,
        done_at BIGINT NOT NULL,
        PRIMARY KEY (connection_id, user_id))",
    "CREATE INDEX ix_deactivations_done ON deactivations (connection_id, done_at)",
    "CREATE INDEX ix_deactivations_user ON deactivations (user_id)",
    // How many are not active, of whom a guard counts the others.
    "CREATE INDEX ix_users_inactive ON users (tenant_id) \
     WHERE deleted_at IS NULL AND NOT active AND held_at IS NULL",
    // Whoever comes again after a deletion stays locked.
    "CREATE INDEX ix_users_locked_gone ON users (tenant_id) \
     WHERE deleted_at IS NOT NULL AND locked_at IS NOT NULL",
];

const DOWN: [&str; 9] = [
    "DROP INDEX ix_users_locked_gone",
    "DROP INDEX ix_users_inactive",
    "DROP TABLE deactivations",
    // What waited is done, as far as access goes: nobody would do it later.
    "UPDATE directory_heads SET access_version = access_version + 1 WHERE tenant_id IN \
     (SELECT tenant_id FROM users WHERE held_at IS NOT NULL)",
    "UPDATE credentials SET revoke_reason = 'the user was deactivated', revoked_at = \
     (SELECT u.held_at FROM users u WHERE u.id = credentials.user_id) \
     WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE held_at IS NOT NULL)",
    "UPDATE users SET tokens_valid_after = held_at WHERE held_at IS NOT NULL \
     AND (tokens_valid_after IS NULL OR tokens_valid_after < held_at)",
    "DROP TABLE held_operations",
    "ALTER TABLE users DROP COLUMN held_at",
    "ALTER TABLE connections DROP COLUMN policy",
];
