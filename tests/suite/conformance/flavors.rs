//! The flavors differ in the accents alone: what needs none is answered alike.

use muster_tests::scim::{ENTERPRISE, GROUP, LIST, Reply, Scim, USER, query};
use serde_json::{Value, json};

use super::schemas::{BADGE, badged};
use super::{NOBODY, SEARCH, create, server};

/// Clients of every flavor on one tenant, which has people, groups and a schema
/// of its own.
fn clients() -> [Scim; 3] {
    let tenant = badged();
    let scim = tenant.scim();
    let boss = scim.user("boss");
    for (name, title, level) in [
        ("ada", "Analyst", 3),
        ("Bob", "Clerk", 20),
        ("cy", "analyst", 7),
    ] {
        let emails = json!([{"value": format!("{name}@work.test"), "type": "work", "primary": true},
            {"value": format!("{name}@home.test"), "type": "home"}]);
        let body = json!({"schemas": [USER, ENTERPRISE, BADGE], "userName": name, "title": title,
            "displayName": name, "active": level != 7, "emails": emails,
            "name": {"familyName": format!("F{level}")}, BADGE: {"level": level, "tags": ["red", title]},
            ENTERPRISE: {"department": title, "manager": {"value": boss}}});
        let id = create(&scim, "/Users", &body);
        let inner = scim.group(&format!("Inner {name}"), &[&id]);
        let outer = json!({"schemas": [GROUP], "displayName": format!("Outer {name}"),
            "members": [{"value": inner}, {"value": boss}]});
        create(&scim, "/Groups", &outer);
    }
    ["entra", "okta", "strict"].map(|flavor| tenant.flavored(server(), flavor))
}

/// Status, tag and body, but for the cursor, which is sealed anew each time.
fn face(reply: &Reply) -> (u16, Option<String>, Value) {
    let mut body: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
    if let Some(next) = body.get_mut("nextCursor") {
        *next = json!("sealed");
    }
    (reply.code(), reply.header("etag").map(str::to_owned), body)
}

/// Asserts that every flavor gives one answer of this status.
#[track_caller]
fn alike(clients: &[Scim; 3], status: u16, ask: impl Fn(&Scim) -> Reply) {
    let replies = clients.each_ref().map(ask);
    let [entra, okta, strict] = replies.each_ref().map(face);
    let _ = replies[0].clone().status(status);
    assert_eq!(okta, entra, "okta: {}", replies[1]);
    assert_eq!(strict, entra, "strict: {}", replies[2]);
}

/// The same, of a query that finds somebody and not everybody.
#[track_caller]
fn finds_alike(clients: &[Scim; 3], path: &str, parameters: &[(&str, &str)]) {
    let asked = format!("{path}?{}", query(parameters));
    alike(clients, 200, |scim| scim.get(&asked));
    let list = clients[0].get(&asked).json();
    assert_eq!(list["schemas"], json!([LIST]), "{asked}");
    assert!(list["totalResults"].as_u64() > Some(0), "{asked}: {list}");
    let mut search = json!({"schemas": [SEARCH]});
    for (name, value) in parameters {
        search[name] = match *name {
            "count" | "startIndex" => json!(value.parse::<i64>().expect("a number")),
            "attributes" | "excludedAttributes" => json!(value.split(',').collect::<Vec<_>>()),
            _ => json!(value),
        };
    }
    alike(clients, 200, |scim| {
        scim.post(&format!("{path}/.search"), &search)
    });
}

#[test]
fn filters_without_accents_find_the_same_in_every_flavor() {
    let clients = clients();
    let level = format!("{BADGE}:level gt 3 and {BADGE}:tags eq \"RED\"");
    let manager =
        format!("{ENTERPRISE}:manager.displayName pr or {ENTERPRISE}:department sw \"C\"");
    for filter in [
        "userName eq \"ADA\"",
        "title eq \"analyst\" and active eq true",
        "not (title eq \"clerk\") and emails pr",
        "emails[type eq \"work\" and value co \"bob\"]",
        "emails.value ew \"home.test\"",
        "meta.created gt \"2020-01-01T00:00:00Z\" and name.familyName pr",
        "groups.type eq \"indirect\"",
        &level,
        &manager,
    ] {
        finds_alike(&clients, "/Users", &[("filter", filter)]);
    }
    let member = "displayName co \"r B\" or members.type eq \"Group\"";
    finds_alike(&clients, "/Groups", &[("filter", member)]);
    for filter in [
        "meta.resourceType eq \"Group\"",
        "displayName sw \"inner\" or userName eq \"cy\"",
    ] {
        finds_alike(&clients, "", &[("filter", filter)]);
    }
}

#[test]
fn orders_pages_and_projections_are_the_same_in_every_flavor() {
    let clients = clients();
    let level = format!("{BADGE}:level");
    for sort_by in [
        "userName",
        "name.familyName",
        "emails",
        "active",
        "meta.created",
        &level,
    ] {
        for order in ["ascending", "descending"] {
            let parameters = [("sortBy", sort_by), ("sortOrder", order), ("count", "3")];
            finds_alike(&clients, "/Users", &parameters);
        }
    }
    for parameters in [
        &[("startIndex", "2"), ("count", "2")][..],
        &[("startIndex", "-3"), ("count", "1")],
        &[("startIndex", "400")],
        &[("count", "0")],
        &[("cursor", ""), ("count", "2")],
        &[("attributes", "userName,emails.value,groups")],
        &[("excludedAttributes", "name,emails.type,meta")],
        &[("attributes", &level)],
    ] {
        finds_alike(&clients, "/Users", parameters);
    }
    finds_alike(&clients, "/Groups", &[("attributes", "members.value")]);
    finds_alike(&clients, "", &[("sortBy", "id"), ("count", "5")]);
}

#[test]
fn single_resources_discovery_and_errors_are_the_same_in_every_flavor() {
    let clients = clients();
    let found = clients[0].find("/Users", "userName eq \"ada\"").json();
    let id = found["Resources"][0]["id"].as_str().expect("an id");
    for path in [
        &format!("/Users/{id}"),
        &format!("/Users/{id}?attributes=title"),
        "/ServiceProviderConfig",
        "/ResourceTypes",
        "/Schemas",
        &format!("/Schemas/{BADGE}"),
    ] {
        alike(&clients, 200, |scim| scim.get(path));
    }
    for (status, path) in [
        (400, "/Users?filter=userName"),
        (400, "/Users?filter=shoeSize+pr"),
        (400, "/Users?sortBy=name"),
        (400, "/Users?cursor=nonsense"),
        (403, "/Schemas?filter=id+pr"),
        (404, &format!("/Users/{NOBODY}")),
        (404, "/Nowhere"),
        (501, "/Me"),
    ] {
        alike(&clients, status, |scim| scim.get(path));
    }
    let taken = json!({"schemas": [USER], "userName": "ADA"});
    alike(&clients, 409, |scim| scim.post("/Users", &taken));
}
