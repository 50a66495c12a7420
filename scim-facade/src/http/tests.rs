//! What the facade answers on its own. Exchanges with a directory behind it
//! are in the workspace's test suite.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{HeaderMap, HeaderValue, Request},
};
use http_body_util::{BodyExt as _, Full};
use muster_proto::{
    reason,
    v1::{
        self, ErrorReason,
        group_service_server::{GroupService, GroupServiceServer},
        member_ref,
        provisioning_service_server::ProvisioningServiceServer,
    },
};
use tower::{ServiceExt as _, util::MapRequest};

use super::*;
use doorkeeper::{Doorkeeper, HERE, refusal, too_often, who};

mod description;
mod doorkeeper;
mod groups;
mod hangups;
mod limits;
mod token;
mod wellknown;

/// Groups whose ids say what happens when their members are read.
struct Groups(&'static [&'static str]);

impl Groups {
    fn first(&self) -> Option<v1::Group> {
        self.0.first().copied().map(group)
    }
}

fn group(id: &str) -> v1::Group {
    let meta = v1::ResourceMeta {
        etag: "\"1\"".to_owned(),
        ..v1::ResourceMeta::default()
    };
    v1::Group {
        id: id.to_owned(),
        display_name: id.to_owned(),
        meta: Some(meta),
        ..v1::Group::default()
    }
}

#[tonic::async_trait]
impl GroupService for Groups {
    async fn create_group(
        &self,
        request: tonic::Request<v1::CreateGroupRequest>,
    ) -> Result<tonic::Response<v1::CreateGroupResponse>, tonic::Status> {
        let group = request.into_inner().group.unwrap_or_default();
        match group.display_name.as_str() {
            "often" => return Err(too_often()),
            "busy" => return hangups::never().await,
            "broken" => panic!("it is broken"),
            _ => {}
        }
        Ok(tonic::Response::new(v1::CreateGroupResponse {
            group: self.first(),
            ..v1::CreateGroupResponse::default()
        }))
    }

    async fn get_group(
        &self,
        _: tonic::Request<v1::GetGroupRequest>,
    ) -> Result<tonic::Response<v1::GetGroupResponse>, tonic::Status> {
        let group = self.first();
        Ok(tonic::Response::new(v1::GetGroupResponse {
            group,
            ..v1::GetGroupResponse::default()
        }))
    }

    async fn list_groups(
        &self,
        _: tonic::Request<v1::ListGroupsRequest>,
    ) -> Result<tonic::Response<v1::ListGroupsResponse>, tonic::Status> {
        Ok(tonic::Response::new(v1::ListGroupsResponse {
            groups: self.0.iter().copied().map(group).collect(),
            ..v1::ListGroupsResponse::default()
        }))
    }

    async fn modify_group(
        &self,
        _: tonic::Request<v1::ModifyGroupRequest>,
    ) -> Result<tonic::Response<v1::ModifyGroupResponse>, tonic::Status> {
        Ok(tonic::Response::new(v1::ModifyGroupResponse {
            group: self.first(),
            ..v1::ModifyGroupResponse::default()
        }))
    }

    async fn list_group_members(
        &self,
        request: tonic::Request<v1::ListGroupMembersRequest>,
    ) -> Result<tonic::Response<v1::ListGroupMembersResponse>, tonic::Status> {
        let request = request.into_inner();
        let (count, next_page_token) = match request.group_id.as_str() {
            "deleted" => return Err(refusal(tonic::Code::NotFound, ErrorReason::GroupNotFound)),
            "broken" => return Err(tonic::Status::unavailable("")),
            "full" => {
                let page = request.page.unwrap_or_default().page_token.len() + 1;
                (1000, "x".repeat(page % 10))
            }
            _ => (1, String::new()),
        };
        let member = v1::GroupMember {
            member: Some(v1::MemberRef {
                member: Some(member_ref::Member::UserId("u".to_owned())),
            }),
            ..v1::GroupMember::default()
        };
        Ok(tonic::Response::new(v1::ListGroupMembersResponse {
            members: vec![member; count],
            page: Some(v1::PageResponse {
                next_page_token,
                ..v1::PageResponse::default()
            }),
            ..v1::ListGroupMembersResponse::default()
        }))
    }

    async fn delete_group(
        &self,
        _: tonic::Request<v1::DeleteGroupRequest>,
    ) -> Result<tonic::Response<v1::DeleteGroupResponse>, tonic::Status> {
        Err(refusal(tonic::Code::NotFound, ErrorReason::GroupNotFound))
    }

    // SCIM has neither.
    async fn undelete_group(
        &self,
        _: tonic::Request<v1::UndeleteGroupRequest>,
    ) -> Result<tonic::Response<v1::UndeleteGroupResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented(""))
    }

    async fn purge_group(
        &self,
        _: tonic::Request<v1::PurgeGroupRequest>,
    ) -> Result<tonic::Response<v1::PurgeGroupResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented(""))
    }
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn send(request: Request<Body>) -> Reply {
    send_to(Groups(&[]), request).await
}

async fn send_to(groups: Groups, request: Request<Body>) -> Reply {
    let response = answer(groups, Doorkeeper::default(), request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

/// What a facade before this directory answers.
async fn answer(groups: Groups, doorkeeper: Doorkeeper, mut request: Request<Body>) -> Response {
    // Every client names its host.
    let headers = request.headers_mut();
    headers
        .entry("host")
        .or_insert(HeaderValue::from_static("h:1"));
    let doorkeeper = ProvisioningServiceServer::new(doorkeeper);
    let services = tonic::service::Routes::new(doorkeeper);
    let services = services.add_service(GroupServiceServer::new(groups));
    let services = services.add_service(wellknown::service());
    let directory = DirectoryClient::new(services);
    let config = Config {
        base_paths: vec![
            "/scim/v2".to_owned(),
            "/scim/".to_owned(),
            "/scim".to_owned(),
        ],
        body_limit: 128,
        trust_forwarded: true,
        ..Config::default()
    };
    let router = router(Facade {
        config,
        directory,
        metrics: None,
        profiles: Profiles::default(),
        turns: Turns::default(),
    });
    let service = MapRequest::new(router, normalize as fn(Request<Body>) -> Request<Body>);
    service.oneshot(request).await.expect("infallible")
}

fn request(method: &str, path: &str, token: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "h:1")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(body.to_owned()))
        .expect("a request")
}

/// Sends as the known caller; checks status and keyword.
#[track_caller]
fn check(method: &str, path: &str, body: &str, status: u16, scim_type: &str) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let reply = runtime.block_on(send(request(method, path, "good", body)));
    let what = format!("{method} {path} {body}: {}", reply.body);
    assert_eq!(reply.status, status, "{what}");
    if status >= 400 {
        let expected = format!("\"scimType\":\"{scim_type}\"");
        assert_eq!(
            reply.body.contains(&expected),
            !scim_type.is_empty(),
            "{what}"
        );
        let status = format!("\"status\":\"{status}\"");
        assert!(method == "HEAD" || reply.body.contains(&status), "{what}");
        let content_type = &reply.headers["content-type"];
        assert_eq!(content_type, "application/scim+json");
    }
    reply
}

#[test]
fn faults_of_requests() {
    check("POST", "/scim/v2/Users", "{", 400, "invalidSyntax");
    check("POST", "/scim/v2/Users", "[]", 400, "invalidSyntax");
    check(
        "POST",
        "/scim/v2/Users",
        "{\"a\":1,\"A\":2}",
        400,
        "invalidSyntax",
    );
    check("POST", "/scim/v2/Users", "{}", 400, "invalidValue");
    check("POST", "/scim/v2/Users", &" ".repeat(129), 413, "");
    check("GET", "/scim/v2/Users?filter=x", "", 400, "invalidFilter");
    check("GET", "/scim/v2/Users?filter=", "", 400, "invalidFilter");
    check("GET", "/scim/v2/Users?filter=%ff", "", 400, "invalidSyntax");
    let many: Vec<_> = (0..201).map(|n| format!("urn:x:y:{n}")).collect();
    let path = format!("/scim/v2/Users?attributes={}", many.join(","));
    check("GET", &path, "", 400, "invalidValue");
    check("GET", "/scim/v2/Groups?count=x", "", 400, "invalidValue");
    check(
        "GET",
        "/scim/v2/Users?cursor=&count=1001",
        "",
        400,
        "invalidCount",
    );
    check(
        "GET",
        "/scim/v2?cursor=&startIndex=1",
        "",
        400,
        "invalidValue",
    );
    check("GET", "/scim/v2?sortBy=shoeSize", "", 400, "invalidPath");
    check(
        "POST",
        "/scim/v2/.search",
        "{\"filter\":\"x pr\"}",
        400,
        "invalidFilter",
    );
    check(
        "POST",
        "/scim/v2/Users/.search",
        "{\"count\":{}}",
        400,
        "invalidValue",
    );
    check("PATCH", "/scim/v2/Groups/1", "{}", 400, "invalidSyntax");
    check("GET", "/scim/v2/Schemas?filter=x", "", 403, "");
}

#[test]
fn routes() {
    check("GET", "/scim/v2/Nothing", "", 404, "");
    check("GET", "/", "", 404, "");
    check("GET", "/metrics", "", 404, "");
    check("GET", "/healthz", "", 200, "");
}

#[tokio::test]
async fn a_directory_without_health_is_not_ready() {
    assert_eq!(send(request("GET", "/readyz/", "", "")).await.status, 503);
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let reply = check("DELETE", "/scim/v2/Users", "", 405, "");
    assert_eq!(reply.headers["allow"], "GET,HEAD,POST,OPTIONS");
    let reply = check("OPTIONS", "/scim/v2/Users/1", "", 204, "");
    assert_eq!(reply.headers["allow"], "GET,HEAD,PUT,PATCH,DELETE,OPTIONS");
    check("POST", "/scim/v2/Users/1", "", 405, "");
}

#[test]
fn endpoints_that_are_not_there_yet() {
    check("POST", "/scim/Me", "", 501, "");
}

#[test]
fn paths_are_forgiving() {
    for path in [
        "/scim/v2/Schemas",
        "/scim/v2/Schemas/",
        "/scim/v2//Schemas",
        "/scim//Schemas/?aadOptscim062020",
        "/scim/v2/connections/c1/Schemas",
        "/scim/v2/ResourceTypes/user",
    ] {
        check("GET", path, "", 200, "");
        check("HEAD", path, "", 200, "");
    }
    let path = "/scim/connections/c1/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group";
    let reply = check("GET", path, "", 200, "");
    assert!(
        reply.body.contains(&format!("http://h:1{path}")),
        "{}",
        reply.body
    );
    check("GET", "/scim/v2/Schemas/urn:x", "", 404, "");
    check("GET", "/scim/v2/ResourceTypes/%ff", "", 404, "");
}

#[tokio::test]
async fn a_connection_that_is_no_text_is_not_passed_over() {
    for path in [
        "/scim/v2/connections/%ff/Users",
        "/scim/v2/connections/%ff/Schemas",
    ] {
        let known = send(request("GET", path, "good", "")).await;
        let stranger = send(request("GET", path, "bad", "")).await;
        assert_eq!((known.status, stranger.status), (404, 401), "{path}");
    }
    let path = "/scim/v2/connections/%ff/ServiceProviderConfig";
    assert_eq!(send(request("GET", path, "good", "")).await.status, 404);
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    for path in [
        "/scim/v2/Schemas",
        "/scim/v2/Schemas/none",
        "/scim/v2/Groups/g",
    ] {
        let [get, head] = ["GET", "HEAD"].map(|method| request(method, path, "good", ""));
        let mut get = send_to(Groups(&["g"]), get).await;
        let mut head = send_to(Groups(&["g"]), head).await;
        for headers in [&mut get.headers, &mut head.headers] {
            headers.remove("x-request-id");
        }
        // The listener counts the body of a GET, HEAD has none to count.
        let length = head.headers.remove("content-length");
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        assert_eq!(length, Some(get.body.len()), "{path}");
        get.headers.remove("content-length");
        assert_eq!((head.status, head.body.as_str()), (get.status, ""));
        assert_eq!(head.headers, get.headers, "{path}");
    }
}

/// Announces a body, and tells whether anybody asked for it.
async fn is_read(token: &str, length: usize) -> (u16, bool) {
    let read = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&read);
    let body = Full::new(Bytes::from(vec![b' '; length]));
    let announced = length.to_string();
    let body = body.map_frame(move |frame| {
        seen.store(true, Ordering::Relaxed);
        frame
    });
    let mut request = request("POST", "/scim/v2/Users", token, "");
    *request.body_mut() = Body::new(body);
    let length = announced.parse().expect("a header");
    request.headers_mut().insert("content-length", length);
    let expectation = "100-continue".parse().expect("a header");
    request.headers_mut().insert("expect", expectation);
    let status = send(request).await.status;
    (status, read.load(Ordering::Relaxed))
}

#[tokio::test]
async fn bodies_are_read_when_they_are_worth_it() {
    assert_eq!(is_read("good", 3).await, (400, true));
    assert_eq!(is_read("good", 129).await, (413, false), "too long");
    assert_eq!(is_read("bad", 3).await, (401, false), "a stranger's");
}

#[tokio::test]
async fn strangers_learn_nothing_but_401() {
    let mut replies = Vec::new();
    for (method, path, body) in [
        ("GET", "/scim/v2/Schemas", ""),
        ("GET", "/scim/v2/Users?filter=x", ""),
        ("POST", "/scim/v2/Users", "{"),
        ("POST", "/scim/v2/Bulk", ""),
    ] {
        for token in ["bad", "", "b\u{e9}d"] {
            replies.push(send(request(method, path, token, body)).await);
        }
        let mut anonymous = request(method, path, "", body);
        anonymous.headers_mut().clear();
        replies.push(send(anonymous).await);
    }
    replies.push(
        send(request(
            "GET",
            "/scim/v2/connections/c2/Schemas",
            "good",
            "",
        ))
        .await,
    );
    for mut reply in replies {
        for per_request in ["x-request-id", "content-length"] {
            reply.headers.remove(per_request);
        }
        assert_eq!(reply.status, 401);
        assert_eq!(reply.headers["www-authenticate"], "Bearer realm=\"scim\"");
        assert_eq!(reply.headers["vary"], "accept");
        assert_eq!(reply.headers.len(), 3);
        assert_eq!(
            reply.body,
            "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"401\",\
             \"detail\":\"A valid bearer token is required.\"}"
        );
    }
}

#[tokio::test]
async fn the_provider_says_without_a_token_how_to_authenticate() {
    let mut request = request("GET", "/scim/v2/ServiceProviderConfig", "", "");
    request.headers_mut().remove("authorization");
    let reply = send(request).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("\"oauthbearertoken\""));
}

#[tokio::test]
async fn media_types() {
    for (media_type, status) in [
        ("application/scim+json", 400),
        ("Application/JSON", 400),
        ("application/scim+json; charset=US-ASCII", 400),
        ("application/json; charset=iso-8859-1", 415),
        ("application/json; v=1; Charset=\"utf-16\"", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let mut request = request("POST", "/scim/v2/Users", "good", "{}");
        let value = media_type.parse().expect("a header");
        request.headers_mut().insert("content-type", value);
        assert_eq!(send(request).await.status, status, "{media_type}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_sane_id() {
    for (id, kept) in [
        ("abc-1", true),
        ("two words", false),
        (&*"x".repeat(65), false),
    ] {
        let mut request = request("GET", "/healthz", "", "");
        request
            .headers_mut()
            .insert("x-request-id", id.parse().expect("a header"));
        let reply = send(request).await;
        let answered = reply.headers["x-request-id"].to_str().expect("text");
        assert_eq!(answered == id, kept, "{id}");
        assert!(answered.len() <= 64);
    }
}
