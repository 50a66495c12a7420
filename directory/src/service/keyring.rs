//! The keys that sign tokens, as far as this process knows and has them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use super::keys::{KeyState, Verified};
use crate::{
    clock::Source,
    domain::signing_key::{Algorithm, Life, State, TOKEN_LIFE_MS},
    error::Result,
    sealing::Sealing,
    signing::{
        key::{PrivateKey, PublicKey},
        token::Unverified,
    },
    storage::{Tx, keys, keys::SigningKey, settings},
};

/// How long a key that one process has is announced ahead: behind it nobody
/// believes what it signs.
pub(super) const LEASE_MS: i64 = 24 * 60 * 60 * 1_000;

/// How far apart looks for unknown keys are, in milliseconds.
const LOOK_APART_MS: i64 = 20;

const _: () = assert!(LEASE_MS > 4 * TOKEN_LIFE_MS);

/// All keys as they are at a time.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Tells it from others.
    pub(super) version: i64,
    pub(super) keys: Vec<Known>,
    /// Whose word the tokens are, the last one first.
    pub(super) issuers: Vec<String>,
}

/// A key that this process knows.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) kept: SigningKey,
    pub(super) public: PublicKey,
    /// `None` when others have it.
    pub(super) private: Option<PrivateKey>,
}

/// The keys that this process knows and has.
#[derive(Debug)]
pub(super) struct Keyring {
    pub(super) sealing: Option<Arc<Sealing>>,
    /// Those that no one else has, by `kid`.
    own: Mutex<HashMap<String, PrivateKey>>,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    pub(super) issuer: RwLock<Option<String>>,
    /// When it was last looked for a key that was not known; milliseconds since
    /// the Unix epoch.
    looked_at: AtomicI64,
    /// Held while it is looked for one, so that others hear of it, too.
    pub(super) looking: tokio::sync::Mutex<()>,
    /// Held while a key is made, so that many callers make one.
    pub(super) making: tokio::sync::Mutex<()>,
}
impl Keyring {
    /// With what seals private keys, if there is such a thing.
    pub(super) fn new(sealing: Option<Sealing>) -> Self {
        Self {
            sealing: sealing.map(Arc::new),
            own: Mutex::default(),
            snapshot: RwLock::default(),
            issuer: RwLock::default(),
            looked_at: AtomicI64::new(0),
            looking: tokio::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it is time to look for a key that is not known: callers name any.
    pub(super) fn may_look(&self, now_ms: i64) -> bool {
        let before = self.looked_at.load(Ordering::Relaxed);
        let is_time = now_ms < before || now_ms.saturating_sub(before) >= LOOK_APART_MS;
        let change = |before| {
            let order = Ordering::Relaxed;
            self.looked_at
                .compare_exchange(before, now_ms, order, order)
        };
        is_time && change(before).is_ok()
    }

    pub(super) fn own(&self) -> MutexGuard<'_, HashMap<String, PrivateKey>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known(&self) -> Option<Arc<Snapshot>> {
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

    pub(super) async fn load(&self, tx: &Tx) -> Result<Arc<Snapshot>> {
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
    pub(super) fn make(
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
            revoke_reason: String::new(),
            kid,
        };
        Ok((kept, private))
    }

    /// Remembers a key that is not kept elsewhere.
    pub(super) fn keep(&self, kept: &SigningKey, private: PrivateKey) {
        if kept.private.is_none() {
            self.own().insert(kept.kid.clone(), private);
        }
    }
}

impl Snapshot {
    /// The key that signs now, of those that this process has: the newest.
    pub(super) fn signer(&self, now_ms: i64) -> Option<&Known> {
        let ours = self.keys.iter().filter(|known| {
            known.private.is_some() && known.kept.life.state(now_ms) == State::Signing
        });
        ours.max_by_key(|known| known.kept.life.sign_from)
    }

    pub(super) fn find(&self, kid: &str) -> Option<&Known> {
        self.keys.iter().find(|known| known.kept.kid == kid)
    }

    /// What a token says, if one of these keys signed it.
    pub(super) fn verify(&self, token: &Unverified<'_>, now_ms: i64) -> Option<Verified> {
        let known = self.find(token.kid())?;
        if !known.kept.life.state(now_ms).is_published() {
            return None;
        }
        let algorithm = known.kept.algorithm;
        let claims = token.verify(&known.public, algorithm, &self.issuers, now_ms)?;
        Some(Verified {
            claims,
            keys_version: self.version,
        })
    }

    /// How the newest key signs.
    pub(super) fn algorithm(&self) -> Algorithm {
        let newest = self.keys.iter().max_by_key(|known| known.kept.created_at);
        newest.map_or_else(Algorithm::default, |known| known.kept.algorithm)
    }

    pub(super) fn states(&self, now_ms: i64) -> Vec<KeyState> {
        let keys = self.keys.iter();
        keys.map(|known| KeyState {
            state: known.kept.life.state(now_ms),
            key: known.kept.clone(),
        })
        .collect()
    }
}
