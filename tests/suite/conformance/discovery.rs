//! RFC 7644 section 4, RFC 7643 sections 5 to 7, RFC 9865 section 4: what the
//! service says of itself is true.

use muster_tests::scim::{ENTERPRISE, GROUP, LIST, Scim, USER};
use serde_json::{Value, json};

use super::super::users::ada;
use super::{ask, both, resources, tenant};

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

#[test]
fn the_configuration_has_everything_that_is_required() {
    for scim in both() {
        let reply = scim.get("/ServiceProviderConfig").status(200);
        let config = reply.json();
        assert_eq!(config["schemas"], json!([CONFIG]));
        for feature in ["patch", "bulk", "filter", "sort", "etag", "changePassword"] {
            assert!(
                config[feature]["supported"].is_boolean(),
                "{feature}: {reply}"
            );
        }
        for feature in ["patch", "bulk", "filter", "sort", "etag"] {
            assert_eq!(config[feature]["supported"], true, "{feature}");
        }
        assert_eq!(config["changePassword"]["supported"], false);
        assert_eq!(config["bulk"]["maxOperations"], 1000);
        assert_eq!(config["bulk"]["maxPayloadSize"], 16 * 1024 * 1024);
        assert_eq!(config["filter"]["maxResults"], 1000);
        for scheme in config["authenticationSchemes"].as_array().expect("a list") {
            for required in ["type", "name", "description"] {
                assert!(scheme[required].is_string(), "{required}: {scheme}");
            }
            let known = [
                "oauth",
                "oauth2",
                "oauthbearertoken",
                "httpbasic",
                "httpdigest",
            ];
            assert!(
                known.contains(&scheme["type"].as_str().unwrap_or_default()),
                "{scheme}"
            );
        }
        assert_eq!(config["meta"]["resourceType"], "ServiceProviderConfig");
        let location = config["meta"]["location"].as_str().expect("a location");
        assert_eq!(location, format!("{}/ServiceProviderConfig", scim.base()));
        assert!(config.get("id").is_none_or(Value::is_string));
    }
}

#[test]
fn the_configuration_tells_of_pages() {
    let scim = tenant().scim();
    let config = scim.get("/ServiceProviderConfig").status(200).json();
    assert_eq!(
        config["pagination"],
        json!({"cursor": true, "index": true, "defaultPaginationMethod": "index",
            "defaultPageSize": 100, "maxPageSize": 1000, "cursorTimeout": 3600})
    );
}

#[test]
fn the_configuration_is_there_before_anybody_proves_who_he_is() {
    let scim = tenant().scim();
    let anyone = Scim::anonymous(scim.base());
    let config = anyone.get("/ServiceProviderConfig").status(200).json();
    assert!(
        config["authenticationSchemes"]
            .as_array()
            .is_some_and(|schemes| !schemes.is_empty())
    );
}

#[test]
fn every_place_that_is_named_is_there() {
    let scim = tenant().scim();
    for path in ["/ResourceTypes", "/Schemas"] {
        let list = scim.get(path).status(200).json();
        assert_eq!(list["schemas"], json!([LIST]));
        assert_eq!(list["totalResults"], resources(&list).len(), "{list}");
        for resource in resources(&list) {
            let location = resource["meta"]["location"].as_str().expect("a location");
            assert!(location.starts_with(scim.base()), "{location}");
            let one = scim.get(location).status(200);
            assert_eq!(one.json(), resource, "{location}");
        }
    }
    let config = scim.get("/ServiceProviderConfig").status(200).json();
    let location = config["meta"]["location"].as_str().expect("a location");
    assert_eq!(scim.get(location).status(200).json(), config);
}

#[test]
fn resource_types_name_schemas_that_are_there() {
    let scim = tenant().scim();
    let types = resources(&scim.get("/ResourceTypes").status(200).json());
    assert_eq!(types.len(), 2, "{types:?}");
    for kind in types {
        assert_eq!(kind["schemas"], json!([RESOURCE_TYPE]));
        assert_eq!(kind["meta"]["resourceType"], "ResourceType");
        for required in ["id", "name", "endpoint", "schema"] {
            assert!(kind[required].is_string(), "{required}: {kind}");
        }
        let urn = kind["schema"].as_str().expect("a URN");
        assert_eq!(
            scim.get(&format!("/Schemas/{urn}")).status(200).json()["id"],
            urn
        );
        for extension in kind["schemaExtensions"].as_array().into_iter().flatten() {
            assert!(extension["required"].is_boolean(), "{extension}");
            let urn = extension["schema"].as_str().expect("a URN");
            let _ = scim.get(&format!("/Schemas/{urn}")).status(200);
        }
        let endpoint = kind["endpoint"].as_str().expect("a path");
        let _ = super::list(&scim, endpoint, &[]);
    }
    let user = scim.get("/ResourceTypes/User").status(200).json();
    assert_eq!(
        (&user["schema"], &user["endpoint"]),
        (&json!(USER), &json!("/Users"))
    );
    let extensions = user["schemaExtensions"].as_array().expect("a list");
    assert!(
        extensions.contains(&json!({"schema": ENTERPRISE, "required": false})),
        "{user}"
    );
    let group = scim.get("/ResourceTypes/Group").status(200).json();
    assert_eq!(
        (&group["schema"], &group["endpoint"]),
        (&json!(GROUP), &json!("/Groups"))
    );
}

/// Asserts that an attribute is described in full (RFC 7643 section 7).
#[track_caller]
fn described(attribute: &Value) {
    let one_of = |name: &str, known: &[&str]| {
        let value = attribute[name].as_str().unwrap_or_default();
        assert!(known.contains(&value), "{name} of {attribute}");
    };
    one_of(
        "type",
        &[
            "string",
            "boolean",
            "decimal",
            "integer",
            "dateTime",
            "binary",
            "reference",
            "complex",
        ],
    );
    one_of(
        "mutability",
        &["readOnly", "readWrite", "immutable", "writeOnly"],
    );
    one_of("returned", &["always", "never", "default", "request"]);
    if attribute.get("uniqueness").is_some() {
        one_of("uniqueness", &["none", "server", "global"]);
    }
    for flag in ["multiValued", "required"] {
        assert!(attribute[flag].is_boolean(), "{flag} of {attribute}");
    }
    for text in ["name", "description"] {
        assert!(attribute[text].is_string(), "{text} of {attribute}");
    }
    let complex = attribute["type"] == "complex";
    assert_eq!(
        attribute["subAttributes"].is_array(),
        complex,
        "{attribute}"
    );
    if attribute["type"] == "string" {
        assert!(attribute["caseExact"].is_boolean(), "{attribute}");
    }
    if attribute["type"] == "reference" {
        assert!(attribute["referenceTypes"].is_array(), "{attribute}");
    }
    for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
        assert_ne!(sub["type"], "complex", "only one level: {attribute}");
        described(sub);
    }
}

#[test]
fn schemas_describe_their_attributes_in_full() {
    let scim = tenant().scim();
    let schemas = resources(&scim.get("/Schemas").status(200).json());
    for urn in [USER, GROUP, ENTERPRISE] {
        assert!(schemas.iter().any(|schema| schema["id"] == urn), "{urn}");
    }
    for schema in schemas {
        assert_eq!(schema["meta"]["resourceType"], "Schema", "{schema}");
        assert!(
            schema["schemas"]
                .as_array()
                .is_none_or(|urns| *urns == vec![json!(SCHEMA)])
        );
        assert!(schema["name"].is_string(), "{schema}");
        for attribute in schema["attributes"].as_array().expect("a list") {
            described(attribute);
        }
    }
}

/// Asserts that whatever an object says is in these attributes.
#[track_caller]
fn known(object: &Value, attributes: &Value, except: &[&str]) {
    let attributes = attributes.as_array().expect("a list");
    for (name, value) in object.as_object().expect("an object") {
        if except.contains(&name.as_str()) {
            continue;
        }
        let found = attributes.iter().find(|a| a["name"] == name.as_str());
        let found = found.unwrap_or_else(|| panic!("{name} is in no schema"));
        assert_eq!(value.is_array(), found["multiValued"] == true, "{name}");
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            if found["type"] == "complex" {
                known(&value, &found["subAttributes"], &[]);
            } else {
                assert_eq!(value.is_boolean(), found["type"] == "boolean", "{name}");
            }
        }
    }
}

#[test]
fn resources_say_nothing_that_no_schema_knows() {
    let scim = tenant().scim();
    let boss = scim.user("boss");
    let mut user = ada();
    user[ENTERPRISE]["manager"] = json!({"value": boss});
    let id = scim.post("/Users", &user).status(201).id();
    let group = scim.group("G", &[&id]);
    let attributes =
        |urn: &str| scim.get(&format!("/Schemas/{urn}")).status(200).json()["attributes"].clone();
    let common = ["schemas", "id", "externalId", "meta", ENTERPRISE];
    let user = scim.get(&format!("/Users/{id}")).status(200).json();
    known(&user, &attributes(USER), &common);
    known(&user[ENTERPRISE], &attributes(ENTERPRISE), &[]);
    let group = scim.get(&format!("/Groups/{group}")).status(200).json();
    known(&group, &attributes(GROUP), &common);
}

#[test]
fn characteristics_are_those_of_the_standard() {
    let scim = tenant().scim();
    let attributes =
        |urn: &str| scim.get(&format!("/Schemas/{urn}")).status(200).json()["attributes"].clone();
    let of = |attributes: &Value, name: &str| {
        let found = attributes
            .as_array()
            .expect("a list")
            .iter()
            .find(|a| a["name"] == name)
            .cloned();
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let user = attributes(USER);
    let name = of(&user, "userName");
    assert_eq!(
        (&name["required"], &name["caseExact"], &name["uniqueness"]),
        (&json!(true), &json!(false), &json!("server"))
    );
    let groups = of(&user, "groups");
    assert_eq!(groups["mutability"], "readOnly");
    assert_eq!(
        of(&user, "x509Certificates")["subAttributes"][0]["type"],
        "binary"
    );
    assert_eq!(of(&user, "active")["type"], "boolean");
    assert_eq!(of(&user, "profileUrl")["type"], "reference");
    for many in [
        "emails",
        "phoneNumbers",
        "ims",
        "photos",
        "addresses",
        "groups",
        "entitlements",
        "roles",
        "x509Certificates",
    ] {
        assert_eq!(of(&user, many)["multiValued"], true, "{many}");
    }
    let types = of(&groups["subAttributes"], "type")["canonicalValues"].clone();
    assert_eq!(types, json!(["direct", "indirect"]));
    // No password is kept, so none is offered.
    assert!(!user.to_string().contains("password"));
    let group = attributes(GROUP);
    assert_eq!(of(&group, "displayName")["required"], true);
    let members = of(&group, "members")["subAttributes"].clone();
    assert_eq!(of(&members, "value")["mutability"], "immutable");
    assert_eq!(of(&members, "$ref")["type"], "reference");
}

#[test]
fn discovery_is_not_filtered_and_pays_no_heed_to_the_rest() {
    let scim = tenant().scim();
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        let reply = ask(&scim, path, &[("filter", "name eq \"User\"")]);
        let _ = reply.scim_error(403, None);
        let whole = scim.get(path).status(200).json();
        for ignored in [
            "count=1",
            "startIndex=2",
            "sortBy=name&sortOrder=descending",
            "count=0",
            "x=y",
        ] {
            assert_eq!(
                scim.get(&format!("{path}?{ignored}")).status(200).json(),
                whole,
                "{path}?{ignored}"
            );
        }
    }
}

#[test]
fn single_items_are_found_by_their_names_alone() {
    let scim = tenant().scim();
    for path in [
        "/ResourceTypes/User",
        "/ResourceTypes/Group",
        &format!("/Schemas/{USER}"),
    ] {
        let one = scim.get(path).status(200);
        assert!(one.json()["id"].is_string(), "{one}");
        let head = scim.request("HEAD", path).send().status(200);
        assert!(head.bytes().is_empty());
    }
    for path in [
        "/ResourceTypes/Device",
        "/Schemas/urn:none",
        "/ServiceProviderConfigs",
        "/Schemas/User",
    ] {
        let _ = scim.get(path).scim_error(404, None);
    }
}

#[test]
fn discovery_is_read_only() {
    let scim = tenant().scim();
    for path in [
        "/Schemas",
        "/ResourceTypes",
        "/ServiceProviderConfig",
        "/ResourceTypes/User",
        &format!("/Schemas/{USER}"),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = scim.request(method, path).json(&json!({})).send();
            let allow = reply.header("allow").unwrap_or_default().to_owned();
            let _ = reply.scim_error(405, None);
            assert!(allow.contains("GET"), "{method} {path}: {allow}");
        }
    }
}
