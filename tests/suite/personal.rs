//! Personal data of users: every RPC of the contract that may show it shows none
//! to who lacks `users.read.pii`, and refuses to be asked for it by name.

mod cases;
mod scim;

use std::collections::BTreeSet;

use muster_proto::{policy::Policies, sensitivity::is_plain, v1::User};
use muster_tests::{
    grpc::{Grpc, reason},
    scim::{ENTERPRISE, Scim, USER},
    service::{Service, all_scopes},
};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use cases::{Ask, CASES, Case};

/// The scope that shows personal data.
const PERSONAL_DATA: &str = "users.read.pii";

/// What everybody may see of a user, as he is known by it.
const KNOWN_BY: [&str; 2] = ["user_name", "display_name"];

/// In each value of personal data below, and in nothing else.
const MARK: &str = "Qx7";

/// A tenant with one user of whom everything is known.
struct World {
    user: String,
    /// May do everything.
    full: Grpc,
    /// May do everything but see personal data.
    narrow: Grpc,
}

impl World {
    #[track_caller]
    fn new() -> Self {
        let tenant = super::tenant();
        let user = person(&tenant.scim());
        let service = Service::full(super::server(), &tenant);
        let scopes = all_scopes();
        let fewer: Vec<_> = scopes.iter().map(String::as_str).collect();
        let fewer = fewer.into_iter().filter(|scope| *scope != PERSONAL_DATA);
        let fewer: Vec<_> = fewer.collect();
        Self {
            full: service.grpc(),
            narrow: tenant.grpc_with(&service.token_with(&fewer)),
            user,
        }
    }
}

/// A user with personal data of each kind; his id.
#[track_caller]
fn person(scim: &Scim) -> String {
    scim.post("/Users", &everything()).status(201).id()
}

/// A user as provisioned: values of personal data have the mark.
fn everything() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": "ada",
        "displayName": "Ada",
        "externalId": "ada-oid",
        "name": {"givenName": "AugustaQx7", "familyName": "LovelaceQx7", "formatted": "A. L. Qx7"},
        "nickName": "AlQx7",
        "profileUrl": "https://example.test/Qx7",
        "emails": [{"value": "ada@Qx7.test", "type": "work", "primary": true}],
        "phoneNumbers": [{"value": "tel:+1-555-Qx7", "type": "work"}],
        "ims": [{"value": "imQx7", "type": "xmpp"}],
        "photos": [{"value": "https://example.test/photoQx7", "type": "photo"}],
        "addresses": [{"streetAddress": "StreetQx7", "locality": "TownQx7", "type": "work"}],
        "title": "Countess",
        "active": true,
        ENTERPRISE: {"employeeNumber": "EQx7", "department": "Engines"},
    })
}

/// A kind of message of the contract.
#[track_caller]
fn message(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(muster_proto::FILE_DESCRIPTOR_SET);
    let pool = pool.expect("the compiled contract");
    let full = format!("identity.directory.v1.{name}");
    let found = pool.get_message_by_name(&full);
    found.unwrap_or_else(|| panic!("the contract has no {name}"))
}

/// Fields of users that are personal data, by the contract.
fn personal_fields() -> Vec<String> {
    let fields = message("User").fields().collect::<Vec<_>>().into_iter();
    let names = fields.map(|field| field.name().to_owned());
    let personal = names.filter(|name| !KNOWN_BY.contains(&name.as_str()));
    personal.filter(|name| !is_plain("User", name)).collect()
}

/// Methods that may show personal data, by the contract.
fn methods() -> BTreeSet<String> {
    let policies = Policies::load().expect("a complete contract");
    let shows = policies.iter().filter(|(_, policy)| {
        let scopes = &policy.conditional_scope;
        scopes.iter().any(|scope| scope == PERSONAL_DATA)
    });
    let names = shows.filter_map(|(path, _)| path.rsplit('/').next());
    names.map(str::to_owned).collect()
}

#[track_caller]
fn lacks_the_scope<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let Err(status) = answer else {
        panic!("{what} is answered: {answer:?}");
    };
    assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status:?}");
    assert_eq!(reason(&status), "SCOPE_MISSING", "{what}: {status:?}");
    let info = status.get_details_error_info().expect("always there");
    let scope = info.metadata.get("scope").map(String::as_str);
    assert_eq!(scope, Some(PERSONAL_DATA), "{what}: {status:?}");
    assert!(!format!("{status:?}").contains(MARK), "{what}: {status:?}");
}

#[test]
fn every_rpc_that_may_show_personal_data_has_its_case() {
    let known: BTreeSet<_> = CASES.iter().map(|case| case.method.to_owned()).collect();
    assert_eq!(known, methods());
}

#[test]
fn the_user_of_these_tests_has_all_there_is() {
    let world = World::new();
    let found = cases::get(&world.full, &world.user, &[]).expect("her");
    let user: User = found.user.expect("her");
    assert!(!user.emails.is_empty() && user.name.is_some());
    let text = format!("{user:?}");
    // As often as in what was sent: nothing was dropped on the way.
    let sent = everything().to_string();
    assert!(text.matches(MARK).count() >= sent.matches(MARK).count());
    assert!(personal_fields().len() >= 8, "{:?}", personal_fields());
}

#[test]
fn no_rpc_shows_personal_data_without_the_scope() {
    let world = World::new();
    for Case {
        method,
        ask,
        masked,
    } in CASES
    {
        let shown = ask(&world, &world.narrow, &Ask::Nothing);
        let shown = shown.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        assert!(!shown.contains(MARK), "{method}: {shown}");
        assert!(shown.contains(&world.user), "{method} shows her: {shown}");
        // Whoever has the scope sees it: the question is the right one.
        let everything = Ask::Personal("emails".to_owned());
        let shown = ask(&world, &world.full, &everything);
        let shown = shown.unwrap_or_else(|status| panic!("{method}: {status:?}"));
        assert!(shown.contains(MARK), "{method}: {shown}");
        if *masked {
            let usual = Ask::Plain(vec!["user_name", "display_name", "title"]);
            let shown = ask(&world, &world.narrow, &usual);
            let shown = shown.unwrap_or_else(|status| panic!("{method}: {status:?}"));
            assert!(shown.contains("Countess"), "{method}: {shown}");
            assert!(!shown.contains(MARK), "{method}: {shown}");
        }
    }
}

#[test]
fn no_rpc_lets_personal_data_be_named_without_the_scope() {
    let world = World::new();
    for Case {
        method,
        ask,
        masked,
    } in CASES
    {
        for field in personal_fields() {
            let asked = Ask::Personal(field.clone());
            let answer = ask(&world, &world.narrow, &asked);
            lacks_the_scope(&format!("{method} of {field}"), answer);
            if !*masked {
                break;
            }
        }
    }
}

#[test]
fn nobody_finds_users_by_what_he_may_not_see() {
    let world = World::new();
    for path in [
        ("emails", "value"),
        ("name", "familyName"),
        ("nickName", ""),
    ] {
        for (what, request) in [
            ("filter", cases::filtered(path)),
            ("order", cases::sorted(path)),
        ] {
            let answer = cases::list(&world.narrow, request.clone());
            lacks_the_scope(&format!("ListUsers, {what} {path:?}"), answer);
            let answer = cases::search(&world.narrow, request.clone());
            lacks_the_scope(&format!("SearchResources, {what} {path:?}"), answer);
            let found = cases::list(&world.full, request.clone()).expect("found");
            assert!(found.contains(&world.user), "{what} {path:?}");
            let found = cases::search(&world.full, request).expect("found");
            assert!(found.contains(&world.user), "{what} {path:?}");
        }
    }
}
