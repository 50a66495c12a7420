//! The resource types of one tenant.
//!
//! Attributes of the standard are static, and whoever looks one up keeps the
//! reference. Those of tenants are the same: a definition is made once in the
//! life of the process and never freed. Whoever registers one asks whether there
//! is room ([`Registry::has_room`]), so that they stay few; those that another
//! process registered are made when they are met, without asking.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{
    Attribute, AttributeDefinition, Definition, GROUP, Kind, Reach, ResourceType, Schema, USER,
    Uniqueness,
};

/// What users and groups of a tenant consist of.
#[derive(Debug, PartialEq)]
pub struct Registry {
    /// Users.
    pub user: &'static ResourceType,
    /// Groups.
    pub group: &'static ResourceType,
}

/// What a schema extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extends {
    /// Users.
    User,
    /// Groups.
    Group,
}

static BUILTIN: Registry = Registry {
    user: &USER,
    group: &GROUP,
};

/// With how many definitions a process registers no other; a definition has at
/// most 64 KiB.
const ROOM: usize = 10_000;

/// What was made so far.
#[derive(Default)]
struct Made {
    schemas: HashMap<(Extends, &'static Definition), &'static Schema>,
    /// By the addresses of their schemas.
    registries: HashMap<Vec<usize>, &'static Registry>,
}

static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);

impl Registry {
    /// Of a tenant without schemas of its own.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Of a tenant with these schemas. They must break no rule
    /// ([`Definition::broken_rules`]).
    pub fn with(extensions: Vec<(Extends, Definition)>) -> &'static Self {
        if extensions.is_empty() {
            return Self::builtin();
        }
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let schemas = extensions.into_iter();
        let schemas: Vec<_> = schemas.map(|(of, d)| (of, made.schema(of, d))).collect();
        let key = schemas.iter().map(|(_, schema)| address(schema)).collect();
        if let Some(known) = made.registries.get(&key) {
            return known;
        }
        let registry: &'static Self = Box::leak(Box::new(Self {
            user: resource_type(&USER, Extends::User, &schemas),
            group: resource_type(&GROUP, Extends::Group, &schemas),
        }));
        made.registries.insert(key, registry);
        registry
    }

    /// Whether this definition is made already, so that it needs no room.
    pub fn is_made(extends: Extends, definition: &Definition) -> bool {
        let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.known(extends, definition).is_some()
    }

    /// Whether another definition may be made.
    pub fn has_room() -> bool {
        let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.schemas.len() < ROOM
    }

    /// Users and groups, in the order in which they are listed.
    pub fn resource_types(&self) -> [&'static ResourceType; 2] {
        [self.user, self.group]
    }

    /// Every schema: core schemas and extensions, those of users first.
    pub fn schemas(&self) -> impl Iterator<Item = &'static Schema> {
        let types = self.resource_types().into_iter();
        types.flat_map(|kind| std::iter::once(kind.core).chain(kind.extensions.iter().copied()))
    }
}

impl Made {
    fn known(&self, extends: Extends, definition: &Definition) -> Option<&'static Schema> {
        let schemas: &HashMap<(Extends, &Definition), _> = &self.schemas;
        schemas.get(&(extends, definition)).copied()
    }

    fn schema(&mut self, extends: Extends, definition: Definition) -> &'static Schema {
        if let Some(known) = self.known(extends, &definition) {
            return known;
        }
        // The schema is made of the definition's own texts.
        let definition: &'static Definition = Box::leak(Box::new(definition));
        let schema: &'static Schema = Box::leak(Box::new(Schema {
            urn: &definition.id,
            name: &definition.name,
            description: &definition.description,
            attributes: attributes(&definition.attributes),
        }));
        self.schemas.insert((extends, definition), schema);
        schema
    }
}

fn address(schema: &'static Schema) -> usize {
    std::ptr::from_ref(schema).addr()
}

fn resource_type(
    base: &'static ResourceType,
    extends: Extends,
    schemas: &[(Extends, &'static Schema)],
) -> &'static ResourceType {
    let own = schemas.iter().filter(|(of, _)| *of == extends);
    let own: Vec<_> = own.map(|(_, schema)| *schema).collect();
    if own.is_empty() {
        return base;
    }
    let all = [base.extensions, &own].concat();
    Box::leak(Box::new(ResourceType {
        extensions: all.leak(),
        name: base.name,
        description: base.description,
        endpoint: base.endpoint,
        core: base.core,
    }))
}

fn attributes(definitions: &'static [AttributeDefinition]) -> &'static [Attribute] {
    let all: Vec<_> = definitions.iter().map(attribute).collect();
    all.leak()
}

fn attribute(definition: &'static AttributeDefinition) -> Attribute {
    let exact_by_kind = matches!(definition.kind, Kind::Binary | Kind::Reference);
    let is_unique = definition.uniqueness == Uniqueness::Server;
    Attribute {
        name: &definition.name,
        kind: definition.kind,
        multi_valued: definition.multi_valued,
        description: &definition.description,
        required: definition.required,
        case_exact: definition.case_exact || exact_by_kind,
        mutability: definition.mutability,
        returned: definition.returned,
        uniqueness: definition.uniqueness,
        canonical_values: words(&definition.canonical_values),
        reference_types: words(&definition.reference_types),
        sub_attributes: attributes(&definition.sub_attributes),
        // A unique value is looked up with every write of one.
        reach: match is_unique {
            true => Reach::Indexed,
            false => Reach::Document,
        },
    }
}

fn words(texts: &'static [String]) -> &'static [&'static str] {
    let all: Vec<_> = texts.iter().map(String::as_str).collect();
    all.leak()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{schema::Target, v1};

    fn definition(urn: &str) -> Definition {
        let attribute = v1::SchemaAttribute {
            name: "site".to_owned(),
            ..v1::SchemaAttribute::default()
        };
        v1::ExtensionSchema {
            urn: urn.to_owned(),
            attributes: vec![attribute],
            ..v1::ExtensionSchema::default()
        }
        .into()
    }

    #[test]
    fn a_definition_is_made_once() {
        let one = || vec![(Extends::User, definition("urn:example:one"))];
        let registry = Registry::with(one());
        assert!(std::ptr::eq(registry, Registry::with(one())));
        let is_made = |of, urn| Registry::is_made(of, &definition(urn));
        assert!(is_made(Extends::User, "urn:example:one"));
        assert!(!is_made(Extends::Group, "urn:example:one"));
        let two =
            Registry::with([one(), vec![(Extends::Group, definition("urn:example:two"))]].concat());
        assert!(std::ptr::eq(
            registry.user.extensions[1],
            two.user.extensions[1]
        ));
        assert!(std::ptr::eq(registry.group, &GROUP));
        assert_eq!(two.schemas().count(), 5);
        assert!(std::ptr::eq(
            Registry::with(Vec::new()),
            Registry::builtin()
        ));
    }

    #[test]
    fn registered_attributes_are_found() {
        let registry = Registry::with(vec![(Extends::User, definition("urn:example:Ext"))]);
        let found = registry.user.find("URN:EXAMPLE:EXT", "SITE");
        assert!(matches!(found, Some(Target::Extension(_, attribute)) if attribute.name == "site"));
        assert_eq!(registry.user.find("urn:example:ext", "floor"), None);
    }
}
