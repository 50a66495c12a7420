//! What can be said of connections and of their policies.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{InTenant, Json, Lifetime, Name};

/// Commands on connections.
#[derive(Debug, Subcommand)]
pub(crate) enum Connection {
    /// Create a connection
    Create {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Its name.
        #[command(flatten)]
        name: Name,
        /// What it does with what its client sends.
        #[command(flatten)]
        source: PolicySource,
        /// What kind of client it serves: how far it deviates from the RFCs
        /// [default: the preset's, else entra]
        #[arg(long, value_enum)]
        flavor: Option<FlavorName>,
        /// How long its new credentials live, for example `365d`, or `never`
        /// [default: the policy's, else never]
        #[arg(long, value_name = "DURATION", value_parser = Lifetime::parse)]
        credential_lifetime: Option<Lifetime>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Change a connection; its client need not do anything
    #[command(group = ArgGroup::new("change")
        .args(["preset", "policy", "flavor", "credential_lifetime"])
        .required(true)
        .multiple(true))]
    Update {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Its id or name.
        #[command(flatten)]
        name: Name,
        /// What it does with what its client sends.
        #[command(flatten)]
        source: PolicySource,
        /// What kind of client it serves: how far it deviates from the RFCs
        #[arg(long, value_enum)]
        flavor: Option<FlavorName>,
        /// How long its new credentials live, for example `365d`, or `never`.
        /// `--preset` and `--policy` replace it: say it again with them
        #[arg(long, value_name = "DURATION", value_parser = Lifetime::parse)]
        credential_lifetime: Option<Lifetime>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// List the tenant's connections
    List {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Tell how a connection has fared in the last 24 hours, and what to do
    Health {
        /// Which.
        #[command(flatten)]
        connection: WhichConnection,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Show one connection
    Show {
        /// Which.
        #[command(flatten)]
        connection: WhichConnection,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Print the policy of a connection as a file that `--policy` takes, to be
    /// changed
    Policy {
        /// Which.
        #[command(flatten)]
        connection: WhichConnection,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Connection {
    pub(super) fn tenant(&self) -> &InTenant {
        match self {
            Self::Create { tenant, .. }
            | Self::Update { tenant, .. }
            | Self::List { tenant, .. }
            | Self::Health { tenant, .. }
            | Self::Show { tenant, .. }
            | Self::Policy { tenant, .. } => tenant,
        }
    }
}

/// A connection, as an option or as an argument.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichConnection {
    /// Id or name of the connection
    #[arg(value_name = "CONNECTION")]
    which: Option<String>,
    /// The same
    #[arg(long = "connection", value_name = "CONNECTION")]
    named: Option<String>,
}

impl WhichConnection {
    /// Its id or name, however it was given.
    pub(crate) fn get(&self) -> &str {
        let given = self.which.as_deref().or(self.named.as_deref());
        given.unwrap_or_default()
    }
}

/// Where a connection's policy comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PolicySource {
    /// A policy that comes with muster: see `muster preset list`. Flavor and
    /// lifetime of credentials come with it
    #[arg(long, value_name = "PRESET")]
    pub(crate) preset: Option<String>,
    /// File with a policy, in the form of a preset; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

/// Commands on the policies that come with muster. They need no database.
#[derive(Debug, Subcommand)]
pub(crate) enum Preset {
    /// List them
    List {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Print one as a file, to be copied and changed
    Show {
        /// Its name
        name: String,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

/// Kinds of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlavorName {
    /// Microsoft Entra, and whoever sends what it sends: lenient
    Entra,
    /// Okta
    Okta,
    /// RFC 7643 and RFC 7644 to the letter
    Strict,
}
