//! How provisioning clients deviate from RFC 7644 section 3.5.2. The engine in
//! [`super`] asks these rules; nothing else in the crate knows whose habit a
//! rule is. Which of them apply is a matter of [`Accents`].
//!
//! Rules about values apply to POST and PUT as well and live where values are
//! read ([`crate::scim::coerce`]), those about names with the paths
//! ([`crate::scim::path`]), those about literals with the filters
//! ([`crate::translate::filter`]).

use muster_proto::{
    schema::{Attribute, Kind},
    value::{Object, Value},
};

use super::Op;
use crate::scim::{
    coerce,
    filter::{Filter, Literal, Operator},
    flavor::{Accent, Accents},
    json::Json,
    path::PatchPath,
};

/// Known, and not kept.
pub const PASSWORD: &str = "password";

/// `"Replace"` is `"replace"`. Microsoft Entra without the flag
/// `aadOptscim062020` capitalises; its validator does not.
pub fn op(name: &str, accents: Accents<'_>) -> Option<Op> {
    let ops = [
        ("add", Op::Add),
        ("replace", Op::Replace),
        ("remove", Op::Remove),
    ];
    let (spelled, op) = ops
        .into_iter()
        .find(|(op, _)| op.eq_ignore_ascii_case(name))?;
    (spelled == name || accents.has(Accent::CapitalOps)).then_some(op)
}

/// Known attributes that are not kept; an operation on one is passed over, so
/// that it does not take the rest of the request down with it. A deactivation
/// was seen to fail because of an unsupported attribute in the same PATCH.
pub fn is_passed_over(path: &PatchPath, accents: Accents<'_>) -> bool {
    let name = path.path.name();
    name.is_some_and(|name| name.eq_ignore_ascii_case(PASSWORD))
        && accents.has(Accent::PasswordIgnored)
}

/// `null`, `""` and `{"value":""}` clear an attribute. Microsoft's validation
/// sends each of them with replace, the last for managers. An object that
/// names nothing clears nothing.
pub fn clears(value: &Value) -> bool {
    let names_nothing = value.as_object().is_some_and(Object::is_empty);
    value.is_unassigned() && !names_nothing
}

/// The parts of a complex value that are to be cleared while others are set.
pub fn cleared_parts(value: &Value) -> Vec<String> {
    let parts = value.as_object().into_iter().flatten();
    parts
        .filter(|(_, part)| part.is_unassigned())
        .map(|(name, _)| name.clone())
        .collect()
}

/// What is added to a list of objects: RFC 7644 section 3.5.2.1 speaks of "a new
/// value", so that one element need not be a list.
pub fn list_of_one(json: Json) -> Json {
    match json {
        element @ Json::Object(_) => Json::Array(vec![element]),
        other => other,
    }
}

/// The same for a list of what this attribute has.
pub fn list_of_one_of(json: Json, attribute: &Attribute) -> Json {
    let is_element = match &json {
        Json::Object(_) => true,
        Json::Null | Json::Array(_) => false,
        Json::String(text) if text.is_empty() => false,
        Json::String(_) | Json::Number(_) | Json::Bool(_) => attribute.kind != Kind::Complex,
    };
    match is_element {
        true => Json::Array(vec![json]),
        false => json,
    }
}

/// One element written as a list of one, where a path with a filter means one
/// element. Other lists stay, and fail as what they are.
pub fn single(json: Json, accents: Accents<'_>) -> Json {
    match json {
        Json::Array(mut elements) if elements.len() == 1 && accents.has(Accent::ListForSingle) => {
            elements.remove(0)
        }
        other => other,
    }
}

/// `manager[value eq "x"]` as the value that must be there for a removal: the
/// manager goes when it is x. Microsoft Entra's removal of a manager.
pub fn filter_as_value(
    filter: &Filter,
    attribute: &'static Attribute,
    accents: Accents<'_>,
) -> Option<Value> {
    if !accents.has(Accent::FilterOnSingle) {
        return None;
    }
    let mut object = Object::new();
    for (path, literal) in filter.equalities()? {
        let sub = attribute.sub_attribute(path.name()?)?;
        let json = Json::String(literal_text(literal)?);
        let value = coerce::element(json, sub, sub.name, accents).ok()?;
        object.insert(sub.name.to_owned(), value);
    }
    Some(Value::Complex(object))
}

/// `members[value eq "x"]`, also several joined by "or", as the members that
/// it names. Microsoft Entra with the flag.
pub fn filter_as_members(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Compare(path, Operator::Equal, literal)
            if path
                .name()
                .is_some_and(|name| name.eq_ignore_ascii_case("value")) =>
        {
            Some(vec![literal_text(literal)?])
        }
        Filter::Or(filters) => {
            let parts: Option<Vec<_>> = filters.iter().map(filter_as_members).collect();
            Some(parts?.concat())
        }
        _ => None,
    }
}

fn literal_text(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Number(text) | Literal::String(text) => Some(text.clone()),
        Literal::Boolean(value) => Some(value.to_string()),
        Literal::Null => None,
    }
}
