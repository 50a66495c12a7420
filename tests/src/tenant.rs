//! A fresh tenant with a connection and a token.

use serde_json::Value;

use crate::{engine::Engine, grpc::Grpc, scim::Scim, server::Server};

/// Everything that a credential can be allowed.
pub const ALL_SCOPES: &str = "schemas.read,schemas.write,users.read.basic,users.read.pii,users.list,users.write,users.purge,\
     groups.read,groups.write,groups.purge,changes.read,audit.read,provisioning.read,\
     provisioning.self";

/// A tenant of a running server.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Id of its connection `entra`.
    pub connection_id: String,
    /// Id of the credential behind `token`.
    pub credential_id: String,
    /// The bearer.
    pub token: String,
    http: String,
    grpc: Option<String>,
}

impl Tenant {
    /// Makes a tenant through the admin commands.
    #[track_caller]
    pub fn create(server: &Server) -> Self {
        Self::create_with(server, server.http(), Some(server.grpc()))
    }

    /// A tenant of the server that tests on this engine share.
    #[track_caller]
    pub fn shared(engine: Engine) -> Self {
        Self::create(Server::shared(engine))
    }

    /// A tenant in the database of `server`, spoken to at other addresses.
    #[track_caller]
    pub fn create_with(server: &Server, http: &str, grpc: Option<&str>) -> Self {
        let admin = server.admin();
        let name = format!("tenant-{}", uuid::Uuid::new_v4().simple());
        let tenant = admin.json(&["tenant", "create", "--name", &name]);
        let id = text(&tenant, "id");
        let connection = admin.json(&["connection", "create", "--tenant", &id, "--name", "entra"]);
        let credential = admin.json(&[
            "credential",
            "create",
            "--tenant",
            &id,
            "--connection",
            "entra",
        ]);
        Self {
            id,
            name,
            connection_id: text(&connection, "id"),
            credential_id: text(&credential, "id"),
            token: text(&credential, "secret"),
            http: http.to_owned(),
            grpc: grpc.map(str::to_owned),
        }
    }

    /// One more connection with a credential: its id, the credential's id, the
    /// token.
    #[track_caller]
    pub fn connection(&self, server: &Server, name: &str) -> (String, String, String) {
        let admin = server.admin();
        let connection =
            admin.json(&["connection", "create", "--tenant", &self.id, "--name", name]);
        let credential = self.credential(server, name, &[]);
        (text(&connection, "id"), credential.0, credential.1)
    }

    /// A SCIM client over one more connection, of this flavor.
    #[track_caller]
    pub fn flavored(&self, server: &Server, flavor: &str) -> Scim {
        let name = format!("{flavor}-{}", uuid::Uuid::new_v4().simple());
        let arguments = [
            "connection",
            "create",
            "--tenant",
            &self.id,
            "--name",
            &name,
            "--flavor",
            flavor,
        ];
        let _ = server.admin().json(&arguments);
        let (_, token) = self.credential(server, &name, &[]);
        self.scim_with(&token)
    }

    /// One more credential of a connection: its id and the token.
    #[track_caller]
    pub fn credential(&self, server: &Server, connection: &str, more: &[&str]) -> (String, String) {
        let mut arguments = vec![
            "credential",
            "create",
            "--tenant",
            &self.id,
            "--connection",
            connection,
        ];
        arguments.extend_from_slice(more);
        let credential = server.admin().json(&arguments);
        (text(&credential, "id"), text(&credential, "secret"))
    }

    /// A gRPC client of its connection `entra` with these scopes, separated by
    /// commas.
    #[track_caller]
    pub fn grpc_may(&self, server: &Server, scopes: &str) -> Grpc {
        let (_, token) = self.credential(server, "entra", &["--scopes", scopes]);
        self.grpc_with(&token)
    }

    /// A gRPC client of its connection `entra` that may do everything.
    #[track_caller]
    pub fn grpc_full(&self, server: &Server) -> Grpc {
        self.grpc_may(server, ALL_SCOPES)
    }

    /// A gRPC client of the same server with another bearer.
    #[track_caller]
    pub fn grpc_with(&self, token: &str) -> Grpc {
        let url = self.grpc.as_deref().expect("gRPC is served");
        Grpc::new(url, Some(token))
    }

    /// Its SCIM client.
    pub fn scim(&self) -> Scim {
        self.scim_with(&self.token)
    }

    /// A SCIM client of the same server with another bearer.
    pub fn scim_with(&self, token: &str) -> Scim {
        Scim::new(format!("{}/scim/v2", self.http), token)
    }

    /// Its gRPC client.
    #[track_caller]
    pub fn grpc(&self) -> Grpc {
        self.grpc_with(&self.token)
    }
}

/// A text field of an answer of the admin commands.
#[track_caller]
pub fn text(answer: &Value, field: &str) -> String {
    let value = answer[field].as_str();
    value.map_or_else(|| panic!("no {field} in {answer}"), str::to_owned)
}
