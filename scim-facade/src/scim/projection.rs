//! Which attributes a client wants: RFC 7644 section 3.9.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use muster_proto::{
    schema::{ResourceType, Returned},
    value::{Object, Value},
};

use super::{
    error::ScimError,
    path::{AttrPath, Path, is_ambiguous},
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
    /// the two; of both, `attributes` counts.
    ///
    /// # Errors
    /// `invalidValue` for more than [`MAX_NAMES`] names.
    pub fn parse(
        attributes: Option<&str>,
        excluded: Option<&str>,
        resource: &'static ResourceType,
    ) -> Result<Self, ScimError> {
        let given = |text: &&str| !text.trim().is_empty();
        let choice = match (attributes.filter(given), excluded.filter(given)) {
            (Some(text), _) => Choice::Only(Names::parse(text, resource)?),
            (None, Some(text)) => Choice::Except(Names::parse(text, resource)?),
            (None, None) => Choice::All,
        };
        Ok(Self { resource, choice })
    }

    /// Whether the client wants the attribute or something in it.
    pub fn wants(&self, schema: &str, attribute: &str) -> bool {
        if self.is_always(schema, attribute) {
            return true;
        }
        match &self.choice {
            Choice::All => true,
            Choice::Only(names) => !matches!(names.reach(schema, attribute), Reach::Nothing),
            Choice::Except(names) => !matches!(names.reach(schema, attribute), Reach::Whole),
        }
    }

    /// What the client wants of the attribute's value.
    pub fn keep(&self, schema: &str, attribute: &str, value: Value) -> Option<Value> {
        if !self.wants(schema, attribute) {
            return None;
        }
        let (names, only) = match &self.choice {
            Choice::All => return Some(value),
            Choice::Only(names) => (names, true),
            Choice::Except(names) => (names, false),
        };
        match names.reach(schema, attribute) {
            Reach::Parts(parts) => retain(value, &|name| {
                parts.contains(&name.to_ascii_lowercase()) == only
            }),
            Reach::Nothing | Reach::Whole => Some(value),
        }
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
            Choice::Only(names) => Some(names.all().collect()),
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

    fn is_always(&self, schema: &str, attribute: &str) -> bool {
        let definition = self.resource.core_attribute(attribute);
        schema.is_empty() && definition.is_some_and(|a| a.returned == Returned::Always)
    }
}

impl Names {
    fn parse(text: &str, resource: &'static ResourceType) -> Result<Self, ScimError> {
        let plain = without_brackets(text).to_ascii_lowercase();
        let names = plain.split(',').map(str::trim);
        let names: BTreeSet<_> = names.filter(|name| !name.is_empty()).collect();
        if names.len() > MAX_NAMES {
            let detail = format!("At most {MAX_NAMES} attributes may be named.");
            return Err(ScimError::invalid_value(detail));
        }
        let mut found = Self::default();
        for name in names {
            // Without a value to tell, such a URN means both.
            let whole = is_ambiguous(name).then(|| Path::extension(name));
            for path in [Path::parse(name), whole].into_iter().flatten() {
                if let Some(path) = path.resolve(resource) {
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
    use muster_proto::schema::{GROUP, USER};

    use super::*;

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, groups: bool, members: bool) {
        let user = Projection::parse(attributes, excluded, &USER).expect("few names");
        assert_eq!(
            user.wants("", "groups"),
            groups,
            "{attributes:?} {excluded:?}"
        );
        let group = Projection::parse(attributes, excluded, &GROUP).expect("few names");
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
        let projection = Projection::parse(None, Some("id"), &USER).expect("one name");
        assert!(projection.wants("", "id"));
    }

    #[test]
    fn names_are_counted_once_each() {
        let parse = |text: &str| Projection::parse(Some(text), None, &USER);
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
        let projection = Projection::parse(None, Some("urn:X:y:2.0:User:SITE.floor"), &USER);
        let projection = projection.expect("one name");
        let parts = ["Floor", "room"].map(|name| (name.to_owned(), Value::from(true)));
        let site = Value::Complex(Object::from(parts));
        let kept = projection.keep("urn:x:Y:2.0:User", "site", site);
        let room = Object::from([("room".to_owned(), Value::from(true))]);
        assert_eq!(kept, Some(Value::Complex(room)));
    }
}
