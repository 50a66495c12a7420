//! Attribute paths: RFC 7644 sections 3.10 and 3.5.2.
//!
//! A [`Path`] is what the text says; an [`AttrPath`] was found in the
//! registry and spells names as it does.

use std::{borrow::Cow, fmt};

use muster_proto::schema::{Attribute, Mutability, ResourceType, SCHEMAS, Schema, Target, is_urn};

use super::filter::Filter;

/// Names that reach an attribute of an extension without its URN. Microsoft
/// Entra's reference checks and its documented PATCH say plain `manager`.
const ALIASES: [&str; 1] = ["manager"];

/// `[schema ":"] attribute ["." sub-attribute]`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// URN of the schema; empty when there is none.
    pub schema: String,
    /// Empty, with a schema: the extension as a whole.
    pub attribute: String,
    /// Behind the dot.
    pub sub_attribute: Option<String>,
}

/// The path of a PATCH operation or of a key that is a path.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    /// Without the brackets; a sub-attribute behind them is part of it.
    pub path: Path,
    /// What stands in the brackets.
    pub filter: Option<Filter>,
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
        let (schema, rest) = split_urn(text);
        if rest.is_empty() && !schema.is_empty() {
            return Some(Self::new(schema, "", None));
        }
        let (attribute, sub) = match rest.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (rest, None),
        };
        let valid = is_name(attribute) && sub.is_none_or(is_name);
        valid.then(|| Self::new(schema, attribute, sub))
    }

    fn new(schema: &str, attribute: &str, sub: Option<&str>) -> Self {
        Self {
            schema: schema.to_owned(),
            attribute: attribute.to_owned(),
            sub_attribute: sub.map(str::to_owned),
        }
    }

    /// An extension as a whole.
    pub(super) fn extension(urn: &str) -> Self {
        Self::new(urn, "", None)
    }

    /// A whole extension that nobody registered, read as an attribute of one:
    /// `urn:x:1.0:level` as `level` of `urn:x:1.0`. Behind a version, names of
    /// resource types begin with a capital, so those stay what they are.
    pub(super) fn last_part_as_attribute(&self) -> Option<Self> {
        let registered = SCHEMAS.iter().any(|schema| schema.is(&self.schema));
        if registered || !self.attribute.is_empty() {
            return None;
        }
        let (schema, attribute) = self.schema.rsplit_once(':')?;
        let begins_small = attribute.starts_with(|c: char| c.is_ascii_lowercase());
        (begins_small && is_name(attribute)).then(|| Self::new(schema, attribute, None))
    }

    /// Looks the path up. `None` when the resource has no such attribute.
    pub fn resolve(&self, resource: &'static ResourceType) -> Option<AttrPath> {
        let target = resource
            .find(&self.schema, &self.attribute)
            .or_else(|| self.alias(resource))?;
        let sub = self.sub_attribute.as_deref();
        match target {
            Target::Core(attribute) => AttrPath::registered("", attribute, sub),
            Target::Extension(schema, attribute) => {
                AttrPath::registered(schema.urn, attribute, sub)
            }
            Target::WholeExtension(schema) => Some(AttrPath {
                schema: schema.urn.into(),
                attribute: "".into(),
                sub_attribute: None,
                definition: Definition::Extension(schema),
            }),
            Target::Unregistered(..) | Target::WholeUnregistered(_) => Some(AttrPath {
                schema: self.schema.clone().into(),
                attribute: self.attribute.clone().into(),
                sub_attribute: self.sub_attribute.clone().map(Into::into),
                definition: Definition::Unregistered,
            }),
        }
    }

    fn alias(&self, resource: &'static ResourceType) -> Option<Target<'_>> {
        let known = ALIASES
            .iter()
            .any(|a| a.eq_ignore_ascii_case(&self.attribute));
        if !self.schema.is_empty() || !known {
            return None;
        }
        resource.extensions.iter().find_map(|schema| {
            let attribute = schema.attribute(&self.attribute)?;
            Some(Target::Extension(schema, attribute))
        })
    }
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

/// Splits a schema URN from the attribute behind it. A registered URN is
/// recognised; of another one the last part is the attribute, unless it
/// follows a version: `urn:...:2.0:User` is an extension as a whole.
fn split_urn(text: &str) -> (&str, &str) {
    if !is_urn(text) {
        return ("", text);
    }
    for schema in SCHEMAS {
        let Some((head, rest)) = text.split_at_checked(schema.urn.len()) else {
            continue;
        };
        match rest.strip_prefix(':') {
            Some(attribute) if schema.is(head) => return (head, attribute),
            None if rest.is_empty() && schema.is(head) => return (head, ""),
            _ => {}
        }
    }
    match text.rsplit_once(':') {
        Some((head, last)) if head.contains(':') && !ends_with_version(head) => (head, last),
        _ => (text, ""),
    }
}

fn ends_with_version(urn: &str) -> bool {
    let last = urn.rsplit(':').next().unwrap_or_default();
    last.starts_with(|c: char| c.is_ascii_digit())
        && last.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Whether only its value can tell if the text names an extension or an
/// attribute of one: the URN of no registered schema, and without a version.
pub(super) fn is_ambiguous(text: &str) -> bool {
    let registered = |schema: &&Schema| {
        let head = text.get(..schema.urn.len());
        head.is_some_and(|head| schema.is(head))
    };
    let versioned = |urn: &str| {
        urn.match_indices(':')
            .any(|(i, _)| ends_with_version(&urn[..i]))
    };
    is_urn(text)
        && !text.contains(|c: char| c.is_whitespace() || "[]()\"".contains(c))
        && !SCHEMAS.iter().any(registered)
        && !versioned(text)
}

/// RFC 7643 section 2.1, and `$ref`.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or(text);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(
            f,
            &self.schema,
            &self.attribute,
            self.sub_attribute.as_deref(),
        )
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
    use muster_proto::schema::{ENTERPRISE_USER, USER};

    use super::*;

    const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User";

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = Path::parse(text).and_then(|path| path.resolve(&USER));
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
        ] {
            check(unknown, None);
        }
        check(&format!("{ENTERPRISE_USER}:shoeSize"), None);
        check(
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
            None,
        );
    }
}
