//! What a filter means: RFC 7644 section 3.4.2.2 over the registry.
//!
//! One recursive enum serves whole resources and the inside of brackets; in
//! brackets every [`Field`] is [`Field::Element`]. Paths are looked up and
//! literals have the attribute's type before a [`Filter`] exists, so what runs
//! it (SQL in `storage/filter.rs`, [`Filter::matches`] for PATCH) cannot fail.

use std::cmp::Ordering;

use muster_proto::{
    schema::{Attribute, Kind, ResourceType, Schema, Target},
    value::{Object, Value},
};

use super::{conform::instant_ms, fold::fold};
use crate::error::{Error, Result};

/// Most nodes in one filter.
pub const NODE_LIMIT: usize = 64;

/// Deepest nesting of one filter.
pub const DEPTH_LIMIT: usize = 10;

/// A condition on a resource, or on an element of a multi-valued attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// Any of them.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute compares so with the literal. Of a multi-valued one, some
    /// value does.
    Compare(Field, Operator, Literal),
    /// The attribute has a value.
    Present(Field),
    /// Some one element satisfies the condition.
    Element(Field, Box<Filter>),
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// An attribute of the core schema (`schema` is `None`) or of a registered
    /// extension, or one of its sub-attributes.
    Attribute {
        /// The extension.
        schema: Option<&'static Schema>,
        /// The attribute.
        attribute: &'static Attribute,
        /// The sub-attribute.
        sub: Option<&'static Attribute>,
    },
    /// An attribute of an extension that no schema describes; names as given.
    Unregistered {
        /// URN of the extension.
        urn: String,
        /// The attribute.
        attribute: String,
        /// The sub-attribute.
        sub: Option<String>,
    },
    /// A whole extension, by its URN; only its presence can be asked for.
    Extension(String),
    /// In brackets: a sub-attribute of the element.
    Element(&'static Attribute),
}

/// How to compare.
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
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Milliseconds since the Unix epoch.
    Instant(i64),
}

impl Field {
    /// Looks up a path in the registry.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`] when it names nothing that can be filtered.
    pub fn find(resource: &ResourceType, schema: &str, name: &str, sub: &str) -> Result<Self> {
        let unknown = || invalid(format!("{name:?} is no attribute that can be filtered"));
        match resource.find(schema, name).ok_or_else(unknown)? {
            Target::Core(attribute) => Self::registered(None, attribute, sub),
            Target::Extension(schema, attribute) => Self::registered(Some(schema), attribute, sub),
            Target::Unregistered(urn, attribute) => {
                for part in [urn, attribute, sub] {
                    check_name(part)?;
                }
                Ok(Self::Unregistered {
                    urn: urn.to_owned(),
                    attribute: attribute.to_owned(),
                    sub: (!sub.is_empty()).then(|| sub.to_owned()),
                })
            }
            Target::WholeExtension(schema) => Ok(Self::Extension(schema.urn.to_owned())),
            Target::WholeUnregistered(urn) => {
                check_name(urn)?;
                Ok(Self::Extension(fold(urn)))
            }
        }
    }

    /// Looks up a path inside the brackets behind `attribute`.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`] when there is no such sub-attribute.
    pub fn element(attribute: &Attribute, name: &str) -> Result<Self> {
        let sub = sub_attribute(attribute, name)?;
        Ok(Self::Element(sub))
    }

    fn registered(
        schema: Option<&'static Schema>,
        attribute: &'static Attribute,
        sub: &str,
    ) -> Result<Self> {
        let sub = match sub {
            "" => None,
            name => Some(sub_attribute(attribute, name)?),
        };
        Ok(Self::Attribute {
            schema,
            attribute,
            sub,
        })
    }

    /// The attribute that is compared, when the registry knows it. A complex
    /// attribute stands for its `value`.
    pub fn leaf(&self) -> Option<&'static Attribute> {
        match self {
            Self::Attribute {
                attribute,
                sub: None,
                ..
            } if attribute.kind == Kind::Complex => attribute.value_attribute(),
            Self::Attribute {
                attribute,
                sub: None,
                ..
            } => Some(attribute),
            Self::Attribute { sub, .. } => *sub,
            Self::Element(attribute) => Some(attribute),
            Self::Unregistered { .. } | Self::Extension(_) => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Attribute { attribute, .. } | Self::Element(attribute) => attribute.name,
            Self::Unregistered { attribute, .. } => attribute,
            Self::Extension(urn) => urn,
        }
    }
}

impl Filter {
    /// A comparison, when operator and value fit the attribute's type. With an
    /// unassigned value it asks for absence or presence.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`].
    pub fn compare(field: Field, operator: Operator, value: Value) -> Result<Self> {
        if value == Value::Null {
            return match operator {
                Operator::Equal => Ok(Self::Not(Box::new(Self::Present(field)))),
                Operator::NotEqual => Ok(Self::Present(field)),
                _ => Err(misfit(&field, "null can only be compared with eq and ne")),
            };
        }
        if field
            .leaf()
            .is_some_and(|leaf| ["$ref", "location"].contains(&leaf.name))
        {
            return Err(misfit(
                &field,
                "URIs of resources are made on the way out; compare the id",
            ));
        }
        let literal = match (&field, field.leaf()) {
            (Field::Unregistered { .. }, _) => Literal::of_any(value),
            (_, Some(leaf)) => Literal::of(leaf, value),
            (_, None) => None,
        };
        let literal = literal.ok_or_else(|| misfit(&field, "the value is of another type"))?;
        if !literal.allows(operator, field.leaf()) {
            return Err(misfit(&field, "the operator does not fit its type"));
        }
        Ok(Self::Compare(field, operator, literal))
    }

    /// Checks the bounds on size; cheap enough to do for every call.
    ///
    /// # Errors
    /// [`Error::FilterInvalid`].
    pub fn check_size(&self) -> Result<()> {
        let (nodes, depth) = self.size();
        if nodes > NODE_LIMIT || depth > DEPTH_LIMIT {
            return Err(invalid(format!(
                "a filter has at most {NODE_LIMIT} conditions and {DEPTH_LIMIT} levels"
            )));
        }
        Ok(())
    }

    fn size(&self) -> (usize, usize) {
        let children: &[Self] = match self {
            Self::And(children) | Self::Or(children) => children,
            Self::Not(child) | Self::Element(_, child) => std::slice::from_ref(child),
            Self::Compare(..) | Self::Present(_) => &[],
        };
        let sizes = children.iter().map(Self::size);
        let (nodes, depth) = sizes.fold((0, 0), |(n, d), (cn, cd)| (n + cn, d.max(cd)));
        (nodes + 1, depth + 1)
    }

    /// Whether an element of a multi-valued attribute satisfies the condition.
    pub fn matches(&self, element: &Object) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.matches(element)),
            Self::Or(children) => children.iter().any(|child| child.matches(element)),
            Self::Not(child) => !child.matches(element),
            Self::Present(field) => element.contains_key(field.name()),
            Self::Compare(field, Operator::NotEqual, literal) => {
                !literal.compares(field, element.get(field.name()), Operator::Equal)
            }
            Self::Compare(field, operator, literal) => {
                literal.compares(field, element.get(field.name()), *operator)
            }
            Self::Element(..) => false,
        }
    }

    /// The sub-attributes that every element satisfying the condition has, for
    /// making one: `type eq "work" and primary eq true` gives both. `None` when
    /// the condition does not determine them.
    pub fn equalities(&self) -> Option<Object> {
        match self {
            Self::And(children) => {
                let parts = children.iter().map(Self::equalities);
                parts.sum_objects()
            }
            Self::Compare(Field::Element(sub), Operator::Equal, literal) => {
                Some(Object::from([(sub.name.to_owned(), literal.value()?)]))
            }
            _ => None,
        }
    }
}

trait SumObjects {
    fn sum_objects(self) -> Option<Object>;
}

impl<I: Iterator<Item = Option<Object>>> SumObjects for I {
    fn sum_objects(self) -> Option<Object> {
        let mut sum = Object::new();
        for object in self {
            sum.extend(object?);
        }
        Some(sum)
    }
}

impl Literal {
    fn of(leaf: &Attribute, value: Value) -> Option<Self> {
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
            (Kind::Integer | Kind::Decimal, Value::Integer(value)) => Some(Self::Integer(value)),
            (Kind::Decimal, Value::Decimal(value)) if value.is_finite() => {
                Some(Self::Decimal(value))
            }
            (Kind::DateTime, Value::String(text)) => instant_ms(&text).map(Self::Instant),
            _ => None,
        }
    }

    /// For attributes whose type nobody declared, the value tells it. Case does
    /// not count (RFC 7643 section 2.2: caseExact is false by default).
    fn of_any(value: Value) -> Option<Self> {
        match value {
            Value::String(given) => Some(Self::Text {
                key: fold(&given),
                given,
            }),
            Value::Boolean(value) => Some(Self::Boolean(value)),
            Value::Integer(value) => Some(Self::Integer(value)),
            Value::Decimal(value) if value.is_finite() => Some(Self::Decimal(value)),
            Value::Decimal(_) | Value::Null | Value::List(_) | Value::Complex(_) => None,
        }
    }

    fn allows(&self, operator: Operator, leaf: Option<&Attribute>) -> bool {
        use Operator::{Contains, EndsWith, Equal, NotEqual, StartsWith};
        let binary = leaf.is_some_and(|leaf| leaf.kind == Kind::Binary);
        match self {
            Self::Boolean(_) => matches!(operator, Equal | NotEqual),
            Self::Text { .. } if binary => matches!(operator, Equal | NotEqual),
            Self::Text { .. } => true,
            Self::Integer(_) | Self::Decimal(_) | Self::Instant(_) => {
                !matches!(operator, Contains | StartsWith | EndsWith)
            }
        }
    }

    fn value(&self) -> Option<Value> {
        match self {
            Self::Text { given, .. } => Some(given.as_str().into()),
            Self::Boolean(value) => Some((*value).into()),
            Self::Integer(value) => Some(Value::Integer(*value)),
            Self::Decimal(value) => Some(Value::Decimal(*value)),
            Self::Instant(_) => None,
        }
    }

    fn compares(&self, field: &Field, value: Option<&Value>, operator: Operator) -> bool {
        match (self, value) {
            (Self::Text { key, .. }, Some(Value::String(text))) => {
                let exact = field.leaf().is_some_and(|leaf| leaf.case_exact);
                let text = if exact { text.clone() } else { fold(text) };
                match operator {
                    Operator::Contains => text.contains(key),
                    Operator::StartsWith => text.starts_with(key),
                    Operator::EndsWith => text.ends_with(key),
                    _ => operator.accepts(text.as_bytes().cmp(key.as_bytes())),
                }
            }
            (Self::Instant(ms), Some(Value::String(text))) => {
                instant_ms(text).is_some_and(|value| operator.accepts(value.cmp(ms)))
            }
            // RFC 7643 section 2.4: an element without "primary" is not primary.
            (Self::Boolean(literal), value) => {
                let value = value.and_then(Value::as_bool);
                let value = value.unwrap_or_default();
                operator.accepts(value.cmp(literal))
            }
            (Self::Integer(literal), Some(Value::Integer(value))) => {
                operator.accepts(value.cmp(literal))
            }
            _ => false,
        }
    }
}

impl Operator {
    fn accepts(self, ordering: Ordering) -> bool {
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

fn sub_attribute(attribute: &Attribute, name: &str) -> Result<&'static Attribute> {
    let unknown = || {
        invalid(format!(
            "{name:?} is no sub-attribute of {}",
            attribute.name
        ))
    };
    attribute.sub_attribute(name).ok_or_else(unknown)
}

/// Names of unregistered attributes become JSON paths; RFC 7643 section 2.1
/// allows far less than could do harm there.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:$+%/~!()@".contains(c);
    if name.chars().all(allowed) {
        Ok(())
    } else {
        Err(invalid(format!("{name:?} is no name of an attribute")))
    }
}

fn invalid(what: String) -> Error {
    Error::FilterInvalid(what)
}

fn misfit(field: &Field, why: &str) -> Error {
    invalid(format!("{}: {why}", field.name()))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::*;

    fn emails() -> &'static Attribute {
        USER.core.attribute("emails").expect("registered")
    }

    fn on_email(name: &str, operator: Operator, value: impl Into<Value>) -> Filter {
        let field = Field::element(emails(), name).expect("registered");
        Filter::compare(field, operator, value.into()).expect("fits")
    }

    fn element() -> Object {
        [("value", "Ada@X.test"), ("type", "work")]
            .map(|(name, text)| (name.to_owned(), text.into()))
            .into()
    }

    #[test]
    fn text_compares_without_case_where_case_does_not_count() {
        use Operator::{Contains, EndsWith, Equal, Greater, StartsWith};
        for (operator, value, expected) in [
            (Equal, "ada@x.TEST", true),
            (Contains, "A@x", true),
            (StartsWith, "ADA", true),
            (EndsWith, ".Test", true),
            (Greater, "aaa", true),
            (Equal, "ada", false),
        ] {
            assert_eq!(
                on_email("value", operator, value).matches(&element()),
                expected
            );
        }
    }

    #[test]
    fn what_is_absent_differs_from_everything() {
        assert!(on_email("display", Operator::NotEqual, "x").matches(&element()));
        assert!(!on_email("display", Operator::Equal, "x").matches(&element()));
        assert!(on_email("primary", Operator::Equal, false).matches(&element()));
    }

    #[test]
    fn a_misfit_is_refused() {
        let active = || Field::find(&USER, "", "active", "").expect("registered");
        for (operator, value) in [
            (Operator::Equal, Value::from("x")),
            (Operator::Greater, true.into()),
            (Operator::Contains, Value::Null),
        ] {
            assert!(Filter::compare(active(), operator, value).is_err());
        }
        assert!(Field::find(&USER, "", "jobTitle", "").is_err());
        assert!(Field::find(&USER, "", "name", "nick").is_err());
        assert!(Field::find(&USER, "urn:x\":2.0:User", "a", "").is_err());
    }

    #[test]
    fn equalities_make_an_element() {
        let both = Filter::And(vec![
            on_email("type", Operator::Equal, "Work"),
            on_email("primary", Operator::Equal, true),
        ]);
        let made = both.equalities().expect("determined");
        assert_eq!(made.get("type"), Some(&"Work".into()));
        assert_eq!(made.get("primary"), Some(&true.into()));
        assert_eq!(on_email("type", Operator::NotEqual, "x").equalities(), None);
    }

    #[test]
    fn size_is_bounded() {
        let mut deep = on_email("type", Operator::Equal, "x");
        for _ in 0..DEPTH_LIMIT {
            deep = Filter::Not(Box::new(deep));
        }
        assert!(deep.check_size().is_err());
        let wide = Filter::Or(vec![on_email("type", Operator::Equal, "x"); NODE_LIMIT]);
        assert!(wide.check_size().is_err());
    }
}
