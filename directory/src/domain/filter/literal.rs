//! What values are compared with.

use std::cmp::Ordering;

use muster_proto::{
    schema::{Attribute, Kind},
    value::Value,
};

use super::Operator;
use crate::domain::{conform::instant_ms, fold::fold, number::Number, search};

/// What to compare with, of the attribute's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text {
        /// As the caller wrote it.
        given: String,
        /// Folded when the attribute's case does not count.
        key: String,
    },
    /// A truth value.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// Milliseconds since the Unix epoch.
    Instant(i64),
}

impl Literal {
    pub(super) fn of(leaf: &Attribute, value: Value) -> Option<Self> {
        match (leaf.kind, value) {
            (Kind::String | Kind::Reference | Kind::Binary, Value::String(given)) => {
                let key = if leaf.case_exact {
                    given.clone()
                } else {
                    fold(&given)
                };
                Some(Self::Text { given, key })
            }
            (Kind::Boolean, Value::Boolean(value)) => Some(Self::Boolean(value)),
            (Kind::Integer | Kind::Decimal, value) => Number::of(&value).map(Self::Number),
            (Kind::DateTime, Value::String(text)) => instant_ms(&text).map(Self::Instant),
            _ => None,
        }
    }

    /// For attributes whose type nobody declared, the value tells it. Case does
    /// not count (RFC 7643 section 2.2: caseExact is false by default).
    pub(super) fn of_any(value: Value) -> Option<Self> {
        match value {
            Value::String(given) => Some(Self::Text {
                key: fold(&given),
                given,
            }),
            Value::Boolean(value) => Some(Self::Boolean(value)),
            value => Number::of(&value).map(Self::Number),
        }
    }

    /// What stands in an index for the values that are equal to it
    /// ([`search::value_key`]); "perhaps", where it is long.
    pub fn index_key(&self) -> String {
        match self {
            Self::Text { key, .. } => search::index_key(key),
            Self::Boolean(truth) => truth.to_string(),
            Self::Number(number) => number.text(),
            Self::Instant(ms) => ms.to_string(),
        }
    }

    pub(super) fn allows(&self, operator: Operator, leaf: Option<&Attribute>) -> bool {
        use Operator::{Contains, EndsWith, Equal, NotEqual, StartsWith};
        let binary = leaf.is_some_and(|leaf| leaf.kind == Kind::Binary);
        match self {
            Self::Boolean(_) => matches!(operator, Equal | NotEqual),
            Self::Text { .. } if binary => matches!(operator, Equal | NotEqual),
            Self::Text { .. } => true,
            Self::Number(_) | Self::Instant(_) => {
                !matches!(operator, Contains | StartsWith | EndsWith)
            }
        }
    }

    pub(super) fn value(&self) -> Option<Value> {
        match self {
            Self::Text { given, .. } => Some(given.as_str().into()),
            Self::Boolean(value) => Some((*value).into()),
            Self::Number(number) => Some(number.value()),
            Self::Instant(_) => None,
        }
    }

    /// Whether a value, which may be missing, compares so with this.
    pub(super) fn accepts(
        &self,
        leaf: Option<&Attribute>,
        value: Option<&Value>,
        operator: Operator,
    ) -> bool {
        if operator == Operator::NotEqual {
            return !self.accepts(leaf, value, Operator::Equal);
        }
        match (self, value) {
            (Self::Text { key, .. }, Some(Value::String(text))) => {
                let text = text_key(leaf, text);
                match operator {
                    Operator::Contains => text.contains(key),
                    Operator::StartsWith => text.starts_with(key),
                    Operator::EndsWith => text.ends_with(key),
                    _ => operator.allows(text.as_bytes().cmp(key.as_bytes())),
                }
            }
            (Self::Instant(ms), Some(value)) => {
                instant(value).is_some_and(|value| operator.allows(value.cmp(ms)))
            }
            (Self::Boolean(literal), Some(Value::Boolean(value))) => {
                operator.allows(value.cmp(literal))
            }
            // RFC 7643 section 2.4: an element without "primary" is not primary.
            (Self::Boolean(literal), None) if leaf.is_some_and(|leaf| leaf.name == "primary") => {
                operator.allows(false.cmp(literal))
            }
            (Self::Number(literal), Some(value)) => {
                Number::of(value).is_some_and(|value| operator.allows(value.compare(*literal)))
            }
            _ => false,
        }
    }
}

/// A text as it is compared.
pub(super) fn text_key(leaf: Option<&Attribute>, text: &str) -> String {
    match leaf.is_some_and(|leaf| leaf.case_exact) {
        true => text.to_owned(),
        false => fold(text),
    }
}

/// Milliseconds since the Unix epoch, of a text or as they are.
pub(super) fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => instant_ms(text),
        Value::Integer(ms) => Some(*ms),
        _ => None,
    }
}

impl Operator {
    fn allows(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Contains | Self::StartsWith | Self::EndsWith => false,
        }
    }
}
