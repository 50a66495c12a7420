//! Versions and preconditions: RFC 9110 sections 8.8.3 and 13.1.

use crate::error::{Error, Result};

/// The strong entity tag of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// A condition on the version that a write finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition {
    /// The versions that are wanted; `None`: any.
    wanted: Option<Vec<String>>,
    /// The versions that are not.
    unwanted: Unwanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Unwanted {
    All,
    These(Vec<String>),
}

impl Default for Unwanted {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Precondition {
    /// Reads entity tags separated by commas; empty text or `*` demand nothing
    /// beyond existence. Weak tags never match, as RFC 9110 section 13.1.1 says.
    pub fn parse(text: &str) -> Self {
        let tags = tags(text);
        let free = text.trim().is_empty() || tags.iter().any(|tag| tag == "*");
        Self {
            wanted: (!free).then_some(tags),
            ..Self::default()
        }
    }

    /// The same, but for these versions: entity tags as in [`parse`](Self::parse),
    /// where `*` means all and empty text none.
    pub fn unless(self, text: &str) -> Self {
        let tags = tags(text);
        let unwanted = match tags.iter().any(|tag| tag == "*") {
            true => Unwanted::All,
            false => Unwanted::These(tags),
        };
        Self { unwanted, ..self }
    }

    /// Whether it names no version that is wanted.
    pub fn is_free(&self) -> bool {
        self.wanted.is_none()
    }

    /// Whether a resource of this version may be written.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`].
    pub fn check(&self, version: i64) -> Result<()> {
        let current = etag(version);
        let is_wanted = match &self.wanted {
            Some(tags) => tags.contains(&current),
            None => true,
        };
        let is_unwanted = match &self.unwanted {
            Unwanted::All => true,
            Unwanted::These(tags) => tags.contains(&current),
        };
        match is_wanted && !is_unwanted {
            true => Ok(()),
            false => Err(Error::VersionMismatch { current }),
        }
    }
}

fn tags(text: &str) -> Vec<String> {
    text.split(',').map(|tag| tag.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_names_the_current_version_or_fails() {
        for (text, holds) in [
            ("", true),
            ("*", true),
            ("\"3\"", true),
            ("\"1\", \"3\"", true),
            ("\"2\"", false),
            ("W/\"3\"", false),
            ("3", false),
        ] {
            assert_eq!(Precondition::parse(text).check(3).is_ok(), holds, "{text}");
        }
    }

    #[test]
    fn a_precondition_fails_for_the_versions_that_are_not_wanted() {
        for (text, holds) in [
            ("", true),
            ("\"2\"", true),
            ("W/\"3\"", true),
            ("\"2\", \"3\"", false),
            ("*", false),
        ] {
            let free = Precondition::default().unless(text);
            assert_eq!(free.check(3).is_ok(), holds, "{text}");
            let wanted = Precondition::parse("\"3\"").unless(text);
            assert_eq!(wanted.check(3).is_ok(), holds, "{text}");
            assert!(wanted.check(4).is_err(), "{text}");
        }
    }
}
