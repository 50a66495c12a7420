//! What filters and orders mean, on values: the reference for the database.

use muster_proto::{
    schema::{Attribute, ENTERPRISE_USER, Kind, Reach, Schema, is_urn, schemas_attribute},
    value::{Object, Value},
};

use super::{
    Field, Filter, Literal, Operator,
    literal::{instant, text_key},
};
use crate::domain::{
    Resource,
    fold::fold,
    number::Number,
    sort::{Key, Sort},
    version::etag,
};

/// A resource with what it says about others.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// Groups of a user or members of a group, in the order of their ids.
    pub related: &'a [Related],
    /// Of a user: the display name of his manager.
    pub manager_name: Option<&'a str>,
}

/// A group that a user is in, or a member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Its id.
    pub id: String,
    /// Its name.
    pub display: String,
    /// `direct` or `indirect`; `User` or `Group`.
    pub relation: &'static str,
}

impl Filter {
    /// Whether an element of a complex attribute satisfies the condition.
    pub fn matches(&self, element: &Object) -> bool {
        self.holds(&|part| element.get(part.name))
    }

    /// Whether an element of any multi-valued attribute satisfies the condition.
    pub fn matches_value(&self, element: &Value) -> bool {
        match element {
            Value::Complex(element) => self.matches(element),
            simple => self.holds(&|_| Some(simple)),
        }
    }

    fn holds<'a>(&self, part: &dyn Fn(&Attribute) -> Option<&'a Value>) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.holds(part)),
            Self::Or(children) => children.iter().any(|child| child.holds(part)),
            Self::Not(child) => !child.holds(part),
            Self::Present(Field::Element(leaf)) => part(leaf).is_some(),
            Self::Compare(Field::Element(leaf), operator, literal) => {
                literal.accepts(Some(leaf), part(leaf), *operator)
            }
            Self::Present(_) | Self::Compare(..) | Self::Element(..) => false,
        }
    }

    /// Whether a resource satisfies the condition.
    pub fn finds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::And(children) => children.iter().all(|child| child.finds(subject)),
            Self::Or(children) => children.iter().any(|child| child.finds(subject)),
            Self::Not(child) => !child.finds(subject),
            Self::Present(field) => !subject.values(field).is_empty(),
            Self::Compare(field, operator, literal) => subject.compares(field, *operator, literal),
            Self::Element(field, filter) => {
                let elements = subject.elements(field);
                elements.iter().any(|element| filter.matches_value(element))
            }
        }
    }
}

impl Sort {
    /// What the resource is sorted by.
    pub fn key(&self, subject: &Subject<'_>) -> Key {
        let leaf = self.field.leaf();
        let value = match &self.field {
            Field::Attribute { attribute, .. } if attribute.multi_valued => {
                let elements = subject.elements(&self.field);
                let leaf = leaf.unwrap_or(attribute);
                chosen(&elements).and_then(|element| part(element, leaf).cloned())
            }
            Field::Unregistered {
                urn,
                attribute,
                sub,
            } => subject.first_unregistered(urn, attribute, sub.as_deref()),
            field => subject.value(field),
        };
        let is_time = leaf.is_some_and(|leaf| leaf.kind == Kind::DateTime);
        match value {
            Some(value) if is_time => {
                instant(&value).map_or(Key::Missing, |ms| Key::Number(Number::Integer(ms)))
            }
            Some(Value::String(text)) => Key::Text(self.cut(&text_key(leaf, &text)).to_owned()),
            Some(Value::Boolean(value)) => Key::Truth(value),
            Some(value) => Number::of(&value).map_or(Key::Missing, Key::Number),
            None => Key::Missing,
        }
    }
}

impl Subject<'_> {
    fn compares(&self, field: &Field, operator: Operator, literal: &Literal) -> bool {
        let leaf = field.leaf();
        let test = |value: Option<&Value>| literal.accepts(leaf, value, operator);
        match field {
            Field::Attribute { attribute, .. } if attribute.multi_valued => {
                let leaf = leaf.unwrap_or(attribute);
                let elements = self.elements(field);
                elements.iter().any(|element| test(part(element, leaf)))
            }
            Field::Unregistered { .. } => {
                let values = self.values(field);
                let differs = operator == Operator::NotEqual && values.is_empty();
                differs || values.iter().any(|value| test(Some(value)))
            }
            _ => test(self.value(field).as_ref()),
        }
    }

    /// The values that the presence of an attribute or sub-attribute means.
    fn values(&self, field: &Field) -> Vec<Value> {
        match field {
            Field::Attribute { attribute, sub, .. } if attribute.multi_valued => {
                let elements = self.elements(field);
                match sub {
                    Some(sub) => {
                        let parts = elements.iter().filter_map(|e| part(e, sub));
                        parts.cloned().collect()
                    }
                    None => elements,
                }
            }
            Field::Attribute {
                schema,
                attribute,
                sub,
            } => {
                let value = self.single(*schema, attribute, *sub);
                value.into_iter().collect()
            }
            Field::Unregistered {
                urn,
                attribute,
                sub,
            } => self.unregistered(urn, attribute, sub.as_deref()),
            Field::Extension(urn) => self.extension(urn).cloned().into_iter().collect(),
            Field::Element(_) => Vec::new(),
        }
    }

    /// The value of an attribute that has one; a complex attribute stands for
    /// its `value`.
    fn value(&self, field: &Field) -> Option<Value> {
        let Field::Attribute {
            schema, attribute, ..
        } = field
        else {
            return None;
        };
        let leaf = field.leaf()?;
        let sub = (!std::ptr::eq(leaf, *attribute)).then_some(leaf);
        self.single(*schema, attribute, sub)
    }

    fn single(
        &self,
        schema: Option<&Schema>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
    ) -> Option<Value> {
        let container = match schema {
            None => &self.resource.attributes,
            Some(schema) => self.resource.attributes.get(schema.urn)?.as_object()?,
        };
        let is_manager = schema.is_some_and(|schema| schema.is(ENTERPRISE_USER));
        match (attribute.name, sub.map(|sub| sub.name)) {
            ("id", _) if schema.is_none() => Some(self.resource.id.as_str().into()),
            ("meta", sub) if schema.is_none() => Some(self.meta(sub)),
            ("manager", Some("displayName")) if is_manager => self.manager_name.map(Into::into),
            ("manager", Some("$ref")) if is_manager => {
                let manager = container.get(attribute.name)?;
                manager.as_object()?.get("value").cloned()
            }
            (name, None) => container.get(name).cloned(),
            (name, Some(sub)) => container.get(name)?.as_object()?.get(sub).cloned(),
        }
    }

    fn meta(&self, sub: Option<&str>) -> Value {
        let Resource { kind, id, .. } = self.resource;
        match sub {
            Some("created") => Value::Integer(self.resource.created_at),
            Some("lastModified") => Value::Integer(self.resource.updated_at),
            Some("version") => etag(self.resource.version).into(),
            Some("resourceType") => kind.schema().name.into(),
            _ => id.as_str().into(),
        }
    }

    /// The elements of a multi-valued attribute.
    fn elements(&self, field: &Field) -> Vec<Value> {
        let Field::Attribute {
            schema, attribute, ..
        } = field
        else {
            return Vec::new();
        };
        if std::ptr::eq(*attribute, schemas_attribute()) {
            return self.schemas();
        }
        if attribute.reach == Reach::Relation {
            return self.related.iter().map(Related::element).collect();
        }
        match self.single(*schema, attribute, None) {
            Some(Value::List(elements)) => elements,
            _ => Vec::new(),
        }
    }

    fn schemas(&self) -> Vec<Value> {
        let core = self.resource.kind.schema().core.urn;
        let extensions = self.resource.attributes.keys().filter(|name| is_urn(name));
        let urns = std::iter::once(core).chain(extensions.map(String::as_str));
        urns.map(Into::into).collect()
    }

    fn extension(&self, urn: &str) -> Option<&Value> {
        member(&self.resource.attributes, urn)
    }

    /// The values of an attribute that no schema describes: one, or as many as
    /// a list has. With a sub-attribute, those of an object or of the objects in
    /// a list.
    fn unregistered(&self, urn: &str, attribute: &str, sub: Option<&str>) -> Vec<Value> {
        let extension = self.extension(urn).and_then(Value::as_object);
        let value = extension.and_then(|extension| member(extension, attribute));
        match (value, sub) {
            (None, _) => Vec::new(),
            (Some(value), None) => listed(value),
            (Some(Value::Complex(object)), Some(sub)) => {
                member(object, sub).map(listed).unwrap_or_default()
            }
            (Some(Value::List(elements)), Some(sub)) => {
                let objects = elements.iter().filter_map(Value::as_object);
                let parts = objects.filter_map(|object| member(object, sub));
                parts.cloned().collect()
            }
            (Some(_), Some(_)) => Vec::new(),
        }
    }

    fn first_unregistered(&self, urn: &str, attribute: &str, sub: Option<&str>) -> Option<Value> {
        let extension = self.extension(urn)?.as_object()?;
        match (member(extension, attribute)?, sub) {
            (Value::List(elements), Some(sub)) => {
                let objects = elements.iter().filter(|e| e.as_object().is_some());
                let objects: Vec<_> = objects.cloned().collect();
                member(chosen(&objects)?.as_object()?, sub).cloned()
            }
            _ => self.unregistered(urn, attribute, sub).into_iter().next(),
        }
    }
}

impl Related {
    fn element(&self) -> Value {
        let parts = [
            ("value", self.id.as_str()),
            ("$ref", &self.id),
            ("display", &self.display),
            ("type", self.relation),
        ];
        Value::Complex(
            parts
                .map(|(name, text)| (name.to_owned(), text.into()))
                .into(),
        )
    }
}

/// The part of an element, or the element itself where it has no parts.
fn part<'a>(element: &'a Value, leaf: &Attribute) -> Option<&'a Value> {
    match element {
        Value::Complex(object) => object.get(leaf.name),
        simple => Some(simple),
    }
}

/// The primary element, else the first.
fn chosen(elements: &[Value]) -> Option<&Value> {
    let primary = |element: &&Value| {
        let object = element.as_object();
        let primary = object.and_then(|object| member(object, "primary"));
        primary.and_then(Value::as_bool).unwrap_or_default()
    };
    elements.iter().find(primary).or_else(|| elements.first())
}

fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::List(elements) => elements.clone(),
        single => vec![single.clone()],
    }
}

/// What has this name, whatever its case.
fn member<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    let name = fold(name);
    let named = object.iter().find(|(other, _)| fold(other) == name);
    named.map(|(_, value)| value)
}
