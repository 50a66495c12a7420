//! The keys that sign tokens.
//!
//! With a key encryption key, private keys are in the database, sealed, and all
//! processes sign with the same one. Without, none is written anywhere: each
//! process signs with a key of its own, which lives as long as it does, and tells
//! the others its public part through the database.

use std::sync::{Arc, PoisonError};

use super::{Directory, keyring::Snapshot};
use crate::{
    domain::signing_key::State,
    error::{Error, Result},
    signing::{
        set::{self, SecurityEvent},
        token::{self, Claims, Unverified},
    },
    storage::{keys, keys::SigningKey, settings},
};

/// Most issuers that are remembered.
const ISSUERS: usize = 16;

/// What is sealed to recognise the key encryption key.
const CHECK: &[u8] = b"muster";

/// A token that was verified.
#[derive(Debug)]
pub(super) struct Verified {
    /// What it says.
    pub(super) claims: Claims,
    /// The keys by which that was found.
    pub(super) keys_version: i64,
}

/// A set of public keys, as verifiers read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    /// RFC 7517 section 5.
    pub json: String,
    /// `iss` of what they sign.
    pub issuer: String,
}

/// A key with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: SigningKey,
    /// What it is good for now.
    pub state: State,
}
impl Directory {
    /// Whose word tokens are: `iss`. Tokens that were issued under a former name
    /// go on to count.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_issuer(&self, issuer: &str) -> Result<()> {
        let name = issuer.to_owned();
        self.store
            .administer("TakeIssuer", move |tx| {
                let name = name.clone();
                async move {
                    let known = settings::load(&tx, settings::ISSUERS).await?;
                    let known = known.unwrap_or_default();
                    if known.lines().next() == Some(name.as_str()) {
                        return Ok(());
                    }
                    let others = known.lines().filter(|other| *other != name);
                    let all = std::iter::once(name.as_str()).chain(others);
                    let all: Vec<_> = all.take(ISSUERS).collect();
                    settings::save(&tx, settings::ISSUERS, all.join("\n")).await?;
                    keys::touch(&tx).await
                }
            })
            .await?;
        let place = self.keyring.issuer.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Some(issuer.to_owned());
        Ok(())
    }

    /// Checks that private keys in the database can be opened, and makes the
    /// first key.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a wrong or a missing key encryption key.
    pub async fn prepare_keys(&self) -> Result<()> {
        self.check_sealing().await?;
        self.signer().await.map(|_| ())
    }

    /// Checks that private keys in the database can be opened.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a wrong or a missing key encryption key.
    pub async fn check_sealing(&self) -> Result<()> {
        let check = settings::load(&self.store.single(), settings::KEY_CHECK).await?;
        match (&self.keyring.sealing, check) {
            (None, Some(_)) => Err(Error::Unusable(
                "the signing keys in this database are encrypted: \
                 key_encryption_key or key_encryption_key_file is needed"
                    .to_owned(),
            )),
            (Some(sealing), Some(check)) => match sealing.open(settings::KEY_CHECK, &check) {
                Some(plain) if plain == CHECK => Ok(()),
                _ => Err(Error::Unusable(
                    "the key encryption key is not the one under which the signing keys in \
                     this database are encrypted"
                        .to_owned(),
                )),
            },
            (Some(sealing), None) => {
                let sealed = sealing.seal(settings::KEY_CHECK, CHECK, self.source.as_ref())?;
                let kept = self.store.administer("KeepKeyCheck", move |tx| {
                    let sealed = sealed.clone();
                    async move { super::keep(&tx, settings::KEY_CHECK, sealed).await }
                });
                let kept = kept.await?;
                match sealing.open(settings::KEY_CHECK, &kept) {
                    Some(_) => Ok(()),
                    None => Err(Error::Unusable(
                        "another process started with another key encryption key".to_owned(),
                    )),
                }
            }
            (None, None) => Ok(()),
        }
    }

    /// The keys as they are now.
    pub(super) async fn keys_now(&self) -> Result<Arc<Snapshot>> {
        let access = self.store.access();
        match self.keyring.known() {
            Some(known) if access.is_fresh() && known.version >= access.keys_version() => Ok(known),
            _ => self.keyring.load(&self.store.express()).await,
        }
    }

    /// `iss` of new tokens.
    pub(super) async fn issuer(&self) -> Result<String> {
        let configured = self.keyring.issuer.read();
        let configured = configured.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(issuer) = configured {
            return Ok(issuer);
        }
        let known = self.keys_now().await?.issuers.first().cloned();
        known.ok_or_else(|| Error::Unusable("no server has run on this database yet".to_owned()))
    }

    /// Signs a token with the key whose turn it is; its `kid`, too.
    pub(super) async fn sign(&self, claims: &Claims) -> Result<(String, String)> {
        let snapshot = self.signer().await?;
        let signer = snapshot.signer(self.source.now_ms());
        let signer = signer.ok_or_else(|| Error::internal("no key signs"))?;
        let private = signer.private.as_ref();
        let private = private.ok_or_else(|| Error::internal("the signing key is elsewhere"))?;
        let kid = signer.kept.kid.clone();
        Ok((token::sign(claims, &kid, private)?, kid))
    }

    /// Signs a security event with the key whose turn it is.
    pub(super) async fn sign_event(&self, event: &SecurityEvent) -> Result<String> {
        let snapshot = self.signer().await?;
        let signer = snapshot.signer(self.source.now_ms());
        let signer = signer.ok_or_else(|| Error::internal("no key signs"))?;
        let private = signer.private.as_ref();
        let private = private.ok_or_else(|| Error::internal("the signing key is elsewhere"))?;
        set::sign(event, &signer.kept.kid, private)
    }

    /// Keys of which one signs; it is made when there is none.
    pub(super) async fn signer(&self) -> Result<Arc<Snapshot>> {
        let snapshot = self.keys_now().await?;
        if snapshot.signer(self.source.now_ms()).is_some() {
            return Ok(snapshot);
        }
        let _making = self.keyring.making.lock().await;
        let snapshot = self.keyring.load(&self.store.express()).await?;
        let now = self.source.now_ms();
        if snapshot.signer(now).is_some() {
            return Ok(snapshot);
        }
        let made = self
            .keyring
            .make(snapshot.algorithm(), now, self.source.as_ref())?;
        let kept = Arc::new(made.0);
        let (new, ring) = (Arc::clone(&kept), Arc::clone(&self.keyring));
        let inserted = self
            .store
            .administer("MakeSigningKey", move |tx| {
                let (new, ring) = (Arc::clone(&new), Arc::clone(&ring));
                async move {
                    // Another process that has the same keys may have been first.
                    if ring.load(&tx).await?.signer(now).is_some() {
                        return Ok(false);
                    }
                    keys::insert(&tx, &new).await?;
                    Ok(true)
                }
            })
            .await?;
        if inserted {
            tracing::info!(key.id = kept.kid, key.algorithm = %kept.algorithm, "a new signing key");
            self.keyring.keep(&kept, made.1);
        }
        self.keyring.load(&self.store.express()).await
    }

    /// What a token of ours says; `None` for what none of our keys signed, or
    /// what has ended.
    pub(super) async fn verify(&self, text: &str) -> Result<Option<Verified>> {
        let Some(token) = Unverified::read(text) else {
            return Ok(None);
        };
        let mut snapshot = self.keys_now().await?;
        let now = self.source.now_ms();
        if snapshot.find(token.kid()).is_none() {
            // Another process may have made it since.
            let _looking = self.keyring.looking.lock().await;
            snapshot = self.keys_now().await?;
            if snapshot.find(token.kid()).is_none() && self.keyring.may_look(now) {
                snapshot = self.keyring.load(&self.store.express()).await?;
            }
        }
        let is_known = |issuer: &str| snapshot.issuers.iter().any(|known| known == issuer);
        let is_news = token.issuer().is_some_and(|issuer| !is_known(&issuer));
        if is_news && self.keyring.may_look(now) {
            // Another process may have begun to issue under this name since.
            snapshot = self.keyring.load(&self.store.express()).await?;
        }
        Ok(snapshot.verify(&token, now))
    }

    /// The public keys that verifiers need.
    ///
    /// # Errors
    /// The database's.
    pub async fn public_keys(&self) -> Result<PublicKeys> {
        let snapshot = self.keys_now().await?;
        let now = self.source.now_ms();
        let published = snapshot.keys.iter();
        let published = published.filter(|known| known.kept.life.state(now).is_published());
        let keys: Vec<_> = published.map(|known| known.public.jwk()).collect();
        Ok(PublicKeys {
            json: serde_json::json!({ "keys": keys }).to_string(),
            issuer: self.issuer().await?,
        })
    }

    /// All keys that are known.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_keys(&self) -> Result<Vec<KeyState>> {
        let snapshot = self.keyring.load(&self.store.express()).await?;
        Ok(snapshot.states(self.source.now_ms()))
    }
}
