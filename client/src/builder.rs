//! How a client is set up.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use muster_proto::v1::RateClass;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::{
    auth::{Credentials, Tokens},
    client::Client,
    clock::{Clock, System},
    error::{Error, Result},
    service_key::ServiceKey,
    transport::Transport,
};

/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// A connection that says nothing for so long is asked whether it is there, and given up
/// when it does not say so.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// How a client is set up. From [`Client::builder`].
#[derive(Clone)]
pub struct Builder {
    urls: Vec<String>,
    authority: Option<String>,
    server_name: Option<String>,
    identity: Option<(String, String)>,
    credentials: Given,
    deadlines: BTreeMap<RateClass, Duration>,
    connect_timeout: Duration,
    plaintext: bool,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
enum Given {
    Nothing,
    Bearer(String),
    Key(String),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            authority: None,
            server_name: None,
            identity: None,
            credentials: Given::Nothing,
            deadlines: BTreeMap::new(),
            connect_timeout: CONNECT_PATIENCE,
            plaintext: false,
            clock: Arc::new(System::default()),
        }
    }
}

impl fmt::Debug for Builder {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// One more process of the directory, `http://host:port` or `https://host:port`. All
    /// are asked in turn.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The authorities whose word counts for the directory's certificates, as PEM.
    /// Without: those of the machine.
    #[must_use]
    pub fn ca_certificates(mut self, pem: impl Into<String>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// The name that the directory's certificates must have, where endpoints are named
    /// otherwise: by their addresses, or through a tunnel. Without: the endpoint's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The client's own certificate and its key, as PEM, for service clients that are
    /// bound to one.
    #[must_use]
    pub fn client_certificate(mut self, pem: impl Into<String>, key: impl Into<String>) -> Self {
        self.identity = Some((pem.into(), key.into()));
        self
    }

    /// A bearer that somebody else looks after.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.credentials = Given::Bearer(token.into());
        self
    }

    /// The text of a service client's key file. Tokens are got with it, a new one
    /// before the old one ends.
    #[must_use]
    pub fn service_key(mut self, text: impl Into<String>) -> Self {
        self.credentials = Given::Key(text.into());
        self
    }

    /// How long calls of a class may take that say nothing else themselves
    /// (`tonic::Request::set_timeout`). Without: what the contract says of each.
    #[must_use]
    pub fn deadline(mut self, class: RateClass, deadline: Duration) -> Self {
        self.deadlines.insert(class, deadline);
        self
    }

    /// How long it may take to connect; a second by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Lets the credential go to `http://` endpoints on other hosts: for a network that
    /// encrypts by itself, such as a service mesh. Without this only the loopback is let,
    /// as whoever can listen would have the credential.
    #[must_use]
    pub fn plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Takes the time from elsewhere. For tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The client. It connects with its first call, and again whenever it has to.
    ///
    /// # Errors
    /// [`Error::Settings`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn build(self) -> Result<Client> {
        if self.urls.is_empty() {
            return Err(Error::Settings("an endpoint is needed".to_owned()));
        }
        let channels = self.urls.iter().map(|url| Ok(self.at(url)?.connect_lazy()));
        let bare = Transport::new(channels.collect::<Result<_>>()?, self.deadlines.clone())?;
        let credentials = match &self.credentials {
            Given::Nothing => Credentials::None,
            Given::Bearer(token) => Credentials::bearer_of(token)?,
            Given::Key(text) => {
                let key = ServiceKey::read(text)?;
                let tokens = Tokens::new(key, bare.clone(), Arc::clone(&self.clock));
                Credentials::Key(tokens)
            }
        };
        Ok(Client::new(bare.with(credentials), self.clock))
    }

    fn at(&self, url: &str) -> Result<Endpoint> {
        let broken = |e: tonic::transport::Error| Error::Settings(format!("endpoint {url:?}: {e}"));
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(broken)?;
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .keep_alive_while_idle(true);
        if url.starts_with("https://") {
            return endpoint.tls_config(self.tls()).map_err(broken);
        }
        match self.hinders_plaintext(&endpoint) {
            Some(why) => Err(Error::Settings(format!("endpoint {url:?}: {why}"))),
            None => Ok(endpoint),
        }
    }

    /// Why this endpoint must not be spoken to in clear. Nothing must travel so where
    /// somebody believes that it does not.
    fn hinders_plaintext(&self, endpoint: &Endpoint) -> Option<&'static str> {
        if self.authority.is_some() || self.identity.is_some() || self.server_name.is_some() {
            return Some("certificates need https://");
        }
        let secret = !matches!(self.credentials, Given::Nothing);
        let may = self.plaintext || endpoint.uri().host().is_some_and(is_loopback);
        (secret && !may).then_some("a credential needs https://, or Builder::plaintext")
    }

    fn tls(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().timeout(self.connect_timeout.max(CONNECT_PATIENCE));
        let config = match &self.authority {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config.with_native_roots(),
        };
        let config = match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        };
        match &self.identity {
            Some((pem, key)) => config.identity(Identity::from_pem(pem, key)),
            None => config,
        }
    }
}

/// Whether what is sent to this host stays on this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_that_cannot_work_are_told() {
        let none = Builder::default();
        let clear = none.clone().endpoint("http://127.0.0.1:1");
        for broken in [
            none.clone(),
            none.endpoint("no url"),
            clear.clone().ca_certificates("x"),
            clear.clone().client_certificate("x", "y"),
            clear.clone().server_name("x"),
            clear.clone().bearer("two\nlines"),
            clear.clone().service_key("{}"),
        ] {
            let built = broken.build();
            assert!(matches!(built, Err(Error::Settings(_))), "{built:?}");
        }
        assert!(clear.bearer("x").build().is_ok());
    }

    #[tokio::test]
    async fn no_credential_leaves_this_machine_in_clear() {
        let at = |url: &str| Builder::default().endpoint(url);
        for here in ["localhost:1", "127.0.0.9:1", "[::1]:1"] {
            let here = at(&format!("http://{here}")).bearer("x");
            assert!(here.build().is_ok());
        }
        for there in [
            "directory.internal:1",
            "10.0.0.1:1",
            "localhost.test:1",
            "[::2]:1",
        ] {
            let there = at(&format!("http://{there}"));
            let refused = there.clone().bearer("x").build();
            assert!(matches!(refused, Err(Error::Settings(_))), "{refused:?}");
            assert!(there.clone().build().is_ok(), "there is none");
            assert!(there.bearer("x").plaintext().build().is_ok());
        }
        let mixed = at("http://127.0.0.1:1").endpoint("http://10.0.0.1:1");
        assert!(mixed.bearer("x").build().is_err());
    }
}
