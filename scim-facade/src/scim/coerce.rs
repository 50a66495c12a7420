//! JSON to typed values, by the registry.
//!
//! What RFC 7643 says a value looks like, and what provisioning clients send in
//! its place: the accents tell which of that is understood. What does not fit
//! even so is `invalidValue`, and the detail names the attribute; so is a whole
//! number of more than 64 bits, whose digits would be lost. Unassigned parts of
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
    flavor::{Accent, Accents},
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
    accents: Accents<'_>,
) -> Result<Value, ScimError> {
    let reader = Reader { accents };
    reader.attribute(json, attribute, path)
}

/// One element of a multi-valued attribute, or the value of a single one.
///
/// # Errors
/// `invalidValue` when the JSON does not fit.
pub fn element(
    json: Json,
    attribute: &'static Attribute,
    path: &str,
    accents: Accents<'_>,
) -> Result<Value, ScimError> {
    let reader = Reader { accents };
    reader.element(json, attribute, path)
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

/// Whether a whole number is still itself as a decimal of 64 bits, which has 53 for
/// its digits. Two identifiers that came to be one would be an error nobody sees.
fn is_exact(number: &Number, decimal: f64) -> bool {
    let whole = number.as_i64().map(i128::from);
    whole.is_none_or(|whole| whole == decimal as i128)
}

fn out_of_range(path: &impl Display) -> ScimError {
    ScimError::invalid_value(format!("{path} has a number of more than 64 bits."))
        .about(path.to_string())
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

/// The id in the URI of a resource: its last part.
pub fn id_in(value: Value) -> Value {
    match value {
        Value::String(uri) => {
            let last = uri.rsplit('/').next().unwrap_or_default();
            let id = percent_encoding::percent_decode_str(last).decode_utf8();
            id.map_or(Value::Null, |id| Value::String(id.into_owned()))
        }
        other => other,
    }
}

/// Base64 in its canonical form; RFC 7643 section 2.3.6 lets clients leave the
/// padding out.
pub fn binary(text: &str) -> Option<String> {
    let bytes = LENIENT_BASE64.decode(text).ok()?;
    Some(STANDARD.encode(bytes))
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

/// Reads values of clients that have these accents.
struct Reader<'a> {
    accents: Accents<'a>,
}

impl Reader<'_> {
    fn attribute(
        &self,
        json: Json,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Value, ScimError> {
        if attribute.multi_valued {
            self.list(json, attribute, path)
        } else {
            self.element(json, attribute, path)
        }
    }

    fn element(
        &self,
        json: Json,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Value, ScimError> {
        match attribute.kind {
            Kind::Complex => self.complex(json, attribute, path),
            kind => self.simple(json, kind, path),
        }
    }

    fn clears(&self, text: &str) -> bool {
        text.is_empty() && self.accents.has(Accent::EmptyClears)
    }

    fn list(
        &self,
        json: Json,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Value, ScimError> {
        let elements = match json {
            Json::Null => return Ok(Value::Null),
            Json::String(text) if self.clears(&text) => return Ok(Value::Null),
            Json::Array(elements) => elements,
            single if self.accents.has(Accent::SingleForList) => vec![single],
            other => return Err(mismatch(&other, "a list", path)),
        };
        if elements.len() > MAX_ELEMENTS {
            return Err(too_many_elements(path));
        }
        let mut values = Vec::with_capacity(elements.len());
        for json in elements {
            values.extend(self.element(json, attribute, path)?.pruned());
        }
        one_primary(&values, path)?;
        Ok(Value::List(values))
    }

    fn complex(
        &self,
        json: Json,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Value, ScimError> {
        match json {
            Json::Null => Ok(Value::Null),
            Json::String(text) if self.clears(&text) => Ok(Value::Null),
            Json::Object(members) => self
                .sub_attributes(members, attribute, path)
                .map(Value::Complex),
            // Microsoft's tutorial adds a manager as a list of one.
            Json::Array(elements)
                if !attribute.multi_valued && self.accents.has(Accent::ListForSingle) =>
            {
                match elements.into_iter().next() {
                    None => Ok(Value::Null),
                    Some(first) => self.complex(first, attribute, path),
                }
            }
            other => self.bare(other, attribute, path),
        }
    }

    /// The `value` of an element, in place of the element.
    fn bare(
        &self,
        json: Json,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Value, ScimError> {
        match attribute.value_attribute() {
            Some(value)
                if !matches!(json, Json::Array(_)) && self.accents.has(Accent::BareValue) =>
            {
                let value = self.simple(json, value.kind, path)?;
                Ok(Value::Complex(Object::from([("value".to_owned(), value)])))
            }
            _ => Err(wrong_type(&json, attribute.kind, path)),
        }
    }

    fn sub_attributes(
        &self,
        Members(members): Members,
        attribute: &'static Attribute,
        path: &str,
    ) -> Result<Object, ScimError> {
        let mut object = Object::new();
        let (mut display, mut reference) = (None, None);
        for (name, json) in members {
            let Some(sub) = attribute.sub_attribute(&name) else {
                match self.as_display(&name, attribute) {
                    Some(sub) => display = Some((sub, json)),
                    None if self.accents.has(Accent::UnknownAttributes) => {}
                    None => return Err(unknown(&format!("{path}.{name}"))),
                }
                continue;
            };
            if sub.mutability != Mutability::ReadOnly {
                let value = self.attribute(json, sub, &format!("{path}.{}", sub.name))?;
                match sub.is_made() {
                    true => reference = Some(value),
                    false => {
                        object.insert(sub.name.to_owned(), value);
                    }
                }
            }
        }
        // The URI repeats the id, or stands for it.
        if let Some(reference) = reference {
            let value = id_in(reference);
            object.entry("value".to_owned()).or_insert(value);
        }
        if let Some((sub, json)) = display
            && !object.contains_key(sub.name)
        {
            let value = self.attribute(json, sub, &format!("{path}.{}", sub.name))?;
            object.insert(sub.name.to_owned(), value);
        }
        Ok(object)
    }

    /// Entra's AppRoleAssignmentsComplex spells the label of a role
    /// "displayName", where RFC 7643 has "display".
    fn as_display(&self, name: &str, attribute: &Attribute) -> Option<&'static Attribute> {
        let meant = name.eq_ignore_ascii_case("displayName");
        let display = attribute.sub_attribute("display").filter(|_| meant)?;
        self.accents.has(Accent::RoleDisplayName).then_some(display)
    }

    fn simple(&self, json: Json, kind: Kind, path: &str) -> Result<Value, ScimError> {
        match (kind, json) {
            (_, Json::Null) => Ok(Value::Null),
            (Kind::String | Kind::Reference, Json::Number(number))
                if self.accents.has(Accent::NumbersForText) =>
            {
                if number.is_f64() && decimal(&number).is_none() {
                    return Err(out_of_range(&path));
                }
                Ok(Value::String(number.to_string()))
            }
            (_, Json::String(text)) if self.clears(&text) => Ok(Value::Null),
            (Kind::String | Kind::Reference, Json::String(text)) if text.is_empty() => {
                let detail = format!("{path} must not be empty; null clears it.");
                Err(ScimError::invalid_value(detail).about(path))
            }
            (_, Json::String(text)) => match self.spelled(&text, kind) {
                Some(value) => Ok(value),
                None => Err(wrong_type(&Json::String(text), kind, path)),
            },
            (Kind::Boolean, Json::Bool(value)) => Ok(Value::Boolean(value)),
            (Kind::Integer, Json::Number(number)) => match number.as_i64() {
                Some(integer) => Ok(Value::Integer(integer)),
                None => Err(wrong_type(&Json::Number(number), kind, path)),
            },
            (Kind::Decimal, Json::Number(number)) => match decimal(&number) {
                Some(decimal) if is_exact(&number, decimal) => Ok(Value::Decimal(decimal)),
                Some(_) => {
                    let detail = format!("{path} has a whole number of more digits than are kept.");
                    Err(ScimError::invalid_value(detail).about(path))
                }
                None => Err(out_of_range(&path)),
            },
            (_, other) => Err(wrong_type(&other, kind, path)),
        }
    }

    fn spelled(&self, text: &str, kind: Kind) -> Option<Value> {
        let understood = |value: &Value| match value {
            Value::Boolean(_) => self.accents.has(Accent::BooleansAsText),
            _ => self.accents.has(Accent::NumbersAsText),
        };
        match kind {
            Kind::String | Kind::Reference => Some(text.into()),
            Kind::Boolean => boolean(text).map(Value::Boolean).filter(understood),
            Kind::Integer => {
                let integer = text.parse().ok().map(Value::Integer);
                integer.filter(understood)
            }
            Kind::Decimal => finite(text).map(Value::Decimal).filter(understood),
            Kind::DateTime => time(text).map(Value::String),
            Kind::Binary => binary(text).map(Value::String),
            Kind::Complex => None,
        }
    }
}

/// What a list with more than [`MAX_ELEMENTS`] meets.
pub fn too_many_elements(path: &str) -> ScimError {
    ScimError::invalid_value(format!("{path} may have at most {MAX_ELEMENTS} elements."))
        .about(path)
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
        return Err(ScimError::invalid_value(detail).about(path));
    }
    Ok(())
}

/// What a body with an attribute that nobody knows meets: it does not conform
/// to the schema.
pub fn unknown(name: &str) -> ScimError {
    ScimError::invalid_syntax(format!("{name} is no attribute of the resource.")).about(name)
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
    mismatch(json, expected, path)
}

fn mismatch(json: &Json, expected: &str, path: &str) -> ScimError {
    let found = json.type_name();
    ScimError::invalid_value(format!("{path} must be {expected}, not {found}.")).about(path)
}

#[cfg(test)]
mod tests;
