//! Users and groups.
//!
//! Both have a document, a search document and a version; what differs is
//! which attributes have columns. A resource is seen through a connection: the
//! `externalId` in its attributes is that connection's.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{
    Scope, Tx,
    dialect::Dialect,
    members,
    relations::{self, Relations, Wants},
    sql::{Sql, can_be},
    subjects::UserKey,
};
use crate::{
    domain::{
        Resource,
        access::{Access, Lock},
        history::{Position, ResourceType},
        resource::ResourceKind,
        search::object_from_json,
    },
    error::{Error, Result},
};

mod desk;
mod lately;
mod list;
mod reindex;
mod remembered;
mod rewrite;
mod together;
mod unique;
mod values;
mod write;

pub use list::{Selection, list, search};
#[cfg(test)]
pub(crate) use list::{count_plan, plan};
pub use reindex::{Hidden, Reindexing, reindex};
pub use remembered::Kept;
pub(super) use remembered::Remembered;
pub(super) use together::Together;
pub(super) use values::table as values_table;
pub(super) use write::insert_all;
pub use write::{delete, insert, purge, restore, restore_as, update};

/// Attributes that are not in the document because they belong to one
/// connection alone.
const EXTERNAL_ID: &str = "externalId";

/// The table that holds resources of this kind.
pub(super) fn table(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "users",
        ResourceKind::Group => "groups",
    }
}

fn type_number(kind: ResourceKind) -> i64 {
    ResourceType::from(kind) as i64
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: String,
    document: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
    external_id: Option<String>,
    deleted_at: Option<i64>,
    owner: Option<String>,
    tokens_valid_after: Option<i64>,
    locked_at: Option<i64>,
    lock_reason: Option<String>,
    held_at: Option<i64>,
    groups: Option<String>,
    manager_name: Option<String>,
    revision: i64,
    epoch: Option<String>,
}

/// A resource and what its representation says about others.
pub type Found = (Resource, Relations);

/// Which resources a read may find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Those that are not deleted.
    Live,
    /// Also those that are deleted and can come back.
    Deleted,
}

impl Row {
    fn into_found(self, kind: ResourceKind) -> Result<Found> {
        let relations = Relations {
            members: None,
            groups: relations::groups(self.groups.as_deref())?,
            manager_name: self.manager_name.clone(),
        };
        Ok((self.into_resource(kind)?, relations))
    }

    fn position(&self) -> Position {
        Position {
            epoch: self.epoch.clone().unwrap_or_default(),
            revision: self.revision,
        }
    }

    fn into_resource(self, kind: ResourceKind) -> Result<Resource> {
        let document = serde_json::from_str(&self.document).map_err(|e| {
            Error::internal(format!("{}.document of {}: {e}", table(kind), self.id))
        })?;
        let mut attributes = object_from_json(document);
        if let Some(external_id) = self.external_id {
            attributes.insert(EXTERNAL_ID.to_owned(), external_id.into());
        }
        Ok(Resource {
            kind,
            id: self.id,
            attributes,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            owner: self.owner,
            access: Access {
                lock: self.locked_at.map(|at| Lock {
                    at,
                    reason: self.lock_reason.unwrap_or_default(),
                }),
                tokens_valid_after: self.tokens_valid_after,
                held_at: self.held_at,
            },
        })
    }
}

/// The resource with this id, and when this was so. The members of a group are
/// read by a statement of their own.
///
/// # Errors
/// The database's.
pub async fn load(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    id: &str,
    reach: Reach,
    wants: Wants,
) -> Result<Option<(Found, Position)>> {
    if !can_be(id) {
        return Ok(None);
    }
    let reader = Reader {
        tx,
        scope,
        kind,
        reach,
        wants,
    };
    let mut rows = reader.select(Sql::new(" AND r.id = ?").bind(id)).await?;
    let Some(row) = rows.pop() else {
        return Ok(None);
    };
    let position = row.position();
    let (resource, mut relations) = row.into_found(kind)?;
    if wants.has_members(kind) {
        let groups = [resource.id.as_str()];
        let mut few = members::few(tx, &groups, wants.members_up_to).await?;
        relations.members = few.remove(&resource.id);
    }
    Ok(Some(((resource, relations), position)))
}

/// The row of the live user with this key, with what is wanted about others: one
/// statement, one moment.
///
/// # Errors
/// [`Error::Ambiguous`] and the database's.
async fn find_row(tx: &Tx, scope: Scope<'_>, key: &UserKey, wants: Wants) -> Result<Option<Row>> {
    if key.is_impossible() {
        return Ok(None);
    }
    let reader = Reader {
        tx,
        scope,
        kind: ResourceKind::User,
        reach: Reach::Live,
        wants,
    };
    let whose = Sql::new(" AND r.id IN (SELECT u.id FROM users u WHERE u.tenant_id = ? AND ")
        .bind(scope.tenant_id)
        .then(key.condition(scope.tenant_id))
        .text(" LIMIT 2)");
    let mut rows = reader.select(whose).await?;
    match rows.len() {
        0 | 1 => Ok(rows.pop()),
        _ => Err(key.ambiguous()),
    }
}

/// As [`load`], of the live user with this key.
///
/// # Errors
/// [`Error::Ambiguous`] and the database's.
pub async fn find(
    tx: &Tx,
    scope: Scope<'_>,
    key: &UserKey,
    wants: Wants,
) -> Result<Option<(Found, Position)>> {
    let Some(row) = find_row(tx, scope, key, wants).await? else {
        return Ok(None);
    };
    let position = row.position();
    Ok(Some((row.into_found(ResourceKind::User)?, position)))
}

/// Live resources with these ids.
///
/// # Errors
/// The database's.
pub async fn load_many(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    ids: Vec<String>,
    wants: Wants,
) -> Result<Vec<Found>> {
    let reader = Reader {
        tx,
        scope,
        kind,
        reach: Reach::Live,
        wants,
    };
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(CHUNK) {
        let among = Sql::list(ids.iter().map(String::as_str)).text(")");
        let rows = reader
            .select(Sql::new(" AND r.id IN (").then(among))
            .await?;
        for row in rows {
            found.push(row.into_found(kind)?);
        }
    }
    Ok(found)
}

/// Reads rows of one kind.
struct Reader<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    kind: ResourceKind,
    reach: Reach,
    wants: Wants,
}

impl Reader<'_> {
    async fn select(&self, rest: Sql) -> Result<Vec<Row>> {
        let connection = &self.tx.connection();
        let statement = self.selection(rest);
        let statement = statement.statement(connection.get_database_backend());
        Ok(Row::find_by_statement(statement).all(connection).await?)
    }

    fn selection(&self, rest: Sql) -> Sql {
        let connection = Sql::value(self.scope.connection_id);
        Sql::new("SELECT ")
            .then(columns(
                self.tx.dialect(),
                self.kind,
                self.wants,
                connection,
            ))
            .text(" ")
            .then(self.rows())
            .then(rest)
    }

    fn rows(&self) -> Sql {
        match self.reach {
            Reach::Live => live(self.scope, self.kind),
            Reach::Deleted => {
                let table = table(self.kind);
                Sql::new(format!("FROM {table} r WHERE r.tenant_id = ?")).bind(self.scope.tenant_id)
            }
        }
    }
}

/// What is read of a row `r`, as this connection sees it.
fn columns(dialect: Dialect, kind: ResourceKind, wants: Wants, connection: Sql) -> Sql {
    Sql::new(
        "r.id, r.document, r.version, r.created_at, r.updated_at, r.deleted_at, \
         r.connection_id AS owner, (SELECT e.external_id FROM external_ids e \
         WHERE e.connection_id = ",
    )
    .then(connection)
    .text(
        " AND e.resource_id = r.id) AS external_id, \
         (SELECT h.revision FROM directory_heads h \
         WHERE h.tenant_id = r.tenant_id) AS revision, \
         (SELECT s.value FROM settings s WHERE s.name = 'epoch') AS epoch, ",
    )
    .text(match kind {
        ResourceKind::User => "r.tokens_valid_after, r.locked_at, r.lock_reason, r.held_at, ",
        ResourceKind::Group => {
            "CAST(NULL AS BIGINT) AS tokens_valid_after, \
             CAST(NULL AS BIGINT) AS locked_at, CAST(NULL AS TEXT) AS lock_reason, \
             CAST(NULL AS BIGINT) AS held_at, "
        }
    })
    .then(relations::columns(dialect, kind, wants))
}

fn live(scope: Scope<'_>, kind: ResourceKind) -> Sql {
    live_joined(scope, kind, "")
}

fn live_joined(scope: Scope<'_>, kind: ResourceKind, join: &str) -> Sql {
    let table = table(kind);
    Sql::new(format!(
        "FROM {table} r {join} WHERE r.deleted_at IS NULL AND r.tenant_id = ?"
    ))
    .bind(scope.tenant_id)
}

/// Ids of resources that were deleted before this time, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn deleted_before(
    tx: &Tx,
    tenant_id: &str,
    kind: ResourceKind,
    before_ms: i64,
    limit: i64,
) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Id {
        id: String,
    }
    let sql = Sql::new(format!(
        "SELECT id FROM {} WHERE tenant_id = ? AND deleted_at IS NOT NULL \
         AND deleted_at < ? ORDER BY deleted_at LIMIT ?",
        table(kind)
    ))
    .bind(tenant_id)
    .bind(before_ms)
    .bind(limit);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Id::find_by_statement(statement).all(connection).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Ids of live resources that a caller refers to, by id or by the connection's
/// external id, with what was referred to. What names nobody is left out.
///
/// # Errors
/// The database's.
pub async fn resolve(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    references: &[String],
    by_external_id: bool,
) -> Result<Vec<(String, String)>> {
    #[derive(FromQueryResult)]
    struct Found {
        reference: String,
        id: String,
    }
    let connection = &tx.connection();
    let mut found = Vec::with_capacity(references.len());
    for references in references.chunks(CHUNK) {
        let sql = if by_external_id {
            Sql::new("SELECT e.external_id AS reference, r.id ")
                .then(live_joined(
                    scope,
                    kind,
                    "JOIN external_ids e ON e.resource_id = r.id",
                ))
                .then(
                    Sql::new(" AND e.live AND e.connection_id = ? AND e.resource_type = ? ")
                        .bind(scope.connection_id)
                        .bind(type_number(kind)),
                )
                .text("AND e.external_id IN (")
        } else {
            Sql::new("SELECT r.id AS reference, r.id ")
                .then(live(scope, kind))
                .text(" AND r.id IN (")
        };
        let sql = sql
            .then(Sql::list(references.iter().map(String::as_str)))
            .text(")");
        let statement = sql.statement(connection.get_database_backend());
        let rows = Found::find_by_statement(statement).all(connection).await?;
        found.extend(rows.into_iter().map(|row| (row.reference, row.id)));
    }
    Ok(found)
}

/// Values bound by one statement; databases have limits.
pub(super) const CHUNK: usize = 1_000;
