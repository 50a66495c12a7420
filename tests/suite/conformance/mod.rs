//! RFC 7643, RFC 7644 and RFC 9865 by their sections, seen from outside.
//!
//! `docs/conformance.md` names these tests, requirement by requirement. What
//! the documents leave open, no test here decides.

mod bulk;
mod content;
mod credentials;
mod cursors;
mod discovery;
mod errors;
mod etags;
mod filters;
mod filters_text;
mod flavors;
mod groups;
mod me;
mod okta;
mod paging;
mod patch;
mod patch_errors;
mod projection;
mod put;
mod resources;
mod root;
mod schemas;
mod schemas_managed;
mod search;
mod sorting;
mod strict;
mod values;

use muster_tests::{
    raw::{self, RawReply},
    scim::{LIST, Reply, Scim, query},
    server::Server,
    tenant::Tenant,
};
use serde_json::{Value, json};

/// `schemas` of a search by POST.
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// `schemas` of a bulk request.
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// `schemas` of its answer.
const BULK_ANSWER: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// An id that nobody has.
const NOBODY: &str = "0190a5c1-0000-7000-8000-000000000000";

fn server() -> &'static Server {
    super::server()
}

fn tenant() -> Tenant {
    super::tenant()
}

/// A fresh tenant's client of the flavor that knows no accents.
fn strict() -> Scim {
    tenant().flavored(server(), "strict")
}

/// A tenant's clients of the default flavor and of the strict one: what the
/// documents ask for, both must do.
fn both() -> [Scim; 2] {
    both_of(&tenant())
}

/// As [`both`], of this tenant.
fn both_of(tenant: &Tenant) -> [Scim; 2] {
    [tenant.scim(), tenant.flavored(server(), "strict")]
}

/// A list that was asked for with these parameters.
#[track_caller]
fn list(scim: &Scim, path: &str, parameters: &[(&str, &str)]) -> Value {
    let reply = ask(scim, path, parameters).status(200);
    let body = reply.json();
    assert_eq!(body["schemas"], json!([LIST]), "{reply}");
    assert!(body["totalResults"].is_u64(), "{reply}");
    body
}

/// GET with these parameters.
fn ask(scim: &Scim, path: &str, parameters: &[(&str, &str)]) -> Reply {
    scim.get(&format!("{path}?{}", query(parameters)))
}

/// The resources of a list, which has none of them if it is empty.
fn resources(list: &Value) -> Vec<Value> {
    list["Resources"].as_array().cloned().unwrap_or_default()
}

/// One text attribute of each resource of a list, in its order; an empty text
/// where it is not assigned.
fn column(list: &Value, attribute: &str) -> Vec<String> {
    let text = |resource: &Value| resource[attribute].as_str().unwrap_or_default().to_owned();
    resources(list).iter().map(text).collect()
}

/// Whether an attribute is unassigned (RFC 7643 section 2.5): absent, null, or
/// an empty list.
fn unassigned(resource: &Value, attribute: &str) -> bool {
    match resource.get(attribute) {
        None | Some(Value::Null) => true,
        Some(Value::Array(values)) => values.is_empty(),
        Some(_) => false,
    }
}

/// Creates a resource; its id.
#[track_caller]
fn create(scim: &Scim, collection: &str, body: &Value) -> String {
    scim.post(collection, body).status(201).id()
}

/// The keyword of an error.
fn keyword(reply: &Reply) -> Option<String> {
    let body: Value = serde_json::from_slice(reply.bytes()).ok()?;
    body["scimType"].as_str().map(str::to_owned)
}

/// POST of more than a server may want to read before it answers.
#[track_caller]
fn post_large(scim: &Scim, path: &str, body: &Value) -> RawReply {
    let address = server().http_address();
    let (_, target) = scim.base().split_once(address).expect("the shared server");
    let target = format!("{target}{path}");
    let body = body.to_string();
    let bytes = raw::request("POST", &target, scim.token(), body.as_bytes());
    raw::exchange(address, &bytes)
}

/// Asserts a SCIM error of this status with one of these keywords.
#[track_caller]
fn refused(reply: &Reply, status: u16, keywords: &[&str]) {
    let found = keyword(reply);
    let fits = found.as_deref().is_some_and(|k| keywords.contains(&k));
    assert!(fits, "{keywords:?}: {reply}");
    let _ = reply.clone().scim_error(status, found.as_deref());
}
