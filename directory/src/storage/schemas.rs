//! The extension schemas of tenants.

use muster_proto::schema::{Definition, Extends, Registry};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};

use super::{Tx, entity::extension_schemas};
use crate::{
    domain::{fold::fold, history::ResourceType},
    error::{Error, Result},
};

/// A schema of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSchema {
    /// What it extends.
    pub extends: Extends,
    /// What it says.
    pub definition: Definition,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
}

impl TryFrom<extension_schemas::Model> for TenantSchema {
    type Error = Error;

    fn try_from(row: extension_schemas::Model) -> Result<Self> {
        let definition = serde_json::from_str(&row.definition);
        let definition = definition.map_err(|e| {
            Error::internal(format!(
                "extension_schemas.definition of {}: {e}",
                row.urn_key
            ))
        })?;
        let (urn, number) = (&row.urn_key, row.resource_type);
        let unknown = || {
            Error::internal(format!(
                "extension_schemas.resource_type of {urn}: {number}"
            ))
        };
        Ok(Self {
            extends: extends(number).ok_or_else(unknown)?,
            definition,
            updated_at: row.updated_at,
        })
    }
}

/// The number of what a schema extends, as in the contract.
fn type_number(extends: Extends) -> i64 {
    match extends {
        Extends::User => ResourceType::User as i64,
        Extends::Group => ResourceType::Group as i64,
    }
}

/// What the schema of this number extends; `None` for a number of something else.
pub(super) fn extends(number: i64) -> Option<Extends> {
    let mut all = [Extends::User, Extends::Group].into_iter();
    all.find(|extends| type_number(*extends) == number)
}

/// The tenant's schemas, in the order of their URNs without case.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, tenant_id: &str) -> Result<Vec<TenantSchema>> {
    let rows = extension_schemas::Entity::find()
        .filter(extension_schemas::Column::TenantId.eq(tenant_id))
        .order_by_asc(extension_schemas::Column::UrnKey)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// What users and groups of the tenant consist of.
///
/// # Errors
/// The database's.
pub async fn registry(tx: &Tx, tenant_id: &str) -> Result<&'static Registry> {
    Ok(registry_of(list(tx, tenant_id).await?))
}

/// What users and groups with these schemas consist of.
pub fn registry_of(schemas: Vec<TenantSchema>) -> &'static Registry {
    let extensions = schemas
        .into_iter()
        .map(|schema| (schema.extends, schema.definition));
    Registry::with(extensions.collect())
}

/// Puts a schema in, in place of the one with its URN.
///
/// # Errors
/// The database's.
pub async fn put(tx: &Tx, tenant_id: &str, schema: &TenantSchema) -> Result<()> {
    use extension_schemas::Column;
    let definition = serde_json::to_string(&schema.definition);
    let row = extension_schemas::ActiveModel {
        tenant_id: Set(tenant_id.to_owned()),
        urn_key: Set(fold(&schema.definition.id)),
        resource_type: Set(type_number(schema.extends)),
        definition: Set(definition.map_err(|e| Error::Internal(e.into()))?),
        updated_at: Set(schema.updated_at),
    };
    let replaced = OnConflict::columns([Column::TenantId, Column::UrnKey])
        .update_columns([Column::ResourceType, Column::Definition, Column::UpdatedAt])
        .to_owned();
    extension_schemas::Entity::insert(row)
        .on_conflict(replaced)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// Takes a schema out.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &Tx, tenant_id: &str, urn: &str) -> Result<()> {
    let key = (tenant_id.to_owned(), fold(urn));
    extension_schemas::Entity::delete_by_id(key)
        .exec(&tx.connection())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_extends_nothing_is_no_schema() {
        let row = |resource_type| extension_schemas::Model {
            tenant_id: "t".to_owned(),
            urn_key: "urn:x:y".to_owned(),
            resource_type,
            definition: r#"{"id": "urn:x:y", "attributes": []}"#.to_owned(),
            updated_at: 0,
        };
        for (number, extends) in [
            (1, Some(Extends::User)),
            (2, Some(Extends::Group)),
            (3, None),
        ] {
            let schema = TenantSchema::try_from(row(number));
            assert_eq!(schema.ok().map(|schema| schema.extends), extends);
        }
    }
}
