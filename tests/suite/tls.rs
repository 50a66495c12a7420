//! gRPC over TLS: who is believed, who is refused, and what stops a start.

use std::path::PathBuf;

use muster_proto::v1::{GetProfileRequest, ListUsersRequest};
use muster_tests::{
    engine::Engine,
    grpc::{Grpc, reason},
    jws::read,
    runtime::wait,
    scim::Scim,
    server::{Launch, Server},
    service::{API, Service, trade},
    tenant::Tenant,
    tls::{Authority, Certified, file},
};
use serde_json::json;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

use super::starts::refuses;

/// What the tests call the server.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A launch of gRPC over TLS, with a certificate for these names.
fn launch(authority: &Authority, names: &[&str]) -> Launch {
    let launch = Launch::on(Engine::Sqlite);
    let Certified { certificate, key } = authority.server(names);
    let certificate = file(launch.folder(), "server.pem", &certificate);
    let key = file(launch.folder(), "server-key.pem", &key);
    launch
        .arg("--grpc-tls-certificate")
        .arg(certificate)
        .arg("--grpc-tls-key")
        .arg(key)
}

/// The same, which asks clients for certificates of this authority.
fn asking(authority: &Authority, clients: &Authority) -> Launch {
    let launch = launch(authority, &NAMES);
    let file = file(launch.folder(), "clients.pem", &clients.pem());
    launch.arg("--grpc-tls-client-ca").arg(file)
}

/// Whether a call comes through.
fn answers(client: &Grpc) -> bool {
    let mut health = client.health();
    wait(health.check(HealthCheckRequest::default())).is_ok()
}

/// A client that trusts this authority, perhaps with a certificate.
fn client(server: &Server, trusted: &Authority, own: Option<&Certified>) -> Grpc {
    Grpc::secure(server.grpc(), None, trusted, own)
}

#[test]
fn only_who_trusts_the_servers_authority_speaks_to_it() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let server = launch(&authority, &NAMES).start();
    let tenant = Tenant::create(&server);
    let grpc = Grpc::secure(server.grpc(), Some(&tenant.token), &authority, None);
    let mut provisioning = grpc.provisioning();
    let profile = provisioning.get_profile(GetProfileRequest::default());
    wait(profile).expect("an answer over TLS");
    assert!(!answers(&client(&server, &other, None)));
    let in_clear = Grpc::new(server.grpc(), None);
    assert!(!answers(&in_clear), "nothing is said in clear");
    // The facade of the same process goes by no socket.
    tenant.scim().user("ada");
    let stopped = server.stop();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.log);
}

#[test]
fn a_certificate_for_another_name_is_not_believed() {
    let authority = Authority::new("ours");
    let server = launch(&authority, &["elsewhere.example.test"]).start();
    assert!(!answers(&client(&server, &authority, None)));
}

#[test]
fn a_clients_certificate_is_of_the_right_authority_or_not_there() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let server = asking(&authority, &clients).start();
    let certified = clients.client("billing");
    assert!(answers(&client(&server, &authority, Some(&certified))));
    assert!(answers(&client(&server, &authority, None)), "none is fine");
    // The server's own authority is not that of clients, and neither is one
    // of the same name.
    for other in [&authority, &Authority::new("clients")] {
        let stranger = other.client("billing");
        assert!(!answers(&client(&server, &authority, Some(&stranger))));
    }
    let server_only = clients.server(&["billing"]);
    assert!(!answers(&client(&server, &authority, Some(&server_only))));
}

#[test]
fn a_public_address_is_warned_of_in_clear_only() {
    let on_all = |launch: Launch| {
        let launch = launch.role("directory").without_addresses();
        let server = launch.arg("--grpc-listen").arg("0.0.0.0:0").start();
        server.stop().log.contains("gRPC without TLS")
    };
    assert!(on_all(Launch::on(Engine::Sqlite)));
    assert!(!on_all(launch(&Authority::new("ours"), &NAMES)));
}

/// A facade for this directory, over TLS.
fn facade(directory: &Server) -> Launch {
    let url = directory.grpc().replace("http://", "https://");
    let launch = Launch::on(Engine::Sqlite).role("scim");
    launch.arg("--directory-url").arg(url)
}

#[test]
fn a_facade_reaches_its_directory_over_tls() {
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let directory = launch(&authority, &NAMES).role("directory").start();
    let believes = |authority: &Authority| {
        let launch = facade(&directory);
        let file = file(launch.folder(), "directory-ca.pem", &authority.pem());
        launch.arg("--directory-ca").arg(file).start()
    };
    let believing = believes(&authority);
    let tenant = Tenant::create_with(&directory, believing.http(), None);
    let scim = tenant.scim();
    let id = scim.user("ada");
    let _ = scim.group("G", &[&id]);
    assert_eq!(scim.found("userName eq \"ADA\""), ["ada"]);
    assert!(believing.is_ready());

    let doubting = believes(&other);
    assert!(!doubting.is_ready());
    let scim = Scim::new(doubting.scim_url(), &tenant.token);
    let _ = scim.get("/Users").scim_error(503, None);
    let log = doubting.stop().log;
    assert!(log.contains("certificate"), "the cause is logged: {log}");
}

#[test]
fn a_facade_without_authorities_of_its_own_trusts_those_of_the_machine() {
    let authority = Authority::new("ours");
    let directory = launch(&authority, &NAMES).role("directory").start();
    let launch = facade(&directory);
    let machine = file(launch.folder(), "machine.pem", &authority.pem());
    let machine = machine.to_str().expect("a plain path");
    assert!(
        launch
            .clone()
            .env("SSL_CERT_FILE", machine)
            .start()
            .is_ready()
    );
    assert!(!launch.start().is_ready());
}

#[test]
fn settings_that_do_not_belong_together_are_named() {
    let set = |names: &[&str]| {
        let launch = Launch::on(Engine::Sqlite);
        names.iter().fold(launch, |launch, name| {
            launch.arg(name).arg("/nowhere/file.pem")
        })
    };
    let certificate = ["--grpc-tls-certificate"];
    refuses(
        &set(&certificate),
        2,
        "grpc_tls_certificate: needs grpc_tls_key",
    );
    let key = ["--grpc-tls-key", "--grpc-tls-client-ca"];
    refuses(&set(&key), 2, "grpc_tls_key: needs grpc_tls_certificate");
    let clients = set(&["--grpc-tls-client-ca"]);
    refuses(
        &clients,
        2,
        "grpc_tls_client_ca: needs grpc_tls_certificate",
    );
    // Whoever names authorities does not mean to speak in clear.
    let authorities = set(&["--directory-ca"]).role("scim");
    refuses(
        &authorities,
        1,
        "directory_ca: needs a directory_url with https://",
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_setting() {
    let authority = Authority::new("ours");
    let Certified { certificate, key } = authority.server(&NAMES);
    let other = authority.server(&NAMES).key;
    let authorities = authority.pem();
    // Texts of the certificate, of the key and of the authorities, and what is
    // said of them. Without a text there is no file.
    let cases = [
        (
            [None, Some(&key), None],
            "grpc_tls_certificate FOLDER/0.pem: No such file",
        ),
        (
            [Some(&key), Some(&key), None],
            "grpc_tls_certificate FOLDER/0.pem: has no certificate",
        ),
        (
            [Some(&certificate), None, None],
            "grpc_tls_key FOLDER/1.pem: No such file",
        ),
        (
            [Some(&certificate), Some(&certificate), None],
            "grpc_tls_key FOLDER/1.pem: has no unencrypted private key",
        ),
        (
            [Some(&certificate), Some(&other), Some(&authorities)],
            "grpc_tls_certificate FOLDER/0.pem and grpc_tls_key FOLDER/1.pem: the key is not",
        ),
        (
            [Some(&certificate), Some(&key), None],
            "grpc_tls_client_ca FOLDER/2.pem: No such file",
        ),
        (
            [Some(&certificate), Some(&key), Some(&key)],
            "grpc_tls_client_ca FOLDER/2.pem: has no certificate",
        ),
    ];
    let flags = [
        "--grpc-tls-certificate",
        "--grpc-tls-key",
        "--grpc-tls-client-ca",
    ];
    for (texts, words) in cases {
        let mut launch = Launch::on(Engine::Sqlite);
        let folder: PathBuf = launch.folder().to_owned();
        for (at, (flag, text)) in flags.into_iter().zip(texts).enumerate() {
            let name = format!("{at}.pem");
            if let Some(text) = text {
                file(&folder, &name, text);
            }
            launch = launch.arg(flag).arg(folder.join(name));
        }
        refuses(
            &launch,
            1,
            &words.replace("FOLDER", &folder.to_string_lossy()),
        );
    }
}

#[test]
fn a_facade_says_which_file_of_authorities_it_cannot_use() {
    let launch = Launch::on(Engine::Sqlite).role("scim");
    let launch = launch.arg("--directory-url").arg("https://127.0.0.1:1");
    let missing = launch.clone().arg("--directory-ca").arg("/nowhere/ca.pem");
    refuses(&missing, 1, "directory_ca /nowhere/ca.pem: No such file");
    let key = authority_key(&launch);
    let useless = launch.arg("--directory-ca").arg(key);
    refuses(&useless, 1, "has no certificate in PEM form");
}

fn authority_key(launch: &Launch) -> PathBuf {
    let key = Authority::new("ours").client("c").key;
    file(launch.folder(), "key.pem", &key)
}

/// Registers a client that is bound to a certificate.
fn bound(server: &Server, tenant: &Tenant, to: &Certified) -> Service {
    let name = format!("{}.pem", uuid::Uuid::new_v4().simple());
    let certificate = file(server.folder(), &name, &to.certificate);
    let path = certificate.to_str().expect("a plain path");
    let options = ["--audiences", API, "--certificate", path];
    Service::create_with(server, tenant, "users.list", &options)
}

#[test]
fn a_client_that_is_bound_to_a_certificate_comes_with_it() {
    let (authority, clients) = (Authority::new("ours"), Authority::new("clients"));
    let server = asking(&authority, &clients).start();
    let tenant = Tenant::create(&server);
    let (own, other) = (clients.client("billing"), clients.client("billing"));
    let service = bound(&server, &tenant, &own);
    let reach = |token: Option<&str>, certificate: Option<&Certified>| {
        Grpc::secure(server.grpc(), token, &authority, certificate)
    };
    let assertion = service.assertion(&json!({}));
    let traded = trade(&reach(None, Some(&own)), &assertion, &[]).expect("a token");
    let token = traded.access_token;
    let (_, claims) = read(&token);
    assert!(claims["cnf"]["x5t#S256"].is_string(), "{claims}");
    let list = |certificate| {
        let grpc = reach(Some(&token), certificate);
        wait(grpc.users().list_users(ListUsersRequest::default()))
    };
    // Remembered or not.
    for _ in 0..2 {
        list(Some(&own)).expect("let in");
        for stranger in [None, Some(&other)] {
            let status = list(stranger).expect_err("without its certificate");
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
            assert_eq!(reason(&status), "PROOF_OF_POSSESSION_FAILED");
        }
    }
    // A client that is not bound may come with any, or with none.
    let free = Service::create(&server, &tenant, "users.list");
    let traded = trade(&reach(None, None), &free.assertion(&json!({})), &[]);
    let token = traded.expect("a token").access_token;
    for certificate in [None, Some(&other)] {
        let grpc = reach(Some(&token), certificate);
        let listed = wait(grpc.users().list_users(ListUsersRequest::default()));
        listed.expect("let in");
    }
}
