//! Documents: a resource's attributes as JSON, once as sent and once for
//! filters.
//!
//! The search document holds text folded where case does not count, so that a
//! filter compares plainly in every database. It leaves out attributes that
//! have a column of their own. Names of unregistered extensions are folded,
//! because names compare without case too.

use muster_proto::{
    schema::{Attribute, ENTERPRISE_USER, Kind, Reach, ResourceType, Schema, is_urn},
    value::{Object, Value},
};
use serde_json::{Map, Value as Json};

use sha2::{Digest as _, Sha256};

use super::{conform::instant_ms, fold::fold, history::hex, number::Number};

/// What filters read of a resource.
pub fn search_document(resource: &ResourceType, attributes: &Object) -> Object {
    let mut document = Object::new();
    for (name, value) in attributes {
        if !is_urn(name) {
            if let Some(attribute) = resource.core_attribute(name)
                && attribute.reach != Reach::Column
            {
                document.insert(name.clone(), folded(attribute, value));
            }
        } else if let (Some(schema), Value::Complex(object)) = (resource.extension(name), value) {
            document.insert(
                name.clone(),
                Value::Complex(folded_extension(schema, object)),
            );
        } else {
            document.insert(fold(name), folded_anything(value));
        }
    }
    document
}

/// Folded values of the attributes that the registry calls indexed, with the
/// name under which they are indexed: `emails.value`, `employeeNumber`.
pub fn indexed_values(resource: &ResourceType, attributes: &Object) -> Vec<(String, String)> {
    let mut values = Vec::new();
    collect(None, resource.core.attributes, attributes, &mut values);
    for schema in resource.extensions {
        if let Some(Value::Complex(extension)) = attributes.get(schema.urn) {
            collect(Some(schema), schema.attributes, extension, &mut values);
        }
    }
    values.sort();
    values.dedup();
    values
}

/// Longest text that is its own key in an index, in bytes: databases limit how
/// long an entry may be.
const INDEX_KEY_LIMIT: usize = 512;

/// What stands for a folded text in an index. For a long one it is a digest, so
/// finding it says "perhaps": the value itself must be compared too.
pub fn index_key(folded: &str) -> String {
    if folded.len() <= INDEX_KEY_LIMIT {
        return folded.to_owned();
    }
    format!("sha256:{}", hex(&Sha256::digest(folded)))
}

/// Whether a folded text could be taken for the digest of another one: it is
/// found in no index.
pub fn looks_like_digest(folded: &str) -> bool {
    folded.starts_with("sha256:") && folded.len() == "sha256:".len() + 64
}

/// The name under which a value is indexed. Names are unique in a schema alone;
/// those of the standard's extension go without its URN.
pub fn index_name(
    schema: Option<&Schema>,
    attribute: &Attribute,
    sub: Option<&Attribute>,
) -> String {
    let mut name = match schema {
        Some(schema) if !schema.is(ENTERPRISE_USER) => format!("{}:", schema.urn),
        _ => String::new(),
    };
    name.push_str(attribute.name);
    if let Some(sub) = sub {
        name.push('.');
        name.push_str(sub.name);
    }
    name
}

fn collect(
    schema: Option<&Schema>,
    known: &[Attribute],
    attributes: &Object,
    values: &mut Vec<(String, String)>,
) {
    for attribute in known {
        let Some(value) = attributes.get(attribute.name) else {
            continue;
        };
        let elements = match value {
            Value::List(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        };
        if attribute.reach == Reach::Indexed {
            let name = index_name(schema, attribute, None);
            let keys = elements.iter().filter_map(|e| value_key(attribute, e));
            values.extend(keys.map(|key| (name.clone(), key)));
        }
        let subs = attribute.sub_attributes.iter();
        for sub in subs.filter(|s| s.reach == Reach::Indexed) {
            let name = index_name(schema, attribute, Some(sub));
            let parts = elements.iter().filter_map(|e| e.as_object()?.get(sub.name));
            let keys = parts.filter_map(|part| value_key(sub, part));
            values.extend(keys.map(|key| (name.clone(), key)));
        }
    }
}

/// What stands for a value in an index: the same for values that a filter calls
/// equal. `None` for what is no simple value.
pub fn value_key(attribute: &Attribute, value: &Value) -> Option<String> {
    match folded(attribute, value) {
        Value::String(text) => Some(index_key(&text)),
        Value::Boolean(truth) => Some(truth.to_string()),
        number => Number::of(&number).map(Number::text),
    }
}

fn folded(attribute: &Attribute, value: &Value) -> Value {
    match value {
        Value::List(elements) => {
            Value::List(elements.iter().map(|e| folded(attribute, e)).collect())
        }
        Value::Complex(object) => {
            let part = |(name, value): (&String, &Value)| {
                let sub = attribute.sub_attribute(name)?;
                Some((name.clone(), folded(sub, value)))
            };
            Value::Complex(object.iter().filter_map(part).collect())
        }
        Value::String(text) if attribute.kind == Kind::String && !attribute.case_exact => {
            fold(text).into()
        }
        Value::String(text) if attribute.kind == Kind::DateTime => {
            instant_ms(text).map_or_else(|| value.clone(), Value::Integer)
        }
        other => exact(other),
    }
}

/// Numbers that are whole are integers, however they were written.
fn exact(value: &Value) -> Value {
    Number::of(value).map_or_else(|| value.clone(), Number::value)
}

fn folded_extension(schema: &'static Schema, object: &Object) -> Object {
    let part = |(name, value): (&String, &Value)| {
        let attribute = schema.attribute(name)?;
        Some((name.clone(), folded(attribute, value)))
    };
    object.iter().filter_map(part).collect()
}

fn folded_anything(value: &Value) -> Value {
    match value {
        Value::String(text) => fold(text).into(),
        Value::List(elements) => Value::List(elements.iter().map(folded_anything).collect()),
        Value::Complex(object) => {
            let part = |(name, value): (&String, &Value)| (fold(name), folded_anything(value));
            Value::Complex(object.iter().map(part).collect())
        }
        other => exact(other),
    }
}

/// Attributes as a JSON object.
pub fn object_to_json(object: &Object) -> Json {
    let field = |(name, value): (&String, &Value)| (name.clone(), value_to_json(value));
    Json::Object(object.iter().map(field).collect::<Map<_, _>>())
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::String(text) => Json::String(text.clone()),
        Value::Boolean(value) => Json::Bool(*value),
        Value::Integer(value) => Json::Number((*value).into()),
        Value::Decimal(value) => {
            serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number)
        }
        Value::Complex(object) => object_to_json(object),
        Value::List(elements) => Json::Array(elements.iter().map(value_to_json).collect()),
    }
}

/// A JSON object as attributes; anything else is no attributes.
pub fn object_from_json(json: Json) -> Object {
    match value_from_json(json) {
        Value::Complex(object) => object,
        _ => Object::new(),
    }
}

/// A JSON value as a value. Whole numbers beyond 64 bits lose precision.
pub fn value_from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::String(text),
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Integer(value),
            None => Value::Decimal(number.as_f64().unwrap_or_default()),
        },
        Json::Array(elements) => Value::List(elements.into_iter().map(value_from_json).collect()),
        Json::Object(map) => {
            let field = |(name, value)| (name, value_from_json(value));
            Value::Complex(map.into_iter().map(field).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, USER};
    use serde_json::json;

    use super::*;

    fn document() -> Object {
        object_from_json(json!({
            "userName": "Ada",
            "title": "Head of ENGINES",
            "emails": [{"value": "Ada@X.test", "primary": true}],
            "x509Certificates": [{"value": "MIIB"}],
            ENTERPRISE_USER: {"employeeNumber": "E7", "manager": {"value": "Id-M"}},
            "urn:Example:2.0:User": {"Site": "Turku", "n": 1},
        }))
    }

    #[test]
    fn text_is_folded_where_case_does_not_count() {
        let expected = json!({
            "title": "head of engines",
            "emails": [{"value": "ada@x.test", "primary": true}],
            "x509Certificates": [{"value": "MIIB"}],
            ENTERPRISE_USER: {"employeeNumber": "e7", "manager": {"value": "Id-M"}},
            "urn:example:2.0:user": {"site": "turku", "n": 1},
        });
        assert_eq!(
            object_to_json(&search_document(&USER, &document())),
            expected
        );
    }

    #[test]
    fn indexed_values_are_collected() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            indexed_values(&USER, &document()),
            [
                pair("emails.value", "ada@x.test"),
                pair("employeeNumber", "e7"),
                pair("manager.value", "Id-M"),
            ]
        );
    }

    #[test]
    fn whole_numbers_are_integers_and_times_instants() {
        let sent = object_from_json(json!({"urn:x:2.0:User": {"a": [2.0, 2.5], "b": {"c": -0.0}}}));
        let expected = json!({"urn:x:2.0:user": {"a": [2, 2.5], "b": {"c": 0}}});
        assert_eq!(object_to_json(&search_document(&USER, &sent)), expected);
        let time = Attribute {
            kind: Kind::DateTime,
            ..muster_proto::schema::COMMON[2]
        };
        let value = folded(&time, &"1970-01-01T01:00:00.001+01:00".into());
        assert_eq!(value, Value::Integer(1));
    }

    #[test]
    fn names_are_indexed_by_schema() {
        let number = USER.extensions[0]
            .attribute("employeeNumber")
            .expect("registered");
        let own = Schema {
            urn: "urn:x:2.0:User",
            name: "",
            description: "",
            attributes: &[],
        };
        assert_eq!(
            index_name(Some(USER.extensions[0]), number, None),
            "employeeNumber"
        );
        assert_eq!(
            index_name(Some(&own), number, None),
            "urn:x:2.0:User:employeeNumber"
        );
    }
}
