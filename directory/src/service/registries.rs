//! What users and groups of each tenant consist of, by the version of its
//! schemas.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use muster_proto::schema::Registry;

use crate::{
    error::Result,
    storage::{Store, schemas},
};

/// The last registry of each tenant that has schemas of its own.
#[derive(Debug, Default)]
pub(super) struct Registries(Mutex<HashMap<String, (i64, &'static Registry)>>);

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

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, (i64, &'static Registry)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
