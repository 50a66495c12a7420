//! From the domain to the wire.

use muster_proto::{
    reason,
    resource::{group_from_object, user_from_object},
    schema::Extends,
    v1,
};
use prost_types::Timestamp;

use super::{mask::Mask, personal};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        access::{Inactive, Standing},
        flavor::Flavor,
        history::{Actor, Change, ChangeKind, Edge, Position, ResourceType},
        page::Page,
        report::{Outcome, Report},
        resource::ResourceKind,
        version::etag,
    },
    error::{Error, Result},
    service::{AccessToken, Audited, Counts, Directory, SnapshotPage, Transaction, View},
    storage::{
        held::{Held, HeldOperation},
        members::Member,
        relations::{GroupRef, Relations},
        schemas::TenantSchema,
    },
};

/// A user as this caller sees it. Of locks, which are the operator's, provisioning
/// clients are told nothing.
pub(super) fn user(
    directory: &Directory,
    caller: &Caller,
    view: View,
    mask: &Mask,
) -> Result<v1::User> {
    let View {
        mut resource,
        relations,
    } = view;
    // Before the mask takes away what it hangs on.
    let inactive = resource.inactive();
    mask.apply(&mut resource.attributes);
    let meta = meta(directory, &resource);
    let mut user = user_from_object(resource.attributes).map_err(misfit)?;
    user.id = resource.id;
    user.meta = Some(meta);
    user.effective_active = inactive.is_none() && mask.has("effective_active");
    user.deactivation_held = resource.access.held_at.is_some() && mask.has("deactivation_held");
    let inactive = inactive.filter(|_| mask.has("inactive_reason"));
    user.inactive_reason = reason_for(caller, inactive).into();
    let lock = resource.access.lock.filter(|_| mask.has("admin_lock"));
    let lock = lock.filter(|_| caller.connection().is_none());
    user.admin_lock = lock.map(|lock| v1::AdminLock {
        reason: lock.reason,
        lock_time: Some(timestamp(lock.at)),
    });
    let ended = resource.access.tokens_valid_after;
    let ended = ended.filter(|_| mask.has("tokens_valid_after"));
    user.tokens_valid_after = ended.map(timestamp);
    user.groups = relations.groups.into_iter().map(group_ref).collect();
    if let (Some(enterprise), Some(name)) = (&mut user.enterprise, relations.manager_name) {
        enterprise.manager_display_name = name;
    }
    Ok(user)
}

/// A group that somebody is in.
pub(super) fn group_ref(group: GroupRef) -> v1::GroupRef {
    v1::GroupRef {
        id: group.id,
        display_name: group.display_name,
        indirect: group.indirect,
    }
}

/// Why a user may not act.
pub(super) fn inactive_reason(inactive: Option<Inactive>) -> v1::InactiveReason {
    match inactive {
        None => v1::InactiveReason::Unspecified,
        Some(Inactive::Deprovisioned) => v1::InactiveReason::Deprovisioned,
        Some(Inactive::Locked) => v1::InactiveReason::AdminLocked,
        Some(Inactive::Deleted) => v1::InactiveReason::Deleted,
    }
}

/// The same as this caller is told it: not of locks, where he is a provisioning client.
pub(super) fn reason_for(caller: &Caller, inactive: Option<Inactive>) -> v1::InactiveReason {
    let is_told = |reason: &Inactive| *reason != Inactive::Locked || caller.connection().is_none();
    inactive_reason(inactive.filter(is_told))
}

/// How long callers who do not follow the feed may believe what was said of
/// somebody's access, in seconds.
const ACCESS_TTL_S: i64 = 30;

/// Whether somebody may act; `None`: there is nobody.
pub(super) fn access(caller: &Caller, standing: Option<Standing>) -> v1::AccessStatus {
    let inactive = standing.and_then(|standing| standing.inactive);
    let ended = standing.and_then(|standing| standing.tokens_valid_after);
    v1::AccessStatus {
        effective_active: standing.is_some_and(|standing| standing.may_act()),
        inactive_reason: reason_for(caller, inactive).into(),
        tokens_valid_after: ended.map(timestamp),
        cache_ttl: Some(prost_types::Duration {
            seconds: ACCESS_TTL_S,
            nanos: 0,
        }),
    }
}

/// A group as callers see it.
pub(super) fn group(directory: &Directory, view: View, mask: &Mask) -> Result<v1::Group> {
    let View {
        mut resource,
        relations,
    } = view;
    mask.apply(&mut resource.attributes);
    let meta = meta(directory, &resource);
    let mut group = group_from_object(resource.attributes).map_err(misfit)?;
    group.id = resource.id;
    group.members = relations.members.map(|members| v1::GroupMembers {
        members: members.into_iter().map(member).collect(),
    });
    group.meta = Some(meta);
    Ok(group)
}

/// An access token, its life in whole seconds: none is told to live longer
/// than it does.
pub(super) fn access_token(issued: AccessToken) -> v1::IssueConnectionTokenResponse {
    let seconds = i64::try_from(issued.expires_in.as_secs()).unwrap_or(i64::MAX);
    v1::IssueConnectionTokenResponse {
        access_token: issued.token,
        expires_in: Some(prost_types::Duration { seconds, nanos: 0 }),
    }
}

/// What is stored was conformed to the registry; if it does not fit the
/// message, the registry and the contract have drifted apart.
fn misfit(error: muster_proto::resource::WrongShape) -> Error {
    Error::Internal(error.into())
}

fn meta(directory: &Directory, resource: &Resource) -> v1::ResourceMeta {
    let purged_at = resource.deleted_at.map(|at| directory.purge_time(at));
    v1::ResourceMeta {
        etag: etag(resource.version),
        version: resource.version,
        create_time: Some(timestamp(resource.created_at)),
        update_time: Some(timestamp(resource.updated_at)),
        delete_time: resource.deleted_at.map(timestamp),
        purge_time: purged_at.map(timestamp),
    }
}

/// A moment from milliseconds since the Unix epoch.
pub(super) fn timestamp(ms: i64) -> Timestamp {
    // A remainder of less than a second in nanoseconds fits 32 bits.
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos,
    }
}

/// A member as callers see it.
pub(super) fn member(member: Member) -> v1::GroupMember {
    let reference = match member.kind {
        ResourceKind::User => v1::member_ref::Member::UserId(member.id),
        ResourceKind::Group => v1::member_ref::Member::GroupId(member.id),
    };
    v1::GroupMember {
        member: Some(v1::MemberRef {
            member: Some(reference),
        }),
        display_name: member.display_name,
    }
}

/// Where a list goes on.
pub(super) fn page<T>(directory: &Directory, list: &[u8], page: &Page<T>) -> v1::PageResponse {
    let (cursors, now) = (directory.cursors(), directory.now_ms());
    let token = page.next.as_ref().map(|last| cursors.page(list, last, now));
    v1::PageResponse {
        next_page_token: token.unwrap_or_default(),
        total_size: page.total,
    }
}

/// A point in the caller's tenant's history, for him to come back to.
pub(super) fn revision(directory: &Directory, caller: &Caller, at: &Position) -> v1::Revision {
    v1::Revision {
        token: directory.cursors().revision(&caller.tenant_id, at),
    }
}

/// A deactivation that waits.
pub(super) fn held(held: Held) -> v1::HeldOperation {
    use v1::held_operation::Kind;
    let kind = match held.operation {
        HeldOperation::Deactivate => Kind::Deactivate,
        HeldOperation::Delete => Kind::Delete,
    };
    v1::HeldOperation {
        user_id: held.user_id,
        connection_id: held.connection_id,
        kind: kind.into(),
        hold_time: Some(timestamp(held.held_at)),
        due_time: Some(timestamp(held.due_at)),
        user_name: held.user_name.unwrap_or_default(),
    }
}

/// What a write came to.
pub(super) fn report(report: Report) -> v1::WriteReport {
    let outcome = match report.outcome {
        Outcome::Unchanged => v1::WriteOutcome::Unchanged,
        Outcome::Created => v1::WriteOutcome::Created,
        Outcome::Updated => v1::WriteOutcome::Updated,
        Outcome::Disabled => v1::WriteOutcome::Disabled,
        Outcome::Enabled => v1::WriteOutcome::Enabled,
        Outcome::Deleted => v1::WriteOutcome::Deleted,
    };
    let ignored = report.ignored.into_iter();
    let ignored = ignored.map(|ignored| v1::IgnoredAttribute {
        path: ignored.path,
        reason: ignored.reason.into_owned(),
    });
    v1::WriteReport {
        outcome: outcome.into(),
        changed_attributes: report.changed,
        ignored: ignored.collect(),
        held: report.held,
        matched_by: report.matched_by.unwrap_or_default(),
    }
}

/// What became of the members that a request named.
pub(super) fn counts(counts: Counts) -> v1::MemberCounts {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    v1::MemberCounts {
        added: number(counts.added),
        already_present: number(counts.already_present),
        removed: number(counts.removed),
        not_present: number(counts.not_present),
    }
}

/// What a transaction did, without values.
pub(super) fn batch(caller: &Caller, transaction: &Transaction) -> v1::ChangeBatch {
    let changes = transaction.changes.iter();
    v1::ChangeBatch {
        changes: changes.map(|one| change(caller, one)).collect(),
        transaction_complete: transaction.is_complete,
        commit_time: Some(timestamp(transaction.committed_at)),
        actor: Some(actor(&transaction.actor)),
        request_id: transaction.request_id.clone(),
    }
}

fn change(caller: &Caller, change: &Change) -> v1::Change {
    use v1::change::{Kind, Resource as Shown};
    let kind = match change.kind {
        ChangeKind::Created => Kind::Created,
        ChangeKind::Updated => Kind::Updated,
        ChangeKind::AccessEnded => Kind::AccessEnded,
        ChangeKind::AccessRestored => Kind::AccessRestored,
        ChangeKind::Deleted => Kind::Deleted,
        ChangeKind::Undeleted => Kind::Undeleted,
        ChangeKind::Purged => Kind::Purged,
        ChangeKind::MemberAdded => Kind::MemberAdded,
        ChangeKind::MemberRemoved => Kind::MemberRemoved,
    };
    let membership = change.member_id.as_ref().map(|member_id| {
        Shown::Membership(membership(
            change.resource_id.clone(),
            member_id.clone(),
            change.member_is_group,
        ))
    });
    v1::Change {
        kind: kind.into(),
        r#type: resource_type(change.resource_type).into(),
        resource_id: change.resource_id.clone(),
        version: change.version,
        changed_attributes: change.changed_attributes.clone(),
        effective_active: change.active.unwrap_or_default(),
        tokens_valid_after: change.tokens_valid_after.map(timestamp),
        inactive_reason: reason_for(caller, change.inactive).into(),
        resource: membership,
    }
}

fn membership(group_id: String, member_id: String, is_group: bool) -> v1::Membership {
    let member = match is_group {
        true => v1::member_ref::Member::GroupId(member_id),
        false => v1::member_ref::Member::UserId(member_id),
    };
    v1::Membership {
        group_id,
        member: Some(v1::MemberRef {
            member: Some(member),
        }),
    }
}

/// What a connection goes by.
pub(super) fn profile(caller: Caller, schemas: Vec<TenantSchema>) -> v1::GetProfileResponse {
    let shows_personal_data = personal::sees_all(&caller);
    let profile = caller.profile;
    v1::GetProfileResponse {
        profile: profile.tag(),
        flavor: flavor(profile.flavor).into(),
        schemas: schemas.into_iter().map(schema).collect(),
        user_id: profile.user_id.unwrap_or_default(),
        unnameable_attributes: profile.policy.unnameable().map(Into::into).collect(),
        shows_personal_data,
    }
}

/// How far a client deviates from the standard.
pub(super) fn flavor(flavor: Flavor) -> v1::Flavor {
    match flavor {
        Flavor::Entra => v1::Flavor::Entra,
        Flavor::Okta => v1::Flavor::Okta,
        Flavor::Strict => v1::Flavor::StrictRfc,
    }
}

/// A schema of a tenant.
pub(super) fn schema(schema: TenantSchema) -> v1::ExtensionSchema {
    let extends = match schema.extends {
        Extends::User => v1::ResourceType::User,
        Extends::Group => v1::ResourceType::Group,
    };
    v1::ExtensionSchema {
        resource_type: extends.into(),
        update_time: Some(timestamp(schema.updated_at)),
        ..schema.definition.into()
    }
}

fn resource_type(resource_type: ResourceType) -> v1::ResourceType {
    match resource_type {
        ResourceType::Unknown => v1::ResourceType::Unspecified,
        ResourceType::User => v1::ResourceType::User,
        ResourceType::Group => v1::ResourceType::Group,
        ResourceType::Membership => v1::ResourceType::Membership,
        ResourceType::Token => v1::ResourceType::Token,
        ResourceType::Connection => v1::ResourceType::Connection,
        ResourceType::Schema => v1::ResourceType::Schema,
        ResourceType::SigningKey => v1::ResourceType::SigningKey,
        ResourceType::Client => v1::ResourceType::ServiceClient,
    }
}

pub(super) fn actor(actor: &Actor) -> v1::Actor {
    use v1::actor::Actor as Who;
    let who = match actor {
        Actor::Connection { connection_id, .. } => Who::ConnectionId(connection_id.clone()),
        Actor::Client { client_id } => Who::ServiceClientId(client_id.clone()),
        Actor::Operator => Who::Operator(true),
        Actor::Job { name } => Who::SystemJob(name.clone()),
    };
    v1::Actor { actor: Some(who) }
}

/// Whether a change is about a resource of this kind that still is.
pub(super) fn is_about(change: &v1::Change, kind: ResourceKind) -> bool {
    use v1::change::Kind;
    let gone = matches!(change.kind(), Kind::Deleted | Kind::Purged);
    change.r#type() == resource_type(kind.into()) && !gone
}

/// A resource as a change shows it.
pub(super) fn changed(
    directory: &Directory,
    caller: &Caller,
    resource: Resource,
) -> Result<v1::change::Resource> {
    let kind = resource.kind;
    let mask = Mask::read(kind.schema(), None)?;
    let view = View {
        resource,
        relations: Relations::default(),
    };
    Ok(match kind {
        ResourceKind::User => v1::change::Resource::User(user(directory, caller, view, &mask)?),
        ResourceKind::Group => v1::change::Resource::Group(group(directory, view, &mask)?),
    })
}

/// A page of a snapshot.
pub(super) fn snapshot_page(
    directory: &Directory,
    caller: &Caller,
    page: SnapshotPage,
    values: bool,
) -> Result<v1::SnapshotPage> {
    let mut shown = v1::SnapshotPage::default();
    match page {
        SnapshotPage::Resources(_, resources) => {
            for mut resource in resources {
                if !values {
                    resource.attributes.retain(|name, _| name == "active");
                    // What an operator wrote may be personal.
                    if let Some(lock) = &mut resource.access.lock {
                        lock.reason.clear();
                    }
                }
                match changed(directory, caller, resource)? {
                    v1::change::Resource::User(user) => shown.users.push(user),
                    v1::change::Resource::Group(group) => shown.groups.push(group),
                    v1::change::Resource::Membership(_) => {}
                }
            }
        }
        SnapshotPage::Memberships(edges) => {
            let edges = edges.into_iter();
            let edge = |edge: Edge| membership(edge.group_id, edge.member_id, edge.is_group);
            shown.memberships.extend(edges.map(edge));
        }
        SnapshotPage::Complete(..) => {}
    }
    Ok(shown)
}

/// An audit entry.
pub(super) fn audit_entry(
    directory: &Directory,
    caller: &Caller,
    epoch: &str,
    entry: Audited,
) -> v1::AuditEntry {
    let at = Position {
        epoch: epoch.to_owned(),
        revision: entry.revision,
    };
    let credential_id = match &entry.actor {
        Actor::Connection { credential_id, .. } => credential_id.clone(),
        Actor::Client { .. } | Actor::Operator | Actor::Job { .. } => String::new(),
    };
    let reason = reason::parse(&entry.reason).unwrap_or_default();
    v1::AuditEntry {
        sequence: entry.sequence,
        time: Some(timestamp(entry.recorded_at)),
        actor: Some(actor(&entry.actor)),
        method: entry.method,
        resource_id: entry.resource_id,
        resource_type: i32::try_from(entry.resource_type).unwrap_or_default(),
        outcome: entry.outcome,
        reason: reason.into(),
        changed_attributes: entry.changed_attributes,
        request_id: entry.request_id,
        credential_id,
        revision: Some(revision(directory, caller, &at)),
        hash: unhex(&entry.hash),
    }
}

/// Bytes from hexadecimal, which is our own.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).collect()
}
