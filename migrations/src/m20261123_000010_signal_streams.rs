//! How far receivers of security event tokens have come.

use sea_orm_migration::prelude::*;

use crate::statements::run;

/// Streams of security event tokens.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[TABLE]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP TABLE signal_streams"]).await
    }
}

// All that lies up to this part of this revision was acknowledged; acked: a JSON
// list of ids, of what lies behind it and was, too.
const TABLE: &str = "CREATE TABLE signal_streams (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    client_id TEXT NOT NULL REFERENCES service_clients (id),
    stream_id TEXT NOT NULL,
    epoch TEXT NOT NULL,
    revision BIGINT NOT NULL,
    part BIGINT NOT NULL,
    acked TEXT NOT NULL,
    polled_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, client_id, stream_id))";
