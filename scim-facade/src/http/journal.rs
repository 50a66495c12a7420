//! What requests came to, for the log of their connection.
//!
//! A [`Note`] goes with every request; handlers write down what they learn. When
//! the answer is known the directory is told, with the caller's own credential:
//! the facade has no rights of its own. Names of attributes are told, never their
//! values: of a lookup not what was looked for, of an error not what stands in
//! quotes, unless it is a word of SCIM. `tell` sees to it that the directory hears of
//! every request that it let in, also when nobody waits for the answer any more.

use std::{
    mem,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use axum::http::Method;
use muster_proto::{
    reason,
    schema::{ResourceType, USER},
    v1::{self, ProvisioningEvent, ProvisioningOperation as Kind, WriteOutcome},
};

use super::{
    list::Of,
    profile::Profile,
    routes::{Operation, Verb},
};
use crate::scim::{
    error::{ScimError, ScimType},
    filter::Filter,
    flavor::{Accents, Met},
    path::{Definition, Path},
};

mod tell;

pub(super) use self::tell::{Part, Teller, stray};

/// Words in quotes that are nobody's: an error that names them may be kept whole. So
/// are the types that elements of the core schema have.
const WORDS: [&str; 9] = [
    "add", "replace", "remove", "User", "Group", "value", "True", "False", "",
];

/// What is known of a request so far.
pub(super) struct Note {
    began: Instant,
    method: Method,
    operation: Kind,
    resource_type: v1::ResourceType,
    /// Whether its caller, once he has been let in, provisions anybody.
    provisions: OnceLock<bool>,
    /// Which accents its body and its query have.
    pub(super) met: Met,
    known: Mutex<Known>,
    /// Events of its parts.
    parts: Mutex<Vec<ProvisioningEvent>>,
}

#[derive(Default)]
struct Known {
    resource_id: String,
    external_id: String,
    filtered: Vec<String>,
    report: Option<v1::WriteReport>,
    members: v1::MemberCounts,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Note {
    /// Of a request that arrives now, about the resource with this id.
    pub(super) fn new(operation: Operation, method: &Method, id: &str) -> Self {
        let (operation, resource_type) = about(operation);
        let note = Self::of(operation, resource_type, method);
        if resource_type != v1::ResourceType::Unspecified {
            lock(&note.known).resource_id = id.to_owned();
        }
        note
    }

    /// Of a request that no endpoint takes.
    pub(super) fn stray(method: &Method) -> Self {
        let operation = match *method {
            Method::GET | Method::HEAD => Kind::Lookup,
            _ => Kind::Unspecified,
        };
        Self::of(operation, v1::ResourceType::Unspecified, method)
    }

    fn of(operation: Kind, resource_type: v1::ResourceType, method: &Method) -> Self {
        Self {
            began: Instant::now(),
            method: method.clone(),
            provisions: OnceLock::new(),
            operation,
            resource_type,
            met: Met::default(),
            known: Mutex::default(),
            parts: Mutex::default(),
        }
    }

    /// The directory let the caller in, whose connection has this profile: who
    /// speaks in a user's name provisions nobody.
    pub(super) fn admitted(&self, profile: &Profile) {
        self.provisions.get_or_init(|| profile.user_id.is_none());
    }

    /// The request is read anew.
    pub(super) fn restart(&self) {
        self.met.clear();
        lock(&self.known).filtered.clear();
    }

    /// As what the client knows the resource.
    pub(super) fn named(&self, external_id: &str) {
        lock(&self.known).external_id = external_id.to_owned();
    }

    /// The resource that it is about.
    pub(super) fn on(&self, id: &str) {
        lock(&self.known).resource_id = id.to_owned();
    }

    /// The user of an answer.
    pub(super) fn user(&self, user: Option<&v1::User>) {
        if let Some(user) = user {
            self.found(&user.id, &user.external_id);
        }
    }

    /// The group of an answer.
    pub(super) fn group(&self, group: Option<&v1::Group>) {
        if let Some(group) = group {
            self.found(&group.id, &group.external_id);
        }
    }

    fn found(&self, id: &str, external_id: &str) {
        let mut known = lock(&self.known);
        id.clone_into(&mut known.resource_id);
        if !external_id.is_empty() {
            external_id.clone_into(&mut known.external_id);
        }
    }

    /// What a write came to.
    pub(super) fn came_to(&self, report: Option<v1::WriteReport>) {
        lock(&self.known).report = report;
    }

    /// What became of the members that a write named.
    pub(super) fn members(&self, counts: Option<v1::MemberCounts>) {
        lock(&self.known).members = counts.unwrap_or_default();
    }

    /// The attributes that a filter asks for, as far as anybody knows them.
    pub(super) fn filtered(
        &self,
        filter: &Filter,
        types: &[&'static ResourceType],
        accents: Accents<'_>,
    ) {
        let mut paths = Vec::new();
        collect(filter, &mut paths);
        let mut known = lock(&self.known);
        for path in paths {
            let mut types = types.iter();
            let found = types.find_map(|kind| path.resolve(kind, accents));
            let found = found.filter(|found| found.definition != Definition::Unregistered);
            let name = found.map(|found| found.to_string()).unwrap_or_default();
            if !name.is_empty() && !known.filtered.contains(&name) {
                known.filtered.push(name);
            }
        }
    }

    /// Adds the event of a part.
    pub(super) fn part(&self, event: ProvisioningEvent) {
        lock(&self.parts).push(event);
    }

    /// What the request came to.
    pub(super) fn event(
        &self,
        status: u16,
        error: Option<&ScimError>,
        request_id: &str,
    ) -> ProvisioningEvent {
        let known = mem::take(&mut *lock(&self.known));
        let report = known.report.unwrap_or_default();
        if report.held {
            metrics::counter!("scim_held_deactivations_total").increment(1);
        }
        let mut event = ProvisioningEvent {
            operation: match (self.operation, report.held) {
                // That he waits inactive is not what was asked for.
                (Kind::Delete, true) => Kind::Delete.into(),
                (asked, _) => outcome(asked, report.outcome()).into(),
            },
            method: self.method.to_string(),
            resource_type: self.resource_type.into(),
            resource_id: known.resource_id,
            external_id: known.external_id,
            http_status: status.into(),
            changed_attributes: report.changed_attributes,
            ignored: report.ignored,
            accents: self.met.accents().map(|a| a.as_str().to_owned()).collect(),
            filtered_attributes: known.filtered,
            matched_by: report.matched_by,
            held: report.held,
            members_added: known.members.added,
            members_removed: known.members.removed,
            latency: prost_types::Duration::try_from(self.began.elapsed()).ok(),
            request_id: request_id.to_owned(),
            ..ProvisioningEvent::default()
        };
        if let Some(error) = error {
            let reason = error.reason().and_then(reason::parse);
            event.reason = reason.unwrap_or_default().into();
            event.scim_type = error.scim_type().map_or("", ScimType::as_str).to_owned();
            event.attribute = without_quotes(error.attribute());
            event.detail = without_quotes(error.detail());
        }
        event
    }

    /// What the request came to, or what its parts did: those of a bulk are what
    /// requests of their own would be.
    fn events(&self, status: u16, error: Option<&ScimError>, id: &str) -> Vec<ProvisioningEvent> {
        let mut events = mem::take(&mut *lock(&self.parts));
        if events.is_empty() || error.is_some() {
            events.push(self.event(status, error, id));
        }
        events
    }
}

/// What an operation asks for, and of what.
fn about(operation: Operation) -> (Kind, v1::ResourceType) {
    use v1::ResourceType::{Group, Unspecified, User};
    let asked = |verb| match verb {
        Verb::Create => Kind::Create,
        Verb::Get => Kind::Lookup,
        Verb::Replace | Verb::Patch => Kind::Update,
        Verb::Delete => Kind::Delete,
    };
    match operation {
        Operation::Users(verb) | Operation::Me(verb) => (asked(verb), User),
        Operation::Groups(verb) => (asked(verb), Group),
        Operation::List(of) | Operation::Search(of) => match of {
            Of::Users => (Kind::Lookup, User),
            Of::Groups => (Kind::Lookup, Group),
            Of::Both => (Kind::Lookup, Unspecified),
        },
        Operation::Bulk => (Kind::Unspecified, Unspecified),
        Operation::ResourceTypes
        | Operation::ResourceType
        | Operation::Schemas
        | Operation::Schema => (Kind::Lookup, Unspecified),
    }
}

/// What was done, where it was told, else what was asked for.
fn outcome(asked: Kind, told: WriteOutcome) -> Kind {
    match told {
        WriteOutcome::Unspecified => asked,
        WriteOutcome::Unchanged => Kind::Skip,
        WriteOutcome::Created => Kind::Create,
        WriteOutcome::Updated => Kind::Update,
        WriteOutcome::Disabled => Kind::Disable,
        WriteOutcome::Enabled => Kind::Enable,
        WriteOutcome::Deleted => Kind::Delete,
    }
}

/// The attributes of a resource in a filter; elements of one go by its name.
fn collect<'a>(filter: &'a Filter, paths: &mut Vec<&'a Path>) {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().for_each(|one| collect(one, paths)),
        Filter::Not(filter) => collect(filter, paths),
        Filter::Compare(path, ..) | Filter::Present(path) | Filter::Element(path, _) => {
            paths.push(path);
        }
    }
}

/// The text without what the client may have put there: what is in quotes, in which a
/// backslash stands before a quote that does not end it.
fn without_quotes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once('"') {
        kept.push_str(before);
        let end = closing(quoted);
        let piece = quoted.get(..end).unwrap_or(quoted);
        kept.push('"');
        kept.push_str(if is_word(piece) { piece } else { "…" });
        rest = match quoted.get(end + 1..) {
            Some(rest) => {
                kept.push('"');
                rest
            }
            None => "",
        };
    }
    kept.push_str(rest);
    kept
}

/// Whether a text in quotes is a word of SCIM: `work` in `emails[type eq "work"]`.
fn is_word(text: &str) -> bool {
    let parts = USER.core.attributes.iter().flat_map(|a| a.sub_attributes);
    let mut types = parts.flat_map(|part| part.canonical_values);
    WORDS.contains(&text) || types.any(|kind| *kind == text)
}

/// Where the quote is that ends a text; behind it when there is none.
fn closing(quoted: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::{filter, flavor::Flavor};

    #[test]
    fn what_stands_in_quotes_is_left_out() {
        for (text, kept) in [
            (
                r#"sortBy: "ada@x" is no attribute."#,
                r#"sortBy: "…" is no attribute."#,
            ),
            (
                r#"op must be "add" or "remove"."#,
                r#"op must be "add" or "remove"."#,
            ),
            (r#"an end "without"#, r#"an end "…"#),
            (r#""a\"ada@x" and "b""#, r#""…" and "…""#),
            (r#"a backslash "\\" ends"#, r#"a backslash "…" ends"#),
            (
                r#"emails[type eq "work"].value and [type eq "ada"]"#,
                r#"emails[type eq "work"].value and [type eq "…"]"#,
            ),
            ("plain", "plain"),
        ] {
            assert_eq!(without_quotes(text), kept);
        }
    }

    #[test]
    fn of_a_filter_the_names_are_told() {
        let note = Note::new(Operation::List(Of::Users), &Method::GET, "");
        let text = r#"USERNAME eq "ada@x" and (emails[type eq "work"] or manager eq "m"
            or not (userName sw "a") or nick pr or urn:x:ada pr)"#;
        let text = text.replace('\n', "");
        let accents = Flavor::Entra.accents();
        let tree = filter::parse(&text, accents).expect("a filter");
        note.filtered(&tree, &[&USER], accents);
        let event = note.event(200, None, "r");
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        assert_eq!(event.filtered_attributes, ["userName", "emails", manager]);
        assert_eq!(event.operation(), Kind::Lookup);
    }

    #[test]
    fn what_was_done_counts_more_than_what_was_asked_for() {
        let told = |outcome: Option<WriteOutcome>| {
            let note = Note::new(Operation::Users(Verb::Patch), &Method::PATCH, "i");
            note.came_to(outcome.map(|outcome| v1::WriteReport {
                outcome: outcome.into(),
                ..v1::WriteReport::default()
            }));
            note.event(200, None, "").operation()
        };
        assert_eq!(told(None), Kind::Update);
        assert_eq!(told(Some(WriteOutcome::Disabled)), Kind::Disable);
        assert_eq!(told(Some(WriteOutcome::Unchanged)), Kind::Skip);
    }

    #[test]
    fn a_deletion_that_waits_is_a_deletion() {
        let note = Note::new(Operation::Users(Verb::Delete), &Method::DELETE, "i");
        note.came_to(Some(v1::WriteReport {
            outcome: WriteOutcome::Disabled.into(),
            held: true,
            ..v1::WriteReport::default()
        }));
        let event = note.event(204, None, "");
        assert_eq!((event.operation(), event.held), (Kind::Delete, true));
    }

    #[test]
    fn a_bulk_is_its_parts_unless_it_fails() {
        let bulk = || {
            let note = Note::new(Operation::Bulk, &Method::POST, "");
            note.part(ProvisioningEvent::default());
            note
        };
        assert_eq!(bulk().events(200, None, "").len(), 1);
        let error = ScimError::unavailable();
        assert_eq!(bulk().events(503, Some(&error), "").len(), 2);
        let empty = Note::new(Operation::Bulk, &Method::POST, "");
        assert_eq!(empty.events(200, None, "").len(), 1);
    }
}
