//! Facts about the store itself: its epoch, and the URLs of the server that runs
//! on it.

use super::Directory;
use crate::{
    error::Result,
    storage::{identity::Identity, settings},
};

/// URLs that are given to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Of the SCIM endpoint.
    pub tenant_url: String,
    /// Where OAuth clients get access tokens.
    pub token_endpoint: String,
}

impl Directory {
    /// Remembers the URLs under which clients reach this server, for commands
    /// that print them.
    ///
    /// # Errors
    /// The database's.
    pub async fn announce(&self, urls: &Announcement) -> Result<()> {
        if self.announced().await?.as_ref() == Some(urls) {
            return Ok(());
        }
        let urls = urls.clone();
        self.store
            .administer("Announce", move |tx| {
                let urls = urls.clone();
                async move {
                    settings::save(&tx, settings::TENANT_URL, urls.tenant_url).await?;
                    settings::save(&tx, settings::TOKEN_ENDPOINT, urls.token_endpoint).await
                }
            })
            .await
    }

    /// Gives the store a new epoch: revisions and cursors from before are
    /// refused from now on. For a database that was restored from a backup.
    ///
    /// # Errors
    /// The database's.
    pub async fn renew_epoch(&self) -> Result<String> {
        let identity = match self.store.identity().await? {
            Identity::New(now) | Identity::Other(Some(now)) => Some(now),
            Identity::Same | Identity::Other(None) => None,
        };
        self.begin_epoch(identity).await
    }

    /// The store's epoch.
    ///
    /// # Errors
    /// The database's.
    pub async fn store_epoch(&self) -> Result<String> {
        let epoch = settings::load(&self.store.single(), settings::EPOCH).await?;
        Ok(epoch.unwrap_or_default())
    }

    /// The URLs that the server that last ran announced.
    ///
    /// # Errors
    /// The database's.
    pub async fn announced(&self) -> Result<Option<Announcement>> {
        let tx = self.store.single();
        let tenant_url = settings::load(&tx, settings::TENANT_URL).await?;
        let token_endpoint = settings::load(&tx, settings::TOKEN_ENDPOINT).await?;
        let urls = tenant_url.zip(token_endpoint);
        Ok(urls.map(|(tenant_url, token_endpoint)| Announcement {
            tenant_url,
            token_endpoint,
        }))
    }

    /// Looks whether the database is the one that it was, and begins a new epoch
    /// when it is not.
    pub(super) async fn recognize_store(&self) -> Result<()> {
        match self.store.identity().await? {
            Identity::Same => Ok(()),
            Identity::New(now) => {
                self.store
                    .administer("RememberStore", move |tx| {
                        let now = now.clone();
                        async move { settings::save(&tx, settings::IDENTITY, now).await }
                    })
                    .await
            }
            Identity::Other(now) => {
                tracing::warn!("the database was restored or replaced: a new epoch begins");
                self.store.access().forget();
                self.forget_callers();
                self.begin_epoch_once(now).await
            }
        }
    }

    /// Forgets what is of another history: callers, tokens and keys.
    pub(super) fn forget_callers(&self) {
        self.admissions.clear();
        self.introspected.clear();
        self.keyring.forget();
    }

    /// Begins an epoch unless another process that saw the same has done so.
    async fn begin_epoch_once(&self, identity: Option<String>) -> Result<()> {
        let fresh = self.source.new_id();
        self.store
            .administer("RecognizeStore", move |tx| {
                let (fresh, identity) = (fresh.clone(), identity.clone());
                async move {
                    if let Some(identity) = identity {
                        let known = settings::load(&tx, settings::IDENTITY).await?;
                        if known.as_ref() == Some(&identity) {
                            return Ok(());
                        }
                        settings::save(&tx, settings::IDENTITY, identity).await?;
                    }
                    settings::save(&tx, settings::EPOCH, fresh).await
                }
            })
            .await?;
        self.store.note_history().await
    }

    async fn begin_epoch(&self, identity: Option<String>) -> Result<String> {
        let fresh = self.source.new_id();
        let epoch = self
            .store
            .administer("RenewEpoch", move |tx| {
                let (fresh, identity) = (fresh.clone(), identity.clone());
                async move {
                    if let Some(identity) = identity {
                        settings::save(&tx, settings::IDENTITY, identity).await?;
                    }
                    settings::save(&tx, settings::EPOCH, fresh.clone()).await?;
                    Ok(fresh)
                }
            })
            .await?;
        self.store.note_history().await?;
        Ok(epoch)
    }
}
