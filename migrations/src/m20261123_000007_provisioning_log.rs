//! The provisioning log: what each request of a provisioning client came to.

use sea_orm_migration::prelude::*;

use crate::statements::run;

/// What requests of connections came to.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["DROP TABLE provisioning_events"]).await
    }
}

const UP: [&str; 7] = [
    // id: UUIDv7, whose order is that of time. operation and resource_type: numbers
    // of the contract. failed: http_status is 400 or above. payload: JSON of what is
    // only shown. Texts are empty where there is nothing to say. Rows go after 30
    // days, whatever becomes of what they are about.
    "CREATE TABLE provisioning_events (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT NOT NULL,
        credential_id TEXT NOT NULL,
        recorded_at BIGINT NOT NULL,
        name TEXT NOT NULL,
        operation BIGINT NOT NULL,
        resource_type BIGINT NOT NULL,
        resource_id TEXT NOT NULL,
        external_id TEXT NOT NULL,
        http_status BIGINT NOT NULL,
        failed BOOLEAN NOT NULL,
        scim_type TEXT NOT NULL,
        reason TEXT NOT NULL,
        attribute TEXT NOT NULL,
        request_id TEXT NOT NULL,
        payload TEXT NOT NULL)",
    "CREATE INDEX ix_provisioning_events_page ON provisioning_events (tenant_id, id)",
    "CREATE INDEX ix_provisioning_events_connection \
     ON provisioning_events (tenant_id, connection_id, id)",
    "CREATE INDEX ix_provisioning_events_failed \
     ON provisioning_events (tenant_id, connection_id, failed, id)",
    "CREATE INDEX ix_provisioning_events_resource \
     ON provisioning_events (tenant_id, resource_id, id) WHERE resource_id <> ''",
    "CREATE INDEX ix_provisioning_events_external \
     ON provisioning_events (tenant_id, external_id, id) WHERE external_id <> ''",
    // Of a tenant whose connections fare well there are few.
    "CREATE INDEX ix_provisioning_events_failures \
     ON provisioning_events (tenant_id, id) WHERE failed = TRUE",
];
