//! Members of bodies as attributes.
//!
//! RFC 7644 writes plain names and the URNs of extensions; some clients write
//! paths. Of what a path reaches, more than one member may speak: such members
//! must agree, for their order says nothing.

use std::collections::HashMap;

use muster_proto::schema::{ResourceType, is_urn};

use super::{
    error::ScimError,
    filter::{self, Filter},
    flavor::{Accent, Accents},
    json::{Json, Members},
    path::{AttrPath, Shape},
};

/// The attribute that a member's name means, and its value.
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    pub(super) path: AttrPath,
    pub(super) filter: Option<Filter>,
    pub(super) json: Json,
}

/// The attribute that a member means; the member itself when it means none.
pub(super) fn read(
    key: &str,
    json: Json,
    resource: &'static ResourceType,
    accents: Accents<'_>,
) -> Result<Named, Json> {
    let shape = Shape::of(Some(&json));
    let found = filter::parse_path(key, accents).ok().and_then(|parsed| {
        let path = parsed.resolve_for(resource, accents, shape)?;
        let behind_urn = is_urn(key) && !path.attribute.is_empty();
        let is_path = path.sub_attribute.is_some() || behind_urn;
        let understood = (!is_path || accents.has(Accent::KeysAsPaths))
            && (parsed.filter.is_none() || accents.has(Accent::FilterKeys));
        understood.then_some((path, parsed.filter))
    });
    match found {
        Some((path, filter)) => Ok(Named { path, filter, json }),
        None => Err(json),
    }
}

/// Puts whole attributes before their parts, and those before elements that a
/// filter chooses, so that no member undoes another.
///
/// # Errors
/// `invalidSyntax` for two members that say different things of one attribute.
pub(super) fn in_order(mut named: Vec<Named>) -> Result<Vec<Named>, ScimError> {
    named.sort_by_key(Named::rank);
    let mut said: HashMap<[String; 3], &Json> = HashMap::new();
    for member in named.iter().filter(|member| member.filter.is_none()) {
        let [schema, attribute, sub] = member.names();
        let whole = said.get(&[schema.clone(), attribute.clone(), String::new()]);
        let in_whole = match whole {
            Some(Json::Object(members)) if !sub.is_empty() => members.get(&sub),
            _ => None,
        };
        if let (true, Json::Object(Members(parts))) = (attribute.is_empty(), &member.json) {
            let named = |name: &String| [schema.clone(), name.to_ascii_lowercase(), String::new()];
            let parts = parts.iter().filter(|(name, _)| !name.is_empty());
            said.extend(parts.map(|(name, json)| (named(name), json)));
        }
        let before = said.insert([schema, attribute, sub], &member.json);
        let mut others = [before, in_whole].into_iter().flatten();
        if others.any(|json| *json != member.json) {
            return Err(twice(&member.path.to_string()));
        }
    }
    Ok(named)
}

/// What two members meet that do not agree.
pub(super) fn twice(name: &str) -> ScimError {
    ScimError::invalid_syntax(format!("{name} is given twice."))
}

impl Named {
    /// Schema, attribute and sub-attribute, to be compared.
    fn names(&self) -> [String; 3] {
        let path = &self.path;
        let sub = path.sub_attribute.as_deref().unwrap_or_default();
        [&path.schema, &path.attribute, sub].map(str::to_ascii_lowercase)
    }

    fn rank(&self) -> u8 {
        match (&self.filter, &self.path.sub_attribute) {
            (None, None) if self.path.attribute.is_empty() => 0,
            (None, None) => 1,
            (None, Some(_)) => 2,
            (Some(_), _) => 3,
        }
    }
}
