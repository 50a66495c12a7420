//! How connections fare: what the log and the credentials say, judged by the domain.

use std::collections::HashMap;

use super::super::Directory;
use crate::{
    domain::{
        health::{self, Access, Expiry, Failure, Health, Seen, Tally},
        policy::Policy,
        provisioning::Event,
    },
    error::Result,
    storage::{
        Tx,
        credentials::{self, Credential},
        held, provisioning, tenants,
    },
};

/// Most credentials that are read at once.
const AT_ONCE: usize = 1_000;

impl Directory {
    /// How a connection of the tenant fares.
    ///
    /// # Errors
    /// The database's.
    pub async fn connection_health(&self, tenant_id: &str, connection_id: &str) -> Result<Health> {
        let now = self.source.now_ms();
        let tx = self.store.snapshot().await?;
        let connection = tenants::find_connection(&tx, tenant_id, connection_id).await?;
        let (name, policy) = connection.map_or_else(Default::default, |c| (c.name, c.policy));
        let since = now.saturating_sub(health::WINDOW_MS);
        let tallies = provisioning::tallies(&tx, tenant_id, connection_id, since).await?;
        let last = provisioning::last(&tx, tenant_id, connection_id, false).await?;
        let success = provisioning::last(&tx, tenant_id, connection_id, true).await?;
        let credentials = own(&tx, tenant_id, connection_id).await?;
        let held = held::count(&tx, connection_id).await?;
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        let (access, expiring) = access(&credentials, now);
        let seen = Seen {
            name: &name,
            tallies: &tallies,
            last,
            access: &access,
            held,
        };
        let (verdict, why) = seen.verdict(now);
        let count = |failed_only: bool| -> i64 {
            let counted = tallies.iter().filter(|tally| tally.failed || !failed_only);
            counted.map(|tally| tally.count).sum()
        };
        let (requests, failures) = (count(false), count(true));
        Ok(Health {
            verdict,
            why,
            last_success: success.map(|last| last.at),
            last_request: last.map(|last| last.at),
            expected_next: last.map(|last| last.at.saturating_add(health::CYCLE_MS)),
            requests,
            failures,
            top: top(&tx, tallies, &policy, &credentials).await?,
            expiring,
            held,
        })
    }
}

/// The most frequent failures, each with its latest event.
async fn top(
    tx: &Tx,
    tallies: Vec<Tally>,
    policy: &Policy,
    credentials: &[Credential],
) -> Result<Vec<Failure>> {
    let top = health::top(tallies);
    let latest: Vec<_> = top.iter().map(|tally| tally.latest.as_str()).collect();
    let latest = provisioning::find(tx, &latest).await?.into_iter();
    let mut latest: HashMap<_, Event> = latest.map(|event| (event.id.clone(), event)).collect();
    let failure = |tally: Tally| {
        let example = latest.remove(&tally.latest).unwrap_or_default();
        let mut credentials = credentials.iter();
        let credential = credentials.find(|one| one.id == example.credential_id);
        Failure {
            remedy: health::remedy(&tally, policy),
            credential_name: credential.map_or_else(String::new, |one| one.name.clone()),
            example,
            tally,
        }
    };
    Ok(top.into_iter().map(failure).collect())
}

/// All credentials of a connection itself, also those that were revoked.
async fn own(tx: &Tx, tenant_id: &str, connection_id: &str) -> Result<Vec<Credential>> {
    let mut wanted = credentials::Wanted {
        connection_id: Some(connection_id.to_owned()),
        revoked: true,
        ..credentials::Wanted::default()
    };
    let mut all = Vec::new();
    loop {
        let page = credentials::list(tx, tenant_id, &wanted, AT_ONCE as u64).await?;
        let is_last = page.len() < AT_ONCE;
        wanted.after = page.last().map(|credential| credential.id.clone());
        all.extend(page.into_iter().filter(|one| one.user_id.is_none()));
        if is_last {
            return Ok(all);
        }
    }
}

/// What the client can come with, and the credentials whose end is told of now.
fn access(own: &[Credential], now_ms: i64) -> (Access, Vec<Expiry>) {
    let live: Vec<_> = own.iter().filter(|one| one.is_live(now_ms)).collect();
    if live.is_empty() {
        let Some((last, ended_at)) = last_ended(own) else {
            return (Access::Never, Vec::new());
        };
        let expiry = expiry(last, ended_at, 0);
        return (Access::Ended(last.name.clone()), vec![expiry]);
    }
    let warned = live.into_iter().filter_map(|one| {
        let expires_at = one.expires_at?;
        let threshold = health::threshold(expires_at, now_ms)?;
        Some(expiry(one, expires_at, threshold))
    });
    let mut warned: Vec<_> = warned.collect();
    warned.sort_by_key(|expiry| expiry.expires_at);
    (Access::Good, warned)
}

/// The credential that ended last, and when.
fn last_ended(own: &[Credential]) -> Option<(&Credential, i64)> {
    let ended = own.iter().filter_map(|one| {
        let ends = [one.revoked_at, one.expires_at];
        Some((one, ends.into_iter().flatten().min()?))
    });
    ended.max_by_key(|(_, ended_at)| *ended_at)
}

fn expiry(credential: &Credential, expires_at: i64, threshold_days: i64) -> Expiry {
    Expiry {
        credential_id: credential.id.clone(),
        name: credential.name.clone(),
        expires_at,
        threshold_days,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Scopes,
        domain::{
            credential::{Proof, Purpose},
            history::Actor,
        },
    };

    const NOW: i64 = 1_800_000_000_000;
    const DAY: i64 = 24 * 60 * 60 * 1_000;

    fn credential(id: &str, expires_at: Option<i64>, revoked_at: Option<i64>) -> Credential {
        Credential {
            id: id.to_owned(),
            tenant_id: "t".to_owned(),
            connection_id: Some("c".to_owned()),
            name: id.to_owned(),
            proof: Proof::Secret(Purpose::Bearer),
            audiences: Vec::new(),
            created_at: 0,
            created_by: Actor::Operator,
            expires_at,
            revoked_at,
            revoke_reason: String::new(),
            last_used_at: None,
            last_used_address: None,
            scopes: Scopes::Provisioning,
            user_id: None,
        }
    }

    #[track_caller]
    fn check(own: &[Credential], expected: Access, told: &[(&str, i64, i64)]) {
        let (found, expiring) = access(own, NOW);
        assert_eq!(found, expected);
        let expiring = expiring.iter();
        let expiring: Vec<_> = expiring
            .map(|one| (one.name.as_str(), one.expires_at, one.threshold_days))
            .collect();
        assert_eq!(expiring, told);
    }

    #[test]
    fn the_last_that_ended_is_told_when_none_is_good() {
        check(&[], Access::Never, &[]);
        let expired = credential("expired", Some(NOW), None);
        let revoked = credential("revoked", Some(NOW + DAY), Some(NOW - DAY));
        let ended = [revoked, expired];
        let told = [("expired", NOW, 0)];
        check(&ended, Access::Ended("expired".to_owned()), &told);
        let [revoked, expired] = ended;
        let told = [("revoked", NOW - DAY, 0)];
        check(
            std::slice::from_ref(&revoked),
            Access::Ended("revoked".to_owned()),
            &told,
        );
        let soon = credential("soon", Some(NOW + DAY), None);
        let later = credential("later", Some(NOW + 20 * DAY), None);
        let lasting = credential("lasting", None, None);
        let told = [("soon", NOW + DAY, 7), ("later", NOW + 20 * DAY, 30)];
        let all = [revoked, expired, later, soon, lasting];
        check(&all, Access::Good, &told);
    }
}
