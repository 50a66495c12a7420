//! What a user's representation says about others: the groups he is in, the
//! name of his manager. Read for a whole page at once.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Scope, Tx, resources::CHUNK, sql::Sql};
use crate::error::Result;

/// A group that somebody is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// Its id.
    pub id: String,
    /// Its name.
    pub display_name: String,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    of: String,
    id: String,
    display_name: String,
}

/// Groups that each of these users or groups is a direct member of, in the
/// order of the groups' ids.
///
/// # Errors
/// The database's.
pub async fn groups_of(
    tx: &Tx,
    scope: Scope<'_>,
    members: &[&str],
) -> Result<HashMap<String, Vec<GroupRef>>> {
    let select = "SELECT m.member_id AS \"of\", g.id, g.display_name \
                  FROM memberships m JOIN groups g ON g.id = m.group_id \
                  WHERE g.deleted_at IS NULL AND g.tenant_id = ? AND m.member_id IN (";
    let mut groups: HashMap<String, Vec<GroupRef>> = HashMap::new();
    for row in rows(tx, scope, select, members, ") ORDER BY g.id").await? {
        let group = GroupRef {
            id: row.id,
            display_name: row.display_name,
        };
        groups.entry(row.of).or_default().push(group);
    }
    Ok(groups)
}

/// Display names of the users among these ids who have one.
///
/// # Errors
/// The database's.
pub async fn display_names(
    tx: &Tx,
    scope: Scope<'_>,
    users: &[&str],
) -> Result<HashMap<String, String>> {
    let select = "SELECT u.id AS \"of\", u.id, u.display_name FROM users u \
                  WHERE u.deleted_at IS NULL AND u.display_name IS NOT NULL \
                  AND u.tenant_id = ? AND u.id IN (";
    let rows = rows(tx, scope, select, users, ")").await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.display_name))
        .collect())
}

async fn rows(
    tx: &Tx,
    scope: Scope<'_>,
    select: &str,
    ids: &[&str],
    end: &str,
) -> Result<Vec<Row>> {
    let connection = tx.connection();
    let mut rows = Vec::new();
    for ids in ids.chunks(CHUNK) {
        let sql = Sql::new(select)
            .bind(scope.tenant_id)
            .then(Sql::list(ids.iter().copied()))
            .text(end);
        let statement = sql.statement(connection.get_database_backend());
        rows.extend(Row::find_by_statement(statement).all(connection).await?);
    }
    Ok(rows)
}
