//! Numbers as filters and orders see them: one line, whatever their type.

use std::cmp::Ordering;

use muster_proto::value::Value;

/// A number. What is whole and fits 64 bits is an integer, however it was
/// written, so that every database compares it exactly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, or a larger one.
    Decimal(f64),
}

/// 2 to the power of 63: the first number that no integer reaches.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    /// The number of a value; `None` for what is none.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(Self::Integer(*value)),
            Value::Decimal(value) => Self::from_f64(*value),
            _ => None,
        }
    }

    /// A finite number.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let is_whole = value.fract() == 0.0 && (-BEYOND..BEYOND).contains(&value);
        Some(match is_whole {
            true => Self::Integer(truncated(value)),
            false => Self::Decimal(value),
        })
    }

    /// The number as a value.
    pub fn value(self) -> Value {
        match self {
            Self::Integer(value) => Value::Integer(value),
            Self::Decimal(value) => Value::Decimal(value),
        }
    }

    /// The shortest text that means exactly this number.
    pub fn text(self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Decimal(value) => value.to_string(),
        }
    }

    /// The number of such a text.
    pub fn read(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(value) => Some(Self::Integer(value)),
            Err(_) => Self::from_f64(text.parse().ok()?),
        }
    }

    /// Compares by value, without rounding.
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            (Self::Decimal(a), Self::Decimal(b)) => a.total_cmp(&b),
            (Self::Integer(a), Self::Decimal(b)) => against(a, b),
            (Self::Decimal(a), Self::Integer(b)) => against(b, a).reverse(),
        }
    }
}

/// Compares an integer with a number that is none: one with a fraction lies
/// between two, a larger one beyond all.
fn against(integer: i64, decimal: f64) -> Ordering {
    if decimal >= BEYOND {
        return Ordering::Less;
    }
    if decimal < -BEYOND {
        return Ordering::Greater;
    }
    match integer.cmp(&truncated(decimal.floor())) {
        Ordering::Equal => Ordering::Less,
        unequal => unequal,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "called with whole numbers that an integer can hold"
)]
fn truncated(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> Number {
        Number::from_f64(value).expect("finite")
    }

    #[test]
    fn numbers_are_ordered_whatever_their_type() {
        let line = [
            number(-1e300),
            Number::Integer(i64::MIN),
            number(-1.5),
            Number::Integer(-1),
            number(-0.5),
            Number::Integer(0),
            number(0.1),
            Number::Integer(9_007_199_254_740_992),
            Number::Integer(9_007_199_254_740_993),
            Number::Integer(i64::MAX),
            number(BEYOND),
        ];
        for (i, a) in line.iter().enumerate() {
            for (j, b) in line.iter().enumerate() {
                assert_eq!(a.compare(*b), i.cmp(&j), "{a:?} {b:?}");
            }
            assert_eq!(Number::read(&a.text()), Some(*a));
        }
    }

    #[test]
    fn what_is_whole_is_an_integer() {
        assert_eq!(number(-0.0), Number::Integer(0));
        assert_eq!(number(5.0), Number::Integer(5));
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::of(&"5".into()), None);
    }
}
