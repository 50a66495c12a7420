//! What of the changes is to be told to whoever keeps people signed in: which
//! signals a transaction gives.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    access::Inactive,
    history::{Change, ChangeKind, Fact, ResourceType, hex},
};
use sha2::{Digest as _, Sha256};

/// Attributes of a user that tokens speak of.
const CLAIMS: [&str; 2] = ["entitlements", "roles"];

/// How changes name the identities that identity providers know a user by.
pub const FEDERATED_IDENTITIES: &str = "federatedIdentities";

/// What happened, numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignalKind {
    /// A user may not act.
    AccountDisabled = 1,
    /// A user may act again.
    AccountEnabled = 2,
    /// A user is gone for good.
    AccountPurged = 3,
    /// All tokens of a user were revoked.
    SessionsRevoked = 4,
    /// What tokens say of a user, or of everybody in a group, is no longer so.
    ClaimsChanged = 5,
    /// A token was made, rotated or revoked.
    CredentialChanged = 6,
    /// A user has another name or primary address.
    IdentifierChanged = 7,
    /// An identity was linked or unlinked.
    FederationChanged = 8,
    /// A signing key was revoked.
    SigningKeyRevoked = 9,
}

impl SignalKind {
    /// Whether it says whether a user may act: only the last one counts.
    fn is_of_access(self) -> bool {
        matches!(self, Self::AccountDisabled | Self::AccountEnabled)
    }
}

/// Of whom or what a signal speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A token, and the user whose it is, where that is known.
    Token(String, Option<String>),
    /// A signing key.
    Key(String),
}

/// A signal, before it is told who the user is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What happened.
    pub kind: SignalKind,
    /// To whom.
    pub subject: Subject,
    /// What was done that led to it.
    pub cause: ChangeKind,
    /// Until when the user's tokens are dead; milliseconds since the Unix epoch.
    pub tokens_valid_after: Option<i64>,
    /// Why the user may not act.
    pub inactive: Option<Inactive>,
}

impl Signal {
    fn of(kind: SignalKind, subject: Subject, change: &Change) -> Self {
        Self {
            kind,
            subject,
            cause: change.kind,
            tokens_valid_after: change.tokens_valid_after,
            inactive: change.inactive,
        }
    }

    /// The user, where there is one.
    pub fn user_id(&self) -> Option<&str> {
        match &self.subject {
            Subject::User(id) => Some(id),
            Subject::Token(_, user) => user.as_deref(),
            Subject::Group(_) | Subject::Key(_) => None,
        }
    }

    /// Its id in a transaction: the same whenever it is made again.
    pub fn id(&self, transaction_id: &str) -> String {
        let (tag, subject) = match &self.subject {
            Subject::User(id) => ("user", id),
            Subject::Group(id) => ("group", id),
            Subject::Token(id, _) => ("token", id),
            Subject::Key(kid) => ("key", kid),
        };
        let kind = (self.kind as u8).to_string();
        digest(&[transaction_id, &kind, tag, subject])
    }
}

/// What signals call a transaction. It tells nothing of the revision.
pub fn transaction_id(epoch: &str, tenant_id: &str, revision: i64) -> String {
    digest(&[epoch, tenant_id, &revision.to_string()])
}

/// 128 bits over texts, each preceded by its length, in hexadecimal.
fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// The signals of a transaction, each with the place of the change that led to it,
/// in order: one of a kind for each user, and of his access the last.
pub fn signals(changes: &[Change]) -> Vec<(usize, Signal)> {
    let mut found: Vec<Option<(usize, Signal)>> = Vec::new();
    let mut known: HashMap<(Option<SignalKind>, Subject), usize> = HashMap::new();
    for (place, change) in changes.iter().enumerate() {
        for signal in of_change(change) {
            let is_of_access = signal.kind.is_of_access();
            let kind = (!is_of_access).then_some(signal.kind);
            let key = (kind, signal.subject.clone());
            match known.get(&key) {
                Some(_) if !is_of_access => continue,
                Some(&before) => found[before] = None,
                None => {}
            }
            known.insert(key, found.len());
            found.push(Some((place, signal)));
        }
    }
    found.into_iter().flatten().collect()
}

/// What a change gives by itself.
fn of_change(change: &Change) -> Vec<Signal> {
    let signal = |kind, subject| Signal::of(kind, subject, change);
    match change.resource_type {
        ResourceType::User => {
            let kinds = of_user(change).into_iter();
            let subject = || Subject::User(change.resource_id.clone());
            kinds.map(|kind| signal(kind, subject())).collect()
        }
        ResourceType::Group => {
            let group = Subject::Group(change.resource_id.clone());
            let told = is_told_of_group(change);
            told.then(|| signal(SignalKind::ClaimsChanged, group))
                .into_iter()
                .collect()
        }
        ResourceType::Membership => {
            // Who is in a group that is back hears of it by the group.
            let is_told = !change.facts.contains(&Fact::WithGroup);
            let member = change.member_id.clone().filter(|_| is_told);
            let subject = member.map(|id| match change.member_is_group {
                true => Subject::Group(id),
                false => Subject::User(id),
            });
            let subject = subject.into_iter();
            subject
                .map(|subject| signal(SignalKind::ClaimsChanged, subject))
                .collect()
        }
        ResourceType::Token => {
            // A connection's own credential is nobody's session.
            let is_told = change.user_id.is_some() || change.owner.is_none();
            let token = Subject::Token(change.resource_id.clone(), change.user_id.clone());
            is_told
                .then(|| signal(SignalKind::CredentialChanged, token))
                .into_iter()
                .collect()
        }
        ResourceType::SigningKey => {
            let key = Subject::Key(change.resource_id.clone());
            let is_revoked = change.kind == ChangeKind::Deleted;
            is_revoked
                .then(|| signal(SignalKind::SigningKeyRevoked, key))
                .into_iter()
                .collect()
        }
        ResourceType::Unknown
        | ResourceType::Connection
        | ResourceType::Schema
        | ResourceType::Client => Vec::new(),
    }
}

fn of_user(change: &Change) -> Vec<SignalKind> {
    let access = match change.kind {
        ChangeKind::AccessEnded | ChangeKind::Deleted => Some(SignalKind::AccountDisabled),
        ChangeKind::AccessRestored => Some(SignalKind::AccountEnabled),
        // Who was gone may be locked.
        ChangeKind::Undeleted => {
            (change.active == Some(true)).then_some(SignalKind::AccountEnabled)
        }
        ChangeKind::Purged => Some(SignalKind::AccountPurged),
        ChangeKind::Created
        | ChangeKind::Updated
        | ChangeKind::MemberAdded
        | ChangeKind::MemberRemoved => None,
    };
    let differs = |name: &str| change.changed_attributes.iter().any(|one| one == name);
    let others = [
        (
            change.facts.contains(&Fact::SignedOut),
            SignalKind::SessionsRevoked,
        ),
        (CLAIMS.into_iter().any(differs), SignalKind::ClaimsChanged),
        (
            differs("userName") || change.facts.contains(&Fact::PrimaryEmail),
            SignalKind::IdentifierChanged,
        ),
        (differs(FEDERATED_IDENTITIES), SignalKind::FederationChanged),
    ];
    let others = others
        .into_iter()
        .filter_map(|(is, kind)| is.then_some(kind));
    access.into_iter().chain(others).collect()
}

fn is_told_of_group(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Deleted | ChangeKind::Undeleted | ChangeKind::Purged => true,
        _ => change.changed_attributes.iter().any(|n| n == "displayName"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ChangeKind, resource_type: ResourceType) -> Change {
        Change::new(kind, resource_type, "x", 2)
    }

    fn kinds(changes: &[Change]) -> Vec<(SignalKind, Subject)> {
        let signals = signals(changes).into_iter();
        signals.map(|(_, one)| (one.kind, one.subject)).collect()
    }

    fn ada() -> Subject {
        Subject::User("x".to_owned())
    }

    #[test]
    fn every_end_of_access_is_told() {
        use ChangeKind::{AccessEnded, AccessRestored, Deleted, Purged, Updated};
        for (kind, told) in [
            (AccessEnded, vec![SignalKind::AccountDisabled]),
            (Deleted, vec![SignalKind::AccountDisabled]),
            (AccessRestored, vec![SignalKind::AccountEnabled]),
            (Purged, vec![SignalKind::AccountPurged]),
            (Updated, vec![]),
        ] {
            let told: Vec<_> = told.into_iter().map(|kind| (kind, ada())).collect();
            assert_eq!(kinds(&[of(kind, ResourceType::User)]), told, "{kind:?}");
        }
    }

    #[test]
    fn of_a_users_access_the_last_word_of_a_transaction_counts() {
        let mut back = of(ChangeKind::Undeleted, ResourceType::User);
        back.active = Some(true);
        let ended = of(ChangeKind::AccessEnded, ResourceType::User);
        assert_eq!(
            kinds(&[back.clone()]),
            [(SignalKind::AccountEnabled, ada())]
        );
        let both = signals(&[back, ended]);
        let [(1, only)] = both.as_slice() else {
            panic!("{both:?}");
        };
        assert_eq!(only.kind, SignalKind::AccountDisabled);
    }

    #[test]
    fn a_user_hears_once_of_his_groups_and_a_group_for_all_in_it() {
        let member = |id: &str, is_group| Change {
            member_id: Some(id.to_owned()),
            member_is_group: is_group,
            ..of(ChangeKind::MemberAdded, ResourceType::Membership)
        };
        let roles = Change {
            changed_attributes: vec!["roles".to_owned()],
            ..of(ChangeKind::Updated, ResourceType::User)
        };
        let told = kinds(&[
            roles,
            member("x", false),
            member("y", false),
            member("g", true),
        ]);
        let claims = |subject| (SignalKind::ClaimsChanged, subject);
        let (y, g) = (
            Subject::User("y".to_owned()),
            Subject::Group("g".to_owned()),
        );
        assert_eq!(told, [claims(ada()), claims(y), claims(g)]);
        let with_group = Change {
            facts: vec![Fact::WithGroup],
            ..member("x", false)
        };
        let back = of(ChangeKind::Undeleted, ResourceType::Group);
        let told = kinds(&[back, with_group]);
        assert_eq!(told, [claims(Subject::Group("x".to_owned()))]);
    }

    #[test]
    fn a_connections_own_credential_is_nobodys() {
        let own = Change {
            owner: Some("connection".to_owned()),
            ..of(ChangeKind::Deleted, ResourceType::Token)
        };
        assert_eq!(kinds(std::slice::from_ref(&own)), []);
        let bound = Change {
            user_id: Some("ada".to_owned()),
            ..own
        };
        assert_eq!(signals(&[bound])[0].1.user_id(), Some("ada"));
    }

    #[test]
    fn an_id_is_made_the_same_again_and_only_for_this_signal() {
        let signals = |kind| signals(&[of(kind, ResourceType::User)]).remove(0).1;
        let (ended, back) = (
            signals(ChangeKind::AccessEnded),
            signals(ChangeKind::AccessRestored),
        );
        let (one, two) = (transaction_id("e", "t", 1), transaction_id("e", "t", 2));
        assert_eq!(ended.id(&one), ended.id(&one));
        assert_ne!(ended.id(&one), ended.id(&two));
        assert_ne!(ended.id(&one), back.id(&one));
    }

    #[test]
    fn changes_of_older_versions_are_still_read() {
        let row = r#"{"kind":"access_ended","resource_type":"user","resource_id":"x","version":3,"active":false}"#;
        let change: Change = serde_json::from_str(row).expect("a change");
        assert_eq!(kinds(&[change]), [(SignalKind::AccountDisabled, ada())]);
    }
}
