//! When deactivations wait for an operator.

use serde::{Deserialize, Serialize};

use super::Lifetime;

/// The longest that a deactivation waits: a guard delays, and never keeps anybody's
/// access for good.
const LONGEST: Lifetime = Lifetime::THREE_DAYS;

/// The shortest window and hold, in milliseconds: a guard that looks at less guards
/// nothing.
const SHORTEST_MS: i64 = 60_000;

/// How many users a connection may deactivate or delete within a while; the rest
/// wait for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// So many; unset: any number.
    #[serde(default)]
    pub max_users: Option<u32>,
    /// So many of a hundred active users of the tenant, the one who is next included;
    /// unset: all.
    #[serde(default)]
    pub max_percent: Option<u32>,
    /// Below so many `max_percent` does not count: of three users one is a third.
    #[serde(default = "ten")]
    pub min_users: u32,
    /// Within this time.
    pub window: Lifetime,
    /// After this time they are done all the same; at most 72 hours.
    #[serde(default = "longest")]
    pub max_hold: Lifetime,
}

fn ten() -> u32 {
    10
}

fn longest() -> Lifetime {
    LONGEST
}

impl Guard {
    /// The longest window, in milliseconds.
    pub const LONGEST_WINDOW_MS: i64 = 31 * 86_400_000;

    /// What holds within this time where nothing more is said; it guards nothing yet.
    pub fn within(window: Lifetime) -> Self {
        Self {
            max_users: None,
            max_percent: None,
            min_users: ten(),
            window,
            max_hold: longest(),
        }
    }

    /// Whether one more deactivation is to wait, after so many within the window, in
    /// a tenant of so many users.
    pub fn holds(&self, done: u64, users: u64) -> bool {
        let next = done.saturating_add(1);
        let over_count = self.max_users.is_some_and(|most| next > u64::from(most));
        let over_share = self.max_percent.is_some_and(|percent| {
            next > u64::from(self.min_users)
                && next.saturating_mul(100) > users.saturating_mul(u64::from(percent))
        });
        over_count || over_share
    }

    /// Everything that is wrong with it.
    pub(super) fn contradictions(&self) -> impl Iterator<Item = &'static str> {
        let guards_nothing = self.max_users.is_none() && self.max_percent.is_none();
        let is_over_all = self.max_percent.is_some_and(|percent| percent >= 100);
        let is_short = self.window.ms() < SHORTEST_MS || self.max_hold.ms() < SHORTEST_MS;
        let rules = [
            (guards_nothing, "needs max_users or max_percent"),
            (
                is_over_all,
                "max_percent must be less than 100: all may go then",
            ),
            (is_short, "window and max_hold must be at least 1m"),
            (self.max_hold > LONGEST, "max_hold must be at most 72h"),
            (
                self.window.ms() > Self::LONGEST_WINDOW_MS,
                "window must be at most 31d",
            ),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(max_users: Option<u32>, max_percent: Option<u32>) -> Guard {
        Guard {
            max_users,
            max_percent,
            ..Guard::within(longest())
        }
    }

    #[test]
    fn more_than_so_many_wait() {
        let three = guard(Some(3), None);
        assert!(!three.holds(2, 1_000) && three.holds(3, 1_000));
        let none = guard(Some(0), None);
        assert!(none.holds(0, 1_000));
    }

    #[test]
    fn more_than_such_a_share_waits() {
        let share = guard(None, Some(5));
        // Of 400 users 20 are five percent.
        assert!(!share.holds(19, 400) && share.holds(20, 400));
        // Of three users each is more, but ten are too few to be a share.
        assert!(!share.holds(2, 3) && share.holds(10, 30));
    }

    #[test]
    fn a_guard_that_guards_nothing_is_refused() {
        assert_eq!(guard(None, None).contradictions().count(), 1);
        assert_eq!(guard(Some(1), None).contradictions().count(), 0);
        let day = Lifetime::of_ms(86_400_000).unwrap_or_else(|e| panic!("{e}"));
        let year = Lifetime::of_ms(365 * day.ms()).unwrap_or_else(|e| panic!("{e}"));
        let wrong = Guard {
            window: year,
            max_hold: year,
            ..guard(None, Some(101))
        };
        assert_eq!(wrong.contradictions().count(), 3, "all of them are told");
    }
}
