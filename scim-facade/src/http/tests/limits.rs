//! Callers who come too often, and what tells the directory where they come
//! from.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::*;

#[tokio::test]
async fn who_comes_too_often_is_told_when_to_come_back() {
    let get = |path: &str| request("GET", path, "often", "");
    for request in [
        get("/scim/v2/Users"),
        get("/scim/v2/Schemas"),
        request("POST", "/scim/v2/Users", "often", "{"),
        request("POST", "/scim/v2/Bulk", "often", "{}"),
    ] {
        let reply = send(request).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.headers["retry-after"], "2");
        assert_eq!(
            reply.body,
            "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"429\",\
             \"detail\":\"There are too many requests; try again later.\"}"
        );
    }
}

#[tokio::test]
async fn every_operation_of_a_bulk_answers_for_itself() {
    let group = |name: &str| {
        format!(
            "{{\"method\":\"POST\",\"path\":\"/Groups\",\"bulkId\":\"{name}\",\
             \"data\":{{\"displayName\":\"{name}\"}}}}"
        )
    };
    let operations = [group("a"), group("often"), group("b")].join(",");
    let body = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:BulkRequest\"],\
         \"Operations\":[{operations}]}}"
    );
    let bulk = request("POST", "/scim/v2/Bulk", "good", &body);
    let reply = send_to(Groups(&["g"]), bulk).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    let results = answer["Operations"].as_array().expect("a list");
    let statuses: Vec<_> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["201", "429", "201"]);
    assert_eq!(results[1]["response"]["status"], "429");
}

/// The address of the connection, and headers of a proxy.
fn from(mut request: Request<Body>, peer: &str, forwarded: &'static str) -> Request<Body> {
    let peer = SocketAddr::new(peer.parse().expect("an address"), 1);
    request.extensions_mut().insert(ConnectInfo(peer));
    let forwarded = HeaderValue::from_static(forwarded);
    request.headers_mut().insert("x-forwarded-for", forwarded);
    request
}

#[tokio::test]
async fn the_directory_is_told_where_the_client_comes_from() {
    for (peer, forwarded, status) in [
        (HERE, "", 200),
        ("::ffff:127.0.0.1", "", 200),
        ("192.0.2.1", "6.6.6.6, 127.0.0.1", 200),
        ("192.0.2.1", "127.0.0.1, 6.6.6.6", 401),
        ("192.0.2.1", "", 401),
    ] {
        let read = request("GET", "/scim/v2/Schemas", "here", "");
        let read = send(from(read, peer, forwarded)).await;
        assert_eq!(read.status, status, "{peer} {forwarded}");
        let form = "grant_type=client_credentials&client_id=c&client_secret=here";
        let token = Request::post("/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded");
        let token = token.body(Body::from(form)).expect("a request");
        let token = send(from(token, peer, forwarded)).await;
        assert_eq!(token.status, status, "{peer} {forwarded}");
    }
}

#[tokio::test]
async fn the_listener_knows_its_clients() {
    let doorkeeper = ProvisioningServiceServer::new(Doorkeeper::default());
    let directory = DirectoryClient::new(tonic::service::Routes::new(doorkeeper));
    let any = SocketAddr::new(HERE.parse().expect("an address"), 0);
    let server = crate::Server::bind(any, Config::default(), directory, None).await;
    let server = server.expect("a free port");
    let address = server.local_addr();
    let running = tokio::spawn(server.run(std::future::pending()));
    let asking = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(
            b"GET /scim/v2/Schemas HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer here\r\n\
              X-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asking.await.expect("no panic").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    running.abort();
}
