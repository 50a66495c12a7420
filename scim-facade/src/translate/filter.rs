//! A filter tree as the directory's filter: every path found in the registry,
//! every operator and value fitting its type. What the facade alone knows, its
//! URIs and its entity tags, is translated to what the directory keeps.

use muster_proto::{
    schema::{Attribute, ENTERPRISE_USER, Kind, ResourceType},
    v1::{self, attribute_value::Value as Wire, filter::Node},
};

use super::uri::{self, Rest};
use crate::scim::{
    coerce,
    error::ScimError,
    filter::{Filter, Literal, Operator},
    flavor::{Accent, Accents},
    group::{MEMBERS, MemberKind},
    meta::Links,
    path::{AttrPath, Definition, Path},
    projection::is_hidden,
    version::strong_of_text,
};

/// What a client's filter is read by.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What the filter is on.
    pub resource: &'static ResourceType,
    /// How its client deviates.
    pub accents: Accents<'a>,
    /// Where resources are found.
    pub links: &'a Links,
    /// The types that are listed together, when there are several. An attribute
    /// that only another of them has is one without a value here (RFC 7644
    /// section 3.4.2.1).
    pub among: &'a [&'static ResourceType],
}

/// Lowers a filter on resources.
///
/// # Errors
/// `invalidFilter` for an attribute that no type in question has, or an operator
/// or value that does not fit its type.
pub fn lower(filter: &Filter, context: Context<'_>) -> Result<v1::Filter, ScimError> {
    let scope = Scope::Resource;
    Lowering { context, scope }.lower(filter)
}

/// Lowers a filter on the elements of a multi-valued attribute: its paths are
/// sub-attributes.
///
/// # Errors
/// As [`lower`].
pub fn lower_elements(
    filter: &Filter,
    path: &AttrPath,
    context: Context<'_>,
) -> Result<v1::Filter, ScimError> {
    let scope = elements(path).filter(|_| !is_hidden(path)).ok_or_else(|| {
        ScimError::invalid_filter(format!("{path} has no elements to choose from."))
    })?;
    Lowering { context, scope }.lower(filter)
}

/// What the paths of a filter mean.
#[derive(Clone)]
enum Scope {
    /// Attributes of a resource.
    Resource,
    /// Sub-attributes, within one element of a list.
    Elements(&'static Attribute),
    /// Sub-attributes of a complex value; it has no elements to choose from,
    /// so brackets mean no more than a prefix.
    Single(AttrPath),
}

fn elements(path: &AttrPath) -> Option<Scope> {
    match path.definition {
        Definition::Attribute(attribute) | Definition::SubAttribute(attribute, _)
            if attribute.multi_valued =>
        {
            Some(Scope::Elements(attribute))
        }
        _ => None,
    }
}

/// What a name means in the brackets behind an attribute. A simple value is its
/// own "value" (RFC 7644 section 3.5.2.2 compares with it).
fn part(attribute: &'static Attribute, name: &str) -> Option<AttrPath> {
    if attribute.kind == Kind::Complex {
        return AttrPath::registered("", attribute.sub_attribute(name)?, None);
    }
    let itself = AttrPath::registered("", attribute, None)?;
    name.eq_ignore_ascii_case("value").then(|| AttrPath {
        attribute: "value".into(),
        ..itself
    })
}

struct Lowering<'a> {
    context: Context<'a>,
    scope: Scope,
}

impl<'a> Lowering<'a> {
    fn within(&self, scope: Scope) -> Self {
        let context = self.context;
        Self { context, scope }
    }

    fn lower(&self, filter: &Filter) -> Result<v1::Filter, ScimError> {
        if let Some(holds) = self.of_another_type(filter) {
            return Ok(self.constant(holds));
        }
        let node = match filter {
            Filter::And(filters) => Node::And(self.list(filters)?),
            Filter::Or(filters) => Node::Or(self.list(filters)?),
            Filter::Not(filter) => Node::Not(Box::new(self.lower(filter)?)),
            Filter::Compare(path, operator, literal) => {
                return self.compare(path, *operator, literal);
            }
            Filter::Present(path) => Node::Present(Box::new(wire_path(&self.find(path)?))),
            Filter::Element(path, filter) => return self.element(path, filter),
        };
        Ok(node.into_filter())
    }

    /// Whether a condition on an attribute of another type holds: here it has
    /// no value. `None` for any other condition.
    fn of_another_type(&self, filter: &Filter) -> Option<bool> {
        let path = match filter {
            Filter::Compare(path, ..) | Filter::Present(path) | Filter::Element(path, _) => path,
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) => return None,
        };
        let Context {
            resource,
            accents,
            among,
            ..
        } = self.context;
        if !matches!(self.scope, Scope::Resource) || path.resolve(resource, accents).is_some() {
            return None;
        }
        let mut others = among.iter();
        let other = others.find_map(|kind| path.resolve(kind, accents))?;
        Some(match filter {
            Filter::Compare(_, Operator::Equal, literal) => *literal == Literal::Null,
            // Of a list, some element must be unequal, and there is none.
            Filter::Compare(_, Operator::NotEqual, literal) => {
                *literal != Literal::Null && !is_in_a_list(&other)
            }
            _ => false,
        })
    }

    /// A condition that holds for every resource, or for none.
    fn constant(&self, holds: bool) -> v1::Filter {
        let id = v1::AttributePath {
            attribute: "id".to_owned(),
            ..v1::AttributePath::default()
        };
        let present = Node::Present(Box::new(id)).into_filter();
        match holds {
            true => present,
            false => Node::Not(Box::new(present)).into_filter(),
        }
    }

    fn list(&self, filters: &[Filter]) -> Result<v1::FilterList, ScimError> {
        let filters: Result<_, _> = filters.iter().map(|filter| self.lower(filter)).collect();
        Ok(v1::FilterList { filters: filters? })
    }

    fn element(&self, path: &Path, filter: &Filter) -> Result<v1::Filter, ScimError> {
        let found = self.find(path)?;
        let attribute = match (&self.scope, found.definition) {
            (Scope::Resource, Definition::Attribute(attribute))
                if attribute.multi_valued || attribute.kind == Kind::Complex =>
            {
                attribute
            }
            _ => return Err(invalid(path, "has no elements to choose from")),
        };
        if !attribute.multi_valued {
            return self.within(Scope::Single(found)).lower(filter);
        }
        let inner = self.within(Scope::Elements(attribute)).lower(filter)?;
        Ok(some_element(&found, inner))
    }

    fn find(&self, path: &Path) -> Result<AttrPath, ScimError> {
        let Context {
            resource, accents, ..
        } = self.context;
        let found = match &self.scope {
            Scope::Resource => path.resolve(resource, accents),
            // Inside brackets a sub-attribute is all the path there is.
            Scope::Elements(attribute) => path.name().and_then(|name| part(attribute, name)),
            Scope::Single(parent) => path.name().and_then(|name| parent.with_sub(name)),
        };
        let found = found.filter(|found| !is_hidden(found));
        found.ok_or_else(|| invalid(path, "is no attribute to filter on"))
    }

    fn compare(
        &self,
        path: &Path,
        operator: Operator,
        literal: &Literal,
    ) -> Result<v1::Filter, ScimError> {
        let found = self.find(path)?;
        if let (Some(made), Literal::String(text)) = (self.made(&found), literal) {
            return Ok(made.compare(operator, text, self.context.links));
        }
        let literal = match literal {
            Literal::String(text) if is_version(&found) => &Literal::String(strong_of_text(text)),
            literal => literal,
        };
        // Whether there is a value can be asked of any attribute.
        let found = match literal {
            Literal::Null => found,
            _ => with_value(path, found)?,
        };
        comparison(path, &found, operator, literal, self.context.accents)
    }

    /// The URI that the path reaches, when the facade makes it.
    fn made(&self, path: &AttrPath) -> Option<Made> {
        let resource = self.context.resource;
        match (&self.scope, path.definition) {
            (Scope::Elements(attribute), Definition::Attribute(sub)) if sub.name == "$ref" => {
                let home = AttrPath::registered("", attribute, None)?;
                let core = resource.core_attribute(attribute.name);
                let is_core = core.is_some_and(|core| std::ptr::eq(core, *attribute));
                Made::reference(home, false).filter(|_| is_core)
            }
            (_, Definition::SubAttribute(attribute, sub)) => match (attribute.name, sub.name) {
                ("meta", "location") => Made::location(resource),
                (_, "$ref") => {
                    let home = AttrPath {
                        sub_attribute: None,
                        definition: Definition::Attribute(attribute),
                        ..path.clone()
                    };
                    Made::reference(home, true)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A URI that is made of an id.
struct Made {
    /// Where the id is kept: an attribute, or one with the id as its value.
    id: AttrPath,
    /// Where the resources that have such an id are found, and of what kind
    /// they must be where there are several.
    targets: Vec<(&'static str, Option<MemberKind>)>,
    /// The list whose element has it, unless the filter stands in brackets.
    list: Option<AttrPath>,
}

impl Made {
    fn location(resource: &'static ResourceType) -> Option<Self> {
        let id = AttrPath::registered("", resource.core_attribute("id")?, None)?;
        Some(Self {
            id,
            targets: vec![(resource.endpoint, None)],
            list: None,
        })
    }

    /// `$ref` of members, of groups and of the manager; those of other
    /// attributes are what clients wrote.
    fn reference(home: AttrPath, outside: bool) -> Option<Self> {
        let (users, groups) = (MemberKind::User, MemberKind::Group);
        let targets = match (home.schema.as_ref(), home.attribute.as_ref()) {
            ("", MEMBERS) => vec![
                (users.endpoint(), Some(users)),
                (groups.endpoint(), Some(groups)),
            ],
            ("", "groups") => vec![(groups.endpoint(), None)],
            (ENTERPRISE_USER, "manager") => vec![(users.endpoint(), None)],
            _ => return None,
        };
        let Definition::Attribute(attribute) = home.definition else {
            return None;
        };
        let id = if attribute.multi_valued {
            AttrPath::registered("", attribute.value_attribute()?, None)?
        } else {
            home.with_sub("value")?
        };
        let list = (outside && attribute.multi_valued).then_some(home);
        Some(Self { id, targets, list })
    }

    fn compare(&self, operator: Operator, literal: &str, links: &Links) -> v1::Filter {
        let mut filters: Vec<_> = self
            .targets
            .iter()
            .map(|(endpoint, kind)| {
                let prefix = format!("{}/", links.endpoint(endpoint));
                let rest = self.rest(uri::compare(&prefix, operator, literal));
                match kind {
                    None => rest,
                    Some(kind) => Node::And(v1::FilterList {
                        filters: vec![is_of_kind(*kind), rest],
                    })
                    .into_filter(),
                }
            })
            .collect();
        let inner = match (filters.len(), filters.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                filters.extend(last);
                Node::Or(v1::FilterList { filters }).into_filter()
            }
        };
        match &self.list {
            Some(list) => some_element(list, inner),
            None => inner,
        }
    }

    fn rest(&self, rest: Rest) -> v1::Filter {
        let present = Node::Present(Box::new(wire_path(&self.id))).into_filter();
        match rest {
            Rest::All => present,
            // There is no constant; no value is there and compares unequal.
            Rest::None => Node::And(v1::FilterList {
                filters: vec![present.clone(), Node::Not(Box::new(present)).into_filter()],
            })
            .into_filter(),
            Rest::Id(operator, text) => {
                compared(wire_path(&self.id), operator, Wire::StringValue(text))
            }
        }
    }
}

fn is_of_kind(kind: MemberKind) -> v1::Filter {
    let path = v1::AttributePath {
        attribute: "type".to_owned(),
        ..v1::AttributePath::default()
    };
    let kind = Wire::StringValue(kind.name().to_owned());
    compared(path, Operator::Equal, kind)
}

fn some_element(list: &AttrPath, filter: v1::Filter) -> v1::Filter {
    Node::ValuePath(Box::new(v1::ValuePathFilter {
        path: Some(Box::new(wire_path(list))),
        filter: Some(Box::new(filter)),
    }))
    .into_filter()
}

fn is_in_a_list(path: &AttrPath) -> bool {
    match path.definition {
        Definition::Attribute(attribute) | Definition::SubAttribute(attribute, _) => {
            attribute.multi_valued
        }
        Definition::Extension(_) | Definition::Unregistered => false,
    }
}

fn is_version(path: &AttrPath) -> bool {
    matches!(
        path.definition,
        Definition::SubAttribute(attribute, sub)
            if attribute.name == "meta" && sub.name == "version" && path.schema.is_empty()
    )
}

trait IntoFilter {
    fn into_filter(self) -> v1::Filter;
}

impl IntoFilter for Node {
    fn into_filter(self) -> v1::Filter {
        v1::Filter { node: Some(self) }
    }
}

/// The path of a comparison. A complex attribute stands for its `value`
/// (RFC 7644 section 3.4.2.2), which makes `members eq "x"` and
/// `manager eq "x"` work.
fn with_value(path: &Path, mut found: AttrPath) -> Result<AttrPath, ScimError> {
    if kind(&found) == Some(Kind::Complex) {
        found = found
            .with_sub("value")
            .filter(|value| !is_hidden(value))
            .ok_or_else(|| invalid(path, "has no value to compare with"))?;
    }
    if found.attribute.is_empty() {
        return Err(invalid(path, "has no value to compare with"));
    }
    Ok(found)
}

/// `None` in an extension that no schema describes.
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
    found: &AttrPath,
    operator: Operator,
    literal: &Literal,
    accents: Accents<'_>,
) -> Result<v1::Filter, ScimError> {
    let kind = kind(found);
    let fits = match (literal, kind) {
        (Literal::Null, _) => matches!(operator, Operator::Equal | Operator::NotEqual),
        (_, Some(kind)) => operator_fits(operator, kind),
        (_, None) => true,
    };
    if !fits {
        let what = format!("cannot be compared by {}", operator.as_str());
        return Err(invalid(path, &what));
    }
    let understood = || is_of_type(literal, kind) || accents.has(Accent::LiteralTypes);
    let value = value(literal, kind).filter(|_| understood());
    let value =
        value.ok_or_else(|| invalid(path, "cannot be compared with a value of this type"))?;
    Ok(compared(wire_path(found), operator, value))
}

fn compared(path: v1::AttributePath, operator: Operator, value: Wire) -> v1::Filter {
    Node::Comparison(Box::new(v1::Comparison {
        path: Some(Box::new(path)),
        operator: wire_operator(operator).into(),
        value: Some(v1::AttributeValue { value: Some(value) }),
    }))
    .into_filter()
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

/// Whether the literal is written as values of this type are.
fn is_of_type(literal: &Literal, kind: Option<Kind>) -> bool {
    match (literal, kind) {
        (Literal::Null, _) | (_, None) => true,
        (Literal::Boolean(_), Some(kind)) => kind == Kind::Boolean,
        (Literal::Number(_), Some(kind)) => matches!(kind, Kind::Integer | Kind::Decimal),
        (Literal::String(_), Some(kind)) => {
            !matches!(kind, Kind::Boolean | Kind::Integer | Kind::Decimal)
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
        Some(Kind::String | Kind::Reference) => Some(Wire::StringValue(text)),
        Some(Kind::Binary) => coerce::binary(&text).map(Wire::StringValue),
        Some(Kind::Boolean) => coerce::boolean(&text).map(Wire::BoolValue),
        // Any number is larger or smaller than a whole one.
        Some(Kind::Integer) => {
            let whole = text.parse().ok().map(Wire::IntegerValue);
            whole.or_else(|| coerce::finite(&text).map(Wire::DecimalValue))
        }
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
mod tests;
