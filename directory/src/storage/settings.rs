//! Facts about the store itself.

use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};

use super::{Tx, entity::settings};
use crate::error::Result;

/// Random text that changes when the database is restored or replaced.
pub const EPOCH: &str = "epoch";

/// What tells a PostgreSQL database from the one it was restored from.
pub const IDENTITY: &str = "identity";

/// Key that authenticates cursors handed to callers; base64.
pub const CURSOR_KEY: &str = "cursor_key";

/// URL under which clients reach the SCIM endpoint of the server that last ran.
pub const TENANT_URL: &str = "tenant_url";

/// URL at which OAuth clients get access tokens from that server.
pub const TOKEN_ENDPOINT: &str = "token_endpoint";

/// Issuers under which tokens of this store are or were issued, the last one
/// first; one a line.
pub const ISSUERS: &str = "issuers";

/// Grows with every change of the keys that sign tokens, and of the issuers.
pub const KEYS_VERSION: &str = "keys_version";

/// A known text, sealed under the key that private keys are sealed under: tells
/// whether the one that was given is the right one.
pub const KEY_CHECK: &str = "key_check";

/// The setting's value.
///
/// # Errors
/// The database's.
pub async fn load(tx: &Tx, name: &str) -> Result<Option<String>> {
    let row = settings::Entity::find_by_id(name.to_owned())
        .one(&tx.connection())
        .await?;
    Ok(row.map(|row| row.value))
}

/// Sets the setting.
///
/// # Errors
/// The database's.
pub async fn save(tx: &Tx, name: &str, value: String) -> Result<()> {
    let row = settings::ActiveModel {
        name: Set(name.to_owned()),
        value: Set(value),
    };
    let replace = OnConflict::column(settings::Column::Name)
        .update_column(settings::Column::Value)
        .to_owned();
    settings::Entity::insert(row)
        .on_conflict(replace)
        .exec_without_returning(&tx.connection())
        .await?;
    Ok(())
}
