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

    /// The caller as he is after schemas changed.
    async fn informed(&self) -> Caller {
        let tx = self.directory.store.single();
        let registry = crate::storage::schemas::registry(&tx, &self.caller.tenant_id);
        let mut caller = self.caller.clone();
        caller.profile.registry = registry.await.unwrap();
        caller
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
