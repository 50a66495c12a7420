//! From a message to a tree of attributes.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    schema::ENTERPRISE_USER,
    v1,
    value::{Object, Value, object_from_wire},
};

/// The attributes of the user that have a value.
pub fn user_to_object(user: v1::User) -> Object {
    let mut tree = Tree::default();
    tree.text("externalId", user.external_id);
    tree.text("userName", user.user_name);
    tree.complex("name", user.name.map(person_name));
    tree.text("displayName", user.display_name);
    tree.text("nickName", user.nick_name);
    tree.text("profileUrl", user.profile_url);
    tree.text("title", user.title);
    tree.text("userType", user.user_type);
    tree.text("preferredLanguage", user.preferred_language);
    tree.text("locale", user.locale);
    tree.text("timezone", user.timezone);
    tree.truth("active", user.active);
    tree.list("emails", user.emails, labeled);
    tree.list("phoneNumbers", user.phone_numbers, labeled);
    tree.list("ims", user.ims, labeled);
    tree.list("photos", user.photos, labeled);
    tree.list("addresses", user.addresses, address);
    tree.list("entitlements", user.entitlements, labeled);
    tree.list("roles", user.roles, labeled);
    tree.list("x509Certificates", user.x509_certificates, certificate);
    tree.complex(ENTERPRISE_USER, user.enterprise.map(enterprise));
    tree.extensions(user.extensions);
    tree.0
}

/// The attributes of the group that have a value.
pub fn group_to_object(group: v1::Group) -> Object {
    let mut tree = Tree::default();
    tree.text("externalId", group.external_id);
    tree.text("displayName", group.display_name);
    tree.extensions(group.extensions);
    tree.0
}

fn person_name(name: v1::PersonName) -> Tree {
    let mut tree = Tree::default();
    tree.text("formatted", name.formatted);
    tree.text("familyName", name.family_name);
    tree.text("givenName", name.given_name);
    tree.text("middleName", name.middle_name);
    tree.text("honorificPrefix", name.honorific_prefix);
    tree.text("honorificSuffix", name.honorific_suffix);
    tree
}

fn labeled(value: v1::LabeledValue) -> Tree {
    let mut tree = Tree::default();
    tree.text("value", value.value);
    tree.text("display", value.display);
    tree.text("type", value.r#type);
    tree.truth("primary", value.primary);
    tree
}

fn address(address: v1::PostalAddress) -> Tree {
    let mut tree = Tree::default();
    tree.text("formatted", address.formatted);
    tree.text("streetAddress", address.street_address);
    tree.text("locality", address.locality);
    tree.text("region", address.region);
    tree.text("postalCode", address.postal_code);
    tree.text("country", address.country);
    tree.text("type", address.r#type);
    tree.truth("primary", address.primary);
    tree
}

fn certificate(certificate: v1::Certificate) -> Tree {
    let mut tree = Tree::default();
    tree.text("value", STANDARD.encode(certificate.value));
    tree.text("display", certificate.display);
    tree.text("type", certificate.r#type);
    tree.truth("primary", certificate.primary);
    tree
}

fn enterprise(user: v1::EnterpriseUser) -> Tree {
    let mut manager = Tree::default();
    manager.text("value", user.manager_id);
    let mut tree = Tree::default();
    tree.text("employeeNumber", user.employee_number);
    tree.text("costCenter", user.cost_center);
    tree.text("organization", user.organization);
    tree.text("division", user.division);
    tree.text("department", user.department);
    tree.complex("manager", Some(manager));
    tree
}

/// Puts attributes into a tree, leaving out those without a value.
#[derive(Default)]
struct Tree(Object);

impl Tree {
    fn text(&mut self, name: &str, text: String) {
        if !text.is_empty() {
            self.0.insert(name.to_owned(), Value::String(text));
        }
    }

    fn truth(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), Value::Boolean(value));
        }
    }

    fn complex(&mut self, name: &str, tree: Option<Self>) {
        if let Some(Self(object)) = tree.filter(|tree| !tree.0.is_empty()) {
            self.0.insert(name.to_owned(), Value::Complex(object));
        }
    }

    fn list<T>(&mut self, name: &str, elements: Vec<T>, write: impl Fn(T) -> Self) {
        let elements: Vec<_> = elements
            .into_iter()
            .map(|element| Value::Complex(write(element).0))
            .collect();
        if !elements.is_empty() {
            self.0.insert(name.to_owned(), Value::List(elements));
        }
    }

    fn extensions(&mut self, extensions: BTreeMap<String, v1::ComplexValue>) {
        for (urn, complex) in extensions {
            self.0
                .insert(urn, Value::Complex(object_from_wire(complex)));
        }
    }
}
