//! The log is read by more people than the directory, and so are its backups.

use aws_lc_rs::digest::{SHA256, digest};
use muster_tests::{oauth::Client, scim::USER, tenant::Tenant};
use serde_json::json;

#[test]
fn the_log_names_no_token_and_no_person() {
    let launch = super::launch().arg("--bootstrap").env("RUST_LOG", "debug");
    let server = launch.start();
    let secret = server
        .printed()
        .iter()
        .find_map(|l| l.strip_prefix("Secret Token:"));
    let bootstrap = secret.expect("the bootstrap's token").trim().to_owned();
    let tenant = Tenant::create(&server);
    let scim = tenant.scim();
    let person = json!({
        "schemas": [USER], "userName": "un-secret-4711", "externalId": "key-secret-4711",
        "displayName": "dn-secret-4711", "name": {"familyName": "fn-secret-4711"},
        "emails": [{"value": "mail-secret-4711@example.test", "type": "work"}],
        "phoneNumbers": [{"value": "phone-secret-4711"}],
    });
    let id = scim.post("/Users", &person).status(201).id();
    // Every way on which a name may come near a log line: conflict, lookup,
    // change, broken input, wrong type, unknown path, refused token.
    let _ = scim.post("/Users", &person).scim_error(409, "uniqueness");
    assert_eq!(scim.found("userName eq \"un-secret-4711\"").len(), 1);
    assert_eq!(scim.found("emails.value co \"mail-secret-4711\"").len(), 1);
    let _ = scim
        .find("/Users", "nope eq \"un-secret-4711\"")
        .status(400);
    let _ = scim.get("/Users/un-secret-4711").status(404);
    let _ = scim.get("/un-secret-4711").status(404);
    let path = format!("/Users/{id}");
    for operation in [
        json!({"op": "replace", "path": "title", "value": "un-secret-4711"}),
        json!({"op": "replace", "path": "active", "value": "un-secret-4711"}),
        json!({"op": "replace", "path": "un-secret-4711", "value": 1}),
    ] {
        let _ = scim
            .patch(&path, &json!([operation]))
            .status_in(&[200, 400]);
    }
    let draft = scim.request("POST", "/Users");
    let _ = draft
        .body("{\"userName\":\"un-secret-4711\"")
        .send()
        .status(400);
    let _ = tenant
        .scim_with(&format!("{}x", tenant.token))
        .get("/Users")
        .status(401);
    let _ = scim.group("gn-plain", &[&id]);
    let _ = scim.delete(&path).status(204);

    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
    let log: Vec<&str> = stopped
        .log
        .lines()
        .filter(|l| !l.starts_with("Secret Token:"))
        .collect();
    for secret in ["secret-4711", &tenant.token, &bootstrap] {
        let found = log.iter().find(|l| l.contains(secret));
        assert_eq!(found, None, "the log tells {secret:?}");
    }
    assert!(log.len() > 3, "a log that says nothing proves nothing");
}

#[test]
fn what_is_kept_of_a_secret_is_its_hash() {
    let server = super::launch().start();
    let tenant = Tenant::create(&server);
    let client = Client::create(&server, &tenant);
    let person = json!({"schemas": [USER], "userName": "ada-4711", "password": "t1meMa$heen"});
    let _ = tenant.scim().post("/Users", &person).status(201);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("export");
    let path = file.to_str().expect("UTF-8");
    let _ = server.admin().json(&["export", "--output", path]);
    let kept = std::fs::read_to_string(&file).expect("the export");
    assert!(kept.contains("ada-4711"), "an export of nothing");
    assert!(!kept.contains("t1meMa"), "a password is kept");
    for secret in [&tenant.token, &client.secret] {
        let (key, proof) = secret.rsplit_once('_').expect("a key and a proof");
        assert!(!kept.contains(proof), "{key} is kept in clear");
        let hash = digest(&SHA256, secret.as_bytes());
        let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        assert!(kept.contains(&hash), "{key} is not kept as its hash");
    }
}
