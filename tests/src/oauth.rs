//! OAuth clients of a tenant: made through the admin commands, used over HTTP.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    fixture::Case,
    issuer::Issuer,
    replay::Placeholders,
    scim::{Reply, Scim, query},
    server::Server,
    tenant::{Tenant, text},
};

/// `sub` of federated clients.
pub const SUBJECT: &str = "5f0c7d1e-3b58-4c0a-9a44-0d7c54a1e2b6";
/// `aud` of federated clients, as Entra's documents spell it.
pub const AUDIENCE: &str = "api://3d1b7b8e-6f0e-4a4d-8f55-2a9f0f1f9c11";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An OAuth client of the connection `entra`.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id, which is also its credential's.
    pub id: String,
    /// Its secret; empty for a federated client.
    pub secret: String,
    /// Where it gets access tokens.
    pub token_endpoint: String,
}

impl Client {
    /// A client with a secret.
    #[track_caller]
    pub fn create(server: &Server, tenant: &Tenant) -> Self {
        Self::of(&create(server, tenant, &["--kind", "oauth-client"]))
    }

    /// A client for which this issuer vouches.
    #[track_caller]
    pub fn federated(server: &Server, tenant: &Tenant, issuer: &str) -> Self {
        let options = [
            "--kind",
            "federated",
            "--issuer",
            issuer,
            "--subject",
            SUBJECT,
            "--audience",
            AUDIENCE,
        ];
        Self::of(&create(server, tenant, &options))
    }

    #[track_caller]
    fn of(created: &Value) -> Self {
        assert_eq!(created["client_id"], created["id"], "{created}");
        Self {
            id: text(created, "client_id"),
            secret: created["secret"].as_str().unwrap_or_default().to_owned(),
            token_endpoint: text(created, "token_endpoint"),
        }
    }

    /// Posts this form to the token endpoint.
    #[track_caller]
    pub fn post(&self, form: &[(&str, &str)]) -> Reply {
        // Its URL is absolute.
        let anonymous = Scim::anonymous("");
        let draft = anonymous.bare("POST", &self.token_endpoint);
        let draft = draft.header("content-type", "application/x-www-form-urlencoded");
        draft.body(query(form)).send()
    }

    /// Trades a secret.
    #[track_caller]
    pub fn trade(&self, secret: &str) -> Reply {
        self.post(&[
            ("grant_type", "client_credentials"),
            ("client_id", &self.id),
            ("client_secret", secret),
        ])
    }

    /// Trades an assertion.
    #[track_caller]
    pub fn assert(&self, assertion: &str) -> Reply {
        self.post(&[
            ("grant_type", "client_credentials"),
            ("client_id", &self.id),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
            ("scope", "scim"),
        ])
    }
}

/// The access token of an answer.
#[track_caller]
pub fn access_token(reply: &Reply) -> String {
    assert_eq!(reply.code(), 200, "{reply}");
    let body: Value = serde_json::from_slice(reply.bytes()).expect("JSON");
    text(&body, "access_token")
}

#[track_caller]
fn create(server: &Server, tenant: &Tenant, options: &[&str]) -> Value {
    let mut arguments = vec!["credential", "create", "--connection", "entra"];
    arguments.extend_from_slice(&["--tenant", &tenant.id]);
    arguments.extend_from_slice(options);
    server.admin().json(&arguments)
}

/// What a recorded request for a token needs: a client of its tenant, which is
/// a federated one when the request asserts something.
#[track_caller]
pub fn placeholders(server: &Server, tenant: &Tenant, case: &Case) -> Placeholders {
    let mut sent = vec![case.path.as_str()];
    sent.extend(case.body_raw.as_deref());
    sent.extend(case.headers.values().map(String::as_str));
    let asks_for = |name: &str| sent.iter().any(|text| text.contains(name));
    if !asks_for("{{token_endpoint}}") {
        return Placeholders::new();
    }
    let mut offered = Vec::new();
    let client = if asks_for("{{entra_jwt}}") {
        let issuer = Issuer::shared();
        let bare = AUDIENCE.strip_prefix("api://").unwrap_or(AUDIENCE);
        offered.push(("entra_jwt", issuer.assertion(SUBJECT, bare, &json!({}))));
        Client::federated(server, tenant, issuer.url())
    } else {
        Client::create(server, tenant)
    };
    let basic = STANDARD.encode(format!("{}:{}", client.id, client.secret));
    offered.extend([
        ("basic", basic),
        ("client_id", client.id),
        ("client_secret", client.secret),
        ("token_endpoint", client.token_endpoint),
    ]);
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    offered.into_iter().map(named).collect()
}
