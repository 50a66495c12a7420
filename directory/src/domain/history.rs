//! What a write leaves behind: changes for consumers of the feed, an entry for
//! auditors.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Resource, access::Inactive, resource::ResourceKind};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A provisioning client, by one of its credentials.
    Connection {
        /// Id of the connection.
        connection_id: String,
        /// Id of the credential.
        credential_id: String,
    },
    /// A service client.
    Client {
        /// Its id.
        client_id: String,
    },
    /// Whoever may run commands on the database.
    Operator,
    /// A job of the server itself.
    Job {
        /// Its name, for example `purge`.
        name: String,
    },
}

/// A point in a tenant's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Of the store: changes when the database is restored or replaced.
    pub epoch: String,
    /// Grows by one per write.
    pub revision: i64,
}

/// What happened to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// Some of its attributes differ.
    Updated,
    /// An active user no longer is.
    AccessEnded,
    /// An inactive user is active again.
    AccessRestored,
    /// It was deleted and can come back.
    Deleted,
    /// It came back.
    Undeleted,
    /// It is gone for good.
    Purged,
    /// A group has a member more.
    MemberAdded,
    /// A group has a member less.
    MemberRemoved,
}

/// The type of what changed, numbered as `ResourceType` in the contract's
/// design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// It is not known.
    Unknown = 0,
    /// A person.
    User = 1,
    /// A set of users and groups.
    Group = 2,
    /// A member of a group.
    Membership = 3,
    /// A credential.
    Token = 4,
    /// A provisioning client.
    Connection = 5,
    /// An extension schema, by its URN.
    Schema = 6,
    /// A key that signs tokens, by its `kid`.
    SigningKey = 7,
    /// A service client.
    Client = 8,
}

impl From<ResourceKind> for ResourceType {
    fn from(kind: ResourceKind) -> Self {
        match kind {
            ResourceKind::User => Self::User,
            ResourceKind::Group => Self::Group,
        }
    }
}

/// One change as consumers will see it. Names of attributes, never values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To what.
    pub resource_type: ResourceType,
    /// Its id; of a membership, the group's.
    pub resource_id: String,
    /// Its version afterwards.
    pub version: i64,
    /// Names of the attributes that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_attributes: Vec<String>,
    /// Of a membership: the member's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_id: Option<String>,
    /// Of a user: whether he may act afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The connection that created it; of a membership, the group; of a
    /// credential, the connection that it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of a membership: whether the member is a group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub member_is_group: bool,
    /// Of a user: why he may not act afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive: Option<Inactive>,
    /// Of a user: his tokens that were issued until then are dead; milliseconds
    /// since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_valid_after: Option<i64>,
    /// Of a credential: the user whose it is, or in whose name it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What kind and names of attributes do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}

/// What else is to be known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// All of a user's tokens were revoked.
    SignedOut,
    /// A user has another primary address.
    PrimaryEmail,
    /// A membership is back because its group is.
    WithGroup,
}

impl Change {
    /// Of anything.
    pub fn new(
        kind: ChangeKind,
        resource_type: ResourceType,
        resource_id: impl Into<String>,
        version: i64,
    ) -> Self {
        Self {
            kind,
            resource_type,
            resource_id: resource_id.into(),
            version,
            changed_attributes: Vec::new(),
            member_id: None,
            active: None,
            owner: None,
            member_is_group: false,
            inactive: None,
            tokens_valid_after: None,
            user_id: None,
            facts: Vec::new(),
        }
    }

    /// Of a resource that is new or gone.
    pub fn of(kind: ChangeKind, resource: &Resource) -> Self {
        let gone = matches!(kind, ChangeKind::Deleted | ChangeKind::Purged);
        let active = !gone && resource.may_act();
        let inactive = match gone {
            true => Some(Inactive::Deleted),
            false => resource.inactive(),
        };
        let is_user = resource.kind == ResourceKind::User;
        Self {
            active: is_user.then_some(active),
            owner: resource.owner.clone(),
            inactive: inactive.filter(|_| is_user),
            tokens_valid_after: resource.access.tokens_valid_after,
            ..Self::new(kind, resource.kind.into(), &resource.id, resource.version)
        }
    }

    /// Of a resource whose attributes differ.
    pub fn between(before: &Resource, after: &Resource) -> Self {
        let kind = match (before.may_act(), after.may_act()) {
            (true, false) => ChangeKind::AccessEnded,
            (false, true) => ChangeKind::AccessRestored,
            _ => ChangeKind::Updated,
        };
        let is_renamed = before.primary_email() != after.primary_email();
        Self {
            changed_attributes: after.changed_attributes(before),
            facts: is_renamed
                .then_some(Fact::PrimaryEmail)
                .into_iter()
                .collect(),
            ..Self::of(kind, after)
        }
    }

    /// Of a group's member.
    pub fn member(kind: ChangeKind, group: &Resource, member_id: &str, is_group: bool) -> Self {
        Self {
            member_id: Some(member_id.to_owned()),
            owner: group.owner.clone(),
            member_is_group: is_group,
            ..Self::new(kind, ResourceType::Membership, &group.id, group.version)
        }
    }

    /// Of a membership that is back because this resource is, to which it belongs.
    pub fn restored(edge: Edge, resource: &Resource) -> Self {
        let (kind, is_its_own) = (ChangeKind::MemberAdded, edge.group_id == resource.id);
        Self {
            member_id: Some(edge.member_id),
            owner: edge.owner,
            member_is_group: edge.is_group,
            facts: is_its_own.then_some(Fact::WithGroup).into_iter().collect(),
            ..Self::new(kind, ResourceType::Membership, edge.group_id, edge.version)
        }
    }
}

/// A membership with what a change says of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The group's id.
    pub group_id: String,
    /// Its version.
    pub version: i64,
    /// The connection that created it.
    pub owner: Option<String>,
    /// The member's id.
    pub member_id: String,
    /// Whether the member is a group.
    pub is_group: bool,
}

/// An entry for auditors, before it has its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who.
    pub actor: Actor,
    /// Did what: the name of the use case, for example `PatchUser`.
    pub method: Cow<'static, str>,
    /// To what type of thing.
    pub resource_type: ResourceType,
    /// To which one.
    pub resource_id: String,
    /// Names of the attributes that differ.
    pub changed_attributes: Vec<String>,
    /// The call, as the log names it; may be empty.
    pub request_id: String,
    /// Why it was refused; `None` for what was done.
    pub refusal: Option<Refusal>,
}

/// Why a call was refused, in the words of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The canonical name of the code, for example `ALREADY_EXISTS`.
    pub outcome: &'static str,
    /// The reason's name, for example `USER_NAME_TAKEN`.
    pub reason: &'static str,
}

/// The hash of the next link of an audit chain, in hexadecimal: SHA-256 over
/// the former link's hash and the entry's fields, each preceded by its length
/// so that no two entries run together.
pub fn chain(former: &str, fields: &[&str]) -> String {
    let mut hash = Sha256::new();
    for field in std::iter::once(&former).chain(fields) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hex(&hash.finalize())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        assert_ne!(chain("", &["ab", "c"]), chain("", &["a", "bc"]));
        assert_ne!(chain("a", &["b"]), chain("", &["a", "b"]));
        assert_eq!(chain("x", &["y"]).len(), 64);
    }
}
