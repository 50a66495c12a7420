//! What a connection goes by, from the contract.

use muster_proto::{
    schema::{Definition, Extends, Registry},
    v1,
};

use crate::scim::{flavor::Flavor, unnameable::Unnameable};

/// What calls of a connection go by.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Tells the directory which profile a call goes by.
    pub(crate) tag: String,
    /// How far the client deviates from the RFCs.
    pub(crate) flavor: Flavor,
    /// What the tenant's users and groups consist of.
    pub(crate) registry: &'static Registry,
    /// The user in whose name the token speaks.
    pub(crate) user_id: Option<String>,
    /// What requests about users may not name.
    pub(crate) unnameable: Unnameable,
    /// Whether the token shows personal data of users.
    pub(crate) personal_data: bool,
}

/// The directory's answer.
pub(crate) fn raise(answer: v1::GetProfileResponse) -> Profile {
    let flavor = match answer.flavor() {
        v1::Flavor::StrictRfc => Flavor::Strict,
        v1::Flavor::Okta => Flavor::Okta,
        v1::Flavor::Entra | v1::Flavor::Unspecified => Flavor::Entra,
    };
    let extensions = answer.schemas.into_iter().map(|schema| {
        let extends = match schema.resource_type() {
            v1::ResourceType::Group => Extends::Group,
            _ => Extends::User,
        };
        (extends, Definition::from(schema))
    });
    Profile {
        tag: answer.profile,
        flavor,
        registry: Registry::with(extensions.collect()),
        user_id: Some(answer.user_id).filter(|id| !id.is_empty()),
        unnameable: Unnameable(answer.unnameable_attributes),
        personal_data: answer.shows_personal_data,
    }
}
