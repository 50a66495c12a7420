//! Reads from a replica of PostgreSQL that may lag, hang or be gone.

use std::time::{Duration, Instant};

use muster_proto::v1::{self, Consistency, Revision, consistency::Requirement};
use muster_tests::{
    grpc::{Grpc, reason},
    postgres::Cluster,
    runtime::wait,
    server::{Launch, Server},
    tenant::Tenant,
};
use tonic::{Code, Status};

/// A server that reads from a replica.
struct World {
    grpc: Grpc,
    server: Server,
    replica: Cluster,
    primary: Cluster,
}

impl World {
    fn new() -> Self {
        let primary = Cluster::start();
        let url = primary.database();
        let replica = primary.replica();
        let launch = Launch::at(&url).arg("--replica-url");
        let server = launch.arg(replica.here(&url)).start();
        let grpc = Tenant::create(&server).grpc_full(&server);
        replica.catch_up(&primary);
        Self {
            grpc,
            server,
            replica,
            primary,
        }
    }

    /// A new user, and when he was written.
    fn user(&self) -> (String, Revision) {
        let user = v1::User {
            user_name: uuid::Uuid::new_v4().simple().to_string(),
            ..Default::default()
        };
        let request = v1::CreateUserRequest {
            user: Some(user),
            options: None,
        };
        let answer = wait(self.grpc.users().create_user(request)).expect("created");
        let answer = answer.into_inner();
        let id = answer.user.expect("the created user").id;
        (id, answer.written_at.expect("it was written"))
    }

    fn get(&self, id: &str, requirement: Requirement) -> Result<v1::User, Status> {
        let request = v1::GetUserRequest {
            id: id.to_owned(),
            consistency: Some(Consistency {
                requirement: Some(requirement),
            }),
            ..Default::default()
        };
        let answer = wait(self.grpc.users().get_user(request))?.into_inner();
        Ok(answer.user.expect("the user"))
    }

    /// A user whom the replica lacks and of whom the fastest answer knows nothing
    /// yet, and when he was written.
    fn unknown_to_the_replica(&self) -> (String, Revision, Instant) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.replica.pause_replay();
            let (id, written) = self.user();
            let at = Instant::now();
            if self
                .get(&id, fast())
                .is_err_and(|status| status.code() == Code::NotFound)
            {
                return (id, written, at);
            }
            assert!(Instant::now() < deadline, "the replica is never asked");
            // It was not known to be fresh, so that the primary was asked.
            self.replica.resume_replay();
            self.replica.catch_up(&self.primary);
        }
    }
}

fn fast() -> Requirement {
    Requirement::MinimizeLatency(true)
}

fn strong() -> Requirement {
    Requirement::Strong(true)
}

#[test]
fn the_fastest_answer_is_a_replicas_and_two_seconds_old_at_most() {
    let world = World::new();
    let (id, written, at) = world.unknown_to_the_replica();
    // Whoever asks for more gets it, whatever the replica has.
    let fresh = Requirement::AtLeastAsFresh(written);
    assert_eq!(world.get(&id, strong()).expect("the newest").id, id);
    assert_eq!(world.get(&id, fresh).expect("new enough").id, id);
    let mut last_stale = at;
    let deadline = at + Duration::from_secs(20);
    loop {
        let asked = Instant::now();
        match world.get(&id, fast()) {
            Ok(_) => break,
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
        }
        last_stale = asked;
        assert!(asked < deadline, "the replica is believed for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    let age = last_stale - at;
    assert!(age < Duration::from_millis(2_500), "{age:?}");
    // From now on it is not asked until it has caught up.
    let (id, _) = world.user();
    assert_eq!(world.get(&id, fast()).expect("the primary's").id, id);
    world.replica.resume_replay();
    let _ = world.unknown_to_the_replica();
}

#[test]
fn a_replica_that_is_gone_or_hangs_is_not_missed() {
    let world = World::new();
    let _ = world.unknown_to_the_replica();
    let check = |what: &str| {
        let (id, written) = world.user();
        for requirement in [fast(), strong(), Requirement::AtLeastAsFresh(written)] {
            let began = Instant::now();
            let answer = world.get(&id, requirement);
            let took = began.elapsed();
            // A replica that was just believed may still be asked once.
            let stale = answer.as_ref().is_err_and(|s| s.code() == Code::NotFound);
            assert!(stale || answer.is_ok(), "{what}: {answer:?}");
            assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        }
    };
    world.replica.pause();
    for _ in 0..5 {
        check("it hangs");
    }
    world.replica.resume();
    world.replica.kill();
    for _ in 0..5 {
        check("it is gone");
    }
}

#[test]
fn without_its_primary_a_replica_that_is_behind_makes_nobody_wait() {
    let world = World::new();
    let (id, written, _) = world.unknown_to_the_replica();
    let check = |what: &str| {
        for requirement in [strong(), Requirement::AtLeastAsFresh(written.clone())] {
            let began = Instant::now();
            let status = world.get(&id, requirement).expect_err("nobody knows");
            let took = began.elapsed();
            assert!(took < Duration::from_secs(4), "{what}: {took:?}");
            let reason = reason(&status);
            let expected = ["REPLICA_BEHIND", "STORE_UNAVAILABLE", "DEADLINE_EXCEEDED"];
            assert!(expected.contains(&reason.as_str()), "{what}: {status:?}");
        }
    };
    world.primary.pause();
    check("it hangs");
    world.primary.resume();
    assert!(until_answered(&world, &id), "it goes on");
    world.primary.kill();
    check("it is gone");
    world.primary.start_again();
    assert!(until_answered(&world, &id), "it goes on");
    assert_eq!(world.server.stop().status.code(), Some(0));
}

/// Whether the primary is found again.
fn until_answered(world: &World, id: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if world.get(id, strong()).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}
