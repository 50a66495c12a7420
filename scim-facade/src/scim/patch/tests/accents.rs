//! Every accent of PATCH, understood with it, which is noted, and refused without
//! it.

use super::*;
use crate::scim::flavor::Met;

/// One operation with the accent to its edits, and without it to the keyword
/// of the error.
#[track_caller]
fn accent(accent: Accent, operation: &str, with: &[&str], without: &str) {
    let met = Met::default();
    user_of(operation, Accents::of(&[accent]).noted_in(&met), Ok(with));
    check_met(&met, accent, operation);
    user_of(operation, Accents::default(), Err(without));
}

#[track_caller]
fn of_group(accent: Accent, operation: &str, with: &[&str], without: &str) {
    let met = Met::default();
    group_of(operation, Accents::of(&[accent]).noted_in(&met), Ok(with));
    check_met(&met, accent, operation);
    group_of(operation, Accents::default(), Err(without));
}

/// That the accent was met, unless only the directory can tell.
#[track_caller]
fn check_met(met: &Met, accent: Accent, operation: &str) {
    let unseen = [
        Accent::RemoveOfNothing,
        Accent::AddMakesElement,
        Accent::ReplaceMakesElement,
    ];
    let expected = Some(accent).filter(|accent| !unseen.contains(accent));
    let met: Vec<_> = met.accents().collect();
    assert_eq!(met, Vec::from_iter(expected), "{operation}");
}

/// What keeps to the RFCs meets no accent, whatever the connection understands.
#[test]
fn plain_operations_meet_none() {
    let met = Met::default();
    let accents = Flavor::Entra.accents().noted_in(&met);
    for operation in [
        r#""op":"replace","path":"title","value":"t""#,
        r#""op":"add","value":{"title":"t","active":true,"name":{"givenName":"G"}}"#,
        r#""op":"replace","path":"active","value":false"#,
        r#""op":"add","path":"emails","value":[{"value":"a@x.test","type":"work"}]"#,
        r#""op":"add","path":"emails","value":{"value":"a@x.test","type":"work"}"#,
        r#""op":"replace","path":"emails[type eq \"work\"].value","value":"b@x.test""#,
        r#""op":"remove","path":"emails[type eq \"work\" and primary eq true]""#,
        r#""op":"remove","path":"title""#,
        r#""op":"add","path":"E:manager","value":{"value":"m"}"#,
        r#""op":"replace","path":"E:department","value":"d""#,
        r#""op":"replace","path":"title","value":null"#,
    ] {
        let edits = user_edits(body(operation), &USER, accents);
        assert!(edits.is_ok(), "{operation}: {edits:?}");
        assert_eq!(met.accents().next(), None, "{operation}");
    }
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for operation in [
        format!(r#""op":"add","path":"members","value":[{{"value":"{id}","type":"User"}}]"#),
        format!(r#""op":"add","path":"members","value":[{{"value":"{id}"}}]"#),
        format!(r#""op":"remove","path":"members[value eq \"{id}\"]""#),
        r#""op":"remove","path":"members""#.to_owned(),
        r#""op":"replace","path":"displayName","value":"d""#.to_owned(),
    ] {
        let edits = group_edits(body(&operation), &GROUP, accents);
        assert!(edits.is_ok(), "{operation}: {edits:?}");
        assert_eq!(met.accents().next(), None, "{operation}");
    }
}

#[test]
fn of_operations() {
    accent(
        Accent::CapitalOps,
        r#""op":"Replace","path":"title","value":"t""#,
        &["Replace title \"t\""],
        "invalidSyntax",
    );
    accent(
        Accent::EmptyPath,
        r#""op":"add","path":"","value":{"title":"t"}"#,
        &["Add title \"t\""],
        "invalidPath",
    );
    accent(
        Accent::ValueBesideRemove,
        r#""op":"remove","path":"title","value":"t""#,
        &["Remove title"],
        "invalidValue",
    );
    accent(
        Accent::PasswordIgnored,
        r#""op":"replace","path":"password","value":"t""#,
        &[],
        "invalidPath",
    );
    accent(
        Accent::PasswordIgnored,
        r#""op":"replace","value":{"password":"t"}"#,
        &[],
        "invalidSyntax",
    );
    accent(
        Accent::ManagerAlias,
        r#""op":"replace","path":"manager","value":{"value":"m"}"#,
        &[r#"Replace E:manager {"value":"m"}"#],
        "invalidPath",
    );
    accent(
        Accent::UnregisteredExtensions,
        r#""op":"add","path":"C:site","value":"s""#,
        &["Add C:site \"s\""],
        "invalidPath",
    );
    accent(
        Accent::FilterOnSingle,
        r#""op":"remove","path":"E:manager[value eq \"m\"]""#,
        &[r#"Remove E:manager {"value":"m"}"#],
        "invalidPath",
    );
}

#[test]
fn of_values() {
    accent(
        Accent::UnknownAttributes,
        r#""op":"add","value":{"jobTitle":"t"}"#,
        &[],
        "invalidSyntax",
    );
    accent(
        Accent::ReadOnlyInPatch,
        r#""op":"add","value":{"id":"1","meta":{}}"#,
        &[],
        "mutability",
    );
    accent(
        Accent::KeysAsPaths,
        r#""op":"add","value":{"name.givenName":"G"}"#,
        &["Add name.givenName \"G\""],
        "invalidSyntax",
    );
    accent(
        Accent::KeysAsPaths,
        r#""op":"add","value":{"E:department":"d"}"#,
        &["Add E:department \"d\""],
        "invalidSyntax",
    );
    accent(
        Accent::FilterKeys,
        r#""op":"add","value":{"emails[type eq \"work\"]":{"value":"a"}}"#,
        &[r#"Add emails[type eq "work"] {"value":"a"}"#],
        "invalidSyntax",
    );
    accent(
        Accent::ListForSingle,
        r#""op":"add","path":"emails[type eq \"work\"]","value":[{"value":"a"}]"#,
        &[r#"Add emails[type eq "work"] {"value":"a"}"#],
        "invalidValue",
    );
    accent(
        Accent::EmptyClears,
        r#""op":"replace","path":"title","value":"""#,
        &["Remove title"],
        "invalidValue",
    );
    accent(
        Accent::BareLiterals,
        r#""op":"remove","path":"emails[type eq work]""#,
        &[r#"Remove emails[type eq "work"]"#],
        "invalidPath",
    );
}

#[test]
fn of_members() {
    of_group(
        Accent::MembersByFilter,
        r#""op":"add","path":"members[value eq \"a\"]""#,
        &["AddMembers([a])"],
        "mutability",
    );
    of_group(
        Accent::MembersByFilter,
        r#""op":"remove","path":"members[value eq \"a\"].value""#,
        &[r#"RemoveMatching value eq "a""#],
        "mutability",
    );
    of_group(
        Accent::BareMembers,
        r#""op":"add","path":"members","value":["a"]"#,
        &["AddMembers([a])"],
        "invalidValue",
    );
    of_group(
        Accent::ValueBesideRemove,
        r#""op":"remove","path":"members","value":[{"value":"a"}]"#,
        &["RemoveMembers([a])"],
        "invalidValue",
    );
}

/// RFC 7644 sections 3.5.2.1 to 3.5.2.3, by example.
#[test]
fn to_the_letter() {
    let user = |operation: &str, expected| user_of(operation, Accents::default(), expected);
    let group = |operation: &str, expected| group_of(operation, Accents::default(), expected);
    group(
        r#""op":"add","path":"members","value":[{"display":"Ada","$ref":"http://h/Users/a","value":"a"}]"#,
        Ok(&["AddMembers([a])"]),
    );
    group(
        r#""op":"add","path":"members","value":{"value":"a","type":"User"}"#,
        Ok(&["AddMembers([a])"]),
    );
    group(
        r#""op":"add","path":"members","value":{"value":"a","type":"Robot"}"#,
        Err("invalidValue"),
    );
    group(
        r#""op":"remove","path":"members[value eq \"a\"]""#,
        Ok(&[r#"RemoveMatching value eq "a""#]),
    );
    group(
        r#""op":"remove","path":"members[type eq \"User\" and not (display co \"x\")]""#,
        Ok(&[r#"RemoveMatching type eq "User" and not (display co "x")"#]),
    );
    group(
        r#""op":"remove","path":"members[value eq \"a\"].display""#,
        Err("mutability"),
    );
    group(r#""op":"remove","path":"members""#, Ok(&["ClearMembers"]));
    group(
        r#""op":"replace","path":"members","value":[]"#,
        Ok(&["ClearMembers"]),
    );
    user(
        r#""op":"add","value":{"emails":[{"value":"a@b","type":"home"}],"nickName":"A"}"#,
        Ok(&[
            r#"Add emails [{"type":"home","value":"a@b"}]"#,
            "Add nickName \"A\"",
        ]),
    );
    user(
        r#""op":"add","path":"emails","value":{"value":"a@b"}"#,
        Ok(&[r#"Add emails [{"value":"a@b"}]"#]),
    );
    user(
        r#""op":"replace","path":"emails","value":{"value":"a@b"}"#,
        Err("invalidValue"),
    );
    user(
        r#""op":"remove","path":"emails[type eq \"work\" and value ew \"example.com\"]""#,
        Ok(&[r#"Remove emails[type eq "work" and value ew "example.com"]"#]),
    );
    user(
        r#""op":"replace","path":"addresses[type eq \"work\"].streetAddress","value":"1 Street""#,
        Ok(&[r#"Replace addresses.streetAddress[type eq "work"] "1 Street""#]),
    );
    user(
        r#""op":"replace","path":"title","value":null"#,
        Ok(&["Remove title"]),
    );
    user(r#""op":"remove""#, Err("noTarget"));
    user(r#""op":"remove","value":{"title":"t"}"#, Err("noTarget"));
    user(
        r#""op":"remove","path":"title","value":null"#,
        Ok(&["Remove title"]),
    );
    user(r#""op":"add","path":"emails","value":null"#, Ok(&[]));
    user(
        &format!(r#""op":"add","path":"{URN}","value":null"#),
        Ok(&[]),
    );
    user(r#""op":"remove","path":"jobTitle""#, Err("invalidPath"));
    user(r#""op":"remove","path":"id""#, Err("mutability"));
    user(
        r#""op":"add","path":"emails","value":[{"value":"a","primary":true},{"value":"b","primary":true}]"#,
        Err("invalidValue"),
    );
    user(
        &format!(r#""op":"add","value":{{"schemas":["{URN}"],"{URN}":{{"department":"d"}}}}"#),
        Ok(&["Add E:department \"d\""]),
    );
}

#[test]
fn of_whole_bodies() {
    let read = |text: &str, accents| {
        let body = json::parse_object(text.as_bytes()).expect("JSON");
        user_edits(body, &USER, accents).map(|edits| edits.len())
    };
    let empty = format!(r#"{{"schemas":["{}"],"Operations":[]}}"#, urn::PATCH_OP);
    let with = Accents::of(&[Accent::EmptyOperations]);
    assert_eq!(read(&empty, with), Ok(0));
    assert!(read(&empty, Accents::default()).is_err());
    let operations = r#""Operations":[{"op":"remove","path":"title"}]"#;
    for body in [
        format!("{{{operations}}}"),
        format!(r#"{{"schemas":[],{operations}}}"#),
        format!(r#"{{"schemas":["urn:x"],{operations}}}"#),
    ] {
        let with = Accents::of(&[Accent::SchemasUnchecked]);
        assert_eq!(read(&body, with), Ok(1), "{body}");
        assert!(read(&body, Accents::default()).is_err(), "{body}");
    }
}

#[test]
fn keys_must_agree() {
    user(
        r#""op":"replace","value":{"name.givenName":"A","name":{"givenName":"B"}}"#,
        Err("invalidSyntax"),
    );
    user(
        r#""op":"replace","value":{"emails[type eq \"work\"].value":"a","emails":[{"value":"h"}]}"#,
        Ok(&[
            r#"Replace emails [{"value":"h"}]"#,
            r#"Replace emails.value[type eq "work"] "a""#,
        ]),
    );
}

#[test]
fn schemas_are_the_servers() {
    for accents in [Accents::default(), Flavor::Entra.accents()] {
        for operation in [
            r#""op":"add","path":"schemas","value":["urn:x"]"#,
            r#""op":"replace","path":"SCHEMAS","value":["urn:x"]"#,
            r#""op":"remove","path":"schemas""#,
            r#""op":"remove","path":"schemas[value eq \"urn:x\"]""#,
        ] {
            user_of(operation, accents, Err("mutability"));
            group_of(operation, accents, Err("mutability"));
        }
    }
}
