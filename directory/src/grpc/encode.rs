//! From the domain to the wire.

use muster_proto::{
    resource::{group_from_object, user_from_object},
    v1,
};
use prost_types::Timestamp;

use super::mask::Mask;
use crate::{
    auth::Caller,
    cursor::Cursors,
    domain::{Resource, page::Page, resource::ResourceKind, version::etag},
    error::{Error, Result},
    service::{AccessToken, Counts, View},
    storage::{members::Member, tenants::Connection},
};

/// A user as callers see it.
pub(super) fn user(view: View, mask: &Mask) -> Result<v1::User> {
    let View {
        mut resource,
        relations,
    } = view;
    mask.apply(&mut resource.attributes);
    let meta = meta(&resource);
    let mut user = user_from_object(resource.attributes).map_err(misfit)?;
    user.id = resource.id;
    user.meta = Some(meta);
    user.groups = relations
        .groups
        .into_iter()
        .map(|group| v1::GroupRef {
            id: group.id,
            display_name: group.display_name,
        })
        .collect();
    if let (Some(enterprise), Some(name)) = (&mut user.enterprise, relations.manager_name) {
        enterprise.manager_display_name = name;
    }
    Ok(user)
}

/// A group as callers see it.
pub(super) fn group(view: View, mask: &Mask) -> Result<v1::Group> {
    let mut resource = view.resource;
    mask.apply(&mut resource.attributes);
    let meta = meta(&resource);
    let mut group = group_from_object(resource.attributes).map_err(misfit)?;
    group.id = resource.id;
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

fn meta(resource: &Resource) -> v1::ResourceMeta {
    v1::ResourceMeta {
        etag: etag(resource.version),
        version: resource.version,
        create_time: Some(timestamp(resource.created_at)),
        update_time: Some(timestamp(resource.updated_at)),
    }
}

/// A connection as callers see it.
pub(super) fn connection(connection: Connection) -> v1::Connection {
    v1::Connection {
        id: connection.id,
        display_name: connection.name,
        meta: Some(v1::ResourceMeta {
            etag: etag(connection.version),
            version: connection.version,
            create_time: Some(timestamp(connection.created_at)),
            update_time: Some(timestamp(connection.updated_at)),
        }),
    }
}

fn timestamp(ms: i64) -> Timestamp {
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
pub(super) fn page<T>(cursors: &Cursors, list: &[u8], page: &Page<T>) -> v1::PageResponse {
    let token = page.next.as_deref().map(|last| cursors.page(list, last));
    v1::PageResponse {
        next_page_token: token.unwrap_or_default(),
        total_size: page.total,
    }
}

/// The tenant's revision that a write made.
pub(super) fn revision(
    cursors: &Cursors,
    caller: &Caller,
    number: Option<i64>,
) -> Option<v1::Revision> {
    let token = cursors.revision(&caller.tenant_id, number?);
    Some(v1::Revision { token })
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
