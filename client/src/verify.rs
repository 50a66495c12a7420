//! Users' tokens, verified in this process.
//!
//! A token is looked at by its signature, under a key that the directory publishes, and
//! by what it claims; then the [`cache`](crate::cache) says whether its user may still
//! act and was not signed out since. Without a cache that may be believed, nobody gets in,
//! or the directory is asked: as is set.
//!
//! What ends a token that has not come to its end by itself:
//!
//! * Its user loses his access, or is signed out everywhere: it is refused as soon as the
//!   cache has heard of it, which takes moments.
//! * Its key was revoked: it is refused within half a minute, as the keys are looked at
//!   again twice a minute. While they cannot be fetched they count until the end of the
//!   time for which the directory told them (5 minutes), and a minute more.
//! * It was revoked by itself (`RevokeToken`): **nothing here knows of it**, it goes on to
//!   its end. Only the directory can tell: who needs that asks it
//!   ([`Client::introspect`]), or has tokens live shortly.

mod keys;

use std::{fmt, sync::Arc};

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use muster_proto::v1::IntrospectTokenResponse;
use serde::Deserialize;
use uuid::Uuid;

use self::keys::Ring;
use crate::{
    cache::{Access, Cache},
    client::Client,
    error::{Error, Result, TokenFault},
};

/// What clocks may differ, in seconds.
const LEEWAY_S: i64 = 5;

/// Longest token, in bytes.
const LENGTH_LIMIT: usize = 16 * 1024;

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
    keys: Ring,
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
            keys: Ring::new(self.client.clone()),
            client: self.client,
            cache: self.cache,
            audience: self.audience,
            tenant: self.tenant,
            issuer: self.issuer,
            scopes: self.scopes,
            checks_cnf: self.checks_cnf,
            unsure: self.unsure,
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
        let keys = self.0.keys.for_kid(&kid).await?;
        let key = keys.get(&kid);
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
}

fn refused(fault: TokenFault) -> Error {
    Error::TokenRefused(fault)
}
