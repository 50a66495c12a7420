//! Clients, connections with their credentials, schemas.

use muster_proto::v1::{
    Connection, CreateConnectionRequest, CreateCredentialRequest, CreateServiceClientRequest,
    DeleteSchemaRequest, DisableServiceClientRequest, EnableServiceClientRequest, ExtensionSchema,
    PutSchemaRequest, ResolveHeldOperationsRequest, ResourceType, SchemaAttribute, ServiceClient,
    UpdateConnectionRequest, create_credential_request::Kind,
};
use muster_tests::{jws::Signer, runtime::wait};
use serde_json::json;

use super::{super::name, Cases, Requests, World};

pub(super) const CASES: Cases = &[
    ("CreateServiceClient", |_| {
        let client = registration();
        let request = |scope: &str| CreateServiceClientRequest {
            client: Some(ServiceClient {
                scopes: vec![scope.to_owned()],
                ..client.clone()
            }),
            options: None,
        };
        Requests::of(&request("users.list"), &request("groups.read"))
    }),
    ("DisableServiceClient", |world| {
        let id = client(world);
        let request = |reason: &str| disabling(&id, reason);
        Requests::of(&request("it leaked"), &request("it was seen"))
    }),
    ("EnableServiceClient", |world| {
        let [one, other] = [(); 2].map(|()| {
            let id = client(world);
            let disabled = wait(
                world
                    .grpc
                    .admin()
                    .disable_service_client(disabling(&id, "")),
            );
            disabled.expect("disabled");
            EnableServiceClientRequest { id, options: None }
        });
        Requests::of(&one, &other)
    }),
    ("CreateConnection", |_| {
        let [one, other] = [(); 2].map(|()| CreateConnectionRequest {
            connection: Some(Connection {
                display_name: name("connection"),
                ..Connection::default()
            }),
            options: None,
        });
        Requests::of(&one, &other)
    }),
    ("UpdateConnection", |world| {
        let connection = Connection {
            display_name: name("connection"),
            ..Connection::default()
        };
        let made = wait(
            world
                .grpc
                .provisioning()
                .create_connection(CreateConnectionRequest {
                    connection: Some(connection),
                    options: None,
                }),
        );
        let made = made.expect("made").into_inner().connection.expect("it");
        let [one, other] = [(); 2].map(|()| UpdateConnectionRequest {
            connection: Some(Connection {
                id: made.id.clone(),
                display_name: name("connection"),
                ..Connection::default()
            }),
            ..UpdateConnectionRequest::default()
        });
        Requests::of(&one, &other)
    }),
    ("CreateCredential", |world| {
        let request = |name: &str| CreateCredentialRequest {
            connection_id: world.tenant.connection_id.clone(),
            name: name.to_owned(),
            kind: Some(Kind::Bearer(true)),
            ..CreateCredentialRequest::default()
        };
        Requests::of(&request("one"), &request("other"))
    }),
    ("ResolveHeldOperations", |world| resolving(world, true)),
    ("ResolveHeldOperations", |world| resolving(world, false)),
    ("PutSchema", |_| {
        let urn = urn();
        let request = |description: &str| put(&urn, description);
        Requests::of(&request("one"), &request("other"))
    }),
    ("DeleteSchema", |world| {
        let urn = urn();
        wait(world.grpc.schemas().put_schema(put(&urn, ""))).expect("a schema");
        let request = |allow_missing| DeleteSchemaRequest {
            urn: urn.clone(),
            allow_missing,
            options: None,
        };
        Requests::of(&request(false), &request(true))
    }),
];

fn registration() -> ServiceClient {
    ServiceClient {
        display_name: name("client"),
        scopes: vec!["users.list".to_owned()],
        jwks_json: Signer::ed25519().jwks().into_bytes(),
        ..ServiceClient::default()
    }
}

fn client(world: &World) -> String {
    let request = CreateServiceClientRequest {
        client: Some(registration()),
        options: None,
    };
    let made = wait(world.grpc.admin().create_service_client(request));
    made.expect("a client").into_inner().client.expect("it").id
}

fn disabling(id: &str, reason: &str) -> DisableServiceClientRequest {
    DisableServiceClientRequest {
        id: id.to_owned(),
        reason: reason.to_owned(),
        options: None,
    }
}

/// For a deactivation that waits.
fn resolving(world: &World, apply: bool) -> Requests {
    let user = world.user();
    let operations = json!([{"op": "Replace", "path": "active", "value": false}]);
    let path = format!("/Users/{user}");
    let _ = world.guarded.patch(&path, &operations).status(200);
    let request = |apply| ResolveHeldOperationsRequest {
        user_ids: vec![user.clone()],
        apply,
        options: None,
    };
    Requests::of(&request(apply), &request(!apply))
}

fn urn() -> String {
    format!("urn:example:{}:2.0:User", name("schema"))
}

fn put(urn: &str, description: &str) -> PutSchemaRequest {
    PutSchemaRequest {
        schema: Some(ExtensionSchema {
            urn: urn.to_owned(),
            resource_type: ResourceType::User.into(),
            description: description.to_owned(),
            attributes: vec![SchemaAttribute {
                name: "site".to_owned(),
                ..SchemaAttribute::default()
            }],
            ..ExtensionSchema::default()
        }),
        options: None,
    }
}
