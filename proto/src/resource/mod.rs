//! The typed messages as trees of attributes, and back.
//!
//! A tree spells names as the registry does and holds extensions under their
//! URN. It carries what clients write: `id`, `meta`, `groups` and the
//! manager's display name are output of the server and stay in the message.

mod read;
mod write;

pub use read::{WrongShape, group_from_object, user_from_object};
pub use write::{group_to_object, user_to_object};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        schema::ENTERPRISE_USER,
        v1,
        value::{Object, Value},
    };

    fn object<const N: usize>(fields: [(&str, Value); N]) -> Object {
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn labeled(value: &str) -> Value {
        Value::List(vec![Value::Complex(object([
            ("value", value.into()),
            ("display", "d".into()),
            ("type", "work".into()),
            ("primary", true.into()),
        ]))])
    }

    fn full_user() -> Object {
        let names = ["formatted", "familyName", "givenName", "middleName"];
        let name = names.map(|n| (n, Value::from(n)));
        let address = [
            "formatted",
            "streetAddress",
            "locality",
            "region",
            "postalCode",
        ];
        let mut address = object(address.map(|n| (n, Value::from(n))));
        address.extend(object([
            ("country", "EE".into()),
            ("type", "home".into()),
            ("primary", false.into()),
        ]));
        let mut user = object([
            ("active", false.into()),
            ("name", Value::Complex(object(name))),
            ("addresses", Value::List(vec![Value::Complex(address)])),
            ("x509Certificates", labeled("MIIB")),
            (
                ENTERPRISE_USER,
                Value::Complex(object([
                    ("employeeNumber", "7".into()),
                    ("costCenter", "c".into()),
                    ("organization", "o".into()),
                    ("division", "v".into()),
                    ("department", "d".into()),
                    ("manager", Value::Complex(object([("value", "m".into())]))),
                ])),
            ),
            (
                "urn:example:2.0:User",
                Value::Complex(object([("n", Value::Integer(1)), ("site", "x".into())])),
            ),
        ]);
        for list in [
            "emails",
            "phoneNumbers",
            "ims",
            "photos",
            "entitlements",
            "roles",
        ] {
            user.insert(list.to_owned(), labeled(list));
        }
        for text in [
            "externalId",
            "userName",
            "displayName",
            "nickName",
            "profileUrl",
            "title",
            "userType",
            "preferredLanguage",
            "locale",
            "timezone",
        ] {
            user.insert(text.to_owned(), text.into());
        }
        user
    }

    #[test]
    fn a_user_survives_the_message() {
        let user = full_user();
        let message = user_from_object(user.clone()).expect("every attribute has its field");
        assert_eq!(user_to_object(message), user);
    }

    /// A new attribute in the registry without a field in the message fails here.
    #[test]
    fn every_writable_attribute_has_a_field() {
        let user = full_user();
        let writable = crate::schema::USER.core.attributes.iter();
        for attribute in writable.filter(|a| a.name != "groups") {
            assert!(user.contains_key(attribute.name), "{}", attribute.name);
        }
    }

    #[test]
    fn a_group_survives_the_message() {
        let group = object([
            ("displayName", "g".into()),
            ("externalId", "e".into()),
            (
                "urn:example:2.0:Group",
                Value::Complex(object([("a", true.into())])),
            ),
        ]);
        let message = group_from_object(group.clone()).expect("every attribute has its field");
        assert_eq!(group_to_object(message), group);
    }

    #[test]
    fn a_wrong_shape_is_named() {
        let wrong = object([("name", "Ada".into())]);
        assert_eq!(user_from_object(wrong), Err(WrongShape("name".to_owned())));
        let unknown = object([("jobTitle", "x".into())]);
        assert_eq!(
            user_from_object(unknown),
            Err(WrongShape("jobTitle".to_owned()))
        );
    }

    #[test]
    fn an_empty_user_has_no_attributes() {
        assert_eq!(user_to_object(v1::User::default()), Object::new());
    }
}
