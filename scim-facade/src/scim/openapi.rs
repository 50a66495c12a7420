//! Bodies as JSON Schema, for a description of the interface (OpenAPI 3.1). All
//! from the registry; what a client leaves out of an answer is left out, so an
//! answer requires nothing.

use muster_proto::schema::{Attribute, COMMON, Kind, Mutability, Registry, ResourceType};
use serde_json::{Map, Value, json};

use super::{bulk, list, urn};

/// Every schema by its name.
pub fn components(registry: &Registry) -> Value {
    let [user, group] = registry.resource_types();
    json!({
        "User": resource(user),
        "NewUser": written(user),
        "Group": resource(group),
        "NewGroup": written(group),
        "List": object(&json!({
            "schemas": message(urn::LIST_RESPONSE),
            "totalResults": {"type": "integer", "minimum": 0},
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": {"type": "integer", "minimum": 0, "maximum": list::MAX_COUNT},
            "nextCursor": {"type": "string"},
            "Resources": {"type": "array", "items": {"type": "object"}},
        }), &["schemas", "totalResults", "Resources"]),
        "Search": object(&json!({
            "schemas": message(urn::SEARCH_REQUEST),
            "attributes": {"type": "array", "items": {"type": "string"}},
            "excludedAttributes": {"type": "array", "items": {"type": "string"}},
            "filter": {"type": "string"},
            "sortBy": {"type": "string"},
            "sortOrder": {"enum": ["ascending", "descending"]},
            "startIndex": {"type": "integer"},
            "count": {"type": "integer"},
            "cursor": {"type": "string"},
        }), &["schemas"]),
        "Patch": object(&json!({
            "schemas": message(urn::PATCH_OP),
            "Operations": {"type": "array", "items": object(&json!({
                "op": {"enum": ["add", "replace", "remove"]},
                "path": {"type": "string"},
                "value": {},
            }), &["op"])},
        }), &["schemas", "Operations"]),
        "Bulk": object(&json!({
            "schemas": message(urn::BULK_REQUEST),
            "failOnErrors": {"type": "integer", "minimum": 1},
            "Operations": {"type": "array", "maxItems": bulk::MAX_OPERATIONS,
                "items": object(&json!({
                    "method": {"enum": ["POST", "PUT", "PATCH", "DELETE"]},
                    "bulkId": {"type": "string"},
                    "version": {"type": "string"},
                    "path": {"type": "string"},
                    "data": {"type": "object"},
                }), &["method", "path"])},
        }), &["schemas", "Operations"]),
        "BulkResult": object(&json!({
            "schemas": message(urn::BULK_RESPONSE),
            "Operations": {"type": "array", "items": object(&json!({
                "method": {"type": "string"},
                "bulkId": {"type": "string"},
                "version": {"type": "string"},
                "location": {"type": "string"},
                "status": {"type": "string"},
                "response": {"$ref": "#/components/schemas/Error"},
            }), &["method", "status"])},
        }), &["schemas", "Operations"]),
        "Document": object(&json!({
            "schemas": {"type": "array", "items": {"type": "string"}},
        }), &["schemas"]),
        "Error": object(&json!({
            "schemas": message(urn::ERROR),
            "status": {"type": "string"},
            "scimType": {"type": "string"},
            "detail": {"type": "string"},
        }), &["schemas", "status"]),
    })
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// `schemas` of a message.
fn message(urn: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "contains": {"const": urn}})
}

fn resource(kind: &ResourceType) -> Value {
    let mut properties = properties(COMMON.iter().chain(kind.core.attributes));
    properties.insert(
        "schemas".to_owned(),
        json!({"type": "array", "items": {"type": "string"}}),
    );
    for schema in kind.extensions {
        let attributes = self::properties(schema.attributes.iter());
        let extension = json!({"type": "object", "properties": attributes});
        properties.insert(schema.urn.to_owned(), extension);
    }
    json!({"type": "object", "description": kind.description, "properties": properties})
}

/// What POST and PUT must have.
fn written(kind: &ResourceType) -> Value {
    let required = kind.core.attributes.iter().filter(|a| a.required);
    let required = required.map(|attribute| attribute.name);
    let required: Vec<_> = ["schemas"].into_iter().chain(required).collect();
    let whole = format!("#/components/schemas/{}", kind.name);
    json!({"allOf": [{"$ref": whole}, {"required": required}]})
}

fn properties<'a>(attributes: impl Iterator<Item = &'a Attribute>) -> Map<String, Value> {
    attributes
        .map(|attribute| (attribute.name.to_owned(), property(attribute)))
        .collect()
}

fn property(attribute: &Attribute) -> Value {
    let mut one = match attribute.kind {
        Kind::String | Kind::Reference | Kind::Binary => json!({"type": "string"}),
        Kind::DateTime => json!({"type": "string", "format": "date-time"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Decimal => json!({"type": "number"}),
        Kind::Complex => {
            json!({"type": "object", "properties": properties(attribute.sub_attributes.iter())})
        }
    };
    if attribute.multi_valued {
        one = json!({"type": "array", "items": one});
    }
    one["description"] = attribute.description.into();
    if attribute.mutability == Mutability::ReadOnly {
        one["readOnly"] = true.into();
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_follow_the_registry() {
        let all = components(Registry::builtin());
        let user = &all["User"]["properties"];
        assert_eq!(user["active"]["type"], "boolean");
        assert_eq!(
            user["emails"]["items"]["properties"]["primary"]["type"],
            "boolean"
        );
        assert_eq!(user["meta"]["readOnly"], true);
        assert_eq!(
            all["NewUser"]["allOf"][1]["required"],
            json!(["schemas", "userName"])
        );
        let members = &all["Group"]["properties"]["members"];
        assert_eq!(members["type"], "array");
    }
}
