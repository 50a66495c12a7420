//! What verifiers and clients of tokens look up below `/.well-known`.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_proto::v1::{GetJwksRequest, GetJwksResponse};
use muster_tests::{
    grpc::Grpc,
    oauth::{Client, access_token},
    scim::{Reply, Scim},
    server::Server,
    tenant::Tenant,
};
use serde_json::Value;

use super::auth::unary;

const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";

fn look(server: &Server, path: &str) -> Reply {
    Scim::anonymous(server.http()).get(path)
}

#[track_caller]
fn read(reply: &Reply) -> Value {
    assert_eq!(reply.code(), 200, "{reply}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    serde_json::from_slice(reply.bytes()).expect("JSON")
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

/// What a token says, once one of these keys has told that it is true.
#[track_caller]
fn verified(token: &str, keys: &Value) -> Value {
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = message.split_once('.').expect("three parts");
    let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
    assert_eq!(header["typ"], "at+jwt");
    let all = keys["keys"].as_array().expect("a set");
    let key = all.iter().find(|key| key["kid"] == header["kid"]);
    let key = key.expect("the key is published");
    assert_eq!(key["alg"], header["alg"]);
    let part = |name: &str| decode(key[name].as_str().expect(name));
    let (algorithm, point): (&dyn VerificationAlgorithm, _) = match header["alg"].as_str() {
        Some("EdDSA") => (&ED25519, part("x")),
        Some("ES256") => {
            let point = [vec![4], part("x"), part("y")].concat();
            (&ECDSA_P256_SHA256_FIXED, point)
        }
        other => panic!("{other:?}"),
    };
    UnparsedPublicKey::new(algorithm, point)
        .verify(message.as_bytes(), &decode(signature))
        .expect("a signature by this key");
    serde_json::from_slice(&decode(claims)).expect("JSON")
}

/// The keys verify what this tenant's clients get, under the issuer of the
/// metadata; and no private part is among them.
#[track_caller]
fn verifies(tenant: &Tenant, server: &Server) {
    let client = Client {
        // Where it is, whatever it is called.
        token_endpoint: format!("{}/oauth2/token", server.http()),
        ..Client::create(server, tenant)
    };
    let token = access_token(&client.trade(&client.secret));
    let keys = read(&look(server, JWKS));
    let claims = verified(&token, &keys);
    let metadata = read(&look(server, METADATA));
    assert_eq!(claims["iss"], metadata["issuer"]);
    for key in keys["keys"].as_array().expect("a set") {
        assert!(key["d"].is_null(), "a private key");
    }
}

#[test]
fn the_published_keys_verify_access_tokens() {
    let (server, tenant) = (super::server(), super::tenant());
    verifies(&tenant, server);
    let over_grpc = jwks_over_grpc(server);
    let reply = look(server, JWKS);
    assert_eq!(reply.bytes(), over_grpc.jwks_json);
    let max_age = over_grpc.max_age.map_or(0, |age| age.seconds);
    let expected = format!("public, max-age={max_age}");
    assert_eq!(reply.header("cache-control"), Some(expected.as_str()));
    assert_eq!(reply.etag(), format!("W/{}", over_grpc.etag));
}

fn jwks_over_grpc(server: &Server) -> GetJwksResponse {
    let anybody = Grpc::new(server.grpc(), None);
    unary(
        &anybody,
        "SigningKeyService/GetJwks",
        GetJwksRequest::default(),
    )
}

#[test]
fn who_has_them_is_not_sent_them_again() {
    let server = super::server();
    let anybody = Scim::anonymous(server.http());
    for path in [JWKS, METADATA] {
        let first = look(server, path);
        let again = anybody.bare("GET", path);
        let again = again.header("if-none-match", &first.etag()).send();
        assert_eq!((again.code(), again.bytes().len()), (304, 0));
        for name in ["etag", "cache-control"] {
            assert_eq!(again.header(name), first.header(name));
        }
        let other = anybody.bare("GET", path);
        let other = other.header("if-none-match", "\"other\"").send();
        assert_eq!(other.status(200).bytes(), first.bytes());
        let head = anybody.bare("HEAD", path).send().status(200);
        let length = first.bytes().len().to_string();
        assert_eq!(head.header("content-length"), Some(length.as_str()));
        assert_eq!(head.header("etag"), first.header("etag"));
        assert!(head.bytes().is_empty());
    }
}

#[test]
fn no_credential_is_needed_or_looked_at() {
    let (server, tenant) = (super::server(), super::tenant());
    for path in [JWKS, METADATA] {
        let first = look(server, path);
        for bearer in ["wrong", &tenant.token] {
            let reply = Scim::new(server.http(), bearer).get(path);
            assert_eq!(reply.status(200).bytes(), first.bytes());
        }
        let post = Scim::anonymous(server.http()).bare("POST", path).send();
        let allowed = post.header("allow").map(str::to_owned);
        assert_eq!(allowed.as_deref(), Some("GET,HEAD,OPTIONS"));
        let _ = post.scim_error(405, None);
    }
}

#[test]
fn metadata_leads_where_tokens_are_given() {
    let (server, tenant) = (super::server(), super::tenant());
    let metadata = read(&look(server, METADATA));
    assert_eq!(metadata["issuer"], server.http());
    let client = Client::create(server, &tenant);
    assert_eq!(metadata["token_endpoint"], client.token_endpoint.as_str());
    let jwks = metadata["jwks_uri"].as_str().expect("a URL");
    assert_eq!(jwks, format!("{}{JWKS}", server.http()));
    let there = Scim::anonymous("").get(jwks);
    assert_eq!(read(&there), read(&look(server, JWKS)));
}

#[test]
fn metadata_is_of_the_public_url() {
    let public = "https://id.example.test";
    let server = super::launch().env("MUSTER_PUBLIC_URL", public).start();
    let reply = look(&server, METADATA);
    let metadata = read(&reply);
    assert_eq!(metadata["issuer"], public);
    assert_eq!(metadata["jwks_uri"], format!("{public}{JWKS}"));
    let endpoint = format!("{public}/oauth2/token");
    assert_eq!(metadata["token_endpoint"], endpoint.as_str());
    // It says the same to everybody.
    let control = reply.header("cache-control").unwrap_or_default();
    assert!(control.starts_with("public, "), "{control}");
    let tenant = Tenant::create(&server);
    assert_eq!(Client::create(&server, &tenant).token_endpoint, endpoint);
    verifies(&tenant, &server);
}

#[test]
fn a_facade_apart_tells_what_its_directory_tells() {
    let directory = super::launch().role("directory").start();
    let facade = super::launch()
        .role("scim")
        .arg("--directory-url")
        .arg(directory.grpc())
        .start();
    let url = facade.http();
    let metadata = read(&look(&facade, METADATA));
    assert_eq!(metadata["token_endpoint"], format!("{url}/oauth2/token"));
    assert_eq!(metadata["jwks_uri"], format!("{url}{JWKS}"));
    assert_eq!(metadata["issuer"], directory.grpc());
    assert_eq!(
        look(&facade, JWKS).bytes(),
        jwks_over_grpc(&directory).jwks_json
    );
    assert_eq!(directory.stop().status.code(), Some(0));
    for path in [JWKS, METADATA] {
        look(&facade, path).try_again();
    }
}
