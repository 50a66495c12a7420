//! Whose groups somebody is in is answered by an index alone, in the order of
//! their ids. Without the second column PostgreSQL walks the primary key to have
//! that order.

use sea_orm_migration::prelude::*;

/// Memberships by member, then by group.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index(manager, "member_id, group_id").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        index(manager, "member_id").await
    }
}

async fn index(manager: &SchemaManager<'_>, columns: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    connection
        .execute_unprepared("DROP INDEX ix_memberships_member")
        .await?;
    let create = format!("CREATE INDEX ix_memberships_member ON memberships ({columns})");
    connection.execute_unprepared(&create).await?;
    Ok(())
}
