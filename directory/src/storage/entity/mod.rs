//! One sea-orm entity per table, private to storage, but for indexed values and
//! spent tokens, which are written in SQL alone (`resources/values.rs`, `spent.rs`). Columns are documented in the
//! migrations.

#![allow(missing_docs, reason = "the migrations document the columns")]

macro_rules! entity {
    ($module:ident, $table:literal, { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        pub(super) mod $module {
            use sea_orm::entity::prelude::*;
            use serde::{Deserialize, Serialize};

            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub(crate) struct Model {
                $($(#[$attribute])* pub(crate) $field: $type),*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(crate) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(settings, "settings", {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    value: String,
});

entity!(tenants, "tenants", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    name: String,
    name_key: String,
    created_at: i64,
});

entity!(directory_heads, "directory_heads", {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: String,
    revision: i64,
    audit_sequence: i64,
    audit_hash: String,
    earliest: i64,
    schema_version: i64,
    access_version: i64,
});

entity!(connections, "connections", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    name: String,
    name_key: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    // Exports from before connections had one.
    #[serde(default = "crate::storage::tenants::default_flavor")]
    flavor: String,
    credential_lifetime: Option<i64>,
    // Exports from before connections had one.
    #[serde(default = "crate::storage::tenants::no_policy")]
    policy: String,
});

entity!(extension_schemas, "extension_schemas", {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    urn_key: String,
    resource_type: i64,
    definition: String,
    updated_at: i64,
});

entity!(credentials, "credentials", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    connection_id: Option<String>,
    user_id: Option<String>,
    name: String,
    kind: String,
    issuer: Option<String>,
    subject: Option<String>,
    audience: Option<String>,
    audiences: Option<String>,
    scopes: Option<String>,
    created_at: i64,
    // Exports from before it was kept: operators made all of them.
    #[serde(default = "crate::storage::credentials::operator")]
    created_by: String,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
    #[serde(default)]
    revoke_reason: String,
    last_used_at: Option<i64>,
    last_used_address: Option<String>,
});

entity!(credential_secrets, "credential_secrets", {
    #[sea_orm(primary_key, auto_increment = false)]
    key_id: String,
    credential_id: String,
    secret_hash: String,
    created_at: i64,
    valid_until: Option<i64>,
});

entity!(service_clients, "service_clients", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    name: String,
    name_key: String,
    scopes: String,
    audiences: String,
    token_scopes: Option<String>,
    keys: String,
    certificate: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
    disabled_at: Option<i64>,
    disable_reason: String,
    tokens_valid_after: Option<i64>,
    last_used_at: Option<i64>,
    last_used_address: Option<String>,
});

entity!(signing_keys, "signing_keys", {
    #[sea_orm(primary_key, auto_increment = false)]
    kid: String,
    algorithm: String,
    public_key: String,
    private_key: Option<String>,
    created_at: i64,
    sign_from: i64,
    sign_until: Option<i64>,
    revoked_at: Option<i64>,
    revoke_reason: String,
});

entity!(users, "users", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    user_name_key: String,
    display_name: Option<String>,
    display_name_key: Option<String>,
    active: bool,
    document: String,
    search: Json,
    version: i64,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
    connection_id: Option<String>,
    tokens_valid_after: Option<i64>,
    locked_at: Option<i64>,
    lock_reason: Option<String>,
    held_at: Option<i64>,
});

entity!(groups, "groups", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    display_name: String,
    display_name_key: String,
    document: String,
    search: Json,
    version: i64,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
    connection_id: Option<String>,
});

entity!(external_ids, "external_ids", {
    #[sea_orm(primary_key, auto_increment = false)]
    connection_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    resource_id: String,
    resource_type: i64,
    external_id: String,
    live: bool,
});

entity!(federated_identities, "federated_identities", {
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    issuer: String,
    #[sea_orm(primary_key, auto_increment = false)]
    subject: String,
    tenant_id: String,
    live: bool,
    linked_at: i64,
});

entity!(held_operations, "held_operations", {
    #[sea_orm(primary_key, auto_increment = false)]
    user_id: String,
    tenant_id: String,
    connection_id: String,
    operation: String,
    user_name: Option<String>,
    held_at: i64,
    due_at: i64,
});

entity!(memberships, "memberships", {
    #[sea_orm(primary_key, auto_increment = false)]
    group_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    member_id: String,
    member_type: i64,
});

entity!(changes, "changes", {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    revision: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    part: i64,
    committed_at: i64,
    actor: String,
    payload: String,
    request_id: String,
});

entity!(audit_entries, "audit_entries", {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    sequence: i64,
    revision: i64,
    recorded_at: i64,
    actor: String,
    method: String,
    resource_type: i64,
    resource_id: String,
    outcome: String,
    changed_attributes: String,
    hash: String,
    request_id: String,
    reason: String,
});

entity!(provisioning_events, "provisioning_events", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    tenant_id: String,
    connection_id: String,
    credential_id: String,
    recorded_at: i64,
    name: String,
    operation: i64,
    resource_type: i64,
    resource_id: String,
    external_id: String,
    http_status: i64,
    failed: bool,
    scim_type: String,
    reason: String,
    attribute: String,
    request_id: String,
    payload: String,
});
