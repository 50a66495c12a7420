//! How far each tenant's access has come: what a process remembers of callers is
//! good while that stays.
//!
//! Whatever ends or changes somebody's access moves the tenant's access version,
//! in the same transaction. The process that commits it knows at once; all
//! others look several times a second, whatever happens in between. Who has not
//! looked for too long knows nothing, and asks the database.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, FromQueryResult};
use tokio::time::Instant;

use super::{Store, keys, sql::Sql};
use crate::error::{Error, Result};

/// How often it is looked.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long a look counts. Less than the second within which what was revoked
/// elsewhere must be refused.
const FRESH: Duration = Duration::from_millis(700);

/// What this process knows of the access of tenants.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tenants: RwLock<HashMap<String, Arc<AtomicI64>>>,
    /// Of the keys that sign tokens.
    keys: AtomicI64,
    /// The sum over all tenants when it was last looked.
    total: AtomicI64,
    looked: Mutex<Option<Instant>>,
    /// How often all was forgotten.
    generation: AtomicU64,
    /// The epoch of the database when it was last looked. Held during a look: of
    /// two, the earlier must not have the last word.
    epoch: tokio::sync::Mutex<Option<String>>,
}

impl Access {
    /// The tenant's access version as far as it is known here.
    pub fn of(&self, tenant_id: &str) -> Arc<AtomicI64> {
        let tenants = &self.0.tenants;
        let known = tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = known.get(tenant_id) {
            return Arc::clone(version);
        }
        drop(known);
        let mut known = tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(tenant_id.to_owned()).or_default())
    }

    /// The version of the keys that sign tokens, as far as it is known here.
    pub fn keys_version(&self) -> i64 {
        self.0.keys.load(Ordering::Acquire)
    }

    /// How far the access of all tenants together had come when it was last
    /// looked.
    pub fn total(&self) -> i64 {
        self.0.total.load(Ordering::Acquire)
    }

    /// Tells what was learned of one database from what was learned of another.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Whether what is known is known to be recent.
    pub fn is_fresh(&self) -> bool {
        let looked = *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// The tenant's access version is at least this.
    pub(super) fn raise(&self, tenant_id: &str, version: i64) {
        if version > 0 {
            self.of(tenant_id).fetch_max(version, Ordering::AcqRel);
        }
    }

    /// Forgets all: the database is another one.
    pub fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        let tenants = self
            .0
            .tenants
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for version in tenants.values() {
            version.store(0, Ordering::Release);
        }
        self.0.total.store(0, Ordering::Release);
        *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, since: Instant) {
        let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        *looked = Some(since);
    }
}

#[derive(FromQueryResult)]
struct Total {
    total: i64,
    epoch: Option<String>,
}

#[derive(FromQueryResult)]
struct Row {
    tenant_id: String,
    access_version: i64,
}

impl Store {
    /// What is known of the access of tenants.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Looks how far the access of tenants has come; whether the database turned
    /// out to be another one, of which nothing is known yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn look_at_access(&self) -> Result<bool> {
        let known = &self.access.0;
        let mut epoch = known.epoch.lock().await;
        let (began, tx) = (Instant::now(), self.express());
        let total = "SELECT CAST(COALESCE(SUM(access_version), 0) AS BIGINT) AS total, \
                     (SELECT s.value FROM settings s WHERE s.name = 'epoch') AS epoch \
                     FROM directory_heads";
        let connection = &tx.connection();
        let statement = Sql::new(total).statement(connection.get_database_backend());
        let looked = Total::find_by_statement(statement).one(connection).await?;
        let looked = looked.ok_or_else(|| Error::internal("no row of an aggregate"))?;
        let is_other = epoch.is_some() && *epoch != looked.epoch;
        *epoch = looked.epoch;
        if is_other {
            self.access.forget();
            return Ok(true);
        }
        let total = looked.total;
        if known.total.load(Ordering::Acquire) != total {
            let all = "SELECT tenant_id, access_version FROM directory_heads \
                       WHERE access_version > 0";
            let statement = Sql::new(all).statement(connection.get_database_backend());
            for row in Row::find_by_statement(statement).all(connection).await? {
                self.access.raise(&row.tenant_id, row.access_version);
            }
            known.total.store(total, Ordering::Release);
        }
        known
            .keys
            .store(keys::version(&tx).await?, Ordering::Release);
        self.access.note(began);
        Ok(false)
    }
}
