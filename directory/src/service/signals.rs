//! Signals: what of the feed is told to whoever keeps people signed in.

use std::{collections::BTreeSet, sync::Arc};

use super::{Directory, feed::FeedFilter};
use crate::{
    auth::Caller,
    domain::{
        history::{Actor, ResourceType},
        signal::{self, Signal, SignalKind},
    },
    error::Result,
    storage::{
        Tx,
        federated::{self, Identity},
        feed::Transaction,
    },
};

/// A signal as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The same whenever it is read.
    pub id: String,
    /// The same for all of one transaction.
    pub transaction_id: String,
    /// What happened to whom.
    pub signal: Signal,
    /// What identity providers call the user.
    pub subjects: Vec<Identity>,
    /// Who did it.
    pub actor: Actor,
    /// Milliseconds since the Unix epoch.
    pub committed_at: i64,
}

/// What of the feed can give signals.
pub fn signal_filter() -> FeedFilter {
    use ResourceType::{Group, Membership, SigningKey, Token, User};
    FeedFilter {
        types: vec![User, Group, Membership, Token, SigningKey],
        ..FeedFilter::default()
    }
}

/// How many signals of these kinds a transaction gives; no kinds mean all.
pub fn count_signals(transaction: &Transaction, kinds: &[SignalKind]) -> usize {
    let signals = signal::signals(&transaction.changes);
    let wanted = signals.iter().filter(|(_, one)| is_wanted(one, kinds));
    wanted.count()
}

fn is_wanted(signal: &Signal, kinds: &[SignalKind]) -> bool {
    kinds.is_empty() || kinds.contains(&signal.kind)
}

impl Directory {
    /// The signals of these kinds that transactions give, in their order, each with the
    /// place of its transaction; no kinds mean all. Users are looked up in one query,
    /// so that it should be few transactions.
    ///
    /// # Errors
    /// The database's.
    pub async fn signals_of(
        &self,
        caller: &Caller,
        epoch: &str,
        transactions: &[Arc<Transaction>],
        kinds: &[SignalKind],
    ) -> Result<Vec<(usize, Told)>> {
        let (mut places, mut signals) = (Vec::new(), Vec::new());
        for (place, transaction) in transactions.iter().enumerate() {
            for (_, one) in told(&caller.tenant_id, epoch, transaction, kinds) {
                places.push(place);
                signals.push(one);
            }
        }
        name(&self.store.single(), &caller.tenant_id, &mut signals).await?;
        Ok(places.into_iter().zip(signals).collect())
    }
}

/// The signals of a transaction, each with the place of its change in it. Of users
/// it is still to be told who they are elsewhere.
pub(super) fn told(
    tenant_id: &str,
    epoch: &str,
    transaction: &Transaction,
    kinds: &[SignalKind],
) -> Vec<(usize, Told)> {
    let mut signals = signal::signals(&transaction.changes);
    signals.retain(|(_, one)| is_wanted(one, kinds));
    let transaction_id = signal::transaction_id(epoch, tenant_id, transaction.revision);
    let told = signals.into_iter().map(|(place, signal)| {
        let told = Told {
            id: signal.id(&transaction_id),
            transaction_id: transaction_id.clone(),
            subjects: Vec::new(),
            signal,
            actor: transaction.actor.clone(),
            committed_at: transaction.committed_at,
        };
        (place, told)
    });
    told.collect()
}

/// Says who users are elsewhere.
pub(super) async fn name(tx: &Tx, tenant_id: &str, told: &mut [Told]) -> Result<()> {
    let ids: BTreeSet<_> = told.iter().filter_map(|one| one.signal.user_id()).collect();
    let ids: Vec<_> = ids.into_iter().map(ToOwned::to_owned).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let identities = federated::identities(tx, tenant_id, &ids).await?;
    for one in told {
        let user = one.signal.user_id();
        let subjects = user.and_then(|user| identities.get(user)).cloned();
        one.subjects = subjects.unwrap_or_default();
    }
    Ok(())
}
