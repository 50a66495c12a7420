//! Users who are about to lose their access through a connection: who is protected,
//! and whose deactivation waits for an operator.

use super::{held::HELD_INTERVAL, jobs::millis};
use crate::{
    auth::Caller,
    domain::{Resource, policy::Guard, report::Ignored},
    error::{Error, Result},
    storage::{
        Tx,
        held::{self, Held, HeldOperation},
        tenants,
    },
};

const USER_NAME: &str = "userName";

const RENAMED_LATER: &str = "changes when the deactivation that waits is done";

/// Looks at a write of a user, before it is done. Whether it is a deactivation that
/// waits: then he is not active for his client, may act, and has the name by which he
/// signs in.
/// `speaks_of_active`: whether the request says if he is active.
///
/// # Errors
/// [`Error::Protected`].
pub(super) async fn regard(
    tx: &Tx,
    caller: &Caller,
    (before, after): (&Resource, &mut Resource),
    speaks_of_active: bool,
    ignored: &mut Vec<Ignored>,
    now: i64,
) -> Result<bool> {
    let waits = before.access.held_at.is_some();
    let leaves = !after.active() && (before.active() || (waits && speaks_of_active));
    let is_renamed = before.text(USER_NAME) != after.text(USER_NAME);
    let regarding = Regarding { tx, caller, now };
    if leaves || is_renamed {
        regarding.check_protected(before).await?;
    }
    if after.active() {
        if !before.active() {
            regarding.is_back(after).await?;
        }
        return Ok(false);
    }
    if !leaves {
        if waits && is_renamed {
            regarding.forget_name(after).await?;
        }
        return Ok(false);
    }
    let held = match waits {
        true => {
            regarding
                .still_waits(after, HeldOperation::Deactivate)
                .await?
        }
        false => regarding.hold(after, HeldOperation::Deactivate).await?,
    };
    let Some(held) = held else {
        return Ok(false);
    };
    if is_renamed {
        regarding.rename_later(before, after, held).await?;
        ignored.push(Ignored {
            path: USER_NAME.to_owned(),
            reason: RENAMED_LATER.into(),
        });
    }
    Ok(true)
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
    let regarding = Regarding { tx, caller, now };
    regarding.check_protected(user).await?;
    let held = match (user.access.held_at.is_some(), user.active()) {
        (true, _) => regarding.still_waits(user, HeldOperation::Delete).await?,
        (false, true) => regarding.hold(user, HeldOperation::Delete).await?,
        // He has no access to lose.
        (false, false) => None,
    };
    Ok(held.is_some())
}

/// Checks that a provisioning client may remove a user for good: what is gone cannot
/// wait, so whoever would wait is refused.
///
/// # Errors
/// [`Error::Protected`].
pub(super) async fn check_purge(tx: &Tx, caller: &Caller, user: &Resource, now: i64) -> Result<()> {
    if user.deleted_at.is_some() {
        return Ok(());
    }
    let regarding = Regarding { tx, caller, now };
    regarding.check_protected(user).await?;
    if !user.active() && user.access.held_at.is_none() {
        // He has no access to lose.
        return Ok(());
    }
    match regarding.is_too_much().await? {
        true => Err(Error::Protected),
        false => regarding.note(&user.id).await,
    }
}

/// Somebody's write of a user.
struct Regarding<'a> {
    tx: &'a Tx,
    caller: &'a Caller,
    now: i64,
}

impl Regarding<'_> {
    /// Refuses a provisioning client whom any connection of the tenant protects the
    /// user from: from one alone he would be as good as unprotected.
    async fn check_protected(&self, user: &Resource) -> Result<()> {
        if self.caller.connection().is_none() {
            return Ok(());
        }
        let tenant_id = &self.caller.tenant_id;
        let named = tenants::policies_naming(self.tx, tenant_id, &user.id).await?;
        let mut named = named.iter().flat_map(|(_, policy)| &policy.protected_users);
        match named.any(|id| *id == user.id) {
            true => Err(Error::Protected),
            false => Ok(()),
        }
    }

    /// Who is active again has nothing that waits, and did not leave.
    async fn is_back(&self, user: &mut Resource) -> Result<()> {
        held::forget_noted(self.tx, &user.id).await?;
        self.end(user).await
    }

    async fn end(&self, user: &mut Resource) -> Result<()> {
        if user.access.held_at.take().is_some() {
            held::remove(self.tx, &user.id).await?;
        }
        Ok(())
    }

    /// Somebody says once more that a user goes whose deactivation waits; what waits
    /// then, if he is not gone now: one connection's guard does not bind another one,
    /// nor an operator.
    async fn still_waits(
        &self,
        user: &mut Resource,
        operation: HeldOperation,
    ) -> Result<Option<Held>> {
        let (tx, tenant_id) = (self.tx, &self.caller.tenant_id);
        let (Some(own), Some(held)) = (
            self.caller.connection(),
            held::find(tx, tenant_id, &user.id).await?,
        ) else {
            self.end(user).await?;
            return Ok(None);
        };
        let is_guarded = self.caller.profile.policy.deprovision_guard.is_some();
        let is_bound = is_guarded && held.connection_id == own;
        if !is_bound && !self.is_too_much().await? {
            self.end(user).await?;
            self.note(&user.id).await?;
            return Ok(None);
        }
        // Whoever asks for more than the other one did is whom it waits for.
        let is_more = operation == HeldOperation::Delete && held.operation != operation;
        let held = match is_more {
            true => Held {
                operation,
                connection_id: own.to_owned(),
                ..held
            },
            false => held,
        };
        held::put(tx, &held).await?;
        Ok(Some(held))
    }

    /// Lets a deactivation wait where there are too many, else notes it.
    async fn hold(&self, user: &mut Resource, operation: HeldOperation) -> Result<Option<Held>> {
        let guard = &self.caller.profile.policy.deprovision_guard;
        let (Some(guard), Some(connection_id)) = (guard, self.caller.connection()) else {
            return Ok(None);
        };
        if !self.is_too_much().await? {
            self.note(&user.id).await?;
            return Ok(None);
        }
        user.access.held_at = Some(self.now);
        let wait = (guard.max_hold.ms() - millis(HELD_INTERVAL)).max(0);
        let held = Held {
            user_id: user.id.clone(),
            tenant_id: self.caller.tenant_id.clone(),
            connection_id: connection_id.to_owned(),
            operation,
            user_name: None,
            held_at: self.now,
            // Done with the last look before it has waited for too long.
            due_at: self.now.saturating_add(wait),
        };
        held::put(self.tx, &held).await?;
        Ok(Some(held))
    }

    /// Keeps the name of whoever may act, and notes the one that he is to have then.
    async fn rename_later(
        &self,
        before: &Resource,
        after: &mut Resource,
        held: Held,
    ) -> Result<()> {
        let user_name = after.text(USER_NAME).map(ToOwned::to_owned);
        if let Some(name) = before.attributes.get(USER_NAME) {
            after.attributes.insert(USER_NAME.to_owned(), name.clone());
        }
        held::put(self.tx, &Held { user_name, ..held }).await
    }

    /// Of two names the last one counts: whoever is called something else now does not
    /// become what he was to be called before.
    async fn forget_name(&self, user: &Resource) -> Result<()> {
        match held::find(self.tx, &self.caller.tenant_id, &user.id).await? {
            Some(held) if held.user_name.is_some() => {
                let user_name = None;
                held::put(self.tx, &Held { user_name, ..held }).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the connection's guard has one more wait.
    async fn is_too_much(&self) -> Result<bool> {
        let guard = &self.caller.profile.policy.deprovision_guard;
        let (Some(guard), Some(connection_id)) = (guard, self.caller.connection()) else {
            return Ok(false);
        };
        let done = held::noted_since(self.tx, connection_id, self.since(guard)).await?;
        if guard.holds(done, u64::MAX) {
            return Ok(true);
        }
        // Counting users is worth it only where their number decides.
        match guard.holds(done, 0) {
            false => Ok(false),
            true => {
                // Those who left within the window count as they did before it.
                let active = held::users(self.tx, &self.caller.tenant_id).await?;
                Ok(guard.holds(done, active.saturating_add(done)))
            }
        }
    }

    /// Notes for the connection's guard that a user left.
    async fn note(&self, user_id: &str) -> Result<()> {
        let guard = &self.caller.profile.policy.deprovision_guard;
        match (guard, self.caller.connection()) {
            (Some(guard), Some(connection_id)) => {
                let since = self.since(guard);
                held::note(self.tx, connection_id, user_id, self.now, since).await
            }
            _ => Ok(()),
        }
    }

    fn since(&self, guard: &Guard) -> i64 {
        self.now.saturating_sub(guard.window.ms())
    }
}
