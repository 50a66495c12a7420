//! Who rings when a tenant's history has grown, and for whom.
//!
//! A ring may be lost, on the way from another process above all: whoever
//! listens looks now and then without one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sea_orm::sqlx::postgres::PgListener;
use tokio::sync::watch;

use super::{Store, dialect::Dialect};

/// The channel on which processes tell each other which tenant's history grew.
pub(super) const CHANNEL: &str = "muster_changes";

/// Rings for those who wait for a tenant's history.
#[derive(Debug, Clone, Default)]
pub struct Bell(Arc<Mutex<Listeners>>);

/// By tenant; each listener has ears of his own.
type Listeners = HashMap<String, watch::Sender<()>>;

impl Bell {
    /// What changes when the tenant's history has grown.
    pub fn listen(&self, tenant_id: &str) -> watch::Receiver<()> {
        let mut tenants = self.lock();
        // Who went away leaves his tenant behind.
        tenants.retain(|_, tenant| tenant.receiver_count() > 0);
        let tenant = tenants.entry(tenant_id.to_owned());
        tenant.or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// The tenant's history has grown.
    pub fn ring(&self, tenant_id: &str) {
        if let Some(tenant) = self.lock().get(tenant_id) {
            tenant.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_hears_every_ring() {
        let bell = Bell::default();
        let (mut first, mut second) = (bell.listen("a"), bell.listen("a"));
        let other = bell.listen("b");
        bell.ring("a");
        for listener in [&mut first, &mut second] {
            assert_eq!(listener.has_changed().ok(), Some(true));
            listener.borrow_and_update();
        }
        assert_eq!(other.has_changed().ok(), Some(false));
        // The end of one takes nothing from another.
        drop(first);
        let third = bell.listen("b");
        bell.ring("a");
        assert_eq!(second.has_changed().ok(), Some(true));
        assert_eq!(third.has_changed().ok(), Some(false));
    }

    #[test]
    fn tenants_to_whom_nobody_listens_are_forgotten() {
        let bell = Bell::default();
        drop(bell.listen("a"));
        let _listener = bell.listen("b");
        assert_eq!(bell.lock().len(), 1);
    }
}
