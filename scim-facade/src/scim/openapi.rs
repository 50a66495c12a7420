//! Bodies as JSON Schema, for a description of the interface (OpenAPI 3.1). All
//! from the registry; what a client leaves out of an answer is left out, so an
//! answer requires nothing. Of requests, what every flavor takes is said: accents
//! are left out.

use muster_proto::schema::{Attribute, COMMON, Kind, Mutability, Registry, ResourceType};
use serde_json::{Map, Value, json};

use super::{bulk, list, urn};

mod examples;

pub use examples::example;

/// Every schema by its name.
pub fn components(registry: &Registry) -> Value {
    let [user, group] = registry.resource_types();
    let bulk_operations = [user, group].map(bulk_operations).concat();
    json!({
        "User": resource(user, Use::Shown),
        "NewUser": written(user),
        "Group": resource(group, Use::Shown),
        "NewGroup": written(group),
        "List": list(&json!({"type": "object"})),
        "Users": list(&reference(user.name)),
        "Groups": list(&reference(group.name)),
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
            "Operations": {"type": "array", "minItems": 1, "items": object(&json!({
                "op": {"enum": ["add", "replace", "remove"]},
                "path": {"type": "string"},
                "value": {},
            }), &["op"])},
        }), &["schemas", "Operations"]),
        "Bulk": object(&json!({
            "schemas": message(urn::BULK_REQUEST),
            "failOnErrors": {"type": "integer", "minimum": 1},
            "Operations": {"type": "array", "maxItems": bulk::MAX_OPERATIONS,
                "items": {"anyOf": bulk_operations}},
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

fn list(resource: &Value) -> Value {
    let properties = json!({
        "schemas": message(urn::LIST_RESPONSE),
        "totalResults": {"type": "integer", "minimum": 0},
        "startIndex": {"type": "integer", "minimum": 1},
        "itemsPerPage": {"type": "integer", "minimum": 0, "maximum": list::MAX_COUNT},
        "nextCursor": {"type": "string"},
        "Resources": {"type": "array", "items": resource},
    });
    object(&properties, &["schemas", "totalResults", "Resources"])
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// Operations of a bulk on resources of this type.
fn bulk_operations(kind: &ResourceType) -> Vec<Value> {
    let text = json!({"type": "string", "minLength": 1});
    let path = json!({"type": "string", "pattern": format!("^{}/[^/]+$", kind.endpoint)});
    let post = object(
        &json!({
            "method": {"const": "POST"},
            "path": {"const": kind.endpoint},
            "bulkId": text,
            "data": reference(&format!("New{}", kind.name)),
        }),
        &["method", "path", "bulkId", "data"],
    );
    let change = object(
        &json!({
            "method": {"enum": ["PUT", "PATCH"]},
            "path": path,
            "version": text,
            "data": {"type": "object"},
        }),
        &["method", "path", "data"],
    );
    let delete = object(
        &json!({"method": {"const": "DELETE"}, "path": path, "version": text}),
        &["method", "path"],
    );
    vec![post, change, delete]
}

/// `schemas` of a message.
fn message(urn: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "contains": {"const": urn}})
}

/// What a schema of a resource is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Shown,
    /// Attributes that are not described are refused.
    Written,
}

fn resource(kind: &ResourceType, how: Use) -> Value {
    let mut all = properties(COMMON.iter().chain(kind.core.attributes), how);
    all.insert(
        "schemas".to_owned(),
        json!({"type": "array", "items": {"type": "string"}}),
    );
    for schema in kind.extensions {
        let extension = complex(schema.attributes.iter(), how);
        all.insert(schema.urn.to_owned(), extension);
    }
    json!({"type": "object", "description": kind.description, "properties": all})
}

/// What POST and PUT must have. A tenant's schemas are not described.
fn written(kind: &ResourceType) -> Value {
    let mut whole = resource(kind, Use::Written);
    let required = kind.core.attributes.iter().filter(|a| a.required);
    let required = required.map(|attribute| attribute.name);
    let required: Vec<_> = ["schemas"].into_iter().chain(required).collect();
    whole["required"] = json!(required);
    whole["properties"]["schemas"] = message(kind.core.urn);
    whole["patternProperties"] = json!({"^urn:": {"type": "object"}});
    whole["additionalProperties"] = false.into();
    whole
}

fn properties<'a>(attributes: impl Iterator<Item = &'a Attribute>, how: Use) -> Map<String, Value> {
    attributes
        .map(|attribute| (attribute.name.to_owned(), property(attribute, how)))
        .collect()
}

fn complex<'a>(attributes: impl Iterator<Item = &'a Attribute>, how: Use) -> Value {
    let mut object = json!({"type": "object", "properties": properties(attributes, how)});
    if how == Use::Written {
        object["additionalProperties"] = false.into();
    }
    object
}

fn property(attribute: &Attribute, how: Use) -> Value {
    let mut one = match attribute.kind {
        Kind::String | Kind::Reference => json!({"type": "string", "minLength": 1}),
        Kind::Binary => json!({"type": "string", "minLength": 1, "contentEncoding": "base64"}),
        Kind::DateTime => json!({"type": "string", "format": "date-time"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Decimal => json!({"type": "number"}),
        Kind::Complex => complex(attribute.sub_attributes.iter(), how),
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
        assert_eq!(all["NewUser"]["required"], json!(["schemas", "userName"]));
        let members = &all["Group"]["properties"]["members"];
        assert_eq!(members["type"], "array");
    }
}
