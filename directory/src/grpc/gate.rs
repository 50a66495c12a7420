//! The gate in front of every RPC: policy, credential, scope, deadline.
//!
//! A tower layer, so that the same gate stands before the socket and before
//! callers in the same process. What each RPC demands is read from the
//! contract's descriptor; an RPC that the descriptor does not know passes
//! through to the router, which answers that it is not implemented.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use muster_proto::{
    CLIENT_ADDRESS_METADATA, CONNECTION_METADATA, CONNECTIONS_ONLY_METADATA, PROFILE_METADATA,
    policy::Policies, v1::MethodPolicy,
};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};

use super::{audited::denied, peer::Peer, status::status, stream::Lease};
use crate::{
    auth::{self, Caller, Pass},
    error::{Error, Result},
    service::Directory,
};

/// Puts the gate before a service.
#[derive(Debug, Clone)]
pub struct GateLayer {
    directory: Directory,
    policies: Arc<Policies>,
}

impl GateLayer {
    /// The gate of this directory.
    ///
    /// # Errors
    /// The contract has an RPC without a complete policy.
    pub fn new(directory: Directory) -> Result<Self, muster_proto::policy::Error> {
        let policies = Arc::new(Policies::load()?);
        Ok(Self {
            directory,
            policies,
        })
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            layer: self.clone(),
        }
    }
}

/// The gate and what is behind it.
#[derive(Debug, Clone)]
pub struct Gate<S> {
    inner: S,
    layer: GateLayer,
}

impl<S, B> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = std::result::Result<Response<Body>, Infallible>> + Send>,
    >;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready must be the one that is called.
        let ready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, ready);
        let layer = self.layer.clone();
        let span = span(&request);
        // Not when the future is first looked at: the transport's timer runs by now.
        let came = Instant::now();
        let answer = async move {
            let answer = layer.pass(inner, request, came).await;
            answer.or_else(|status| Ok(status.into_http()))
        };
        Box::pin(answer.instrument(span))
    }
}

/// What log lines of a call say about it.
fn span<B>(request: &Request<B>) -> Span {
    let id = request_id(request.headers());
    tracing::info_span!("rpc", rpc.method = request.uri().path(), request.id = id)
}

impl GateLayer {
    async fn pass<S, B>(
        &self,
        mut inner: S,
        mut request: Request<B>,
        came: Instant,
    ) -> std::result::Result<Response<Body>, Status>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    {
        let Some(policy) = self.policies.get(request.uri().path()) else {
            return call(&mut inner, request).await;
        };
        let limit = in_time_to_say_so(deadline(request.headers(), policy));
        if limit.is_zero() {
            return Err(status(Error::DeadlineExceeded));
        }
        let ends = came + limit;
        let peer = self.peer(&request);
        let work = async {
            if !policy.unauthenticated {
                let (path, headers) = (request.uri().path(), request.headers());
                let admitted = self.admit(path, headers, policy, &peer).await;
                let admitted = admitted.map_err(|error| self.regard_failure(error, &peer));
                let (caller, pass) = admitted.map_err(status)?;
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(Lease::new(ends, pass));
            }
            let answer = call(&mut inner, request).await?;
            if policy.unauthenticated && is_unauthenticated(answer.headers()) {
                let refused = self.regard_failure(Error::CredentialInvalid, &peer);
                return Err(status(refused));
            }
            Ok(answer)
        };
        let in_time = tokio::time::timeout_at(ends, work).await.ok();
        // Who is answered at once is so before the timer is looked at.
        let in_time = in_time.filter(|_| Instant::now() < ends);
        in_time.unwrap_or_else(|| Err(status(Error::DeadlineExceeded)))
    }

    /// Where a call comes from. A facade says whence its own client came; it is
    /// believed in this process, elsewhere only where an operator says so.
    fn peer<B>(&self, request: &Request<B>) -> auth::Peer {
        let peer = Peer::of(request.extensions());
        let said = request.headers().get(CLIENT_ADDRESS_METADATA);
        let said = said.and_then(|value| value.to_str().ok()?.parse().ok());
        let is_believed = peer.address.is_none() || self.directory.trusts_addresses();
        auth::Peer {
            certificate: peer.x5t_s256(),
            address: said.filter(|_| is_believed).or(peer.address),
        }
    }

    /// What a caller is told who could not prove himself: the same whatever the
    /// cause, unless that happens too often where he comes from.
    fn regard_failure(&self, error: Error, peer: &auth::Peer) -> Error {
        match error {
            Error::CredentialMissing
            | Error::CredentialInvalid
            | Error::NotProven
            | Error::IssuerUnavailable(_) => match self.directory.count_failure(peer.address) {
                Ok(()) => error,
                Err(limited) => limited,
            },
            other => other,
        }
    }

    async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        policy: &MethodPolicy,
        peer: &auth::Peer,
    ) -> Result<(Caller, Pass)> {
        let bearer = bearer(headers).ok_or(Error::CredentialMissing)?;
        let connection = match headers.get(CONNECTION_METADATA) {
            Some(value) => Some(value.to_str().map_err(|_| Error::CredentialInvalid)?),
            None => None,
        };
        let mut caller = self
            .directory
            .authenticate(bearer, connection, peer)
            .await?;
        if headers.contains_key(CONNECTIONS_ONLY_METADATA) && caller.connection().is_none() {
            return Err(Error::CredentialInvalid);
        }
        caller.request_id = request_id(headers).unwrap_or_default().to_owned();
        self.directory
            .count_call(&caller.tenant_id, caller.id(), policy.rate_class())?;
        if let Some(known) = headers.get(PROFILE_METADATA) {
            if known.as_bytes() != caller.profile.tag().as_bytes() {
                return Err(Error::ProfileStale);
            }
            caller.profile.is_named = true;
        }
        if let Err(error) = caller.require_any(&policy.any_scope) {
            denied(&self.directory, &caller, path, &error).await;
            return Err(error);
        }
        Ok((caller, Pass::new(bearer, connection, peer)))
    }
}

/// Whether an answer without a message says that the proof in the call is none.
fn is_unauthenticated(headers: &HeaderMap) -> bool {
    let code = headers.get("grpc-status");
    code.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Unauthenticated)
}

/// By what the log names the call; what is no plain short text names nothing.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (id.len() <= 128 && id.bytes().all(plain)).then_some(id)
}

async fn call<S, B>(
    inner: &mut S,
    request: Request<B>,
) -> std::result::Result<Response<Body>, Status>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    match inner.call(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    // Of two, a proxy in front may have looked at the other.
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// How long the call may take: what the caller says, within the policy.
fn deadline(headers: &HeaderMap, policy: &MethodPolicy) -> Duration {
    let asked = headers
        .get("grpc-timeout")
        .and_then(|value| timeout(value.to_str().ok()?));
    let most = Duration::from_millis(policy.max_deadline_ms.into());
    asked.map_or(
        Duration::from_millis(policy.default_deadline_ms.into()),
        |asked| asked.min(most),
    )
}

/// Of a deadline, when a call ends here: a little before, as the transport ends it
/// at the deadline itself, and calls that cancelled. Timers count milliseconds, so
/// that nothing can be done in less.
fn in_time_to_say_so(limit: Duration) -> Duration {
    const MOST: Duration = Duration::from_millis(5);
    if limit < Duration::from_millis(1) {
        return Duration::ZERO;
    }
    limit - MOST.min(limit / 4)
}

/// Reads gRPC's timeout: at most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("1x", None),
            ("é", None),
        ] {
            assert_eq!(timeout(text), expected, "{text}");
        }
    }

    #[test]
    fn a_call_ends_before_its_deadline() {
        let ends = |asked| in_time_to_say_so(Duration::from_micros(asked)).as_micros();
        assert_eq!(ends(0), 0);
        assert_eq!(ends(999), 0);
        assert_eq!(ends(1_000), 750);
        assert_eq!(ends(2_000_000), 1_995_000);
    }

    #[test]
    fn a_deadline_stays_within_the_policy() {
        let policy = MethodPolicy {
            default_deadline_ms: 2_000,
            max_deadline_ms: 10_000,
            ..MethodPolicy::default()
        };
        let asked = |text: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            }
            deadline(&headers, &policy).as_millis()
        };
        assert_eq!(asked(None), 2_000);
        assert_eq!(asked(Some("1S")), 1_000);
        assert_eq!(asked(Some("1H")), 10_000);
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, http::HeaderValue::from_static(text));
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(read("bearer abc").as_deref(), Some("abc"));
        for wrong in ["abc", "Basic abc", "Bearer ", "Bearer"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
