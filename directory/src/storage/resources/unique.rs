//! Attributes that a tenant's schema calls unique. Writes of a tenant are one
//! after the other, so looking before writing is enough.

use muster_proto::{
    schema::{Schema, Uniqueness},
    value::Value,
};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::live;
use crate::{
    domain::{
        Resource,
        filter::{Field, Filter, Operator},
    },
    error::{Error, Result},
    storage::{Scope, Tx, filter::condition, resources::Reach, sql::Sql},
};

/// Checks that nobody else has the unique values that a resource has now and
/// had not before.
///
/// # Errors
/// [`Error::ValueTaken`].
pub(super) async fn check(
    tx: &Tx,
    scope: Scope<'_>,
    before: Option<&Resource>,
    after: &Resource,
) -> Result<()> {
    for &schema in after.kind.within(scope.registry).extensions {
        let unique = schema.attributes.iter();
        for attribute in unique.filter(|a| a.uniqueness == Uniqueness::Server) {
            let Some(value) = value(after, schema, attribute.name) else {
                continue;
            };
            if before.and_then(|b| self::value(b, schema, attribute.name)) == Some(value) {
                continue;
            }
            let field = Field::Attribute {
                schema: Some(schema),
                attribute,
                sub: None,
            };
            let equal = Filter::compare(field, Operator::Equal, value.clone())?;
            if is_held(tx, scope, after, &equal).await? {
                let path = format!("{}:{}", schema.urn, attribute.name);
                return Err(Error::ValueTaken(path));
            }
        }
    }
    Ok(())
}

fn value<'a>(resource: &'a Resource, schema: &Schema, name: &str) -> Option<&'a Value> {
    resource.attributes.get(schema.urn)?.as_object()?.get(name)
}

async fn is_held(tx: &Tx, scope: Scope<'_>, resource: &Resource, equal: &Filter) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Holder {
        #[expect(dead_code, reason = "that there is one is all that is asked")]
        id: String,
    }
    let kind = resource.kind;
    let condition = condition(tx.dialect(), equal, kind, Reach::Live, scope);
    let sql = Sql::new("SELECT r.id ")
        .then(live(scope, kind))
        .text(" AND r.id <> ?")
        .bind(resource.id.as_str())
        .text(" AND ")
        .then(condition)
        .text(" LIMIT 1");
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let holder = Holder::find_by_statement(statement).one(connection).await?;
    Ok(holder.is_some())
}
