use super::*;
use muster_proto::schema::{GROUP, USER};

use crate::scim::{error::ScimType, flavor::Flavor, json, resource::untyped, urn};

fn entra() -> Accents<'static> {
    Flavor::Entra.accents()
}

const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";

fn show(edit: &Edit) -> String {
    let filter = edit.filter.as_ref().map(|f| format!("[{f}]"));
    let value = edit.value.clone().map(|v| format!(" {}", untyped(v)));
    let path = edit.path.to_string().replace(URN, "E").replace(CUSTOM, "C");
    format!(
        "{:?} {path}{}{}",
        edit.op,
        filter.unwrap_or_default(),
        value.unwrap_or_default()
    )
}

fn body(operation: &str) -> Members {
    let operation = operation.replace("E:", &format!("{URN}:"));
    let operation = operation.replace("C:", &format!("{CUSTOM}:"));
    let schema = urn::PATCH_OP;
    let text =
        format!(r#"{{"schemas":["{schema}"],"Operations":[{{{operation}}}],"id":"ignored"}}"#);
    json::parse_object(text.as_bytes()).expect("JSON")
}

/// One operation to its edits, or to the keyword of the error.
#[track_caller]
fn user(operation: &str, expected: Result<&[&str], &str>) {
    user_of(operation, entra(), expected);
}

#[track_caller]
fn user_of(operation: &str, accents: Accents<'_>, expected: Result<&[&str], &str>) {
    let edits = user_edits(body(operation), &USER, accents);
    let edits = edits.map(|e| e.iter().map(show).collect::<Vec<_>>());
    compare(operation, edits, expected);
}

#[track_caller]
fn group(operation: &str, expected: Result<&[&str], &str>) {
    group_of(operation, entra(), expected);
}

#[track_caller]
fn group_of(operation: &str, accents: Accents<'_>, expected: Result<&[&str], &str>) {
    let show = |edit: &GroupEdit| match edit {
        GroupEdit::Attribute(edit) => super::tests::show(edit),
        GroupEdit::RemoveMatching {
            filter,
            require_target: true,
        } => format!("RemoveMatching {filter}"),
        GroupEdit::RemoveMatching {
            filter,
            require_target: false,
        } => format!("RemoveMatching {filter} or nobody"),
        other => ["Any(", "Id(", "User(", "Group("]
            .iter()
            .fold(format!("{other:?}"), |text, name| {
                text.replace(&format!("{name}\""), "").replace("\")", "")
            }),
    };
    let edits = group_edits(body(operation), &GROUP, accents);
    let edits = edits.map(|e| e.iter().map(show).collect::<Vec<_>>());
    compare(operation, edits, expected);
}

#[track_caller]
fn compare(
    operation: &str,
    found: Result<Vec<String>, ScimError>,
    expected: Result<&[&str], &str>,
) {
    let found = found
        .as_ref()
        .map_err(|e| e.scim_type().map(ScimType::as_str));
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{operation}"),
        (found, expected) => assert_eq!(found.err(), expected.err().map(Some), "{operation}"),
    }
}

#[test]
fn op_in_any_case() {
    user(
        r#""op":"Replace","path":"userName","value":"u""#,
        Ok(&["Replace userName \"u\""]),
    );
    user(
        r#""OP":"aDD","PATH":"USERNAME","Value":"u","name":"addMember""#,
        Ok(&["Add userName \"u\""]),
    );
    user(r#""op":"REMOVE","path":"title""#, Ok(&["Remove title"]));
    user(r#""op":"move","path":"title""#, Err("invalidSyntax"));
    user(r#""op":1,"path":"title""#, Err("invalidSyntax"));
    user(r#""path":"title""#, Err("invalidSyntax"));
    user(r#""op":"add","path":1"#, Err("invalidSyntax"));
}

#[test]
fn booleans_as_strings() {
    user(
        r#""op":"Replace","path":"active","value":"False""#,
        Ok(&["Replace active false"]),
    );
    user(
        r#""op":"replace","value":{"active":"True"}"#,
        Ok(&["Replace active true"]),
    );
    user(
        r#""op":"add","path":"roles","value":[{"primary":"True","value":"r"}]"#,
        Ok(&[r#"Add roles [{"primary":true,"value":"r"}]"#]),
    );
    user(
        r#""op":"Replace","path":"active","value":"No""#,
        Err("invalidValue"),
    );
}

#[test]
fn keys_are_paths_without_a_path() {
    user(
        r#""op":"replace","value":{"displayName":"B","name.givenName":"K","E:employeeNumber":"A",
           "schemas":["x"],"id":"1","meta":{},"jobTitle":"x","a b":1,"E:manager":""}"#,
        Ok(&[
            "Replace displayName \"B\"",
            "Replace E:employeeNumber \"A\"",
            "Remove E:manager",
            "Replace name.givenName \"K\"",
        ]),
    );
    user(
        r#""op":"add","path":"","value":{"title":"t"}"#,
        Ok(&["Add title \"t\""]),
    );
    user(r#""op":"replace","value":"x""#, Err("invalidValue"));
    user(r#""op":"replace""#, Err("invalidValue"));
    user(r#""op":"remove","value":{"title":"t"}"#, Err("noTarget"));
}

#[test]
fn elements_are_chosen_by_a_filter() {
    user(
        r#""op":"Replace","path":"emails[type eq \"work\"].value","value":"a@b""#,
        Ok(&[r#"Replace emails.value[type eq "work"] "a@b""#]),
    );
    user(
        r#""op":"replace","path":"emails[type eq \"work\"]","value":"a@b""#,
        Ok(&[r#"Replace emails[type eq "work"] {"value":"a@b"}"#]),
    );
    user(
        r#""op":"replace","path":"emails[type eq \"work\"]","value":[{"value":"a","display":null}]"#,
        Ok(&[r#"Replace emails[type eq "work"] {"value":"a"}"#]),
    );
    user(
        r#""op":"add","path":"addresses[type eq \"work\"]","value":{"country":"EE","region":null}"#,
        Ok(&[
            r#"Add addresses[type eq "work"] {"country":"EE"}"#,
            r#"Remove addresses.region[type eq "work"]"#,
        ]),
    );
    user(
        r#""op":"add","path":"roles[primary eq \"True\"].display","value":"d""#,
        Ok(&[r#"Add roles.display[primary eq "True"] "d""#]),
    );
    user(
        r#""op":"replace","path":"emails[type eq \"work\"].primary","value":"true""#,
        Ok(&[r#"Replace emails.primary[type eq "work"] true"#]),
    );
}

#[test]
fn clearing() {
    for value in ["null", "\"\""] {
        user(
            &format!(r#""op":"replace","path":"title","value":{value}"#),
            Ok(&["Remove title"]),
        );
        user(
            &format!(r#""op":"add","path":"emails","value":{value}"#),
            Ok(&[]),
        );
        user(
            &format!(r#""op":"replace","path":"emails","value":{value}"#),
            Ok(&["Remove emails"]),
        );
        user(
            &format!(r#""op":"replace","path":"emails[type eq \"work\"].value","value":{value}"#),
            Ok(&[r#"Remove emails.value[type eq "work"]"#]),
        );
        user(
            &format!(r#""op":"replace","path":"manager","value":{value}"#),
            Ok(&["Remove E:manager"]),
        );
        user(
            &format!(r#""op":"replace","path":"active","value":{value}"#),
            Ok(&["Remove active"]),
        );
    }
    user(
        r#""op":"replace","path":"E:manager","value":{"value":""}"#,
        Ok(&["Remove E:manager"]),
    );
    user(
        r#""op":"replace","path":"emails","value":[]"#,
        Ok(&["Remove emails"]),
    );
    user(r#""op":"add","path":"emails","value":[]"#, Ok(&[]));
    user(r#""op":"replace","path":"name","value":{}"#, Ok(&[]));
    user(
        r#""op":"replace","path":"name","value":{"givenName":null,"familyName":"F"}"#,
        Ok(&[
            r#"Replace name {"familyName":"F"}"#,
            "Remove name.givenName",
        ]),
    );
}

#[test]
fn managers() {
    for value in [
        r#""m""#,
        r#"{"value":"m"}"#,
        r#"[{"$ref":"http://x","value":"m"}]"#,
    ] {
        for path in ["manager", "E:manager", "E:Manager"] {
            user(
                &format!(r#""op":"Add","path":"{path}","value":{value}"#),
                Ok(&[r#"Add E:manager {"value":"m"}"#]),
            );
        }
    }
    user(
        r#""op":"remove","path":"manager[value eq \"m\"]""#,
        Ok(&[r#"Remove E:manager {"value":"m"}"#]),
    );
    user(
        r#""op":"Remove","path":"E:manager","value":{"value":"m"}"#,
        Ok(&[r#"Remove E:manager {"value":"m"}"#]),
    );
    user(
        r#""op":"remove","path":"manager""#,
        Ok(&["Remove E:manager"]),
    );
    user(
        r#""op":"replace","path":"manager.value","value":"m""#,
        Ok(&["Replace E:manager.value \"m\""]),
    );
    user(
        r#""op":"add","path":"manager[value eq \"m\"]","value":"n""#,
        Err("invalidPath"),
    );
    user(
        r#""op":"replace","path":"manager.displayName","value":"n""#,
        Err("mutability"),
    );
}

#[test]
fn values_beside_remove() {
    user(
        r#""op":"Remove","path":"emails[type eq \"work\"].value","value":"x""#,
        Ok(&[r#"Remove emails.value[type eq "work"]"#]),
    );
    user(
        r#""op":"remove","path":"emails","value":[{"value":"x"}]"#,
        Ok(&[r#"Remove emails [{"value":"x"}]"#]),
    );
    user(
        r#""op":"remove","path":"emails","value":"x""#,
        Ok(&[r#"Remove emails [{"value":"x"}]"#]),
    );
    user(
        r#""op":"remove","path":"emails","value":null"#,
        Ok(&["Remove emails"]),
    );
    for nothing in [
        "[]",
        "\"\"",
        "{}",
        "[{\"value\":\"\"}]",
        "[null]",
        "{\"value\":null}",
    ] {
        user(
            &format!(r#""op":"remove","path":"emails","value":{nothing}"#),
            Ok(&[]),
        );
    }
    user(
        r#""op":"remove","path":"emails","value":[[]]"#,
        Err("invalidValue"),
    );
    user(
        r#""op":"remove","path":"title","value":"x""#,
        Ok(&["Remove title"]),
    );
}

#[test]
fn roles() {
    user(
        r#""op":"Add","path":"roles","value":[{"value":"{\"id\":\"1\"}"}]"#,
        Ok(&[r#"Add roles [{"value":"{\"id\":\"1\"}"}]"#]),
    );
    user(
        r#""op":"replace","path":"roles","value":{"value":"a","displayName":"d"}"#,
        Ok(&[r#"Replace roles [{"display":"d","value":"a"}]"#]),
    );
}

#[test]
fn extensions() {
    user(
        &format!(r#""op":"add","path":"{URN}","value":{{"department":"d","DIVISION":null,"x":1}}"#),
        Ok(&["Add E:department \"d\"", "Remove E:division"]),
    );
    user(
        &format!(r#""op":"replace","value":{{"{URN}":{{"manager.value":"m"}}}}"#),
        Ok(&["Replace E:manager.value \"m\""]),
    );
    user(
        &format!(r#""op":"remove","path":"{URN}""#),
        Ok(&["Remove E"]),
    );
    user(
        &format!(r#""op":"replace","path":"{URN}","value":null"#),
        Ok(&["Remove E"]),
    );
    user(
        &format!(r#""op":"replace","path":"{URN}","value":1"#),
        Err("invalidValue"),
    );
    user(
        r#""op":"Add","path":"C:CustomAttribute","value":"1""#,
        Ok(&["Add C:CustomAttribute \"1\""]),
    );
    user(
        r#""op":"replace","path":"C:a","value":null"#,
        Ok(&["Remove C:a"]),
    );
    user(
        &format!(r#""op":"replace","path":"{CUSTOM}","value":{{"a":1,"b":null}}"#),
        Ok(&["Replace C:a 1", "Remove C:b"]),
    );
    user(
        &format!(r#""op":"replace","path":"{CUSTOM}","value":{{"a":1,"":null}}"#),
        Ok(&["Replace C:a 1"]),
    );
    user(
        r#""op":"replace","path":"C:a","value":{"b":1,"":null}"#,
        Ok(&[r#"Replace C:a {"b":1}"#]),
    );
    user(
        r#""op":"add","path":"C:a","value":18446744073709551616"#,
        Err("invalidValue"),
    );
    user(
        r#""op":"Replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:userName","value":"u""#,
        Ok(&["Replace userName \"u\""]),
    );
}

#[test]
fn paths_that_lead_nowhere() {
    for path in [
        "jobTitle",
        "name.nick",
        "E:shoeSize",
        "a b",
        "emails[",
        "emails[type]",
        "title[a pr]",
        ".x",
    ] {
        let path = path.replace('"', "\\\"");
        user(
            &format!(r#""op":"replace","path":"{path}","value":"x""#),
            Err("invalidPath"),
        );
    }
    for path in ["id", "meta", "meta.created", "groups", "groups[value eq 1]"] {
        user(
            &format!(r#""op":"replace","path":"{path}","value":"x""#),
            Err("mutability"),
        );
    }
    user(r#""op":"replace","path":"title""#, Err("invalidValue"));
    user(r#""op":"replace","path":"password","value":"x""#, Ok(&[]));
}

#[test]
fn bodies() {
    let parse = |text: &str| {
        user_edits(
            json::parse_object(text.as_bytes()).expect("JSON"),
            &USER,
            entra(),
        )
    };
    assert_eq!(parse(r#"{"operations":[]}"#), Ok(vec![]));
    for broken in [
        "{}",
        r#"{"Operations":{}}"#,
        r#"{"Operations":[1]}"#,
        r#"{"schemas":1,"Operations":[]}"#,
    ] {
        let error = parse(broken).expect_err(broken);
        assert_eq!(error.status(), 400);
    }
    assert_eq!(parse(r#"{"schemas":null,"Operations":[]}"#), Ok(vec![]));
}

#[test]
fn operations_are_counted_when_they_are_taken_apart() {
    let status = |operations: &str| {
        let text = format!(r#"{{"Operations":[{operations}]}}"#);
        let body = json::parse_object(text.as_bytes()).expect("JSON");
        user_edits(body, &USER, entra())
            .map(|edits| edits.len())
            .map_err(|e| e.status())
    };
    let keys = |count: usize, key: &dyn Fn(usize) -> String| {
        let keys: Vec<_> = (0..count).map(key).collect();
        format!("{{{}}}", keys.join(","))
    };
    for count in [MAX_OPERATIONS, MAX_OPERATIONS + 1] {
        let expected = match count {
            MAX_OPERATIONS => Ok(count),
            _ => Err(413),
        };
        let single = vec![r#"{"op":"remove","path":"title"}"#; count].join(",");
        assert_eq!(status(&single), expected);
        let path_less = keys(count, &|n| format!(r#""{CUSTOM}:a{n}":1"#));
        let path_less = format!(r#"{{"op":"add","value":{path_less}}}"#);
        assert_eq!(status(&path_less), expected);
        let whole = keys(count, &|n| format!(r#""a{n}":1"#));
        let whole = format!(r#"{{"op":"add","path":"{CUSTOM}","value":{whole}}}"#);
        assert_eq!(status(&whole), expected);
        let cleared = keys(count, &|n| format!(r#""a{n}":null"#));
        let cleared = cleared.replacen("null", "1", 1);
        let cleared = format!(r#"{{"op":"add","path":"{CUSTOM}:c","value":{cleared}}}"#);
        assert_eq!(status(&cleared), expected);
    }
}

#[test]
fn overlong_paths_are_no_extensions() {
    let long = format!("urn:x:{}", "y".repeat(2048));
    user(
        &format!(r#""op":"add","path":"{long}","value":{{"a":1}}"#),
        Err("invalidPath"),
    );
    user(
        &format!(r#""op":"add","value":{{"{long}":{{"a":1}}}}"#),
        Ok(&[]),
    );
    user(
        r#""op":"add","path":"urn:x:short","value":{"a":1}"#,
        Ok(&["Add urn:x:short:a 1"]),
    );
}

#[test]
fn groups() {
    group(
        r#""op":"Replace","path":"displayName","value":"g""#,
        Ok(&["Replace displayName \"g\""]),
    );
    group(
        r#""op":"replace","value":{"displayName":"g","members":["a"]}"#,
        Ok(&["Replace displayName \"g\"", "ReplaceMembers([a])"]),
    );
    group(
        r#""op":"Add","path":"members","value":[{"$ref":null,"value":"a"}]"#,
        Ok(&["AddMembers([a])"]),
    );
    group(
        r#""op":"Add","path":"members","value":"string id 1""#,
        Ok(&["AddMembers([string id 1])"]),
    );
    group(r#""op":"Add","path":"members","value":[]"#, Ok(&[]));
    group(
        r#""op":"add","path":"members[value eq \"a\"]""#,
        Ok(&["AddMembers([a])"]),
    );
    group(
        r#""op":"replace","path":"members","value":[{"value":"a"}]"#,
        Ok(&["ReplaceMembers([a])"]),
    );
    group(
        r#""op":"replace","path":"members","value":[]"#,
        Ok(&["ClearMembers"]),
    );
    group(
        r#""op":"replace","path":"members","value":null"#,
        Ok(&["ClearMembers"]),
    );
    group(r#""op":"add","path":"members""#, Err("invalidValue"));
    group(
        r#""op":"add","path":"members","value":[{"value":1}]"#,
        Err("invalidValue"),
    );
    group(
        r#""op":"add","path":"members.display","value":"x""#,
        Err("mutability"),
    );
    group(
        r#""op":"add","path":"members.type","value":"x""#,
        Err("mutability"),
    );
}

#[test]
fn removing_members() {
    group(
        r#""op":"Remove","path":"members","value":[{"value":"a"},{"value":"b"}]"#,
        Ok(&["RemoveMembers([a, b])"]),
    );
    group(
        r#""op":"Remove","path":"members","value":{"value":"a"}"#,
        Ok(&["RemoveMembers([a])"]),
    );
    group(
        r#""op":"remove","path":"members[value eq \"a\"]""#,
        Ok(&["RemoveMembers([a])"]),
    );
    group(
        r#""op":"remove","path":"members[value eq \"a\" or value eq b].value""#,
        Ok(&["RemoveMembers([a, b])"]),
    );
    group(
        r#""op":"remove","path":"members[type eq \"Group\"]""#,
        Ok(&["RemoveMatching type eq \"Group\" or nobody"]),
    );
    group(r#""op":"remove","path":"members""#, Ok(&["ClearMembers"]));
    group(
        r#""op":"remove","path":"members","value":null"#,
        Ok(&["ClearMembers"]),
    );
    group(r#""op":"remove","path":"members","value":[]"#, Ok(&[]));
    for odd in ["\"\"", "{}", "[{}]", "7", "[null]", "{\"id\":\"a\"}"] {
        group(
            &format!(r#""op":"remove","path":"members","value":{odd}"#),
            Err("invalidValue"),
        );
    }
}

#[test]
fn the_value_tells_an_extension_from_its_attribute() {
    let urn = "urn:x:ext:1.0";
    user(
        &format!(r#""op":"add","path":"{urn}:level","value":"8""#),
        Ok(&[r#"Add urn:x:ext:1.0:level "8""#]),
    );
    user(
        &format!(r#""op":"add","path":"{urn}","value":{{"level":"8"}}"#),
        Ok(&[r#"Add urn:x:ext:1.0:level "8""#]),
    );
}

mod accents;
