//! Who calls, and what he may do.

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
    pub scopes: &'static [&'static str],
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
        if scopes
            .iter()
            .any(|scope| self.scopes.contains(&scope.as_str()))
        {
            return Ok(());
        }
        Err(Error::ScopeMissing(
            scopes.first().cloned().unwrap_or_default(),
        ))
    }
}
