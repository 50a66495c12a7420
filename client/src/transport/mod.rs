//! The way to the directory, under the generated clients: a tower service that gives
//! each call its bearer and its deadline, asks the endpoints in turn, and makes a call
//! again where that is safe.
//!
//! It reads what may be repeated from the contract, and knows no RPC by name but one.
//! Requests of the contract are single messages, so that they can be kept for another
//! try; answers that are no streams are taken whole before anybody sees them, so that a
//! connection that breaks in the middle is a failed try and no failed call.

mod budget;
mod endpoints;
mod methods;
mod request_id;
mod retry;

use std::{
    collections::BTreeMap,
    error::Error as _,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION, request::Parts};
use http_body_util::{BodyExt as _, Full};
use muster_proto::v1::RateClass;
use prost::bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, ConnectError, Status, body::Body, transport::Channel};
use tower::{Service, ServiceExt as _};
use uuid::Uuid;

pub(crate) use self::budget::{jittered, pause};
use self::{
    budget::Budget,
    endpoints::Endpoints,
    methods::{Method, Methods, Repeat},
    retry::{Born, Next},
};
use crate::{auth::Credentials, error::Result};

/// How long the first word of a stream may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The least time that an endpoint has before a call is made elsewhere, too.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// Header by which a call says how long it may take.
const TIMEOUT: &str = "grpc-timeout";

/// The way to the directory. Generated clients are made over it:
/// `UserServiceClient::new(client.transport())`.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
    credentials: Credentials,
}

struct Shared {
    endpoints: Endpoints,
    methods: Methods,
    deadlines: BTreeMap<RateClass, Duration>,
    budget: Budget,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// Over these channels, without a bearer; `deadlines` are those of classes that are
    /// to be other than the contract's.
    ///
    /// # Errors
    /// None but for a broken build.
    pub(crate) fn new(
        channels: Vec<Channel>,
        deadlines: BTreeMap<RateClass, Duration>,
    ) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                endpoints: Endpoints::new(channels),
                methods: Methods::load()?,
                deadlines,
                budget: Budget::default(),
            }),
            credentials: Credentials::None,
        })
    }

    /// The same way with a bearer.
    pub(crate) fn with(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.run(request).await })
    }
}

/// A call on its way.
struct Call<'a> {
    transport: &'a Transport,
    method: &'a Method,
    head: Parts,
    body: Bytes,
    ends: Instant,
    renewed: bool,
    /// How often it was made again after somebody was reached.
    tries: u32,
}

/// A try that failed.
struct Failure {
    born: Born,
    status: Status,
}

impl Failure {
    fn of_wire(error: tonic::transport::Error) -> Self {
        let born = match is_unsent(&error) {
            true => Born::Unsent,
            false => Born::Wire,
        };
        let status = Status::from_error(Box::new(error));
        Self { born, status }
    }

    /// Whether another endpoint would have done better.
    fn is_of_endpoint(&self) -> bool {
        self.born != Born::Server || retry::leaves(&self.status)
    }
}

/// Whichever of two tries comes to something first; a broken connection is nothing while
/// the other one is out.
async fn earlier<T, F>(mut first: Pin<&mut F>, mut second: Pin<&mut F>) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (outcome, other) = tokio::select! {
        outcome = &mut first => (outcome, second),
        outcome = &mut second => (outcome, first),
    };
    match outcome {
        Err(failure) if failure.is_of_endpoint() => other.await,
        outcome => outcome,
    }
}

/// Whether nobody was reached.
fn is_unsent(error: &tonic::transport::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<ConnectError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

impl Transport {
    async fn run(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let path = request.uri().path();
        let Some(method) = self.shared.methods.get(path) else {
            return Err(Status::unimplemented("this call is not in the contract"));
        };
        let ends = Instant::now() + self.allowed(request.headers(), method);
        let (head, body) = request.into_parts();
        let mut body = body.collect().await?.to_bytes();
        if let Repeat::Keyed(field) = method.repeat {
            let id = Uuid::new_v4().to_string();
            body = request_id::attach(&body, field, &id);
        }
        self.shared.budget.deposit();
        let call = Call {
            transport: self,
            method,
            head,
            body,
            ends,
            renewed: false,
            tries: 0,
        };
        call.run().await
    }

    /// How long a call may take: what the caller says, else what the client is set to,
    /// else what the contract says; never longer than the contract lets it.
    fn allowed(&self, headers: &HeaderMap, method: &Method) -> Duration {
        let asked = headers.get(TIMEOUT).and_then(read_timeout);
        let set = self.shared.deadlines.get(&method.class).copied();
        let allowed = asked.or(set).unwrap_or(method.default_deadline);
        allowed.min(method.longest_deadline)
    }
}

impl Call<'_> {
    async fn run(mut self) -> Result<Response<Body>, Status> {
        let (mut failed, mut pauses) = (None, 0);
        loop {
            let endpoints = &self.transport.shared.endpoints;
            let at = endpoints.pick(failed);
            let bearer = self.bearer().await?;
            let Failure { born, status } = match self.attempt(at, bearer.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            failed = Some(at);
            let elsewhere = endpoints.are_many();
            match retry::next(self.method.repeat, born, &status, self.tries, elsewhere) {
                Next::GiveUp => return Err(status),
                Next::Renew if self.renewed => return Err(status),
                Next::Renew => {
                    if !self.transport.credentials.forget(bearer.as_ref()) {
                        return Err(status);
                    }
                    self.renewed = true;
                }
                Next::Again { at_least, free } => {
                    let wait = pause(pauses).max(at_least.unwrap_or_default());
                    let in_time = Instant::now() + wait < self.ends;
                    if !in_time || !(free || self.transport.shared.budget.withdraw()) {
                        return Err(status);
                    }
                    pauses += 1;
                    self.tries += u32::from(!free);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn bearer(&self) -> Result<Option<HeaderValue>, Status> {
        if !self.method.needs_bearer {
            return Ok(None);
        }
        let bearer = self.transport.credentials.bearer();
        timeout_at(self.ends, bearer)
            .await
            .unwrap_or_else(|_| Err(too_late()))
    }

    /// One try, and beside it another one elsewhere when half of the time is over and
    /// nobody was heard from where the first went: a host that is dead refuses nothing. The
    /// first goes on, as it may only be slow.
    async fn attempt(
        &self,
        at: usize,
        bearer: Option<&HeaderValue>,
    ) -> Result<Response<Body>, Failure> {
        let endpoints = &self.transport.shared.endpoints;
        let began = endpoints.now();
        let mut first = pin!(self.once(at, bearer));
        if self.method.repeat == Repeat::Never || !endpoints.are_many() {
            return first.await;
        }
        let doubt = (self.patience() / 2).max(LEAST_PATIENCE);
        if let Ok(outcome) = timeout(doubt, &mut first).await {
            return outcome;
        }
        let Some(other) = endpoints.instead_of(at, began) else {
            return first.await;
        };
        endpoints.failed(at);
        earlier(first, pin!(self.once(other, bearer))).await
    }

    /// How long a try may take.
    fn patience(&self) -> Duration {
        let left = self.ends.saturating_duration_since(Instant::now());
        match self.method.streams {
            true => left.min(HEAD_PATIENCE),
            false => left,
        }
    }

    async fn once(
        &self,
        at: usize,
        bearer: Option<&HeaderValue>,
    ) -> Result<Response<Body>, Failure> {
        let endpoints = &self.transport.shared.endpoints;
        let began = endpoints.now();
        let tried = timeout(self.patience(), self.exchange(at, bearer)).await;
        let Ok(outcome) = tried else {
            // The next call goes elsewhere first.
            endpoints.kept_waiting(at, began);
            return Err(Failure {
                born: Born::Server,
                status: too_late(),
            });
        };
        match &outcome {
            Err(failure) if failure.is_of_endpoint() => endpoints.failed(at),
            _ => endpoints.heard(at, began),
        }
        outcome
    }

    async fn exchange(
        &self,
        at: usize,
        bearer: Option<&HeaderValue>,
    ) -> Result<Response<Body>, Failure> {
        let left = self.ends.saturating_duration_since(Instant::now());
        let channel = self.transport.shared.endpoints.channel(at);
        let Some(mut channel) = channel else {
            let status = Status::unavailable("there is no endpoint");
            return Err(Failure {
                born: Born::Server,
                status,
            });
        };
        let channel = channel.ready().await.map_err(Failure::of_wire)?;
        let mut head = self.head.clone();
        if let Some(bearer) = bearer {
            head.headers.insert(AUTHORIZATION, bearer.clone());
        }
        if let Ok(timeout) = HeaderValue::from_str(&format!("{}m", left.as_millis().max(1))) {
            head.headers.insert(TIMEOUT, timeout);
        }
        let request = Request::from_parts(head, Body::new(Full::new(self.body.clone())));
        let answer = channel.call(request).await.map_err(Failure::of_wire)?;
        self.read(answer).await
    }

    /// The answer, whole unless it is a stream; an error that the server tells in it is a
    /// failure.
    async fn read(&self, answer: Response<Body>) -> Result<Response<Body>, Failure> {
        let (head, body) = answer.into_parts();
        told(Status::from_header_map(&head.headers))?;
        if !head.status.is_success() {
            // Of something in between, that does not speak gRPC.
            let message = format!("HTTP status {}", head.status.as_u16());
            let status = match head.status.as_u16() {
                429 | 502 | 503 | 504 => Status::unavailable(message),
                _ => Status::unknown(message),
            };
            let born = Born::Wire;
            return Err(Failure { born, status });
        }
        if self.method.streams {
            return Ok(Response::from_parts(head, body));
        }
        let body = body.collect().await.map_err(|status| Failure {
            born: Born::Wire,
            status,
        })?;
        match body.trailers() {
            Some(trailers) => told(Status::from_header_map(trailers))?,
            None => {
                let status = Status::unknown("the answer has no end");
                let born = Born::Wire;
                return Err(Failure { born, status });
            }
        }
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

/// What the server says went wrong, if it does.
fn told(status: Option<Status>) -> Result<(), Failure> {
    match status {
        Some(status) if status.code() != Code::Ok => Err(Failure {
            born: Born::Server,
            status,
        }),
        _ => Ok(()),
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("no answer came in time")
}

/// The time in a `grpc-timeout` header; `None` for what is none.
fn read_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("500m", Some(Duration::from_millis(500))),
            ("2H", Some(Duration::from_secs(7_200))),
            ("7u", Some(Duration::from_micros(7))),
            ("", None),
            ("5", None),
            ("S", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(read_timeout(&value), expected, "{text}");
        }
    }
}
