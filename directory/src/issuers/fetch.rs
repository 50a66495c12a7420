//! Fetching an issuer's keys: OpenID Connect Discovery 1.0 section 4.
//!
//! No redirects, no proxy, no cookies: two GETs, bounded in time and size.

use std::{fmt, sync::OnceLock, time::Duration};

use http::{Request, StatusCode, Uri, header::ACCEPT};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

use super::key_url;
use crate::{error::Cause, signing::Keys};

/// For both requests together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer, in bytes. Entra's sets have some ten thousand.
const SIZE_LIMIT: usize = 1024 * 1024;

/// Why there are no keys; for the log.
#[derive(Debug, thiserror::Error)]
#[error("{what} of {issuer}")]
pub(super) struct Error {
    issuer: String,
    what: &'static str,
    #[source]
    cause: Option<Cause>,
}

/// Asks issuers for their keys.
#[derive(Default)]
pub(super) struct Fetch {
    /// For issuers on this machine.
    plain: OnceLock<Client<HttpConnector, Empty<Bytes>>>,
    /// Made when first needed: it reads the machine's root certificates, which
    /// most installations never use and some do not have.
    tls: OnceLock<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetch")
    }
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

impl Fetch {
    pub(super) async fn keys(&self, issuer: &str) -> Result<Keys, Error> {
        let keys = tokio::time::timeout(PATIENCE, self.discover(issuer));
        let failure = match keys.await {
            Ok(Ok(keys)) => return Ok(keys),
            Ok(Err(failure)) => failure,
            Err(_) => Failure("no answer in time", None),
        };
        Err(Error {
            issuer: issuer.to_owned(),
            what: failure.0,
            cause: failure.1,
        })
    }

    async fn discover(&self, issuer: &str) -> Result<Keys, Failure> {
        let home = issuer.trim_end_matches('/');
        let address = url(&format!("{home}/.well-known/openid-configuration"))?;
        let configuration = self.get(&address).await?;
        let configuration: Configuration =
            serde_json::from_slice(&configuration).map_err(because("unreadable configuration"))?;
        // Section 4.3: otherwise one issuer could speak for another.
        if configuration.issuer != issuer {
            return Err(Failure("another issuer's name in the configuration", None));
        }
        let keys = url(&configuration.jwks_uri)?;
        if keys.scheme() != address.scheme() {
            return Err(Failure("keys outside of TLS in the configuration", None));
        }
        Keys::parse(&self.get(&keys).await?).map_err(because("unreadable keys"))
    }

    async fn get(&self, address: &Uri) -> Result<Bytes, Failure> {
        let request = Request::get(address).header(ACCEPT, "application/json");
        let request = request.body(Empty::new()).map_err(because("no request"))?;
        let answer = if address.scheme_str() == Some("https") {
            self.tls()?.request(request).await
        } else {
            self.plain().request(request).await
        };
        let answer = answer.map_err(because("no connection"))?;
        if answer.status() != StatusCode::OK {
            return Err(Failure("no configuration or keys", None));
        }
        let body = Limited::new(answer.into_body(), SIZE_LIMIT).collect().await;
        Ok(body
            .map_err(|e| Failure("no whole answer", Some(e)))?
            .to_bytes())
    }

    fn plain(&self) -> Client<HttpConnector, Empty<Bytes>> {
        let make = || builder().build(HttpConnector::new());
        self.plain.get_or_init(make).clone()
    }

    fn tls(&self) -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, Failure> {
        if let Some(client) = self.tls.get() {
            return Ok(client.clone());
        }
        // Named, so that no other provider is taken if one is ever linked.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(because(
                "no root certificates on this machine to check those",
            ))?
            .https_only()
            .enable_http1()
            .build();
        let client = builder().build(connector);
        Ok(self.tls.get_or_init(|| client).clone())
    }
}

/// What went wrong, and what lies behind it.
struct Failure(&'static str, Option<Cause>);

fn because<E: Into<Cause>>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |cause| Failure(what, Some(cause.into()))
}

fn url(text: &str) -> Result<Uri, Failure> {
    key_url(text).map_err(|rule| Failure("unsafe address", Some(rule.into())))
}

/// Keys are fetched once an hour: connections are not worth keeping.
fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(0);
    builder
}
