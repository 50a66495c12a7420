//! A tenant's own schema, as it is written down: RFC 7643 section 7.
//!
//! As JSON it is the Schema resource of that section, in a file of an operator
//! and in the database alike.

use serde::{Deserialize, Serialize};

use super::{Kind, Mutability, Returned, Uniqueness};
use crate::v1::{self, schema_attribute as wire};

/// A schema that extends users or groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// The URN that names it; compared without case.
    #[serde(alias = "urn")]
    pub id: String,
    /// Human-readable name.
    #[serde(default)]
    pub name: String,
    /// What it describes, in words.
    #[serde(default)]
    pub description: String,
    /// Its attributes in the order in which they are shown.
    pub attributes: Vec<AttributeDefinition>,
}

/// An attribute or sub-attribute of a [`Definition`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributeDefinition {
    /// Spelling on the wire; compared without case.
    pub name: String,
    /// Data type.
    #[serde(rename = "type", default = "string")]
    pub kind: Kind,
    /// Whether it is a list.
    #[serde(default)]
    pub multi_valued: bool,
    /// What it is, in words.
    #[serde(default)]
    pub description: String,
    /// Whether a resource that has the extension must have it.
    #[serde(default)]
    pub required: bool,
    /// Whether comparison of text distinguishes case.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may write it.
    #[serde(default = "read_write")]
    pub mutability: Mutability,
    /// When it is returned.
    #[serde(default = "by_default")]
    pub returned: Returned,
    /// How far values must differ.
    #[serde(default = "not_unique")]
    pub uniqueness: Uniqueness,
    /// Suggested values; others are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// What a reference may point to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// What a complex value consists of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<AttributeDefinition>,
}

fn string() -> Kind {
    Kind::String
}

fn read_write() -> Mutability {
    Mutability::ReadWrite
}

fn by_default() -> Returned {
    Returned::Default
}

fn not_unique() -> Uniqueness {
    Uniqueness::None
}

impl From<v1::ExtensionSchema> for Definition {
    fn from(message: v1::ExtensionSchema) -> Self {
        Self {
            id: message.urn,
            name: message.name,
            description: message.description,
            attributes: message.attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::SchemaAttribute> for AttributeDefinition {
    fn from(message: v1::SchemaAttribute) -> Self {
        Self {
            kind: match message.r#type() {
                wire::Type::Unspecified | wire::Type::String => Kind::String,
                wire::Type::Boolean => Kind::Boolean,
                wire::Type::Decimal => Kind::Decimal,
                wire::Type::Integer => Kind::Integer,
                wire::Type::DateTime => Kind::DateTime,
                wire::Type::Binary => Kind::Binary,
                wire::Type::Reference => Kind::Reference,
                wire::Type::Complex => Kind::Complex,
            },
            mutability: match message.mutability() {
                wire::Mutability::Unspecified | wire::Mutability::ReadWrite => {
                    Mutability::ReadWrite
                }
                wire::Mutability::ReadOnly => Mutability::ReadOnly,
                wire::Mutability::Immutable => Mutability::Immutable,
                wire::Mutability::WriteOnly => Mutability::WriteOnly,
            },
            returned: match message.returned() {
                wire::Returned::Unspecified | wire::Returned::Default => Returned::Default,
                wire::Returned::Always => Returned::Always,
                wire::Returned::Never => Returned::Never,
                wire::Returned::Request => Returned::Request,
            },
            uniqueness: match message.uniqueness() {
                wire::Uniqueness::Unspecified | wire::Uniqueness::None => Uniqueness::None,
                wire::Uniqueness::Server => Uniqueness::Server,
            },
            name: message.name,
            multi_valued: message.multi_valued,
            description: message.description,
            required: message.required,
            case_exact: message.case_exact,
            canonical_values: message.canonical_values,
            reference_types: message.reference_types,
            sub_attributes: message.sub_attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Definition> for v1::ExtensionSchema {
    fn from(definition: Definition) -> Self {
        Self {
            urn: definition.id,
            name: definition.name,
            description: definition.description,
            attributes: definition.attributes.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl From<AttributeDefinition> for v1::SchemaAttribute {
    fn from(attribute: AttributeDefinition) -> Self {
        let kind = match attribute.kind {
            Kind::String => wire::Type::String,
            Kind::Boolean => wire::Type::Boolean,
            Kind::Decimal => wire::Type::Decimal,
            Kind::Integer => wire::Type::Integer,
            Kind::DateTime => wire::Type::DateTime,
            Kind::Binary => wire::Type::Binary,
            Kind::Reference => wire::Type::Reference,
            Kind::Complex => wire::Type::Complex,
        };
        let mutability = match attribute.mutability {
            Mutability::ReadWrite => wire::Mutability::ReadWrite,
            Mutability::ReadOnly => wire::Mutability::ReadOnly,
            Mutability::Immutable => wire::Mutability::Immutable,
            Mutability::WriteOnly => wire::Mutability::WriteOnly,
        };
        let returned = match attribute.returned {
            Returned::Default => wire::Returned::Default,
            Returned::Always => wire::Returned::Always,
            Returned::Never => wire::Returned::Never,
            Returned::Request => wire::Returned::Request,
        };
        let uniqueness = match attribute.uniqueness {
            Uniqueness::None => wire::Uniqueness::None,
            Uniqueness::Server => wire::Uniqueness::Server,
        };
        Self {
            name: attribute.name,
            r#type: kind.into(),
            multi_valued: attribute.multi_valued,
            description: attribute.description,
            required: attribute.required,
            case_exact: attribute.case_exact,
            mutability: mutability.into(),
            returned: returned.into(),
            uniqueness: uniqueness.into(),
            canonical_values: attribute.canonical_values,
            reference_types: attribute.reference_types,
            sub_attributes: attribute
                .sub_attributes
                .into_iter()
                .map(Into::into)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_survives_the_message() {
        let attribute = |name: &str, kind| AttributeDefinition {
            name: name.to_owned(),
            kind,
            multi_valued: true,
            description: "d".to_owned(),
            required: true,
            case_exact: true,
            mutability: Mutability::WriteOnly,
            returned: Returned::Never,
            uniqueness: Uniqueness::Server,
            canonical_values: vec!["c".to_owned()],
            reference_types: vec!["r".to_owned()],
            sub_attributes: Vec::new(),
        };
        let complex = AttributeDefinition {
            sub_attributes: vec![attribute("sub", Kind::DateTime)],
            ..attribute("whole", Kind::Complex)
        };
        let definition = Definition {
            id: "urn:x".to_owned(),
            name: "n".to_owned(),
            description: "d".to_owned(),
            attributes: vec![attribute("a", Kind::Decimal), complex],
        };
        let message = v1::ExtensionSchema::from(definition.clone());
        assert_eq!(Definition::from(message), definition);
    }
}
