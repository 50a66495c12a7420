//! What the change feed, the audit, restoring and purging need: where the kept
//! changes begin, who created a resource, why a call was refused, by which call
//! something was written, and what a credential may do.

use sea_orm_migration::prelude::*;

/// Feed, audit, restore and purge.
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
    for statement in statements {
        manager
            .get_connection()
            .execute_unprepared(statement)
            .await?;
    }
    Ok(())
}

const UP: [&str; 11] = [
    // The oldest revision after which all changes are kept.
    "ALTER TABLE directory_heads ADD COLUMN earliest BIGINT NOT NULL DEFAULT 0",
    // The connection that created the resource.
    "ALTER TABLE users ADD COLUMN connection_id TEXT",
    "ALTER TABLE groups ADD COLUMN connection_id TEXT",
    // The call that wrote, as the log names it.
    "ALTER TABLE changes ADD COLUMN request_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE audit_entries ADD COLUMN request_id TEXT NOT NULL DEFAULT ''",
    // Why the call was refused; empty when it was not.
    "ALTER TABLE audit_entries ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    // Scopes, separated by spaces; NULL for those of a provisioning client.
    "ALTER TABLE credentials ADD COLUMN scopes TEXT",
    "CREATE INDEX ix_audit_entries_resource ON audit_entries (tenant_id, resource_id, sequence)",
    "CREATE INDEX ix_users_deleted ON users (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_groups_deleted ON groups (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_users_all ON users (tenant_id, id)",
];

const DOWN: [&str; 11] = [
    "DROP INDEX ix_users_all",
    "DROP INDEX ix_groups_deleted",
    "DROP INDEX ix_users_deleted",
    "DROP INDEX ix_audit_entries_resource",
    "ALTER TABLE credentials DROP COLUMN scopes",
    "ALTER TABLE audit_entries DROP COLUMN reason",
    "ALTER TABLE audit_entries DROP COLUMN request_id",
    "ALTER TABLE changes DROP COLUMN request_id",
    "ALTER TABLE groups DROP COLUMN connection_id",
    "ALTER TABLE users DROP COLUMN connection_id",
    "ALTER TABLE directory_heads DROP COLUMN earliest",
];
