//! Resources that were read before.
//!
//! Every write of a tenant moves his position, in the same transaction. What was
//! read at a position is what he has while that is his position, or while no write
//! since concerned it; asking for the position costs the database next to nothing,
//! however many wait. So a read of what is remembered sees all that was committed
//! until it began, whichever process committed it.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use super::{
    Found, Reach, Row,
    lately::Lately,
    together::{Alone, Manner},
};
use crate::{
    domain::{history::Position, resource::ResourceKind},
    error::Result,
    storage::{Scope, Store, relations::Wants, sql::can_be, subjects::UserKey},
};

/// Most that is remembered, in bytes, about.
const CAPACITY: u64 = 32 << 20;

/// How long what nobody asks for is remembered.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// Most keys of which it is remembered whose they were.
const NAMES: u64 = 100_000;

/// Most tenants of whom the latest writes are remembered.
const TENANTS: u64 = 10_000;

/// What a resource takes besides its document, in bytes, about.
const OVERHEAD: usize = 1_024;

/// How many times as large as its text a document is, about.
const EXPANSION: usize = 4;

/// The resources that a process remembers.
#[derive(Clone)]
pub(in crate::storage) struct Remembered {
    resources: Cache<Key, Arc<Kept>>,
    /// Whose keys were, and when.
    names: Cache<(String, UserKey), Arc<(String, Position)>>,
    /// Whom the latest writes of each tenant concern.
    lately: Cache<String, Arc<Lately>>,
}

/// Who asked for what.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant_id: String,
    connection_id: String,
    id: String,
    manner: Manner,
}

impl Key {
    fn new(scope: Scope<'_>, id: &str, manner: Manner) -> Self {
        Self {
            tenant_id: scope.tenant_id.to_owned(),
            connection_id: scope.connection_id.to_owned(),
            id: id.to_owned(),
            manner,
        }
    }
}

/// A resource as it was read, and when.
#[derive(Debug)]
pub struct Kept {
    /// The resource and what it says about others.
    pub found: Arc<Found>,
    /// When it was so.
    pub at: Position,
    bytes: u32,
}

impl Kept {
    /// Of a row: documents are taken apart by those who asked, not one behind the
    /// other.
    fn read(row: Row, kind: ResourceKind) -> Result<Self> {
        let (at, bytes) = (row.position(), row.size() * EXPANSION + OVERHEAD);
        Ok(Self {
            found: Arc::new(row.into_found(kind)?),
            at,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        })
    }

    /// The same at a later position.
    fn still(&self, at: Position) -> Self {
        Self {
            found: Arc::clone(&self.found),
            at,
            bytes: self.bytes,
        }
    }

    /// Of what was read by a statement of its own, and is not remembered.
    pub(crate) fn alone((found, at): (Found, Position)) -> Arc<Self> {
        Arc::new(Self {
            found: Arc::new(found),
            at,
            bytes: 0,
        })
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            resources: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|_, kept: &Arc<Kept>| kept.bytes)
                .time_to_idle(IDLE)
                .build(),
            names: Cache::builder()
                .max_capacity(NAMES)
                .time_to_idle(IDLE)
                .build(),
            lately: Cache::builder()
                .max_capacity(TENANTS)
                .time_to_idle(IDLE)
                .build(),
        }
    }
}

impl Remembered {
    /// What may still hold, as far as is known.
    fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        let kept = self.resources.get(key)?;
        let lately = self.lately(&key.tenant_id, &kept.at);
        lately.may_hold(&kept).then_some(kept)
    }

    /// The latest writes of a tenant; of one that is not known, behind this position.
    fn lately(&self, tenant_id: &str, position: &Position) -> Arc<Lately> {
        let behind = || Arc::new(Lately::since(position));
        self.lately
            .entry_by_ref(tenant_id)
            .or_insert_with(behind)
            .into_value()
    }

    fn keep(&self, key: Key, kept: Kept) -> Arc<Kept> {
        self.lately(&key.tenant_id, &kept.at);
        let kept = Arc::new(kept);
        self.resources.insert(key, Arc::clone(&kept));
        kept
    }
}

impl Store {
    /// As [`load`](super::load), at this moment, without members. Reads that are
    /// asked for at the same time share a statement.
    ///
    /// # Errors
    /// The database's.
    pub async fn load_now(
        &self,
        scope: Scope<'_>,
        kind: ResourceKind,
        id: &str,
        reach: Reach,
        wants: Wants,
    ) -> Result<Option<Arc<Kept>>> {
        if !can_be(id) {
            return Ok(None);
        }
        let manner = Manner { kind, reach, wants };
        let key = Key::new(scope, id, manner);
        let answer = match self.recall(&key).await {
            Ok(Some(kept)) => return Ok(Some(kept)),
            Ok(None) => self.together.row(scope, id, manner).await,
            Err(alone) => Err(alone),
        };
        match answer {
            Ok(None) => Ok(None),
            Ok(Some(row)) => Ok(Some(self.remembered.keep(key, Kept::read(row, kind)?))),
            Err(Alone) => {
                let tx = self.single();
                let found = super::load(&tx, scope, kind, id, reach, wants);
                Ok(Box::pin(found).await?.map(Kept::alone))
            }
        }
    }

    /// The live user with this key, at this moment.
    ///
    /// # Errors
    /// [`Error::Ambiguous`](crate::error::Error::Ambiguous) and the database's.
    pub async fn find_now(
        &self,
        scope: Scope<'_>,
        key: &UserKey,
        wants: Wants,
    ) -> Result<Option<Arc<Kept>>> {
        if let UserKey::Id(id) = key {
            let (kind, reach) = (ResourceKind::User, Reach::Live);
            return self.load_now(scope, kind, id, reach, wants).await;
        }
        let name = (scope.tenant_id.to_owned(), key.folded());
        let manner = Manner {
            kind: ResourceKind::User,
            reach: Reach::Live,
            wants,
        };
        if let Some(named) = self.remembered.names.get(&name) {
            let recalled = self.recall(&Key::new(scope, &named.0, manner)).await;
            if let Ok(Some(kept)) = recalled
                && self
                    .is_still_his(scope.tenant_id, key, &kept, &named.1)
                    .await
            {
                return Ok(Some(kept));
            }
        }
        let tx = self.single();
        let Some(row) = super::find_row(&tx, scope, key, wants).await? else {
            return Ok(None);
        };
        let place = Key::new(scope, &row.id, manner);
        let kept = Kept::read(row, ResourceKind::User)?;
        let id = (kept.found.0.id.clone(), kept.at.clone());
        self.remembered.names.insert(name, Arc::new(id));
        Ok(Some(self.remembered.keep(place, kept)))
    }

    /// Whether a key is still the key of him whose it was. He alone could give it
    /// away, but for an address, which others may have, too.
    async fn is_still_his(
        &self,
        tenant_id: &str,
        key: &UserKey,
        kept: &Kept,
        named_at: &Position,
    ) -> bool {
        if kept.at == *named_at || matches!(key, UserKey::Email(_)) {
            return kept.at == *named_at;
        }
        let named = kept.still(named_at.clone());
        let lately = self.remembered.lately(tenant_id, named_at);
        let tx = self.single();
        let holds = lately.holds(&tx, tenant_id, &named, &kept.at);
        holds.await.unwrap_or(false)
    }

    /// What is remembered, if it holds now.
    async fn recall(&self, key: &Key) -> Result<Option<Arc<Kept>>, Alone> {
        let Some(kept) = self.remembered.get(key) else {
            return Ok(None);
        };
        let tenant_id = &key.tenant_id;
        let Some(now) = self.together.position(tenant_id).await? else {
            return Ok(None);
        };
        if now == kept.at {
            return Ok(Some(kept));
        }
        let lately = self.remembered.lately(tenant_id, &kept.at);
        let holds = lately.holds(&self.single(), tenant_id, &kept, &now).await;
        match holds {
            Ok(true) => Ok(Some(self.remembered.keep(key.clone(), kept.still(now)))),
            // Whatever is wrong with the database is told by the next statement.
            Ok(false) | Err(_) => Ok(None),
        }
    }
}
