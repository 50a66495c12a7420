//! By what users are found.

use muster_proto::{
    fold::fold,
    v1::{User, UserKey, user_key::Key},
};

use super::ids;

/// One way of naming a user, as it is compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    Id(u128),
    Called(Box<str>),
    Email(Box<str>),
    Federated(Box<str>, Box<str>),
    External(Box<str>, Box<str>),
}

impl Name {
    /// As a key names him; `None` for a key that can be nobody's.
    pub(super) fn read(key: &UserKey) -> Option<Self> {
        Some(match key.key.as_ref()? {
            Key::Id(id) => Self::Id(ids::read(id)?),
            Key::UserName(name) => Self::Called(fold(name).into()),
            Key::Email(address) => Self::Email(fold(address).into()),
            Key::Federated(key) => Self::Federated((*key.issuer).into(), (*key.subject).into()),
            Key::External(key) => {
                Self::External((*key.connection_id).into(), (*key.external_id).into())
            }
        })
    }

    /// All by which this user is found, but his id.
    pub(super) fn all(user: &User) -> Vec<Self> {
        let mut names = Vec::new();
        if !user.user_name.is_empty() {
            names.push(Self::Called(fold(&user.user_name).into()));
        }
        let addresses = user.emails.iter().map(|email| &email.value);
        for address in addresses.filter(|address| !address.is_empty()) {
            names.push(Self::Email(fold(address).into()));
        }
        for key in &user.federated_identities {
            names.push(Self::Federated((*key.issuer).into(), (*key.subject).into()));
        }
        for key in &user.external_keys {
            let (connection, id) = (&*key.connection_id, &*key.external_id);
            names.push(Self::External(connection.into(), id.into()));
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}
