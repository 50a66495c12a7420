//! What a process remembers of callers, so that a call costs no look at the
//! database.
//!
//! A bearer is remembered by its digest. What is remembered counts while the
//! tenant's access version is what it was, which this process knows to be so,
//! and while the bearer itself lives. A guess is not remembered.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use crate::{auth::Caller, storage::access::Access};

/// Most bearers that are remembered; the least used are forgotten.
const BEARERS: u64 = 100_000;

/// How a bearer is remembered: it cannot be told from it.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of a bearer that came for this connection.
pub(super) fn fingerprint(bearer: &str, connection_id: Option<&str>) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(bearer.as_bytes());
    hash.update([0]);
    hash.update(connection_id.unwrap_or_default().as_bytes());
    hash.finalize().into()
}

/// For how long something learned of a token counts.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// The tenant's access version, as this process knows it.
    known: Arc<AtomicI64>,
    /// As it was read with what is remembered.
    access_version: i64,
    /// Of which database this was.
    generation: u64,
    /// The version of the signing keys, where one was looked at.
    keys_version: Option<i64>,
    /// How far the access of all tenants together had come, where all of them
    /// were looked at.
    total: Option<i64>,
    /// When the bearer ends; milliseconds since the Unix epoch.
    ends_at: i64,
}

impl Term {
    /// Of what was read at this access version of its tenant.
    pub(super) fn new(access: &Access, tenant_id: &str, access_version: i64) -> Self {
        Self {
            known: access.of(tenant_id),
            access_version,
            generation: access.generation(),
            keys_version: None,
            total: None,
            ends_at: i64::MAX,
        }
    }

    /// The same until this time at the latest, in milliseconds since the Unix
    /// epoch.
    pub(super) fn until(mut self, ends_at: i64) -> Self {
        self.ends_at = self.ends_at.min(ends_at);
        self
    }

    /// The same while the signing keys are those of this version.
    pub(super) fn under(mut self, keys_version: i64) -> Self {
        self.keys_version = Some(keys_version);
        self
    }

    /// The same while nothing has changed in any tenant since this total.
    pub(super) fn among(mut self, total: i64) -> Self {
        self.total = Some(total);
        self
    }

    /// Whether it still counts.
    pub(super) fn holds(&self, access: &Access, now_ms: i64) -> bool {
        let keys = self.keys_version;
        access.is_fresh()
            && self.generation == access.generation()
            && now_ms < self.ends_at
            && self.access_version >= self.known.load(Ordering::Acquire)
            && keys.is_none_or(|version| version >= access.keys_version())
            && self.total.is_none_or(|total| total == access.total())
    }

    /// Whether the bearer has ended.
    pub(super) fn has_ended(&self, now_ms: i64) -> bool {
        now_ms >= self.ends_at
    }
}

/// A caller who was let in.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Without what belongs to one call.
    pub(super) caller: Caller,
    /// For how long.
    pub(super) term: Term,
    /// When it was last noted that he was here; milliseconds since the Unix
    /// epoch.
    pub(super) noted_at: AtomicI64,
}

/// Callers who were let in.
#[derive(Debug)]
pub(super) struct Admissions(Cache<Fingerprint, Arc<Admitted>>);

impl Default for Admissions {
    fn default() -> Self {
        Self(Cache::new(BEARERS))
    }
}

impl Admissions {
    /// Who came with this bearer before, if that still counts.
    pub(super) fn get(
        &self,
        bearer: &Fingerprint,
        access: &Access,
        now_ms: i64,
    ) -> Option<Arc<Admitted>> {
        let admitted = self.0.get(bearer)?;
        admitted.term.holds(access, now_ms).then_some(admitted)
    }

    /// Remembers a caller, unless nobody looks whether that still counts.
    pub(super) fn put(&self, bearer: Fingerprint, admitted: Arc<Admitted>, access: &Access) {
        if access.is_fresh() {
            self.0.insert(bearer, admitted);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}
