//! Profiles of connections, kept by credential.
//!
//! They are asked for once and named with every call after that; the directory
//! refuses a call that names an old one before anything happens. So nothing
//! here can be out of date for longer than it takes to ask again, and nothing
//! here gives rights: whether the credential is good is checked with each call.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use crate::client::{Caller, DirectoryClient, Refusal};
pub(super) use crate::translate::profile::Profile;

/// Credentials whose profile is kept.
const CAPACITY: u64 = 10_000;

/// After which rest a profile is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// Profiles by the digest of the credential.
pub(crate) struct Profiles(Cache<[u8; 32], Arc<Profile>>);

impl Default for Profiles {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(IDLE)
                .build(),
        )
    }
}

impl Profiles {
    /// The profile that was asked for before.
    pub(super) fn known(&self, caller: &Caller) -> Option<Arc<Profile>> {
        self.0.get(&caller.digest())
    }

    /// Asks the directory, which also tells that the credential is good.
    pub(super) async fn ask(
        &self,
        directory: &DirectoryClient,
        caller: &Caller,
    ) -> Result<Arc<Profile>, Refusal> {
        let profile = Arc::new(directory.profile(&caller.under_any()).await?);
        self.0.insert(caller.digest(), Arc::clone(&profile));
        Ok(profile)
    }
}
