//! RFC 7643 sections 6 and 7: schemas of a tenant are registered, listed and
//! forgotten, and are nobody else's.

use muster_tests::{
    scim::{ENTERPRISE, GROUP, USER},
    soon::wait_until,
};
use serde_json::{Value, json};

use super::schemas::{BADGE, badge, badged, put};
use super::{both_of, create, refused, resources, server, tenant, unassigned};

const DEPOT: &str = "urn:example:params:scim:schemas:extension:depot:2.0:Group";

/// A schema of one attribute.
fn small(urn: &str, attribute: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": urn, "name": "Small",
        "description": "A schema", "attributes": [attribute]})
}

fn text(name: &str, more: &Value) -> Value {
    let mut attribute = json!({"name": name, "type": "string", "multiValued": false, "description": "Text.",
        "required": false, "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none"});
    for (name, value) in more.as_object().into_iter().flatten() {
        attribute[name] = value.clone();
    }
    attribute
}

#[test]
fn a_registered_schema_is_discovered() {
    let tenant = badged();
    for scim in both_of(&tenant) {
        let listed = resources(&scim.get("/Schemas").status(200).json());
        let one = scim.get(&format!("/Schemas/{BADGE}")).status(200).json();
        assert!(listed.contains(&one), "{listed:?}");
        assert_eq!(one["id"], BADGE);
        assert_eq!(one["name"], "Badge");
        assert_eq!(one["meta"]["resourceType"], "Schema");
        let sent = badge();
        let sent = sent["attributes"].as_array().expect("a list");
        let shown = one["attributes"].as_array().expect("a list");
        assert_eq!(shown.len(), sent.len());
        for sent in sent {
            let shown = shown.iter().find(|a| a["name"] == sent["name"]);
            let shown = shown.unwrap_or_else(|| panic!("no {}", sent["name"]));
            for name in [
                "type",
                "multiValued",
                "required",
                "mutability",
                "returned",
                "description",
            ] {
                assert_eq!(shown[name], sent[name], "{name} of {shown}");
            }
            for name in ["caseExact", "uniqueness"] {
                if sent["type"] == "string" {
                    assert_eq!(shown[name], sent[name], "{name} of {shown}");
                }
            }
        }
        let user = scim.get("/ResourceTypes/User").status(200).json();
        let extensions = user["schemaExtensions"].as_array().expect("a list");
        let named = |urn: &str| {
            extensions
                .iter()
                .any(|extension| extension["schema"] == urn)
        };
        assert!(named(BADGE) && named(ENTERPRISE), "{user}");
        let group = scim.get("/ResourceTypes/Group").status(200).json();
        assert!(!group.to_string().contains(BADGE), "{group}");
    }
}

#[test]
fn what_a_schema_leaves_unsaid_is_the_standards_default() {
    const URN: &str = "urn:example:params:scim:schemas:extension:brief:2.0:User";
    let tenant = tenant();
    let schema = small(URN, &json!({"name": "plain"}));
    let _ = put(&tenant, "user", &schema).code(0);
    for scim in both_of(&tenant) {
        let shown = scim.get(&format!("/Schemas/{URN}")).status(200).json();
        let plain = &shown["attributes"][0];
        for (characteristic, default) in [
            ("type", json!("string")),
            ("multiValued", json!(false)),
            ("required", json!(false)),
            ("caseExact", json!(false)),
            ("mutability", json!("readWrite")),
            ("returned", json!("default")),
            ("uniqueness", json!("none")),
        ] {
            assert_eq!(plain[characteristic], default, "{characteristic}: {plain}");
        }
        assert!(unassigned(plain, "canonicalValues"), "{plain}");
        // And that is how it behaves.
        let name = format!("u{}", scim.get("/Users").total());
        let body = json!({"schemas": [USER, URN], "userName": name, URN: {"plain": "Text"}});
        let path = format!("/Users/{}", create(&scim, "/Users", &body));
        assert_eq!(scim.found(&format!("{URN}:plain eq \"TEXT\"")), [name]);
        let other = json!([{"op": "replace", "path": format!("{URN}:plain"), "value": "Other"}]);
        let _ = scim.patch(&path, &other).status(200);
        let _ = scim.delete(&path).status(204);
    }
}

#[test]
fn a_schema_is_its_tenants_alone() {
    let (one, other) = (badged(), tenant());
    let stranger = other.scim();
    let _ = stranger
        .get(&format!("/Schemas/{BADGE}"))
        .scim_error(404, None);
    assert!(!stranger.get("/Schemas").status(200).text().contains(BADGE));
    assert!(
        !stranger
            .get("/ResourceTypes")
            .status(200)
            .text()
            .contains(BADGE)
    );
    let mut changed = badge();
    changed["attributes"] = json!([text("level", &json!({}))]);
    let _ = put(&other, "user", &changed).code(0);
    // The same URN and name, and other types.
    let user =
        |level: Value| json!({"schemas": [USER, BADGE], "userName": "u", BADGE: {"level": level}});
    create(&one.scim(), "/Users", &user(json!(3)));
    create(&stranger, "/Users", &user(json!("three")));
    assert_eq!(one.scim().found(&format!("{BADGE}:level gt 2")), ["u"]);
    assert_eq!(
        stranger.found(&format!("{BADGE}:level eq \"THREE\"")),
        ["u"]
    );
    refused(
        &stranger.find("/Users", &format!("{BADGE}:number pr")),
        400,
        &["invalidFilter"],
    );
}

#[test]
fn what_an_extension_requires_is_required_of_those_who_have_it() {
    const URN: &str = "urn:example:params:scim:schemas:extension:needed:2.0:User";
    let tenant = tenant();
    let mut schema = small(URN, &text("must", &json!({"required": true})));
    let attributes = schema["attributes"].as_array_mut().expect("a list");
    attributes.push(text("may", &json!({})));
    let _ = put(&tenant, "user", &schema).code(0);
    for scim in both_of(&tenant) {
        let size = scim.get("/Users").total();
        let id = scim.user(&format!("without-{size}"));
        let body =
            json!({"schemas": [USER, URN], "userName": format!("with-{size}"), URN: {"must": "M"}});
        let with = format!("/Users/{}", create(&scim, "/Users", &body));
        let before = scim.get(&with).status(200);
        for extension in [json!({"may": "m"}), json!({"must": null, "may": "m"})] {
            let mut body = json!({"schemas": [USER, URN], "userName": "no", URN: extension});
            refused(&scim.post("/Users", &body), 400, &["invalidValue"]);
            body["userName"] = json!(format!("with-{size}"));
            refused(&scim.put(&with, &body), 400, &["invalidValue"]);
            // Nor does it come to those who had none of it.
            body["userName"] = json!(format!("without-{size}"));
            let without = format!("/Users/{id}");
            refused(&scim.put(&without, &body), 400, &["invalidValue"]);
        }
        let both = json!([{"op": "add", "path": format!("{URN}:may"), "value": "m"}]);
        let _ = scim.patch(&with, &both).status(200);
        let remove = json!([{"op": "remove", "path": format!("{URN}:must")}]);
        refused(&scim.patch(&with, &remove), 400, &["mutability"]);
        assert_eq!(
            scim.get(&with).json()[URN],
            json!({"must": "M", "may": "m"})
        );
        assert_ne!(scim.get(&with).etag(), before.etag());
        let user = scim.get(&format!("/Users/{id}")).status(200).json();
        assert!(unassigned(&user, URN), "{user}");
    }
}

#[test]
fn groups_are_extended_too() {
    let tenant = tenant();
    let schema = small(DEPOT, &text("shelf", &json!({})));
    let _ = put(&tenant, "group", &schema).code(0);
    for scim in both_of(&tenant) {
        let size = scim.get("/Groups").total();
        let body = json!({"schemas": [GROUP, DEPOT], "displayName": format!("G{size}"), DEPOT: {"shelf": format!("s{size}")}});
        let path = format!("/Groups/{}", create(&scim, "/Groups", &body));
        assert_eq!(scim.get(&path).json()[DEPOT]["shelf"], format!("s{size}"));
        let filter = format!("{DEPOT}:shelf eq \"S{size}\"");
        assert_eq!(scim.find("/Groups", &filter).status(200).total(), 1);
        let operations = json!([{"op": "replace", "path": format!("{DEPOT}:shelf"), "value": "t"}]);
        let _ = scim.patch(&path, &operations).status_in(&[200, 204]);
        assert_eq!(scim.get(&path).json()[DEPOT], json!({"shelf": "t"}));
        let kind = scim.get("/ResourceTypes/Group").status(200).json();
        assert!(
            kind["schemaExtensions"].to_string().contains(DEPOT),
            "{kind}"
        );
        let operations =
            json!([{"op": "replace", "path": format!("{DEPOT}:shelf"), "value": {"a": 1}}]);
        refused(&scim.patch(&path, &operations), 400, &["invalidValue"]);
    }
}

#[test]
fn the_command_line_lists_shows_and_forgets() {
    let tenant = badged();
    let admin = server().admin();
    let listed = admin.json(&["schema", "list", "--tenant", &tenant.id]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert!(listed.to_string().contains(BADGE), "{listed}");
    let shown = admin.json(&["schema", "show", "--tenant", &tenant.id, "--urn", BADGE]);
    assert_eq!(shown["id"], BADGE, "{shown}");
    // What is shown can be put again.
    let _ = put(&tenant, "user", &shown).code(0);
    let scim = tenant.scim();
    let _ = scim.get(&format!("/Schemas/{BADGE}")).status(200);
    let _ = admin
        .run(&["schema", "delete", "--tenant", &tenant.id, "--urn", BADGE])
        .code(0);
    let path = format!("/Schemas/{BADGE}");
    // A command is another process, of which the server hears within a second.
    wait_until("the schema to go", || scim.get(&path).code() != 200);
    let _ = scim.get(&path).scim_error(404, None);
    let listed = admin.json(&["schema", "list", "--tenant", &tenant.id]);
    assert_eq!(listed, json!([]));
    let again = admin.run(&["schema", "delete", "--tenant", &tenant.id, "--urn", BADGE]);
    assert!(!again.stderr().is_empty());
    let _ = again.code(1);
    scim.user("life goes on");
}

#[test]
fn a_schema_that_is_put_again_is_replaced() {
    let tenant = badged();
    let scim = tenant.scim();
    let mut schema = badge();
    let attributes = schema["attributes"].as_array_mut().expect("a list");
    attributes.push(text("motto", &json!({})));
    let _ = put(&tenant, "user", &schema).code(0);
    let shown = scim.get(&format!("/Schemas/{BADGE}")).status(200).json();
    assert!(shown.to_string().contains("\"motto\""), "{shown}");
    let body =
        json!({"schemas": [USER, BADGE], "userName": "u", BADGE: {"motto": "M", "level": 1}});
    create(&scim, "/Users", &body);
    assert_eq!(scim.found(&format!("{BADGE}:motto eq \"m\"")), ["u"]);
}

#[test]
fn a_new_attribute_counts_soon() {
    let tenant = tenant();
    let scim = tenant.scim();
    let find = || scim.find("/Users", &format!("{BADGE}:level gt 2"));
    assert_eq!(scim.get("/Users").total(), 0);
    let _ = put(&tenant, "user", &badge()).code(0);
    // Each of these is refused by whoever does not know the schema yet; what a
    // command writes the server hears of within a second.
    wait_until("the schema", || find().code() == 200);
    assert_eq!(find().total(), 0);
    let mut schema = badge();
    let attributes = schema["attributes"].as_array_mut().expect("a list");
    attributes.push(text("motto", &json!({})));
    let _ = put(&tenant, "user", &schema).code(0);
    let filter = format!("{BADGE}:motto pr");
    let find = || scim.find("/Users", &filter);
    wait_until("the attribute", || find().code() == 200);
    assert_eq!(find().total(), 0);
}

/// What is hidden since is another representation: nobody keeps showing it.
#[test]
fn what_a_schema_hides_changes_the_tag() {
    const URN: &str = "urn:example:params:scim:schemas:extension:hiding:2.0:User";
    let tenant = tenant();
    let schema = |returned: &str| {
        let mut schema = small(URN, &text("a", &json!({"returned": returned})));
        let other = text("b", &json!({}));
        schema["attributes"]
            .as_array_mut()
            .expect("a list")
            .push(other);
        schema
    };
    let _ = put(&tenant, "user", &schema("default")).code(0);
    let scim = tenant.scim();
    let user = json!({"schemas": [USER, URN], "userName": "u", URN: {"a": "A", "b": "B"}});
    let created = scim.post("/Users", &user).status(201);
    let path = format!("/Users/{}", created.id());
    assert_eq!(scim.get(&path).etag(), created.etag());
    for returned in ["never", "default", "request"] {
        let before = scim.get(&path).etag();
        let _ = put(&tenant, "user", &schema(returned)).code(0);
        let read = || {
            let draft = scim.request("GET", &path);
            draft.header("if-none-match", &before).send()
        };
        wait_until("the new schema", || read().code() != 304);
        let reply = read().status(200);
        assert_eq!(reply.json()[URN].get("a").is_some(), returned == "default");
        assert_ne!(reply.etag(), before, "{returned}");
    }
}

#[test]
fn schemas_that_are_none_are_refused() {
    let tenant = tenant();
    let good = text("a", &json!({}));
    let nested = json!({"name": "c", "type": "complex", "multiValued": false, "description": "x",
        "subAttributes": [{"name": "d", "type": "complex", "multiValued": false, "subAttributes": [good]}]});
    for bad in [
        json!([]),
        json!({"id": "urn:example:x:User"}),
        small("", &good),
        small("no urn", &good),
        small(USER, &good),
        small(GROUP, &good),
        small("urn:example:x:2.0:User", &json!({"type": "string"})),
        small("urn:example:x:2.0:User", &text("", &json!({}))),
        small("urn:example:x:2.0:User", &text("1a", &json!({}))),
        small("urn:example:x:2.0:User", &text("a b", &json!({}))),
        small(
            "urn:example:x:2.0:User",
            &text("a", &json!({"type": "colour"})),
        ),
        small(
            "urn:example:x:2.0:User",
            &text("a", &json!({"mutability": "sometimes"})),
        ),
        small(
            "urn:example:x:2.0:User",
            &text("a", &json!({"returned": "maybe"})),
        ),
        small(
            "urn:example:x:2.0:User",
            &text("a", &json!({"uniqueness": "rare"})),
        ),
        small(
            "urn:example:x:2.0:User",
            &text("a", &json!({"type": "complex"})),
        ),
        small("urn:example:x:2.0:User", &nested),
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": "urn:example:x:2.0:User",
            "name": "X", "attributes": [good, text("A", &json!({}))]}),
    ] {
        let outcome = put(&tenant, "user", &bad);
        assert!(!outcome.stderr().is_empty(), "{bad}");
        let _ = outcome.code(1);
    }
    let listed = server()
        .admin()
        .json(&["schema", "list", "--tenant", &tenant.id]);
    assert_eq!(listed, json!([]));
}
