//! Attribute paths: RFC 7644 sections 3.10 and 3.5.2.
//!
//! A [`Path`] is what the text says; an [`AttrPath`] was found in the
//! registry and spells names as it does. Where a URN ends and the attribute
//! behind it begins cannot be told from the text: URNs have any form, so a path
//! with one is taken apart when it is resolved, against the schemas of the
//! resource.

use std::{borrow::Cow, fmt};

use muster_proto::schema::{Attribute, Mutability, ResourceType, Schema, Target, is_urn};

use super::{
    filter::Filter,
    flavor::{Accent, Accents},
    json::Json,
};

/// Names that reach an attribute of an extension without its URN. Microsoft
/// Entra's reference checks and its documented PATCH say plain `manager`.
const ALIASES: [&str; 1] = ["manager"];

/// `[schema ":"] attribute ["." sub-attribute]`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// A name without a schema.
    Plain {
        /// The attribute.
        attribute: String,
        /// Behind the dot.
        sub_attribute: Option<String>,
    },
    /// A URN, with or without an attribute behind it.
    Qualified(String),
}

/// The path of a PATCH operation or of a key that is a path.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    /// In front of the brackets.
    pub path: Path,
    /// What stands in the brackets.
    pub filter: Option<Filter>,
    /// The sub-attribute behind the brackets.
    pub sub_attribute: Option<String>,
}

/// What kind of value stands beside a path. Of a URN that nobody registered
/// nothing else tells whether it names an extension or an attribute of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// None is at hand.
    Unknown,
    /// An object: attributes of an extension.
    Attributes,
    /// Text, a number or a truth value.
    Simple,
}

impl Shape {
    /// The shape of a value.
    pub fn of(value: Option<&Json>) -> Self {
        match value {
            Some(Json::Object(_)) => Self::Attributes,
            Some(Json::String(_) | Json::Number(_) | Json::Bool(_)) => Self::Simple,
            Some(Json::Null | Json::Array(_)) | None => Self::Unknown,
        }
    }
}

/// A path that the registry knows, or one into an extension that no schema
/// describes.
#[derive(Debug, Clone, PartialEq)]
pub struct AttrPath {
    /// URN of the extension; empty for core attributes.
    pub schema: Cow<'static, str>,
    /// Empty: the extension as a whole.
    pub attribute: Cow<'static, str>,
    /// Behind the dot.
    pub sub_attribute: Option<Cow<'static, str>>,
    /// What the registry says about it.
    pub definition: Definition,
}

/// What the registry says about a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Definition {
    /// An attribute.
    Attribute(&'static Attribute),
    /// An attribute and one of its sub-attributes.
    SubAttribute(&'static Attribute, &'static Attribute),
    /// A registered extension as a whole.
    Extension(&'static Schema),
    /// An extension that no schema describes, or something in one.
    Unregistered,
}

impl Path {
    /// Reads a path. `None` when a name is not one of RFC 7643 section 2.1.
    pub fn parse(text: &str) -> Option<Self> {
        if is_urn(text) {
            return Some(Self::Qualified(text.to_owned()));
        }
        let parts = Parts::new("", text)?;
        Some(Self::Plain {
            attribute: parts.attribute.to_owned(),
            sub_attribute: parts.sub.map(str::to_owned),
        })
    }

    /// A single name, when it is no more than that: in brackets, the name of a
    /// sub-attribute.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Plain {
                attribute,
                sub_attribute: None,
            } => Some(attribute),
            Self::Plain { .. } | Self::Qualified(_) => None,
        }
    }

    /// Looks the path up. `None` when the resource has no such attribute.
    pub fn resolve(
        &self,
        resource: &'static ResourceType,
        accents: Accents<'_>,
    ) -> Option<AttrPath> {
        self.resolve_for(resource, accents, Shape::Unknown)
    }

    /// Looks the path up for a value of this shape.
    pub fn resolve_for(
        &self,
        resource: &'static ResourceType,
        accents: Accents<'_>,
        shape: Shape,
    ) -> Option<AttrPath> {
        let parts = match self {
            Self::Plain {
                attribute,
                sub_attribute,
            } => Parts {
                schema: "",
                attribute,
                sub: sub_attribute.as_deref(),
            },
            Self::Qualified(text) => split(text, resource, shape)?,
        };
        let target = resource
            .find(parts.schema, parts.attribute)
            .or_else(|| alias(&parts, resource, accents))?;
        match target {
            Target::Core(attribute) => AttrPath::registered("", attribute, parts.sub),
            Target::Extension(schema, attribute) => {
                AttrPath::registered(schema.urn, attribute, parts.sub)
            }
            Target::WholeExtension(schema) => Some(AttrPath {
                schema: schema.urn.into(),
                attribute: "".into(),
                sub_attribute: None,
                definition: Definition::Extension(schema),
            }),
            Target::Unregistered(..) | Target::WholeUnregistered(_) => accents
                .has(Accent::UnregisteredExtensions)
                .then(|| parts.unregistered()),
        }
    }
}

impl PatchPath {
    /// Looks the path up for a value of this shape. `None` also for brackets
    /// behind something else than an attribute.
    pub fn resolve_for(
        &self,
        resource: &'static ResourceType,
        accents: Accents<'_>,
        shape: Shape,
    ) -> Option<AttrPath> {
        let found = self.path.resolve_for(resource, accents, shape)?;
        let may_choose = found.sub_attribute.is_none() && !found.attribute.is_empty();
        if self.filter.is_some() && !may_choose {
            return None;
        }
        match &self.sub_attribute {
            None => Some(found),
            Some(name) => found.with_sub(name),
        }
    }
}

fn alias<'a>(
    parts: &Parts<'a>,
    resource: &'static ResourceType,
    accents: Accents<'_>,
) -> Option<Target<'a>> {
    let known = ALIASES
        .iter()
        .any(|alias| alias.eq_ignore_ascii_case(parts.attribute));
    if !parts.schema.is_empty() || !known || !accents.has(Accent::ManagerAlias) {
        return None;
    }
    resource.extensions.iter().find_map(|schema| {
        let attribute = schema.attribute(parts.attribute)?;
        Some(Target::Extension(schema, attribute))
    })
}

impl AttrPath {
    /// The path of a registered attribute (`schema` empty: core) or of its
    /// sub-attribute. `None` when it has no such sub-attribute.
    pub fn registered(
        schema: &'static str,
        attribute: &'static Attribute,
        sub: Option<&str>,
    ) -> Option<Self> {
        let (sub_attribute, definition) = match sub {
            None => (None, Definition::Attribute(attribute)),
            Some(name) => {
                let sub = attribute.sub_attribute(name)?;
                let definition = Definition::SubAttribute(attribute, sub);
                (Some(sub.name.into()), definition)
            }
        };
        Some(Self {
            schema: schema.into(),
            attribute: attribute.name.into(),
            sub_attribute,
            definition,
        })
    }

    /// The same path with a sub-attribute. `None` when there is none of that
    /// name.
    pub fn with_sub(&self, name: &str) -> Option<Self> {
        match self.definition {
            Definition::Attribute(attribute) => {
                let sub = attribute.sub_attribute(name)?;
                Some(Self {
                    sub_attribute: Some(sub.name.into()),
                    definition: Definition::SubAttribute(attribute, sub),
                    ..self.clone()
                })
            }
            Definition::Unregistered if self.sub_attribute.is_none() && !name.is_empty() => {
                Some(Self {
                    sub_attribute: Some(name.to_owned().into()),
                    ..self.clone()
                })
            }
            _ => None,
        }
    }

    /// The path of another sub-attribute beside this one. `None` when there is
    /// none of that name.
    pub fn with_sibling(&self, name: &str) -> Option<Self> {
        let Definition::SubAttribute(attribute, _) = self.definition else {
            return None;
        };
        let whole = Self {
            sub_attribute: None,
            definition: Definition::Attribute(attribute),
            ..self.clone()
        };
        whole.with_sub(name)
    }

    /// Whether only the server may write it.
    pub fn is_read_only(&self) -> bool {
        let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
        match self.definition {
            Definition::Attribute(attribute) => read_only(attribute),
            Definition::SubAttribute(attribute, sub) => read_only(attribute) || read_only(sub),
            Definition::Extension(_) | Definition::Unregistered => false,
        }
    }
}

/// A path taken apart.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Parts<'a> {
    /// Empty: core.
    schema: &'a str,
    /// Empty: the extension as a whole.
    attribute: &'a str,
    sub: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// `None` when a name is none.
    fn new(schema: &'a str, rest: &'a str) -> Option<Self> {
        let (attribute, sub) = match rest.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (rest, None),
        };
        let whole = rest.is_empty() && !schema.is_empty();
        let valid = whole || (is_name(attribute) && sub.is_none_or(is_name));
        valid.then_some(Self {
            schema,
            attribute,
            sub,
        })
    }

    fn unregistered(self) -> AttrPath {
        AttrPath {
            schema: self.schema.to_owned().into(),
            attribute: self.attribute.to_owned().into(),
            sub_attribute: self.sub.map(|sub| sub.to_owned().into()),
            definition: Definition::Unregistered,
        }
    }
}

/// Splits a schema URN from the attribute behind it. The longest registered
/// URN wins; of another one the last part is the attribute, unless it follows a
/// version (`urn:...:2.0:User` is an extension as a whole) or the value says
/// otherwise.
fn split<'a>(text: &'a str, resource: &ResourceType, shape: Shape) -> Option<Parts<'a>> {
    let schemas = resource.extensions.iter().copied().chain([resource.core]);
    let registered = schemas.filter_map(|schema| behind(text, schema));
    if let Some((schema, rest)) = registered.min_by_key(|(_, rest)| rest.len()) {
        return Parts::new(schema, rest);
    }
    if shape == Shape::Attributes && !is_behind_type(text) {
        return Parts::new(text, "");
    }
    match text.rsplit_once(':') {
        Some((head, last)) if head.contains(':') && !ends_with_version(head) => {
            Parts::new(head, last)
        }
        // Behind a version, names of resource types begin with a capital, so
        // those stay what they are.
        Some((head, last))
            if shape == Shape::Simple
                && last.starts_with(|c: char| c.is_ascii_lowercase())
                && is_name(last) =>
        {
            Parts::new(head, last)
        }
        _ => Parts::new(text, ""),
    }
}

/// The URN as written and what stands behind it, when it is this schema's.
fn behind<'a>(text: &'a str, schema: &Schema) -> Option<(&'a str, &'a str)> {
    let (head, rest) = text.split_at_checked(schema.urn.len())?;
    let attribute = match rest {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    };
    attribute
        .filter(|_| schema.is(head))
        .map(|attribute| (head, attribute))
}

/// Whether the last part stands behind a version and the name of a resource
/// type, as in `urn:...:2.0:User:manager`. Those names begin with a capital:
/// `urn:okta:app:1.0:user:custom` is an extension as a whole.
fn is_behind_type(urn: &str) -> bool {
    let mut ends = urn.match_indices(':').map(|(end, _)| end);
    let has_version = ends.any(|end| ends_with_version(&urn[..end]));
    let named = urn.rsplit(':').nth(1);
    has_version && named.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn ends_with_version(urn: &str) -> bool {
    let last = urn.rsplit(':').next().unwrap_or_default();
    last.starts_with(|c: char| c.is_ascii_digit())
        && last.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// RFC 7643 section 2.1, and `$ref`.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or(text);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "$-_".contains(c))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain {
                attribute,
                sub_attribute,
            } => write(f, "", attribute, sub_attribute.as_deref()),
            Self::Qualified(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some(filter) = &self.filter {
            write!(f, "[{filter}]")?;
        }
        match &self.sub_attribute {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(
            f,
            &self.schema,
            &self.attribute,
            self.sub_attribute.as_deref(),
        )
    }
}

fn write(
    f: &mut fmt::Formatter<'_>,
    schema: &str,
    attribute: &str,
    sub: Option<&str>,
) -> fmt::Result {
    let colon = if schema.is_empty() || attribute.is_empty() {
        ""
    } else {
        ":"
    };
    write!(f, "{schema}{colon}{attribute}")?;
    match sub {
        Some(sub) => write!(f, ".{sub}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, Kind, Reach, Returned, USER, Uniqueness};

    use super::{super::flavor::Flavor, *};

    const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        found(text, &USER, Flavor::Entra, Shape::Unknown, expected);
    }

    #[track_caller]
    fn found(
        text: &str,
        resource: &'static ResourceType,
        flavor: Flavor,
        shape: Shape,
        expected: Option<&str>,
    ) {
        let path = Path::parse(text);
        let found = path.and_then(|path| path.resolve_for(resource, flavor.accents(), shape));
        assert_eq!(found.map(|p| p.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn paths_are_spelled_as_in_the_registry() {
        check("USERNAME", Some("userName"));
        check("Name.GivenName", Some("name.givenName"));
        check(
            "urn:ietf:params:scim:schemas:core:2.0:user:userName",
            Some("userName"),
        );
        let manager = format!("{ENTERPRISE_USER}:manager");
        check(&manager.to_lowercase(), Some(&manager));
        check("manager", Some(&manager));
        check("Manager.Value", Some(&format!("{manager}.value")));
        check(ENTERPRISE_USER, Some(ENTERPRISE_USER));
        check(CUSTOM, Some(CUSTOM));
        let custom = format!("{CUSTOM}:CustomAttribute");
        check(&custom, Some(&custom));
        check("urn:x:custom:site.name", Some("urn:x:custom:site.name"));
        check("emails.$ref", None);
        check("groups.$ref", Some("groups.$ref"));
        for unknown in [
            "jobTitle",
            "department",
            "name.nick",
            "",
            "a b",
            "1a",
            "name.",
            ".x",
            "urn:x:custom:1a",
        ] {
            check(unknown, None);
        }
        check(&format!("{ENTERPRISE_USER}:shoeSize"), None);
        check(
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
            None,
        );
    }

    #[test]
    fn accents_of_names() {
        let strict = |text, expected| {
            found(text, &USER, Flavor::Strict, Shape::Unknown, expected);
        };
        strict("manager", None);
        strict(CUSTOM, None);
        strict("urn:x:custom:site", None);
        let manager = format!("{ENTERPRISE_USER}:manager");
        strict(&manager, Some(&manager));
    }

    #[test]
    fn the_value_tells_what_an_unregistered_urn_names() {
        let entra = |text, shape, expected| found(text, &USER, Flavor::Entra, shape, expected);
        let (attributes, simple) = (Shape::Attributes, Shape::Simple);
        entra("urn:x:custom", attributes, Some("urn:x:custom"));
        entra("urn:x:custom", Shape::Unknown, Some("urn:x:custom"));
        entra(
            "urn:x:a:1.0:level",
            Shape::Unknown,
            Some("urn:x:a:1.0:level"),
        );
        entra(CUSTOM, attributes, Some(CUSTOM));
        entra(CUSTOM, simple, Some(CUSTOM));
        let sub = |text: &str, shape| {
            let path = Path::parse(text).expect("a path");
            let found = path.resolve_for(&USER, Flavor::Entra.accents(), shape);
            found.expect("an extension").attribute.into_owned()
        };
        assert_eq!(sub("urn:x:a:1.0:level", simple), "level");
        assert_eq!(sub("urn:x:a:1.0:level", attributes), "");
        assert_eq!(sub("urn:okta:app:1.0:user:custom", attributes), "");
        assert_eq!(sub("urn:x:a:1.0:User:custom", attributes), "custom");
        assert_eq!(sub("urn:x:a:level", Shape::Unknown), "level");
        assert_eq!(sub("urn:x:a:level", attributes), "");
    }

    const LEVEL: Attribute = Attribute {
        name: "level",
        kind: Kind::Integer,
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
        reach: Reach::Document,
    };

    static SHORT: Schema = Schema {
        urn: "urn:acme:custom",
        name: "Short",
        description: "",
        attributes: &[LEVEL],
    };

    static LONG: Schema = Schema {
        urn: "urn:acme:custom:2.0",
        name: "Long",
        description: "",
        attributes: &[LEVEL],
    };

    static TENANT: ResourceType = ResourceType {
        name: USER.name,
        description: USER.description,
        endpoint: USER.endpoint,
        core: USER.core,
        extensions: &[&SHORT, &LONG],
    };

    #[test]
    fn the_longest_registered_urn_wins() {
        let tenant = |text, expected| {
            for shape in [Shape::Unknown, Shape::Simple, Shape::Attributes] {
                found(text, &TENANT, Flavor::Strict, shape, expected);
            }
        };
        tenant("urn:acme:custom", Some("urn:acme:custom"));
        tenant("URN:Acme:custom:Level", Some("urn:acme:custom:level"));
        tenant("urn:acme:custom:2.0", Some("urn:acme:custom:2.0"));
        tenant(
            "urn:acme:CUSTOM:2.0:level",
            Some("urn:acme:custom:2.0:level"),
        );
        tenant("urn:acme:custom:2.0:size", None);
        tenant("urn:acme:customs:level", None);
    }
}
