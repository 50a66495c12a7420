//! The one function by which text is compared without case.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// The key under which texts that differ only in case, or in how accents are
/// composed, are the same (Unicode canonical caseless matching, D145).
///
/// Applied on write and on lookup alike: databases fold differently from each
/// other, and SQLite folds ASCII only.
///
/// ```
/// use muster_directory::domain::fold::fold;
/// assert_eq!(fold("STRASSE"), fold("straße"));
/// assert_eq!(fold("e\u{301}"), fold("É"));
/// assert_ne!(fold("ı"), fold("I"));
/// ```
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfd().default_case_fold().nfd().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_idempotent() {
        for text in ["Ada", "İstanbul", "ǅ", "ΣΊΣΥΦΟΣ", "ﬁ", "한국", "\u{1F600}"] {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }

    #[test]
    fn different_letters_stay_different() {
        for (a, b) in [("i", "ı"), ("o", "ö"), ("a", "à"), ("%", "_")] {
            assert_ne!(fold(a), fold(b));
        }
    }
}
