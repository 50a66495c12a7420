//! Filter text as a tree: RFC 7644 section 3.4.2.2.
//!
//! One recursive type, also inside brackets. The tree says what the text
//! says: whether the attributes exist and the operators fit is decided when
//! it is lowered ([`crate::translate::filter`]). `Display` writes a filter
//! that parses to the same tree. `grammar.abnf` has the grammar.

mod lexer;
mod parser;

use std::fmt;

pub use parser::{parse, parse_path};

use super::path::Path;

/// Longest filter or path, in characters.
pub const MAX_CHARACTERS: usize = 2048;
/// Most nested parentheses and brackets, and most levels of the tree.
pub const MAX_DEPTH: usize = 10;
/// Most nodes of the tree.
pub const MAX_NODES: usize = 64;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them; two or more.
    And(Vec<Filter>),
    /// Any of them; two or more.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute compares so with the value.
    Compare(Path, Operator, Literal),
    /// The attribute has a value.
    Present(Path),
    /// Some one element of the attribute satisfies the filter.
    Element(Path, Box<Filter>),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// As written, so that `12345` compared with text stays that text.
    Number(String),
    /// Quoted, or a bare word from clients that leave the quotes out.
    String(String),
}

/// Why the text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Byte at which the reader gave up.
    pub offset: usize,
    /// What it expected, or which limit was met.
    pub message: String,
}

impl Error {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { offset, message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.message, self.offset)
    }
}

impl std::error::Error for Error {}

impl Operator {
    /// The operator with this name, compared without case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str().eq_ignore_ascii_case(word))
    }

    /// Every operator.
    pub const ALL: [Self; 9] = [
        Self::Equal,
        Self::NotEqual,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
    ];

    /// The name in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Contains => "co",
            Self::StartsWith => "sw",
            Self::EndsWith => "ew",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
        }
    }
}

impl Filter {
    /// Levels of the tree; 1 for a comparison.
    pub fn depth(&self) -> usize {
        1 + match self {
            Self::And(filters) | Self::Or(filters) => {
                filters.iter().map(Self::depth).max().unwrap_or(0)
            }
            Self::Not(filter) | Self::Element(_, filter) => filter.depth(),
            Self::Compare(..) | Self::Present(_) => 0,
        }
    }

    /// The comparisons, when the filter is nothing but equalities joined by
    /// "and": what an element must have to satisfy it.
    pub fn equalities(&self) -> Option<Vec<(&Path, &Literal)>> {
        match self {
            Self::Compare(path, Operator::Equal, literal) => Some(vec![(path, literal)]),
            Self::And(filters) => {
                let parts: Option<Vec<_>> = filters.iter().map(Self::equalities).collect();
                Some(parts?.concat())
            }
            _ => None,
        }
    }

    /// Binding strength: a child of lower or equal strength needs parentheses.
    fn strength(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::And(_) => 1,
            _ => 2,
        }
    }

    fn write_list(&self, f: &mut fmt::Formatter<'_>, list: &[Self], word: &str) -> fmt::Result {
        for (index, filter) in list.iter().enumerate() {
            if index > 0 {
                write!(f, " {word} ")?;
            }
            if filter.strength() <= self.strength() {
                write!(f, "({filter})")?;
            } else {
                write!(f, "{filter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(filters) => self.write_list(f, filters, "and"),
            Self::Or(filters) => self.write_list(f, filters, "or"),
            Self::Not(filter) => write!(f, "not ({filter})"),
            Self::Compare(path, operator, literal) => {
                write!(f, "{path} {} {literal}", operator.as_str())
            }
            Self::Present(path) => write!(f, "{path} pr"),
            Self::Element(path, filter) => write!(f, "{path}[{filter}]"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => {
                let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
                f.write_str(&quoted)
            }
        }
    }
}

#[cfg(test)]
mod tests;
