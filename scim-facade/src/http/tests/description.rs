//! `/openapi.json`, and what is kept of credentials.

use super::*;

#[tokio::test]
async fn the_interface_is_described_without_a_token() {
    let mut request = request("GET", "/scim/v2/openapi.json", "", "");
    request.headers_mut().remove("authorization");
    let reply = send(request).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    let described: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(described["servers"][0]["url"], "http://h:1/scim/v2");
    for route in routes::ROUTES.iter().filter(|route| route.path != "/Me") {
        let path = if route.path.is_empty() {
            "/"
        } else {
            route.path
        };
        for (method, _) in route.methods {
            let method = method.as_str().to_ascii_lowercase();
            let operation = &described["paths"][path][&method];
            assert!(operation["responses"]["401"].is_object(), "{method} {path}");
        }
    }
    // Whatever is referred to is there.
    for part in reply.body.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().expect("a pointer");
        assert!(described.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn tokens_of_users_see_their_own_endpoint() {
    let path = "/scim/v2/openapi.json";
    for (token, has_me) in [("ada", true), ("good", false), ("bad", false)] {
        let reply = send(request("GET", path, token, "")).await;
        assert_eq!(reply.status, 200, "{token}");
        assert_eq!(reply.body.contains("\"/Me\""), has_me, "{token}");
        let mut varies = reply.headers.get_all("vary").iter();
        assert!(varies.any(|v| v == "authorization"), "{token}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_forgotten() {
    let doorkeeper = ProvisioningServiceServer::new(Doorkeeper::default());
    let directory = DirectoryClient::new(tonic::service::Routes::new(doorkeeper));
    let profiles = Profiles::default();
    let caller =
        |token| crate::client::Caller::new(token, None, Default::default()).expect("a caller");
    let (good, bad) = (caller("good"), caller("bad"));
    assert!(profiles.ask(&directory, &good).await.is_ok());
    profiles.heed(&good, &ScimError::unavailable());
    assert!(profiles.known(&good).is_some());
    profiles.heed(&good, &ScimError::unauthorized());
    assert!(profiles.known(&good).is_none());
    assert!(profiles.ask(&directory, &bad).await.is_err());
    assert!(profiles.known(&bad).is_none());
}
