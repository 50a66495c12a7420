//! Users as tokens know them: who is meant, whether he may act, which of his
//! tokens are dead, which groups he is in.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{
    Scope, Tx,
    sql::{Sql, can_be},
};
use crate::{
    domain::{
        Kind, Resource,
        access::{Access, Lock},
        fold::fold,
        search::{index_key, looks_like_digest},
    },
    error::{Error, Result},
};

/// How a user is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By his id.
    Id(String),
    /// By what a connection calls him.
    External {
        /// The connection.
        connection_id: String,
        /// Its `externalId`.
        external_id: String,
    },
    /// By his `userName`, without case.
    UserName(String),
    /// By one of his addresses, without case. Several users may have it.
    Email(String),
    /// By what an identity provider calls him.
    Federated {
        /// The identity provider.
        issuer: String,
        /// What it calls him.
        subject: String,
    },
}

impl UserKey {
    /// That nobody has it.
    pub fn not_found(&self) -> Error {
        // Other keys are personal.
        let id = match self {
            Self::Id(id) => id.clone(),
            Self::External { .. } | Self::UserName(_) | Self::Email(_) | Self::Federated { .. } => {
                String::new()
            }
        };
        Error::NotFound {
            kind: Kind::User,
            id,
        }
    }

    /// That several have it.
    pub fn ambiguous(&self) -> Error {
        Error::Ambiguous(match self {
            Self::Email(_) => "e-mail address",
            Self::Id(_) | Self::External { .. } | Self::UserName(_) | Self::Federated { .. } => {
                "key"
            }
        })
    }

    /// The same key, as all its spellings have it.
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::UserName(name) => Self::UserName(fold(name)),
            Self::Email(address) => Self::Email(fold(address)),
            Self::Id(_) | Self::External { .. } | Self::Federated { .. } => self.clone(),
        }
    }

    /// The condition that a row `u` of the tenant meets.
    pub(super) fn condition(&self, tenant_id: &str) -> Sql {
        match self {
            Self::Id(id) => Sql::new("u.id = ?").bind(id.as_str()),
            Self::Email(address) => Sql::new(
                "u.deleted_at IS NULL AND u.id IN (SELECT v.user_id FROM user_values v \
                 WHERE v.tenant_id = ? AND v.attribute = 'emails.value' AND v.value_key = ?)",
            )
            .bind(tenant_id)
            .bind(index_key(&fold(address))),
            Self::Federated { issuer, subject } => Sql::new(
                "u.id = (SELECT f.user_id FROM federated_identities f WHERE f.tenant_id = ? \
                 AND f.issuer = ? AND f.subject = ? AND f.live)",
            )
            .bind(tenant_id)
            .bind(issuer.as_str())
            .bind(subject.as_str()),
            Self::UserName(name) => {
                Sql::new("u.deleted_at IS NULL AND u.user_name_key = ?").bind(fold(name))
            }
            Self::External {
                connection_id,
                external_id,
            } => Sql::new(
                "u.id = (SELECT e.resource_id FROM external_ids e WHERE e.connection_id = ? \
                 AND e.resource_type = 1 AND e.external_id = ? AND e.live)",
            )
            .bind(connection_id.as_str())
            .bind(external_id.as_str()),
        }
    }

    /// Whether no user can have it, and not every database takes it.
    pub(super) fn is_impossible(&self) -> bool {
        let has_null = |text: &String| text.contains('\0');
        match self {
            Self::Id(text) | Self::UserName(text) => has_null(text),
            Self::Email(text) => has_null(text) || looks_like_digest(&fold(text)),
            Self::Federated { issuer, subject } => has_null(issuer) || has_null(subject),
            Self::External {
                connection_id,
                external_id,
            } => has_null(connection_id) || has_null(external_id),
        }
    }
}

/// What is to be known of a user before a token of his counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// His id.
    pub id: String,
    /// His `userName`.
    pub user_name: String,
    /// Whether he may act.
    pub may_act: bool,
    /// Since when his tokens are dead; without the lock.
    pub access: Access,
    /// Whether this token was revoked.
    pub is_spent: bool,
    /// His tenant's.
    pub access_version: i64,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    document: String,
    may_act: bool,
    tokens_valid_after: Option<i64>,
    is_spent: bool,
    access_version: i64,
}

impl Row {
    fn into_subject(self) -> Result<Subject> {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(rename = "userName", default)]
            user_name: String,
        }
        let named: Named = serde_json::from_str(&self.document)
            .map_err(|e| Error::internal(format!("users.document of {}: {e}", self.id)))?;
        Ok(Subject {
            id: self.id,
            user_name: named.user_name,
            may_act: self.may_act,
            access: Access {
                lock: None,
                held_at: None,
                tokens_valid_after: self.tokens_valid_after,
            },
            is_spent: self.is_spent,
            access_version: self.access_version,
        })
    }
}

/// What is to be known of the tenant's user with this key before a token of his,
/// that has this id, counts.
///
/// # Errors
/// [`Error::Ambiguous`] and the database's.
pub async fn find(tx: &Tx, tenant_id: &str, key: &UserKey, jti: &str) -> Result<Option<Subject>> {
    if key.is_impossible() {
        return Ok(None);
    }
    let sql = Sql::new(
        "SELECT u.id, u.document, \
         (u.deleted_at IS NULL AND (u.active OR u.held_at IS NOT NULL) AND u.locked_at IS NULL) \
         AS may_act, \
         u.tokens_valid_after, h.access_version, EXISTS (SELECT 1 FROM spent_tokens t \
         WHERE t.tenant_id = u.tenant_id AND t.jti = ?) AS is_spent \
         FROM users u JOIN directory_heads h ON h.tenant_id = u.tenant_id \
         WHERE u.tenant_id = ? AND ",
    )
    .bind(jti)
    .bind(tenant_id)
    .then(key.condition(tenant_id))
    .text(" LIMIT 2");
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let mut rows = Row::find_by_statement(statement).all(connection).await?;
    if rows.len() > 1 {
        return Err(key.ambiguous());
    }
    rows.pop().map(Row::into_subject).transpose()
}

/// Which groups of a user are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupsWanted {
    /// Also those that contain the ones that he is in.
    pub transitive: bool,
    /// Only these; empty: all.
    pub only: Vec<String>,
    /// How many there may be.
    pub limit: usize,
}

/// Ids of the live groups that a user is in, in order.
///
/// # Errors
/// [`Error::TooManyGroups`].
pub async fn groups(tx: &Tx, user_id: &str, wanted: &GroupsWanted) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Id {
        id: String,
    }
    // CROSS JOIN keeps SQLite at the memberships, of which there are few.
    let mut sql = Sql::new(
        "WITH his (id) AS (SELECT g.id FROM memberships m CROSS JOIN groups g \
         WHERE m.member_id = ? AND g.id = m.group_id AND g.deleted_at IS NULL",
    )
    .bind(user_id);
    if wanted.transitive {
        sql = sql
            .text(
                " UNION SELECT a.ancestor_id FROM memberships m CROSS JOIN group_ancestors a \
                 WHERE m.member_id = ? AND a.group_id = m.group_id",
            )
            .bind(user_id);
    }
    sql = sql.text(") SELECT id FROM his");
    if !wanted.only.is_empty() {
        let only = wanted.only.iter().map(String::as_str);
        // What no group can be called is not asked for.
        let only = Sql::list(only.filter(|id| can_be(id)));
        sql = sql.text(" WHERE id IN (").then(only).text(")");
    }
    let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX - 1);
    let sql = sql.text(" ORDER BY id LIMIT ?").bind(limit + 1);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = Id::find_by_statement(statement).all(connection).await?;
    match rows.len() > wanted.limit {
        true => Err(Error::TooManyGroups(wanted.limit)),
        false => Ok(rows.into_iter().map(|row| row.id).collect()),
    }
}

/// The last lock of whoever is deleted and was called so, by `userName` or by the
/// connection's `externalId`; but for locks with this reason.
///
/// # Errors
/// The database's.
pub async fn lock_of_former(
    tx: &Tx,
    scope: Scope<'_>,
    (user_name, external_id): (&str, Option<&str>),
    but: &str,
) -> Result<Option<Lock>> {
    #[derive(FromQueryResult)]
    struct Row {
        locked_at: i64,
        lock_reason: String,
    }
    let sql = Sql::new(
        "SELECT u.locked_at, COALESCE(u.lock_reason, '') AS lock_reason FROM users u \
         WHERE u.tenant_id = ? AND u.deleted_at IS NOT NULL AND u.locked_at IS NOT NULL \
         AND COALESCE(u.lock_reason, '') <> ? AND (u.user_name_key = ? OR EXISTS \
         (SELECT 1 FROM external_ids e WHERE e.resource_id = u.id \
         AND e.connection_id = ? AND e.external_id = ?)) ORDER BY u.locked_at DESC LIMIT 1",
    )
    .bind(scope.tenant_id)
    .bind(but)
    .bind(fold(user_name))
    .bind(scope.connection_id)
    .bind(external_id);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Row::find_by_statement(statement).one(connection).await?;
    Ok(row.map(|row| Lock {
        at: row.locked_at,
        reason: row.lock_reason,
    }))
}

/// Lifts the locks of whoever is deleted and was called as this user is: he is the same
/// person, and no longer locked.
///
/// # Errors
/// The database's.
pub async fn unlock_former(tx: &Tx, tenant_id: &str, user: &Resource) -> Result<()> {
    let sql = Sql::new(
        "UPDATE users SET locked_at = NULL, lock_reason = NULL \
         WHERE tenant_id = ? AND deleted_at IS NOT NULL AND locked_at IS NOT NULL \
         AND (user_name_key = ? OR id IN (SELECT e.resource_id FROM external_ids e \
         JOIN external_ids own ON own.connection_id = e.connection_id \
         AND own.external_id = e.external_id WHERE own.resource_id = ?))",
    )
    .bind(tenant_id)
    .bind(fold(user.text("userName").unwrap_or_default()))
    .bind(user.id.as_str());
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}
