//! The audit: refused calls go in, entries come out, and the chain is checked.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::Directory;
use crate::{
    auth::Caller,
    domain::history::{AuditEntry, Refusal, ResourceType},
    error::Result,
    storage::{
        Tx,
        feed::{self, AuditQuery, Audited},
        history,
    },
};

/// Entries read by one statement.
const CHUNK: u64 = 1_000;

/// Entries of one page, and the sequence below which the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<Audited>,
    /// `None` on the last page.
    pub next: Option<i64>,
}

/// What checking the chain told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that were checked.
    pub checked: i64,
    /// The first entry that breaks the chain.
    pub broken: Option<i64>,
    /// The last entry's hash, in hexadecimal.
    pub head: String,
    /// The last entry's sequence.
    pub head_sequence: i64,
}

/// Refusals that are recorded of one credential within a minute.
const REFUSALS: u32 = 100;

/// How many refusals were recorded lately, by credential.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, (i64, u32)>>);

impl Refusals {
    /// Whether one more of this credential is recorded.
    fn admit(&self, credential_id: &str, now_ms: i64) -> bool {
        let minute = now_ms.div_euclid(60_000);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (of, _)| *of == minute);
        let (_, count) = counts
            .entry(credential_id.to_owned())
            .or_insert((minute, 0));
        *count += 1;
        *count <= REFUSALS
    }
}

impl Directory {
    /// Records that a call of a known caller was refused, unless he has been
    /// refused very often within this minute.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_refusal(
        &self,
        caller: &Caller,
        method: Cow<'static, str>,
        (resource_type, resource_id): (ResourceType, String),
        refusal: Refusal,
    ) -> Result<()> {
        let now = self.source.now_ms();
        if !self.refusals.admit(caller.id(), now) {
            tracing::debug!(caller.id = caller.id(), "too many refusals");
            return Ok(());
        }
        let tenant = caller.tenant_id.clone();
        let entry = AuditEntry {
            actor: caller.actor(),
            method,
            resource_type,
            resource_id,
            changed_attributes: Vec::new(),
            request_id: caller.request_id.clone(),
            refusal: Some(refusal),
        };
        self.store
            .write(&caller.tenant_id, "Refuse", move |tx| {
                let (tenant, entry) = (tenant.clone(), entry.clone());
                async move {
                    history::record(&tx, &tenant, &entry, &[], now).await?;
                    Ok(())
                }
            })
            .await
    }

    /// Lists audit entries, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        wanted: &AuditQuery,
        size: usize,
    ) -> Result<AuditPage> {
        let tx = self.store.single();
        // One more than is wanted tells whether the list goes on.
        let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
        let mut entries = feed::audit(&tx, &caller.tenant_id, wanted, limit).await?;
        let more = entries.len() > size;
        entries.truncate(size);
        let next = entries.last().filter(|_| more).map(|entry| entry.sequence);
        Ok(AuditPage { entries, next })
    }

    /// Audit entries behind a sequence, in order, as many as fit an answer.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_after(
        &self,
        caller: &Caller,
        after: i64,
        through: i64,
    ) -> Result<Vec<Audited>> {
        let tx = self.store.single();
        feed::audit_after(&tx, &caller.tenant_id, after, through, CHUNK).await
    }

    /// The tenant's epoch, which revisions of audit entries belong to.
    ///
    /// # Errors
    /// The database's.
    pub async fn epoch(&self, caller: &Caller) -> Result<String> {
        let at = history::position(&self.store.single(), &caller.tenant_id).await?;
        Ok(at.map(|at| at.epoch).unwrap_or_default())
    }

    /// Recomputes the hash chain between two sequences, both included.
    /// `expected` is the hash of an entry that was noted elsewhere.
    ///
    /// # Errors
    /// The database's.
    pub async fn verify_audit(
        &self,
        tenant_id: &str,
        from: i64,
        through: i64,
        expected: Option<&str>,
    ) -> Result<Verdict> {
        let tx = self.store.snapshot().await?;
        let head = feed::audit_head(&tx, tenant_id).await?;
        let (last, last_hash) = head.unwrap_or_default();
        let check = Check {
            tx: &tx,
            tenant_id,
            through: if through <= 0 {
                last
            } else {
                through.min(last)
            },
            expected,
        };
        let (mut verdict, seen) = check.run(from.max(1)).await?;
        let whole = verdict.head_sequence == last;
        if verdict.broken.is_none() && whole && verdict.head != last_hash {
            // The head remembers another end.
            verdict.broken = Some(last);
        }
        if verdict.broken.is_none() && !seen {
            verdict.broken = Some(verdict.head_sequence + 1);
        }
        Ok(verdict)
    }
}

struct Check<'a> {
    tx: &'a Tx,
    tenant_id: &'a str,
    through: i64,
    expected: Option<&'a str>,
}

impl Check<'_> {
    /// Walks the chain; also whether the hash that was noted was met.
    async fn run(&self, from: i64) -> Result<(Verdict, bool)> {
        let mut verdict = Verdict {
            head: self.hash_before(from).await?,
            head_sequence: from - 1,
            ..Verdict::default()
        };
        let mut seen = self
            .expected
            .is_none_or(|expected| expected == verdict.head);
        while verdict.head_sequence < self.through && verdict.broken.is_none() {
            let after = verdict.head_sequence;
            let links = feed::links_after(
                self.tx,
                self.tenant_id,
                after,
                self.through,
                &verdict.head,
                CHUNK,
            );
            for link in links.await? {
                let follows = link.sequence == verdict.head_sequence + 1;
                if !follows || link.recorded != link.expected {
                    verdict.broken = Some(verdict.head_sequence + 1);
                    break;
                }
                seen |= self.expected == Some(link.recorded.as_str());
                verdict.checked += 1;
                verdict.head_sequence = link.sequence;
                verdict.head = link.recorded;
            }
            if verdict.head_sequence == after && verdict.broken.is_none() {
                // The end is missing.
                verdict.broken = Some(after + 1);
            }
        }
        Ok((verdict, seen))
    }

    async fn hash_before(&self, sequence: i64) -> Result<String> {
        if sequence <= 1 {
            return Ok(String::new());
        }
        let before = sequence - 1;
        let entries = feed::audit_after(self.tx, self.tenant_id, before - 1, before, 1).await?;
        Ok(entries
            .into_iter()
            .next()
            .map(|entry| entry.hash)
            .unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_do_not_use_up_anothers() {
        let refusals = Refusals::default();
        let admitted = (0..500).filter(|_| refusals.admit("a", 1_000)).count();
        assert_eq!(admitted, 100);
        assert!(refusals.admit("b", 1_000));
        assert!(refusals.admit("a", 61_000), "another minute");
    }
}
