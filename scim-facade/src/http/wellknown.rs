//! `/.well-known`: what verifiers and clients of tokens look up (RFC 8615). All
//! of it is public, so no credential is needed, and none is looked at.
//!
//! There is no `openid-configuration`: muster signs tokens for others, but nobody
//! signs in to it, and whoever finds that document expects ID tokens.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
        request::Parts,
    },
    response::Response,
};
use sha2::{Digest as _, Sha256};

use super::{
    App, TOKEN_PATH,
    observe::occasion,
    origin::origin,
    precondition::{Conditions, Verdict},
    reply,
};
use crate::{
    client::Refusal,
    oauth::metadata::metadata,
    scim::error::ScimError,
    translate::keys::{self, KeySet},
};

/// Where the public keys are: RFC 7517.
pub(super) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Where the token endpoint is described: RFC 8414 section 3.
pub(super) const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Not `application/jwk-set+json`, which RFC 7517 section 8.5 registers and does
/// not demand: some clients refuse it (jwks-rsa-java and KrakenD did), and all
/// take this one, which most issuers send.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes of a hash that are in a tag.
const HASH_BYTES: usize = 16;

/// Answers the public keys.
pub(super) async fn jwks(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match key_set(&app, &parts).await {
        Ok(keys) => answer(
            &parts,
            Document {
                // The bytes may be compressed on their way.
                tag: format!("W/{}", keys.tag),
                body: keys.json,
                is_shared: true,
                max_age_s: keys.max_age_s,
            },
        ),
        Err(error) => reply::error(&error),
    }
}

/// Answers where tokens are given, and how.
pub(super) async fn describe(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let keys = match key_set(&app, &parts).await {
        Ok(keys) => keys,
        Err(error) => return reply::error(&error),
    };
    let origin = origin(&parts, &app.config);
    let url = |path: &str| format!("{origin}{path}");
    let body = metadata(&keys.issuer, &url(TOKEN_PATH), &url(JWKS_PATH));
    let body = body.to_string().into_bytes();
    answer(
        &parts,
        Document {
            tag: tag(&body),
            body,
            // Otherwise it repeats what the request says of its host, and who
            // made a shared cache take that would have others ask there.
            is_shared: app.config.public_url.is_some(),
            max_age_s: keys.max_age_s,
        },
    )
}

async fn key_set(app: &App, parts: &Parts) -> Result<KeySet, ScimError> {
    let occasion = occasion(parts, &app.config);
    match app.directory.jwks(&occasion).await {
        Ok(answer) => Ok(keys::raise(answer)),
        Err(Refusal::Told(error)) => Err(error),
        // The call names no profile.
        Err(Refusal::Stale) => Err(ScimError::unavailable()),
    }
}

/// What may be kept.
struct Document {
    body: Vec<u8>,
    tag: String,
    /// By caches that answer others, too.
    is_shared: bool,
    max_age_s: u64,
}

fn answer(parts: &Parts, document: Document) -> Response {
    let response = match Conditions::of(&parts.headers).of_read(&document.tag) {
        Verdict::Send => {
            let mut response = Response::new(Body::from(document.body));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Verdict::NotModified => reply::empty(StatusCode::NOT_MODIFIED),
        Verdict::Failed => {
            let detail = "The document is not the one that If-Match names.";
            return reply::error(&ScimError::new(412, detail));
        }
    };
    let scope = if document.is_shared {
        "public"
    } else {
        "private"
    };
    let control = format!("{scope}, max-age={}", document.max_age_s);
    let response = reply::with(response, CACHE_CONTROL, &control);
    reply::with(response, ETAG, &document.tag)
}

fn tag(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let hex = hash.iter().take(HASH_BYTES).map(|b| format!("{b:02x}"));
    format!("W/\"{}\"", hex.collect::<String>())
}
