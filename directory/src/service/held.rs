//! Deactivations that wait for an operator: see them, do them, drop them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::replays::Write;
use super::{
    Directory,
    jobs::millis,
    policies::named,
    revocation::regard_access,
    target::{Target, advance, carry_out, record},
};
use crate::{
    auth::{Caller, Principal},
    domain::{
        Resource,
        history::{Change, Position},
        page::{MAX_SIZE, Page, PageRequest, Place},
        report::Outcome,
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx,
        held::{self, Held, HeldOf, HeldOperation},
        relations::Wants,
        resources::{self, Reach},
        tenants,
    },
};

const METHOD: &str = "ResolveHeldOperations";

/// How often it is looked whether something has waited long enough.
pub const HELD_INTERVAL: Duration = Duration::from_secs(60);

/// Most that are resolved in one request.
pub const HELD_LIMIT: usize = 1_000;

/// What came of held deactivations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// How many there were.
    pub count: usize,
    /// What waited, and what it came to.
    pub(super) what: Vec<(Held, Outcome)>,
    /// The tenant's position; `None` when there was none.
    pub position: Option<Position>,
}

impl Directory {
    /// What waits in the caller's tenant, in the order of users' ids: of a connection,
    /// or of all.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_held(
        &self,
        caller: &Caller,
        connection_id: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Held>> {
        // A provisioning client knows its own alone.
        let connection_id = caller.connection().or(connection_id);
        let of = HeldOf {
            connection_id,
            after: page.after.as_ref().map(|place| place.id.as_str()),
            due_until: None,
        };
        let (tx, tenant_id) = (self.store.single(), &caller.tenant_id);
        // One more than is shown tells that there are more.
        let mut items = held::list(&tx, tenant_id, of, page.size.saturating_add(1)).await?;
        let has_more = items.len() > page.size;
        items.truncate(page.size);
        let last = items.last().filter(|_| has_more);
        Ok(Page {
            next: last.map(|last| Place::of(last.user_id.as_str())),
            items,
            total: 0,
        })
    }

    /// Does what waits for these users, or drops it: then they are active again. All or
    /// none.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a user for whom nothing waits; [`Error::TooMany`];
    /// [`Error::ScopeMissing`] for a connection.
    pub async fn resolve_held(
        &self,
        caller: &Caller,
        user_ids: Vec<String>,
        apply: bool,
    ) -> Result<Resolved> {
        if caller.connection().is_some() {
            // Whom a guard holds back does not let himself through.
            return Err(Error::ScopeMissing("provisioning.approve".to_owned()));
        }
        if user_ids.len() > HELD_LIMIT {
            return Err(Error::TooMany {
                what: "held operations",
                limit: HELD_LIMIT,
            });
        }
        // Each once.
        let user_ids: BTreeSet<_> = user_ids.into_iter().collect();
        let now = self.source.now_ms();
        let work = Arc::new((caller.clone(), user_ids));
        let resolving = self.once(caller, Write::of(METHOD), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, user_ids) = &*work;
                let mut found = Vec::new();
                for id in user_ids {
                    let held = held::find(&tx, &caller.tenant_id, id).await?;
                    found.push(held.ok_or_else(|| ResourceKind::User.not_found(id))?);
                }
                resolve_these(&tx, caller, &found, apply, now).await
            }
        });
        Ok(self.told(caller, resolving.await?))
    }

    /// Tells the log of each connection what became of what waited.
    fn told(&self, caller: &Caller, resolved: Resolved) -> Resolved {
        for (held, outcome) in &resolved.what {
            self.note_resolved(caller, held, *outcome);
        }
        resolved
    }

    /// Does, or drops, what waits for a connection's sake, at most [`HELD_LIMIT`] of it;
    /// how many there were. What others resolve meanwhile is resolved.
    ///
    /// # Errors
    /// The database's.
    pub async fn resolve_held_of(
        &self,
        caller: &Caller,
        connection_id: &str,
        apply: bool,
    ) -> Result<usize> {
        let now = self.source.now_ms();
        let work = Arc::new((caller.clone(), connection_id.to_owned()));
        let resolving = self.store.write(&caller.tenant_id, METHOD, move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, connection_id) = &*work;
                let of = HeldOf {
                    connection_id: Some(connection_id),
                    ..HeldOf::default()
                };
                let found = held::list(&tx, &caller.tenant_id, of, HELD_LIMIT).await?;
                resolve_these(&tx, caller, &found, apply, now).await
            }
        });
        Ok(self.told(caller, resolving.await?).count)
    }

    /// Does what has waited for as long as it may, in all tenants, and says in the log
    /// what began to wait since it was last looked. Several processes may
    /// do it at once.
    ///
    /// # Errors
    /// The database's.
    pub async fn apply_held(&self) -> Result<()> {
        let since = self.source.now_ms().saturating_sub(millis(HELD_INTERVAL));
        let begun = held::begun_since(&self.store.single(), since).await?;
        for (tenant_id, connection_id, number) in begun {
            // Somebody should look.
            tracing::warn!(
                tenant.id = tenant_id,
                connection.id = connection_id,
                number,
                "the deprovision guard lets deactivations wait for an operator"
            );
        }
        for tenant in tenants::list_tenants(&self.store.single()).await? {
            // One tenant's trouble is not another's.
            if let Err(error) = self.apply_due(&tenant.id).await {
                tracing::warn!(tenant.id = tenant.id, %error, "held deactivations are put off");
            }
        }
        Ok(())
    }

    async fn apply_due(&self, tenant_id: &str) -> Result<()> {
        let caller = Caller::inside(tenant_id, Principal::Server);
        let mut after: Option<String> = None;
        loop {
            let of = HeldOf {
                due_until: Some(self.source.now_ms()),
                after: after.as_deref(),
                ..HeldOf::default()
            };
            let due = held::list(&self.store.single(), tenant_id, of, MAX_SIZE).await?;
            let Some(last) = due.last() else {
                return Ok(());
            };
            after = Some(last.user_id.clone());
            for held in due {
                let resolving = self.resolve_held(&caller, vec![held.user_id.clone()], true);
                match resolving.await {
                    // Another process, or an operator, was there first.
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    // One user's trouble is not another's.
                    Err(error) => {
                        tracing::warn!(user.id = held.user_id, %error, "a deactivation is put off");
                    }
                }
            }
        }
    }
}

async fn resolve_these(
    tx: &Tx,
    caller: &Caller,
    held: &[Held],
    apply: bool,
    now: i64,
) -> Result<Resolved> {
    let (mut position, mut what) = (None, Vec::new());
    for held in held {
        let (kind, any) = (ResourceKind::User, Precondition::default());
        let resolving = Resolving {
            tx,
            target: Target::new(caller, kind, &held.user_id, &any),
            now,
        };
        let (at, outcome) = resolving.resolve(held, apply).await?;
        position = Some(at);
        what.push((held.clone(), outcome));
    }
    Ok(Resolved {
        count: held.len(),
        what,
        position,
    })
}

struct Resolving<'a> {
    tx: &'a Tx,
    target: Target,
    now: i64,
}

impl Resolving<'_> {
    async fn resolve(&self, held: &Held, apply: bool) -> Result<(Position, Outcome)> {
        let (tx, caller) = (self.tx, &self.target.caller);
        held::remove(tx, &held.user_id).await?;
        let (before, _) = self.target.load(tx, Reach::Live, Wants::NONE).await?;
        let mut after = before.clone();
        after.access.held_at = None;
        advance(&mut after, self.now);
        match apply {
            true => self.rename(held, &mut after).await?,
            false => {
                after.attributes.insert("active".to_owned(), true.into());
            }
        }
        regard_access(tx, caller, &before, &mut after, self.now).await?;
        resources::update(tx, caller.scope(), &before, &after).await?;
        let mut changes = vec![Change::between(&before, &after)];
        let mut outcome = match apply {
            true => Outcome::Disabled,
            false => Outcome::Enabled,
        };
        if apply
            && held.operation == HeldOperation::Delete
            && let Some(change) = self.delete(held, &mut after).await?
        {
            changes.push(change);
            outcome = Outcome::Deleted;
        }
        let position = record(tx, caller, METHOD, &after, &changes).await?;
        Ok((position, outcome))
    }

    /// Gives a user the name that his client gave him with the deactivation, unless
    /// somebody has it by now.
    async fn rename(&self, held: &Held, user: &mut Resource) -> Result<()> {
        let Some(name) = &held.user_name else {
            return Ok(());
        };
        let caller = &self.target.caller;
        let holder = named(self.tx, caller.scope(), ResourceKind::User, name).await?;
        if holder.is_none_or(|holder| holder == user.id) {
            let name = name.clone().into();
            user.attributes.insert("userName".to_owned(), name);
        }
        Ok(())
    }

    /// Deletes a user as the policy of his connection has it.
    async fn delete(&self, held: &Held, user: &mut Resource) -> Result<Option<Change>> {
        let (tx, tenant_id) = (self.tx, &held.tenant_id);
        let connection = tenants::find_connection(tx, tenant_id, &held.connection_id).await?;
        let on_delete = connection.map(|one| one.policy.on_delete);
        carry_out(tx, &self.target.caller, on_delete.unwrap_or_default(), user).await
    }
}
