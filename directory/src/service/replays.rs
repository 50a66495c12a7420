//! Requests that come again: done once, answered each time.
//!
//! A write under an id of its caller's looks in its own transaction, below its
//! tenant's head, whether it was done before. Then it tells what it came to and
//! shows the resource as it is now; else what it comes to is kept with it. So
//! of two that come at once one is done, and what was committed before its answer
//! was lost is not done again. Of outcomes nothing personal is kept and no
//! secret.

use serde::{Deserialize, Serialize};

use super::{
    Deleted, Directory, Modified, Resolved, SchemaWritten, SignedOut, View, Written, groups::Counts,
};
use crate::{
    auth::{Caller, Once},
    domain::{Kind, history::Position, report::Report, resource::ResourceKind},
    error::{Error, Result},
    storage::{
        Tx,
        clients::{self, Client},
        credentials::{self, Credential},
        relations::Wants,
        replays::{self, Done},
        resources::{self, Reach},
        schemas,
        tenants::{self, Connection},
    },
};

/// How long a request is known by its id, in milliseconds.
const KNOWN_MS: i64 = 24 * 60 * 60 * 1_000;

/// What is kept of an outcome.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// Whether there was one at all.
    some: bool,
    /// Of the resource.
    id: String,
    is_group: bool,
    position: Option<Position>,
    report: Report,
    /// A moment, whatever it means there.
    at: Option<i64>,
    /// Counts, or whether something changed.
    counts: Vec<u64>,
}

/// What a write ends with, as far as it can be told again.
pub(super) trait Outcome: Sized + Send + 'static {
    fn kept(&self) -> Kept;

    /// The same with the resource as it is now.
    fn recall(
        kept: Kept,
        tx: &Tx,
        caller: &Caller,
        wants: Wants,
    ) -> impl Future<Output = Result<Self>> + Send;
}

/// A write that is done once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    method: &'static str,
    /// What is shown of others when it is answered again.
    wants: Wants,
    lane: Lane,
}

#[derive(Debug, Clone, Copy)]
enum Lane {
    Usual,
    Long,
    Administration,
}

impl Write {
    pub(super) fn of(method: &'static str) -> Self {
        Self::showing(method, Wants::ALL)
    }

    pub(super) fn showing(method: &'static str, wants: Wants) -> Self {
        Self {
            method,
            wants,
            lane: Lane::Usual,
        }
    }

    /// One that looks at all that a tenant has.
    pub(super) fn at_length(method: &'static str) -> Self {
        Self {
            lane: Lane::Long,
            ..Self::of(method)
        }
    }

    /// One that belongs to no tenant.
    pub(super) fn administering(method: &'static str) -> Self {
        Self {
            lane: Lane::Administration,
            ..Self::of(method)
        }
    }
}

impl Directory {
    /// Runs a write in the caller's tenant, unless his request was done before.
    ///
    /// # Errors
    /// Those of [`Store::write`](crate::storage::Store::write), and
    /// [`Error::RequestIdReused`].
    pub(super) async fn once<T, F, Fut>(&self, caller: &Caller, write: Write, work: F) -> Result<T>
    where
        T: Outcome,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let (outcome, _) = self.once_or_again(caller, write, work).await?;
        Ok(outcome)
    }

    /// The same, and whether it was done before.
    ///
    /// # Errors
    /// As [`once`](Self::once).
    pub(super) async fn once_or_again<T, F, Fut>(
        &self,
        caller: &Caller,
        write: Write,
        work: F,
    ) -> Result<(T, bool)>
    where
        T: Outcome,
        F: Fn(Tx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let known = caller.once.is_some().then(|| caller.clone());
        let now = self.source.now_ms();
        let work = move |tx: Tx| {
            let (known, doing) = (known.clone(), work(tx.clone()));
            async move {
                let Some(caller) = known else {
                    return Ok((doing.await?, false));
                };
                if let Some(kept) = find(&tx, &caller, now).await? {
                    return Ok((T::recall(kept, &tx, &caller, write.wants).await?, true));
                }
                let outcome = doing.await?;
                keep(&tx, &caller, &outcome.kept(), now).await?;
                Ok((outcome, false))
            }
        };
        let (tenant, method) = (&caller.tenant_id, write.method);
        match write.lane {
            Lane::Usual => self.store.write(tenant, method, work).await,
            Lane::Long => self.store.write_at_length(tenant, method, work).await,
            Lane::Administration => self.store.administer(method, work).await,
        }
    }

    /// What the caller's request came to if it was done before, for writes that
    /// find nothing to do any more.
    ///
    /// # Errors
    /// [`Error::RequestIdReused`].
    pub(super) async fn known<T: Outcome>(&self, caller: &Caller) -> Result<Option<T>> {
        if caller.once.is_none() {
            return Ok(None);
        }
        let tx = self.store.single();
        match find(&tx, caller, self.source.now_ms()).await? {
            Some(kept) => T::recall(kept, &tx, caller, Wants::NONE).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn find(tx: &Tx, caller: &Caller, now: i64) -> Result<Option<Kept>> {
    let once = once(caller)?;
    match replays::find(tx, caller, once, now).await? {
        None => Ok(None),
        Some(Done { digest, .. }) if digest != once.digest => Err(Error::RequestIdReused),
        Some(Done { outcome, .. }) => {
            let kept = serde_json::from_str(&outcome);
            kept.map(Some).map_err(|e| Error::Internal(e.into()))
        }
    }
}

async fn keep(tx: &Tx, caller: &Caller, kept: &Kept, now: i64) -> Result<()> {
    let outcome = serde_json::to_string(kept).map_err(|e| Error::Internal(e.into()))?;
    let expires_at = now.saturating_add(KNOWN_MS);
    replays::keep(tx, caller, once(caller)?, &outcome, expires_at).await
}

fn once(caller: &Caller) -> Result<&Once> {
    let once = caller.once.as_deref();
    once.ok_or_else(|| Error::internal("a request without an id"))
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Kept {
    fn number(&self, place: usize) -> u64 {
        self.counts.get(place).copied().unwrap_or_default()
    }

    fn size(&self, place: usize) -> usize {
        usize::try_from(self.number(place)).unwrap_or(usize::MAX)
    }

    fn position(&self) -> Result<Position> {
        let position = self.position.clone();
        position.ok_or_else(|| Error::internal("an outcome has no position"))
    }

    fn missing(&self, kind: Kind) -> Error {
        Error::NotFound {
            kind,
            id: self.id.clone(),
        }
    }
}

impl Outcome for Written {
    fn kept(&self) -> Kept {
        Kept {
            id: self.view.resource.id.clone(),
            is_group: self.view.resource.kind == ResourceKind::Group,
            position: self.position.clone(),
            report: self.report.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, wants: Wants) -> Result<Self> {
        let kind = match kept.is_group {
            true => ResourceKind::Group,
            false => ResourceKind::User,
        };
        let (scope, wants) = (caller.scope(), caller.seen(wants));
        let found = resources::load(tx, scope, kind, &kept.id, Reach::Live, wants).await?;
        let (found, _) = found.ok_or_else(|| kind.not_found(&kept.id))?;
        Ok(Self {
            view: View::from(found),
            position: kept.position,
            report: kept.report,
        })
    }
}

impl Outcome for Modified {
    fn kept(&self) -> Kept {
        let counts = &self.counts;
        let counts = [
            counts.added,
            counts.already_present,
            counts.removed,
            counts.not_present,
        ];
        Kept {
            counts: counts.map(count).to_vec(),
            ..self.written.kept()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, wants: Wants) -> Result<Self> {
        let counts = Counts {
            added: kept.size(0),
            already_present: kept.size(1),
            removed: kept.size(2),
            not_present: kept.size(3),
        };
        Ok(Self {
            written: Written::recall(kept, tx, caller, wants).await?,
            counts,
        })
    }
}

impl Outcome for Option<Deleted> {
    fn kept(&self) -> Kept {
        match self {
            None => Kept::default(),
            Some(deleted) => Kept {
                some: true,
                position: deleted.position.clone(),
                at: deleted.deleted_at,
                report: deleted.report.clone(),
                ..Kept::default()
            },
        }
    }

    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(kept.some.then_some(Deleted {
            position: kept.position,
            deleted_at: kept.at,
            report: kept.report,
        }))
    }
}

impl Outcome for Position {
    fn kept(&self) -> Kept {
        Kept {
            position: Some(self.clone()),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        kept.position()
    }
}

impl Outcome for Option<Position> {
    fn kept(&self) -> Kept {
        Kept {
            position: self.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(kept.position)
    }
}

impl Outcome for (Credential, Position) {
    fn kept(&self) -> Kept {
        Kept {
            id: self.0.id.clone(),
            position: Some(self.1.clone()),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, wants: Wants) -> Result<Self> {
        let position = kept.position()?;
        let (credential, _) =
            <(Credential, Option<Position>)>::recall(kept, tx, caller, wants).await?;
        Ok((credential, position))
    }
}

impl Outcome for (Credential, Option<Position>) {
    fn kept(&self) -> Kept {
        Kept {
            id: self.0.id.clone(),
            position: self.1.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, _: Wants) -> Result<Self> {
        let found = credentials::find(tx, &caller.tenant_id, &kept.id).await?;
        let found = found.ok_or_else(|| kept.missing(Kind::Token))?;
        Ok((found, kept.position))
    }
}

impl Outcome for SignedOut {
    fn kept(&self) -> Kept {
        Kept {
            position: self.position.clone(),
            at: Some(self.valid_after),
            counts: vec![self.revoked],
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(Self {
            revoked: kept.number(0),
            valid_after: kept.at.unwrap_or_default(),
            position: kept.position,
        })
    }
}

impl Outcome for Client {
    fn kept(&self) -> Kept {
        Kept {
            id: self.id.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, _: Wants) -> Result<Self> {
        let found = clients::find(tx, &caller.tenant_id, &kept.id).await?;
        found.ok_or_else(|| kept.missing(Kind::Client))
    }
}

impl Outcome for (Client, bool) {
    fn kept(&self) -> Kept {
        Kept {
            counts: vec![u64::from(self.1)],
            ..self.0.kept()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, wants: Wants) -> Result<Self> {
        let changed = kept.number(0) > 0;
        Ok((Client::recall(kept, tx, caller, wants).await?, changed))
    }
}

impl Outcome for Resolved {
    fn kept(&self) -> Kept {
        Kept {
            position: self.position.clone(),
            counts: vec![count(self.count)],
            ..Kept::default()
        }
    }

    /// Of whom it was is told in logs, once.
    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(Self {
            count: kept.size(0),
            what: Vec::new(),
            position: kept.position,
        })
    }
}

impl Outcome for SchemaWritten {
    fn kept(&self) -> Kept {
        let schema = self.schema.as_ref();
        Kept {
            id: schema.map_or_else(String::new, |schema| schema.definition.id.clone()),
            position: self.position.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, _: Wants) -> Result<Self> {
        let schema = match kept.id.as_str() {
            "" => None,
            urn => {
                let all = schemas::list(tx, &caller.tenant_id).await?.into_iter();
                let mut all = all.filter(|schema| schema.definition.id == urn);
                Some(all.next().ok_or_else(|| kept.missing(Kind::Schema))?)
            }
        };
        Ok(Self {
            schema,
            position: kept.position,
        })
    }
}

impl Outcome for Connection {
    fn kept(&self) -> Kept {
        Kept {
            id: self.id.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, tx: &Tx, caller: &Caller, _: Wants) -> Result<Self> {
        let found = tenants::find_connection(tx, &caller.tenant_id, &kept.id).await?;
        found.ok_or_else(|| kept.missing(Kind::Connection))
    }
}

/// The key that was made.
pub(super) struct Kid(pub(super) String);

impl Outcome for Kid {
    fn kept(&self) -> Kept {
        Kept {
            id: self.0.clone(),
            ..Kept::default()
        }
    }

    async fn recall(kept: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(Self(kept.id))
    }
}

impl Outcome for () {
    fn kept(&self) -> Kept {
        Kept::default()
    }

    async fn recall(_: Kept, _: &Tx, _: &Caller, _: Wants) -> Result<Self> {
        Ok(())
    }
}
