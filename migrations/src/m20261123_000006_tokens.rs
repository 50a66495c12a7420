//! Tokens: several secrets of one credential, tokens of users, service clients
//! and the keys that sign; who may not act, and since when tokens are dead.
//!
//! A credential's secrets get rows of their own, and a credential may be a
//! user's instead of a connection's. SQLite cannot change columns, so the table
//! is made anew.

use sea_orm_migration::prelude::*;

use crate::{names::UNIQUE_CLIENT_NAME, statements::run};

/// Tokens, service clients, signing keys.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await?;
        let unique = format!(
            "CREATE UNIQUE INDEX {UNIQUE_CLIENT_NAME} ON service_clients (tenant_id, name_key)"
        );
        run(manager, &[&unique]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}

const UP: [&str; 19] = [
    // Grows with whatever ends or changes somebody's access: what a process
    // remembers of callers is good while it stays.
    "ALTER TABLE directory_heads ADD COLUMN access_version BIGINT NOT NULL DEFAULT 0",
    // Tokens issued until then are dead. Milliseconds since the Unix epoch.
    "ALTER TABLE users ADD COLUMN tokens_valid_after BIGINT",
    // An operator's word that the user may not act; NULL while there is none.
    "ALTER TABLE users ADD COLUMN locked_at BIGINT",
    "ALTER TABLE users ADD COLUMN lock_reason TEXT",
    // How long new credentials live, in milliseconds; NULL for good.
    "ALTER TABLE connections ADD COLUMN credential_lifetime BIGINT",
    // kind: bearer or oauth-client, which have secrets; federated, with issuer,
    // subject and audience; personal, a user's own, with audiences (separated by
    // spaces) and without a connection. created_by: JSON of an actor.
    "CREATE TABLE new_credentials (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT REFERENCES connections (id),
        user_id TEXT,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        issuer TEXT,
        subject TEXT,
        audience TEXT,
        audiences TEXT,
        scopes TEXT,
        created_at BIGINT NOT NULL,
        created_by TEXT NOT NULL,
        expires_at BIGINT,
        revoked_at BIGINT,
        revoke_reason TEXT NOT NULL DEFAULT '',
        last_used_at BIGINT,
        last_used_address TEXT)",
    "INSERT INTO new_credentials (id, tenant_id, connection_id, user_id, name, kind, issuer, \
     subject, audience, scopes, created_at, created_by, expires_at, revoked_at) \
     SELECT id, tenant_id, connection_id, user_id, name, kind, issuer, subject, audience, scopes, \
     created_at, '{\"kind\":\"operator\"}', expires_at, revoked_at FROM credentials",
    // valid_until: NULL for the newest, which is good while its credential is.
    "CREATE TABLE credential_secrets (
        key_id TEXT NOT NULL PRIMARY KEY,
        credential_id TEXT NOT NULL,
        secret_hash TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        valid_until BIGINT)",
    "INSERT INTO credential_secrets (key_id, credential_id, secret_hash, created_at) \
     SELECT key_id, id, secret_hash, created_at FROM credentials WHERE key_id IS NOT NULL",
    "DROP TABLE credentials",
    "ALTER TABLE new_credentials RENAME TO credentials",
    "CREATE INDEX ix_credentials_connection ON credentials (connection_id)",
    "CREATE INDEX ix_credentials_issuer ON credentials (issuer) WHERE issuer IS NOT NULL",
    "CREATE INDEX ix_credentials_user ON credentials (user_id) WHERE user_id IS NOT NULL",
    "CREATE INDEX ix_credentials_page ON credentials (tenant_id, id)",
    "CREATE INDEX ix_credential_secrets_credential ON credential_secrets (credential_id)",
    // scopes, audiences, token_scopes: separated by spaces; token_scopes NULL for
    // any. keys: a JWK set. certificate: thumbprint of RFC 8705.
    "CREATE TABLE service_clients (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        scopes TEXT NOT NULL,
        audiences TEXT NOT NULL,
        token_scopes TEXT,
        keys TEXT NOT NULL,
        certificate TEXT,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        disabled_at BIGINT,
        disable_reason TEXT NOT NULL DEFAULT '',
        tokens_valid_after BIGINT,
        last_used_at BIGINT,
        last_used_address TEXT)",
    // public_key: a JWK. private_key: sealed; NULL where one process has it in
    // its memory. Times in milliseconds since the Unix epoch.
    "CREATE TABLE signing_keys (
        kid TEXT NOT NULL PRIMARY KEY,
        algorithm TEXT NOT NULL,
        public_key TEXT NOT NULL,
        private_key TEXT,
        created_at BIGINT NOT NULL,
        sign_from BIGINT NOT NULL,
        sign_until BIGINT,
        revoked_at BIGINT,
        revoke_reason TEXT NOT NULL DEFAULT '')",
    // What is used once or dead before its time: jti of tokens, and of assertions.
    "CREATE TABLE spent_tokens (
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        jti TEXT NOT NULL,
        expires_at BIGINT NOT NULL,
        PRIMARY KEY (tenant_id, jti))",
];

const DOWN: [&str; 14] = [
    "DROP TABLE spent_tokens",
    "DROP TABLE signing_keys",
    "DROP TABLE service_clients",
    "CREATE TABLE old_credentials (
        id TEXT NOT NULL PRIMARY KEY,
        tenant_id TEXT NOT NULL REFERENCES tenants (id),
        connection_id TEXT NOT NULL REFERENCES connections (id),
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        key_id TEXT UNIQUE,
        secret_hash TEXT,
        issuer TEXT,
        subject TEXT,
        audience TEXT,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        revoked_at BIGINT,
        scopes TEXT,
        user_id TEXT)",
    // Users' own tokens and former secrets are lost.
    "INSERT INTO old_credentials (id, tenant_id, connection_id, name, kind, key_id, secret_hash, \
     issuer, subject, audience, created_at, expires_at, revoked_at, scopes, user_id) \
     SELECT c.id, c.tenant_id, c.connection_id, c.name, c.kind, s.key_id, s.secret_hash, \
     c.issuer, c.subject, c.audience, c.created_at, c.expires_at, c.revoked_at, c.scopes, c.user_id \
     FROM credentials c \
     LEFT JOIN credential_secrets s ON s.credential_id = c.id AND s.valid_until IS NULL \
     WHERE c.connection_id IS NOT NULL",
    "DROP TABLE credential_secrets",
    "DROP TABLE credentials",
    "ALTER TABLE old_credentials RENAME TO credentials",
    "CREATE INDEX ix_credentials_connection ON credentials (connection_id)",
    "ALTER TABLE connections DROP COLUMN credential_lifetime",
    "ALTER TABLE users DROP COLUMN lock_reason",
    "ALTER TABLE users DROP COLUMN locked_at",
    "ALTER TABLE users DROP COLUMN tokens_valid_after",
    "ALTER TABLE directory_heads DROP COLUMN access_version",
];
