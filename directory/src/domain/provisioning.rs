//! The provisioning log: what a request of a provisioning client came to.
//!
//! An event has names of attributes and never their values. What comes from
//! outside is cut and cleaned here ([`Event::clean`]), before it waits to be
//! written.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::resource::ResourceKind;

/// From which status on a request has failed.
const FAILURES: u16 = 400;

/// Status of what became of a deactivation that waited: it is no request's.
pub const RESOLVED: u16 = 0;

/// Longest detail, in characters.
const DETAIL_LIMIT: usize = 500;

/// Longest other text, in characters.
const TEXT_LIMIT: usize = 200;

/// Most entries of a list.
const LIST_LIMIT: usize = 100;

/// Most bytes of all lists of an event: whoever sends events keeps no books here.
const LISTS_LIMIT: usize = 8 * 1_024;

/// What a request was about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Operation {
    /// Neither of these, or nobody can tell.
    #[default]
    Other = 0,
    /// Make a resource.
    Create = 1,
    /// Change one.
    Update = 2,
    /// An active user no longer is.
    Disable = 3,
    /// An inactive user is active again.
    Enable = 4,
    /// Take a resource away.
    Delete = 5,
    /// A write that changed nothing.
    Skip = 6,
    /// A read, a list, or a question about the server itself.
    Lookup = 7,
}

impl Operation {
    /// Every operation, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Other,
        Self::Create,
        Self::Update,
        Self::Disable,
        Self::Enable,
        Self::Delete,
        Self::Skip,
        Self::Lookup,
    ];

    /// The one with this number; [`Operation::Other`] for one that is not known.
    pub fn of(number: i64) -> Self {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|operation| *operation as i64 == number);
        found.unwrap_or_default()
    }

    /// Name in what commands print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Create => "create",
            Self::Update => "update",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Delete => "delete",
            Self::Skip => "skip",
            Self::Lookup => "lookup",
        }
    }
}

/// What a connection's policy left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// A SCIM path.
    pub path: String,
    /// Why, in words.
    pub reason: String,
}

/// What an event tells beyond what is searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Of HTTP.
    pub method: String,
    /// What the client was told.
    pub detail: String,
    /// Names of the attributes whose values differ.
    pub changed: Vec<String>,
    /// What the connection's policy left out.
    pub ignored: Vec<LeftOut>,
    /// Deviations from the RFCs that were understood.
    pub accents: Vec<String>,
    /// The attributes that the filter of a lookup asks for.
    pub filtered: Vec<String>,
    /// By which attribute an existing user was found and taken over.
    pub matched_by: String,
    /// Whether the deactivation or deletion waits for an operator.
    pub held: bool,
    /// How many members a group got.
    pub members_added: i32,
    /// How many members a group lost.
    pub members_removed: i32,
    /// From the first byte to the answer, in microseconds.
    pub latency_us: i64,
}

/// What one request came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// UUIDv7; the order of ids is the order of time.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Whose log it is in.
    pub tenant_id: String,
    /// Of which provisioning client.
    pub connection_id: String,
    /// With what it came.
    pub credential_id: String,
    /// What happened, as [`Event::happened`] tells it.
    pub name: String,
    /// What it was about.
    pub operation: Operation,
    /// What it was about: `None` for neither a user nor a group.
    pub kind: Option<ResourceKind>,
    /// Empty where no resource was named by an id of ours.
    pub resource_id: String,
    /// The client's own identifier, where it is known.
    pub external_id: String,
    /// Of HTTP, or [`RESOLVED`].
    pub status: u16,
    /// Keyword of RFC 7644 table 9.
    pub scim_type: String,
    /// Name of the directory's reason.
    pub reason: String,
    /// The attribute that was refused.
    pub attribute: String,
    /// By what logs and the audit name the request.
    pub request_id: String,
    /// The rest.
    pub details: Details,
}

impl Event {
    /// Whether the client was told of an error.
    pub fn failed(&self) -> bool {
        self.status >= FAILURES
    }

    /// What happened to a user or a group, by the name that WeftID gave such
    /// events; empty where nothing did. Whose deactivation waits still acts, and who
    /// was found as he is to be was received without a change.
    pub fn happened(&self) -> &'static str {
        use ResourceKind::{Group, User};
        let details = &self.details;
        let only_members = details.changed.iter().all(|name| name == "members");
        match (self.kind, self.operation) {
            _ if self.failed() || details.held => "",
            // It was dropped: to him nothing happened.
            (_, Operation::Enable) if self.status == RESOLVED => "",
            (Some(User), Operation::Create) => "scim_user_received",
            (Some(User), _) if !details.matched_by.is_empty() => "scim_user_received",
            (Some(User), Operation::Update) => "scim_user_updated",
            (Some(User), Operation::Disable) => "scim_user_deactivated",
            (Some(User), Operation::Enable) => "scim_user_reactivated",
            (Some(User), Operation::Delete) => "scim_user_deleted",
            (Some(Group), Operation::Create) => "scim_group_received",
            (Some(Group), Operation::Update) => {
                match (details.members_added, details.members_removed) {
                    (1.., 0) if only_members => "scim_group_member_added",
                    (0, 1..) if only_members => "scim_group_member_removed",
                    _ => "scim_group_updated",
                }
            }
            (Some(Group), Operation::Delete) => "scim_group_deleted",
            _ => "",
        }
    }

    /// The event as it may be kept: an id that is none of ours may be anything, a
    /// name above all, and texts have their limits.
    #[must_use]
    pub fn clean(mut self) -> Self {
        if Uuid::try_parse(&self.resource_id).is_err() {
            self.resource_id.clear();
        }
        let details = &mut self.details;
        trim(&mut details.detail, DETAIL_LIMIT);
        for text in [
            &mut self.external_id,
            &mut self.scim_type,
            &mut self.reason,
            &mut self.attribute,
            &mut self.request_id,
            &mut details.method,
            &mut details.matched_by,
        ] {
            trim(text, TEXT_LIMIT);
        }
        let mut left = LISTS_LIMIT;
        for list in [
            &mut details.changed,
            &mut details.accents,
            &mut details.filtered,
        ] {
            list.truncate(LIST_LIMIT);
            list.iter_mut().for_each(|text| trim(text, TEXT_LIMIT));
            list.retain(|text| takes(&mut left, text.len()));
        }
        details.ignored.truncate(LIST_LIMIT);
        for left_out in &mut details.ignored {
            trim(&mut left_out.path, TEXT_LIMIT);
            trim(&mut left_out.reason, TEXT_LIMIT);
        }
        let ignored = &mut details.ignored;
        ignored.retain(|one| takes(&mut left, one.path.len() + one.reason.len()));
        self.name = self.happened().to_owned();
        self
    }
}

/// Whether there is room for so many bytes, which are then taken.
fn takes(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

/// Cuts a text, and takes out what no line of a log has; not every database keeps
/// a NUL.
fn trim(text: &mut String, limit: usize) {
    text.retain(|c| !c.is_control());
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
    }
}

/// The least id that something made at this time or later can have: a UUIDv7
/// begins with its time. Milliseconds since the Unix epoch.
pub fn first_id_at(ms: i64) -> String {
    let ms = ms.clamp(0, 0xffff_ffff_ffff);
    format!(
        "{:08x}-{:04x}-7000-8000-000000000000",
        ms >> 16,
        ms & 0xffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: ResourceKind, operation: Operation) -> Event {
        Event {
            kind: Some(kind),
            operation,
            status: 200,
            ..Event::default()
        }
    }

    #[test]
    fn an_event_is_no_larger_than_what_it_is_for() {
        let long = || vec!["x".repeat(1_000); 1_000];
        let event = Event {
            details: Details {
                changed: long(),
                accents: long(),
                filtered: long(),
                detail: "d".repeat(100_000),
                ..Details::default()
            },
            ..Event::default()
        };
        let json = serde_json::to_string(&event.clean().details);
        assert!(json.is_ok_and(|json| json.len() < 2 * LISTS_LIMIT));
    }

    #[test]
    fn events_have_the_names_that_others_gave_them() {
        use Operation as O;
        let user = |operation| event(ResourceKind::User, operation).happened();
        assert_eq!(user(O::Create), "scim_user_received");
        assert_eq!(user(O::Update), "scim_user_updated");
        assert_eq!(user(O::Disable), "scim_user_deactivated");
        assert_eq!(user(O::Enable), "scim_user_reactivated");
        assert_eq!(user(O::Delete), "scim_user_deleted");
        assert_eq!(
            (user(O::Skip), user(O::Lookup), user(O::Other)),
            ("", "", "")
        );
        let group = |operation| event(ResourceKind::Group, operation).happened();
        assert_eq!(group(O::Create), "scim_group_received");
        assert_eq!(group(O::Update), "scim_group_updated");
        assert_eq!(group(O::Delete), "scim_group_deleted");
        let mut taken_over = event(ResourceKind::User, O::Update);
        taken_over.details.matched_by = "userName".to_owned();
        assert_eq!(taken_over.happened(), "scim_user_received");
        taken_over.operation = O::Skip;
        assert_eq!(taken_over.happened(), "scim_user_received");
        taken_over.status = 409;
        assert_eq!(taken_over.happened(), "", "nothing happened");
    }

    #[test]
    fn what_waits_has_not_happened() {
        for operation in [Operation::Disable, Operation::Delete] {
            let mut waits = event(ResourceKind::User, operation);
            waits.details.held = true;
            assert_eq!(waits.happened(), "");
        }
        let resolved = |operation| {
            let resolved = Event {
                status: RESOLVED,
                ..event(ResourceKind::User, operation)
            };
            resolved.happened()
        };
        assert_eq!(resolved(Operation::Disable), "scim_user_deactivated");
        assert_eq!(resolved(Operation::Delete), "scim_user_deleted");
        assert_eq!(resolved(Operation::Enable), "", "it was dropped");
    }

    #[test]
    fn members_that_come_or_go_are_told_apart() {
        let told = |added, removed, changed: &[&str]| {
            let mut event = event(ResourceKind::Group, Operation::Update);
            event.details.members_added = added;
            event.details.members_removed = removed;
            event.details.changed = changed.iter().map(|&name| name.to_owned()).collect();
            event.happened()
        };
        assert_eq!(told(2, 0, &["members"]), "scim_group_member_added");
        assert_eq!(told(0, 1, &["members"]), "scim_group_member_removed");
        assert_eq!(told(1, 1, &["members"]), "scim_group_updated");
        assert_eq!(
            told(1, 0, &["displayName", "members"]),
            "scim_group_updated"
        );
    }

    #[test]
    fn what_is_kept_is_cut_and_clean() {
        let dirty = Event {
            resource_id: "ada@example.test".to_owned(),
            external_id: "a\0b\n".to_owned(),
            details: Details {
                detail: "é".repeat(DETAIL_LIMIT + 1),
                accents: vec!["a".repeat(TEXT_LIMIT + 1); 3],
                filtered: vec!["f".to_owned(); LIST_LIMIT + 1],
                ..Details::default()
            },
            ..Event::default()
        };
        let clean = dirty.clean();
        assert_eq!(clean.resource_id, "");
        assert_eq!(clean.external_id, "ab");
        assert_eq!(clean.details.detail.chars().count(), DETAIL_LIMIT);
        assert_eq!(clean.details.accents, vec!["a".repeat(TEXT_LIMIT); 3]);
        assert_eq!(clean.details.filtered, vec!["f"; LIST_LIMIT]);
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let kept = Event {
            resource_id: id.clone(),
            ..Event::default()
        };
        assert_eq!(kept.clean().resource_id, id);
    }

    #[test]
    fn ids_of_a_time_are_behind_its_first() {
        let first = first_id_at(0x0189_0a5d_ac96);
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(first.as_str() <= id && id < first_id_at(0x0189_0a5d_ac97).as_str());
        assert!(first_id_at(-1) < first);
    }

    #[test]
    fn operations_are_known_by_their_numbers() {
        for operation in Operation::ALL {
            assert_eq!(Operation::of(operation as i64), operation);
        }
        assert_eq!(Operation::of(99), Operation::Other);
    }
}
