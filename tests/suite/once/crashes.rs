//! A server that is killed between its commit and its answer.

use muster_proto::v1::Revision;
use muster_tests::{
    feed::latest,
    grpc::Grpc,
    runtime::{runtime, wait},
    server::{Launch, Server},
    soon::wait_until,
    vault,
};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use tokio::task::JoinHandle;
use tonic::Status;

use super::{
    World,
    cases::{Case, cases},
    done, new_id, parted,
    proxy::Proxy,
    wire::{self, identified, mutation, tells_secrets, words},
};

/// A mutation that was done, and whose answer was lost.
struct Lost {
    case: Case,
    request: DynamicMessage,
    /// Of the commit.
    written_at: Revision,
    call: JoinHandle<Result<DynamicMessage, Status>>,
}

impl Lost {
    /// Sends a mutation over a way that loses the answer; returns once others see
    /// it committed.
    #[track_caller]
    fn send(world: &World, proxy: &Proxy, case: Case) -> Self {
        let (name, method) = (case.method, mutation(case.method));
        let requests = (case.prepare)(world);
        let request = identified(&method, &requests.one, &new_id());
        let count = || done(&world.grpc).get(name).copied().unwrap_or_default();
        let before = count();
        let call = {
            let grpc = Grpc::new(&proxy.url, Some(&world.token));
            let request = request.clone();
            runtime().spawn(async move { wire::call(&grpc, &method, request).await })
        };
        wait_until(name, || count() > before);
        assert_eq!(count(), before + 1, "{name}");
        Self {
            case,
            request,
            written_at: latest(&world.grpc),
            call,
        }
    }

    /// Asserts that its caller was told nothing, and is told now what it came to:
    /// what the one and only commit was.
    #[track_caller]
    fn comes_again(self, grpc: &Grpc) {
        let (name, method) = (self.case.method, mutation(self.case.method));
        let lost = wait(self.call).expect("no panic");
        let lost = lost.expect_err("no answer came through");
        assert!(lost.details().is_empty(), "{name}: {lost:?}");
        let answers = [(); 2].map(|()| {
            let again = wait(wire::call(grpc, &method, self.request.clone()));
            again.unwrap_or_else(|status| panic!("{name}: {status:?}"))
        });
        let [again, once_more] = answers.map(|answer| {
            let (answer, secrets) = parted(answer);
            assert_eq!(secrets, Vec::<String>::new(), "{name} tells a secret later");
            answer
        });
        assert_eq!(words(&again), words(&once_more), "{name}");
        if let Some(written_at) = written_at(&again) {
            assert_eq!(written_at, self.written_at, "{name}");
        }
    }
}

/// `None`: what was done belongs to no tenant.
fn written_at(answer: &DynamicMessage) -> Option<Revision> {
    let field = answer.get_field_by_name("written_at")?;
    let bytes = field.as_message()?.encode_to_vec();
    Revision::decode(bytes.as_slice()).ok()
}

/// Kills the server, as a crash does, and starts another on its database.
fn crash(world: &World) -> (Server, Grpc) {
    world.server.kill();
    let launch = Launch::at(&world.server.launch().database_url());
    let server = vault::sealed(launch).start();
    let grpc = Grpc::new(server.grpc(), Some(&world.token));
    (server, grpc)
}

/// Of which kinds of mutations the server dies at once, each time anew.
const AT_ONCE: [&str; 4] = [
    "CreateUser",
    "PatchUser",
    "CreatePersonalAccessToken",
    "CreateCredential",
];

#[test]
fn a_server_that_dies_before_it_answers_has_done_it_once() {
    for name in AT_ONCE {
        let world = World::new();
        let case = cases().into_iter().find(|case| case.method == name);
        let case = case.expect("one of the cases");
        let proxy = Proxy::to(world.server.grpc());
        let lost = Lost::send(&world, &proxy, case);
        let before = world.trace();
        let (_server, grpc) = crash(&world);
        lost.comes_again(&grpc);
        assert_eq!(super::Trace::of(&grpc), before, "{name} is done twice");
    }
}

#[test]
fn no_mutation_of_a_server_that_dies_is_done_twice() {
    let world = World::new();
    let proxy = Proxy::to(world.server.grpc());
    let lost = cases().into_iter();
    let lost: Vec<_> = lost.map(|case| Lost::send(&world, &proxy, case)).collect();
    let secrets = lost.iter().map(|lost| mutation(lost.case.method));
    assert!(secrets.into_iter().any(|method| tells_secrets(&method)));
    let before = world.trace();
    let (_server, grpc) = crash(&world);
    for lost in lost {
        lost.comes_again(&grpc);
    }
    assert_eq!(super::Trace::of(&grpc), before, "something is done twice");
}
