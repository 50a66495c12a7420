//! One request that comes several times at the same moment.

use muster_tests::{
    grpc::{Grpc, reason},
    runtime::{at_once, wait},
};
use prost_reflect::DynamicMessage;
use tonic::Code;

use super::{
    World,
    cases::{Case, cases},
    new_id, parted,
    wire::{self, identified, mutation, tells_secrets, words},
};

/// How often each mutation is called by all.
const ROUNDS: usize = 3;

/// How often a call may be told to come again.
const TRIES: usize = 100;

#[test]
fn of_requests_that_meet_one_is_done_and_all_are_answered() {
    let world = World::new();
    let (there, _) = world.elsewhere();
    for case in cases() {
        for _ in 0..ROUNDS {
            // Each on a connection of its own, two of them to each process.
            let urls = [&world.server, &there, &world.server, &there];
            let callers = urls.map(|server| Grpc::new(server.grpc(), Some(&world.token)));
            meet(&world, callers.into(), &case);
        }
    }
}

#[track_caller]
fn meet(world: &World, callers: Vec<Grpc>, case: &Case) {
    let (name, method) = (case.method, mutation(case.method));
    let (requests, id) = ((case.prepare)(world), new_id());
    let before = world.trace();
    let answers = at_once(callers, |grpc| {
        try_hard(&grpc, case, &identified(&method, &requests.one, &id))
    });
    let after = world.trace();
    assert_eq!(after.count(name), before.count(name) + 1, "{name}");
    let (answers, secrets): (Vec<_>, Vec<_>) = answers.into_iter().map(parted).unzip();
    for answer in &answers {
        assert_eq!(words(answer), words(&answers[0]), "{name}");
    }
    let told = usize::from(tells_secrets(&method));
    assert_eq!(secrets.concat().len(), told, "{name} tells its secret once");
}

/// Calls until the answer is none that asks to come again.
fn try_hard(grpc: &Grpc, case: &Case, request: &DynamicMessage) -> DynamicMessage {
    let method = mutation(case.method);
    for _ in 0..TRIES {
        match wait(wire::call(grpc, &method, request.clone())) {
            Ok(answer) => return answer,
            Err(status) => {
                assert_eq!(
                    status.code(),
                    Code::Unavailable,
                    "{}: {status:?}",
                    case.method
                );
                assert_eq!(reason(&status), "WRITE_CONFLICT", "{status:?}");
            }
        }
    }
    panic!("{} is never done", case.method);
}
