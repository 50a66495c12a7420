use muster_proto::schema::{GROUP, USER};

use super::{
    super::{
        flavor::{Flavor, meeting, meeting_none},
        json,
    },
    *,
};

fn read_user(body: &str) -> Result<Document, ScimError> {
    read(
        json::parse_object(body.as_bytes())?,
        &USER,
        Flavor::Entra.accents(),
    )
}

/// The attributes beside userName as JSON, or the detail of the error.
#[track_caller]
fn check(members: &str, expected: Result<&str, &str>) {
    let found = read_user(&format!("{{\"userName\":\"u\",{members}}}"));
    let found = found.map(|mut document| {
        document.attributes.remove("userName");
        super::super::resource::untyped(Value::Complex(document.attributes)).to_string()
    });
    let found = found.as_deref().map_err(ScimError::detail);
    assert_eq!(found, expected, "{members}");
}

#[test]
fn what_clients_may_not_write_or_nobody_knows_is_passed_over() {
    check(
        r#""id":"1","meta":{"resourceType":"User"},"groups":[{"value":"g"}],"password":"p",
           "jobTitle":"x","roles":[],"title":null,"nickName":"","schemas":["urn:odd"],
           "a b":1,"urn:x:odd":null,"urn:x:odd:y:2.0:U":3"#,
        Ok("{}"),
    );
    check("\"schemas\":null", Ok("{}"));
    check(
        "\"schemas\":\"x\"",
        Err("schemas must be a list of strings."),
    );
}

#[test]
fn members_are_paths() {
    check(
        r#""name.givenName":"G","name":{"familyName":"F"},"NAME.middleName":"M""#,
        Ok(r#"{"name":{"familyName":"F","givenName":"G","middleName":"M"}}"#),
    );
    check(
        r#""emails[type eq \"work\"].value":"a","emails[type eq \"work\"].primary":"True""#,
        Ok(r#"{"emails":[{"primary":true,"type":"work","value":"a"}]}"#),
    );
}

#[test]
fn lists_and_filters_are_bounded() {
    let many = |count: usize| {
        let keys = (0..count).map(|n| format!(r#""ims[type eq a{n}].value":"v""#));
        format!(
            "{{\"userName\":\"u\",{}}}",
            keys.collect::<Vec<_>>().join(",")
        )
    };
    assert!(read_user(&many(coerce::MAX_ELEMENTS)).is_ok());
    let error = read_user(&many(coerce::MAX_ELEMENTS + 1)).expect_err("too many");
    assert_eq!(error.detail(), "ims may have at most 1000 elements.");
    let full = vec![r#"{"value":"v"}"#; coerce::MAX_ELEMENTS].join(",");
    check(
        &format!(r#""ims":[{full}],"ims[type eq \"x\"].value":"v""#),
        Err("ims may have at most 1000 elements."),
    );
    check(
        &format!(r#""ims":[{full},"v"]"#),
        Err("ims may have at most 1000 elements."),
    );
}

#[test]
fn numbers_that_would_lose_digits_are_refused() {
    let long = "12345678901234567890123";
    check(
        &format!(r#""urn:x:Y:2.0:User":{{"a":[{{"b":{long}}}]}}"#),
        Err("urn:x:Y:2.0:User:a has a number of more than 64 bits."),
    );
    check(
        r#""urn:x:Y:2.0:User:a":9223372036854775808"#,
        Err("urn:x:Y:2.0:User:a has a number of more than 64 bits."),
    );
    check(
        &format!(r#""title":{long}"#),
        Err("title has a number of more than 64 bits."),
    );
    check(
        r#""urn:x:Y:2.0:User":{"a":9223372036854775807,"b":-9223372036854775808,"c":0.5}"#,
        Ok(r#"{"urn:x:Y:2.0:User":{"a":9223372036854775807,"b":-9223372036854775808,"c":0.5}}"#),
    );
}

#[test]
fn empty_names_are_passed_over() {
    check(
        r#""urn:x:Y:2.0:User":{"":1,"a":{"":2,"b":3}},"":4"#,
        Ok(r#"{"urn:x:Y:2.0:User":{"a":{"b":3}}}"#),
    );
}

#[test]
fn extensions() {
    const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    check(
        &format!(r#""{URN}":{{"Department":"d","manager":"m","x":1}},"{URN}:division":"v""#),
        Ok(&format!(
            r#"{{"{URN}":{{"department":"d","division":"v","manager":{{"value":"m"}}}}}}"#
        )),
    );
    check(
        &format!(r#""{URN}":{{"manager":[{{"value":"m","displayName":"D"}}]}}"#),
        Ok(&format!(r#"{{"{URN}":{{"manager":{{"value":"m"}}}}}}"#)),
    );
    check(
        r#""urn:x:Custom:2.0:User":{"A":"1","b":null,"c":{"d":[2]}}"#,
        Ok(r#"{"urn:x:Custom:2.0:User":{"A":"1","c":{"d":[2]}}}"#),
    );
    check(
        r#""urn:x:custom":{"a":1},"urn:x:other:b":"2","urn:x:C:2.0User":{"c":3}"#,
        Ok(r#"{"urn:x:C:2.0User":{"c":3},"urn:x:custom":{"a":1},"urn:x:other":{"b":"2"}}"#),
    );
    check(
        &format!(r#""{URN}":7"#),
        Err(&format!("{URN} must be an object, not a number.")),
    );
}

#[test]
fn required_attributes() {
    let detail =
        |result: Result<Document, ScimError>| result.expect_err("incomplete").detail().to_owned();
    assert_eq!(
        detail(read_user("{\"userName\":\"\"}")),
        "userName is required."
    );
    assert_eq!(
        detail(read(Members::default(), &GROUP, Flavor::Entra.accents())),
        "displayName is required."
    );
}

#[test]
fn members_of_a_group() {
    let body = br#"{"displayName":"g","members":[{"value":"1","$ref":null},"2"]}"#;
    let document = read(
        json::parse_object(body).expect("JSON"),
        &GROUP,
        Flavor::Entra.accents(),
    )
    .expect("a group");
    let ids: Vec<_> = document.members.iter().map(MemberName::text).collect();
    assert_eq!(ids, ["1", "2"]);
}

/// With the accent the body gives this, without it this error.
#[track_caller]
fn accent(accent: Accent, members: &str, with: &str, without: &str) {
    let read = |accents: Accents<'_>| {
        let schema = USER.core.urn;
        let body = format!(r#"{{"schemas":["{schema}"],"userName":"u",{members}}}"#);
        let found = read(json::parse_object(body.as_bytes())?, &USER, accents)?;
        let mut attributes = found.attributes;
        attributes.remove("userName");
        Ok(super::super::resource::untyped(Value::Complex(attributes)).to_string())
    };
    let shown =
        |result: Result<String, ScimError>| result.unwrap_or_else(|e| e.detail().to_owned());
    assert_eq!(shown(meeting(accent, read)), with, "{accent:?}");
    assert_eq!(shown(read(Accents::default())), without, "{accent:?}");
}

#[test]
fn accents_of_bodies() {
    accent(
        Accent::UnknownAttributes,
        r#""jobTitle":"x""#,
        "{}",
        "jobTitle is no attribute of the resource.",
    );
    accent(
        Accent::KeysAsPaths,
        r#""name.givenName":"G""#,
        r#"{"name":{"givenName":"G"}}"#,
        "name.givenName is no attribute of the resource.",
    );
    accent(
        Accent::FilterKeys,
        r#""emails[type eq \"work\"]":{"value":"a"}"#,
        r#"{"emails":[{"type":"work","value":"a"}]}"#,
        "emails[type eq \"work\"] is no attribute of the resource.",
    );
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    accent(
        Accent::SchemasUnchecked,
        &format!(r#""{enterprise}":{{"department":"d"}}"#),
        &format!(r#"{{"{enterprise}":{{"department":"d"}}}}"#),
        &format!("schemas must name {enterprise}."),
    );
}

#[test]
fn schemas_to_the_letter() {
    let core = USER.core.urn;
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let detail = |schemas: &str, accents: Accents<'_>| {
        let body = format!(r#"{{"schemas":{schemas},"userName":"u"}}"#);
        let body = json::parse_object(body.as_bytes()).expect("JSON");
        let found = read(body, &USER, accents);
        found.err().map(|error| error.detail().to_owned())
    };
    let strict = |schemas: &str| detail(schemas, Accents::default());
    assert_eq!(strict(&format!(r#"["{core}"]"#)), None);
    assert_eq!(strict(&format!(r#"["{enterprise}","{core}"]"#)), None);
    let needed = Some(format!("schemas must name {core}."));
    for missing in ["null", "[]", &format!(r#"["{enterprise}"]"#)] {
        assert_eq!(strict(missing), needed, "{missing}");
        let found = meeting(Accent::SchemasUnchecked, |accents| detail(missing, accents));
        assert_eq!(found, None, "{missing}");
    }
    let twice = Some(format!("schemas names {core} twice."));
    assert_eq!(strict(&format!(r#"["{core}","{core}"]"#)), twice);
    let odd = format!(r#"["{core}","urn:x:odd"]"#);
    let unknown = Some("urn:x:odd is no schema of User.".to_owned());
    assert_eq!(strict(&odd), unknown);
    let kept = meeting(Accent::UnregisteredExtensions, |accents| {
        detail(&odd, accents)
    });
    assert_eq!(kept, None);
}

#[test]
fn plain_bodies_meet_no_accent() {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let core = USER.core.urn;
    let user = format!(
        r#"{{"schemas":["{core}","{enterprise}"],"externalId":"x","userName":"u","active":true,
            "name":{{"givenName":"G"}},"emails":[{{"value":"a@x.test","primary":true}}],
            "{enterprise}":{{"department":"d","manager":{{"value":"m"}}}}}}"#
    );
    let group = format!(
        r#"{{"schemas":["{}"],"displayName":"g","members":[
            {{"value":"01890a5d-ac96-774b-bcce-b302099a8057","type":"User"}}]}}"#,
        GROUP.core.urn
    );
    for (body, kind) in [(user, &USER), (group, &GROUP)] {
        let body = json::parse_object(body.as_bytes()).expect("JSON");
        assert!(meeting_none(|accents| read(body, kind, accents)).is_ok());
    }
}

/// RFC 7643 section 8.2 shows such a user to servers of any kind.
#[test]
fn what_only_the_server_writes_is_passed_over_in_any_flavor() {
    let core = USER.core.urn;
    let body = format!(
        r#"{{"schemas":["{core}"],"id":"1","userName":"u","password":"p","groups":[{{"value":"g"}}],
            "meta":{{"resourceType":"User","version":"W/\"1\""}},
            "emails":[{{"value":"a","type":"work","primary":true}}]}}"#
    );
    let body = json::parse_object(body.as_bytes()).expect("JSON");
    let document = read(body, &USER, Accents::default()).expect("a user");
    let names: Vec<_> = document.attributes.keys().collect();
    assert_eq!(names, ["emails", "userName"]);
}

#[test]
fn two_members_for_one_attribute_must_agree() {
    let name = r#""name":{"givenName":"G","familyName":"F"}"#;
    check(
        &format!(r#""name.givenName":"G",{name}"#),
        Ok(r#"{"name":{"familyName":"F","givenName":"G"}}"#),
    );
    check(
        &format!(r#""name.givenName":"H",{name}"#),
        Err("name.givenName is given twice."),
    );
    let core = USER.core.urn;
    check(
        &format!(r#""title":"x","{core}:title":"y""#),
        Err("title is given twice."),
    );
    let work = r#""emails[type eq \"work\"].value":"a""#;
    check(
        &format!(r#"{work},"emails":[{{"type":"home","value":"h"}}]"#),
        Ok(r#"{"emails":[{"type":"home","value":"h"},{"type":"work","value":"a"}]}"#),
    );
    check(
        &format!(r#"{work},"emails":[{{"type":"work","value":"b"}}]"#),
        Err("value is given twice."),
    );
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    check(
        &format!(r#""{enterprise}:Department":"d","{enterprise}":{{"DEPARTMENT":"e"}}"#),
        Err(&format!("{enterprise}:department is given twice.")),
    );
}

#[test]
fn keys_that_are_paths_use_their_schema() {
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let accents = Accents::of(&[Accent::KeysAsPaths]);
    for key in [
        format!(r#""{enterprise}:department":"d""#),
        format!(r#""{}:department":"d""#, enterprise.to_ascii_uppercase()),
        format!(r#""{enterprise}:manager.value":"m""#),
        format!(r#""{enterprise}":{{"manager.value":"m"}}"#),
        format!(r#""{core}:title":"t","{enterprise}":{{"department":"d"}}"#),
    ] {
        let status = |schemas: &str, accents| {
            let body = format!(r#"{{"schemas":[{schemas}],"userName":"u",{key}}}"#);
            let body = json::parse_object(body.as_bytes()).expect(&key);
            read(body, &USER, accents).map_err(|e| e.detail().to_owned())
        };
        let both = format!(r#""{core}","{enterprise}""#);
        assert!(status(&both, accents).is_ok(), "{key}");
        let missing = format!("schemas must name {enterprise}.");
        let core = format!(r#""{core}""#);
        assert_eq!(status(&core, accents), Err(missing), "{key}");
    }
}
