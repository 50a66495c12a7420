//! JSON that keeps the order of members and refuses ambiguous objects.
//!
//! `serde_json::Value` silently keeps the last of two members with one name.
//! SCIM compares names without case, so `userName` and `username` in one
//! object are two values for one attribute: [`parse`] refuses both.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::Number;

use super::error::ScimError;

/// How deep a body may be nested. The deepest attribute of RFC 7643 needs 6;
/// deeper trees would meet the recursion limit of protobuf decoders.
const MAX_DEPTH: usize = 16;

/// Most values in a body. Each takes memory many times the byte or two that it
/// may be written with.
const MAX_VALUES: usize = 1_000_000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number that fits 64 bits.
    Number(Number),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object; see [`Members`].
    Object(Members),
}

/// The members of an object, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members(pub Vec<(String, Json)>);

/// Reads a request body.
///
/// # Errors
/// `invalidSyntax` for what is not JSON in UTF-8, has two members of one name
/// or is nested too deeply; `invalidValue` for text with a NUL, which no
/// database keeps; 413 for too many values.
pub fn parse(body: &[u8]) -> Result<Json, ScimError> {
    // RFC 8259 section 8.1 lets a receiver ignore a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let left = Cell::new(Some(MAX_VALUES));
    let json = read(body, &left).map_err(|error| match left.get() {
        None => ScimError::too_large(format!("A body may have at most {MAX_VALUES} values.")),
        Some(_) => ScimError::invalid_syntax(format!("The body is not valid JSON: {error}.")),
    })?;
    inspect(&json, MAX_DEPTH)?;
    Ok(json)
}

fn read(body: &[u8], left: &Cell<Option<usize>>) -> serde_json::Result<Json> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let json = Reader { left }.deserialize(&mut text)?;
    text.end()?;
    Ok(json)
}

/// Reads a request body that must be an object.
///
/// # Errors
/// As [`parse`], and `invalidSyntax` for any other JSON.
pub fn parse_object(body: &[u8]) -> Result<Members, ScimError> {
    match parse(body)? {
        Json::Object(members) => Ok(members),
        _ => Err(ScimError::invalid_syntax("The body must be a JSON object.")),
    }
}

fn inspect(json: &Json, depth: usize) -> Result<(), ScimError> {
    let below = |child: &Json| match depth.checked_sub(1) {
        Some(depth) => inspect(child, depth),
        None => Err(ScimError::invalid_syntax("The body is nested too deeply.")),
    };
    match json {
        Json::String(text) => no_nul(text),
        Json::Array(elements) => elements.iter().try_for_each(below),
        Json::Object(Members(members)) => members.iter().try_for_each(|(name, value)| {
            no_nul(name)?;
            below(value)
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
    }
}

fn no_nul(text: &str) -> Result<(), ScimError> {
    if text.contains('\0') {
        return Err(ScimError::invalid_value("Text must not contain NUL."));
    }
    Ok(())
}

impl Json {
    /// An object with these members, in this order.
    pub fn object<const N: usize>(members: [(&str, Json); N]) -> Self {
        Self::Object(Members(
            members
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
        ))
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What the value is, for error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl Members {
    /// The member with this name, compared without case.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Takes the member with this name, compared without case.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        let index = self
            .0
            .iter()
            .position(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(self.0.remove(index).1)
    }

    /// Puts a member behind the others.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.0.push((name.into(), value.into()));
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<Json>> for Json {
    fn from(elements: Vec<Json>) -> Self {
        Self::Array(elements)
    }
}

impl From<Members> for Json {
    fn from(members: Members) -> Self {
        Self::Object(members)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Object(Members(members)) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// Reads one value, and what is in it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    /// How many more values there may be; `None` when there was one too many.
    left: &'a Cell<Option<usize>>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.left.get().and_then(|left| left.checked_sub(1));
        self.left.set(left);
        match left {
            Some(_) => deserializer.deserialize_any(self),
            None => Err(D::Error::custom("too many values")),
        }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Members::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(A::Error::custom(format_args!("duplicate member {name:?}")));
            }
            members.0.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::error::ScimType, *};

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        let parsed = parse(body.as_bytes());
        match expected {
            Ok(text) => assert_eq!(parsed.map(|json| json.to_string()).as_deref(), Ok(text)),
            Err(scim_type) => {
                let error = parsed.expect_err(body);
                assert_eq!(error.scim_type().map(ScimType::as_str), Some(scim_type));
            }
        }
    }

    #[test]
    fn bodies() {
        check(
            r#"{"b":1,"a":[null,true,-2,0.5,"x"]}"#,
            Ok(r#"{"b":1,"a":[null,true,-2,0.5,"x"]}"#),
        );
        check("\u{feff}{}", Ok("{}"));
        check(r#""\ud83d\ude00""#, Ok("\"😀\""));
        for broken in [
            "",
            "{",
            "{} x",
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"A":2}"#,
            r#""\ud83d""#,
            "1e999",
        ] {
            check(broken, Err("invalidSyntax"));
        }
        check(r#"{"a":"x\u0000"}"#, Err("invalidValue"));
        check(r#"{"a\u0000":1}"#, Err("invalidValue"));
        check(&"[".repeat(200), Err("invalidSyntax"));
        check(
            &format!("{}{}", "[".repeat(20), "]".repeat(20)),
            Err("invalidSyntax"),
        );
    }

    #[test]
    fn values_are_counted() {
        let of = |values: usize| format!("[{}1]", "1,".repeat(values - 2));
        assert!(parse(of(MAX_VALUES).as_bytes()).is_ok());
        for many in [of(MAX_VALUES + 1), format!("{}x", of(MAX_VALUES + 9))] {
            let error = parse(many.as_bytes()).expect_err("too many values");
            assert_eq!((error.status(), error.scim_type()), (413, None));
        }
    }

    #[test]
    fn invalid_utf8_is_a_syntax_error() {
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
