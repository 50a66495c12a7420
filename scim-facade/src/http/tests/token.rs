//! The token endpoint, in front of a directory that knows one secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(content_type: &str, authorization: Option<&str>, body: &str) -> Reply {
    let mut request = Request::builder()
        .method("POST")
        .uri("/oauth2/token")
        .header("content-type", content_type);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let request = request.body(Body::from(body.to_owned()));
    send(request.expect("a request")).await
}

#[track_caller]
fn check(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    let expected = format!("{{\"error\":\"{error}\",\"error_description\":\"");
    assert!(reply.body.starts_with(&expected), "{}", reply.body);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

fn form(secret: &str) -> String {
    format!("grant_type=client_credentials&client_id=c&client_secret={secret}")
}

#[tokio::test]
async fn a_client_gets_a_token_that_nobody_keeps() {
    let basic = format!("Basic {}", STANDARD.encode("c:good"));
    for reply in [
        post(FORM, None, &form("good")).await,
        post(
            "Application/X-WWW-Form-Urlencoded; charset=utf-8",
            None,
            &form("good"),
        )
        .await,
        post(FORM, Some(&basic), "grant_type=client_credentials").await,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let expected = "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":3600}";
        assert_eq!(reply.body, expected);
        assert_eq!(reply.headers["cache-control"], "no-store");
        assert_eq!(reply.headers["pragma"], "no-cache");
    }
}

#[tokio::test]
async fn faults_are_told_in_the_words_of_the_rfc() {
    let json = "{\"grant_type\":\"client_credentials\"}";
    check(
        &post("application/json", None, json).await,
        400,
        "invalid_request",
    );
    check(
        &post("text/plain", None, &form("good")).await,
        400,
        "invalid_request",
    );
    check(&post(FORM, None, "x=1").await, 400, "invalid_request");
    let other = post(FORM, None, "grant_type=password").await;
    check(&other, 400, "unsupported_grant_type");
    let long = post(FORM, None, &form(&"x".repeat(200))).await;
    check(&long, 413, "invalid_request");
    let down = post(FORM, None, &form("down")).await;
    check(&down, 503, "temporarily_unavailable");
    assert_eq!(down.headers["retry-after"], "5");
    let often = post(FORM, None, &form("often")).await;
    check(&often, 429, "temporarily_unavailable");
    assert_eq!(often.headers["retry-after"], "2");
    check(
        &post(FORM, None, &form("broken")).await,
        500,
        "server_error",
    );
}

/// A proxy in front may have looked at the other.
#[tokio::test]
async fn of_two_credentials_none_counts() {
    let basic = format!("Basic {}", STANDARD.encode("c:good"));
    for other in [basic.as_str(), "Bearer t"] {
        let request = Request::builder()
            .method("POST")
            .uri("/oauth2/token")
            .header("content-type", FORM)
            .header("authorization", &basic)
            .header("authorization", other);
        let request = request.body(Body::from("grant_type=client_credentials"));
        let reply = send(request.expect("a request")).await;
        check(&reply, 401, "invalid_client");
    }
}

#[tokio::test]
async fn a_refused_client_learns_one_thing() {
    let grant = "grant_type=client_credentials";
    let wrong = post(FORM, None, &form("bad")).await;
    let none = post(FORM, None, grant).await;
    assert!(!wrong.headers.contains_key("www-authenticate"));
    let basic = format!("Basic {}", STANDARD.encode("c:bad"));
    let by_header = post(FORM, Some(&basic), grant).await;
    let challenge = &by_header.headers["www-authenticate"];
    assert_eq!(challenge, "Basic realm=\"scim\"");
    let garbled = post(FORM, Some("Basic !"), grant).await;
    for reply in [&wrong, &none, &by_header, &garbled] {
        check(reply, 401, "invalid_client");
        assert_eq!(reply.body, wrong.body);
    }
}

#[tokio::test]
async fn only_post_is_answered() {
    for method in ["GET", "PUT", "DELETE"] {
        let request = Request::builder().method(method).uri("/oauth2/token/");
        let request = request.body(Body::empty()).expect("a request");
        let reply = send(request).await;
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.headers["allow"], "POST,OPTIONS");
    }
}
