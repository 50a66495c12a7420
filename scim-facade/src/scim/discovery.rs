//! What the service can do: RFC 7643 sections 5 to 7, all from the registry.

use muster_proto::schema::{
    Attribute, Kind, Mutability, Registry, ResourceType, Returned, Schema, Uniqueness,
};

use super::{
    bulk,
    json::{Json, Members},
    list::{self, Place},
    meta::Links,
    urn,
};

/// Longest body, in bytes, of a bulk and of what is written to groups.
pub const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// Answer of `/ServiceProviderConfig`.
pub fn service_provider_config(links: &Links) -> Json {
    let supported = |yes: bool| Json::object([("supported", yes.into())]);
    Json::object([
        ("schemas", vec![urn::SERVICE_PROVIDER_CONFIG.into()].into()),
        ("patch", supported(true)),
        (
            "bulk",
            Json::object([
                ("supported", true.into()),
                ("maxOperations", whole(bulk::MAX_OPERATIONS)),
                ("maxPayloadSize", whole(MAX_PAYLOAD)),
            ]),
        ),
        (
            "filter",
            Json::object([
                ("supported", true.into()),
                ("maxResults", i64::from(list::MAX_COUNT).into()),
            ]),
        ),
        ("changePassword", supported(false)),
        ("sort", supported(true)),
        ("etag", supported(true)),
        ("pagination", pagination()),
        ("authenticationSchemes", authentication_schemes()),
        (
            "meta",
            meta(
                "ServiceProviderConfig",
                links.endpoint("/ServiceProviderConfig"),
            ),
        ),
    ])
}

/// RFC 9865 section 4.
fn pagination() -> Json {
    Json::object([
        ("cursor", true.into()),
        ("index", true.into()),
        ("defaultPaginationMethod", "index".into()),
        ("defaultPageSize", i64::from(list::DEFAULT_COUNT).into()),
        ("maxPageSize", i64::from(list::MAX_COUNT).into()),
        (
            "cursorTimeout",
            i64::from(muster_proto::PAGE_TOKEN_LIFE_S).into(),
        ),
    ])
}

fn whole(number: usize) -> Json {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// Every request carries a bearer token; the second scheme is a way to get
/// one.
fn authentication_schemes() -> Json {
    let bearer = Json::object([
        ("type", "oauthbearertoken".into()),
        ("name", "OAuth Bearer Token".into()),
        (
            "description",
            "A bearer token in the Authorization header.".into(),
        ),
        ("specUri", "https://www.rfc-editor.org/info/rfc6750".into()),
        ("primary", true.into()),
    ]);
    let clients = Json::object([
        ("type", "oauth2".into()),
        ("name", "OAuth 2.0 Client Credentials".into()),
        (
            "description",
            "An access token from /oauth2/token, for a client secret or a client assertion.".into(),
        ),
        ("specUri", "https://www.rfc-editor.org/info/rfc6749".into()),
        ("primary", false.into()),
    ]);
    vec![bearer, clients].into()
}

/// Answer of `/ResourceTypes`.
pub fn resource_types(registry: &Registry, links: &Links) -> Json {
    let all = registry.resource_types().into_iter();
    whole_list(all.map(|kind| resource_type(kind, links)).collect())
}

/// The resource type with this name, compared without case.
pub fn find_resource_type(name: &str, registry: &Registry, links: &Links) -> Option<Json> {
    let mut all = registry.resource_types().into_iter();
    let found = all.find(|kind| kind.name.eq_ignore_ascii_case(name))?;
    Some(resource_type(found, links))
}

/// Answer of `/Schemas`.
pub fn schemas(registry: &Registry, links: &Links) -> Json {
    whole_list(registry.schemas().map(|s| schema(s, links)).collect())
}

/// The schema with this URN, compared without case.
pub fn find_schema(urn: &str, registry: &Registry, links: &Links) -> Option<Json> {
    let found = registry.schemas().find(|schema| schema.is(urn))?;
    Some(schema(found, links))
}

fn whole_list(resources: Vec<Json>) -> Json {
    let total = i64::try_from(resources.len()).unwrap_or(i64::MAX);
    list::render(total, Place::Index(1), resources)
}

fn resource_type(kind: &ResourceType, links: &Links) -> Json {
    let extension = |schema: &&Schema| {
        Json::object([("schema", schema.urn.into()), ("required", false.into())])
    };
    let extensions: Vec<_> = kind.extensions.iter().map(extension).collect();
    Json::object([
        ("schemas", vec![urn::RESOURCE_TYPE.into()].into()),
        ("id", kind.name.into()),
        ("name", kind.name.into()),
        ("description", kind.description.into()),
        ("endpoint", kind.endpoint.into()),
        ("schema", kind.core.urn.into()),
        ("schemaExtensions", extensions.into()),
        (
            "meta",
            meta("ResourceType", links.resource("/ResourceTypes", kind.name)),
        ),
    ])
}

fn schema(schema: &Schema, links: &Links) -> Json {
    Json::object([
        ("schemas", vec![urn::SCHEMA.into()].into()),
        ("id", schema.urn.into()),
        ("name", schema.name.into()),
        ("description", schema.description.into()),
        ("attributes", attributes(schema.attributes)),
        (
            "meta",
            meta("Schema", links.resource("/Schemas", schema.urn)),
        ),
    ])
}

fn meta(resource_type: &str, location: String) -> Json {
    Json::object([
        ("resourceType", resource_type.into()),
        ("location", location.into()),
    ])
}

fn attributes(list: &[Attribute]) -> Json {
    Json::Array(list.iter().map(attribute).collect())
}

fn attribute(attribute: &Attribute) -> Json {
    let mut members = Members::default();
    members.push("name", attribute.name);
    members.push("type", kind(attribute.kind));
    members.push("multiValued", attribute.multi_valued);
    members.push("description", attribute.description);
    members.push("required", attribute.required);
    members.push("caseExact", attribute.case_exact);
    members.push("mutability", mutability(attribute.mutability));
    members.push("returned", returned(attribute.returned));
    members.push("uniqueness", uniqueness(attribute.uniqueness));
    for (name, values) in [
        ("canonicalValues", attribute.canonical_values),
        ("referenceTypes", attribute.reference_types),
    ] {
        if !values.is_empty() {
            let values: Vec<Json> = values.iter().map(|&value| value.into()).collect();
            members.push(name, values);
        }
    }
    if !attribute.sub_attributes.is_empty() {
        members.push("subAttributes", attributes(attribute.sub_attributes));
    }
    Json::Object(members)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Decimal => "decimal",
        Kind::DateTime => "dateTime",
        Kind::Binary => "binary",
        Kind::Reference => "reference",
        Kind::Complex => "complex",
    }
}

fn mutability(mutability: Mutability) -> &'static str {
    match mutability {
        Mutability::ReadOnly => "readOnly",
        Mutability::ReadWrite => "readWrite",
        Mutability::Immutable => "immutable",
        Mutability::WriteOnly => "writeOnly",
    }
}

fn returned(returned: Returned) -> &'static str {
    match returned {
        Returned::Always => "always",
        Returned::Default => "default",
        Returned::Request => "request",
        Returned::Never => "never",
    }
}

fn uniqueness(uniqueness: Uniqueness) -> &'static str {
    match uniqueness {
        Uniqueness::None => "none",
        Uniqueness::Server => "server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_have_no_nulls_and_list_external_id() {
        let links = Links::new("http://h", "/scim/v2");
        let text = schemas(Registry::builtin(), &links).to_string();
        assert!(!text.contains("null"));
        assert!(text.contains("\"totalResults\":3"));
        assert_eq!(text.matches("{\"name\":\"externalId\"").count(), 2);
        assert!(text.contains(
            "\"location\":\"http://h/scim/v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User\""
        ));
    }

    #[test]
    fn names_are_found_without_case() {
        let (registry, links) = (Registry::builtin(), Links::new("http://h", ""));
        let group = "URN:ietf:params:scim:schemas:core:2.0:group";
        assert!(find_schema(group, registry, &links).is_some());
        assert!(find_schema("urn:x", registry, &links).is_none());
        assert!(find_resource_type("user", registry, &links).is_some());
        assert!(find_resource_type("Device", registry, &links).is_none());
    }
}
