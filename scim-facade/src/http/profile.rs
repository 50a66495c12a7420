//! Profiles of connections, kept by credential.
//!
//! They are asked for once a minute and named with every call; the directory
//! refuses a call that names an old one before anything happens. So nothing
//! here can be out of date for longer than it takes to ask again, and nothing
//! here gives rights: whether the credential is good is checked with each call.
//! One that is refused is forgotten at once: its bodies are read no more.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

pub(super) use crate::translate::profile::Profile;
use crate::{
    client::{Caller, DirectoryClient, Refusal},
    scim::error::ScimError,
};

/// Credentials whose profile is kept.
const CAPACITY: u64 = 10_000;

/// After which rest a profile is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// After which time it is asked for anew, however busy the credential is: for
/// so long at most the bodies of one that is good no more are read.
const LIFE: Duration = Duration::from_secs(60);

/// Profiles by the digest of the credential.
pub(crate) struct Profiles(Cache<[u8; 32], Arc<Profile>>);

impl Default for Profiles {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_idle(IDLE)
                .time_to_live(LIFE)
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
        match directory.profile(&caller.under_any()).await {
            Ok(profile) => {
                let profile = Arc::new(profile);
                self.0.insert(caller.digest(), Arc::clone(&profile));
                Ok(profile)
            }
            Err(refusal) => {
                if let Refusal::Told(error) = &refusal {
                    self.heed(caller, error);
                }
                Err(refusal)
            }
        }
    }

    /// Forgets the profile when this answer to the caller says that his
    /// credential is not good.
    pub(super) fn heed(&self, caller: &Caller, error: &ScimError) {
        if error.status() == 401 {
            self.0.invalidate(&caller.digest());
        }
    }
}
