//! `/Groups`. Members have their own call, made only when they are wanted.

use axum::{http::StatusCode, response::Response};
use muster_proto::{schema::GROUP, v1};

use super::{
    exchange::{Answer, Exchange, Fault},
    precondition, reply,
};
use crate::{
    scim::{
        document,
        error::ScimError,
        flavor::Accent,
        group::{MEMBERS, Member, add_members},
        json::Json,
        list as scim_list, patch as scim_patch,
        projection::Projection,
        resource::Resource,
    },
    translate::{
        group::{lower, member, member_refs, replacement, resource},
        list::page_request,
        patch::modifications,
    },
};

/// The directory's largest page.
const MEMBERS_PER_CALL: i32 = 1000;

/// Most members in one list of groups. A client that wants more reads the
/// groups one by one.
const MEMBERS_PER_LIST: usize = 10_000;

pub(super) async fn list(exchange: Exchange) -> Answer {
    let query = exchange.query()?;
    let page = query.page()?;
    let projection = query.projection(&GROUP, exchange.accents())?;
    let request = v1::ListGroupsRequest {
        filter: query.filter(exchange.context(&GROUP))?,
        page: Some(page_request(page)),
        read_mask: None,
        ..v1::ListGroupsRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.list_groups(&exchange.caller, request).await?;
    let total = found.page.unwrap_or_default().total_size;
    let mut groups = Vec::with_capacity(found.groups.len());
    let mut room = MEMBERS_PER_LIST;
    for group in found.groups {
        let mut group = resource(group);
        if projection.wants("", MEMBERS) {
            // Deleted since the list was made.
            let Some(members) = members_if_any(&exchange, &group.id, room).await? else {
                continue;
            };
            room -= members.len();
            add_members(&mut group, members, &exchange.links);
        }
        groups.push(group.render(&exchange.links, &projection));
    }
    let body = scim_list::render(total, page.start_index, groups);
    Ok(reply::json(StatusCode::OK, &body))
}

/// The members of one group of a list, in which there is room for so many.
/// `None` when there is no such group any more.
async fn members_if_any(
    exchange: &Exchange,
    group_id: &str,
    room: usize,
) -> Result<Option<Vec<Member>>, Fault> {
    match members(exchange, group_id, room).await {
        Ok(members) if members.len() <= room => Ok(Some(members)),
        Ok(_) => {
            let detail = format!(
                "The groups have more than {MEMBERS_PER_LIST} members together; \
                 ask with excludedAttributes=members or a smaller count."
            );
            Err(ScimError::too_many(detail).into())
        }
        Err(Fault::Directory(error)) if error.status() == 404 => Ok(None),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn get(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&GROUP, exchange.accents())?;
    let request = v1::GetGroupRequest {
        id: exchange.id.clone(),
        read_mask: None,
        ..v1::GetGroupRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_group(&exchange.caller, request).await?;
    let mut group = resource(found.group.unwrap_or_default());
    let wants_members = projection.wants("", MEMBERS);
    let is_known = precondition::is_known(&exchange.headers, &group.meta.version)?;
    // The version is the group's own: it stays when a member is renamed or
    // deleted, so it cannot say that an answer with members is the same.
    if is_known && !wants_members {
        return Ok(reply::not_modified(&group.meta.version));
    }
    if wants_members {
        let members = members(&exchange, &group.id, usize::MAX).await?;
        add_members(&mut group, members, &exchange.links);
    }
    let etag = group.meta.version.clone();
    let body = group.render(&exchange.links, &projection);
    Ok(reply::resource(StatusCode::OK, &etag, &body))
}

pub(super) async fn create(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&GROUP, exchange.accents())?;
    let document = document::read(exchange.object()?, &GROUP, exchange.accents())?;
    let is_empty = document.members.is_empty();
    let request = v1::CreateGroupRequest {
        group: Some(lower(document.attributes)?),
        members: member_refs(document.members),
    };
    let directory = exchange.directory();
    let created = directory.create_group(&exchange.caller, request).await?;
    let mut group = resource(created.group.unwrap_or_default());
    let links = &exchange.links;
    let (etag, location) = (group.meta.version.clone(), group.location(links));
    let body = if is_empty {
        add_members(&mut group, Vec::new(), links);
        group.render(links, &projection)
    } else {
        written(&exchange, group, &projection).await
    };
    Ok(reply::created(&etag, &location, &body))
}

pub(super) async fn replace(exchange: Exchange) -> Answer {
    let projection = exchange.query()?.projection(&GROUP, exchange.accents())?;
    let document = document::read(exchange.object()?, &GROUP, exchange.accents())?;
    let modifications = replacement(document.attributes, document.members)?;
    let group = modify(&exchange, modifications).await?;
    Ok(shown(&exchange, group, &projection).await)
}

/// Answers 204 where the client wants it so, unless it asks for certain
/// attributes; other clients get the group.
pub(super) async fn patch(exchange: Exchange) -> Answer {
    let query = exchange.query()?;
    let projection = query.projection(&GROUP, exchange.accents())?;
    let edits = scim_patch::group_edits(exchange.object()?, &GROUP, exchange.accents())?;
    let group = modify(&exchange, modifications(edits, exchange.context(&GROUP))?).await?;
    let silent = exchange.accents().has(Accent::GroupPatchNoContent);
    if silent && !query.has_projection() {
        return Ok(reply::no_content());
    }
    Ok(shown(&exchange, group, &projection).await)
}

pub(super) async fn delete(exchange: Exchange) -> Answer {
    let request = v1::DeleteGroupRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: precondition::write_options(&exchange.headers)?,
    };
    let directory = exchange.directory();
    directory.delete_group(&exchange.caller, request).await?;
    Ok(reply::no_content())
}

async fn modify(
    exchange: &Exchange,
    modifications: Vec<v1::GroupModification>,
) -> Result<Resource, Fault> {
    let request = v1::ModifyGroupRequest {
        id: exchange.id.clone(),
        modifications,
        options: precondition::write_options(&exchange.headers)?,
    };
    let directory = exchange.directory();
    let modified = directory.modify_group(&exchange.caller, request).await?;
    Ok(resource(modified.group.unwrap_or_default()))
}

async fn shown(exchange: &Exchange, group: Resource, projection: &Projection) -> Response {
    let etag = group.meta.version.clone();
    let body = written(exchange, group, projection).await;
    reply::resource(StatusCode::OK, &etag, &body)
}

/// A group as it was written. The write stands, so members that cannot be read
/// are left out: an error would say that nothing was written.
async fn written(exchange: &Exchange, mut group: Resource, projection: &Projection) -> Json {
    if projection.wants("", MEMBERS)
        && let Ok(members) = members(exchange, &group.id, usize::MAX).await
    {
        add_members(&mut group, members, &exchange.links);
    }
    group.render(&exchange.links, projection)
}

/// The members, page by page; no more pages when there are more than `enough`.
async fn members(exchange: &Exchange, group_id: &str, enough: usize) -> Result<Vec<Member>, Fault> {
    let mut members = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListGroupMembersRequest {
            group_id: group_id.to_owned(),
            page: Some(v1::PageRequest {
                page_size: MEMBERS_PER_CALL,
                page_token,
                ..v1::PageRequest::default()
            }),
            ..v1::ListGroupMembersRequest::default()
        };
        let directory = exchange.directory();
        let found = directory.list_group_members(&exchange.caller, request);
        let found = found.await?;
        members.extend(found.members.into_iter().filter_map(member));
        page_token = found.page.unwrap_or_default().next_page_token;
        if page_token.is_empty() || members.len() > enough {
            return Ok(members);
        }
    }
}
