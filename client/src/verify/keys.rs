//! The keys by which the directory signs, as it tells them.
//!
//! They are fetched for the first token, and from then on looked at again twice a minute
//! (`if_none_match`, so that mostly nothing comes), beside the verifications: those go on
//! with the keys that are here. So a key that was revoked counts for half a minute at
//! most while the directory can be asked, and until the end of the time for which it told
//! its keys, and a minute more, while it cannot.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use muster_proto::v1::GetJwksRequest;
use serde::Deserialize;
use tokio::task::AbortHandle;
use tonic::Status;

use crate::{
    client::Client,
    error::Result,
    flight::{Flight, Shared},
    transport::jittered,
};

/// An unknown key is looked for at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Keys of this age are looked at again.
const REVALIDATE: Duration = Duration::from_secs(30);

/// For how long keys go on to count while no new ones can be got.
const GRACE: Duration = Duration::from_secs(60);

/// The directory's keys, as it told them.
pub(super) struct Keys {
    pub(super) issuer: String,
    etag: String,
    by_kid: HashMap<String, Key>,
    /// By the client's clock.
    fetched_at: Duration,
    max_age: Duration,
}

/// A key with the one algorithm that it signs by.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl Keys {
    pub(super) fn get(&self, kid: &str) -> Option<&Key> {
        self.by_kid.get(kid)
    }
}

/// The keys that count.
pub(super) struct Ring(Arc<Inner>);

struct Inner {
    client: Client,
    keys: ArcSwapOption<Keys>,
    fetching: Flight<Arc<Keys>>,
    /// Who looks at them again.
    keeper: OnceLock<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Ring {
    pub(super) fn new(client: Client) -> Self {
        Self(Arc::new(Inner {
            keys: ArcSwapOption::empty(),
            fetching: Flight::new(client.clock()),
            keeper: OnceLock::new(),
            client,
        }))
    }

    /// Keys that count, and if they lack this one, newer ones; those are asked for at most
    /// every few seconds, so that nobody makes us ask by inventing names.
    ///
    /// # Errors
    /// When there are none and none can be got.
    pub(super) async fn for_kid(&self, kid: &str) -> Result<Arc<Keys>> {
        if let Some(keys) = self.0.keys.load_full() {
            let (age, knows) = (self.0.age(&keys), keys.get(kid).is_some());
            if age >= REVALIDATE {
                // Nobody waits for that.
                drop(refresh(&self.0));
            }
            if (knows && age < keys.max_age + GRACE) || (!knows && age < LOOK_AGAIN) {
                return Ok(keys);
            }
        }
        let keys = refresh(&self.0).outcome().await?;
        self.0.keeper.get_or_init(|| keep(&self.0));
        Ok(keys)
    }
}

/// Looks at the keys again, once for all who want it.
fn refresh(inner: &Arc<Inner>) -> Shared<Arc<Keys>> {
    let is_new = |keys: &Arc<Keys>| inner.age(keys) < LOOK_AGAIN;
    let inner = Arc::clone(inner);
    let work = || {
        let inner = Arc::clone(&inner);
        async move { inner.fetch().await }
    };
    inner.fetching.join(is_new, work)
}

/// Looks at the keys again for as long as somebody verifies by them.
fn keep(inner: &Arc<Inner>) -> AbortHandle {
    let inner = Arc::downgrade(inner);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(jittered(REVALIDATE)).await;
            let Some(inner) = inner.upgrade() else {
                return;
            };
            drop(refresh(&inner));
        }
    });
    task.abort_handle()
}

impl Inner {
    fn age(&self, keys: &Keys) -> Duration {
        let now = self.client.clock().elapsed();
        now.saturating_sub(keys.fetched_at)
    }

    async fn fetch(&self) -> Result<Arc<Keys>, Status> {
        let fetched = self.ask().await.map(Arc::new);
        match &fetched {
            Ok(keys) => self.keys.store(Some(Arc::clone(keys))),
            Err(status) => tracing::warn!(code = ?status.code(), "there are no newer keys"),
        }
        fetched
    }

    async fn ask(&self) -> Result<Keys, Status> {
        let held = self.keys.load_full();
        let request = GetJwksRequest {
            if_none_match: held
                .as_ref()
                .map(|keys| keys.etag.clone())
                .unwrap_or_default(),
        };
        let fetched_at = self.client.clock().elapsed();
        let answer = self.client.signing_keys().get_jwks(request).await?;
        let answer = answer.into_inner();
        let by_kid = match held.filter(|_| answer.not_modified) {
            Some(held) => held.by_kid.clone(),
            None => read(&answer.jwks_json)?,
        };
        let max_age = answer.max_age.unwrap_or_default();
        Ok(Keys {
            issuer: answer.issuer,
            etag: answer.etag,
            by_kid,
            fetched_at,
            max_age: Duration::try_from(max_age).unwrap_or_default(),
        })
    }
}

/// The keys in a set. Others than muster makes are left out.
fn read(set: &[u8]) -> Result<HashMap<String, Key>, Status> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(set)
        .map_err(|_| Status::internal("the directory's keys are no JWK set"))?;
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some((jwk.common.key_id?, Key { algorithm, key }))
    });
    Ok(keys.collect())
}
