//! Whoever fills a cache from a snapshot, follows the feed, loses his stream at
//! any moment and resumes behind the last message, here or at another process,
//! has in the end what the directory has.

mod consumer;
mod writer;

use std::{
    sync::{Mutex, OnceLock},
    thread,
};

use muster_tests::{
    cache::truth,
    feed::latest,
    grpc::Grpc,
    server::Server,
    tenant::{ALL_SCOPES, Tenant},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use self::{
    consumer::{Consumer, Habit, habits},
    writer::{Act, Known, acts, perform},
};

/// Few and long: what goes wrong needs a history.
const CASES: u32 = 4;
const WRITERS: usize = 5;
const ACTS: usize = 60;
const CONSUMERS: usize = 4;

/// Who writes what, and how each consumer behaves.
type Plan = (Vec<Vec<Act>>, Vec<Vec<Habit>>);

fn plans() -> impl Strategy<Value = Plan> {
    let writers = prop::collection::vec(acts(ACTS), WRITERS);
    let consumers = prop::collection::vec(habits(), CONSUMERS);
    (writers, consumers)
}

#[test]
fn every_cache_ends_as_the_directory() {
    let one = super::launch().start();
    let other = one.launch().start();
    let config = Config {
        cases: CASES,
        // Another run of the same plan is another story.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&plans(), |plan| {
        check(&one, &other, &plan);
        Ok(())
    });
    // The plan would fill a screen, and another run of it is another story.
    assert!(outcome.is_ok(), "a cache ended otherwise; see above");
}

fn check(one: &Server, other: &Server, (writers, consumers): &Plan) {
    let tenant = Tenant::create(one);
    let (_, token) = tenant.credential(one, "entra", &["--scopes", ALL_SCOPES]);
    let at = |server: &Server| Grpc::new(server.grpc(), Some(&token));
    let known = Mutex::new(Known::default());
    let end = OnceLock::new();
    thread::scope(|scope| {
        let writing: Vec<_> = writers
            .iter()
            .enumerate()
            .map(|(n, acts)| {
                let (grpc, known) = (at([one, other][n % 2]), &known);
                scope.spawn(move || acts.iter().for_each(|act| perform(&grpc, known, act)))
            })
            .collect();
        let following: Vec<_> = consumers
            .iter()
            .map(|habits| {
                let (consumer, end) = (Consumer::new([at(one), at(other)]), &end);
                scope.spawn(move || consumer.follow(habits, end))
            })
            .collect();
        for writer in writing {
            writer.join().expect("a writer is well");
        }
        let grpc = at(one);
        end.set(latest(&grpc)).expect("the end comes once");
        let expected = truth(&grpc);
        for consumer in following {
            let cache = consumer.join().expect("a consumer is well");
            assert_eq!(cache, expected);
        }
    });
}
