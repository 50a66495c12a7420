//! Resources that were read before.
//!
//! Every write of a tenant moves his position, in the same transaction. What was
//! read at a position is what he has while that is his position, and asking for
//! it costs the database next to nothing, however many wait. So a read of what is
//! remembered sees all that was committed until it began, whichever process
//! committed it.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use super::{
    Found, Reach,
    together::{Alone, Manner},
};
use crate::{
    domain::{history::Position, resource::ResourceKind},
    error::Result,
    storage::{Scope, Store, relations::Wants, sql::can_be},
};

/// Most that is remembered, in bytes, about.
const CAPACITY: u64 = 32 << 20;

/// How long what nobody asks for is remembered.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// Most tenants of whom a position is remembered.
const TENANTS: u64 = 10_000;

/// What a resource takes besides its document, in bytes, about.
const OVERHEAD: usize = 1_024;

/// How many times as large as its text a document is, about.
const EXPANSION: usize = 4;

/// The resources that a process remembers.
#[derive(Clone)]
pub(in crate::storage) struct Remembered {
    resources: Cache<Key, Arc<Kept>>,
    /// The last that was heard of each tenant's position: what was read at
    /// another is not worth asking for.
    heard: Cache<String, Arc<Position>>,
}

/// Who asked for what.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    tenant_id: String,
    connection_id: String,
    id: String,
    manner: Manner,
}

struct Kept {
    found: Found,
    at: Position,
    bytes: u32,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            resources: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|_, kept: &Arc<Kept>| kept.bytes)
                .time_to_idle(IDLE)
                .build(),
            heard: Cache::builder()
                .max_capacity(TENANTS)
                .time_to_idle(IDLE)
                .build(),
        }
    }
}

impl Remembered {
    /// What may still hold, as far as was heard.
    fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        let kept = self.resources.get(key)?;
        let heard = self.heard.get(&key.tenant_id)?;
        (*heard == kept.at).then_some(kept)
    }

    fn hear(&self, tenant_id: &str, position: &Position) {
        if self.heard.get(tenant_id).as_deref() != Some(position) {
            let position = Arc::new(position.clone());
            self.heard.insert(tenant_id.to_owned(), position);
        }
    }

    fn keep(&self, key: Key, kept: Kept) {
        self.hear(&key.tenant_id, &kept.at);
        self.resources.insert(key, Arc::new(kept));
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
    ) -> Result<Option<(Found, Position)>> {
        if !can_be(id) {
            return Ok(None);
        }
        let manner = Manner { kind, reach, wants };
        let key = Key {
            tenant_id: scope.tenant_id.to_owned(),
            connection_id: scope.connection_id.to_owned(),
            id: id.to_owned(),
            manner,
        };
        let answer = match self.recall(&key).await {
            Ok(Some(kept)) => return Ok(Some((kept.found.clone(), kept.at.clone()))),
            Ok(None) => self.together.row(scope, id, manner).await,
            Err(alone) => Err(alone),
        };
        match answer {
            Ok(None) => Ok(None),
            Ok(Some(row)) => {
                let at = row.position();
                // Documents are taken apart here, not one behind the other.
                let bytes = row.size() * EXPANSION + OVERHEAD;
                let found = row.into_found(kind)?;
                let kept = Kept {
                    found: found.clone(),
                    at: at.clone(),
                    bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                };
                self.remembered.keep(key, kept);
                Ok(Some((found, at)))
            }
            Err(Alone) => {
                let tx = self.single();
                Box::pin(super::load(&tx, scope, kind, id, reach, wants)).await
            }
        }
    }

    /// What is remembered, if it holds now.
    async fn recall(&self, key: &Key) -> Result<Option<Arc<Kept>>, Alone> {
        let Some(kept) = self.remembered.get(key) else {
            return Ok(None);
        };
        let Some(position) = self.together.position(&key.tenant_id).await? else {
            return Ok(None);
        };
        if position == kept.at {
            return Ok(Some(kept));
        }
        self.remembered.hear(&key.tenant_id, &position);
        Ok(None)
    }
}
