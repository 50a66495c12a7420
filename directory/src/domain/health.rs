//! How a connection fares, by what its log says of the last 24 hours.
//!
//! When Entra puts a provisioning job into quarantine is Microsoft's to say
//! ("Application provisioning in quarantine status"): it looks from 5,000 failures
//! on; more than 40 % of all, or more than 40,000, and with failed references more
//! than 60,000, lead there, and so do credentials that are refused and lookups
//! that are answered with an error. Warned is at half of each number, so that
//! somebody can still act. Entra looks somebody up before it writes him, so that
//! lookups which were answered are left out of what a share is of.
//!
//! What to do about failures is in [`remedy`](remedy()).

mod remedy;

pub use self::remedy::remedy;
use super::provisioning::Event;

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

/// Half of the share of failures that leads into quarantine, in percent.
const SHARE: i64 = 40 / 2;

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
    /// On course for Entra's quarantine, or without a credential that is good.
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

    /// Whether they are lookups that Entra takes for those of a server that is none.
    /// That nobody has an id is an answer.
    fn is_unanswered(&self) -> bool {
        let is_answer = matches!(self.reason.as_str(), "USER_NOT_FOUND" | "GROUP_NOT_FOUND");
        self.is_lookup && matches!(self.status, 400 | 404) && !is_answer
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
    /// The latest of them.
    pub example: Event,
    /// What people call the credential with which that came.
    pub credential_name: String,
    /// In words.
    pub remedy: String,
}

/// A credential that ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Its id.
    pub credential_id: String,
    /// What people call it.
    pub name: String,
    /// When it ends, or ended; milliseconds since the Unix epoch.
    pub expires_at: i64,
    /// The smallest number of [`EXPIRY_DAYS`] that it lies within; 0: it has ended.
    pub threshold_days: i64,
}

/// How a connection fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// In a word.
    pub verdict: Verdict,
    /// Why, in words, and what waits; empty for a healthy one for which nothing does.
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
    /// The next to end first; where none is good any more, the last that ended.
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

/// What a connection's client can come with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A credential that is good.
    Good,
    /// There never was one.
    Never,
    /// None is good any more; what people call the last.
    Ended(String),
}

/// What the health of a connection is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The connection's name.
    pub name: &'a str,
    /// Its requests of the last 24 hours.
    pub tallies: &'a [Tally],
    /// Its last request.
    pub last: Option<Last>,
    /// What its client can come with.
    pub access: &'a Access,
    /// Deactivations that wait for an operator.
    pub held: i64,
}

impl Seen<'_> {
    /// How the connection fares, and why that is said.
    pub fn verdict(self, now_ms: i64) -> (Verdict, String) {
        let (verdict, why) = self.judge(now_ms);
        let sentences = [why, self.waiting()].into_iter();
        let sentences: Vec<_> = sentences.filter(|text| !text.is_empty()).collect();
        (verdict, sentences.join(" "))
    }

    fn judge(self, now_ms: i64) -> (Verdict, String) {
        let risk = |why: String| (Verdict::QuarantineRisk, why);
        if let Access::Ended(name) = self.access {
            return risk(format!(
                "No credential is good any more; the last was {name:?}. Make a new one with \
                 `muster credential create` and put it into the client."
            ));
        }
        let Some(last) = self.last.filter(|last| last.at > now_ms - WINDOW_MS) else {
            let why = match self.access {
                Access::Never => "There is no credential yet: `muster credential create`.",
                _ => "There was no request in 24 hours.",
            };
            return (Verdict::Quiet, why.to_owned());
        };
        if last.status == 401 {
            return risk("The last request came with a credential that has ended.".to_owned());
        }
        if let Some(why) = self.unanswered() {
            return risk(why);
        }
        self.by_share()
    }

    /// Why no lookup is answered, where none is.
    fn unanswered(self) -> Option<String> {
        let lookups = self.count(|tally| tally.is_lookup);
        if lookups < LOOKUPS || self.count(Tally::is_unanswered) < lookups {
            return None;
        }
        let most = self.tallies.iter().filter(|tally| tally.is_unanswered());
        let most = most.max_by_key(|tally| tally.count)?;
        let names = [&most.reason, &most.scim_type];
        let name = names.into_iter().find(|name| !name.is_empty());
        Some(match name {
            None if most.status == 404 => {
                "No lookup is answered: the Tenant URL may be wrong.".to_owned()
            }
            name => {
                let name = name.map_or(String::new(), |name| format!(" {name}"));
                format!("No lookup is answered but with {}{name}.", most.status)
            }
        })
    }

    fn by_share(self) -> (Verdict, String) {
        let failures = self.count(|tally| tally.failed);
        let references = self.count(|tally| tally.failed && tally.is_reference());
        let answered = self.count(|tally| tally.is_lookup && !tally.failed);
        let judged = self.count(|_| true) - answered;
        let aside = match answered {
            0 => "",
            _ => ", answered lookups aside",
        };
        let share = format!("{failures} of {judged} requests failed{aside}");
        if failures >= LOOKED_AT && exceeds(failures, judged, SHARE) {
            return (
                Verdict::QuarantineRisk,
                format!("{share}: more than {SHARE} %."),
            );
        }
        if failures - references > TOO_MANY || failures > TOO_MANY_WITH_REFERENCES {
            return (
                Verdict::QuarantineRisk,
                format!("{failures} failures in 24 hours."),
            );
        }
        if exceeds(failures, judged, FAILING_SHARE) {
            return (Verdict::Failing, format!("{share}."));
        }
        (Verdict::Healthy, String::new())
    }

    /// What an operator has to decide.
    fn waiting(self) -> String {
        let waits = match self.held {
            ..=0 => return String::new(),
            1 => "1 deactivation waits".to_owned(),
            held => format!("{held} deactivations wait"),
        };
        format!(
            "{waits} for an operator: `muster held list --connection {}`, then `muster held \
             release` or `drop`.",
            self.name
        )
    }

    fn count(self, wanted: impl Fn(&Tally) -> bool) -> i64 {
        let wanted = self.tallies.iter().filter(|tally| wanted(tally));
        wanted.map(|tally| tally.count).sum()
    }
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

#[cfg(test)]
mod tests;
