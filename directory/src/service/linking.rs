//! What users are called elsewhere: identities of identity providers, linked and
//! unlinked, and what connections call them.

use std::{collections::HashMap, sync::Arc};

use super::{
    Directory,
    replays::Write,
    resources::Written,
    target::{Target, advance, record},
};
use crate::{
    auth::Caller,
    domain::{
        history::{Change, ChangeKind},
        report::Report,
        resource::ResourceKind,
        signal::FEDERATED_IDENTITIES,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx,
        federated::{self, ExternalKey, Identity},
        relations::Wants,
        resources::{self, Reach},
    },
};

/// Most identities of a user.
const LIMIT: usize = 100;

/// Longest issuer and subject, in bytes.
const LENGTH: usize = 1_024;

/// Which keys of users are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeysWanted {
    /// What connections call them.
    pub external: bool,
    /// What identity providers call them.
    pub federated: bool,
}

/// Keys of users, by their ids.
#[derive(Debug, Default)]
pub struct Keys {
    /// What connections call them.
    pub external: HashMap<String, Vec<ExternalKey>>,
    /// What identity providers call them.
    pub federated: HashMap<String, Vec<Identity>>,
}

/// Whether an identity is to be a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// It is to be his.
    Link,
    /// It is not.
    Unlink,
}

impl Directory {
    /// Links an identity to a user, or takes it from him; what is so already
    /// changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Invalid`],
    /// [`Error::Taken`], [`Error::UserInactive`].
    pub async fn set_linked(
        &self,
        caller: &Caller,
        user_id: &str,
        (issuer, subject): (&str, &str),
        linking: Linking,
        precondition: &Precondition,
    ) -> Result<Written> {
        caller.require_unbound("users.link")?;
        check_text("issuer", issuer)?;
        check_text("subject", subject)?;
        let now = self.source.now_ms();
        let identity = Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            linked_at: now,
        };
        let target = Target::new(caller, ResourceKind::User, user_id, precondition);
        let work = Arc::new((target, identity));
        let method = match linking {
            Linking::Link => "LinkFederatedIdentity",
            Linking::Unlink => "UnlinkFederatedIdentity",
        };
        self.once(caller, Write::of(method), move |tx| {
            let work = Arc::clone(&work);
            async move { set(&tx, &work.0, &work.1, linking, method).await }
        })
        .await
    }

    /// What users are called elsewhere.
    ///
    /// # Errors
    /// The database's.
    pub async fn keys_of(
        &self,
        caller: &Caller,
        wanted: KeysWanted,
        user_ids: &[String],
    ) -> Result<Keys> {
        let (tx, tenant_id) = (self.store.single(), &caller.tenant_id);
        let mut keys = Keys::default();
        if wanted.external {
            keys.external = federated::external_keys(&tx, tenant_id, user_ids).await?;
        }
        if wanted.federated {
            keys.federated = federated::identities(&tx, tenant_id, user_ids).await?;
        }
        Ok(keys)
    }
}

async fn set(
    tx: &Tx,
    target: &Target,
    identity: &Identity,
    linking: Linking,
    method: &'static str,
) -> Result<Written> {
    let (before, relations) = target.load(tx, Reach::Live, Wants::NONE).await?;
    // That somebody signs in who may not is no reason to link.
    if linking == Linking::Link && !before.may_act() {
        return Err(Error::UserInactive);
    }
    let caller = &target.caller;
    let changed = match linking {
        Linking::Link => link(tx, &caller.tenant_id, &before.id, identity).await?,
        Linking::Unlink => {
            let pair = (identity.issuer.as_str(), identity.subject.as_str());
            federated::unlink(tx, &caller.tenant_id, &before.id, pair).await?
        }
    };
    let mut after = before.clone();
    let mut position = None;
    if changed {
        advance(&mut after, identity.linked_at);
        resources::update(tx, caller.scope(), &before, &after).await?;
        let change = Change {
            changed_attributes: vec![FEDERATED_IDENTITIES.to_owned()],
            ..Change::of(ChangeKind::Updated, &after)
        };
        position = Some(record(tx, caller, method, &after, &[change]).await?);
    }
    Ok(Written {
        view: (after, relations).into(),
        position,
        report: Report::default(),
    })
}

/// Whether it was not his.
async fn link(tx: &Tx, tenant_id: &str, user_id: &str, identity: &Identity) -> Result<bool> {
    let ids = [user_id.to_owned()];
    let mut his = federated::identities(tx, tenant_id, &ids).await?;
    let his = his.remove(user_id).unwrap_or_default();
    let is_same = |one: &Identity| one.issuer == identity.issuer && one.subject == identity.subject;
    if his.iter().any(is_same) {
        return Ok(false);
    }
    if his.len() >= LIMIT {
        let rule = format!("is one too many: a user has at most {LIMIT}");
        return Err(Error::invalid("identity", rule));
    }
    federated::link(tx, tenant_id, user_id, identity).await?;
    Ok(true)
}

fn check_text(field: &'static str, text: &str) -> Result<()> {
    match (1..=LENGTH).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => {
            let rule = format!("must have 1 to {LENGTH} bytes and no control characters");
            Err(Error::invalid(field, rule))
        }
    }
}
