//! In which order a list comes: RFC 7644 section 3.4.2.3 over the registry.
//!
//! Every resource has one [`Key`], and keys have one order on every database:
//! false, true, numbers, texts by their bytes (folded where case does not
//! count), and last what has no value. Of one attribute that the registry
//! knows, all keys are of one type. A list that descends turns this around;
//! resources with equal keys stay in the order of their ids.

use std::cmp::Ordering;

use super::number::Number;

/// What a resource is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// A truth value.
    Truth(bool),
    /// A number, or milliseconds since the Unix epoch.
    Number(Number),
    /// A text as it is compared.
    Text(String),
    /// The resource has no value.
    Missing,
}

impl Key {
    /// Ascending.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Truth(a), Self::Truth(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.compare(*b),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    /// Where keys of this type stand among those of others.
    pub fn rank(&self) -> i64 {
        match self {
            Self::Truth(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Missing => 4,
        }
    }

    /// As a text that [`read`](Self::read) reads.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Truth(value) => format!("b{value}"),
            Self::Number(number) => format!("n{}", number.text()),
            Self::Text(text) => format!("t{text}"),
            Self::Missing => "m".to_owned(),
        }
    }

    /// The key of such a text.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (first, rest) = text.split_at_checked(1)?;
        Some(match first {
            "b" => Self::Truth(rest.parse().ok()?),
            "n" => Self::Number(Number::read(rest)?),
            "t" => Self::Text(rest.to_owned()),
            "m" if rest.is_empty() => Self::Missing,
            _ => return None,
        })
    }
}
