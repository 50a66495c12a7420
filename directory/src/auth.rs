//! Who calls, and what he may do.

use std::{fmt, net::IpAddr, sync::Arc};

use muster_proto::schema::{Registry, is_urn};

use crate::{
    domain::{
        client::{Grantable, SERVER_SCOPES},
        flavor::Flavor,
        history::Actor,
        policy::Policy,
        resource::ResourceKind,
    },
    error::{Error, Result},
    storage::{Scope, relations::Wants},
};

/// What a provisioning client may do: everything that provisioning needs, in
/// its own tenant.
pub const CONNECTION_SCOPES: [&str; 7] = [
    "users.read.basic",
    "users.read.pii",
    "users.list",
    "users.write",
    "groups.read",
    "groups.write",
    "provisioning.self",
];

/// What a user may do with a credential of his own: read himself.
pub const OWN_SCOPES: [&str; 3] = ["users.read.basic", "users.read.pii", "provisioning.self"];

/// Attributes that a user does not write himself, beside those of extensions.
const NOT_HIS: [&str; 5] = ["active", "entitlements", "externalId", "roles", "userName"];

/// What a credential of a user's own can be given beyond that.
const OWN_LIMIT: &str = "users.write";

/// What a new credential is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What its holder may do.
    pub scopes: Scopes,
    /// The user in whose name its holder speaks; `None`: the connection.
    pub user_id: Option<String>,
}

impl Grant {
    /// What a provisioning client gets.
    pub fn provisioning() -> Self {
        Self {
            scopes: Scopes::Provisioning,
            user_id: None,
        }
    }

    /// The first scope that a credential of a user's own cannot have.
    pub fn excess(&self) -> Option<&str> {
        self.user_id.as_ref()?;
        let names = self.scopes.names().into_iter();
        let mut excess = names.filter(|name| !OWN_SCOPES.contains(name) && *name != OWN_LIMIT);
        excess.next()
    }
}

/// What a credential may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// What provisioning needs.
    Provisioning,
    /// These and no others.
    Named(Arc<[String]>),
}

impl Scopes {
    /// All of them.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Provisioning => CONNECTION_SCOPES.to_vec(),
            Self::Named(names) => names.iter().map(String::as_str).collect(),
        }
    }

    /// The same, to be kept.
    pub fn to_names(&self) -> Vec<String> {
        let names = self.names().into_iter();
        names.map(ToOwned::to_owned).collect()
    }

    /// Whether this scope is among them.
    pub fn has(&self, scope: &str) -> bool {
        match self {
            Self::Provisioning => CONNECTION_SCOPES.contains(&scope),
            Self::Named(names) => names.iter().any(|name| name == scope),
        }
    }
}

/// Where a call comes from, as the transport tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address; `None` where it is not known.
    pub address: Option<IpAddr>,
    /// Thumbprint of the TLS client certificate (RFC 8705 section 3.1), if the
    /// call came with one.
    pub certificate: Option<String>,
}

/// What a caller came with, for calls that outlive their first answer.
#[derive(Clone)]
pub struct Pass {
    bearer: Arc<str>,
    connection_id: Option<Arc<str>>,
    peer: Peer,
}

impl Pass {
    /// What [`authenticate`](crate::service::Directory::authenticate) was given.
    pub fn new(bearer: &str, connection_id: Option<&str>, peer: &Peer) -> Self {
        Self {
            bearer: bearer.into(),
            connection_id: connection_id.map(Into::into),
            peer: peer.clone(),
        }
    }

    /// The bearer, the connection that he named, and whence he comes.
    pub fn parts(&self) -> (&str, Option<&str>, &Peer) {
        (&self.bearer, self.connection_id.as_deref(), &self.peer)
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pass")
    }
}

/// What a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A provisioning client, by one of its credentials.
    Connection {
        /// Its connection.
        connection_id: String,
        /// The credential that it came with.
        credential_id: String,
    },
    /// A service client.
    Client {
        /// Its id.
        id: String,
        /// What it may put into tokens of users.
        grantable: Arc<Grantable>,
        /// Thumbprint of the certificate that its calls must come with.
        certificate: Option<String>,
    },
    /// Whoever may run commands on the database.
    Operator,
    /// The server itself.
    Server,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// His tenant. Nothing outside it exists for him.
    pub tenant_id: String,
    /// What he is.
    pub principal: Principal,
    /// What he may do.
    pub scopes: Scopes,
    /// The call, as the log names it; may be empty.
    pub request_id: String,
    /// By what his request is known when it comes again; `None`: it is done each
    /// time.
    pub once: Option<Arc<Once>>,
    /// What his connection goes by.
    pub profile: Profile,
}

/// A request that is done once, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The caller's name for it, a UUID.
    pub request_id: String,
    /// What is asked for: method and payload, as a hash.
    pub digest: String,
}

/// What calls of a connection go by.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How far its client deviates from the standard.
    pub flavor: Flavor,
    /// What it does with what its client sends.
    pub policy: Arc<Policy>,
    /// When the connection last changed; versions repeat when a database is
    /// restored. Milliseconds since the Unix epoch.
    pub connection_changed: i64,
    /// Of the tenant's own schemas.
    pub schema_version: i64,
    /// What the tenant's users and groups consist of.
    pub registry: &'static Registry,
    /// The user in whose name the caller speaks; `None`: the connection.
    pub user_id: Option<String>,
    /// Whether the call names the profile that it goes by.
    pub is_named: bool,
}

impl Profile {
    /// Of whoever comes through no connection.
    pub fn plain() -> Self {
        Self {
            flavor: Flavor::default(),
            policy: Arc::default(),
            connection_changed: 0,
            schema_version: 0,
            registry: Registry::builtin(),
            user_id: None,
            is_named: false,
        }
    }

    /// What tells it from others of the connection.
    pub fn tag(&self) -> String {
        format!("{:x}.{:x}", self.connection_changed, self.schema_version)
    }
}

impl Caller {
    /// Whoever works in a tenant through no connection's eyes.
    pub fn inside(tenant_id: &str, principal: Principal) -> Self {
        Self {
            tenant_id: tenant_id.to_owned(),
            principal,
            scopes: Scopes::Named(Arc::new([])),
            request_id: String::new(),
            once: None,
            profile: Profile::plain(),
        }
    }

    /// Whose data his queries are about.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            tenant_id: &self.tenant_id,
            connection_id: self.connection().unwrap_or_default(),
            registry: self.profile.registry,
        }
    }

    /// His connection, if he comes through one.
    pub fn connection(&self) -> Option<&str> {
        match &self.principal {
            Principal::Connection { connection_id, .. } => Some(connection_id),
            _ => None,
        }
    }

    /// Id of the credential or client that he is; empty for who needs none.
    pub fn id(&self) -> &str {
        match &self.principal {
            Principal::Connection { credential_id, .. } => credential_id,
            Principal::Client { id, .. } => id,
            Principal::Operator | Principal::Server => "",
        }
    }

    /// How history remembers him.
    pub fn actor(&self) -> Actor {
        match &self.principal {
            Principal::Connection {
                connection_id,
                credential_id,
            } => Actor::Connection {
                connection_id: connection_id.clone(),
                credential_id: credential_id.clone(),
            },
            Principal::Client { id, .. } => Actor::Client {
                client_id: id.clone(),
            },
            Principal::Operator => Actor::Operator,
            Principal::Server => Actor::Job {
                name: "server".to_owned(),
            },
        }
    }

    /// Checks that he has to do with resources of this kind: through some connections
    /// there are no groups.
    ///
    /// # Errors
    /// [`Error::GroupsDisabled`].
    pub fn knows(&self, kind: ResourceKind) -> Result<()> {
        let is_without = self.connection().is_some() && !self.profile.policy.groups_enabled;
        match kind == ResourceKind::Group && is_without {
            true => Err(Error::GroupsDisabled),
            false => Ok(()),
        }
    }

    /// Of what is wanted about others, that which he has to do with.
    pub fn seen(&self, wants: Wants) -> Wants {
        Wants {
            groups: wants.groups && self.knows(ResourceKind::Group).is_ok(),
            ..wants
        }
    }

    /// Checks that he may hand these scopes on: nobody gives what he does not
    /// have, but for operators.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`].
    pub fn may_give(&self, scopes: &[String]) -> Result<()> {
        if self.principal == Principal::Operator {
            return Ok(());
        }
        let is_beyond =
            |scope: &&String| SERVER_SCOPES.contains(&scope.as_str()) || !self.scopes.has(scope);
        match scopes.iter().find(is_beyond) {
            None => Ok(()),
            Some(scope) => Err(Error::ScopeMissing(scope.clone())),
        }
    }

    /// Checks that he has one of these scopes.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`].
    pub fn require_any(&self, scopes: &[String]) -> Result<()> {
        if scopes.iter().any(|scope| self.scopes.has(scope)) {
            return Ok(());
        }
        let first = scopes.first().cloned();
        Err(Error::ScopeMissing(first.unwrap_or_default()))
    }

    /// Checks that he may speak of this resource: whoever speaks in a user's
    /// name knows nobody else.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn reach(&self, kind: ResourceKind, id: &str) -> Result<()> {
        let own = self.profile.user_id.as_deref();
        match own.is_none_or(|own| kind == ResourceKind::User && own == id) {
            true => Ok(()),
            false => Err(kind.not_found(id)),
        }
    }

    /// Checks that he may change these attributes of a user: whoever speaks in a
    /// user's name has no say in what the organization decides of him.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn may_change(&self, names: &[String]) -> Result<()> {
        if self.profile.user_id.is_none() {
            return Ok(());
        }
        let is_decided = |name: &&String| NOT_HIS.contains(&name.as_str()) || is_urn(name);
        match names.iter().find(is_decided) {
            Some(name) => Err(Error::ReadOnly(name.clone())),
            None => Ok(()),
        }
    }

    /// Checks that he speaks for his connection, not in the name of a user.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`].
    pub fn require_unbound(&self, scope: &str) -> Result<()> {
        match self.profile.user_id {
            None => Ok(()),
            Some(_) => Err(Error::ScopeMissing(scope.to_owned())),
        }
    }

    /// Checks that he has this scope.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`].
    pub fn require(&self, scope: &str) -> Result<()> {
        match self.scopes.has(scope) {
            true => Ok(()),
            false => Err(Error::ScopeMissing(scope.to_owned())),
        }
    }
}
