//! Spans of time in a policy: text such as `365d`, kept as it was written.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::span;

/// A span of time in whole milliseconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(i64);

/// A thousand years: the sum with the time must be one.
const MOST: i64 = 31_556_952_000_000;

impl Lifetime {
    /// Three days.
    pub(super) const THREE_DAYS: Self = Self(72 * 3_600_000);

    /// So many milliseconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_ms(ms: i64) -> Result<Self, &'static str> {
        match (1..=MOST).contains(&ms) {
            true => Ok(Self(ms)),
            false => Err("must be within a thousand years"),
        }
    }

    /// In milliseconds.
    pub fn ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0).unwrap_or_default();
        // "365d" comes back as such, not as a year and some hours.
        f.write_str(&span::format(Duration::from_millis(ms)))
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let wrong = |e: &dyn fmt::Display| D::Error::custom(format!("{text:?}: {e}"));
        let span = span::parse(&text).map_err(|e| wrong(&e))?;
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::of_ms(ms).map_err(|e| wrong(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["365d", "72h", "1h 30m", "366d 1h", "500ms"] {
            let json = format!("{text:?}");
            let read: Lifetime = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}"));
            let again = serde_json::to_string(&read).unwrap_or_default();
            let back: Lifetime = serde_json::from_str(&again).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read, back, "{text}: {again}");
        }
        let year: Lifetime = serde_json::from_str("\"365d\"").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(year.to_string(), "365d");
        for wrong in ["\"\"", "\"soon\"", "\"0s\"", "\"2000y\"", "7"] {
            assert!(serde_json::from_str::<Lifetime>(wrong).is_err(), "{wrong}");
        }
    }
}
