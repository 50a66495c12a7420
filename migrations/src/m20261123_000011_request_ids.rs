//! Requests that came with an id, so that they are done once.

use sea_orm_migration::prelude::*;

use crate::statements::run;

/// Request ids.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[TABLE, INDEX]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP TABLE request_ids"]).await
    }
}

// caller_id: a credential or a service client. digest: of method and payload.
// outcome: JSON without personal data and secrets.
const TABLE: &str = "CREATE TABLE request_ids (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    caller_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    outcome TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, caller_id, request_id))";

const INDEX: &str = "CREATE INDEX request_ids_by_end ON request_ids (expires_at)";
