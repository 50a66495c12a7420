//! Users: RFC 7643 sections 4.1 and 4.3. What the directory keeps beside the
//! attributes that clients write.

use muster_proto::{
    schema::ENTERPRISE_USER,
    value::{Object, Value},
};

use super::{meta::Links, projection::Projection, resource::Resource};

/// A group of which the user is a direct member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// Id of the group.
    pub id: String,
    /// Its name.
    pub display: String,
}

/// Puts `groups` into the tree of a user.
pub fn add_groups(resource: &mut Resource, groups: Vec<GroupRef>, links: &Links) {
    if groups.is_empty() {
        return;
    }
    let elements = groups.into_iter().map(|group| {
        Value::Complex(Object::from([
            (
                "$ref".to_owned(),
                links.resource("/Groups", &group.id).into(),
            ),
            ("display".to_owned(), group.display.into()),
            ("type".to_owned(), "direct".into()),
            ("value".to_owned(), group.id.into()),
        ]))
    });
    let elements = Value::List(elements.collect());
    resource.attributes.insert("groups".to_owned(), elements);
}

/// Completes the manager: clients write `value` alone.
pub fn add_manager(resource: &mut Resource, display_name: String, links: &Links) {
    let enterprise = resource.attributes.get_mut(ENTERPRISE_USER);
    let Some(Value::Complex(enterprise)) = enterprise else {
        return;
    };
    let Some(Value::Complex(manager)) = enterprise.get_mut("manager") else {
        return;
    };
    let Some(id) = manager.get("value").and_then(Value::as_str) else {
        return;
    };
    manager.insert("$ref".to_owned(), links.resource("/Users", id).into());
    if !display_name.is_empty() {
        manager.insert("displayName".to_owned(), display_name.into());
    }
}

/// Whether the answer shows what other resources say of the user: his groups,
/// or the name of his manager. Neither is part of his version.
pub fn shows_others(resource: &Resource, projection: &Projection) -> bool {
    let enterprise = resource.attributes.get(ENTERPRISE_USER);
    let enterprise = enterprise.and_then(Value::as_object);
    let has_manager = enterprise.is_some_and(|object| object.contains_key("manager"));
    projection.wants("", "groups") || (has_manager && projection.wants(ENTERPRISE_USER, "manager"))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::USER;

    use super::{
        super::{flavor::Flavor, meta::Meta},
        *,
    };

    #[track_caller]
    fn check(has_manager: bool, excluded: &str, expected: bool) {
        let manager = Object::from([("value".to_owned(), "m".into())]);
        let mut enterprise = Object::from([("department".to_owned(), "d".into())]);
        if has_manager {
            enterprise.insert("manager".to_owned(), Value::Complex(manager));
        }
        let enterprise = (ENTERPRISE_USER.to_owned(), Value::Complex(enterprise));
        let user = Resource {
            kind: &USER,
            id: "1".to_owned(),
            attributes: Object::from([enterprise]),
            meta: Meta::default(),
        };
        let projection = Projection::parse(None, Some(excluded), &USER, Flavor::Entra.accents())
            .expect("few names");
        assert_eq!(shows_others(&user, &projection), expected, "{excluded}");
    }

    #[test]
    fn what_others_say() {
        check(false, "", true);
        check(false, "groups", false);
        check(true, "groups", true);
        check(true, "groups,manager", false);
        check(true, &format!("groups,{ENTERPRISE_USER}"), false);
        check(true, "manager", true);
    }
}
