//! `/openapi.json`: the interface in the words of OpenAPI 3.1, made from the
//! route table and the registry. Readable without a token, and the same for
//! everybody but for `/Me`, which only tokens of users have: schemas of a tenant
//! are in `/Schemas`.
//!
//! 405 stands nowhere: it is what methods meet that are not described.

use axum::{
    extract::{FromRequestParts as _, RawPathParams, Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use muster_proto::schema::Registry;
use serde_json::{Map, Value, json};

use super::{
    App, TOKEN_PATH, auth,
    exchange::links,
    list::Of,
    observe::occasion,
    origin::origin,
    query::PARAMETERS,
    reply,
    routes::{Operation as O, ROUTES, Verb as V},
};
use crate::{
    client::Caller,
    scim::{error::ScimError, openapi},
};

/// What every request with a token may meet.
const COMMON: [u16; 8] = [400, 401, 403, 404, 406, 429, 500, 503];

/// What a request with a body may meet besides.
const OF_BODIES: [u16; 3] = [408, 413, 415];

/// Answers the description.
pub(super) async fn describe(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(params) = RawPathParams::from_request_parts(&mut parts, &()).await else {
        return reply::error(&ScimError::not_found());
    };
    let connection = params.iter().find(|(name, _)| *name == "connection");
    let connection = connection.map(|(_, id)| id);
    let links = links(&parts, &app, connection);
    let token_url = format!("{}{TOKEN_PATH}", origin(&parts, &app.config));
    let has_me = is_of_user(&parts, &app, connection).await;
    let description = description(&links.endpoint(""), &token_url, has_me);
    let mut response = reply::text(StatusCode::OK, "application/json", description.to_string());
    let authorization = HeaderValue::from(header::AUTHORIZATION);
    response.headers_mut().append(header::VARY, authorization);
    response
}

/// Whether the request has a token that speaks for a user.
async fn is_of_user(parts: &Parts, app: &App, connection: Option<&str>) -> bool {
    let token = auth::bearer(&parts.headers);
    let occasion = occasion(parts, &app.config);
    let caller = token.and_then(|token| Caller::new(token, connection, occasion));
    let Some(caller) = caller else {
        return false;
    };
    let profile = match app.profiles.known(&caller) {
        Some(profile) => Some(profile),
        None => app.profiles.ask(&app.directory, &caller).await.ok(),
    };
    profile.is_some_and(|profile| profile.user_id.is_some())
}

fn description(base: &str, token_url: &str, has_me: bool) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SCIM 2.0",
            "description": "Users and groups by RFC 7643, RFC 7644 and RFC 9865.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}, {"oauth2": []}],
        "paths": paths(has_me),
        "components": {
            "schemas": openapi::components(Registry::builtin()),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "oauth2": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": token_url, "scopes": {}}},
                },
            },
        },
    })
}

fn paths(has_me: bool) -> Map<String, Value> {
    let mut paths = Map::new();
    let is_there = |operation: &O| has_me || !matches!(operation, O::Me(_));
    let routes = ROUTES.iter();
    for route in routes.filter(|route| route.methods.iter().all(|(_, o)| is_there(o))) {
        let mut methods = Map::new();
        if route.path.contains("{id}") {
            methods.insert("parameters".to_owned(), json!([id(route.path)]));
        }
        for (method, operation) in route.methods {
            let name = method.as_str().to_ascii_lowercase();
            let described = self::operation(route.path, method, *operation);
            if method == Method::GET {
                methods.insert("head".to_owned(), head(route.path, &described));
            }
            methods.insert(name, described);
        }
        let path = if route.path.is_empty() {
            "/"
        } else {
            route.path
        };
        paths.insert(path.to_owned(), methods.into());
    }
    for (path, statuses) in [
        ("/ServiceProviderConfig", &[400, 403, 404, 406, 500][..]),
        ("/openapi.json", &[404, 500]),
    ] {
        let mut responses = errors(statuses.iter().copied());
        let found = match path {
            "/openapi.json" => json!({"application/json": {"schema": {"type": "object"}}}),
            _ => content("Document"),
        };
        responses.insert(
            "200".to_owned(),
            json!({"description": "OK", "content": found}),
        );
        let get = json!({"security": [], "responses": responses});
        let head = head(path, &get);
        paths.insert(path.to_owned(), json!({"get": get, "head": head}));
    }
    paths
}

fn id(path: &str) -> Value {
    let mut schema = json!({"type": "string", "minLength": 1});
    let [user, group] = Registry::builtin().resource_types();
    match path {
        "/ResourceTypes/{id}" => schema["examples"] = json!([user.name, group.name]),
        "/Schemas/{id}" => schema["examples"] = json!([user.core.urn, group.core.urn]),
        _ => {}
    }
    json!({"name": "id", "in": "path", "required": true, "schema": schema})
}

fn operation(path: &str, method: &Method, operation: O) -> Value {
    let body = body(operation);
    let mut statuses = COMMON.to_vec();
    if body.is_some() {
        statuses.extend(OF_BODIES);
    }
    let mut parameters: Vec<_> = parameters(operation)
        .iter()
        .copied()
        .map(parameter)
        .collect();
    if let O::Users(verb) | O::Groups(verb) | O::Me(verb) = operation {
        if verb != V::Create {
            statuses.push(412);
            parameters.extend([header("If-Match", "*"), header("If-None-Match", "W/\"0\"")]);
        }
        if !matches!(verb, V::Get | V::Delete) {
            statuses.push(409);
        }
    }
    let mut responses = errors(statuses.into_iter());
    for (status, schema) in answers(operation) {
        let mut response = json!({"description": "Done."});
        if let Some(schema) = schema {
            response["content"] = content(schema);
        }
        responses.insert(status.to_string(), response);
    }
    let mut described = json!({
        "operationId": format!("{method} {path}"),
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(schema) = body {
        let mut content = content(schema);
        if let Some(example) = openapi::example(schema, Registry::builtin()) {
            let medias = content.as_object_mut();
            for media in medias.into_iter().flat_map(Map::values_mut) {
                media["examples"] = json!({"one": {"value": example}});
            }
        }
        described["requestBody"] = json!({"required": true, "content": content});
    }
    described
}

/// What HEAD does where GET does this: the same, without a body.
fn head(path: &str, get: &Value) -> Value {
    let mut head = get.clone();
    head["operationId"] = format!("HEAD {path}").into();
    let responses = head["responses"].as_object_mut();
    for response in responses.into_iter().flat_map(Map::values_mut) {
        if let Some(response) = response.as_object_mut() {
            response.remove("content");
        }
    }
    head
}

/// The statuses of success, each with what is shown.
fn answers(operation: O) -> Vec<(u16, Option<&'static str>)> {
    let (verb, schema) = match operation {
        O::Users(verb) | O::Me(verb) => (verb, "User"),
        O::Groups(verb) => (verb, "Group"),
        O::List(of) | O::Search(of) => {
            let list = match of {
                Of::Users => "Users",
                Of::Groups => "Groups",
                Of::Both => "List",
            };
            return vec![(200, Some(list))];
        }
        O::ResourceTypes | O::Schemas => return vec![(200, Some("List"))],
        O::Bulk => return vec![(200, Some("BulkResult"))],
        O::ResourceType | O::Schema => return vec![(200, Some("Document"))],
    };
    match (verb, operation) {
        // Whoever asks is there already.
        (V::Create, O::Me(_)) => Vec::new(),
        (V::Create, _) => vec![(201, Some(schema))],
        (V::Get, _) => vec![(200, Some(schema)), (304, None)],
        (V::Patch, O::Groups(_)) => vec![(200, Some(schema)), (204, None)],
        (V::Replace | V::Patch, _) => vec![(200, Some(schema))],
        (V::Delete, _) => vec![(204, None)],
    }
}

/// What the body is.
fn body(operation: O) -> Option<&'static str> {
    match operation {
        O::Users(V::Create | V::Replace) | O::Me(V::Create | V::Replace) => Some("NewUser"),
        O::Groups(V::Create | V::Replace) => Some("NewGroup"),
        O::Users(V::Patch) | O::Groups(V::Patch) | O::Me(V::Patch) => Some("Patch"),
        O::Search(Of::Users | Of::Groups | Of::Both) => Some("Search"),
        O::Bulk => Some("Bulk"),
        O::Users(V::Get | V::Delete)
        | O::Groups(V::Get | V::Delete)
        | O::Me(V::Get | V::Delete) => None,
        O::List(_) | O::ResourceTypes | O::ResourceType | O::Schemas | O::Schema => None,
    }
}

/// Names of the parameters in the URL.
fn parameters(operation: O) -> &'static [&'static str] {
    match operation {
        O::List(_) => &PARAMETERS,
        O::Users(V::Delete) | O::Groups(V::Delete) | O::Me(V::Delete) => &[],
        O::Users(_) | O::Groups(_) | O::Me(_) => &["attributes", "excludedAttributes"],
        O::Search(_) | O::Bulk => &[],
        O::ResourceTypes | O::ResourceType | O::Schemas | O::Schema => &[],
    }
}

fn parameter(name: &str) -> Value {
    let schema = match name {
        "startIndex" | "count" => json!({"type": "integer"}),
        "sortOrder" => json!({"enum": ["ascending", "descending"]}),
        "filter" => json!({"type": "string", "minLength": 1, "examples": [
            "meta.created gt \"2011-05-13T04:42:34Z\" and not (externalId pr)",
            "displayName co \"a\" or externalId eq \"701984\"",
        ]}),
        "sortBy" => json!({"type": "string", "minLength": 1, "examples": ["meta.created"]}),
        "attributes" => json!({"type": "string", "examples": ["displayName,meta.version"]}),
        _ => json!({"type": "string"}),
    };
    json!({"name": name, "in": "query", "schema": schema})
}

fn header(name: &str, example: &str) -> Value {
    let schema = json!({"type": "string", "examples": [example]});
    json!({"name": name, "in": "header", "schema": schema})
}

fn errors(statuses: impl Iterator<Item = u16>) -> Map<String, Value> {
    let error = |status: u16| {
        let known = StatusCode::from_u16(status).ok();
        let reason = known.and_then(|status| status.canonical_reason());
        let response = json!({
            "description": reason.unwrap_or("An error."),
            "content": content("Error"),
        });
        (status.to_string(), response)
    };
    statuses.map(error).collect()
}

fn content(schema: &str) -> Value {
    let media = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
    json!({"application/scim+json": media, "application/json": media})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_have_a_resource_of_their_own() {
        let (all, some) = (paths(true), paths(false));
        assert_eq!(all.len(), some.len() + 1);
        assert!(all.contains_key("/Me") && !some.contains_key("/Me"));
        let created = &all["/Me"]["post"]["responses"];
        assert!(created["403"].is_object() && created["201"].is_null());
        assert!(!Value::from(all).to_string().contains("\"501\""));
    }

    #[test]
    fn head_is_get_without_a_body() {
        for (path, methods) in paths(true) {
            let (get, head) = (&methods["get"], &methods["head"]);
            assert_eq!(get.is_object(), head.is_object(), "{path}");
            if get.is_object() {
                assert!(get["responses"]["200"]["content"].is_object(), "{path}");
                assert!(head["responses"]["200"].is_object(), "{path}");
                assert!(!head.to_string().contains("content"), "{path}");
                assert_eq!(get["parameters"], head["parameters"], "{path}");
            }
        }
    }
}
