//! Tenants, connections, credentials, users, groups, memberships and the
//! history that every write leaves.
//!
//! * Ids are UUIDs as text, times are milliseconds since the Unix epoch: both
//!   mean the same in every database and read well in a shell.
//! * `document` holds a resource's attributes as sent, `search` the same with
//!   text folded where case does not count; filters read `search` alone.
//! * A deleted resource keeps its row. Unique indexes are partial, so its
//!   names are free at once.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::names::{
    UNIQUE_CONNECTION_NAME, UNIQUE_EXTERNAL_ID, UNIQUE_GROUP_NAME, UNIQUE_TENANT_NAME,
    UNIQUE_USER_NAME,
};

/// The initial schema.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let tables = TABLES.iter().map(|table| spelled(table, backend));
        for statement in tables.chain(indexes()) {
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLE_NAMES.iter().rev() {
            let statement = format!("DROP TABLE {table}");
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
        }
        Ok(())
    }
}

/// A table as the database spells it.
fn spelled(table: &str, backend: DbBackend) -> String {
    match backend {
        // Tables without an id of their own are their key: kept in one tree.
        DbBackend::Sqlite => match table.strip_suffix("))") {
            Some(table) => format!("{table})) WITHOUT ROWID"),
            None => table.to_owned(),
        },
        // Text compares by its bytes, as in SQLite, whatever the database's
        // locale; and filters read JSON without parsing it each time.
        _ => table
            .replace("search TEXT", "search JSONB")
            .replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}

const TABLE_NAMES: [&str; 12] = [
    "settings",
    "tenants",
    "directory_heads",
    "connections",
    "credentials",
    "users",
    "groups",
    "external_ids",
    "user_values",
    "memberships",
    "changes",
    "audit_entries",
];

const TABLES: [&str; 12] = [
    // The store's own facts: its epoch and the key that signs cursors.
    "CREATE TABLE settings (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL)",
    "CREATE TABLE tenants (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        created_at BIGINT NOT NULL)",
    // One row a tenant: the first lock of every write, so that revisions are
    // handed out in the order of commits.
    "CREATE TABLE directory_heads (
        tenant_id TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id),
        revision BIGINT NOT NULL,
        audit_sequence BIGINT NOT NULL,
        audit_hash TEXT NOT NULL)",
    "CREATE TABLE connections (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL)",
    // kind: bearer or oauth-client, with key_id and secret_hash; or federated,
    // with issuer, subject and audience.
    "CREATE TABLE credentials (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT NOT NULL REFERENCES connections (id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        key_id TEXT UNIQUE,
        secret_hash TEXT,
        issuer TEXT,
        subject TEXT,
        audience TEXT,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        revoked_at BIGINT)",
    "CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        user_name_key TEXT NOT NULL,
        display_name TEXT,
        display_name_key TEXT,
        active BOOLEAN NOT NULL,
        document TEXT NOT NULL,
        search TEXT NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT)",
    "CREATE TABLE groups (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        display_name TEXT NOT NULL,
        display_name_key TEXT NOT NULL,
        document TEXT NOT NULL,
        search TEXT NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT)",
    // resource_type: 1 user, 2 group, as in the contract.
    "CREATE TABLE external_ids (
        connection_id TEXT NOT NULL REFERENCES connections (id),
        resource_id TEXT NOT NULL,
        resource_type BIGINT NOT NULL,
        external_id TEXT NOT NULL,
        live BOOLEAN NOT NULL,
        PRIMARY KEY (connection_id, resource_id))",
    // Folded values of indexed attributes.
    "CREATE TABLE user_values (
        user_id TEXT NOT NULL REFERENCES users (id),
        attribute TEXT NOT NULL,
        value_key TEXT NOT NULL,
        tenant_id TEXT NOT NULL,
        PRIMARY KEY (user_id, attribute, value_key))",
    "CREATE TABLE memberships (
        group_id TEXT NOT NULL REFERENCES groups (id),
        member_id TEXT NOT NULL,
        member_type BIGINT NOT NULL,
        PRIMARY KEY (group_id, member_id))",
    "CREATE TABLE changes (
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        revision BIGINT NOT NULL,
        part BIGINT NOT NULL,
        committed_at BIGINT NOT NULL,
        actor TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (tenant_id, revision, part))",
    // A hash chain per tenant: hash covers the row and the former hash.
    "CREATE TABLE audit_entries (
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        sequence BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        recorded_at BIGINT NOT NULL,
        actor TEXT NOT NULL,
        method TEXT NOT NULL,
        resource_type BIGINT NOT NULL,
        resource_id TEXT NOT NULL,
        outcome TEXT NOT NULL,
        changed_attributes TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (tenant_id, sequence))",
];

fn indexes() -> impl Iterator<Item = String> {
    [
        format!("CREATE UNIQUE INDEX {UNIQUE_TENANT_NAME} ON tenants (name_key)"),
        format!(
            "CREATE UNIQUE INDEX {UNIQUE_CONNECTION_NAME} ON connections (tenant_id, name_key)"
        ),
        "CREATE INDEX ix_credentials_connection ON credentials (connection_id)".to_owned(),
        format!(
            "CREATE UNIQUE INDEX {UNIQUE_USER_NAME} ON users (tenant_id, user_name_key)
             WHERE deleted_at IS NULL"
        ),
        "CREATE INDEX ix_users_page ON users (tenant_id, id) WHERE deleted_at IS NULL".to_owned(),
        "CREATE INDEX ix_users_display_name ON users (tenant_id, display_name_key)
         WHERE deleted_at IS NULL"
            .to_owned(),
        format!(
            "CREATE UNIQUE INDEX {UNIQUE_GROUP_NAME} ON groups (tenant_id, display_name_key)
             WHERE deleted_at IS NULL"
        ),
        "CREATE INDEX ix_groups_page ON groups (tenant_id, id) WHERE deleted_at IS NULL".to_owned(),
        format!(
            "CREATE UNIQUE INDEX {UNIQUE_EXTERNAL_ID} ON external_ids
             (connection_id, resource_type, external_id) WHERE live"
        ),
        "CREATE INDEX ix_external_ids_resource ON external_ids (resource_id)".to_owned(),
        "CREATE INDEX ix_user_values_lookup ON user_values (tenant_id, attribute, value_key)"
            .to_owned(),
        "CREATE INDEX ix_memberships_member ON memberships (member_id)".to_owned(),
    ]
    .into_iter()
}
