//! Names with NUL, which PostgreSQL does not take: nobody has one.

use muster_proto::v1::{
    CreateCredentialRequest, DisableServiceClientRequest, GetConnectionRequest, GetSchemaRequest,
    GetTokenRequest, IssueConnectionTokenRequest, ListTokensRequest, create_credential_request,
    issue_connection_token_request::Proof,
};
use muster_tests::{grpc::Grpc, jws::Signer, oauth::Client, runtime::wait};
use serde_json::json;
use tonic::{Code, Status};

use super::{refused, world};

const NUL: &str = "a\0b";

fn nul() -> String {
    NUL.to_owned()
}

#[test]
fn nothing_is_found_by_a_name_that_nothing_can_have() {
    let world = world();
    let grpc = &world.grpc;
    let found: [(Result<(), Status>, &str); 5] = [
        (
            wait(grpc.tokens().get_token(GetTokenRequest { id: nul() })).map(|_| ()),
            "TOKEN_NOT_FOUND",
        ),
        (
            {
                let request = GetConnectionRequest { id: nul() };
                wait(grpc.provisioning().get_connection(request)).map(|_| ())
            },
            "CONNECTION_NOT_FOUND",
        ),
        (
            {
                let request = CreateCredentialRequest {
                    connection_id: nul(),
                    name: "credential".to_owned(),
                    kind: Some(create_credential_request::Kind::Bearer(true)),
                    ..Default::default()
                };
                wait(grpc.provisioning().create_credential(request)).map(|_| ())
            },
            "CONNECTION_NOT_FOUND",
        ),
        (
            {
                let request = DisableServiceClientRequest {
                    id: nul(),
                    reason: String::new(),
                    options: None,
                };
                wait(grpc.admin().disable_service_client(request)).map(|_| ())
            },
            "CLIENT_NOT_FOUND",
        ),
        (
            wait(grpc.schemas().get_schema(GetSchemaRequest { urn: nul() })).map(|_| ()),
            "SCHEMA_NOT_FOUND",
        ),
    ];
    for (answer, why) in found {
        let _ = refused(answer, Code::NotFound, why);
    }
    for request in [
        ListTokensRequest {
            user_id: nul(),
            ..Default::default()
        },
        ListTokensRequest {
            connection_id: nul(),
            ..Default::default()
        },
    ] {
        let listed = wait(grpc.tokens().list_tokens(request)).expect("an empty list");
        assert!(listed.into_inner().tokens.is_empty());
    }
}

/// Nobody needs a credential for these.
#[test]
fn strangers_prove_nothing_by_a_name_that_nothing_can_have() {
    let server = super::super::server();
    let world = world();
    let client = Client::create(server, &world.tenant);
    let key = Signer::ed25519();
    let claims = json!({"iss": NUL, "sub": NUL, "aud": NUL, "exp": u32::MAX});
    let forged = key.sign(&json!({"alg": "EdDSA", "kid": NUL}), &claims);
    let anyone = Grpc::new(server.grpc(), None);
    for proof in [
        Proof::ClientSecret(client.secret.clone()),
        Proof::ClientAssertion(forged.clone()),
    ] {
        let request = IssueConnectionTokenRequest {
            client_id: nul(),
            proof: Some(proof),
        };
        let answer = wait(anyone.provisioning().issue_connection_token(request));
        let _ = refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
    }
    let answer = world.service.trade(&forged, &[]);
    let _ = refused(answer, Code::Unauthenticated, "CREDENTIAL_INVALID");
    let named = Client {
        id: nul(),
        ..client
    };
    for reply in [named.trade(&named.secret), named.assert(&forged)] {
        assert_eq!(reply.code(), 401, "{reply}");
    }
    let reply = world.tenant.scim_with(&forged).get("/Users");
    let _ = reply.scim_error(401, None);
    assert!(!world.is_active(&forged));
}
