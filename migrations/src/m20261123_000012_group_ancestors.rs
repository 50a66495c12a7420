//! Which groups contain which, directly or through others.

use sea_orm_migration::prelude::*;

use crate::statements::run;

/// Groups and those that they are in.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP TABLE group_ancestors"]).await
    }
}

const UP: [&str; 3] = [
    // A row for each live group and each live group that it is in, directly or
    // through live groups.
    "CREATE TABLE group_ancestors (
        group_id TEXT NOT NULL,
        ancestor_id TEXT NOT NULL,
        PRIMARY KEY (group_id, ancestor_id))",
    "CREATE INDEX ix_group_ancestors_ancestor ON group_ancestors (ancestor_id, group_id)",
    // UNION ends even where the data has a cycle.
    "INSERT INTO group_ancestors (group_id, ancestor_id) \
     WITH RECURSIVE above (group_id, ancestor_id) AS (\
     SELECT c.id, p.id FROM memberships m JOIN groups c ON c.id = m.member_id \
     JOIN groups p ON p.id = m.group_id \
     WHERE m.member_type = 2 AND c.deleted_at IS NULL AND p.deleted_at IS NULL \
     UNION SELECT a.group_id, p.id FROM above a JOIN memberships m ON m.member_id = a.ancestor_id \
     JOIN groups p ON p.id = m.group_id WHERE p.deleted_at IS NULL) \
     SELECT group_id, ancestor_id FROM above",
];
