//! The listener and its life: bind, serve, finish what is in flight.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{ServiceExt as _, body::Body, extract::Request};
use axum_server::{Handle, accept::NoDelayAcceptor};
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tower::util::MapRequest;

use crate::{client::DirectoryClient, config::Config, http as facade};

/// How long a connection may take to send the head of a request. Without a
/// limit, connections that say nothing would pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest head of a request over HTTP/2, in bytes: enough for a token that is
/// too long to be refused like any other that is wrong, as it is over HTTP/1.1.
const HEAD_LIMIT: u32 = 64 * 1024;

/// A facade that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
}

impl Server {
    /// Listens on `addr`; port 0 takes a free one. `metrics` renders what
    /// `/metrics` answers; without it there is no such endpoint.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        addr: SocketAddr,
        config: Config,
        directory: DirectoryClient,
        metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let address = listener.local_addr()?;
        let router = facade::router(facade::Facade {
            config,
            directory,
            metrics,
            profiles: facade::Profiles::default(),
            turns: facade::Turns::default(),
        });
        Ok(Self {
            listener,
            address,
            router,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, then finishes the requests in
    /// flight. How long that may take is the caller's to bound.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        // Before routing, which sees the path as it is then.
        let service = MapRequest::new(
            self.router,
            arrived as fn(http::Request<Incoming>) -> Request,
        );
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let stopping = handle.clone();
        let stop = tokio::spawn(async move {
            shutdown.await;
            stopping.graceful_shutdown(None);
        });
        // Answers are small and written at once; waiting for more costs 40 ms.
        let mut server = axum_server::from_tcp(self.listener.into_std()?)?
            .acceptor(NoDelayAcceptor::new())
            .handle(handle);
        let builder = server.http_builder();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_LIMIT)
            .keep_alive_interval(HEAD_TIMEOUT);
        let served = server.serve(service).await;
        stop.abort();
        served
    }
}

fn arrived(request: http::Request<Incoming>) -> Request {
    facade::normalize(request.map(Body::new))
}
