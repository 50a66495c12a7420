//! How a connection fares, by what its log says of the last 24 hours.
//!
//! When Entra puts a provisioning job into quarantine is Microsoft's to say
//! ("Application provisioning in quarantine status"): it looks from 5,000 failures
//! on; more than 40 % of all, or more than 40,000, and with failed references more
//! than 60,000, lead there, and so do credentials that are refused and lookups
//! that are answered with an error. Warned is at half of that, so that somebody
//! can still act.

/// Over which time it is judged, in milliseconds.
pub const WINDOW_MS: i64 = 24 * HOUR_MS;

/// How far apart the cycles of Entra are, usually, in milliseconds.
pub const CYCLE_MS: i64 = 40 * MINUTE_MS;

/// Before how many days the end of a credential is warned of.
pub const EXPIRY_DAYS: [i64; 4] = [7, 14, 30, 60];

/// Kinds of failures that are told.
pub const TOP: usize = 10;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Half of the failures from which on Entra looks at their share.
const LOOKED_AT: i64 = 5_000 / 2;

/// The share of failures that leads into quarantine, in percent.
const SHARE: i64 = 40;

/// Half of the failures that lead there whatever their share, references left out.
const TOO_MANY: i64 = 40_000 / 2;

/// The same with references.
const TOO_MANY_WITH_REFERENCES: i64 = 60_000 / 2;

/// How many lookups there must be for their failing to mean something.
const LOOKUPS: i64 = 5;

/// The share of failures from which on a connection fails, in percent.
const FAILING_SHARE: i64 = 10;

/// How a connection fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Healthy,
    /// No request in 24 hours.
    Quiet,
    /// Too much fails.
    Failing,
    /// On course for Entra's quarantine.
    QuarantineRisk,
}

impl Verdict {
    /// Name in what commands print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Quiet => "quiet",
            Self::Failing => "failing",
            Self::QuarantineRisk => "quarantine-risk",
        }
    }
}

/// Events of one kind in the last 24 hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether they failed.
    pub failed: bool,
    /// Whether they are lookups.
    pub is_lookup: bool,
    /// Of HTTP.
    pub status: u16,
    /// Keyword of RFC 7644 table 9.
    pub scim_type: String,
    /// Name of the directory's reason.
    pub reason: String,
    /// The attribute that was refused.
    pub attribute: String,
    /// How many.
    pub count: i64,
    /// Id of the latest.
    pub latest: String,
}

impl Tally {
    /// Whether a reference to another resource failed: Entra counts them apart.
    fn is_reference(&self) -> bool {
        let attribute = self.attribute.to_ascii_lowercase();
        let attribute = attribute.rsplit(':').next().unwrap_or_default();
        let name = attribute.split(['.', '[']).next();
        matches!(name, Some("members" | "manager"))
    }

    fn is_of_kind(&self, other: &Self) -> bool {
        let kind = |one: &Self| (one.status, one.scim_type.clone(), one.reason.clone());
        kind(self) == kind(other) && self.attribute == other.attribute
    }
}

/// Failures of one kind, and what to do about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What they are, and how many.
    pub tally: Tally,
    /// The client's own identifier of what the latest was about.
    pub example_external_id: String,
    /// In words.
    pub remedy: String,
}

/// A credential that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Its id.
    pub credential_id: String,
    /// What people call it.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub expires_at: i64,
    /// The smallest number of [`EXPIRY_DAYS`] that it lies within.
    pub threshold_days: i64,
}

/// How a connection fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In a word.
    pub verdict: Verdict,
    /// Why, in words; empty for a healthy one.
    pub why: String,
    /// Milliseconds since the Unix epoch.
    pub last_success: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub last_request: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub expected_next: Option<i64>,
    /// In the last 24 hours.
    pub requests: i64,
    /// In the last 24 hours.
    pub failures: i64,
    /// The most frequent first.
    pub top: Vec<Failure>,
    /// The next to end first.
    pub expiring: Vec<Expiry>,
    /// Deactivations that wait for an operator.
    pub held: i64,
}

impl Health {
    /// Failures among requests, from 0 to 1.
    pub fn failure_ratio(&self) -> f64 {
        match self.requests {
            0 => 0.0,
            requests => self.failures as f64 / requests as f64,
        }
    }
}

/// The last request that there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Of HTTP.
    pub status: u16,
}

/// How a connection fares, and why that is said.
pub fn verdict(tallies: &[Tally], last: Option<Last>, now_ms: i64) -> (Verdict, String) {
    let count = |wanted: fn(&Tally) -> bool| -> i64 {
        let wanted = tallies.iter().filter(|tally| wanted(tally));
        wanted.map(|tally| tally.count).sum()
    };
    let requests = count(|_| true);
    let failures = count(|tally| tally.failed);
    let references = count(|tally| tally.failed && tally.is_reference());
    let lookups = count(|tally| tally.is_lookup);
    let unanswered = count(|tally| tally.is_lookup && matches!(tally.status, 400 | 401 | 404));
    let Some(last) = last.filter(|last| last.at > now_ms - WINDOW_MS) else {
        return (
            Verdict::Quiet,
            "There was no request in 24 hours.".to_owned(),
        );
    };
    let risk = |why: String| (Verdict::QuarantineRisk, why);
    if last.status == 401 {
        return risk("The last request came with a credential that has ended.".to_owned());
    }
    if lookups >= LOOKUPS && unanswered == lookups {
        return risk("No lookup is answered: the Tenant URL may be wrong.".to_owned());
    }
    if failures >= LOOKED_AT && exceeds(failures, requests, SHARE) {
        return risk(format!(
            "{failures} failures, more than {SHARE} % of all requests."
        ));
    }
    if failures - references > TOO_MANY || failures > TOO_MANY_WITH_REFERENCES {
        return risk(format!("{failures} failures in 24 hours."));
    }
    if exceeds(failures, requests, FAILING_SHARE) {
        return (
            Verdict::Failing,
            format!("{failures} of {requests} requests failed."),
        );
    }
    (Verdict::Healthy, String::new())
}

fn exceeds(part: i64, whole: i64, percent: i64) -> bool {
    part.saturating_mul(100) > whole.saturating_mul(percent)
}

/// Failures by kind, the most frequent first, at most [`TOP`].
pub fn top(tallies: Vec<Tally>) -> Vec<Tally> {
    let mut kinds: Vec<Tally> = Vec::new();
    for tally in tallies.into_iter().filter(|tally| tally.failed) {
        match kinds.iter_mut().find(|kind| kind.is_of_kind(&tally)) {
            Some(kind) => {
                kind.count += tally.count;
                if tally.latest > kind.latest {
                    kind.latest = tally.latest;
                }
            }
            None => kinds.push(tally),
        }
    }
    kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.latest.cmp(&a.latest)));
    kinds.truncate(TOP);
    kinds
}

/// Before how many days the end of a credential is warned of now; `None` while it
/// is far away, and when it has come.
pub fn threshold(expires_at: i64, now_ms: i64) -> Option<i64> {
    let left = expires_at - now_ms;
    let within = |days: &i64| left <= days * DAY_MS;
    EXPIRY_DAYS.into_iter().find(within).filter(|_| left > 0)
}

/// Until when a credential that ends is warned of; milliseconds since the Unix
/// epoch.
pub fn warned_until(now_ms: i64) -> i64 {
    let days = EXPIRY_DAYS.into_iter().max().unwrap_or_default();
    now_ms.saturating_add(days * DAY_MS)
}

/// What to do about failures of this kind.
pub fn remedy(tally: &Tally) -> String {
    let attribute = match tally.attribute.as_str() {
        "" => "the attribute that the detail names",
        name => name,
    };
    match tally.reason.as_str() {
        "REQUIRED_ATTRIBUTE_MISSING" => format!(
            "Users come without {attribute}. In Entra, under Provisioning > Attribute mapping, \
             map a source attribute that every user has to {attribute}, or give it a default value."
        ),
        "USER_NAME_TAKEN" | "EXTERNAL_ID_TAKEN" | "DISPLAY_NAME_TAKEN" | "VALUE_TAKEN" => format!(
            "Somebody else here has this {attribute} already. Look for the other one, then change \
             one of the two, or let the connection match existing users by it."
        ),
        "FIELD_INVALID" => format!(
            "The value of {attribute} is not one that it may have. Correct the expression of its \
             mapping, or the value at the source."
        ),
        "MUTABILITY" => format!(
            "{attribute} may not be changed. In the attribute mapping, set \"Apply this mapping\" \
             to \"Only during object creation\", or delete the mapping."
        ),
        "PATH_INVALID" => format!(
            "There is no attribute {attribute}. Delete its mapping, or register the extension \
             schema that has it."
        ),
        "FILTER_INVALID" => "The matching attribute cannot be searched for. In the attribute \
             mapping, match by userName or externalId."
            .to_owned(),
        "USER_NOT_FOUND" | "GROUP_NOT_FOUND" => "The client knows somebody who is not here: \
             deleted and purged, or a database that was restored. Restart provisioning, so that \
             it matches anew."
            .to_owned(),
        "CONNECTION_NOT_FOUND" => "The Tenant URL names another connection. Take it from \
             `muster connection show`."
            .to_owned(),
        "CREDENTIAL_INVALID" => "The client still uses a credential that has expired or was \
             revoked. Make a new one with `muster credential rotate` or `create`, put it into the \
             client and test the connection."
            .to_owned(),
        "SCOPE_MISSING" => "The credential may not do this. Make one without --scopes.".to_owned(),
        "GROUP_CYCLE" => {
            "A group would be in itself. Take one of the nestings away at the source.".to_owned()
        }
        "RATE_LIMITED" => "More requests than the limit allows. Raise rate_limits, or let fewer \
             jobs run at once; Entra tries again by itself."
            .to_owned(),
        _ => by_status(tally),
    }
}

/// What the directory did not say a reason for.
fn by_status(tally: &Tally) -> String {
    match (tally.status, tally.scim_type.as_str()) {
        (401, _) => "The credential is not accepted. Make a new one and put it into the client.",
        (404, _) => {
            "There is nothing at this address. Compare the client's Tenant URL with that of \
             `muster connection show`."
        }
        (405 | 501, _) => "The client asks for what is not offered. Turn that off in the client.",
        (409, _) => "A value is taken. Change one of the two who have it.",
        (412, _) => "Somebody else changed it meanwhile. The client reads it anew by itself.",
        (406 | 415, _) => "The client must send and take application/scim+json.",
        (413, _) => "The request is too large. Raise body_limit, or let the client send less.",
        (429, _) => "More requests than the limit allows. Raise rate_limits.",
        (_, "invalidSyntax") => {
            "The body is not what SCIM asks for. Compare the connection's flavor with its client."
        }
        (_, "invalidFilter") => "The filter cannot be read. Match by userName or externalId.",
        (_, "invalidPath") => "A mapping names an attribute that there is not. Delete it.",
        (_, "invalidValue") => {
            "A value is not one that its attribute may have. The detail of the event names it: \
             correct its mapping."
        }
        (_, "mutability") => "A mapping writes what may not be written. Delete it.",
        (500.., _) => {
            "The server could not do it. Its log has the cause, under the event's request id."
        }
        _ => "The detail of the event says what was wrong.",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn tally(failed: bool, count: i64) -> Tally {
        Tally {
            failed,
            status: if failed { 400 } else { 200 },
            count,
            ..Tally::default()
        }
    }

    fn judge(tallies: &[Tally]) -> Verdict {
        let last = Last {
            at: NOW - 1,
            status: 200,
        };
        verdict(tallies, Some(last), NOW).0
    }

    #[test]
    fn what_nearly_always_succeeds_is_healthy() {
        assert_eq!(judge(&[tally(false, 1)]), Verdict::Healthy);
        assert_eq!(
            judge(&[tally(false, 90), tally(true, 10)]),
            Verdict::Healthy
        );
        assert_eq!(
            judge(&[tally(false, 89), tally(true, 11)]),
            Verdict::Failing
        );
        assert_eq!(judge(&[tally(true, 1)]), Verdict::Failing);
    }

    #[test]
    fn who_has_not_come_for_a_day_is_quiet() {
        assert_eq!(verdict(&[], None, NOW).0, Verdict::Quiet);
        let at = |at| {
            let last = Last { at, status: 200 };
            verdict(&[tally(false, 1)], Some(last), NOW).0
        };
        assert_eq!(at(NOW - WINDOW_MS), Verdict::Quiet);
        assert_eq!(at(NOW - WINDOW_MS + 1), Verdict::Healthy);
    }

    #[test]
    fn half_of_what_leads_into_quarantine_is_a_risk() {
        let risk = Verdict::QuarantineRisk;
        assert_eq!(judge(&[tally(true, 2_499)]), Verdict::Failing);
        assert_eq!(judge(&[tally(true, 2_500)]), risk);
        let share = |of: i64| judge(&[tally(true, 4_000), tally(false, of)]);
        assert_eq!(
            share(6_000),
            Verdict::Failing,
            "40 % are not more than 40 %"
        );
        assert_eq!(share(5_999), risk);
        let many = |failures: i64| judge(&[tally(true, failures), tally(false, 1_000_000)]);
        assert_eq!(many(20_000), Verdict::Healthy);
        assert_eq!(many(20_001), risk);
        let references = |failures: i64| {
            let reference = Tally {
                attribute: "members".to_owned(),
                ..tally(true, failures)
            };
            judge(&[reference, tally(false, 1_000_000)])
        };
        assert_eq!(references(30_000), Verdict::Healthy);
        assert_eq!(references(30_001), risk);
    }

    #[test]
    fn lookups_that_all_fail_are_a_risk() {
        let lookups = |failed, answered| {
            let lookup = |tally: Tally, status| Tally {
                is_lookup: true,
                status,
                ..tally
            };
            judge(&[
                lookup(tally(true, failed), 404),
                lookup(tally(false, answered), 200),
            ])
        };
        assert_eq!(lookups(4, 0), Verdict::Failing, "too few to tell");
        assert_eq!(lookups(5, 0), Verdict::QuarantineRisk);
        assert_eq!(lookups(5, 1), Verdict::Failing);
    }

    #[test]
    fn a_credential_that_has_ended_is_a_risk() {
        let last = Last {
            at: NOW,
            status: 401,
        };
        let (found, why) = verdict(&[tally(false, 1_000)], Some(last), NOW);
        assert_eq!(found, Verdict::QuarantineRisk);
        assert!(why.contains("credential"), "{why}");
    }

    #[test]
    fn failures_are_grouped_by_what_they_are() {
        let kind = |attribute: &str, is_lookup, count, latest: &str| Tally {
            attribute: attribute.to_owned(),
            is_lookup,
            latest: latest.to_owned(),
            ..tally(true, count)
        };
        let top = top(vec![
            kind("title", false, 2, "c"),
            kind("emails", false, 1, "a"),
            tally(false, 100),
            kind("emails", true, 3, "b"),
        ]);
        let told: Vec<_> = top
            .iter()
            .map(|t| (t.attribute.as_str(), t.count, t.latest.as_str()))
            .collect();
        assert_eq!(told, [("emails", 4, "b"), ("title", 2, "c")]);
    }

    #[test]
    fn the_end_of_a_credential_is_warned_of_in_steps() {
        let days = |days: i64| threshold(NOW + days * DAY_MS, NOW);
        for (left, expected) in [
            (61, None),
            (60, Some(60)),
            (31, Some(60)),
            (30, Some(30)),
            (15, Some(30)),
            (14, Some(14)),
            (8, Some(14)),
            (7, Some(7)),
            (1, Some(7)),
            (0, None),
        ] {
            assert_eq!(days(left), expected, "{left}");
        }
        assert_eq!(threshold(NOW + 1, NOW), Some(7));
        assert_eq!(threshold(warned_until(NOW), NOW), Some(60));
    }

    #[test]
    fn every_remedy_says_something_to_do() {
        let required = Tally {
            reason: "REQUIRED_ATTRIBUTE_MISSING".to_owned(),
            attribute: "name.familyName".to_owned(),
            ..tally(true, 1)
        };
        let told = remedy(&required);
        assert!(told.contains("name.familyName") && told.contains("Attribute mapping"));
        for status in [
            400, 401, 404, 405, 406, 409, 412, 413, 415, 429, 500, 501, 503,
        ] {
            let failure = Tally {
                status,
                ..tally(true, 1)
            };
            assert!(remedy(&failure).ends_with('.'), "{status}");
        }
    }
}
