//! Which groups contain which: for each live group the live groups that it is in,
//! directly or through other live groups.
//!
//! The rows follow from memberships of groups in groups. They are written with
//! what changes those, so that a read needs no recursion: the groups of a user are
//! his own and their ancestors. What a change costs follows the number of groups
//! below it, never the number of users.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Tx, resources::CHUNK, sql::Sql};
use crate::error::{Error, Result};

/// Through how many memberships groups may be nested in each other.
pub const DEPTH_LIMIT: usize = 16;

#[derive(FromQueryResult)]
struct Id {
    id: String,
}

/// These groups and those that are in them, directly or through live groups: all
/// whose ancestors a change of what these are in may change.
///
/// # Errors
/// The database's.
pub(super) async fn below(tx: &Tx, groups: &[&str]) -> Result<Vec<String>> {
    let mut below = Vec::new();
    for groups in groups.chunks(CHUNK) {
        let sql = Sql::new(
            "WITH RECURSIVE below (id) AS (SELECT g.id FROM groups g WHERE g.id IN (",
        )
        .then(Sql::list(groups.iter().copied()))
        .text(
            ") UNION SELECT m.member_id FROM below b CROSS JOIN memberships m CROSS JOIN groups c \
             WHERE m.group_id = b.id AND m.member_type = 2 AND c.id = m.member_id \
             AND c.deleted_at IS NULL) SELECT id FROM below",
        );
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        let rows = Id::find_by_statement(statement).all(connection).await?;
        below.extend(rows.into_iter().map(|row| row.id));
    }
    below.sort_unstable();
    below.dedup();
    Ok(below)
}

/// Writes the ancestors of these groups anew.
///
/// # Errors
/// The database's.
pub(super) async fn rebuild(tx: &Tx, groups: &[String]) -> Result<()> {
    for groups in groups.chunks(CHUNK) {
        let among = || Sql::list(groups.iter().map(String::as_str)).text(")");
        let forget = Sql::new("DELETE FROM group_ancestors WHERE group_id IN (").then(among());
        execute(tx, forget).await?;
        execute(tx, insert(Sql::new("m.member_id IN (").then(among()))).await?;
    }
    Ok(())
}

/// Writes the ancestors of all groups: they came from elsewhere.
///
/// # Errors
/// The database's.
pub async fn build(tx: &Tx) -> Result<()> {
    execute(tx, insert(Sql::new("m.member_type = 2"))).await
}

/// Inserts the ancestors of those who are members by rows `m` with this condition.
/// UNION ends even where the data has a cycle; CROSS JOIN keeps SQLite at the
/// memberships.
fn insert(condition: Sql) -> Sql {
    Sql::new(
        "INSERT INTO group_ancestors (group_id, ancestor_id) \
         WITH RECURSIVE above (group_id, ancestor_id) AS (\
         SELECT c.id, p.id FROM memberships m CROSS JOIN groups c CROSS JOIN groups p \
         WHERE ",
    )
    .then(condition)
    .text(
        " AND c.id = m.member_id AND c.deleted_at IS NULL \
         AND p.id = m.group_id AND p.deleted_at IS NULL \
         UNION SELECT a.group_id, p.id FROM above a CROSS JOIN memberships m \
         CROSS JOIN groups p WHERE m.member_id = a.ancestor_id AND p.id = m.group_id \
         AND p.deleted_at IS NULL) SELECT group_id, ancestor_id FROM above",
    )
}

/// Checks that these groups may become members of a group of which none of them
/// contains it: deleted groups count, as they may come back.
///
/// # Errors
/// [`Error::GroupDepth`].
pub(super) async fn check_depth(tx: &Tx, group_id: &str, members: &[&str]) -> Result<()> {
    let above = deepest(tx, &[group_id], "m.group_id", "m.member_id", "").await?;
    let only_groups = " AND m.member_type = 2";
    let mut below = 0;
    for members in members.chunks(CHUNK) {
        below = below.max(deepest(tx, members, "m.member_id", "m.group_id", only_groups).await?);
    }
    match above + 1 + below > DEPTH_LIMIT {
        true => Err(Error::GroupDepth(DEPTH_LIMIT)),
        false => Ok(()),
    }
}

/// Through how many memberships one gets away from these groups, from one column
/// to the other. It is not counted further than the limit, so that it ends.
async fn deepest(tx: &Tx, from: &[&str], to: &str, by: &str, condition: &str) -> Result<usize> {
    #[derive(FromQueryResult)]
    struct Depth {
        depth: Option<i64>,
    }
    let sql = Sql::new(
        "WITH RECURSIVE chain (id, depth) AS (SELECT g.id, 0 FROM groups g WHERE g.id IN (",
    )
    .then(Sql::list(from.iter().copied()))
    .text(&format!(
        ") UNION SELECT {to}, c.depth + 1 FROM chain c CROSS JOIN memberships m \
             WHERE {by} = c.id AND c.depth <= {DEPTH_LIMIT}{condition}) \
             SELECT CAST(MAX(depth) AS BIGINT) AS depth FROM chain"
    ));
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Depth::find_by_statement(statement).one(connection).await?;
    let depth = row.and_then(|row| row.depth).unwrap_or_default();
    Ok(usize::try_from(depth).unwrap_or_default())
}

async fn execute(tx: &Tx, sql: Sql) -> Result<()> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
