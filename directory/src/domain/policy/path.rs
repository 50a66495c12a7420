//! Paths of a policy: the attribute paths of RFC 7644 section 3.10, with an
//! element of a multi-valued attribute chosen by its `type` alone.

use std::fmt;

use muster_proto::{
    schema::{Attribute, Kind, Mutability, ResourceType, Target, is_urn},
    value::{Object, Value},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path such as `title`, `name.givenName`, `emails[type eq "work"].value`, or
/// one of these behind the URN of an extension and a colon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// URN of the extension; `None` for the core schema.
    pub extension: Option<String>,
    /// The attribute; empty: the extension as a whole.
    pub attribute: String,
    /// The `type` of an element.
    pub of_type: Option<String>,
    /// The sub-attribute.
    pub sub: Option<String>,
}

impl Path {
    /// Reads a path; what it names is not looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no path such as emails[type eq \"work\"].value");
        let (head, rest) = match text.split_once('[') {
            Some((head, rest)) => (head, Some(rest)),
            None => (text, None),
        };
        let (extension, name) = match is_urn(head) {
            // An extension as a whole ends in a version: ...:2.0:User.
            true => extension(head).ok_or_else(wrong)?,
            false => (None, head),
        };
        let (attribute, mut sub) = match name.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (name, None),
        };
        let mut of_type = None;
        if let Some(rest) = rest {
            let (kind, after) = rest
                .strip_prefix("type eq \"")
                .and_then(|rest| rest.split_once("\"]"))
                .ok_or_else(wrong)?;
            of_type = Some(kind.to_owned());
            if sub.is_some() {
                return Err(wrong());
            }
            sub = match after {
                "" => None,
                after => Some(after.strip_prefix('.').ok_or_else(wrong)?),
            };
        }
        let is_name = |name: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-$".contains(&b);
            !name.is_empty() && name.bytes().all(fits)
        };
        let is_whole = extension.is_some() && attribute.is_empty() && sub.is_none();
        let names = (is_whole || is_name(attribute)) && sub.is_none_or(is_name);
        if !names
            || of_type
                .as_deref()
                .is_some_and(|kind| kind.is_empty() || kind.contains('"'))
        {
            return Err(wrong());
        }
        Ok(Self {
            extension,
            attribute: attribute.to_owned(),
            of_type,
            sub: sub.map(ToOwned::to_owned),
        })
    }

    /// A path of the core schema or of an extension, without brackets.
    pub fn of(extension: Option<&str>, attribute: &str) -> Self {
        Self {
            extension: extension.map(ToOwned::to_owned),
            attribute: attribute.to_owned(),
            of_type: None,
            sub: None,
        }
    }

    /// Whether it is this attribute of the core schema as a whole, in whatever case.
    pub fn is_core(&self, attribute: &str) -> bool {
        self.attribute.eq_ignore_ascii_case(attribute) && *self == Self::of(None, &self.attribute)
    }

    /// The same path in the registry's spelling, with what the attribute is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn resolve(&self, schema: &'static ResourceType) -> Result<Resolved, String> {
        let urn = self.extension.as_deref().unwrap_or_default();
        let unknown = || format!("{self} names no attribute of a user");
        let (extension, attribute) = match schema.find(urn, &self.attribute).ok_or_else(unknown)? {
            Target::Core(attribute) => (None, attribute),
            Target::Extension(extension, attribute) => (Some(extension.urn), attribute),
            Target::WholeExtension(extension) => {
                return Ok(Resolved {
                    path: Self::of(Some(extension.urn), ""),
                    attribute: None,
                    leaf: None,
                });
            }
            Target::Unregistered(..) | Target::WholeUnregistered(_) => {
                return Err(format!("{self} is of a schema that is not registered"));
            }
        };
        if attribute.mutability == Mutability::ReadOnly {
            return Err(format!("{self} is not written by clients"));
        }
        let sub = self.sub_attribute(attribute)?;
        if sub.is_some_and(|sub| sub.mutability == Mutability::ReadOnly) {
            return Err(format!("{self} is not written by clients"));
        }
        if self.of_type.is_some() && !attribute.multi_valued {
            return Err(format!("{} has one value, and no types", self.attribute));
        }
        if attribute.multi_valued && self.of_type.is_none() && sub.is_some() {
            return Err(format!("{self} does not say of which type"));
        }
        Ok(Resolved {
            path: Self {
                extension: extension.map(ToOwned::to_owned),
                attribute: attribute.name.to_owned(),
                of_type: self.of_type.as_deref().map(|kind| spelled(attribute, kind)),
                sub: sub.map(|sub| sub.name.to_owned()),
            },
            attribute: Some(attribute),
            leaf: Some(sub.unwrap_or(attribute)),
        })
    }

    fn sub_attribute(
        &self,
        attribute: &'static Attribute,
    ) -> Result<Option<&'static Attribute>, String> {
        let Some(name) = &self.sub else {
            return Ok(None);
        };
        let mut subs = attribute.sub_attributes.iter();
        let found = subs.find(|sub| sub.name.eq_ignore_ascii_case(name));
        let found = found.ok_or_else(|| format!("{} has no {name}", self.attribute))?;
        Ok(Some(found))
    }

    /// Whether it means all that another one means.
    pub fn covers(&self, part: &Self) -> bool {
        let covers = |whole: &Option<String>, part: &Option<String>| {
            let is_same = |whole: &String| {
                let part = part.as_deref();
                part.is_some_and(|part| part.eq_ignore_ascii_case(whole))
            };
            whole.as_ref().is_none_or(is_same)
        };
        let is_same = self.attribute.is_empty() || self.attribute == part.attribute;
        self.extension == part.extension
            && is_same
            && covers(&self.of_type, &part.of_type)
            && covers(&self.sub, &part.sub)
    }

    /// Whether both may mean the same value: what one leaves open the other may say.
    pub fn meets(&self, other: &Self) -> bool {
        let may_be = |one: &Option<String>, other: &Option<String>| match (one, other) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => true,
        };
        let (one, two) = (&self.attribute, &other.attribute);
        self.extension == other.extension
            && (one == two || one.is_empty() || two.is_empty())
            && may_be(&self.of_type, &other.of_type)
            && may_be(&self.sub, &other.sub)
    }

    /// The value in these attributes; of several elements of a type the first that has
    /// one.
    pub fn get<'a>(&self, attributes: &'a Object) -> Option<&'a Value> {
        self.all(attributes).into_iter().next()
    }

    /// All values in these attributes: of each element of the type.
    pub fn all<'a>(&self, attributes: &'a Object) -> Vec<&'a Value> {
        let sub = |value: &'a Value| match &self.sub {
            None => Some(value),
            Some(sub) => value.as_object()?.get(sub),
        };
        match &self.of_type {
            None => self.whole(attributes).and_then(sub).into_iter().collect(),
            Some(_) => self.elements(attributes).filter_map(sub).collect(),
        }
    }

    /// The elements of the type.
    pub(super) fn elements<'a>(
        &self,
        attributes: &'a Object,
    ) -> impl Iterator<Item = &'a Value> + use<'a, '_> {
        let list = self.whole(attributes).and_then(Value::as_list);
        let elements = list.unwrap_or_default().iter();
        elements.filter(|element| self.chooses(element))
    }

    /// Whether an element is of the type.
    pub(super) fn chooses(&self, element: &Value) -> bool {
        let kind = self.of_type.as_deref();
        kind.is_none_or(|kind| is_of_type(element, kind))
    }

    /// The attribute as a whole.
    fn whole<'a>(&self, attributes: &'a Object) -> Option<&'a Value> {
        match &self.extension {
            None => attributes.get(&self.attribute),
            Some(urn) if self.attribute.is_empty() => attributes.get(urn),
            Some(urn) => attributes.get(urn)?.as_object()?.get(&self.attribute),
        }
    }

    /// Gives the elements of the type what others have: all of it, or the sub-attribute
    /// one by one.
    pub(super) fn restore(&self, attributes: &mut Object, others: &Object) {
        let attribute = Self {
            of_type: None,
            sub: None,
            ..self.clone()
        };
        let mut elements = match attribute.whole(attributes) {
            Some(Value::List(elements)) => elements.clone(),
            _ => Vec::new(),
        };
        let mut old = self.elements(others).cloned();
        if let Some(sub) = &self.sub {
            for element in elements.iter_mut().filter(|element| self.chooses(element)) {
                let former = old.next();
                let former = former.as_ref().and_then(Value::as_object);
                put_sub(element, sub, former.and_then(|former| former.get(sub)));
            }
            elements.retain(|element| !self.chooses(element) || says_anything(element));
        } else {
            elements.retain(|element| !self.chooses(element));
        }
        elements.extend(old);
        let value = (!elements.is_empty()).then_some(Value::List(elements));
        attribute.set(attributes, value);
    }

    /// Gives these attributes this value, or takes it away.
    pub fn set(&self, attributes: &mut Object, value: Option<Value>) {
        let Some(urn) = &self.extension else {
            return self.set_in(attributes, value);
        };
        let mut extension = match attributes.remove(urn) {
            Some(Value::Complex(extension)) => extension,
            _ => Object::new(),
        };
        self.set_in(&mut extension, value);
        if !extension.is_empty() {
            attributes.insert(urn.clone(), Value::Complex(extension));
        }
    }

    fn set_in(&self, home: &mut Object, value: Option<Value>) {
        let Some(kind) = &self.of_type else {
            return put_leaf(home, &self.attribute, self.sub.as_deref(), value);
        };
        let mut elements = match home.remove(&self.attribute) {
            Some(Value::List(elements)) => elements,
            _ => Vec::new(),
        };
        let at = elements
            .iter()
            .position(|element| is_of_type(element, kind));
        match (at, value) {
            (Some(at), Some(value)) => self.put_in_element(elements.get_mut(at), value),
            (Some(at), None) => {
                if self.sub.is_none() || self.take_from_element(elements.get_mut(at)) {
                    elements.remove(at);
                }
            }
            (None, Some(value)) => {
                let kind = Value::String(kind.clone());
                let mut element = Value::Complex(Object::from([("type".to_owned(), kind)]));
                self.put_in_element(Some(&mut element), value);
                elements.push(element);
            }
            (None, None) => {}
        }
        if !elements.is_empty() {
            home.insert(self.attribute.clone(), Value::List(elements));
        }
    }

    /// Takes a part out of an element; whether nothing is left that says anything.
    fn take_from_element(&self, element: Option<&mut Value>) -> bool {
        let (Some(Value::Complex(object)), Some(sub)) = (element, &self.sub) else {
            return true;
        };
        object.remove(sub);
        !has_parts(object)
    }

    fn put_in_element(&self, element: Option<&mut Value>, value: Value) {
        match (element, &self.sub) {
            (Some(Value::Complex(object)), Some(sub)) => {
                object.insert(sub.clone(), value);
            }
            (Some(element), None) => *element = value,
            _ => {}
        }
    }

    /// What people call it.
    pub fn label(&self) -> String {
        let text = self.to_string();
        let known = LABELS.iter().find(|(path, _)| *path == text);
        known.map_or_else(
            || self.sub.as_ref().unwrap_or(&self.attribute).clone(),
            |(_, label)| (*label).to_owned(),
        )
    }
}

const LABELS: [(&str, &str); 9] = [
    ("active", "active flag"),
    ("displayName", "display name"),
    ("emails[type eq \"work\"].value", "work e-mail address"),
    ("externalId", "external id"),
    ("name.familyName", "family name"),
    ("name.givenName", "given name"),
    ("phoneNumbers[type eq \"mobile\"].value", "mobile number"),
    ("phoneNumbers[type eq \"work\"].value", "work phone number"),
    ("userName", "user name"),
];

/// A path that names something.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// In the registry's spelling.
    pub path: Path,
    /// The attribute; `None` for an extension as a whole.
    pub attribute: Option<&'static Attribute>,
    /// The attribute or sub-attribute that has the value.
    pub leaf: Option<&'static Attribute>,
}

impl Resolved {
    /// The type of a single value that is no complex one.
    pub fn simple(&self) -> Option<Kind> {
        let (attribute, leaf) = (self.attribute?, self.leaf?);
        let is_one = self.path.of_type.is_some() || !attribute.multi_valued;
        (is_one && leaf.kind != Kind::Complex).then_some(leaf.kind)
    }
}

fn extension(head: &str) -> Option<(Option<String>, &str)> {
    // Versions have dots, attributes come behind the last colon.
    let (urn, name) = head.rsplit_once(':')?;
    let is_version = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let is_whole = urn
        .rsplit_once(':')
        .is_some_and(|(_, last)| is_version(last));
    match is_whole {
        true => Some((Some(head.to_owned()), "")),
        false => Some((Some(urn.to_owned()), name)),
    }
}

/// A type as the registry spells it, where it knows it.
fn spelled(attribute: &Attribute, kind: &str) -> String {
    known_type(attribute, kind).unwrap_or(kind).to_owned()
}

/// The type of an element that the registry knows by this name: what clients make up
/// may be anything.
pub(super) fn known_type(attribute: &Attribute, kind: &str) -> Option<&'static str> {
    let mut subs = attribute.sub_attributes.iter();
    let of_type = subs.find(|sub| sub.name == "type")?;
    let mut known = of_type.canonical_values.iter();
    known
        .find(|known| known.eq_ignore_ascii_case(kind))
        .copied()
}

pub(super) fn is_of_type(element: &Value, kind: &str) -> bool {
    let found = element.as_object().and_then(|object| object.get("type"));
    found
        .and_then(Value::as_str)
        .is_some_and(|found| found.eq_ignore_ascii_case(kind))
}

fn put_sub(element: &mut Value, sub: &str, value: Option<&Value>) {
    let Value::Complex(object) = element else {
        return;
    };
    match value {
        Some(value) => object.insert(sub.to_owned(), value.clone()),
        None => object.remove(sub),
    };
}

fn says_anything(element: &Value) -> bool {
    element.as_object().is_some_and(has_parts)
}

/// Whether there is more than what tells the element from others.
fn has_parts(element: &Object) -> bool {
    let mut parts = element.keys();
    parts.any(|part| part != "type" && part != "primary")
}

fn put_leaf(home: &mut Object, attribute: &str, sub: Option<&str>, value: Option<Value>) {
    let Some(sub) = sub else {
        match value {
            Some(value) => home.insert(attribute.to_owned(), value),
            None => home.remove(attribute),
        };
        return;
    };
    let mut complex = match home.remove(attribute) {
        Some(Value::Complex(complex)) => complex,
        _ => Object::new(),
    };
    put_leaf(&mut complex, sub, None, value);
    if !complex.is_empty() {
        home.insert(attribute.to_owned(), Value::Complex(complex));
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extension {
            Some(urn) if self.attribute.is_empty() => return f.write_str(urn),
            Some(urn) => write!(f, "{urn}:")?,
            None => {}
        }
        f.write_str(&self.attribute)?;
        if let Some(kind) = &self.of_type {
            write!(f, "[type eq \"{kind}\"]")?;
        }
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, USER};

    use super::*;

    #[test]
    fn paths_are_written_as_they_are_read() {
        let department = format!("{ENTERPRISE_USER}:department");
        for text in [
            "title",
            "name.givenName",
            "emails",
            "emails[type eq \"work\"]",
            "emails[type eq \"work\"].value",
            &department,
            ENTERPRISE_USER,
        ] {
            let path = Path::parse(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(path.to_string(), text);
            assert!(path.resolve(&USER).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_path_says_so() {
        for text in [
            "",
            "a b",
            "emails[primary eq true]",
            "a.b.c",
            "emails[type eq \"x\"",
            "x[",
        ] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
        for text in [
            "hobby",
            "name.nick",
            "emails.value",
            "title[type eq \"x\"]",
            "groups",
            "id",
        ] {
            let path = Path::parse(text).unwrap_or_else(|e| panic!("{e}"));
            assert!(path.resolve(&USER).is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_are_set_where_they_are_found() {
        let mut attributes = Object::new();
        for text in [
            "title",
            "name.givenName",
            "emails[type eq \"work\"].value",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ] {
            let path = Path::parse(text).unwrap_or_else(|e| panic!("{e}"));
            let value = Value::String("x".to_owned());
            path.set(&mut attributes, Some(value.clone()));
            assert_eq!(path.get(&attributes), Some(&value), "{text}");
            path.set(&mut attributes, None);
            assert!(attributes.is_empty(), "{text}: {attributes:?}");
        }
    }

    #[test]
    fn what_is_beside_a_part_stays() {
        let path = |text: &str| Path::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let street = path("addresses[type eq \"work\"].streetAddress");
        let town = path("addresses[type eq \"work\"].locality");
        let (mut attributes, value) = (Object::new(), Value::String("x".to_owned()));
        street.set(&mut attributes, Some(value.clone()));
        town.set(&mut attributes, Some(value.clone()));
        town.set(&mut attributes, None);
        assert_eq!(street.get(&attributes), Some(&value));
        assert_eq!(town.get(&attributes), None);
    }
}
