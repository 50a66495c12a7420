//! Access tokens of clients: those of connections, that trade their proof for
//! them, and those of service clients.

use std::time::Duration;

use muster_proto::v1::RateClass;

use super::{Directory, auth::proves, clients::each_once};
use crate::{
    domain::{
        access::Access,
        client::{connection_audience, directory_audience},
        credential::{Proof, Purpose, Secret},
        signing_key::TOKEN_LIFE_MS,
    },
    error::{Error, Result},
    signing::{
        Assertion, Expected, Keys,
        token::{Claims, Confirmation},
    },
    storage::{
        clients::{self, Client},
        credentials::{self, Credential},
        settings, spent,
    },
};

/// How long an access token of a connection lives at most. Entra accepts 1 to 6
/// hours.
const ACCESS_MS: i64 = TOKEN_LIFE_MS;

/// How long a token of a service client lives, in milliseconds.
const SERVICE_MS: i64 = 15 * 60 * 1_000;

/// How far ahead an assertion of a service client may end to count, in
/// milliseconds: an hour, and the leeway.
const ASSERTION_MS: i64 = (60 * 60 + 30) * 1_000;

/// The same for one without an id, that can be used again until then: five
/// minutes, and the leeway.
const REUSABLE_MS: i64 = (5 * 60 + 30) * 1_000;

/// Longest id of an assertion, in bytes.
const JTI_LIMIT: usize = 200;

/// What an OAuth client proves itself with.
#[derive(Clone, Copy)]
pub enum ClientProof<'a> {
    /// Its secret.
    Secret(&'a str),
    /// A JWT of its own issuer.
    Assertion(&'a str),
}

/// What a client gets.
#[derive(Clone)]
pub struct AccessToken {
    /// The bearer.
    pub token: String,
    /// How long it lives.
    pub expires_in: Duration,
    /// What it is good for.
    pub scopes: Vec<String>,
}

impl Directory {
    /// Gives an access token to the client with this id if it proves itself
    /// (RFC 6749 section 4.4).
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with id or proof;
    /// [`Error::IssuerUnavailable`].
    pub async fn issue_token(
        &self,
        client_id: &str,
        proof: ClientProof<'_>,
    ) -> Result<AccessToken> {
        let now = self.source.now_ms();
        let found = match proof {
            ClientProof::Secret(text) => self.behind_client_secret(text).await?,
            ClientProof::Assertion(text) => self.asserted(client_id, text, now).await?,
        };
        let client = found.filter(|client| client.id == client_id && client.is_live(now));
        let client = client.ok_or(Error::CredentialInvalid)?;
        self.count_call(&client.tenant_id, &client.id, RateClass::Token)?;
        let end = now.saturating_add(ACCESS_MS);
        let end = client.expires_at.map_or(end, |expiry| expiry.min(end));
        let audience = connection_audience(&client.tenant_id);
        let claims = self.client_claims(&client.tenant_id, &client.id, audience, end);
        self.signed(claims.await?, client.scopes.to_names()).await
    }

    async fn behind_client_secret(&self, text: &str) -> Result<Option<Credential>> {
        let Some(secret) = Secret::parse(Purpose::Client, text) else {
            return Ok(None);
        };
        let found = credentials::standing_by_key(&self.store.single(), secret.key_id()).await?;
        let proven = proves(&secret, found.as_ref(), Purpose::Client);
        let found = self.alive(found.filter(|_| proven));
        Ok(found.map(|found| found.credential))
    }

    /// The client, if its own issuer vouches for it with this assertion.
    async fn asserted(&self, id: &str, text: &str, now_ms: i64) -> Result<Option<Credential>> {
        let found = credentials::standing(&self.store.single(), id, "").await?;
        let found = found.map(|found| found.credential);
        let Some(client) = found.filter(|client| client.is_live(now_ms)) else {
            return Ok(None);
        };
        let Proof::Federated(federation) = &client.proof else {
            return Ok(None);
        };
        let Some(assertion) = Assertion::read(text) else {
            return Ok(None);
        };
        let keys = self
            .issuers
            .keys(&federation.issuer, assertion.key_id(), now_ms);
        let held = assertion.hold(&*keys.await?, &federation.into(), now_ms);
        Ok(held.map(|_| client))
    }

    /// Gives a service token to the client that signed this assertion (RFC 7523
    /// section 2.2); without scopes, with all that the client has.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`] whatever is wrong with it, and for one that
    /// was used; [`Error::ScopeMissing`].
    pub async fn issue_service_token(
        &self,
        assertion: &str,
        scopes: &[String],
    ) -> Result<AccessToken> {
        // Before the client is looked at: what ends its access from then on ends
        // this.
        let asked_at = self.source.now_ms();
        let client = self.behind_assertion(assertion).await?;
        if let Some(beyond) = scopes.iter().find(|scope| !client.scopes.contains(scope)) {
            return Err(Error::ScopeMissing(beyond.clone()));
        }
        let scopes = match scopes {
            [] => client.scopes,
            some => each_once(some),
        };
        // A client that was let back in just now has to wait for the next second.
        let access = Access {
            tokens_valid_after: client.tokens_valid_after,
            lock: None,
            held_at: None,
        };
        let iat = self.issue_time(asked_at, access.first_second()).await;
        let end = iat.saturating_mul(1_000).saturating_add(SERVICE_MS);
        let audience = directory_audience(&client.tenant_id);
        let claims = self.client_claims(&client.tenant_id, &client.id, audience, end);
        let mut claims = claims.await?;
        claims.iat = iat;
        claims.scope = scopes.join(" ");
        claims.cnf = client.certificate.map(|certificate| Confirmation {
            x5t_s256: Some(certificate),
            jkt: None,
        });
        self.signed(claims, scopes).await
    }

    async fn behind_assertion(&self, text: &str) -> Result<Client> {
        let assertion = Assertion::read(text).ok_or(Error::CredentialInvalid)?;
        let id = assertion.claimed_subject();
        let found = clients::standing(&self.store.single(), id, "").await?;
        let found = found.map(|found| found.client);
        let client = found.filter(|client| client.disabled_at.is_none());
        let client = client.ok_or(Error::CredentialInvalid)?;
        let keys = Keys::parse(client.keys.as_bytes()).map_err(|e| Error::Internal(e.into()))?;
        let expected = Expected {
            issuer: client.id.clone(),
            subject: client.id.clone(),
            audiences: self.own_audiences(&client.tenant_id).await?,
        };
        let now = self.source.now_ms();
        let held = assertion.hold(&keys, &expected, now);
        let held = held.ok_or(Error::CredentialInvalid)?;
        let longest = match held.jti {
            Some(_) => ASSERTION_MS,
            None => REUSABLE_MS,
        };
        if held.ends_at() > now.saturating_add(longest) {
            return Err(Error::CredentialInvalid);
        }
        self.count_call(&client.tenant_id, &client.id, RateClass::Token)?;
        if let Some(jti) = &held.jti {
            self.use_once(&client, jti, held.holds_until()).await?;
        }
        Ok(client)
    }

    /// Whom an assertion of a service client may name as its audience.
    async fn own_audiences(&self, tenant_id: &str) -> Result<Vec<String>> {
        let mut audiences = vec![directory_audience(tenant_id)];
        if let Ok(issuer) = self.issuer().await {
            audiences.push(format!("{issuer}/"));
            audiences.push(issuer);
        }
        let endpoint = settings::load(&self.store.single(), settings::TOKEN_ENDPOINT).await?;
        audiences.extend(endpoint);
        Ok(audiences)
    }

    /// Remembers that an assertion was used, for as long as it holds.
    async fn use_once(&self, client: &Client, jti: &str, until_ms: i64) -> Result<()> {
        if jti.len() > JTI_LIMIT || jti.contains('\0') {
            return Err(Error::CredentialInvalid);
        }
        // Ids of assertions are their clients' own.
        let spent = (client.tenant_id.clone(), format!("{}/{jti}", client.id));
        let fresh = self
            .store
            .write(&client.tenant_id, "UseAssertion", move |tx| {
                let (tenant_id, jti) = spent.clone();
                async move { spent::spend(&tx, &tenant_id, &jti, until_ms).await }
            });
        match fresh.await? {
            true => Ok(()),
            false => Err(Error::CredentialInvalid),
        }
    }

    async fn client_claims(
        &self,
        tenant_id: &str,
        id: &str,
        audience: String,
        ends_ms: i64,
    ) -> Result<Claims> {
        Ok(Claims {
            iss: self.issuer().await?,
            sub: id.to_owned(),
            aud: vec![audience].into(),
            client_id: id.to_owned(),
            iat: self.source.now_ms().div_euclid(1_000),
            exp: ends_ms.div_euclid(1_000),
            jti: self.source.new_id(),
            tid: tenant_id.to_owned(),
            ..Claims::default()
        })
    }

    async fn signed(&self, claims: Claims, scopes: Vec<String>) -> Result<AccessToken> {
        let life = u64::try_from(claims.exp - claims.iat).unwrap_or_default();
        let (token, _) = self.sign(&claims).await?;
        Ok(AccessToken {
            token,
            expires_in: Duration::from_secs(life),
            scopes,
        })
    }
}
