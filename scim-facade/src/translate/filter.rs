//! A filter tree as the directory's filter: every path found in the registry,
//! every operator and value fitting its type.

use muster_proto::{
    schema::{Attribute, Kind, ResourceType},
    v1::{self, attribute_value::Value as Wire, filter::Node},
};

use crate::scim::{
    coerce,
    error::ScimError,
    filter::{Filter, Literal, Operator},
    path::{AttrPath, Definition, Path},
    version::strong_of_text,
};

/// Lowers a filter on resources.
///
/// # Errors
/// `invalidFilter` for an unknown attribute, or an operator or value that does
/// not fit its type.
pub fn lower(filter: &Filter, resource: &'static ResourceType) -> Result<v1::Filter, ScimError> {
    Scope::Resource(resource, &[]).lower(filter)
}

/// Lowers a filter on resources of several types for one of them. An attribute
/// that only another of the types has is one without a value here (RFC 7644
/// section 3.4.2.1).
///
/// # Errors
/// As [`lower`]; for an unknown attribute only when none of the types has it.
pub fn lower_among(
    filter: &Filter,
    resource: &'static ResourceType,
    types: &[&'static ResourceType],
) -> Result<v1::Filter, ScimError> {
    Scope::Resource(resource, types).lower(filter)
}

/// Lowers a filter on the elements of a multi-valued attribute: its paths are
/// sub-attributes.
///
/// # Errors
/// As [`lower`].
pub fn lower_elements(
    filter: &Filter,
    attribute: &'static Attribute,
) -> Result<v1::Filter, ScimError> {
    Scope::Elements(attribute).lower(filter)
}

/// What the paths of a filter mean.
#[derive(Clone)]
enum Scope<'a> {
    /// Attributes of a resource, among these types.
    Resource(&'static ResourceType, &'a [&'static ResourceType]),
    /// Sub-attributes, within one element of a list.
    Elements(&'static Attribute),
    /// Sub-attributes of a complex value; it has no elements to choose from,
    /// so brackets mean no more than a prefix.
    Single(AttrPath),
}

/// A path and what it may be compared with.
struct Operand {
    path: v1::AttributePath,
    /// `None` in an extension that no schema describes.
    kind: Option<Kind>,
}

impl Scope<'_> {
    fn lower(&self, filter: &Filter) -> Result<v1::Filter, ScimError> {
        if let Some(holds) = self.of_another_type(filter) {
            return Ok(constant(holds));
        }
        let node = match filter {
            Filter::And(filters) => Node::And(self.list(filters)?),
            Filter::Or(filters) => Node::Or(self.list(filters)?),
            Filter::Not(filter) => Node::Not(Box::new(self.lower(filter)?)),
            Filter::Compare(path, operator, literal) => {
                let operand = self.operand(path)?;
                Node::Comparison(Box::new(comparison(path, operand, *operator, literal)?))
            }
            Filter::Present(path) => Node::Present(Box::new(wire_path(&self.find(path)?))),
            Filter::Element(path, filter) => return self.element(path, filter),
        };
        Ok(v1::Filter { node: Some(node) })
    }

    /// Whether a condition on an attribute of another type holds: here it has
    /// no value. `None` for any other condition.
    fn of_another_type(&self, filter: &Filter) -> Option<bool> {
        let Self::Resource(resource, types) = self else {
            return None;
        };
        let (path, holds) = match filter {
            Filter::Compare(path, Operator::Equal, literal) => (path, *literal == Literal::Null),
            Filter::Compare(path, Operator::NotEqual, literal) => (path, *literal != Literal::Null),
            Filter::Compare(path, ..) | Filter::Present(path) | Filter::Element(path, _) => {
                (path, false)
            }
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) => return None,
        };
        let is_known = |kind: &&'static ResourceType| path.resolve(kind).is_some();
        (!is_known(resource) && types.iter().any(is_known)).then_some(holds)
    }

    fn list(&self, filters: &[Filter]) -> Result<v1::FilterList, ScimError> {
        let filters: Result<_, _> = filters.iter().map(|filter| self.lower(filter)).collect();
        Ok(v1::FilterList { filters: filters? })
    }

    fn element(&self, path: &Path, filter: &Filter) -> Result<v1::Filter, ScimError> {
        let found = self.find(path)?;
        let attribute = match (self, found.definition) {
            (Self::Resource(..), Definition::Attribute(attribute))
                if attribute.kind == Kind::Complex =>
            {
                attribute
            }
            _ => return Err(invalid(path, "has no elements to choose from")),
        };
        if !attribute.multi_valued {
            return Self::Single(found).lower(filter);
        }
        let node = Node::ValuePath(Box::new(v1::ValuePathFilter {
            path: Some(Box::new(wire_path(&found))),
            filter: Some(Box::new(Self::Elements(attribute).lower(filter)?)),
        }));
        Ok(v1::Filter { node: Some(node) })
    }

    fn find(&self, path: &Path) -> Result<AttrPath, ScimError> {
        let sub_name = || {
            let plain = path.schema.is_empty() && path.sub_attribute.is_none();
            plain.then_some(path.attribute.as_str())
        };
        let found = match self {
            Self::Resource(resource, _) => path.resolve(resource),
            // Inside brackets a sub-attribute is all the path there is.
            Self::Elements(attribute) => sub_name()
                .and_then(|name| AttrPath::registered("", attribute.sub_attribute(name)?, None)),
            Self::Single(parent) => sub_name().and_then(|name| parent.with_sub(name)),
        };
        found.ok_or_else(|| invalid(path, "is no attribute to filter on"))
    }

    /// The path of a comparison. A complex attribute stands for its `value`
    /// (RFC 7644 section 3.4.2.2), which makes `members eq "x"` and
    /// `manager eq "x"` work.
    fn operand(&self, path: &Path) -> Result<Operand, ScimError> {
        let mut found = self.find(path)?;
        let mut kind = kind(&found);
        if kind == Some(Kind::Complex) {
            found = found
                .with_sub("value")
                .ok_or_else(|| invalid(path, "has no value to compare with"))?;
            kind = self::kind(&found);
        }
        if found.attribute.is_empty() {
            return Err(invalid(path, "has no value to compare with"));
        }
        Ok(Operand {
            path: wire_path(&found),
            kind,
        })
    }
}

/// A condition that every resource satisfies, or none: all have an id.
fn constant(holds: bool) -> v1::Filter {
    let id = v1::AttributePath {
        attribute: "id".to_owned(),
        ..v1::AttributePath::default()
    };
    let always = v1::Filter {
        node: Some(Node::Present(Box::new(id))),
    };
    match holds {
        true => always,
        false => v1::Filter {
            node: Some(Node::Not(Box::new(always))),
        },
    }
}

fn kind(path: &AttrPath) -> Option<Kind> {
    match path.definition {
        Definition::Attribute(attribute) => Some(attribute.kind),
        Definition::SubAttribute(_, sub) => Some(sub.kind),
        Definition::Extension(_) | Definition::Unregistered => None,
    }
}

/// The path without a filter, as a message.
pub(super) fn wire_path(path: &AttrPath) -> v1::AttributePath {
    v1::AttributePath {
        schema: path.schema.to_string(),
        attribute: path.attribute.to_string(),
        value_filter: None,
        sub_attribute: path.sub_attribute.as_deref().unwrap_or_default().to_owned(),
    }
}

fn comparison(
    path: &Path,
    operand: Operand,
    operator: Operator,
    literal: &Literal,
) -> Result<v1::Comparison, ScimError> {
    let fits = match (literal, operand.kind) {
        (Literal::Null, _) => matches!(operator, Operator::Equal | Operator::NotEqual),
        (_, Some(kind)) => operator_fits(operator, kind),
        (_, None) => true,
    };
    if !fits {
        let what = format!("cannot be compared by {}", operator.as_str());
        return Err(invalid(path, &what));
    }
    let mut value = value(literal, operand.kind)
        .ok_or_else(|| invalid(path, "cannot be compared with a value of this type"))?;
    // Clients know weak tags, the directory its own strong ones.
    if let Wire::StringValue(tag) = &mut value
        && matches!(operator, Operator::Equal | Operator::NotEqual)
        && is_version(&operand.path)
    {
        *tag = strong_of_text(tag);
    }
    Ok(v1::Comparison {
        path: Some(Box::new(operand.path)),
        operator: wire_operator(operator).into(),
        value: Some(v1::AttributeValue { value: Some(value) }),
    })
}

fn is_version(path: &v1::AttributePath) -> bool {
    path.schema.is_empty() && path.attribute == "meta" && path.sub_attribute == "version"
}

/// RFC 7644 table 3: booleans and binary data have no order, and only text
/// has parts.
fn operator_fits(operator: Operator, kind: Kind) -> bool {
    use Operator as O;
    match operator {
        O::Equal | O::NotEqual => true,
        O::Contains | O::StartsWith | O::EndsWith => {
            matches!(kind, Kind::String | Kind::Reference)
        }
        O::Greater | O::GreaterOrEqual | O::Less | O::LessOrEqual => {
            !matches!(kind, Kind::Boolean | Kind::Binary | Kind::Complex)
        }
    }
}

/// The literal as the type of the attribute. Text spells numbers and truth
/// values, and the other way round: Microsoft Entra sends `"True"` for
/// booleans, and bare digits for text.
fn value(literal: &Literal, kind: Option<Kind>) -> Option<Wire> {
    let text = match literal {
        Literal::Null => return Some(Wire::Unassigned(true)),
        Literal::Boolean(value) => value.to_string(),
        Literal::Number(text) | Literal::String(text) => text.clone(),
    };
    match kind {
        Some(Kind::String | Kind::Reference | Kind::Binary) => Some(Wire::StringValue(text)),
        Some(Kind::Boolean) => coerce::boolean(&text).map(Wire::BoolValue),
        Some(Kind::Integer) => text.parse().ok().map(Wire::IntegerValue),
        Some(Kind::Decimal) => coerce::finite(&text).map(Wire::DecimalValue),
        Some(Kind::DateTime) => coerce::time(&text).map(Wire::StringValue),
        Some(Kind::Complex) => None,
        None => match literal {
            Literal::Boolean(value) => Some(Wire::BoolValue(*value)),
            Literal::Number(_) => text
                .parse()
                .map(Wire::IntegerValue)
                .or_else(|_| text.parse().map(Wire::DecimalValue))
                .ok(),
            _ => Some(Wire::StringValue(text)),
        },
    }
}

fn wire_operator(operator: Operator) -> v1::ComparisonOperator {
    match operator {
        Operator::Equal => v1::ComparisonOperator::Equal,
        Operator::NotEqual => v1::ComparisonOperator::NotEqual,
        Operator::Contains => v1::ComparisonOperator::Contains,
        Operator::StartsWith => v1::ComparisonOperator::StartsWith,
        Operator::EndsWith => v1::ComparisonOperator::EndsWith,
        Operator::Greater => v1::ComparisonOperator::GreaterThan,
        Operator::GreaterOrEqual => v1::ComparisonOperator::GreaterOrEqual,
        Operator::Less => v1::ComparisonOperator::LessThan,
        Operator::LessOrEqual => v1::ComparisonOperator::LessOrEqual,
    }
}

fn invalid(path: &Path, what: &str) -> ScimError {
    ScimError::invalid_filter(format!("{path} {what}."))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{GROUP, USER};

    use super::*;
    use crate::scim::filter;

    fn show(message: &v1::Filter) -> String {
        let list = |l: &v1::FilterList, word: &str| {
            let parts: Vec<_> = l.filters.iter().map(show).collect();
            format!("({})", parts.join(word))
        };
        let path = |p: Option<&v1::AttributePath>| {
            let p = p.expect("a path");
            let schema = p.schema.rsplit(':').nth(2).unwrap_or_default().to_owned();
            format!("{schema}/{}.{}", p.attribute, p.sub_attribute)
        };
        match message.node.as_ref().expect("a node") {
            Node::And(l) => list(l, " and "),
            Node::Or(l) => list(l, " or "),
            Node::Not(f) => format!("!{}", show(f)),
            Node::Present(p) => format!("{}?", path(Some(p))),
            Node::ValuePath(v) => {
                let inner = v.filter.as_deref().expect("a filter");
                format!("{}[{}]", path(v.path.as_deref()), show(inner))
            }
            Node::Comparison(c) => {
                let value = c.value.clone().and_then(|v| v.value).expect("a value");
                format!("{} {:?} {value:?}", path(c.path.as_deref()), c.operator())
            }
        }
    }

    #[track_caller]
    fn check(resource: &'static ResourceType, text: &str, expected: Option<&str>) {
        let tree = filter::parse(text).expect(text);
        let lowered = lower(&tree, resource).ok();
        assert_eq!(lowered.as_ref().map(show).as_deref(), expected, "{text}");
    }

    #[test]
    fn filters_are_typed_by_the_registry() {
        let user = |text, expected| check(&USER, text, Some(expected));
        user("USERNAME eq \"A\"", "/userName. Equal StringValue(\"A\")");
        user("externalId eq 12", "/externalId. Equal StringValue(\"12\")");
        user("active eq \"True\"", "/active. Equal BoolValue(true)");
        user("active eq false", "/active. Equal BoolValue(false)");
        user("title eq null", "/title. Equal Unassigned(true)");
        user(
            "emails co \"x\"",
            "/emails.value Contains StringValue(\"x\")",
        );
        user("emails.type pr", "/emails.type?");
        user(
            "emails[type eq work]",
            "/emails.[/type. Equal StringValue(\"work\")]",
        );
        user(
            "emails[primary eq \"true\"] eq x",
            "/emails.[(/primary. Equal BoolValue(true) and /value. Equal StringValue(\"x\"))]",
        );
        user(
            "manager eq x",
            "enterprise/manager.value Equal StringValue(\"x\")",
        );
        user(
            "manager[value eq x]",
            "enterprise/manager.value Equal StringValue(\"x\")",
        );
        user("name[givenName pr]", "/name.givenName?");
        user(
            "not (id eq 1 or groups eq g)",
            "!(/id. Equal StringValue(\"1\") or /groups.value Equal StringValue(\"g\"))",
        );
        user(
            "meta.created gt \"2011-05-13T04:42:34\"",
            "/meta.created GreaterThan StringValue(\"2011-05-13T04:42:34Z\")",
        );
        user(
            r#"meta.version eq "W/\"3.0a\"""#,
            r#"/meta.version Equal StringValue("\"3\"")"#,
        );
        user(
            "urn:x:Site:2.0:User:floor ge 3",
            "Site/floor. GreaterOrEqual IntegerValue(3)",
        );
        check(
            &GROUP,
            "members eq u",
            Some("/members.value Equal StringValue(\"u\")"),
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            "jobTitle eq \"x\"",
            "name.nick pr",
            "name eq \"x\"",
            "addresses eq \"x\"",
            "active co \"t\"",
            "active gt true",
            "active eq \"maybe\"",
            "title gt null",
            "meta.created gt \"yesterday\"",
            "meta.created co \"2011\"",
            "x509Certificates.value sw \"x\"",
            "userName[value eq 1]",
            "emails[name pr]",
            "emails[emails.value pr]",
            "emails[value[type pr]]",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User eq 1",
            "members eq x",
        ] {
            check(&USER, text, None);
        }
    }

    #[test]
    fn an_attribute_of_another_type_has_no_value() {
        for (text, user, group) in [
            (
                "userName eq \"a\"",
                "/userName. Equal StringValue(\"a\")",
                "!/id.?",
            ),
            ("members pr", "!/id.?", "/members.?"),
            ("title eq null", "/title. Equal Unassigned(true)", "/id.?"),
            (
                "title ne null",
                "/title. NotEqual Unassigned(true)",
                "!/id.?",
            ),
            (
                "title ne \"x\"",
                "/title. NotEqual StringValue(\"x\")",
                "/id.?",
            ),
            (
                "not (title co \"x\")",
                "!/title. Contains StringValue(\"x\")",
                "!!/id.?",
            ),
            ("emails[type pr]", "/emails.[/type.?]", "!/id.?"),
        ] {
            let tree = filter::parse(text).expect(text);
            for (kind, expected) in [(&USER, user), (&GROUP, group)] {
                let lowered = lower_among(&tree, kind, &[&USER, &GROUP]).expect(text);
                assert_eq!(show(&lowered), expected, "{text}");
            }
        }
        let unknown = filter::parse("jobTitle pr").expect("a filter");
        assert!(lower_among(&unknown, &USER, &[&USER, &GROUP]).is_err());
    }
}
