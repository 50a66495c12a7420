//! Users' tokens, verified in this process.
//!
//! A token is looked at by its signature, under a key that the directory publishes, and
//! by what it claims; then the [`cache`](crate::cache) says whether its user may still
//! act and was not signed out since. So a user who loses his access loses it here within
//! moments, though his token lives on. Without a cache that may be believed, nobody gets
//! in, or the directory is asked: as is set.
//!
//! A token that was revoked by itself (`RevokeToken`) is known to the directory alone:
//! who needs that asks it.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use muster_proto::v1::{GetJwksRequest, IntrospectTokenResponse};
use serde::Deserialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    cache::{Access, Cache},
    client::Client,
    error::{Error, Result, TokenFault},
};

/// What clocks may differ, in seconds.
const LEEWAY_S: i64 = 5;

/// Longest token, in bytes.
const LENGTH_LIMIT: usize = 16 * 1024;

/// An unknown key is looked for at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// For how long keys go on to count while no new ones can be got.
const GRACE: Duration = Duration::from_secs(60);

/// What a token says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// For whom it is meant.
    pub aud: Audience,
    /// The application that has it.
    pub client_id: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in the same way.
    pub exp: i64,
    /// When it begins.
    #[serde(default)]
    pub nbf: Option<i64>,
    /// Its id.
    pub jti: String,
    /// The tenant.
    pub tid: String,
    /// What it is good for, separated by spaces.
    #[serde(default)]
    pub scope: String,
    /// The session to which it belongs.
    #[serde(default)]
    pub sid: Option<String>,
    /// When the user proved himself.
    #[serde(default)]
    pub auth_time: Option<i64>,
    /// How well.
    #[serde(default)]
    pub acr: Option<String>,
    /// By what.
    #[serde(default)]
    pub amr: Vec<String>,
    /// Ids of groups, if they were asked for.
    #[serde(default)]
    pub groups: Option<Vec<String>>,
    /// What its holder must prove to have: a token with it is no bearer token, and is
    /// refused unless the caller says that he checks it ([`Builder::checks_cnf`]).
    #[serde(default)]
    pub cnf: Option<Confirmation>,
}

impl Claims {
    /// Whether it has this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|one| one == scope)
    }
}

/// One audience, or several (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audience {
    /// Whether this one is among them.
    pub fn has(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(all) => all.iter().any(|one| one == audience),
        }
    }
}

/// What the holder of a token must prove to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Confirmation {
    /// A key (RFC 9449 section 6.1).
    #[serde(default)]
    pub jkt: Option<String>,
    /// A certificate (RFC 8705 section 3.1).
    #[serde(rename = "x5t#S256", default)]
    pub x5t_s256: Option<String>,
}

/// What is done while there is no cache that may be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsure {
    /// No token is let in.
    #[default]
    FailClosed,
    /// The directory is asked (`IntrospectToken`).
    Introspect,
}

/// Verifies tokens for one audience.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    client: Client,
    cache: Option<Cache>,
    audience: String,
    tenant: String,
    issuer: Option<String>,
    scopes: Vec<String>,
    checks_cnf: bool,
    unsure: Unsure,
    keys: ArcSwapOption<Keys>,
    fetching: Mutex<()>,
}

/// How a verifier is to be.
#[derive(Clone)]
pub struct Builder {
    client: Client,
    cache: Option<Cache>,
    audience: String,
    tenant: String,
    issuer: Option<String>,
    scopes: Vec<String>,
    checks_cnf: bool,
    unsure: Unsure,
}

/// The directory's keys, as it told them.
#[derive(Debug)]
struct Keys {
    issuer: String,
    etag: String,
    by_kid: HashMap<String, Key>,
    /// By the client's clock.
    fetched_at: Duration,
    max_age: Duration,
}

#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.algorithm)
    }
}

impl fmt::Debug for Verifier {
    /// Without what the cache holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("audience", &self.0.audience)
            .field("tenant", &self.0.tenant)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    /// Without what the cache holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("audience", &self.audience)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Who says whether users may still act.
    #[must_use]
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// What is done while there is no cache that may be believed.
    #[must_use]
    pub fn unsure(mut self, unsure: Unsure) -> Self {
        self.unsure = unsure;
        self
    }

    /// Whose tokens they are to be. Without: of whom the directory says that its keys
    /// are his, over its own connection.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// A scope that each token must have.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// The caller proves [`Claims::cnf`] himself, in each request: a signature of that key
    /// (DPoP, RFC 9449), or that certificate under the connection (RFC 8705). Without this,
    /// a token that demands such a proof is refused, so that whoever stole it cannot use it
    /// where nobody asks for the proof.
    #[must_use]
    pub fn checks_cnf(mut self) -> Self {
        self.checks_cnf = true;
        self
    }

    /// The verifier.
    ///
    /// # Errors
    /// [`Error::Settings`] without an audience or a tenant: a check that is left out is
    /// none.
    pub fn build(self) -> Result<Verifier> {
        if self.audience.is_empty() || self.tenant.is_empty() {
            let what = "a verifier needs an audience and a tenant";
            return Err(Error::Settings(what.to_owned()));
        }
        Ok(Verifier(Arc::new(Inner {
            client: self.client,
            cache: self.cache,
            audience: self.audience,
            tenant: self.tenant,
            issuer: self.issuer,
            scopes: self.scopes,
            checks_cnf: self.checks_cnf,
            unsure: self.unsure,
            keys: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
        })))
    }
}

impl Verifier {
    /// A verifier of tokens that are meant for `audience`, of users of the tenant with
    /// this id.
    pub fn builder(
        client: &Client,
        audience: impl Into<String>,
        tenant_id: impl Into<String>,
    ) -> Builder {
        Builder {
            client: client.clone(),
            cache: None,
            audience: audience.into(),
            tenant: tenant_id.into(),
            issuer: None,
            scopes: Vec::new(),
            checks_cnf: false,
            unsure: Unsure::default(),
        }
    }

    /// What a token says, if it is to be believed and its user may act.
    ///
    /// # Errors
    /// [`Error::TokenRefused`] for one that is not; [`Error::Stale`] and
    /// [`Error::NotReady`] when nobody can tell whether its user may act; what the
    /// directory answers where it has to be asked.
    pub async fn verify(&self, token: &str) -> Result<Claims> {
        let claims = self.read(token).await?;
        match self.access(&claims) {
            Ok(access) if !access.effective_active => Err(refused(TokenFault::Inactive)),
            Ok(access) if !access.admits(claims.iat) => Err(refused(TokenFault::Ended)),
            Ok(_) => Ok(claims),
            Err(Error::UserNotFound) => Err(refused(TokenFault::Inactive)),
            Err(Error::Stale { .. } | Error::NotReady) if self.0.unsure == Unsure::Introspect => {
                self.introspect(token, claims).await
            }
            Err(error) => Err(error),
        }
    }

    fn access(&self, claims: &Claims) -> Result<Access> {
        let user = Uuid::try_parse(&claims.sub).map_err(|_| Error::UserNotFound)?;
        let cache = self.0.cache.as_ref().ok_or(Error::NotReady)?;
        cache.local().status(user)
    }

    async fn introspect(&self, token: &str, claims: Claims) -> Result<Claims> {
        let answer = self.0.client.introspect(token, &self.0.audience).await?;
        match answer {
            IntrospectTokenResponse {
                active: true, sub, ..
            } if sub == claims.sub => Ok(claims),
            _ => Err(refused(TokenFault::Inactive)),
        }
    }

    /// What a token says, if its signature and its claims are right. Whether its user may
    /// act is not asked.
    async fn read(&self, token: &str) -> Result<Claims> {
        let malformed = || refused(TokenFault::Malformed);
        if token.len() > LENGTH_LIMIT {
            return Err(malformed());
        }
        let header = decode_header(token).map_err(|_| malformed())?;
        let typ = header.typ.as_deref().unwrap_or_default();
        let is_ours = ["at+jwt", "application/at+jwt"]
            .iter()
            .any(|one| typ.eq_ignore_ascii_case(one));
        let kid = header.kid.filter(|_| is_ours && header.crit.is_none());
        let kid = kid.ok_or_else(malformed)?;
        let keys = self.keys(&kid).await?;
        let key = keys.by_kid.get(&kid);
        let key = key.ok_or_else(|| refused(TokenFault::UnknownKey))?;
        // The key decides the algorithm; the header is compared with it.
        let mut validation = Validation::new(key.algorithm);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        // Each is checked below, with a reason of its own.
        validation.validate_aud = false;
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = decode::<Claims>(token, &key.key, &validation);
        let claims = claims.map_err(|e| match e.kind() {
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => {
                refused(TokenFault::Signature)
            }
            _ => malformed(),
        })?;
        self.check(&claims.claims, &keys.issuer)?;
        Ok(claims.claims)
    }

    fn check(&self, claims: &Claims, published: &str) -> Result<()> {
        let now = self.0.client.clock().unix().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let issuer = self.0.issuer.as_deref().unwrap_or(published);
        let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        let fault = if issuer.is_empty() || claims.iss != issuer {
            TokenFault::Issuer
        } else if !claims.aud.has(&self.0.audience) {
            TokenFault::Audience
        } else if claims.tid != self.0.tenant {
            TokenFault::Tenant
        } else if claims.exp.saturating_add(LEEWAY_S) <= now {
            TokenFault::Expired
        } else if begins.saturating_sub(LEEWAY_S) > now {
            TokenFault::Early
        } else if !self.0.scopes.iter().all(|scope| claims.has_scope(scope)) {
            TokenFault::Scope
        } else if claims.cnf.is_some() && !self.0.checks_cnf {
            TokenFault::Bound
        } else {
            return Ok(());
        };
        Err(refused(fault))
    }

    /// Keys that are not too old, and if they lack this one, newer ones; those are asked
    /// for at most every few seconds, so that nobody makes us ask by inventing names.
    async fn keys(&self, kid: &str) -> Result<Arc<Keys>> {
        let wanted = |keys: &Arc<Keys>, now: Duration| {
            let age = now.saturating_sub(keys.fetched_at);
            let known = keys.by_kid.contains_key(kid);
            age < keys.max_age && (known || age < LOOK_AGAIN)
        };
        let clock = self.0.client.clock();
        if let Some(keys) = self.0.keys.load_full()
            && wanted(&keys, clock.elapsed())
        {
            return Ok(keys);
        }
        let _turn = self.0.fetching.lock().await;
        let held = self.0.keys.load_full();
        if let Some(keys) = held.as_ref().filter(|keys| wanted(keys, clock.elapsed())) {
            return Ok(Arc::clone(keys));
        }
        match (self.fetch(held.as_deref()).await, held) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                self.0.keys.store(Some(Arc::clone(&keys)));
                Ok(keys)
            }
            // Their time is over, and yet they are better than nobody getting in.
            (Err(error), Some(held)) if error.is_retryable() => {
                let age = clock.elapsed().saturating_sub(held.fetched_at);
                match age < held.max_age + GRACE {
                    true => Ok(held),
                    false => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn fetch(&self, held: Option<&Keys>) -> Result<Keys> {
        let request = GetJwksRequest {
            if_none_match: held.map(|keys| keys.etag.clone()).unwrap_or_default(),
        };
        let fetched_at = self.0.client.clock().elapsed();
        let answer = self.0.client.signing_keys().get_jwks(request).await?;
        let answer = answer.into_inner();
        let by_kid = match held.filter(|_| answer.not_modified) {
            Some(held) => held.by_kid.clone(),
            None => read_keys(&answer.jwks_json)?,
        };
        let max_age = answer.max_age.unwrap_or_default();
        Ok(Keys {
            issuer: answer.issuer,
            etag: answer.etag,
            by_kid,
            fetched_at,
            max_age: Duration::try_from(max_age).unwrap_or_default(),
        })
    }
}

fn refused(fault: TokenFault) -> Error {
    Error::TokenRefused(fault)
}

/// The keys in a set, each with the one algorithm that it signs by. Others than muster
/// makes are left out.
fn read_keys(set: &[u8]) -> Result<HashMap<String, Key>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(set)
        .map_err(|_| Error::Settings("the directory's keys are no JWK set".to_owned()))?;
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some((jwk.common.key_id?, Key { algorithm, key }))
    });
    Ok(keys.collect())
}
