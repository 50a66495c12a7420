//! The attribute registry: RFC 7643's User, EnterpriseUser and Group.
//!
//! Filter compilation, PATCH, projection, validation and schema discovery all
//! read this table. Names, types and characteristics follow RFC 7643 sections
//! 3.1, 4 and 7; where they differ, the attribute says why.
//!
//! The idea needed to read it: an [`Attribute`] says what a value may be; a
//! [`ResourceType`] says which attributes a resource has; [`Target`] is a name
//! that was looked up.

mod attribute;
mod check;
mod definition;
mod group;
mod lookup;
mod registry;
mod user;

pub use attribute::{Attribute, Kind, Mutability, Reach, Returned, Uniqueness};
pub use check::{ATTRIBUTE_LIMIT, Broken};
pub use definition::{AttributeDefinition, Definition};
pub use lookup::{Target, is_urn};
pub use registry::{Extends, Registry};

/// A schema: RFC 7643 section 7.
#[derive(Debug, PartialEq)]
pub struct Schema {
    /// The URN that names it; compared without case.
    pub urn: &'static str,
    /// Human-readable name.
    pub name: &'static str,
    /// What it describes, in words.
    pub description: &'static str,
    /// Its attributes in the order in which they are shown.
    pub attributes: &'static [Attribute],
}

/// A type of resource: RFC 7643 section 6.
#[derive(Debug, PartialEq)]
pub struct ResourceType {
    /// `User` or `Group`.
    pub name: &'static str,
    /// What it is, in words.
    pub description: &'static str,
    /// Relative path of its resources, with a leading slash.
    pub endpoint: &'static str,
    /// The schema whose attributes stand at the top level.
    pub core: &'static Schema,
    /// Schemas whose attributes stand under their URN.
    pub extensions: &'static [&'static Schema],
}

/// The User resource type.
pub static USER: ResourceType = ResourceType {
    name: "User",
    description: "User Account",
    endpoint: "/Users",
    core: &user::CORE,
    extensions: &[&user::ENTERPRISE],
};

/// The Group resource type.
pub static GROUP: ResourceType = ResourceType {
    name: "Group",
    description: "Group",
    endpoint: "/Groups",
    core: &group::CORE,
    extensions: &[],
};

/// Every resource type.
pub static RESOURCE_TYPES: [&ResourceType; 2] = [&USER, &GROUP];

/// Every schema.
pub static SCHEMAS: [&Schema; 3] = [&user::CORE, &user::ENTERPRISE, &group::CORE];

/// Attributes that every resource has (RFC 7643 section 3.1). `externalId`
/// stands in the core schemas too, because Microsoft Entra builds its list of
/// target attributes from them.
pub static COMMON: [Attribute; 3] = [attribute::ID, attribute::META, attribute::SCHEMAS];

/// The attribute `schemas`. It follows from the others and is stored nowhere.
pub fn schemas_attribute() -> &'static Attribute {
    let [_, _, schemas] = &COMMON;
    schemas
}

/// URN of the enterprise extension of User.
pub const ENTERPRISE_USER: &str = user::ENTERPRISE.urn;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_without_case_in_each_schema() {
        for schema in SCHEMAS {
            let mut names: Vec<_> = schema
                .attributes
                .iter()
                .map(|a| a.name.to_ascii_lowercase())
                .collect();
            names.sort();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{}", schema.urn);
        }
    }

    #[test]
    fn only_complex_attributes_have_sub_attributes() {
        let all = SCHEMAS.iter().flat_map(|s| s.attributes).chain(&COMMON);
        for attribute in all {
            let complex = attribute.kind == Kind::Complex;
            assert_eq!(
                complex,
                !attribute.sub_attributes.is_empty(),
                "{}",
                attribute.name
            );
        }
    }
}
