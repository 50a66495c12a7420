//! The commands that show it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    slice,
};

use muster_tests::scim::USER;
use serde_json::{Value, json};

use super::{World, world};

/// What `log tail` prints, as objects.
#[track_caller]
fn tail(world: &World, options: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["log", "tail", "--tenant", &world.tenant.id, "--json"];
    arguments.extend_from_slice(options);
    let printed = super::super::server()
        .admin()
        .run(&arguments)
        .code(0)
        .stdout();
    let lines = printed.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .expect("an object in each line")
}

#[test]
fn the_tail_of_the_log_is_printed_with_the_newest_at_the_end() {
    let world = world();
    let person = json!({"schemas": [USER], "userName": "ada", "externalId": "x-1"});
    let id = world.scim.post("/Users", &person).status(201).id();
    let _ = world.scim.post("/Users", &person).status(409);
    let _ = world.scim.get("/Users").status(200);
    let _ = world.events(3);
    let operations = |options: &[&str]| -> Vec<_> {
        let events = tail(&world, options).into_iter();
        let told = events.map(|event| (event["operation"].clone(), event["status"].clone()));
        told.collect()
    };
    let (made, refused, listed) = (
        (json!("create"), json!(201)),
        (json!("create"), json!(409)),
        (json!("lookup"), json!(200)),
    );
    let all = [made.clone(), refused.clone(), listed.clone()];
    assert_eq!(operations(&[]), all);
    assert_eq!(operations(&["--connection", "entra"]), all);
    assert_eq!(operations(&["--since", "1h"]), all);
    assert_eq!(operations(&["--limit", "1"]), [listed]);
    assert_eq!(operations(&["--failures"]), slice::from_ref(&refused));
    assert_eq!(operations(&["--user", &id]), slice::from_ref(&made));
    assert_eq!(operations(&["--external-id", "x-1"]), [made, refused]);
    assert_eq!(operations(&["--since", "0s"]), []);
    let event = &tail(&world, &["--failures"])[0];
    assert_eq!(event["reason"], "USER_NAME_TAKEN");
    assert_eq!(event["resource_type"], "user");
    let admin = super::super::server().admin();
    let text = admin
        .run(&["log", "tail", "--tenant", &world.tenant.id])
        .code(0)
        .stdout();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].contains("reason=USER_NAME_TAKEN"), "{text}");
    let unknown = [
        "log",
        "tail",
        "--tenant",
        &world.tenant.id,
        "--connection",
        "x",
    ];
    let _ = admin.run(&unknown).code(1);
    let _ = admin.run(&["log", "tail", "--since", "soon"]).code(2);
    let _ = admin.run(&["log", "tail", "--limit", "0"]).code(2);
}

#[test]
fn an_empty_log_says_so_and_a_closed_output_is_no_fault() {
    let world = world();
    let launch = super::super::server().launch();
    let admin = super::super::server().admin();
    let command = ["log", "tail", "--tenant", &world.tenant.id];
    let outcome = admin.run(&command).code(0);
    assert_eq!(outcome.stdout(), "");
    assert!(
        outcome.stderr().contains("no such event"),
        "{}",
        outcome.stderr()
    );
    assert_eq!(tail(&world, &[]), [] as [Value; 0]);
    let _ = world.scim.user("ada");
    let _ = world.event();
    for form in [&["--json"][..], &[]] {
        let mut tail = Command::new(launch.binary())
            .args(command)
            .args(form)
            .args(["--database-url", &launch.database_url()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(tail.stdout.take());
        let ended = tail.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && !said.contains("pipe"), "{said}");
    }
}

#[test]
fn who_follows_sees_what_comes() {
    let world = world();
    let _ = world.scim.user("before");
    let _ = world.event();
    let launch = super::super::server().launch();
    let mut following = Command::new(launch.binary())
        .args(["log", "tail", "--follow", "--json"])
        .args(["--tenant", &world.tenant.id])
        .args(["--database-url", &launch.database_url()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let printed = following.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(printed).lines();
    let mut next = || {
        let line = lines.next().expect("a line").expect("UTF-8");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        event["operation"].clone()
    };
    assert_eq!(next(), "create");
    let _ = world.scim.get("/Users").status(200);
    assert_eq!(next(), "lookup");
    let _ = world.scim.user("after");
    assert_eq!(next(), "create");
    following.kill().expect("it runs");
    let _ = following.wait().expect("it ends");
}

#[test]
fn the_health_of_a_connection_is_printed() {
    let world = world();
    let person = json!({"schemas": [USER], "userName": "ada"});
    let _ = world.scim.post("/Users", &person).status(201);
    let _ = world.scim.post("/Users", &person).status(409);
    let _ = world.events(2);
    let server = super::super::server();
    let options = ["--expires-in", "3d", "--name", "short"];
    let _ = world.tenant.credential(server, "entra", &options);
    let admin = server.admin();
    let tenant = &world.tenant.id;
    let command = [
        "connection",
        "health",
        "--connection",
        "entra",
        "--tenant",
        tenant,
    ];
    let health = admin.json(&command);
    assert_eq!(health["verdict"], "failing");
    assert_eq!(health["requests_24h"], 2);
    assert_eq!(health["failure_ratio_24h"], 0.5);
    assert_eq!(health["top_failures"][0]["reason"], "USER_NAME_TAKEN");
    assert_eq!(health["expiring_credentials"][0]["threshold_days"], 7);
    assert_eq!(health["held_operations"], 0);
    let text = admin.run(&command).code(0).stdout();
    for part in [
        "entra: failing",
        "1 failed (50.0 %)",
        "1 x 409 USER_NAME_TAKEN",
        "  latest 2",
        "detail=",
        "credential short",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
