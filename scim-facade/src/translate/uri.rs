//! Comparisons with URIs that the facade makes.
//!
//! `meta.location` and the `$ref` of members, groups and managers are not kept
//! anywhere: each is a prefix with an id behind it. What is asked of the URI is
//! asked of the id here, once the prefix has had its say.

use percent_encoding::percent_decode_str;

use crate::scim::{filter::Operator, meta::Links};

/// What remains to be asked of the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Every URI compares so.
    All,
    /// None does.
    None,
    /// Those do whose id compares so.
    Id(Operator, String),
}

/// A comparison of `prefix` and an id with a literal. Prefixes end with a
/// slash, and ids have none: those of managers, which clients write, are
/// escaped in URIs.
pub fn compare(prefix: &str, operator: Operator, literal: &str) -> Rest {
    match operator {
        Operator::Equal | Operator::NotEqual => same(prefix, operator, literal),
        Operator::StartsWith => starts(prefix, literal),
        Operator::EndsWith => ends(prefix, literal),
        Operator::Contains => contains(prefix, literal),
        Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual => {
            ordered(prefix, operator, literal)
        }
    }
}

fn same(prefix: &str, operator: Operator, literal: &str) -> Rest {
    match literal.strip_prefix(prefix).and_then(id_of) {
        Some(id) => Rest::Id(operator, id),
        None if operator == Operator::Equal => Rest::None,
        None => Rest::All,
    }
}

/// The id that is written so in a URI. Other spellings of it never come.
fn id_of(segment: &str) -> Option<String> {
    let id = percent_decode_str(segment).decode_utf8().ok()?;
    let canonical = Links::new("", "").resource("", &id);
    (!id.is_empty() && canonical.strip_prefix('/') == Some(segment)).then(|| id.into_owned())
}

fn starts(prefix: &str, literal: &str) -> Rest {
    if prefix.starts_with(literal) {
        return Rest::All;
    }
    part(literal.strip_prefix(prefix), Operator::StartsWith)
}

fn ends(prefix: &str, literal: &str) -> Rest {
    match literal.rfind('/') {
        None => part(Some(literal), Operator::EndsWith),
        // Only the prefix has slashes, and it ends with one.
        Some(slash) => {
            let (head, id) = literal.split_at(slash + 1);
            let id = Some(id).filter(|_| prefix.ends_with(head));
            id.and_then(id_of)
                .map_or(Rest::None, |id| Rest::Id(Operator::Equal, id))
        }
    }
}

fn contains(prefix: &str, literal: &str) -> Rest {
    if prefix.contains(literal) {
        return Rest::All;
    }
    match literal.rfind('/') {
        None => part(Some(literal), Operator::Contains),
        Some(slash) => {
            let (head, start) = literal.split_at(slash + 1);
            let start = Some(start).filter(|_| prefix.ends_with(head));
            part(start, Operator::StartsWith)
        }
    }
}

/// A part of an id; every id has the empty one.
fn part(text: Option<&str>, operator: Operator) -> Rest {
    match text {
        None => Rest::None,
        Some("") => Rest::All,
        Some(text) if text.contains('/') => Rest::None,
        Some(text) => {
            let decoded = percent_decode_str(text).decode_utf8();
            let text = decoded.map_or_else(|_| text.to_owned(), Into::into);
            Rest::Id(operator, text)
        }
    }
}

fn ordered(prefix: &str, operator: Operator, literal: &str) -> Rest {
    if let Some(rest) = literal.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
        return Rest::Id(operator, rest.to_owned());
    }
    // Where the literal is a part of the prefix, every URI is longer.
    let greater = prefix.as_bytes() >= literal.as_bytes();
    let wants_greater = matches!(operator, Operator::Greater | Operator::GreaterOrEqual);
    if greater == wants_greater {
        Rest::All
    } else {
        Rest::None
    }
}

#[cfg(test)]
mod tests {
    use Operator as O;

    use super::*;

    const PREFIX: &str = "http://h/scim/v2/Users/";

    #[track_caller]
    fn check(operator: O, literal: &str, expected: &str) {
        let shown = match compare(PREFIX, operator, literal) {
            Rest::All => "all".to_owned(),
            Rest::None => "none".to_owned(),
            Rest::Id(operator, text) => format!("{} {text}", operator.as_str()),
        };
        assert_eq!(shown, expected, "{} {literal}", operator.as_str());
    }

    #[test]
    fn the_prefix_has_its_say() {
        check(O::Equal, "http://h/scim/v2/Users/7", "eq 7");
        check(O::Equal, "http://h/scim/v2/Users/a%20b", "eq a b");
        check(O::Equal, "http://h/scim/v2/Users/%37", "none");
        check(O::Equal, "http://h/scim/v2/Users/", "none");
        check(O::Equal, "http://other/scim/v2/Users/7", "none");
        check(O::Equal, "7", "none");
        check(O::NotEqual, "http://h/scim/v2/Users/7", "ne 7");
        check(O::NotEqual, "7", "all");
        check(O::StartsWith, "http://h", "all");
        check(O::StartsWith, PREFIX, "all");
        check(O::StartsWith, "", "all");
        check(O::StartsWith, "http://h/scim/v2/Users/7", "sw 7");
        check(O::StartsWith, "http://h/scim/v2/Users/7/8", "none");
        check(O::StartsWith, "https", "none");
        check(O::EndsWith, "7", "ew 7");
        check(O::EndsWith, "", "all");
        check(O::EndsWith, "Users/7", "eq 7");
        check(O::EndsWith, "/7", "eq 7");
        check(O::EndsWith, "Groups/7", "none");
        check(O::EndsWith, "Users/", "none");
        check(O::EndsWith, "x http://h/scim/v2/Users/7", "none");
        check(O::Contains, "scim", "all");
        check(O::Contains, "/Users/", "all");
        check(O::Contains, "7", "co 7");
        check(O::Contains, "Users/7", "sw 7");
        check(O::Contains, "Groups/7", "none");
        check(O::Greater, "http://h/scim/v2/Users/7", "gt 7");
        check(O::LessOrEqual, "http://h/scim/v2/Users/7", "le 7");
        check(O::Greater, "http://h", "all");
        check(O::Less, "http://h", "none");
        check(O::GreaterOrEqual, PREFIX, "all");
        check(O::LessOrEqual, PREFIX, "none");
        check(O::Less, "http://i", "all");
        check(O::GreaterOrEqual, "http://i", "none");
        check(O::Less, "http://g", "none");
    }

    /// The answer about the id is the answer about the URI.
    #[test]
    fn both_sides_agree() {
        let holds = |operator: O, text: &str, literal: &str| match operator {
            O::Equal => text == literal,
            O::NotEqual => text != literal,
            O::Contains => text.contains(literal),
            O::StartsWith => text.starts_with(literal),
            O::EndsWith => text.ends_with(literal),
            O::Greater => text > literal,
            O::GreaterOrEqual => text >= literal,
            O::Less => text < literal,
            O::LessOrEqual => text <= literal,
        };
        let ids = ["0198c0de", "7", "77", "Users", "scim", "zz"];
        let uris: Vec<_> = ids.iter().map(|id| format!("{PREFIX}{id}")).collect();
        let mut literals: Vec<&str> = vec!["", "/", "x", "http://h/scim/v2/Groups/7", "https://h"];
        for uri in &uris {
            literals.extend((0..uri.len()).map(|start| &uri[start..]));
            literals.extend((0..uri.len()).map(|end| &uri[..end]));
            literals.extend((3..uri.len() - 1).map(|start| &uri[start..uri.len() - 1]));
        }
        for operator in Operator::ALL {
            for literal in &literals {
                for (id, uri) in ids.iter().zip(&uris) {
                    let found = match compare(PREFIX, operator, literal) {
                        Rest::All => true,
                        Rest::None => false,
                        Rest::Id(operator, text) => holds(operator, id, &text),
                    };
                    let expected = holds(operator, uri, literal);
                    assert_eq!(found, expected, "{uri} {} {literal}", operator.as_str());
                }
            }
        }
    }
}
