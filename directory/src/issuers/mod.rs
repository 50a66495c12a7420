//! The keys of other issuers, as far as they are known.
//!
//! Keys are asked for when they are needed and kept for an hour. An issuer
//! that rotates its keys signs with one that is not known yet: it is asked
//! again, but at most three times a minute, whatever callers send. While it does
//! not answer, the keys that are known go on to count.

mod address;
mod fetch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::address::key_url;
use self::fetch::Fetch;
use crate::{
    error::{Error, Result, told},
    signing::Keys,
};

/// How long keys are good without another look.
const FRESH_MS: i64 = 60 * 60 * 1000;

/// How long an issuer whose keys are known is left in peace when it was silent,
/// and when it was asked as often as may be within this time.
const PAUSE_MS: i64 = 60 * 1000;

/// The same after any other look. Without its keys nobody gets in, and it may
/// have a new one that it signs with at once.
const SHORT_PAUSE_MS: i64 = 5 * 1000;

/// How often an issuer whose keys are known is asked within the long pause.
const LOOKS: usize = 3;

/// Issuers and their keys.
#[derive(Debug, Default)]
pub struct Issuers {
    fetch: Fetch,
    /// As many as operators have named; callers cannot add to it.
    known: Mutex<HashMap<String, Arc<Issuer>>>,
}

#[derive(Debug, Default)]
struct Issuer {
    state: Mutex<State>,
    /// Held while the issuer is asked, so that many callers ask once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    /// When they came; milliseconds since the Unix epoch.
    fetched_ms: i64,
    /// When the issuer was asked, the last time first, and whether it gave no
    /// answer then.
    asked_ms: [Option<i64>; LOOKS],
    failed: bool,
}

impl State {
    /// Whether the issuer may be asked.
    fn is_rested(&self, now_ms: i64) -> bool {
        let [last, .., first] = self.asked_ms;
        let since = |asked: Option<i64>, pause| asked.is_none_or(|at| now_ms - at >= pause);
        match self.keys {
            None => since(last, SHORT_PAUSE_MS),
            Some(_) if self.failed => since(last, PAUSE_MS),
            Some(_) => since(last, SHORT_PAUSE_MS) && since(first, PAUSE_MS),
        }
    }
}

impl Issuers {
    /// The issuer's keys. The one with this id is among them unless the issuer
    /// does not have it.
    ///
    /// # Errors
    /// [`Error::IssuerUnavailable`] when that cannot be told.
    pub async fn keys(&self, issuer: &str, key_id: &str, now_ms: i64) -> Result<Arc<Keys>> {
        let known = self.issuer(issuer);
        if let Some(keys) = known.fresh(key_id, now_ms) {
            return Ok(keys);
        }
        let _asking = known.asking.lock().await;
        // Whoever held it until now may have asked.
        if let Some(answer) = known.answer(key_id, now_ms) {
            return answer;
        }
        known.begin(now_ms);
        match self.fetch.keys(issuer).await {
            Ok(keys) => Ok(known.learn(keys, now_ms)),
            Err(cause) => known.make_do(key_id, cause),
        }
    }

    fn issuer(&self, url: &str) -> Arc<Issuer> {
        let mut known = lock(&self.known);
        if let Some(issuer) = known.get(url) {
            return Arc::clone(issuer);
        }
        Arc::clone(known.entry(url.to_owned()).or_default())
    }
}

impl Issuer {
    /// The keys, if they are not too old and the wanted one is among them.
    fn fresh(&self, key_id: &str, now_ms: i64) -> Option<Arc<Keys>> {
        let state = lock(&self.state);
        let fresh = now_ms - state.fetched_ms < FRESH_MS;
        state.keys.clone().filter(|keys| fresh && keys.has(key_id))
    }

    /// What can be said without asking; `None`: ask. Nobody must be asking.
    fn answer(&self, key_id: &str, now_ms: i64) -> Option<Result<Arc<Keys>>> {
        if let Some(keys) = self.fresh(key_id, now_ms) {
            return Some(Ok(keys));
        }
        let state = lock(&self.state).clone();
        if state.is_rested(now_ms) {
            return None;
        }
        let usable = |keys: &Arc<Keys>| !state.failed || keys.has(key_id);
        let keys = state.keys.filter(usable);
        Some(keys.ok_or_else(|| Error::IssuerUnavailable("it was silent just now".into())))
    }

    /// Counts as unanswered until it is answered: the caller may go away.
    fn begin(&self, now_ms: i64) {
        let mut state = lock(&self.state);
        state.asked_ms.rotate_right(1);
        state.asked_ms[0] = Some(now_ms);
        state.failed = true;
    }

    fn learn(&self, keys: Keys, now_ms: i64) -> Arc<Keys> {
        let keys = Arc::new(keys);
        let mut state = lock(&self.state);
        state.keys = Some(Arc::clone(&keys));
        state.fetched_ms = now_ms;
        state.failed = false;
        keys
    }

    fn make_do(&self, key_id: &str, cause: fetch::Error) -> Result<Arc<Keys>> {
        match lock(&self.state).keys.clone() {
            Some(keys) if keys.has(key_id) => {
                tracing::warn!(
                    error = told(&cause),
                    "an issuer does not answer; its former keys count"
                );
                Ok(keys)
            }
            _ => {
                // Its server is down, or the operator named the wrong one.
                tracing::warn!(error = told(&cause), "an issuer does not give its keys");
                Err(Error::IssuerUnavailable(cause.into()))
            }
        }
    }
}

/// A panic elsewhere leaves a state that is old at worst.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
