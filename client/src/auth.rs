//! Who the client is: a bearer that it was given, or tokens that it gets for the key of
//! a service client (RFC 7523), a new one before the old one ends.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use muster_proto::v1::{
    IssueServiceTokenRequest, IssueServiceTokenResponse, admin_service_client::AdminServiceClient,
};
use tonic::{Code, Request, Status};

use crate::{
    clock::Clock,
    error::{Error, Result},
    flight::{Flight, Shared},
    service_key::ServiceKey,
    transport::{Transport, jittered, pause},
};

/// How often a token is asked for at once; each time with another assertion, as one is
/// good once.
const TRIES: u32 = 3;

/// How long one try may take. Another one may find another endpoint.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a call proves itself with.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// A bearer that somebody else looks after.
    Bearer(HeaderValue),
    /// Tokens for a key.
    Key(Tokens),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
            Self::Key(tokens) => write!(f, "{:?}", tokens.0.key),
        }
    }
}

impl Credentials {
    /// A bearer as it is sent.
    ///
    /// # Errors
    /// [`Error::Settings`] for what cannot be sent.
    pub(crate) fn bearer_of(token: &str) -> Result<Self> {
        Ok(Self::Bearer(header(token)?))
    }

    /// What the next call is sent with.
    pub(crate) async fn bearer(&self) -> Result<Option<HeaderValue>, Status> {
        match self {
            Self::None => Ok(None),
            Self::Bearer(bearer) => Ok(Some(bearer.clone())),
            Self::Key(tokens) => tokens.bearer().await.map(Some),
        }
    }

    /// This bearer was refused: whether there will be another one.
    pub(crate) fn forget(&self, refused: Option<&HeaderValue>) -> bool {
        match self {
            Self::Key(tokens) => {
                tokens.forget(refused);
                true
            }
            Self::None | Self::Bearer(_) => false,
        }
    }
}

fn header(token: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| Error::Settings("the bearer is not fit for a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Tokens for the key of a service client.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    key: ServiceKey,
    clock: Arc<dyn Clock>,
    directory: AdminServiceClient<Transport>,
    held: ArcSwapOption<Held>,
    /// Who needs a token waits for it as long as his own deadline lets him; it is got
    /// however that ends.
    asking: Flight<HeaderValue>,
}

struct Held {
    bearer: HeaderValue,
    /// From when on a new one is asked for, by the clock's `elapsed`.
    renew_at: Duration,
    ends_at: Duration,
}

impl Tokens {
    /// Over this way, which needs no bearer of its own.
    pub(crate) fn new(key: ServiceKey, transport: Transport, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            key,
            directory: AdminServiceClient::new(transport),
            held: ArcSwapOption::empty(),
            asking: Flight::new(Arc::clone(&clock)),
            clock,
        }))
    }

    async fn bearer(&self) -> Result<HeaderValue, Status> {
        let now = self.0.clock.elapsed();
        match self.0.held.load_full().filter(|held| now < held.ends_at) {
            Some(held) => {
                if now >= held.renew_at {
                    // Nobody waits for the next one while this one is good.
                    drop(self.next());
                }
                Ok(held.bearer.clone())
            }
            None => self.next().outcome().await,
        }
    }

    /// The next token, for all who want one.
    fn next(&self) -> Shared<HeaderValue> {
        let inner = Arc::clone(&self.0);
        let is_newest = |bearer: &HeaderValue| self.is_newest(bearer);
        self.0
            .asking
            .join(is_newest, move || async move { inner.ask().await })
    }

    /// Whether this one is held, and its time to be renewed has not come.
    fn is_newest(&self, bearer: &HeaderValue) -> bool {
        let now = self.0.clock.elapsed();
        let held = self.0.held.load();
        held.as_ref()
            .is_some_and(|held| held.bearer == bearer && now < held.renew_at)
    }

    fn forget(&self, refused: Option<&HeaderValue>) {
        let held = self.0.held.load();
        if held
            .as_ref()
            .is_some_and(|held| Some(&held.bearer) == refused)
        {
            // Should another one have come in between, it is asked for once more.
            self.0.held.store(None);
        }
    }
}

impl Inner {
    async fn ask(&self) -> Result<HeaderValue, Status> {
        let mut tries = 0;
        loop {
            let asked_at = self.clock.elapsed();
            let status = match self.exchange().await {
                Ok(answer) => return self.hold(&answer, asked_at),
                Err(status) => status,
            };
            tries += 1;
            if !may_come(status.code()) || tries >= TRIES {
                tracing::warn!(code = ?status.code(), "there is no service token");
                return Err(status);
            }
            tokio::time::sleep(pause(tries)).await;
        }
    }

    fn hold(
        &self,
        answer: &IssueServiceTokenResponse,
        asked_at: Duration,
    ) -> Result<HeaderValue, Status> {
        let bearer = header(&answer.access_token).map_err(|e| Status::internal(e.to_string()))?;
        let life = answer.expires_in.unwrap_or_default();
        let life = Duration::try_from(life).unwrap_or_default();
        self.held.store(Some(Arc::new(Held {
            bearer: bearer.clone(),
            // At 80 % of its life at the latest, not all clients at once.
            renew_at: asked_at + jittered(life.mul_f64(0.2)) + life.mul_f64(0.6),
            ends_at: asked_at + life,
        })));
        Ok(bearer)
    }

    async fn exchange(&self) -> Result<IssueServiceTokenResponse, Status> {
        let assertion = self.key.assertion(self.clock.unix().as_secs());
        let client_assertion = assertion.map_err(|e| Status::unauthenticated(e.to_string()))?;
        let mut request = Request::new(IssueServiceTokenRequest {
            client_assertion,
            scopes: Vec::new(),
        });
        request.set_timeout(PATIENCE);
        let answer = self.directory.clone().issue_service_token(request).await?;
        Ok(answer.into_inner())
    }
}

/// Whether another try may get a token where one ended so.
fn may_come(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded
    )
}
