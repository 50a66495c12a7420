//! Tokens of users and service clients, keys that sign them, and what a process
//! remembers.

use std::time::Duration;

use super::*;
use crate::{
    domain::{
        client::{Grantable, directory_audience},
        signing_key::State,
    },
    signing::{
        service_key::{KeyFile, ServiceKey},
        token::Confirmation,
    },
    storage::{rows_written, subjects::UserKey},
};

const API: &str = "https://api.example.test";

/// A registered client with its key.
async fn client(world: &World, scopes: &[&str]) -> (String, KeyFile) {
    let key = ServiceKey::generate().unwrap();
    let tenant = &world.caller.tenant_id;
    let registration = Registration {
        name: format!("client {}", scopes.join(" ")),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        grantable: Grantable {
            audiences: vec![API.to_owned()],
            scopes: None,
        },
        keys: key.public_set().unwrap(),
        certificate: None,
    };
    let operator = operator(&world.caller);
    let created = world.directory.create_client(&operator, registration);
    let id = created.await.unwrap().id;
    let file = key.file(&id, &directory_audience(tenant)).unwrap();
    (id, KeyFile::read(&file).unwrap())
}

async fn service_token(world: &World, key: &KeyFile) -> Result<String> {
    let source = &world.directory.source;
    let assertion = key.assertion(&source.new_id(), source.now_ms()).unwrap();
    let issued = world.directory.issue_service_token(&assertion, &[]).await;
    issued.map(|issued| issued.token)
}

pub(super) async fn service(world: &World, scopes: &[&str]) -> Caller {
    let (_, key) = client(world, scopes).await;
    let token = service_token(world, &key).await.unwrap();
    let_in(&world.directory, &token, None).await.unwrap()
}

fn wanted(user: &str) -> TokenWanted {
    TokenWanted {
        user: UserKey::Id(user.to_owned()),
        audiences: vec![API.to_owned()],
        scopes: vec!["read".to_owned()],
        life_s: None,
        client_id: String::new(),
        session_id: String::new(),
        auth_time: None,
        acr: String::new(),
        amr: Vec::new(),
        groups: None,
        confirmation: Confirmation::default(),
    }
}

async fn is_active(world: &World, caller: &Caller, token: &str) -> bool {
    let asked = Question {
        token,
        audience: "",
        scopes: &[],
    };
    let said = world.directory.introspect(caller, asked).await.unwrap();
    said.active.is_some()
}

#[tokio::test]
async fn an_assertion_buys_a_token_once_while_its_client_is_let_in() {
    let world = World::new().await;
    let (id, key) = client(&world, &["users.read.basic"]).await;
    let source = &world.directory.source;
    let assertion = key.assertion("once", source.now_ms()).unwrap();
    let issued = world.directory.issue_service_token(&assertion, &[]).await;
    let token = issued.unwrap().token;
    let again = world.directory.issue_service_token(&assertion, &[]).await;
    assert!(matches!(again, Err(Error::CredentialInvalid)));

    let caller = let_in(&world.directory, &token, None).await.unwrap();
    assert_eq!((caller.id(), caller.connection()), (id.as_str(), None));
    assert!(caller.scopes.has("users.read.basic"));
    // It opens no connection.
    let own = world.caller.connection();
    assert!(let_in(&world.directory, &token, own).await.is_err());

    let operator = operator(&world.caller);
    let switch = async |disabled: bool| {
        let reason = disabled.then_some("left");
        let switched = world.directory.set_client_disabled(&operator, &id, reason);
        switched.await.unwrap().1
    };
    assert!(switch(true).await && !switch(true).await);
    assert!(let_in(&world.directory, &token, None).await.is_err());
    assert!(service_token(&world, &key).await.is_err());
    assert!(switch(false).await);
    // What it had is dead; it gets another one.
    assert!(let_in(&world.directory, &token, None).await.is_err());
    assert!(service_token(&world, &key).await.is_ok());
}

#[tokio::test]
async fn an_assertion_is_remembered_for_as_long_as_it_holds() {
    let world = World::new().await;
    let (_, key) = client(&world, &["users.read.basic"]).await;
    let source = &world.directory.source;
    // By a clock that is slow it has ended.
    let assertion = key.assertion("late", source.now_ms() - 70_000).unwrap();
    let buys = async || {
        let issued = world.directory.issue_service_token(&assertion, &[]).await;
        issued.is_ok()
    };
    assert!(buys().await);
    world.directory.keep_house().await.unwrap();
    assert!(!buys().await);
}

#[tokio::test]
async fn nobody_registers_more_than_he_may() {
    let world = World::new().await;
    let admin = service(&world, &["clients.admin", "users.list", "keys.admin"]).await;
    let registration = |scope: &str| Registration {
        name: scope.to_owned(),
        scopes: vec![scope.to_owned()],
        keys: ServiceKey::generate().unwrap().public_set().unwrap(),
        ..Registration::default()
    };
    let create = async |scope: &str| {
        let created = world.directory.create_client(&admin, registration(scope));
        created.await.map(|_| ())
    };
    assert!(create("users.list").await.is_ok());
    assert!(matches!(create("users.list").await, Err(Error::Taken(_))));
    for beyond in ["users.write", "keys.admin"] {
        assert!(
            matches!(create(beyond).await, Err(Error::ScopeMissing(_))),
            "{beyond}"
        );
    }
    assert!(matches!(create("nonsense").await, Err(Error::Invalid(_))));
    let keys = ServiceKey::generate().unwrap();
    let private = keys.file("c", "a").unwrap();
    for set in [
        "",
        "{}",
        r#"{"keys":[]}"#,
        &format!(r#"{{"keys":[{private}]}}"#),
    ] {
        let mut wrong = registration("users.list");
        wrong.keys = set.to_owned();
        wrong.name = "other".to_owned();
        let created = world.directory.create_client(&admin, wrong).await;
        assert!(matches!(created, Err(Error::Invalid(_))), "{set}");
    }
}

#[tokio::test]
async fn tokens_die_with_the_access_of_their_user() {
    let world = World::new().await;
    let user = world.user("ada").await.view.resource.id;
    let sso = service(
        &world,
        &["tokens.issue", "tokens.introspect", "tokens.write"],
    )
    .await;
    let (directory, caller) = (&world.directory, &world.caller);
    let issue = async || directory.issue_user_token(&sso, wanted(&user)).await;
    let personal = PersonalToken {
        user_id: user.clone(),
        name: "laptop".to_owned(),
        scopes: vec!["read".to_owned()],
        audiences: vec![API.to_owned()],
        expires_at: directory.source.now_ms() + 86_400_000,
    };
    let (operator, free) = (operator(caller), free());
    let lock = async |lock| {
        let set = directory.set_locked(&operator, &user, lock, free);
        set.await.unwrap().position.is_some()
    };
    let active = async |active: bool| {
        let patch = directory.patch_user(caller, &user, set("active", active), free, Wants::ALL);
        patch.await.unwrap();
    };
    for round in 0..3 {
        let signed = issue().await.unwrap().token;
        let (stored, _) = directory
            .create_personal_token(&sso, personal.clone())
            .await
            .unwrap();
        let stored = exposed(&stored).to_owned();
        assert!(is_active(&world, &sso, &signed).await && is_active(&world, &sso, &stored).await);
        match round {
            0 => active(false).await,
            1 => assert!(lock(Some("left")).await && !lock(Some("again")).await),
            _ => {
                let deleted = directory.delete(caller, ResourceKind::User, &user, free, false);
                deleted.await.unwrap();
            }
        }
        let refused = issue().await;
        assert!(refused.is_err(), "round {round}");
        assert!(!is_active(&world, &sso, &signed).await && !is_active(&world, &sso, &stored).await);
        // What the provisioning client says lifts no lock.
        if round == 1 {
            active(true).await;
            assert!(matches!(issue().await, Err(Error::UserInactive)));
            assert!(lock(None).await && !lock(None).await);
        } else if round == 0 {
            active(true).await;
        } else {
            let undeleted = directory.undelete(caller, ResourceKind::User, &user, free);
            undeleted.await.unwrap();
        }
        // He is back; his tokens are not.
        assert!(!is_active(&world, &sso, &signed).await && !is_active(&world, &sso, &stored).await);
        let fresh = issue().await.unwrap().token;
        assert!(is_active(&world, &sso, &fresh).await);
    }
}

#[tokio::test]
async fn a_token_is_what_was_asked_for_within_what_is_registered() {
    let world = World::new().await;
    let user = world.user("ada").await.view.resource.id;
    let sso = service(&world, &["tokens.issue", "tokens.introspect"]).await;
    let directory = &world.directory;
    for broken in [
        TokenWanted {
            audiences: vec![],
            ..wanted(&user)
        },
        TokenWanted {
            audiences: vec!["https://other.example.test".to_owned()],
            ..wanted(&user)
        },
        TokenWanted {
            audiences: vec![directory_audience(&sso.tenant_id)],
            ..wanted(&user)
        },
        TokenWanted {
            scopes: vec!["a b".to_owned()],
            ..wanted(&user)
        },
        TokenWanted {
            life_s: Some(0),
            ..wanted(&user)
        },
        TokenWanted {
            life_s: Some(3_601),
            ..wanted(&user)
        },
        TokenWanted {
            user: UserKey::UserName("ada".to_owned()),
            ..wanted(&user)
        },
        TokenWanted {
            groups: Some(Default::default()),
            ..wanted(&user)
        },
        TokenWanted {
            acr: "a\u{7}".to_owned(),
            ..wanted(&user)
        },
        wanted("nobody"),
    ] {
        let refused = directory.issue_user_token(&sso, broken.clone()).await;
        assert!(refused.is_err(), "{broken:?}");
    }
    let token = directory
        .issue_user_token(&sso, wanted(&user))
        .await
        .unwrap();
    assert_eq!(token.expires_in, Duration::from_secs(300));
    let ask = async |audience: &str, scope: &str| {
        let scopes = [scope.to_owned()];
        let asked = Question {
            token: &token.token,
            audience,
            scopes: &scopes,
        };
        directory.introspect(&sso, asked).await.unwrap().active
    };
    let said = ask("", "read").await.unwrap();
    assert_eq!(
        (said.subject.as_str(), said.username.as_str()),
        (user.as_str(), "ada")
    );
    assert!(ask(API, "write").await.is_none() && ask("https://x", "read").await.is_none());
    // It opens nothing here.
    assert!(let_in(directory, &token.token, None).await.is_err());
    // Another tenant knows nothing of it.
    let stranger = caller(directory, "other").await;
    let asked = Question {
        token: &token.token,
        audience: API,
        scopes: &[],
    };
    assert!(
        directory
            .introspect(&stranger, asked)
            .await
            .unwrap()
            .active
            .is_none()
    );
}

#[tokio::test]
async fn a_new_secret_works_beside_the_former_for_a_while() {
    let world = World::new().await;
    let directory = &world.directory;
    let first = issue(&world, Wanted::Bearer, Expiry::Never).await.unwrap();
    let (operator, id) = (operator(&world.caller), &first.credential.id);
    let rotate = async |overlap| {
        let rotated = directory.rotate_token(&operator, id, overlap, None).await;
        rotated.unwrap().0
    };
    let lives = async |secret: &IssuedCredential| {
        let caller = let_in(directory, exposed(secret), None).await;
        caller.map(|caller| caller.id().to_owned()).ok()
    };
    let second = rotate(Duration::from_secs(3_600)).await;
    assert_eq!(
        (lives(&first).await.as_ref(), lives(&second).await.as_ref()),
        (Some(id), Some(id))
    );
    let token = directory.get_token(&operator.tenant_id, id).await.unwrap();
    assert!(token.overlap_until.is_some());
    let third = rotate(Duration::ZERO).await;
    assert_eq!((lives(&first).await, lives(&second).await), (None, None));
    assert_eq!(lives(&third).await.as_ref(), Some(id));
    let too_long = directory.rotate_token(&operator, id, Duration::from_secs(604_801), None);
    assert!(matches!(too_long.await, Err(Error::Invalid(_))));
    directory.revoke_token(&operator, id, "").await.unwrap();
    assert_eq!(lives(&third).await, None);
    let dead = directory
        .rotate_token(&operator, id, Duration::ZERO, None)
        .await;
    assert!(matches!(dead, Err(Error::TokenState(_))));
}

#[tokio::test]
async fn whoever_is_remembered_costs_no_look_until_something_changes() {
    let world = World::new().await;
    let directory = &world.directory;
    directory.store.look_at_access().await.unwrap();
    let issued = issue(&world, Wanted::Bearer, Expiry::Never).await.unwrap();
    let bearer = exposed(&issued);
    let known_by = admission::fingerprint(bearer, None);
    let access = directory.store.access();
    let remembered = || directory.admissions.get(&known_by, access, 0).is_some();
    assert!(!remembered());
    let_in(directory, bearer, None).await.unwrap();
    assert!(remembered());
    // Writes that end nobody's access change nothing.
    world.user("ada").await;
    assert!(remembered());
    let edit = ConnectionEdit {
        flavor: Some(Flavor::Okta),
        ..Default::default()
    };
    let own = world.caller.connection().unwrap();
    let operator = operator(&world.caller);
    directory
        .update_connection(&operator, own, edit)
        .await
        .unwrap();
    assert!(!remembered());
    let caller = let_in(directory, bearer, None).await.unwrap();
    assert_eq!(caller.profile.flavor, Flavor::Okta);
    // Who does not look any more knows nothing.
    tokio::time::sleep(Duration::from_millis(750)).await;
    assert!(!remembered());
}

#[tokio::test]
async fn of_another_database_nothing_is_remembered() {
    let world = World::new().await;
    let directory = &world.directory;
    let looks = async || directory.store.look_at_access().await.unwrap();
    assert!(!looks().await);
    let issued = issue(&world, Wanted::Bearer, Expiry::Never).await.unwrap();
    let bearer = exposed(&issued);
    let known_by = admission::fingerprint(bearer, None);
    let access = directory.store.access();
    let remembered = || directory.admissions.get(&known_by, access, 0).is_some();
    let_in(directory, bearer, None).await.unwrap();
    assert!(remembered());
    // Another process found that the database was restored.
    directory.renew_epoch().await.unwrap();
    assert!(looks().await);
    assert!(!remembered());
    assert!(!looks().await);
    assert!(!remembered());
    let_in(directory, bearer, None).await.unwrap();
    assert!(remembered());
}

#[tokio::test]
async fn use_is_written_once_a_minute() {
    let world = World::new().await;
    let directory = &world.directory;
    let issued = issue(&world, Wanted::Bearer, Expiry::Never).await.unwrap();
    let id = &issued.credential.id;
    let used = async || {
        let token = directory
            .get_token(&world.caller.tenant_id, id)
            .await
            .unwrap();
        token
            .credential
            .last_used_at
            .map(|at| (at, token.credential.last_used_address))
    };
    directory.write_usage().await;
    assert_eq!(used().await, None);
    let peer = Peer {
        address: Some([192, 0, 2, 7].into()),
        certificate: None,
    };
    let come = async || {
        directory
            .authenticate(exposed(&issued), None, &peer)
            .await
            .unwrap()
    };
    come().await;
    directory.write_usage().await;
    let first = used().await.unwrap();
    assert_eq!(first.1.as_deref(), Some("192.0.2.7"));
    let before = rows_written(&directory.store).await.unwrap();
    for _ in 0..5 {
        come().await;
        directory.write_usage().await;
    }
    assert_eq!(rows_written(&directory.store).await.unwrap(), before);
    while directory.source.now_ms() < first.0 + 60_000 {}
    come().await;
    directory.write_usage().await;
    assert!(used().await.unwrap().0 >= first.0 + 60_000);
}

#[tokio::test]
async fn keys_follow_each_other_and_can_be_revoked() {
    let world = World::new().await;
    let directory = &world.directory;
    let user = world.user("ada").await.view.resource.id;
    let sso = service(&world, &["tokens.issue", "tokens.introspect"]).await;
    let issue = async || {
        directory
            .issue_user_token(&sso, wanted(&user))
            .await
            .unwrap()
    };
    let first = issue().await;
    let next = directory.rotate_key(&sso, None).await.unwrap();
    assert_eq!(next.state, State::Published);
    let twice = directory.rotate_key(&sso, None).await;
    assert!(matches!(twice, Err(Error::KeyState(_))));
    // Verifiers know it before it signs.
    let published = directory.public_keys().await.unwrap().json;
    assert!(published.contains(&next.key.kid) && published.contains(&first.kid));
    assert_eq!(issue().await.kid, first.kid);
    assert!(is_active(&world, &sso, &first.token).await);

    directory.revoke_key(&sso, &first.kid, "").await.unwrap();
    assert!(!is_active(&world, &sso, &first.token).await);
    let published = directory.public_keys().await.unwrap().json;
    assert!(!published.contains(&first.kid));
    let second = issue().await;
    assert_eq!(second.kid, next.key.kid);
    assert!(is_active(&world, &sso, &second.token).await);
    let nobody = directory.revoke_key(&sso, "nobody", "").await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn sealed_keys_are_shared_and_open_under_their_key_alone() {
    let world = World::new().await;
    let url = format!("sqlite://{}/test.db", world.folder.display());
    let open = async |key: Option<u8>| {
        let sealing = key.map(|byte| Sealing::new(&STANDARD.encode([byte; 32])).unwrap());
        let options = Options {
            sealing,
            ..Options::default()
        };
        let store = Store::open(&url).await.unwrap();
        let source = Arc::clone(&world.directory.source);
        let opened = Directory::open_with(store, source, options).await.unwrap();
        opened.prepare_keys().await.map(|()| opened)
    };
    let first = open(Some(1)).await.unwrap();
    let second = open(Some(1)).await.unwrap();
    let user = world.user("ada").await.view.resource.id;
    let sso = service(&world, &["tokens.issue", "tokens.introspect"]).await;
    let kid = async |directory: &Directory| {
        let token = directory.issue_user_token(&sso, wanted(&user)).await;
        token.unwrap().kid
    };
    assert_eq!(kid(&first).await, kid(&second).await);
    assert_ne!(kid(&first).await, kid(&world.directory).await);
    for wrong in [Some(2), None] {
        let refused = open(wrong).await;
        assert!(matches!(refused, Err(Error::Unusable(_))), "{wrong:?}");
    }
    // Nothing in the database tells a private key.
    let keys = first.list_keys().await.unwrap();
    let stored = keys.iter().filter(|key| key.key.private.is_some());
    assert_eq!(stored.count(), 1);
}
