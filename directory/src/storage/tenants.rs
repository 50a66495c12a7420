//! Tenants and their connections.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::{
    Tx,
    entity::{connections, tenants},
    sql::can_be,
};
use crate::{
    domain::{
        flavor::Flavor,
        fold::fold,
        policy::{Lifetime, Policy},
    },
    error::{Error, Result},
};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// UUIDv7.
    pub id: String,
    /// Unique without case.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// A provisioning client of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// UUIDv7.
    pub id: String,
    /// Whose.
    pub tenant_id: String,
    /// Unique in the tenant without case.
    pub name: String,
    /// How far its client deviates from the standard.
    pub flavor: Flavor,
    /// What it does with what its client sends.
    pub policy: Policy,
    /// Grows by one per change, from 1.
    pub version: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

impl From<tenants::Model> for Tenant {
    fn from(row: tenants::Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            created_at: row.created_at,
        }
    }
}

impl TryFrom<connections::Model> for Connection {
    type Error = Error;

    fn try_from(row: connections::Model) -> Result<Self> {
        Ok(Self {
            flavor: flavor(&row.id, &row.flavor)?,
            policy: Policy {
                credential_lifetime: lifetime(&row)?,
                ..policy(&row.id, &row.policy)?
            },
            id: row.id,
            tenant_id: row.tenant_id,
            name: row.name,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The flavor that a connection's row names. Another one than was chosen would let
/// through what should be refused.
pub(super) fn flavor(connection_id: &str, name: &str) -> Result<Flavor> {
    let unknown = || Error::internal(format!("connections.flavor of {connection_id}: {name:?}"));
    Flavor::of(name).ok_or_else(unknown)
}

/// The policy that a connection's row holds.
pub(super) fn policy(connection_id: &str, json: &str) -> Result<Policy> {
    let broken = |e| Error::internal(format!("connections.policy of {connection_id}: {e}"));
    serde_json::from_str(json).map_err(broken)
}

/// How long new credentials live has a column of its own.
fn lifetime(row: &connections::Model) -> Result<Option<Lifetime>> {
    let broken = |e| {
        Error::internal(format!(
            "connections.credential_lifetime of {}: {e}",
            row.id
        ))
    };
    let lifetime = row.credential_lifetime.map(Lifetime::of_ms);
    lifetime.transpose().map_err(broken)
}

/// Both columns of a policy.
fn policy_columns(policy: &Policy) -> Result<(String, Option<i64>)> {
    let lifetime = policy.credential_lifetime.map(Lifetime::ms);
    let rest = Policy {
        credential_lifetime: None,
        ..policy.clone()
    };
    let json = serde_json::to_string(&rest).map_err(|e| Error::Internal(e.into()))?;
    Ok((json, lifetime))
}

/// The policy of a connection of which nothing is said.
pub(super) fn no_policy() -> String {
    "{}".to_owned()
}

/// Puts a new tenant in.
///
/// # Errors
/// [`Error::Taken`].
pub async fn insert_tenant(tx: &Tx, tenant: &Tenant) -> Result<()> {
    let row = tenants::ActiveModel {
        id: Set(tenant.id.clone()),
        name: Set(tenant.name.clone()),
        name_key: Set(fold(&tenant.name)),
        created_at: Set(tenant.created_at),
    };
    tenants::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// The tenant with this id or name.
///
/// # Errors
/// The database's.
pub async fn find_tenant(tx: &Tx, id_or_name: &str) -> Result<Option<Tenant>> {
    let wanted = Condition::any()
        .add(tenants::Column::Id.eq(id_or_name))
        .add(tenants::Column::NameKey.eq(fold(id_or_name)));
    let rows = tenants::Entity::find()
        .filter(wanted)
        .all(&tx.connection())
        .await?;
    // An id wins over another's name that looks like it.
    let found = rows.into_iter().max_by_key(|row| row.id == id_or_name);
    Ok(found.map(Into::into))
}

/// All tenants, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list_tenants(tx: &Tx) -> Result<Vec<Tenant>> {
    let rows = tenants::Entity::find()
        .order_by_asc(tenants::Column::Id)
        .all(&tx.connection())
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Puts a new connection in.
///
/// # Errors
/// [`Error::Taken`].
pub async fn insert_connection(tx: &Tx, connection: &Connection) -> Result<()> {
    let (policy, lifetime) = policy_columns(&connection.policy)?;
    let row = connections::ActiveModel {
        id: Set(connection.id.clone()),
        tenant_id: Set(connection.tenant_id.clone()),
        name: Set(connection.name.clone()),
        name_key: Set(fold(&connection.name)),
        version: Set(connection.version),
        created_at: Set(connection.created_at),
        updated_at: Set(connection.updated_at),
        flavor: Set(connection.flavor.name().to_owned()),
        credential_lifetime: Set(lifetime),
        policy: Set(policy),
    };
    connections::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// The flavor of a connection of which nothing is said.
pub(super) fn default_flavor() -> String {
    Flavor::default().name().to_owned()
}

/// Writes what can change of a connection.
///
/// # Errors
/// [`Error::Taken`].
pub async fn update_connection(tx: &Tx, connection: &Connection) -> Result<()> {
    let (policy, lifetime) = policy_columns(&connection.policy)?;
    let row = connections::ActiveModel {
        id: Set(connection.id.clone()),
        name: Set(connection.name.clone()),
        name_key: Set(fold(&connection.name)),
        flavor: Set(connection.flavor.name().to_owned()),
        credential_lifetime: Set(lifetime),
        policy: Set(policy),
        version: Set(connection.version),
        updated_at: Set(connection.updated_at),
        ..Default::default()
    };
    connections::Entity::update(row)
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// The tenant's connection with this id or name.
///
/// # Errors
/// The database's.
pub async fn find_connection(
    tx: &Tx,
    tenant_id: &str,
    id_or_name: &str,
) -> Result<Option<Connection>> {
    if !can_be(id_or_name) {
        return Ok(None);
    }
    let wanted = Condition::any()
        .add(connections::Column::Id.eq(id_or_name))
        .add(connections::Column::NameKey.eq(fold(id_or_name)));
    let rows = connections::Entity::find()
        .filter(connections::Column::TenantId.eq(tenant_id))
        .filter(wanted)
        .all(&tx.connection())
        .await?;
    // An id wins over another's name that looks like it.
    let found = rows.into_iter().max_by_key(|row| row.id == id_or_name);
    found.map(TryInto::try_into).transpose()
}

/// Names and policies of the tenant's connections whose policies name this id.
///
/// # Errors
/// The database's.
pub async fn policies_naming(tx: &Tx, tenant_id: &str, id: &str) -> Result<Vec<(String, Policy)>> {
    // Ids are of letters, digits and hyphens: nothing in them is a wildcard.
    let rows = connections::Entity::find()
        .filter(connections::Column::TenantId.eq(tenant_id))
        .filter(connections::Column::Policy.contains(id))
        .all(&tx.connection())
        .await?;
    let named = rows.into_iter();
    named
        .map(|row| Ok((row.name, policy(&row.id, &row.policy)?)))
        .collect()
}

/// The tenant's connections, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list_connections(tx: &Tx, tenant_id: &str) -> Result<Vec<Connection>> {
    let rows = connections::Entity::find()
        .filter(connections::Column::TenantId.eq(tenant_id))
        .order_by_asc(connections::Column::Id)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The same behind this id, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn connections_after(
    tx: &Tx,
    tenant_id: &str,
    after: &str,
    limit: u64,
) -> Result<Vec<Connection>> {
    let rows = connections::Entity::find()
        .filter(connections::Column::TenantId.eq(tenant_id))
        .filter(connections::Column::Id.gt(after))
        .order_by_asc(connections::Column::Id)
        .limit(limit)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavor_that_is_none_is_no_other() {
        assert_eq!(flavor("c", "okta").ok(), Some(Flavor::Okta));
        assert!(matches!(flavor("c", "vanilla"), Err(Error::Internal(_))));
    }
}
