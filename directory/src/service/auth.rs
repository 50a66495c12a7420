//! Who is behind a bearer token.

use super::Directory;
use crate::{
    auth::{CONNECTION_SCOPES, Caller},
    domain::credential::Secret,
    error::{Error, Result},
    storage::credentials,
};

/// Compared with when there is no such credential, so that a guess takes as
/// long as a near miss.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Directory {
    /// The caller who holds this bearer token. `connection_id` is the
    /// connection that the caller believes to be his, when he says so.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with it.
    pub async fn authenticate(&self, bearer: &str, connection_id: Option<&str>) -> Result<Caller> {
        let secret = Secret::parse(bearer).ok_or(Error::CredentialInvalid)?;
        let found = credentials::find_by_key(&self.store.express(), secret.key_id()).await?;
        let hash = found.as_ref().map_or(NO_HASH, |found| &found.secret_hash);
        let matches = secret.matches(hash);
        let credential = found.filter(|_| matches).ok_or(Error::CredentialInvalid)?;

        let now = self.source.now_ms();
        let expired = credential.expires_at.is_some_and(|at| at <= now);
        let elsewhere = connection_id.is_some_and(|id| id != credential.connection_id);
        if expired || credential.revoked_at.is_some() || elsewhere {
            return Err(Error::CredentialInvalid);
        }
        Ok(Caller {
            tenant_id: credential.tenant_id,
            connection_id: credential.connection_id,
            credential_id: credential.id,
            scopes: &CONNECTION_SCOPES,
        })
    }
}
