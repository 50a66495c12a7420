//! Requests as a provisioning client sends them, over connections that stay
//! open.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use muster_tests::{
    scim::{GROUP, PATCH, USER},
    server::Server,
    tenant::Tenant,
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

pub(crate) type HttpRequest = Request<Full<Bytes>>;
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// A tenant of a server.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) address: String,
    pub(crate) tenant: Tenant,
}

impl Place {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            address: server.http_address().to_owned(),
            tenant: Tenant::create(server),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &Value) -> HttpRequest {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        Request::builder()
            .method(method)
            .uri(format!("/scim/v2{path}"))
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.tenant.token))
            .header("content-type", "application/scim+json")
            .body(Full::new(Bytes::from(text)))
            .unwrap()
    }

    /// Creates users over 16 connections; their ids, in order.
    pub(crate) async fn seed_users(&self, count: usize) -> Vec<String> {
        const WORKERS: usize = 16;
        let mut tasks = JoinSet::new();
        for worker in 0..WORKERS {
            let place = self.clone();
            tasks.spawn(async move {
                let mut connection = connect(&place.address).await;
                let mut created = Vec::new();
                for n in (worker..count).step_by(WORKERS) {
                    let request = place.request("POST", "/Users", &user(n));
                    let body = exchange(&mut connection, request, 201).await;
                    created.push((n, id(&body)));
                }
                created
            });
        }
        let mut all: Vec<(usize, String)> = tasks.join_all().await.into_iter().flatten().collect();
        all.sort();
        all.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) async fn seed_group(&self, users: &[String], size: usize) -> String {
        let mut connection = connect(&self.address).await;
        let body = json!({"schemas": [GROUP], "displayName": format!("group of {size}")});
        let create = self.request("POST", "/Groups", &body);
        let group = id(&exchange(&mut connection, create, 201).await);
        let members = users.get(..size).expect("more users than members");
        for chunk in members.chunks(1_000) {
            let members: Vec<Value> = chunk.iter().map(|id| json!({"value": id})).collect();
            let operation = json!({"op": "add", "path": "members", "value": members});
            let path = format!("/Groups/{group}");
            let add = self.request("PATCH", &path, &patch(operation));
            // Only a small group is shown after a change.
            let expected = if size > 100 { 204 } else { 200 };
            exchange(&mut connection, add, expected).await;
        }
        group
    }

    /// Creates a user with a name that nobody has.
    pub(crate) fn create(&self) -> HttpRequest {
        let name = uuid::Uuid::new_v4().to_string();
        self.request("POST", "/Users", &named_user(&name))
    }
}

pub(crate) fn user_name(n: usize) -> String {
    format!("user.{n}@load.test")
}

/// About what a provisioning client sends.
fn user(n: usize) -> Value {
    let name = user_name(n);
    json!({
        "schemas": [USER], "userName": name, "externalId": format!("external-{n}"), "active": true,
        "displayName": format!("User {n}"),
        "name": {"givenName": "User", "familyName": n.to_string(), "formatted": format!("User {n}")},
        "emails": [{"value": name, "type": "work", "primary": true}],
        "phoneNumbers": [{"value": "+1 555 0100", "type": "work"}],
    })
}

/// The same with this name.
pub(crate) fn named_user(name: &str) -> Value {
    let mut body = user(0);
    body["externalId"] = json!(name);
    body["userName"] = json!(format!("{name}@load.test"));
    body
}

pub(crate) fn patch(operation: Value) -> Value {
    json!({"schemas": [PATCH], "Operations": [operation]})
}

pub(crate) fn id(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    body["id"].as_str().expect("an id").to_owned()
}

pub(crate) async fn connect(address: &str) -> Connection {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    stream.set_nodelay(true).expect("an open socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    // Ends with its sender.
    tokio::spawn(connection);
    sender
}

/// Sends a request and asserts the status of the answer; the body.
pub(crate) async fn exchange(
    connection: &mut Connection,
    request: HttpRequest,
    expected: u16,
) -> Bytes {
    let (status, body) = answered(connection, request).await;
    assert_eq!(status, expected, "{}", String::from_utf8_lossy(&body));
    body
}

/// Sends a request; the status and the body of the answer.
pub(crate) async fn answered(connection: &mut Connection, request: HttpRequest) -> (u16, Bytes) {
    connection.ready().await.expect("an open connection");
    let response = connection.send_request(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body");
    (status, body.to_bytes())
}
