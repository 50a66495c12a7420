//! The body of POST and PUT as a tree of attributes.
//!
//! What clients may not write (`id`, `meta`, `groups`) is passed over, as RFC
//! 7644 sections 3.3 and 3.5.1 ask; what the registry does not know, and keys
//! that are paths, are understood from clients with those accents.

use muster_proto::{
    reason,
    schema::{Attribute, ResourceType, Schema, is_urn},
    v1::ErrorReason,
    value::{Object, Value, prune},
};

use super::{
    coerce,
    error::ScimError,
    filter::{self, Filter, Literal},
    flavor::{Accent, Accents},
    group::{self, MemberName},
    json::{Json, Members},
    key::{self, Named, twice},
    path::{AttrPath, Definition, Path},
};

/// What a client wants a resource to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Attributes that have a value.
    pub attributes: Object,
    /// Of a group: its members.
    pub members: Vec<MemberName>,
}

/// A document that is being read.
struct Reader<'a> {
    resource: &'static ResourceType,
    accents: Accents<'a>,
    attributes: Object,
    members: Vec<MemberName>,
    /// How many keys had a filter: each is held against the elements so far.
    filters: usize,
}

/// Reads the body of a POST or PUT.
///
/// # Errors
/// `invalidSyntax` when `schemas` is no list of strings, for an attribute that
/// is given twice or that nobody knows; `invalidValue` when a value does not
/// fit its attribute or a required one is missing, 413 for more members than
/// one request may name.
pub fn read(
    mut body: Members,
    resource: &'static ResourceType,
    accents: Accents<'_>,
) -> Result<Document, ScimError> {
    let schemas = body.take("schemas");
    let urns = schema_urns(schemas.as_ref())?;
    let mut reader = Reader {
        resource,
        accents,
        attributes: Object::new(),
        members: Vec::new(),
        filters: 0,
    };
    for named in reader.named(body)? {
        reader.put(named)?;
    }
    let document = Document {
        attributes: prune(reader.attributes),
        members: reader.members,
    };
    let checked = document.check_schemas(&urns, resource, accents);
    tolerated(checked, accents)?;
    document.check(resource)?;
    Ok(document)
}

/// The URNs of `schemas`.
///
/// # Errors
/// `invalidSyntax` when it is no list of strings.
fn schema_urns(json: Option<&Json>) -> Result<Vec<&str>, ScimError> {
    let urns = match json {
        // RFC 7643 section 2.5: null is the same as not being there.
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::Array(urns)) => urns.iter().map(Json::as_str).collect(),
        Some(_) => None,
    };
    urns.ok_or_else(|| ScimError::invalid_syntax("schemas must be a list of strings."))
}

/// Checks that `schemas` names this URN, and no URN twice. Microsoft Entra
/// leaves some out, misspells one and adds one of its own.
///
/// # Errors
/// `invalidSyntax` when it is no list of strings, `invalidValue` when the list
/// is another.
pub fn check_schemas(
    json: Option<&Json>,
    urn: &str,
    accents: Accents<'_>,
) -> Result<(), ScimError> {
    tolerated(demand(&schema_urns(json)?, urn), accents)
}

/// What `schemas` says may be wrong for some.
fn tolerated(checked: Result<(), ScimError>, accents: Accents<'_>) -> Result<(), ScimError> {
    match checked {
        Err(_) if accents.has(Accent::SchemasUnchecked) => Ok(()),
        checked => checked,
    }
}

fn demand(urns: &[&str], urn: &str) -> Result<(), ScimError> {
    match urns.iter().filter(|u| u.eq_ignore_ascii_case(urn)).count() {
        1 => Ok(()),
        0 => Err(ScimError::invalid_value(format!(
            "schemas must name {urn}."
        ))),
        _ => Err(ScimError::invalid_value(format!(
            "schemas names {urn} twice."
        ))),
    }
}

impl Reader<'_> {
    fn named(&self, Members(members): Members) -> Result<Vec<Named>, ScimError> {
        let mut named = Vec::with_capacity(members.len());
        for (key, json) in members {
            match key::read(&key, json, self.resource, self.accents) {
                Ok(member) => named.push(member),
                Err(_) if self.may_be_passed_over(&key) => {}
                Err(_) => return Err(coerce::unknown(&key)),
            }
        }
        key::in_order(named)
    }

    /// Passwords are not kept, but RFC 7643 section 8.2 shows a user with one.
    fn may_be_passed_over(&self, key: &str) -> bool {
        key.eq_ignore_ascii_case("password") || self.accents.has(Accent::UnknownAttributes)
    }

    fn put(&mut self, named: Named) -> Result<(), ScimError> {
        let Named { path, filter, json } = named;
        if path.is_read_only() {
            return Ok(());
        }
        if group::is_members(&path, self.resource) {
            let members = group::member_names(json, self.accents)?;
            self.members.extend(members);
            return Ok(());
        }
        let name = path.to_string();
        match path.definition {
            Definition::Extension(schema) => self.extension(schema, json)?,
            Definition::Unregistered => self.unregistered(&path, json)?,
            Definition::Attribute(attribute) if filter.is_none() => {
                let value = coerce::attribute(json, attribute, &name, self.accents)?;
                self.within(&path.schema, |home| merge(home, attribute.name, value))?;
            }
            Definition::Attribute(attribute) => {
                let value = coerce::element(json, attribute, &name, self.accents)?;
                if let Value::Complex(parts) = value {
                    self.change_element(&path, attribute, filter, parts)?;
                }
            }
            Definition::SubAttribute(attribute, sub) => {
                let value = coerce::attribute(json, sub, &name, self.accents)?;
                let parts = Object::from([(sub.name.to_owned(), value)]);
                self.change_element(&path, attribute, filter, parts)?;
            }
        }
        Ok(())
    }

    fn extension(&mut self, schema: &'static Schema, json: Json) -> Result<(), ScimError> {
        let members = match json {
            Json::Null => return Ok(()),
            Json::String(text) if text.is_empty() && self.accents.has(Accent::EmptyClears) => {
                return Ok(());
            }
            Json::Object(members) => members,
            other => return Err(not_an_object(schema.urn, &other)),
        };
        let mut named = Vec::with_capacity(members.0.len());
        for (key, json) in members.0 {
            // RFC 7643 section 3: it says what the others are.
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            match self.in_extension(schema, &key) {
                Some((path, filter)) => named.push(Named { path, filter, json }),
                None if self.accents.has(Accent::UnknownAttributes) => {}
                None => return Err(coerce::unknown(&format!("{}:{key}", schema.urn))),
            }
        }
        for member in key::in_order(named)? {
            self.put(member)?;
        }
        Ok(())
    }

    fn in_extension(
        &self,
        schema: &'static Schema,
        key: &str,
    ) -> Option<(AttrPath, Option<Filter>)> {
        let parsed = filter::parse_path(key, self.accents).ok()?;
        let Path::Plain {
            attribute,
            sub_attribute,
        } = parsed.path
        else {
            return None;
        };
        let sub = sub_attribute.or(parsed.sub_attribute);
        let understood = (sub.is_none() || self.accents.has(Accent::KeysAsPaths))
            && (parsed.filter.is_none() || self.accents.has(Accent::FilterKeys));
        let attribute = schema.attribute(&attribute).filter(|_| understood)?;
        let path = AttrPath::registered(schema.urn, attribute, sub.as_deref())?;
        Some((path, parsed.filter))
    }

    /// An extension that no schema describes is kept as it is; what has its
    /// URN as name but no attributes is passed over.
    fn unregistered(&mut self, path: &AttrPath, json: Json) -> Result<(), ScimError> {
        match (path.attribute.as_ref(), json) {
            ("", Json::Object(members)) => {
                let object = coerce::untyped_object(members, &path.schema)?;
                self.within(&path.schema, |home| merge_all(home, object))
            }
            ("", _) => Ok(()),
            (attribute, json) => {
                let value = coerce::untyped(json, path)?;
                let value = match &path.sub_attribute {
                    None => value,
                    Some(sub) => Value::Complex(Object::from([(sub.to_string(), value)])),
                };
                self.within(&path.schema, |home| merge(home, attribute, value))
            }
        }
    }

    /// Changes the object in which attributes of this schema stand.
    fn within(
        &mut self,
        schema: &str,
        change: impl FnOnce(&mut Object) -> Result<(), ScimError>,
    ) -> Result<(), ScimError> {
        if schema.is_empty() {
            change(&mut self.attributes)
        } else {
            change_complex(&mut self.attributes, schema, change)
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
        parts: Object,
    ) -> Result<(), ScimError> {
        if !attribute.multi_valued {
            return match filter {
                None => self.within(&path.schema, |home| {
                    change_complex(home, attribute.name, |complex| merge_all(complex, parts))
                }),
                Some(_) => Ok(()),
            };
        }
        let wanted = match &filter {
            None => Some(Object::new()),
            Some(filter) => {
                self.count_filter(attribute)?;
                demanded(filter, attribute, self.accents)
            }
        };
        match wanted {
            Some(wanted) => self.within(&path.schema, |home| {
                change_in_list(home, attribute.name, wanted, parts)
            }),
            None => Ok(()),
        }
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
                let error = ScimError::invalid_value(detail);
                let reason = reason::name(ErrorReason::RequiredAttributeMissing);
                return Err(error.because(reason, attribute.name));
            }
            if let Some(Value::List(elements)) = value {
                coerce::one_primary(elements, attribute.name)?;
            }
        }
        Ok(())
    }

    /// RFC 7643 section 3: `schemas` names what the body uses, and nothing that
    /// the resource type has not.
    fn check_schemas(
        &self,
        urns: &[&str],
        resource: &'static ResourceType,
        accents: Accents<'_>,
    ) -> Result<(), ScimError> {
        demand(urns, resource.core.urn)?;
        let used = self.attributes.keys().filter(|name| is_urn(name));
        for urn in used {
            demand(urns, urn)?;
        }
        let known = |urn: &str| resource.core.is(urn) || resource.extension(urn).is_some();
        for urn in urns {
            if !known(urn) && !accents.has(Accent::UnregisteredExtensions) {
                let detail = format!("{urn} is no schema of {}.", resource.name);
                return Err(ScimError::invalid_value(detail));
            }
            demand(urns, urn)?;
        }
        Ok(())
    }
}

/// What an element must have to satisfy the filter; `None` when the filter
/// is not made of equalities.
fn demanded(
    filter: &Filter,
    attribute: &'static Attribute,
    accents: Accents<'_>,
) -> Option<Object> {
    let equality = |(path, literal): (&Path, &Literal)| {
        let sub = attribute.sub_attribute(path.name()?)?;
        let json = match literal {
            Literal::Null => return None,
            Literal::Boolean(value) => Json::Bool(*value),
            Literal::Number(text) | Literal::String(text) => Json::String(text.clone()),
        };
        let value = coerce::element(json, sub, sub.name, accents).ok()?;
        Some((sub.name.to_owned(), value))
    };
    filter.equalities()?.into_iter().map(equality).collect()
}

fn change_complex(
    home: &mut Object,
    name: &str,
    change: impl FnOnce(&mut Object) -> Result<(), ScimError>,
) -> Result<(), ScimError> {
    let mut object = match home.remove(name) {
        Some(Value::Complex(object)) => object,
        _ => Object::new(),
    };
    change(&mut object)?;
    home.insert(name.to_owned(), Value::Complex(object));
    Ok(())
}

fn change_in_list(
    home: &mut Object,
    name: &str,
    wanted: Object,
    parts: Object,
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
        merge_all(element, parts)?;
    }
    home.insert(name.to_owned(), Value::List(list));
    Ok(())
}

/// Two members may mean one attribute (`name` and `name.givenName`): complex
/// values and lists grow together, others must be the same.
fn merge(home: &mut Object, name: &str, value: Value) -> Result<(), ScimError> {
    match (home.get_mut(name), value) {
        (Some(Value::Complex(old)), Value::Complex(new)) => merge_all(old, new)?,
        (Some(Value::List(old)), Value::List(new)) => {
            let added: Vec<_> = new.into_iter().filter(|e| !old.contains(e)).collect();
            if old.len() + added.len() > coerce::MAX_ELEMENTS {
                return Err(coerce::too_many_elements(name));
            }
            old.extend(added);
        }
        (Some(old), new) if !old.is_unassigned() => {
            if !new.is_unassigned() && *old != new {
                return Err(twice(name));
            }
        }
        (_, value) => {
            home.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

fn merge_all(home: &mut Object, parts: Object) -> Result<(), ScimError> {
    parts
        .into_iter()
        .try_for_each(|(name, value)| merge(home, &name, value))
}

fn not_an_object(name: &str, json: &Json) -> ScimError {
    let found = json.type_name();
    ScimError::invalid_value(format!("{name} must be an object, not {found}.")).about(name)
}

#[cfg(test)]
mod tests;
