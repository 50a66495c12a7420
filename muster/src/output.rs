//! Results of admin commands, for people and for machines.

use std::io::{self, Write as _};

use muster_directory::{
    domain::credential::Secret,
    service::IssuedCredential,
    storage::{
        MigrationStatus,
        credentials::Credential,
        tenants::{Connection, Tenant},
    },
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::arguments::Json;

/// A tenant.
pub(crate) fn tenant(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "created_at": instant(Some(tenant.created_at)),
    })
}

/// A connection; `tenant_url` names it, for clients whose token may change.
pub(crate) fn connection(connection: &Connection, tenant_url: &str) -> Value {
    json!({
        "id": connection.id,
        "name": connection.name,
        "tenant_id": connection.tenant_id,
        "tenant_url": format!("{tenant_url}/connections/{}", connection.id),
        "created_at": instant(Some(connection.created_at)),
    })
}

/// A credential without its secret.
pub(crate) fn credential(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "name": credential.name,
        "connection_id": credential.connection_id,
        "created_at": instant(Some(credential.created_at)),
        "expires_at": instant(credential.expires_at),
        "revoked_at": instant(credential.revoked_at),
    })
}

/// A new credential with its secret.
pub(crate) fn issued(issued: &IssuedCredential, tenant_url: &str) -> Value {
    json!({
        "id": issued.credential.id,
        "name": issued.credential.name,
        "connection_id": issued.credential.connection_id,
        "secret": issued.secret.as_ref().map(Secret::expose),
        "tenant_url": tenant_url,
        "expires_at": instant(issued.credential.expires_at),
    })
}

/// A migration.
pub(crate) fn migration(status: &MigrationStatus) -> Value {
    json!({"name": status.name, "applied": status.applied})
}

fn instant(ms: Option<i64>) -> Value {
    let text = ms.and_then(|ms| {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
        time.format(&Rfc3339).ok()
    });
    text.map_or(Value::Null, Value::String)
}

/// Prints one result.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn one(value: &Value, json: Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json.json {
        return writeln!(out, "{value}");
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        writeln!(out, "{name}: {}", plain(value))?;
    }
    Ok(())
}

/// Prints a list of results: as JSON an array, else a line each.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn many(values: &[Value], json: Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json.json {
        return writeln!(out, "{}", Value::from(values));
    }
    for value in values {
        let fields = value.as_object().into_iter().flatten();
        let fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect();
        writeln!(out, "{}", fields.join("  "))?;
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
