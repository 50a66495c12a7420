//! Connections and their policies on the wire, in both directions. Whether a policy
//! can be meant is told by `domain::policy`; here it is whether it can be read.

use std::collections::BTreeMap;

use muster_proto::v1;
use prost_types::Duration;

use super::{
    decode,
    encode::{flavor, timestamp},
};
use crate::{
    auth::Caller,
    domain::{
        flavor::Flavor,
        policy::{
            GroupRole, Guard, Kept, LIST_LIMIT, Lifetime, MatchKey, OnDelete, OnMatch, OnOther,
            OnUnknownMember, Path, Policy,
        },
        version::etag,
    },
    error::{Error, Result, Violation},
    service::ConnectionEdit,
    storage::tenants::Connection,
};

const GUARD_WINDOW: &str = "deprovision_guard.window";

/// The new connection that is wanted: its name, and the rest.
pub(super) fn new_connection(
    connection: Option<v1::Connection>,
) -> Result<(String, ConnectionEdit)> {
    let connection = connection.ok_or(Error::Required("connection"))?;
    let name = connection.display_name.clone();
    let edit = edit(connection, &["flavor", "policy"])?;
    Ok((name, edit))
}

/// The change of a connection that is wanted: its id, and what is to change.
pub(super) fn update(request: v1::UpdateConnectionRequest) -> Result<(String, ConnectionEdit)> {
    let connection = request.connection.ok_or(Error::Required("connection"))?;
    let id = connection.id.clone();
    let paths = request.update_mask.unwrap_or_default().paths;
    let fields = match paths.is_empty() {
        true => fields_set(&connection),
        false => fields_named(&paths)?,
    };
    let edit = ConnectionEdit {
        precondition: decode::precondition(request.options.as_ref()),
        ..edit(connection, &fields)?
    };
    Ok((id, edit))
}

/// What can change of a connection.
const FIELDS: [&str; 3] = ["display_name", "flavor", "policy"];

fn fields_set(connection: &v1::Connection) -> Vec<&'static str> {
    let is_set = |field: &&str| match *field {
        "display_name" => !connection.display_name.is_empty(),
        "flavor" => connection.flavor != 0,
        _ => connection.policy.is_some(),
    };
    FIELDS.into_iter().filter(is_set).collect()
}

fn fields_named(paths: &[String]) -> Result<Vec<&'static str>> {
    let known = |path: &String| FIELDS.into_iter().find(|field| field == path);
    let unknown = |path: &String| {
        let rule = format!("{path:?} is none of {}", FIELDS.join(", "));
        Error::invalid("update_mask", rule)
    };
    let fields = paths
        .iter()
        .map(|path| known(path).ok_or_else(|| unknown(path)));
    fields.collect()
}

/// These fields of a connection.
fn edit(connection: v1::Connection, fields: &[&str]) -> Result<ConnectionEdit> {
    let mut reader = Reader::default();
    let mut edit = ConnectionEdit::default();
    if fields.contains(&"display_name") {
        edit.name = Some(connection.display_name);
    }
    if fields.contains(&"flavor") {
        edit.flavor = Some(reader.word("flavor", connection.flavor, flavor_of));
    }
    if fields.contains(&"policy") {
        edit.policy = Some(reader.policy(connection.policy.unwrap_or_default()));
    }
    reader.finish(edit)
}

/// A connection as this caller may see it: whoever may read his own alone is the
/// client that its guards are for.
pub(super) fn connection_for(caller: &Caller, mut found: Connection) -> v1::Connection {
    if !caller.scopes.has("provisioning.read") {
        found.policy.protected_users.clear();
        found.policy.deprovision_guard = None;
    }
    connection(found)
}

/// A connection with its whole policy.
pub(super) fn connection(connection: Connection) -> v1::Connection {
    v1::Connection {
        id: connection.id,
        display_name: connection.name,
        flavor: flavor(connection.flavor).into(),
        policy: Some(policy(connection.policy)),
        meta: Some(v1::ResourceMeta {
            etag: etag(connection.version),
            version: connection.version,
            create_time: Some(timestamp(connection.created_at)),
            update_time: Some(timestamp(connection.updated_at)),
            delete_time: None,
            purge_time: None,
        }),
    }
}

/// A policy, with every choice named.
fn policy(policy: Policy) -> v1::ConnectionPolicy {
    // Field by field, so that none is forgotten.
    let Policy {
        groups_enabled,
        match_order,
        on_match,
        match_deleted,
        match_foreign,
        never_overwrite,
        required_attributes,
        allowed_attributes,
        on_other_attributes,
        rejected_attributes,
        user_name_immutable,
        emails,
        phone_numbers,
        lookups,
        mirror,
        default_groups,
        create_default_groups,
        on_delete,
        on_unknown_member,
        members_by_external_id,
        credential_lifetime,
        credential_limit,
        require_activation,
        group_roles,
        base_path,
        deprovision_guard,
        protected_users,
        require_email,
    } = policy;
    v1::ConnectionPolicy {
        groups_enabled: Some(groups_enabled),
        match_order: match_order
            .into_iter()
            .map(|key| wire_key(key).into())
            .collect(),
        on_match: wire_match(on_match).into(),
        match_deleted,
        match_foreign,
        never_overwrite: texts(&never_overwrite),
        required_attributes: texts(&required_attributes),
        allowed_attributes: texts(&allowed_attributes),
        on_other_attributes: wire_other(on_other_attributes).into(),
        rejected_attributes: texts(&rejected_attributes),
        user_name_immutable,
        emails: wire_kept(emails).into(),
        phone_numbers: wire_kept(phone_numbers).into(),
        lookups: lookups.into_iter().map(wire_lookup).collect(),
        mirror: mirror.into_iter().map(wire_mirror).collect(),
        default_groups,
        create_default_groups,
        on_delete: wire_delete(on_delete).into(),
        on_unknown_member: wire_unknown_member(on_unknown_member).into(),
        members_by_external_id: Some(members_by_external_id),
        credential_lifetime: credential_lifetime.map(span),
        credential_limit,
        require_activation,
        group_roles: group_roles.into_iter().map(wire_role).collect(),
        base_path: base_path.unwrap_or_default(),
        deprovision_guard: deprovision_guard.map(wire_guard),
        protected_users,
        require_email,
    }
}

fn texts(paths: &[Path]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn wire_lookup((path, values): (Path, Vec<String>)) -> v1::AttributeLookup {
    v1::AttributeLookup {
        attribute: path.to_string(),
        values,
    }
}

fn wire_mirror((from, to): (Path, Path)) -> v1::AttributeMirror {
    v1::AttributeMirror {
        from: from.to_string(),
        to: to.to_string(),
    }
}

fn wire_role(GroupRole { group, role }: GroupRole) -> v1::GroupRole {
    v1::GroupRole { group, role }
}

fn wire_guard(guard: Guard) -> v1::DeprovisionGuard {
    let Guard {
        max_users,
        max_percent,
        min_users,
        window,
        max_hold,
    } = guard;
    v1::DeprovisionGuard {
        max_users,
        max_percent,
        min_users: Some(min_users),
        window: Some(span(window)),
        max_hold: Some(span(max_hold)),
    }
}

fn span(lifetime: Lifetime) -> Duration {
    let ms = lifetime.ms();
    Duration {
        seconds: ms / 1_000,
        // Less than a second in nanoseconds fits 32 bits.
        nanos: i32::try_from(ms % 1_000 * 1_000_000).unwrap_or_default(),
    }
}

fn wire_key(key: MatchKey) -> v1::MatchKey {
    match key {
        MatchKey::ExternalId => v1::MatchKey::ExternalId,
        MatchKey::UserName => v1::MatchKey::UserName,
        MatchKey::WorkEmail => v1::MatchKey::WorkEmail,
        MatchKey::EmployeeNumber => v1::MatchKey::EmployeeNumber,
    }
}

fn wire_match(action: OnMatch) -> v1::MatchAction {
    match action {
        OnMatch::Conflict => v1::MatchAction::Conflict,
        OnMatch::Adopt => v1::MatchAction::Adopt,
        OnMatch::Merge => v1::MatchAction::Merge,
    }
}

fn wire_other(action: OnOther) -> v1::OtherAttributesAction {
    match action {
        OnOther::Ignore => v1::OtherAttributesAction::Ignore,
        OnOther::Reject => v1::OtherAttributesAction::Reject,
    }
}

fn wire_kept(kept: Kept) -> v1::KeptValues {
    match kept {
        Kept::All => v1::KeptValues::All,
        Kept::PrimaryOnly => v1::KeptValues::PrimaryOnly,
        Kept::PrimaryOrSingle => v1::KeptValues::PrimaryOrSingle,
    }
}

fn wire_delete(action: OnDelete) -> v1::DeleteAction {
    match action {
        OnDelete::Soft => v1::DeleteAction::SoftDelete,
        OnDelete::Deactivate => v1::DeleteAction::Deactivate,
        OnDelete::Hard => v1::DeleteAction::HardDelete,
    }
}

fn wire_unknown_member(action: OnUnknownMember) -> v1::UnknownMemberAction {
    match action {
        OnUnknownMember::Reject => v1::UnknownMemberAction::Reject,
        OnUnknownMember::Skip => v1::UnknownMemberAction::Skip,
    }
}

fn flavor_of(word: v1::Flavor) -> Option<Flavor> {
    Some(match word {
        v1::Flavor::Unspecified => Flavor::default(),
        v1::Flavor::Entra => Flavor::Entra,
        v1::Flavor::Okta => Flavor::Okta,
        v1::Flavor::StrictRfc => Flavor::Strict,
    })
}

fn key_of(word: v1::MatchKey) -> Option<MatchKey> {
    match word {
        // It says nothing, and so there is no default.
        v1::MatchKey::Unspecified => None,
        v1::MatchKey::ExternalId => Some(MatchKey::ExternalId),
        v1::MatchKey::UserName => Some(MatchKey::UserName),
        v1::MatchKey::WorkEmail => Some(MatchKey::WorkEmail),
        v1::MatchKey::EmployeeNumber => Some(MatchKey::EmployeeNumber),
    }
}

fn match_of(word: v1::MatchAction) -> Option<OnMatch> {
    Some(match word {
        v1::MatchAction::Unspecified => OnMatch::default(),
        v1::MatchAction::Conflict => OnMatch::Conflict,
        v1::MatchAction::Adopt => OnMatch::Adopt,
        v1::MatchAction::Merge => OnMatch::Merge,
    })
}

fn other_of(word: v1::OtherAttributesAction) -> Option<OnOther> {
    Some(match word {
        v1::OtherAttributesAction::Unspecified => OnOther::default(),
        v1::OtherAttributesAction::Ignore => OnOther::Ignore,
        v1::OtherAttributesAction::Reject => OnOther::Reject,
    })
}

fn kept_of(word: v1::KeptValues) -> Option<Kept> {
    Some(match word {
        v1::KeptValues::Unspecified => Kept::default(),
        v1::KeptValues::All => Kept::All,
        v1::KeptValues::PrimaryOnly => Kept::PrimaryOnly,
        v1::KeptValues::PrimaryOrSingle => Kept::PrimaryOrSingle,
    })
}

fn delete_of(word: v1::DeleteAction) -> Option<OnDelete> {
    Some(match word {
        v1::DeleteAction::Unspecified => OnDelete::default(),
        v1::DeleteAction::SoftDelete => OnDelete::Soft,
        v1::DeleteAction::Deactivate => OnDelete::Deactivate,
        v1::DeleteAction::HardDelete => OnDelete::Hard,
    })
}

fn unknown_member_of(word: v1::UnknownMemberAction) -> Option<OnUnknownMember> {
    Some(match word {
        v1::UnknownMemberAction::Unspecified => OnUnknownMember::default(),
        v1::UnknownMemberAction::Reject => OnUnknownMember::Reject,
        v1::UnknownMemberAction::Skip => OnUnknownMember::Skip,
    })
}

/// Reads on behind what is wrong, so that all of it is told.
#[derive(Default)]
struct Reader(Vec<Violation>);

impl Reader {
    fn policy(&mut self, policy: v1::ConnectionPolicy) -> Policy {
        let v1::ConnectionPolicy {
            groups_enabled,
            match_order,
            on_match,
            match_deleted,
            match_foreign,
            never_overwrite,
            required_attributes,
            allowed_attributes,
            on_other_attributes,
            rejected_attributes,
            user_name_immutable,
            emails,
            phone_numbers,
            lookups,
            mirror,
            default_groups,
            create_default_groups,
            on_delete,
            on_unknown_member,
            members_by_external_id,
            credential_lifetime,
            credential_limit,
            require_activation,
            group_roles,
            base_path,
            deprovision_guard,
            protected_users,
            require_email,
        } = policy;
        let default = Policy::default();
        Policy {
            groups_enabled: groups_enabled.unwrap_or(default.groups_enabled),
            match_order: self.keys(match_order),
            on_match: self.word("on_match", on_match, match_of),
            match_deleted,
            match_foreign,
            never_overwrite: self.paths("never_overwrite", never_overwrite),
            required_attributes: self.paths("required_attributes", required_attributes),
            require_email,
            allowed_attributes: self.paths("allowed_attributes", allowed_attributes),
            on_other_attributes: self.word("on_other_attributes", on_other_attributes, other_of),
            rejected_attributes: self.paths("rejected_attributes", rejected_attributes),
            user_name_immutable,
            emails: self.word("emails", emails, kept_of),
            phone_numbers: self.word("phone_numbers", phone_numbers, kept_of),
            lookups: self.lookups(lookups),
            mirror: self.mirror(mirror),
            default_groups: self.bounded("default_groups", default_groups),
            create_default_groups,
            on_delete: self.word("on_delete", on_delete, delete_of),
            on_unknown_member: self.word("on_unknown_member", on_unknown_member, unknown_member_of),
            members_by_external_id: members_by_external_id
                .unwrap_or(default.members_by_external_id),
            credential_lifetime: self.lifetime("credential_lifetime", credential_lifetime),
            credential_limit,
            require_activation,
            group_roles: self.roles(group_roles),
            base_path: Some(base_path).filter(|path| !path.is_empty()),
            deprovision_guard: deprovision_guard.and_then(|guard| self.guard(guard)),
            protected_users: self.bounded("protected_users", protected_users),
        }
    }

    fn note(&mut self, field: &str, rule: impl Into<String>) {
        self.0.push(Violation::new(field, rule));
    }

    /// A list that is short enough to be read.
    fn bounded<T>(&mut self, field: &str, list: Vec<T>) -> Vec<T> {
        let count = list.len();
        if count <= LIST_LIMIT {
            return list;
        }
        let rule = format!("has {count} values; at most {LIST_LIMIT} are allowed");
        self.note(field, rule);
        Vec::new()
    }

    /// What the number of a choice means.
    fn meaning<W: TryFrom<i32>, T>(
        &mut self,
        field: &str,
        number: i32,
        of: impl FnOnce(W) -> Option<T>,
    ) -> Option<T> {
        let meaning = W::try_from(number).ok().and_then(of);
        if meaning.is_none() {
            self.note(field, format!("has no value with the number {number}"));
        }
        meaning
    }

    fn word<W: TryFrom<i32>, T: Default>(
        &mut self,
        field: &str,
        number: i32,
        of: impl FnOnce(W) -> Option<T>,
    ) -> T {
        self.meaning(field, number, of).unwrap_or_default()
    }

    fn keys(&mut self, numbers: Vec<i32>) -> Vec<MatchKey> {
        const FIELD: &str = "match_order";
        let numbers = self.bounded(FIELD, numbers).into_iter();
        numbers
            .filter_map(|number| self.meaning(FIELD, number, key_of))
            .collect()
    }

    fn path(&mut self, field: &str, text: &str) -> Option<Path> {
        let path = Path::parse(text);
        path.map_err(|rule| self.note(field, rule)).ok()
    }

    fn paths(&mut self, field: &str, texts: Vec<String>) -> Vec<Path> {
        let texts = self.bounded(field, texts).into_iter();
        texts.filter_map(|text| self.path(field, &text)).collect()
    }

    fn lookups(&mut self, lookups: Vec<v1::AttributeLookup>) -> BTreeMap<Path, Vec<String>> {
        const FIELD: &str = "lookups";
        let mut read = BTreeMap::new();
        for v1::AttributeLookup { attribute, values } in self.bounded(FIELD, lookups) {
            let Some(path) = self.path(FIELD, &attribute) else {
                continue;
            };
            if read.insert(path, values).is_some() {
                self.note(FIELD, format!("{attribute} is named twice"));
            }
        }
        read
    }

    fn mirror(&mut self, mirror: Vec<v1::AttributeMirror>) -> BTreeMap<Path, Path> {
        const FIELD: &str = "mirror";
        let mut read = BTreeMap::new();
        for v1::AttributeMirror { from, to } in self.bounded(FIELD, mirror) {
            let sides = (self.path(FIELD, &from), self.path(FIELD, &to));
            let (Some(source), Some(target)) = sides else {
                continue;
            };
            if read.insert(source, target).is_some() {
                self.note(FIELD, format!("{from} is named twice"));
            }
        }
        read
    }

    fn roles(&mut self, roles: Vec<v1::GroupRole>) -> Vec<GroupRole> {
        let roles = self.bounded("group_roles", roles).into_iter();
        roles
            .map(|v1::GroupRole { group, role }| GroupRole { group, role })
            .collect()
    }

    fn lifetime(&mut self, field: &str, span: Option<Duration>) -> Option<Lifetime> {
        let span = span?;
        let lifetime = whole_ms(&span).and_then(|ms| Lifetime::of_ms(ms).ok());
        if lifetime.is_none() {
            let rule = "must be whole milliseconds, at least one, within a thousand years";
            self.note(field, rule);
        }
        lifetime
    }

    fn guard(&mut self, guard: v1::DeprovisionGuard) -> Option<Guard> {
        let v1::DeprovisionGuard {
            max_users,
            max_percent,
            min_users,
            window,
            max_hold,
        } = guard;
        if window.is_none() {
            self.note(GUARD_WINDOW, "is required");
        }
        let window = self.lifetime(GUARD_WINDOW, window);
        let max_hold = self.lifetime("deprovision_guard.max_hold", max_hold);
        let default = Guard::within(window?);
        Some(Guard {
            max_users,
            max_percent,
            min_users: min_users.unwrap_or(default.min_users),
            max_hold: max_hold.unwrap_or(default.max_hold),
            ..default
        })
    }

    fn finish<T>(self, read: T) -> Result<T> {
        match self.0.is_empty() {
            true => Ok(read),
            false => Err(Error::Invalid(self.0)),
        }
    }
}

fn whole_ms(span: &Duration) -> Option<i64> {
    let nanos = i64::from(span.nanos);
    let is_plain = span.seconds >= 0 && (0..1_000_000_000).contains(&nanos);
    if !is_plain || nanos % 1_000_000 != 0 {
        return None;
    }
    span.seconds
        .checked_mul(1_000)?
        .checked_add(nanos / 1_000_000)
}

#[cfg(test)]
mod tests;
