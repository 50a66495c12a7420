//! Keys that sign tokens. Private ones are sealed before they come here.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::Expr,
};

use super::{Tx, entity::signing_keys, settings};
use crate::{
    domain::signing_key::{Algorithm, Life},
    error::{Error, Result},
};

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its public part: a JWK.
    pub public: String,
    /// Its private part, sealed; `None` where one process alone has it.
    pub private: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it does what.
    pub life: Life,
    /// Why it was revoked, for people.
    pub revoke_reason: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

impl TryFrom<signing_keys::Model> for SigningKey {
    type Error = Error;

    fn try_from(row: signing_keys::Model) -> Result<Self> {
        let algorithm = row.algorithm.parse();
        Ok(Self {
            algorithm: algorithm.map_err(|e| Error::internal(format!("{}: {e}", row.kid)))?,
            kid: row.kid,
            public: row.public_key,
            private: row.private_key,
            created_at: row.created_at,
            life: Life {
                sign_from: row.sign_from,
                sign_until: row.sign_until,
                revoked_at: row.revoked_at,
            },
            revoke_reason: row.revoke_reason,
        })
    }
}

/// All keys, the oldest first.
///
/// # Errors
/// The database's.
pub async fn all(tx: &Tx) -> Result<Vec<SigningKey>> {
    let rows = signing_keys::Entity::find()
        .order_by_asc(signing_keys::Column::CreatedAt)
        .order_by_asc(signing_keys::Column::Kid)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Puts a new key in.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &Tx, key: &SigningKey) -> Result<()> {
    let row = signing_keys::ActiveModel {
        kid: Set(key.kid.clone()),
        algorithm: Set(key.algorithm.to_string()),
        public_key: Set(key.public.clone()),
        private_key: Set(key.private.clone()),
        created_at: Set(key.created_at),
        sign_from: Set(key.life.sign_from),
        sign_until: Set(key.life.sign_until),
        revoked_at: Set(key.life.revoked_at),
        revoke_reason: Set(key.revoke_reason.clone()),
    };
    signing_keys::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    touch(tx).await
}

/// Says why a key was revoked.
///
/// # Errors
/// The database's.
pub async fn set_reason(tx: &Tx, kid: &str, reason: &str) -> Result<()> {
    signing_keys::Entity::update_many()
        .col_expr(signing_keys::Column::RevokeReason, Expr::value(reason))
        .filter(signing_keys::Column::Kid.eq(kid))
        .exec(&tx.connection())
        .await?;
    Ok(())
}

/// Writes when a key does what. What is revoked forgets its private part.
///
/// # Errors
/// The database's.
pub async fn set_life(tx: &Tx, kid: &str, life: &Life) -> Result<()> {
    use signing_keys::Column;
    let mut update = signing_keys::Entity::update_many()
        .col_expr(Column::SignFrom, Expr::value(life.sign_from))
        .col_expr(Column::SignUntil, Expr::value(life.sign_until))
        .col_expr(Column::RevokedAt, Expr::value(life.revoked_at))
        .filter(Column::Kid.eq(kid));
    if life.revoked_at.is_some() {
        update = update.col_expr(Column::PrivateKey, Expr::value(None::<String>));
    }
    update.exec(&tx.connection()).await?;
    touch(tx).await
}

/// Forgets keys that stopped signing before this time.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &Tx, before_ms: i64) -> Result<u64> {
    let gone = signing_keys::Entity::delete_many()
        .filter(signing_keys::Column::SignUntil.lt(before_ms))
        .exec(&tx.connection())
        .await?;
    if gone.rows_affected > 0 {
        touch(tx).await?;
    }
    Ok(gone.rows_affected)
}

/// What tells the keys from what they were.
///
/// # Errors
/// The database's.
pub async fn version(tx: &Tx) -> Result<i64> {
    let version = settings::load(tx, settings::KEYS_VERSION).await?;
    Ok(version.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Tells all processes that the keys, or the issuers, are others.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &Tx) -> Result<()> {
    let next = version(tx).await? + 1;
    settings::save(tx, settings::KEYS_VERSION, next.to_string()).await
}
