//! Who the client is: a bearer that it was given, or tokens that it gets for the key of
//! a service client (RFC 7523), a new one before the old one ends.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use muster_proto::v1::{
    IssueServiceTokenRequest, IssueServiceTokenResponse, admin_service_client::AdminServiceClient,
};
use tokio::sync::Mutex;
use tonic::Status;

use crate::{
    clock::Clock,
    error::{Error, Result},
    service_key::ServiceKey,
    transport::{Transport, jittered, pause},
};

/// How often a token is asked for at once; each time with another assertion, as one is
/// good once.
const TRIES: u32 = 3;

/// How long a failed renewal of a token that is still good waits for the next.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// What a call proves itself with.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// A bearer that somebody else looks after.
    Bearer(HeaderValue),
    /// Tokens for a key.
    Key(Arc<Tokens>),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
            Self::Key(tokens) => write!(f, "{:?}", tokens.key),
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
pub(crate) struct Tokens {
    key: ServiceKey,
    clock: Arc<dyn Clock>,
    directory: AdminServiceClient<Transport>,
    held: ArcSwapOption<Held>,
    /// Whoever holds it asks; the others wait for what he gets.
    asking: Mutex<()>,
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
        Self {
            key,
            clock,
            directory: AdminServiceClient::new(transport),
            held: ArcSwapOption::empty(),
            asking: Mutex::new(()),
        }
    }

    async fn bearer(&self) -> Result<HeaderValue, Status> {
        let now = self.clock.elapsed();
        let held = self.held.load_full();
        let Some(held) = held.filter(|held| now < held.ends_at) else {
            let _turn = self.asking.lock().await;
            return match self.held.load_full().filter(|held| now < held.ends_at) {
                // Whoever was first brought it.
                Some(held) => Ok(held.bearer.clone()),
                None => self.ask().await,
            };
        };
        if now < held.renew_at {
            return Ok(held.bearer.clone());
        }
        // One asks for the next token; the others go on with this one.
        let Ok(_turn) = self.asking.try_lock() else {
            return Ok(held.bearer.clone());
        };
        match self.ask().await {
            Ok(bearer) => Ok(bearer),
            Err(status) => {
                tracing::warn!(code = ?status.code(), "the service token is renewed later");
                let later = Held {
                    bearer: held.bearer.clone(),
                    renew_at: now + RENEW_AGAIN,
                    ends_at: held.ends_at,
                };
                self.held.store(Some(Arc::new(later)));
                Ok(held.bearer.clone())
            }
        }
    }

    fn forget(&self, refused: Option<&HeaderValue>) {
        let held = self.held.load();
        if held
            .as_ref()
            .is_some_and(|held| Some(&held.bearer) == refused)
        {
            // Should another one have come in between, it is asked for once more.
            self.held.store(None);
        }
    }

    async fn ask(&self) -> Result<HeaderValue, Status> {
        let mut tries = 0;
        let answer = loop {
            let asked_at = self.clock.elapsed();
            match self.exchange().await {
                Ok(answer) => break (answer, asked_at),
                Err(status) => {
                    tries += 1;
                    let again = matches!(
                        status.code(),
                        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown
                    );
                    if !again || tries >= TRIES {
                        return Err(status);
                    }
                    tokio::time::sleep(pause(tries)).await;
                }
            }
        };
        let (answer, asked_at) = answer;
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
        let request = IssueServiceTokenRequest {
            client_assertion,
            scopes: Vec::new(),
        };
        let answer = self.directory.clone().issue_service_token(request).await?;
        Ok(answer.into_inner())
    }
}
