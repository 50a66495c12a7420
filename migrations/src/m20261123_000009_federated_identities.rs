//! What identity providers call users: issuer and subject of their tokens.

use sea_orm_migration::prelude::*;

use crate::{names::UNIQUE_FEDERATED_IDENTITY, statements::run};

/// Federated identities.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let unique = format!(
            "CREATE UNIQUE INDEX {UNIQUE_FEDERATED_IDENTITY} ON federated_identities \
             (tenant_id, issuer, subject) WHERE live"
        );
        run(manager, &[TABLE, &unique]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP TABLE federated_identities"]).await
    }
}

// live: not of a user who is deleted, so that who comes after him can have it.
const TABLE: &str = "CREATE TABLE federated_identities (
    user_id TEXT NOT NULL REFERENCES users (id),
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    live BOOLEAN NOT NULL,
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, issuer, subject))";
