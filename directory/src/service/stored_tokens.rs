//! Stored tokens with what is known of their secrets: listed, and told again to who
//! repeats the request that made them.

use std::collections::HashMap;

use super::{Directory, admin::not_found};
use crate::{
    auth::Caller,
    domain::{Kind, credential::Secret, history::Position},
    error::{Error, Result},
    storage::{
        Tx,
        credentials::{self, Credential},
    },
};

/// A new credential, or one with a new secret. The secret exists here and nowhere
/// else; who asks again for what was done is told of the credential alone.
#[derive(Debug, Clone)]
pub struct IssuedCredential {
    /// What is kept.
    pub credential: Credential,
    /// What the client gets; `None` when its own issuer vouches for it.
    pub secret: Option<Secret>,
    /// Key id of its newest secret; `None` when its own issuer vouches for it.
    pub key_id: Option<String>,
    /// Until when former secrets work, in milliseconds since the Unix epoch.
    pub overlap_until: Option<i64>,
}

/// A stored token with what is known of its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The token.
    pub credential: Credential,
    /// Key id of the newest secret; `None` for a federated credential.
    pub key_id: Option<String>,
    /// Until when a former secret works, in milliseconds since the Unix epoch.
    pub overlap_until: Option<i64>,
}

impl Directory {
    /// The tenant's stored tokens, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_tokens(
        &self,
        tenant_id: &str,
        wanted: &credentials::Wanted,
        limit: usize,
    ) -> Result<Vec<StoredToken>> {
        let tx = self.store.single();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let found = credentials::list(&tx, tenant_id, wanted, limit).await?;
        self.with_secrets(&tx, found).await
    }

    /// The tenant's stored token with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get_token(&self, tenant_id: &str, id: &str) -> Result<StoredToken> {
        let tx = self.store.single();
        let found = credentials::find(&tx, tenant_id, id).await?;
        let found = found.ok_or_else(|| not_found(Kind::Token, id))?;
        let mut tokens = self.with_secrets(&tx, vec![found]).await?;
        tokens.pop().ok_or_else(|| not_found(Kind::Token, id))
    }

    async fn with_secrets(&self, tx: &Tx, found: Vec<Credential>) -> Result<Vec<StoredToken>> {
        let ids: Vec<_> = found.iter().map(|found| found.id.clone()).collect();
        let key_ids = credentials::key_ids(tx, &ids).await?;
        let mut key_ids: HashMap<_, _> = key_ids.into_iter().collect();
        let now = self.source.now_ms();
        let overlaps = credentials::overlaps(tx, &ids).await?.into_iter();
        let overlaps: HashMap<_, _> = overlaps.filter(|(_, until)| *until > now).collect();
        let stored = |credential: Credential| StoredToken {
            key_id: key_ids.remove(&credential.id),
            overlap_until: overlaps.get(&credential.id).copied(),
            credential,
        };
        Ok(found.into_iter().map(stored).collect())
    }

    /// The credential as it is kept; its secret only to who is told for the first
    /// time.
    pub(super) async fn shown(
        &self,
        issued: IssuedCredential,
        kept: Credential,
        again: bool,
    ) -> Result<IssuedCredential> {
        if again {
            return self.told_again(kept).await;
        }
        Ok(IssuedCredential {
            credential: kept,
            ..issued
        })
    }

    async fn told_again(&self, kept: Credential) -> Result<IssuedCredential> {
        let found = self.with_secrets(&self.store.single(), vec![kept]).await?;
        let mut found = found.into_iter();
        let found = found.next().ok_or_else(|| Error::internal("a token"))?;
        Ok(IssuedCredential {
            credential: found.credential,
            secret: None,
            key_id: found.key_id,
            overlap_until: found.overlap_until,
        })
    }

    /// What a request made that is repeated. It may have ended since, or its end
    /// have passed, which is no reason to refuse the repetition.
    pub(super) async fn made_before(
        &self,
        caller: &Caller,
    ) -> Result<Option<(IssuedCredential, Position)>> {
        let Some((kept, position)) = self.known(caller).await? else {
            return Ok(None);
        };
        Ok(Some((self.told_again(kept).await?, position)))
    }
}
