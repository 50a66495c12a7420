//! What a filter means: RFC 7644 section 3.4.2.2 over the registry.
//!
//! One recursive enum serves whole resources and the inside of brackets; in
//! brackets every [`Field`] is [`Field::Element`]. Paths are looked up and
//! literals have the attribute's type before a [`Filter`] exists, so what runs
//! it (SQL in `storage/filter`, [`Filter::matches`] for PATCH, [`Filter::finds`]
//! as the reference for both) cannot fail.
//!
//! What has no value compares with nothing, and so differs from everything:
//! `title ne "x"` holds without a title. Of a multi-valued attribute some one
//! value must satisfy the comparison, whatever the operator (RFC 7644 section
//! 3.4.2.2): `emails.value ne "x"` asks for an e-mail address other than x, and
//! holds for nobody without e-mail addresses. Who wants "x is not among them"
//! says `not (emails.value eq "x")`. An element that lacks the part that is
//! compared differs from everything. An attribute that no schema describes has
//! as many values as it was sent with.

mod evaluate;
mod literal;

use muster_proto::{
    schema::{Attribute, Kind, Mutability, ResourceType, Returned, Schema, Target},
    value::{Object, Value},
};

use super::fold::fold;
use crate::error::{Error, Result};

pub use evaluate::{Related, Subject};
pub use literal::Literal;

/// Most nodes in one filter. Facades may need several for one of a client's.
pub const NODE_LIMIT: usize = 1_024;

/// Deepest nesting of one filter.
pub const DEPTH_LIMIT: usize = 24;

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
    /// In brackets: a sub-attribute of the element, or the attribute in front of
    /// them, which stands for the element itself when that has no parts.
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
    /// [`Error::FilterInvalid`] when there is no such sub-attribute, or it is never
    /// shown.
    pub fn element(attribute: &'static Attribute, name: &str) -> Result<Self> {
        check_shown(attribute)?;
        if is_itself(attribute, name) {
            return Ok(Self::Element(attribute));
        }
        let sub = sub_attribute(attribute, name)?;
        Ok(Self::Element(sub))
    }

    fn registered(
        schema: Option<&'static Schema>,
        attribute: &'static Attribute,
        sub: &str,
    ) -> Result<Self> {
        check_shown(attribute)?;
        let sub = match sub {
            "" => None,
            name if is_itself(attribute, name) => None,
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
        // What no value has, not every database takes.
        if value.as_str().is_some_and(|text| text.contains('\0')) {
            return Err(misfit(&field, "the value contains a NUL character"));
        }
        if field
            .leaf()
            .is_some_and(|leaf| leaf.is_made() || leaf.is_location())
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

    /// Whether the condition is about this attribute of the core schema.
    pub fn is_about(&self, name: &str) -> bool {
        let field = match self {
            Self::Compare(field, ..) | Self::Present(field) | Self::Element(field, _) => field,
            Self::And(_) | Self::Or(_) | Self::Not(_) => {
                return self.children().iter().any(|child| child.is_about(name));
            }
        };
        matches!(field, Field::Attribute { schema: None, attribute, .. } if attribute.name == name)
    }

    fn children(&self) -> &[Self] {
        match self {
            Self::And(children) | Self::Or(children) => children,
            Self::Not(child) | Self::Element(_, child) => std::slice::from_ref(child),
            Self::Compare(..) | Self::Present(_) => &[],
        }
    }

    fn size(&self) -> (usize, usize) {
        let sizes = self.children().iter().map(Self::size);
        let (nodes, depth) = sizes.fold((0, 0), |(n, d), (cn, cd)| (n + cn, d.max(cd)));
        (nodes + 1, depth + 1)
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

/// Whether a name means the whole element of a list of simple values.
fn is_itself(attribute: &Attribute, name: &str) -> bool {
    let is_simple = attribute.multi_valued && attribute.kind != Kind::Complex;
    is_simple && name.eq_ignore_ascii_case("value")
}

fn sub_attribute(attribute: &Attribute, name: &str) -> Result<&'static Attribute> {
    let unknown = || {
        invalid(format!(
            "{name:?} is no sub-attribute of {}",
            attribute.name
        ))
    };
    let sub = attribute.sub_attribute(name).ok_or_else(unknown)?;
    check_shown(sub)?;
    Ok(sub)
}

/// Whoever may not read a value must not guess it by asking.
fn check_shown(attribute: &Attribute) -> Result<()> {
    match attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly {
        true => Err(invalid(format!("{} is never shown", attribute.name))),
        false => Ok(()),
    }
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

    static TAGS: Attribute = Attribute {
        name: "tags",
        kind: Kind::String,
        ..muster_proto::schema::COMMON[2]
    };

    #[test]
    fn an_element_without_parts_is_its_own_value() {
        let on_tag = |operator, value: &str| {
            let field = Field::element(&TAGS, "VALUE").expect("itself");
            Filter::compare(field, operator, value.into()).expect("fits")
        };
        let tag = Value::from("Blue");
        assert!(on_tag(Operator::Equal, "blue").matches_value(&tag));
        assert!(!on_tag(Operator::NotEqual, "blue").matches_value(&tag));
        assert!(Field::element(&TAGS, "type").is_err());
        static SECRETS: Attribute = Attribute {
            returned: Returned::Never,
            kind: Kind::String,
            ..muster_proto::schema::COMMON[2]
        };
        assert!(Field::element(&SECRETS, "value").is_err());
        assert!(Field::element(emails(), "emails").is_err());
    }

    #[test]
    fn literals_compare_with_whatever_means_the_same() {
        use Operator::{Equal, Greater, Less, NotEqual};
        let kinds = |kind| Attribute { kind, ..TAGS };
        let day = "2026-02-28T23:30:00.5-01:00";
        for (kind, given, operator, value, expected) in [
            (
                Kind::Decimal,
                Value::Decimal(2.0),
                Equal,
                Value::Integer(2),
                true,
            ),
            (
                Kind::Decimal,
                Value::Integer(2),
                Greater,
                Value::Decimal(2.5),
                true,
            ),
            (
                Kind::Integer,
                Value::Decimal(2.5),
                Less,
                Value::Integer(2),
                true,
            ),
            (
                Kind::DateTime,
                day.into(),
                Equal,
                "2026-03-01T00:30:00.500Z".into(),
                true,
            ),
            (
                Kind::DateTime,
                day.into(),
                Less,
                "2026-03-01T00:30:00.499Z".into(),
                true,
            ),
            (
                Kind::DateTime,
                day.into(),
                NotEqual,
                "2026-03-01T00:30:00.5Z".into(),
                false,
            ),
            (Kind::Boolean, true.into(), NotEqual, false.into(), true),
            (Kind::String, "10".into(), Equal, Value::Integer(10), false),
        ] {
            let attribute = kinds(kind);
            let literal = Literal::of(&attribute, given).expect("fits");
            let accepted = literal.accepts(Some(&attribute), Some(&value), operator);
            assert_eq!(accepted, expected, "{literal:?} {value:?}");
        }
        assert!(Literal::of(&kinds(Kind::Integer), "1".into()).is_none());
    }

    #[test]
    fn schemas_can_be_asked_for() {
        for (schema, name, sub) in [
            ("", "schemas", ""),
            ("", "SCHEMAS", "value"),
            (USER.core.urn, "schemas", ""),
        ] {
            let field = Field::find(&USER, schema, name, sub).expect("an attribute");
            assert!(Filter::compare(field, Operator::Equal, "urn:x".into()).is_ok());
        }
        assert!(Field::find(&USER, "", "schemas", "type").is_err());
    }

    #[test]
    fn what_is_never_shown_cannot_be_asked_for() {
        static SECRET: Attribute = Attribute {
            name: "secret",
            returned: Returned::Never,
            ..TAGS
        };
        assert!(Field::registered(None, &SECRET, "").is_err());
    }
}
