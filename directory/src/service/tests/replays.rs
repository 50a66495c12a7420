//! Requests that come again under their id.

use super::*;
use crate::{
    auth::Once,
    domain::credential::{Purpose, Secret},
    service::PersonalToken,
};

impl World {
    fn with_id(&self, request_id: &str, digest: &str) -> Caller {
        Caller {
            once: Some(Arc::new(Once {
                request_id: request_id.to_owned(),
                digest: digest.to_owned(),
            })),
            ..self.caller.clone()
        }
    }
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_and_not_done() {
    let world = World::new().await;
    let directory = &world.directory;
    let caller = world.with_id("1", "a");
    let ada = || object([("userName", "ada")]);
    let (first, second) = tokio::join!(
        directory.create_user(&caller, ada()),
        directory.create_user(&caller, ada())
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    let id = &first.view.resource.id;
    let patched = directory.patch_user(
        &world.caller,
        id,
        set("title", "Countess"),
        free(),
        Wants::ALL,
    );
    patched.await.unwrap();
    let again = directory.create_user(&caller, ada()).await.unwrap();
    assert_eq!(
        (again.position, again.report),
        (first.position, first.report)
    );
    assert_eq!(again.view.resource.version, 2);
    let other = world.with_id("1", "b");
    let reused = directory.create_user(&other, ada()).await;
    assert!(matches!(reused, Err(Error::RequestIdReused)));
    // Another caller's id is another one.
    let stranger = Caller {
        principal: Principal::Operator,
        ..caller.clone()
    };
    let taken = directory.create_user(&stranger, ada()).await;
    assert!(matches!(taken, Err(Error::Taken { .. })));
    directory
        .delete(&world.caller, ResourceKind::User, id, free(), false)
        .await
        .unwrap();
    let gone = directory.create_user(&caller, ada()).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_failed_is_not_remembered_and_what_changed_nothing_is() {
    let world = World::new().await;
    let directory = &world.directory;
    let user = world.user("ada").await.view.resource.id;
    let caller = world.with_id("1", "a");
    let failed = directory
        .create_user(&caller, object([("userName", "ADA")]))
        .await;
    assert!(matches!(failed, Err(Error::Taken { .. })));
    directory
        .create_user(&caller, object([("userName", "bob")]))
        .await
        .unwrap();
    let caller = world.with_id("2", "a");
    let patch = |title: &'static str| {
        directory.patch_user(&caller, &user, set("title", title), free(), Wants::ALL)
    };
    assert_eq!(patch("Engineer").await.unwrap().position, None);
    world.user("carl").await;
    // With the same digest it is the same request, whatever is in it here.
    assert_eq!(patch("Countess").await.unwrap().position, None);
}

#[tokio::test]
async fn a_secret_is_told_once() {
    let world = World::new().await;
    let directory = &world.directory;
    let user = world.user("ada").await.view.resource.id;
    let caller = Caller {
        principal: Principal::Operator,
        ..world.with_id("1", "a")
    };
    let wanted = PersonalToken {
        user_id: user,
        name: "laptop".to_owned(),
        scopes: vec!["read".to_owned()],
        audiences: vec!["https://api.example.test".to_owned()],
        expires_at: directory.now_ms() + 60_000,
    };
    let first = directory
        .create_personal_token(&caller, wanted.clone())
        .await;
    let (first, at) = first.unwrap();
    assert!(Secret::parse(Purpose::Personal, exposed(&first)).is_some());
    let again = directory.create_personal_token(&caller, wanted).await;
    let (again, again_at) = again.unwrap();
    assert_eq!((again.credential.id, again_at), (first.credential.id, at));
    assert!(again.secret.is_none());
}

#[tokio::test]
async fn after_a_day_an_id_is_free_again() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let world = World::new().await;
    let directory = &world.directory;
    let create = |digest: &str, name: &str| {
        let caller = world.with_id("1", digest);
        let attributes = object([("userName", name)]);
        async move { directory.create_user(&caller, attributes).await }
    };
    create("a", "ada").await.unwrap();
    world.source.ms.fetch_add(DAY_MS - 1_000, Ordering::Relaxed);
    let early = create("b", "bob").await;
    assert!(matches!(early, Err(Error::RequestIdReused)));
    world.source.ms.fetch_add(1_000, Ordering::Relaxed);
    create("b", "bob").await.unwrap();
    let late = create("a", "carl").await;
    assert!(matches!(late, Err(Error::RequestIdReused)));
    world.source.ms.fetch_add(DAY_MS, Ordering::Relaxed);
    directory.keep_house().await.unwrap();
    create("c", "carl").await.unwrap();
}
