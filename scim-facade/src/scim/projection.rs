//! Which attributes a client wants: RFC 7644 section 3.9.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use muster_proto::{
    schema::{Attribute, Mutability, ResourceType, Returned, Target, is_urn},
    value::{Object, Value},
};

use super::{
    error::ScimError,
    flavor::{Accent, Accents},
    patch::Edit,
    path::{AttrPath, Definition, Path, Shape},
};

/// Most different names in a list of attributes. All that the registry has,
/// with their sub-attributes, are fewer.
pub const MAX_NAMES: usize = 200;

/// The attributes of an answer. `id` and `schemas` come always.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    resource: &'static ResourceType,
    choice: Choice,
    /// What the request set of that which is returned on request alone.
    set: BTreeSet<Place>,
}

/// Schema, attribute and sub-attribute, which is empty for the attribute itself;
/// in lower case.
type Place = [String; 3];

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
        accents: Accents<'_>,
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
        Ok(Self {
            resource,
            choice,
            set: BTreeSet::new(),
        })
    }

    /// The same in the answer to a request that wrote these attributes. RFC 7643
    /// section 7: what is returned on request comes also when the client set it.
    pub fn written(mut self, attributes: &Object) -> Self {
        for (name, value) in attributes {
            match value {
                Value::Complex(object) if is_urn(name) => {
                    for (attribute, value) in object {
                        self.mention(name, attribute, None, Some(value));
                    }
                }
                value => self.mention("", name, None, Some(value)),
            }
        }
        self
    }

    /// The same in the answer to a request that made these edits; see
    /// [`written`](Self::written).
    pub fn edited<'a>(mut self, edits: impl IntoIterator<Item = &'a Edit>) -> Self {
        for Edit { path, value, .. } in edits {
            let sub = path.sub_attribute.as_deref();
            self.mention(&path.schema, &path.attribute, sub, value.as_ref());
        }
        self
    }

    fn mention(&mut self, schema: &str, name: &str, sub: Option<&str>, value: Option<&Value>) {
        let Some(attribute) = self.definition(schema, name) else {
            return;
        };
        if returned(attribute) == Returned::Request {
            self.set.insert(place(schema, name, ""));
        }
        let subs = attribute.sub_attributes.iter();
        for part in subs.filter(|sub| returned(sub) == Returned::Request) {
            if sub == Some(part.name) || value.is_some_and(|value| has_part(value, part.name)) {
                self.set.insert(place(schema, name, part.name));
            }
        }
    }

    fn is_set(&self, schema: &str, attribute: &str, sub: &str) -> bool {
        // Few schemas have such attributes.
        !self.set.is_empty() && self.set.contains(&place(schema, attribute, sub))
    }

    /// Whether the client wants the attribute or something in it.
    pub fn wants(&self, schema: &str, attribute: &str) -> bool {
        let returned = self.definition(schema, attribute).map(returned);
        match (returned, &self.choice) {
            (Some(Returned::Always), _) => true,
            (Some(Returned::Never), _) => false,
            (_, Choice::Only(names)) => !matches!(names.reach(schema, attribute), Reach::Nothing),
            (Some(Returned::Request), _) if !self.is_set(schema, attribute, "") => false,
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
                Some(Returned::Request) => match named {
                    Some(true) => only,
                    Some(false) => !only && self.is_set(schema, attribute, name),
                    None => self.is_set(schema, attribute, name),
                },
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

/// Whether no answer ever shows what the path reaches. Then no filter and no
/// order may tell of it either: the value could be asked for bit by bit.
pub fn is_hidden(path: &AttrPath) -> bool {
    let never = |attribute: &Attribute| returned(attribute) == Returned::Never;
    match path.definition {
        Definition::Attribute(attribute) => never(attribute),
        Definition::SubAttribute(attribute, sub) => never(attribute) || never(sub),
        Definition::Extension(_) | Definition::Unregistered => false,
    }
}

/// When the attribute is returned. What clients only write, they never see.
fn returned(attribute: &Attribute) -> Returned {
    match attribute.mutability {
        Mutability::WriteOnly => Returned::Never,
        _ => attribute.returned,
    }
}

fn place(schema: &str, attribute: &str, sub: &str) -> Place {
    [schema, attribute, sub].map(str::to_ascii_lowercase)
}

/// Whether the value, or an element of it, has this part.
fn has_part(value: &Value, name: &str) -> bool {
    match value {
        Value::Complex(object) => object.contains_key(name),
        Value::List(elements) => elements.iter().any(|element| has_part(element, name)),
        _ => false,
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
        accents: Accents<'_>,
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
mod tests;
