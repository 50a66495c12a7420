//! RFC 7643 section 4.2.

use super::{Attribute, Reach, Schema, attribute::EXTERNAL_ID};

pub(super) static CORE: Schema = Schema {
    urn: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    description: "Group",
    attributes: &[
        EXTERNAL_ID,
        // Unique, beyond RFC 7643: Microsoft Entra's validator creates the
        // same group twice and expects a conflict.
        Attribute::string("displayName", "Name of the group; unique without case.")
            .required()
            .unique()
            .reach(Reach::Column),
        Attribute::complex("members", "Direct members.", MEMBERS)
            .many()
            .reach(Reach::Relation),
    ],
};

const MEMBERS: &[Attribute] = &[
    Attribute::string("value", "Id of the member.")
        .case_exact()
        .immutable()
        .reach(Reach::Relation),
    Attribute::reference("$ref", "URI of the member.", &["User", "Group"])
        .immutable()
        .reach(Reach::Relation),
    Attribute::string("display", "Name of the member.")
        .read_only()
        .reach(Reach::Relation),
    Attribute::string("type", "What the member is.")
        .canonical(&["User", "Group"])
        .immutable()
        .reach(Reach::Relation),
];
