//! Stored tokens: made, listed, rotated, revoked. Credentials of connections,
//! and personal access tokens of users.

use std::{sync::Arc, time::Duration};

use muster_proto::schema::Registry;

use super::replays::Write;
use super::{
    Directory,
    admin::{checked_name, checked_scopes, not_found},
    ledger::Deed,
    stored_tokens::IssuedCredential,
};
use crate::{
    auth::{Caller, Grant, Principal, Scopes},
    domain::{
        Kind,
        access::checked_reason,
        client::{checked_audiences, checked_scope_names},
        credential::{Federation, KeptSecret, Proof, Purpose, RANDOM_BYTES, Secret, Wanted},
        history::{ChangeKind, Position, ResourceType},
        resource::ResourceKind,
    },
    error::{Error, Result, Violation},
    issuers::key_url,
    storage::{
        Scope, Tx,
        credentials::{self, Credential},
        history, resources,
        tenants::{self, Connection},
    },
};

/// Longest subject or audience of a federated client, in bytes.
const CLAIM_LIMIT: usize = 500;

/// How long former secrets go on to work at most.
const OVERLAP_LIMIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a personal access token lives at most, in milliseconds.
const PERSONAL_MS: i64 = 366 * 24 * 60 * 60 * 1_000;

/// Most audiences of one token.
pub(super) const AUDIENCES: usize = 10;

/// When a new credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// When its connection says so.
    Policy,
    /// Never.
    Never,
    /// At this time, in milliseconds since the Unix epoch.
    At(i64),
}

/// A personal access token that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalToken {
    /// Whose.
    pub user_id: String,
    /// What people call it.
    pub name: String,
    /// What it is good for, where its audiences say.
    pub scopes: Vec<String>,
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// When it ends; milliseconds since the Unix epoch.
    pub expires_at: i64,
}

impl Directory {
    /// Issues a credential of a connection.
    ///
    /// # Errors
    /// [`Error::Invalid`], and [`Error::NotFound`] for a user who does not exist.
    pub async fn create_credential(
        &self,
        caller: &Caller,
        connection: &Connection,
        wanted: Wanted,
        name: &str,
        expiry: Expiry,
        grant: Grant,
    ) -> Result<(IssuedCredential, Position)> {
        if let Some(made) = self.made_before(caller).await? {
            return Ok(made);
        }
        if let Some(scope) = grant.excess() {
            let rule = format!("has {scope}, which a credential of a user's own cannot have");
            return Err(Error::invalid("scopes", rule));
        }
        let mut issued = self.new_credential(caller, connection, wanted, name, expiry)?;
        issued.credential.scopes = checked_scopes(grant.scopes)?;
        issued.credential.user_id = grant.user_id;
        self.insert(caller, "CreateCredential", issued).await
    }

    async fn insert(
        &self,
        caller: &Caller,
        method: &'static str,
        issued: IssuedCredential,
    ) -> Result<(IssuedCredential, Position)> {
        let kept = issued.secret.as_ref().map(Secret::kept);
        let work = Arc::new((caller.clone(), issued.credential.clone(), kept));
        let made = self.once_or_again(caller, Write::of(method), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, new, kept) = &*work;
                let position = insert_credential(&tx, caller, method, new, kept.clone()).await?;
                Ok((new.clone(), position))
            }
        });
        let ((kept, position), again) = made.await?;
        Ok((self.shown(issued, kept, again).await?, position))
    }

    /// A credential of a connection that is not kept yet.
    pub(super) fn new_credential(
        &self,
        caller: &Caller,
        connection: &Connection,
        wanted: Wanted,
        name: &str,
        expiry: Expiry,
    ) -> Result<IssuedCredential> {
        let proof = match wanted {
            Wanted::Bearer => Proof::Secret(Purpose::Bearer),
            Wanted::OauthClient => Proof::Secret(Purpose::Client),
            Wanted::Federated(federation) => {
                let is_operator = caller.principal == Principal::Operator;
                Proof::Federated(checked_federation(federation, is_operator)?)
            }
        };
        let now = self.source.now_ms();
        let expires_at = match expiry {
            Expiry::Never => None,
            Expiry::At(at) => Some(at),
            // Another issuer's word has no secret that could grow old.
            Expiry::Policy if matches!(proof, Proof::Federated(_)) => None,
            Expiry::Policy => {
                let life = connection.policy.credential_lifetime;
                life.map(|life| now + life.ms())
            }
        };
        let connection_id = Some(connection.id.clone());
        self.credential(caller, connection_id, proof, name, expires_at)
    }

    fn credential(
        &self,
        caller: &Caller,
        connection_id: Option<String>,
        proof: Proof,
        name: &str,
        expires_at: Option<i64>,
    ) -> Result<IssuedCredential> {
        let now = self.source.now_ms();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid("expire_time", "must be in the future"));
        }
        let secret = match &proof {
            Proof::Secret(purpose) => Some(self.new_secret(*purpose)?),
            Proof::Federated(_) => None,
        };
        let credential = Credential {
            id: self.source.new_id(),
            tenant_id: caller.tenant_id.clone(),
            connection_id,
            name: checked_name(name)?,
            proof,
            audiences: Vec::new(),
            created_at: now,
            created_by: caller.actor(),
            expires_at,
            revoked_at: None,
            revoke_reason: String::new(),
            last_used_at: None,
            last_used_address: None,
            scopes: Scopes::Provisioning,
            user_id: None,
        };
        Ok(IssuedCredential {
            credential,
            key_id: secret.as_ref().map(|secret| secret.key_id().to_owned()),
            secret,
            overlap_until: None,
        })
    }

    fn new_secret(&self, purpose: Purpose) -> Result<Secret> {
        let mut random = [0; RANDOM_BYTES];
        self.source
            .fill_random(&mut random)
            .map_err(|e| Error::Internal(e.into()))?;
        Ok(Secret::new(purpose, &random))
    }

    /// Issues a personal access token of a user.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotFound`], [`Error::UserInactive`], and
    /// [`Error::ScopeMissing`] for what the caller may not grant.
    pub async fn create_personal_token(
        &self,
        caller: &Caller,
        wanted: PersonalToken,
    ) -> Result<(IssuedCredential, Position)> {
        if let Some(made) = self.made_before(caller).await? {
            return Ok(made);
        }
        let audiences = checked_grant(caller, &wanted.audiences, &wanted.scopes)?;
        check_personal_end(Some(wanted.expires_at), self.source.now_ms())?;
        let (proof, expires_at) = (Proof::Secret(Purpose::Personal), Some(wanted.expires_at));
        let mut issued = self.credential(caller, None, proof, &wanted.name, expires_at)?;
        issued.credential.audiences = audiences;
        issued.credential.scopes = Scopes::Named(wanted.scopes.into());
        issued.credential.user_id = Some(wanted.user_id);
        let method = "CreatePersonalAccessToken";
        self.insert(caller, method, issued).await
    }

    /// Gives a stored token a new secret; its former ones work for as long as the
    /// overlap says, at most 7 days.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; [`Error::TokenState`] for one that
    /// has no secret, is revoked or has expired.
    pub async fn rotate_token(
        &self,
        caller: &Caller,
        id: &str,
        overlap: Duration,
        expires_at: Option<i64>,
    ) -> Result<(IssuedCredential, Position)> {
        if overlap > OVERLAP_LIMIT {
            return Err(Error::invalid("overlap", "must be at most 7 days"));
        }
        if let Some(made) = self.made_before(caller).await? {
            return Ok(made);
        }
        let now = self.source.now_ms();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(Error::invalid("expire_time", "must be in the future"));
        }
        let found = credentials::find(&self.store.single(), &caller.tenant_id, id).await?;
        let found = found.ok_or_else(|| not_found(Kind::Token, id))?;
        may_have_secret(caller, &found)?;
        let Proof::Secret(purpose) = found.proof else {
            let what = "a federated credential has no secret: its issuer rotates its keys";
            return Err(Error::TokenState(what));
        };
        if purpose == Purpose::Personal {
            check_personal_end(expires_at, now)?;
        }
        let secret = self.new_secret(purpose)?;
        let until = now.saturating_add(i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX));
        let rotation = Rotation {
            caller: caller.clone(),
            id: id.to_owned(),
            kept: secret.kept(),
            until,
            expires_at,
            now,
        };
        let rotation = Arc::new(rotation);
        let rotated = self.once_or_again(caller, Write::of("RotateToken"), move |tx| {
            let rotation = Arc::clone(&rotation);
            async move { rotation.run(&tx).await }
        });
        let ((kept, position), again) = rotated.await?;
        let issued = IssuedCredential {
            credential: found,
            key_id: Some(secret.key_id().to_owned()),
            secret: Some(secret),
            overlap_until: (until > now).then_some(until),
        };
        Ok((self.shown(issued, kept, again).await?, position))
    }

    /// Revokes a stored token; revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`].
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<(Credential, Option<Position>)> {
        let reason = checked_reason(reason).map_err(|rule| Error::invalid("reason", rule))?;
        let now = self.source.now_ms();
        let work = Arc::new((caller.clone(), id.to_owned(), reason));
        self.once(caller, Write::of("RevokeToken"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, id, reason) = &*work;
                revoke(&tx, caller, id, reason, now).await
            }
        })
        .await
    }
}

/// Whether a personal access token may end then.
fn check_personal_end(expires_at: Option<i64>, now_ms: i64) -> Result<()> {
    match expires_at.is_some_and(|at| at > now_ms.saturating_add(PERSONAL_MS)) {
        true => Err(Error::invalid("expire_time", "must be within 366 days")),
        false => Ok(()),
    }
}

/// Whoever is given a new secret can use it: he must be one who could have made
/// the token.
fn may_have_secret(caller: &Caller, token: &Credential) -> Result<()> {
    if caller.principal == Principal::Operator {
        return Ok(());
    }
    match (&token.connection_id, &token.scopes) {
        (Some(_), Scopes::Provisioning) => caller.require("provisioning.admin"),
        (Some(_), Scopes::Named(names)) => {
            caller.require("provisioning.admin")?;
            caller.may_give(names)
        }
        (None, Scopes::Provisioning) => Ok(()),
        (None, Scopes::Named(names)) => checked_grant(caller, &token.audiences, names).map(|_| ()),
    }
}

/// A new secret for a token, as it is written.
struct Rotation {
    caller: Caller,
    id: String,
    kept: KeptSecret,
    until: i64,
    expires_at: Option<i64>,
    now: i64,
}

impl Rotation {
    async fn run(&self, tx: &Tx) -> Result<(Credential, Position)> {
        let found = credentials::find(tx, &self.caller.tenant_id, &self.id).await?;
        let mut credential = found.ok_or_else(|| not_found(Kind::Token, &self.id))?;
        if !credential.is_live(self.now) {
            let what = "the token is revoked or has expired; create another";
            return Err(Error::TokenState(what));
        }
        credentials::end_secrets(tx, &self.id, self.until).await?;
        credentials::add_secret(tx, &self.id, self.kept.clone(), self.now).await?;
        let expires_at = match self.expires_at {
            Some(at) => Some(at),
            None => self.end_by_policy(tx, &credential).await?,
        };
        if let Some(at) = expires_at {
            credentials::set_expiry(tx, &self.id, at).await?;
            credential.expires_at = Some(at);
        }
        history::change_access(tx, &self.caller.tenant_id).await?;
        let deed = deed("RotateToken", ChangeKind::Updated, &credential);
        let position = deed.record(tx, &self.caller, self.now).await?;
        Ok((credential, position))
    }

    /// A new secret lives as long as a new credential of the connection would.
    async fn end_by_policy(&self, tx: &Tx, credential: &Credential) -> Result<Option<i64>> {
        let Some(id) = &credential.connection_id else {
            return Ok(None);
        };
        let connection = tenants::find_connection(tx, &credential.tenant_id, id).await?;
        let life = connection.and_then(|one| one.policy.credential_lifetime);
        Ok(life.map(|life| self.now.saturating_add(life.ms())))
    }
}

async fn revoke(
    tx: &Tx,
    caller: &Caller,
    id: &str,
    reason: &str,
    now: i64,
) -> Result<(Credential, Option<Position>)> {
    let found = credentials::find(tx, &caller.tenant_id, id).await?;
    let mut credential = found.ok_or_else(|| not_found(Kind::Token, id))?;
    if credential.revoked_at.is_some() {
        return Ok((credential, None));
    }
    credentials::revoke(tx, id, reason, now).await?;
    history::change_access(tx, &caller.tenant_id).await?;
    credential.revoked_at = Some(now);
    reason.clone_into(&mut credential.revoke_reason);
    let deed = deed("RevokeToken", ChangeKind::Deleted, &credential);
    let position = deed.record(tx, caller, now).await?;
    Ok((credential, Some(position)))
}

fn deed<'a>(method: &'static str, kind: ChangeKind, credential: &'a Credential) -> Deed<'a> {
    Deed {
        method,
        kind,
        resource_type: ResourceType::Token,
        resource_id: &credential.id,
        owner: credential.connection_id.as_deref(),
        user_id: credential.user_id.as_deref(),
        version: 1,
    }
}

/// Keeps a new credential.
pub(super) async fn insert_credential(
    tx: &Tx,
    caller: &Caller,
    method: &'static str,
    credential: &Credential,
    secret: Option<KeptSecret>,
) -> Result<Position> {
    if let Some(user_id) = &credential.user_id {
        check_user(tx, credential, user_id).await?;
    }
    check_number(tx, credential).await?;
    credentials::insert(tx, credential, secret).await?;
    if matches!(credential.proof, Proof::Federated(_)) {
        // Whoever was let in without saying to which connection may have to say so
        // now.
        history::change_access(tx, &caller.tenant_id).await?;
    }
    let deed = deed(method, ChangeKind::Created, credential);
    deed.record(tx, caller, credential.created_at).await
}

/// Whether the connection may have one more credential.
async fn check_number(tx: &Tx, credential: &Credential) -> Result<()> {
    let Some(connection_id) = &credential.connection_id else {
        return Ok(());
    };
    let connection = tenants::find_connection(tx, &credential.tenant_id, connection_id).await?;
    let Some(limit) = connection.and_then(|one| one.policy.credential_limit) else {
        return Ok(());
    };
    let now = credential.created_at;
    match credentials::count_live(tx, connection_id, now).await? < u64::from(limit) {
        true => Ok(()),
        false => Err(Error::TokenState(
            "the connection has as many credentials as its policy allows; rotating one \
             gives a new secret without a gap, or revoke one first",
        )),
    }
}

/// Whether there is the user whose a credential shall be; a token of his own only
/// if he may act.
async fn check_user(tx: &Tx, credential: &Credential, user_id: &str) -> Result<()> {
    let scope = Scope {
        tenant_id: &credential.tenant_id,
        connection_id: credential.owner(),
        registry: Registry::builtin(),
    };
    let (reach, wants) = (resources::Reach::Live, super::Wants::NONE);
    let found = resources::load(tx, scope, ResourceKind::User, user_id, reach, wants).await?;
    let ((user, _), _) = found.ok_or_else(|| not_found(Kind::User, user_id))?;
    match credential.connection_id.is_some() || user.may_act() {
        true => Ok(()),
        false => Err(Error::UserInactive),
    }
}

/// Audiences and scopes that the caller may put into tokens of users; the former
/// as they are kept.
pub(super) fn checked_grant(
    caller: &Caller,
    audiences: &[String],
    scopes: &[String],
) -> Result<Vec<String>> {
    let sound = checked_audiences(audiences).map_err(|rule| Error::invalid("audiences", rule))?;
    checked_scope_names(scopes).map_err(|rule| Error::invalid("scopes", rule))?;
    if sound.is_empty() || sound.len() > AUDIENCES {
        return Err(Error::invalid("audiences", "must name 1 to 10"));
    }
    if let Principal::Client { grantable, .. } = &caller.principal {
        return match grantable.excess(&sound, scopes) {
            None => Ok(sound),
            Some(beyond) => Err(Error::ScopeMissing(beyond.to_owned())),
        };
    }
    match caller.principal {
        Principal::Operator => Ok(sound),
        // Nothing is registered for a provisioning client.
        _ => Err(Error::ScopeMissing(sound.concat())),
    }
}

/// The server itself asks the issuer for its keys: whoever is no operator does not
/// make it ask its own machine.
fn checked_federation(federation: Federation, is_operator: bool) -> Result<Federation> {
    let issuer = match key_url(&federation.issuer) {
        Ok(url) if !is_operator && url.scheme_str() != Some("https") => {
            Some("must be an https URL")
        }
        checked => checked.err(),
    };
    let rules = [
        ("issuer", issuer),
        ("subject", claim_rule(&federation.subject)),
        ("audience", claim_rule(&federation.audience)),
    ];
    let broken = rules.into_iter();
    let broken = broken.filter_map(|(field, rule)| Some(Violation::new(field, rule?)));
    let broken: Vec<_> = broken.collect();
    if broken.is_empty() {
        return Ok(federation);
    }
    Err(Error::Invalid(broken))
}

fn claim_rule(text: &str) -> Option<&'static str> {
    let fits = (1..=CLAIM_LIMIT).contains(&text.len());
    let printable = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    (!fits || !printable).then_some("must have 1 to 500 bytes, without spaces")
}
