//! Request bodies: media type, size, time.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue,
        header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use http_body_util::BodyExt as _;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::scim::error::ScimError;

/// A client that sends more slowly holds a connection for nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer bodies, in bytes, take turns.
const LARGE: usize = 1024 * 1024;

/// Most requests with a large body that are read and done at a time: what is
/// made of a body takes memory many times its length.
const LARGE_AT_A_TIME: usize = 4;

/// How long such a request waits for its turn, no longer than a call may take.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// Most of these that one credential has: whoever sends slowly, or not at all,
/// leaves turns to others.
const LARGE_OF_ONE: usize = 2;

/// The turns of requests with large bodies.
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// By the hash of their credential, of those who have one or wait.
    each: Mutex<HashMap<u64, Weak<Semaphore>>>,
    hasher: RandomState,
}

/// A request's turn, among its credential's and among all. It lasts until this is
/// dropped.
#[derive(Debug)]
pub(super) struct Turn {
    #[expect(dead_code, reason = "it is held")]
    permits: [OwnedSemaphorePermit; 2],
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(LARGE_AT_A_TIME)),
            each: Mutex::default(),
            hasher: RandomState::new(),
        }
    }
}

impl Turns {
    /// # Errors
    /// 503 when it does not come.
    async fn next(&self, headers: &HeaderMap, patience: Duration) -> Result<Turn, ScimError> {
        let (own, all) = (self.of_credential(headers), Arc::clone(&self.all));
        let turn = async move {
            let own = own.acquire_owned().await?;
            let all = all.acquire_owned().await?;
            Ok::<_, AcquireError>(Turn {
                permits: [own, all],
            })
        };
        match tokio::time::timeout(patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            // Nobody closes it.
            Ok(Err(_)) | Err(_) => Err(ScimError::unavailable()),
        }
    }

    fn of_credential(&self, headers: &HeaderMap) -> Arc<Semaphore> {
        let credential = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let key = self.hasher.hash_one(credential);
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = each.get(&key).and_then(Weak::upgrade) {
            return turns;
        }
        each.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(LARGE_OF_ONE));
        each.insert(key, Arc::downgrade(&turns));
        turns
    }
}

/// Reads the body; the rest of a large one when it is its turn.
///
/// # Errors
/// 415 for a media type that is not JSON or a body that is encoded, 413 for a body that is too long,
/// 408 for one that does not come, 400 for one that breaks off, 503 when its
/// turn does not come.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    turns: &Turns,
) -> Result<(Bytes, Option<Turn>), ScimError> {
    if !is_json(headers) {
        let detail = "The body must be application/scim+json or application/json, in UTF-8.";
        return Err(ScimError::new(415, detail));
    }
    read_bounded(headers, body, limit, turns).await
}

/// Reads a body of any media type.
///
/// # Errors
/// As [`read`]; 415 only for a body that is encoded.
pub(super) async fn read_bounded(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    turns: &Turns,
) -> Result<(Bytes, Option<Turn>), ScimError> {
    if is_encoded(headers) {
        return Err(ScimError::new(415, "The body must not be encoded."));
    }
    let too_large = || ScimError::too_large(format!("The body may have at most {limit} bytes."));
    // Before the first byte is taken, and before `100 Continue`.
    if announced(headers).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let (mut bytes, mut turn) = (Vec::new(), None);
    let mut deadline = Instant::now() + READ_TIMEOUT;
    while let Some(data) = next(&mut body, deadline).await? {
        let length = bytes.len().saturating_add(data.len());
        if length > limit {
            return Err(too_large());
        }
        if length > LARGE && turn.is_none() {
            turn = Some(turns.next(headers, TURN_TIMEOUT).await?);
            deadline = Instant::now() + READ_TIMEOUT;
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), turn))
}

/// The next piece of the body; `None` at its end.
async fn next(body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, ScimError> {
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(ScimError::invalid_syntax("The body is incomplete."));
            }
            Err(_) => return Err(ScimError::new(408, "The body did not arrive in time.")),
        };
        // Trailers say nothing here.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// How long the body will be, when the client says so.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    length.parse().ok()
}

/// Compressed bodies could unpack to any size, and no client sends them.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    encodings.filter(|value| !identity(value)).count() > 0
}

/// JSON in UTF-8. A client that does not name the type means SCIM.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known = ["application/scim+json", "application/json"];
    let is_json = known.iter().any(|json| json.eq_ignore_ascii_case(essence));
    let mut charsets = parts
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, charset)| charset.trim().trim_matches('"'));
    // US-ASCII is a part of UTF-8.
    let is_utf8 = |charset: &str| {
        ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(charset))
    };
    is_json && charsets.all(is_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_take_turns() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let turns = Turns::default();
            let body = |length: usize| Body::from(vec![b' '; length]);
            let of = |name: &str| {
                let mut headers = HeaderMap::new();
                headers.insert(AUTHORIZATION, name.parse().expect("a header"));
                headers
            };
            let read = |name: &str, length| {
                let (headers, body, turns) = (of(name), body(length), &turns);
                async move { super::read(&headers, body, 2 * LARGE, turns).await }
            };
            let status = |turn: Result<Turn, ScimError>| turn.map_err(|e| e.status()).err();
            let moment = Duration::from_millis(1);
            let mut held = Vec::new();
            for name in ["a", "a", "b", "b"] {
                let (body, turn) = read(name, LARGE + 1).await.expect("a body");
                assert_eq!(body.len(), LARGE + 1);
                held.push(turn.expect("a turn"));
            }
            // All are taken.
            assert_eq!(status(turns.next(&of("c"), moment).await), Some(503));
            let small = read("a", LARGE).await.expect("a body");
            assert!(small.1.is_none());
            held.pop();
            // One is free, and not for whoever has two.
            assert_eq!(status(turns.next(&of("a"), moment).await), Some(503));
            assert!(read("c", LARGE + 1).await.is_ok());
            drop(held);
            assert!(read("a", LARGE + 1).await.is_ok());
            assert_eq!(turns.each.lock().map(|each| each.len()).ok(), Some(1));
            let long = read("a", 2 * LARGE + 1).await.map_err(|e| e.status());
            assert_eq!(long.err(), Some(413));
        });
    }
}
