//! What a write came to, for the log of a connection.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Resource;

/// What a write did to a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing differed.
    #[default]
    Unchanged,
    /// It is new.
    Created,
    /// Some of it differs.
    Updated,
    /// An active user no longer is.
    Disabled,
    /// An inactive user is active again.
    Enabled,
    /// It is gone.
    Deleted,
}

/// A value that was sent and not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// A SCIM path.
    pub path: String,
    /// Why, in words.
    pub reason: Cow<'static, str>,
}

/// What a write came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it did.
    pub outcome: Outcome,
    /// Names of the attributes whose values differ.
    pub changed: Vec<String>,
    /// What the connection's policy left out.
    pub ignored: Vec<Ignored>,
    /// Whether the deactivation or deletion waits for an operator.
    pub held: bool,
    /// The SCIM path by which an existing user was found and taken over.
    pub matched_by: Option<String>,
}

impl Report {
    /// That something was done, and nothing is to be said of attributes.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            ..Self::default()
        }
    }

    /// Of a resource whose attributes may differ; `active` goes by what its client
    /// says of a user.
    pub fn between(before: &Resource, after: &Resource) -> Self {
        let changed = after.changed_attributes(before);
        let outcome = match (before.active(), after.active()) {
            _ if changed.is_empty() => Outcome::Unchanged,
            (true, false) => Outcome::Disabled,
            (false, true) => Outcome::Enabled,
            _ => Outcome::Updated,
        };
        Self {
            changed,
            ..Self::of(outcome)
        }
    }
}
