//! What a client asks of many users at once: filters that no index serves,
//! sorting, deep pages, whole groups, bulk.

use std::time::{Duration, Instant};

use muster_tests::{scim::query, server::Server};
use serde_json::{Value, json};

use crate::{
    Plan,
    creates::sample,
    http::{Connection, HttpRequest, Place, connect, exchange, named_user},
    raw::{Durability, Raw},
    table::{head, line, ms},
};

/// Requests behind each figure.
const RUNS: usize = 9;
/// Bulk requests behind its figure; each makes users who stay.
const BULK_RUNS: usize = 3;
const BULK_OPERATIONS: usize = 1_000;
const PAGE: usize = 100;
const GROUP: usize = 10_000;

/// A query and how long it took, in the median.
struct Figure {
    name: &'static str,
    took: Duration,
}

pub(crate) async fn run(server: &Server, plan: &Plan, place: &Place, users: usize) {
    let url = server.launch().database_url();
    let rows = sample(&url, place).await;
    let is_sqlite = url.starts_with("sqlite:");
    let mut raw = Raw::open(&url, Durability::Process).await;
    for statement in rows.multiplied(users, is_sqlite) {
        raw.run(&statement).await;
    }
    for statement in different(is_sqlite) {
        raw.run(statement).await;
    }
    let mut bench = Bench {
        place: place.clone(),
        connection: connect(&place.address).await,
    };
    let figures = bench.figures(users, plan.group_sizes[2].min(GROUP)).await;
    head(&["one connection", "users", "ms, median"]);
    for Figure { name, took } in figures {
        line(&[name.to_owned(), users.to_string(), ms(took)]);
    }
}

/// Titles and family names that differ, in no order.
fn different(is_sqlite: bool) -> [&'static str; 2] {
    match is_sqlite {
        true => [
            "UPDATE users SET \
             search = json_set(search, '$.title', 'engineer ' || (rowid % 1000), \
             '$.name.familyName', 'name ' || (rowid * 7919 % 100003)), \
             document = json_set(document, '$.title', 'Engineer ' || (rowid % 1000), \
             '$.name.familyName', 'Name ' || (rowid * 7919 % 100003))",
            "ANALYZE",
        ],
        false => [
            "UPDATE users SET \
             search = jsonb_set(jsonb_set(search, '{title}', to_jsonb('engineer ' || n % 1000)), \
             '{name,familyName}', to_jsonb('name ' || n * 7919 % 100003)), \
             document = CAST(jsonb_set(jsonb_set(CAST(document AS jsonb), '{title}', \
             to_jsonb('Engineer ' || n % 1000)), \
             '{name,familyName}', to_jsonb('Name ' || n * 7919 % 100003)) AS TEXT) \
             FROM (SELECT id AS numbered, row_number() OVER (ORDER BY id) AS n FROM users) AS all_users \
             WHERE numbered = id",
            "VACUUM ANALYZE users",
        ],
    }
}

struct Bench {
    place: Place,
    connection: Connection,
}

impl Bench {
    async fn figures(&mut self, users: usize, members: usize) -> Vec<Figure> {
        let deep = users / 2;
        let group = self.group(members).await;
        let cursor = self.cursor_at(deep).await;
        let list = |parameters: &[(&str, &str)]| format!("/Users?{}", query(parameters));
        let page = &PAGE.to_string();
        let start = (deep + 1).to_string();
        let cases = [
            (
                "filter title co \"x\", none match",
                list(&[("filter", "title co \"x\"")]),
            ),
            (
                "filter title co \"999\", 1 in 1,000 match",
                list(&[("filter", "title co \"999\"")]),
            ),
            (
                "filter userName eq, indexed",
                list(&[("filter", "userName eq \"nobody\"")]),
            ),
            (
                "sort by name.familyName, 100 users",
                list(&[("sortBy", "name.familyName"), ("count", page)]),
            ),
            (
                "sort by userName, 100 users",
                list(&[("sortBy", "userName"), ("count", page)]),
            ),
            (
                "100 users at a startIndex in the middle",
                list(&[("startIndex", &start), ("count", page)]),
            ),
            (
                "the same behind a cursor",
                list(&[("cursor", &cursor), ("count", page)]),
            ),
            ("first 100 users, all attributes", list(&[("count", page)])),
            (
                "GET of the group with 10,000 members",
                format!("/Groups/{group}"),
            ),
        ];
        let mut figures = Vec::new();
        for (name, path) in cases {
            let took = self
                .median(RUNS, |place| place.request("GET", &path, &Value::Null))
                .await;
            eprintln!("{name}: {} ms", ms(took));
            figures.push(Figure { name, took });
        }
        let took = self
            .median(BULK_RUNS, |place| place.request("POST", "/Bulk", &bulk()))
            .await;
        figures.push(Figure {
            name: "bulk of 1,000 creates",
            took,
        });
        figures
    }

    async fn median(&mut self, runs: usize, make: impl Fn(&Place) -> HttpRequest) -> Duration {
        let mut took = Vec::new();
        // The first one warms up.
        for _ in 0..=runs {
            let request = make(&self.place);
            let began = Instant::now();
            exchange(&mut self.connection, request, 200).await;
            took.push(began.elapsed());
        }
        took.remove(0);
        took.sort();
        took[runs / 2]
    }

    /// The cursor behind this many users.
    async fn cursor_at(&mut self, depth: usize) -> String {
        const STEP: usize = 1_000;
        let mut cursor = String::new();
        for _ in 0..depth.div_ceil(STEP) {
            let count = STEP.min(depth).to_string();
            let parameters = [
                ("cursor", cursor.as_str()),
                ("count", &count),
                ("attributes", "id"),
            ];
            let body = self.get(&format!("/Users?{}", query(&parameters))).await;
            body["nextCursor"]
                .as_str()
                .expect("a next page")
                .clone_into(&mut cursor);
        }
        cursor
    }

    async fn group(&mut self, size: usize) -> String {
        let count = size.min(1_000).to_string();
        let mut users = Vec::new();
        let mut cursor = String::new();
        while users.len() < size {
            let parameters = [
                ("cursor", cursor.as_str()),
                ("count", &count),
                ("attributes", "id"),
            ];
            let body = self.get(&format!("/Users?{}", query(&parameters))).await;
            let found = body["Resources"].as_array().expect("users");
            users.extend(found.iter().map(|user| json!({"value": user["id"]})));
            body["nextCursor"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut cursor);
        }
        users.truncate(size);
        let body = json!({
            "schemas": [muster_tests::scim::GROUP], "displayName": "all of them", "members": users,
        });
        let create = self
            .place
            .request("POST", "/Groups?excludedAttributes=members", &body);
        crate::http::id(&exchange(&mut self.connection, create, 201).await)
    }

    async fn get(&mut self, path: &str) -> Value {
        let request = self.place.request("GET", path, &Value::Null);
        let body = exchange(&mut self.connection, request, 200).await;
        serde_json::from_slice(&body).expect("JSON")
    }
}

fn bulk() -> Value {
    let operations: Vec<_> = (0..BULK_OPERATIONS)
        .map(|n| {
            let name = uuid::Uuid::new_v4().to_string();
            json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": named_user(&name)})
        })
        .collect();
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    })
}
