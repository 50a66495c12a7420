//! Resources under schemas that changed: values of an extension are spelled,
//! typed and made findable as its schema now says.

use std::collections::HashSet;

use muster_proto::{
    schema::{Mutability, Schema, Uniqueness},
    value::{Object, Value},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{
    table,
    write::{replace_values, search_columns},
};
use crate::{
    domain::{conform, fold::fold, resource::ResourceKind, search::object_from_json},
    error::{Error, Result},
    storage::{Scope, Tx, sql::Sql},
};

/// Resources read at once.
const BATCH: i64 = 200;

#[derive(Debug, FromQueryResult)]
struct Row {
    id: String,
    document: String,
    is_live: bool,
}

/// Brings all resources that have the extension with these URNs (spellings of
/// one) into line with the registry of the scope; deleted ones, too, because
/// they may come back.
///
/// # Errors
/// [`Error::SchemaInUse`] for a resource with values that do not fit.
pub async fn reindex(tx: &Tx, scope: Scope<'_>, kind: ResourceKind, urns: &[String]) -> Result<()> {
    let schema = urns
        .last()
        .and_then(|urn| kind.within(scope.registry).extension(urn));
    let mut work = Work {
        tx,
        scope,
        kind,
        urns,
        schema,
        taken: HashSet::new(),
    };
    let mut after = String::new();
    loop {
        let rows = work.rows(&after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after.clone_from(&last.id);
        for row in rows {
            work.bring_into_line(row).await?;
        }
    }
}

struct Work<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    kind: ResourceKind,
    urns: &'a [String],
    /// `None`: no schema describes the extension any more.
    schema: Option<&'static Schema>,
    /// Values of unique attributes, by the attribute's name.
    taken: HashSet<(&'static str, String)>,
}

impl Work<'_> {
    async fn rows(&self, after: &str) -> Result<Vec<Row>> {
        let spellings = self.urns.iter().flat_map(|urn| [urn.clone(), fold(urn)]);
        let spellings: HashSet<_> = spellings.collect();
        let present = spellings
            .iter()
            .map(|urn| self.tx.dialect().json_present("r.search", &[urn]));
        let sql = Sql::new(format!(
            "SELECT r.id, r.document, r.deleted_at IS NULL AS is_live FROM {} r \
             WHERE r.tenant_id = ? AND r.id > ? AND (",
            table(self.kind)
        ))
        .bind(self.scope.tenant_id)
        .bind(after)
        .then(Sql::join(present, " OR ", "FALSE"))
        .text(") ORDER BY r.id LIMIT ?")
        .bind(BATCH);
        let connection = &self.tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        Ok(Row::find_by_statement(statement).all(connection).await?)
    }

    async fn bring_into_line(&mut self, row: Row) -> Result<()> {
        let document = serde_json::from_str(&row.document);
        let document = document.map_err(|e| {
            Error::internal(format!("{}.document of {}: {e}", table(self.kind), row.id))
        })?;
        let mut attributes = object_from_json(document);
        let is_meant = |key: &String| self.urns.iter().any(|urn| urn.eq_ignore_ascii_case(key));
        let Some(key) = attributes.keys().find(|key| is_meant(key)).cloned() else {
            return Ok(());
        };
        let value = attributes.remove(&key).unwrap_or(Value::Null);
        match self.schema {
            None => {
                attributes.insert(key, value);
            }
            Some(schema) => {
                let fitting = self.fitting(schema, &row, value)?;
                attributes.insert(schema.urn.to_owned(), fitting);
            }
        }
        self.save(&row.id, &attributes).await
    }

    /// The extension's value as the schema wants it.
    fn fitting(&mut self, schema: &'static Schema, row: &Row, value: Value) -> Result<Value> {
        let misfit = |attribute: &str| Error::SchemaInUse {
            kind: self.kind.kind(),
            id: row.id.clone(),
            attribute: attribute.to_owned(),
        };
        let before = value.as_object().map_or(0, Object::len);
        let conformed = conform::extension(schema, value).map_err(|error| match error {
            Error::Invalid(violations) => {
                misfit(violations.first().map_or("", |violation| &violation.field))
            }
            other => other,
        })?;
        let Some(Value::Complex(object)) = conformed else {
            return Err(misfit(schema.urn));
        };
        for attribute in schema.attributes {
            let value = object.get(attribute.name);
            let missing = attribute.required && value.is_none();
            // Nobody could have written it, so it would be lost.
            let unwritable = attribute.mutability == Mutability::ReadOnly && object.len() < before;
            if missing || unwritable {
                return Err(misfit(attribute.name));
            }
            if let Some(value) = value
                && attribute.uniqueness == Uniqueness::Server
                && row.is_live
            {
                let key = match value {
                    Value::String(text) if !attribute.case_exact => fold(text),
                    other => format!("{other:?}"),
                };
                if !self.taken.insert((attribute.name, key)) {
                    return Err(misfit(attribute.name));
                }
            }
        }
        Ok(Value::Complex(object))
    }

    async fn save(&self, id: &str, attributes: &Object) -> Result<()> {
        let (document, search) = search_columns(self.scope, self.kind, attributes);
        let cast = self.tx.dialect().json_parameter();
        let sql = Sql::new(format!(
            "UPDATE {} SET document = ?, search = {cast} WHERE id = ?",
            table(self.kind)
        ))
        .bind(document)
        .bind(search.to_string())
        .bind(id);
        let connection = &self.tx.connection();
        connection
            .execute_raw(sql.statement(connection.get_database_backend()))
            .await?;
        if self.kind == ResourceKind::User {
            replace_values(self.tx, self.scope, id, attributes).await?;
        }
        Ok(())
    }
}
