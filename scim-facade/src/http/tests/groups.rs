//! Groups and their members, which the facade reads in calls of their own.

use super::*;
use crate::scim::json::Json;

#[tokio::test]
async fn a_group_that_is_deleted_meanwhile_is_left_out_of_a_list() {
    let list = || request("GET", "/scim/v2/Groups", "good", "");
    let reply = send_to(Groups(&["a", "deleted", "b"]), list()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("\"itemsPerPage\":2"), "{}", reply.body);
    let reply = send_to(Groups(&["a", "broken"]), list()).await;
    assert_eq!(reply.status, 503);
}

#[tokio::test]
async fn the_members_in_a_list_are_bounded() {
    let list = |query: &str| request("GET", &format!("/scim/v2/Groups{query}"), "good", "");
    for (query, groups, shown) in [
        ("", &["full"][..], 1),
        ("", &["full", "a"], 1),
        ("", &["a", "full", "b"], 1),
        ("", &["a", "b", "deleted", "c"], 3),
        ("?excludedAttributes=members", &["full", "a"], 2),
        ("?cursor=", &["full"], 1),
    ] {
        let reply = send_to(Groups(groups), list(query)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let items = format!("\"itemsPerPage\":{shown},");
        assert!(reply.body.contains(&items), "{groups:?}");
        assert_eq!(reply.body.contains("startIndex"), query != "?cursor=");
    }
}

#[tokio::test]
async fn what_was_written_is_no_error() {
    let body = r#"{"displayName":"g","members":["u"]}"#;
    let patch = r#"{"Operations":[]}"#;
    for (method, path, body, status) in [
        ("POST", "/scim/v2/Groups", body, 201),
        ("PUT", "/scim/v2/Groups/broken", body, 200),
        (
            "PATCH",
            "/scim/v2/Groups/broken?attributes=members",
            patch,
            200,
        ),
    ] {
        let request = request(method, path, "good", body);
        let reply = send_to(Groups(&["broken"]), request).await;
        assert_eq!(reply.status, status, "{method}");
        assert!(!reply.body.contains("\"members\""), "{}", reply.body);
    }
    let read = request("GET", "/scim/v2/Groups/broken", "good", "");
    assert_eq!(send_to(Groups(&["broken"]), read).await.status, 503);
}

#[tokio::test]
async fn a_known_representation_is_not_sent_again() {
    let ask = async |query: &str, header: &'static str, tag: &str| {
        let path = format!("/scim/v2/Groups/a{query}");
        let mut request = request("GET", &path, "good", "");
        let tag = tag.parse().expect("a header");
        request.headers_mut().insert(header, tag);
        send_to(Groups(&["a"]), request).await
    };
    let bare = "?excludedAttributes=members";
    for query in ["", bare] {
        let first = ask(query, "x-none", "").await;
        let tag = first.headers["etag"].to_str().expect("text").to_owned();
        assert_eq!(tag == "W/\"1\"", query == bare, "{tag}");
        let version = format!("\"version\":{}", Json::from(tag.as_str()));
        assert!(first.body.contains(&version), "{}", first.body);
        let again = ask(query, "if-none-match", &tag).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{query}");
        assert_eq!(again.headers["etag"], tag.as_str());
        assert_eq!(ask(query, "if-match", "\"1\"").await.status, 200);
        assert_eq!(ask(query, "if-match", "\"2\"").await.status, 412);
    }
    assert_eq!(ask("", "if-none-match", "W/\"1\"").await.status, 200);
}
