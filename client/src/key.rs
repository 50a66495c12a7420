//! Names of users and groups, as requests want them.
//!
//! ```
//! use muster_client::key;
//! let key = key::federated("https://id.example.test", "ada");
//! ```

use muster_proto::v1::{ExternalKey, FederatedKey, GroupKey, UserKey, group_key, user_key::Key};

/// The user with this id.
pub fn id(id: impl Into<String>) -> UserKey {
    named(Key::Id(id.into()))
}

/// Whom an identity provider calls so: the claims `iss` and `sub`.
pub fn federated(issuer: impl Into<String>, subject: impl Into<String>) -> UserKey {
    named(Key::Federated(FederatedKey {
        issuer: issuer.into(),
        subject: subject.into(),
    }))
}

/// Whom a connection calls so: its `externalId`.
pub fn external(connection_id: impl Into<String>, external_id: impl Into<String>) -> UserKey {
    named(Key::External(ExternalKey {
        connection_id: connection_id.into(),
        external_id: external_id.into(),
    }))
}

/// The user of this name, without regard to case.
pub fn user_name(name: impl Into<String>) -> UserKey {
    named(Key::UserName(name.into()))
}

/// Who has this address, without regard to case.
pub fn email(address: impl Into<String>) -> UserKey {
    named(Key::Email(address.into()))
}

/// The group with this id.
pub fn group(id: impl Into<String>) -> GroupKey {
    GroupKey {
        key: Some(group_key::Key::Id(id.into())),
    }
}

fn named(key: Key) -> UserKey {
    UserKey { key: Some(key) }
}
