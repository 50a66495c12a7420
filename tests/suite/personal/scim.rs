//! The same over SCIM, by a credential that was given fewer scopes: what is not its
//! holder's to see is left out, however he asks for attributes (RFC 7644 section 3.9),
//! and nobody is found by it.

use muster_tests::scim::{ENTERPRISE, LIST, Scim, query};
use serde_json::json;

use super::{MARK, person};

/// What a credential may do that provisions, but for `users.read.pii`.
const FEWER: &str =
    "users.read.basic,users.list,users.write,groups.read,groups.write,provisioning.self";

struct World {
    user: String,
    group: String,
    full: Scim,
    narrow: Scim,
}

impl World {
    #[track_caller]
    fn new() -> Self {
        let tenant = super::super::tenant();
        let full = tenant.scim();
        let user = person(&full);
        let group = full.group("Engines", &[&user]);
        let more = ["--scopes", FEWER];
        let (_, token) = tenant.credential(super::super::server(), "entra", &more);
        Self {
            narrow: tenant.scim_with(&token),
            user,
            group,
            full,
        }
    }

    /// The user as each caller sees her: read, listed, and searched for.
    #[track_caller]
    fn seen(&self, scim: &Scim, projection: &[(&str, &str)]) -> serde_json::Value {
        let with = |more: &[(&str, &str)]| query(&[projection, more].concat());
        let one = format!("/Users/{}?{}", self.user, with(&[]));
        let one = scim.get(&one).status(200).json();
        let filter = [("filter", "userName eq \"ada\"")];
        let listed = scim.get(&format!("/Users?{}", with(&filter)));
        let listed = listed.status(200).json();
        assert_eq!(listed["Resources"], json!([one]), "{projection:?}");
        let across = scim.get(&format!("/?{}", with(&filter))).status(200).json();
        assert_eq!(across["Resources"], json!([one]), "{projection:?}");
        one
    }
}

#[test]
fn a_credential_for_provisioning_sees_everything() {
    let world = World::new();
    let seen = world.seen(&world.full, &[]);
    assert_eq!(seen["emails"][0]["value"], "ada@Qx7.test");
    assert_eq!(seen["name"]["familyName"], "LovelaceQx7");
    let seen = world.seen(&world.full, &[("excludedAttributes", "groups")]);
    assert_eq!(seen["emails"][0]["value"], "ada@Qx7.test");
    assert!(seen["groups"].is_null());
}

#[test]
fn personal_data_is_left_out_however_attributes_are_asked_for() {
    let world = World::new();
    let all = ["userName", "title", "groups", ENTERPRISE];
    let but = |out: &str| all.into_iter().filter(|name| *name != out).collect();
    for (projection, shown) in [
        (None, all.to_vec()),
        (Some(("excludedAttributes", "groups")), but("groups")),
        (Some(("excludedAttributes", "title")), but("title")),
        (Some(("excludedAttributes", "emails")), all.to_vec()),
        (Some(("attributes", "emails")), vec![]),
        (Some(("attributes", "userName,emails")), vec!["userName"]),
        (Some(("attributes", "emails,groups")), vec!["groups"]),
        (
            Some(("attributes", "emails.value,name.familyName,title")),
            vec!["title"],
        ),
        (
            Some(("attributes", "userName,groups")),
            vec!["userName", "groups"],
        ),
        (Some(("attributes", ENTERPRISE)), vec![ENTERPRISE]),
    ] {
        let seen = world.seen(&world.narrow, projection.as_slice());
        let text = seen.to_string();
        assert!(!text.contains(MARK), "{projection:?}: {text}");
        assert_eq!(seen["id"], world.user.as_str());
        let found = all.into_iter().filter(|name| !seen[*name].is_null());
        assert_eq!(found.collect::<Vec<_>>(), shown, "{projection:?}: {text}");
        for name in ["emails", "name", "phoneNumbers", "addresses", "photos"] {
            assert!(seen[name].is_null(), "{projection:?}: {name} in {text}");
        }
    }
}

#[test]
fn nobody_is_found_or_sorted_by_what_is_not_shown() {
    let world = World::new();
    for ask in [
        query(&[("filter", "emails.value eq \"ada@Qx7.test\"")]),
        query(&[("filter", "emails[type eq \"work\"]")]),
        query(&[("filter", "not (name.familyName pr)")]),
        query(&[("filter", "userName eq \"ada\" or nickName pr")]),
        query(&[("sortBy", "name.familyName")]),
    ] {
        for path in ["/Users", "/"] {
            let answer = world.narrow.get(&format!("{path}?{ask}"));
            let text = answer.scim_error(403, None);
            assert!(!text.contains(MARK), "{path}?{ask}: {text}");
            let answer = world.full.get(&format!("{path}?{ask}")).status(200).json();
            assert_eq!(answer["schemas"], json!([LIST]));
        }
    }
    let found = world
        .narrow
        .found("title eq \"Countess\" and externalId eq \"ada-oid\"");
    assert_eq!(found, ["ada"]);
}

#[test]
fn who_writes_what_he_may_not_see_is_not_shown_it() {
    let world = World::new();
    let operations = json!([
        {"op": "replace", "path": "name.givenName", "value": "AdaQx7"},
        {"op": "replace", "path": "title", "value": "Admiral"},
    ]);
    for ask in [
        "",
        "?excludedAttributes=groups",
        "?attributes=name,title",
        "?attributes=title",
    ] {
        let path = format!("/Users/{}{ask}", world.user);
        let patched = world.narrow.patch(&path, &operations).status(200);
        assert_eq!(patched.json()["title"], "Admiral", "{ask}");
        let text = patched.text();
        assert!(!text.contains(MARK), "{ask}: {text}");
    }
    let written = world.full.get(&format!("/Users/{}", world.user)).json();
    assert_eq!(written["name"]["givenName"], "AdaQx7");
    // One that somebody else wrote stays where it is not named.
    assert_eq!(written["emails"][0]["value"], "ada@Qx7.test");
    let members = world.narrow.members(&world.group);
    assert_eq!(members, std::slice::from_ref(&world.user));
    let group = world.narrow.get(&format!("/Groups/{}", world.group)).text();
    assert!(!group.contains(MARK), "{group}");
}
