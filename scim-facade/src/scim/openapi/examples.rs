//! Requests that any tenant takes, for the description of the interface. They
//! are those of RFC 7643 section 8 and RFC 7644 section 3, in short.

use muster_proto::schema::Registry;
use serde_json::{Value, json};

use super::super::urn;

/// A request that fits the schema of this name; `None` when there is no example.
pub fn example(name: &str, registry: &Registry) -> Option<Value> {
    match name {
        "NewUser" => Some(user(registry)),
        "NewGroup" => Some(group(registry)),
        "Search" => Some(search()),
        "Patch" => Some(patch()),
        "Bulk" => Some(bulk(registry)),
        _ => None,
    }
}

fn user(registry: &Registry) -> Value {
    let [user, _] = registry.resource_types();
    let mut example = json!({
        "schemas": [user.core.urn],
        "userName": "bjensen@example.com",
        "name": {"familyName": "Jensen", "givenName": "Barbara"},
        "emails": [{"value": "bjensen@example.com", "type": "work", "primary": true}],
        "active": true,
    });
    for extension in user.extensions {
        example["schemas"] = json!([user.core.urn, extension.urn]);
        example[extension.urn] = json!({"department": "Tour Operations"});
    }
    example
}

fn group(registry: &Registry) -> Value {
    let [_, group] = registry.resource_types();
    json!({"schemas": [group.core.urn], "displayName": "Tour Guides"})
}

fn search() -> Value {
    json!({
        "schemas": [urn::SEARCH_REQUEST],
        "filter": "meta.created gt \"2011-05-13T04:42:34Z\" and not (externalId pr)",
        "sortBy": "meta.lastModified",
        "sortOrder": "descending",
        "count": 10,
    })
}

fn patch() -> Value {
    json!({
        "schemas": [urn::PATCH_OP],
        "Operations": [{"op": "replace", "path": "displayName", "value": "Babs Jensen"}],
    })
}

/// A user and a group who are there for as long as the bulk takes.
fn bulk(registry: &Registry) -> Value {
    let [users, groups] = registry.resource_types().map(|kind| kind.endpoint);
    let mut alice = user(registry);
    alice["userName"] = "alice@example.com".into();
    let mut agents = group(registry);
    agents["displayName"] = "Travel Agents".into();
    agents["members"] = json!([{"value": "bulkId:qwerty"}]);
    json!({
        "schemas": [urn::BULK_REQUEST],
        "Operations": [
            {"method": "POST", "path": users, "bulkId": "qwerty", "data": alice},
            {"method": "POST", "path": groups, "bulkId": "ytrewq", "data": agents},
            {"method": "DELETE", "path": format!("{groups}/bulkId:ytrewq")},
            {"method": "DELETE", "path": format!("{users}/bulkId:qwerty")},
        ],
    })
}
