//! Groups: RFC 7643 section 4.2. Members have their own call in the directory,
//! so they never stand in the tree of attributes.

use muster_proto::schema::{Attribute, ResourceType};

use super::{
    coerce,
    error::ScimError,
    flavor::{Accent, Accents},
    json::{Json, Members},
    meta::Links,
    path::{AttrPath, Definition},
    projection::Projection,
};

/// Most members that one body may name; the directory takes no more.
pub const MAX_MEMBERS: usize = 100_000;

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

impl MemberKind {
    /// Relative path of the resources, with a leading slash.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    /// Value of a member's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
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

/// How a client names a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberName {
    /// By the id of a user.
    User(String),
    /// By the id of a group.
    Group(String),
    /// By the id of either.
    Id(String),
    /// By the id of either, else by the connection's `externalId`.
    Any(String),
}

impl MemberName {
    /// A member whose kind was not said.
    pub fn new(id: String, accents: Accents<'_>) -> Self {
        let understood = match is_id(&id) {
            // Whose it is, the directory tells.
            true => accents.includes(Accent::MembersByExternalId),
            false => accents.has(Accent::MembersByExternalId),
        };
        match understood {
            true => Self::Any(id),
            false => Self::Id(id),
        }
    }

    /// The id, or the identifier that stands for it.
    pub fn text(&self) -> &str {
        match self {
            Self::User(id) | Self::Group(id) | Self::Id(id) | Self::Any(id) => id,
        }
    }
}

/// Whether a text looks like the directory's ids: UUIDs of version 7.
fn is_id(text: &str) -> bool {
    let at = |place: usize, wanted: u8| text.as_bytes().get(place) == Some(&wanted);
    text.len() == 36 && at(8, b'-') && at(13, b'-') && at(14, b'7') && at(18, b'-') && at(23, b'-')
}

/// The definition of `members`, of groups.
pub fn members(resource: &'static ResourceType) -> Option<&'static Attribute> {
    let endpoint = MemberKind::Group.endpoint();
    let members = resource.core.attribute(MEMBERS);
    members.filter(|_| resource.endpoint == endpoint)
}

/// Whether the path reaches `members` of a group or something in them.
pub fn is_members(path: &AttrPath, resource: &'static ResourceType) -> bool {
    let (Definition::Attribute(attribute) | Definition::SubAttribute(attribute, _)) =
        path.definition
    else {
        return false;
    };
    members(resource).is_some_and(|members| std::ptr::eq(members, attribute))
}

/// Whom a list of members names. The accents tell whether a bare string, or
/// one element without a list, names somebody too.
///
/// # Errors
/// `invalidValue` for any other form. It must never pass for "all members".
/// 413 for more than [`MAX_MEMBERS`].
pub fn member_names(json: Json, accents: Accents<'_>) -> Result<Vec<MemberName>, ScimError> {
    match json {
        Json::Null => Ok(Vec::new()),
        Json::Array(elements) if elements.len() > MAX_MEMBERS => {
            let detail = format!("A request may name at most {MAX_MEMBERS} members.");
            Err(ScimError::too_large(detail))
        }
        Json::Array(elements) => {
            let names = elements.into_iter();
            names.map(|element| member_name(element, accents)).collect()
        }
        single if accents.has(Accent::SingleForList) => Ok(vec![member_name(single, accents)?]),
        other => {
            let found = other.type_name();
            let detail = format!("{MEMBERS} must be a list, not {found}.");
            Err(ScimError::invalid_value(detail).about(MEMBERS))
        }
    }
}

fn member_name(json: Json, accents: Accents<'_>) -> Result<MemberName, ScimError> {
    let (value, kind) = match json {
        Json::Object(mut members) => {
            let reference = members.take("$ref");
            let value = members.take("value").filter(|value| *value != Json::Null);
            let kind = members.take("type");
            no_others(&members, accents)?;
            (
                value.or_else(|| reference.and_then(id_in)),
                kind.filter(|kind| !is_ignored(kind, accents)),
            )
        }
        bare if accents.has(Accent::BareMembers) => (Some(bare), None),
        _ => (None, None),
    };
    let Some(Json::String(id)) = value else {
        return Err(nameless());
    };
    if id.is_empty() {
        return Err(nameless());
    }
    match kind {
        None | Some(Json::Null) => Ok(MemberName::new(id, accents)),
        Some(Json::String(kind)) if kind.eq_ignore_ascii_case("User") => Ok(MemberName::User(id)),
        Some(Json::String(kind)) if kind.eq_ignore_ascii_case("Group") => Ok(MemberName::Group(id)),
        Some(_) => Err(ScimError::invalid_value(
            "The type of a member is \"User\" or \"Group\".",
        )),
    }
}

/// Whether the type of a member is not looked at. Of one that there is, only the
/// directory knows whether it fits.
fn is_ignored(kind: &Json, accents: Accents<'_>) -> bool {
    let known = |kind: &str| {
        ["User", "Group"]
            .iter()
            .any(|k| k.eq_ignore_ascii_case(kind))
    };
    match kind {
        Json::Null => true,
        Json::String(kind) if known(kind) => accents.includes(Accent::MemberTypeIgnored),
        _ => accents.has(Accent::MemberTypeIgnored),
    }
}

/// The id in the URI of a member (RFC 7643 section 4.2).
fn id_in(reference: Json) -> Option<Json> {
    let uri = reference.as_str()?.to_owned();
    let id = coerce::id_in(uri.into());
    id.as_str().map(|id| Json::String(id.to_owned()))
}

/// What only the server says of a member may be repeated to it.
fn no_others(members: &Members, accents: Accents<'_>) -> Result<(), ScimError> {
    let known = |name: &str| name.eq_ignore_ascii_case("display");
    let unknown = members.0.iter().find(|(name, _)| !known(name));
    match unknown {
        Some((name, _)) if !accents.has(Accent::UnknownAttributes) => {
            Err(coerce::unknown(&format!("{MEMBERS}.{name}")))
        }
        _ => Ok(()),
    }
}

fn nameless() -> ScimError {
    ScimError::invalid_value("Each element of members must name a member in \"value\".")
        .about(MEMBERS)
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
        let (endpoint, kind) = (member.kind.endpoint(), member.kind.name());
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
    use super::{
        super::{
            flavor::{Flavor, meeting},
            json,
        },
        *,
    };

    #[track_caller]
    fn read(body: &str, accents: Accents<'_>) -> Option<Vec<MemberName>> {
        member_names(json::parse(body.as_bytes()).expect(body), accents).ok()
    }

    #[track_caller]
    fn check(body: &str, expected: Option<&[&str]>) {
        let found = read(body, Flavor::Entra.accents());
        let expected = expected.map(|ids| {
            let names = ids.iter().map(|id| MemberName::Any((*id).to_owned()));
            names.collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn forms_of_members() {
        check(
            r#"[{"$ref":null,"value":"a"},{"Value":"b","x":1,"type":"Robot"}]"#,
            Some(&["a", "b"]),
        );
        check(r#"["a","b"]"#, Some(&["a", "b"]));
        check(r#""string id 1""#, Some(&["string id 1"]));
        check(r#"{"value":"a"}"#, Some(&["a"]));
        check("[]", Some(&[]));
        let many = format!("[{}]", vec!["\"a\""; MAX_MEMBERS + 1].join(","));
        let many = json::parse(many.as_bytes()).expect("JSON");
        let error = member_names(many, Flavor::Entra.accents());
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

    #[test]
    fn accents_of_members() {
        let id = || Some(vec![MemberName::Id("a".to_owned())]);
        for (accent, body) in [
            (Accent::BareMembers, r#"["a"]"#),
            (Accent::SingleForList, r#"{"value":"a"}"#),
            (Accent::UnknownAttributes, r#"[{"value":"a","x":1}]"#),
            (Accent::MemberTypeIgnored, r#"[{"value":"a","type":"x"}]"#),
        ] {
            assert_eq!(meeting(accent, |with| read(body, with)), id(), "{accent:?}");
            assert_eq!(read(body, Accents::default()), None, "{accent:?}");
        }
        let body = r#"[{"value":"a","$ref":"http://h/Users/a","display":"A"}]"#;
        assert_eq!(read(body, Accents::default()), id());
        let any = meeting(Accent::MembersByExternalId, |with| read(body, with));
        assert_eq!(any, Some(vec![MemberName::Any("a".to_owned())]));
        for (kind, expected) in [
            ("user", MemberName::User("a".to_owned())),
            ("Group", MemberName::Group("a".to_owned())),
        ] {
            let body = format!(r#"[{{"value":"a","type":"{kind}"}}]"#);
            assert_eq!(read(&body, Accents::default()), Some(vec![expected]));
        }
    }
}
