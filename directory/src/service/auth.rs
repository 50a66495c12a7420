//! Who is behind a bearer token, and access tokens for those who prove
//! themselves otherwise.

use std::time::Duration;

use super::Directory;
use crate::{
    auth::{Caller, Profile},
    cursor::ACCESS_PREFIX,
    domain::credential::{KeptSecret, Proof, Purpose, Secret},
    error::{Error, Result},
    signing::Assertion,
    storage::credentials::{self, Credential, Standing},
};

/// How long an access token lives at most. Entra accepts 1 to 6 hours.
const ACCESS_MS: i64 = 60 * 60 * 1000;

/// Compared with when there is no such credential, so that a guess takes as
/// long as a near miss.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What an OAuth client proves itself with.
#[derive(Clone, Copy)]
pub enum ClientProof<'a> {
    /// Its secret.
    Secret(&'a str),
    /// A JWT of its own issuer.
    Assertion(&'a str),
}

/// What an OAuth client gets.
#[derive(Clone)]
pub struct AccessToken {
    /// The bearer.
    pub token: String,
    /// How long it lives.
    pub expires_in: Duration,
}

impl Directory {
    /// The caller who holds this bearer token. `connection_id` is the
    /// connection that the caller believes to be his, when he says so.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with it.
    pub async fn authenticate(&self, bearer: &str, connection_id: Option<&str>) -> Result<Caller> {
        let standing = if bearer.starts_with(ACCESS_PREFIX) {
            self.behind_access_token(bearer).await?
        } else {
            self.behind_secret(bearer).await?
        };
        let credential = &standing.credential;
        let elsewhere = connection_id.is_some_and(|id| id != credential.connection_id);
        if !credential.is_live(self.source.now_ms()) || elsewhere {
            return Err(Error::CredentialInvalid);
        }
        let (tenant_id, version) = (&credential.tenant_id, standing.schema_version);
        let registry = self.registries.get(&self.store, tenant_id, version).await?;
        let credential = standing.credential;
        Ok(Caller {
            tenant_id: credential.tenant_id,
            connection_id: credential.connection_id,
            credential_id: credential.id,
            scopes: credential.scopes,
            request_id: String::new(),
            profile: Profile {
                flavor: standing.flavor,
                connection_changed: standing.connection_changed,
                schema_version: standing.schema_version,
                registry,
                user_id: credential.user_id,
                is_named: false,
            },
        })
    }

    /// Whether the caller's credential is still good.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] when it is not.
    pub async fn check_credential(&self, caller: &Caller) -> Result<()> {
        let tx = self.store.express();
        let found = credentials::find_anywhere(&tx, &caller.credential_id).await?;
        let now = self.source.now_ms();
        match found {
            Some(credential) if credential.is_live(now) => Ok(()),
            _ => Err(Error::CredentialInvalid),
        }
    }

    async fn behind_secret(&self, bearer: &str) -> Result<Standing> {
        let secret = Secret::parse(Purpose::Bearer, bearer).ok_or(Error::CredentialInvalid)?;
        let found = credentials::standing_by_key(&self.store.express(), secret.key_id()).await?;
        let credential = found.as_ref().map(|found| &found.credential);
        let proven = proves(&secret, credential, Purpose::Bearer);
        found.filter(|_| proven).ok_or(Error::CredentialInvalid)
    }

    /// Tokens are not stored: the seal says whose they are, and the credential
    /// behind them is looked up each time, so that its end is theirs.
    async fn behind_access_token(&self, bearer: &str) -> Result<Standing> {
        let opened = self.cursors.open_access(bearer);
        let (id, expires_ms) = opened.ok_or(Error::CredentialInvalid)?;
        if expires_ms <= self.source.now_ms() {
            return Err(Error::CredentialInvalid);
        }
        let found = credentials::standing(&self.store.express(), &id).await?;
        let found = found.filter(|found| found.credential.proof.is_oauth());
        found.ok_or(Error::CredentialInvalid)
    }

    /// Gives an access token to the client with this id if it proves itself
    /// (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with id or proof;
    /// [`Error::IssuerUnavailable`].
    pub async fn issue_token(
        &self,
        client_id: &str,
        proof: ClientProof<'_>,
    ) -> Result<AccessToken> {
        let now = self.source.now_ms();
        let found = credentials::find_anywhere(&self.store.single(), client_id).await?;
        let client = found.filter(|found| found.is_live(now));
        let proven = match proof {
            ClientProof::Secret(text) => Secret::parse(Purpose::Client, text)
                .is_some_and(|secret| proves(&secret, client.as_ref(), Purpose::Client)),
            ClientProof::Assertion(text) => self.vouches(text, client.as_ref(), now).await?,
        };
        let client = client.filter(|_| proven).ok_or(Error::CredentialInvalid)?;
        let end = now.saturating_add(ACCESS_MS);
        let end = client.expires_at.map_or(end, |expiry| expiry.min(end));
        Ok(AccessToken {
            token: self.cursors.access(&client.id, end),
            expires_in: Duration::from_millis(u64::try_from(end - now).unwrap_or(0)),
        })
    }

    /// Whether the client's own issuer vouches for it with this assertion.
    async fn vouches(&self, text: &str, client: Option<&Credential>, now_ms: i64) -> Result<bool> {
        let Some(Proof::Federated(expected)) = client.map(|client| &client.proof) else {
            return Ok(false);
        };
        let Some(assertion) = Assertion::read(text) else {
            return Ok(false);
        };
        let keys = self
            .issuers
            .keys(&expected.issuer, assertion.key_id(), now_ms);
        Ok(assertion.holds(&*keys.await?, expected, now_ms))
    }
}

/// Whether the secret is that of the credential, and meant for this purpose.
fn proves(secret: &Secret, credential: Option<&Credential>, purpose: Purpose) -> bool {
    let kept = credential.and_then(|credential| kept(credential, purpose));
    let hash = kept.map_or(NO_HASH, |kept| &kept.hash);
    secret.matches(hash) && kept.is_some()
}

fn kept(credential: &Credential, purpose: Purpose) -> Option<&KeptSecret> {
    match &credential.proof {
        Proof::Secret(kept) => Some(kept).filter(|kept| kept.purpose == purpose),
        Proof::Federated(_) => None,
    }
}
