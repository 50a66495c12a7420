//! What becomes of values that a connection's policy looks at.

use muster_proto::value::Value;

use super::{policies::policy, *};

fn mail(kind: &str, value: &str) -> Value {
    Value::Complex(object([("type", kind), ("value", value)]))
}

fn mails(all: &[(&str, &str)]) -> Value {
    Value::List(all.iter().map(|(kind, value)| mail(kind, value)).collect())
}

/// A user with these addresses.
fn person(name: &str, all: &[(&str, &str)]) -> Object {
    let mut person = object([("userName", name)]);
    person.insert("emails".to_owned(), mails(all));
    person
}

impl World {
    async fn obeying(json: &str) -> Self {
        let mut world = Self::new().await;
        world.obey(policy(json)).await;
        world
    }

    async fn create_object(&self, attributes: Object) -> Result<Written> {
        self.directory.create_user(&self.caller, attributes).await
    }
}

fn ignored(written: &Written) -> Vec<&str> {
    let ignored = written.report.ignored.iter();
    ignored.map(|one| one.path.as_str()).collect()
}

#[tokio::test]
async fn what_is_not_known_fills_nothing() {
    let world =
        World::obeying(r#"{"lookups": {"title": ["Engineer"]}, "mirror": {"title": "nickName"}}"#)
            .await;
    let written = world.create(&[("userName", "a"), ("title", "Bad")]).await;
    let written = written.unwrap();
    assert_eq!(ignored(&written), ["title"]);
    let user = written.view.resource;
    assert_eq!((user.text("title"), user.text("nickName")), (None, None));
    let patched = world.patch(&user.id, set("title", "engineer")).await;
    let user = patched.unwrap().view.resource;
    assert_eq!(user.text("nickName"), Some("engineer"));
    // What is filled must be known as well.
    let world = World::obeying(
        r#"{"lookups": {"nickName": ["Ada"]}, "mirror": {"displayName": "nickName"}}"#,
    )
    .await;
    let written = world
        .create(&[("userName", "a"), ("displayName", "Eve")])
        .await;
    let user = written.unwrap().view.resource;
    assert_eq!(
        (user.text("displayName"), user.text("nickName")),
        (Some("Eve"), None)
    );
}

#[tokio::test]
async fn what_only_a_mirror_writes_is_written_by_it() {
    for on_other in ["ignore", "reject"] {
        let json = format!(
            r#"{{"allowed_attributes": ["userName", "active", "displayName"],
            "on_other_attributes": "{on_other}", "mirror": {{"displayName": "nickName"}},
            "match_order": ["user_name"], "on_match": "merge"}}"#
        );
        let world = World::obeying(&json).await;
        for name in ["Ada", "Augusta"] {
            let written = world
                .create(&[("userName", "a"), ("displayName", name)])
                .await;
            let written = written.unwrap();
            assert!(ignored(&written).is_empty(), "{written:?}");
            assert_eq!(written.view.resource.text("nickName"), Some(name));
        }
    }
    // An address that is not kept fills nothing.
    let world = World::obeying(
        r#"{"emails": "primary_only", "mirror": {"emails[type eq \"home\"].value": "title"}}"#,
    )
    .await;
    let created = world
        .create_object(person("a", &[("home", "a@x.test")]))
        .await;
    assert_eq!(created.unwrap().view.resource.text("title"), None);
}

#[tokio::test]
async fn every_element_of_a_type_is_looked_at() {
    let world = World::obeying(r#"{"rejected_attributes": ["emails[type eq \"WORK\"]"]}"#).await;
    let directory = &world.directory;
    let service = operator(&world.caller);
    let both = person("a", &[("work", "a@x.test"), ("home", "h@x.test")]);
    let created = directory.create_user(&service, both.clone()).await.unwrap();
    let id = created.view.resource.id;
    for wrong in [
        mails(&[("work", "a@x.test"), ("work", "evil@x.test")]),
        mails(&[("work", "evil@x.test"), ("work", "a@x.test")]),
    ] {
        let refused = world.patch(&id, set("emails", wrong)).await;
        assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    }
    // Another order is no change, nor is silence.
    let turned = mails(&[("home", "h@x.test"), ("work", "a@x.test")]);
    world.patch(&id, set("emails", turned)).await.unwrap();
    let home = person("a", &[("home", "h2@x.test")]);
    let replaced = directory
        .replace_user(&world.caller, &id, home, free())
        .await;
    let emails = replaced.unwrap().view.resource.attributes["emails"].clone();
    assert_eq!(
        emails,
        mails(&[("home", "h2@x.test"), ("work", "a@x.test")])
    );
}

#[tokio::test]
async fn every_element_of_a_type_is_looked_up() {
    let world =
        World::obeying(r#"{"lookups": {"emails[type eq \"work\"].value": ["ok@x.test"]}}"#).await;
    let sent = person("a", &[("work", "ok@x.test"), ("work", "evil@x.test")]);
    let written = world.create_object(sent).await.unwrap();
    assert_eq!(ignored(&written), ["emails[type eq \"work\"].value"]);
    assert!(!written.view.resource.attributes.contains_key("emails"));
    let sent = person("b", &[("work", "OK@x.test"), ("home", "any@x.test")]);
    let written = world.create_object(sent).await.unwrap();
    assert!(ignored(&written).is_empty());
    // A value that is required is there when any element has one.
    let json = r#"{"required_attributes": ["emails[type eq \"work\"].value"]}"#;
    let world = World::obeying(json).await;
    let mut sent = person("a", &[("work", "a@x.test")]);
    if let Some(Value::List(emails)) = sent.get_mut("emails") {
        emails.insert(
            0,
            Value::Complex(object([("type", "work"), ("display", "x")])),
        );
    }
    world.create_object(sent).await.unwrap();
}

#[tokio::test]
async fn what_a_put_is_silent_about_stays() {
    let names = |json: &str| {
        format!(r#"{{"allowed_attributes": {json}, "on_other_attributes": "reject"}}"#)
    };
    let json = names(r#"["userName", "active", "name.givenName"]"#);
    let world = World::obeying(&json).await;
    let service = operator(&world.caller);
    let mut ada = object([("userName", "a"), ("title", "Countess")]);
    let name = object([("formatted", "Ada L"), ("givenName", "Ada")]);
    ada.insert("name".to_owned(), Value::Complex(name));
    let created = world.directory.create_user(&service, ada).await.unwrap();
    let id = created.view.resource.id;
    let mut sent = object([("userName", "a")]);
    let name = object([("givenName", "Augusta")]);
    sent.insert("name".to_owned(), Value::Complex(name));
    let replaced = world
        .directory
        .replace_user(&world.caller, &id, sent, free())
        .await;
    let replaced = replaced.unwrap();
    assert!(ignored(&replaced).is_empty());
    let user = replaced.view.resource;
    let name = user.attributes["name"].as_object().unwrap();
    assert_eq!(name["formatted"], "Ada L".into());
    assert_eq!(name["givenName"], "Augusta".into());
    assert_eq!(user.text("title"), Some("Countess"));
    let refused = world.patch(&id, set("title", "Lady")).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn types_that_clients_make_up_are_told_to_nobody() {
    let json = r#"{"allowed_attributes": ["userName", "active", "emails[type eq \"work\"]"]}"#;
    let world = World::obeying(json).await;
    let sent = person(
        "a",
        &[("ada@secret.test", "x@x.test"), ("Home", "h@x.test")],
    );
    let written = world.create_object(sent).await.unwrap();
    assert_eq!(ignored(&written), ["emails", "emails[type eq \"home\"]"]);
}

#[tokio::test]
async fn whoever_is_gone_is_in_nobodys_way() {
    let json = r#"{"match_order": ["external_id", "user_name"], "on_match": "merge",
        "match_deleted": true}"#;
    let world = World::obeying(json).await;
    let create = async |name: &str, external_id: &str| {
        let sent = [("userName", name), ("externalId", external_id)];
        world.create(&sent).await.unwrap().view.resource.id
    };
    let first = create("jo", "1").await;
    let kind = ResourceKind::User;
    let gone = world
        .directory
        .delete(&world.caller, kind, &first, free(), false);
    gone.await.unwrap();
    // Another person of his name.
    let second = create("jo", "2").await;
    assert_ne!(first, second);
    // He himself, by another name, as his own is somebody else's.
    let sent = [("userName", "jo2"), ("externalId", "1")];
    let back = world.create(&sent).await.unwrap();
    let user = &back.view.resource;
    assert_eq!(
        (user.id.as_str(), user.text("userName")),
        (first.as_str(), Some("jo2"))
    );
    assert!(user.deleted_at.is_none() && user.may_act());
    let found = world
        .directory
        .get(&world.caller, get(&first), &Consistency::Strong);
    let found = found.await.unwrap().value.resource;
    assert_eq!(found.text("externalId"), Some("1"));
    assert_eq!(found.version, user.version);
}

#[tokio::test]
async fn people_are_not_found_by_groups_that_are_not_shown() {
    use crate::domain::filter::{Field, Filter};
    let world = World::obeying(r#"{"groups_enabled": false}"#).await;
    let field = Field::find(ResourceKind::User.schema(), "", "groups", "").unwrap();
    for filter in [
        Filter::Present(field.clone()),
        Filter::Not(Box::new(Filter::And(vec![Filter::Present(field)]))),
    ] {
        let selection = Selection {
            filter: Some(&filter),
            sort: None,
            reach: Reach::Live,
            wants: Wants::ALL,
        };
        let page = crate::domain::page::PageRequest::new(0, 0, None).unwrap();
        let (kind, strong) = (ResourceKind::User, Consistency::Strong);
        let listing = world
            .directory
            .list(&world.caller, kind, &selection, &page, &strong);
        let refused = listing.await;
        assert!(
            matches!(refused, Err(Error::FilterInvalid(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_is_named_twice_or_kept_otherwise_is_refused() {
    let world = World::new().await;
    world.group("Everyone").await;
    for (wrong, told) in [
        (r#"{"default_groups": ["Everyone", "EVERYONE"]}"#, "twice"),
        (
            r#"{"mirror": {"nickName": "title", "NICKNAME": "displayName"}}"#,
            "named twice",
        ),
        (
            r#"{"required_attributes": ["emails[type eq \"work\"].value"],
            "rejected_attributes": ["emails[type eq \"WORK\"]"]}"#,
            "is required",
        ),
        (
            r#"{"required_attributes":
            ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName"]}"#,
            "not written by clients",
        ),
        (r#"{"lookups": {"externalId": ["1"]}}"#, "kept by"),
        (r#"{"lookups": {"userName": ["a"]}}"#, "kept by"),
        (
            r#"{"deprovision_guard": {"max_users": 1, "window": "1ms"}}"#,
            "at least 1m",
        ),
        (
            r#"{"deprovision_guard": {"max_percent": 100, "window": "1h"}}"#,
            "less than 100",
        ),
    ] {
        let refused = world.set_policy(policy(wrong)).await;
        let refused = refused.expect_err(wrong).to_string();
        assert!(refused.contains(told), "{wrong}: {refused}");
    }
}

#[tokio::test]
async fn who_was_protected_and_is_gone_keeps_nobody_from_changing_the_rest() {
    let world = World::new().await;
    let user = world.user("ada").await.view.resource.id;
    let json = format!(r#"{{"protected_users": ["{user}"]}}"#);
    world.set_policy(policy(&json)).await.unwrap();
    let (service, kind) = (operator(&world.caller), ResourceKind::User);
    let gone = world.directory.delete(&service, kind, &user, free(), false);
    gone.await.unwrap();
    let more = format!(r#"{{"protected_users": ["{user}"], "credential_limit": 1}}"#);
    world.set_policy(policy(&more)).await.unwrap();
    let refused = world
        .set_policy(policy(r#"{"protected_users": ["nobody"]}"#))
        .await;
    assert!(refused.is_err());
}

fn address(kind: &str, country: &str, locality: &str) -> Value {
    let parts = [("type", kind), ("country", country), ("locality", locality)];
    Value::Complex(object(parts))
}

fn at(name: &str, addresses: Vec<Value>) -> Object {
    let mut person = object([("userName", name)]);
    person.insert("addresses".to_owned(), Value::List(addresses));
    person
}

#[tokio::test]
async fn a_part_that_is_rejected_keeps_no_other_part_from_changing() {
    let json = r#"{"rejected_attributes": ["addresses[type eq \"work\"].country"]}"#;
    let world = World::obeying(json).await;
    let (directory, service) = (&world.directory, operator(&world.caller));
    let two = vec![address("work", "DE", "A"), address("work", "DE", "B")];
    let created = directory.create_user(&service, at("a", two)).await.unwrap();
    let id = created.view.resource.id;
    let other = vec![address("work", "DE", "A"), address("work", "XX", "B")];
    let refused = world.patch(&id, set("addresses", Value::List(other))).await;
    assert!(matches!(refused, Err(Error::ReadOnly(_))), "{refused:?}");
    let silent = object([("type", "work"), ("locality", "New")]);
    let silent = at("a", vec![Value::Complex(silent)]);
    let replaced = directory
        .replace_user(&world.caller, &id, silent, free())
        .await;
    let addresses = replaced.unwrap().view.resource.attributes["addresses"].clone();
    let kept = vec![address("work", "DE", "New"), address("work", "DE", "B")];
    assert_eq!(addresses, Value::List(kept));
}

#[tokio::test]
async fn what_is_put_back_is_not_a_second_primary_one() {
    let primary = |kind: &str, value: &str| {
        let mut mail = object([("type", kind), ("value", value)]);
        mail.insert("primary".to_owned(), true.into());
        Value::Complex(mail)
    };
    let json = r#"{"rejected_attributes": ["emails[type eq \"work\"]"]}"#;
    let world = World::obeying(json).await;
    let mut ada = object([("userName", "a")]);
    let work = Value::List(vec![primary("work", "w@x.test")]);
    ada.insert("emails".to_owned(), work);
    let service = operator(&world.caller);
    let created = world.directory.create_user(&service, ada).await.unwrap();
    let id = created.view.resource.id;
    let mut sent = object([("userName", "a")]);
    let home = Value::List(vec![primary("home", "h@x.test")]);
    sent.insert("emails".to_owned(), home);
    let replaced = world
        .directory
        .replace_user(&world.caller, &id, sent, free())
        .await;
    let emails = replaced.unwrap().view.resource.attributes["emails"].clone();
    let both = vec![primary("home", "h@x.test"), mail("work", "w@x.test")];
    assert_eq!(emails, Value::List(both));
}

#[tokio::test]
async fn a_value_that_is_not_known_takes_no_element_with_it() {
    let json = r#"{"lookups": {"addresses[type eq \"work\"].country": ["DE"]}}"#;
    let world = World::obeying(json).await;
    let both = vec![address("work", "DE", "A"), address("home", "FR", "B")];
    let created = world.create_object(at("a", both)).await.unwrap();
    let id = created.view.resource.id;
    let moved = vec![address("work", "DE", "A"), address("work", "FR", "B")];
    let written = world.patch(&id, set("addresses", Value::List(moved))).await;
    let written = written.unwrap();
    assert_eq!(ignored(&written), ["addresses[type eq \"work\"].country"]);
    let second = Value::Complex(object([("type", "work"), ("locality", "B")]));
    let kept = Value::List(vec![address("work", "DE", "A"), second]);
    assert_eq!(written.view.resource.attributes["addresses"], kept);
}

#[tokio::test]
async fn whoever_keeps_his_name_comes_back_by_another_when_it_is_taken() {
    for kept in [
        r#""on_match": "merge", "never_overwrite": ["userName"]"#,
        r#""on_match": "adopt""#,
        r#""on_match": "merge", "user_name_immutable": true"#,
    ] {
        let json = format!(r#"{{"match_order": ["external_id"], "match_deleted": true, {kept}}}"#);
        let world = World::obeying(&json).await;
        let create = async |name: &str, external_id: &str| {
            let sent = [("userName", name), ("externalId", external_id)];
            world.create(&sent).await.unwrap().view.resource
        };
        let first = create("jo", "1").await.id;
        let kind = ResourceKind::User;
        let gone = world
            .directory
            .delete(&world.caller, kind, &first, free(), false);
        gone.await.unwrap();
        assert_ne!(create("jo", "2").await.id, first);
        let back = create("jo2", "1").await;
        assert_eq!(
            (back.id.as_str(), back.text("userName")),
            (first.as_str(), Some("jo2"))
        );
    }
}
