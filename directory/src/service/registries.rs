//! What users and groups of each tenant consist of, by the version of its
//! schemas.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use muster_proto::schema::{Definition, Extends, Registry};

use crate::{
    error::{Error, Result},
    storage::{Store, schemas},
};

/// Most definitions that are made for puts of one tenant: whoever may put must not
/// use up the room that is there for all.
const ROOM: usize = 500;

/// The last registry of each tenant that has schemas of its own.
#[derive(Debug, Default)]
pub(super) struct Registries {
    known: Mutex<HashMap<String, (i64, &'static Registry)>>,
    /// How many definitions were made for puts, by tenant.
    made: Mutex<HashMap<String, usize>>,
}

impl Registries {
    /// The tenant's registry as of this version of its schemas. Who tells the
    /// version has read it with the credential, so a registry is never older
    /// than the call.
    pub(super) async fn get(
        &self,
        store: &Store,
        tenant_id: &str,
        version: i64,
    ) -> Result<&'static Registry> {
        if version == 0 {
            return Ok(Registry::builtin());
        }
        let known = self.known().get(tenant_id).copied();
        if let Some((_, registry)) = known.filter(|(of, _)| *of == version) {
            return Ok(registry);
        }
        let registry = schemas::registry(&store.express(), tenant_id).await?;
        self.known()
            .insert(tenant_id.to_owned(), (version, registry));
        Ok(registry)
    }

    /// Checks that a tenant may put this definition.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub(super) fn check_room(
        &self,
        tenant_id: &str,
        extends: Extends,
        definition: &Definition,
    ) -> Result<()> {
        if Registry::is_made(extends, definition) {
            return Ok(());
        }
        if !Registry::has_room() {
            return Err(Error::TooMany {
                what: "different schemas since the server was started",
                limit: 10_000,
            });
        }
        match self.made().get(tenant_id) {
            Some(&made) if made >= ROOM => Err(Error::TooMany {
                what: "different schemas of the tenant since the server was started",
                limit: ROOM,
            }),
            _ => Ok(()),
        }
    }

    /// Counts a definition that was made for a put, which may have been refused
    /// then: it had to be made to see whether resources fit.
    pub(super) fn count_made(&self, tenant_id: &str) {
        *self.made().entry(tenant_id.to_owned()).or_default() += 1;
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (i64, &'static Registry)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
