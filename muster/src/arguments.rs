//! What can be said on the command line.

use std::{net::SocketAddr, path::PathBuf};

mod connections;
mod log;
mod tokens;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use serde::{Deserialize, Serialize};

pub(crate) use self::connections::{Connection, FlavorName, PolicySource, Preset};
pub(crate) use self::log::{Log, Tail};
pub(crate) use self::tokens::{
    Client, Credential, CredentialKind, FederationArguments, Held, Key, Lifetime, User, WhichHeld,
};

/// Identity directory: users, groups and credentials of many tenants over
/// gRPC, provisioned over SCIM 2.0.
///
/// Every option can also be set in the configuration file (`database_url`) and
/// in the environment (`MUSTER_DATABASE_URL`); the command line wins over the
/// environment, the environment over the file.
#[derive(Debug, Parser)]
#[command(name = "muster", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of every command.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct Common {
    /// Database: `sqlite://PATH`, made when missing, or
    /// `postgres://USER@HOST/NAME` [default: sqlite://muster.db]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_url: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Origin under which clients reach the SCIM endpoint, for example
    /// `https://id.example.com` [default: the address that is listened on]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Form of log lines [default: text]
    #[arg(long, global = true, value_name = "FORM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_format: Option<LogFormat>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(Serve),
    /// The gRPC contract, for programs in other languages
    #[command(subcommand)]
    Contract(Contract),
    /// Administer the database
    #[command(flatten)]
    Admin(Admin),
}

/// What can be had of the contract.
#[derive(Debug, Subcommand)]
pub(crate) enum Contract {
    /// Write the compiled contract with its imports, options and comments: a
    /// google.protobuf.FileDescriptorSet
    Descriptor {
        /// The file; `-` for standard output
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Write its .proto files
    Protos {
        /// The folder; made when missing
        #[arg(long, value_name = "FOLDER")]
        output: PathBuf,
    },
}

/// Options of the server.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct Serve {
    /// Which parts run in this process [default: all]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// Where gRPC listens [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Serve gRPC over TLS: PEM file with the chain of certificates
    /// [default: in clear]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_tls_certificate: Option<PathBuf>,
    /// PEM file with the key of that chain's first certificate
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_tls_key: Option<PathBuf>,
    /// PEM file with the authorities of clients' certificates: they are asked
    /// for, and none need send one
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_tls_client_ca: Option<PathBuf>,
    /// Tell everybody who asks over gRPC what the contract is (gRPC reflection), for
    /// tools such as grpcurl
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) grpc_reflection: bool,
    /// Where HTTP listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_listen: Option<SocketAddr>,
    /// With `--role scim`: where the directory is [default: http://127.0.0.1:50051]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory_url: Option<String>,
    /// With `--role scim` and an https:// URL: PEM file with the authorities of
    /// the directory's certificate [default: those that the machine trusts]
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory_ca: Option<PathBuf>,
    /// Replicas of a PostgreSQL database, for reads that need not be the newest;
    /// separated by commas
    #[arg(long = "replica-url", value_name = "URL", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) replica_urls: Vec<String>,
    /// Believe the headers Forwarded and X-Forwarded-For, and without a public
    /// URL X-Forwarded-Proto and X-Forwarded-Host. Only behind a proxy that sets
    /// them itself
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) trust_forwarded: bool,
    /// On an empty database, make tenant `default` with connection `entra` and
    /// print its Tenant URL and Secret Token, once
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bootstrap: bool,
}

/// Which parts of muster run in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Directory and SCIM facade.
    All,
    /// The directory: gRPC alone.
    Directory,
    /// The SCIM facade, for a directory elsewhere.
    Scim,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Commands on the database. They work while a server runs on it.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Tenants
    #[command(subcommand)]
    Tenant(Tenant),
    /// Connections: provisioning clients of a tenant
    #[command(subcommand)]
    Connection(Connection),
    /// Policies that come with muster
    #[command(subcommand)]
    Preset(Preset),
    /// Credentials of a connection
    #[command(subcommand)]
    Credential(Credential),
    /// Service clients: programs of a tenant that call the directory
    #[command(subcommand)]
    Client(Client),
    /// The keys that sign tokens
    #[command(subcommand)]
    Key(Key),
    /// Users, as far as they are an operator's
    #[command(subcommand)]
    User(User),
    /// Deactivations that wait for an operator: more than a connection's guard lets
    /// through
    #[command(subcommand)]
    Held(Held),
    /// Extension schemas: attributes that a tenant's users or groups have
    /// beyond the standard's
    #[command(subcommand)]
    Schema(Schema),
    /// The database's own schema
    #[command(subcommand)]
    Migrate(Migrate),
    /// The database's epoch: what came before is another history
    #[command(subcommand)]
    Epoch(Epoch),
    /// The audit
    #[command(subcommand)]
    Audit(Audit),
    /// The provisioning log: what requests of provisioning clients came to
    #[command(subcommand)]
    Log(Log),
    /// Write everything to a file that `import` reads, whatever the database.
    /// Keep it like the database itself
    Export {
        /// The file; `-` for standard output
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Fill an empty database from a file that `export` wrote
    Import {
        /// The file; `-` for standard input
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Admin {
    /// In which tenant it is; `None` for what is about all, or about tenants.
    pub(crate) fn tenant(&self) -> Option<&str> {
        let tenant = match self {
            Self::Connection(command) => command.tenant(),
            Self::Credential(command) => command.tenant(),
            Self::Client(command) => command.tenant()?,
            Self::User(command) => command.tenant(),
            Self::Held(command) => command.tenant(),
            Self::Schema(command) => command.tenant(),
            Self::Audit(Audit::Verify { tenant, .. }) => tenant,
            Self::Log(Log::Tail(tail)) => &tail.tenant,
            Self::Tenant(_)
            | Self::Preset(_)
            | Self::Key(_)
            | Self::Migrate(_)
            | Self::Epoch(_)
            | Self::Export { .. }
            | Self::Import { .. } => return None,
        };
        Some(&tenant.tenant)
    }
}

/// Commands on the epoch.
#[derive(Debug, Subcommand)]
pub(crate) enum Epoch {
    /// Show the epoch
    Show {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Begin a new epoch, after a backup was restored: revisions and cursors from
    /// before are refused, and consumers of the feed start anew
    Renew {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

/// Commands on the audit.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Recompute a tenant's hash chain; exit code 1 when it is broken
    Verify {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// A head that an earlier run printed: fails when the chain was cut
        #[arg(long, value_name = "HASH")]
        expected_head: Option<String>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

/// Prints the result as JSON.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Json {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A name, as an option or as an argument.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Name {
    /// Its name
    #[arg(value_name = "NAME")]
    positional: Option<String>,
    /// Its name
    #[arg(long)]
    name: Option<String>,
}

impl Name {
    /// The name, however it was given.
    pub(crate) fn get(&self) -> &str {
        self.positional
            .as_deref()
            .or(self.name.as_deref())
            .unwrap_or_default()
    }
}

/// Which tenant is meant.
#[derive(Debug, Args)]
pub(crate) struct InTenant {
    /// Id or name of the tenant
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
}

/// Commands on tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Create a tenant
    Create {
        /// Its name.
        #[command(flatten)]
        name: Name,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// List all tenants
    List {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Show one tenant
    Show {
        /// Id or name of the tenant [default: default]
        tenant: Option<String>,
        /// The same
        #[arg(long = "tenant", value_name = "TENANT", conflicts_with = "tenant")]
        named: Option<String>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

/// Commands on the schemas of a tenant's own.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Register an extension schema, or replace the one with its URN
    Put {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// What it extends
        #[arg(long, value_enum, default_value_t = Extended::User, ignore_case = true)]
        resource: Extended,
        /// JSON file with a Schema resource (RFC 7643 section 7); `-` is
        /// standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// List the tenant's schemas
    List {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Show one schema, as `put` takes it
    Show {
        /// Its URN
        #[arg(long)]
        urn: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Forget a schema; what resources have under its URN stays
    Delete {
        /// Its URN
        #[arg(long)]
        urn: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Schema {
    fn tenant(&self) -> &InTenant {
        match self {
            Self::Put { tenant, .. }
            | Self::List { tenant, .. }
            | Self::Show { tenant, .. }
            | Self::Delete { tenant, .. } => tenant,
        }
    }
}

/// What a schema extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Extended {
    /// Users
    User,
    /// Groups
    Group,
}

impl Arguments {
    /// Reads the command line; ends the process when it makes no sense.
    pub(crate) fn read() -> Self {
        let arguments = Self::parse();
        match arguments.check() {
            Ok(()) => arguments,
            Err(error) => error.exit(),
        }
    }

    /// What clap cannot express: options that belong to one value of another.
    fn check(&self) -> Result<(), clap::Error> {
        let Command::Admin(Admin::Credential(Credential::Create {
            kind, federation, ..
        })) = &self.command
        else {
            return Ok(());
        };
        let FederationArguments {
            issuer,
            subject,
            audience,
        } = federation;
        let given = [issuer, subject, audience].into_iter().any(Option::is_some);
        if given && *kind != CredentialKind::Federated {
            let text = "--issuer, --subject and --audience belong to --kind federated";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        }
        Ok(())
    }
}

/// Commands on the schema.
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Show which migrations have been applied
    Status {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Apply all pending migrations
    Up {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Take the newest migrations back; their data is lost
    Down {
        /// How many
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_connection_is_named_either_way_and_told_what_to_change() {
        let read = |line: &str| {
            let read = Arguments::try_parse_from(format!("muster connection {line}").split(' '));
            read.map_err(|error| error.to_string())
        };
        for command in ["show", "health", "policy"] {
            assert!(read(&format!("{command} entra")).is_ok(), "{command}");
            assert!(read(&format!("{command} --connection entra")).is_ok());
            let told = read(command).err().unwrap_or_default();
            assert!(told.contains("CONNECTION"), "{told}");
            assert!(read(&format!("{command} a --connection b")).is_err());
        }
        for change in [
            "--preset wintro",
            "--policy x.toml",
            "--flavor okta",
            "--credential-lifetime 1y",
            "--preset wintro --flavor okta --credential-lifetime never",
        ] {
            assert!(read(&format!("update entra {change}")).is_ok(), "{change}");
        }
        assert!(read("update entra --preset wintro --policy x.toml").is_err());
        let told = read("update entra").err().unwrap_or_default();
        for option in ["--preset", "--policy", "--flavor", "--credential-lifetime"] {
            assert!(told.contains(option), "{option} is not in {told}");
        }
    }

    #[test]
    fn options_of_a_federated_client_come_together_and_alone() {
        let fits = |options: &str| {
            let line = format!("muster credential create --connection c {options}");
            let read = Arguments::try_parse_from(line.split_whitespace());
            read.and_then(|arguments| arguments.check()).is_ok()
        };
        let all = "--issuer https://i --subject s --audience a";
        assert!(fits("") && fits("--kind bearer") && fits("--kind oauth-client"));
        assert!(fits(&format!("--kind federated {all}")));
        assert!(!fits("--kind federated"));
        assert!(!fits("--kind federated --issuer https://i --subject s"));
        assert!(!fits(all));
        assert!(!fits("--kind oauth-client --issuer https://i"));
        assert!(!fits("--kind other"));
    }
}
