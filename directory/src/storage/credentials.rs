//! Stored tokens: credentials of connections, and tokens of users. Secrets are
//! never here, only their hashes.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _,
    FromQueryResult, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::Expr,
};

use super::{
    Tx,
    entity::{credential_secrets, credentials},
    sql::{Sql, can_be},
    tenants,
};
use crate::{
    auth::{Grant, Scopes},
    domain::{
        credential::{Federation, KeptSecret, Proof, Purpose},
        flavor::Flavor,
        history::Actor,
        policy::Policy,
    },
    error::{Error, Result},
};

/// What is kept of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// UUIDv7.
    pub id: String,
    /// Whose tenant.
    pub tenant_id: String,
    /// Whose connection; `None` for a user's own.
    pub connection_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// What proves its holder.
    pub proof: Proof,
    /// Of a user's own: for whom it is meant.
    pub audiences: Vec<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Who made it.
    pub created_by: Actor,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expires_at: Option<i64>,
    /// Milliseconds since the Unix epoch; `None`: not revoked.
    pub revoked_at: Option<i64>,
    /// For people.
    pub revoke_reason: String,
    /// Milliseconds since the Unix epoch; at most a minute old.
    pub last_used_at: Option<i64>,
    /// Whence it came then.
    pub last_used_address: Option<String>,
    /// What its holder may do.
    pub scopes: Scopes,
    /// The user in whose name its holder speaks; `None`: the connection.
    pub user_id: Option<String>,
}

/// A secret of a credential: what is kept of it, and how long it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSecret {
    /// What is kept.
    pub kept: KeptSecret,
    /// Milliseconds since the Unix epoch; `None` for the newest, which counts for
    /// as long as its credential.
    pub valid_until: Option<i64>,
}

/// A credential with what its connection goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The credential.
    pub credential: Credential,
    /// The secret by which it was found, if it was.
    pub secret: Option<CredentialSecret>,
    /// Its connection's.
    pub flavor: Flavor,
    /// Its connection's.
    pub policy: Arc<Policy>,
    /// When its connection last changed, in milliseconds since the Unix epoch.
    pub connection_changed: i64,
    /// Its tenant's.
    pub schema_version: i64,
    /// Its tenant's, read with it.
    pub access_version: i64,
}

#[derive(Debug, FromQueryResult)]
struct StandingRow {
    #[sea_orm(nested)]
    credential: credentials::Model,
    key_id: Option<String>,
    secret_hash: Option<String>,
    valid_until: Option<i64>,
    flavor: Option<String>,
    policy: Option<String>,
    connection_changed: Option<i64>,
    schema_version: i64,
    access_version: i64,
}

impl StandingRow {
    fn into_standing(self) -> Result<Standing> {
        let id = self.credential.connection_id.as_deref().unwrap_or_default();
        let flavor = self.flavor.as_deref();
        let flavor = flavor.map(|flavor| tenants::flavor(id, flavor));
        let policy = self.policy.as_deref();
        let policy = policy.map(|policy| tenants::policy(id, policy));
        let valid_until = self.valid_until;
        let secret = self.key_id.zip(self.secret_hash);
        Ok(Standing {
            flavor: flavor.transpose()?.unwrap_or_default(),
            policy: Arc::new(policy.transpose()?.unwrap_or_default()),
            secret: secret.map(|(key_id, hash)| CredentialSecret {
                kept: KeptSecret { key_id, hash },
                valid_until,
            }),
            credential: self.credential.try_into()?,
            connection_changed: self.connection_changed.unwrap_or_default(),
            schema_version: self.schema_version,
            access_version: self.access_version,
        })
    }
}

impl Credential {
    /// Whether it is good at this time.
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now_ms)
    }

    /// Its connection's id; empty for a user's own.
    pub fn owner(&self) -> &str {
        self.connection_id.as_deref().unwrap_or_default()
    }
}

impl Standing {
    /// When the credential, or the secret by which it was found, ends;
    /// milliseconds since the Unix epoch.
    pub fn ends_at(&self) -> i64 {
        let secret = self.secret.as_ref().and_then(|secret| secret.valid_until);
        let ends = [self.credential.expires_at, secret];
        ends.into_iter().flatten().min().unwrap_or(i64::MAX)
    }
}

impl TryFrom<credentials::Model> for Credential {
    type Error = Error;

    fn try_from(mut row: credentials::Model) -> Result<Self> {
        let proof = proof(&mut row);
        let broken =
            || Error::internal(format!("credentials: {}: kind and columns differ", row.id));
        Ok(Self {
            proof: proof.ok_or_else(broken)?,
            created_by: serde_json::from_str(&row.created_by)
                .map_err(|e| Error::internal(format!("credentials.created_by: {e}")))?,
            id: row.id,
            tenant_id: row.tenant_id,
            connection_id: row.connection_id,
            name: row.name,
            audiences: words(row.audiences.as_deref().unwrap_or_default()),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            revoke_reason: row.revoke_reason,
            last_used_at: row.last_used_at,
            last_used_address: row.last_used_address,
            scopes: scopes(row.scopes.as_deref()),
            user_id: row.user_id,
        })
    }
}

/// Who made credentials of which nothing is said.
pub(super) fn operator() -> String {
    r#"{"kind":"operator"}"#.to_owned()
}

/// Names that are kept with spaces between them.
pub(super) fn words(column: &str) -> Vec<String> {
    column.split_whitespace().map(ToOwned::to_owned).collect()
}

fn scopes(column: Option<&str>) -> Scopes {
    column.map_or(Scopes::Provisioning, |names| {
        Scopes::Named(words(names).into())
    })
}

fn scopes_column(scopes: &Scopes) -> Option<String> {
    match scopes {
        Scopes::Provisioning => None,
        Scopes::Named(names) => Some(names.join(" ")),
    }
}

/// What a credential is good for, as its row says.
pub(super) fn grant(row: &credentials::Model) -> Grant {
    Grant {
        scopes: scopes(row.scopes.as_deref()),
        user_id: row.user_id.clone(),
    }
}

/// Takes the columns that the row's kind has.
fn proof(row: &mut credentials::Model) -> Option<Proof> {
    match row.kind.as_str() {
        "bearer" => Some(Proof::Secret(Purpose::Bearer)),
        "oauth-client" => Some(Proof::Secret(Purpose::Client)),
        "personal" => Some(Proof::Secret(Purpose::Personal)),
        "federated" => Some(Proof::Federated(Federation {
            issuer: row.issuer.take()?,
            subject: row.subject.take()?,
            audience: row.audience.take()?,
        })),
        _ => None,
    }
}

/// Puts a new credential in, with its secret if it has one.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &Tx, credential: &Credential, secret: Option<KeptSecret>) -> Result<()> {
    let federation = match &credential.proof {
        Proof::Secret(_) => None,
        Proof::Federated(federation) => Some(federation.clone()),
    };
    let audiences = Some(credential.audiences.join(" "));
    let created_by = serde_json::to_string(&credential.created_by);
    let row = credentials::ActiveModel {
        id: Set(credential.id.clone()),
        tenant_id: Set(credential.tenant_id.clone()),
        connection_id: Set(credential.connection_id.clone()),
        user_id: Set(credential.user_id.clone()),
        name: Set(credential.name.clone()),
        kind: Set(credential.proof.kind().to_owned()),
        issuer: Set(federation.as_ref().map(|f| f.issuer.clone())),
        subject: Set(federation.as_ref().map(|f| f.subject.clone())),
        audience: Set(federation.map(|f| f.audience)),
        audiences: Set(audiences.filter(|names| !names.is_empty())),
        scopes: Set(scopes_column(&credential.scopes)),
        created_at: Set(credential.created_at),
        created_by: Set(created_by.map_err(|e| Error::Internal(e.into()))?),
        expires_at: Set(credential.expires_at),
        revoked_at: Set(credential.revoked_at),
        revoke_reason: Set(credential.revoke_reason.clone()),
        last_used_at: Set(None),
        last_used_address: Set(None),
    };
    credentials::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    match secret {
        Some(secret) => add_secret(tx, &credential.id, secret, credential.created_at).await,
        None => Ok(()),
    }
}

/// Gives a credential one more secret.
///
/// # Errors
/// The database's.
pub async fn add_secret(tx: &Tx, id: &str, secret: KeptSecret, now_ms: i64) -> Result<()> {
    let row = credential_secrets::ActiveModel {
        key_id: Set(secret.key_id),
        credential_id: Set(id.to_owned()),
        secret_hash: Set(secret.hash),
        created_at: Set(now_ms),
        valid_until: Set(None),
    };
    credential_secrets::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// Lets all secrets of a credential end at this time at the latest.
///
/// # Errors
/// The database's.
pub async fn end_secrets(tx: &Tx, id: &str, at_ms: i64) -> Result<()> {
    use credential_secrets::Column;
    let later = Column::ValidUntil
        .is_null()
        .or(Column::ValidUntil.gt(at_ms));
    credential_secrets::Entity::update_many()
        .col_expr(Column::ValidUntil, Expr::value(at_ms))
        .filter(Column::CredentialId.eq(id))
        .filter(later)
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// Forgets secrets that ended before this time.
///
/// # Errors
/// The database's.
pub async fn forget_secrets(tx: &Tx, before_ms: i64) -> Result<()> {
    credential_secrets::Entity::delete_many()
        .filter(credential_secrets::Column::ValidUntil.lt(before_ms))
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// How many credentials of a connection are good at this time.
///
/// # Errors
/// The database's.
pub async fn count_live(tx: &Tx, connection_id: &str, now_ms: i64) -> Result<u64> {
    use credentials::Column;
    let is_live = Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now_ms));
    let count = credentials::Entity::find()
        .filter(Column::ConnectionId.eq(connection_id))
        // Those in users' names are theirs.
        .filter(Column::UserId.is_null())
        .filter(Column::RevokedAt.is_null())
        .filter(is_live)
        .count(&tx.connection())
        .await?;
    Ok(count)
}

/// When the last of the former secrets of each of these credentials ends.
///
/// # Errors
/// The database's.
pub async fn overlaps(tx: &Tx, ids: &[String]) -> Result<Vec<(String, i64)>> {
    use credential_secrets::Column;
    let rows = credential_secrets::Entity::find()
        .select_only()
        .column(Column::CredentialId)
        .column_as(Column::ValidUntil.max(), "valid_until")
        .filter(Column::CredentialId.is_in(ids))
        .filter(Column::ValidUntil.is_not_null())
        .group_by(Column::CredentialId)
        .into_tuple()
        .all(&tx.connection())
        .await?;
    Ok(rows)
}

/// The key id of the newest secret of each of these credentials.
///
/// # Errors
/// The database's.
pub async fn key_ids(tx: &Tx, ids: &[String]) -> Result<Vec<(String, String)>> {
    use credential_secrets::Column;
    let rows = credential_secrets::Entity::find()
        .select_only()
        .column(Column::CredentialId)
        .column(Column::KeyId)
        .filter(Column::CredentialId.is_in(ids))
        .filter(Column::ValidUntil.is_null())
        .into_tuple()
        .all(&tx.connection())
        .await?;
    Ok(rows)
}

const STANDING: &str = "n.flavor, n.policy, n.updated_at AS connection_changed, \
     h.schema_version, h.access_version \
     FROM credentials c JOIN directory_heads h ON h.tenant_id = c.tenant_id \
     LEFT JOIN connections n ON n.id = c.connection_id \
     LEFT JOIN users u ON u.id = c.user_id ";

/// A user who may not act has no credential.
const MAY_ACT: &str = "(c.user_id IS NULL OR (u.deleted_at IS NULL \
     AND (u.active OR u.held_at IS NOT NULL) AND u.locked_at IS NULL)) AND ";

const NO_SECRET: &str = "NULL AS key_id, NULL AS secret_hash, CAST(NULL AS BIGINT) AS valid_until";

/// What is known of the credential with a secret of this key id, of whatever
/// tenant; nothing while the user whose it is may not act.
///
/// # Errors
/// The database's.
pub async fn standing_by_key(tx: &Tx, key_id: &str) -> Result<Option<Standing>> {
    let sql = Sql::new(format!(
        "SELECT c.*, s.key_id, s.secret_hash, s.valid_until, {STANDING} \
         JOIN credential_secrets s ON s.credential_id = c.id WHERE {MAY_ACT} s.key_id = ?"
    ));
    Ok(standings(tx, sql.bind(key_id)).await?.pop())
}

/// What is known of the credential with this id, of whatever tenant; nothing
/// while the user whose it is may not act, or when this token of it was revoked.
///
/// # Errors
/// The database's.
pub async fn standing(tx: &Tx, id: &str, jti: &str) -> Result<Option<Standing>> {
    if !can_be(id) || !can_be(jti) {
        return Ok(None);
    }
    let sql = Sql::new(format!(
        "SELECT c.*, {NO_SECRET}, {STANDING} WHERE {MAY_ACT} c.id = ? AND NOT EXISTS \
         (SELECT 1 FROM spent_tokens t WHERE t.tenant_id = c.tenant_id AND t.jti = ?)"
    ));
    Ok(standings(tx, sql.bind(id).bind(jti)).await?.pop())
}

/// What is known of the credentials for which this issuer vouches by this
/// subject: of one connection, or of whatever tenant.
///
/// # Errors
/// The database's.
pub async fn standing_by_issuer(
    tx: &Tx,
    issuer: &str,
    subject: &str,
    connection_id: Option<&str>,
) -> Result<Vec<Standing>> {
    let names = [issuer, subject, connection_id.unwrap_or_default()];
    if !names.into_iter().all(can_be) {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new(format!(
        "SELECT c.*, {NO_SECRET}, {STANDING} WHERE {MAY_ACT} c.revoked_at IS NULL \
         AND c.issuer = ? AND c.subject = ?"
    ))
    .bind(issuer)
    .bind(subject);
    if let Some(id) = connection_id {
        sql = sql.text(" AND c.connection_id = ?").bind(id);
    }
    standings(tx, sql.text(" ORDER BY c.id LIMIT 100")).await
}

async fn standings(tx: &Tx, sql: Sql) -> Result<Vec<Standing>> {
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let rows = StandingRow::find_by_statement(statement)
        .all(connection)
        .await?;
    rows.into_iter().map(StandingRow::into_standing).collect()
}

/// The tenant's credential with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, tenant_id: &str, id: &str) -> Result<Option<Credential>> {
    if !can_be(id) {
        return Ok(None);
    }
    let row = credentials::Entity::find_by_id(id.to_owned())
        .filter(credentials::Column::TenantId.eq(tenant_id))
        .one(&tx.connection())
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// Which of a tenant's credentials are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this connection.
    pub connection_id: Option<String>,
    /// Only of this user.
    pub user_id: Option<String>,
    /// Only users' own (`true`) or connections' (`false`).
    pub personal: Option<bool>,
    /// Only those that expire before this time, in milliseconds since the Unix
    /// epoch.
    pub expires_before: Option<i64>,
    /// Also revoked ones.
    pub revoked: bool,
    /// Only those behind this id.
    pub after: Option<String>,
}

/// A tenant's credentials, in the order of their ids, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn list(
    tx: &Tx,
    tenant_id: &str,
    wanted: &Wanted,
    limit: u64,
) -> Result<Vec<Credential>> {
    use credentials::Column;
    let names = [&wanted.connection_id, &wanted.user_id].into_iter();
    if !names.flatten().all(|name| can_be(name)) {
        return Ok(Vec::new());
    }
    let mut query = credentials::Entity::find().filter(Column::TenantId.eq(tenant_id));
    if let Some(connection) = &wanted.connection_id {
        query = query.filter(Column::ConnectionId.eq(connection));
    }
    if let Some(user) = &wanted.user_id {
        query = query.filter(Column::UserId.eq(user));
    }
    if let Some(personal) = wanted.personal {
        query = query.filter(match personal {
            true => Column::ConnectionId.is_null(),
            false => Column::ConnectionId.is_not_null(),
        });
    }
    if let Some(before) = wanted.expires_before {
        query = query.filter(Column::ExpiresAt.lt(before));
    }
    if !wanted.revoked {
        query = query.filter(Column::RevokedAt.is_null());
    }
    if let Some(after) = &wanted.after {
        query = query.filter(Column::Id.gt(after));
    }
    let rows = query
        .order_by_asc(Column::Id)
        .limit(limit)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Marks the credential as revoked.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &Tx, id: &str, reason: &str, now_ms: i64) -> Result<()> {
    use credentials::Column;
    credentials::Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now_ms))
        .col_expr(Column::RevokeReason, Expr::value(reason))
        .filter(Column::Id.eq(id))
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// Revokes what is a user's own, and what is bound to him; how many there were.
///
/// # Errors
/// The database's.
pub async fn revoke_of_user(tx: &Tx, user_id: &str, reason: &str, now_ms: i64) -> Result<u64> {
    use credentials::Column;
    let revoked = credentials::Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now_ms))
        .col_expr(Column::RevokeReason, Expr::value(reason))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null())
        .exec(&tx.connection())
        .await?;
    Ok(revoked.rows_affected)
}

/// Changes when a credential ends.
///
/// # Errors
/// The database's.
pub async fn set_expiry(tx: &Tx, id: &str, expires_at: i64) -> Result<()> {
    credentials::Entity::update_many()
        .col_expr(credentials::Column::ExpiresAt, Expr::value(expires_at))
        .filter(credentials::Column::Id.eq(id))
        .exec(&tx.connection())
        .await?;
    Ok(())
}
