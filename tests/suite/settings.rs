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

#[test]
fn rates_are_settings_of_their_own_form() {
    let launch = super::launch().without_addresses().without_database();
    let file = launch.folder().join("muster.toml");
    let text = format!(
        "database_url = \"{}\"\nhttp_listen = \"127.0.0.1:0\"\ngrpc_listen = \"127.0.0.1:0\"\n\
         rate_limits = \"write=50, read=200\"\n[tenant_rate_limits]\nwrite = 100\n",
        launch.database_url()
    );
    std::fs::write(&file, text).expect("a writable folder");
    let launch = launch.arg("--config").arg(&file);
    let server = launch
        .clone()
        .env("MUSTER_RATE_LIMITS", "write=60,hot_read=1000")
        .env("MUSTER_TENANT_RATE_LIMITS", "{write=120}")
        .env("MUSTER_FAILURE_RATE_LIMIT", "100")
        .start();
    Tenant::create(&server).scim().user("a");
    for (name, value, told) in [
        ("RATE_LIMITS", "writes=50", "no class of calls"),
        ("RATE_LIMITS", "50", "rates like"),
        ("TENANT_RATE_LIMITS", "write=0", "write must be"),
        ("FAILURE_RATE_LIMIT", "0", "nonzero"),
        ("FAILURE_RATE_LIMIT", "many", "nonzero"),
    ] {
        let launch = launch.clone().env(&format!("MUSTER_{name}"), value);
        let failure = launch.try_start().expect_err(value);
        let code = failure.status.and_then(|s| s.code());
        assert_eq!(code, Some(2), "{value}: {}", failure.log);
        assert!(failure.log.contains(told), "{value}: {}", failure.log);
    }
}

#[test]
fn a_mistyped_file_is_complained_of_without_what_it_says() {
    for line in [
        "key_encryption_key = SECRETsecretSECRETsecretSECRETsecretSECRETse=",
        "database_url = \"postgres://muster:SECRET@h/d",
        "key_encryption_key = \"\"\"SECRET\nSECRET",
    ] {
        let launch = super::launch().without_database();
        let file = launch.folder().join("muster.toml");
        std::fs::write(&file, format!("http_listen = \"127.0.0.1:0\"\n{line}\n")).expect("a file");
        let failure = launch.arg("--config").arg(&file).try_start();
        let failure = failure.expect_err("it is no TOML");
        assert_eq!(failure.status.and_then(|s| s.code()), Some(2));
        assert!(!failure.log.contains("SECRET"), "{}", failure.log);
        assert!(failure.log.contains("line "), "where: {}", failure.log);
    }
}
