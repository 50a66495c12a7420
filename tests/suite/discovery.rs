//! What the service says of itself.

use muster_tests::scim::{ENTERPRISE, GROUP, LIST, USER, query};
use serde_json::{Value, json};

fn assert_no_nulls(value: &Value) {
    match value {
        Value::Null => panic!("a null where a client expects none"),
        Value::Array(list) => list.iter().for_each(assert_no_nulls),
        Value::Object(fields) => fields.values().for_each(assert_no_nulls),
        _ => {}
    }
}

#[test]
fn the_provider_config_tells_what_works() {
    let scim = super::tenant().scim();
    let config = scim.get("/ServiceProviderConfig").status(200).json();
    for (feature, supported) in [
        ("patch", true),
        ("filter", true),
        ("etag", true),
        ("bulk", true),
        ("sort", true),
    ] {
        assert_eq!(config[feature]["supported"], supported, "{feature}");
    }
    assert_eq!(config["bulk"]["maxOperations"], 1000);
    assert_eq!(config["bulk"]["maxPayloadSize"], 16 * 1024 * 1024);
    let pagination = json!({"cursor": true, "index": true, "defaultPaginationMethod": "index",
        "defaultPageSize": 100, "maxPageSize": 1000, "cursorTimeout": 3600});
    assert_eq!(config["pagination"], pagination);
    assert_eq!(config["changePassword"]["supported"], false);
    assert!(
        config["filter"]["maxResults"]
            .as_u64()
            .is_some_and(|n| n >= 100)
    );
    assert_eq!(
        config["authenticationSchemes"][0]["type"],
        "oauthbearertoken"
    );
    assert_no_nulls(&config);
}

#[test]
fn resource_types_point_to_their_schemas() {
    let scim = super::tenant().scim();
    let list = scim.get("/ResourceTypes").status(200).json();
    assert_eq!(list["schemas"], json!([LIST]));
    for (name, endpoint, schema) in [("User", "/Users", USER), ("Group", "/Groups", GROUP)] {
        let one = scim
            .get(&format!("/ResourceTypes/{name}"))
            .status(200)
            .json();
        assert_eq!(
            (&one["endpoint"], &one["schema"]),
            (&json!(endpoint), &json!(schema))
        );
        let listed = list["Resources"].as_array().expect("a list");
        assert!(listed.contains(&one), "{list}");
    }
    assert_no_nulls(&list);
}

#[test]
fn schemas_describe_every_attribute_in_full() {
    let scim = super::tenant().scim();
    let list = scim.get("/Schemas").status(200).json();
    assert_eq!(list["schemas"], json!([LIST]));
    for urn in [USER, GROUP, ENTERPRISE] {
        let one = scim.get(&format!("/Schemas/{urn}")).status(200).json();
        assert_eq!(one["id"], urn);
        let attributes = one["attributes"].as_array().expect("a list");
        for attribute in attributes {
            assert_described(attribute);
        }
        assert!(
            list["Resources"]
                .as_array()
                .is_some_and(|l| l.contains(&one))
        );
    }
    assert_no_nulls(&list);
}

#[track_caller]
fn assert_described(attribute: &Value) {
    for (name, known) in [
        (
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
            ][..],
        ),
        (
            "mutability",
            &["readOnly", "readWrite", "immutable", "writeOnly"][..],
        ),
        ("returned", &["always", "never", "default", "request"][..]),
    ] {
        let value = attribute[name].as_str().unwrap_or_default();
        assert!(known.contains(&value), "{name} of {attribute}");
    }
    for flag in ["multiValued", "required"] {
        assert!(attribute[flag].is_boolean(), "{flag} of {attribute}");
    }
    assert!(attribute["name"].is_string(), "{attribute}");
    for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
        assert_described(sub);
    }
}

#[test]
fn unknown_schemas_and_types_are_not_found() {
    let scim = super::tenant().scim();
    for path in [
        "/Schemas/urn:none",
        "/ResourceTypes/Device",
        "/ServiceProviderConfig/x",
    ] {
        let _ = scim.get(path).scim_error(404, None);
    }
}

#[test]
fn the_interface_is_described_for_anyone() {
    let scim = super::tenant().scim();
    let reply = scim.bare("GET", "/openapi.json").send().status(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let described: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
    assert_eq!(described["servers"][0]["url"], scim.base());
    for path in ["/", "/Users", "/Groups/{id}", "/Bulk", "/Schemas"] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn every_flavor_takes_the_examples_of_the_description() {
    for flavor in ["entra", "okta", "strict"] {
        let scim = super::tenant().flavored(super::server(), flavor);
        let reply = scim.bare("GET", "/openapi.json").send().status(200);
        let described: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
        let paths = &described["paths"];
        let example = |method: &str, path: &str| {
            let content = &paths[path][method]["requestBody"]["content"];
            &content["application/scim+json"]["examples"]["one"]["value"]
        };
        let user = scim
            .post("/Users", example("post", "/Users"))
            .status(201)
            .id();
        let group = scim
            .post("/Groups", example("post", "/Groups"))
            .status(201)
            .id();
        let (user, group) = (format!("/Users/{user}"), format!("/Groups/{group}"));
        let _ = scim.put(&user, example("put", "/Users/{id}")).status(200);
        let _ = scim.put(&group, example("put", "/Groups/{id}")).status(200);
        for (path, described) in [(&user, "/Users/{id}"), (&group, "/Groups/{id}")] {
            let draft = scim.request("PATCH", path);
            let _ = draft.json(example("patch", described)).send().status(200);
        }
        let reply = scim.post("/.search", example("post", "/.search"));
        assert_eq!(reply.status(200).total(), 2, "{flavor}");
        let done = scim
            .post("/Bulk", example("post", "/Bulk"))
            .status(200)
            .json();
        let done = done["Operations"].as_array().expect("operations");
        let statuses: Vec<_> = done.iter().map(|one| &one["status"]).collect();
        assert_eq!(statuses, ["201", "201", "204", "204"], "{flavor}");
        let parameters = &paths["/"]["get"]["parameters"];
        for parameter in parameters.as_array().expect("parameters") {
            let name = parameter["name"].as_str().expect("a name");
            let examples = parameter["schema"]["examples"].as_array();
            for example in examples.into_iter().flatten() {
                let query = query(&[(name, example.as_str().expect("text"))]);
                let _ = scim.get(&format!("/?{query}")).status(200);
            }
        }
    }
}

#[test]
fn discovery_takes_no_filter() {
    let scim = super::tenant().scim();
    let one = format!("/Schemas/{USER}");
    for path in [
        "/Schemas",
        &one,
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/ServiceProviderConfig",
    ] {
        let _ = scim.find(path, "id pr").scim_error(403, None);
    }
}

#[test]
fn discovery_is_not_written_to() {
    let scim = super::tenant().scim();
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = scim.request(method, path).json(&json!({})).send();
            let _ = reply.scim_error(405, None);
        }
    }
}

#[test]
fn health_and_readiness_need_no_token() {
    let server = super::server();
    let anyone = muster_tests::scim::Scim::anonymous(server.http());
    for path in ["/healthz", "/readyz", "/metrics"] {
        let _ = anyone.get(path).status(200);
    }
}

#[test]
fn both_base_paths_and_their_spellings_lead_to_the_tenant() {
    let server = super::server();
    let tenant = super::tenant();
    let scim = tenant.scim();
    scim.user("a");
    let own = format!("{}/connections/{}", scim.base(), tenant.connection_id);
    for base in [scim.base(), &own] {
        for path in [
            "/Users",
            "/Users/",
            "//Users",
            "/Users?aadOptscim062020",
            "/Users/?x=y",
        ] {
            let reply = scim.get(&format!("{base}{path}")).status(200);
            assert_eq!(reply.total(), 1, "{base}{path}");
        }
    }
    // Locations follow the base that was asked.
    let user = scim.get(&format!("{own}/Users")).json();
    let location = user["Resources"][0]["meta"]["location"].as_str();
    let location = location.expect("a location").to_owned();
    assert!(location.starts_with(server.http()), "{location}");
    let _ = scim.get(&location).status(200);
}
