//! A SCIM client that needs a base URL and a token only, so that the same
//! checks run against any deployment.

use std::{fmt, sync::OnceLock, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Uri, Version, body::Bytes, header::HeaderMap};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::runtime;

/// `schemas` of an error.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// `schemas` of a list.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// `schemas` of a PATCH.
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The core schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The extension for enterprises.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The core schema of groups.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// How long an answer may take: whoever waits for that of a server that was killed in
/// the wrong moment waits for good.
const PATIENCE: Duration = Duration::from_secs(180);

/// Words that would tell a client about the store behind the server.
const WORDS_OF_THE_STORE: &[&str] = &[
    "sqlite",
    "sqlx",
    "sea_orm",
    "sea-orm",
    "seaorm",
    "postgres",
    "constraint",
    "duplicate key",
    "relation \"",
    " sql",
    "sql ",
    "table ",
    "database",
    "panicked",
];

fn client() -> &'static Client<HttpConnector, Full<Bytes>> {
    static CLIENT: OnceLock<Client<HttpConnector, Full<Bytes>>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _inside = runtime::runtime().enter();
        Client::builder(TokioExecutor::new()).build_http()
    })
}

/// For those who speak HTTP/2 without asking first.
fn client_of_http2() -> &'static Client<HttpConnector, Full<Bytes>> {
    static CLIENT: OnceLock<Client<HttpConnector, Full<Bytes>>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let _inside = runtime::runtime().enter();
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http2_only(true).build_http()
    })
}

/// A provisioning client.
#[derive(Debug, Clone)]
pub struct Scim {
    base: String,
    token: Option<String>,
}

impl Scim {
    /// A client of the service at this base URL with this bearer.
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            token: Some(token.into()),
        }
    }

    /// The same service without a bearer.
    pub fn anonymous(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            token: None,
        }
    }

    /// The base URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The bearer, empty for none.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// A request with the bearer; `path` is relative to the base URL unless
    /// it is an absolute URL.
    pub fn request(&self, method: &str, path: &str) -> Draft {
        let mut draft = self.bare(method, path);
        if let Some(token) = &self.token {
            draft = draft.header("authorization", &format!("Bearer {token}"));
        }
        draft
    }

    /// A request without any header.
    pub fn bare(&self, method: &str, path: &str) -> Draft {
        let url = if path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        Draft {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    /// GET of a collection with a filter in clear text.
    pub fn find(&self, collection: &str, filter: &str) -> Reply {
        self.get(&format!("{collection}?{}", query(&[("filter", filter)])))
    }

    /// POST.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path).json(body).send()
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.request("PUT", path).json(body).send()
    }

    /// PATCH with these operations.
    pub fn patch(&self, path: &str, operations: &Value) -> Reply {
        self.patching(path, operations).send()
    }

    /// PATCH with these operations, not sent yet.
    pub fn patching(&self, path: &str, operations: &Value) -> Draft {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        self.request("PATCH", path).json(&body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send()
    }

    /// Creates a user with this name; its id.
    #[track_caller]
    pub fn user(&self, user_name: &str) -> String {
        let body = json!({"schemas": [USER], "userName": user_name});
        self.post("/Users", &body).status(201).id()
    }

    /// Creates a group with these members; its id.
    #[track_caller]
    pub fn group(&self, display_name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let body = json!({"schemas": [GROUP], "displayName": display_name, "members": members});
        self.post("/Groups", &body).status(201).id()
    }

    /// Ids of the members of a group, sorted.
    #[track_caller]
    pub fn members(&self, group: &str) -> Vec<String> {
        let body = self.get(&format!("/Groups/{group}")).status(200).json();
        let mut ids: Vec<String> = body["members"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|m| m["value"].as_str().map(str::to_owned))
            .collect();
        ids.sort();
        ids
    }

    /// `userName`s that a filter finds, sorted.
    #[track_caller]
    pub fn found(&self, filter: &str) -> Vec<String> {
        let body = self.find("/Users", filter).status(200).json();
        let mut names: Vec<String> = body["Resources"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|u| u["userName"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    }
}

/// Percent-encodes a query.
pub fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A request that is not sent yet.
#[must_use]
#[derive(Debug)]
pub struct Draft {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Draft {
    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A SCIM body.
    pub fn json(self, body: &Value) -> Self {
        let bytes = body.to_string().into_bytes();
        self.header("content-type", "application/scim+json")
            .body(bytes)
    }

    /// Any body, without a content type.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sends it.
    #[track_caller]
    pub fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.url);
        match runtime::wait(self.exchange(client())) {
            Ok(reply) => reply,
            Err(e) => panic!("{what}: {e}"),
        }
    }

    /// Sends it over HTTP/2.
    #[track_caller]
    pub fn send_http2(self) -> Reply {
        let what = format!("{} {}", self.method, self.url);
        match runtime::wait(self.exchange(client_of_http2())) {
            Ok(reply) => reply,
            Err(e) => panic!("{what}: {e}"),
        }
    }

    /// Sends it to a server that may be gone by then.
    ///
    /// # Errors
    /// In words, when there is no whole answer.
    pub fn attempt(self) -> Result<Reply, String> {
        let exchange = self.exchange(client());
        let answer = runtime::wait(async { tokio::time::timeout(PATIENCE, exchange).await });
        let answer = answer.map_err(|_| format!("none within {PATIENCE:?}"))?;
        answer.map_err(|e| e.to_string())
    }

    async fn exchange(
        self,
        client: &Client<HttpConnector, Full<Bytes>>,
    ) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let what = format!("{} {}", self.method, self.url);
        let mut request = Request::builder()
            .method(Method::from_bytes(self.method.as_bytes())?)
            .uri(self.url.parse::<Uri>()?);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body)))?;
        let response = client.request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Reply {
            what,
            version: head.version,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

/// An answer. Every assertion returns the answer, so that they chain.
#[must_use]
#[derive(Debug, Clone)]
pub struct Reply {
    what: String,
    version: Version,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.what, self.status, self.text())
    }
}

impl Reply {
    /// The status, for those who want to branch on it.
    pub fn code(&self) -> u16 {
        self.status
    }

    /// The version of HTTP that it came in.
    pub fn http_version(&self) -> Version {
        self.version
    }

    /// Asserts the status.
    #[track_caller]
    pub fn status(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "{self}");
        self
    }

    /// Asserts that the status is one of these.
    #[track_caller]
    pub fn status_in(self, expected: &[u16]) -> Self {
        assert!(expected.contains(&self.status), "{expected:?}: {self}");
        self
    }

    /// A header, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers of this name as one list (RFC 9110 section 5.2).
    pub fn list(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        texts.join(", ").to_lowercase()
    }

    /// The body as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, which must be labelled as SCIM.
    #[track_caller]
    pub fn json(&self) -> Value {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/scim+json"),
            "content-type {content_type:?}: {self}"
        );
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(e) => panic!("no JSON ({e}): {self}"),
        }
    }

    /// `id` of the resource.
    #[track_caller]
    pub fn id(&self) -> String {
        let body = self.json();
        let id = body["id"].as_str();
        id.map_or_else(|| panic!("no id: {self}"), str::to_owned)
    }

    /// The entity tag.
    #[track_caller]
    pub fn etag(&self) -> String {
        let tag = self.header("etag");
        tag.map_or_else(|| panic!("no ETag: {self}"), str::to_owned)
    }

    /// Asserts that the server is well and its database is not: 503 with a
    /// time after which to try again.
    #[track_caller]
    pub fn try_again(self) {
        let after = self.header("retry-after").map(str::to_owned);
        assert!(
            after.is_some_and(|after| after.parse::<u32>().is_ok()),
            "no Retry-After: {self}"
        );
        let _ = self.scim_error(503, None);
    }

    /// `totalResults` of a list.
    #[track_caller]
    pub fn total(&self) -> u64 {
        let body = self.json();
        let total = body["totalResults"].as_u64();
        total.unwrap_or_else(|| panic!("no totalResults: {self}"))
    }

    /// Asserts a SCIM error (RFC 7644 section 3.12) with this status and
    /// `scimType`, in words that tell nothing of the store. Returns `detail`.
    #[track_caller]
    pub fn scim_error<'a>(self, status: u16, scim_type: impl Into<Option<&'a str>>) -> String {
        let reply = self.status(status);
        let body = reply.json();
        assert_eq!(body["schemas"], json!([ERROR]), "{reply}");
        assert_eq!(body["status"], json!(status.to_string()), "{reply}");
        assert_eq!(body["scimType"].as_str(), scim_type.into(), "{reply}");
        reply.keeps_the_store_to_itself();
        body["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// Asserts that no word of the database or of a panic is in the body.
    #[track_caller]
    pub fn keeps_the_store_to_itself(&self) {
        let text = self.text().to_lowercase();
        for word in WORDS_OF_THE_STORE {
            assert!(!text.contains(word), "speaks of {word:?}: {self}");
        }
    }
}
