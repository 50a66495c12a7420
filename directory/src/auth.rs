//! Who calls, and what he may do.

use std::sync::Arc;

use muster_proto::schema::{Registry, is_urn};

use crate::{
    domain::{flavor::Flavor, history::Actor, resource::ResourceKind},
    error::{Error, Result},
    storage::Scope,
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

    /// Whether this scope is among them.
    pub fn has(&self, scope: &str) -> bool {
        match self {
            Self::Provisioning => CONNECTION_SCOPES.contains(&scope),
            Self::Named(names) => names.iter().any(|name| name == scope),
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// His tenant. Nothing outside it exists for him.
    pub tenant_id: String,
    /// His connection.
    pub connection_id: String,
    /// The credential he came with.
    pub credential_id: String,
    /// What he may do.
    pub scopes: Scopes,
    /// The call, as the log names it; may be empty.
    pub request_id: String,
    /// What his connection goes by.
    pub profile: Profile,
}

/// What calls of a connection go by.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// How far its client deviates from the standard.
    pub flavor: Flavor,
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
    /// Of whoever works on the database itself, without schemas.
    pub fn plain() -> Self {
        Self {
            flavor: Flavor::default(),
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
    /// Whose data his queries are about.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            tenant_id: &self.tenant_id,
            connection_id: &self.connection_id,
            registry: self.profile.registry,
        }
    }

    /// How history remembers him.
    pub fn actor(&self) -> Actor {
        Actor::Connection {
            connection_id: self.connection_id.clone(),
            credential_id: self.credential_id.clone(),
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
