//! Settings that name the database, by file and by variable.

use muster_tests::tenant::Tenant;

#[test]
fn a_configuration_file_configures_and_unknown_keys_are_named() {
    let launch = super::launch().without_addresses().without_database();
    let file = launch.folder().join("muster.toml");
    let database = launch.database_url();
    let write = |more: &str| {
        let text = format!(
            "database_url = \"{database}\"\nhttp_listen = \"127.0.0.1:0\"\n\
             grpc_listen = \"127.0.0.1:0\"\n{more}"
        );
        std::fs::write(&file, text).expect("a writable folder");
    };
    write("");
    let launch = launch.arg("--config").arg(&file);
    let server = launch.start();
    Tenant::create(&server).scim().user("a");
    assert_eq!(server.stop().status.code(), Some(0));
    write("colour = \"blue\"\n");
    let failure = launch.try_start().expect_err("an unknown key");
    assert_eq!(
        failure.status.and_then(|s| s.code()),
        Some(2),
        "{}",
        failure.log
    );
    assert!(failure.log.contains("colour"), "{}", failure.log);
}

#[test]
fn the_environment_configures_too() {
    let launch = super::launch().without_database();
    let database = launch.database_url();
    let server = launch.env("MUSTER_DATABASE_URL", &database).start();
    Tenant::create(&server).scim().user("a");
}
