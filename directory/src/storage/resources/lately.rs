//! Whom the latest writes of a tenant concern, so that what was read of others
//! still holds.
//!
//! The changes of the feed tell: each write leaves its own, in the same transaction.
//! What is not understood concerns everybody.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use tokio::sync::Mutex;

use super::Kept;
use crate::{
    domain::{
        history::{Change, ChangeKind, Position, ResourceType},
        resource::ResourceKind,
    },
    error::Result,
    storage::{
        Tx,
        feed::{Place, Transaction, changes_after},
    },
};

/// Most changes that are looked at together: after more, all is read again.
const CHANGES: u64 = 1_000;

/// Most resources of a tenant of which it is known when they were written.
const RESOURCES: usize = 20_000;

/// The latest writes of a tenant, as far as they were looked at.
pub(super) struct Lately {
    known: RwLock<Known>,
    /// Held by who looks at the database, so that the others wait for him.
    looking: Mutex<()>,
}

/// What is known.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    epoch: String,
    /// What was read before this revision may be another by now.
    from: i64,
    /// The same of users alone.
    users_from: i64,
    /// Up to this revision all is known.
    through: i64,
    /// Resources, and the last revision that concerned each.
    concerned: HashMap<String, i64>,
}

impl Lately {
    /// Nothing is known of what was before.
    pub(super) fn since(position: &Position) -> Self {
        Self {
            known: RwLock::new(Known::since(position)),
            looking: Mutex::default(),
        }
    }

    /// Whether this may hold, as far as is known: it is worth asking for.
    pub(super) fn may_hold(&self, kept: &Kept) -> bool {
        self.known().holds(kept, &kept.at)
    }

    /// Whether what was read is so at this later position, which was just asked for.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn holds(
        &self,
        tx: &Tx,
        tenant_id: &str,
        kept: &Kept,
        now: &Position,
    ) -> Result<bool> {
        if self.known().is_behind(now) {
            let _looking = self.looking.lock().await;
            self.look(tx, tenant_id, now).await?;
        }
        Ok(self.known().holds(kept, now))
    }

    /// Looks at what was written until now, unless somebody else did.
    async fn look(&self, tx: &Tx, tenant_id: &str, now: &Position) -> Result<()> {
        let after = {
            let known = self.known();
            if !known.is_behind(now) {
                return Ok(());
            }
            Place {
                revision: known.through,
                part: Place::END,
            }
        };
        let is_same = self.known().epoch == now.epoch;
        let written = match is_same {
            true => changes_after(tx, tenant_id, after, now.revision, CHANGES).await?,
            false => Vec::new(),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match is_same && is_whole(&written, after.revision, now.revision) {
            true => known.take(&written, now.revision),
            false => *known = Known::since(now),
        }
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are all transactions behind a revision up to another: each is told
/// with its changes, and what the feed no longer has is not.
fn is_whole(written: &[Transaction], after: i64, through: i64) -> bool {
    let revisions = written.iter().map(|one| one.revision);
    written.iter().all(|one| one.is_complete) && revisions.eq(after + 1..=through)
}

impl Known {
    fn since(position: &Position) -> Self {
        Self {
            epoch: position.epoch.clone(),
            from: position.revision,
            users_from: position.revision,
            through: position.revision,
            concerned: HashMap::new(),
        }
    }

    /// Whether what was written until then was not looked at.
    fn is_behind(&self, now: &Position) -> bool {
        self.epoch != now.epoch || self.through < now.revision
    }

    /// Whether what was read holds at a position that was looked at.
    fn holds(&self, kept: &Kept, now: &Position) -> bool {
        let at = &kept.at;
        let resource = &kept.found.0;
        let from = match resource.kind {
            ResourceKind::User => self.users_from,
            ResourceKind::Group => self.from,
        };
        let is_known = self.epoch == at.epoch && self.epoch == now.epoch && at.revision >= from;
        let others = resource.manager_id().into_iter();
        let mut about = others.chain([resource.id.as_str()]);
        is_known
            && about.all(|id| {
                self.concerned
                    .get(id)
                    .is_none_or(|last| *last <= at.revision)
            })
    }

    fn take(&mut self, written: &[Transaction], through: i64) {
        for transaction in written {
            for change in &transaction.changes {
                self.note(change, transaction.revision);
            }
        }
        self.through = through;
        if self.concerned.len() > RESOURCES {
            self.concerned.clear();
            (self.from, self.users_from) = (through, through);
        }
    }

    /// Notes whom a change concerns. Of others a user tells the names of the groups
    /// that he is in, and his manager's.
    fn note(&mut self, change: &Change, revision: i64) {
        let is_about_users = match change.resource_type {
            ResourceType::User => false,
            ResourceType::Group => is_seen_at_members(change),
            ResourceType::Membership => change.member_is_group,
            // Nothing of a user or group comes from these.
            ResourceType::Token | ResourceType::SigningKey => return,
            _ => {
                self.from = revision;
                true
            }
        };
        if is_about_users {
            self.users_from = revision;
        }
        let ids = [Some(&change.resource_id), change.member_id.as_ref()];
        for id in ids.into_iter().flatten() {
            self.concerned.insert(id.clone(), revision);
        }
    }
}

/// Whether a change of a group shows at who is in it. Whom it has from the beginning is
/// told by changes of its members.
fn is_seen_at_members(change: &Change) -> bool {
    let mut names = change.changed_attributes.iter();
    match change.kind {
        ChangeKind::Created => false,
        ChangeKind::Updated => names.any(|name| name == "displayName"),
        _ => true,
    }
}
