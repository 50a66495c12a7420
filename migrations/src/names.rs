//! Names of unique constraints, and the columns that SQLite reports in their
//! place. The directory maps them to attributes of the API.

/// One live user of a tenant has this folded `userName`.
pub const UNIQUE_USER_NAME: &str = "uq_users_user_name";

/// One live group of a tenant has this folded `displayName`.
pub const UNIQUE_GROUP_NAME: &str = "uq_groups_display_name";

/// One live resource of a type has this `externalId` in a connection.
pub const UNIQUE_EXTERNAL_ID: &str = "uq_external_ids_external_id";

/// One tenant has this folded name.
pub const UNIQUE_TENANT_NAME: &str = "uq_tenants_name";

/// One connection of a tenant has this folded name.
pub const UNIQUE_CONNECTION_NAME: &str = "uq_connections_name";

/// One service client of a tenant has this folded name.
pub const UNIQUE_CLIENT_NAME: &str = "uq_service_clients_name";

/// One live user of a tenant has this identity of an issuer.
pub const UNIQUE_FEDERATED_IDENTITY: &str = "uq_federated_identities_subject";

/// Each unique index with the columns that SQLite names when it is violated.
pub const UNIQUE_COLUMNS: [(&str, &str); 7] = [
    (UNIQUE_USER_NAME, "users.tenant_id, users.user_name_key"),
    (
        UNIQUE_GROUP_NAME,
        "groups.tenant_id, groups.display_name_key",
    ),
    (
        UNIQUE_EXTERNAL_ID,
        "external_ids.connection_id, external_ids.resource_type, external_ids.external_id",
    ),
    (UNIQUE_TENANT_NAME, "tenants.name_key"),
    (
        UNIQUE_CONNECTION_NAME,
        "connections.tenant_id, connections.name_key",
    ),
    (
        UNIQUE_CLIENT_NAME,
        "service_clients.tenant_id, service_clients.name_key",
    ),
    (
        UNIQUE_FEDERATED_IDENTITY,
        "federated_identities.tenant_id, federated_identities.issuer, \
         federated_identities.subject",
    ),
];
