//! Schemas of a tenant's own: what is written when one is put.

use muster_proto::{schema::Extends, v1, value::Value};

use crate::{
    domain::{
        Resource,
        filter::{Field, Filter, Operator},
    },
    storage::rows_written,
};

use super::*;

const BADGE: &str = "urn:example:badge:2.0:User";

/// More than one statement takes.
const MANY: usize = 450;

fn attribute(name: &str, kind: v1::schema_attribute::Type) -> v1::SchemaAttribute {
    v1::SchemaAttribute {
        name: name.to_owned(),
        r#type: kind.into(),
        ..v1::SchemaAttribute::default()
    }
}

fn unique(attribute: v1::SchemaAttribute) -> v1::SchemaAttribute {
    v1::SchemaAttribute {
        uniqueness: v1::schema_attribute::Uniqueness::Server.into(),
        ..attribute
    }
}

impl World {
    /// Puts a schema and says how many rows that wrote.
    async fn put(
        &self,
        extends: Extends,
        urn: &str,
        description: &str,
        attributes: &[v1::SchemaAttribute],
    ) -> Result<i64> {
        let definition = v1::ExtensionSchema {
            urn: urn.to_owned(),
            description: description.to_owned(),
            attributes: attributes.to_vec(),
            ..v1::ExtensionSchema::default()
        };
        let editor = SchemaEditor::operator(&self.caller.tenant_id);
        let before = rows_written(&self.directory.store).await.unwrap();
        self.directory
            .put_schema(editor, extends, definition.into())
            .await?;
        Ok(rows_written(&self.directory.store).await.unwrap() - before)
    }

    /// A token of the caller's connection.
    async fn token(&self) -> String {
        let issued = issue(self, Wanted::Bearer, Expiry::Never).await;
        exposed(&issued.unwrap()).to_owned()
    }

    /// The caller as he is after schemas changed.
    async fn informed(&self) -> Caller {
        let token = self.token().await;
        let_in(&self.directory, &token, None).await.unwrap()
    }

    async fn badged(&self, name: &str, badge: Object) -> Resource {
        let mut attributes = object([("userName", name)]);
        attributes.insert(BADGE.to_owned(), Value::Complex(badge));
        let written = self.directory.create_user(&self.caller, attributes).await;
        written.unwrap().view.resource
    }

    async fn found(&self, caller: &Caller, name: &str, value: Value) -> Vec<Resource> {
        let field = Field::find(caller.profile.registry.user, BADGE, name, "").unwrap();
        let filter = Filter::compare(field, Operator::Equal, value).unwrap();
        let selection = Selection {
            filter: Some(&filter),
            ..EVERYTHING
        };
        let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
        let list = self.directory.list(
            caller,
            ResourceKind::User,
            &selection,
            &page,
            &Consistency::Strong,
        );
        let items = list.await.unwrap().value.items.into_iter();
        items.map(|view| view.resource).collect()
    }
}

#[tokio::test]
async fn a_schema_that_is_put_writes_what_differs_and_nothing_else() {
    use v1::schema_attribute::Type::{Integer, String as Text};
    let world = World::new().await;
    for n in 0..MANY {
        let number = Value::from(format!("N-{n}"));
        let badge = [
            ("NUMBER".to_owned(), number),
            ("level".to_owned(), Value::Integer(1)),
        ];
        world.badged(&n.to_string(), badge.into()).await;
    }
    let many = i64::try_from(MANY).unwrap();
    let schema = [
        unique(attribute("number", Text)),
        attribute("level", Integer),
    ];
    // The spelling differs: the row of each, and an indexed value.
    let written = world.put(Extends::User, BADGE, "", &schema).await.unwrap();
    assert!((2 * many..2 * many + 10).contains(&written), "{written}");
    let caller = world.informed().await;
    for n in [0, 199, 200, 399, 400, MANY - 1] {
        let found = world
            .found(&caller, "number", format!("n-{n}").into())
            .await;
        let [user] = found.as_slice() else {
            panic!("{n}: {found:?}");
        };
        assert_eq!(
            (user.text("userName"), user.version),
            (Some(n.to_string().as_str()), 2)
        );
        let badge = user.attributes[BADGE].as_object().unwrap();
        assert_eq!(badge.get("number"), Some(&format!("N-{n}").into()));
    }

    // A word of its description says nothing of anybody.
    let written = world.put(Extends::User, BADGE, "A badge", &schema).await;
    assert!((1..10).contains(&written.unwrap()));

    // Nobody sees that it is not looked up by an index any more.
    let plain = [attribute("number", Text), attribute("level", Integer)];
    let written = world.put(Extends::User, BADGE, "", &plain).await.unwrap();
    assert!((many..many + 10).contains(&written), "{written}");
    let caller = world.informed().await;
    let found = world.found(&caller, "number", "n-7".into()).await;
    assert_eq!(found[0].version, 2);

    // What filters read differs, what clients see does not.
    let exact = v1::SchemaAttribute {
        case_exact: true,
        ..attribute("number", Text)
    };
    let schema = [exact, attribute("level", Integer)];
    let written = world.put(Extends::User, BADGE, "", &schema).await.unwrap();
    assert!((many..many + 10).contains(&written), "{written}");
    let caller = world.informed().await;
    assert!(
        world
            .found(&caller, "number", "n-7".into())
            .await
            .is_empty()
    );
    assert_eq!(
        world.found(&caller, "number", "N-7".into()).await[0].version,
        2
    );
}

/// A value of each type that may be unique, with its name.
fn unique_values() -> [(&'static str, v1::schema_attribute::Type, Value); 6] {
    use v1::schema_attribute::Type;
    [
        ("text", Type::String, "x".into()),
        ("page", Type::Reference, "https://x.test".into()),
        ("whole", Type::Integer, Value::Integer(7)),
        ("number", Type::Decimal, Value::Decimal(2.5)),
        ("since", Type::DateTime, "2026-01-02T03:04:05Z".into()),
        ("chosen", Type::Boolean, true.into()),
    ]
}

#[tokio::test]
async fn what_is_unique_is_looked_up_by_an_index() {
    let world = World::new().await;
    let schema = unique_values().map(|(name, kind, _)| unique(attribute(name, kind)));
    let group = "urn:example:badge:2.0:Group";
    world.put(Extends::User, BADGE, "", &schema).await.unwrap();
    world.put(Extends::Group, group, "", &schema).await.unwrap();
    let caller = world.informed().await;
    let tx = world.directory.store.single();
    for (kind, urn, index) in [
        (ResourceKind::User, BADGE, "ix_user_values_lookup"),
        (ResourceKind::Group, group, "ix_group_values_lookup"),
    ] {
        for (name, _, value) in unique_values() {
            let resource = kind.within(caller.profile.registry);
            let field = Field::find(resource, urn, name, "").unwrap();
            let filter = Filter::compare(field, Operator::Equal, value).unwrap();
            let plan = crate::storage::resources::plan(&tx, caller.scope(), kind, &filter);
            let plan = plan.await.unwrap();
            let has = |what: &str| plan.iter().any(|step| step.contains(what));
            assert!(has(index) && !has("SCAN r"), "{name}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn indexed_values_come_along_with_an_import() {
    let world = World::new().await;
    let schema = unique_values().map(|(name, kind, _)| unique(attribute(name, kind)));
    let group = "urn:example:badge:2.0:Group";
    world.put(Extends::User, BADGE, "", &schema).await.unwrap();
    world.put(Extends::Group, group, "", &schema).await.unwrap();
    let token = world.token().await;
    let directory = &world.directory;
    let caller = let_in(directory, &token, None).await.unwrap();
    let values = || unique_values().map(|(name, _, value)| (name.to_owned(), value));
    let with = |name: &str, urn: &str| {
        let mut attributes = object([(name, "a")]);
        attributes.insert(urn.to_owned(), Value::Complex(values().into()));
        attributes
    };
    let user = with("userName", BADGE);
    directory.create_user(&caller, user).await.unwrap();
    let named = with("displayName", group);
    directory
        .create_group(&caller, named, vec![], 0)
        .await
        .unwrap();
    let mut file = Vec::new();
    directory.export(&mut file).await.unwrap();

    let url = format!("sqlite://{}/other.db", world.folder.display());
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let other = Directory::open(store, Arc::clone(&world.directory.source));
    let other = other.await.unwrap();
    other.import(&mut file.as_slice()).await.unwrap();
    let caller = let_in(&other, &token, None).await.unwrap();
    for (name, value) in values() {
        for (kind, of, urn) in [
            (ResourceKind::User, "userName", BADGE),
            (ResourceKind::Group, "displayName", group),
        ] {
            let mut attributes = object([(of, "b")]);
            let extension = Object::from([(name.clone(), value.clone())]);
            attributes.insert(urn.to_owned(), Value::Complex(extension));
            let again = match kind {
                ResourceKind::User => other.create_user(&caller, attributes).await,
                ResourceKind::Group => other.create_group(&caller, attributes, vec![], 0).await,
            };
            let taken = matches!(&again, Err(Error::ValueTaken(path)) if path.ends_with(&name));
            assert!(taken, "{name}: {again:?}");
        }
    }
}

#[tokio::test]
async fn numbers_that_differ_are_not_the_same() {
    let world = World::new().await;
    for (name, number) in [("a", 9_007_199_254_740_992), ("b", 9_007_199_254_740_993)] {
        let badge = [("number".to_owned(), Value::Integer(number))];
        world.badged(name, badge.into()).await;
    }
    let number = attribute("number", v1::schema_attribute::Type::Integer);
    let put = world.put(Extends::User, BADGE, "", &[unique(number)]).await;
    assert!(put.is_ok(), "{put:?}");
}

#[tokio::test]
async fn what_a_group_must_have_goes_with_its_extension_alone() {
    const SITE: &str = "urn:example:site:2.0:Group";
    let world = World::new().await;
    let site = v1::SchemaAttribute {
        required: true,
        ..attribute("site", v1::schema_attribute::Type::String)
    };
    world.put(Extends::Group, SITE, "", &[site]).await.unwrap();
    let caller = world.informed().await;
    let (directory, schema) = (&world.directory, caller.profile.registry.group);
    let named = |attribute: &str| {
        let patch = Operation {
            op: Op::Remove,
            path: Path::find(schema, SITE, attribute, "").unwrap(),
            value: Value::Null,
            require_target: false,
        };
        vec![Modification::Patch(patch)]
    };
    let whole = vec![Modification::Patch(Operation {
        op: Op::Remove,
        path: Path::find(schema, "", SITE, "")
            .or_else(|_| Path::find(schema, SITE, "", ""))
            .unwrap(),
        value: Value::Null,
        require_target: false,
    })];
    let replaced = vec![Modification::ReplaceAttributes(object([(
        "displayName",
        "r",
    )]))];
    for (name, steps, is_allowed) in [
        ("part", named("site"), false),
        ("whole", whole, true),
        ("replaced", replaced, true),
    ] {
        let mut group = object([("displayName", name)]);
        let extension = Object::from([("site".to_owned(), "S".into())]);
        group.insert(SITE.to_owned(), Value::Complex(extension));
        let group = directory
            .create_group(&caller, group, vec![], 0)
            .await
            .unwrap();
        let id = group.view.resource.id;
        let modified = directory.modify_group(&caller, &id, steps, free(), 0).await;
        match modified {
            Ok(modified) => {
                let group = modified.written.view.resource;
                assert!(is_allowed && !group.attributes.contains_key(SITE), "{name}");
            }
            Err(Error::Unremovable(path)) => assert!(!is_allowed && path.contains("site")),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// Definitions stay for the life of the process, so that one who may put must not
/// put for ever.
#[tokio::test]
async fn a_tenant_has_its_own_room_for_definitions() {
    let mut world = World::new().await;
    let level = || [attribute("level", v1::schema_attribute::Type::Integer)];
    for n in 0..500 {
        let described = format!("of one, {n}");
        world
            .put(Extends::User, BADGE, &described, &level())
            .await
            .unwrap();
    }
    let full = world
        .put(Extends::User, BADGE, "of one, 500", &level())
        .await;
    assert!(
        matches!(full, Err(Error::TooMany { limit: 500, .. })),
        "{full:?}"
    );
    // What is made already takes no room.
    world
        .put(Extends::User, BADGE, "of one, 7", &level())
        .await
        .unwrap();
    world.caller = caller(&world.directory, "other").await;
    world
        .put(Extends::User, BADGE, "of another", &level())
        .await
        .unwrap();
}
