//! A tree of attributes as the JSON of a resource: RFC 7643 section 3.

use muster_proto::{
    schema::{Attribute, ENTERPRISE_USER, ResourceType, Returned},
    value::{Object, Value},
};
use serde_json::Number;

use super::{
    group::MEMBERS,
    json::{Json, Members},
    meta::{Links, Meta},
    projection::Projection,
    version::{self, Echo},
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
    /// Of a group: its members as they are shown. They never become a tree,
    /// because there may be very many.
    pub members: Option<Vec<Json>>,
    /// Version and times.
    pub meta: Meta,
}

/// A resource as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its weak entity tag, also in `meta.version`.
    pub version: String,
    /// Its URL, also in `meta.location`.
    pub location: String,
    /// Its JSON.
    pub body: Json,
}

impl Resource {
    /// Where it is found.
    pub fn location(&self, links: &Links) -> String {
        links.resource(self.kind.endpoint, &self.id)
    }

    /// The JSON: `schemas` first, then `id`, then the attributes in the order
    /// of the registry, extensions, `meta`. `schemas` names the core schema
    /// and the extensions that are shown.
    pub fn render(mut self, links: &Links, projection: &Projection) -> Shown {
        let location = self.location(links);
        let mut echo = Echo::default();
        let mut shown = Members::default();
        let mut schemas = vec![Json::from(self.kind.core.urn)];
        shown.push("id", std::mem::take(&mut self.id));
        self.show_core(projection, &mut echo, &mut shown);
        for schema in self.kind.extensions {
            let Some(Value::Complex(mut object)) = self.attributes.remove(schema.urn) else {
                continue;
            };
            let mut members = Members::default();
            for attribute in schema.attributes {
                if let Some(value) = object.remove(attribute.name)
                    && let Some(value) = projection.keep(schema.urn, attribute.name, value)
                {
                    echo.hear_extension(&value);
                    // Who wrote what is returned on request sees it once.
                    if schema.urn != ENTERPRISE_USER && attribute.returned != Returned::Request {
                        echo.hear_shown(attribute.name);
                    }
                    members.push(attribute.name, typed(value, attribute));
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
        let version = version::weak(&self.meta.version, echo);
        let meta = self.meta.to_value(self.kind.name, &location, &version);
        if let Some(meta) = projection.keep("", "meta", meta)
            && let Some(attribute) = self.kind.core_attribute("meta")
        {
            shown.push("meta", typed(meta, attribute));
        }
        shown.0.insert(0, ("schemas".to_owned(), schemas.into()));
        Shown {
            version,
            location,
            body: Json::Object(shown),
        }
    }

    fn show_core(&mut self, projection: &Projection, echo: &mut Echo, shown: &mut Members) {
        for attribute in self.kind.core.attributes {
            let name = attribute.name;
            let value = self.attributes.remove(name);
            let value = value.and_then(|value| projection.keep("", name, value));
            let json = match (name, value, self.members.take_if(|_| name == MEMBERS)) {
                (_, _, Some(members)) => Json::Array(members),
                (_, Some(value), None) => typed(value, attribute),
                (_, None, None) => continue,
            };
            if matches!(name, "groups" | MEMBERS) {
                echo.hear(&json);
            }
            shown.push(name, json);
        }
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
            members: None,
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
        let shown = user().render(&links, &projection);
        assert_eq!(shown.version, "W/\"v1\"");
        assert_eq!(shown.body.to_string(), expected);
    }

    #[test]
    fn resources() {
        let core = "urn:ietf:params:scim:schemas:core:2.0:User";
        let meta = r#""meta":{"resourceType":"User","location":"http://h/scim/v2/Users/1","version":"W/\"v1\""}"#;
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
        for named in ["schemas", "SCHEMAS,id"] {
            let only = format!(r#"{{"schemas":["{core}"],"id":"1"}}"#);
            check(Some(named), None, &only);
        }
        check(
            Some("id"),
            Some("schemas"),
            &format!(r#"{{"schemas":["{core}"],"id":"1"}}"#),
        );
        check(
            Some("EMAILS[type eq \"a,b\"].value, nonsense,meta.version"),
            None,
            &format!(
                r#"{{"schemas":["{core}"],"id":"1","emails":[{{"value":"a@b"}}],"meta":{{"version":"W/\"v1\""}}}}"#
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
