use muster_proto::schema::USER;

use super::{
    super::{
        flavor::{Flavor, meeting, meeting_none},
        json,
    },
    *,
};

#[track_caller]
fn check(name: &str, body: &str, expected: Result<&str, &str>) {
    let definition = USER.core_attribute(name).expect("registered");
    read(definition, body, Flavor::Entra.accents(), expected);
}

/// The value as JSON, or the detail of the error.
#[track_caller]
fn read(
    definition: &'static Attribute,
    body: &str,
    accents: Accents<'_>,
    expected: Result<&str, &str>,
) {
    let name = definition.name;
    let json = json::parse(body.as_bytes()).expect(body);
    let found = attribute(json, definition, name, accents);
    let found = found.map(|value| super::super::resource::untyped(value).to_string());
    let found = found.as_deref().map_err(ScimError::detail);
    assert_eq!(found, expected, "{name} {body}");
}

#[test]
fn values() {
    check("displayName", "\"x\"", Ok("\"x\""));
    check("displayName", "701984", Ok("\"701984\""));
    check("displayName", "null", Ok("null"));
    check("active", "\"False\"", Ok("false"));
    check("active", "\"tRUE\"", Ok("true"));
    check("active", "\"\"", Ok("null"));
    check("emails", "\"a@b\"", Ok(r#"[{"value":"a@b"}]"#));
    check("emails", r#"{"Value":"a@b"}"#, Ok(r#"[{"value":"a@b"}]"#));
    check("emails", r#"[{"value":""},{}]"#, Ok("[]"));
    check("emails", "\"\"", Ok("null"));
    check(
        "roles",
        r#"[{"primary":"True","value":"r"}]"#,
        Ok(r#"[{"primary":true,"value":"r"}]"#),
    );
    check(
        "roles",
        r#"[{"displayName":"d","x":1}]"#,
        Ok(r#"[{"display":"d"}]"#),
    );
    check(
        "roles",
        r#"[{"displayName":"d","display":"e"}]"#,
        Ok(r#"[{"display":"e"}]"#),
    );
    check(
        "roles",
        r#"[{"value":"{\"id\":1}"}]"#,
        Ok(r#"[{"value":"{\"id\":1}"}]"#),
    );
    check(
        "x509Certificates",
        r#"[{"value":"TQ"}]"#,
        Ok(r#"[{"value":"TQ=="}]"#),
    );
    check(
        "name",
        r#"{"GIVENNAME":"A","familyName":null}"#,
        Ok(r#"{"familyName":null,"givenName":"A"}"#),
    );
}

/// What the accent makes of a value, and what the RFC makes of it.
#[track_caller]
fn accent(accent: Accent, name: &str, body: &str, with: &str, without: &str) {
    let definition = USER.core_attribute(name).expect("registered");
    meeting(accent, |accents| {
        read(definition, body, accents, Ok(with));
    });
    read(definition, body, Accents::default(), Err(without));
}

#[test]
fn accents_of_values() {
    use Accent as A;
    let bool = "active must be a boolean, not a string.";
    accent(A::BooleansAsText, "active", "\"True\"", "true", bool);
    accent(A::EmptyClears, "active", "\"\"", "null", bool);
    let empty = "title must not be empty; null clears it.";
    accent(A::EmptyClears, "title", "\"\"", "null", empty);
    let text = "title must be a string, not a number.";
    accent(A::NumbersForText, "title", "701984", "\"701984\"", text);
    let list = "emails must be a list, not a string.";
    accent(A::EmptyClears, "emails", "\"\"", "null", list);
    let list = "emails must be a list, not an object.";
    let email = r#"{"value":"a@b"}"#;
    let emails = r#"[{"value":"a@b"}]"#;
    accent(A::SingleForList, "emails", email, emails, list);
    let bare = "emails must be an object, not a string.";
    accent(A::BareValue, "emails", r#"["a@b"]"#, emails, bare);
    let name = "name must be an object, not an array.";
    let given = r#"{"givenName":"A"}"#;
    accent(
        A::ListForSingle,
        "name",
        r#"[{"givenName":"A"}]"#,
        given,
        name,
    );
    let label = r#"[{"displayName":"d"}]"#;
    let unknown = "roles.displayName is no attribute of the resource.";
    accent(
        A::RoleDisplayName,
        "roles",
        label,
        r#"[{"display":"d"}]"#,
        unknown,
    );
    accent(A::UnknownAttributes, "roles", label, "[]", unknown);
}

#[test]
fn what_the_rfc_allows_needs_no_accent() {
    let strict = |name: &str, body: &str, expected: &str| {
        let definition = USER.core_attribute(name).expect("registered");
        meeting_none(|accents| read(definition, body, accents, Ok(expected)));
        read(definition, body, Accents::default(), Ok(expected));
    };
    strict("title", "null", "null");
    strict("emails", "[]", "[]");
    strict(
        "x509Certificates",
        r#"[{"value":"TQ"}]"#,
        r#"[{"value":"TQ=="}]"#,
    );
    strict("EMAILS", r#"[{"VALUE":"a"}]"#, r#"[{"value":"a"}]"#);
}

const BARE: Attribute = Attribute {
    name: "list",
    kind: Kind::String,
    multi_valued: true,
    description: "",
    required: false,
    case_exact: false,
    mutability: Mutability::ReadWrite,
    returned: muster_proto::schema::Returned::Default,
    uniqueness: muster_proto::schema::Uniqueness::None,
    canonical_values: &["a"],
    reference_types: &[],
    sub_attributes: &[],
    reach: muster_proto::schema::Reach::Document,
};

#[test]
fn lists_of_simple_values() {
    static TEXTS: Attribute = BARE;
    static NUMBERS: Attribute = Attribute {
        kind: Kind::Integer,
        ..BARE
    };
    static TIMES: Attribute = Attribute {
        kind: Kind::DateTime,
        ..BARE
    };
    let (entra, strict) = (Flavor::Entra.accents(), Accents::default());
    read(&TEXTS, r#"["a","b",null]"#, strict, Ok(r#"["a","b"]"#));
    read(&TEXTS, "\"a\"", entra, Ok(r#"["a"]"#));
    read(&TEXTS, "[1]", entra, Ok(r#"["1"]"#));
    let wrong = "list must be a string, not a number.";
    read(&TEXTS, "[1]", strict, Err(wrong));
    read(&NUMBERS, "[1,2]", strict, Ok("[1,2]"));
    read(&NUMBERS, r#"["7"]"#, entra, Ok("[7]"));
    let wrong = "list must be an integer, not a string.";
    read(&NUMBERS, r#"["7"]"#, strict, Err(wrong));
    let time = r#"["2011-05-13T04:42:34Z"]"#;
    read(&TIMES, time, strict, Ok(time));
    let wrong = "list must be an RFC 3339 time, not a string.";
    read(&TIMES, r#"["now"]"#, strict, Err(wrong));
}

#[test]
fn wrong_types_name_the_attribute() {
    check(
        "displayName",
        "true",
        Err("displayName must be a string, not a boolean."),
    );
    check(
        "displayName",
        "[\"x\"]",
        Err("displayName must be a string, not an array."),
    );
    check(
        "active",
        "\"yes\"",
        Err("active must be a boolean, not a string."),
    );
    check(
        "active",
        "1",
        Err("active must be a boolean, not a number."),
    );
    check(
        "name",
        "\"Ada\"",
        Err("name must be an object, not a string."),
    );
    check(
        "addresses",
        "[\"x\"]",
        Err("addresses must be an object, not a string."),
    );
    check(
        "emails",
        "[[]]",
        Err("emails must be an object, not an array."),
    );
    check(
        "emails",
        r#"[{"value":{}}]"#,
        Err("emails.value must be a string, not an object."),
    );
    check(
        "x509Certificates",
        r#"[{"value":"*"}]"#,
        Err("x509Certificates.value must be base64, not a string."),
    );
    check(
        "emails",
        r#"[{"primary":true},{"primary":"true"}]"#,
        Err("Only one element of emails may be primary."),
    );
}

#[test]
fn times_without_an_offset_are_utc() {
    assert_eq!(
        time("2011-05-13T04:42:34Z").as_deref(),
        Some("2011-05-13T04:42:34Z")
    );
    assert_eq!(
        time("2011-05-13T04:42:34").as_deref(),
        Some("2011-05-13T04:42:34Z")
    );
    assert_eq!(time("yesterday"), None);
}
