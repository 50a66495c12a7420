//! A tree of attributes as the JSON of a resource: RFC 7643 section 3.

use muster_proto::{
    schema::{Attribute, ResourceType},
    value::{Object, Value},
};
use serde_json::Number;

use super::{
    json::{Json, Members},
    meta::{Links, Meta},
    projection::Projection,
};

/// A resource of the directory, ready to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// What it is.
    pub kind: &'static ResourceType,
    /// Its id.
    pub id: String,
    /// Everything else but `meta`, spelled as in the registry.
    pub attributes: Object,
    /// Version and times.
    pub meta: Meta,
}

impl Resource {
    /// Where it is found.
    pub fn location(&self, links: &Links) -> String {
        links.resource(self.kind.endpoint, &self.id)
    }

    /// The JSON: `schemas` first, then `id`, then the attributes in the order
    /// of the registry, extensions, `meta`. `schemas` names the core schema
    /// and the extensions that are shown.
    pub fn render(mut self, links: &Links, projection: &Projection) -> Json {
        let mut shown = Members::default();
        let mut schemas = vec![Json::from(self.kind.core.urn)];
        let meta = self.meta.to_value(self.kind.name, self.location(links));
        shown.push("id", self.id);
        for attribute in self.kind.core.attributes {
            if let Some(value) = self.attributes.remove(attribute.name) {
                let value = projection.keep("", attribute.name, value);
                shown.extend(value.map(|value| (attribute.name, typed(value, attribute))));
            }
        }
        for schema in self.kind.extensions {
            let Some(Value::Complex(mut object)) = self.attributes.remove(schema.urn) else {
                continue;
            };
            let mut members = Members::default();
            for attribute in schema.attributes {
                if let Some(value) = object.remove(attribute.name) {
                    let value = projection.keep(schema.urn, attribute.name, value);
                    members.extend(value.map(|value| (attribute.name, typed(value, attribute))));
                }
            }
            show_extension(schema.urn, members, &mut shown, &mut schemas);
        }
        for (urn, value) in self.attributes {
            let Value::Complex(object) = value else {
                continue;
            };
            let mut members = Members::default();
            for (name, value) in object {
                let value = projection.keep(&urn, &name, value);
                members.extend(value.map(|value| (name, untyped(value))));
            }
            show_extension(&urn, members, &mut shown, &mut schemas);
        }
        if let Some(meta) = projection.keep("", "meta", meta)
            && let Some(attribute) = self.kind.core_attribute("meta")
        {
            shown.push("meta", typed(meta, attribute));
        }
        shown.0.insert(0, ("schemas".to_owned(), schemas.into()));
        Json::Object(shown)
    }
}

impl Members {
    fn extend(&mut self, member: Option<(impl Into<String>, Json)>) {
        if let Some((name, json)) = member {
            self.push(name, json);
        }
    }
}

fn show_extension(urn: &str, members: Members, shown: &mut Members, schemas: &mut Vec<Json>) {
    if !members.0.is_empty() {
        schemas.push(urn.into());
        shown.push(urn, members);
    }
}

/// The JSON of a registered attribute, sub-attributes in their order.
fn typed(value: Value, attribute: &'static Attribute) -> Json {
    match value {
        Value::List(elements) => {
            let elements = elements.into_iter().map(|e| typed(e, attribute));
            Json::Array(elements.collect())
        }
        Value::Complex(mut object) => {
            let mut members = Members::default();
            for sub in attribute.sub_attributes {
                let value = object.remove(sub.name);
                members.extend(value.map(|value| (sub.name, untyped(value))));
            }
            Json::Object(members)
        }
        simple => untyped(simple),
    }
}

/// The JSON of any value.
pub fn untyped(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::String(text) => Json::String(text),
        Value::Boolean(value) => Json::Bool(value),
        Value::Integer(value) => value.into(),
        Value::Decimal(value) => Number::from_f64(value).map_or(Json::Null, Json::Number),
        Value::List(elements) => Json::Array(elements.into_iter().map(untyped).collect()),
        Value::Complex(object) => {
            let member = |(name, value)| (name, untyped(value));
            Json::Object(Members(object.into_iter().map(member).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{ENTERPRISE_USER, USER};

    use super::{super::flavor::Flavor, *};

    fn user() -> Resource {
        let object = |fields: Vec<(&str, Value)>| -> Object {
            fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
        };
        let email = object(vec![("type", "work".into()), ("value", "a@b".into())]);
        let enterprise = object(vec![("department", "d".into())]);
        Resource {
            kind: &USER,
            id: "1".to_owned(),
            attributes: object(vec![
                ("active", true.into()),
                ("emails", Value::List(vec![Value::Complex(email)])),
                ("externalId", "e".into()),
                ("userName", "ada".into()),
                (ENTERPRISE_USER, Value::Complex(enterprise)),
                (
                    "urn:x:Y:2.0:User",
                    Value::Complex(object(vec![("n", Value::Integer(1))])),
                ),
            ]),
            meta: Meta {
                version: "\"v1\"".to_owned(),
                ..Meta::default()
            },
        }
    }

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, expected: &str) {
        let links = Links::new("http://h", "/scim/v2");
        let projection = Projection::parse(attributes, excluded, &USER, Flavor::Entra.accents())
            .expect("few names");
        assert_eq!(user().render(&links, &projection).to_string(), expected);
    }

    #[test]
    fn resources() {
        let core = "urn:ietf:params:scim:schemas:core:2.0:User";
        let meta = r#""meta":{"resourceType":"User","location":"http://h/scim/v2/Users/1","version":"\"v1\""}"#;
        check(
            None,
            None,
            &format!(
                r#"{{"schemas":["{core}","{ENTERPRISE_USER}","urn:x:Y:2.0:User"],"id":"1","externalId":"e","userName":"ada","active":true,"emails":[{{"value":"a@b","type":"work"}}],"{ENTERPRISE_USER}":{{"department":"d"}},"urn:x:Y:2.0:User":{{"n":1}},{meta}}}"#
            ),
        );
        check(
            Some("id"),
            None,
            &format!(r#"{{"schemas":["{core}"],"id":"1"}}"#),
        );
        check(
            Some("EMAILS[type eq \"a,b\"].value, nonsense,meta.version"),
            None,
            &format!(
                r#"{{"schemas":["{core}"],"id":"1","emails":[{{"value":"a@b"}}],"meta":{{"version":"\"v1\""}}}}"#
            ),
        );
        check(
            None,
            Some(&format!(
                "emails.type,meta,id,active,{ENTERPRISE_USER},urn:x:Y:2.0:User:n"
            )),
            &format!(
                r#"{{"schemas":["{core}"],"id":"1","externalId":"e","userName":"ada","emails":[{{"value":"a@b"}}]}}"#
            ),
        );
    }
}
