//! What a tenant's own schema must look like.

use std::collections::HashSet;

use super::{
    AttributeDefinition, Definition, Kind, Mutability, SCHEMAS, Uniqueness, lookup::is_urn,
};

/// Most attributes of a schema, sub-attributes included.
pub const ATTRIBUTE_LIMIT: usize = 200;

/// Most canonical values or reference types of an attribute.
const WORD_LIMIT: usize = 100;

/// Longest schema: all its texts together, in bytes.
const SIZE_LIMIT: usize = 65_536;

/// Longest text in a schema, in bytes.
const TEXT_LIMIT: usize = 1_024;

/// Longest URN and longest name of an attribute, in bytes.
const NAME_LIMIT: usize = 200;

/// Names that SCIM's own messages use at the top level of a resource, or that
/// mean something of their own in a path.
const RESERVED: [&str; 4] = ["schemas", "id", "externalId", "meta"];

/// A part of a schema, by its path, and the rule that it breaks.
pub type Broken = (String, String);

impl Definition {
    /// Every rule that the schema breaks; none when it can be registered.
    pub fn broken_rules(&self) -> Vec<Broken> {
        let mut report = Report::default();
        report.urn(&self.id);
        report.text("name", &self.name);
        report.text("description", &self.description);
        if self.attributes.is_empty() {
            report.note("attributes", "must have at least one");
        }
        let subs = self.attributes.iter().map(|a| a.sub_attributes.len());
        if self.attributes.len() + subs.sum::<usize>() > ATTRIBUTE_LIMIT {
            report.note("attributes", format!("has more than {ATTRIBUTE_LIMIT}"));
            return report.0;
        }
        if self.size() > SIZE_LIMIT {
            report.note(
                "attributes",
                format!("has more than {SIZE_LIMIT} bytes of text"),
            );
        }
        report.siblings("", &self.attributes);
        report.0
    }
}

impl Definition {
    fn size(&self) -> usize {
        let own = self.id.len() + self.name.len() + self.description.len();
        own + self
            .attributes
            .iter()
            .map(AttributeDefinition::size)
            .sum::<usize>()
    }

    /// Whether a path could mean something in either: the URN of one goes on
    /// where that of the other ends.
    pub fn shadows(&self, urn: &str) -> bool {
        let goes_on = |long: &str, short: &str| {
            let head = long.get(..short.len());
            let rest = long.as_bytes().get(short.len());
            rest == Some(&b':') && head.is_some_and(|head| head.eq_ignore_ascii_case(short))
        };
        goes_on(&self.id, urn) || goes_on(urn, &self.id)
    }
}

impl AttributeDefinition {
    fn size(&self) -> usize {
        let words = self.canonical_values.iter().chain(&self.reference_types);
        let words: usize = words.map(String::len).sum();
        let subs: usize = self.sub_attributes.iter().map(Self::size).sum();
        self.name.len() + self.description.len() + words + subs
    }
}

#[derive(Default)]
struct Report(Vec<Broken>);

impl Report {
    fn urn(&mut self, urn: &str) {
        let graphic = |b: u8| b.is_ascii_graphic() && !b"\"'\\<>[]()?".contains(&b);
        let parts: Vec<_> = urn.split(':').collect();
        if !is_urn(urn) || parts.len() < 3 || parts.iter().any(|part| part.is_empty()) {
            self.note("id", "must be a URN, urn:namespace:name");
        } else if urn.len() > NAME_LIMIT || !urn.bytes().all(graphic) {
            self.note(
                "id",
                format!(
                    "must have at most {NAME_LIMIT} bytes, without blanks, quotes and brackets"
                ),
            );
        } else if SCHEMAS.iter().any(|schema| schema.is(urn)) || is_reserved(urn) {
            self.note("id", "is a URN of the standard's own");
        }
    }

    fn siblings(&mut self, parent: &str, attributes: &[AttributeDefinition]) {
        let mut names = HashSet::new();
        for attribute in attributes {
            let path = match parent {
                "" => attribute.name.clone(),
                parent => format!("{parent}.{}", attribute.name),
            };
            if !names.insert(attribute.name.to_ascii_lowercase()) {
                self.note(&path, "is there twice");
            }
            self.attribute(&path, attribute, parent.is_empty());
        }
    }

    fn attribute(&mut self, path: &str, attribute: &AttributeDefinition, is_top: bool) {
        if !is_name(&attribute.name) {
            self.note(
                path,
                "must begin with a letter, and go on with letters, digits, - and _",
            );
        }
        if is_top
            && RESERVED
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&attribute.name))
        {
            self.note(path, "is a name of the standard's own");
        }
        self.text(path, &attribute.description);
        self.words(path, &attribute.canonical_values);
        self.words(path, &attribute.reference_types);
        let has_parts = !attribute.sub_attributes.is_empty();
        match attribute.kind {
            Kind::Complex if !is_top => {
                self.note(path, "must not be complex in a complex attribute");
            }
            Kind::Complex if !has_parts => self.note(path, "is complex and has no sub-attributes"),
            Kind::Complex => self.siblings(path, &attribute.sub_attributes),
            _ if has_parts => self.note(path, "has sub-attributes and is not complex"),
            _ => {}
        }
        let is_simple = is_top && attribute.kind != Kind::Complex && !attribute.multi_valued;
        if attribute.uniqueness == Uniqueness::Server && !is_simple {
            self.note(
                path,
                "can be unique only when it is simple and has one value",
            );
        }
        if !is_top && attribute.multi_valued {
            self.note(path, "must not be multi-valued in a complex attribute");
        }
        if attribute.required && attribute.mutability == Mutability::ReadOnly {
            self.note(path, "is required, and nobody may write it");
        }
    }

    fn words(&mut self, path: &str, words: &[String]) {
        if words.len() > WORD_LIMIT {
            self.note(
                path,
                format!("has more than {WORD_LIMIT} canonical values or reference types"),
            );
        }
        for word in words {
            self.text(path, word);
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        if text.len() > TEXT_LIMIT || text.contains('\0') {
            self.note(
                path,
                format!("has a text of more than {TEXT_LIMIT} bytes, or with a NUL"),
            );
        }
    }

    fn note(&mut self, path: &str, rule: impl Into<String>) {
        self.0.push((path.to_owned(), rule.into()));
    }
}

/// RFC 7643 section 10.3 keeps these for IANA: a tenant cannot define what the
/// standard calls a User. Extensions under `extension:` are anybody's.
fn is_reserved(urn: &str) -> bool {
    [
        "urn:ietf:params:scim:schemas:core:",
        "urn:ietf:params:scim:api:",
    ]
    .iter()
    .any(|prefix| {
        urn.get(..prefix.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    })
}

/// RFC 7643 section 2.1.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_LIMIT
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"$-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{schema::ENTERPRISE_USER, v1};

    fn definition(urn: &str, attributes: Vec<v1::SchemaAttribute>) -> Definition {
        v1::ExtensionSchema {
            urn: urn.to_owned(),
            attributes,
            ..v1::ExtensionSchema::default()
        }
        .into()
    }

    fn named(name: &str) -> v1::SchemaAttribute {
        v1::SchemaAttribute {
            name: name.to_owned(),
            ..v1::SchemaAttribute::default()
        }
    }

    #[track_caller]
    fn check(urn: &str, attributes: Vec<v1::SchemaAttribute>, broken: &[&str]) {
        let found = definition(urn, attributes).broken_rules();
        let found: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(found, broken, "{urn}");
    }

    #[test]
    fn what_cannot_be_registered_is_named() {
        use v1::schema_attribute::{Mutability, Type, Uniqueness};
        let good = "urn:example:params:ext:2.0:User";
        check(good, vec![named("site"), named("floor-2_a")], &[]);
        check("urn:x:y", vec![named("a")], &[]);
        for urn in [
            "",
            "urn:",
            "urn:x",
            "urn::x:y",
            "http://x/y/z",
            "urn:x:a b",
            "urn:x:a\"b",
            ENTERPRISE_USER,
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "URN:ietf:params:scim:schemas:core:2.0:Device",
            "urn:ietf:params:scim:api:messages:2.0:Error",
        ] {
            check(urn, vec![named("a")], &["id"]);
        }
        check(good, vec![], &["attributes"]);
        check(
            good,
            (0..201).map(|n| named(&format!("a{n}"))).collect(),
            &["attributes"],
        );
        for name in ["", "1a", "a b", "$ref", "a.b", "ä"] {
            check(good, vec![named(name)], &[name]);
        }
        check(good, vec![named("a"), named("A")], &["A"]);
        check(good, vec![named("ID")], &["ID"]);
        let complex = |subs| v1::SchemaAttribute {
            r#type: Type::Complex.into(),
            sub_attributes: subs,
            ..named("c")
        };
        check(good, vec![complex(vec![])], &["c"]);
        check(
            good,
            vec![complex(vec![complex(vec![named("x")])])],
            &["c.c"],
        );
        check(good, vec![complex(vec![named("id"), named("x")])], &[]);
        let parts = v1::SchemaAttribute {
            sub_attributes: vec![named("x")],
            ..named("s")
        };
        check(good, vec![parts], &["s"]);
        let unique = v1::SchemaAttribute {
            multi_valued: true,
            uniqueness: Uniqueness::Server.into(),
            ..named("u")
        };
        check(good, vec![unique], &["u"]);
        let unwritable = v1::SchemaAttribute {
            required: true,
            mutability: Mutability::ReadOnly.into(),
            ..named("r")
        };
        check(good, vec![unwritable], &["r"]);
    }
}
