//! Which attributes a client wants: RFC 7644 section 3.9.

use muster_proto::{
    schema::{ResourceType, Returned},
    value::{Object, Value},
};

use super::path::{AttrPath, Path, is_ambiguous};

/// The attributes of an answer. `id` and `schemas` come always.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    resource: &'static ResourceType,
    choice: Choice,
}

#[derive(Debug, Clone, PartialEq)]
enum Choice {
    All,
    Only(Vec<AttrPath>),
    Except(Vec<AttrPath>),
}

impl Projection {
    /// Reads the query parameters `attributes` and `excludedAttributes`. Names
    /// that nobody knows are passed over. RFC 7644 lets a client send one of
    /// the two; of both, `attributes` counts.
    pub fn parse(
        attributes: Option<&str>,
        excluded: Option<&str>,
        resource: &'static ResourceType,
    ) -> Self {
        let given = |text: &&str| !text.trim().is_empty();
        let choice = match (attributes.filter(given), excluded.filter(given)) {
            (Some(text), _) => Choice::Only(paths(text, resource)),
            (None, Some(text)) => Choice::Except(paths(text, resource)),
            (None, None) => Choice::All,
        };
        Self { resource, choice }
    }

    /// Whether the client wants the attribute or something in it.
    pub fn wants(&self, schema: &str, attribute: &str) -> bool {
        if self.is_always(schema, attribute) {
            return true;
        }
        let mut reaching = self.reaching(schema, attribute);
        match &self.choice {
            Choice::All => true,
            Choice::Only(_) => reaching.next().is_some(),
            Choice::Except(_) => !reaching.any(|path| path.sub_attribute.is_none()),
        }
    }

    /// What the client wants of the attribute's value.
    pub fn keep(&self, schema: &str, attribute: &str, value: Value) -> Option<Value> {
        if !self.wants(schema, attribute) {
            return None;
        }
        let subs: Vec<_> = self
            .reaching(schema, attribute)
            .map(|path| path.sub_attribute.as_deref())
            .collect();
        let named = |name: &str| subs.contains(&Some(name));
        match &self.choice {
            Choice::Only(_) if !subs.is_empty() && !subs.contains(&None) => retain(value, &named),
            Choice::Except(_) if !subs.is_empty() => retain(value, &|name| !named(name)),
            _ => Some(value),
        }
    }

    /// The attributes a client wants, when it does not want all: schema (empty:
    /// core) and name (empty: the extension as a whole).
    pub fn wanted(&self) -> Option<Vec<(&str, &str)>> {
        let core = self.resource.core.attributes.iter();
        let core = core.map(|attribute| ("", attribute.name));
        match &self.choice {
            Choice::All => None,
            Choice::Only(paths) => Some(
                paths
                    .iter()
                    .map(|path| (path.schema.as_ref(), path.attribute.as_ref()))
                    .collect(),
            ),
            // Extensions are cheap to load and rarely excluded.
            Choice::Except(_) => {
                let extensions = self.resource.extensions.iter().map(|s| (s.urn, ""));
                let all = core.chain(extensions).chain([("urn:", "")]);
                Some(
                    all.filter(|(s, a)| a.is_empty() || self.wants(s, a))
                        .collect(),
                )
            }
        }
    }

    fn reaching(&self, schema: &str, attribute: &str) -> impl Iterator<Item = &AttrPath> {
        let paths = match &self.choice {
            Choice::All => &[],
            Choice::Only(paths) | Choice::Except(paths) => paths.as_slice(),
        };
        paths.iter().filter(move |path| {
            path.schema.eq_ignore_ascii_case(schema)
                && (path.attribute.is_empty() || path.attribute.eq_ignore_ascii_case(attribute))
        })
    }

    fn is_always(&self, schema: &str, attribute: &str) -> bool {
        let definition = self.resource.core_attribute(attribute);
        schema.is_empty() && definition.is_some_and(|a| a.returned == Returned::Always)
    }
}

/// The names in a list, without what stands in brackets: a client that asks
/// for `emails[type eq "work"]` gets all e-mail addresses.
fn paths(text: &str, resource: &'static ResourceType) -> Vec<AttrPath> {
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let meanings = |name: &str| {
        // Without a value to tell, such a URN means both.
        let whole = is_ambiguous(name).then(|| Path::extension(name));
        let paths = [Path::parse(name), whole].into_iter().flatten();
        paths.filter_map(|path| path.resolve(resource)).collect()
    };
    let names = plain.split(',').map(str::trim);
    names.flat_map::<Vec<_>, _>(meanings).collect()
}

fn retain(value: Value, wanted: &impl Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::List(elements) if elements.is_empty() => Some(Value::List(elements)),
        Value::List(elements) => {
            let kept: Vec<_> = elements
                .into_iter()
                .filter_map(|element| retain(element, wanted))
                .collect();
            (!kept.is_empty()).then_some(Value::List(kept))
        }
        Value::Complex(object) => {
            let kept: Object = object
                .into_iter()
                .filter(|(name, _)| wanted(name))
                .collect();
            (!kept.is_empty()).then_some(Value::Complex(kept))
        }
        simple => Some(simple),
    }
}

#[cfg(test)]
mod tests {
    use muster_proto::schema::{GROUP, USER};

    use super::*;

    #[track_caller]
    fn check(attributes: Option<&str>, excluded: Option<&str>, groups: bool, members: bool) {
        let user = Projection::parse(attributes, excluded, &USER);
        assert_eq!(
            user.wants("", "groups"),
            groups,
            "{attributes:?} {excluded:?}"
        );
        let group = Projection::parse(attributes, excluded, &GROUP);
        assert_eq!(
            group.wants("", "members"),
            members,
            "{attributes:?} {excluded:?}"
        );
    }

    #[test]
    fn costly_attributes_are_loaded_only_when_wanted() {
        check(None, None, true, true);
        check(Some(""), Some(" "), true, true);
        check(Some("id"), None, false, false);
        check(Some("Members.value,GROUPS"), None, true, true);
        check(None, Some("members,groups"), false, false);
        check(None, Some("members.display,groups.$ref"), true, true);
        check(
            None,
            Some("urn:ietf:params:scim:schemas:core:2.0:Group:members"),
            true,
            false,
        );
        check(Some("members"), Some("members"), false, true);
    }

    #[test]
    fn id_comes_always() {
        let projection = Projection::parse(None, Some("id"), &USER);
        assert!(projection.wants("", "id"));
    }
}
