//! Groups: RFC 7643 section 4.2. Members have their own call in the directory,
//! so they never stand in the tree of attributes.

use muster_proto::schema::GROUP;

use super::{
    error::ScimError,
    json::{Json, Members},
    meta::Links,
    path::{AttrPath, Definition},
    projection::Projection,
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

/// What is shown of each member.
#[derive(Debug, Clone, Copy)]
pub struct MemberView {
    value: bool,
    reference: bool,
    display: bool,
    kind: bool,
}

impl MemberView {
    /// What the client wants; `None` when it does not want members.
    pub fn new(projection: &Projection) -> Option<Self> {
        let wants = |sub| projection.wants_sub("", MEMBERS, sub);
        projection.wants("", MEMBERS).then(|| Self {
            value: wants("value"),
            reference: wants("$ref"),
            display: wants("display"),
            kind: wants("type"),
        })
    }

    /// The JSON of a member; `None` when nothing of it is shown.
    pub fn render(&self, member: Member, links: &Links) -> Option<Json> {
        let (endpoint, kind) = match member.kind {
            MemberKind::User => ("/Users", "User"),
            MemberKind::Group => ("/Groups", "Group"),
        };
        let mut shown = Members::default();
        let reference = self.reference.then(|| links.resource(endpoint, &member.id));
        if self.value {
            shown.push("value", member.id);
        }
        if let Some(reference) = reference {
            shown.push("$ref", reference);
        }
        if self.display && !member.display.is_empty() {
            shown.push("display", member.display);
        }
        if self.kind {
            shown.push("type", kind);
        }
        (!shown.0.is_empty()).then_some(Json::Object(shown))
    }
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
