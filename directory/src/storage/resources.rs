//! Users and groups.
//!
//! Both have a document, a search document and a version; what differs is
//! which attributes have columns. A resource is seen through a connection: the
//! `externalId` in its attributes is that connection's.

use muster_proto::value::{Object, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult,
    QueryFilter as _,
};

use super::{
    Scope, Tx,
    entity::{external_ids, groups, user_values, users},
    filter::condition,
    relations::{self, Relations, Wants},
    sql::Sql,
};
use crate::{
    domain::{
        Resource,
        filter::Filter,
        fold::fold,
        history::ResourceType,
        page::{Page, PageRequest},
        resource::ResourceKind,
        search::{indexed_values, object_from_json, object_to_json, search_document},
    },
    error::{Error, Result},
};

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
    groups: Option<String>,
    manager_name: Option<String>,
}

/// A resource and what its representation says about others.
pub type Found = (Resource, Relations);

impl Row {
    fn into_found(self, kind: ResourceKind) -> Result<Found> {
        let relations = Relations {
            groups: relations::groups(self.groups.as_deref())?,
            manager_name: self.manager_name.clone(),
        };
        Ok((self.into_resource(kind)?, relations))
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
        })
    }
}

/// The live resource with this id.
///
/// # Errors
/// The database's.
pub async fn load(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    id: &str,
    wants: Wants,
) -> Result<Option<Found>> {
    let only = Sql::new("AND r.id = ?").bind(id);
    let mut rows = select(tx, scope, kind, wants, only).await?;
    rows.pop().map(|row| row.into_found(kind)).transpose()
}

/// Live resources that satisfy the filter, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    filter: Option<&Filter>,
    page: &PageRequest,
    wants: Wants,
) -> Result<Page<Found>> {
    let wanted = match filter {
        Some(filter) => Sql::new(" AND ").then(condition(filter, kind, scope)),
        None => Sql::default(),
    };
    if page.count_only {
        let total = count(tx, scope, kind, wanted).await?;
        return Ok(Page {
            items: Vec::new(),
            next: None,
            total,
        });
    }
    let (rows, more) = Reader {
        tx,
        scope,
        kind,
        wants,
    }
    .page(&wanted, page)
    .await?;
    let total = match (page.count, more, rows.len()) {
        (false, ..) => 0,
        // The page ends the list, so its place tells the length.
        (true, false, found) if page.after.is_none() && (found > 0 || page.skip == 0) => page
            .skip
            .saturating_add(i64::try_from(found).unwrap_or(i64::MAX)),
        (true, ..) => count(tx, scope, kind, wanted).await?,
    };
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    let items = rows.into_iter().map(|row| row.into_found(kind));
    Ok(Page {
        items: items.collect::<Result<_>>()?,
        next,
        total,
    })
}

/// Rows read by one statement.
const BATCH: usize = 100;

/// Where a page of large documents ends before it is full, in bytes: an answer
/// must fit a message and memory.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Reads rows of one kind.
struct Reader<'a> {
    tx: &'a Tx,
    scope: Scope<'a>,
    kind: ResourceKind,
    wants: Wants,
}

impl Reader<'_> {
    /// The rows of a page, and whether there are more behind it.
    async fn page(&self, wanted: &Sql, page: &PageRequest) -> Result<(Vec<Row>, bool)> {
        let mut rows: Vec<Row> = Vec::new();
        let (mut after, mut skip, mut bytes) = (page.after.clone(), page.skip, 0);
        loop {
            // One more than is missing tells whether the list goes on.
            let limit = (page.size - rows.len()).min(BATCH) + 1;
            let batch = self
                .batch(wanted.clone(), after.as_deref(), skip, limit)
                .await?;
            let full = batch.len() == limit;
            for row in batch.into_iter().take(limit - 1) {
                bytes += row.document.len() + row.groups.as_ref().map_or(0, String::len);
                if bytes > PAGE_BYTES && !rows.is_empty() {
                    return Ok((rows, true));
                }
                rows.push(row);
            }
            if !full || rows.len() == page.size {
                return Ok((rows, full));
            }
            (after, skip) = (rows.last().map(|row| row.id.clone()), 0);
        }
    }

    async fn batch(
        &self,
        mut wanted: Sql,
        after: Option<&str>,
        skip: i64,
        limit: usize,
    ) -> Result<Vec<Row>> {
        if let Some(after) = after {
            wanted = wanted.then(Sql::new(" AND r.id > ?").bind(after));
        }
        let end = Sql::new(" ORDER BY r.id LIMIT ? OFFSET ?")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(skip);
        select(self.tx, self.scope, self.kind, self.wants, wanted.then(end)).await
    }
}

async fn select(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    wants: Wants,
    rest: Sql,
) -> Result<Vec<Row>> {
    let connection = &tx.connection();
    let statement =
        selection(scope, kind, wants, rest).statement(connection.get_database_backend());
    Ok(Row::find_by_statement(statement).all(connection).await?)
}

fn selection(scope: Scope<'_>, kind: ResourceKind, wants: Wants, rest: Sql) -> Sql {
    let columns = Sql::new(
        "SELECT r.id, r.document, r.version, r.created_at, r.updated_at, \
         (SELECT e.external_id FROM external_ids e \
          WHERE e.connection_id = ? AND e.resource_id = r.id) AS external_id, ",
    )
    .bind(scope.connection_id);
    let columns = columns.then(relations::columns(scope, kind, wants));
    columns
        .text(" ")
        .then(live(scope, kind))
        .text(" ")
        .then(rest)
}

#[derive(Debug, FromQueryResult)]
struct Count {
    total: i64,
}

async fn count(tx: &Tx, scope: Scope<'_>, kind: ResourceKind, wanted: Sql) -> Result<i64> {
    let sql = Sql::new("SELECT COUNT(*) AS total ")
        .then(live(scope, kind))
        .then(wanted);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Count::find_by_statement(statement).one(connection).await?;
    Ok(row.map_or(0, |count| count.total))
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

/// Puts a new resource in.
///
/// # Errors
/// [`Error::Taken`].
pub async fn insert(tx: &Tx, scope: Scope<'_>, resource: &Resource) -> Result<()> {
    let columns = Columns::of(resource);
    match resource.kind {
        ResourceKind::User => {
            let row = columns.user(scope, resource);
            users::Entity::insert(row)
                .exec_without_returning(&tx.connection())
                .await?;
        }
        ResourceKind::Group => {
            let row = columns.group(scope, resource);
            groups::Entity::insert(row)
                .exec_without_returning(&tx.connection())
                .await?;
        }
    }
    insert_values(tx, scope, &resource.id, indexed(resource)).await?;
    set_external_id(tx, scope, None, resource).await
}

/// Writes what differs between two versions of a resource.
///
/// # Errors
/// [`Error::Taken`].
pub async fn update(tx: &Tx, scope: Scope<'_>, before: &Resource, after: &Resource) -> Result<()> {
    let columns = Columns::of(after);
    match after.kind {
        ResourceKind::User => {
            let row = columns.user(scope, after);
            users::Entity::update(row).exec(&tx.connection()).await?;
        }
        ResourceKind::Group => {
            let row = columns.group(scope, after);
            groups::Entity::update(row).exec(&tx.connection()).await?;
        }
    }
    let (old, new) = (indexed(before), indexed(after));
    if old != new {
        user_values::Entity::delete_many()
            .filter(user_values::Column::UserId.eq(&after.id))
            .exec(&tx.connection())
            .await?;
        insert_values(tx, scope, &after.id, new).await?;
    }
    set_external_id(tx, scope, Some(before), after).await
}

/// Marks a resource as deleted: it is no longer found, and its names are free.
/// The row stays, with its memberships, so that it can come back.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &Tx, resource: &Resource) -> Result<()> {
    let mark = Sql::new(format!(
        "UPDATE {} SET deleted_at = ?, updated_at = ?, version = ? WHERE id = ?",
        table(resource.kind)
    ))
    .bind(resource.updated_at)
    .bind(resource.updated_at)
    .bind(resource.version)
    .bind(resource.id.as_str());
    let connection = &tx.connection();
    let backend = connection.get_database_backend();
    connection.execute_raw(mark.statement(backend)).await?;
    let free = Sql::new("UPDATE external_ids SET live = FALSE WHERE resource_id = ?")
        .bind(resource.id.as_str());
    connection.execute_raw(free.statement(backend)).await?;
    Ok(())
}

/// A resource's attributes as its columns hold them.
struct Columns {
    document: String,
    search: String,
    display_name: Option<String>,
}

impl Columns {
    fn of(resource: &Resource) -> Self {
        let mut shared: Object = resource.attributes.clone();
        shared.remove(EXTERNAL_ID);
        let search = search_document(resource.kind.schema(), &shared);
        Self {
            document: object_to_json(&shared).to_string(),
            search: object_to_json(&search).to_string(),
            display_name: resource.text("displayName").map(ToOwned::to_owned),
        }
    }

    fn user(self, scope: Scope<'_>, user: &Resource) -> users::ActiveModel {
        users::ActiveModel {
            id: Set(user.id.clone()),
            tenant_id: Set(scope.tenant_id.to_owned()),
            user_name_key: Set(fold(user.text("userName").unwrap_or_default())),
            display_name_key: Set(self.display_name.as_deref().map(fold)),
            display_name: Set(self.display_name),
            active: Set(user.active()),
            document: Set(self.document),
            search: Set(self.search),
            version: Set(user.version),
            created_at: Set(user.created_at),
            updated_at: Set(user.updated_at),
            deleted_at: Set(None),
        }
    }

    fn group(self, scope: Scope<'_>, group: &Resource) -> groups::ActiveModel {
        let display_name = self.display_name.unwrap_or_default();
        groups::ActiveModel {
            id: Set(group.id.clone()),
            tenant_id: Set(scope.tenant_id.to_owned()),
            display_name_key: Set(fold(&display_name)),
            display_name: Set(display_name),
            document: Set(self.document),
            search: Set(self.search),
            version: Set(group.version),
            created_at: Set(group.created_at),
            updated_at: Set(group.updated_at),
            deleted_at: Set(None),
        }
    }
}

fn indexed(resource: &Resource) -> Vec<(String, String)> {
    indexed_values(resource.kind.schema(), &resource.attributes)
}

async fn insert_values(
    tx: &Tx,
    scope: Scope<'_>,
    user_id: &str,
    values: Vec<(String, String)>,
) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    let rows = values
        .into_iter()
        .map(|(attribute, value_key)| user_values::ActiveModel {
            user_id: Set(user_id.to_owned()),
            attribute: Set(attribute),
            value_key: Set(value_key),
            tenant_id: Set(scope.tenant_id.to_owned()),
        });
    user_values::Entity::insert_many(rows)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

async fn set_external_id(
    tx: &Tx,
    scope: Scope<'_>,
    before: Option<&Resource>,
    after: &Resource,
) -> Result<()> {
    let old = before.and_then(|before| before.attributes.get(EXTERNAL_ID));
    let new = after.attributes.get(EXTERNAL_ID);
    if old == new {
        return Ok(());
    }
    if old.is_some() {
        let key = (scope.connection_id.to_owned(), after.id.clone());
        external_ids::Entity::delete_by_id(key)
            .exec(&tx.connection())
            .await?;
    }
    if let Some(external_id) = new.and_then(Value::as_str) {
        let row = external_ids::ActiveModel {
            connection_id: Set(scope.connection_id.to_owned()),
            resource_id: Set(after.id.clone()),
            resource_type: Set(type_number(after.kind)),
            external_id: Set(external_id.to_owned()),
            live: Set(true),
        };
        external_ids::Entity::insert(row)
            .exec_without_returning(&tx.connection())
            .await?;
    }
    Ok(())
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

/// How the database finds what a filter asks for, for tests.
#[cfg(test)]
pub(crate) async fn plan(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    filter: &Filter,
) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Step {
        detail: String,
    }
    let condition = condition(filter, kind, scope);
    let rest = Sql::new("AND ")
        .then(condition)
        .text(" ORDER BY r.id LIMIT 101");
    let sql = Sql::new("EXPLAIN QUERY PLAN ").then(selection(scope, kind, Wants::ALL, rest));
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let steps = Step::find_by_statement(statement).all(connection).await?;
    Ok(steps.into_iter().map(|step| step.detail).collect())
}
