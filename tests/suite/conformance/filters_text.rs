//! RFC 7644 section 3.4.2.2: filters with awkward text, and on what no schema
//! describes.

use muster_tests::scim::USER;
use serde_json::{Value, json};

use super::{create, filters::check, refused, tenant};

#[test]
fn strings_are_json_strings() {
    let scim = tenant().scim();
    let names = [
        "quote \" inside",
        "back\\slash",
        "two \\\\ of them",
        "caf\u{e9}",
        "woman \u{1f469}\u{200d}\u{1f680} in space",
        "tab\there",
        "slash/here",
        "O'Brien; --",
        "[brackets] and (more)",
    ];
    for (number, name) in names.iter().enumerate() {
        let body =
            json!({"schemas": [USER], "userName": format!("u{number}"), "displayName": name});
        create(&scim, "/Users", &body);
    }
    for (filter, found) in [
        (r#"displayName eq "quote \" inside""#, "u0"),
        (r#"displayName co "\"""#, "u0"),
        (r#"displayName eq "back\\slash""#, "u1"),
        (r#"displayName eq "two \\\\ of them""#, "u2"),
        (r#"displayName eq "caf\u00e9""#, "u3"),
        (r#"displayName eq "café""#, "u3"),
        (r#"displayName co "\ud83d\udc69""#, "u4"),
        (r#"displayName sw "woman 👩""#, "u4"),
        (r#"displayName eq "tab\there""#, "u5"),
        (r#"displayName eq "slash\/here""#, "u6"),
        (r#"displayName eq "O'Brien; --""#, "u7"),
        (r#"displayName co "] and (""#, "u8"),
    ] {
        check(&scim, filter, &[found]);
    }
    for bad in [
        r#"displayName eq "open"#,
        r#"displayName eq "bad \x escape""#,
        r#"displayName eq "half \ud83d pair""#,
        r#"displayName eq 'single'"#,
    ] {
        let reply = scim.find("/Users", bad);
        // Quotes of other kinds may be part of a bare word.
        if reply.code() == 200 {
            assert_eq!(reply.total(), 0, "{bad}");
            assert!(bad.contains('\''), "{bad}");
        } else {
            refused(&reply, 400, &["invalidFilter"]);
        }
    }
}

#[test]
fn awkward_names_are_found_whole_and_in_parts() {
    let scim = tenant().scim();
    let names = [
        "100%",
        "under_score",
        "back\\slash",
        "d\"quote",
        "İstanbul",
        "Straße",
        "👩‍🚀",
        "100",
        "underXscore",
    ];
    for name in names {
        scim.user(name);
    }
    for name in names {
        let literal = Value::from(name).to_string();
        check(&scim, &format!("userName eq {literal}"), &[name]);
        for operator in ["co", "sw", "ew"] {
            let found = scim.found(&format!("userName {operator} {literal}"));
            assert!(
                found.contains(&name.to_owned()),
                "{operator} {name}: {found:?}"
            );
        }
    }
    check(&scim, "userName co \"%\"", &["100%"]);
    check(&scim, "userName co \"_\"", &["under_score"]);
    check(&scim, "userName sw \"under_\"", &["under_score"]);
    check(&scim, "userName co \"\\\\\"", &["back\\slash"]);
    check(&scim, "userName eq \"STRASSE\"", &["Straße"]);
    check(&scim, "userName co \"RASS\"", &["Straße"]);
}

#[test]
fn extensions_that_nobody_registered_are_found_too() {
    const URN: &str = "urn:example:params:scim:schemas:extension:unknown:2.0:User";
    let scim = tenant().scim();
    for (name, extension) in [
        (
            "a",
            json!({"badge": "A7", "floor": 3, "valid": true, "parts": [{"value": "x", "type": "t"}]}),
        ),
        (
            "b",
            json!({"badge": "b8", "floor": 12, "valid": false, "deep": {"er": "D"}}),
        ),
    ] {
        let body = json!({"schemas": [USER, URN], "userName": name, URN: extension});
        create(&scim, "/Users", &body);
    }
    scim.user("c");
    for (filter, expected) in [
        ("badge eq \"A7\"", &["a"][..]),
        ("badge sw \"b\"", &["b"]),
        ("badge pr", &["a", "b"]),
        ("floor eq 3", &["a"]),
        ("valid eq false", &["b"]),
        ("deep.er eq \"D\"", &["b"]),
        ("none pr", &[]),
    ] {
        check(&scim, &format!("{URN}:{filter}"), expected);
    }
    let shouted = URN.to_uppercase();
    check(
        &scim,
        &format!("{shouted}:BADGE pr and not ({URN}:floor eq 3)"),
        &["b"],
    );
}
