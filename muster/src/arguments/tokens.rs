//! What can be said of credentials, service clients, signing keys and locks.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use muster_directory::domain::span;

use super::{InTenant, Json, Name};

/// How long something lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// For good.
    Never,
    /// For this long.
    For(Duration),
}

impl Lifetime {
    /// Reads `365d`, or `never`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            text => span::parse(text).map(Self::For),
        }
    }
}

/// How a provisioning client proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CredentialKind {
    /// A secret token that is sent with every request
    Bearer,
    /// Id and secret, traded for access tokens (OAuth 2.0 client credentials)
    OauthClient,
    /// An assertion of the client's own issuer, traded for access tokens
    /// (workload identity federation)
    Federated,
}

/// Whose word is taken for a federated client, and what it must say.
#[derive(Debug, Args)]
pub(crate) struct FederationArguments {
    /// With `--kind federated`: URL of the issuer of its assertions (`iss`)
    #[arg(long, value_name = "URL", required_if_eq("kind", "federated"))]
    pub(crate) issuer: Option<String>,
    /// With `--kind federated`: whom the assertions must name (`sub`)
    #[arg(long, required_if_eq("kind", "federated"))]
    pub(crate) subject: Option<String>,
    /// With `--kind federated`: for whom they must be meant (`aud`)
    #[arg(long, required_if_eq("kind", "federated"))]
    pub(crate) audience: Option<String>,
}

/// Commands on credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum Credential {
    /// Create a credential and print its secret, if it has one, once
    Create {
        /// Id or name of the connection
        #[arg(long)]
        connection: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// How the client proves itself
        #[arg(long, value_enum, default_value_t = CredentialKind::Bearer)]
        kind: CredentialKind,
        /// Whose word is taken for it.
        #[command(flatten)]
        federation: FederationArguments,
        /// What to call it
        #[arg(long, default_value = "credential")]
        name: String,
        /// How long it is valid, for example `365d`, or `never` [default: what its
        /// connection says]
        #[arg(long, value_name = "DURATION", value_parser = Lifetime::parse)]
        expires_in: Option<Lifetime>,
        /// What it may be used for, for example `changes.read,users.read.pii`
        /// [default: what provisioning needs]
        #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// The user in whose name its holder speaks: `/Me` is this user
        #[arg(long, value_name = "ID")]
        user: Option<String>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// List the credentials of a connection, or of all
    List {
        /// Id or name of the connection [default: all]
        #[arg(long)]
        connection: Option<String>,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Give a credential a new secret and print it, once. The id stays
    Rotate {
        /// Id of the credential
        #[arg(long)]
        id: String,
        /// How long the former secrets go on to work, for example `24h`; at most 7
        /// days
        #[arg(long, value_name = "DURATION", default_value = "24h",
            value_parser = span::parse)]
        overlap: Duration,
        /// How long it is valid from now on, for example `365d` [default: as long as a
        /// new one would be; as before if its connection says nothing]
        #[arg(long, value_name = "DURATION", value_parser = span::parse)]
        expires_in: Option<Duration>,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Revoke a credential; it is refused at once
    Revoke {
        /// Id of the credential
        #[arg(long)]
        id: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Credential {
    pub(super) fn tenant(&self) -> &InTenant {
        match self {
            Self::Create { tenant, .. }
            | Self::List { tenant, .. }
            | Self::Rotate { tenant, .. }
            | Self::Revoke { tenant, .. } => tenant,
        }
    }
}

/// Commands on service clients.
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Register a service client
    Create {
        /// Its name.
        #[command(flatten)]
        name: Name,
        /// What it may do at the directory, for example
        /// `users.read.basic,tokens.introspect`
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scopes: Vec<String>,
        /// Audiences that it may put into tokens of users
        #[arg(long, value_name = "URL", value_delimiter = ',')]
        audiences: Vec<String>,
        /// Scopes that it may put into tokens of users [default: any]
        #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
        token_scopes: Vec<String>,
        /// Make a key for it and write it to this file, which must not exist
        #[arg(long, value_name = "FILE", required_unless_present = "public_keys")]
        generate_key: Option<PathBuf>,
        /// Its public keys: a file with a JWK set
        #[arg(long, value_name = "FILE", conflicts_with = "generate_key")]
        public_keys: Option<PathBuf>,
        /// The TLS client certificate that its calls must come with: a PEM file
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// List the tenant's service clients
    List {
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Show one service client
    Show {
        /// Id or name of the client
        client: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Disable a service client; its tokens are refused at once
    Disable {
        /// Id or name of the client
        client: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Let a disabled service client back in; its old tokens stay dead
    Enable {
        /// Id or name of the client
        client: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Get a service token with a client's key: from the directory at
    /// --directory-url, or with --database-url from the database itself
    Token {
        /// The file that `client create --generate-key` wrote
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Some of the client's scopes [default: all of them]
        #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// Where the directory is [default: http://127.0.0.1:50051]
        #[arg(long, value_name = "URL")]
        directory_url: Option<String>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Client {
    /// None for what has its tenant in a file.
    pub(super) fn tenant(&self) -> Option<&InTenant> {
        match self {
            Self::Create { tenant, .. }
            | Self::List { tenant, .. }
            | Self::Show { tenant, .. }
            | Self::Disable { tenant, .. }
            | Self::Enable { tenant, .. } => Some(tenant),
            Self::Token { .. } => None,
        }
    }
}

/// Commands on signing keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List the keys
    List {
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Make the next key; it signs ten minutes later
    Rotate {
        /// How it signs: EdDSA or ES256 [default: as the current key]
        #[arg(long, value_name = "ALGORITHM")]
        algorithm: Option<String>,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Revoke a key: nothing that it signed counts any more
    Revoke {
        /// Its id
        #[arg(long)]
        kid: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

/// Commands on users.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Lock a user: he may not act whatever his provisioning client says, and his
    /// tokens die
    Lock {
        /// His id
        #[arg(long)]
        id: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Show the roles of a user by the policy of a connection; the first counts where
    /// they conflict
    Roles {
        /// His id
        #[arg(long)]
        id: String,
        /// Id or name of the connection
        #[arg(long)]
        connection: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Lift the lock of a user, or let a new one act who awaits it; his old tokens
    /// stay dead
    Unlock {
        /// His id
        #[arg(long)]
        id: String,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl User {
    pub(super) fn tenant(&self) -> &InTenant {
        match self {
            Self::Lock { tenant, .. }
            | Self::Roles { tenant, .. }
            | Self::Unlock { tenant, .. } => tenant,
        }
    }
}

/// Commands on deactivations that wait.
#[derive(Debug, Subcommand)]
pub(crate) enum Held {
    /// List what waits
    List {
        /// Id or name of the connection [default: all]
        #[arg(long)]
        connection: Option<String>,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Do what waits: the users lose their access now
    Release {
        /// Which.
        #[command(flatten)]
        which: WhichHeld,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
    /// Drop what waits: the users are active again
    Drop {
        /// Which.
        #[command(flatten)]
        which: WhichHeld,
        /// Whose.
        #[command(flatten)]
        tenant: InTenant,
        /// Form of the result.
        #[command(flatten)]
        json: Json,
    },
}

impl Held {
    pub(super) fn tenant(&self) -> &InTenant {
        match self {
            Self::List { tenant, .. }
            | Self::Release { tenant, .. }
            | Self::Drop { tenant, .. } => tenant,
        }
    }
}

/// Which of those that wait are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichHeld {
    /// Ids of the users, separated by commas
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    pub(crate) ids: Vec<String>,
    /// All of a connection, by its id or name
    #[arg(long = "all-of", value_name = "CONNECTION")]
    pub(crate) all_of: Option<String>,
}
