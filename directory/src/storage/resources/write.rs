//! Writes of users and groups.

use std::collections::HashMap;

use muster_proto::{
    schema::Registry,
    value::{Object, Value},
};
use sea_orm::{ActiveValue::Set, ConnectionTrait as _, EntityTrait as _};

use super::{EXTERNAL_ID, table, type_number, unique, values};
use crate::{
    domain::{
        Resource,
        fold::fold,
        resource::ResourceKind,
        search::{indexed_values, object_to_json, search_document},
    },
    error::{Error, Result},
    storage::{
        Scope, Tx, ancestors,
        entity::{external_ids, groups, users},
        sql::Sql,
    },
};

/// Brings a deleted resource back, with the names it had.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken) when one of its names was given away meanwhile,
/// [`Error::ValueTaken`](crate::error::Error::ValueTaken).
pub async fn restore(tx: &Tx, scope: Scope<'_>, resource: &Resource) -> Result<()> {
    unique::check(tx, scope, None, resource).await?;
    let take = Sql::new("UPDATE external_ids SET live = TRUE WHERE resource_id = ?")
        .bind(resource.id.as_str());
    let link = Sql::new("UPDATE federated_identities SET live = TRUE WHERE user_id = ?")
        .bind(resource.id.as_str());
    execute(tx, [marked(resource), take, link]).await?;
    follow(tx, resource).await
}

/// Brings a deleted resource back as another one: under other names, too, while those
/// that it had are somebody else's.
///
/// # Errors
/// As [`restore`], for the names that it has then.
pub async fn restore_as(
    tx: &Tx,
    scope: Scope<'_>,
    gone: &Resource,
    after: &Resource,
) -> Result<()> {
    let changed = Resource {
        deleted_at: gone.deleted_at,
        ..after.clone()
    };
    // Names of what is gone are nobody's.
    update(tx, scope, gone, &changed).await?;
    unique::check(tx, scope, None, after).await?;
    // What other connections called it may be somebody else's by now.
    let take = Sql::new(
        "UPDATE external_ids SET live = TRUE WHERE resource_id = ? AND (connection_id = ? \
         OR NOT EXISTS (SELECT 1 FROM external_ids o WHERE o.live \
         AND o.connection_id = external_ids.connection_id \
         AND o.resource_type = external_ids.resource_type \
         AND o.external_id = external_ids.external_id))",
    )
    .bind(after.id.as_str())
    .bind(scope.connection_id);
    // And then it is no name of this one any more: it would be asked back when it
    // is deleted and restored again.
    let drop = Sql::new("DELETE FROM external_ids WHERE resource_id = ? AND NOT live")
        .bind(after.id.as_str());
    // So may be what identity providers called it.
    let link = Sql::new(
        "UPDATE federated_identities SET live = TRUE WHERE user_id = ? \
         AND NOT EXISTS (SELECT 1 FROM federated_identities o WHERE o.live \
         AND o.tenant_id = federated_identities.tenant_id \
         AND o.issuer = federated_identities.issuer \
         AND o.subject = federated_identities.subject)",
    )
    .bind(after.id.as_str());
    let unlink = Sql::new("DELETE FROM federated_identities WHERE user_id = ? AND NOT live")
        .bind(after.id.as_str());
    execute(tx, [marked(after), take, drop, link, unlink]).await?;
    follow(tx, after).await
}

/// Writes what follows for the groups below from it that a resource is gone, or is
/// back.
async fn follow(tx: &Tx, resource: &Resource) -> Result<()> {
    match resource.kind {
        ResourceKind::User => Ok(()),
        ResourceKind::Group => {
            let below = ancestors::below(tx, &[&resource.id]).await?;
            ancestors::rebuild(tx, &below).await
        }
    }
}

fn marked(live: &Resource) -> Sql {
    Sql::new(format!(
        "UPDATE {} SET deleted_at = NULL, updated_at = ?, version = ? WHERE id = ?",
        table(live.kind)
    ))
    .bind(live.updated_at)
    .bind(live.version)
    .bind(live.id.as_str())
}

/// Removes a resource for good, with all that names it.
///
/// # Errors
/// The database's.
pub async fn purge(tx: &Tx, kind: ResourceKind, id: &str) -> Result<()> {
    let by = |statement: &str| Sql::new(statement).bind(id);
    let below = match kind {
        ResourceKind::User => Vec::new(),
        ResourceKind::Group => ancestors::below(tx, &[id]).await?,
    };
    let named = [
        by("DELETE FROM memberships WHERE member_id = ?"),
        by("DELETE FROM held_operations WHERE user_id = ?"),
        by("DELETE FROM external_ids WHERE resource_id = ?"),
        by("DELETE FROM federated_identities WHERE user_id = ?"),
    ];
    execute(tx, named).await?;
    values::delete(tx, kind, &[id]).await?;
    match kind {
        ResourceKind::User => {
            let secrets = by("DELETE FROM credential_secrets WHERE credential_id IN \
                 (SELECT id FROM credentials WHERE user_id = ?)");
            let tokens = by("DELETE FROM credentials WHERE user_id = ?");
            let user = by("DELETE FROM users WHERE id = ?");
            execute(tx, [secrets, tokens, user]).await
        }
        ResourceKind::Group => {
            let members = by("DELETE FROM memberships WHERE group_id = ?");
            execute(tx, [members, by("DELETE FROM groups WHERE id = ?")]).await?;
            ancestors::rebuild(tx, &below).await
        }
    }
}

async fn execute<const N: usize>(tx: &Tx, statements: [Sql; N]) -> Result<()> {
    let connection = &tx.connection();
    let backend = connection.get_database_backend();
    for statement in statements {
        connection.execute_raw(statement.statement(backend)).await?;
    }
    Ok(())
}

/// Puts a new resource in.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken),
/// [`Error::ValueTaken`](crate::error::Error::ValueTaken).
pub async fn insert(tx: &Tx, scope: Scope<'_>, resource: &Resource) -> Result<()> {
    unique::check(tx, scope, None, resource).await?;
    let columns = Columns::of(scope, resource);
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
    insert_values(tx, scope, resource, &indexed(scope, resource)).await?;
    set_external_id(tx, scope, None, resource).await
}

/// Puts resources of one kind in, each with its tenant, as they come from
/// elsewhere: their external ids are rows of their own.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken).
pub(crate) async fn insert_all(
    tx: &Tx,
    registries: &HashMap<String, &'static Registry>,
    resources: &[(String, Resource)],
) -> Result<()> {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    let mut values = Vec::with_capacity(resources.len());
    for (tenant_id, resource) in resources {
        let scope = Scope {
            tenant_id,
            connection_id: "",
            registry: registries
                .get(tenant_id)
                .copied()
                .unwrap_or_else(Registry::builtin),
        };
        let columns = Columns::of(scope, resource);
        match resource.kind {
            ResourceKind::User => users.push(columns.user(scope, resource)),
            ResourceKind::Group => groups.push(columns.group(scope, resource)),
        }
        values.push(indexed(scope, resource));
    }
    let connection = &tx.connection();
    if !users.is_empty() {
        users::Entity::insert_many(users)
            .exec_without_returning(connection)
            .await?;
    }
    if !groups.is_empty() {
        groups::Entity::insert_many(groups)
            .exec_without_returning(connection)
            .await?;
    }
    insert_all_values(tx, resources, &values).await
}

async fn insert_all_values(
    tx: &Tx,
    resources: &[(String, Resource)],
    values: &[Vec<(String, String)>],
) -> Result<()> {
    for kind in [ResourceKind::User, ResourceKind::Group] {
        let all = resources.iter().zip(values);
        let all = all.filter(|((_, resource), _)| resource.kind == kind);
        let owned = all.map(|((tenant_id, resource), values)| values::Owned {
            tenant_id,
            id: &resource.id,
            values,
        });
        values::insert(tx, kind, &owned.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Writes what differs between two versions of a resource.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken),
/// [`Error::ValueTaken`](crate::error::Error::ValueTaken).
pub async fn update(tx: &Tx, scope: Scope<'_>, before: &Resource, after: &Resource) -> Result<()> {
    if after.access != before.access {
        set_access(tx, after).await?;
    }
    if after.attributes == before.attributes {
        return touch(tx, after).await;
    }
    unique::check(tx, scope, Some(before), after).await?;
    let columns = Columns::of(scope, after);
    match after.kind {
        ResourceKind::User => {
            let row = columns.user(scope, after);
            users::Entity::update(row)
                .exec_without_returning(&tx.connection())
                .await?;
        }
        ResourceKind::Group => {
            let row = columns.group(scope, after);
            groups::Entity::update(row)
                .exec_without_returning(&tx.connection())
                .await?;
        }
    }
    let (old, new) = (indexed(scope, before), indexed(scope, after));
    if old != new {
        values::delete(tx, after.kind, &[&after.id]).await?;
        insert_values(tx, scope, after, &new).await?;
    }
    set_external_id(tx, scope, Some(before), after).await
}

/// Writes what operators and revocations say of a user.
async fn set_access(tx: &Tx, user: &Resource) -> Result<()> {
    let lock = user.access.lock.as_ref();
    let set = Sql::new(
        "UPDATE users SET tokens_valid_after = ?, locked_at = ?, lock_reason = ?, held_at = ? \
         WHERE id = ?",
    )
    .bind(user.access.tokens_valid_after)
    .bind(lock.map(|lock| lock.at))
    .bind(lock.map(|lock| lock.reason.clone()))
    .bind(user.access.held_at)
    .bind(user.id.as_str());
    execute(tx, [set]).await
}

/// Writes the version of a resource of which nothing else differs: a group with
/// other members, a user who was locked.
async fn touch(tx: &Tx, resource: &Resource) -> Result<()> {
    let sql = Sql::new(format!(
        "UPDATE {} SET version = ?, updated_at = ? WHERE id = ?",
        table(resource.kind)
    ))
    .bind(resource.version)
    .bind(resource.updated_at)
    .bind(resource.id.as_str());
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    match connection.execute_raw(statement).await?.rows_affected() {
        0 => Err(Error::internal("a resource that was read is not there")),
        _ => Ok(()),
    }
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
    let free = Sql::new("UPDATE external_ids SET live = FALSE WHERE resource_id = ?")
        .bind(resource.id.as_str());
    if resource.kind == ResourceKind::User {
        set_access(tx, resource).await?;
        let unlink = Sql::new("UPDATE federated_identities SET live = FALSE WHERE user_id = ?")
            .bind(resource.id.as_str());
        execute(tx, [unlink]).await?;
    }
    execute(tx, [mark, free]).await?;
    follow(tx, resource).await
}

/// The columns `document` and `search` of a resource with these attributes.
pub(super) fn search_columns(
    scope: Scope<'_>,
    kind: ResourceKind,
    attributes: &Object,
) -> (String, serde_json::Value) {
    let search = search_document(kind.within(scope.registry), attributes);
    (
        object_to_json(attributes).to_string(),
        object_to_json(&search),
    )
}

/// A resource's attributes as its columns hold them.
struct Columns {
    document: String,
    search: serde_json::Value,
    display_name: Option<String>,
}

impl Columns {
    fn of(scope: Scope<'_>, resource: &Resource) -> Self {
        let mut shared: Object = resource.attributes.clone();
        shared.remove(EXTERNAL_ID);
        let (document, search) = search_columns(scope, resource.kind, &shared);
        Self {
            document,
            search,
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
            deleted_at: Set(user.deleted_at),
            connection_id: Set(user.owner.clone()),
            tokens_valid_after: Set(user.access.tokens_valid_after),
            locked_at: Set(user.access.lock.as_ref().map(|lock| lock.at)),
            lock_reason: Set(user.access.lock.as_ref().map(|lock| lock.reason.clone())),
            held_at: Set(user.access.held_at),
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
            deleted_at: Set(group.deleted_at),
            connection_id: Set(group.owner.clone()),
        }
    }
}

fn indexed(scope: Scope<'_>, resource: &Resource) -> Vec<(String, String)> {
    indexed_values(resource.kind.within(scope.registry), &resource.attributes)
}

async fn insert_values(
    tx: &Tx,
    scope: Scope<'_>,
    resource: &Resource,
    values: &[(String, String)],
) -> Result<()> {
    let owned = values::Owned {
        tenant_id: scope.tenant_id,
        id: &resource.id,
        values,
    };
    values::insert(tx, resource.kind, &[owned]).await
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
        if scope.connection_id.is_empty() {
            let rule = "belongs to a connection, and the caller comes through none";
            return Err(Error::invalid(EXTERNAL_ID, rule));
        }
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
