//! Groups: RFC 7643 section 4.2. Members have their own call in the directory,
//! so they never stand in the tree of attributes.

use muster_proto::{
    schema::GROUP,
    value::{Object, Value},
};

use super::{
    error::ScimError,
    json::Json,
    meta::Links,
    path::{AttrPath, Definition},
    resource::Resource,
};

/// Most members that one body may name; the directory takes no more.
pub const MAX_MEMBERS: usize = 10_000;

/// Name of the attribute that has its own call.
pub const MEMBERS: &str = "members";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A user.
    User,
    /// A group.
    Group,
}

/// One member, as the directory lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether it is a user or a group.
    pub kind: MemberKind,
    /// Id of the user or group.
    pub id: String,
    /// Its name.
    pub display: String,
}

/// Whether the path reaches `members` of a group or something in them.
pub fn is_members(path: &AttrPath) -> bool {
    let (Definition::Attribute(attribute) | Definition::SubAttribute(attribute, _)) =
        path.definition
    else {
        return false;
    };
    let members = GROUP.core.attribute(MEMBERS);
    members.is_some_and(|members| std::ptr::eq(members, attribute))
}

/// Whom a list of members names: elements with a `value`, bare strings, or a
/// single one of either.
///
/// # Errors
/// `invalidValue` for any other form. It must never pass for "all members".
/// 413 for more than [`MAX_MEMBERS`].
pub fn member_ids(json: Json) -> Result<Vec<String>, ScimError> {
    match json {
        Json::Null => Ok(Vec::new()),
        Json::Array(elements) if elements.len() > MAX_MEMBERS => {
            let detail = format!("A request may name at most {MAX_MEMBERS} members.");
            Err(ScimError::too_large(detail))
        }
        Json::Array(elements) => elements.into_iter().map(member_id).collect(),
        single => Ok(vec![member_id(single)?]),
    }
}

fn member_id(json: Json) -> Result<String, ScimError> {
    let value = match json {
        Json::Object(mut members) => members.take("value"),
        other => Some(other),
    };
    match value {
        Some(Json::String(id)) if !id.is_empty() => Ok(id),
        _ => Err(ScimError::invalid_value(
            "Each element of members must name a member in \"value\".",
        )),
    }
}

/// Puts the members into the tree of a group.
pub fn add_members(resource: &mut Resource, members: Vec<Member>, links: &Links) {
    let elements = members.into_iter().map(|member| {
        let (endpoint, kind) = match member.kind {
            MemberKind::User => ("/Users", "User"),
            MemberKind::Group => ("/Groups", "Group"),
        };
        let mut object = Object::from([
            (
                "$ref".to_owned(),
                links.resource(endpoint, &member.id).into(),
            ),
            ("type".to_owned(), kind.into()),
            ("value".to_owned(), member.id.into()),
        ]);
        if !member.display.is_empty() {
            object.insert("display".to_owned(), member.display.into());
        }
        Value::Complex(object)
    });
    let elements = Value::List(elements.collect());
    resource.attributes.insert(MEMBERS.to_owned(), elements);
}

#[cfg(test)]
mod tests {
    use super::{super::json, *};

    #[track_caller]
    fn check(body: &str, expected: Option<&[&str]>) {
        let found = member_ids(json::parse(body.as_bytes()).expect(body)).ok();
        let expected = expected.map(|ids| ids.iter().map(ToString::to_string).collect());
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn forms_of_members() {
        check(
            r#"[{"$ref":null,"value":"a"},{"Value":"b","x":1}]"#,
            Some(&["a", "b"]),
        );
        check(r#"["a","b"]"#, Some(&["a", "b"]));
        check(r#""string id 1""#, Some(&["string id 1"]));
        check(r#"{"value":"a"}"#, Some(&["a"]));
        check("[]", Some(&[]));
        let many = format!("[{}]", vec!["\"a\""; MAX_MEMBERS + 1].join(","));
        let error = member_ids(json::parse(many.as_bytes()).expect("JSON"));
        assert_eq!(error.map_err(|e| e.status()), Err(413));
        for odd in [
            "[1]",
            "[{}]",
            r#"[{"value":1}]"#,
            r#"[{"value":""}]"#,
            "[[]]",
            "7",
            "{}",
            "[null]",
        ] {
            check(odd, None);
        }
    }
}
