//! Who is behind a bearer token.

use std::sync::{Arc, atomic::AtomicI64};

use super::{
    Directory,
    admission::{Admitted, Term, fingerprint},
};
use crate::{
    auth::{Caller, Pass, Peer, Principal, Profile, Scopes},
    domain::{
        client::{connection_audience, directory_audience},
        credential::{Proof, Purpose, Secret},
    },
    error::{Error, Result},
    signing::{
        Assertion, Expected,
        token::{Claims, is_jwt},
    },
    storage::{
        clients,
        credentials::{self, Standing},
    },
};

/// Longest bearer, in bytes.
const BEARER_LIMIT: usize = 16 * 1024;

/// How long the word of another issuer is taken without another look at its
/// keys, in milliseconds.
const TRUST_MS: i64 = 60_000;

/// Compared with when there is no such credential, so that a guess takes as
/// long as a near miss.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Directory {
    /// The caller who holds this bearer token. `connection_id` is the
    /// connection that the caller believes to be his, when he says so.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with it;
    /// [`Error::NotProven`] without the certificate to which a client is bound;
    /// [`Error::IssuerUnavailable`].
    pub async fn authenticate(
        &self,
        bearer: &str,
        connection_id: Option<&str>,
        peer: &Peer,
    ) -> Result<Caller> {
        if bearer.len() > BEARER_LIMIT {
            return Err(Error::CredentialInvalid);
        }
        let (now, access) = (self.source.now_ms(), self.store.access());
        let known_by = fingerprint(bearer, connection_id);
        let admitted = match self.admissions.get(&known_by, access, now) {
            Some(admitted) => admitted,
            None => {
                let admitted = Arc::new(Box::pin(self.admit(bearer, connection_id)).await?);
                self.admissions.put(known_by, Arc::clone(&admitted), access);
                admitted
            }
        };
        let caller = &admitted.caller;
        if let Principal::Client { certificate, .. } = &caller.principal
            && certificate.is_some()
            && *certificate != peer.certificate
        {
            return Err(Error::NotProven);
        }
        self.notes
            .note(caller, &admitted.noted_at, peer.address, now);
        Ok(caller.clone())
    }

    /// Looks up who a bearer is.
    async fn admit(&self, bearer: &str, connection_id: Option<&str>) -> Result<Admitted> {
        let (caller, term) = if is_jwt(bearer) {
            self.behind_jwt(bearer, connection_id).await?
        } else {
            let (standing, term) = self.behind_secret(bearer).await?;
            (self.connection_caller(standing).await?, term)
        };
        let is_elsewhere = |id| caller.connection() != Some(id);
        if term.has_ended(self.source.now_ms()) || connection_id.is_some_and(is_elsewhere) {
            return Err(Error::CredentialInvalid);
        }
        Ok(Admitted {
            caller,
            term,
            noted_at: AtomicI64::new(0),
        })
    }

    async fn behind_secret(&self, bearer: &str) -> Result<(Standing, Term)> {
        let secret = Secret::parse(Purpose::Bearer, bearer).ok_or(Error::CredentialInvalid)?;
        let found = credentials::standing_by_key(&self.store.express(), secret.key_id()).await?;
        let proven = proves(&secret, found.as_ref(), Purpose::Bearer);
        let found = found.filter(|_| proven);
        let standing = self.alive(found).ok_or(Error::CredentialInvalid)?;
        let term = self.term(&standing);
        Ok((standing, term))
    }

    /// A credential whose holder proved himself, if it has not ended; of one that
    /// has, the log of its connection tells.
    pub(super) fn alive(&self, found: Option<Standing>) -> Option<Standing> {
        let now = self.source.now_ms();
        let standing = found?;
        let is_alive = standing.credential.revoked_at.is_none() && standing.ends_at() > now;
        if !is_alive {
            self.note_dead(&standing.credential);
        }
        is_alive.then_some(standing)
    }

    /// Ours are told from those of other issuers by the key that signed them.
    async fn behind_jwt(&self, bearer: &str, connection: Option<&str>) -> Result<(Caller, Term)> {
        let Some(verified) = self.verify(bearer).await? else {
            let (standing, term) = self.vouched(bearer, connection).await?;
            return Ok((self.connection_caller(standing).await?, term));
        };
        let claims = &verified.claims;
        let audience = claims.aud.only().ok_or(Error::CredentialInvalid)?;
        let (caller, term) = if audience == directory_audience(&claims.tid) {
            self.behind_service_token(claims).await?
        } else if audience == connection_audience(&claims.tid) {
            self.behind_access_token(claims).await?
        } else {
            // A user's token opens nothing here.
            return Err(Error::CredentialInvalid);
        };
        let ends_at = claims.exp.saturating_mul(1_000);
        Ok((caller, term.until(ends_at).under(verified.keys_version)))
    }

    async fn behind_service_token(&self, claims: &Claims) -> Result<(Caller, Term)> {
        let tx = self.store.express();
        let found = clients::standing(&tx, &claims.sub, &claims.jti).await?;
        let found = found.filter(|found| {
            let client = &found.client;
            let died = client.tokens_valid_after;
            let is_alive = died.is_none_or(|died| claims.iat > died.div_euclid(1_000));
            client.tenant_id == claims.tid && client.disabled_at.is_none() && is_alive
        });
        let standing = found.ok_or(Error::CredentialInvalid)?;
        let (client, version) = (standing.client, standing.schema_version);
        let term = Term::new(
            self.store.access(),
            &client.tenant_id,
            standing.access_version,
        );
        // What the client lost since is lost.
        let scopes = claims.scope.split_whitespace().map(ToOwned::to_owned);
        let scopes: Vec<_> = scopes.filter(|name| client.scopes.contains(name)).collect();
        let registry = self.registries.get(&self.store, &client.tenant_id, version);
        let caller = Caller {
            scopes: Scopes::Named(scopes.into()),
            request_id: String::new(),
            once: None,
            profile: Profile {
                schema_version: version,
                registry: registry.await?,
                ..Profile::plain()
            },
            tenant_id: client.tenant_id,
            principal: Principal::Client {
                id: client.id,
                grantable: Arc::new(client.grantable),
                certificate: client.certificate,
            },
        };
        Ok((caller, term))
    }

    async fn behind_access_token(&self, claims: &Claims) -> Result<(Caller, Term)> {
        let tx = self.store.express();
        let found = credentials::standing(&tx, &claims.sub, &claims.jti).await?;
        let found = found.filter(|found| {
            let credential = &found.credential;
            credential.proof.is_oauth() && credential.tenant_id == claims.tid
        });
        let standing = self.alive(found).ok_or(Error::CredentialInvalid)?;
        let term = self.term(&standing);
        Ok((self.connection_caller(standing).await?, term))
    }

    /// The credential for which another issuer vouches with this token. Where it
    /// vouches for several connections, the call must say which is meant.
    async fn vouched(&self, bearer: &str, connection: Option<&str>) -> Result<(Standing, Term)> {
        let assertion = Assertion::read(bearer).ok_or(Error::CredentialInvalid)?;
        let (issuer, subject) = (assertion.claimed_issuer(), assertion.claimed_subject());
        let (tx, total) = (self.store.express(), self.store.access().total());
        let found = credentials::standing_by_issuer(&tx, issuer, subject, connection);
        let (mut found, now) = (found.await?, self.source.now_ms());
        found.retain(|found| found.credential.is_live(now));
        if found.is_empty() {
            return Err(Error::CredentialInvalid);
        }
        let keys = self.issuers.keys(issuer, assertion.key_id(), now).await?;
        let holds = |found: &Standing| {
            let Proof::Federated(federation) = &found.credential.proof else {
                return None;
            };
            assertion.hold(&keys, &Expected::from(federation), now)
        };
        let mut held = found
            .into_iter()
            .filter_map(|one| Some((holds(&one)?, one)));
        let (said, standing) = held.next().ok_or(Error::CredentialInvalid)?;
        let owner = standing.credential.owner();
        if held.any(|(_, other)| other.credential.owner() != owner) {
            return Err(Error::CredentialInvalid);
        }
        let ends_at = said.holds_until().min(now + TRUST_MS);
        let term = self.term(&standing).until(ends_at);
        // That it is the only one is a matter of all tenants.
        let term = match connection {
            Some(_) => term,
            None => term.among(total),
        };
        Ok((standing, term))
    }

    fn term(&self, standing: &Standing) -> Term {
        let (access, tenant_id) = (self.store.access(), &standing.credential.tenant_id);
        Term::new(access, tenant_id, standing.access_version).until(standing.ends_at())
    }

    async fn connection_caller(&self, standing: Standing) -> Result<Caller> {
        let credential = standing.credential;
        let (tenant_id, version) = (credential.tenant_id, standing.schema_version);
        let registry = self
            .registries
            .get(&self.store, &tenant_id, version)
            .await?;
        let connection_id = credential.connection_id.ok_or(Error::CredentialInvalid)?;
        Ok(Caller {
            tenant_id,
            principal: Principal::Connection {
                connection_id,
                credential_id: credential.id,
            },
            scopes: credential.scopes,
            request_id: String::new(),
            once: None,
            profile: Profile {
                flavor: standing.flavor,
                policy: standing.policy,
                connection_changed: standing.connection_changed,
                schema_version: version,
                registry,
                user_id: credential.user_id,
                is_named: false,
            },
        })
    }

    /// Whether whoever was let in with this would be let in now. Asks the database
    /// only when something changed.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub async fn still_trusts(&self, pass: &Pass) -> Result<()> {
        let (bearer, connection_id, peer) = pass.parts();
        self.authenticate(bearer, connection_id, peer)
            .await
            .map(drop)
    }
}

/// Whether the secret is that of the credential, and meant for this purpose.
pub(super) fn proves(secret: &Secret, found: Option<&Standing>, purpose: Purpose) -> bool {
    let kept = found.and_then(|found| found.secret.as_ref());
    let hash = kept.map_or(NO_HASH, |secret| &secret.kept.hash);
    let meant = found.is_some_and(|found| found.credential.proof == Proof::Secret(purpose));
    secret.matches(hash) && kept.is_some() && meant
}
