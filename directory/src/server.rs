//! The directory as a server: services, gate and health, on a socket, with TLS
//! or without, and in the same process.

pub mod tls;

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpListener;
use tonic::{
    service::Routes,
    transport::server::{Server as Transport, TcpIncoming},
};
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder as Reflection;
use tower::Layer as _;

use self::tls::Tls;
use crate::{
    error::Cause,
    grpc::{Gate, GateLayer, SERVICE_NAMES, routes},
    service::{Directory, HELD_INTERVAL},
};

/// How often the health service looks whether the database answers.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// How often what is gone for long is looked for.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);

/// How long a look may take.
const HEALTH_PATIENCE: Duration = Duration::from_millis(500);

/// How large the headers of a call may be together, in bytes: more than the
/// longest bearer, so that one that is too long is refused like any other.
const HEADERS_LIMIT: u32 = 32 * 1024;

/// The directory's services behind their gate, to be called or served.
#[derive(Debug, Clone)]
pub struct Services {
    directory: Directory,
    gated: Gate<Routes>,
    health: HealthReporter,
}

impl Services {
    /// Assembles the services. They report to be healthy once
    /// [`watch_health`](Self::watch_health) runs.
    ///
    /// # Errors
    /// The contract has an RPC without a complete policy.
    pub fn new(directory: Directory) -> Result<Self, muster_proto::policy::Error> {
        Self::assemble(directory, |routes| routes)
    }

    /// As [`new`](Self::new), with the reflection service, `v1` and `v1alpha`: it tells
    /// everybody the contract, which is no secret, and nothing else.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the compiled contract cannot be told.
    pub fn reflecting(directory: Directory) -> Result<Self, Cause> {
        let contract = || {
            Reflection::configure()
                .register_encoded_file_descriptor_set(muster_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (now, before) = (contract().build_v1()?, contract().build_v1alpha()?);
        let services = Self::assemble(directory, |routes| {
            routes.add_service(now).add_service(before)
        });
        Ok(services?)
    }

    fn assemble(
        directory: Directory,
        more: impl FnOnce(Routes) -> Routes,
    ) -> Result<Self, muster_proto::policy::Error> {
        let (health, health_service) = health_reporter();
        let gate = GateLayer::new(directory.clone())?;
        let routes = routes(&directory).add_service(health_service);
        Ok(Self {
            directory,
            gated: gate.layer(more(routes).prepare()),
            health,
        })
    }

    /// The services for callers in this process: no socket, the same gate.
    pub fn in_process(&self) -> Gate<Routes> {
        self.gated.clone()
    }

    /// Keeps the health service true to the database. Runs until dropped.
    pub async fn watch_health(&self) {
        let mut ticks = tokio::time::interval(HEALTH_INTERVAL);
        loop {
            ticks.tick().await;
            let answer = tokio::time::timeout(HEALTH_PATIENCE, self.directory.ping()).await;
            self.report(matches!(answer, Ok(Ok(())))).await;
        }
    }

    /// Tells all who ask that no more calls are wanted, and ends streams.
    pub async fn stop(&self) {
        self.report(false).await;
        self.directory.drain();
    }

    /// Does what nobody asks for: listens to other processes, watches replicas,
    /// purges what is gone for long. Runs until dropped.
    pub async fn keep_house(&self) {
        let purge = async {
            let mut ticks = tokio::time::interval(HOUSEKEEPING_INTERVAL);
            loop {
                ticks.tick().await;
                if let Err(error) = self.directory.keep_house().await {
                    tracing::warn!(%error, "purging is put off");
                }
            }
        };
        // By itself: nobody's access waits for what is purged.
        let held = async {
            let mut ticks = tokio::time::interval(HELD_INTERVAL);
            loop {
                ticks.tick().await;
                if let Err(error) = self.directory.apply_held().await {
                    tracing::warn!(%error, "held deactivations are put off");
                }
            }
        };
        tokio::join!(
            purge,
            held,
            self.directory.hear_others(),
            self.directory.note_history(),
            self.directory.watch_access(),
            self.directory.note_usage(),
            self.directory.keep_journal(),
            self.directory.watch_replicas()
        );
    }

    async fn report(&self, serving: bool) {
        let status = if serving {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        for name in SERVICE_NAMES.into_iter().chain([""]) {
            self.health.set_service_status(name, status).await;
        }
    }
}

/// The services on a socket.
#[derive(Debug)]
pub struct Server {
    services: Services,
    transport: Transport,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the socket; port 0 lets the system choose. Without `tls` calls come
    /// in clear, with it none does.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        services: Services,
        tls: Option<Tls>,
    ) -> io::Result<Self> {
        let mut transport = Transport::builder()
            .http2_max_header_list_size(Some(HEADERS_LIMIT))
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)));
        if let Some(tls) = tls {
            let config = transport.tls_config(tls.into_config());
            transport = config.map_err(io::Error::other)?;
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self {
            services,
            transport,
            listener,
            address,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done and calls in flight are answered.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        self.transport
            .serve_with_incoming_shutdown(self.services.gated, incoming, shutdown)
            .await
            .map_err(io::Error::other)
    }
}
