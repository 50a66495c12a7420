//! In which order a list comes: RFC 7644 section 3.4.2.3 over the registry.
//!
//! Of long texts only the beginning counts ([`SPAN`]). Every resource has one [`Key`], and keys have one order on every database:
//! false, true, numbers, texts by their bytes (folded where case does not
//! count), and last what has no value. Of one attribute that the registry
//! knows, all keys are of one type. A list that descends turns this around;
//! resources with equal keys stay in the order of their ids.

use std::cmp::Ordering;

use muster_proto::schema::{Kind, Reach, ResourceType};

use super::{filter::Field, number::Number};
use crate::error::{Error, Result};

/// Longest part of a text that tells its place, in characters: a page token
/// holds it. Names that have a column are bounded, and compared as a whole.
pub const SPAN: usize = 256;

/// An order that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    /// What is looked at: of a multi-valued attribute the primary element, else
    /// the first; groups and members are in the order of their ids.
    pub field: Field,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// Of which type the keys of an order are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// False and true.
    Truth,
    /// Numbers and times.
    Number,
    /// Texts.
    Text,
    /// Any: nobody declared the attribute's type.
    Any,
}

impl Sort {
    /// Looks up a path in the registry.
    ///
    /// # Errors
    /// [`Error::SortInvalid`] when it names nothing that has an order.
    pub fn find(
        resource: &ResourceType,
        (schema, name, sub): (&str, &str, &str),
        descending: bool,
    ) -> Result<Self> {
        let unknown = |_| Error::SortInvalid(format!("{name:?} is no attribute to sort by"));
        let field = Field::find(resource, schema, name, sub).map_err(unknown)?;
        let is_whole = !matches!(field, Field::Unregistered { .. })
            && field.leaf().is_none_or(|leaf| leaf.kind == Kind::Complex);
        if is_whole {
            let rule = format!("{name:?} has several parts; name the one to sort by");
            return Err(Error::SortInvalid(rule));
        }
        Ok(Self { field, descending })
    }

    /// Of which type the keys are.
    pub fn key_type(&self) -> KeyType {
        match self.field.leaf().map(|leaf| leaf.kind) {
            None => KeyType::Any,
            Some(Kind::Boolean) => KeyType::Truth,
            Some(Kind::Integer | Kind::Decimal | Kind::DateTime) => KeyType::Number,
            Some(Kind::String | Kind::Binary | Kind::Reference | Kind::Complex) => KeyType::Text,
        }
    }

    /// Whether only the first [`SPAN`] characters of a text count.
    pub fn is_cut(&self) -> bool {
        let reach = self.field.leaf().map(|leaf| leaf.reach);
        !matches!(reach, Some(Reach::Column | Reach::Relation))
    }

    /// A folded text as its key.
    pub fn cut<'a>(&self, text: &'a str) -> &'a str {
        match text.char_indices().nth(SPAN) {
            Some((end, _)) if self.is_cut() => &text[..end],
            _ => text,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, GROUP, USER};

    use super::*;

    #[test]
    fn whatever_has_one_value_can_be_sorted_by() {
        let urn = "urn:example:2.0:User";
        for (schema, name, sub, key_type) in [
            ("", "userName", "", KeyType::Text),
            ("", "emails", "", KeyType::Text),
            ("", "emails", "primary", KeyType::Truth),
            ("", "name", "familyName", KeyType::Text),
            ("", "active", "", KeyType::Truth),
            ("", "meta", "lastModified", KeyType::Number),
            ("", "groups", "", KeyType::Text),
            (ENTERPRISE_USER, "manager", "displayName", KeyType::Text),
            (urn, "n", "", KeyType::Any),
        ] {
            let sort = Sort::find(&USER, (schema, name, sub), false).expect(name);
            assert_eq!(sort.key_type(), key_type, "{name}");
        }
        assert!(Sort::find(&GROUP, ("", "members", "display"), true).is_ok());
    }

    #[test]
    fn what_has_several_parts_or_is_not_there_is_refused() {
        for (schema, name, sub) in [
            ("", "name", ""),
            ("", "addresses", ""),
            ("", "meta", ""),
            ("", "shoeSize", ""),
            ("", "name", "nick"),
            (ENTERPRISE_USER, "", ""),
            ("urn:example:2.0:User", "", ""),
        ] {
            let refused = Sort::find(&USER, (schema, name, sub), false);
            assert!(matches!(refused, Err(Error::SortInvalid(_))), "{name}");
        }
    }

    #[test]
    fn keys_have_one_order() {
        let line = [
            Key::Truth(false),
            Key::Truth(true),
            Key::Number(Number::Integer(2)),
            Key::Number(Number::Integer(10)),
            Key::Text("10".to_owned()),
            Key::Text("2".to_owned()),
            Key::Text("\u{1F600}".to_owned()),
            Key::Missing,
        ];
        for (i, a) in line.iter().enumerate() {
            for (j, b) in line.iter().enumerate() {
                assert_eq!(a.compare(b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn only_the_beginning_of_a_long_text_counts() {
        let long = "ä".repeat(SPAN + 1);
        let title = Sort::find(&USER, ("", "title", ""), false).expect("registered");
        assert_eq!(title.cut(&long).chars().count(), SPAN);
        assert_eq!(title.cut("ä"), "ä");
        let name = Sort::find(&USER, ("", "userName", ""), false).expect("registered");
        assert_eq!(name.cut(&long), long);
    }
}
