//! What readers ask for, from the wire: how fresh, which changes, which audit
//! entries.

use muster_proto::v1;
use prost::Message as _;

use super::decode;
use crate::{
    auth::Caller,
    domain::history::{Position, ResourceType},
    error::{Error, Result},
    service::{AuditQuery, Consistency, Directory, FeedFilter, Reach},
};

/// How fresh a read must be.
///
/// # Errors
/// [`Error::RevisionInvalid`].
pub(super) fn consistency(
    directory: &Directory,
    caller: &Caller,
    consistency: Option<v1::Consistency>,
) -> Result<Consistency> {
    use v1::consistency::Requirement;
    Ok(match consistency.and_then(|c| c.requirement) {
        Some(Requirement::AtLeastAsFresh(revision)) => {
            Consistency::AtLeast(position(directory, caller, &revision)?)
        }
        Some(Requirement::MinimizeLatency(true)) => Consistency::Fast,
        Some(Requirement::MinimizeLatency(false) | Requirement::Strong(_)) | None => {
            Consistency::Strong
        }
    })
}

/// The point in the caller's tenant's history that a revision stands for.
///
/// # Errors
/// [`Error::RevisionInvalid`].
pub(super) fn position(
    directory: &Directory,
    caller: &Caller,
    revision: &v1::Revision,
) -> Result<Position> {
    directory
        .cursors()
        .open_revision(&caller.tenant_id, &revision.token)
}

/// Whether a read may find what is deleted.
pub(super) fn reach(show_deleted: bool) -> Reach {
    match show_deleted {
        true => Reach::Deleted,
        false => Reach::Live,
    }
}

/// Most members that a group can come with.
const MEMBERS_UP_TO: usize = 1_000;

/// How many members a group may have to come with them.
pub(super) fn members_up_to(asked: i32) -> usize {
    usize::try_from(asked).unwrap_or(0).min(MEMBERS_UP_TO)
}

/// Most groups that a filter of changes may name.
const GROUP_LIMIT: usize = 100;

/// Which changes are wanted.
///
/// # Errors
/// [`Error::Invalid`], [`Error::TooMany`].
pub(super) fn change_filter(filter: v1::ChangeFilter) -> Result<FeedFilter> {
    decode::check_count("group_ids", filter.group_ids.len(), GROUP_LIMIT)?;
    let mut types = Vec::new();
    for number in filter.types {
        types.push(match v1::ResourceType::try_from(number) {
            Ok(v1::ResourceType::User) => ResourceType::User,
            Ok(v1::ResourceType::Group) => ResourceType::Group,
            Ok(v1::ResourceType::Membership) => ResourceType::Membership,
            Ok(v1::ResourceType::Token) => ResourceType::Token,
            Ok(v1::ResourceType::Connection) => ResourceType::Connection,
            Ok(v1::ResourceType::Schema) => ResourceType::Schema,
            Ok(v1::ResourceType::SigningKey) => ResourceType::SigningKey,
            Ok(v1::ResourceType::ServiceClient) => ResourceType::Client,
            Ok(v1::ResourceType::Unspecified) | Err(_) => {
                return Err(Error::invalid("filter.types", "has an unknown type"));
            }
        });
    }
    Ok(FeedFilter {
        types,
        group_ids: filter.group_ids,
        connection_id: Some(filter.connection_id).filter(|id| !id.is_empty()),
    })
}

/// A length of time.
///
/// # Errors
/// [`Error::Invalid`] for a negative one.
pub(super) fn duration(
    field: &'static str,
    duration: Option<prost_types::Duration>,
) -> Result<Option<std::time::Duration>> {
    let read = duration.map(std::time::Duration::try_from).transpose();
    read.map_err(|_| Error::invalid(field, "must be a length of time, not negative"))
}

/// What tells a list of audit entries from others.
pub(super) fn audit_identity(tenant_id: &str, request: &v1::ListAuditEntriesRequest) -> Vec<u8> {
    let mut of = request.clone();
    of.page = None;
    let mut identity = format!("audit of {tenant_id} ").into_bytes();
    identity.extend(of.encode_to_vec());
    identity
}

/// Which audit entries are wanted.
///
/// # Errors
/// [`Error::Invalid`].
pub(super) fn audit_query(request: v1::ListAuditEntriesRequest) -> Result<AuditQuery> {
    let texts = [&request.resource_id, &request.actor_id, &request.method];
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Error::invalid("resource_id", "contains a NUL character"));
    }
    Ok(AuditQuery {
        resource_id: request.resource_id,
        actor_id: request.actor_id,
        method: request.method,
        since: request.since.map(milliseconds),
        until: request.until.map(milliseconds),
        refused_only: request.refused_only,
        below: None,
    })
}

fn milliseconds(time: prost_types::Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(time.nanos / 1_000_000))
}
