//! Keys and tokens when a server starts again, with and without a key encryption
//! key, and with a wrong one.

use muster_tests::{
    grpc::Grpc,
    jws::read,
    scim::Scim,
    server::{Launch, Server},
    service::API,
    tamper, vault,
};

use super::World;

/// What a start again must leave alone.
struct Tokens {
    world: World,
    signed: String,
    stored: String,
    service: String,
    kid: String,
}

impl Tokens {
    fn new(server: &Server) -> Self {
        let world = World::on(server);
        let user = world.scim.user("ada");
        let issued = world.issue(&user);
        Self {
            signed: issued.access_token,
            kid: issued.kid,
            stored: world.personal(&user).1,
            service: world.service.token(),
            world,
        }
    }

    /// Asserts that all are good at another server.
    #[track_caller]
    fn are_good_at(&self, server: &Server) {
        let grpc = Grpc::new(server.grpc(), Some(&self.service));
        for token in [&self.signed, &self.stored] {
            assert!(super::is_active(&grpc, token), "{token}");
        }
        assert!(super::ask(&grpc, &self.signed, API, &[]).active);
        let scim = Scim::new(server.scim_url(), &self.world.tenant.token);
        let _ = scim.get("/Users").status(200);
    }
}

#[test]
fn tokens_outlive_the_server_that_issued_them() {
    for is_sealed in [false, true] {
        let launch = super::super::launch();
        let launch = match is_sealed {
            true => vault::sealed(launch),
            false => launch,
        };
        let server = launch.start();
        let tokens = Tokens::new(&server);
        let server = server.restart();
        tokens.are_good_at(&server);
        // After a crash nobody has said goodbye.
        server.kill();
        let _ = server.ended();
        let server = launch.start();
        tokens.are_good_at(&server);
        let kid = Tokens::new(&server).kid;
        assert_eq!(kid == tokens.kid, is_sealed, "a kept key signs again");
    }
}

#[test]
fn what_is_kept_of_a_key_is_sealed_or_nothing() {
    let query = "SELECT COALESCE(private_key, 'none') FROM signing_keys";
    let plain = super::super::launch().start();
    let _ = Tokens::new(&plain);
    assert_eq!(tamper::texts(&plain, query), ["none"]);
    let sealed = vault::sealed(super::super::launch()).start();
    let _ = Tokens::new(&sealed);
    let kept = tamper::texts(&sealed, query);
    assert!(kept.iter().all(|key| key.starts_with("v1.")), "{kept:?}");
    assert_eq!(vault::signers(&sealed).len(), kept.len());
}

#[test]
fn a_key_encryption_key_is_one_or_stops_the_start() {
    for key in [
        "",
        "c2hvcnQ=",
        "no base64!",
        &"A".repeat(42),
        &"A".repeat(88),
    ] {
        refuses(&super::super::launch().env(vault::VARIABLE, key), key);
    }
    let launch = super::super::launch();
    let missing = launch.folder().join("missing.key");
    let missing = missing.to_str().expect("a plain path");
    let failure = launch
        .clone()
        .env("MUSTER_KEY_ENCRYPTION_KEY_FILE", missing)
        .try_start();
    let failure = failure.expect_err("there is no such file");
    assert!(failure.log.contains(missing), "{}", failure.log);
    // In a file it may end with a line's end.
    let file = launch.folder().join("right.key");
    std::fs::write(&file, format!("{}\n", vault::key())).expect("a writable folder");
    let file = file.to_str().expect("a plain path");
    let server = launch.env("MUSTER_KEY_ENCRYPTION_KEY_FILE", file).start();
    assert_eq!(vault::signers(&server).len(), 1);
}

/// Asserts that a server does not start, says why in words, and repeats no key.
#[track_caller]
fn refuses(launch: &Launch, key: &str) {
    let failure = launch.try_start().expect_err("no key of ours");
    let code = failure.status.and_then(|status| status.code());
    assert!(code.is_some_and(|code| code != 0), "{key}: {failure:?}");
    let log = &failure.log;
    assert!(
        log.contains("key_encryption_key") || log.contains("key encryption key"),
        "{log}"
    );
    assert!(
        key.len() < 5 || !log.contains(key),
        "the key is repeated: {log}"
    );
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn with_a_wrong_key_or_none_a_server_does_not_start() {
    let launch = super::super::launch();
    let server = vault::sealed(launch.clone()).start();
    let tokens = Tokens::new(&server);
    assert_eq!(server.stop().status.code(), Some(0));
    let wrong = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb28=";
    for (launch, words) in [
        (
            launch.clone().env(vault::VARIABLE, wrong),
            "is not the one under which",
        ),
        (launch.clone(), "are encrypted"),
    ] {
        let failure = launch.try_start().expect_err("its keys are sealed");
        let code = failure.status.and_then(|status| status.code());
        assert_eq!(code, Some(1), "{}", failure.log);
        assert!(failure.log.contains(words), "{}", failure.log);
        assert!(!failure.log.contains(wrong), "{}", failure.log);
    }
    // Nothing happened to the keys.
    tokens.are_good_at(&vault::sealed(launch).start());
}

#[test]
fn a_server_that_begins_to_keep_its_keys_forgets_no_token() {
    let launch = super::super::launch();
    let server = launch.start();
    let tokens = Tokens::new(&server);
    assert_eq!(server.stop().status.code(), Some(0));
    let server = vault::sealed(launch).start();
    tokens.are_good_at(&server);
    let new = Tokens::new(&server);
    assert_ne!(new.kid, tokens.kid);
}

#[test]
fn tokens_of_a_former_name_count_on() {
    let launch = super::super::launch();
    let named = |name: &str| launch.clone().env("MUSTER_PUBLIC_URL", name).start();
    let server = named("https://one.example.test");
    let tokens = Tokens::new(&server);
    assert_eq!(server.stop().status.code(), Some(0));
    let server = named("https://two.example.test");
    tokens.are_good_at(&server);
    let (_, claims) = read(&Tokens::new(&server).signed);
    assert_eq!(claims["iss"], "https://two.example.test");
}
