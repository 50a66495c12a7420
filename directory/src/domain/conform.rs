//! Values against the registry: spelling, types, limits.
//!
//! Everything that enters the directory passes here once, whole resources and
//! values of PATCH operations alike. What comes out is spelled as the registry
//! spells it, has the registry's types and holds nothing unassigned.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_proto::{
    schema::{Attribute, Kind, Mutability, ResourceType, Schema, Target, is_urn},
    value::{Object, Value},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::error::{Error, Result, Violation};

/// Longest text, in bytes.
pub const TEXT_LIMIT: usize = 65_536;

/// Longest list.
pub const LIST_LIMIT: usize = 1_000;

/// Longest URN of an extension, in bytes.
const NAME_LIMIT: usize = 1_024;

/// Deepest nesting in an extension that no schema describes.
const DEPTH_LIMIT: usize = 16;

/// The attributes of a resource, conformed. Read-only ones are left out: they
/// are the server's to give.
///
/// # Errors
/// [`Error::Invalid`] with every violation.
pub fn conform(resource: &ResourceType, attributes: Object) -> Result<Object> {
    let mut report = Report::default();
    let mut conformed = Object::new();
    for (name, value) in attributes {
        let (key, value) = match locate(resource, &name) {
            Some(Target::Core(attribute)) => (attribute.name, report.value(attribute, name, value)),
            Some(Target::WholeExtension(schema)) => (schema.urn, report.extension(schema, value)),
            Some(Target::WholeUnregistered(urn)) => (urn, report.unregistered(urn, value)),
            Some(Target::Extension(..) | Target::Unregistered(..)) | None => {
                report.note(&name, "is no attribute of the resource");
                continue;
            }
        };
        if let Some(value) = value {
            // Names compare without case, so these would be one attribute.
            if conformed
                .keys()
                .any(|known| known.eq_ignore_ascii_case(key))
            {
                report.note(key, "is given twice");
            }
            conformed.insert(key.to_owned(), value);
        }
    }
    report.finish(conformed)
}

/// Whether a text may name an extension: what RFC 8141 allows in URNs has no
/// blanks, quotes or control characters.
pub fn may_name_extension(urn: &str) -> bool {
    urn.len() <= NAME_LIMIT
        && urn
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"\\<>".contains(&b))
}

/// One value for this attribute, conformed; `None` when it is unassigned.
///
/// # Errors
/// [`Error::Invalid`].
pub fn value(attribute: &Attribute, value: Value) -> Result<Option<Value>> {
    let mut report = Report::default();
    let conformed = report.value(attribute, attribute.name.to_owned(), value);
    report.finish(conformed)
}

/// One element of a multi-valued attribute, conformed; `None` when it is
/// unassigned.
///
/// # Errors
/// [`Error::Invalid`].
pub fn element(attribute: &Attribute, value: Value) -> Result<Option<Value>> {
    let mut report = Report::default();
    let conformed = report.single(attribute, attribute.name, value);
    report.finish(conformed)
}

/// The attributes of a registered extension, conformed.
///
/// # Errors
/// [`Error::Invalid`].
pub fn extension(schema: &'static Schema, value: Value) -> Result<Option<Value>> {
    let mut report = Report::default();
    let conformed = report.extension(schema, value);
    report.finish(conformed)
}

/// The name of an attribute that no schema describes: any, within limits.
///
/// # Errors
/// [`Error::Invalid`].
pub fn unregistered_name(name: &str) -> Result<()> {
    let mut report = Report::default();
    report.check_text("name of an attribute", name);
    report.finish(())
}

/// A value in an extension that no schema describes: anything, within limits.
///
/// # Errors
/// [`Error::Invalid`].
pub fn unregistered(name: &str, value: Value) -> Result<Option<Value>> {
    let mut report = Report::default();
    report.anything(name, &value, DEPTH_LIMIT);
    report.finish(value.pruned())
}

/// Instants are compared as such: milliseconds since the Unix epoch.
///
/// `None` when the text is not of RFC 3339.
pub fn instant_ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

fn locate<'a>(resource: &ResourceType, name: &'a str) -> Option<Target<'a>> {
    if is_urn(name) {
        resource.find(name, "")
    } else {
        resource.find("", name)
    }
}

/// Each value of a type once (RFC 7643 section 2.4): what a later element says of
/// it is said of the first, as when it is added.
fn once(elements: Vec<Value>) -> Vec<Value> {
    let mut places = HashMap::with_capacity(elements.len());
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        let place = meaning(&element).map(|key| *places.entry(key).or_insert(kept.len()));
        match (place.and_then(|place| kept.get_mut(place)), element) {
            (Some(Value::Complex(known)), Value::Complex(more)) => known.extend(more),
            (Some(_), _) => {}
            (None, element) => kept.push(element),
        }
    }
    kept
}

/// Value and type of an element that has a value of text.
fn meaning(element: &Value) -> Option<(String, String)> {
    let object = match element {
        Value::String(text) => return Some((text.clone(), String::new())),
        Value::Complex(object) => object,
        _ => return None,
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or_default();
    Some((text("value")?.to_owned(), kind.to_owned()))
}

#[derive(Default)]
struct Report(Vec<Violation>);

impl Report {
    fn value(&mut self, attribute: &Attribute, path: String, value: Value) -> Option<Value> {
        if attribute.mutability == Mutability::ReadOnly || attribute.is_made() {
            return None;
        }
        if !attribute.multi_valued {
            return self.single(attribute, &path, value);
        }
        match value {
            Value::Null => None,
            Value::List(elements) => self.list(attribute, &path, elements),
            _ => self.refuse(&path, "must be a list"),
        }
    }

    fn list(&mut self, attribute: &Attribute, path: &str, elements: Vec<Value>) -> Option<Value> {
        if elements.len() > LIST_LIMIT {
            return self.refuse(path, &format!("has more than {LIST_LIMIT} values"));
        }
        let elements: Vec<_> = elements
            .into_iter()
            .filter_map(|element| self.single(attribute, path, element))
            .collect();
        let elements = once(elements);
        let primary = elements
            .iter()
            .filter(|element| is_primary(element))
            .count();
        if primary > 1 {
            return self.refuse(path, "has more than one primary value");
        }
        (!elements.is_empty()).then_some(Value::List(elements))
    }

    fn single(&mut self, attribute: &Attribute, path: &str, value: Value) -> Option<Value> {
        match (attribute.kind, value) {
            (_, Value::Null) => None,
            (Kind::Complex, Value::Complex(object)) => self.complex(attribute, path, object),
            (Kind::Complex, _) => self.refuse(path, "must have sub-attributes"),
            (Kind::Boolean, Value::Boolean(value)) => Some(value.into()),
            (Kind::Boolean, _) => self.refuse(path, "must be true or false"),
            (Kind::Integer, Value::Integer(value)) => Some(Value::Integer(value)),
            (Kind::Integer, _) => self.refuse(path, "must be a whole number"),
            (Kind::Decimal, Value::Decimal(value)) if value.is_finite() => {
                Some(Value::Decimal(value))
            }
            (Kind::Decimal, value @ Value::Integer(_)) => Some(value),
            (Kind::Decimal, _) => self.refuse(path, "must be a number"),
            (_, Value::String(text)) => self.text(attribute.kind, path, text),
            _ => self.refuse(path, "must be text"),
        }
    }

    fn text(&mut self, kind: Kind, path: &str, text: String) -> Option<Value> {
        if text.is_empty() {
            return None;
        }
        self.check_text(path, &text);
        match kind {
            Kind::DateTime if instant_ms(&text).is_none() => {
                self.refuse(path, "must be a time of RFC 3339")
            }
            Kind::Binary if STANDARD.decode(&text).is_err() => self.refuse(path, "must be base64"),
            _ => Some(text.into()),
        }
    }

    fn complex(&mut self, attribute: &Attribute, path: &str, object: Object) -> Option<Value> {
        let mut conformed = Object::new();
        for (name, value) in object {
            let path = format!("{path}.{name}");
            let Some(sub) = attribute.sub_attribute(&name) else {
                self.note(&path, "is no attribute");
                continue;
            };
            if let Some(value) = self.value(sub, path, value) {
                conformed.insert(sub.name.to_owned(), value);
            }
        }
        (!conformed.is_empty()).then_some(Value::Complex(conformed))
    }

    fn extension(&mut self, schema: &'static Schema, value: Value) -> Option<Value> {
        let object = match value {
            Value::Null => return None,
            Value::Complex(object) => object,
            _ => return self.refuse(schema.urn, "must have attributes"),
        };
        let mut conformed = Object::new();
        for (name, value) in object {
            let path = format!("{}:{name}", schema.urn);
            let Some(attribute) = schema.attribute(&name) else {
                self.note(&path, "is no attribute");
                continue;
            };
            if let Some(value) = self.value(attribute, path, value) {
                conformed.insert(attribute.name.to_owned(), value);
            }
        }
        (!conformed.is_empty()).then_some(Value::Complex(conformed))
    }

    fn unregistered(&mut self, urn: &str, value: Value) -> Option<Value> {
        match value {
            Value::Null => None,
            Value::Complex(_) if !may_name_extension(urn) => self.refuse(urn, "is no URN"),
            Value::Complex(_) => {
                self.anything(urn, &value, DEPTH_LIMIT);
                value.pruned()
            }
            _ => self.refuse(urn, "must have attributes"),
        }
    }

    fn anything(&mut self, path: &str, value: &Value, depth: usize) {
        if depth == 0 {
            return self.note(path, "is nested too deeply");
        }
        match value {
            Value::String(text) => self.check_text(path, text),
            Value::Decimal(value) if !value.is_finite() => self.note(path, "must be a number"),
            Value::List(elements) if elements.len() > LIST_LIMIT => {
                self.note(path, &format!("has more than {LIST_LIMIT} values"));
            }
            Value::List(elements) => {
                for element in elements {
                    self.anything(path, element, depth - 1);
                }
            }
            Value::Complex(object) => {
                for (name, value) in object {
                    self.check_text(path, name);
                    self.anything(path, value, depth - 1);
                }
            }
            Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) => {}
        }
    }

    fn check_text(&mut self, path: &str, text: &str) {
        if text.len() > TEXT_LIMIT {
            self.note(path, &format!("has more than {TEXT_LIMIT} bytes"));
        }
        // PostgreSQL cannot store it, and nobody's name has it.
        if text.contains('\0') {
            self.note(path, "contains a NUL character");
        }
    }

    fn refuse(&mut self, path: &str, rule: &str) -> Option<Value> {
        self.note(path, rule);
        None
    }

    fn note(&mut self, path: &str, rule: &str) {
        self.0.push(Violation::new(path, rule));
    }

    fn finish<T>(self, conformed: T) -> Result<T> {
        if self.0.is_empty() {
            Ok(conformed)
        } else {
            Err(Error::Invalid(self.0))
        }
    }
}

/// Whether an element of a multi-valued attribute is the preferred one.
pub fn is_primary(element: &Value) -> bool {
    let primary = element.as_object().and_then(|object| object.get("primary"));
    primary.and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, USER};

    use super::*;

    fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn violations(attributes: Object) -> Vec<String> {
        match conform(&USER, attributes) {
            Err(Error::Invalid(violations)) => violations.into_iter().map(|v| v.field).collect(),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn spelling_follows_the_registry() {
        let sent = object([
            ("USERNAME", "ada".into()),
            (
                "Emails",
                Value::List(vec![Value::Complex(object([("VALUE", "a@b".into())]))]),
            ),
            (
                &ENTERPRISE_USER.to_uppercase(),
                Value::Complex(object([("Department", "x".into())])),
            ),
        ]);
        let stored = conform(&USER, sent).expect("it is a user");
        let keys: Vec<_> = stored.keys().map(String::as_str).collect();
        assert_eq!(keys, ["emails", ENTERPRISE_USER, "userName"]);
    }

    #[test]
    fn what_is_unassigned_or_read_only_is_left_out() {
        let sent = object([
            ("title", "".into()),
            ("nickName", Value::Null),
            (
                "emails",
                Value::List(vec![Value::Complex(object([("value", "".into())]))]),
            ),
            ("id", "x".into()),
            ("groups", Value::List(vec![])),
        ]);
        assert_eq!(conform(&USER, sent).expect("it is a user"), Object::new());
    }

    #[test]
    fn every_violation_is_named() {
        let sent = object([
            ("active", "yes".into()),
            ("emails", "a@b".into()),
            ("jobTitle", "x".into()),
            ("name", "Ada".into()),
            ("title", "\0".into()),
        ]);
        assert_eq!(
            violations(sent),
            ["active", "emails", "jobTitle", "name", "title"]
        );
    }

    #[test]
    fn one_value_is_primary() {
        let email = |value: &str| {
            Value::Complex(object([("value", value.into()), ("primary", true.into())]))
        };
        let sent = object([("emails", Value::List(vec![email("a"), email("b")]))]);
        assert_eq!(violations(sent), ["emails"]);
    }

    #[test]
    fn unregistered_extensions_are_bounded() {
        let mut deep = Value::from("x");
        for _ in 0..40 {
            deep = Value::List(vec![deep]);
        }
        let sent = object([("urn:x:2.0:User", Value::Complex(object([("a", deep)])))]);
        assert_eq!(violations(sent), ["urn:x:2.0:User"]);
    }
}
