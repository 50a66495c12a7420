//! Attribute values as a tree.
//!
//! Code that follows the registry (PATCH, filters, projection, JSON) walks
//! these trees; code that knows its fields uses the generated messages.
//! Conversion between the two is in [`crate::resource`].

use std::collections::BTreeMap;

use crate::v1::{self, attribute_value::Value as Wire};

/// A value of RFC 7643 section 2.3. Times are RFC 3339 text, binary data is
/// base64, references are text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// RFC 7643 section 2.5: "unassigned". Found in PATCH operations and
    /// request bodies, never in a stored resource.
    Null,
    /// Also times, references and base64.
    String(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Sub-attributes by name.
    Complex(Object),
    /// The elements of a multi-valued attribute.
    List(Vec<Value>),
}

/// Attributes by name. Names of registered attributes are spelled as in the
/// registry; a schema extension stands under its URN.
pub type Object = BTreeMap<String, Value>;

impl Value {
    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The sub-attributes, when it is complex.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Complex(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, when it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Whether this is the same as no value at all: null, empty text, an empty
    /// list or a complex value without any assigned sub-attribute (RFC 7643
    /// section 2.5; provisioning clients also clear with "").
    pub fn is_unassigned(&self) -> bool {
        match self {
            Self::Null => true,
            Self::String(text) => text.is_empty(),
            Self::List(elements) => elements.iter().all(Self::is_unassigned),
            Self::Complex(object) => object.values().all(Self::is_unassigned),
            Self::Boolean(_) | Self::Integer(_) | Self::Decimal(_) => false,
        }
    }

    /// The value without the parts that are unassigned; `None` when nothing
    /// is left.
    pub fn pruned(self) -> Option<Self> {
        match self {
            Self::List(elements) => {
                let kept: Vec<_> = elements.into_iter().filter_map(Self::pruned).collect();
                (!kept.is_empty()).then_some(Self::List(kept))
            }
            Self::Complex(object) => {
                let kept = prune(object);
                (!kept.is_empty()).then_some(Self::Complex(kept))
            }
            other => (!other.is_unassigned()).then_some(other),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// The attributes that have a value.
pub fn prune(object: Object) -> Object {
    let assigned = |(name, value): (String, Value)| Some((name, value.pruned()?));
    object.into_iter().filter_map(assigned).collect()
}

impl From<Value> for v1::AttributeValue {
    fn from(value: Value) -> Self {
        let wire = match value {
            Value::Null => Wire::Unassigned(true),
            Value::String(text) => Wire::StringValue(text),
            Value::Boolean(value) => Wire::BoolValue(value),
            Value::Integer(value) => Wire::IntegerValue(value),
            Value::Decimal(value) => Wire::DecimalValue(value),
            Value::Complex(object) => Wire::ComplexValue(object_to_wire(object)),
            Value::List(elements) => Wire::ListValue(v1::AttributeValueList {
                values: elements.into_iter().map(Into::into).collect(),
            }),
        };
        Self { value: Some(wire) }
    }
}

impl From<v1::AttributeValue> for Value {
    fn from(message: v1::AttributeValue) -> Self {
        match message.value {
            None | Some(Wire::Unassigned(_)) => Self::Null,
            Some(Wire::StringValue(text)) => Self::String(text),
            Some(Wire::BoolValue(value)) => Self::Boolean(value),
            Some(Wire::IntegerValue(value)) => Self::Integer(value),
            Some(Wire::DecimalValue(value)) => Self::Decimal(value),
            Some(Wire::ComplexValue(complex)) => Self::Complex(object_from_wire(complex)),
            Some(Wire::ListValue(list)) => {
                Self::List(list.values.into_iter().map(Into::into).collect())
            }
        }
    }
}

/// Attributes as a message.
pub fn object_to_wire(object: Object) -> v1::ComplexValue {
    let field = |(name, value): (String, Value)| (name, value.into());
    v1::ComplexValue {
        fields: object.into_iter().map(field).collect(),
    }
}

/// A message as attributes.
pub fn object_from_wire(complex: v1::ComplexValue) -> Object {
    let attribute = |(name, value): (String, v1::AttributeValue)| (name, value.into());
    complex.fields.into_iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_keeps_every_shape() {
        let value = Value::List(vec![
            Value::Null,
            "x".into(),
            true.into(),
            Value::Integer(i64::MAX),
            Value::Decimal(0.5),
            Value::Complex(Object::from([("a".to_owned(), "b".into())])),
        ]);
        let wire = v1::AttributeValue::from(value.clone());
        assert_eq!(Value::from(wire), value);
    }

    #[test]
    fn pruning_leaves_only_what_is_assigned() {
        let empty = Value::List(vec![Value::Complex(Object::from([(
            "value".to_owned(),
            "".into(),
        )]))]);
        assert!(empty.is_unassigned());
        assert_eq!(empty.pruned(), None);
        assert_eq!(Value::from(false).pruned(), Some(Value::from(false)));
    }
}
