//! From a tree of attributes to a message.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    schema::{ENTERPRISE_USER, is_urn},
    v1,
    value::{Object, Value, object_to_wire},
};

/// The named attribute is not of the shape that the registry gives it, or the
/// registry does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape(pub String);

impl std::fmt::Display for WrongShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "attribute {:?} has the wrong type", self.0)
    }
}

impl std::error::Error for WrongShape {}

/// A user with these attributes and no output-only fields.
///
/// # Errors
/// [`WrongShape`] for the first attribute that does not fit.
pub fn user_from_object(object: Object) -> Result<v1::User, WrongShape> {
    let mut fields = Fields::new(object);
    let user = v1::User {
        user_name: fields.text("userName"),
        display_name: fields.text("displayName"),
        name: fields.complex("name", person_name),
        emails: fields.list("emails", labeled),
        phone_numbers: fields.list("phoneNumbers", labeled),
        ims: fields.list("ims", labeled),
        photos: fields.list("photos", labeled),
        addresses: fields.list("addresses", address),
        entitlements: fields.list("entitlements", labeled),
        roles: fields.list("roles", labeled),
        x509_certificates: fields.list("x509Certificates", certificate),
        nick_name: fields.text("nickName"),
        profile_url: fields.text("profileUrl"),
        title: fields.text("title"),
        user_type: fields.text("userType"),
        preferred_language: fields.text("preferredLanguage"),
        locale: fields.text("locale"),
        timezone: fields.text("timezone"),
        enterprise: fields.complex(ENTERPRISE_USER, enterprise),
        active: fields.truth("active"),
        external_id: fields.text("externalId"),
        extensions: fields.extensions(),
        ..v1::User::default()
    };
    fields.finish(user)
}

/// A group with these attributes and no output-only fields.
///
/// # Errors
/// [`WrongShape`] for the first attribute that does not fit.
pub fn group_from_object(object: Object) -> Result<v1::Group, WrongShape> {
    let mut fields = Fields::new(object);
    let group = v1::Group {
        display_name: fields.text("displayName"),
        external_id: fields.text("externalId"),
        extensions: fields.extensions(),
        ..v1::Group::default()
    };
    fields.finish(group)
}

fn person_name(fields: &mut Fields) -> v1::PersonName {
    v1::PersonName {
        formatted: fields.text("formatted"),
        family_name: fields.text("familyName"),
        given_name: fields.text("givenName"),
        middle_name: fields.text("middleName"),
        honorific_prefix: fields.text("honorificPrefix"),
        honorific_suffix: fields.text("honorificSuffix"),
    }
}

fn labeled(fields: &mut Fields) -> v1::LabeledValue {
    v1::LabeledValue {
        value: fields.text("value"),
        display: fields.text("display"),
        r#type: fields.text("type"),
        primary: fields.truth("primary"),
    }
}

fn address(fields: &mut Fields) -> v1::PostalAddress {
    v1::PostalAddress {
        formatted: fields.text("formatted"),
        street_address: fields.text("streetAddress"),
        locality: fields.text("locality"),
        region: fields.text("region"),
        postal_code: fields.text("postalCode"),
        country: fields.text("country"),
        r#type: fields.text("type"),
        primary: fields.truth("primary"),
    }
}

fn certificate(fields: &mut Fields) -> v1::Certificate {
    v1::Certificate {
        value: fields.binary("value"),
        display: fields.text("display"),
        r#type: fields.text("type"),
        primary: fields.truth("primary"),
    }
}

fn enterprise(fields: &mut Fields) -> v1::EnterpriseUser {
    v1::EnterpriseUser {
        employee_number: fields.text("employeeNumber"),
        cost_center: fields.text("costCenter"),
        organization: fields.text("organization"),
        division: fields.text("division"),
        department: fields.text("department"),
        manager_id: fields
            .complex("manager", |manager| manager.text("value"))
            .unwrap_or_default(),
        manager_display_name: String::new(),
    }
}

/// Takes attributes out of a tree and remembers the first that does not fit.
struct Fields {
    left: Object,
    wrong: Option<String>,
}

impl Fields {
    fn new(left: Object) -> Self {
        Self { left, wrong: None }
    }

    fn text(&mut self, name: &str) -> String {
        match self.left.remove(name) {
            Some(Value::String(text)) => text,
            other => self.absent(name, other),
        }
    }

    fn truth(&mut self, name: &str) -> Option<bool> {
        match self.left.remove(name) {
            Some(Value::Boolean(value)) => Some(value),
            other => self.absent(name, other),
        }
    }

    fn binary(&mut self, name: &str) -> Vec<u8> {
        let text = self.text(name);
        STANDARD.decode(text).unwrap_or_else(|_| {
            self.note(name);
            Vec::new()
        })
    }

    fn complex<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.left.remove(name) {
            Some(Value::Complex(object)) => Some(self.nested(object, read)),
            other => self.absent(name, other),
        }
    }

    fn list<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> T) -> Vec<T> {
        let elements = match self.left.remove(name) {
            Some(Value::List(elements)) => elements,
            other => return self.absent(name, other),
        };
        let mut list = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Value::Complex(object) => list.push(self.nested(object, &read)),
                _ => self.note(name),
            }
        }
        list
    }

    fn extensions(&mut self) -> std::collections::BTreeMap<String, v1::ComplexValue> {
        let mut extensions = std::collections::BTreeMap::new();
        for (urn, value) in std::mem::take(&mut self.left) {
            match value {
                Value::Complex(object) if is_urn(&urn) => {
                    extensions.insert(urn, object_to_wire(object));
                }
                _ => self.note(&urn),
            }
        }
        extensions
    }

    fn nested<T>(&mut self, object: Object, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut fields = Self::new(object);
        let value = read(&mut fields);
        if let Some(name) = fields.wrong.or_else(|| fields.left.into_keys().next()) {
            self.note(&name);
        }
        value
    }

    fn absent<T: Default>(&mut self, name: &str, value: Option<Value>) -> T {
        if value.is_some_and(|value| value != Value::Null) {
            self.note(name);
        }
        T::default()
    }

    fn note(&mut self, name: &str) {
        self.wrong.get_or_insert_with(|| name.to_owned());
    }

    fn finish<T>(self, value: T) -> Result<T, WrongShape> {
        match self.wrong {
            Some(name) => Err(WrongShape(name)),
            None => Ok(value),
        }
    }
}
