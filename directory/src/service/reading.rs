//! How fresh a read must be, and from where it is answered.

use super::Directory;
use crate::{
    auth::Caller,
    domain::history::Position,
    error::{Error, Result},
    storage::{Tx, history},
};

/// Which answers a read may give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Consistency {
    /// What the primary has.
    #[default]
    Strong,
    /// What a replica has that is at most two seconds behind.
    Fast,
    /// At least what was there at this position of the caller's tenant.
    AtLeast(Position),
}

/// What was read, and when it was true.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading<T> {
    /// What was read.
    pub value: T,
    /// When it was true.
    pub at: Position,
}

impl Directory {
    /// Where a read of several statements runs: all see the same moment.
    ///
    /// # Errors
    /// [`Error::RevisionInvalid`], [`Error::EpochMismatch`],
    /// [`Error::ReplicaBehind`].
    pub(super) async fn one_moment(
        &self,
        caller: &Caller,
        consistency: &Consistency,
    ) -> Result<Tx> {
        match consistency {
            Consistency::Strong => self.store.snapshot().await,
            Consistency::Fast => self.fresh_replica().await,
            Consistency::AtLeast(position) => self.at_least(&caller.tenant_id, position).await,
        }
    }

    async fn fresh_replica(&self) -> Result<Tx> {
        for replica in self.replicas_in_turn().filter(|replica| replica.is_fresh()) {
            match replica.snapshot().await {
                Ok(tx) => return Ok(tx),
                Err(error) => tracing::debug!(%error, "a replica failed; asking another"),
            }
        }
        self.store.snapshot().await
    }

    async fn at_least(&self, tenant_id: &str, wanted: &Position) -> Result<Tx> {
        let mut behind = false;
        for replica in self.replicas_in_turn().filter(|replica| replica.answers()) {
            let Ok(tx) = replica.snapshot().await else {
                continue;
            };
            match history::position(&tx, tenant_id).await {
                Ok(Some(has)) if has.epoch == wanted.epoch && has.revision >= wanted.revision => {
                    return Ok(tx);
                }
                Ok(_) => behind = true,
                Err(error) => tracing::debug!(%error, "a replica failed; asking another"),
            }
        }
        let primary = async {
            let tx = self.store.snapshot().await?;
            let has = history::position(&tx, tenant_id).await?;
            Ok((tx, has))
        };
        match primary.await {
            Ok((tx, has)) => {
                let has = has.ok_or_else(|| Error::internal("the tenant has no head"))?;
                check(wanted, &has)?;
                Ok(tx)
            }
            Err(Error::Unavailable(_) | Error::Contention) if behind => Err(Error::ReplicaBehind),
            Err(error) => Err(error),
        }
    }

    /// The replicas, a different one first each time.
    fn replicas_in_turn(&self) -> impl Iterator<Item = &crate::storage::replicas::Replica> {
        use std::sync::atomic::Ordering;
        let replicas = self.store.replicas();
        let first = match replicas.len() {
            0 => 0,
            count => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (before, after) = replicas.split_at(first);
        after.iter().chain(before)
    }
}

/// Whether a position that a caller speaks of lies in this history.
///
/// # Errors
/// [`Error::RevisionInvalid`], [`Error::EpochMismatch`].
pub(super) fn check(wanted: &Position, has: &Position) -> Result<()> {
    if wanted.epoch != has.epoch {
        return Err(Error::EpochMismatch);
    }
    if wanted.revision > has.revision {
        return Err(Error::RevisionInvalid);
    }
    Ok(())
}
