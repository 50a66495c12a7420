//! PostgreSQL crashes, stands still, has no connection left or takes no writes.

use std::time::{Duration, Instant};

use muster_proto::v1::GetUserRequest;
use muster_tests::{
    grpc::{self, Grpc, reason},
    postgres::{Cluster, Stop},
    runtime::{at_once, wait},
    scim::{Draft, Scim, USER},
    server::{Launch, Server},
    soon,
    tenant::Tenant,
    witness::{Ending, Witness},
};
use serde_json::json;
use tonic::{Code, Status};

use super::{DEADLINE, wait_until_read, wait_until_ready, wait_until_unready};

/// A server on a PostgreSQL that no other test uses.
struct World {
    cluster: Cluster,
    url: String,
    server: Server,
}

impl World {
    fn start() -> Self {
        let cluster = Cluster::start();
        let url = cluster.database();
        let server = Launch::at(&url).start();
        Self {
            cluster,
            url,
            server,
        }
    }

    fn database(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Sends all clients away; what they do next meets the new settings.
    fn end_sessions(&self) {
        let of_muster = "application_name = 'muster'";
        let end =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of_muster}");
        let _ = self.cluster.administer(&end);
    }

    fn set_read_only(&self, value: &str) {
        let database = self.database();
        self.cluster.administer(&format!(
            "ALTER DATABASE {database} SET default_transaction_read_only = {value}"
        ));
        self.end_sessions();
    }
}

/// A call of every kind on a user and a group.
fn calls(scim: &Scim, user: &str, group: &str) -> Vec<Draft> {
    let (user, group) = (format!("/Users/{user}"), format!("/Groups/{group}"));
    let title = json!([{"op": "replace", "path": "title", "value": "T"}]);
    let name = json!([{"op": "replace", "path": "displayName", "value": "H"}]);
    vec![
        scim.request("GET", &user),
        scim.request("GET", "/Users?filter=userName%20eq%20%22ada%22"),
        scim.request("GET", "/Groups"),
        scim.request("POST", "/Users")
            .json(&json!({"schemas": [USER], "userName": "new"})),
        scim.patching(&user, &title),
        scim.patching(&group, &name),
    ]
}

#[test]
fn a_crash_of_postgres_loses_nothing_and_muster_recovers() {
    let world = World::start();
    let witness = Witness::new(&world.server);
    let load = witness.load(&[&world.server], 4711, Ending::Answers);
    load.during(|load| {
        for _ in 0..2 {
            load.wait_for(60);
            world.cluster.kill();
            wait_until_unready(&world.server);
            let refused = load.refused();
            soon::wait_until("refusals", || load.refused() > refused);
            world.cluster.start_again();
            wait_until_ready(&world.server);
        }
        load.wait_for(60);
    });
    assert!(load.slowest() < DEADLINE, "{:?}", load.slowest());
    wait_until_read(&witness.scim(&world.server));
    load.compare(&witness, &world.server);
}

#[test]
fn a_postgres_that_stands_still_loses_nothing_and_muster_recovers() {
    let world = World::start();
    let witness = Witness::new(&world.server);
    let load = witness.load(&[&world.server], 4712, Ending::Answers);
    load.during(|load| {
        load.wait_for(60);
        world.cluster.pause();
        wait_until_unready(&world.server);
        soon::wait_until("refusals", || load.refused() > 0);
        world.cluster.resume();
        wait_until_ready(&world.server);
        load.wait_for(60);
    });
    assert!(load.slowest() < DEADLINE, "{:?}", load.slowest());
    wait_until_read(&witness.scim(&world.server));
    load.compare(&witness, &world.server);
}

#[test]
fn every_call_ends_while_postgres_stands_still() {
    let world = World::start();
    let tenant = Tenant::create(&world.server);
    let scim = tenant.scim();
    let user = scim.user("ada");
    let group = scim.group("G", &[&user]);
    world.cluster.pause();
    at_once(calls(&scim, &user, &group), |call| {
        let began = Instant::now();
        call.send().try_again();
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    });
    wait_until_unready(&world.server);
    let status = read(&tenant.grpc(), &user).expect_err("nobody is there to answer");
    assert!(
        [Code::DeadlineExceeded, Code::Unavailable].contains(&status.code()),
        "{status:?}"
    );
    let _ = reason(&status);
    world.cluster.resume();
    wait_until_ready(&world.server);
    for call in calls(&scim, &user, &group) {
        // The create may have happened meanwhile, or not.
        let _ = call.send().status_in(&[200, 201, 204, 409]);
    }
    assert_eq!(scim.members(&group), [user]);
}

#[test]
fn a_call_ends_at_its_own_deadline() {
    let world = World::start();
    let tenant = Tenant::create(&world.server);
    let user = tenant.scim().user("ada");
    let request = GetUserRequest {
        id: user,
        ..GetUserRequest::default()
    };
    let call = || {
        let method = "identity.directory.v1.UserService/GetUser";
        grpc::bare(world.server.grpc(), &tenant.token, method, "200m", &request)
    };
    assert_eq!(call(), Code::Ok);
    world.cluster.pause();
    let began = Instant::now();
    assert_eq!(call(), Code::DeadlineExceeded);
    let took = began.elapsed();
    let about = Duration::from_millis(190)..Duration::from_secs(5);
    assert!(about.contains(&took), "{took:?}");
    world.cluster.resume();
}

fn read(grpc: &Grpc, id: &str) -> Result<String, Status> {
    let request = GetUserRequest {
        id: id.to_owned(),
        ..GetUserRequest::default()
    };
    let answer = wait(grpc.users().get_user(request))?;
    let user = answer.into_inner().user.expect("the user");
    Ok(user.user_name)
}

#[test]
fn muster_without_a_connection_says_try_again() {
    let world = World::start();
    let tenant = Tenant::create(&world.server);
    let scim = tenant.scim();
    let user = scim.user("ada");
    let group = scim.group("G", &[&user]);
    world
        .cluster
        .administer("ALTER ROLE muster CONNECTION LIMIT 0");
    world.end_sessions();
    for call in calls(&scim, &user, &group) {
        call.send().try_again();
    }
    wait_until_unready(&world.server);
    world
        .cluster
        .administer("ALTER ROLE muster CONNECTION LIMIT -1");
    wait_until_ready(&world.server);
    for call in calls(&scim, &user, &group) {
        let _ = call.send().status_in(&[200, 201, 204]);
    }
}

#[test]
fn a_server_with_few_connections_serves_or_says_try_again() {
    let world = World::start();
    let scim = Tenant::create(&world.server).scim();
    let user = scim.user("ada");
    let group = scim.group("G", &[&user]);
    // Three of them are the superuser's.
    world
        .cluster
        .administer("ALTER SYSTEM SET max_connections = 8");
    world.cluster.stop(Stop::Fast);
    world.cluster.start_again();
    let drafts = (0..6).flat_map(|_| calls(&scim, &user, &group));
    at_once(drafts.collect(), |call| {
        let reply = call.send();
        match reply.code() {
            503 => reply.try_again(),
            _ => drop(reply.status_in(&[200, 201, 204, 409])),
        }
    });
    // Connections that writes have no use for any more go to reads.
    for place in 0..6 {
        let call = || calls(&scim, &user, &group).swap_remove(place).send();
        let served = || [200, 201, 204, 409].contains(&call().code());
        soon::wait_until("a call to be served", served);
    }
}

#[test]
fn a_database_that_turns_read_only_is_read() {
    let world = World::start();
    let tenant = Tenant::create(&world.server);
    let scim = tenant.scim();
    let user = scim.user("ada");
    let group = scim.group("G", &[&user]);
    world.set_read_only("on");
    for place in 0..6 {
        let call = || calls(&scim, &user, &group).swap_remove(place).send();
        match place {
            // A session that has just ended may show once.
            0..3 => drop(soon::wait_until("a read", || call().code() == 200)),
            _ => call().try_again(),
        }
    }
    wait_until_ready(&world.server);
    world.set_read_only("off");
    for place in 0..6 {
        let call = || calls(&scim, &user, &group).swap_remove(place).send();
        soon::wait_until("a call", || [200, 201, 204].contains(&call().code()));
    }
}
