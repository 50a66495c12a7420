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
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait as _, FromQueryResult};
use tokio::time::Instant;

use super::{Store, keys, sql::Sql};
use crate::error::Result;

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

    /// Looks how far the access of tenants has come; whether the keys are
    /// others than before.
    ///
    /// # Errors
    /// The database's.
    pub async fn look_at_access(&self) -> Result<bool> {
        let (began, known) = (Instant::now(), &self.access.0);
        let tx = self.express();
        let total = "SELECT CAST(COALESCE(SUM(access_version), 0) AS BIGINT) AS total \
                     FROM directory_heads";
        let connection = &tx.connection();
        let statement = Sql::new(total).statement(connection.get_database_backend());
        let total = Total::find_by_statement(statement).one(connection).await?;
        let total = total.map_or(0, |row| row.total);
        if known.total.load(Ordering::Acquire) != total {
            let all = "SELECT tenant_id, access_version FROM directory_heads \
                       WHERE access_version > 0";
            let statement = Sql::new(all).statement(connection.get_database_backend());
            for row in Row::find_by_statement(statement).all(connection).await? {
                self.access.raise(&row.tenant_id, row.access_version);
            }
            known.total.store(total, Ordering::Release);
        }
        let keys = keys::version(&tx).await?;
        let are_others = known.keys.swap(keys, Ordering::AcqRel) != keys;
        self.access.note(began);
        Ok(are_others)
    }
}
