//! The body of POST and PUT as a tree of attributes.
//!
//! Names of members are attribute paths: `name.givenName`, an extension's URN
//! with an attribute behind it and `emails[type eq "work"].value` reach what
//! they name. What clients may not write (`id`, `meta`, `groups`) and what the
//! registry does not know is passed over, as RFC 7644 section 3.3 asks.

use muster_proto::{
    schema::{Attribute, ResourceType, Schema},
    value::{Object, Value, prune},
};

use super::{
    coerce,
    error::ScimError,
    filter::{self, Filter, Literal},
    group,
    json::{Json, Members},
    path::{AttrPath, Definition, PatchPath, Path},
};

/// What a client wants a resource to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Attributes that have a value.
    pub attributes: Object,
    /// Of a group: ids, or the client's own identifiers, of its members.
    pub members: Vec<String>,
}

/// A document that is being read.
#[derive(Default)]
struct Reader {
    attributes: Object,
    members: Vec<String>,
    /// How many keys had a filter: each is held against the elements so far.
    filters: usize,
}

/// Reads the body of a POST or PUT.
///
/// # Errors
/// `invalidSyntax` when `schemas` is no list of strings, `invalidValue` when a
/// value does not fit its attribute or a required one is missing, 413 for more
/// members than one request may name.
pub fn read(body: Members, resource: &'static ResourceType) -> Result<Document, ScimError> {
    let mut reader = Reader::default();
    for (key, json) in body.0 {
        if key.eq_ignore_ascii_case("schemas") {
            check_schemas(&json)?;
        } else {
            reader.member(&key, json, resource)?;
        }
    }
    let document = Document {
        attributes: prune(reader.attributes),
        members: reader.members,
    };
    document.check(resource)?;
    Ok(document)
}

/// Which URNs stand in `schemas` is not enforced: Microsoft Entra leaves some
/// out, misspells one and adds one of its own.
///
/// # Errors
/// `invalidSyntax` when it is no list of strings.
pub fn check_schemas(json: &Json) -> Result<(), ScimError> {
    match json {
        Json::Array(urns) if urns.iter().all(|urn| urn.as_str().is_some()) => Ok(()),
        // RFC 7643 section 2.5: null is the same as not being there.
        Json::Null => Ok(()),
        _ => Err(ScimError::invalid_syntax(
            "schemas must be a list of strings.",
        )),
    }
}

impl Reader {
    fn member(
        &mut self,
        key: &str,
        json: Json,
        resource: &'static ResourceType,
    ) -> Result<(), ScimError> {
        let Ok(PatchPath { path, filter }) = filter::parse_key(key, Some(&json)) else {
            return Ok(());
        };
        match path.resolve(resource) {
            Some(path) => self.put(path, filter, json),
            None => Ok(()),
        }
    }

    fn put(&mut self, path: AttrPath, filter: Option<Filter>, json: Json) -> Result<(), ScimError> {
        if path.is_read_only() {
            return Ok(());
        }
        if group::is_members(&path) {
            self.members.extend(group::member_ids(json)?);
            return Ok(());
        }
        let name = path.to_string();
        match path.definition {
            Definition::Extension(schema) => self.extension(schema, json)?,
            Definition::Unregistered => self.unregistered(&path, json)?,
            Definition::Attribute(attribute) if filter.is_none() => {
                let value = coerce::attribute(json, attribute, &name)?;
                self.within(&path.schema, |home| merge(home, attribute.name, value));
            }
            Definition::Attribute(attribute) => {
                if let Value::Complex(parts) = coerce::element(json, attribute, &name)? {
                    self.change_element(&path, attribute, filter, |element| {
                        element.extend(parts);
                    })?;
                }
            }
            Definition::SubAttribute(attribute, sub) => {
                let value = coerce::element(json, sub, &name)?;
                self.change_element(&path, attribute, filter, |element| {
                    element.insert(sub.name.to_owned(), value);
                })?;
            }
        }
        Ok(())
    }

    fn extension(&mut self, schema: &'static Schema, json: Json) -> Result<(), ScimError> {
        let members = match json {
            Json::Null => return Ok(()),
            Json::String(text) if text.is_empty() => return Ok(()),
            Json::Object(members) => members,
            other => return Err(not_an_object(schema.urn, &other)),
        };
        for (key, json) in members.0 {
            let Ok(PatchPath { path, filter }) = filter::parse_path(&key) else {
                continue;
            };
            let attribute = schema.attribute(&path.attribute);
            let sub = path.sub_attribute.as_deref();
            let path = attribute.and_then(|a| AttrPath::registered(schema.urn, a, sub));
            if let Some(path) = path {
                self.put(path, filter, json)?;
            }
        }
        Ok(())
    }

    /// An extension that no schema describes is kept as it is; what has its
    /// URN as name but no attributes is passed over.
    fn unregistered(&mut self, path: &AttrPath, json: Json) -> Result<(), ScimError> {
        match (path.attribute.as_ref(), json) {
            ("", Json::Object(members)) => {
                let object = coerce::untyped_object(members, &path.schema)?;
                self.within(&path.schema, |home| home.extend(object));
            }
            ("", _) => {}
            (attribute, json) => {
                let value = coerce::untyped(json, path)?;
                let value = match &path.sub_attribute {
                    None => value,
                    Some(sub) => Value::Complex(Object::from([(sub.to_string(), value)])),
                };
                self.within(&path.schema, |home| merge(home, attribute, value));
            }
        }
        Ok(())
    }

    /// Changes the object in which attributes of this schema stand.
    fn within(&mut self, schema: &str, change: impl FnOnce(&mut Object)) {
        if schema.is_empty() {
            change(&mut self.attributes);
        } else {
            change_complex(&mut self.attributes, schema, change);
        }
    }

    /// Changes the complex value, or the element of a list, that a path means;
    /// it is made when missing. A filter that does not say what to make means
    /// nothing here.
    fn change_element(
        &mut self,
        path: &AttrPath,
        attribute: &'static Attribute,
        filter: Option<Filter>,
        change: impl FnOnce(&mut Object),
    ) -> Result<(), ScimError> {
        if !attribute.multi_valued {
            if filter.is_none() {
                self.within(&path.schema, |home| {
                    change_complex(home, attribute.name, change);
                });
            }
            return Ok(());
        }
        let wanted = match &filter {
            None => Some(Object::new()),
            Some(filter) => {
                self.count_filter(attribute)?;
                demanded(filter, attribute)
            }
        };
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let mut found = Ok(());
        self.within(&path.schema, |home| {
            found = change_in_list(home, attribute.name, wanted, change);
        });
        found
    }

    /// As many filters as a list may have elements reach every element; more
    /// would only cost time.
    fn count_filter(&mut self, attribute: &Attribute) -> Result<(), ScimError> {
        self.filters += 1;
        if self.filters > coerce::MAX_ELEMENTS {
            return Err(coerce::too_many_elements(attribute.name));
        }
        Ok(())
    }
}

impl Document {
    fn check(&self, resource: &ResourceType) -> Result<(), ScimError> {
        for attribute in resource.core.attributes {
            let value = self.attributes.get(attribute.name);
            if attribute.required && value.is_none() {
                let detail = format!("{} is required.", attribute.name);
                return Err(ScimError::invalid_value(detail));
            }
            if let Some(Value::List(elements)) = value {
                coerce::one_primary(elements, attribute.name)?;
            }
        }
        Ok(())
    }
}

/// What an element must have to satisfy the filter; `None` when the filter
/// is not made of equalities.
fn demanded(filter: &Filter, attribute: &'static Attribute) -> Option<Object> {
    let equality = |(path, literal): (&Path, &Literal)| {
        let sub = attribute.sub_attribute(&path.attribute)?;
        let json = match literal {
            Literal::Null => return None,
            Literal::Boolean(value) => Json::Bool(*value),
            Literal::Number(text) | Literal::String(text) => Json::String(text.clone()),
        };
        let value = coerce::element(json, sub, sub.name).ok()?;
        Some((sub.name.to_owned(), value))
    };
    filter.equalities()?.into_iter().map(equality).collect()
}

fn change_complex(home: &mut Object, name: &str, change: impl FnOnce(&mut Object)) {
    let mut object = match home.remove(name) {
        Some(Value::Complex(object)) => object,
        _ => Object::new(),
    };
    change(&mut object);
    home.insert(name.to_owned(), Value::Complex(object));
}

fn change_in_list(
    home: &mut Object,
    name: &str,
    wanted: Object,
    change: impl FnOnce(&mut Object),
) -> Result<(), ScimError> {
    let mut list = match home.remove(name) {
        Some(Value::List(list)) => list,
        _ => Vec::new(),
    };
    let fits = |element: &Value| {
        let element = element.as_object();
        element.is_some_and(|element| wanted.iter().all(|(n, v)| element.get(n) == Some(v)))
    };
    let index = list.iter().position(fits).unwrap_or(list.len());
    if index == coerce::MAX_ELEMENTS {
        return Err(coerce::too_many_elements(name));
    }
    if index == list.len() {
        list.push(Value::Complex(wanted));
    }
    if let Some(Value::Complex(element)) = list.get_mut(index) {
        change(element);
    }
    home.insert(name.to_owned(), Value::List(list));
    Ok(())
}

/// Two members may mean one attribute (`name` and `name.givenName`): complex
/// values grow together, of others the later one counts.
fn merge(home: &mut Object, name: &str, value: Value) {
    match (home.get_mut(name), value) {
        (Some(Value::Complex(old)), Value::Complex(new)) => old.extend(new),
        (_, value) => {
            home.insert(name.to_owned(), value);
        }
    }
}

fn not_an_object(name: &str, json: &Json) -> ScimError {
    let found = json.type_name();
    ScimError::invalid_value(format!("{name} must be an object, not {found}."))
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{GROUP, USER};

    use super::{super::json, *};

    fn read_user(body: &str) -> Result<Document, ScimError> {
        read(json::parse_object(body.as_bytes())?, &USER)
    }

    /// The attributes beside userName as JSON, or the detail of the error.
    #[track_caller]
    fn check(members: &str, expected: Result<&str, &str>) {
        let found = read_user(&format!("{{\"userName\":\"u\",{members}}}"));
        let found = found.map(|mut document| {
            document.attributes.remove("userName");
            super::super::resource::untyped(Value::Complex(document.attributes)).to_string()
        });
        let found = found.as_deref().map_err(ScimError::detail);
        assert_eq!(found, expected, "{members}");
    }

    #[test]
    fn what_clients_may_not_write_or_nobody_knows_is_passed_over() {
        check(
            r#""id":"1","meta":{"resourceType":"User"},"groups":[{"value":"g"}],"password":"p",
               "jobTitle":"x","roles":[],"title":null,"nickName":"","schemas":["urn:odd"],
               "a b":1,"urn:x:odd":null,"urn:x:odd:y:2.0:U":3"#,
            Ok("{}"),
        );
        check("\"schemas\":null", Ok("{}"));
        check(
            "\"schemas\":\"x\"",
            Err("schemas must be a list of strings."),
        );
    }

    #[test]
    fn members_are_paths() {
        check(
            r#""name.givenName":"G","name":{"familyName":"F"},"NAME.middleName":"M""#,
            Ok(r#"{"name":{"familyName":"F","givenName":"G","middleName":"M"}}"#),
        );
        check(
            r#""emails[type eq \"work\"].value":"a","emails[type eq \"work\"].primary":"True""#,
            Ok(r#"{"emails":[{"primary":true,"type":"work","value":"a"}]}"#),
        );
    }

    #[test]
    fn lists_and_filters_are_bounded() {
        let many = |count: usize| {
            let keys = (0..count).map(|n| format!(r#""ims[type eq a{n}].value":"v""#));
            format!(
                "{{\"userName\":\"u\",{}}}",
                keys.collect::<Vec<_>>().join(",")
            )
        };
        assert!(read_user(&many(coerce::MAX_ELEMENTS)).is_ok());
        let error = read_user(&many(coerce::MAX_ELEMENTS + 1)).expect_err("too many");
        assert_eq!(error.detail(), "ims may have at most 1000 elements.");
        let full = vec![r#"{"value":"v"}"#; coerce::MAX_ELEMENTS].join(",");
        check(
            &format!(r#""ims":[{full}],"ims[type eq \"x\"].value":"v""#),
            Err("ims may have at most 1000 elements."),
        );
        check(
            &format!(r#""ims":[{full},"v"]"#),
            Err("ims may have at most 1000 elements."),
        );
    }

    #[test]
    fn numbers_that_would_lose_digits_are_refused() {
        let long = "12345678901234567890123";
        check(
            &format!(r#""urn:x:Y:2.0:User":{{"a":[{{"b":{long}}}]}}"#),
            Err("urn:x:Y:2.0:User:a has a number of more than 64 bits."),
        );
        check(
            r#""urn:x:Y:2.0:User:a":9223372036854775808"#,
            Err("urn:x:Y:2.0:User:a has a number of more than 64 bits."),
        );
        check(
            &format!(r#""title":{long}"#),
            Err("title has a number of more than 64 bits."),
        );
        check(
            r#""urn:x:Y:2.0:User":{"a":9223372036854775807,"b":-9223372036854775808,"c":0.5}"#,
            Ok(
                r#"{"urn:x:Y:2.0:User":{"a":9223372036854775807,"b":-9223372036854775808,"c":0.5}}"#,
            ),
        );
    }

    #[test]
    fn empty_names_are_passed_over() {
        check(
            r#""urn:x:Y:2.0:User":{"":1,"a":{"":2,"b":3}},"":4"#,
            Ok(r#"{"urn:x:Y:2.0:User":{"a":{"b":3}}}"#),
        );
    }

    #[test]
    fn extensions() {
        const URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        check(
            &format!(r#""{URN}":{{"Department":"d","manager":"m","x":1}},"{URN}:division":"v""#),
            Ok(&format!(
                r#"{{"{URN}":{{"department":"d","division":"v","manager":{{"value":"m"}}}}}}"#
            )),
        );
        check(
            &format!(r#""{URN}":{{"manager":[{{"value":"m","displayName":"D"}}]}}"#),
            Ok(&format!(r#"{{"{URN}":{{"manager":{{"value":"m"}}}}}}"#)),
        );
        check(
            r#""urn:x:Custom:2.0:User":{"A":"1","b":null,"c":{"d":[2]}}"#,
            Ok(r#"{"urn:x:Custom:2.0:User":{"A":"1","c":{"d":[2]}}}"#),
        );
        check(
            r#""urn:x:custom":{"a":1},"urn:x:other:b":"2","urn:x:C:2.0User":{"c":3}"#,
            Ok(r#"{"urn:x:C:2.0User":{"c":3},"urn:x:custom":{"a":1},"urn:x:other":{"b":"2"}}"#),
        );
        check(
            &format!(r#""{URN}":7"#),
            Err(&format!("{URN} must be an object, not a number.")),
        );
    }

    #[test]
    fn required_attributes() {
        let detail = |result: Result<Document, ScimError>| {
            result.expect_err("incomplete").detail().to_owned()
        };
        assert_eq!(
            detail(read_user("{\"userName\":\"\"}")),
            "userName is required."
        );
        assert_eq!(
            detail(read(Members::default(), &GROUP)),
            "displayName is required."
        );
    }

    #[test]
    fn members_of_a_group() {
        let body = br#"{"displayName":"g","members":[{"value":"1","$ref":null},"2"]}"#;
        let document = read(json::parse_object(body).expect("JSON"), &GROUP).expect("a group");
        assert_eq!(document.members, ["1", "2"]);
    }
}
