//! Service clients of a tenant: made through the admin commands, with a key of
//! their own that tests can also sign other things with.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_proto::{
    policy::Policies,
    v1::{IssueServiceTokenRequest, IssueServiceTokenResponse},
};
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

use crate::{
    cli,
    grpc::Grpc,
    issuer::now_s,
    jws::Signer,
    runtime::wait,
    server::Server,
    tenant::{Tenant, text},
};

/// An audience of users' tokens.
pub const API: &str = "https://api.example.test";
/// Another one.
pub const OTHER_API: &str = "https://other.example.test";

/// A service client.
#[derive(Debug)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its tenant.
    pub tenant_id: String,
    /// For whom its assertions are meant.
    pub audience: String,
    file: PathBuf,
    key: Signer,
    binary: PathBuf,
    grpc: String,
}

impl Service {
    /// A client with these scopes, separated by commas, that may put
    /// [`API`] and [`OTHER_API`] into tokens of users.
    #[track_caller]
    pub fn create(server: &Server, tenant: &Tenant, scopes: &str) -> Self {
        let audiences = format!("{API},{OTHER_API}");
        Self::create_with(server, tenant, scopes, &["--audiences", &audiences])
    }

    /// A client that may do everything that any RPC asks for.
    #[track_caller]
    pub fn full(server: &Server, tenant: &Tenant) -> Self {
        Self::create(server, tenant, &all_scopes().join(","))
    }

    /// A client with these scopes, and with more options of `client create`.
    #[track_caller]
    pub fn create_with(server: &Server, tenant: &Tenant, scopes: &str, more: &[&str]) -> Self {
        let name = format!("service-{}", Uuid::new_v4().simple());
        let file = server.folder().join(format!("{name}.jwk"));
        let path = file.to_str().expect("a plain path");
        let mut arguments = vec!["client", "create", "--name", &name, "--scopes", scopes];
        arguments.extend_from_slice(&["--tenant", &tenant.id, "--generate-key", path]);
        arguments.extend_from_slice(more);
        let created = server.admin().json(&arguments);
        let key = key_file(&file);
        let seed = URL_SAFE_NO_PAD.decode(text(&key, "d")).expect("base64url");
        Self {
            id: text(&created, "id"),
            tenant_id: tenant.id.clone(),
            audience: text(&key, "aud"),
            key: Signer::from_seed(&seed).named(&text(&key, "kid")),
            binary: server.launch().binary().to_owned(),
            grpc: server.grpc().to_owned(),
            file,
        }
    }

    /// Its key.
    pub fn key(&self) -> &Signer {
        &self.key
    }

    /// The file of its key.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A token with all its scopes, which the command got it.
    #[track_caller]
    pub fn token(&self) -> String {
        let path = self.file.to_str().expect("a plain path");
        let arguments = ["client", "token", "--key", path, "--json"];
        let url = ["--directory-url", &self.grpc];
        let outcome = cli::run(&self.binary, &[&arguments[..], &url].concat());
        text(&outcome.code(0).json(), "access_token")
    }

    /// A token with these scopes alone.
    #[track_caller]
    pub fn token_with(&self, scopes: &[&str]) -> String {
        let answer = self.trade(&self.assertion(&json!({})), scopes);
        answer.expect("a token").access_token
    }

    /// A gRPC client with all its scopes.
    #[track_caller]
    pub fn grpc(&self) -> Grpc {
        Grpc::new(&self.grpc, Some(&self.token_with(&[])))
    }

    /// Asks for a token with this assertion.
    ///
    /// # Errors
    /// As the directory answers.
    pub fn trade(
        &self,
        assertion: &str,
        scopes: &[&str],
    ) -> Result<IssueServiceTokenResponse, Status> {
        trade(&Grpc::new(&self.grpc, None), assertion, scopes)
    }

    /// What its assertions say, with these claims changed; null takes one away.
    pub fn claims(&self, changes: &Value) -> Value {
        let now = now_s();
        let mut claims = json!({
            "iss": self.id, "sub": self.id, "aud": self.audience,
            "iat": now, "exp": now + 60, "jti": Uuid::new_v4().to_string(),
        });
        let all = claims.as_object_mut().expect("an object");
        for (name, value) in changes.as_object().expect("an object") {
            all.insert(name.clone(), value.clone());
        }
        all.retain(|_, value| !value.is_null());
        claims
    }

    /// An assertion (RFC 7523) with these claims changed.
    pub fn assertion(&self, changes: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": self.key.kid()});
        self.key.sign(&header, &self.claims(changes))
    }
}

/// Asks a directory for a token with this assertion.
///
/// # Errors
/// As the directory answers.
pub fn trade(
    grpc: &Grpc,
    assertion: &str,
    scopes: &[&str],
) -> Result<IssueServiceTokenResponse, Status> {
    let request = IssueServiceTokenRequest {
        client_assertion: assertion.to_owned(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let answer = wait(grpc.admin().issue_service_token(request))?;
    Ok(answer.into_inner())
}

/// All scopes that some RPC asks for.
pub fn all_scopes() -> Vec<String> {
    let policies = Policies::load().expect("a complete contract");
    policies.scopes().into_iter().map(str::to_owned).collect()
}

/// The JWK in a file.
#[track_caller]
fn key_file(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("the key's file");
    serde_json::from_str(&text).expect("JSON")
}
