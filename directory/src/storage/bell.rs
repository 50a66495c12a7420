//! Who rings when a tenant's history has grown, and for whom.
//!
//! A ring may be lost, on the way from another process above all: whoever
//! listens looks now and then without one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sea_orm::sqlx::postgres::PgListener;
use tokio::sync::Notify;

use super::{Store, dialect::Dialect};

/// The channel on which processes tell each other which tenant's history grew.
pub(super) const CHANNEL: &str = "muster_changes";

/// Rings for those who wait for a tenant's history.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Mutex<HashMap<String, Arc<Notify>>>>);

impl Bell {
    /// What is notified when the tenant's history has grown.
    pub fn listen(&self, tenant_id: &str) -> Arc<Notify> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant_id.to_owned()).or_default())
    }

    /// Forgets a tenant if nobody listens to him but whoever asks for it.
    pub fn forget(&self, tenant_id: &str, bell: &Arc<Notify>) {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One is the table's, one the asker's.
        if Arc::strong_count(bell) <= 2 {
            tenants.remove(tenant_id);
        }
    }

    /// The tenant's history has grown.
    pub fn ring(&self, tenant_id: &str) {
        let tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = tenants.get(tenant_id) {
            notify.notify_one();
        }
    }
}

impl Store {
    /// Rings for what other processes write, until the connection on which
    /// they tell is lost. Waits for good where there is no such thing.
    pub async fn hear_others(&self) {
        if self.dialect != Dialect::Postgres {
            return std::future::pending().await;
        }
        if let Err(error) = self.hear().await {
            tracing::debug!(%error, "the channel of changes is lost");
        }
    }

    async fn hear(&self) -> Result<(), sea_orm::sqlx::Error> {
        let mut listener = PgListener::connect(&self.url).await?;
        listener.listen(CHANNEL).await?;
        // `recv` would connect again without telling.
        while let Some(notification) = listener.try_recv().await? {
            self.bell.ring(notification.payload());
        }
        Ok(())
    }
}
