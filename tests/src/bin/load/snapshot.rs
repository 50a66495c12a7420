//! A snapshot of many users, to its last message.

use std::time::{Duration, Instant};

use muster_proto::v1::{
    ChangeFilter, StreamSnapshotRequest, change_service_client::ChangeServiceClient,
    stream_snapshot_response::Item,
};
use muster_tests::{
    grpc::{Authorized, Grpc},
    server::Server,
};

use crate::{
    Plan,
    creates::sample,
    http::Place,
    raw::{Durability, Raw},
    table::{head, line},
};

const RUNS: usize = 3;

pub(crate) async fn run(server: &Server, plan: &Plan, place: &Place, token: &str) {
    let url = server.launch().database_url();
    let rows = sample(&url, place).await;
    let mut raw = Raw::open(&url, Durability::Process).await;
    let is_sqlite = url.starts_with("sqlite:");
    for statement in rows.multiplied(plan.snapshot_users, is_sqlite) {
        raw.run(&statement).await;
    }
    let changes = Grpc::new(server.grpc(), Some(token)).changes();
    head(&["snapshot", "users", "seconds, median of 3", "users/s"]);
    for (name, values) in [("ids and active", false), ("whole users", true)] {
        let mut runs = Vec::new();
        let mut users = 0;
        for _ in 0..RUNS {
            let (count, took) = snapshot(changes.clone(), values).await;
            users = count;
            runs.push(took);
        }
        runs.sort();
        let took = runs[RUNS / 2].as_secs_f64();
        assert!(users > plan.snapshot_users, "{users} users only");
        line(&[
            name.to_owned(),
            users.to_string(),
            format!("{took:.2}"),
            format!("{:.0}", users as f64 / took),
        ]);
    }
}

async fn snapshot(
    mut changes: ChangeServiceClient<Authorized>,
    include_resource: bool,
) -> (usize, Duration) {
    let began = Instant::now();
    let filter = ChangeFilter {
        include_resource,
        ..ChangeFilter::default()
    };
    let request = StreamSnapshotRequest {
        filter: Some(filter),
        ..StreamSnapshotRequest::default()
    };
    let answer = changes.stream_snapshot(request).await;
    let mut messages = answer.expect("a snapshot").into_inner();
    let mut users = 0;
    let mut complete = false;
    while let Some(message) = messages.message().await.expect("a message") {
        match message.item {
            Some(Item::Page(page)) => users += page.users.len(),
            Some(Item::Complete(_)) => complete = true,
            None => {}
        }
    }
    assert!(complete, "the snapshot broke off");
    (users, began.elapsed())
}
