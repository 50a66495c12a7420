//! Who calls, and what he may do.

use std::sync::Arc;

use crate::{
    domain::history::Actor,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

impl Caller {
    /// Whose data his queries are about.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            tenant_id: &self.tenant_id,
            connection_id: &self.connection_id,
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
