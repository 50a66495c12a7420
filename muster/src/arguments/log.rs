//! What can be said of the provisioning log.

use std::time::Duration;

use clap::{Args, Subcommand};
use muster_directory::domain::span;

use super::{InTenant, Json};

/// Commands on the provisioning log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Show what the last requests of provisioning clients came to, the newest at
    /// the end
    Tail(Tail),
}

/// Which events are shown.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only of this connection: its id or name
    #[arg(long)]
    pub(crate) connection: Option<String>,
    /// Whose.
    #[command(flatten)]
    pub(crate) tenant: InTenant,
    /// Only about the user or group with this id
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only about whom the client calls so
    #[arg(long, value_name = "ID")]
    pub(crate) external_id: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub(crate) failures: bool,
    /// Only of the last so long, for example `1h`
    #[arg(long, value_name = "DURATION", value_parser = span::parse)]
    pub(crate) since: Option<Duration>,
    /// Most events
    #[arg(long, value_name = "COUNT", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    /// Go on with what comes, until stopped
    #[arg(long)]
    pub(crate) follow: bool,
    /// Form of the result: an object in each line.
    #[command(flatten)]
    pub(crate) json: Json,
}
