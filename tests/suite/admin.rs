//! The admin commands, which work on the database beside a running server.

mod policies;

use muster_tests::{
    scim::Scim,
    tenant::{Tenant, text},
};

#[test]
fn admin_commands_administer() {
    let server = super::launch().start();
    let admin = server.admin();
    let tenant = admin.json(&["tenant", "create", "--name", "acme"]);
    let id = text(&tenant, "id");
    for key in [id.as_str(), "acme"] {
        let shown = admin.json(&["tenant", "show", key]);
        assert_eq!(
            (shown["id"].as_str(), shown["name"].as_str()),
            (Some(id.as_str()), Some("acme"))
        );
    }
    let connection = admin.json(&[
        "connection",
        "create",
        "--tenant",
        "acme",
        "--name",
        "entra",
    ]);
    assert_eq!(connection["tenant_id"], id);
    let credential = admin.json(&[
        "credential",
        "create",
        "--tenant",
        "acme",
        "--connection",
        "entra",
        "--name",
        "first",
        "--expires-in",
        "365d",
    ]);
    let (key, secret) = (text(&credential, "id"), text(&credential, "secret"));
    assert!(text(&credential, "tenant_url").contains("/scim/v2"));
    assert!(!text(&credential, "expires_at").is_empty());
    let scim = Scim::new(server.scim_url(), &secret);
    let _ = scim.get("/Users").status(200);
    for (what, contains) in [
        ("tenant", &id),
        ("connection", &text(&connection, "id")),
        ("credential", &key),
    ] {
        let mut arguments = vec![what, "list"];
        if what != "tenant" {
            arguments.extend(["--tenant", "acme"]);
        }
        if what == "credential" {
            arguments.extend(["--connection", "entra"]);
        }
        let list = admin.json(&arguments).to_string();
        assert!(list.contains(contains.as_str()), "{what}: {list}");
        assert!(!list.contains(&secret), "{what} list tells the secret");
    }
}

#[test]
fn admin_commands_fail_with_a_sentence() {
    let server = super::launch().start();
    let admin = server.admin();
    admin.json(&["tenant", "create", "--name", "acme"]);
    for arguments in [
        &["tenant", "create", "--name", "ACME"][..],
        &["tenant", "show", "nobody"],
        &["connection", "create", "--tenant", "nobody", "--name", "x"],
        &[
            "credential",
            "create",
            "--tenant",
            "acme",
            "--connection",
            "nobody",
        ],
        &["credential", "revoke", "--id", "nobody", "--tenant", "acme"],
    ] {
        let outcome = admin.run(arguments).code(1);
        let said = outcome.stderr();
        assert!(!said.trim().is_empty(), "{arguments:?}");
        assert!(
            !said.contains("panicked") && !said.contains("constraint"),
            "{said}"
        );
    }
}

#[test]
fn migrations_have_a_status_and_go_up() {
    let launch = super::launch();
    let admin = launch.admin();
    let before = admin.run(&["migrate", "status"]).code(0).stdout();
    let _ = admin.run(&["migrate", "up"]).code(0);
    let after = admin.run(&["migrate", "status"]).code(0).stdout();
    assert_ne!(before, after);
    let server = launch.start();
    let tenant = Tenant::create(&server);
    tenant.scim().user("a");
    assert_eq!(
        server.admin().run(&["migrate", "status"]).code(0).stdout(),
        after
    );
}
