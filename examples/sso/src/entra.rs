//! Plays Entra's provisioning client, and a browser.

use anyhow::{Context as _, Result, ensure};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

/// The provisioning client of a tenant.
pub(crate) struct Entra {
    tenant_url: String,
    bearer: String,
}

impl Entra {
    pub(crate) fn new(tenant_url: &str, secret_token: &str) -> Self {
        Self {
            tenant_url: tenant_url.to_owned(),
            bearer: format!("Bearer {secret_token}"),
        }
    }

    /// Creates a person; her id.
    pub(crate) async fn create(&self, user_name: &str, oid: &str) -> Result<String> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": user_name, "externalId": oid, "displayName": "Ada", "active": true,
        });
        let url = format!("{}/Users", self.tenant_url);
        let (status, user) = send("POST", &url, &self.bearer, Some(&body)).await?;
        ensure!(status == 201, "not created: {status} {user}");
        Ok(user["id"].as_str().context("no id")?.to_owned())
    }

    /// Disables her, in Entra's words.
    pub(crate) async fn disable(&self, id: &str) -> Result<()> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Replace", "path": "active", "value": "False"}],
        });
        let url = format!("{}/Users/{id}", self.tenant_url);
        let (status, said) = send("PATCH", &url, &self.bearer, Some(&body)).await?;
        ensure!(status == 200, "not disabled: {status} {said}");
        Ok(())
    }
}

/// Posts JSON.
pub(crate) async fn post(url: &str, body: &Value) -> Result<(u16, Value)> {
    send("POST", url, "", Some(body)).await
}

/// Gets JSON with a session.
pub(crate) async fn get(url: &str, session: &str) -> Result<(u16, Value)> {
    send("GET", url, &format!("Session {session}"), None).await
}

async fn send(
    method: &str,
    url: &str,
    authorization: &str,
    body: Option<&Value>,
) -> Result<(u16, Value)> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into_bytes().into()))?;
    let client: Client<_, Full<axum::body::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
