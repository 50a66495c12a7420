//! Many users and groups by their keys, and who is in what: point reads of the
//! sign-in path, one statement for all keys of a kind.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{
    Tx,
    history::{at_once, portions},
    sql::{Sql, can_be},
    subjects::UserKey,
};
use crate::{
    domain::{
        access::{Access, Lock, Standing},
        fold::fold,
        search::index_key,
    },
    error::Result,
};

/// How a group is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GroupKey {
    /// By its id.
    Id(String),
    /// By what a connection calls it.
    External {
        /// The connection.
        connection_id: String,
        /// Its `externalId`.
        external_id: String,
    },
    /// By its `displayName`, without case.
    DisplayName(String),
}

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The one with this id.
    One(String),
    /// More than one.
    Several,
}

/// The holders of keys; of a key that nobody has there is none.
pub type Holders<K> = HashMap<K, Holder>;

/// A kind of key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Manner {
    /// Where rows `r` with such keys are; each mark stands for the tenant.
    from: &'static str,
    /// What is compared.
    columns: &'static [&'static str],
}

/// A key as the database compares it.
trait Key: Clone + Eq + Hash {
    fn manner(&self) -> Manner;
    fn texts(&self) -> Vec<String>;
}

impl Key for UserKey {
    fn manner(&self) -> Manner {
        let (from, columns): (_, &[_]) = match self {
            Self::Id(_) => ("users r WHERE r.tenant_id = ?", &["r.id"]),
            Self::UserName(_) => (
                "users r WHERE r.tenant_id = ? AND r.deleted_at IS NULL",
                &["r.user_name_key"],
            ),
            Self::Email(_) => (
                "user_values v CROSS JOIN users r WHERE v.tenant_id = ? \
                 AND v.attribute = 'emails.value' AND r.id = v.user_id AND r.deleted_at IS NULL",
                &["v.value_key"],
            ),
            Self::External { .. } => (
                "external_ids e CROSS JOIN users r WHERE r.tenant_id = ? \
                 AND r.id = e.resource_id AND e.live AND e.resource_type = 1",
                &["e.connection_id", "e.external_id"],
            ),
            Self::Federated { .. } => (
                "federated_identities f CROSS JOIN users r WHERE f.tenant_id = ? \
                 AND r.id = f.user_id AND f.live",
                &["f.issuer", "f.subject"],
            ),
        };
        Manner { from, columns }
    }

    fn texts(&self) -> Vec<String> {
        match self {
            Self::Id(id) => vec![id.clone()],
            Self::UserName(text) => vec![fold(text)],
            Self::Email(text) => vec![index_key(&fold(text))],
            Self::External {
                connection_id,
                external_id,
            } => vec![connection_id.clone(), external_id.clone()],
            Self::Federated { issuer, subject } => vec![issuer.clone(), subject.clone()],
        }
    }
}

impl Key for GroupKey {
    fn manner(&self) -> Manner {
        let (from, columns): (_, &[_]) = match self {
            Self::Id(_) => (
                "groups r WHERE r.tenant_id = ? AND r.deleted_at IS NULL",
                &["r.id"],
            ),
            Self::DisplayName(_) => (
                "groups r WHERE r.tenant_id = ? AND r.deleted_at IS NULL",
                &["r.display_name_key"],
            ),
            Self::External { .. } => (
                "external_ids e CROSS JOIN groups r WHERE r.tenant_id = ? \
                 AND r.id = e.resource_id AND e.live AND e.resource_type = 2",
                &["e.connection_id", "e.external_id"],
            ),
        };
        Manner { from, columns }
    }

    fn texts(&self) -> Vec<String> {
        match self {
            Self::Id(id) => vec![id.clone()],
            Self::DisplayName(name) => vec![fold(name)],
            Self::External {
                connection_id,
                external_id,
            } => vec![connection_id.clone(), external_id.clone()],
        }
    }
}

/// Who of the tenant's users has these keys: by id also one who is deleted.
///
/// # Errors
/// The database's.
pub async fn users(tx: &Tx, tenant_id: &str, keys: &[UserKey]) -> Result<Holders<UserKey>> {
    holders(tx, tenant_id, keys).await
}

/// Which of the tenant's live groups has these keys.
///
/// # Errors
/// The database's.
pub async fn groups(tx: &Tx, tenant_id: &str, keys: &[GroupKey]) -> Result<Holders<GroupKey>> {
    holders(tx, tenant_id, keys).await
}

async fn holders<K: Key>(tx: &Tx, tenant_id: &str, keys: &[K]) -> Result<Holders<K>> {
    let mut kinds: BTreeMap<Manner, HashMap<Vec<String>, Vec<&K>>> = BTreeMap::new();
    for key in keys {
        let texts = key.texts();
        if texts.iter().all(|text| can_be(text)) {
            let kind = kinds.entry(key.manner()).or_default();
            kind.entry(texts).or_default().push(key);
        }
    }
    let mut holders = HashMap::with_capacity(keys.len());
    for (manner, asked) in kinds {
        let texts: Vec<_> = asked.keys().collect();
        for texts in portions(&texts) {
            for (texts, holder) in manner.ask(tx, tenant_id, texts).await? {
                for key in asked.get(&texts).into_iter().flatten() {
                    holders.insert((*key).clone(), holder.clone());
                }
            }
        }
    }
    Ok(holders)
}

impl Manner {
    /// Who has which of these keys of this kind.
    async fn ask(
        &self,
        tx: &Tx,
        tenant_id: &str,
        texts: &[&Vec<String>],
    ) -> Result<Vec<(Vec<String>, Holder)>> {
        #[derive(FromQueryResult)]
        struct Row {
            id: String,
            first: String,
            second: Option<String>,
            holders: i64,
        }
        let Self { from, columns } = self;
        let first = columns.first().copied().unwrap_or("r.id");
        let second = columns.get(1).copied().unwrap_or("CAST(NULL AS TEXT)");
        let by = columns.join(", ");
        let wanted = texts.iter().map(|texts| {
            let values = Sql::list(texts.iter().map(String::as_str));
            Sql::new("(").then(values).text(")")
        });
        let sql = Sql::new(format!(
            "SELECT MIN(r.id) AS id, {first} AS first, {second} AS second, \
             COUNT(*) AS holders FROM {from} AND ({by}) IN (VALUES "
        ))
        .bind(tenant_id)
        .then(Sql::join(wanted, ", ", ""))
        .text(&format!(") GROUP BY {by}"));
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        let rows = Row::find_by_statement(statement).all(connection).await?;
        let holder = |row: Row| {
            let texts = [Some(row.first), row.second];
            let holder = match row.holders {
                1 => Holder::One(row.id),
                _ => Holder::Several,
            };
            (texts.into_iter().flatten().collect(), holder)
        };
        Ok(rows.into_iter().map(holder).collect())
    }
}

/// Whether these users of the tenant may act, by id; also those who are deleted.
///
/// # Errors
/// The database's.
pub async fn standings(
    tx: &Tx,
    tenant_id: &str,
    ids: &[&str],
) -> Result<HashMap<String, Standing>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: String,
        active: bool,
        deleted_at: Option<i64>,
        locked_at: Option<i64>,
        held_at: Option<i64>,
        tokens_valid_after: Option<i64>,
    }
    let mut standings = HashMap::with_capacity(ids.len());
    for ids in portions(ids) {
        let sql = Sql::new(
            "SELECT r.id, r.active, r.deleted_at, r.locked_at, r.held_at, r.tokens_valid_after \
             FROM users r WHERE r.tenant_id = ? AND r.id IN (",
        )
        .bind(tenant_id)
        .then(Sql::list(ids.iter().copied()))
        .text(")");
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        for row in Row::find_by_statement(statement).all(connection).await? {
            let access = Access {
                lock: row.locked_at.map(|at| Lock {
                    at,
                    reason: String::new(),
                }),
                tokens_valid_after: row.tokens_valid_after,
                held_at: row.held_at,
            };
            let standing = Standing::new(row.active, row.deleted_at.is_some(), &access);
            standings.insert(row.id, standing);
        }
    }
    Ok(standings)
}

/// How somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Not at all.
    None,
    /// It names him as a member.
    Direct,
    /// Through groups that are in it.
    Indirect,
}

/// How each of these users is in the live group beside him.
///
/// # Errors
/// The database's.
pub async fn ties(tx: &Tx, pairs: &[(&str, &str)]) -> Result<Vec<Tie>> {
    #[derive(FromQueryResult)]
    struct Row {
        place: i64,
        direct: bool,
    }
    let mut ties = vec![Tie::None; pairs.len()];
    let mut done = 0;
    while done < pairs.len() {
        // A power of two, so that there are few statements, which stay prepared.
        let count = at_once(pairs.len() - done);
        let now = pairs.iter().skip(done).take(count).enumerate();
        let rows = now.map(|(place, (user, group))| {
            Sql::new(format!("({place}, ?, ?)"))
                .bind(*user)
                .bind(*group)
        });
        let sql = Sql::new("WITH asked (place, user_id, group_id) AS (VALUES ")
            .then(Sql::join(rows, ", ", ""))
            .text(
                ") SELECT CAST(a.place AS BIGINT) AS place, EXISTS (SELECT 1 FROM memberships m \
                 WHERE m.group_id = a.group_id AND m.member_id = a.user_id) AS direct \
                 FROM asked a WHERE EXISTS (SELECT 1 FROM memberships m \
                 WHERE m.group_id = a.group_id AND m.member_id = a.user_id) \
                 OR EXISTS (SELECT 1 FROM memberships m CROSS JOIN group_ancestors g \
                 WHERE m.member_id = a.user_id AND g.group_id = m.group_id \
                 AND g.ancestor_id = a.group_id)",
            );
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        for row in Row::find_by_statement(statement).all(connection).await? {
            let place = usize::try_from(row.place).unwrap_or(usize::MAX);
            if let Some(tie) = ties.get_mut(place.saturating_add(done)) {
                *tie = match row.direct {
                    true => Tie::Direct,
                    false => Tie::Indirect,
                };
            }
        }
        done += count;
    }
    Ok(ties)
}

/// Which of these are named as members by which live groups: pairs of the group and
/// its member, in order.
///
/// # Errors
/// The database's.
pub async fn containers(tx: &Tx, members: &[&str]) -> Result<Vec<(String, String)>> {
    #[derive(FromQueryResult)]
    struct Row {
        group_id: String,
        member_id: String,
    }
    let mut pairs = Vec::new();
    for members in portions(members) {
        let sql = Sql::new(
            "SELECT m.group_id, m.member_id FROM memberships m CROSS JOIN groups g \
             WHERE g.id = m.group_id AND g.deleted_at IS NULL AND m.member_id IN (",
        )
        .then(Sql::list(members.iter().copied()))
        .text(")");
        let connection = &tx.connection();
        let statement = sql.statement(connection.get_database_backend());
        let rows = Row::find_by_statement(statement).all(connection).await?;
        pairs.extend(rows.into_iter().map(|row| (row.group_id, row.member_id)));
    }
    pairs.sort_unstable();
    Ok(pairs)
}
