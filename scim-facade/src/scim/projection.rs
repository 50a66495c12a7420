//! Which attributes a client wants: RFC 7644 section 3.9.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use muster_proto::{
    schema::{Attribute, Mutability, ResourceType, Returned, Target},
    value::{Object, Value},
};

use super::{
    error::ScimError,
    flavor::{Accent, Accents},
    path::{AttrPath, Path, Shape},
};

/// Most different names in a list of attributes. All that the registry has,
/// with their sub-attributes, are fewer.
pub const MAX_NAMES: usize = 200;

/// The attributes of an answer. `id` and `schemas` come always.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    resource: &'static ResourceType,
    choice: Choice,
}

#[derive(Debug, Clone, PartialEq)]
enum Choice {
    All,
    Only(Names),
    Except(Names),
}

/// The names of a list, by schema and attribute in lower case; the name of an
/// extension as a whole is empty.
#[derive(Debug, Clone, Default, PartialEq)]
struct Names(BTreeMap<String, BTreeMap<String, Named>>);

/// An attribute that a list names.
#[derive(Debug, Clone, PartialEq)]
struct Named {
    /// As the registry spells it.
    schema: Cow<'static, str>,
    attribute: Cow<'static, str>,
    /// Not only some of its sub-attributes.
    whole: bool,
    /// In lower case.
    sub_attributes: BTreeSet<String>,
}

/// How much of an attribute a list names.
#[derive(Clone, Copy)]
enum Reach<'a> {
    Nothing,
    Parts(&'a BTreeSet<String>),
    Whole,
}

impl Projection {
    /// Reads the query parameters `attributes` and `excludedAttributes`. Names
    /// that nobody knows are passed over. RFC 7644 lets a client send one of
    /// the two; where both are understood, `attributes` counts.
    ///
    /// # Errors
    /// `invalidValue` for more than [`MAX_NAMES`] names, for both parameters
    /// and for brackets.
    pub fn parse(
        attributes: Option<&str>,
        excluded: Option<&str>,
        resource: &'static ResourceType,
        accents: Accents,
    ) -> Result<Self, ScimError> {
        let given = |text: &&str| !text.trim().is_empty();
        let choice = match (attributes.filter(given), excluded.filter(given)) {
            (Some(_), Some(_)) if !accents.has(Accent::BothProjections) => {
                let detail = "attributes and excludedAttributes exclude each other.";
                return Err(ScimError::invalid_value(detail));
            }
            (Some(text), _) => Choice::Only(Names::parse(text, resource, accents)?),
            (None, Some(text)) => Choice::Except(Names::parse(text, resource, accents)?),
            (None, None) => Choice::All,
        };
        Ok(Self { resource, choice })
    }

    /// Whether the client wants the attribute or something in it.
    pub fn wants(&self, schema: &str, attribute: &str) -> bool {
        let returned = self.definition(schema, attribute).map(returned);
        match (returned, &self.choice) {
            (Some(Returned::Always), _) => true,
            (Some(Returned::Never), _) => false,
            (_, Choice::Only(names)) => !matches!(names.reach(schema, attribute), Reach::Nothing),
            (Some(Returned::Request), _) => false,
            (_, Choice::All) => true,
            (_, Choice::Except(names)) => !matches!(names.reach(schema, attribute), Reach::Whole),
        }
    }

    /// What the client wants of the attribute's value.
    pub fn keep(&self, schema: &str, attribute: &str, value: Value) -> Option<Value> {
        if !self.wants(schema, attribute) {
            return None;
        }
        let (reach, only) = match &self.choice {
            Choice::All => (Reach::Whole, true),
            Choice::Only(names) => (names.reach(schema, attribute), true),
            Choice::Except(names) => (names.reach(schema, attribute), false),
        };
        let definition = self.definition(schema, attribute);
        let parts = match reach {
            Reach::Parts(parts) => Some(parts),
            Reach::Nothing | Reach::Whole if is_plain(definition) => return Some(value),
            Reach::Nothing | Reach::Whole => None,
        };
        retain(value, &|name| {
            let named = parts.map(|parts| parts.contains(&name.to_ascii_lowercase()));
            let sub = definition.and_then(|attribute| attribute.sub_attribute(name));
            match sub.map(returned) {
                Some(Returned::Always) => true,
                Some(Returned::Never) => false,
                Some(Returned::Request) => only && named == Some(true),
                Some(Returned::Default) | None => named.is_none_or(|named| named == only),
            }
        })
    }

    /// Whether the client wants a sub-attribute, where it wants the attribute.
    pub fn wants_sub(&self, schema: &str, attribute: &str, sub: &str) -> bool {
        let (names, only) = match &self.choice {
            Choice::All => return true,
            Choice::Only(names) => (names, true),
            Choice::Except(names) => (names, false),
        };
        match names.reach(schema, attribute) {
            Reach::Parts(parts) => parts.contains(&sub.to_ascii_lowercase()) == only,
            Reach::Nothing | Reach::Whole => true,
        }
    }

    /// The attributes a client wants, when it does not want all: schema (empty:
    /// core) and name (empty: the extension as a whole).
    pub fn wanted(&self) -> Option<Vec<(&str, &str)>> {
        let core = self.resource.core.attributes.iter();
        let core = core.map(|attribute| ("", attribute.name));
        match &self.choice {
            Choice::All => None,
            Choice::Only(names) => {
                let always = self.resource.extensions.iter().flat_map(|schema| {
                    let attributes = schema.attributes.iter();
                    let always = attributes.filter(|a| returned(a) == Returned::Always);
                    always.map(|attribute| (schema.urn, attribute.name))
                });
                Some(names.all().chain(always).collect())
            }
            // Extensions are cheap to load and rarely excluded.
            Choice::Except(_) => {
                let extensions = self.resource.extensions.iter().map(|s| (s.urn, ""));
                let all = core.chain(extensions).chain([("urn:", "")]);
                Some(
                    all.filter(|(s, a)| a.is_empty() || self.wants(s, a))
                        .collect(),
                )
            }
        }
    }

    fn definition(&self, schema: &str, attribute: &str) -> Option<&'static Attribute> {
        match self.resource.find(schema, attribute)? {
            Target::Core(attribute) | Target::Extension(_, attribute) => Some(attribute),
            Target::WholeExtension(_) | Target::Unregistered(..) | Target::WholeUnregistered(_) => {
                None
            }
        }
    }
}

/// When the attribute is returned. What clients only write, they never see.
fn returned(attribute: &Attribute) -> Returned {
    match attribute.mutability {
        Mutability::WriteOnly => Returned::Never,
        _ => attribute.returned,
    }
}

/// Whether all parts of the attribute are returned with it.
fn is_plain(definition: Option<&Attribute>) -> bool {
    let subs = definition.map_or(&[][..], |attribute| attribute.sub_attributes);
    let kept = |sub: &Attribute| matches!(returned(sub), Returned::Always | Returned::Default);
    subs.iter().all(kept)
}

impl Names {
    fn parse(
        text: &str,
        resource: &'static ResourceType,
        accents: Accents,
    ) -> Result<Self, ScimError> {
        if text.contains('[') && !accents.has(Accent::BracketsInProjection) {
            let detail = "Attributes are named without brackets.";
            return Err(ScimError::invalid_value(detail));
        }
        let plain = without_brackets(text).to_ascii_lowercase();
        let names = plain.split(',').map(str::trim);
        let names: BTreeSet<_> = names.filter(|name| !name.is_empty()).collect();
        if names.len() > MAX_NAMES {
            let detail = format!("At most {MAX_NAMES} attributes may be named.");
            return Err(ScimError::invalid_value(detail));
        }
        let mut found = Self::default();
        for name in names {
            let Some(path) = Path::parse(name) else {
                continue;
            };
            // Without a value to tell, the URN of an extension that nobody
            // registered may be one with an attribute behind it.
            for shape in [Shape::Unknown, Shape::Attributes] {
                if let Some(path) = path.resolve_for(resource, accents, shape) {
                    found.insert(path);
                }
            }
        }
        Ok(found)
    }

    fn insert(&mut self, path: AttrPath) {
        let attributes = self.0.entry(path.schema.to_ascii_lowercase()).or_default();
        let name = path.attribute.to_ascii_lowercase();
        let named = attributes.entry(name).or_insert_with(|| Named {
            schema: path.schema,
            attribute: path.attribute,
            whole: false,
            sub_attributes: BTreeSet::new(),
        });
        match path.sub_attribute {
            Some(sub) => {
                named.sub_attributes.insert(sub.to_ascii_lowercase());
            }
            None => named.whole = true,
        }
    }

    fn reach(&self, schema: &str, attribute: &str) -> Reach<'_> {
        let Some(attributes) = self.0.get(&schema.to_ascii_lowercase()) else {
            return Reach::Nothing;
        };
        if attributes.contains_key("") {
            return Reach::Whole;
        }
        match attributes.get(&attribute.to_ascii_lowercase()) {
            None => Reach::Nothing,
            Some(named) if named.whole => Reach::Whole,
            Some(named) => Reach::Parts(&named.sub_attributes),
        }
    }

    /// Schema and name of each.
    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = self.0.values().flat_map(BTreeMap::values);
        named.map(|named| (named.schema.as_ref(), named.attribute.as_ref()))
    }
}

/// The list without what stands in brackets: a client that asks for
/// `emails[type eq "work"]` gets all e-mail addresses.
fn without_brackets(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

fn retain(value: Value, wanted: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::List(elements) if elements.is_empty() => Some(Value::List(elements)),
        Value::List(elements) => {
            let kept: Vec<_> = elements
                .into_iter()
                .filter_map(|element| retain(element, wanted))
                .collect();
            (!kept.is_empty()).then_some(Value::List(kept))
        }
        Value::Complex(object) => {
            let kept: Object = object
                .into_iter()
                .filter(|(name, _)| wanted(name))
                .collect();
            (!kept.is_empty()).then_some(Value::Complex(kept))
        }
        simple => Some(simple),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{GROUP, Kind, Schema, USER, Uniqueness};

    use super::{super::flavor::Flavor, *};

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, groups: bool, members: bool) {
        let user = Projection::parse(attributes, excluded, &USER, Flavor::Entra.accents())
            .expect("few names");
        assert_eq!(
            user.wants("", "groups"),
            groups,
            "{attributes:?} {excluded:?}"
        );
        let group = Projection::parse(attributes, excluded, &GROUP, Flavor::Entra.accents())
            .expect("few names");
        assert_eq!(
            group.wants("", "members"),
            members,
            "{attributes:?} {excluded:?}"
        );
    }

    #[test]
    fn costly_attributes_are_loaded_only_when_wanted() {
        check(None, None, true, true);
        check(Some(""), Some(" "), true, true);
        check(Some("id"), None, false, false);
        check(Some("Members.value,GROUPS"), None, true, true);
        check(None, Some("members,groups"), false, false);
        check(None, Some("members.display,groups.$ref"), true, true);
        check(
            None,
            Some("urn:ietf:params:scim:schemas:core:2.0:Group:members"),
            true,
            false,
        );
        check(Some("members"), Some("members"), false, true);
    }

    #[test]
    fn id_comes_always() {
        let projection =
            Projection::parse(None, Some("id"), &USER, Flavor::Entra.accents()).expect("one name");
        assert!(projection.wants("", "id"));
    }

    const TEXT: Attribute = Attribute {
        name: "text",
        kind: Kind::String,
        multi_valued: false,
        description: "",
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        canonical_values: &[],
        reference_types: &[],
        sub_attributes: &[],
        reach: muster_proto::schema::Reach::Document,
    };

    const NEVER: Attribute = Attribute {
        name: "never",
        returned: Returned::Never,
        ..TEXT
    };

    const SECRET: Attribute = Attribute {
        name: "secret",
        mutability: Mutability::WriteOnly,
        ..TEXT
    };

    const REQUEST: Attribute = Attribute {
        name: "request",
        returned: Returned::Request,
        ..TEXT
    };

    const ALWAYS: Attribute = Attribute {
        name: "always",
        returned: Returned::Always,
        ..TEXT
    };

    static ACME: Schema = Schema {
        urn: "urn:acme",
        name: "Acme",
        description: "",
        attributes: &[
            TEXT,
            NEVER,
            SECRET,
            REQUEST,
            ALWAYS,
            Attribute {
                name: "parts",
                kind: Kind::Complex,
                sub_attributes: &[TEXT, NEVER, SECRET, REQUEST, ALWAYS],
                ..TEXT
            },
        ],
    };

    static TENANT: ResourceType = ResourceType {
        name: USER.name,
        description: USER.description,
        endpoint: USER.endpoint,
        core: USER.core,
        extensions: &[&ACME],
    };

    #[track_caller]
    fn shown(attributes: Option<&str>, excluded: Option<&str>, top: &str, parts: &str) {
        let strict = Accents::default();
        let projection = Projection::parse(attributes, excluded, &TENANT, strict);
        let projection = projection.expect("few names");
        let names = ["text", "never", "secret", "request", "always"];
        let kept = names
            .into_iter()
            .filter(|name| projection.wants("urn:acme", name));
        assert_eq!(
            kept.collect::<Vec<_>>().join(" "),
            top,
            "{attributes:?} {excluded:?}"
        );
        let all = names.map(|name| (name.to_owned(), Value::from(true)));
        let all = Value::Complex(Object::from(all));
        let kept = projection.keep("urn:acme", "parts", all);
        let kept = kept.as_ref().and_then(Value::as_object);
        let kept: Vec<_> = kept
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(kept.join(" "), parts, "{attributes:?} {excluded:?}");
    }

    #[test]
    fn schemas_say_when_an_attribute_is_returned() {
        let only = Projection::parse(Some("id"), None, &TENANT, Accents::default());
        let wanted = only.as_ref().map(Projection::wanted);
        let expected = vec![("", "id"), ("urn:acme", "always")];
        assert_eq!(wanted, Ok(Some(expected)));
        shown(None, None, "text always", "always text");
        shown(Some("urn:acme:parts"), None, "always", "always text");
        shown(
            Some("urn:acme:text,urn:acme:never,urn:acme:secret,urn:acme:request"),
            None,
            "text request always",
            "",
        );
        shown(
            Some("urn:acme:parts.request,urn:acme:parts.secret,urn:acme:parts.never"),
            None,
            "always",
            "always request",
        );
        shown(
            None,
            Some("urn:acme:always,urn:acme:text,urn:acme:parts.text,urn:acme:parts.always"),
            "always",
            "always",
        );
    }

    #[test]
    fn accents() {
        let parse = |attributes, excluded, accents| {
            Projection::parse(attributes, excluded, &USER, accents).is_ok()
        };
        for (accent, attributes, excluded) in [
            (Accent::BothProjections, "id", Some("members")),
            (
                Accent::BracketsInProjection,
                "emails[type eq \"work\"]",
                None,
            ),
        ] {
            let with = Accents::of(&[accent]);
            assert!(parse(Some(attributes), excluded, with), "{accent:?}");
            let without = Accents::default();
            assert!(!parse(Some(attributes), excluded, without), "{accent:?}");
        }
    }

    #[test]
    fn names_are_counted_once_each() {
        let parse =
            |text: &str| Projection::parse(Some(text), None, &USER, Flavor::Entra.accents());
        let many = |count: usize| {
            let names: Vec<_> = (0..count)
                .map(|n| format!("urn:x:Y:2.0:User:a{n}"))
                .collect();
            names.join(",")
        };
        assert!(parse(&many(MAX_NAMES)).is_ok());
        let error = parse(&many(MAX_NAMES + 1)).expect_err("too many");
        assert_eq!(error.status(), 400);
        let repeated = parse(&"emails.value, EMAILS.Value,,".repeat(MAX_NAMES));
        let wanted = repeated.as_ref().map(Projection::wanted);
        assert_eq!(wanted, Ok(Some(vec![("", "emails")])));
    }

    #[test]
    fn parts_of_extensions_are_named_without_case() {
        let projection = Projection::parse(
            None,
            Some("urn:X:y:2.0:User:SITE.floor"),
            &USER,
            Flavor::Entra.accents(),
        );
        let projection = projection.expect("one name");
        let parts = ["Floor", "room"].map(|name| (name.to_owned(), Value::from(true)));
        let site = Value::Complex(Object::from(parts));
        let kept = projection.keep("urn:x:Y:2.0:User", "site", site);
        let room = Object::from([("room".to_owned(), Value::from(true))]);
        assert_eq!(kept, Some(Value::Complex(room)));
    }
}
