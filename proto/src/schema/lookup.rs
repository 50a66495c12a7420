//! From a name to the attribute it means.

use super::{Attribute, COMMON, ResourceType, Schema};

/// A schema name and an attribute name that were looked up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target<'a> {
    /// An attribute at the top level: core schema, `id`, `meta`.
    Core(&'static Attribute),
    /// An attribute of a registered extension.
    Extension(&'static Schema, &'static Attribute),
    /// A registered extension as a whole.
    WholeExtension(&'static Schema),
    /// An attribute of an extension that no schema describes: its URN and the
    /// attribute's name, as given.
    Unregistered(&'a str, &'a str),
    /// Such an extension as a whole.
    WholeUnregistered(&'a str),
}

impl ResourceType {
    /// Finds the attribute that a schema URN (empty: core) and a name (empty:
    /// the whole extension) mean. `None` when the registry knows the schema
    /// but not the attribute, or when there is neither.
    pub fn find<'a>(&self, schema: &'a str, attribute: &'a str) -> Option<Target<'a>> {
        if schema.is_empty() || schema.eq_ignore_ascii_case(self.core.urn) {
            return self.core_attribute(attribute).map(Target::Core);
        }
        match (self.extension(schema), attribute) {
            (Some(extension), "") => Some(Target::WholeExtension(extension)),
            (Some(extension), name) => extension
                .attribute(name)
                .map(|attribute| Target::Extension(extension, attribute)),
            (None, _) if !is_urn(schema) || super::SCHEMAS.iter().any(|s| s.is(schema)) => None,
            (None, "") => Some(Target::WholeUnregistered(schema)),
            (None, name) => Some(Target::Unregistered(schema, name)),
        }
    }

    /// The attribute at the top level with this name: `id`, `meta` or one of
    /// the core schema.
    pub fn core_attribute(&self, name: &str) -> Option<&'static Attribute> {
        let common = COMMON.iter().find(|a| a.name.eq_ignore_ascii_case(name));
        common.or_else(|| self.core.attribute(name))
    }

    /// The registered extension with this URN.
    pub fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extensions
            .iter()
            .copied()
            .find(|schema| schema.is(urn))
    }
}

impl Schema {
    /// Whether this is its URN.
    pub fn is(&self, urn: &str) -> bool {
        self.urn.eq_ignore_ascii_case(urn)
    }

    /// The attribute with this name.
    pub fn attribute(&'static self, name: &str) -> Option<&'static Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// Whether a key or a path begins like a URN (RFC 8141), so that it names a
/// schema and not a core attribute.
pub fn is_urn(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|p| p.eq_ignore_ascii_case("urn:"))
}

#[cfg(test)]
mod tests {
    use super::super::{ENTERPRISE_USER, USER};
    use super::*;

    fn name(target: Option<Target<'_>>) -> Option<&str> {
        match target? {
            Target::Core(attribute) | Target::Extension(_, attribute) => Some(attribute.name),
            Target::Unregistered(_, name) => Some(name),
            Target::WholeExtension(_) | Target::WholeUnregistered(_) => Some(""),
        }
    }

    #[test]
    fn names_are_found_without_case() {
        assert_eq!(name(USER.find("", "USERNAME")), Some("userName"));
        assert_eq!(name(USER.find("", "Meta")), Some("meta"));
        let upper = ENTERPRISE_USER.to_uppercase();
        assert_eq!(name(USER.find(&upper, "Department")), Some("department"));
        assert_eq!(name(USER.find(&upper, "")), Some(""));
        assert_eq!(name(USER.find("urn:x:y:2.0:User", "Site")), Some("Site"));
    }

    #[test]
    fn what_nobody_described_is_not_found() {
        assert_eq!(USER.find("", "jobTitle"), None);
        assert_eq!(USER.find(ENTERPRISE_USER, "shoeSize"), None);
        assert_eq!(USER.find("no-urn", "x"), None);
        assert_eq!(
            USER.find("urn:ietf:params:scim:schemas:core:2.0:Group", "x"),
            None
        );
    }
}
