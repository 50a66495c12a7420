//! Users who are about to lose their access through a connection: who is protected,
//! and whose deactivation waits for an operator.

use super::held::HELD_INTERVAL_MS;
use crate::{
    auth::Caller,
    domain::{Resource, policy::Guard},
    error::{Error, Result},
    storage::{
        Tx,
        held::{self, Held, HeldOperation},
        tenants,
    },
};

/// Looks at a write of a user, before it is done. Whether his deactivation waits: then
/// he is not active for his client, and may act. `speaks_of_active`: whether the
/// request says if he is active.
///
/// # Errors
/// [`Error::Protected`].
pub(super) async fn regard(
    tx: &Tx,
    caller: &Caller,
    before: &Resource,
    after: &mut Resource,
    speaks_of_active: bool,
    now: i64,
) -> Result<bool> {
    if before.access.held_at.is_some() && !after.active() && speaks_of_active {
        return end_by_another(tx, caller, after, now).await;
    }
    if caller.connection().is_none() {
        return release_if_active(tx, after).await;
    }
    let is_renamed = before.text("userName") != after.text("userName");
    let leaves = before.active() && !after.active();
    if (leaves || is_renamed) && is_protected(tx, caller, before).await? {
        return Err(Error::Protected);
    }
    match leaves {
        true => hold(tx, caller, after, HeldOperation::Deactivate, now).await,
        false => release_if_active(tx, after).await,
    }
}

/// Looks at a deletion of a user by his connection. Whether it waits: then he is made
/// inactive for his client, and may act.
///
/// # Errors
/// [`Error::Protected`].
pub(super) async fn regard_deletion(
    tx: &Tx,
    caller: &Caller,
    user: &mut Resource,
    now: i64,
) -> Result<bool> {
    if caller.connection().is_none() {
        user.access.held_at = None;
        held::remove(tx, &user.id).await?;
        return Ok(false);
    }
    if is_protected(tx, caller, user).await? {
        return Err(Error::Protected);
    }
    let operation = HeldOperation::Delete;
    if user.access.held_at.is_some() {
        if let Some(held) = held::find(tx, &caller.tenant_id, &user.id).await? {
            held::put(tx, &Held { operation, ..held }).await?;
        }
        return Ok(true);
    }
    match user.active() {
        true => hold(tx, caller, user, operation, now).await,
        // He has no access to lose.
        false => Ok(false),
    }
}

/// Whether any connection of the tenant protects the user: from one alone he would be
/// as good as unprotected.
async fn is_protected(tx: &Tx, caller: &Caller, user: &Resource) -> Result<bool> {
    let named = tenants::policies_naming(tx, &caller.tenant_id, &user.id).await?;
    let mut named = named.iter().flat_map(|(_, policy)| &policy.protected_users);
    Ok(named.any(|id| *id == user.id))
}

/// Somebody says once more that a user is not active whose deactivation waits. Whom no
/// guard of his own holds back ends it: another's does not bind him.
async fn end_by_another(tx: &Tx, caller: &Caller, after: &mut Resource, now: i64) -> Result<bool> {
    let held = held::find(tx, &caller.tenant_id, &after.id).await?;
    let held_by = held.as_ref().map(|held| held.connection_id.as_str());
    if let Some(own) = caller.connection() {
        if held_by == Some(own) {
            return Ok(true);
        }
        if let Some(guard) = &caller.profile.policy.deprovision_guard {
            let since = now.saturating_sub(guard.window.ms());
            if holds(tx, caller, guard, since).await? {
                return Ok(true);
            }
            held::note(tx, own, &after.id, now, since).await?;
        }
    }
    after.access.held_at = None;
    held::remove(tx, &after.id).await?;
    Ok(false)
}

/// Who is active again has nothing that waits.
async fn release_if_active(tx: &Tx, after: &mut Resource) -> Result<bool> {
    if after.access.held_at.is_some() && after.active() {
        after.access.held_at = None;
        held::remove(tx, &after.id).await?;
    }
    Ok(after.access.held_at.is_some())
}

/// Lets a deactivation wait where there are too many, else notes it.
async fn hold(
    tx: &Tx,
    caller: &Caller,
    user: &mut Resource,
    operation: HeldOperation,
    now: i64,
) -> Result<bool> {
    let Some(guard) = &caller.profile.policy.deprovision_guard else {
        return Ok(false);
    };
    let connection_id = caller.connection().unwrap_or_default();
    let since = now.saturating_sub(guard.window.ms());
    if !holds(tx, caller, guard, since).await? {
        held::note(tx, connection_id, &user.id, now, since).await?;
        return Ok(false);
    }
    if held::count(tx, connection_id).await? == 0 {
        // Somebody should look, and once is enough.
        tracing::warn!(
            tenant.id = caller.tenant_id,
            connection.id = connection_id,
            "the deprovision guard lets deactivations wait for an operator"
        );
    }
    user.access.held_at = Some(now);
    let held = Held {
        user_id: user.id.clone(),
        tenant_id: caller.tenant_id.clone(),
        connection_id: connection_id.to_owned(),
        operation,
        held_at: now,
        // Done with the last look before it has waited for too long.
        due_at: now.saturating_add((guard.max_hold.ms() - HELD_INTERVAL_MS).max(0)),
    };
    held::put(tx, &held).await?;
    Ok(true)
}

async fn holds(tx: &Tx, caller: &Caller, guard: &Guard, since: i64) -> Result<bool> {
    let connection_id = caller.connection().unwrap_or_default();
    let done = held::noted_since(tx, connection_id, since).await?;
    if guard.holds(done, u64::MAX) {
        return Ok(true);
    }
    // Counting users is worth it only where their number decides.
    match guard.holds(done, 0) {
        false => Ok(false),
        true => {
            // Those who left within the window count as they did before it.
            let active = held::users(tx, &caller.tenant_id).await?;
            Ok(guard.holds(done, active.saturating_add(done)))
        }
    }
}
