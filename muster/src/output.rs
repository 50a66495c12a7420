//! Results of admin commands, for people and for machines.

use std::io::{self, Write as _};

use muster_directory::{
    domain::credential::Proof,
    service::{IssuedCredential, StoredToken, Tally, Verdict},
    storage::{
        MigrationStatus,
        credentials::Credential,
        tenants::{Connection, Tenant},
    },
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{arguments::Json, urls::Of};

/// A tenant.
pub(crate) fn tenant(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "created_at": instant(Some(tenant.created_at)),
    })
}

/// A connection; `tenant_url` names it, for clients whose token may change.
pub(crate) fn connection(connection: &Connection, urls: &Of) -> Value {
    let lifetime = connection.policy.credential_lifetime;
    json!({
        "id": connection.id,
        "name": connection.name,
        "flavor": connection.flavor.name(),
        "credential_lifetime_seconds": lifetime.map(|lifetime| lifetime.ms() / 1_000),
        "tenant_id": connection.tenant_id,
        "tenant_url": urls.own_url,
        "version": connection.version,
        "created_at": instant(Some(connection.created_at)),
    })
}

/// A credential without its secret.
pub(crate) fn credential(credential: &Credential) -> Value {
    let mut shown = json!({
        "id": credential.id,
        "name": credential.name,
        "kind": credential.proof.kind(),
        "connection_id": credential.connection_id,
        "created_at": instant(Some(credential.created_at)),
        "expires_at": instant(credential.expires_at),
        "revoked_at": instant(credential.revoked_at),
        "revoke_reason": credential.revoke_reason,
        "last_used_at": instant(credential.last_used_at),
        "last_used_address": credential.last_used_address,
        "scopes": credential.scopes.names(),
        "user_id": credential.user_id,
    });
    if let Proof::Federated(federation) = &credential.proof {
        shown["issuer"] = federation.issuer.as_str().into();
        shown["subject"] = federation.subject.as_str().into();
        shown["audience"] = federation.audience.as_str().into();
    }
    shown
}

/// A credential with what is known of its secrets.
pub(crate) fn stored(token: &StoredToken) -> Value {
    let mut shown = credential(&token.credential);
    if let (Some(key_id), Proof::Secret(purpose)) = (&token.key_id, &token.credential.proof) {
        shown["display_prefix"] = format!("{}{key_id}", purpose.prefix()).into();
    }
    shown["previous_secret_expires_at"] = instant(token.overlap_until);
    shown
}

/// A new credential with what its client needs: a secret unless its own issuer
/// vouches for it, and the token endpoint if it is for one.
pub(crate) fn issued(issued: &IssuedCredential, urls: &Of) -> Value {
    let credential = &issued.credential;
    let mut shown = json!({
        "id": credential.id,
        "name": credential.name,
        "kind": credential.proof.kind(),
        "connection_id": credential.connection_id,
        "tenant_url": urls.tenant_url,
        "expires_at": instant(credential.expires_at),
    });
    if let Proof::Federated(_) = credential.proof {
        // Its issuer may vouch for other connections, too.
        shown["tenant_url"] = urls.own_url.as_str().into();
    }
    if credential.proof.is_oauth() {
        shown["client_id"] = credential.id.as_str().into();
        shown["token_endpoint"] = urls.token_endpoint.as_str().into();
    }
    if let Some(secret) = &issued.secret {
        shown["secret"] = secret.expose().into();
    }
    shown
}

/// A migration.
pub(crate) fn migration(status: &MigrationStatus) -> Value {
    json!({"name": status.name, "applied": status.applied})
}

/// The store's epoch.
pub(crate) fn epoch(epoch: &str) -> Value {
    json!({"epoch": epoch})
}

/// What was exported or imported.
pub(crate) fn tally(tally: &Tally) -> Value {
    json!({"records": tally.records, "sha256": tally.sha256})
}

/// What checking the audit told.
pub(crate) fn verdict(verdict: &Verdict) -> Value {
    json!({
        "intact": verdict.broken.is_none(),
        "checked_entries": verdict.checked,
        "first_broken_sequence": verdict.broken,
        "head": verdict.head,
        "head_sequence": verdict.head_sequence,
    })
}

/// A time; null for none.
pub(crate) fn instant(ms: Option<i64>) -> Value {
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

/// Prints a list of results: as JSON an array of all there is, else a line each, with
/// these columns.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn many(values: &[Value], columns: &[&str], json: Json) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json.json {
        return writeln!(out, "{}", Value::from(values));
    }
    if values.is_empty() {
        // Not among the results: whoever counts lines counts none.
        return writeln!(io::stderr(), "nothing");
    }
    for value in values {
        writeln!(out, "{}", line(value, columns))?;
    }
    Ok(())
}

fn line(value: &Value, columns: &[&str]) -> String {
    let shown = |name: &&str| format!("{name}={}", plain(&value[*name]));
    columns.iter().map(shown).collect::<Vec<_>>().join("  ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_columns_in_their_order() {
        let value = json!({"id": 7, "name": "entra", "scopes": ["a"], "end": null});
        assert_eq!(
            line(&value, &["name", "id", "end", "nothing"]),
            "name=entra  id=7  end=-  nothing=-"
        );
    }
}
