//! What users are called elsewhere: by identity providers, and by connections.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Tx, resources::CHUNK, sql::Sql};
use crate::error::Result;

/// What an identity provider calls a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identity provider.
    pub issuer: String,
    /// What it calls him.
    pub subject: String,
    /// Milliseconds since the Unix epoch.
    pub linked_at: i64,
}

/// What a connection calls a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalKey {
    /// The connection.
    pub connection_id: String,
    /// Its `externalId`.
    pub external_id: String,
}

/// Identities of users, in the order of their linking; but for those that were
/// a deleted user's, and are another one's by now.
///
/// # Errors
/// The database's.
pub async fn identities(
    tx: &Tx,
    tenant_id: &str,
    user_ids: &[String],
) -> Result<HashMap<String, Vec<Identity>>> {
    #[derive(FromQueryResult)]
    struct Row {
        user_id: String,
        issuer: String,
        subject: String,
        linked_at: i64,
    }
    let mut found: HashMap<String, Vec<Identity>> = HashMap::new();
    let connection = &tx.connection();
    for ids in user_ids.chunks(CHUNK) {
        let sql = Sql::new(
            "SELECT f.user_id, f.issuer, f.subject, f.linked_at FROM federated_identities f \
             WHERE f.tenant_id = ? AND (f.live OR NOT EXISTS \
             (SELECT 1 FROM federated_identities o WHERE o.tenant_id = f.tenant_id \
             AND o.issuer = f.issuer AND o.subject = f.subject AND o.live)) AND f.user_id IN (",
        )
        .bind(tenant_id)
        .then(Sql::list(ids.iter().map(String::as_str)))
        .text(") ORDER BY f.user_id, f.linked_at, f.issuer, f.subject");
        let statement = sql.statement(connection.get_database_backend());
        for row in Row::find_by_statement(statement).all(connection).await? {
            found.entry(row.user_id).or_default().push(Identity {
                issuer: row.issuer,
                subject: row.subject,
                linked_at: row.linked_at,
            });
        }
    }
    Ok(found)
}

/// What connections call users, in the order of the connections' ids; but for what
/// they call other ones by now.
///
/// # Errors
/// The database's.
pub async fn external_keys(
    tx: &Tx,
    tenant_id: &str,
    user_ids: &[String],
) -> Result<HashMap<String, Vec<ExternalKey>>> {
    #[derive(FromQueryResult)]
    struct Row {
        resource_id: String,
        connection_id: String,
        external_id: String,
    }
    let mut found: HashMap<String, Vec<ExternalKey>> = HashMap::new();
    let connection = &tx.connection();
    for ids in user_ids.chunks(CHUNK) {
        let sql = Sql::new(
            "SELECT e.resource_id, e.connection_id, e.external_id FROM external_ids e \
             JOIN connections c ON c.id = e.connection_id WHERE c.tenant_id = ? \
             AND e.resource_type = 1 AND (e.live OR NOT EXISTS \
             (SELECT 1 FROM external_ids o WHERE o.connection_id = e.connection_id \
             AND o.resource_type = e.resource_type AND o.external_id = e.external_id \
             AND o.live)) AND e.resource_id IN (",
        )
        .bind(tenant_id)
        .then(Sql::list(ids.iter().map(String::as_str)))
        .text(") ORDER BY e.resource_id, e.connection_id");
        let statement = sql.statement(connection.get_database_backend());
        for row in Row::find_by_statement(statement).all(connection).await? {
            found.entry(row.resource_id).or_default().push(ExternalKey {
                connection_id: row.connection_id,
                external_id: row.external_id,
            });
        }
    }
    Ok(found)
}

/// Gives a live user an identity.
///
/// # Errors
/// [`Error::Taken`](crate::error::Error::Taken) when another live user has it.
pub async fn link(tx: &Tx, tenant_id: &str, user_id: &str, identity: &Identity) -> Result<()> {
    let sql = Sql::new(
        "INSERT INTO federated_identities \
         (user_id, issuer, subject, tenant_id, live, linked_at) VALUES (?, ?, ?, ?, TRUE, ?)",
    )
    .bind(user_id)
    .bind(identity.issuer.as_str())
    .bind(identity.subject.as_str())
    .bind(tenant_id)
    .bind(identity.linked_at);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}

/// Takes an identity from a user; whether he had it.
///
/// # Errors
/// The database's.
pub async fn unlink(
    tx: &Tx,
    tenant_id: &str,
    user_id: &str,
    (issuer, subject): (&str, &str),
) -> Result<bool> {
    let sql = Sql::new(
        "DELETE FROM federated_identities \
         WHERE tenant_id = ? AND user_id = ? AND issuer = ? AND subject = ?",
    )
    .bind(tenant_id)
    .bind(user_id)
    .bind(issuer)
    .bind(subject);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    Ok(connection.execute_raw(statement).await?.rows_affected() > 0)
}
