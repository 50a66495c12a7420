//! Filters: RFC 7644 section 3.4.2.2 on the attributes of users and groups.

use muster_tests::{
    scim::{ENTERPRISE, Scim, USER},
    tenant::Tenant,
};
use serde_json::json;

/// Four users that differ in all that the filters below look at.
fn people(tenant: &Tenant) -> Scim {
    let scim = tenant.scim();
    let users = [
        json!({"schemas": [USER, ENTERPRISE], "userName": "ada@example.test", "externalId": "e-1",
            "displayName": "Ada Lovelace", "title": "Analyst", "active": true,
            "name": {"familyName": "Lovelace"},
            "emails": [{"type": "work", "value": "ada@w.test", "primary": true},
                       {"type": "home", "value": "ada@h.test"}],
            ENTERPRISE: {"department": "Engines", "employeeNumber": "1815"}}),
        json!({"schemas": [USER], "userName": "Bob_100%@example.test", "externalId": "e-2",
            "displayName": "Bob", "active": false,
            "emails": [{"type": "work", "value": "bob@h.test"}]}),
        json!({"schemas": [USER], "userName": "çelik@example.test", "displayName": "O'Neil \"Ç\" \\",
            "title": "analyst of ÆTHER", "roles": [{"value": "admin", "primary": true}]}),
        json!({"schemas": [USER], "userName": "dora@other.test", "title": "Driver",
            "addresses": [{"type": "work", "locality": "Riga"}]}),
    ];
    for user in users {
        let _ = scim.post("/Users", &user).status(201);
    }
    scim
}

const ADA: &str = "ada@example.test";
const BOB: &str = "Bob_100%@example.test";
const CELIK: &str = "çelik@example.test";
const DORA: &str = "dora@other.test";

#[track_caller]
fn check(scim: &Scim, filter: &str, expected: &[&str]) {
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(scim.found(filter), expected, "{filter}");
}

#[test]
fn equality_follows_the_case_rule_of_the_attribute() {
    let scim = people(&super::tenant());
    check(&scim, "userName eq \"ADA@example.TEST\"", &[ADA]);
    check(&scim, "USERNAME Eq \"ada@example.test\"", &[ADA]);
    check(&scim, "userName eq \"ÇELIK@example.test\"", &[CELIK]);
    check(&scim, "externalId eq \"e-1\"", &[ADA]);
    check(&scim, "externalId eq \"E-1\"", &[]);
    check(&scim, "userName eq \"nobody\"", &[]);
    check(
        &scim,
        "userName ne \"ada@example.test\"",
        &[BOB, CELIK, DORA],
    );
}

#[test]
fn parts_of_text_are_found_and_wildcards_are_text() {
    let scim = people(&super::tenant());
    check(&scim, "userName co \"EXAMPLE\"", &[ADA, BOB, CELIK]);
    check(&scim, "userName sw \"bob\"", &[BOB]);
    check(&scim, "userName ew \".test\"", &[ADA, BOB, CELIK, DORA]);
    check(&scim, "userName co \"%\"", &[BOB]);
    check(&scim, "userName co \"_\"", &[BOB]);
    check(&scim, "userName sw \"%\"", &[]);
    check(&scim, "userName co \"*\"", &[]);
    check(&scim, "title co \"æther\"", &[CELIK]);
}

#[test]
fn presence_means_a_value() {
    let scim = people(&super::tenant());
    check(&scim, "title pr", &[ADA, CELIK, DORA]);
    check(&scim, "not (title pr)", &[BOB]);
    check(&scim, "emails pr", &[ADA, BOB]);
    check(&scim, "emails[primary eq true]", &[ADA]);
    check(&scim, "name.familyName pr", &[ADA]);
    check(&scim, &format!("{ENTERPRISE}:department pr"), &[ADA]);
}

#[test]
fn operators_combine_with_their_precedence() {
    let scim = people(&super::tenant());
    check(
        &scim,
        "title eq \"Driver\" or title eq \"Analyst\" and active eq false",
        &[DORA],
    );
    check(
        &scim,
        "(title eq \"Driver\" or title eq \"Analyst\") and active eq true",
        &[ADA, DORA],
    );
    check(&scim, "not (active eq true)", &[BOB]);
    check(&scim, "not (userName co \"example\") and title pr", &[DORA]);
}

#[test]
fn one_element_must_satisfy_the_whole_bracket() {
    let scim = people(&super::tenant());
    check(
        &scim,
        "emails[type eq \"work\" and value co \"@w\"]",
        &[ADA],
    );
    // Ada has a work address and one at h, but no work address at h.
    check(
        &scim,
        "emails[type eq \"work\" and value co \"@h\"]",
        &[BOB],
    );
    check(
        &scim,
        "emails.type eq \"work\" and emails.value co \"@h\"",
        &[ADA, BOB],
    );
    check(
        &scim,
        "emails[type eq \"work\"].value eq \"ADA@W.TEST\"",
        &[ADA],
    );
    check(&scim, "emails.value eq \"ada@h.test\"", &[ADA]);
    check(&scim, "emails eq \"ada@h.test\"", &[ADA]);
    check(&scim, "emails[not (type eq \"work\")]", &[ADA]);
    check(&scim, "addresses[locality sw \"ri\"]", &[DORA]);
}

#[test]
fn extensions_are_reached_by_their_urn() {
    let scim = people(&super::tenant());
    check(
        &scim,
        &format!("{ENTERPRISE}:department eq \"engines\""),
        &[ADA],
    );
    check(
        &scim,
        &format!("{USER}:userName eq \"dora@other.test\""),
        &[DORA],
    );
    check(
        &scim,
        "URN:IETF:params:scim:schemas:extension:enterprise:2.0:user:employeeNumber eq \"1815\"",
        &[ADA],
    );
}

#[test]
fn booleans_and_times_compare_as_what_they_are() {
    let scim = people(&super::tenant());
    check(&scim, "active eq true", &[ADA, CELIK, DORA]);
    check(&scim, "active eq \"False\"", &[BOB]);
    check(&scim, "roles[primary eq \"True\"]", &[CELIK]);
    check(
        &scim,
        "meta.created gt \"2020-01-01T00:00:00Z\"",
        &[ADA, BOB, CELIK, DORA],
    );
    check(&scim, "meta.lastModified lt \"2020-01-01T00:00:00Z\"", &[]);
    check(&scim, "userName gt \"bob\" and userName lt \"c\"", &[BOB]);
}

#[test]
fn quoting_in_values_is_json() {
    let scim = people(&super::tenant());
    check(&scim, r#"displayName eq "O'Neil \"Ç\" \\""#, &[CELIK]);
    check(&scim, r#"displayName co "\u00c7""#, &[CELIK]);
    check(&scim, r#"displayName eq "' OR 1=1 --""#, &[]);
}

#[test]
fn bare_words_are_values() {
    let scim = people(&super::tenant());
    check(&scim, "externalId eq e-1", &[ADA]);
    check(&scim, "title eq null", &[BOB]);
    check(&scim, "title ne null", &[ADA, CELIK, DORA]);
}

#[test]
fn ids_that_are_none_find_nobody() {
    let scim = people(&super::tenant());
    check(&scim, "id eq \"not-an-id\"", &[]);
    check(&scim, "id eq \"\"", &[]);
}

#[test]
fn groups_are_filtered_too() {
    let scim = super::tenant().scim();
    scim.group("Engines of Ærø", &[]);
    scim.group("Looms", &[]);
    let total = |filter: &str| scim.find("/Groups", filter).status(200).total();
    assert_eq!(total("displayName eq \"ENGINES OF ÆRØ\""), 1);
    assert_eq!(
        total("displayName sw \"engines\" or displayName eq \"looms\""),
        2
    );
    assert_eq!(total("not (displayName co \"o\")"), 0);
    assert_eq!(total("members pr"), 0);
}

#[test]
fn what_is_no_filter_is_an_invalid_filter() {
    let scim = super::tenant().scim();
    for bad in [
        "userName",
        "userName eq",
        "eq \"x\"",
        "userName eq \"x",
        "userName eq \"x\" and",
        "userName eq \"x\" userName eq \"y\"",
        "(userName eq \"x\"",
        "userName eq \"x\")",
        "userName is \"x\"",
        "not userName eq \"x\"",
        "emails[type eq \"work\"",
        "emails[]",
        "shoeSize eq 9",
        "name.shoeSize eq 9",
        "active eq \"perhaps\"",
        "active gt true",
        "meta.created gt \"yesterday\"",
        "userName eq \"\\x\"",
    ] {
        for collection in ["/Users", "/Groups"] {
            let _ = scim.find(collection, bad).scim_error(400, "invalidFilter");
        }
    }
}
