//! Versions and preconditions: RFC 9110 sections 8.8.3 and 13.1.

use crate::error::{Error, Result};

/// The strong entity tag of a version.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// A condition on the version that a write finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Precondition(Option<Vec<String>>);

impl Precondition {
    /// Reads entity tags separated by commas; empty text or `*` demand nothing
    /// beyond existence. Weak tags never match, as RFC 9110 section 13.1.1 says.
    pub fn parse(text: &str) -> Self {
        let tags: Vec<_> = text.split(',').map(|tag| tag.trim().to_owned()).collect();
        let free = text.trim().is_empty() || tags.iter().any(|tag| tag == "*");
        Self((!free).then_some(tags))
    }

    /// Whether it demands nothing but that there is something.
    pub fn is_free(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a resource of this version may be written.
    ///
    /// # Errors
    /// [`Error::VersionMismatch`].
    pub fn check(&self, version: i64) -> Result<()> {
        let current = etag(version);
        match &self.0 {
            Some(tags) if !tags.contains(&current) => Err(Error::VersionMismatch { current }),
            _ => Ok(()),
        }
    }
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
}
