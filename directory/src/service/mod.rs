//! Use cases: check, load, apply the domain's rules, save, record, return.
//!
//! [`Directory`] is the whole service without its wire. Each write is one
//! transaction that ends with its audit entry, revision and changes.

mod access_tokens;
mod admin;
mod admission;
mod audit;
mod auth;
mod clients;
mod credentials;
mod feed;
mod groups;
mod held;
mod introspection;
mod jobs;
mod joining;
mod journal;
mod key_changes;
mod keyring;
mod keys;
mod leaving;
mod ledger;
mod linking;
mod lookup;
mod policies;
mod polling;
mod reading;
mod registries;
mod replays;
mod resources;
mod revocation;
mod roles;
mod schemas;
mod signals;
mod snapshot;
mod store;
mod stored_tokens;
mod target;
mod transfer;
mod usage;
mod user_tokens;
mod view;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_proto::v1::RateClass;
use tokio::sync::watch;

pub use crate::storage::relations::Wants;
pub use crate::storage::{
    feed::{AuditQuery, Audited, Transaction},
    provisioning::EventQuery,
    resources::{Reach, Selection},
};
pub use access_tokens::{AccessToken, ClientProof};
pub use admin::{Bootstrap, ConnectionEdit};
pub use audit::{AuditPage, Verdict};
pub use clients::Registration;
pub use credentials::{Expiry, PersonalToken};
pub use feed::{Feed, FeedFilter, Start, Step};
pub use groups::{Counts, MEMBER_LIMIT, Modification, Modified, Reference};
pub use held::{HELD_INTERVAL, HELD_LIMIT, Resolved};
pub use introspection::{ActiveToken, Introspection, Question, TokenKind};
pub use jobs::Retention;
pub use journal::{EventPage, RECORD_LIMIT};
pub use keys::{KeyState, PublicKeys};
pub use linking::{Keys, KeysWanted, Linking};
pub use lookup::{
    GROUP_LIMIT, KEY_LIMIT, Membership, MembershipQuestion, Memberships, Pair, wanted_groups,
};
pub use polling::{Poll, Polled, gives_events};
pub use reading::{Consistency, Reading};
pub use resources::{Deleted, Get, Written};
pub use revocation::{Doomed, SignOut, SignedOut};
pub use roles::Role;
pub use schemas::{SchemaEditor, SchemaWritten};
pub use signals::{Told, count_signals, signal_filter};
pub use snapshot::{Snapshot, SnapshotItem, SnapshotPage, size as snapshot_size};
pub use store::Announcement;
pub use stored_tokens::{IssuedCredential, StoredToken};
pub use transfer::Tally;
pub use user_tokens::{TokenWanted, UserToken};
pub use view::View;

use crate::{
    clock::Source,
    cursor::{Cursors, KEY_BYTES},
    error::{Error, Result},
    issuers::Issuers,
    limits::{LimitSettings, Limits},
    sealing::Sealing,
    storage::{Store, access::LOOK_INTERVAL, settings},
};

/// Before a lost channel to other processes is tried again.
const HEAR_AGAIN: Duration = Duration::from_secs(1);

/// How often it is looked whether another database took the place of this one.
const RECOGNIZE_INTERVAL: Duration = Duration::from_secs(3);

/// How often it is noted how far the database has come.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the provisioning log is written.
const JOURNAL_INTERVAL: Duration = Duration::from_millis(500);

/// The directory: users, groups and credentials of all tenants.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    source: Arc<dyn Source>,
    cursors: Cursors,
    issuers: Arc<Issuers>,
    retention: Retention,
    feeds: Arc<feed::Hub>,
    refusals: Arc<audit::Refusals>,
    registries: Arc<registries::Registries>,
    admissions: Arc<admission::Admissions>,
    introspected: Arc<introspection::Introspected>,
    keyring: Arc<keyring::Keyring>,
    notes: Arc<usage::Notes>,
    journal: Arc<journal::Journal>,
    limits: Arc<Limits>,
    trust_addresses: bool,
    /// Whose turn it is among the replicas.
    turn: Arc<AtomicUsize>,
    stopping: Arc<watch::Sender<bool>>,
}

/// How a directory is run.
#[derive(Debug, Default)]
pub struct Options {
    /// How long what is gone is kept.
    pub retention: Retention,
    /// What encrypts private keys at rest; `None`: none are written anywhere.
    pub sealing: Option<Sealing>,
    /// How often who may call.
    pub limits: LimitSettings,
    /// Whether callers in other processes are believed where their own clients
    /// come from.
    pub trust_addresses: bool,
}

impl Directory {
    /// The directory on this database, whose schema must be this build's, with
    /// the default options.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Internal`].
    pub async fn open(store: Store, source: Arc<dyn Source>) -> Result<Self> {
        Self::open_with(store, source, Options::default()).await
    }

    /// As [`open`](Self::open), with these options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        store: Store,
        source: Arc<dyn Source>,
        options: Options,
    ) -> Result<Self> {
        let Options {
            retention,
            sealing,
            limits,
            trust_addresses,
        } = options;
        let key = identify(&store, source.as_ref()).await?;
        let directory = Self {
            feeds: Arc::new(feed::Hub::new(store.clone())),
            cursors: Cursors::new(&key)?,
            store,
            source,
            issuers: Arc::default(),
            retention,
            refusals: Arc::default(),
            registries: Arc::default(),
            admissions: Arc::default(),
            introspected: Arc::default(),
            keyring: Arc::new(keyring::Keyring::new(sealing)),
            notes: Arc::default(),
            journal: Arc::default(),
            limits: Arc::new(Limits::new(&limits)),
            trust_addresses,
            turn: Arc::default(),
            stopping: Arc::new(watch::Sender::new(false)),
        };
        directory.recognize_store().await?;
        Ok(directory)
    }

    /// Counts a call of a caller who proved himself.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub fn count_call(&self, tenant_id: &str, caller_id: &str, class: RateClass) -> Result<()> {
        let admitted = self.limits.admit(tenant_id, caller_id, class);
        admitted.map_err(Error::RateLimited)
    }

    /// Counts a failure to authenticate.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when there are too many where it comes from.
    pub fn count_failure(&self, address: Option<IpAddr>) -> Result<()> {
        self.limits.fail(address).map_err(Error::RateLimited)
    }

    /// Whether callers in other processes are believed where their own clients
    /// come from.
    pub fn trusts_addresses(&self) -> bool {
        self.trust_addresses
    }

    /// How long what is gone is kept.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.source.now_ms()
    }

    /// Ends the streams that run, and those that are still to come.
    pub fn drain(&self) {
        self.stopping.send_replace(true);
    }

    /// Turns true when streams are to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// What makes and reads cursors of this store.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Hears of what other processes write, and notices when the database is
    /// another one. Runs until dropped.
    pub async fn hear_others(&self) {
        let hear = async {
            loop {
                self.store.hear_others().await;
                tokio::time::sleep(HEAR_AGAIN).await;
            }
        };
        let recognize = async {
            let mut ticks = tokio::time::interval(RECOGNIZE_INTERVAL);
            loop {
                ticks.tick().await;
                if let Err(error) = self.recognize_store().await {
                    tracing::debug!(%error, "the database does not say who it is");
                }
            }
        };
        tokio::join!(hear, recognize);
    }

    /// Looks several times a second whether somebody's access ended elsewhere.
    /// Runs until dropped; while it does not run, each call asks the database.
    pub async fn watch_access(&self) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.store.look_at_access().await {
                Ok(false) => {}
                Ok(true) => self.forget_callers(),
                Err(error) => {
                    tracing::debug!(%error, "whose access ended is looked up with each call");
                }
            }
        }
    }

    /// Writes now and then when credentials were last used. Runs until dropped.
    pub async fn note_usage(&self) {
        let mut ticks = tokio::time::interval(NOTE_INTERVAL);
        loop {
            ticks.tick().await;
            self.write_usage().await;
        }
    }

    /// Notes now and then how far the database has come. Runs until dropped.
    pub async fn note_history(&self) {
        let mut ticks = tokio::time::interval(NOTE_INTERVAL);
        loop {
            ticks.tick().await;
            if let Err(error) = self.store.note_history().await {
                tracing::debug!(%error, "how far the database has come is noted later");
            }
        }
    }

    /// Keeps what is known of replicas true. Runs until dropped.
    pub async fn watch_replicas(&self) {
        self.store.watch_replicas().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Contention`], [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        self.store.ping().await
    }

    /// Closes the database once running statements are done.
    pub async fn close(self) {
        if let Err(error) = self.give_up_keys().await {
            tracing::debug!(%error, "the signing key of this process is given up later");
        }
        self.write_usage().await;
        self.write_events().await;
        if let Err(error) = self.store.note_history().await {
            tracing::debug!(%error, "how far the database has come is not noted");
        }
        self.store.close().await;
    }
}

/// Gives a new store its epoch, and every store its key.
async fn identify(store: &Store, source: &dyn Source) -> Result<Vec<u8>> {
    let snapshot = store.single();
    let known = settings::load(&snapshot, settings::CURSOR_KEY).await?;
    let encoded = match known {
        // Most starts: nothing is written, and the database may be read-only.
        Some(key) => key,
        None => {
            let mut key = [0; KEY_BYTES];
            source
                .fill_random(&mut key)
                .map_err(|e| Error::Internal(e.into()))?;
            let fresh = Arc::new((source.new_id(), STANDARD.encode(key)));
            store
                .administer("identify_store", move |tx| {
                    let fresh = Arc::clone(&fresh);
                    async move {
                        keep(&tx, settings::EPOCH, fresh.0.clone()).await?;
                        keep(&tx, settings::CURSOR_KEY, fresh.1.clone()).await
                    }
                })
                .await?
        }
    };
    STANDARD
        .decode(encoded)
        .map_err(|e| Error::Internal(e.into()))
}

/// The setting's value, made now when there is none.
async fn keep(tx: &crate::storage::Tx, name: &str, fresh: String) -> Result<String> {
    if let Some(value) = settings::load(tx, name).await? {
        return Ok(value);
    }
    settings::save(tx, name, fresh.clone()).await?;
    Ok(fresh)
}

#[cfg(test)]
mod tests;
