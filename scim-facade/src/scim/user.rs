//! Users: RFC 7643 sections 4.1 and 4.3. What the directory keeps beside the
//! attributes that clients write.

use muster_proto::{
    schema::ENTERPRISE_USER,
    value::{Object, Value},
};

use super::{meta::Links, resource::Resource};

/// A group that the user is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// Id of the group.
    pub id: String,
    /// Its name.
    pub display: String,
    /// Whether he is in it only through other groups.
    pub indirect: bool,
}

/// Puts `groups` into the tree of a user.
pub fn add_groups(resource: &mut Resource, groups: Vec<GroupRef>, links: &Links) {
    if groups.is_empty() {
        return;
    }
    let elements = groups.into_iter().map(|group| {
        let relation = if group.indirect { "indirect" } else { "direct" };
        Value::Complex(Object::from([
            (
                "$ref".to_owned(),
                links.resource("/Groups", &group.id).into(),
            ),
            ("display".to_owned(), group.display.into()),
            ("type".to_owned(), relation.into()),
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
