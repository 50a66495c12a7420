//! Credentials of connections. The secret itself is never here.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, sea_query::Expr,
};

use super::{Tx, entity::credentials, sql::Sql, tenants};
use crate::{
    auth::{Grant, Scopes},
    domain::{
        credential::{Federation, KeptSecret, Proof, Purpose},
        flavor::Flavor,
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
    /// Whose connection.
    pub connection_id: String,
    /// What people call it.
    pub name: String,
    /// What proves its holder.
    pub proof: Proof,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expires_at: Option<i64>,
    /// Milliseconds since the Unix epoch; `None`: not revoked.
    pub revoked_at: Option<i64>,
    /// What its holder may do.
    pub scopes: Scopes,
    /// The user in whose name its holder speaks; `None`: the connection.
    pub user_id: Option<String>,
}

/// A credential with what its connection goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The credential.
    pub credential: Credential,
    /// Its connection's.
    pub flavor: Flavor,
    /// When its connection last changed, in milliseconds since the Unix epoch.
    pub connection_changed: i64,
    /// Its tenant's.
    pub schema_version: i64,
}

#[derive(Debug, FromQueryResult)]
struct StandingRow {
    #[sea_orm(nested)]
    credential: credentials::Model,
    flavor: String,
    connection_changed: i64,
    schema_version: i64,
}

impl Credential {
    /// Whether it is good at this time.
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now_ms)
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
            id: row.id,
            tenant_id: row.tenant_id,
            connection_id: row.connection_id,
            name: row.name,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            scopes: scopes(row.scopes.as_deref()),
            user_id: row.user_id,
        })
    }
}

fn scopes(column: Option<&str>) -> Scopes {
    column.map_or(Scopes::Provisioning, |names| {
        let names = names.split_whitespace().map(ToOwned::to_owned);
        Scopes::Named(names.collect())
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
    let mut secret = |purpose| {
        Some(Proof::Secret(KeptSecret {
            purpose,
            key_id: row.key_id.take()?,
            hash: row.secret_hash.take()?,
        }))
    };
    match row.kind.as_str() {
        "bearer" => secret(Purpose::Bearer),
        "oauth-client" => secret(Purpose::Client),
        "federated" => Some(Proof::Federated(Federation {
            issuer: row.issuer.take()?,
            subject: row.subject.take()?,
            audience: row.audience.take()?,
        })),
        _ => None,
    }
}

/// Puts a new credential in.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &Tx, credential: &Credential) -> Result<()> {
    let (secret, federation) = match &credential.proof {
        Proof::Secret(secret) => (Some(secret.clone()), None),
        Proof::Federated(federation) => (None, Some(federation.clone())),
    };
    let row = credentials::ActiveModel {
        id: Set(credential.id.clone()),
        tenant_id: Set(credential.tenant_id.clone()),
        connection_id: Set(credential.connection_id.clone()),
        name: Set(credential.name.clone()),
        kind: Set(credential.proof.kind().to_owned()),
        key_id: Set(secret.as_ref().map(|kept| kept.key_id.clone())),
        secret_hash: Set(secret.map(|kept| kept.hash)),
        issuer: Set(federation.as_ref().map(|f| f.issuer.clone())),
        subject: Set(federation.as_ref().map(|f| f.subject.clone())),
        audience: Set(federation.map(|f| f.audience)),
        created_at: Set(credential.created_at),
        expires_at: Set(credential.expires_at),
        revoked_at: Set(credential.revoked_at),
        scopes: Set(scopes_column(&credential.scopes)),
        user_id: Set(credential.user_id.clone()),
    };
    credentials::Entity::insert(row)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}

/// What is known of the credential with this key id, of whatever tenant; nothing
/// while the user whose it is may not act.
///
/// # Errors
/// The database's.
pub async fn standing_by_key(tx: &Tx, key_id: &str) -> Result<Option<Standing>> {
    standing_where(tx, Sql::new("c.key_id = ?").bind(key_id)).await
}

/// What is known of the credential with this id, of whatever tenant; nothing
/// while the user whose it is may not act.
///
/// # Errors
/// The database's.
pub async fn standing(tx: &Tx, id: &str) -> Result<Option<Standing>> {
    standing_where(tx, Sql::new("c.id = ?").bind(id)).await
}

async fn standing_where(tx: &Tx, condition: Sql) -> Result<Option<Standing>> {
    let sql = Sql::new(
        "SELECT c.*, n.flavor, n.updated_at AS connection_changed, h.schema_version \
         FROM credentials c JOIN connections n ON n.id = c.connection_id \
         JOIN directory_heads h ON h.tenant_id = c.tenant_id \
         LEFT JOIN users u ON u.id = c.user_id \
         WHERE (c.user_id IS NULL OR (u.deleted_at IS NULL AND u.active)) AND ",
    )
    .then(condition);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = StandingRow::find_by_statement(statement)
        .one(connection)
        .await?;
    let standing = |row: StandingRow| {
        Ok(Standing {
            flavor: tenants::flavor(&row.credential.connection_id, &row.flavor)?,
            credential: row.credential.try_into()?,
            connection_changed: row.connection_changed,
            schema_version: row.schema_version,
        })
    };
    row.map(standing).transpose()
}

/// The credential with this id, of whatever tenant: whoever names it by its id
/// alone has still to prove that it is his.
///
/// # Errors
/// The database's.
pub async fn find_anywhere(tx: &Tx, id: &str) -> Result<Option<Credential>> {
    let row = credentials::Entity::find_by_id(id.to_owned())
        .one(&tx.connection())
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The tenant's credential with this id.
///
/// # Errors
/// The database's.
pub async fn find(tx: &Tx, tenant_id: &str, id: &str) -> Result<Option<Credential>> {
    let row = credentials::Entity::find_by_id(id.to_owned())
        .filter(credentials::Column::TenantId.eq(tenant_id))
        .one(&tx.connection())
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The connection's credentials, in the order of their ids.
///
/// # Errors
/// The database's.
pub async fn list(tx: &Tx, connection_id: &str) -> Result<Vec<Credential>> {
    let rows = credentials::Entity::find()
        .filter(credentials::Column::ConnectionId.eq(connection_id))
        .order_by_asc(credentials::Column::Id)
        .all(&tx.connection())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Marks the credential as revoked.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &Tx, id: &str, now_ms: i64) -> Result<()> {
    credentials::Entity::update_many()
        .col_expr(credentials::Column::RevokedAt, Expr::value(now_ms))
        .filter(credentials::Column::Id.eq(id))
        .exec(&tx.connection())
        .await?;
    Ok(())
}
