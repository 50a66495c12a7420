//! What one attribute is: RFC 7643 sections 2.2, 2.3 and 7.

use serde::{Deserialize, Serialize};

/// Data type, RFC 7643 section 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Unicode text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// A number with a fraction.
    Decimal,
    /// RFC 3339 text (`xsd:dateTime`).
    DateTime,
    /// Base64 text.
    Binary,
    /// A URI, or the id of a resource.
    Reference,
    /// Has sub-attributes.
    Complex,
}

/// Who may write, RFC 7643 section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// The server alone.
    ReadOnly,
    /// Clients, at any time.
    ReadWrite,
    /// Clients, once: while it is unassigned.
    Immutable,
    /// Clients, who never see it.
    WriteOnly,
}

/// When it is returned, RFC 7643 section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// Whatever the client asks for.
    Always,
    /// Unless the client asks otherwise.
    Default,
    /// When the client asks for it.
    Request,
    /// Not at all.
    Never,
}

/// How far values must differ, RFC 7643 section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// Not at all.
    None,
    /// In the tenant.
    Server,
}

/// How a filter reaches the value. Storage decides what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It lies in the resource's document; finding it reads each resource.
    Document,
    /// It has a column of its own.
    Column,
    /// Elements of the document, and the values are indexed as well.
    Indexed,
    /// It is a relation between resources.
    Relation,
}

/// One attribute or sub-attribute. Built by the `const` functions below so
/// that a table states only what differs from RFC 7643's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attribute {
    /// Spelling on the wire; compared without case.
    pub name: &'static str,
    /// Data type.
    pub kind: Kind,
    /// Whether it is a list.
    pub multi_valued: bool,
    /// What it is, in words.
    pub description: &'static str,
    /// Whether a resource must have it.
    pub required: bool,
    /// Whether comparison of text distinguishes case.
    pub case_exact: bool,
    /// Who may write it.
    pub mutability: Mutability,
    /// When it is returned.
    pub returned: Returned,
    /// How far values must differ.
    pub uniqueness: Uniqueness,
    /// Suggested values; others are accepted.
    pub canonical_values: &'static [&'static str],
    /// What a reference may point to.
    pub reference_types: &'static [&'static str],
    /// What a complex value consists of.
    pub sub_attributes: &'static [Attribute],
    /// How a filter reaches it.
    pub reach: Reach,
}

impl Attribute {
    pub(super) const fn new(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            multi_valued: false,
            description,
            required: false,
            case_exact: matches!(kind, Kind::Binary | Kind::Reference),
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            canonical_values: &[],
            reference_types: &[],
            sub_attributes: &[],
            reach: Reach::Document,
        }
    }

    pub(super) const fn string(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::String, description)
    }

    pub(super) const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Kind::Boolean, description)
    }

    pub(super) const fn reference(
        name: &'static str,
        description: &'static str,
        to: &'static [&'static str],
    ) -> Self {
        let mut attribute = Self::new(name, Kind::Reference, description);
        attribute.reference_types = to;
        attribute
    }

    pub(super) const fn complex(
        name: &'static str,
        description: &'static str,
        sub_attributes: &'static [Attribute],
    ) -> Self {
        let mut attribute = Self::new(name, Kind::Complex, description);
        attribute.sub_attributes = sub_attributes;
        attribute
    }

    pub(super) const fn many(mut self) -> Self {
        self.multi_valued = true;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn case_exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    pub(super) const fn any_case(mut self) -> Self {
        self.case_exact = false;
        self
    }

    pub(super) const fn read_only(mut self) -> Self {
        self.mutability = Mutability::ReadOnly;
        self
    }

    pub(super) const fn immutable(mut self) -> Self {
        self.mutability = Mutability::Immutable;
        self
    }

    pub(super) const fn always(mut self) -> Self {
        self.returned = Returned::Always;
        self
    }

    pub(super) const fn unique(mut self) -> Self {
        self.uniqueness = Uniqueness::Server;
        self
    }

    pub(super) const fn canonical(mut self, values: &'static [&'static str]) -> Self {
        self.canonical_values = values;
        self
    }

    pub(super) const fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// The sub-attribute with this name, compared without case.
    pub fn sub_attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.sub_attributes
            .iter()
            .find(|sub| sub.name.eq_ignore_ascii_case(name))
    }

    /// Whether it is the URI of a resource, which is made of the id beside it and
    /// kept nowhere. A client may write it, and means the id.
    pub fn is_made(&self) -> bool {
        self.name == "$ref" && self.reach == Reach::Relation
    }

    /// Whether it is `meta.location`, which is made of the id as well.
    pub fn is_location(&self) -> bool {
        let location = META
            .sub_attributes
            .iter()
            .find(|sub| sub.name == "location");
        self.kind == Kind::Reference && location == Some(self)
    }

    /// The sub-attribute that stands for the whole element where a path names
    /// none (RFC 7643 section 2.4: "value").
    pub fn value_attribute(&self) -> Option<&'static Attribute> {
        self.sub_attribute("value")
    }
}

pub(super) const SCHEMAS: Attribute = Attribute::reference(
    "schemas",
    "URNs of the schemas in which the resource has values.",
    &["uri"],
)
.many()
.any_case()
.required()
.read_only()
.always();

pub(super) const ID: Attribute = Attribute::string("id", "Identifier given by the server.")
    .case_exact()
    .read_only()
    .always()
    .unique()
    .reach(Reach::Column);

pub(super) const EXTERNAL_ID: Attribute = Attribute::string(
    "externalId",
    "Identifier given by the provisioning client; unique in its connection.",
)
.case_exact()
.unique()
.reach(Reach::Column);

pub(super) const META: Attribute = Attribute::complex(
    "meta",
    "Metadata kept by the server.",
    &[
        Attribute::string("resourceType", "Name of the resource type.")
            .case_exact()
            .read_only(),
        Attribute::new("created", Kind::DateTime, "When the resource was created.")
            .read_only()
            .reach(Reach::Column),
        Attribute::new(
            "lastModified",
            Kind::DateTime,
            "When the resource last changed.",
        )
        .read_only()
        .reach(Reach::Column),
        Attribute::reference("location", "URI of the resource.", &["uri"]).read_only(),
        Attribute::string("version", "Entity tag of the resource.")
            .case_exact()
            .read_only()
            .reach(Reach::Column),
    ],
)
.read_only();
