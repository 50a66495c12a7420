//! The keys that sign tokens.
//!
//! With a key encryption key, private keys are in the database, sealed, and all
//! processes sign with the same one. Without, none is written anywhere: each
//! process signs with a key of its own, which lives as long as it does, and tells
//! the others its public part through the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{Directory, ledger::Deed};
use crate::{
    auth::{Caller, Principal},
    clock::Source,
    domain::{
        Kind,
        history::{ChangeKind, ResourceType},
        signing_key::{Algorithm, LEAD_MS, Life, State, TOKEN_LIFE_MS},
    },
    error::{Error, Result},
    sealing::Sealing,
    signing::{
        key::{PrivateKey, PublicKey},
        token::{self, Claims, Unverified},
    },
    storage::{Tx, keys, keys::SigningKey, settings},
};

/// How long a key that one process has is announced ahead: behind it nobody
/// believes what it signs.
const LEASE_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long keys that are of no use any more are listed.
const KEEP_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Most issuers that are remembered.
const ISSUERS: usize = 16;

/// What is sealed to recognise the key encryption key.
const CHECK: &[u8] = b"muster";

/// All keys as they are at a time.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Tells it from others.
    pub(super) version: i64,
    keys: Vec<Known>,
    /// Whose word the tokens are, the last one first.
    issuers: Vec<String>,
}

/// A key that this process knows.
#[derive(Debug)]
struct Known {
    kept: SigningKey,
    public: PublicKey,
    /// `None` when others have it.
    private: Option<PrivateKey>,
}

/// The keys that this process knows and has.
#[derive(Debug)]
pub(super) struct Keyring {
    sealing: Option<Arc<Sealing>>,
    /// Those that no one else has, by `kid`.
    own: Mutex<HashMap<String, PrivateKey>>,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    issuer: RwLock<Option<String>>,
    /// Held while a key is made, so that many callers make one.
    making: tokio::sync::Mutex<()>,
}

/// A token that was verified.
#[derive(Debug)]
pub(super) struct Verified {
    /// What it says.
    pub(super) claims: Claims,
    /// The keys by which that was found.
    pub(super) keys_version: i64,
}

/// A set of public keys, as verifiers read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    /// RFC 7517 section 5.
    pub json: String,
    /// `iss` of what they sign.
    pub issuer: String,
}

/// A key with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: SigningKey,
    /// What it is good for now.
    pub state: State,
}

impl Keyring {
    /// With what seals private keys, if there is such a thing.
    pub(super) fn new(sealing: Option<Sealing>) -> Self {
        Self {
            sealing: sealing.map(Arc::new),
            own: Mutex::default(),
            snapshot: RwLock::default(),
            issuer: RwLock::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<String, PrivateKey>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Option<Arc<Snapshot>> {
        let known = self.snapshot.read();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what is known of the keys in the database.
    pub(super) fn forget(&self) {
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn load(&self, tx: &Tx) -> Result<Arc<Snapshot>> {
        // First, so that what changes meanwhile is read again.
        let version = keys::version(tx).await?;
        let issuers = settings::load(tx, settings::ISSUERS).await?;
        let mut known = Vec::new();
        for kept in keys::all(tx).await? {
            known.push(self.recognise(kept)?);
        }
        let snapshot = Arc::new(Snapshot {
            version,
            keys: known,
            issuers: issuers
                .unwrap_or_default()
                .lines()
                .map(Into::into)
                .collect(),
        });
        let mut place = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    fn recognise(&self, kept: SigningKey) -> Result<Known> {
        let public = PublicKey::read(&kept.public)?;
        let own = self.own().get(&kept.kid).cloned();
        let sealed = self.sealing.as_ref().zip(kept.private.as_ref());
        let opened = sealed.and_then(|(sealing, sealed)| sealing.open(&kept.kid, sealed));
        let opened = opened.map(|der| PrivateKey::from_der(kept.algorithm, &der));
        Ok(Known {
            kept,
            public,
            private: own.or(opened),
        })
    }

    /// A new key that signs from this time on, and what is kept of it.
    fn make(
        &self,
        algorithm: Algorithm,
        sign_from: i64,
        source: &dyn Source,
    ) -> Result<(SigningKey, PrivateKey)> {
        let private = PrivateKey::generate(algorithm)?;
        let public = private.public()?;
        let kid = public.kid().to_owned();
        let sealed = self.sealing.as_ref();
        let sealed = sealed.map(|sealing| sealing.seal(&kid, private.der(), source));
        let sealed = sealed.transpose()?;
        let kept = SigningKey {
            algorithm,
            public: public.jwk().to_string(),
            created_at: source.now_ms(),
            life: Life {
                sign_from,
                sign_until: sealed.is_none().then(|| sign_from.saturating_add(LEASE_MS)),
                revoked_at: None,
            },
            private: sealed,
            kid,
        };
        Ok((kept, private))
    }

    /// Remembers a key that is not kept elsewhere.
    fn keep(&self, kept: &SigningKey, private: PrivateKey) {
        if kept.private.is_none() {
            self.own().insert(kept.kid.clone(), private);
        }
    }
}

impl Snapshot {
    /// The key that signs now, of those that this process has: the newest.
    fn signer(&self, now_ms: i64) -> Option<&Known> {
        let ours = self.keys.iter().filter(|known| {
            known.private.is_some() && known.kept.life.state(now_ms) == State::Signing
        });
        ours.max_by_key(|known| known.kept.life.sign_from)
    }

    fn find(&self, kid: &str) -> Option<&Known> {
        self.keys.iter().find(|known| known.kept.kid == kid)
    }

    /// How the newest key signs.
    fn algorithm(&self) -> Algorithm {
        let newest = self.keys.iter().max_by_key(|known| known.kept.created_at);
        newest.map_or_else(Algorithm::default, |known| known.kept.algorithm)
    }

    fn states(&self, now_ms: i64) -> Vec<KeyState> {
        let keys = self.keys.iter();
        keys.map(|known| KeyState {
            state: known.kept.life.state(now_ms),
            key: known.kept.clone(),
        })
        .collect()
    }
}

impl Directory {
    /// Whose word tokens are: `iss`. Tokens that were issued under a former name
    /// go on to count.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_issuer(&self, issuer: &str) -> Result<()> {
        let name = issuer.to_owned();
        self.store
            .administer("TakeIssuer", move |tx| {
                let name = name.clone();
                async move {
                    let known = settings::load(&tx, settings::ISSUERS).await?;
                    let known = known.unwrap_or_default();
                    if known.lines().next() == Some(name.as_str()) {
                        return Ok(());
                    }
                    let others = known.lines().filter(|other| *other != name);
                    let all = std::iter::once(name.as_str()).chain(others);
                    let all: Vec<_> = all.take(ISSUERS).collect();
                    settings::save(&tx, settings::ISSUERS, all.join("\n")).await?;
                    keys::touch(&tx).await
                }
            })
            .await?;
        let place = self.keyring.issuer.write();
        *place.unwrap_or_else(PoisonError::into_inner) = Some(issuer.to_owned());
        Ok(())
    }

    /// Checks that private keys in the database can be opened, and makes the
    /// first key.
    ///
    /// # Errors
    /// [`Error::Unusable`] for a wrong or a missing key encryption key.
    pub async fn prepare_keys(&self) -> Result<()> {
        let check = settings::load(&self.store.single(), settings::KEY_CHECK).await?;
        match (&self.keyring.sealing, check) {
            (None, Some(_)) => Err(Error::Unusable(
                "the signing keys in this database are encrypted: \
                 key_encryption_key or key_encryption_key_file is needed"
                    .to_owned(),
            )),
            (Some(sealing), Some(check)) => match sealing.open(settings::KEY_CHECK, &check) {
                Some(plain) if plain == CHECK => Ok(()),
                _ => Err(Error::Unusable(
                    "the key encryption key is not the one under which the signing keys in \
                     this database are encrypted"
                        .to_owned(),
                )),
            },
            (Some(sealing), None) => {
                let sealed = sealing.seal(settings::KEY_CHECK, CHECK, self.source.as_ref())?;
                let kept = self.store.administer("KeepKeyCheck", move |tx| {
                    let sealed = sealed.clone();
                    async move { super::keep(&tx, settings::KEY_CHECK, sealed).await }
                });
                let kept = kept.await?;
                match sealing.open(settings::KEY_CHECK, &kept) {
                    Some(_) => Ok(()),
                    None => Err(Error::Unusable(
                        "another process started with another key encryption key".to_owned(),
                    )),
                }
            }
            (None, None) => Ok(()),
        }?;
        self.signer().await.map(|_| ())
    }

    /// The keys as they are now.
    async fn keys_now(&self) -> Result<Arc<Snapshot>> {
        let access = self.store.access();
        match self.keyring.known() {
            Some(known) if access.is_fresh() && known.version >= access.keys_version() => Ok(known),
            _ => self.keyring.load(&self.store.express()).await,
        }
    }

    /// `iss` of new tokens.
    pub(super) async fn issuer(&self) -> Result<String> {
        let configured = self.keyring.issuer.read();
        let configured = configured.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(issuer) = configured {
            return Ok(issuer);
        }
        let known = self.keys_now().await?.issuers.first().cloned();
        known.ok_or_else(|| Error::Unusable("no server has run on this database yet".to_owned()))
    }

    /// Signs a token with the key whose turn it is; its `kid`, too.
    pub(super) async fn sign(&self, claims: &Claims) -> Result<(String, String)> {
        let snapshot = self.signer().await?;
        let signer = snapshot.signer(self.source.now_ms());
        let signer = signer.ok_or_else(|| Error::internal("no key signs"))?;
        let private = signer.private.as_ref();
        let private = private.ok_or_else(|| Error::internal("the signing key is elsewhere"))?;
        let kid = signer.kept.kid.clone();
        Ok((token::sign(claims, &kid, private)?, kid))
    }

    /// Keys of which one signs; it is made when there is none.
    async fn signer(&self) -> Result<Arc<Snapshot>> {
        let snapshot = self.keys_now().await?;
        if snapshot.signer(self.source.now_ms()).is_some() {
            return Ok(snapshot);
        }
        let _making = self.keyring.making.lock().await;
        let snapshot = self.keyring.load(&self.store.express()).await?;
        let now = self.source.now_ms();
        if snapshot.signer(now).is_some() {
            return Ok(snapshot);
        }
        let made = self
            .keyring
            .make(snapshot.algorithm(), now, self.source.as_ref())?;
        let kept = Arc::new(made.0);
        let (new, ring) = (Arc::clone(&kept), Arc::clone(&self.keyring));
        let inserted = self
            .store
            .administer("MakeSigningKey", move |tx| {
                let (new, ring) = (Arc::clone(&new), Arc::clone(&ring));
                async move {
                    // Another process that has the same keys may have been first.
                    if ring.load(&tx).await?.signer(now).is_some() {
                        return Ok(false);
                    }
                    keys::insert(&tx, &new).await?;
                    Ok(true)
                }
            })
            .await?;
        if inserted {
            tracing::info!(key.id = kept.kid, key.algorithm = %kept.algorithm, "a new signing key");
            self.keyring.keep(&kept, made.1);
        }
        self.keyring.load(&self.store.express()).await
    }

    /// What a token of ours says; `None` for what none of our keys signed, or
    /// what has ended.
    pub(super) async fn verify(&self, text: &str) -> Result<Option<Verified>> {
        let Some(token) = Unverified::read(text) else {
            return Ok(None);
        };
        let mut snapshot = self.keys_now().await?;
        if snapshot.find(token.kid()).is_none() {
            // Another process may have made it since.
            snapshot = self.keyring.load(&self.store.express()).await?;
        }
        let now = self.source.now_ms();
        let known = snapshot.find(token.kid());
        let known = known.filter(|known| known.kept.life.state(now).is_published());
        let Some(known) = known else {
            return Ok(None);
        };
        let claims = token.verify(&known.public, known.kept.algorithm, &snapshot.issuers, now);
        Ok(claims.map(|claims| Verified {
            claims,
            keys_version: snapshot.version,
        }))
    }

    /// The public keys that verifiers need.
    ///
    /// # Errors
    /// The database's.
    pub async fn public_keys(&self) -> Result<PublicKeys> {
        let snapshot = self.keys_now().await?;
        let now = self.source.now_ms();
        let published = snapshot.keys.iter();
        let published = published.filter(|known| known.kept.life.state(now).is_published());
        let keys: Vec<_> = published.map(|known| known.public.jwk()).collect();
        Ok(PublicKeys {
            json: serde_json::json!({ "keys": keys }).to_string(),
            issuer: self.issuer().await?,
        })
    }

    /// All keys that are known.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_keys(&self) -> Result<Vec<KeyState>> {
        let snapshot = self.keyring.load(&self.store.express()).await?;
        Ok(snapshot.states(self.source.now_ms()))
    }

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
            .store
            .administer("RotateSigningKey", move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (key, caller, ring) = &*work;
                    let snapshot = ring.load(&tx).await?;
                    supersede(&tx, &snapshot, key, now).await?;
                    keys::insert(&tx, key).await?;
                    let what = ("RotateSigningKey", ChangeKind::Created);
                    record(&tx, caller, what, &key.kid, now).await
                }
            })
            .await;
        if let Err(error) = rotated {
            self.keyring.own().remove(&key.kid);
            return Err(error);
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
    pub async fn revoke_key(&self, caller: &Caller, kid: &str) -> Result<KeyState> {
        let now = self.source.now_ms();
        let work = Arc::new((kid.to_owned(), caller.clone(), Arc::clone(&self.keyring)));
        self.store
            .administer("RevokeSigningKey", move |tx| {
                let work = Arc::clone(&work);
                async move {
                    let (kid, caller, ring) = &*work;
                    let snapshot = ring.load(&tx).await?;
                    let known = snapshot.find(kid).ok_or_else(|| no_key(kid))?;
                    let mut life = known.kept.life;
                    if life.revoked_at.is_some() {
                        return Ok(());
                    }
                    life.revoked_at = Some(now);
                    life.sign_until = Some(life.sign_until.map_or(now, |until| until.min(now)));
                    keys::set_life(&tx, kid, &life).await?;
                    if known.kept.life.state(now) == State::Signing {
                        promote(&tx, &snapshot, now).await?;
                    }
                    let what = ("RevokeSigningKey", ChangeKind::Deleted);
                    record(&tx, caller, what, kid, now).await
                }
            })
            .await?;
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
    let deed = Deed {
        method,
        kind,
        resource_type: ResourceType::SigningKey,
        resource_id: kid,
        owner: None,
        version: 1,
    };
    deed.record(tx, caller, now).await.map(|_| ())
}

const _: () = assert!(LEASE_MS > 4 * TOKEN_LIFE_MS);
