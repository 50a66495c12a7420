//! What is to be said of a token (RFC 7662): whether it may be used now, and
//! nothing else unless it may.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use moka::sync::Cache;

use super::{
    Directory,
    admission::{Fingerprint, Term, fingerprint},
    auth::proves,
};
use crate::{
    auth::{Caller, Principal},
    domain::{
        client::{connection_audience, directory_audience},
        credential::{Purpose, Secret},
    },
    error::Result,
    signing::token::{Claims, Confirmation, is_jwt},
    storage::{
        clients,
        credentials::{self, Standing},
        subjects::{self, UserKey},
    },
};

/// How long an answer may be kept, in seconds.
const TTL_S: u64 = 30;

/// The same for a token that may not be used: it will never be again.
const INACTIVE_TTL_S: u64 = 10;

/// Most tokens that are remembered; the least used are forgotten.
const TOKENS: u64 = 100_000;

/// Longest token that is looked at, in bytes.
const TOKEN_LIMIT: usize = 16 * 1024;

/// What kind of token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Signed, of a user.
    UserAccess,
    /// Opaque, of a user.
    PersonalAccess,
    /// Of a connection.
    Connection,
    /// Signed, of a service client.
    Service,
}

/// A token that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveToken {
    /// What kind it is.
    pub kind: TokenKind,
    /// Whose tenant.
    pub tenant_id: String,
    /// Whose it is.
    pub subject: String,
    /// His `userName`; empty for a client.
    pub username: String,
    /// Who asked for it.
    pub client_id: String,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// Who issued it; empty for one that is not signed.
    pub issuer: String,
    /// Its id.
    pub jti: String,
    /// Milliseconds since the Unix epoch.
    pub issued_at: i64,
    /// Milliseconds since the Unix epoch; `None`: never.
    pub expires_at: Option<i64>,
    /// What its holder must prove to have.
    pub confirmation: Confirmation,
}

/// What is asked of a token.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The token.
    pub token: &'a str,
    /// For whom it must be meant; empty: one of those registered for the caller.
    pub audience: &'a str,
    /// What it must be good for.
    pub scopes: &'a [String],
}

/// What is said of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// `None` when it may not be used.
    pub active: Option<Arc<ActiveToken>>,
    /// How long the answer may be kept.
    pub cache_ttl: Duration,
}

/// A token of which something good was said.
#[derive(Debug)]
struct Remembered {
    token: Arc<ActiveToken>,
    term: Term,
    /// When its use was last noted; milliseconds since the Unix epoch.
    noted_at: AtomicI64,
}

/// Tokens of which something good was said.
#[derive(Debug)]
pub(super) struct Introspected(Cache<Fingerprint, Arc<Remembered>>);

impl Default for Introspected {
    fn default() -> Self {
        Self(Cache::new(TOKENS))
    }
}

impl Introspected {
    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}

impl Directory {
    /// Says whether a token may be used now, and what it says.
    ///
    /// # Errors
    /// Never for the token; the database's.
    pub async fn introspect(&self, caller: &Caller, asked: Question<'_>) -> Result<Introspection> {
        let now = self.source.now_ms();
        let found = self.active_token(caller, asked.token, now).await?;
        let active = found.filter(|token| is_meant(caller, token, &asked));
        let life = active.as_ref().map_or(i64::MAX, |token| {
            token
                .expires_at
                .map_or(i64::MAX, |at| at.saturating_sub(now))
        });
        let ttl = if active.is_some() {
            TTL_S
        } else {
            INACTIVE_TTL_S
        };
        let life = Duration::from_millis(u64::try_from(life).unwrap_or_default());
        Ok(Introspection {
            active,
            cache_ttl: Duration::from_secs(ttl).min(life),
        })
    }

    /// The token, if it may be used in the caller's tenant.
    async fn active_token(
        &self,
        caller: &Caller,
        text: &str,
        now: i64,
    ) -> Result<Option<Arc<ActiveToken>>> {
        if text.len() > TOKEN_LIMIT {
            return Ok(None);
        }
        let (known_by, access) = (fingerprint(text, None), self.store.access());
        let known = self.introspected.0.get(&known_by);
        let found = match known.filter(|known| known.term.holds(access, now)) {
            Some(known) => known,
            None => {
                let Some((token, term)) = self.look_at(text).await? else {
                    return Ok(None);
                };
                let found = Arc::new(Remembered {
                    token: Arc::new(token),
                    term,
                    noted_at: AtomicI64::new(0),
                });
                if access.is_fresh() {
                    self.introspected.0.insert(known_by, Arc::clone(&found));
                }
                found
            }
        };
        let token = Arc::clone(&found.token);
        if found.term.has_ended(now) || token.tenant_id != caller.tenant_id {
            return Ok(None);
        }
        if token.kind == TokenKind::PersonalAccess {
            let (tenant_id, id) = (&token.tenant_id, &token.jti);
            self.notes.note_token(tenant_id, id, &found.noted_at, now);
        }
        Ok(Some(token))
    }

    async fn look_at(&self, text: &str) -> Result<Option<(ActiveToken, Term)>> {
        if is_jwt(text) {
            let Some(verified) = self.verify(text).await? else {
                return Ok(None);
            };
            let ends_at = verified.claims.exp.saturating_mul(1_000);
            let found = self.behind_claims(verified.claims).await?;
            let until = |term: Term| term.until(ends_at).under(verified.keys_version);
            return Ok(found.map(|(token, term)| (token, until(term))));
        }
        for purpose in [Purpose::Personal, Purpose::Bearer] {
            if let Some(secret) = Secret::parse(purpose, text) {
                return self.behind_stored(&secret, purpose).await;
            }
        }
        Ok(None)
    }

    async fn behind_stored(
        &self,
        secret: &Secret,
        purpose: Purpose,
    ) -> Result<Option<(ActiveToken, Term)>> {
        let tx = self.store.express();
        let found = credentials::standing_by_key(&tx, secret.key_id()).await?;
        let proven = proves(secret, found.as_ref(), purpose);
        let found = found.filter(|found| proven && found.credential.revoked_at.is_none());
        let Some(standing) = found else {
            return Ok(None);
        };
        let access = self.store.access();
        let tenant_id = &standing.credential.tenant_id;
        let term = Term::new(access, tenant_id, standing.access_version).until(standing.ends_at());
        let mut token = stored(&standing, purpose);
        if let Some(user_id) = &standing.credential.user_id {
            let key = UserKey::Id(user_id.clone());
            let user = subjects::find(&tx, tenant_id, &key, "").await?;
            token.username = user.map(|user| user.user_name).unwrap_or_default();
        }
        Ok(Some((token, term)))
    }

    async fn behind_claims(&self, claims: Claims) -> Result<Option<(ActiveToken, Term)>> {
        let (tx, access) = (self.store.express(), self.store.access());
        let only = claims.aud.only().unwrap_or_default();
        if only == directory_audience(&claims.tid) {
            let found = clients::standing(&tx, &claims.sub, &claims.jti).await?;
            let found = found.filter(|found| {
                let died = found.client.tokens_valid_after;
                let alive = died.is_none_or(|died| claims.iat > died.div_euclid(1_000));
                alive && found.client.disabled_at.is_none() && found.client.tenant_id == claims.tid
            });
            let term = found.map(|found| Term::new(access, &claims.tid, found.access_version));
            return Ok(term.map(|term| (signed(claims, TokenKind::Service), term)));
        }
        if only == connection_audience(&claims.tid) {
            let found = credentials::standing(&tx, &claims.sub, &claims.jti).await?;
            let found = found.filter(|found| {
                let credential = &found.credential;
                credential.revoked_at.is_none() && credential.tenant_id == claims.tid
            });
            return Ok(found.map(|found| {
                let term = Term::new(access, &claims.tid, found.access_version);
                let mut token = signed(claims, TokenKind::Connection);
                token.scopes = found.credential.scopes.to_names();
                (token, term.until(found.ends_at()))
            }));
        }
        let key = UserKey::Id(claims.sub.clone());
        let found = subjects::find(&tx, &claims.tid, &key, &claims.jti).await?;
        let found = found
            .filter(|found| found.may_act && !found.is_spent && found.access.admits(claims.iat));
        Ok(found.map(|found| {
            let term = Term::new(access, &claims.tid, found.access_version);
            let mut token = signed(claims, TokenKind::UserAccess);
            token.username = found.user_name;
            (token, term)
        }))
    }

    /// The token behind a text, if it may be used in this tenant: for whoever wants
    /// to end it.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn token_of(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Option<Arc<ActiveToken>>> {
        self.active_token(caller, text, self.source.now_ms()).await
    }
}

/// What a stored token says.
fn stored(standing: &Standing, purpose: Purpose) -> ActiveToken {
    let credential = &standing.credential;
    let kind = match purpose {
        Purpose::Personal => TokenKind::PersonalAccess,
        Purpose::Bearer | Purpose::Client => TokenKind::Connection,
    };
    let audiences = match kind {
        TokenKind::PersonalAccess => credential.audiences.clone(),
        _ => vec![connection_audience(&credential.tenant_id)],
    };
    let subject = credential.user_id.as_ref().unwrap_or(&credential.id);
    ActiveToken {
        kind,
        tenant_id: credential.tenant_id.clone(),
        subject: subject.clone(),
        username: String::new(),
        client_id: match kind {
            TokenKind::PersonalAccess => String::new(),
            _ => credential.id.clone(),
        },
        scopes: credential.scopes.to_names(),
        audiences,
        issuer: String::new(),
        jti: credential.id.clone(),
        issued_at: credential.created_at,
        expires_at: Some(standing.ends_at()).filter(|at| *at < i64::MAX),
        confirmation: Confirmation::default(),
    }
}

/// What a signed token says.
fn signed(claims: Claims, kind: TokenKind) -> ActiveToken {
    ActiveToken {
        kind,
        scopes: claims.scope.split_whitespace().map(Into::into).collect(),
        audiences: claims.aud.all().to_vec(),
        tenant_id: claims.tid,
        subject: claims.sub,
        username: String::new(),
        client_id: claims.client_id,
        issuer: claims.iss,
        jti: claims.jti,
        issued_at: claims.iat.saturating_mul(1_000),
        expires_at: Some(claims.exp.saturating_mul(1_000)),
        confirmation: claims.cnf.unwrap_or_default(),
    }
}

/// Whether a token is meant for who asks, and good for what he asks for.
fn is_meant(caller: &Caller, token: &ActiveToken, asked: &Question<'_>) -> bool {
    let has = |audience: &String| token.audiences.contains(audience);
    let for_whom = match (asked.audience, &caller.principal) {
        ("", Principal::Client { grantable, .. }) => grantable.audiences.iter().any(has),
        ("", _) => false,
        (audience, _) => token.audiences.iter().any(|one| one == audience),
    };
    for_whom
        && asked
            .scopes
            .iter()
            .all(|scope| token.scopes.contains(scope))
}
