//! `muster serve`: settings to roles, roles to servers.

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use muster_directory::{
    clock::System,
    server::{Server as GrpcServer, Services},
    service::{Announcement, Bootstrap, Directory, Options},
    storage::Store,
};
use scim_facade::{Config, DirectoryClient, Server as HttpServer};

use crate::{arguments::Role, channel, pem, settings::Settings, shutdown::Shutdown};

/// Renders the metrics of this process.
type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Runs the roles of this process until a signal stops them.
pub(crate) async fn serve(settings: &Settings) -> anyhow::Result<()> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?settings, "starting");
    let shutdown = Shutdown::on_signals(settings.grace())?;
    let metrics = record_metrics()?;
    let served = match settings.role {
        Role::All | Role::Directory => with_directory(settings, &shutdown, metrics).await,
        Role::Scim => {
            let directory = DirectoryClient::new(channel::connect(settings)?);
            let http = bind_http(settings, directory, metrics).await?;
            say(&format!("HTTP listening on http://{}", http.local_addr()))?;
            warn_if_public("HTTP", http.local_addr());
            run(None, Some(http), &shutdown).await
        }
    };
    tracing::info!("stopped");
    served
}

/// How long the database may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How often samples are folded into histograms; without it they would pile up
/// until somebody asks for the metrics.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

fn record_metrics() -> anyhow::Result<Metrics> {
    let recorder = PrometheusBuilder::new()
        .install_recorder()
        .context("metrics")?;
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(METRICS_UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || recorder.render()))
}

async fn with_directory(
    settings: &Settings,
    shutdown: &Shutdown,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let tls = pem::tls(settings)?;
    let is_clear = tls.is_none();
    let directory = open_directory(settings).await?;
    let services = match settings.grpc_reflection {
        true => Services::reflecting(directory.clone()).map_err(anyhow::Error::from_boxed)?,
        false => Services::new(directory.clone())?,
    };
    let grpc = GrpcServer::bind(settings.grpc_listen, services.clone(), tls)
        .await
        .with_context(|| format!("cannot listen on {} for gRPC", settings.grpc_listen))?;
    let http = match settings.role {
        Role::All => {
            let client = DirectoryClient::new(services.in_process());
            Some(bind_http(settings, client, metrics).await?)
        }
        Role::Directory | Role::Scim => None,
    };

    let http_address = http.as_ref().map(HttpServer::local_addr);
    let urls = settings.urls(http_address);
    let issuer = issuer(settings, http_address, grpc.local_addr());
    directory.take_issuer(&issuer).await?;
    directory.prepare_keys().await?;
    announce(settings, &directory, urls.as_ref()).await?;
    say(&format!("gRPC listening on {}", grpc.local_addr()))?;
    if is_clear {
        warn_if_public("gRPC", grpc.local_addr());
    }
    if let Some(address) = http_address {
        say(&format!("HTTP listening on http://{address}"))?;
        warn_if_public("HTTP", address);
    }

    let result = run(Some((grpc, services)), http, shutdown).await;
    // Whoever did not wait for requests does not wait for their statements.
    let close = tokio::time::timeout(CLOSE_PATIENCE, directory.close());
    if close.await.is_err() {
        tracing::warn!("the database was still busy");
    }
    result
}

/// Opens the database and brings its schema up to date.
pub(crate) async fn open_directory(settings: &Settings) -> anyhow::Result<Directory> {
    let store = Store::open_with_replicas(&settings.database_url, &settings.replica_urls).await;
    let store = store.context("cannot open the database")?;
    let migrated = store.migrate().await;
    migrated.context("cannot migrate the database")?;
    let options = Options {
        retention: settings.retention(),
        sealing: settings.sealing()?,
        limits: settings.limits(),
        trust_addresses: settings.trust_forwarded,
    };
    let directory = Directory::open_with(store, Arc::new(System), options).await;
    directory.context("cannot use the database")
}

/// Whose word the tokens of this server are: the public URL, else where it is
/// reached.
fn issuer(settings: &Settings, http: Option<SocketAddr>, grpc: SocketAddr) -> String {
    let origin = settings.origin(http);
    origin.unwrap_or_else(|| format!("http://{grpc}"))
}

async fn bind_http(
    settings: &Settings,
    directory: DirectoryClient,
    metrics: Metrics,
) -> anyhow::Result<HttpServer> {
    let config = Config {
        public_url: settings.public_url.clone(),
        trust_forwarded: settings.trust_forwarded,
        base_paths: settings.base_paths.clone(),
        body_limit: settings.body_limit,
    };
    HttpServer::bind(settings.http_listen, config, directory, Some(metrics))
        .await
        .with_context(|| format!("cannot listen on {} for HTTP", settings.http_listen))
}

fn warn_if_public(what: &str, address: SocketAddr) {
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "{what} without TLS on a public address: put a proxy in front");
    }
}

/// Tells admin commands, and on a first start the operator, how clients reach
/// this server; `urls` are unknown where HTTP runs elsewhere.
async fn announce(
    settings: &Settings,
    directory: &Directory,
    urls: Option<&Announcement>,
) -> anyhow::Result<()> {
    if let Some(urls) = urls {
        directory.announce(urls).await?;
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
            let secret = issued.secret.context("a bearer has a secret")?;
            if let Some(urls) = urls {
                say(&format!("Tenant URL:   {}", urls.tenant_url))?;
            }
            say(&format!("Secret Token: {}", secret.expose()))?;
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
            () = services.keep_house() => {}
            () = shutdown.soft.cancelled() => services.stop().await,
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
