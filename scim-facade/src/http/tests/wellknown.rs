//! What everybody may look up, in front of a directory with one set of keys.

use muster_proto::v1::signing_key_service_server::{SigningKeyService, SigningKeyServiceServer};

use super::*;

const PATHS: [&str; 2] = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
];
const KEYS: &str = "{\"keys\":[]}";

/// Has keys, unless the request is named `down`.
pub(super) struct Keys;

pub(super) fn service() -> SigningKeyServiceServer<Keys> {
    SigningKeyServiceServer::new(Keys)
}

#[tonic::async_trait]
impl SigningKeyService for Keys {
    async fn get_jwks(
        &self,
        request: tonic::Request<v1::GetJwksRequest>,
    ) -> Result<tonic::Response<v1::GetJwksResponse>, tonic::Status> {
        let name = request.metadata().get("x-request-id");
        if name.is_some_and(|name| name == "down") {
            return Err(tonic::Status::unavailable("gone"));
        }
        assert!(request.metadata().get("authorization").is_none());
        Ok(tonic::Response::new(v1::GetJwksResponse {
            jwks_json: KEYS.into(),
            etag: "\"k1\"".to_owned(),
            max_age: Some(prost_types::Duration {
                seconds: 300,
                nanos: 0,
            }),
            not_modified: false,
            issuer: "https://id.example.test".to_owned(),
        }))
    }

    async fn list_signing_keys(
        &self,
        _: tonic::Request<v1::ListSigningKeysRequest>,
    ) -> Result<tonic::Response<v1::ListSigningKeysResponse>, tonic::Status> {
        Err(who())
    }

    async fn rotate_signing_key(
        &self,
        _: tonic::Request<v1::RotateSigningKeyRequest>,
    ) -> Result<tonic::Response<v1::RotateSigningKeyResponse>, tonic::Status> {
        Err(who())
    }

    async fn revoke_signing_key(
        &self,
        _: tonic::Request<v1::RevokeSigningKeyRequest>,
    ) -> Result<tonic::Response<v1::RevokeSigningKeyResponse>, tonic::Status> {
        Err(who())
    }
}

async fn look(method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn keys_are_the_directorys_bytes() {
    let reply = look("GET", PATHS[0], &[]).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, KEYS));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "public, max-age=300");
    assert_eq!(reply.headers["etag"], "W/\"k1\"");
}

#[tokio::test]
async fn metadata_names_endpoints_where_the_client_is_and_the_issuer_as_it_is() {
    let proxy = ("forwarded", "for=192.0.2.1;proto=https;host=a.example.test");
    for (headers, origin) in [
        (&[][..], "http://h:1"),
        (&[proxy][..], "https://a.example.test"),
    ] {
        let reply = look("GET", PATHS[1], headers).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.headers["content-type"], "application/json");
        // What a request says of its host is for the one who says it.
        assert_eq!(reply.headers["cache-control"], "private, max-age=300");
        let expected = serde_json::json!({
            "issuer": "https://id.example.test",
            "token_endpoint": format!("{origin}/oauth2/token"),
            "jwks_uri": format!("{origin}/.well-known/jwks.json"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        });
        let found: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn who_has_it_is_not_sent_it_again() {
    for path in PATHS {
        let first = look("GET", path, &[]).await;
        let tag = first.headers["etag"].to_str().expect("a tag");
        let strong = tag.strip_prefix("W/").expect("it is weak");
        let listed = format!("\"x\", {tag}");
        for known in [tag, strong, &listed, "*"] {
            let again = look("GET", path, &[("if-none-match", known)]).await;
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
            for name in ["etag", "cache-control"] {
                assert_eq!(again.headers[name], first.headers[name]);
            }
        }
        let other = look("GET", path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!((other.status, other.body), (200, first.body));
        assert_eq!(
            look("GET", path, &[("if-match", "\"x\"")]).await.status,
            412
        );
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    for path in PATHS {
        let (get, head) = (look("GET", path, &[]).await, look("HEAD", path, &[]).await);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let length = get.body.len().to_string();
        assert_eq!(head.headers["content-length"], length.as_str());
        for name in ["content-type", "cache-control", "etag"] {
            assert_eq!(head.headers[name], get.headers[name]);
        }
    }
}

#[tokio::test]
async fn no_credential_is_looked_at() {
    for path in PATHS {
        for wrong in ["Bearer wrong", "Basic !", "nonsense"] {
            let reply = look("GET", path, &[("authorization", wrong)]).await;
            assert_eq!(reply.status, 200, "{wrong}: {}", reply.body);
        }
    }
}

#[tokio::test]
async fn without_a_directory_there_is_nothing_to_tell() {
    for path in PATHS {
        let reply = look("GET", path, &[("x-request-id", "down")]).await;
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert_eq!(reply.headers["retry-after"], "5");
        assert!(!reply.headers.contains_key("cache-control"));
    }
}

#[tokio::test]
async fn nothing_is_written_there() {
    for path in PATHS {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let reply = look(method, path, &[]).await;
            assert_eq!(reply.status, 405, "{method}");
            assert_eq!(reply.headers["allow"], "GET,HEAD,OPTIONS");
        }
        assert_eq!(look("OPTIONS", path, &[]).await.status, 204);
    }
    let openid = "/.well-known/openid-configuration";
    assert_eq!(look("GET", openid, &[]).await.status, 404);
}
