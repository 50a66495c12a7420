//! `muster serve`: settings to roles, roles to servers.

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster_directory::{
    clock::System,
    server::{Server as GrpcServer, Services},
    service::{Bootstrap, Directory},
    storage::Store,
};
use scim_facade::{Config, DirectoryClient, Server as HttpServer};
use tonic::transport::Endpoint;

use crate::{arguments::Role, settings::Settings, shutdown::Shutdown};

/// Renders the metrics of this process.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Runs the roles of this process until a signal stops them.
pub(crate) async fn serve(settings: &Settings) -> anyhow::Result<()> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?settings, "starting");
    let shutdown = Shutdown::on_signals(settings.grace())?;
    let recorder = PrometheusBuilder::new()
        .install_recorder()
        .context("metrics")?;
    let metrics: Metrics = Arc::new(move || recorder.render());
    match settings.role {
        Role::All | Role::Directory => with_directory(settings, &shutdown, metrics).await,
        Role::Scim => {
            let channel = Endpoint::from_shared(settings.directory_url.clone())
                .with_context(|| format!("directory_url {:?}", settings.directory_url))?
                .connect_lazy();
            let http = bind_http(settings, DirectoryClient::new(channel), metrics).await?;
            say(&format!("HTTP listening on http://{}", http.local_addr()))?;
            run(None, Some(http), &shutdown).await
        }
    }
}

async fn with_directory(
    settings: &Settings,
    shutdown: &Shutdown,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let directory = open_directory(&settings.database_url).await?;
    let services = Services::new(directory.clone())?;
    let grpc = GrpcServer::bind(settings.grpc_listen, services.clone())
        .await
        .with_context(|| format!("cannot listen on {} for gRPC", settings.grpc_listen))?;
    let http = match settings.role {
        Role::All => {
            let client = DirectoryClient::new(services.in_process());
            Some(bind_http(settings, client, metrics).await?)
        }
        Role::Directory | Role::Scim => None,
    };

    let http_address = http
        .as_ref()
        .map_or(settings.http_listen, HttpServer::local_addr);
    announce(settings, &directory, http_address).await?;
    say(&format!("gRPC listening on {}", grpc.local_addr()))?;
    if http.is_some() {
        say(&format!("HTTP listening on http://{http_address}"))?;
    }

    let result = run(Some((grpc, services)), http, shutdown).await;
    directory.close().await;
    tracing::info!("stopped");
    result
}

/// Opens the database and brings its schema up to date.
pub(crate) async fn open_directory(database_url: &str) -> anyhow::Result<Directory> {
    let store = Store::open(database_url).await;
    let store = store
        .map_err(detailed)
        .context("cannot open the database")?;
    store
        .migrate()
        .await
        .map_err(detailed)
        .context("cannot migrate the database")?;
    let directory = Directory::open(store, Arc::new(System)).await;
    directory
        .map_err(detailed)
        .context("cannot use the database")
}

/// Operators see what lies behind an error, other than callers.
fn detailed(error: muster_directory::error::Error) -> anyhow::Error {
    anyhow::Error::from(error)
}

async fn bind_http(
    settings: &Settings,
    directory: DirectoryClient,
    metrics: Metrics,
) -> anyhow::Result<HttpServer> {
    let config = Config {
        public_url: settings.public_url.clone(),
        base_paths: settings.base_paths.clone(),
        body_limit: settings.body_limit,
    };
    HttpServer::bind(settings.http_listen, config, directory, Some(metrics))
        .await
        .with_context(|| format!("cannot listen on {} for HTTP", settings.http_listen))
}

/// Tells admin commands, and on a first start the operator, how clients reach
/// this server.
async fn announce(
    settings: &Settings,
    directory: &Directory,
    http: SocketAddr,
) -> anyhow::Result<()> {
    let tenant_url = settings.tenant_url(http);
    directory.announce(&tenant_url).await?;
    if !http.ip().is_loopback() {
        tracing::warn!(address = %http, "HTTP without TLS on a public address: put a proxy in front");
    }
    if !settings.bootstrap {
        return Ok(());
    }
    match directory.bootstrap().await? {
        Some(Bootstrap {
            tenant,
            connection,
            issued,
        }) => {
            tracing::info!(
                tenant = tenant.name,
                connection = connection.name,
                "first start"
            );
            say(&format!("Tenant URL:   {tenant_url}"))?;
            say(&format!("Secret Token: {}", issued.secret.expose()))?;
        }
        None => tracing::info!("the database has tenants; nothing to bootstrap"),
    }
    Ok(())
}

/// Results go to standard output; whoever closed it does not want them.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("standard output")
}

async fn run(
    grpc: Option<(GrpcServer, Services)>,
    http: Option<HttpServer>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let services = grpc.as_ref().map(|(_, services)| services.clone());
    let serve_grpc = async {
        match grpc {
            Some((server, _)) => server.run(shutdown.soft.clone().cancelled_owned()).await,
            None => Ok(()),
        }
    };
    let serve_http = async {
        match http {
            Some(server) => server.run(shutdown.soft.clone().cancelled_owned()).await,
            None => Ok(()),
        }
    };
    let watch_health = async {
        let Some(services) = services else {
            return std::future::pending().await;
        };
        tokio::select! {
            () = services.watch_health() => {}
            () = shutdown.soft.cancelled() => services.report_stopping().await,
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = async { tokio::try_join!(serve_grpc, serve_http) } => {
            served.context("a server failed")?;
        }
        () = watch_health => {}
        () = shutdown.hard.cancelled() => {}
    }
    Ok(())
}
