//! What users are called elsewhere, for those who may know.

use muster_proto::v1;

use super::{encode, mask::Mask};
use crate::{
    auth::{Caller, Principal},
    error::Result,
    service::{Directory, KeysWanted},
};

/// Which keys a caller may see: service clients alone, each by its scopes.
pub(super) fn visible(caller: &Caller) -> KeysWanted {
    let is_client = matches!(caller.principal, Principal::Client { .. });
    let has = |scope| is_client && caller.scopes.has(scope);
    KeysWanted {
        external: has("users.resolve"),
        federated: has("users.resolve") || has("users.link"),
    }
}

/// Of these, the ones that a mask names: they cost a query.
pub(super) fn asked(caller: &Caller, mask: &Mask) -> KeysWanted {
    let visible = visible(caller);
    KeysWanted {
        external: visible.external && mask.names("external_keys"),
        federated: visible.federated && mask.names("federated_identities"),
    }
}

/// Adds these keys to users.
///
/// # Errors
/// The database's.
pub(super) async fn add(
    directory: &Directory,
    caller: &Caller,
    wanted: KeysWanted,
    users: Vec<&mut v1::User>,
) -> Result<()> {
    if wanted == KeysWanted::default() || users.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = users.iter().map(|user| user.id.clone()).collect();
    let keys = directory.keys_of(caller, wanted, &ids).await?;
    for user in users {
        let external = keys.external.get(&user.id).into_iter().flatten();
        user.external_keys = external
            .map(|key| v1::ExternalKey {
                connection_id: key.connection_id.clone(),
                external_id: key.external_id.clone(),
            })
            .collect();
        let federated = keys.federated.get(&user.id).into_iter().flatten();
        user.federated_identities = federated
            .map(|identity| v1::FederatedIdentity {
                issuer: identity.issuer.clone(),
                subject: identity.subject.clone(),
                link_time: Some(encode::timestamp(identity.linked_at)),
            })
            .collect();
    }
    Ok(())
}
