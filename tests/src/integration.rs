//! A connection of a preset or of a policy of a test's own, made by the admin
//! commands as an operator makes it, and spoken to under the URL that they print.

use std::fs;

use muster_proto::v1::{CreateUserRequest, GetUserRequest, User, WriteReport};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    cli::Outcome, entra::Entra, grpc::Grpc, runtime::wait, scim::Scim, server::Server,
    soon::wait_until, tenant::text,
};

/// Name of the connection.
const NAME: &str = "provisioning";

/// A tenant with one connection, and a credential of it.
#[derive(Debug, Clone)]
pub struct Integration {
    server: &'static Server,
    /// Id of the tenant.
    pub tenant: String,
    /// The connection as it was shown when it was made.
    pub connection: Value,
    /// The credential as it was shown when it was made.
    pub credential: Value,
}

impl Integration {
    /// A connection of a preset.
    #[track_caller]
    pub fn preset(server: &'static Server, preset: &str) -> Self {
        Self::preset_in(server, tenant(server), preset)
    }

    /// A connection of a preset in a tenant that is there.
    #[track_caller]
    pub fn preset_in(server: &'static Server, tenant: String, preset: &str) -> Self {
        Self::with(server, tenant, &["--preset", preset])
    }

    /// A connection of a policy: the keys of `[policy]` and its tables.
    #[track_caller]
    pub fn policy(server: &'static Server, policy: &str) -> Self {
        Self::policy_in(server, tenant(server), policy)
    }

    /// A connection of a policy in a tenant that is there.
    #[track_caller]
    pub fn policy_in(server: &'static Server, tenant: String, policy: &str) -> Self {
        Self::with(server, tenant, &["--policy", &file(server, policy)])
    }

    #[track_caller]
    fn with(server: &'static Server, tenant: String, source: &[&str]) -> Self {
        let admin = server.admin();
        let create = ["connection", "create", "--tenant", &tenant, "--name", NAME];
        let connection = admin.json(&[&create, source].concat());
        let id = text(&connection, "id");
        let credential = ["credential", "create", "--tenant", &tenant];
        let credential = admin.json(&[&credential[..], &["--connection", &id]].concat());
        Self {
            server,
            tenant,
            connection,
            credential,
        }
    }

    /// Id of the connection.
    pub fn id(&self) -> String {
        text(&self.connection, "id")
    }

    /// The Tenant URL, as it was printed with the secret.
    pub fn tenant_url(&self) -> String {
        text(&self.credential, "tenant_url")
    }

    /// The path of the Tenant URL.
    pub fn base_path(&self) -> String {
        let url = self.tenant_url();
        let path = url.strip_prefix(self.server.http());
        path.expect("a URL of the server").to_owned()
    }

    /// What the connection's policy says of a key.
    pub fn says(&self, key: &str) -> Value {
        self.connection["policy"][key].clone()
    }

    /// The client as Entra is told to be: Tenant URL and Secret Token.
    pub fn entra(&self, matching: &'static str) -> Entra {
        Entra::new(self.scim(), matching)
    }

    /// A SCIM client of the same.
    pub fn scim(&self) -> Scim {
        self.scim_with(&text(&self.credential, "secret"))
    }

    /// A SCIM client with another secret.
    pub fn scim_with(&self, secret: &str) -> Scim {
        Scim::new(self.tenant_url(), secret)
    }

    /// A SCIM client of another connection of the same tenant, without a policy: it
    /// sees users and groups as they are.
    #[track_caller]
    pub fn onlooker(&self) -> Scim {
        let name = format!("onlooker-{}", Uuid::new_v4().simple());
        let _ = self.admin(&["connection", "create", "--name", &name]);
        let credential = self.admin(&["credential", "create", "--connection", &name]);
        let secret = text(&credential.code(0).json(), "secret");
        Scim::new(self.server.scim_url(), secret)
    }

    /// A gRPC client with the secret.
    pub fn grpc(&self) -> Grpc {
        let secret = text(&self.credential, "secret");
        Grpc::new(self.server.grpc(), Some(&secret))
    }

    /// A user as applications read him.
    #[track_caller]
    pub fn user(&self, id: &str) -> User {
        let request = GetUserRequest {
            id: id.to_owned(),
            ..Default::default()
        };
        let answer = wait(self.grpc().users().get_user(request));
        answer.expect("the user").into_inner().user.expect("him")
    }

    /// Creates a user over gRPC, where what came of it is reported.
    #[track_caller]
    pub fn reported(&self, user: User) -> WriteReport {
        let request = CreateUserRequest {
            user: Some(user),
            options: None,
        };
        let answer = wait(self.grpc().users().create_user(request));
        let report = answer.expect("a user").into_inner().report;
        report.expect("a report")
    }

    /// An admin command on the tenant, with `--json`.
    pub fn admin(&self, arguments: &[&str]) -> Outcome {
        let own = ["--tenant", &self.tenant, "--json"];
        self.server.admin().run(&[arguments, &own].concat())
    }

    /// Gives the connection another policy.
    pub fn edit(&self, policy: &str) -> Outcome {
        self.obey(&file(self.server, policy))
    }

    /// Gives the connection a copy of a preset, of which a part is another.
    pub fn edit_preset(&self, preset: &str, part: &str, other: &str) -> Outcome {
        let shown = self.server.admin().run(&["preset", "show", preset]);
        let text = shown.code(0).stdout();
        assert!(text.contains(part), "{text}");
        self.obey(&written(self.server, &text.replace(part, other)))
    }

    fn obey(&self, file: &str) -> Outcome {
        self.admin(&["connection", "update", "--name", NAME, "--policy", file])
    }

    /// What waits for an operator: ids of users.
    #[track_caller]
    pub fn held(&self) -> Vec<String> {
        let listed = self.admin(&["held", "list", "--connection", NAME]);
        let listed = listed.code(0).json();
        let listed = listed.as_array().expect("a list").iter();
        listed.map(|one| text(one, "user_id")).collect()
    }

    /// The roles of a user, the one that counts first.
    #[track_caller]
    pub fn roles(&self, id: &str) -> Vec<String> {
        let roles = self.admin(&["user", "roles", "--id", id, "--connection", NAME]);
        let roles = roles.code(0).json();
        let roles = roles.as_array().expect("a list").iter();
        roles.map(|role| text(role, "role")).collect()
    }

    /// What the log has of a user once it has so much, the oldest first: operations, and
    /// the names of what happened.
    #[track_caller]
    pub fn told(&self, id: &str, count: usize) -> Vec<(String, String)> {
        let mut told = Vec::new();
        wait_until("the log", || {
            let printed = self.admin(&["log", "tail", "--user", id]).code(0).stdout();
            let events = printed.lines().map(serde_json::from_str::<Value>);
            let events = events.map(|event| event.expect("an object"));
            told = events
                .map(|event| (text(&event, "operation"), text(&event, "event")))
                .collect();
            told.len() >= count
        });
        told
    }
}

/// Tries to make a connection of a policy in a new tenant, which has none
/// afterwards.
#[track_caller]
pub fn refused(server: &Server, policy: &str) -> Outcome {
    refused_with(server, &["--policy", &file(server, policy)])
}

/// The same with these arguments.
#[track_caller]
pub fn refused_with(server: &Server, source: &[&str]) -> Outcome {
    let (admin, tenant) = (server.admin(), tenant(server));
    let create = ["connection", "create", "--tenant", &tenant, "--name", NAME];
    let outcome = admin.run(&[&create, source].concat());
    let connections = admin.json(&["connection", "list", "--tenant", &tenant]);
    assert_eq!(connections.as_array().map(Vec::len), Some(0));
    outcome
}

/// A new tenant; its id.
#[track_caller]
pub fn tenant(server: &Server) -> String {
    let name = format!("tenant-{}", Uuid::new_v4().simple());
    text(
        &server.admin().json(&["tenant", "create", "--name", &name]),
        "id",
    )
}

/// A file with a policy.
fn file(server: &Server, policy: &str) -> String {
    let text = format!("description = \"Of a test\"\n\n[policy]\n{policy}\n");
    written(server, &text)
}

fn written(server: &Server, text: &str) -> String {
    let name = format!("policy-{}.toml", Uuid::new_v4().simple());
    let path = server.folder().join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("a plain path").to_owned()
}
