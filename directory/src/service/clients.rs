//! Service clients: registered, listed, disabled, let back in.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde::Deserialize;

use super::replays::Write;
use super::{
    Directory,
    admin::{checked_name, checked_scopes, not_found},
    ledger::Deed,
};
use crate::{
    auth::{Caller, Principal, Scopes},
    domain::{
        Kind,
        access::checked_reason,
        client::{Grantable, checked_audiences, checked_scope_names},
        history::{ChangeKind, ResourceType},
    },
    error::{Error, Result},
    signing::Keys,
    storage::{
        Tx,
        clients::{self, Client},
        history,
    },
};

/// Most keys of a client.
const KEYS: usize = 10;

/// Longest set of keys, in bytes.
const KEYS_LIMIT: usize = 32 * 1024;

/// Characters of a SHA-256 thumbprint in base64url.
const THUMBPRINT: usize = 43;

/// A client that is to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// What people call it.
    pub name: String,
    /// What it may do at the directory.
    pub scopes: Vec<String>,
    /// What it may put into tokens of users.
    pub grantable: Grantable,
    /// Its public keys: a JWK set.
    pub keys: String,
    /// Thumbprint of the certificate that its calls must come with.
    pub certificate: Option<String>,
}

impl Directory {
    /// Registers a service client.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Taken`], and [`Error::ScopeMissing`] for what
    /// the caller has not himself.
    pub async fn create_client(
        &self,
        caller: &Caller,
        registration: Registration,
    ) -> Result<Client> {
        let mut registration = registration;
        registration.scopes = each_once(&registration.scopes);
        let Registration { scopes, .. } = &registration;
        checked_scopes(Scopes::Named(scopes.clone().into()))?;
        caller.may_give(scopes)?;
        may_grant(caller, scopes, &registration.grantable)?;
        let now = self.source.now_ms();
        let client = Client {
            id: self.source.new_id(),
            tenant_id: caller.tenant_id.clone(),
            name: checked_name(&registration.name)?,
            grantable: checked_grantable(registration.grantable)?,
            keys: checked_keys(registration.keys)?,
            certificate: registration
                .certificate
                .map(checked_thumbprint)
                .transpose()?,
            scopes: registration.scopes,
            version: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            disable_reason: String::new(),
            tokens_valid_after: None,
            last_used_at: None,
            last_used_address: None,
        };
        let work = Arc::new((caller.clone(), client));
        self.once(caller, Write::of("CreateServiceClient"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, client) = &*work;
                clients::insert(&tx, client).await?;
                let what = ("CreateServiceClient", ChangeKind::Created);
                record(&tx, caller, what, client, now).await?;
                Ok(client.clone())
            }
        })
        .await
    }

    /// The tenant's clients behind this id, at most `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_clients(
        &self,
        tenant_id: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Client>> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        clients::list(&self.store.single(), tenant_id, after, limit).await
    }

    /// The tenant's client with this id or name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find_client(&self, tenant_id: &str, id_or_name: &str) -> Result<Client> {
        let tx = self.store.single();
        if let Some(found) = clients::find(&tx, tenant_id, id_or_name).await? {
            return Ok(found);
        }
        let found = clients::find_named(&tx, tenant_id, id_or_name).await?;
        found.ok_or_else(|| not_found(Kind::Client, id_or_name))
    }

    /// Disables a client for a reason, or lets it back in; whether it was not so
    /// before.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`]; [`Error::ScopeMissing`] for one that
    /// has more than the caller may give.
    pub async fn set_client_disabled(
        &self,
        caller: &Caller,
        id: &str,
        disabled: Option<&str>,
    ) -> Result<(Client, bool)> {
        let reason = disabled.map(checked_reason).transpose();
        let reason = reason.map_err(|rule| Error::invalid("reason", rule))?;
        let now = self.source.now_ms();
        let work = Arc::new((caller.clone(), id.to_owned(), reason));
        self.once(caller, Write::of("DisableServiceClient"), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, id, reason) = &*work;
                set_disabled(&tx, caller, id, reason.as_deref(), now).await
            }
        })
        .await
    }
}

/// The same names in the same order, without repetitions.
pub(super) fn each_once(names: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let names = names.iter().filter(|name| seen.insert(*name));
    names.cloned().collect()
}

/// Scopes with which audiences and scopes get into tokens of users.
const GRANTING: [&str; 2] = ["tokens.issue", "tokens.write"];

/// Whoever lets a client in that makes tokens of users gives it no audience and
/// no scope that he may not put into them himself.
fn may_grant(caller: &Caller, scopes: &[String], wanted: &Grantable) -> Result<()> {
    let makes_tokens = scopes
        .iter()
        .any(|scope| GRANTING.contains(&scope.as_str()));
    if caller.principal == Principal::Operator || !makes_tokens {
        return Ok(());
    }
    let Principal::Client { grantable, .. } = &caller.principal else {
        return Err(Error::ScopeMissing("grantable_audiences".to_owned()));
    };
    let scopes = match (&wanted.scopes, &grantable.scopes) {
        (None, Some(_)) => return Err(Error::ScopeMissing("grantable_scopes".to_owned())),
        (scopes, _) => scopes.as_deref().unwrap_or_default(),
    };
    match grantable.excess(&wanted.audiences, scopes) {
        None => Ok(()),
        Some(beyond) => Err(Error::ScopeMissing(beyond.to_owned())),
    }
}

async fn set_disabled(
    tx: &Tx,
    caller: &Caller,
    id: &str,
    disabled: Option<&str>,
    now: i64,
) -> Result<(Client, bool)> {
    let found = clients::find(tx, &caller.tenant_id, id).await?;
    let mut client = found.ok_or_else(|| not_found(Kind::Client, id))?;
    if client.disabled_at.is_some() == disabled.is_some() {
        return Ok((client, false));
    }
    disabled
        .unwrap_or_default()
        .clone_into(&mut client.disable_reason);
    let what = if disabled.is_some() {
        client.disabled_at = Some(now);
        client.tokens_valid_after = Some(now);
        ("DisableServiceClient", ChangeKind::AccessEnded)
    } else {
        // Whoever lets a client back in gives it what it has.
        caller.may_give(&client.scopes)?;
        may_grant(caller, &client.scopes, &client.grantable)?;
        client.disabled_at = None;
        ("EnableServiceClient", ChangeKind::AccessRestored)
    };
    client.version += 1;
    client.updated_at = now.max(client.updated_at);
    clients::update(tx, &client).await?;
    history::change_access(tx, &caller.tenant_id).await?;
    record(tx, caller, what, &client, now).await?;
    Ok((client, true))
}

async fn record(
    tx: &Tx,
    caller: &Caller,
    (method, kind): (&'static str, ChangeKind),
    client: &Client,
    now: i64,
) -> Result<()> {
    let deed = Deed {
        method,
        kind,
        resource_type: ResourceType::Client,
        resource_id: &client.id,
        owner: None,
        user_id: None,
        version: client.version,
    };
    deed.record(tx, caller, now).await.map(|_| ())
}

fn checked_grantable(grantable: Grantable) -> Result<Grantable> {
    let audiences = checked_audiences(&grantable.audiences);
    let scopes = grantable.scopes.as_deref().map(checked_scope_names);
    Ok(Grantable {
        audiences: audiences.map_err(|rule| Error::invalid("grantable_audiences", rule))?,
        scopes: scopes
            .transpose()
            .map_err(|rule| Error::invalid("grantable_scopes", rule))?,
    })
}

/// A JWK set of public keys, all of which can be used.
fn checked_keys(set: String) -> Result<String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Map<String, serde_json::Value>>,
    }
    let invalid = |rule: &str| Error::invalid("jwks_json", rule);
    if set.len() > KEYS_LIMIT {
        return Err(invalid("has more than 32,768 bytes"));
    }
    let read: Set = serde_json::from_str(&set).map_err(|_| invalid("must be a JWK set"))?;
    if !(1..=KEYS).contains(&read.keys.len()) {
        return Err(invalid("must have 1 to 10 keys"));
    }
    let private = ["d", "p", "q", "dp", "dq", "qi", "k"];
    if read
        .keys
        .iter()
        .any(|key| private.iter().any(|name| key.contains_key(*name)))
    {
        return Err(invalid(
            "has a private key, which must stay with the client",
        ));
    }
    let ids: BTreeSet<_> = read
        .keys
        .iter()
        .filter_map(|key| key.get("kid")?.as_str())
        .collect();
    if ids.len() != read.keys.len() {
        return Err(invalid("must give each key a kid of its own"));
    }
    let usable = Keys::parse(set.as_bytes()).map_or(0, |keys| keys.len());
    if usable != read.keys.len() {
        return Err(invalid(
            "must have keys for signatures alone: Ed25519, P-256, or RSA of 2,048 bits or more",
        ));
    }
    Ok(set)
}

fn checked_thumbprint(text: String) -> Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    match text.len() == THUMBPRINT && text.bytes().all(plain) {
        true => Ok(text),
        false => {
            let rule = "must be the SHA-256 of a certificate in base64url, without padding";
            Err(Error::invalid("mtls_x5t_s256", rule))
        }
    }
}
