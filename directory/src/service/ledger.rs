//! What writes to credentials, clients, connections and keys leave behind.

use crate::{
    auth::Caller,
    domain::history::{AuditEntry, Change, ChangeKind, Position, ResourceType},
    error::Result,
    storage::{Tx, history},
};

/// What somebody did to something that is neither a user nor a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'a> {
    pub(super) method: &'static str,
    pub(super) kind: ChangeKind,
    pub(super) resource_type: ResourceType,
    pub(super) resource_id: &'a str,
    /// The connection to which it belongs, if it does.
    pub(super) owner: Option<&'a str>,
    /// Of a credential: the user whose it is, or in whose name it speaks.
    pub(super) user_id: Option<&'a str>,
    /// The resource's version afterwards.
    pub(super) version: i64,
}

impl Deed<'_> {
    /// Records it in the caller's tenant.
    pub(super) async fn record(&self, tx: &Tx, caller: &Caller, now_ms: i64) -> Result<Position> {
        let entry = AuditEntry {
            actor: caller.actor(),
            method: self.method.into(),
            resource_type: self.resource_type,
            resource_id: self.resource_id.to_owned(),
            changed_attributes: Vec::new(),
            request_id: caller.request_id.clone(),
            refusal: None,
        };
        let change = Change {
            owner: self.owner.map(ToOwned::to_owned),
            user_id: self.user_id.map(ToOwned::to_owned),
            ..Change::new(
                self.kind,
                self.resource_type,
                self.resource_id,
                self.version,
            )
        };
        history::record(tx, &caller.tenant_id, &entry, &[change], now_ms).await
    }
}
