//! What a facade goes by: a connection's flavor, a tenant's own schemas, and the
//! user to whom a credential is bound. And `active` among what filters read, and
//! an index that counts people without reading them.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Flavors, schemas and bound credentials.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = match manager.get_database_backend() {
            DbBackend::Sqlite => "TEXT",
            _ => "TEXT COLLATE \"C\"",
        };
        // Filters tell a user whose "active" was removed from one who is not
        // active.
        let active = match manager.get_database_backend() {
            DbBackend::Sqlite => {
                "UPDATE users SET search = json_set(search, '$.active', \
                 json(CASE WHEN active THEN 'true' ELSE 'false' END))"
            }
            _ => "UPDATE users SET search = jsonb_set(search, '{active}', to_jsonb(active))",
        };
        manager.get_connection().execute_unprepared(active).await?;
        for statement in UP {
            let statement = statement.replace("TEXT", text);
            manager
                .get_connection()
                .execute_unprepared(&statement)
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in DOWN {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}

const UP: [&str; 8] = [
    // entra, okta or strict.
    "ALTER TABLE connections ADD COLUMN flavor TEXT NOT NULL DEFAULT 'entra'",
    // Grows with every change of the tenant's own schemas; 0 while it has none.
    "ALTER TABLE directory_heads ADD COLUMN schema_version BIGINT NOT NULL DEFAULT 0",
    // The user in whose name the credential speaks; NULL for the connection.
    "ALTER TABLE credentials ADD COLUMN user_id TEXT",
    // definition: JSON of RFC 7643 section 7. urn_key: the URN without case.
    // resource_type: 1 user, 2 group, as in the contract.
    "CREATE TABLE extension_schemas (
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        urn_key TEXT NOT NULL,
        resource_type BIGINT NOT NULL,
        definition TEXT NOT NULL,
        updated_at BIGINT NOT NULL,
        PRIMARY KEY (tenant_id, urn_key))",
    // SQLite does not conclude from an index's condition what deleted_at is, and
    // looked into every row to count them.
    "DROP INDEX ix_users_page",
    "CREATE INDEX ix_users_page ON users (tenant_id, id, deleted_at) WHERE deleted_at IS NULL",
    "DROP INDEX ix_groups_page",
    "CREATE INDEX ix_groups_page ON groups (tenant_id, id, deleted_at) WHERE deleted_at IS NULL",
];

const DOWN: [&str; 8] = [
    "DROP INDEX ix_groups_page",
    "CREATE INDEX ix_groups_page ON groups (tenant_id, id) WHERE deleted_at IS NULL",
    "DROP INDEX ix_users_page",
    "CREATE INDEX ix_users_page ON users (tenant_id, id) WHERE deleted_at IS NULL",
    "DROP TABLE extension_schemas",
    "ALTER TABLE credentials DROP COLUMN user_id",
    "ALTER TABLE directory_heads DROP COLUMN schema_version",
    "ALTER TABLE connections DROP COLUMN flavor",
];
