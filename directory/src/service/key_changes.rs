//! Keys that follow each other, are given up, and are revoked.

use std::{sync::Arc, time::Duration};

use super::replays::{Kid, Write};
use super::{
    Directory,
    jobs::millis,
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
    storage::{Tx, history, keys, keys::SigningKey, tenants},
};

/// How it is recorded that a key was revoked.
const REVOKED: (&str, ChangeKind) = ("RevokeSigningKey", ChangeKind::Deleted);

/// For how long who revokes a key waits until all tenants are told.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

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
                    record(&tx, caller, REVOKED, kid, now).await
                }
            },
        )
        .await?;
        tracing::warn!(key.id = kid, "a signing key is revoked");
        self.look_at_keys().await?;
        self.tell_of_revocation(caller, kid).await;
        let snapshot = self.keys_now().await?;
        let known = snapshot.find(kid).ok_or_else(|| no_key(kid))?;
        Ok(KeyState {
            state: known.kept.life.state(now),
            key: known.kept.clone(),
        })
    }

    /// Tells all tenants that a key was revoked. It is dead by then: a tenant that is
    /// being written for long keeps nobody waiting, and is told later.
    async fn tell_of_revocation(&self, caller: &Caller, kid: &str) {
        let principal = match caller.principal {
            Principal::Operator => Principal::Operator,
            _ => Principal::Server,
        };
        let (directory, kid) = (self.clone(), kid.to_owned());
        let request_id = caller.request_id.clone();
        let telling = tokio::spawn(async move {
            if let Err(error) = directory.tell_all(&kid, &principal, &request_id).await {
                tracing::warn!(key.id = kid, %error, "telling of a revoked key is put off");
            }
        });
        let _ = tokio::time::timeout(TOLD_WITHIN, telling).await;
    }

    /// Tells those tenants of revoked keys who have not heard yet.
    async fn tell_of_revocations(&self, snapshot: &Snapshot, now: i64) -> Result<()> {
        let since = now.saturating_sub(millis(self.retention.changes));
        let is_fresh = |known: &&Known| known.kept.life.revoked_at.is_some_and(|at| at > since);
        for known in snapshot.keys.iter().filter(is_fresh) {
            self.tell_all(&known.kept.kid, &Principal::Server, "")
                .await?;
        }
        Ok(())
    }

    /// Records in every tenant that a key was revoked: it signed for all of them. Who
    /// did it, his own tenant alone is told.
    async fn tell_all(&self, kid: &str, principal: &Principal, request_id: &str) -> Result<()> {
        let mut told = Ok(());
        for tenant in tenants::list_tenants(&self.store.single()).await? {
            let inside = Caller {
                request_id: request_id.to_owned(),
                ..Caller::inside(&tenant.id, principal.clone())
            };
            // One tenant's trouble is not another's.
            told = self.tell_one(inside, kid).await.and(told);
        }
        told
    }

    /// Records in a tenant that a key was revoked, unless it is recorded.
    async fn tell_one(&self, inside: Caller, kid: &str) -> Result<()> {
        let now = self.source.now_ms();
        let (method, _) = REVOKED;
        if history::has_done(&self.store.single(), &inside.tenant_id, method, kid).await? {
            return Ok(());
        }
        let tenant_id = inside.tenant_id.clone();
        let work = Arc::new((inside, kid.to_owned()));
        self.store
            .write(&tenant_id, method, move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (inside, kid) = &*work;
                    match history::has_done(&tx, &inside.tenant_id, method, kid).await? {
                        true => Ok(()),
                        false => deed(REVOKED, kid)
                            .record(&tx, inside, now)
                            .await
                            .map(|_| ()),
                    }
                }
            })
            .await
    }

    /// What changed counts here at once, not with the next look.
    async fn look_at_keys(&self) -> Result<()> {
        self.keyring.forget();
        self.store.look_at_access().await.map(|_| ())
    }

    /// Prolongs keys that this process alone has, forgets old ones, and tells of those
    /// that were revoked.
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
        self.tell_of_revocations(&snapshot, now).await
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
