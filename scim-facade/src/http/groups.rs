//! `/Groups`. Members come only when they are wanted, and have their own call
//! where they are many.

use axum::http::StatusCode;
use muster_proto::v1;

use super::{
    exchange::{Answer, Exchange, Fault},
    members,
    reply::Outcome,
};
use crate::{
    scim::{
        patch::{self as scim_patch, GroupEdit},
        projection::Projection,
    },
    translate::{
        group::{Told, lower, member_refs, replacement, told},
        patch::modifications,
    },
};

pub(super) async fn get(exchange: &Exchange) -> Answer {
    let projection = exchange.projection(exchange.registry().group)?;
    let request = v1::GetGroupRequest {
        id: exchange.id.clone(),
        members_up_to: members::up_to(&projection),
        ..v1::GetGroupRequest::default()
    };
    let directory = exchange.directory();
    let found = directory.get_group(&exchange.caller, request).await?;
    exchange.note.group(found.group.as_ref());
    let group = told(found.group.unwrap_or_default(), exchange.registry().group);
    let group = members::all(exchange, group, &projection).await?;
    exchange.read(group.render(&exchange.links, &projection))
}

pub(super) async fn create(exchange: &Exchange) -> Answer {
    let (document, projection) = exchange.document(exchange.registry().group)?;
    let request = v1::CreateGroupRequest {
        group: Some(lower(document.attributes)?),
        members: member_refs(document.members),
        members_up_to: members::up_to(&projection),
        options: None,
    };
    let directory = exchange.directory();
    let created = directory.create_group(&exchange.caller, request).await?;
    exchange.note.group(created.group.as_ref());
    exchange.note.came_to(created.report);
    let group = told(created.group.unwrap_or_default(), exchange.registry().group);
    written(exchange, StatusCode::CREATED, group, &projection).await
}

pub(super) async fn replace(exchange: &Exchange) -> Answer {
    let (document, projection) = exchange.document(exchange.registry().group)?;
    let modifications = replacement(document.attributes, document.members)?;
    let group = modify(exchange, modifications, &projection).await?;
    written(exchange, StatusCode::OK, group, &projection).await
}

/// Answers with the group unless it has many members: RFC 7644 section 3.5.2
/// allows 204, and the cost of a change must follow the change. A client that
/// asks for certain attributes gets the group in any case. Entra takes either;
/// scim-sanity insists on the group.
pub(super) async fn patch(exchange: &Exchange) -> Answer {
    let query = exchange.query()?;
    let projection = query.projection(exchange.registry().group, exchange.accents())?;
    let edits = scim_patch::group_edits(
        exchange.object()?,
        exchange.registry().group,
        exchange.accents(),
    )?;
    let projection = projection.edited(edits.iter().filter_map(|edit| match edit {
        GroupEdit::Attribute(edit) => Some(edit),
        _ => None,
    }));
    let context = exchange.context(exchange.registry().group);
    let group = modify(exchange, modifications(edits, context)?, &projection).await?;
    if query.has_projection() {
        return written(exchange, StatusCode::OK, group, &projection).await;
    }
    Ok(match members::few(exchange, group, &projection) {
        Some(group) => {
            let shown = group.render(&exchange.links, &projection);
            Outcome::Shown(StatusCode::OK, shown)
        }
        None => Outcome::Done,
    })
}

pub(super) async fn delete(exchange: &Exchange) -> Answer {
    let request = v1::DeleteGroupRequest {
        id: exchange.id.clone(),
        allow_missing: false,
        options: exchange.conditions.of_write(),
    };
    let directory = exchange.directory();
    let deleted = directory.delete_group(&exchange.caller, request).await?;
    exchange.note.came_to(deleted.report);
    Ok(Outcome::Done)
}

async fn modify(
    exchange: &Exchange,
    modifications: Vec<v1::GroupModification>,
    projection: &Projection,
) -> Result<Told, Fault> {
    let request = v1::ModifyGroupRequest {
        id: exchange.id.clone(),
        modifications,
        options: exchange.conditions.of_write(),
        members_up_to: members::up_to(projection),
    };
    let directory = exchange.directory();
    let modified = directory.modify_group(&exchange.caller, request).await?;
    exchange.note.group(modified.group.as_ref());
    exchange.note.came_to(modified.report);
    exchange.note.members(modified.counts);
    Ok(told(
        modified.group.unwrap_or_default(),
        exchange.registry().group,
    ))
}

/// A group as it was written. The write stands, so members that cannot be read
/// are left out: an error would say that nothing was written. For an operation
/// of a bulk no more is read than came.
async fn written(
    exchange: &Exchange,
    status: StatusCode,
    group: Told,
    projection: &Projection,
) -> Answer {
    let plain = group.resource.clone();
    let group = if exchange.is_part {
        let location = plain.location(&exchange.links);
        let Some(group) = members::few(exchange, group, projection) else {
            return Ok(Outcome::Unshown { status, location });
        };
        group
    } else {
        let whole = members::all(exchange, group, projection).await;
        whole.unwrap_or(plain)
    };
    let shown = group.render(&exchange.links, projection);
    Ok(Outcome::Shown(status, shown))
}
