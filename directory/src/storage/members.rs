//! Memberships: rows that say who is in which group.
//!
//! Edits are set operations whose cost follows the number of members named,
//! never the size of the group.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult,
    QueryFilter as _,
};

use super::{
    Scope, Tx, ancestors,
    entity::memberships,
    filter::{MEMBER_IS_LIVE, MEMBER_JOINS, member_condition},
    history,
    resources::CHUNK,
    sql::Sql,
};
use crate::{
    domain::{
        filter::Filter,
        history::{Edge, ResourceType},
        page::{Page, PageRequest, Place},
        resource::ResourceKind,
    },
    error::Result,
};

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub kind: ResourceKind,
    /// Its id.
    pub id: String,
    /// Its display name, when it has one.
    pub display_name: String,
}

/// A member's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewMember {
    /// Its id.
    pub id: String,
    /// Whether it is a group.
    pub is_group: bool,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: String,
    is_group: bool,
    display_name: Option<String>,
}

impl Row {
    fn into_member(self) -> Member {
        let kind = if self.is_group {
            ResourceKind::Group
        } else {
            ResourceKind::User
        };
        Member {
            kind,
            id: self.id,
            display_name: self.display_name.unwrap_or_default(),
        }
    }
}

/// Live members of a group, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, group_id: &str, page: &PageRequest) -> Result<Page<Member>> {
    let size = i64::try_from(page.size).unwrap_or(i64::MAX);
    let sql = Sql::new(format!(
        "SELECT m.member_id AS id, m.member_type = 2 AS is_group, \
         COALESCE(mu.display_name, mg.display_name) AS display_name \
         FROM memberships m{MEMBER_JOINS} \
         WHERE m.group_id = ? AND {MEMBER_IS_LIVE}"
    ));
    let mut sql = sql.bind(group_id);
    if let Some(after) = &page.after {
        sql = sql.then(Sql::new(" AND m.member_id > ?").bind(after.id.as_str()));
    }
    let limit = Sql::new(" ORDER BY m.member_id LIMIT ? OFFSET ?");
    let sql = sql.then(limit.bind(size.saturating_add(1)).bind(page.skip));
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let mut rows = Row::find_by_statement(statement).all(connection).await?;
    let more = rows.len() > page.size;
    rows.truncate(page.size);
    let total = if page.count {
        count(tx, group_id).await?
    } else {
        0
    };
    let next = rows.last().filter(|_| more);
    let next = next.map(|row| Place::of(row.id.as_str()));
    let items = rows.into_iter().map(Row::into_member).collect();
    Ok(Page { items, next, total })
}

/// Groups whose members one statement reads at most; SQLite joins at most 500
/// selections.
const GROUPS_AT_ONCE: usize = 64;

#[derive(Debug, FromQueryResult)]
struct MemberOf {
    group_id: String,
    #[sea_orm(nested)]
    member: Row,
}

/// The live members of each of these groups that has no more than so many of
/// them, by group, in the order of their ids. Groups that have more are left
/// out, and cost no more than that many.
///
/// # Errors
/// The database's.
pub async fn few(tx: &Tx, groups: &[&str], most: usize) -> Result<HashMap<String, Vec<Member>>> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let mut few: HashMap<_, Vec<_>> = HashMap::new();
    let mut groups = groups;
    while !groups.is_empty() {
        let (now, later) = groups.split_at(history::at_once(groups.len().min(GROUPS_AT_ONCE)));
        groups = later;
        let each = now.iter().map(|group| {
            let first = Sql::new(format!(
                "SELECT * FROM (SELECT m.group_id, m.member_id AS id, \
                 m.member_type = 2 AS is_group, \
                 COALESCE(mu.display_name, mg.display_name) AS display_name \
                 FROM memberships m{MEMBER_JOINS} WHERE m.group_id = ? AND {MEMBER_IS_LIVE} \
                 ORDER BY m.member_id LIMIT ?) AS part"
            ));
            first.bind(*group).bind(limit)
        });
        let sql = Sql::join(each, " UNION ALL ", "");
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        let rows = MemberOf::find_by_statement(statement)
            .all(connection)
            .await?;
        few.extend(now.iter().map(|group| ((*group).to_owned(), Vec::new())));
        for MemberOf { group_id, member } in rows {
            few.entry(group_id).or_default().push(member.into_member());
        }
    }
    few.retain(|_, members| members.len() <= most);
    for members in few.values_mut() {
        // Nothing is promised of the order in which selections are joined.
        members.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    }
    Ok(few)
}

#[derive(Debug, FromQueryResult)]
struct Count {
    total: i64,
}

async fn count(tx: &Tx, group_id: &str) -> Result<i64> {
    let sql = Sql::new(format!(
        "SELECT COUNT(*) AS total FROM memberships m{MEMBER_JOINS} \
         WHERE m.group_id = ? AND {MEMBER_IS_LIVE}"
    ))
    .bind(group_id);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Count::find_by_statement(statement).one(connection).await?;
    Ok(row.map_or(0, |count| count.total))
}

#[derive(Debug, FromQueryResult)]
struct Key {
    id: String,
    is_group: bool,
}

async fn keys(tx: &Tx, sql: Sql) -> Result<Vec<NewMember>> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Key::find_by_statement(statement).all(connection).await?;
    let member = |Key { id, is_group }| NewMember { id, is_group };
    Ok(rows.into_iter().map(member).collect())
}

/// Which of these ids are members.
///
/// # Errors
/// The database's.
pub async fn present(tx: &Tx, group_id: &str, members: &[String]) -> Result<Vec<NewMember>> {
    let mut present = Vec::new();
    for members in members.chunks(CHUNK) {
        let sql = Sql::new(
            "SELECT member_id AS id, member_type = 2 AS is_group FROM memberships \
             WHERE group_id = ? AND member_id IN (",
        )
        .bind(group_id)
        .then(Sql::list(members.iter().map(String::as_str)))
        .text(")");
        present.extend(keys(tx, sql).await?);
    }
    Ok(present)
}

/// Ids of the live members.
///
/// # Errors
/// The database's.
pub async fn live(tx: &Tx, group_id: &str) -> Result<Vec<NewMember>> {
    let sql = Sql::new(format!(
        "SELECT m.member_id AS id, m.member_type = 2 AS is_group FROM memberships m{MEMBER_JOINS} \
         WHERE m.group_id = ? AND {MEMBER_IS_LIVE}"
    ))
    .bind(group_id);
    keys(tx, sql).await
}

/// Ids of the live members that satisfy a filter on elements of `members`.
///
/// # Errors
/// The database's.
pub async fn matching(
    tx: &Tx,
    scope: Scope<'_>,
    group_id: &str,
    filter: &Filter,
) -> Result<Vec<NewMember>> {
    let sql = Sql::new(format!(
        "SELECT m.member_id AS id, m.member_type = 2 AS is_group FROM memberships m{MEMBER_JOINS} \
         WHERE m.group_id = ? AND {MEMBER_IS_LIVE} AND "
    ))
    .bind(group_id)
    .then(member_condition(tx.dialect(), filter, scope));
    keys(tx, sql).await
}

/// Adds members who are none yet, and none of whom contains the group.
///
/// # Errors
/// [`GroupDepth`](crate::error::Error::GroupDepth) and the database's.
pub async fn add(tx: &Tx, group_id: &str, members: &[NewMember]) -> Result<()> {
    let groups = groups_among(members);
    if !groups.is_empty() {
        ancestors::check_depth(tx, group_id, &groups).await?;
    }
    for members in members.chunks(CHUNK) {
        let rows = members.iter().map(|member| memberships::ActiveModel {
            group_id: Set(group_id.to_owned()),
            member_id: Set(member.id.clone()),
            member_type: Set(if member.is_group {
                ResourceType::Group as i64
            } else {
                ResourceType::User as i64
            }),
        });
        memberships::Entity::insert_many(rows)
            .exec_without_returning(&tx.connection())
            .await?;
    }
    follow(tx, &groups).await
}

/// The groups among members.
fn groups_among(members: &[NewMember]) -> Vec<&str> {
    let groups = members.iter().filter(|member| member.is_group);
    groups.map(|member| member.id.as_str()).collect()
}

/// Writes what follows from it that these groups are members of another one, or no
/// longer are.
async fn follow(tx: &Tx, groups: &[&str]) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let below = ancestors::below(tx, groups).await?;
    ancestors::rebuild(tx, &below).await
}

/// Removes members.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &Tx, group_id: &str, members: &[NewMember]) -> Result<()> {
    for members in members.chunks(CHUNK) {
        memberships::Entity::delete_many()
            .filter(memberships::Column::GroupId.eq(group_id))
            .filter(memberships::Column::MemberId.is_in(members.iter().map(|m| m.id.as_str())))
            .exec(&tx.connection())
            .await?;
    }
    follow(tx, &groups_among(members)).await
}

/// Whether a group is one of these groups, or a member of one at any depth.
/// Deleted groups count: they may come back.
///
/// # Errors
/// The database's.
pub async fn is_within(tx: &Tx, group_id: &str, groups: &[String]) -> Result<bool> {
    for groups in groups.chunks(CHUNK) {
        // UNION, not UNION ALL: it ends even where the data already has a cycle.
        let sql = Sql::new("WITH RECURSIVE above (id) AS (SELECT ")
            .then(tx.dialect().text(group_id))
            .text(
                " UNION SELECT m.group_id FROM memberships m JOIN above a ON m.member_id = a.id) \
                 SELECT id, TRUE AS is_group FROM above WHERE id IN (",
            )
            .then(Sql::list(groups.iter().map(String::as_str)))
            .text(") LIMIT 1");
        if !keys(tx, sql).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A membership as a row.
#[derive(Debug, FromQueryResult)]
struct EdgeRow {
    group_id: String,
    version: i64,
    owner: Option<String>,
    member_id: String,
    is_group: bool,
}

impl From<EdgeRow> for Edge {
    fn from(row: EdgeRow) -> Self {
        Self {
            group_id: row.group_id,
            version: row.version,
            owner: row.owner,
            member_id: row.member_id,
            is_group: row.is_group,
        }
    }
}

/// The live memberships that a resource is one end of.
///
/// # Errors
/// The database's.
pub async fn edges_of(tx: &Tx, id: &str) -> Result<Vec<Edge>> {
    let end = Sql::new("(m.member_id = ? OR m.group_id = ?) ORDER BY m.group_id, m.member_id");
    edges(tx, end.bind(id).bind(id)).await
}

/// The live memberships of a tenant behind this pair of group and member, in the
/// order of their keys.
///
/// # Errors
/// The database's.
pub async fn edges_after(
    tx: &Tx,
    tenant_id: &str,
    (group_id, member_id): (&str, &str),
    limit: i64,
) -> Result<Vec<Edge>> {
    // By the tenant's groups: memberships of all tenants lie between each other.
    let condition = Sql::new(
        "g.tenant_id = ? AND g.id >= ? AND (g.id > ? OR m.member_id > ?) \
         ORDER BY g.id, m.member_id LIMIT ?",
    )
    .bind(tenant_id)
    .bind(group_id)
    .bind(group_id)
    .bind(member_id)
    .bind(limit);
    edges(tx, condition).await
}

/// Memberships whose both ends live and that satisfy a condition on `m` or on
/// the group `g`.
async fn edges(tx: &Tx, condition: Sql) -> Result<Vec<Edge>> {
    let sql = Sql::new(format!(
        "SELECT m.group_id, g.version, g.connection_id AS owner, m.member_id, \
         m.member_type = 2 AS is_group FROM groups g JOIN memberships m ON m.group_id = g.id\
         {MEMBER_JOINS} WHERE g.deleted_at IS NULL AND {MEMBER_IS_LIVE} AND "
    ))
    .then(condition);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = EdgeRow::find_by_statement(statement)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
