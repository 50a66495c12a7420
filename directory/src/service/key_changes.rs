//! Keys that follow each other, are given up, and are revoked.

use std::sync::Arc;

use super::replays::{Kid, Write};
use super::{
    Directory,
    keyring::{Known, LEASE_MS, Snapshot},
    keys::KeyState,
    ledger::Deed,
};
use crate::{
    auth::{Caller, Principal},
    domain::{
        Kind,
        access::checked_reason,
        history::{ChangeKind, ResourceType},
        signing_key::{Algorithm, LEAD_MS, Life, State},
    },
    error::{Error, Result},
    storage::{Tx, keys, keys::SigningKey, tenants},
};

/// How long keys that are of no use any more are listed.
const KEEP_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

impl Directory {
    /// Makes the next key. It signs once all verifiers must know it.
    ///
    /// # Errors
    /// [`Error::KeyState`] while there is a next key already, and for a command
    /// where each process has a key of its own.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        algorithm: Option<Algorithm>,
    ) -> Result<KeyState> {
        if self.keyring.sealing.is_none() && caller.principal == Principal::Operator {
            return Err(Error::KeyState(
                "without a key encryption key each server process has a key of its own: \
                 restart it",
            ));
        }
        let current = self.signer().await?;
        let now = self.source.now_ms();
        let algorithm = algorithm.unwrap_or_else(|| current.algorithm());
        let made = self
            .keyring
            .make(algorithm, now + LEAD_MS, self.source.as_ref())?;
        let (key, private) = made;
        let work = Arc::new((key.clone(), caller.clone(), Arc::clone(&self.keyring)));
        // Others may read it as soon as it is there.
        self.keyring.keep(&key, private);
        let rotated = self
            .once(
                caller,
                Write::administering("RotateSigningKey"),
                move |tx| {
                    let work = Arc::clone(&work);
                    async move {
                        let (key, caller, ring) = &*work;
                        let snapshot = ring.load(&tx).await?;
                        supersede(&tx, &snapshot, key, now).await?;
                        keys::insert(&tx, key).await?;
                        let what = ("RotateSigningKey", ChangeKind::Created);
                        record(&tx, caller, what, &key.kid, now).await?;
                        Ok(Kid(key.kid.clone()))
                    }
                },
            )
            .await;
        match rotated {
            Ok(Kid(kid)) if kid == key.kid => {}
            Ok(Kid(first)) => {
                self.keyring.own().remove(&key.kid);
                let known = self.list_keys().await?.into_iter();
                let known = known.into_iter().find(|known| known.key.kid == first);
                return known.ok_or_else(|| no_key(&first));
            }
            Err(error) => {
                self.keyring.own().remove(&key.kid);
                return Err(error);
            }
        }
        self.look_at_keys().await?;
        Ok(KeyState {
            state: key.life.state(now),
            key,
        })
    }

    /// Revokes a key: nothing counts that it signed.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_key(&self, caller: &Caller, kid: &str, reason: &str) -> Result<KeyState> {
        let reason = checked_reason(reason).map_err(|rule| Error::invalid("reason", rule))?;
        let now = self.source.now_ms();
        let ring = Arc::clone(&self.keyring);
        let work = Arc::new((kid.to_owned(), caller.clone(), ring, reason));
        self.once(
            caller,
            Write::administering("RevokeSigningKey"),
            move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (kid, caller, ring, reason) = &*work;
                    let snapshot = ring.load(&tx).await?;
                    let known = snapshot.find(kid).ok_or_else(|| no_key(kid))?;
                    let mut life = known.kept.life;
                    if life.revoked_at.is_some() {
                        return Ok(());
                    }
                    life.revoked_at = Some(now);
                    life.sign_until = Some(life.sign_until.map_or(now, |until| until.min(now)));
                    keys::set_life(&tx, kid, &life).await?;
                    keys::set_reason(&tx, kid, reason).await?;
                    match known.kept.life.state(now) {
                        State::Signing => promote(&tx, &snapshot, now).await?,
                        State::Published => reinstate(&tx, &snapshot, &known.kept, now).await?,
                        State::VerifyOnly | State::Retired | State::Revoked => {}
                    }
                    tell_all(&tx, caller, kid, now).await
                }
            },
        )
        .await?;
        tracing::warn!(key.id = kid, "a signing key is revoked");
        self.look_at_keys().await?;
        let snapshot = self.keys_now().await?;
        let known = snapshot.find(kid).ok_or_else(|| no_key(kid))?;
        Ok(KeyState {
            state: known.kept.life.state(now),
            key: known.kept.clone(),
        })
    }

    /// What changed counts here at once, not with the next look.
    async fn look_at_keys(&self) -> Result<()> {
        self.keyring.forget();
        self.store.look_at_access().await.map(|_| ())
    }

    /// Prolongs keys that this process alone has, and forgets old ones.
    pub(super) async fn keep_keys(&self) -> Result<()> {
        let now = self.source.now_ms();
        let snapshot = self.keys_now().await?;
        let own = snapshot.keys.iter().filter(|known| {
            let life = &known.kept.life;
            let ends_soon = life
                .sign_until
                .is_some_and(|until| until - now < LEASE_MS / 2);
            let is_superseded = snapshot
                .keys
                .iter()
                .any(|other| other.private.is_some() && other.kept.life.sign_from > life.sign_from);
            let is_own = known.kept.private.is_none() && known.private.is_some();
            is_own && ends_soon && !is_superseded && life.state(now) == State::Signing
        });
        for known in own {
            let mut life = known.kept.life;
            life.sign_until = Some(now + LEASE_MS);
            self.set_life(known.kept.kid.clone(), life).await?;
        }
        let old = |known: &Known| {
            let until = known.kept.life.sign_until;
            until.is_some_and(|until| until < now - KEEP_MS)
        };
        if snapshot.keys.iter().any(old) {
            self.store
                .administer("ForgetKeys", move |tx| async move {
                    keys::forget(&tx, now - KEEP_MS).await
                })
                .await?;
        }
        Ok(())
    }

    /// Says that keys which this process alone has sign nothing any more.
    pub(super) async fn give_up_keys(&self) -> Result<()> {
        let now = self.source.now_ms();
        let Some(snapshot) = self.keyring.known() else {
            return Ok(());
        };
        let is_own = |known: &&Known| known.kept.private.is_none() && known.private.is_some();
        for known in snapshot.keys.iter().filter(is_own) {
            let mut life = known.kept.life;
            if life.state(now) == State::Signing {
                life.sign_until = Some(now);
                self.set_life(known.kept.kid.clone(), life).await?;
            }
        }
        Ok(())
    }

    async fn set_life(&self, kid: String, life: Life) -> Result<()> {
        self.store
            .administer("SetKeyLife", move |tx| {
                let kid = kid.clone();
                async move { keys::set_life(&tx, &kid, &life).await }
            })
            .await
    }
}

/// Lets the keys that a new one follows sign until it begins.
async fn supersede(tx: &Tx, snapshot: &Snapshot, next: &SigningKey, now: i64) -> Result<()> {
    let alike = |known: &&Known| {
        let is_ours = known.private.is_some() || known.kept.private.is_some();
        is_ours && known.kept.kid != next.kid
    };
    for known in snapshot.keys.iter().filter(alike) {
        match known.kept.life.state(now) {
            State::Published => {
                return Err(Error::KeyState("the next key is published already"));
            }
            State::Signing => {
                let mut life = known.kept.life;
                life.sign_until = Some(next.life.sign_from);
                keys::set_life(tx, &known.kept.kid, &life).await?;
            }
            State::VerifyOnly | State::Retired | State::Revoked => {}
        }
    }
    Ok(())
}

/// Lets the key that is published sign at once: verifiers know it already.
async fn promote(tx: &Tx, snapshot: &Snapshot, now: i64) -> Result<()> {
    for known in &snapshot.keys {
        let mut life = known.kept.life;
        let is_ours = known.private.is_some() || known.kept.private.is_some();
        if is_ours && life.state(now) == State::Published {
            life.sign_from = now;
            keys::set_life(tx, &known.kept.kid, &life).await?;
        }
    }
    Ok(())
}

/// Lets the keys that a revoked one should have followed go on to sign.
async fn reinstate(tx: &Tx, snapshot: &Snapshot, next: &SigningKey, now: i64) -> Result<()> {
    for known in &snapshot.keys {
        let mut life = known.kept.life;
        let makes_way = life.sign_until == Some(next.life.sign_from);
        if makes_way && life.state(now) == State::Signing {
            life.sign_until = known.kept.private.is_none().then_some(now + LEASE_MS);
            keys::set_life(tx, &known.kept.kid, &life).await?;
        }
    }
    Ok(())
}

fn no_key(kid: &str) -> Error {
    Error::NotFound {
        kind: Kind::SigningKey,
        id: kid.to_owned(),
    }
}

/// Records in every tenant that a key was revoked: it signed for all of them. Who
/// did it, his own tenant alone is told.
async fn tell_all(tx: &Tx, caller: &Caller, kid: &str, now: i64) -> Result<()> {
    let what = ("RevokeSigningKey", ChangeKind::Deleted);
    let is_operator = caller.principal == Principal::Operator;
    // In the order of their ids, so that no two who do this wait for each other.
    for tenant in tenants::list_tenants(tx).await? {
        let principal = match (is_operator, tenant.id == caller.tenant_id) {
            (false, true) => caller.principal.clone(),
            (true, _) => Principal::Operator,
            (false, false) => Principal::Server,
        };
        let inside = Caller {
            request_id: caller.request_id.clone(),
            ..Caller::inside(&tenant.id, principal)
        };
        deed(what, kid).record(tx, &inside, now).await?;
    }
    Ok(())
}

/// Records what was done to a key in the caller's tenant; an operator has none.
async fn record(
    tx: &Tx,
    caller: &Caller,
    (method, kind): (&'static str, ChangeKind),
    kid: &str,
    now: i64,
) -> Result<()> {
    if caller.principal == Principal::Operator {
        return Ok(());
    }
    let deed = deed((method, kind), kid);
    deed.record(tx, caller, now).await.map(|_| ())
}

fn deed<'a>((method, kind): (&'static str, ChangeKind), kid: &'a str) -> Deed<'a> {
    Deed {
        method,
        kind,
        resource_type: ResourceType::SigningKey,
        resource_id: kid,
        owner: None,
        user_id: None,
        version: 1,
    }
}
