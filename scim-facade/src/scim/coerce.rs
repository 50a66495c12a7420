//! JSON to typed values, by the registry.
//!
//! Accepted beyond RFC 7643, because provisioning clients send it: booleans
//! and numbers as strings, numbers for strings, one element in place of a
//! list, the bare value in place of a complex one. What does not fit even so
//! is `invalidValue`, and the detail names the attribute; so is a whole number
//! of more than 64 bits, whose digits would be lost. Unassigned parts of
//! single complex values stay as [`Value::Null`], so that PATCH sees them.

use std::fmt::Display;

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use muster_proto::{
    schema::{Attribute, Kind, Mutability},
    value::{Object, Value},
};
use serde_json::Number;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    error::ScimError,
    json::{Json, Members},
};

/// Most elements of a multi-valued attribute; the directory keeps no more.
pub const MAX_ELEMENTS: usize = 1000;

const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The value of an attribute; `path` names it in errors.
///
/// # Errors
/// `invalidValue` when the JSON does not fit.
pub fn attribute(
    json: Json,
    attribute: &'static Attribute,
    path: &str,
) -> Result<Value, ScimError> {
    if attribute.multi_valued {
        list(json, attribute, path)
    } else {
        element(json, attribute, path)
    }
}

/// One element of a multi-valued attribute, or the value of a single one.
///
/// # Errors
/// `invalidValue` when the JSON does not fit.
pub fn element(json: Json, attribute: &'static Attribute, path: &str) -> Result<Value, ScimError> {
    match attribute.kind {
        Kind::Complex => complex(json, attribute, path),
        kind => simple(json, kind, path),
    }
}

/// A value of an extension that no schema describes: any shape is kept.
/// Members with an empty name are passed over: no path reaches them.
///
/// # Errors
/// `invalidValue` for a whole number beyond 64 bits.
pub fn untyped(json: Json, path: &impl Display) -> Result<Value, ScimError> {
    free(json).ok_or_else(|| out_of_range(path))
}

/// All members of the extension with this URN, which no schema describes.
///
/// # Errors
/// As [`untyped`].
pub fn untyped_object(Members(members): Members, urn: &str) -> Result<Object, ScimError> {
    let named = members.into_iter().filter(|(name, _)| !name.is_empty());
    let member = |(name, json): (String, Json)| {
        let value = untyped(json, &format_args!("{urn}:{name}"))?;
        Ok((name, value))
    };
    named.map(member).collect()
}

/// `None` when a number in it cannot be kept as it is.
fn free(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::String(text) => Value::String(text),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Decimal(decimal(&number)?),
        },
        Json::Array(elements) => {
            Value::List(elements.into_iter().map(free).collect::<Option<_>>()?)
        }
        Json::Object(Members(members)) => {
            let named = members.into_iter().filter(|(name, _)| !name.is_empty());
            let kept = named.map(|(name, json)| Some((name, free(json)?)));
            Value::Complex(kept.collect::<Option<_>>()?)
        }
    })
}

/// A number that no `i64` holds. `None` for whole ones: the parser has rounded
/// them to 53 bits, or there is no type on the wire to carry them.
fn decimal(number: &Number) -> Option<f64> {
    /// 2^63, the first beyond `i64`.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let is_kept = |decimal: &f64| decimal.is_finite() && decimal.abs() < BEYOND;
    number.as_f64().filter(is_kept)
}

fn out_of_range(path: &impl Display) -> ScimError {
    ScimError::invalid_value(format!("{path} has a number of more than 64 bits."))
}

/// Text to the truth value it spells, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Text to the number it spells; `NaN` and `inf` are none.
pub fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Time as RFC 3339 text; without an offset (`xsd:dateTime` lets it out) it
/// is UTC.
pub fn time(text: &str) -> Option<String> {
    let parses = |text: &str| OffsetDateTime::parse(text, &Rfc3339).is_ok();
    if parses(text) {
        return Some(text.to_owned());
    }
    Some(format!("{text}Z")).filter(|text| parses(text))
}

fn list(json: Json, attribute: &'static Attribute, path: &str) -> Result<Value, ScimError> {
    let elements = match json {
        Json::Null => return Ok(Value::Null),
        Json::String(text) if text.is_empty() => return Ok(Value::Null),
        Json::Array(elements) => elements,
        single => vec![single],
    };
    if elements.len() > MAX_ELEMENTS {
        return Err(too_many_elements(path));
    }
    let mut values = Vec::with_capacity(elements.len());
    for json in elements {
        values.extend(element(json, attribute, path)?.pruned());
    }
    one_primary(&values, path)?;
    Ok(Value::List(values))
}

/// What a list with more than [`MAX_ELEMENTS`] meets.
pub fn too_many_elements(path: &str) -> ScimError {
    ScimError::invalid_value(format!("{path} may have at most {MAX_ELEMENTS} elements."))
}

/// RFC 7643 section 2.4: `true` appears no more than once.
///
/// # Errors
/// `invalidValue` when it does.
pub fn one_primary(values: &[Value], path: &str) -> Result<(), ScimError> {
    let is_primary = |value: &&Value| {
        let primary = value.as_object().and_then(|object| object.get("primary"));
        primary.and_then(Value::as_bool) == Some(true)
    };
    if values.iter().filter(is_primary).count() > 1 {
        let detail = format!("Only one element of {path} may be primary.");
        return Err(ScimError::invalid_value(detail));
    }
    Ok(())
}

fn complex(json: Json, attribute: &'static Attribute, path: &str) -> Result<Value, ScimError> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::String(text) if text.is_empty() => Ok(Value::Null),
        Json::Object(members) => sub_attributes(members, attribute, path).map(Value::Complex),
        // Microsoft's tutorial adds a manager as a list of one.
        Json::Array(elements) if !attribute.multi_valued => match elements.into_iter().next() {
            None => Ok(Value::Null),
            Some(first) => complex(first, attribute, path),
        },
        scalar => match attribute.value_attribute() {
            Some(value) if !matches!(scalar, Json::Array(_)) => {
                let value = simple(scalar, value.kind, path)?;
                Ok(Value::Complex(Object::from([("value".to_owned(), value)])))
            }
            _ => Err(wrong_type(&scalar, attribute.kind, path)),
        },
    }
}

fn sub_attributes(
    Members(members): Members,
    attribute: &'static Attribute,
    path: &str,
) -> Result<Object, ScimError> {
    let mut object = Object::new();
    let mut display = None;
    for (name, json) in members {
        let Some(sub) = attribute.sub_attribute(&name) else {
            if name.eq_ignore_ascii_case("displayName") {
                display = attribute.sub_attribute("display").map(|sub| (sub, json));
            }
            continue;
        };
        if sub.mutability != Mutability::ReadOnly {
            let value = simple(json, sub.kind, &format!("{path}.{}", sub.name))?;
            object.insert(sub.name.to_owned(), value);
        }
    }
    // Entra's AppRoleAssignmentsComplex spells the label of a role
    // "displayName", where RFC 7643 has "display".
    if let Some((sub, json)) = display
        && !object.contains_key(sub.name)
    {
        let value = simple(json, sub.kind, &format!("{path}.{}", sub.name))?;
        object.insert(sub.name.to_owned(), value);
    }
    Ok(object)
}

fn simple(json: Json, kind: Kind, path: &str) -> Result<Value, ScimError> {
    let wrong = |json: &Json| Err(wrong_type(json, kind, path));
    match (kind, json) {
        (_, Json::Null) => Ok(Value::Null),
        (Kind::String | Kind::Reference, Json::String(text)) => Ok(Value::String(text)),
        (Kind::String | Kind::Reference, Json::Number(number)) => {
            if number.is_f64() && decimal(&number).is_none() {
                return Err(out_of_range(&path));
            }
            Ok(Value::String(number.to_string()))
        }
        (_, Json::String(text)) if text.is_empty() => Ok(Value::Null),
        (_, Json::String(text)) => match from_text(&text, kind) {
            Some(value) => Ok(value),
            None => wrong(&Json::String(text)),
        },
        (Kind::Boolean, Json::Bool(value)) => Ok(Value::Boolean(value)),
        (Kind::Integer, Json::Number(number)) => match number.as_i64() {
            Some(integer) => Ok(Value::Integer(integer)),
            None => wrong(&Json::Number(number)),
        },
        (Kind::Decimal, Json::Number(number)) => match decimal(&number) {
            Some(decimal) => Ok(Value::Decimal(decimal)),
            None => Err(out_of_range(&path)),
        },
        (_, other) => wrong(&other),
    }
}

fn from_text(text: &str, kind: Kind) -> Option<Value> {
    match kind {
        Kind::String | Kind::Reference => Some(text.into()),
        Kind::Boolean => boolean(text).map(Value::Boolean),
        Kind::Integer => text.parse().ok().map(Value::Integer),
        Kind::Decimal => finite(text).map(Value::Decimal),
        Kind::DateTime => time(text).map(Value::String),
        Kind::Binary => {
            let bytes = LENIENT_BASE64.decode(text).ok()?;
            Some(Value::String(STANDARD.encode(bytes)))
        }
        Kind::Complex => None,
    }
}

fn wrong_type(json: &Json, kind: Kind, path: &str) -> ScimError {
    let expected = match kind {
        Kind::String => "a string",
        Kind::Boolean => "a boolean",
        Kind::Integer => "an integer",
        Kind::Decimal => "a number",
        Kind::DateTime => "an RFC 3339 time",
        Kind::Binary => "base64",
        Kind::Reference => "a reference",
        Kind::Complex => "an object",
    };
    let found = json.type_name();
    ScimError::invalid_value(format!("{path} must be {expected}, not {found}."))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::{super::json, *};

    /// The value as JSON, or the detail of the error.
    #[track_caller]
    fn check(name: &str, body: &str, expected: Result<&str, &str>) {
        let definition = USER.core_attribute(name).expect("registered");
        let found = attribute(json::parse(body.as_bytes()).expect(body), definition, name);
        let found = found.map(|value| super::super::resource::untyped(value).to_string());
        let found = found.as_deref().map_err(ScimError::detail);
        assert_eq!(found, expected, "{name} {body}");
    }

    #[test]
    fn values() {
        check("displayName", "\"x\"", Ok("\"x\""));
        check("displayName", "701984", Ok("\"701984\""));
        check("displayName", "null", Ok("null"));
        check("active", "\"False\"", Ok("false"));
        check("active", "\"tRUE\"", Ok("true"));
        check("active", "\"\"", Ok("null"));
        check("emails", "\"a@b\"", Ok(r#"[{"value":"a@b"}]"#));
        check("emails", r#"{"Value":"a@b"}"#, Ok(r#"[{"value":"a@b"}]"#));
        check("emails", r#"[{"value":""},{}]"#, Ok("[]"));
        check("emails", "\"\"", Ok("null"));
        check(
            "roles",
            r#"[{"primary":"True","value":"r"}]"#,
            Ok(r#"[{"primary":true,"value":"r"}]"#),
        );
        check(
            "roles",
            r#"[{"displayName":"d","x":1}]"#,
            Ok(r#"[{"display":"d"}]"#),
        );
        check(
            "roles",
            r#"[{"displayName":"d","display":"e"}]"#,
            Ok(r#"[{"display":"e"}]"#),
        );
        check(
            "roles",
            r#"[{"value":"{\"id\":1}"}]"#,
            Ok(r#"[{"value":"{\"id\":1}"}]"#),
        );
        check(
            "x509Certificates",
            r#"[{"value":"TQ"}]"#,
            Ok(r#"[{"value":"TQ=="}]"#),
        );
        check(
            "name",
            r#"{"GIVENNAME":"A","familyName":null}"#,
            Ok(r#"{"familyName":null,"givenName":"A"}"#),
        );
    }

    #[test]
    fn wrong_types_name_the_attribute() {
        check(
            "displayName",
            "true",
            Err("displayName must be a string, not a boolean."),
        );
        check(
            "displayName",
            "[\"x\"]",
            Err("displayName must be a string, not an array."),
        );
        check(
            "active",
            "\"yes\"",
            Err("active must be a boolean, not a string."),
        );
        check(
            "active",
            "1",
            Err("active must be a boolean, not a number."),
        );
        check(
            "name",
            "\"Ada\"",
            Err("name must be an object, not a string."),
        );
        check(
            "addresses",
            "[\"x\"]",
            Err("addresses must be an object, not a string."),
        );
        check(
            "emails",
            "[[]]",
            Err("emails must be an object, not an array."),
        );
        check(
            "emails",
            r#"[{"value":{}}]"#,
            Err("emails.value must be a string, not an object."),
        );
        check(
            "x509Certificates",
            r#"[{"value":"*"}]"#,
            Err("x509Certificates.value must be base64, not a string."),
        );
        check(
            "emails",
            r#"[{"primary":true},{"primary":"true"}]"#,
            Err("Only one element of emails may be primary."),
        );
    }

    #[test]
    fn times_without_an_offset_are_utc() {
        assert_eq!(
            time("2011-05-13T04:42:34Z").as_deref(),
            Some("2011-05-13T04:42:34Z")
        );
        assert_eq!(
            time("2011-05-13T04:42:34").as_deref(),
            Some("2011-05-13T04:42:34Z")
        );
        assert_eq!(time("yesterday"), None);
    }
}
