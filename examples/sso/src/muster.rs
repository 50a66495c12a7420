//! Starts the directory on a fresh database in a temporary folder.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// A directory that runs until it is stopped or dropped.
pub(crate) struct Muster {
    /// Where services reach it.
    pub(crate) grpc: String,
    /// What is put into Entra's portal.
    pub(crate) tenant_url: String,
    /// The same.
    pub(crate) secret_token: String,
    /// The `iss` of its tokens.
    pub(crate) issuer: String,
    /// Its one tenant.
    pub(crate) tenant_id: String,
    /// The connection that Entra's credential opens.
    pub(crate) connection_id: String,
    binary: PathBuf,
    folder: TempDir,
    child: Child,
}

impl Muster {
    /// Starts the binary that `MUSTER_BIN` names.
    pub(crate) async fn start() -> Result<Self> {
        let binary = std::env::var_os("MUSTER_BIN").context("MUSTER_BIN names no binary")?;
        let binary = PathBuf::from(binary);
        let folder = TempDir::new()?;
        let database = format!("sqlite://{}/muster.db", folder.path().display());
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new(&binary)
            .args(["serve", "--bootstrap", "--database-url", &database])
            .args([
                "--http-listen",
                "127.0.0.1:0",
                "--grpc-listen",
                "127.0.0.1:0",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("muster does not start")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let (mut grpc, mut http, mut url, mut token) = (None, None, None, None);
        while grpc.is_none() || http.is_none() {
            let Some(line) = lines.next_line().await? else {
                let log = std::fs::read_to_string(folder.path().join("log"))?;
                bail!("muster ended: {log}");
            };
            for (prefix, value) in [
                ("gRPC listening on ", &mut grpc),
                ("HTTP listening on ", &mut http),
                ("Tenant URL:", &mut url),
                ("Secret Token:", &mut token),
            ] {
                if let Some(rest) = line.strip_prefix(prefix) {
                    *value = Some(rest.trim().to_owned());
                }
            }
        }
        // Whatever else it prints has somewhere to go.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut muster = Self {
            grpc: format!("http://{}", grpc.context("no address")?),
            tenant_url: url.context("no tenant URL")?,
            secret_token: token.context("no token")?,
            issuer: http.context("no address")?,
            tenant_id: String::new(),
            connection_id: String::new(),
            binary,
            folder,
            child,
        };
        let tenants = muster.command(&["tenant", "list", "--json"]).await?;
        let first = tenants[0]["id"].as_str().context("no tenant")?;
        muster.tenant_id = first.to_owned();
        let connections = muster.command(&["connection", "list", "--json"]).await?;
        let first = connections[0]["id"].as_str().context("no connection")?;
        muster.connection_id = first.to_owned();
        Ok(muster)
    }

    /// Registers a service; the key by which it proves itself.
    pub(crate) async fn service_key(&self, name: &str, scopes: &str) -> Result<String> {
        let file = self.folder.path().join(format!("{name}.jwk"));
        let path = file.to_str().context("a plain path")?;
        let create = ["client", "create", "--name", name, "--scopes", scopes];
        let more = [
            "--audiences",
            sso_audience(),
            "--generate-key",
            path,
            "--json",
        ];
        self.command(&[&create[..], &more].concat()).await?;
        Ok(std::fs::read_to_string(file)?)
    }

    async fn command(&self, arguments: &[&str]) -> Result<Value> {
        let database = format!("sqlite://{}/muster.db", self.folder.path().display());
        let output = Command::new(&self.binary)
            .args(arguments)
            .args(["--database-url", &database])
            .output()
            .await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "muster {arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

fn sso_audience() -> &'static str {
    crate::sso::AUDIENCE
}
