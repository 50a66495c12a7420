//! Every RPC against everything that is no credential for it.
//!
//! The RPCs come from the descriptor, so that none can be forgotten; what they
//! are called with is in [`forgeries`]. The server keeps its signing keys in
//! its database under a key that the test knows, so that it can also be shown
//! what no outsider could sign.

mod forgeries;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hyper::body::Bytes;
use muster_tests::{
    feed::contains,
    generic::{Face, Method, call, methods},
    grpc::{Grpc, reason},
    runtime::wait,
    scim::Reply,
    server::Server,
    service::{Service, all_scopes},
    tenant::{ALL_SCOPES, Tenant},
    vault,
};
use tonic::{Code, Status, metadata::AsciiMetadataValue, transport::Channel};

use self::forgeries::{Case, Told};

/// How many calls are under way at once.
const AT_ONCE: usize = 16;

/// RPCs that are for provisioning clients alone: any service client is none.
const OF_CONNECTIONS: [&str; 2] = [
    "/identity.directory.v1.ProvisioningService/GetProfile",
    "/identity.directory.v1.ProvisioningService/RecordProvisioningEvents",
];

/// A server that knows no end of failures, and whose keys the test can read.
fn server() -> Server {
    let launch = vault::sealed(super::launch());
    launch.env("MUSTER_FAILURE_RATE_LIMIT", "1000000").start()
}

/// The RPCs that want a credential.
fn guarded() -> Vec<Method> {
    let methods = methods().into_iter();
    methods
        .filter(|method| !method.policy.unauthenticated)
        .collect()
}

fn bearer(token: &str) -> AsciiMetadataValue {
    let text = format!("Bearer {token}");
    text.parse().expect("a token is visible ASCII")
}

/// Calls all of these at once, and tells of each what was answered.
fn all(
    channel: &Channel,
    calls: Vec<(Method, Vec<AsciiMetadataValue>)>,
) -> Vec<(Method, Result<Bytes, Status>)> {
    let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    wait(async {
        let running: Vec<_> = calls
            .into_iter()
            .map(|(method, authorization)| {
                let (channel, room) = (channel.clone(), Arc::clone(&room));
                tokio::spawn(async move {
                    let _place = room.acquire().await.expect("it stays open");
                    let answer = call(&channel, &method, &authorization).await;
                    (method, answer)
                })
            })
            .collect();
        let mut answers = Vec::new();
        for one in running {
            answers.push(one.await.expect("no panic"));
        }
        answers
    })
}

#[test]
fn no_rpc_takes_what_is_no_credential() {
    let server = server();
    let cases = forgeries::cases(&server);
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    let channel = Grpc::new(server.grpc(), None).channel();
    let methods = guarded();
    let mut faces: BTreeMap<Told, (String, Face)> = BTreeMap::new();
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Case {
        name,
        authorization,
        told,
    } in &cases
    {
        let calls = methods.iter().cloned();
        let calls = calls
            .map(|method| (method, authorization.clone()))
            .collect();
        for (method, answer) in all(&channel, calls) {
            let what = &method.path;
            let mut note = |text: String| wrong.entry(name).or_default().push(text);
            let status = match answer {
                Ok(_) => {
                    note(format!("{what} lets it in"));
                    continue;
                }
                Err(status) => status,
            };
            let is_refused = status.code() == Code::Unauthenticated;
            if !is_refused || reason(&status) != told.reason() {
                note(format!("{what}: {status:?}"));
                continue;
            }
            let face = Face::from(&status);
            let what = format!("{name}: {what}");
            let (first, known) = faces.entry(*told).or_insert((what, face.clone()));
            if *known != face {
                note(format!("not as {first}: {face:?}, {known:?}"));
            }
        }
    }
    let told = wrong.iter().map(|(name, wrong)| {
        let (count, first) = (wrong.len(), &wrong[0]);
        format!("{name}: {count} RPCs, the first: {first}")
    });
    let told: Vec<_> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    let (cases, rpcs) = (cases.len(), methods.len());
    println!(
        "{rpcs} RPCs x {cases} cases = {} calls refused",
        rpcs * cases
    );
}

/// What a client sees of a refusal over SCIM, but for what differs between any
/// two.
fn face(reply: &Reply) -> (u16, String, Vec<String>) {
    let headers = ["content-type", "www-authenticate", "content-length"];
    let headers = headers.map(|name| reply.list(name)).to_vec();
    (reply.code(), reply.text(), headers)
}

#[test]
fn no_scim_endpoint_takes_what_is_no_credential() {
    let server = server();
    let cases = forgeries::cases(&server);
    let scim = muster_tests::scim::Scim::anonymous(server.scim_url());
    let first = face(&scim.get("/Users"));
    assert_eq!(first.0, 401, "{first:?}");
    for case in cases {
        let mut draft = scim.request("GET", "/Users");
        for value in &case.authorization {
            let Ok(text) = value.to_str() else { continue };
            draft = draft.header("authorization", text);
        }
        assert_eq!(face(&draft.send()), first, "{}", case.name);
    }
}

#[test]
fn every_rpc_asks_for_its_scope() {
    let server = server();
    let tenant = Tenant::create(&server);
    let service = Service::full(&server, &tenant);
    let channel = Grpc::new(server.grpc(), None).channel();
    let every = all_scopes();
    let mut tokens: BTreeMap<Vec<String>, AsciiMetadataValue> = BTreeMap::new();
    let mut token = |scopes: Vec<String>| {
        let made = tokens.entry(scopes.clone()).or_insert_with(|| {
            let names: Vec<_> = scopes.iter().map(String::as_str).collect();
            bearer(&service.token_with(&names))
        });
        vec![made.clone()]
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for method in guarded() {
        let own = &method.policy.any_scope;
        let others = every.iter().filter(|scope| !own.contains(scope));
        without.push((method.clone(), token(others.cloned().collect())));
        for scope in own {
            with.push((method.clone(), token(vec![scope.clone()])));
        }
    }
    let count = (without.len(), with.len());
    for (method, answer) in all(&channel, without) {
        let status = answer.expect_err(&method.path);
        assert_eq!(status.code(), Code::PermissionDenied, "{}", method.path);
        assert_eq!(reason(&status), "SCOPE_MISSING", "{}", method.path);
    }
    for (method, answer) in all(&channel, with) {
        let Err(status) = answer else { continue };
        // For what else it asks, the RPC's own tests tell.
        let is_for_others = OF_CONNECTIONS.contains(&method.path.as_str());
        let refused = [Code::Unauthenticated, Code::PermissionDenied];
        let is_refused = refused.contains(&status.code());
        assert_eq!(is_refused, is_for_others, "{}: {status:?}", method.path);
        assert!(
            status.code() != Code::Internal,
            "{}: {status:?}",
            method.path
        );
    }
    println!("{} calls lacked a scope, {} had one", count.0, count.1);
}

#[test]
fn with_another_tenants_token_every_rpc_knows_nothing() {
    let server = server();
    let (ours, theirs) = (Tenant::create(&server), Tenant::create(&server));
    let client = Service::full(&server, &theirs);
    let user = theirs.scim().user("theirs");
    let group = theirs.scim().group("Theirs", &[&user]);
    let secret = [&user, &group, &client.id, &theirs.connection_id, &theirs.id];
    let credential = ["--scopes", ALL_SCOPES];
    let (_, connection) = ours.credential(&server, "entra", &credential);
    let service = bearer(&Service::full(&server, &ours).token());
    let channel = Grpc::new(server.grpc(), None).channel();
    let calls = guarded().into_iter().map(|method| {
        let token = match OF_CONNECTIONS.contains(&method.path.as_str()) {
            true => bearer(&connection),
            false => service.clone(),
        };
        (method, vec![token])
    });
    for (method, answer) in all(&channel, calls.collect()) {
        let what = &method.path;
        let told = match answer {
            Ok(bytes) => bytes.to_vec(),
            Err(status) => {
                use Code::{FailedPrecondition, InvalidArgument, NotFound};
                let expected = [NotFound, InvalidArgument, FailedPrecondition];
                assert!(expected.contains(&status.code()), "{what}: {status:?}");
                [status.message().as_bytes(), status.details()].concat()
            }
        };
        for id in secret {
            assert!(!contains(&told, id), "{what} tells of {id}");
        }
    }
}
