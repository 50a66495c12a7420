//! Resources under schemas that changed: values of an extension are spelled,
//! typed and made findable as its schema now says.

use std::collections::HashSet;

use muster_proto::{
    schema::{Mutability, Schema, Uniqueness},
    value::{Object, Value},
};
use sea_orm::{ConnectionTrait as _, FromQueryResult};
use serde_json::Value as Json;

use super::{
    rewrite::{Rewriting, Rewritten},
    table, values,
    write::search_columns,
};
use crate::{
    domain::{
        characteristics, conform,
        fold::fold,
        resource::ResourceKind,
        search::{indexed_values, object_from_json, value_key},
    },
    error::{Error, Result},
    storage::{Scope, Tx, sql::Sql},
};

/// Resources read at once.
const BATCH: i64 = 200;

/// An attribute, or a part of one, whose values go with their schema.
pub type Hidden = (String, Option<String>);

/// Which extension changed.
#[derive(Debug, Clone, Copy)]
pub struct Reindexing<'a> {
    /// Spellings of its URN, the newest last.
    pub urns: &'a [String],
    /// What goes with a schema that is gone.
    pub hidden: &'a [Hidden],
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: String,
    document: String,
    search: String,
    is_live: bool,
}

/// Brings all resources that have the extension into line with the registry of
/// the scope; deleted ones, too, because they may come back. A resource whose
/// values are written otherwise now has another version; what is as it should be
/// is not written.
///
/// # Errors
/// [`Error::SchemaInUse`] for a resource with values that do not fit.
pub async fn reindex(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    what: Reindexing<'_>,
) -> Result<()> {
    let urn = what.urns.last();
    let schema = urn.and_then(|urn| kind.within(scope.registry).extension(urn));
    let mut work = Work {
        tx,
        scope,
        kind,
        what,
        schema,
        taken: HashSet::new(),
        rewriting: Rewriting::new(tx, scope, kind, what.now_ms),
    };
    let mut after = String::new();
    loop {
        let rows = work.rows(&after).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after.clone_from(&last.id);
        let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
        let mut held = values::of(tx, kind, &ids).await?;
        for row in rows {
            let held = held.remove(&row.id).unwrap_or_default();
            work.bring_into_line(row, &held)?;
            if work.rewriting.is_full() {
                work.rewriting.flush().await?;
            }
        }
        work.rewriting.flush().await?;
    }
}

struct Work<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    kind: ResourceKind,
    what: Reindexing<'a>,
    /// `None`: no schema describes the extension any more.
    schema: Option<&'static Schema>,
    /// Values of unique attributes, by the attribute's name.
    taken: HashSet<(&'static str, String)>,
    rewriting: Rewriting<'a>,
}

impl Work<'_> {
    async fn rows(&self, after: &str) -> Result<Vec<Row>> {
        let spellings = self.what.urns.iter();
        let spellings: HashSet<_> = spellings.flat_map(|urn| [urn.clone(), fold(urn)]).collect();
        let present = spellings
            .iter()
            .map(|urn| self.tx.dialect().json_present("r.search", &[urn]));
        let sql = Sql::new(format!(
            "SELECT r.id, r.document, CAST(r.search AS TEXT) AS search, \
             r.deleted_at IS NULL AS is_live FROM {} r WHERE r.tenant_id = ? AND r.id > ? AND (",
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

    /// Takes down what is to be written of a row with these indexed values.
    fn bring_into_line(&mut self, row: Row, held: &[values::Value]) -> Result<()> {
        let document = self.json(&row, "document", &row.document)?;
        let mut attributes = object_from_json(document);
        let urns = self.what.urns;
        let is_meant = |key: &String| urns.iter().any(|urn| urn.eq_ignore_ascii_case(key));
        let Some(key) = attributes.keys().find(|key| is_meant(key)).cloned() else {
            return Ok(());
        };
        let value = attributes.remove(&key).unwrap_or(Value::Null);
        match self.schema {
            None => {
                if let Some(shown) = self.without_hidden(value) {
                    attributes.insert(key, shown);
                }
            }
            Some(schema) => {
                let fitting = self.fitting(schema, &row, value)?;
                attributes.insert(schema.urn.to_owned(), fitting);
                self.check_required(schema, &row, &attributes)?;
            }
        }
        self.compare(row, held, &attributes)
    }

    fn json(&self, row: &Row, column: &str, text: &str) -> Result<Json> {
        let table = table(self.kind);
        let json = serde_json::from_str(text);
        json.map_err(|e| Error::internal(format!("{table}.{column} of {}: {e}", row.id)))
    }

    fn without_hidden(&self, mut value: Value) -> Option<Value> {
        for (name, sub) in self.what.hidden {
            let Value::Complex(extension) = &mut value else {
                break;
            };
            match sub {
                None => {
                    extension.remove(name);
                }
                Some(sub) => {
                    let elements = match extension.get_mut(name) {
                        Some(Value::List(elements)) => elements.as_mut_slice(),
                        Some(single) => std::slice::from_mut(single),
                        None => continue,
                    };
                    for element in elements {
                        if let Value::Complex(parts) = element {
                            parts.remove(sub);
                        }
                    }
                }
            }
        }
        value.pruned()
    }

    fn misfit(&self, row: &Row, attribute: &str) -> Error {
        Error::SchemaInUse {
            kind: self.kind.kind(),
            id: row.id.clone(),
            attribute: attribute.to_owned(),
        }
    }

    /// The extension's value as the schema wants it.
    fn fitting(&mut self, schema: &'static Schema, row: &Row, value: Value) -> Result<Value> {
        let before = leaves(&value);
        let conformed = conform::extension(schema, value).map_err(|error| match error {
            Error::Invalid(violations) => {
                let field = violations.first().map_or("", |violation| &violation.field);
                self.misfit(row, field)
            }
            other => other,
        })?;
        let Some(Value::Complex(object)) = conformed else {
            return Err(self.misfit(row, schema.urn));
        };
        // What only the server may write, or is there in two spellings, would be
        // lost.
        if object.values().map(leaves).sum::<usize>() != before {
            let read_only = schema.attributes.iter();
            let mut read_only = read_only.filter(|a| a.mutability == Mutability::ReadOnly);
            let name = read_only.next().map_or(schema.urn, |a| a.name);
            return Err(self.misfit(row, name));
        }
        let unique = schema.attributes.iter();
        for attribute in unique.filter(|a| a.uniqueness == Uniqueness::Server) {
            if let Some(value) = object.get(attribute.name)
                && row.is_live
                && let Some(key) = value_key(attribute, value)
                && !self.taken.insert((attribute.name, key))
            {
                return Err(self.misfit(row, attribute.name));
            }
        }
        Ok(Value::Complex(object))
    }

    fn check_required(&self, schema: &Schema, row: &Row, attributes: &Object) -> Result<()> {
        let missing = characteristics::missing(self.kind.within(self.scope.registry), attributes);
        let paths = missing.iter().map(characteristics::Missing::path);
        match paths.into_iter().find(|path| path.starts_with(schema.urn)) {
            Some(path) => Err(self.misfit(row, &path)),
            None => Ok(()),
        }
    }

    fn compare(&mut self, row: Row, held: &[values::Value], attributes: &Object) -> Result<()> {
        let values = indexed_values(self.kind.within(self.scope.registry), attributes);
        if values != held {
            self.rewriting.values(row.id.clone(), values);
        }
        let (document, search) = search_columns(self.scope, self.kind, attributes);
        let is_new_version = document != row.document;
        if is_new_version || search != self.json(&row, "search", &row.search)? {
            self.rewriting.row(Rewritten {
                id: row.id,
                document,
                search: search.to_string(),
                is_new_version,
            });
        }
        Ok(())
    }
}

/// How many simple values there are in a value.
fn leaves(value: &Value) -> usize {
    match value {
        Value::List(elements) => elements.iter().map(leaves).sum(),
        Value::Complex(object) => object.values().map(leaves).sum(),
        simple => usize::from(!simple.is_unassigned()),
    }
}
