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
    },
};

/// Looks at a write of a user by his connection, before it is done. Whether his
/// deactivation waits: then he is not active for his client, and may act.
///
/// # Errors
/// [`Error::Protected`].
pub(super) async fn regard(
    tx: &Tx,
    caller: &Caller,
    before: &Resource,
    after: &mut Resource,
    now: i64,
) -> Result<bool> {
    if caller.connection().is_none() {
        return release_if_active(tx, after).await;
    }
    let is_renamed = before.text("userName") != after.text("userName");
    let leaves = before.active() && !after.active();
    if (leaves || is_renamed) && is_protected(caller, before) {
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
    if is_protected(caller, user) {
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

fn is_protected(caller: &Caller, user: &Resource) -> bool {
    caller.profile.policy.protected_users.contains(&user.id)
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
        true => Ok(guard.holds(done, held::users(tx, &caller.tenant_id).await?)),
    }
}
