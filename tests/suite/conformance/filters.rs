//! RFC 7644 section 3.4.2.2: filters.

use muster_tests::scim::{ENTERPRISE, GROUP, Scim, USER};
use serde_json::json;

use super::{NOBODY, both, create, refused, tenant};

/// DER that is none, in base64.
const CERTIFICATE: &str = "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVM=";

/// Five users that differ in what the filters below look at.
fn people() -> Scim {
    let scim = tenant().scim();
    let boss = scim.user("boss");
    let users = [
        json!({"schemas": [USER, ENTERPRISE], "userName": "alpha", "externalId": "Key-1",
            "displayName": "Alpha One", "nickName": "Al", "title": "Clerk", "active": true,
            "userType": "Employee", "profileUrl": "https://p.test/Alpha",
            "name": {"familyName": "Abel", "givenName": "Zoe"},
            "emails": [{"type": "work", "value": "alpha@w.test", "primary": true},
                       {"type": "home", "value": "alpha@h.test", "display": "at home"}],
            "ims": [{"type": "xmpp", "value": "alpha@chat.test"}],
            "x509Certificates": [{"value": CERTIFICATE}],
            ENTERPRISE: {"department": "Engines", "employeeNumber": "100",
                         "manager": {"value": boss}}}),
        json!({"schemas": [USER], "userName": "Beta", "displayName": "Beta Two", "title": "Clerk",
            "active": false, "userType": "Contractor", "name": {"familyName": "Baker"},
            "emails": [{"type": "work", "value": "beta@h.test"}]}),
        json!({"schemas": [USER], "userName": "gamma", "displayName": "Gamma", "title": "Pilot",
            "active": true, "userType": "Intern",
            "emails": [{"type": "home", "value": "gamma@w.test", "primary": true}]}),
        json!({"schemas": [USER, ENTERPRISE], "userName": "delta", "active": false,
            "addresses": [{"type": "work", "locality": "Riga", "country": "LV"}],
            ENTERPRISE: {"department": "Looms", "employeeNumber": "20"}}),
    ];
    for user in users {
        create(&scim, "/Users", &user);
    }
    scim
}

#[track_caller]
pub(super) fn check(scim: &Scim, filter: &str, expected: &[&str]) {
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(scim.found(filter), expected, "{filter}");
}

#[track_caller]
fn invalid(scim: &Scim, collection: &str, filter: &str) {
    let reply = scim.find(collection, filter);
    refused(&reply, 400, &["invalidFilter"]);
}

#[test]
fn strings_compare_with_every_operator() {
    let scim = people();
    for (filter, expected) in [
        ("userName eq \"alpha\"", &["alpha"][..]),
        ("userName eq \"ALPHA\"", &["alpha"]),
        ("userName ne \"alpha\"", &["Beta", "boss", "delta", "gamma"]),
        ("userName co \"LT\"", &["delta"]),
        ("userName co \"mm\"", &["gamma"]),
        ("userName sw \"B\"", &["Beta", "boss"]),
        ("userName ew \"TA\"", &["Beta", "delta"]),
        ("userName pr", &["Beta", "alpha", "boss", "delta", "gamma"]),
        ("userName gt \"BETA\"", &["boss", "delta", "gamma"]),
        ("userName ge \"beta\"", &["Beta", "boss", "delta", "gamma"]),
        ("userName lt \"beta\"", &["alpha"]),
        ("userName le \"BETA\"", &["Beta", "alpha"]),
        ("name.familyName le \"baker\"", &["Beta", "alpha"]),
        ("title eq \"clerk\"", &["Beta", "alpha"]),
    ] {
        check(&scim, filter, expected);
    }
}

#[test]
fn names_of_attributes_and_operators_know_no_case() {
    let scim = people();
    for filter in [
        "USERNAME EQ \"alpha\"",
        "UserName Eq \"alpha\" AND Title PR",
        "Name.GIVENNAME sW \"zo\"",
        "NOT (userName NE \"alpha\")",
        "username eq \"alpha\" Or username eq \"nobody\"",
        "Emails[TYPE Eq \"WORK\" And Value cO \"alpha\"]",
    ] {
        check(&scim, filter, &["alpha"]);
    }
}

#[test]
fn exact_attributes_compare_exactly() {
    let scim = people();
    check(&scim, "externalId eq \"Key-1\"", &["alpha"]);
    check(&scim, "externalId eq \"KEY-1\"", &[]);
    check(&scim, "externalId sw \"Key\"", &["alpha"]);
    check(&scim, "externalId sw \"key\"", &[]);
    check(&scim, "externalId co \"ey-\"", &["alpha"]);
    check(&scim, "externalId ew \"Y-1\"", &[]);
    // Capitals come before small letters.
    check(&scim, "externalId lt \"a\"", &["alpha"]);
}

#[test]
fn ids_are_found_exactly() {
    let scim = people();
    let list = scim.find("/Users", "userName eq \"gamma\"").json();
    let id = list["Resources"][0]["id"].as_str().expect("an id");
    check(&scim, &format!("id eq \"{id}\""), &["gamma"]);
    check(&scim, &format!("id eq \"{NOBODY}\""), &[]);
    check(&scim, "id pr", &["Beta", "alpha", "boss", "delta", "gamma"]);
    let others = format!("id ne \"{id}\" and title pr");
    check(&scim, &others, &["Beta", "alpha"]);
}

#[test]
fn booleans_are_equal_or_not_and_never_greater() {
    let scim = people();
    check(&scim, "active eq true", &["alpha", "boss", "gamma"]);
    check(&scim, "active eq false", &["Beta", "delta"]);
    check(&scim, "active ne true", &["Beta", "delta"]);
    check(&scim, "emails[primary eq true]", &["alpha", "gamma"]);
    check(&scim, "emails.primary eq true", &["alpha", "gamma"]);
    for operator in ["gt", "ge", "lt", "le"] {
        invalid(&scim, "/Users", &format!("active {operator} true"));
        let inner = format!("emails[primary {operator} false]");
        invalid(&scim, "/Users", &inner);
    }
}

#[test]
fn binary_values_are_equal_or_not_and_nothing_else() {
    let scim = people();
    let eq = format!("x509Certificates.value eq \"{CERTIFICATE}\"");
    check(&scim, &eq, &["alpha"]);
    let inner = format!("x509Certificates[value eq \"{CERTIFICATE}\"]");
    check(&scim, &inner, &["alpha"]);
    let other_case = CERTIFICATE.to_lowercase();
    // Other letters are other bytes.
    let eq = format!("x509Certificates.value eq \"{other_case}\"");
    check(&scim, &eq, &[]);
    check(&scim, "x509Certificates pr", &["alpha"]);
    for operator in ["gt", "ge", "lt", "le", "co", "sw", "ew"] {
        let filter = format!("x509Certificates.value {operator} \"MIID\"");
        invalid(&scim, "/Users", &filter);
    }
}

#[test]
fn times_compare_as_instants() {
    let scim = people();
    let list = scim.find("/Users", "userName eq \"alpha\"").json();
    let created = list["Resources"][0]["meta"]["created"].as_str();
    let created = created.expect("a time").to_owned();
    let local = created.strip_suffix('Z').expect("in UTC").to_owned();
    check(
        &scim,
        &format!("meta.created le \"{created}\""),
        &["alpha", "boss"],
    );
    for (operator, finds) in [
        ("eq", true),
        ("ge", true),
        ("le", true),
        ("gt", false),
        ("lt", false),
    ] {
        for spelled in [
            created.clone(),
            format!("{local}+00:00"),
            format!("{local}-00:00"),
        ] {
            let filter = format!("userName eq \"alpha\" and meta.created {operator} \"{spelled}\"");
            let expected: &[&str] = if finds { &["alpha"] } else { &[] };
            check(&scim, &filter, expected);
        }
    }
    // The same digits an hour further east are an hour earlier.
    let east = format!("userName eq \"alpha\" and meta.created gt \"{local}+01:00\"");
    check(&scim, &east, &["alpha"]);
    let west = format!("userName eq \"alpha\" and meta.created lt \"{local}-01:00\"");
    check(&scim, &west, &["alpha"]);
    check(&scim, "meta.lastModified lt \"2020-01-01T00:00:00Z\"", &[]);
    check(
        &scim,
        "meta.lastModified gt \"2020-01-01T00:00:00.5+05:30\" and title eq \"Pilot\"",
        &["gamma"],
    );
    invalid(&scim, "/Users", "meta.created gt \"soon\"");
    invalid(&scim, "/Users", "meta.created gt \"2020-13-01T00:00:00Z\"");
}

#[test]
fn meta_of_a_resource_is_looked_at() {
    let scim = people();
    let everybody = &["Beta", "alpha", "boss", "delta", "gamma"][..];
    check(&scim, "meta.resourceType eq \"User\"", everybody);
    check(&scim, "meta.resourceType eq \"Group\"", &[]);
    check(&scim, "meta.created pr", everybody);
    check(&scim, "meta pr and title eq \"Pilot\"", &["gamma"]);
    check(
        &scim,
        "meta.lastModified pr and title eq \"Pilot\"",
        &["gamma"],
    );
}

#[test]
fn references_compare_as_text() {
    let scim = people();
    check(&scim, "profileUrl eq \"https://p.test/Alpha\"", &["alpha"]);
    check(&scim, "profileUrl sw \"https://\"", &["alpha"]);
    check(&scim, "profileUrl pr", &["alpha"]);
}

#[test]
fn presence_needs_a_value() {
    let scim = people();
    check(&scim, "title pr", &["Beta", "alpha", "gamma"]);
    check(&scim, "not (title pr)", &["boss", "delta"]);
    check(&scim, "name pr", &["Beta", "alpha"]);
    check(&scim, "name.givenName pr", &["alpha"]);
    check(&scim, "emails pr", &["Beta", "alpha", "gamma"]);
    check(&scim, "emails.display pr", &["alpha"]);
    check(&scim, "emails[display pr]", &["alpha"]);
    check(&scim, "addresses.locality pr", &["delta"]);
    check(&scim, "photos pr", &[]);
    check(&scim, "groups pr", &[]);
}

#[test]
fn and_binds_closer_than_or_and_not_closer_than_both() {
    let scim = people();
    let (clerk, pilot) = ("title eq \"Clerk\"", "title eq \"Pilot\"");
    for (filter, expected) in [
        (
            format!("{pilot} or {clerk} and active eq false"),
            &["Beta", "gamma"][..],
        ),
        (
            format!("{clerk} and active eq false or {pilot}"),
            &["Beta", "gamma"],
        ),
        (
            format!("({pilot} or {clerk}) and active eq false"),
            &["Beta"],
        ),
        (
            format!("active eq false and ({pilot} or {clerk})"),
            &["Beta"],
        ),
        (format!("not ({clerk}) and title pr"), &["gamma"]),
        (format!("not ({clerk} or {pilot})"), &["boss", "delta"]),
        (
            format!("not ({clerk}) or {clerk} and active eq true"),
            &["alpha", "boss", "delta", "gamma"],
        ),
        (format!("title pr and not ({clerk})"), &["gamma"]),
        (format!("not (not ({pilot}))"), &["gamma"]),
        (format!("(({pilot}))"), &["gamma"]),
        (format!("not({pilot}) and title pr"), &["Beta", "alpha"]),
        (
            format!("{pilot} or {clerk} or userName eq \"boss\" and active eq false"),
            &["Beta", "alpha", "gamma"],
        ),
    ] {
        check(&scim, &filter, expected);
    }
}

#[test]
fn brackets_ask_of_one_value_all_that_is_in_them() {
    let scim = people();
    for (filter, expected) in [
        (
            "emails[type eq \"work\" and value co \"@w.test\"]",
            &["alpha"][..],
        ),
        (
            "emails[type eq \"work\" and value co \"@h.test\"]",
            &["Beta"],
        ),
        (
            "emails.type eq \"work\" and emails.value co \"@h.test\"",
            &["Beta", "alpha"],
        ),
        (
            "emails[type eq \"work\" or value co \"@w.test\"]",
            &["Beta", "alpha", "gamma"],
        ),
        ("emails[not (type eq \"work\")]", &["alpha", "gamma"]),
        ("emails[type eq \"home\" and not (display pr)]", &["gamma"]),
        (
            "emails[(type eq \"work\" or type eq \"home\") and value sw \"GAMMA\"]",
            &["gamma"],
        ),
        (
            "emails[type eq \"work\" or type eq \"home\" and value sw \"gamma\"]",
            &["Beta", "alpha", "gamma"],
        ),
        ("not (emails[type eq \"home\"])", &["Beta", "boss", "delta"]),
        (
            "emails[type eq \"home\"] and not (emails[type eq \"work\"])",
            &["gamma"],
        ),
        (
            "emails[type eq \"work\" and value co \"@h.test\"] or ims[type eq \"xmpp\" and value co \"@chat\"]",
            &["Beta", "alpha"],
        ),
        (
            "addresses[country eq \"LV\" and locality ne \"Ogre\"]",
            &["delta"],
        ),
        ("emails co \"w.test\"", &["alpha", "gamma"]),
        ("emails eq \"beta@h.test\"", &["Beta"]),
        (
            "userType eq \"Employee\" and (emails co \"h.test\" or emails.value co \"x.org\")",
            &["alpha"],
        ),
        (
            "userType ne \"Employee\" and not (emails co \"w.test\" or emails.value co \"x.org\") and title pr",
            &["Beta"],
        ),
    ] {
        check(&scim, filter, expected);
    }
}

#[test]
fn schemas_say_who_has_an_extension() {
    let scim = people();
    let filter = format!("schemas eq \"{ENTERPRISE}\"");
    check(&scim, &filter, &["alpha", "delta"]);
    let filter = format!("schemas eq \"{USER}\" and title eq \"Pilot\"");
    check(&scim, &filter, &["gamma"]);
    check(&scim, &format!("schemas eq \"{GROUP}\""), &[]);
}

#[test]
fn names_with_their_urn_are_the_same_names() {
    let scim = people();
    let shouted = USER.to_uppercase();
    for (filter, expected) in [
        (format!("{USER}:userName eq \"alpha\""), &["alpha"][..]),
        (format!("{shouted}:USERNAME eq \"alpha\""), &["alpha"]),
        (format!("{USER}:name.familyName eq \"abel\""), &["alpha"]),
        (
            format!("{USER}:emails[type eq \"work\" and value sw \"beta\"]"),
            &["Beta"],
        ),
        (
            format!("{USER}:emails.value eq \"gamma@w.test\""),
            &["gamma"],
        ),
        (
            format!("{ENTERPRISE}:department eq \"ENGINES\""),
            &["alpha"],
        ),
        (
            format!("{}:Department sw \"l\"", ENTERPRISE.to_lowercase()),
            &["delta"],
        ),
        (format!("{ENTERPRISE}:department pr"), &["alpha", "delta"]),
        (
            format!("not ({ENTERPRISE}:department pr) and title pr"),
            &["Beta", "gamma"],
        ),
        (format!("{ENTERPRISE}:employeeNumber lt \"20\""), &["alpha"]),
        (format!("{ENTERPRISE}:manager.value pr"), &["alpha"]),
    ] {
        check(&scim, &filter, expected);
    }
    let list = scim.find("/Users", "userName eq \"boss\"").json();
    let boss = list["Resources"][0]["id"].as_str().expect("an id");
    let filter = format!("{ENTERPRISE}:manager.value eq \"{boss}\"");
    check(&scim, &filter, &["alpha"]);
    invalid(&scim, "/Users", &format!("{GROUP}:displayName eq \"x\""));
    invalid(&scim, "/Users", &format!("{ENTERPRISE}:userName eq \"x\""));
    invalid(&scim, "/Groups", &format!("{USER}:userName eq \"x\""));
}

#[test]
fn null_is_the_absence_of_a_value() {
    let scim = people();
    check(&scim, "title eq null", &["boss", "delta"]);
    check(&scim, "title ne null", &["Beta", "alpha", "gamma"]);
    check(&scim, "emails eq null", &["boss", "delta"]);
    check(
        &scim,
        "addresses eq null",
        &["alpha", "Beta", "boss", "gamma"],
    );
    check(&scim, "name ne null", &["alpha", "Beta"]);
    check(
        &scim,
        &format!("{ENTERPRISE} eq null"),
        &["Beta", "boss", "gamma"],
    );
    // An element without a value is a value of the list.
    let typed = json!({"schemas": [USER], "userName": "typed", "emails": [{"type": "work"}]});
    create(&scim, "/Users", &typed);
    check(&scim, "emails eq null", &["boss", "delta"]);
}

#[test]
fn users_are_found_by_their_groups_and_groups_by_their_members() {
    let scim = tenant().scim();
    let (a, b) = (scim.user("a"), scim.user("b"));
    let inner = scim.group("Inner", &[&a]);
    let outer = scim.group("Outer", &[&b, &inner]);
    check(&scim, &format!("groups.value eq \"{inner}\""), &["a"]);
    check(&scim, &format!("groups[value eq \"{inner}\"]"), &["a"]);
    check(&scim, &format!("groups eq \"{inner}\""), &["a"]);
    check(&scim, "groups.display eq \"INNER\"", &["a"]);
    check(
        &scim,
        "groups[display sw \"inn\" and type eq \"direct\"]",
        &["a"],
    );
    check(&scim, &format!("groups.value eq \"{NOBODY}\""), &[]);
    check(&scim, &format!("not (groups.value eq \"{inner}\")"), &["b"]);
    let total = |filter: &str| scim.find("/Groups", filter).status(200).total();
    assert_eq!(total(&format!("members.value eq \"{a}\"")), 1);
    assert_eq!(total(&format!("members[value eq \"{b}\"]")), 1);
    assert_eq!(total("members[type eq \"Group\"]"), 1);
    assert_eq!(total("members.type eq \"User\""), 2);
    assert_eq!(
        total(&format!(
            "members[value eq \"{inner}\" and type eq \"Group\"]"
        )),
        1
    );
    assert_eq!(
        total(&format!(
            "members[value eq \"{inner}\" and type eq \"User\"]"
        )),
        0
    );
    assert_eq!(total(&format!("not (members.value eq \"{a}\")")), 1);
    assert_eq!(total("members pr"), 2);
    assert_eq!(total(&format!("id eq \"{outer}\" and members pr")), 1);
}

#[test]
fn what_the_grammar_does_not_know_is_an_invalid_filter() {
    for scim in both() {
        for bad in [
            "userName",
            "userName eq",
            "userName eq eq \"a\"",
            "userName == \"a\"",
            "userName eq \"a\" and",
            "or userName eq \"a\"",
            "userName eq \"a\" xor userName eq \"b\"",
            "(userName eq \"a\"",
            "userName eq \"a\")",
            "()",
            "not userName pr",
            "not ()",
            "emails[]",
            "emails[type eq \"work\"",
            "emails type eq \"work\"]",
            "emails[type eq \"work\" and]",
            "userName pr \"a\"",
            "1userName pr",
            "user Name pr",
            "shoeSize eq 9",
            "name.shoeSize pr",
            "userName.value eq \"a\"",
            "emails.value.value eq \"a\"",
        ] {
            invalid(&scim, "/Users", bad);
        }
    }
}

#[test]
fn values_of_another_type_are_invalid_filters() {
    let scim = people();
    for bad in [
        "active eq \"perhaps\"",
        "active eq 7",
        "meta.created eq true",
        "meta.created gt 2020",
        "name eq \"Abel\"",
        "addresses eq \"Riga\"",
    ] {
        let reply = scim.find("/Users", bad);
        // A complex attribute without a value may just equal nothing.
        if reply.code() == 200 {
            assert!(
                bad.starts_with('n') || bad.starts_with("add"),
                "{bad}: {reply}"
            );
            assert_eq!(reply.total(), 0, "{bad}");
        } else {
            refused(&reply, 400, &["invalidFilter"]);
        }
    }
}
