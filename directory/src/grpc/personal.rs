//! Personal data of users: who reads it, and who may not even ask for it.
//!
//! The contract says which fields are personal (`sensitivity`). Reads leave
//! them out for whoever lacks [`PERSONAL_DATA`], and refuse to name them in
//! masks, filters and orders: what is compared could be guessed. `user_name` and
//! `display_name` are what users are known by, and are shown to everybody.

use std::sync::LazyLock;

use muster_proto::{
    schema::{ENTERPRISE_USER, USER},
    sensitivity::is_plain,
};
use prost_types::FieldMask;

use super::mask::{Mask, fields, snake_case};
use crate::{
    auth::Caller,
    domain::{
        filter::{Field, Filter},
        sort::Sort,
    },
    error::Result,
};

/// The scope that shows personal data.
pub(super) const PERSONAL_DATA: &str = "users.read.pii";

/// What users are known by.
const KNOWN_BY: [&str; 2] = ["user_name", "display_name"];

/// What is shown without the scope where nothing is named.
static USUAL: LazyLock<Mask> = LazyLock::new(|| {
    let usual = fields(&USER).filter(|name| is_usual(name));
    Mask::without_personal_data(usual.collect())
});

/// What of users a caller may see of what he asks for. Without a mask: all that
/// he may see.
///
/// # Errors
/// [`Error::ScopeMissing`](crate::error::Error::ScopeMissing) when the mask names
/// personal data that is not his to see, [`Error::Invalid`](crate::error::Error::Invalid).
pub(super) fn mask(caller: &Caller, mask: Option<FieldMask>) -> Result<Mask> {
    let names = mask.as_ref().map(|mask| mask.paths.clone());
    let mask = Mask::read(&USER, mask)?;
    if sees_all(caller) {
        return Ok(mask);
    }
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Ok(USUAL.clone());
    };
    if names.iter().any(|name| is_personal(name)) {
        caller.require(PERSONAL_DATA)?;
    }
    Ok(Mask::without_personal_data(names))
}

/// Checks that a caller may have users compared in this way.
///
/// # Errors
/// [`Error::ScopeMissing`](crate::error::Error::ScopeMissing).
pub(super) fn check(caller: &Caller, filter: Option<&Filter>, sort: Option<&Sort>) -> Result<()> {
    let asks = filter.is_some_and(compares) || sort.is_some_and(|sort| tells(&sort.field));
    match asks {
        true => caller.require(PERSONAL_DATA),
        false => Ok(()),
    }
}

/// Whether an attribute of the enterprise extension is shown without the scope:
/// of managers the id, but no name.
pub(super) fn is_shown_of_enterprise(attribute: &str) -> bool {
    attribute == "manager" || is_plain("EnterpriseUser", &snake_case(attribute))
}

/// Whether a caller may see personal data.
pub(super) fn sees_all(caller: &Caller) -> bool {
    caller.require(PERSONAL_DATA).is_ok()
}

/// Whether a field is shown that is not named: keys cost a query.
fn is_usual(field: &str) -> bool {
    !is_personal(field) && !["external_keys", "federated_identities"].contains(&field)
}

fn is_personal(field: &str) -> bool {
    !KNOWN_BY.contains(&field) && !is_plain("User", field)
}

/// Whether the filter depends on personal data.
fn compares(filter: &Filter) -> bool {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(compares),
        Filter::Not(filter) => compares(filter),
        // What is in the brackets belongs to what is in front of them.
        Filter::Compare(field, ..) | Filter::Present(field) | Filter::Element(field, _) => {
            tells(field)
        }
    }
}

/// Whether the field is personal data. Whether an extension is there at all is.
fn tells(field: &Field) -> bool {
    match field {
        Field::Attribute {
            schema: None,
            attribute,
            ..
        } => is_personal(&snake_case(attribute.name)),
        Field::Attribute {
            schema: Some(schema),
            attribute,
            sub,
        } if schema.is(ENTERPRISE_USER) => {
            let is_name = sub.is_some_and(|sub| sub.name == "displayName");
            is_name || !is_shown_of_enterprise(attribute.name)
        }
        Field::Attribute { .. }
        | Field::Unregistered { .. }
        | Field::Extension(_)
        | Field::Element(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::value::{Object, Value};

    use super::*;
    use crate::{
        auth::{Principal, Scopes},
        domain::filter::Operator,
        error::Error,
        service::Wants,
    };

    fn caller(scopes: &[&str]) -> Caller {
        let names = scopes.iter().map(ToString::to_string).collect();
        Caller {
            scopes: Scopes::Named(names),
            ..Caller::inside("t", Principal::Operator)
        }
    }

    fn read(scopes: &[&str], paths: &[&str]) -> Result<Mask> {
        let paths = paths.iter().map(ToString::to_string).collect();
        mask(&caller(scopes), Some(FieldMask { paths }))
    }

    #[test]
    fn without_the_scope_personal_data_is_left_out() {
        let narrow = read(&["users.read.basic"], &[]).expect("nothing is named");
        let enterprise = ["employeeNumber", "department", "manager"];
        let enterprise: Object = enterprise.map(|n| (n.to_owned(), "x".into())).into();
        let names = ["userName", "name", "emails", "title", "active", "urn:x:y"];
        let mut user: Object = names.map(|n| (n.to_owned(), "x".into())).into();
        user.insert(ENTERPRISE_USER.to_owned(), Value::Complex(enterprise));
        narrow.apply(&mut user);
        let Some(Value::Complex(enterprise)) = user.remove(ENTERPRISE_USER) else {
            panic!("departments are shown");
        };
        assert_eq!(
            enterprise.into_keys().collect::<Vec<_>>(),
            ["department", "manager"]
        );
        let shown: Vec<_> = user.into_keys().collect();
        assert_eq!(shown, ["active", "title", "userName"]);
        assert!(!narrow.wants().manager_name);
        assert!(narrow.wants().groups);
        let all = read(&[PERSONAL_DATA], &[]).expect("nothing is named");
        assert_eq!(all.wants(), Wants::ALL);
    }

    #[test]
    fn what_is_named_without_the_scope_is_refused() {
        for refused in ["emails", "name", "extensions", "x509_certificates"] {
            let read = read(&["users.read.basic"], &["id", refused]);
            assert!(matches!(read, Err(Error::ScopeMissing(_))), "{refused}");
        }
        let allowed = ["user_name", "display_name", "active", "external_id"];
        assert!(read(&["users.read.basic"], &allowed).is_ok());
        assert!(read(&[PERSONAL_DATA], &["emails"]).is_ok());
    }

    #[test]
    fn nobody_compares_what_he_may_not_see() {
        let basic = caller(&["users.list"]);
        for (schema, name, sub, allowed) in [
            ("", "userName", "", true),
            ("", "displayName", "", true),
            ("", "externalId", "", true),
            ("", "meta", "created", true),
            ("", "groups", "value", true),
            (ENTERPRISE_USER, "department", "", true),
            (ENTERPRISE_USER, "manager", "value", true),
            (ENTERPRISE_USER, "manager", "displayName", false),
            (ENTERPRISE_USER, "employeeNumber", "", false),
            ("", "emails", "value", false),
            ("", "name", "familyName", false),
            ("urn:x:y:2.0:User", "site", "", false),
        ] {
            let field = Field::find(&USER, schema, name, sub).expect("a field");
            let inner = Filter::compare(field, Operator::NotEqual, Value::Null);
            let filter = Filter::Not(Box::new(Filter::Or(vec![inner.expect("a filter")])));
            let checked = check(&basic, Some(&filter), None);
            assert_eq!(checked.is_ok(), allowed, "{name} {sub}");
            assert!(check(&caller(&[PERSONAL_DATA]), Some(&filter), None).is_ok());
        }
        let sort = Sort::find(&USER, ("", "name", "familyName"), false).expect("an order");
        assert!(check(&basic, None, Some(&sort)).is_err());
    }
}
