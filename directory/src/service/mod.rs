//! Use cases: check, load, apply the domain's rules, save, record, return.
//!
//! [`Directory`] is the whole service without its wire. Each write is one
//! transaction that ends with its audit entry, revision and changes.

mod admin;
mod auth;
mod groups;
mod resources;
mod view;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};

pub use crate::storage::relations::Wants;
pub use admin::{Announcement, Bootstrap, IssuedCredential};
pub use auth::{AccessToken, ClientProof};
pub use groups::{Counts, MEMBER_LIMIT, Modification, Modified, Reference};
pub use resources::Written;
pub use view::View;

use crate::{
    clock::Source,
    cursor::{Cursors, KEY_BYTES},
    error::{Error, Result},
    issuers::Issuers,
    storage::{Store, settings},
};

/// The directory: users, groups and credentials of all tenants.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    source: Arc<dyn Source>,
    cursors: Cursors,
    issuers: Arc<Issuers>,
}

impl Directory {
    /// The directory on this database, whose schema must be this build's.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn open(store: Store, source: Arc<dyn Source>) -> Result<Self> {
        let mut key = [0; KEY_BYTES];
        source
            .fill_random(&mut key)
            .map_err(|e| Error::Internal(e.into()))?;
        let fresh = (source.new_id(), STANDARD.encode(key));
        let (epoch, key) = store
            .transact("identify_store", |tx| {
                let fresh = fresh.clone();
                async move {
                    let epoch = keep(&tx, settings::EPOCH, fresh.0).await?;
                    let key = keep(&tx, settings::CURSOR_KEY, fresh.1).await?;
                    Ok((epoch, key))
                }
            })
            .await?;
        let key = STANDARD
            .decode(key)
            .map_err(|e| Error::Internal(e.into()))?;
        let cursors = Cursors::new(&key, epoch)?;
        Ok(Self {
            store,
            source,
            cursors,
            issuers: Arc::default(),
        })
    }

    /// What makes and reads cursors of this store.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Contention`], [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.store.ping().await
    }

    /// Closes the database once running statements are done.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// The setting's value, made now when there is none.
async fn keep(tx: &crate::storage::Tx, name: &str, fresh: String) -> Result<String> {
    if let Some(value) = settings::load(tx, name).await? {
        return Ok(value);
    }
    settings::save(tx, name, fresh.clone()).await?;
    Ok(fresh)
}

#[cfg(test)]
mod tests;
