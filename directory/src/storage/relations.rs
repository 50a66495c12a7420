//! What a representation says about others: the groups a user is in, the name
//! of his manager, the members of a group. Those of a user are columns of the
//! statement that reads him, so one statement sees all of it at one moment.

use muster_proto::schema::ENTERPRISE_USER;
use sea_orm::ConnectionTrait as _;
use sea_orm::FromQueryResult;

use super::{
    Scope, Tx,
    dialect::{Dialect, JsonKind},
    members::Member,
    sql::Sql,
};
use crate::{
    domain::resource::ResourceKind,
    error::{Error, Result},
};

/// A group that somebody is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// Its id.
    pub id: String,
    /// Its name.
    pub display_name: String,
    /// Whether he is in it only through other groups.
    pub indirect: bool,
}

/// What a resource's representation says about others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// Of a group: its direct live members in the order of their ids; `None`
    /// when they were not wanted or are more than that.
    pub members: Option<Vec<Member>>,
    /// Of a user: the groups he is in, directly or through others, in the order
    /// of their ids.
    pub groups: Vec<GroupRef>,
    /// Of a user: his manager's display name, when there is such a user.
    pub manager_name: Option<String>,
}

/// Which relations a caller wants to see. Those he does not are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wants {
    /// `groups` of users.
    pub groups: bool,
    /// The manager's display name.
    pub manager_name: bool,
    /// How many members a group may have to come with them.
    pub members_up_to: usize,
}

impl Wants {
    /// All but members of groups.
    pub const ALL: Self = Self {
        groups: true,
        manager_name: true,
        members_up_to: 0,
    };

    /// None of them.
    pub const NONE: Self = Self {
        groups: false,
        manager_name: false,
        members_up_to: 0,
    };

    /// Whether groups of this kind may come with members.
    pub(super) fn has_members(self, kind: ResourceKind) -> bool {
        kind == ResourceKind::Group && self.members_up_to > 0
    }
}

/// Where a user's document has the id of his manager.
pub(super) const MANAGER: [&str; 3] = [ENTERPRISE_USER, "manager", "value"];

/// The live groups that a user `r` is in, each once: those he is a member of,
/// and those that they are in.
///
/// `CROSS JOIN` fixes the order for SQLite.
pub(super) const GROUPS_OF_USER: &str = "(SELECT id, MIN(display_name) AS display_name, \
     MIN(display_name_key) AS display_name_key, MIN(indirect) AS indirect FROM (\
     SELECT g.id, g.display_name, g.display_name_key, 0 AS indirect \
     FROM memberships m CROSS JOIN groups g \
     WHERE m.member_id = r.id AND g.id = m.group_id AND g.deleted_at IS NULL \
     UNION ALL SELECT g.id, g.display_name, g.display_name_key, 1 \
     FROM memberships m CROSS JOIN group_ancestors a CROSS JOIN groups g \
     WHERE m.member_id = r.id AND a.group_id = m.group_id AND g.id = a.ancestor_id) AS every \
     GROUP BY id)";

/// The columns `groups` and `manager_name` of a row `r`.
pub(super) fn columns(dialect: Dialect, kind: ResourceKind, wants: Wants) -> Sql {
    let is_user = kind == ResourceKind::User;
    let groups = if is_user && wants.groups {
        groups_column(dialect)
    } else {
        Sql::new("NULL")
    };
    let manager_name = if is_user && wants.manager_name {
        // Whether he counts is no condition: the id's index alone is to find him.
        // A plan that PostgreSQL made for an empty table, and kept, walked all
        // users of the tenant.
        Sql::new(
            "(SELECT CASE WHEN b.deleted_at IS NULL AND b.tenant_id = r.tenant_id \
             THEN b.display_name END FROM users b WHERE b.id = ",
        )
        .then(dialect.json_value("r.document", &MANAGER, JsonKind::Text))
        .text(")")
    } else {
        Sql::new("NULL")
    };
    groups
        .text(" AS groups, ")
        .then(manager_name)
        .text(" AS manager_name")
}

/// The groups of a user `r`. Most users are in no group that is in another:
/// telling so takes a look at an index for each of their groups, joining ancestors
/// several times that. The order, which the index has, keeps PostgreSQL at the
/// index: for EXISTS it walks all memberships when it knows little of them,
/// expecting to find one soon.
fn groups_column(dialect: Dialect) -> Sql {
    let all = format!(
        "SELECT g.id AS first, g.display_name AS second, g.indirect AS third \
         FROM {GROUPS_OF_USER} AS g ORDER BY g.id"
    );
    // The groups are looked up one by one: joined, either database may walk all
    // groups of the tenant, SQLite because they are in the order asked for,
    // PostgreSQL by a plan that it made when there were none.
    let direct = "SELECT first, second, 0 AS third FROM (SELECT m.group_id AS first, \
         (SELECT CASE WHEN g.deleted_at IS NULL THEN g.display_name END \
         FROM groups g WHERE g.id = m.group_id) AS second \
         FROM memberships m WHERE m.member_id = r.id) AS direct \
         WHERE second IS NOT NULL ORDER BY first";
    Sql::new(
        "CASE WHEN (SELECT m.group_id FROM memberships m JOIN group_ancestors a \
         ON a.group_id = m.group_id WHERE m.member_id = r.id \
         ORDER BY m.group_id LIMIT 1) IS NOT NULL THEN ",
    )
    .then(dialect.json_triples(&all))
    .text(" ELSE ")
    .then(dialect.json_triples(direct))
    .text(" END")
}

/// Reads the column `groups`.
pub(super) fn groups(column: Option<&str>) -> Result<Vec<GroupRef>> {
    let Some(json) = column else {
        return Ok(Vec::new());
    };
    let triples: Vec<(String, String, i64)> =
        serde_json::from_str(json).map_err(|e| Error::Internal(e.into()))?;
    let group = |(id, display_name, indirect)| GroupRef {
        id,
        display_name,
        indirect: indirect > 0,
    };
    Ok(triples.into_iter().map(group).collect())
}

#[derive(Debug, FromQueryResult)]
struct Name {
    display_name: Option<String>,
}

/// The display name of the user with this id, when there is one.
///
/// # Errors
/// The database's.
pub async fn display_name(tx: &Tx, scope: Scope<'_>, user_id: &str) -> Result<Option<String>> {
    let sql = Sql::new(
        "SELECT display_name FROM users WHERE deleted_at IS NULL AND tenant_id = ? AND id = ?",
    )
    .bind(scope.tenant_id)
    .bind(user_id);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Name::find_by_statement(statement).one(connection).await?;
    Ok(row.and_then(|row| row.display_name))
}
