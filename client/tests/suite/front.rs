//! A server between a client and the directory, which passes all calls on, counts them,
//! and holds the answers of some back.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{Request, Response};
use muster_client::tonic::{
    Status,
    body::Body,
    server::NamedService,
    transport::{
        Channel, Endpoint, Server,
        server::{ServerTlsConfig, TcpIncoming},
    },
};
use tokio::sync::watch;
use tower::{Service, ServiceExt as _};

/// The server.
pub(crate) struct Front {
    /// Where it listens, without a scheme.
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    directory: Channel,
    counts: Mutex<HashMap<String, usize>>,
    /// The name of the RPC that is not answered.
    held: watch::Sender<&'static str>,
}

impl Front {
    pub(crate) fn before(url: &str) -> Self {
        Self::serving(url, Server::builder())
    }

    pub(crate) fn with_tls(url: &str, tls: ServerTlsConfig) -> Self {
        let server = Server::builder().tls_config(tls);
        Self::serving(url, server.expect("certificates"))
    }

    fn serving(url: &str, mut server: Server) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
        let state = Arc::new(State {
            directory: endpoint.connect_lazy(),
            counts: Mutex::default(),
            held: watch::Sender::new(""),
        });
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let incoming = TcpIncoming::bind(anywhere).expect("a port");
        let address = incoming.local_addr().expect("an address").to_string();
        let router = server
            .add_service(Admin(Arc::clone(&state)))
            .add_service(Lookup(Arc::clone(&state)))
            .add_service(SigningKeys(Arc::clone(&state)));
        tokio::spawn(router.serve_with_incoming(incoming));
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on no call of this name is answered, until another name is said.
    pub(crate) fn hold(&self, name: &'static str) {
        self.state.held.send_replace(name);
    }

    /// How many calls of this name came.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.state.counts().get(name).copied().unwrap_or_default()
    }
}

impl State {
    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let name = name.to_owned();
        *self.counts().entry(name.clone()).or_default() += 1;
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| *held != name).await;
        let mut directory = self.directory.clone();
        let answer = match directory.ready().await {
            Ok(directory) => directory.call(request).await,
            Err(error) => Err(error),
        };
        Ok(answer.unwrap_or_else(|e| Status::unavailable(e.to_string()).into_http()))
    }
}

macro_rules! services {
    ($($service:ident = $name:literal;)*) => {$(
        #[derive(Clone)]
        struct $service(Arc<State>);

        impl NamedService for $service {
            const NAME: &'static str = concat!("identity.directory.v1.", $name);
        }

        impl Service<Request<Body>> for $service {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                Box::pin(Arc::clone(&self.0).pass(request))
            }
        }
    )*};
}

services! {
    Admin = "AdminService";
    Lookup = "DirectoryLookupService";
    SigningKeys = "SigningKeyService";
}
