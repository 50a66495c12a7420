//! Whether a user may act, and since when his tokens are dead.

use serde::{Deserialize, Serialize};

use super::Resource;

/// Longest reason of an operator, in characters.
const REASON_LIMIT: usize = 200;

/// What operators and revocations say of a user, beside what his provisioning
/// client says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// An operator's word that he may not act.
    pub lock: Option<Lock>,
    /// Tokens issued until then are dead; milliseconds since the Unix epoch.
    /// `None` while none is.
    pub tokens_valid_after: Option<i64>,
    /// Since when a deactivation waits for an operator: his client says that he is
    /// not active, and he may act. Milliseconds since the Unix epoch.
    pub held_at: Option<i64>,
}

/// An operator's word that a user may not act. No provisioning client sees it,
/// and none lifts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// For people; may be empty.
    pub reason: String,
}

impl Access {
    /// Declares all tokens dead that were issued until now, those included that
    /// had to wait for the next second.
    pub fn end(&mut self, now_ms: i64) {
        self.end_until(now_ms.max(self.first_second().saturating_mul(1_000)));
    }

    /// Declares all tokens dead that were issued until then. Never moves back.
    pub fn end_until(&mut self, then_ms: i64) {
        let until = self.tokens_valid_after.unwrap_or(then_ms);
        self.tokens_valid_after = Some(until.max(then_ms));
    }

    /// Whether a token issued in this second is alive. Times of issue are whole
    /// seconds, so that all of the second in which tokens died is dead.
    pub fn admits(&self, issued_s: i64) -> bool {
        self.tokens_valid_after
            .is_none_or(|after| issued_s > after.div_euclid(1_000))
    }

    /// The first second whose tokens will be alive.
    pub fn first_second(&self) -> i64 {
        self.tokens_valid_after
            .map_or(i64::MIN, |after| after.div_euclid(1_000) + 1)
    }
}

/// Why a user may not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inactive {
    /// His provisioning client says so.
    Deprovisioned,
    /// An operator says so.
    Locked,
    /// He is deleted.
    Deleted,
}

/// What is to be known of a user before he acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Why he may not act; `None`: he may.
    pub inactive: Option<Inactive>,
    /// As in [`Access`].
    pub tokens_valid_after: Option<i64>,
}

impl Standing {
    /// Of a user whose client says this, with what else is said of him: of the reasons
    /// that there are, the strongest stands.
    pub fn new(active: bool, deleted: bool, access: &Access) -> Self {
        let inactive = match (deleted, access.lock.is_some()) {
            (true, _) => Some(Inactive::Deleted),
            (false, true) => Some(Inactive::Locked),
            _ if active || access.held_at.is_some() => None,
            _ => Some(Inactive::Deprovisioned),
        };
        Self {
            inactive,
            tokens_valid_after: access.tokens_valid_after,
        }
    }

    /// Whether he may act.
    pub fn may_act(&self) -> bool {
        self.inactive.is_none()
    }

    /// Whether he is deleted.
    pub fn is_deleted(&self) -> bool {
        self.inactive == Some(Inactive::Deleted)
    }
}

impl Resource {
    /// What is to be known of a user before he acts.
    pub fn standing(&self) -> Standing {
        Standing::new(self.active(), self.deleted_at.is_some(), &self.access)
    }

    /// Why a user may not act.
    pub fn inactive(&self) -> Option<Inactive> {
        self.standing().inactive
    }

    /// Whether a user may act: his client says so, or an operator is to confirm that it
    /// does not; no operator objects, and he is not deleted.
    pub fn may_act(&self) -> bool {
        self.inactive().is_none()
    }
}

/// A reason as it is kept.
///
/// # Errors
/// The rule that it breaks.
pub fn checked_reason(reason: &str) -> Result<String, &'static str> {
    let reason = reason.trim();
    let printable = !reason.chars().any(char::is_control);
    match printable && reason.chars().count() <= REASON_LIMIT {
        true => Ok(reason.to_owned()),
        false => Err("must have at most 200 printable characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_in_which_tokens_died_is_dead() {
        let mut access = Access::default();
        assert!(access.admits(0) && access.first_second() < 0);
        access.end(5_400);
        for (issued, alive) in [(4, false), (5, false), (6, true)] {
            assert_eq!(access.admits(issued), alive, "{issued}");
        }
        assert_eq!(access.first_second(), 6);
        access.end_until(1_000);
        assert!(!access.admits(5) && access.admits(6));
        // In the same second again: what waited for the next one dies, too.
        access.end(5_900);
        assert!(!access.admits(6) && access.admits(7));
    }

    #[test]
    fn reasons_are_short_and_printable() {
        assert_eq!(checked_reason(" left \u{e9}").as_deref(), Ok("left \u{e9}"));
        assert!(checked_reason(&"x".repeat(201)).is_err());
        assert!(checked_reason("a\nb").is_err());
    }
}
