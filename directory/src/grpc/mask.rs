//! Read masks: which top-level fields of a message are wanted.

use std::{collections::HashSet, sync::Arc};

use muster_proto::{
    schema::{ENTERPRISE_USER, ResourceType, USER, is_urn},
    value::{Object, Value},
};
use prost_types::FieldMask;

use super::{personal, wanted};
use crate::{
    error::{Error, Result},
    service::Wants,
};

/// A checked read mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mask {
    /// `None`: all of them.
    fields: Option<Arc<HashSet<String>>>,
    /// Of the enterprise extension what is not personal alone.
    is_narrow: bool,
}

impl Mask {
    /// Checks that each path is a top-level field.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn read(resource: &ResourceType, mask: Option<FieldMask>) -> Result<Self> {
        let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
            return Ok(Self::of(None));
        };
        let known: HashSet<_> = fields(resource).collect();
        match mask.paths.iter().find(|path| !known.contains(*path)) {
            Some(unknown) => {
                let rule = format!("{unknown:?} is no field of {}", resource.name);
                Err(Error::invalid("read_mask", rule))
            }
            None => Ok(Self::of(Some(mask.paths.into_iter().collect()))),
        }
    }

    /// Of these fields, which are known ones.
    pub(super) fn only(fields: &[&str]) -> Self {
        let fields = fields.iter().map(|&field| field.to_owned());
        Self::of(Some(fields.collect()))
    }

    /// Of these fields of users, and no personal data in them.
    pub(super) fn without_personal_data(fields: Vec<String>) -> Self {
        Self {
            is_narrow: true,
            ..Self::of(Some(fields.into_iter().collect()))
        }
    }

    fn of(fields: Option<HashSet<String>>) -> Self {
        Self {
            fields: fields.map(Arc::new),
            is_narrow: false,
        }
    }

    /// Which relations have to be looked up.
    pub(super) fn wants(&self) -> Wants {
        Wants {
            groups: self.has("groups"),
            manager_name: self.has("enterprise") && !self.is_narrow,
            members_up_to: 0,
        }
    }

    /// The same for groups that may come with so many members.
    pub(super) fn wants_members(&self, members_up_to: i32) -> Wants {
        Wants {
            members_up_to: wanted::members_up_to(members_up_to),
            ..self.wants()
        }
    }

    /// Leaves the wanted attributes.
    pub(super) fn apply(&self, attributes: &mut Object) {
        attributes.retain(|name, _| match name.as_str() {
            ENTERPRISE_USER => self.has("enterprise"),
            urn if is_urn(urn) => self.has("extensions"),
            name => self.fields.is_none() || self.has(&snake_case(name)),
        });
        if self.is_narrow
            && let Some(Value::Complex(enterprise)) = attributes.get_mut(ENTERPRISE_USER)
        {
            enterprise.retain(|name, _| personal::is_shown_of_enterprise(name));
        }
    }

    /// Whether a field is asked for by name.
    pub(super) fn names(&self, field: &str) -> bool {
        let fields = self.fields.as_ref();
        fields.is_some_and(|fields| fields.contains(field))
    }

    /// Whether a field is wanted.
    pub(super) fn has(&self, field: &str) -> bool {
        let fields = self.fields.as_ref();
        fields.is_none_or(|fields| fields.contains(field))
    }
}

/// Names of a resource's top-level fields.
pub(super) fn fields(resource: &ResourceType) -> impl Iterator<Item = String> {
    let attributes = resource.core.attributes.iter().map(|a| snake_case(a.name));
    let others = ["id", "meta", "enterprise", "extensions"];
    let of_users = [
        "admin_lock",
        "deactivation_held",
        "effective_active",
        "external_keys",
        "federated_identities",
        "inactive_reason",
        "tokens_valid_after",
    ];
    let of_users = of_users.into_iter().filter(|_| resource.name == USER.name);
    let others = others.into_iter().chain(of_users);
    attributes.chain(others.map(ToOwned::to_owned))
}

/// The field's name for an attribute's: `x509Certificates` is
/// `x509_certificates`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::*;

    fn mask(paths: &[&str]) -> Result<Mask> {
        let paths = paths.iter().map(ToString::to_string).collect();
        Mask::read(&USER, Some(FieldMask { paths }))
    }

    #[test]
    fn a_mask_names_fields_of_the_message() {
        let narrow = mask(&["user_name", "x509_certificates"]).expect("both are fields");
        let mut attributes: Object = ["userName", "title", "x509Certificates", "urn:x:2.0:User"]
            .map(|name| (name.to_owned(), "x".into()))
            .into();
        narrow.apply(&mut attributes);
        assert_eq!(
            attributes.into_keys().collect::<Vec<_>>(),
            ["userName", "x509Certificates"]
        );
        assert!(!narrow.wants().groups);
        assert!(mask(&["userName"]).is_err());
        assert_eq!(mask(&[]).expect("none is all").wants(), Wants::ALL);
    }
}
