//! `bulkId:x` in the place of an id.

use std::collections::{BTreeSet, HashMap};

use muster_proto::schema::is_urn;

use super::super::json::{Json, Members};

const PREFIX: &str = "bulkId:";

/// The name in a reference.
pub(super) fn name(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)
}

/// Every name that the members refer to.
pub(super) fn names(members: &Members) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (_, json) in &members.0 {
        collect(json, &mut found);
    }
    found
}

fn collect<'a>(json: &'a Json, found: &mut BTreeSet<&'a str>) {
    match json {
        Json::String(text) => found.extend(name(text)),
        Json::Array(elements) => elements.iter().for_each(|e| collect(e, found)),
        Json::Object(members) => members.0.iter().for_each(|(_, j)| collect(j, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// How many references there are, also of one name.
pub(super) fn count(members: &Members) -> usize {
    let each = members.0.iter().map(|(_, json)| count_in(json));
    each.sum()
}

fn count_in(json: &Json) -> usize {
    match json {
        Json::String(text) => usize::from(name(text).is_some()),
        Json::Array(elements) => elements.iter().map(count_in).sum(),
        Json::Object(members) => count(members),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

/// The members with ids in the place of the names that are known.
pub(super) fn resolve(members: &Members, ids: &HashMap<String, String>) -> Members {
    let member = |(key, json): &(String, Json)| (key.clone(), resolved(json, ids));
    Members(members.0.iter().map(member).collect())
}

fn resolved(json: &Json, ids: &HashMap<String, String>) -> Json {
    match json {
        Json::String(text) => match name(text).and_then(|name| ids.get(name)) {
            Some(id) => Json::String(id.clone()),
            None => json.clone(),
        },
        Json::Array(elements) => Json::Array(elements.iter().map(|e| resolved(e, ids)).collect()),
        Json::Object(members) => Json::Object(resolve(members, ids)),
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}

/// Takes out what refers to others, whole elements and whole attributes. What
/// is left can be made at once, what was taken can be added later.
pub(super) fn split(members: Members) -> (Members, Members) {
    let (mut left, mut taken) = (Members::default(), Members::default());
    for (key, json) in members.0 {
        match json {
            json if !refers(&json) => left.push(key, json),
            Json::Array(elements) => {
                let (with, without): (Vec<_>, Vec<_>) = elements.into_iter().partition(refers);
                if !without.is_empty() {
                    left.push(key.as_str(), without);
                }
                taken.push(key, with);
            }
            Json::Object(attributes) if is_urn(&key) => {
                let (without, with) = split(attributes);
                if !without.0.is_empty() {
                    left.push(key.as_str(), without);
                }
                taken.push(key, with);
            }
            json => taken.push(key, json),
        }
    }
    (left, taken)
}

fn refers(json: &Json) -> bool {
    count_in(json) > 0
}
