//! The end of tokens: one, all of a user, and those of whoever may not act any
//! more.

use std::sync::Arc;

use uuid::Uuid;

use super::replays::Write;
use super::{
    Directory,
    introspection::TokenKind,
    joining::AWAITS,
    ledger::Deed,
    resources::Written,
    target::{Target, advance, record},
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        access::{Lock, checked_reason},
        credential::{Purpose, Secret},
        history::{Change, ChangeKind, Fact, Position, ResourceType},
        report::Report,
        resource::ResourceKind,
        signing_key::{LEEWAY_MS, TOKEN_LIFE_MS},
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx, credentials, history,
        relations::Wants,
        resources::{self, Reach},
        spent, subjects,
    },
};

/// Which token is to end.
#[derive(Clone, PartialEq, Eq)]
pub enum Doomed {
    /// A stored one, by its id.
    Id(String),
    /// Any, by its value.
    Value(String),
    /// A signed one, by its own id.
    Jti(String),
}

/// All tokens of a user are to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOut {
    /// Whose.
    pub user_id: String,
    /// Signed ones that were issued until then; milliseconds since the Unix
    /// epoch. `None`: now.
    pub not_before: Option<i64>,
    /// Whether stored ones stay.
    pub keep_stored: bool,
    /// For people.
    pub reason: String,
}

/// What ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOut {
    /// How many stored tokens.
    pub revoked: u64,
    /// Signed ones that were issued until then; milliseconds since the Unix
    /// epoch.
    pub valid_after: i64,
    /// `None` when nothing changed.
    pub position: Option<Position>,
}

impl Directory {
    /// Ends a token; what is dead or unknown stays so.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an id; [`Error::Invalid`].
    pub async fn end_token(
        &self,
        caller: &Caller,
        doomed: Doomed,
        reason: &str,
    ) -> Result<Option<Position>> {
        let reason = checked_reason(reason).map_err(|rule| Error::invalid("reason", rule))?;
        // Of a token that is dead nothing is known any more.
        if let Some(ended) = self.known(caller).await? {
            return Ok(ended);
        }
        let id = match doomed {
            Doomed::Id(id) => id,
            Doomed::Jti(jti) => return self.end_signed(caller, &jti).await,
            Doomed::Value(text) => match self.token_of(caller, &text).await? {
                None => match self.client_secret(caller, &text).await? {
                    Some(id) => id,
                    // Or whoever asks the same ended it just now.
                    None => return Ok(self.known(caller).await?.flatten()),
                },
                Some(token) => {
                    let is_stored = token.issuer.is_empty() && token.kind != TokenKind::Service;
                    if !is_stored {
                        return self.end_signed(caller, &token.jti).await;
                    }
                    token.jti.clone()
                }
            },
        };
        let (_, position) = self.revoke_token(caller, &id, &reason).await?;
        Ok(position)
    }

    /// The credential with this client secret, of the caller's tenant.
    async fn client_secret(&self, caller: &Caller, text: &str) -> Result<Option<String>> {
        let Some(secret) = Secret::parse(Purpose::Client, text) else {
            return Ok(None);
        };
        let found = credentials::standing_by_key(&self.store.express(), secret.key_id()).await?;
        let proven = super::auth::proves(&secret, found.as_ref(), Purpose::Client);
        let found = found.map(|found| found.credential);
        let found = found.filter(|found| proven && found.tenant_id == caller.tenant_id);
        Ok(found.map(|found| found.id))
    }

    /// Ends a signed token. Its id tells when it was issued, and so whether it
    /// can still be in use.
    async fn end_signed(&self, caller: &Caller, jti: &str) -> Result<Option<Position>> {
        let now = self.source.now_ms();
        let Some(expires_at) = latest_end(jti, now) else {
            return Ok(None);
        };
        let work = Arc::new((caller.clone(), jti.to_owned()));
        self.once(caller, Write::of("RevokeToken"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, jti) = &*work;
                if !spent::spend(&tx, &caller.tenant_id, jti, expires_at).await? {
                    return Ok(None);
                }
                history::change_access(&tx, &caller.tenant_id).await?;
                let deed = Deed {
                    method: "RevokeToken",
                    kind: ChangeKind::Deleted,
                    resource_type: ResourceType::Token,
                    resource_id: jti,
                    owner: None,
                    user_id: None,
                    version: 1,
                };
                deed.record(&tx, caller, now).await.map(Some)
            }
        })
        .await
    }

    /// Ends all tokens of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`].
    pub async fn sign_out(&self, caller: &Caller, mut wanted: SignOut) -> Result<SignedOut> {
        let reason = checked_reason(&wanted.reason);
        wanted.reason = reason.map_err(|rule| Error::invalid("reason", rule))?;
        let now = self.source.now_ms();
        if wanted.not_before.is_some_and(|at| at > now) {
            return Err(Error::invalid("not_before", "must not be in the future"));
        }
        let target = Target::new(
            caller,
            ResourceKind::User,
            &wanted.user_id,
            &Precondition::default(),
        );
        let work = Arc::new((target, wanted));
        self.once(caller, Write::of("RevokeAllUserTokens"), move |tx| {
            let work = Arc::clone(&work);
            async move { sign_out(&tx, &work.0, &work.1, now).await }
        })
        .await
    }

    /// Locks a user, or lifts the lock; what is so already changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Invalid`].
    pub async fn set_locked(
        &self,
        caller: &Caller,
        id: &str,
        lock: Option<&str>,
        precondition: &Precondition,
    ) -> Result<Written> {
        let now = self.source.now_ms();
        let reason = lock.map(checked_reason).transpose();
        let reason = reason.map_err(|rule| Error::invalid("reason", rule))?;
        let lock = reason.map(|reason| Lock { at: now, reason });
        let target = Target::new(caller, ResourceKind::User, id, precondition);
        let work = Arc::new((target, lock));
        let method = if work.1.is_some() {
            "LockUser"
        } else {
            "UnlockUser"
        };
        self.once(caller, Write::showing(method, Wants::NONE), move |tx| {
            let work = Arc::clone(&work);
            async move { set_lock(&tx, &work.0, work.1.clone(), now, method).await }
        })
        .await
    }
}

async fn set_lock(
    tx: &Tx,
    target: &Target,
    lock: Option<Lock>,
    now: i64,
    method: &'static str,
) -> Result<Written> {
    let (before, relations) = target.load(tx, Reach::Live, Wants::NONE).await?;
    let is_lock = |lock: &Lock| lock.reason != AWAITS;
    let is_same = match (&before.access.lock, &lock) {
        // Who awaits his start is locked by nobody's word yet.
        (Some(former), Some(_)) => is_lock(former),
        (None, None) => true,
        _ => false,
    };
    if is_same {
        return Ok(Written {
            view: (before, relations).into(),
            position: None,
            report: Report::default(),
        });
    }
    let caller = &target.caller;
    if lock.is_none() {
        // Or whoever comes after him would have the lock of who was before.
        subjects::unlock_former(tx, &caller.tenant_id, &before).await?;
    }
    let mut after = before.clone();
    after.access.lock = lock;
    advance(&mut after, now);
    regard_access(tx, caller, &before, &mut after, now).await?;
    resources::update(tx, caller.scope(), &before, &after).await?;
    let changes = [Change::between(&before, &after)];
    let report = Report::between(&before, &after);
    let position = record(tx, caller, method, &after, &changes).await?;
    Ok(Written {
        view: View {
            resource: after,
            relations,
        },
        position: Some(position),
        report,
    })
}

/// What every write of a user does. When it takes his access away his tokens die
/// with it, and whoever remembers him forgets him; that he may act again brings
/// nothing back. When he has another name, what is remembered of his tokens is
/// no longer what is to be said of them. The caller writes the user.
pub(super) async fn regard_access(
    tx: &Tx,
    caller: &Caller,
    before: &Resource,
    after: &mut Resource,
    now: i64,
) -> Result<()> {
    if before.kind != ResourceKind::User {
        return Ok(());
    }
    if !before.may_act() || after.may_act() {
        return match before.text("userName") == after.text("userName") {
            true => Ok(()),
            false => history::change_access(tx, &caller.tenant_id).await,
        };
    }
    after.access.end(now);
    credentials::revoke_of_user(tx, &after.id, "the user may not act", now).await?;
    history::change_access(tx, &caller.tenant_id).await
}

async fn sign_out(tx: &Tx, target: &Target, wanted: &SignOut, now: i64) -> Result<SignedOut> {
    let (before, _) = target.load(tx, Reach::Live, Wants::NONE).await?;
    let mut after = before.clone();
    match wanted.not_before {
        Some(then) => after.access.end_until(then),
        None => after.access.end(now),
    }
    let caller = &target.caller;
    let revoked = match wanted.keep_stored {
        true => 0,
        false => credentials::revoke_of_user(tx, &after.id, &wanted.reason, now).await?,
    };
    let valid_after = after.access.tokens_valid_after.unwrap_or(now);
    if after.access == before.access && revoked == 0 {
        return Ok(SignedOut {
            revoked,
            valid_after,
            position: None,
        });
    }
    advance(&mut after, now);
    resources::update(tx, caller.scope(), &before, &after).await?;
    history::change_access(tx, &caller.tenant_id).await?;
    let changes = [Change {
        facts: vec![Fact::SignedOut],
        ..Change::between(&before, &after)
    }];
    let position = record(tx, caller, "RevokeAllUserTokens", &after, &changes).await?;
    Ok(SignedOut {
        revoked,
        valid_after,
        position: Some(position),
    })
}

/// When a signed token with this id has ended at the latest; `None` for what is
/// none, or has ended. Milliseconds since the Unix epoch.
fn latest_end(jti: &str, now_ms: i64) -> Option<i64> {
    let id = Uuid::parse_str(jti).ok()?;
    // As we write it: others would not be found.
    if id.to_string() != jti {
        return None;
    }
    let (seconds, _) = id.get_timestamp()?.to_unix();
    let issued = i64::try_from(seconds).ok()?.checked_mul(1_000)?;
    let end = issued.checked_add(TOKEN_LIFE_MS + 2 * LEEWAY_MS)?;
    let is_plausible = issued <= now_ms + LEEWAY_MS && end > now_ms;
    is_plausible.then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_how_long_its_token_can_live() {
        // 2022-02-22T19:22:22Z, the example of RFC 9562.
        let (jti, issued) = ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 1_645_557_742_000);
        let end = issued + TOKEN_LIFE_MS + 2 * LEEWAY_MS;
        assert_eq!(latest_end(jti, issued), Some(end));
        assert_eq!(latest_end(jti, end - 1), Some(end));
        assert_eq!(latest_end(jti, end), None);
        assert_eq!(latest_end(jti, issued - 60_000), None);
        let upper = jti.to_uppercase();
        for none in ["", "x", &upper, "919108f7-52d1-4320-9bac-f847db4148a8"] {
            assert_eq!(latest_end(none, issued), None, "{none}");
        }
    }
}
