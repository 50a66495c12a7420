//! The listener and its life: bind, serve, finish what is in flight.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    ServiceExt as _,
    extract::Request,
    serve::{ListenerExt as _, TapIo},
};
use tokio::net::{TcpListener, TcpStream};
use tower::util::MapRequest;

use crate::{client::DirectoryClient, config::Config, http};

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
        let router = http::router(http::Facade {
            config,
            directory,
            metrics,
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
        let service = MapRequest::new(self.router, http::normalize as fn(Request) -> Request);
        let listener: TapIo<TcpListener, fn(&mut TcpStream)> = self.listener.tap_io(no_delay);
        axum::serve(listener, service.into_make_service())
            .with_graceful_shutdown(shutdown)
            .await
    }
}

/// Answers are small and written at once; waiting for more costs 40 ms.
fn no_delay(stream: &mut TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection kept its delay");
    }
}
