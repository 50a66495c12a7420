//! What is done without being asked: what is gone for long goes for good.

use std::{sync::Arc, time::Duration};

use super::{Directory, resources::purge_method};
use crate::{
    auth::{Caller, Principal},
    domain::{
        history::{Actor, AuditEntry, Change, ChangeKind},
        policy::Guard,
        resource::ResourceKind,
    },
    error::Result,
    storage::{
        Tx, credentials, feed, held, history, provisioning,
        relations::Wants,
        replays,
        resources::{self, Reach},
        spent, tenants,
    },
};

/// How long what is gone is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Deleted users and groups, until they are purged.
    pub deleted: Duration,
    /// Changes, until consumers that far behind must start anew.
    pub changes: Duration,
    /// What requests of provisioning clients came to.
    pub provisioning_log: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            deleted: 30 * DAY,
            changes: 7 * DAY,
            provisioning_log: 30 * DAY,
        }
    }
}

/// Users purged in one write.
const USERS_AT_ONCE: i64 = 50;

/// Groups purged in one write: each may have very many members.
const GROUPS_AT_ONCE: i64 = 1;

/// Changes deleted in one write.
const PRUNED_AT_ONCE: u64 = 2_000;

/// Events of the provisioning log deleted in one write.
const EVENTS_AT_ONCE: i64 = 2_000;

/// How the audit names the job.
const JOB: &str = "purge";

impl Directory {
    /// When a resource that was deleted at this time will be purged.
    pub fn purge_time(&self, deleted_at: i64) -> i64 {
        deleted_at.saturating_add(millis(self.retention.deleted))
    }

    /// Purges what was deleted long ago and forgets changes that are older than they
    /// are kept, and events of the provisioning log. Several processes may do it at
    /// once.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_house(&self) -> Result<()> {
        for tenant in tenants::list_tenants(&self.store.single()).await? {
            // One tenant's trouble is not another's.
            if let Err(error) = self.keep_tenant(&tenant.id).await {
                tracing::warn!(tenant.id = tenant.id, %error, "purging is put off");
            }
        }
        self.limits.tidy();
        self.forget_spent().await?;
        while self.prune_events().await? {}
        self.keep_keys().await
    }

    /// Forgets a few events of the provisioning log; whether there may be more.
    async fn prune_events(&self) -> Result<bool> {
        let kept = millis(self.retention.provisioning_log);
        let before = self.source.now_ms().saturating_sub(kept);
        let pruned = self
            .store
            .administer("PruneProvisioningLog", move |tx| async move {
                provisioning::prune(&tx, before, EVENTS_AT_ONCE).await
            });
        Ok(pruned.await? > 0)
    }

    /// Forgets secrets and tokens that have ended, and would be refused anyway, and
    /// what no guard counts any more.
    async fn forget_spent(&self) -> Result<()> {
        let now = self.source.now_ms();
        self.store
            .administer("ForgetSpent", move |tx| async move {
                credentials::forget_secrets(&tx, now).await?;
                held::forget_before(&tx, now.saturating_sub(Guard::LONGEST_WINDOW_MS)).await?;
                replays::forget(&tx, now).await?;
                spent::forget(&tx, now).await
            })
            .await
    }

    async fn keep_tenant(&self, tenant_id: &str) -> Result<()> {
        while self
            .purge_some(tenant_id, ResourceKind::User, USERS_AT_ONCE)
            .await?
        {}
        while self
            .purge_some(tenant_id, ResourceKind::Group, GROUPS_AT_ONCE)
            .await?
        {}
        while self.prune_some(tenant_id).await? {}
        Ok(())
    }

    /// Purges a few resources; whether there may be more.
    async fn purge_some(&self, tenant_id: &str, kind: ResourceKind, count: i64) -> Result<bool> {
        let now = self.source.now_ms();
        let before = now.saturating_sub(millis(self.retention.deleted));
        let found =
            resources::deleted_before(&self.store.single(), tenant_id, kind, before, count).await?;
        if found.is_empty() {
            return Ok(false);
        }
        let caller = Arc::new(Caller::inside(tenant_id, Principal::Server));
        self.store
            .write(tenant_id, "Purge", move |tx| {
                let caller = Arc::clone(&caller);
                async move {
                    // Those found before the lock was had may be back by now.
                    let found =
                        resources::deleted_before(&tx, &caller.tenant_id, kind, before, count);
                    for id in found.await? {
                        purge_one(&tx, &caller, kind, &id, now).await?;
                    }
                    Ok(())
                }
            })
            .await?;
        Ok(true)
    }

    /// Forgets a few changes; whether there may be more.
    async fn prune_some(&self, tenant_id: &str) -> Result<bool> {
        let before = self.source.now_ms() - millis(self.retention.changes);
        let tx = self.store.single();
        let oldest = feed::nth_oldest(&tx, tenant_id, 0).await?;
        let Some((oldest, _)) = oldest.filter(|(_, at)| *at < before) else {
            return Ok(false);
        };
        // As many as go at once, or fewer until all that go are old.
        let mut count = PRUNED_AT_ONCE;
        let through = loop {
            match feed::nth_oldest(&tx, tenant_id, count).await? {
                // The revision at the edge may go on behind it; the oldest one
                // goes whole, however large it is.
                Some((revision, at)) if at < before => break oldest.max(revision - 1),
                _ if count == 0 => return Ok(false),
                _ => count /= 2,
            }
        };
        self.forget_through(tenant_id, through).await?;
        Ok(true)
    }

    /// Forgets changes up to a revision: first the promise, then the rows, so
    /// that nobody reads a feed with a hole.
    async fn forget_through(&self, tenant_id: &str, revision: i64) -> Result<()> {
        let tenant = Arc::<str>::from(tenant_id);
        self.store
            .write(tenant_id, "ForgetChanges", move |tx| {
                let tenant = Arc::clone(&tenant);
                async move {
                    feed::set_earliest(&tx, &tenant, revision).await?;
                    feed::delete_through(&tx, &tenant, revision).await
                }
            })
            .await
    }
}

async fn purge_one(tx: &Tx, caller: &Caller, kind: ResourceKind, id: &str, now: i64) -> Result<()> {
    let scope = caller.scope();
    let found = resources::load(tx, scope, kind, id, Reach::Deleted, Wants::NONE).await?;
    let Some(((mut resource, _), _)) = found else {
        return Ok(());
    };
    resource.version += 1;
    resources::purge(tx, kind, id).await?;
    history::change_access(tx, &caller.tenant_id).await?;
    let entry = AuditEntry {
        actor: Actor::Job {
            name: JOB.to_owned(),
        },
        method: purge_method(kind).into(),
        resource_type: kind.into(),
        resource_id: id.to_owned(),
        changed_attributes: Vec::new(),
        request_id: String::new(),
        refusal: None,
    };
    let changes = [Change::of(ChangeKind::Purged, &resource)];
    history::record(tx, &caller.tenant_id, &entry, &changes, now).await?;
    Ok(())
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
