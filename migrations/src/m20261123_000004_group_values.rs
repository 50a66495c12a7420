//! Indexed values of groups: what a tenant's schema calls unique is looked up with
//! every write of it, whatever it extends.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Values of groups.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (text, end) = match manager.get_database_backend() {
            DbBackend::Sqlite => ("TEXT", " WITHOUT ROWID"),
            _ => ("TEXT COLLATE \"C\"", ""),
        };
        let table = TABLE.replace("TEXT", text) + end;
        for statement in [table.as_str(), INDEX] {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .get_connection()
            .execute_unprepared("DROP TABLE group_values")
            .await?;
        Ok(())
    }
}

/// Keys of indexed attributes, as user_values has those of users.
const TABLE: &str = "CREATE TABLE group_values (
    group_id TEXT NOT NULL REFERENCES groups (id),
    attribute TEXT NOT NULL,
    value_key TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    PRIMARY KEY (group_id, attribute, value_key))";

const INDEX: &str =
    "CREATE INDEX ix_group_values_lookup ON group_values (tenant_id, attribute, value_key)";
