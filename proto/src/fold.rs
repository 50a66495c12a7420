//! The one function by which text is compared without case.

use caseless::Caseless as _;
use unicode_normalization::UnicodeNormalization as _;

/// The key under which texts that differ only in case, in width, or in how
/// accents are composed, are the same (Unicode canonical caseless matching,
/// D145).
///
/// Applied on write and on lookup alike: databases fold differently from each
/// other, and SQLite folds ASCII only.
///
/// ```
/// use muster_proto::fold::fold;
/// assert_eq!(fold("STRASSE"), fold("straße"));
/// assert_eq!(fold("e\u{301}"), fold("É"));
/// assert_eq!(fold("ｂｏｂ"), fold("Bob"));
/// assert_ne!(fold("ı"), fold("I"));
/// ```
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    letters(text).collect()
}

/// Whether two texts have the same key. Makes none: where many are compared with
/// many, nearly all differ, and soon.
///
/// ```
/// use muster_proto::fold::same;
/// assert!(same("STRASSE", "straße") && same("Ada", "ADA"));
/// assert!(!same("Ada", "Adam"));
/// ```
pub fn same(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => !begin_differently(one, other) && letters(one).eq(letters(other)),
    }
}

/// Whether the texts differ in letters of ASCII with which both begin. The last of
/// them does not count: an accent may follow.
fn begin_differently(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.bytes().take_while(u8::is_ascii).count();
    let common = plain(one).min(plain(other)).saturating_sub(1);
    let mut begins = one.bytes().zip(other.bytes()).take(common);
    begins.any(|(a, b)| !a.eq_ignore_ascii_case(&b))
}

/// A key, letter by letter.
fn letters(text: &str) -> impl Iterator<Item = char> {
    let mapped = text.chars().flat_map(of_one_width);
    mapped.nfd().default_case_fold().nfd().nfc()
}

/// Letters in the width that East Asian typesetting gave them are the same
/// letters (RFC 8265 section 3.3, which RFC 7644 section 5 asks for).
fn of_one_width(c: char) -> impl Iterator<Item = char> {
    let is_wide_or_half = matches!(c, '\u{3000}' | '\u{FF01}'..='\u{FFEE}');
    let plain = (!is_wide_or_half).then_some(c);
    let mapped = is_wide_or_half.then(|| std::iter::once(c).nfkd());
    plain.into_iter().chain(mapped.into_iter().flatten())
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
    fn texts_are_the_same_when_their_keys_are() {
        let texts = [
            "",
            "k",
            "K",
            "\u{212A}",
            "ß",
            "SS",
            "ss",
            "é",
            "e\u{301}",
            "E",
            "ｂ",
            "B",
            "aé",
            "AE\u{301}",
            "ae",
            "abé",
            "AB\u{c9}",
            "abe\u{301}x",
            "abéX",
            "abe",
        ];
        for one in texts {
            for other in texts {
                assert_eq!(same(one, other), fold(one) == fold(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn different_letters_stay_different() {
        for (a, b) in [("i", "ı"), ("o", "ö"), ("a", "à"), ("%", "_")] {
            assert_ne!(fold(a), fold(b));
        }
    }
}
